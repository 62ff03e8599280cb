"""Which LLVM the ray tracer gets; no tracer and no LLVM is needed for these."""

import pytest

from optisolve.core.errors import ProblemError
from optisolve.problems.radio_planning.llvm import LIBRARY_VARIABLE, OLDEST, find_llvm, llvm_version


def _library(folder, name):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"not a library")
    return folder / name


def test_newest_library_of_all_folders_is_taken(tmp_path):
    """Names of Debian, of LLVM's own packages, and links; 14 and 15, which abort, lose to 19."""
    system, own = tmp_path / "system", tmp_path / "llvm-18" / "lib"
    _library(system, "libLLVM-14.so.1")
    _library(system, "libLLVM-15.so")
    newest = _library(system, "libLLVM.so.19.1")
    (system / "libLLVM-19.so").symlink_to(newest)
    _library(own, "libLLVM-18.so")
    assert llvm_version(find_llvm({}, [own, system])) == 19


def test_a_link_without_a_version_has_that_of_its_target(tmp_path):
    """As ``libLLVM.so`` in LLVM's own folder."""
    _library(tmp_path, "libLLVM.so.17.0")
    (tmp_path / "libLLVM.so").symlink_to(tmp_path / "libLLVM.so.17.0")
    assert llvm_version(tmp_path / "libLLVM.so") == 17


def test_only_old_libraries_are_one_clear_error(tmp_path):
    """What was found, what is needed, what to do; before anything is loaded."""
    _library(tmp_path, "libLLVM-15.so.1")
    with pytest.raises(ProblemError, match=rf"LLVM {OLDEST} or later.*newest here is LLVM 15.*apt install") as caught:
        find_llvm({}, [tmp_path])
    assert "\n" not in str(caught.value)


def test_no_library_is_one_clear_error(tmp_path):
    """Likewise."""
    with pytest.raises(ProblemError, match=rf"LLVM {OLDEST} or later on a CPU; no libLLVM was found.*apt install"):
        find_llvm({}, [tmp_path])


def test_the_variable_decides(tmp_path):
    """A user's own library counts, even where a newer one is installed."""
    _library(tmp_path, "libLLVM.so.19.1")
    own = _library(tmp_path / "own", "libLLVM.so.17.0")
    assert find_llvm({LIBRARY_VARIABLE: str(own)}, [tmp_path]) == own


@pytest.mark.parametrize(("name", "told"), [("libLLVM-14.so", "LLVM 14"), ("nothing.so", "expected the path of a libLLVM")])
def test_a_bad_variable_is_named(tmp_path, name, told):
    """Too old, or no library at all."""
    given = tmp_path / "libLLVM-14.so"
    given.write_bytes(b"")
    with pytest.raises(ProblemError, match=rf"{LIBRARY_VARIABLE}.*{told}"):
        find_llvm({LIBRARY_VARIABLE: str(tmp_path / name)}, [])


def test_other_libraries_have_no_version(tmp_path):
    """A file that is no LLVM is passed over."""
    assert llvm_version(_library(tmp_path, "libother.so")) is None

"""Compiled kernels: no folder, no damage and no change of a source may break a run or bend its numbers."""

import importlib.util
import logging
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import optisolve

PACKAGE = Path(optisolve.__file__).parent
SOURCE = """
from optisolve.numerics.compiled import njit

@njit(cache=True)
def double(x):
    return 2.0 * x
"""


def _fresh(path: Path):
    """The module of a file as another process would see it: nothing compiled yet."""
    spec = importlib.util.spec_from_file_location("kernel_under_test", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.double


@pytest.fixture
def kernel(tmp_path):
    path = tmp_path / "kernel_under_test.py"
    path.write_text(SOURCE, encoding="utf-8")
    assert _fresh(path)(1.5) == 3.0
    return path


def _flip(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]


DAMAGE = {
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "garbage": lambda data: b"\x00garbage" * 40,
    "one byte": _flip,
}


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_code_is_compiled_again_once_and_said_in_one_line(kernel, suffix, damage, caplog):
    from optisolve.numerics import compiled

    (file,) = (kernel.parent / "__pycache__").glob(f"*.{suffix}")
    file.write_bytes(DAMAGE[damage](file.read_bytes()))
    compiled._tell_damaged.cache_clear()
    with caplog.at_level(logging.WARNING):
        again = _fresh(kernel)
        assert again(1.5) == 3.0
    assert sum(again.stats.cache_hits.values()) == 0
    (line,) = caplog.messages
    assert "\n" not in line
    assert "compiled again" in line
    third = _fresh(kernel)
    assert third(1.5) == 3.0
    assert sum(third.stats.cache_hits.values()) == 1, "the damage stayed"


def test_a_full_disk_under_the_cache_costs_no_run(kernel, monkeypatch, caplog):
    from optisolve.numerics import compiled

    def full(*_args):
        raise OSError(28, "No space left on device")

    for file in (kernel.parent / "__pycache__").iterdir():
        file.unlink()
    monkeypatch.setattr(compiled._File, "save", full)
    with caplog.at_level(logging.WARNING):
        assert _fresh(kernel)(1.5) == 3.0
    assert "No space left" in caplog.text


def test_without_any_folder_kernels_still_run(kernel, monkeypatch, caplog):
    from optisolve.numerics import compiled

    monkeypatch.setattr(compiled, "_candidates", lambda _file: iter([Path("/proc/nowhere")]))
    compiled._folder.cache_clear()
    compiled._tell_without_cache.cache_clear()
    with caplog.at_level(logging.WARNING):
        assert _fresh(kernel)(1.5) == 3.0
    compiled._folder.cache_clear()
    assert "NUMBA_CACHE_DIR" in caplog.text


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="owners and modes are POSIX")
@pytest.mark.parametrize("planted", ["nothing", "open to all", "a link", "another owner's"])
def test_a_planted_temporary_folder_is_not_used(tmp_path, monkeypatch, planted):
    """What lies in that folder is unpickled and run as machine code."""
    from optisolve.numerics import compiled

    monkeypatch.setattr(compiled.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = tmp_path / f"optisolve-kernels-{os.geteuid()}"
    if planted == "a link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "elsewhere")
    elif planted != "nothing":
        folder.mkdir(mode=0o700)
        folder.chmod(0o777 if planted == "open to all" else 0o700)
        if planted == "another owner's":
            if os.geteuid() != 0:
                pytest.skip("only root can give a folder away")
            os.chown(folder, 12345, 12345)
    found = compiled._private_folder()
    if planted == "nothing":
        assert found == folder
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    else:
        assert found is None


def test_a_read_only_package_without_a_home_runs(tmp_path):
    """As in a container: the package cannot be written, nor can the user's home be made."""
    (tmp_path / "scratch").mkdir()
    script = (
        f"mount --bind {PACKAGE} {PACKAGE} && mount -o remount,ro,bind {PACKAGE} || exit 77\n"
        f"touch {PACKAGE}/probe 2>/dev/null && exit 77\n"
        f"exec {sys.executable} -m optisolve run problem=power_control solver=wmmse reference=none pictures=false "
        f"out={tmp_path}/out\n"
    )
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("no unshare on this system")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA", "XDG"))}
    environment |= {"HOME": "/proc/nohome", "TMPDIR": str(tmp_path / "scratch"), "PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run([unshare, "-m", "sh", "-c", script], env=environment, capture_output=True, text=True, check=False)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("this system lets nobody mount")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out").glob("*/record.json"))) == 1


_AGREE = """
import numpy as np, optisolve
instance = optisolve.load_problem("power_control/weighted_qos").instance(0)
X = instance.space.sample(np.random.default_rng(0), 5000)  # too many for Python, so compiled
print(float(np.abs(instance.evaluate(X).F / instance.evaluate_twin(X).F).max()))
"""


def test_a_kernel_follows_the_modules_whose_functions_it_holds(tmp_path):
    """A logarithm that doubles, compiled into a kernel and then corrected, as by an update of the package."""
    shutil.copytree(PACKAGE, tmp_path / "optisolve", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("problems", "solvers", "prompts", "benchmarks", "pyproject.toml"):
        (tmp_path / name).symlink_to(PACKAGE.parent / name)
    file = tmp_path / "optisolve" / "numerics" / "logarithm.py"
    right = file.read_text(encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}

    def ratio() -> float:
        command = [sys.executable, "-c", _AGREE]
        told = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
        return float(told.stdout)

    file.write_text(right.replace("return log(1.0 + x)", "return 2.0 * log(1.0 + x)"), encoding="utf-8")
    assert ratio() > 1.5
    file.write_text(right, encoding="utf-8")
    assert ratio() == pytest.approx(1.0, rel=1e-9)


def test_every_kernel_of_the_package_has_this_cache():
    numbas = re.compile(
        r"^\s*from numba import .*\b(njit|jit|vectorize|guvectorize)\b|numba\.(n?jit|vectorize)\(", re.MULTILINE
    )
    others = [path for path in PACKAGE.rglob("*.py") if path.name != "compiled.py" and numbas.search(path.read_text("utf-8"))]
    assert others == []

"""The LLVM library that the ray tracer compiles with on a CPU: found by itself, so that nobody has to set a variable.

Dr.Jit, on which the tracer stands, loads the first libLLVM that the system's linker knows. On processors with AVX-512 versions
below 16 abort the whole process in the middle of a trace; hence the newest one is looked for, and an older one is refused
before it is loaded. On a GPU with CUDA no LLVM is needed.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from optisolve.core.errors import ProblemError

__all__ = ["LIBRARY_VARIABLE", "OLDEST", "find_llvm", "library_folders", "llvm_version", "point_to_llvm"]

LIBRARY_VARIABLE = "DRJIT_LIBLLVM_PATH"
"""Environment variable by which Dr.Jit is told its LLVM; what a user has set there counts."""

OLDEST = 16
"""Oldest major version that traces without aborting."""

_CURE = "install a newer one (Debian, Ubuntu: apt install libllvm19; macOS: brew install llvm; conda: llvmdev)"
_PATTERNS = ("libLLVM.so.*", "libLLVM-*.so*", "libLLVM.so", "libLLVM*.dylib", "LLVM-C.dll")


def point_to_llvm() -> None:
    """Set `LIBRARY_VARIABLE` to the newest LLVM of this machine, before the tracer is imported.

    Raises:
        ProblemError: There is none, or none that is new enough, or the variable names no such library.
    """
    os.environ[LIBRARY_VARIABLE] = str(find_llvm(os.environ, library_folders()))


def find_llvm(environment: Mapping[str, str], folders: Iterable[Path]) -> Path:
    """The library to compile with.

    Args:
        environment: Where a user may have named one.
        folders: Where to look for one otherwise.

    Raises:
        ProblemError: See `point_to_llvm`.
    """
    if given := environment.get(LIBRARY_VARIABLE):
        named = Path(given)
        version = llvm_version(named) if named.is_file() else None
        if version is None:
            raise ProblemError(f"{LIBRARY_VARIABLE} is '{given}'; expected the path of a libLLVM, version {OLDEST} or later.")
        if version < OLDEST:
            raise ProblemError(
                f"{LIBRARY_VARIABLE} is '{given}', LLVM {version}; the ray tracer needs LLVM {OLDEST} or later: unset it, or "
                f"{_CURE}."
            )
        return named
    found = {path: version for path in _libraries(folders) if (version := llvm_version(path)) is not None}
    if not found:
        raise ProblemError(f"The ray tracer needs LLVM {OLDEST} or later on a CPU; no libLLVM was found: {_CURE}.")
    newest = max(found, key=lambda path: (found[path], str(path)))
    if found[newest] < OLDEST:
        raise ProblemError(
            f"The ray tracer needs LLVM {OLDEST} or later on a CPU; the newest here is LLVM {found[newest]} ({newest}): "
            f"{_CURE}."
        )
    return newest


def llvm_version(path: Path) -> int | None:
    """Major version of a libLLVM by its name, else asked of the library itself; None where it is no libLLVM.

    Args:
        path: ``libLLVM.so.19.1``, ``libLLVM-14.so.1``, a link to one, or a library without a version in its name.
    """
    for name in (path.name, path.resolve().name):
        if told := re.search(r"libLLVM(?:-|\.so\.|\.)(\d+)", name):
            return int(told[1])
    major = ctypes.c_uint()
    try:
        # The function exists since version 16, so that a library without it is too old.
        ask = ctypes.CDLL(str(path)).LLVMGetVersion
    except OSError:
        return None
    except AttributeError:
        return OLDEST - 1 if hasattr(ctypes.CDLL(str(path)), "LLVMContextCreate") else None
    ask(ctypes.byref(major), None, None)
    return major.value


def _libraries(folders: Iterable[Path]) -> Iterable[Path]:
    for folder in folders:
        for pattern in _PATTERNS:
            yield from (path for path in sorted(folder.glob(pattern)) if path.is_file())


def library_folders() -> list[Path]:
    """Where systems, package managers and environments keep their libraries."""
    system = [Path("/usr/lib"), Path("/usr/lib64"), Path("/usr/local/lib"), Path(sys.prefix) / "lib"]
    system += sorted(Path("/usr/lib").glob("*-linux-gnu"))
    packaged = [folder / "lib" for folder in sorted(Path("/usr/lib").glob("llvm*"))]
    packaged += [
        folder / "lib" for root in ("/opt/homebrew/opt", "/usr/local/opt") for folder in sorted(Path(root).glob("llvm*"))
    ]
    conda = [Path(os.environ["CONDA_PREFIX"]) / "lib"] if "CONDA_PREFIX" in os.environ else []
    windows = [Path(r"C:\Program Files\LLVM\bin")] if sys.platform == "win32" else []
    return [folder for folder in (*conda, *system, *packaged, *windows) if folder.is_dir()]

"""Where a run happened: versions, processor, numerical kernels, threads, code revision."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from optisolve.core.errors import OptisolveError
from optisolve.core.problem import Problem
from optisolve.core.solver import Solver
from optisolve.registry import PROBLEMS, SOLVERS, Registry
from optisolve.run.schema import EnvironmentPart, Reproduction, SolverPart
from optisolve.version import __version__

__all__ = ["code_revision", "environment", "forget_peak_memory", "kernels", "peak_memory_mb", "reproduction_of"]

_PACKAGES = ("numpy", "scipy", "numba", "moocore", "pymoo", "cvxpy", "ortools", "highspy", "openai", "xllamacpp", "torch")
_THREADS = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


_FEATURES = ("sse4.2", "avx", "avx2", "avx512f", "fma", "neon", "sve")
"""Features of a processor that change how sums are vectorized and rounded."""


@cache
def environment() -> EnvironmentPart:
    """Interpreter, platform, processor, thread settings and versions of the packages that matter."""
    revision, dirty = _git()
    return EnvironmentPart(
        python=platform.python_version(),
        platform=platform.platform(),
        cpu=_processor(),
        kernels=kernels(),
        cores=os.cpu_count(),
        threads={name: os.environ[name] for name in _THREADS if name in os.environ},
        packages={name: found for name in _PACKAGES if (found := _version(name))},
        git=revision,
        dirty=dirty,
    )


@cache
def kernels() -> dict[str, str]:
    """What the last bits depend on: the kernels that BLAS libraries chose, numpy's instructions, numba's processor.

    Two machines with the same name of processor and the same packages may differ here, and then a run may end elsewhere.
    """
    import numpy as np
    from llvmlite import binding  # type: ignore[import-untyped]
    from threadpoolctl import threadpool_info

    _load_blas_of_scipy()
    found = {}
    for library in threadpool_info():
        owner = next((name for name in ("numpy", "scipy") if f"{os.sep}{name}" in library["filepath"]), None)
        if library.get("user_api") == "blas" and owner is not None:
            told = (library["internal_api"], library.get("version"), library.get("architecture"))
            found[f"blas.{owner}"] = " ".join(str(part) for part in told if part)
    # A logarithm of an array is another one with other instructions; those found stand from the oldest to the newest
    instructions = np.show_config(mode="dicts").get("SIMD Extensions", {})  # what is empty is left out
    found["numpy"] = " ".join(instructions.get("found", ()))
    features = binding.get_host_cpu_features()
    named = os.environ.get("NUMBA_CPU_FEATURES") or " ".join(sorted(name for name in _FEATURES if features.get(name)))
    found["numba"] = f"{os.environ.get('NUMBA_CPU_NAME') or binding.get_host_cpu_name()} {named}".strip()
    return found


def reproduction_of(
    solver: SolverPart, problem: str, *, problems: Registry[Problem] = PROBLEMS, solvers: Registry[Solver] = SOLVERS
) -> Reproduction:
    """What a second run gives where BLAS chooses other kernels, as solver and problem declare it.

    Names that nobody has declared anything about promise nothing, and neither does a run that uses what was learned before: a
    model's sums go through libraries that choose by the processor.

    Args:
        solver: As its record names it.
        problem: Registry name of the family.
        problems: Where to find problems.
        solvers: Where to find solvers.
    """
    if solver.checkpoint is not None:
        return Reproduction.STATISTICAL
    try:
        portable = solvers.get(solver.name).info.portable and problems.get(problem).portable
    except OptisolveError:
        return Reproduction.STATISTICAL
    return Reproduction.BIT_FOR_BIT if portable else Reproduction.STATISTICAL


def _load_blas_of_scipy() -> None:
    """Load the library as `scipy.linalg` does, without its modules where that can be: they take 0.2 s."""
    import scipy

    for module in Path(scipy.__file__).parent.glob("linalg/_fblas*"):
        with contextlib.suppress(OSError):
            ctypes.CDLL(str(module))
            return
    import scipy.linalg


def code_revision() -> str:
    """``git:<commit>`` in a checkout, else ``optisolve <version>``."""
    revision, dirty = _git()
    if not revision:
        return f"optisolve {__version__}"
    return f"git:{revision}{'+dirty' if dirty else ''}"


def peak_memory_mb() -> float | None:
    """Largest resident memory of this process since `forget_peak_memory`, MB; None where the system does not tell."""
    try:
        status = os.open("/proc/self/status", os.O_RDONLY)  # every run asks: one read, no decoding, no objects around it
        try:
            told = os.read(status, 1 << 14)
        finally:
            os.close(status)
        if (at := told.find(b"VmHWM:")) >= 0:
            return int(told[at:].split(maxsplit=2)[1]) * 1.024e-3
    except OSError:  # not Linux
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def forget_peak_memory() -> None:
    """Let `peak_memory_mb` count from now, where the system can do that (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


@cache
def _git() -> tuple[str, bool]:
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return "", False
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, timeout=5, check=True)
        status = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "", False
    return head.stdout.strip(), bool(status.stdout.strip())


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor()

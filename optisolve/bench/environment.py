"""Where a run happened: versions, processor, threads, code revision."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import optisolve

__all__ = ["code_revision", "environment", "forget_peak_memory", "peak_memory_mb"]

_PACKAGES = ("numpy", "scipy", "numba", "moocore", "pymoo", "cvxpy", "ortools", "highspy", "openai", "xllamacpp", "torch")
_THREADS = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@cache
def environment() -> dict[str, Any]:
    """Interpreter, platform, processor, thread settings and versions of the packages that matter."""
    revision, dirty = _git()
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "threads": {name: os.environ[name] for name in _THREADS if name in os.environ},
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        "git": revision,
        "dirty": dirty,
    }


def code_revision() -> str:
    """``git:<commit>`` in a checkout, else ``optisolve <version>``."""
    revision, dirty = _git()
    if not revision:
        return f"optisolve {optisolve.__version__}"
    return f"git:{revision}{'+dirty' if dirty else ''}"


def peak_memory_mb() -> float | None:
    """Largest resident memory of this process since `forget_peak_memory`, MB; None where the system does not tell."""
    try:
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1.024e-3
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
    root = Path(optisolve.__file__).parent.parent
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

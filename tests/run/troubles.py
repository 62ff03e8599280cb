"""Models that do what simulators do: wait, fail, hang, print, grow, die."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import optisolve

__all__ = ["began", "died_once", "problem_that"]

SAFE = 0.6
"""Above this value of the first variable a model gets into trouble."""


def problem_that(trouble: Callable[[Path, np.ndarray], object], folder: Path, *, everywhere: bool = False, **settings):
    """Squares to be minimized; above `SAFE` the trouble comes first. Every evaluation leaves a line in a file of its process.

    Args:
        trouble: Gets the folder and the point; what it returns takes the place of the value.
        folder: Where processes leave their lines.
        everywhere: There is trouble at every point.
        **settings: Of `optisolve.problem`.
    """

    def squares(x):
        with (folder / f"calls-{os.getpid()}").open("a", encoding="utf-8") as file:
            file.write(f"{x.tobytes().hex()}\n")
        value = trouble(folder, x) if everywhere or x[0] > SAFE else None
        return float((x * x).sum()) if value is None else value

    return optisolve.problem(squares, [-1.0] * 2, [1.0] * 2, name="squares", probes=1, **settings)


def began(folder: Path) -> list[str]:
    """Points whose evaluation began, once for every time."""
    return [line for file in folder.glob("calls-*") for line in file.read_text("utf-8").split()]


def died_once(folder: Path, _x: np.ndarray) -> None:
    """The first process that gets here is killed, as when a machine runs out of memory."""
    try:
        (folder / "dead").touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def dies(_folder: Path, _x: np.ndarray) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def exits(_folder: Path, _x: np.ndarray) -> None:
    print("the licence server is gone", flush=True)  # noqa: T201
    os._exit(3)


def hangs(_folder: Path, _x: np.ndarray) -> None:
    time.sleep(600)


def raises(_folder: Path, _x: np.ndarray) -> None:
    raise RuntimeError("the mesh did not converge")


def is_nan(_folder: Path, _x: np.ndarray) -> float:
    return float("nan")


def is_wide(_folder: Path, _x: np.ndarray) -> list[float]:
    return [1.0, 2.0, 3.0]


def finds_no_memory(_folder: Path, _x: np.ndarray) -> None:
    raise MemoryError("4 TiB for a matrix")


def grows(_folder: Path, _x: np.ndarray) -> None:
    hoard = np.ones(40_000_000)  # 320 MB
    time.sleep(600 * hoard[0])


def prints_megabytes(_folder: Path, _x: np.ndarray) -> None:
    for _ in range(5):
        print("x" * 1_000_000)  # noqa: T201
    raise RuntimeError("after five megabytes")

"""Rings when a solver has passed its limit on seconds without looking at the clock."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any

from optisolve.core.budget import BudgetMeter
from optisolve.core.errors import OutOfTime

__all__ = ["Alarm"]

_AGAIN_S = 0.1
_RUN = "optisolve.run.execution"
"""Who calls the solver: what has called it, an import perhaps, does not matter."""
_START_UP = ("importlib", "numba.", "llvmlite.", "zipfile", "numpy.lib._npyio")
"""Modules at work while something is imported, compiled or read from a library's own files."""
_PATIENCE_S = 0.4
"""After the limit, how long a library is left at its work before it is cut into, s."""


class Alarm:
    """While it is set, `OutOfTime` is raised in the main thread a little after the limit on seconds, between steps of Python.

    A solver that looks at the clock has ended by then. The signal is one that does nothing where nobody waits for it, unlike
    that of timers, which somebody else may need. It rings again while something cannot be cut into: the evaluation of a
    batch, or foreign code that swallows what is raised.

    Args:
        meter: Of the run; without a limit on seconds, and in other threads, nothing rings.
        later_s: Additional patience with a solver that ends its work elsewhere by itself, s.
    """

    def __init__(self, meter: BudgetMeter, later_s: float = 0.0) -> None:
        self._meter, self._later_s, self._set, self._off = meter, later_s, False, threading.Event()
        self._before: Any = None

    def __enter__(self) -> None:
        here = threading.current_thread() is threading.main_thread()
        if self._meter.budget.seconds is None or not here or not hasattr(signal, "SIGURG"):
            return
        self._before = signal.signal(signal.SIGURG, self._heard)
        self._set = True
        threading.Thread(target=self._ring, args=(self._meter.budget.seconds,), daemon=True).start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._set:
            self._set = False
            self._off.set()
            signal.signal(signal.SIGURG, self._before or signal.SIG_DFL)

    def _ring(self, seconds: float) -> None:
        due = 1.05 * seconds + 0.15 + self._later_s
        wait = due - self._meter.elapsed_s
        while not self._off.wait(max(0.0, wait)):
            wait = due - self._meter.elapsed_s  # more than nothing where the clock has stood still
            if wait <= 0.0:
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGURG)
                wait = _AGAIN_S

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if not self._set or self._meter.shielded or frame is None or _starting(frame):
            return
        late_s = self._meter.elapsed_s - 1.05 * (self._meter.budget.seconds or 0.0) - self._later_s
        if _ours(frame) or late_s > _PATIENCE_S:
            raise OutOfTime


def _ours(frame: FrameType) -> bool:
    """Whether the solver's own code is at work, and not a library's, which may be setting up what it keeps for later runs."""
    file = frame.f_code.co_filename
    if str(frame.f_globals.get("__name__", "")).startswith("optisolve."):
        return True
    return "site-packages" not in file and not file.startswith((sys.base_prefix, "<"))


def _starting(frame: FrameType | None) -> bool:
    """Whether something is imported or compiled: that is start-up, and a cut would leave half of it behind."""
    while frame is not None and (module := str(frame.f_globals.get("__name__", ""))) != _RUN:
        if module.startswith(_START_UP):
            return True
        frame = frame.f_back
    return False

"""How far long work is: a live bar on a terminal, elsewhere a line every few seconds, so that no log is silent for minutes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from threading import Event, Thread
from typing import TYPE_CHECKING, Literal, Self, TypeAlias

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from optisolve.cli.display import console, errors, shown

if TYPE_CHECKING:
    from optisolve.core.budget import Budget
    from optisolve.core.solver import Solver
    from optisolve.run.execution import Progress as RunProgress

__all__ = ["Bar", "RunBar", "Show", "counted", "duration", "quiet_for"]

Show: TypeAlias = Literal["auto", "lines", "off"]
"""How progress is shown: a bar on a terminal and lines elsewhere, lines in any case, nothing."""

_LOOK_S = 1.0
"""Pause between two looks of a bar."""
_FIRST_S, _SHARE = 5.0, 1 / 60
"""A line every 5 s; in long work after a sixtieth of the time that has passed, so that a night leaves no thousand lines."""


_TELLING = 0.02
"""Share of the work from which on its pace says something: compiling comes first."""


class Bar:
    """Progress of one piece of work on stderr, from ``with`` on until it is over.

    Args:
        name: What is done.
        unit: What is counted.
        total: How many there will be, when that is known.
        show: See `Show`.
        poll: Asked before every line, and for a bar every second, for work that reports seldom; it calls `update`.
    """

    def __init__(
        self,
        name: str,
        unit: str = "",
        total: float | None = None,
        *,
        show: Show = "auto",
        poll: Callable[[], None] | None = None,
    ) -> None:
        self.name, self.unit = name, unit
        self.live = show == "auto" and errors.is_terminal
        self._lines, self._poll = show != "off" and not self.live, poll
        self._done, self._total, self._share, self._what, self._note = 0.0, total, None if total else 0.0, name, ""
        self._line, self._start, self._over = "", time.monotonic(), Event()
        self._clock = Thread(target=self._tell_now_and_then, name="progress", daemon=True)
        texts = (TextColumn("{task.description}", style="bold", markup=False), BarColumn(bar_width=24), MofNCompleteColumn())
        notes = (TextColumn("{task.fields[unit]}", markup=False), TextColumn("{task.fields[note]}", markup=False))
        times = (TimeElapsedColumn(), TextColumn("left", markup=False), TimeRemainingColumn())
        self._bar = Progress(
            *(*texts, *notes, *times),
            console=errors,
            transient=True,
            disable=not self.live,
            redirect_stdout=console.is_terminal,  # results go where stdout goes
        )
        self._task = self._bar.add_task(shown(name), total=total, unit=unit, note="")

    def __enter__(self) -> Self:
        self._start = time.monotonic()
        if self._lines or (self.live and self._poll is not None):
            self._clock.start()
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._bar.stop()
        if self._clock.is_alive():
            self._clock.join()

    def update(
        self,
        done: float,
        total: float | None = None,
        *,
        name: str = "",
        note: str = "",
        line: str = "",
        share: float | None = None,
    ) -> None:
        """Set the state; what is not given stays.

        Args:
            done: How many are done.
            total: How many there will be.
            name: What is done now.
            note: What else there is to say.
            line: What a line says in place of name and counts.
            share: Part of the work that is done, 0 to 1, where that is not done / total.
        """
        self._done, self._total = done, self._total if total is None else total
        self._what, self._note, self._line, self._share = name or self.name, note, line, share
        if self.live:
            title = shown(self._what)
            self._bar.update(self._task, completed=done, total=total, description=title, note=shown(note))

    def _tell_now_and_then(self) -> None:
        while not self._over.wait(self._pause_s):
            try:
                if self._poll is not None:
                    self._poll()
                if self._lines and sys.stderr is not None:  # past rich, which ends the process where nobody reads any more
                    sys.stderr.write(f"{shown(self.told(time.monotonic() - self._start))}\n")
                    sys.stderr.flush()
            except (OSError, ValueError):  # the work goes on
                return

    @property
    def _pause_s(self) -> float:
        """Time to the next line, or to the next look for a bar, s."""
        return _LOOK_S if self.live else max(_FIRST_S, _SHARE * (time.monotonic() - self._start))

    def told(self, elapsed_s: float) -> str:
        """The line after some seconds: what is done, and how long the rest will take at this pace.

        Args:
            elapsed_s: Time since the work began, s.
        """
        counts = counted(self._done, self._total) if self._total or self._done else ""
        said = self._line or f"{self._what}: {counts} {self.unit}".rstrip(": ")
        share = self._share if self._share is not None or not self._total else self._done / self._total
        left = f"{duration(elapsed_s)} so far"
        if share is not None and share >= _TELLING:
            left = f"about {duration(elapsed_s * (1.0 - share) / share)} left"
        return ", ".join(filter(None, (said, self._note, left)))


class RunBar(Bar):
    """Progress of one run: how good the best points are, and what it has used.

    Args:
        solver: Who runs.
        budget: With what.
        show: See `Show`.
    """

    def __init__(self, solver: Solver, budget: Budget, *, show: Show) -> None:
        super().__init__(solver.info.name, "evaluations", budget.evaluations, show=show, poll=self._tell)
        self._asks = solver.info.uses_llm
        self._state: RunProgress | None = None

    def heard(self, state: RunProgress) -> None:
        """The run reports."""
        self._state = state
        if self.live:
            self._tell()

    def _tell(self) -> None:
        """Look again: answers of a language model arrive while nothing else is heard of the run."""
        if (state := self._state) is None:
            return
        if state.ending:
            how = "interrupted after" if state.interrupted else "done with"
            done = f"{self.name}: {how} {counted(state.evaluations, None)} evaluations"
            again = "what it found is evaluated again for the record"
            self.update(state.evaluations, name=f"{done}; {again}", line=f"{done}; {again}", share=0.0)
            return
        most, answered = state.budget, state.llm_answered
        told = [f"llm {counted(answered, most.llm_calls)} calls"] if self._asks else []
        told.append(f"evaluations {counted(state.evaluations, most.evaluations)}")
        pairs = ((answered, most.llm_calls), (state.evaluations, most.evaluations), (state.seconds, most.seconds))
        share = min(1.0, max((used / limit for used, limit in pairs if limit), default=0.0))
        note = _best(state) if self.live else ""
        self.update(state.evaluations, line=f"{self.name}: {', '.join(told)}", note=note, share=share)


def _best(state: RunProgress) -> str:
    parts = list[str]()
    if state.hypervolume is not None:
        parts.append(f"hypervolume {state.hypervolume:.4f}")
    elif state.best is not None:
        parts.append(f"best {state.best:.6g}")
    if state.llm_calls:
        parts.append(f"LLM calls {counted(state.llm_calls, state.budget.llm_calls)}, {state.llm_tokens:,} tokens")
    return " · ".join(parts)


def counted(done: float, total: float | None) -> str:
    """How many of how many, e.g. ``12/40``."""
    return f"{done:,.0f}" if total is None else f"{done:,.0f}/{total:,.0f}"


def duration(seconds: float) -> str:
    """A time for people."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def quiet_for(show: Show, *, json: bool) -> Show:
    """How progress is shown beside a result that another program reads: not at all unless lines were asked for."""
    return "off" if json and show == "auto" else show

"""Figures and answers of a check, printed and kept as they come; one that fails or takes too long costs the others nothing."""

from __future__ import annotations

import json
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from optisolve.core.documents import write_atomic
from optisolve.run.environment import environment


@dataclass(frozen=True)
class Row:
    """One figure, or one answer to a question.

    Args:
        part: Part of the check.
        what: What was measured.
        way: How it was computed.
        value: The figure; None where there is none.
        unit: Its unit.
        ratio: Times better than the processor.
        ok: Whether what should be so is so; None for a mere figure.
        note: What else there is to say.
    """

    part: str
    what: str
    way: str
    value: float | None = None
    unit: str = ""
    ratio: float | None = None
    ok: bool | None = None
    note: str = ""

    def __str__(self) -> str:
        value = "–" if self.value is None else f"{self.value:,.4g} {self.unit}"
        ratio = "–" if self.ratio is None else f"{self.ratio:.3g}"
        answer = {None: "", True: "yes", False: "NO"}[self.ok]
        return f"| {self.part} | {self.what} | {self.way} | {value} | {ratio} | {answer} | {self.note} |"


@dataclass
class Rows:
    """The rows so far, and how to make more.

    Args:
        device: ``cuda`` or ``cpu``.
        limit_s: Time for all of it, s.
        out: File for the rows; None for none.
    """

    device: str
    limit_s: float
    out: Path | None
    rows: list[Row] = field(init=False, default_factory=list)
    begun: float = field(init=False, default_factory=time.perf_counter)

    def add(self, row: Row) -> None:
        """Print a row and write the file anew."""
        self.rows.append(row)
        print(row, flush=True)
        if self.out is not None:
            told = {
                "device": self.device,
                "gpu": gpu() if self.device == "cuda" else None,
                "environment": environment().model_dump(),
                "seconds": round(time.perf_counter() - self.begun, 1),
                "rows": [asdict(each) for each in self.rows],
            }
            write_atomic(self.out, json.dumps(told, indent=1).encode() + b"\n")

    @property
    def left_s(self) -> float:
        """Time that is left, s."""
        return self.limit_s - (time.perf_counter() - self.begun)

    def measure(self, part: str, what: str, way: str, make: Callable[[], Row | None]) -> Row | None:
        """A row that is made by something that may fail or take too long; that it did is a row too.

        Returns:
            The row; None where there is no figure.
        """
        try:
            with ended_after(self.left_s):
                row = make()
        except Exception as error:  # whatever it is: the other rows are worth having
            lines = str(error).strip().splitlines() or [""]
            self.add(Row(part, what, way, ok=False, note=f"{type(error).__name__}: {lines[0][:200]}".replace("|", "/")))
            return None
        if row is not None:
            self.add(row)
        return row


@contextmanager
def ended_after(seconds: float) -> Iterator[None]:
    """Raise TimeoutError when the time is over."""

    def end(*_: object) -> None:
        raise TimeoutError("no time was left")

    if seconds <= 0.0:
        end()
    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def gpu() -> dict[str, object]:
    """Which GPU it is."""
    told = torch.cuda.get_device_properties(0)
    return {
        "name": told.name,
        "memory_mib": told.total_memory >> 20,
        "capability": f"{told.major}.{told.minor}",
        "cuda": torch.version.cuda,
    }


def median_s(run: Callable[[], object], seconds: float) -> float:
    """Median time of a run after one that warms up, s."""
    run()
    spent: list[float] = []
    while sum(spent) < seconds:
        begun = time.perf_counter()
        run()
        spent.append(time.perf_counter() - begun)
    return statistics.median(spent)

"""What a run may spend, and the meter that enforces it before anything is spent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from threading import Lock, get_ident
from typing import Annotated, Any, Final

from annotated_types import Ge

from optisolve.core.clock import stood_still_s
from optisolve.core.errors import BudgetExhausted
from optisolve.core.options import Options
from optisolve.core.status import Limit

__all__ = ["CALLS", "UNLIMITED", "Budget", "BudgetMeter", "Reservation", "spent_on_the_model"]

UNLIMITED: Final = None
"""No limit, said by name: ``Budget(evaluations=5000, llm_calls=optisolve.UNLIMITED)``. Files and the command line say
``unlimited`` or ``null``."""

CALLS: Final = 40
"""Requests to a language model that a run may send when nothing is said about them: they may cost money."""


@dataclass(frozen=True, slots=True)
class Budget(Options):
    """Limits of one run; None, or the word ``unlimited``, means no limit.

    What is not said is not limited, except calls to a language model, which may be paid for: they have a limit until
    `UNLIMITED` is said. It bounds tokens and dollars as well. Of more than `points` points of a front the best in every
    objective are kept, then again and again the one farthest from those kept, objectives scaled by the front's extent; the
    curve still counts every point. The clock stands still while kernels are compiled.

    Args:
        evaluations: Points evaluated, not batches.
        seconds: Wall-clock time, s; in no ranking.
        llm_calls: Requests sent to a language model, re-asks included.
        llm_tokens: Prompt plus completion tokens.
        usd: Cost at the prices set, US dollars.
        points: Points of the front to keep; ends no run.
    """

    evaluations: Annotated[int, Ge(1)] | None = None
    seconds: Annotated[float, Ge(0)] | None = None
    llm_calls: Annotated[int, Ge(0)] | None = CALLS
    llm_tokens: Annotated[int, Ge(0)] | None = None
    usd: Annotated[float, Ge(0)] | None = None
    points: Annotated[int, Ge(1)] | None = None

    def __post_init__(self) -> None:
        for f in fields(self):
            if getattr(self, f.name) == "unlimited":
                object.__setattr__(self, f.name, UNLIMITED)
        Options.__post_init__(self)

    @property
    def unlimited(self) -> bool:
        """True when no limit is set that could end a run."""
        limits = (self.evaluations, self.seconds, self.llm_calls, self.llm_tokens, self.usd)
        return all(limit is None for limit in limits)

    def options(self) -> dict[str, Any]:
        """All fields by name; without `points` where all are kept, so that records and locks stay what they were."""
        told = {f.name: getattr(self, f.name) for f in fields(self)}
        if self.points is None:
            del told["points"]
        return told


@dataclass(slots=True)
class Reservation:
    """Worst-case cost of one language-model call, held until `BudgetMeter.settle`."""

    tokens: int
    usd: float


class BudgetMeter:
    """Counts what a run uses and refuses what would not fit.

    Language-model calls are reserved at their worst case before they are sent and settled at their real cost
    afterwards, so a cap holds even with many calls in flight.

    Args:
        budget: The limits.

    Attributes:
        evaluations: Points evaluated so far.
        llm_calls: Calls sent so far.
        tokens_in: Prompt tokens so far.
        tokens_out: Completion tokens so far.
        tokens_cached: Prompt tokens so far that the provider served from its own cache, part of `tokens_in`.
        usd: Dollars so far.
        worst_tokens: Sum of the worst cases of all calls so far, tokens.
        worst_usd: The same in US dollars.
        interrupted: Set when the user asked to stop; the next evaluation raises KeyboardInterrupt.
        over: Set when the solver has ended and its answer is verified, for a display.
        unanswered: Set while calls are in flight; tells how many of them have no answer yet, for a display.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.evaluations = 0
        self.llm_calls = 0
        self.tokens_in = 0
        self.tokens_out = 0
        self.tokens_cached = 0
        self.usd = 0.0
        self.worst_tokens = 0
        self.worst_usd = 0.0
        self.interrupted = self.over = False
        self.unanswered: Callable[[], int] | None = None
        self._shields: list[Callable[[], object]] = []
        self._held_tokens = 0
        self._held_usd = 0.0
        self._lock = Lock()
        self.restart_clock()

    def __getstate__(self) -> dict[str, object]:
        """Without the lock and the shields, which belong to a run at work."""
        return {**self.__dict__, "_lock": None, "_shields": [], "unanswered": None}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state, _lock=Lock())

    def restart_clock(self) -> None:
        """Let the time limit count from now, in this thread: while it compiles kernels, the clock stands still."""
        self._thread = get_ident()
        self._start = time.perf_counter() - stood_still_s()

    def interrupt(self) -> bool:
        """Note that the user asked to stop; called from a signal handler.

        Returns:
            True when the handler may raise at once, False when a shield is up, which raises at its end.
        """
        self.interrupted = True
        if not self._shields:
            return True
        self._shields[-1]()
        return False

    @contextmanager
    def shield(self, hurry: Callable[[], object] = lambda: None) -> Iterator[None]:
        """Let no interrupt fall into the middle of work and its accounts; it is raised when both are done.

        Args:
            hurry: Called by an interrupt, to cut a long wait short.

        Raises:
            KeyboardInterrupt: The user asked to stop meanwhile.
        """
        self._shields.append(hurry)
        try:
            yield
        finally:
            self._shields.pop()
        if self.interrupted and not self._shields:
            raise KeyboardInterrupt

    @property
    def shielded(self) -> bool:
        """Whether work is going on that nothing may cut into, see `shield`."""
        return bool(self._shields)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the meter was made, without the compilation of kernels."""
        return time.perf_counter() - stood_still_s(self._thread) - self._start

    @property
    def llm_waiting(self) -> int:
        """Calls, counted already, that have no answer yet."""
        return 0 if (ask := self.unanswered) is None else ask()

    @property
    def remaining_evaluations(self) -> int:
        """Evaluations left; a very large number when unlimited, 0 once the time is up."""
        if self.out_of_time:
            return 0
        limit = self.budget.evaluations
        return 2**62 if limit is None else max(0, limit - self.evaluations)

    @property
    def out_of_time(self) -> bool:
        """True when the limit on seconds has passed."""
        return self.budget.seconds is not None and self.elapsed_s >= self.budget.seconds

    def charge_evaluations(self, n: int) -> None:
        """Count n evaluations about to happen.

        Raises:
            BudgetExhausted: They do not fit; nothing was counted.
            KeyboardInterrupt: The user asked to stop.
        """
        if self.interrupted:
            raise KeyboardInterrupt
        limit = self.budget.evaluations
        if limit is not None and self.evaluations + n > limit:
            raise BudgetExhausted(Limit.EVALUATIONS, f"{n} asked, {limit - self.evaluations} of {limit} left")
        if self.budget.seconds is not None and self.out_of_time:
            raise BudgetExhausted(Limit.TIME, f"{self.elapsed_s:.1f} s of {self.budget.seconds:g} s used")
        self.evaluations += n

    def refund_evaluations(self, n: int) -> None:
        """Give back evaluations that the problem's policy does not count."""
        self.evaluations -= n

    def reserve(self, *, tokens: int, usd: float, paid: bool = False) -> Reservation:
        """Hold the worst case of one call before it is sent.

        Args:
            tokens: Largest possible prompt plus completion tokens.
            usd: Largest possible cost, US dollars.
            paid: The call was made already, by a run that was cut off or is repeated; it counts whatever is left.

        Returns:
            The reservation, to be given to `settle` exactly once.

        Raises:
            BudgetExhausted: The call could exceed a limit; nothing was held.
        """
        with self._lock:
            if not paid:
                self._require_room(tokens, usd)
            self.llm_calls += 1
            self._held_tokens += tokens
            self._held_usd += usd
            self.worst_tokens += tokens
            self.worst_usd += usd
            return Reservation(tokens, usd)

    def _require_room(self, tokens: int, usd: float) -> None:
        b = self.budget
        if b.llm_calls is not None and self.llm_calls + 1 > b.llm_calls:
            raise BudgetExhausted(Limit.LLM_CALLS, f"all {b.llm_calls} calls used")
        total = self.tokens_in + self.tokens_out + self._held_tokens + tokens
        if b.llm_tokens is not None and total > b.llm_tokens:
            raise BudgetExhausted(Limit.LLM_TOKENS, f"{tokens} more tokens would reach {total} of {b.llm_tokens}")
        cost = self.usd + self._held_usd + usd
        if b.usd is not None and cost > b.usd:
            raise BudgetExhausted(Limit.USD, f"{usd:.6f} more USD would reach {cost:.6f} of {b.usd:g}")
        if self.out_of_time:
            raise BudgetExhausted(Limit.TIME, f"{self.elapsed_s:.1f} s of {b.seconds:g} s used")

    def settle(self, held: Reservation, *, tokens_in: int, tokens_out: int, usd: float, tokens_cached: int = 0) -> None:
        """Replace a reservation by what the call really cost."""
        with self._lock:
            self._held_tokens -= held.tokens
            self._held_usd -= held.usd
            self.tokens_in += tokens_in
            self.tokens_out += tokens_out
            self.tokens_cached += tokens_cached
            self.usd += usd

    def release(self, held: Reservation) -> None:
        """Give a reservation back: its call was never sent."""
        with self._lock:
            self._held_tokens -= held.tokens
            self._held_usd -= held.usd
            self.worst_tokens -= held.tokens
            self.worst_usd -= held.usd
            self.llm_calls -= 1


def spent_on_the_model(meter: BudgetMeter) -> Limit:
    """Which limit allows no further call to a language model: the one that is nearest, or the time where none is set."""
    budget = meter.budget
    used = {
        limit: spent / allowed if allowed else 1.0
        for limit, allowed, spent in (
            (Limit.LLM_CALLS, budget.llm_calls, meter.llm_calls),
            (Limit.LLM_TOKENS, budget.llm_tokens, meter.tokens_in + meter.tokens_out),
            (Limit.USD, budget.usd, meter.usd),
        )
        if allowed is not None
    }
    return Limit.TIME if meter.out_of_time or not used else max(used, key=lambda limit: used[limit])

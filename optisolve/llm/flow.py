"""How many calls may be in flight, and when to stop asking an endpoint that is down."""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType

__all__ = ["Breaker", "Limiter"]


class Limiter:
    """At most so many calls in flight; fewer when the endpoint says that it is overloaded, more again when it copes.

    Additive increase, multiplicative decrease (Chiu & Jain 1989, doi 10.1016/0169-7552(89)90019-6): a 429 halves the
    limit, a whole round of good replies raises it by one. Use it as an asynchronous context manager round one attempt; who
    came first is served first.

    Args:
        largest: Most calls in flight.

    Attributes:
        limit: Calls that may be in flight now, a fraction counts as less than one.
    """

    def __init__(self, largest: int) -> None:
        self._largest = float(largest)
        self.limit = float(largest)
        self._busy = self._spared = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def __aenter__(self) -> Limiter:
        if not self._waiting and self._busy + 1 <= self.limit:
            self._busy += 1
            return self
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn  # whoever wakes us has taken the place for us
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        self._busy -= 1
        while self._waiting and self._busy + 1 <= self.limit:
            turn = self._waiting.popleft()
            if not turn.done():
                self._busy += 1
                turn.set_result(None)

    def overloaded(self) -> None:
        """The endpoint refused a call because there are too many; calls in flight at that moment count once together."""
        if self._spared:
            self._spared -= 1
            return
        self._spared = max(0, self._busy - 1)
        self.limit = max(1.0, self.limit / 2.0)

    def went_well(self) -> None:
        """A call was answered."""
        self._spared = max(0, self._spared - 1)
        self.limit = min(self._largest, self.limit + 1.0 / self.limit)


class Breaker:
    """Opens after so many failed calls in a row; while it is open one call per batch tries whether it can close.

    It counts calls, not seconds, so that a run does not depend on when it asks. A refusal that every call would meet shuts it.

    Args:
        calls: Failed calls in a row that open it; 0 means never.
    """

    def __init__(self, calls: int) -> None:
        self._calls = calls
        self._failed = 0
        self._final = ""

    @property
    def is_open(self) -> bool:
        """True while calls are to be refused."""
        return self.is_shut or 0 < self._calls <= self._failed

    @property
    def is_shut(self) -> bool:
        """True when no further call is to be tried at all."""
        return bool(self._final)

    @property
    def reason(self) -> str:
        """Why calls are refused, in words."""
        return self._final or f"the last {self._failed} calls failed"

    def shut(self, reason: str) -> None:
        """The endpoint refuses what every call has; for good, unless the breaker never opens."""
        if self._calls:
            self._final = self._final or f"every call is refused: {reason}"

    def saw(self, *, ok: bool) -> None:
        """Count one call that was sent and is over."""
        self._failed = 0 if ok else self._failed + 1

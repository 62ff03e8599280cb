"""Points on their way to workers: an asynchronous run, in which no worker waits for the others of a batch."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, wait

from optisolve.core.arrays import FloatArray
from optisolve.core.errors import RunStopped
from optisolve.core.failures import Attempt
from optisolve.core.solver import Landed
from optisolve.run.evaluator import Evaluator
from optisolve.run.pool import Pool

__all__ = ["Flights"]

_POLL_S = 0.1


class Flights:
    """The points of one run that are on their way, see `optisolve.core.solver.Flight`.

    Args:
        pool: Evaluates.
        evaluator: Counts, and takes over what comes back.
    """

    def __init__(self, pool: Pool, evaluator: Evaluator) -> None:
        self._pool, self._evaluator = pool, evaluator
        self._flying: dict[Future[Attempt], tuple[FloatArray, str, object]] = {}

    @property
    def room(self) -> int:
        """Points that may be sent now."""
        return max(0, min(self._pool.count - self.airborne, self._evaluator.meter.remaining_evaluations))

    @property
    def airborne(self) -> int:
        """Points that are on their way."""
        return len(self._flying)

    def send(self, X: FloatArray, *, source: str, tag: object = None) -> None:
        """Count a point, float64 [1, d], and send it.

        Raises:
            BudgetExhausted: There is nothing left for it.
            ProblemError: It is no usable point.
        """
        if self._evaluator.stopped:
            raise RunStopped
        X = self._evaluator.instance.space.require(X)
        self._evaluator.claim(1)
        self._flying[self._pool.submit(X)] = X, source, tag

    def land(self) -> list[Landed]:
        """Wait until a point has come back.

        Returns:
            All that have, in the order in which they were sent among those of the same moment.

        Raises:
            KeyboardInterrupt: The user asked to stop; what has come back is kept.
            ProblemError: A point could not be evaluated, and the policy is ``"stop"``.
        """
        landed = []
        with self._evaluator.meter.shield(self._pool.hurry):
            done = set[Future[Attempt]]()
            while self._flying and not done:
                done, _ = wait(self._flying, timeout=_POLL_S, return_when=FIRST_COMPLETED)
            for future in [future for future in self._flying if future in done]:
                X, source, tag = self._flying.pop(future)
                outcome = self._pool.outcome(future)
                if outcome is None:  # cut off
                    self._evaluator.meter.refund_evaluations(1)
                else:
                    landed.append(Landed(X, self._evaluator.take(X, outcome, source), tag))
        self._evaluator.tell()
        return landed

    def settle(self) -> None:
        """Cut off what is still on its way when a run has ended; it costs no evaluations."""
        if self._flying:
            self._pool.hurry()
            wait(self._flying)
            self._evaluator.meter.refund_evaluations(self.airborne)
            self._flying.clear()

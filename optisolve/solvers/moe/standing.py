"""How a run of the mixture stands: the best verified answer, who found it, and the tightest bound that nothing contradicts."""

from __future__ import annotations

from optisolve.core.problem import Instance, Sense
from optisolve.solvers.moe.executor import Attempt, Quality, better

__all__ = ["Standing"]

_BEYOND = 1e-6
"""Distance, relative to the objective's gap scale, by which a verified point must pass a bound to refute it."""


class Standing:
    """The best answer and the best bound so far.

    Args:
        instance: The instance.
        quality: What is known at the start; usually nothing feasible.

    Attributes:
        quality: Best verified answer.
        source: Who found it, "" at the start.
        attempts: All attempts in the order in which they ran.
        bound: Tightest bound, own sense; None without one.
        bound_by: Whose it is.
    """

    def __init__(self, instance: Instance, quality: Quality) -> None:
        self._instance = instance
        self.quality, self.source = quality, ""
        self.attempts: list[Attempt] = []
        self.bound: float | None = None
        self.bound_by = ""

    def offer(self, quality: Quality, source: str) -> bool:
        """Keep an answer if it is strictly better; whether it was."""
        improved = better(self._instance, quality.value, self.quality.value)
        if improved:
            self.quality, self.source = quality, source
        return improved

    def take_bound(self, attempt: Attempt) -> str:
        """Keep the tightest bound; one that a verified point beats is refused, with the reason."""
        claimed = attempt.dual_bound
        if claimed is None or len(self._instance.objectives) != 1:
            return ""
        if self.refutes(claimed):
            return f"a verified point of value {self.quality.value!r} is better than this bound"
        maximize = self._instance.objectives[0].sense is Sense.MAXIMIZE
        if self.bound is None or (claimed < self.bound if maximize else claimed > self.bound):
            self.bound, self.bound_by = claimed, attempt.expert
        return ""

    def refutes(self, bound: float) -> bool:
        """Whether the best answer is better than a bound allows."""
        value = self.quality.value
        if value is None:
            return False
        objective = self._instance.objectives[0]
        return -objective.shortfall(value, bound) > _BEYOND * objective.gap_scale(value)

    def gap(self, value: float | None) -> float | None:
        """Relative gap of a value to the bound; None without one of them."""
        if value is None or self.bound is None:
            return None
        objective = self._instance.objectives[0]
        return max(0.0, objective.shortfall(value, self.bound)) / objective.gap_scale(self.bound)

    def closed(self, stop_gap: float) -> bool:
        """Whether the best answer meets the bound to a relative gap."""
        gap = self.gap(self.quality.value)
        return gap is not None and gap <= stop_gap

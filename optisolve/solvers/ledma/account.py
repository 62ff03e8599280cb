"""What the calls to a language model cost, and which offspring came of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.budget import BudgetMeter
from optisolve.core.json import JsonObject
from optisolve.llm.candidates import Grid
from optisolve.llm.types import LlmReply
from optisolve.solvers.ledma.distill import Samples

__all__ = ["PAID_LABELS", "Account", "Notes"]

PAID_LABELS = ("llm", "repaired", "fallback")
"""Labels of offspring that a call was paid for."""
_UNUSED = "unused"
"""Where the cost of calls stands that came to no offspring, since the run was cut off."""


@dataclass(slots=True)
class _Spent:
    """What offspring with one label cost."""

    tokens_in: int = 0
    tokens_out: int = 0
    usd: float = 0.0


class Account:
    """Splits every call's tokens and dollars over the offspring that came of it.

    A call's cost goes in equal parts to the offspring of the sub-problems that it was made for, whatever became of
    them: used as given, repaired, or made by the fallback operator because the answer was of no use. Tokens are whole
    numbers, so the first offspring get what does not divide; sums over the labels equal the totals. What a run that was
    cut off had paid for without an offspring to show stands under ``"unused"``.
    """

    def __init__(self) -> None:
        self._calls: list[tuple[Sequence[int], LlmReply]] = []
        self._spent: dict[str, _Spent] = {}

    def asked(self, targets: Sequence[int], reply: LlmReply) -> None:
        """Note a call; `settle` splits its cost."""
        self._calls.append((targets, reply))

    def settle(self, owner: IntArray, source: Sequence[str]) -> None:
        """Split the cost of the calls made since the last settlement.

        Args:
            owner: int64 [k], the sub-problem of each offspring of this wave.
            source: Their labels.
        """
        rows: dict[int, list[str]] = {}
        for target, label in zip(owner.tolist(), source, strict=True):
            if label in PAID_LABELS:
                rows.setdefault(target, []).append(label)
        for targets, reply in self._calls:
            served = targets or rows  # a call for no sub-problem in particular helps all
            labels = [label for target in served for label in rows.get(target, ())]
            for label, tokens_in, tokens_out in zip(
                labels, _parts(reply.tokens_in, len(labels)), _parts(reply.tokens_out, len(labels)), strict=True
            ):
                spent = self._spent.setdefault(label, _Spent())
                spent.tokens_in += tokens_in
                spent.tokens_out += tokens_out
                spent.usd += reply.usd / len(labels)
        self._calls.clear()

    def report(self, meter: BudgetMeter) -> JsonObject:
        """``{source: {"tokens_in": ..., "tokens_out": ..., "usd": ...}}``.

        Args:
            meter: Knows what was paid in all; what no offspring accounts for stands under ``"unused"``.
        """
        spent = self._spent.values()
        unused = _Spent(
            meter.tokens_in - sum(item.tokens_in for item in spent),
            meter.tokens_out - sum(item.tokens_out for item in spent),
            meter.usd - sum(item.usd for item in spent),
        )
        told = dict(sorted(self._spent.items()))
        if unused.tokens_in or unused.tokens_out or unused.usd > 1e-9 * meter.usd:
            told[_UNUSED] = unused
        return {label: asdict(item) for label, item in told.items()}


def _parts(total: int, n: int) -> list[int]:
    """A whole number in n parts that differ by at most one."""
    each, rest = divmod(total, max(1, n))
    return [each + (i < rest) for i in range(n)]


class Notes:
    """What the language-model operator tells while it works: the cost of its calls, and its answers.

    Args:
        grid: The grid of its prompt.
    """

    def __init__(self, grid: Grid) -> None:
        self.grid, self.account, self.samples = grid, Account(), Samples(grid)

    def asked(self, targets: Sequence[int], reply: LlmReply) -> None:
        """One call was made for these sub-problems (none: for all of the wave's); its cost stands in the reply, also when it
        failed."""
        self.account.asked(targets, reply)

    def answered(self, parents: IntArray, numbers: FloatArray) -> None:
        """One sub-problem's usable candidates [k, d] as the model gave them (clipped and rounded to the grid, not yet
        projected), and the parents [l, d] that it was shown, worst to best."""
        self.samples.add(parents, numbers)

"""The model and other operators on one population: who serves which target, what offspring cost, and who is credited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.budget import BudgetMeter
from optisolve.core.documents import JsonObject
from optisolve.llm.candidates import Grid
from optisolve.llm.types import LlmReply
from optisolve.solvers.ledma.adaptive import Seen
from optisolve.solvers.ledma.distill import Distilled, Samples
from optisolve.solvers.ledma.shares import LLM, Bandit, Chooser
from optisolve.solvers.moead.variation import Feedback, Learner, Proposals, Variation, Wave

__all__ = ["DISTILLED", "PAID_LABELS", "TRIAL", "Account", "Notes", "Portfolio"]

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


DISTILLED = "distilled"
"""Name and source label of the fitted operator."""
TRIAL = 60
"""Evaluations that the fitted operator makes before it may take over."""
_BY_MODEL = ("llm", "repaired")


class Portfolio:
    """Gives some targets of every wave to the language model and shares the others among classical operators.

    Every operator's credit is the gain of its offspring per cost; a call costs `call_cost` evaluations beside those of its
    offspring. While no incumbent is feasible, an offspring gains what it takes off the smallest violation; while no point has
    reached the scoring box, gains are measured in a box of the run's own. What the
    fallback operator made in the model's place is credited to that operator, the cost of the call to the model.

    With distillation, the white-box operator fitted to the model's answers joins, with the model's start share, once there
    are enough of them. When it has made `TRIAL` evaluations and its credit is at least the model's, it takes over the
    model's targets for good, and the rest of the calls is saved.

    The chooser and all operators get streams of their own, spawned from the wave's stream, so what one draws never shifts
    another. At the end of a run the other operators' offspring make room for those that were paid for.

    Args:
        llm: The language-model operator; told to report to `notes`. None where no language model takes part.
        others: All other operators by name; the model's fallback is among them. Those that are learners are told of their own
            offspring.
        fallback: Name of the model's fallback operator.
        chooser: Picks the model's targets.
        bandit: Shares and credit of ``"llm"``, where there is one, and all others, in this order.
        meter: The run's meter.
        notes: What the model's operator told.
        call_cost: Cost of one call, in evaluations.
        seen: Told of everything that is evaluated, or None.
        distill: Let the fitted operator take over.
        mix: Name of the mix, for the report.
    """

    def __init__(
        self,
        llm: Learner | None,
        others: Mapping[str, Variation],
        *,
        fallback: str,
        chooser: Chooser,
        bandit: Bandit,
        meter: BudgetMeter,
        notes: Notes,
        call_cost: float,
        seen: Seen | None = None,
        distill: bool = False,
        mix: str = "",
    ) -> None:
        self._llm = llm
        self._operators: dict[str, Variation] = {**({} if llm is None else {LLM: llm}), **others}
        self._first = len(self._operators) - len(others)  # number of the first one that is no language model
        self._seen = seen
        self._fallback = list(self._operators).index(fallback)
        self._chooser, self._bandit, self._meter, self._notes = chooser, bandit, meter, notes
        self._call_cost, self._distill, self._mix = call_cost, distill, mix
        self._calls = 0  # made in this wave
        self._least = 0.0  # smallest violation among the incumbents
        self._makers = np.empty(0, dtype=np.int64)  # operator that is credited for each row of the last proposals
        self._joined: int | None = None
        self._handed_over: int | None = None
        self._made = self._made_by_model = 0

    def propose(self, wave: Wave) -> Proposals:
        """Offspring of all operators, ascending by owner, as many as may still be evaluated."""
        self._refit(wave)
        if self._seen is not None and wave.index == 0:
            self._seen.begin(wave.X, wave.F, wave.violation)
        least = float(wave.violation.min())
        if least <= 0.0 < self._least:
            self._bandit.forget()
        self._least = least
        choice, *streams = wave.rng.spawn(1 + len(self._operators))
        makers = self._assign(wave, choice)
        calls = self._meter.llm_calls
        parts: list[tuple[int, Proposals]] = []
        for k, (operator, stream) in enumerate(zip(self._operators.values(), streams, strict=True)):
            if (makers == k).any():
                parts.append((k, operator.propose(wave.part(makers == k, stream))))
        self._calls = self._meter.llm_calls - calls
        made = self._merged(parts)
        self._made += made.owner.size
        self._made_by_model += sum(label in _BY_MODEL for label in made.source)
        return made

    def learn(self, feedback: Feedback) -> None:
        """Credit every operator for what its offspring gained, and tell the model's what became of its own."""
        makers = self._makers[: feedback.owner.size]
        if self._llm is not None:
            self._llm.learn(feedback)
        for k, operator in enumerate(self._operators.values()):
            if k >= self._first and isinstance(operator, Learner) and (makers == k).any():
                operator.learn(feedback.part(makers == k))
        if self._seen is not None:
            self._seen.add(feedback.X, feedback.F, feedback.violation)
        if feedback.rescaled:
            self._bandit.forget()
        n = len(self._operators)
        cost = np.bincount(makers, minlength=n).astype(np.float64)
        if self._llm is not None:
            cost[0] += self._call_cost * self._calls
        gain = feedback.gain
        if self._least > 0.0:
            least = np.minimum.accumulate(np.concatenate([[self._least], feedback.violation]))
            gain = least[:-1] - least[1:]
        self._bandit.add(np.bincount(makers, gain, minlength=n).astype(np.float64), cost)

    def report(self) -> JsonObject:
        """The language model's figures; share of the offspring that is the model's, credit, cost, and the fitted operator.

        ``model_share``: offspring that the model made, used as given or repaired, over all offspring. ``credit``: see
        `Bandit.report`. ``spent``: tokens and dollars by source. ``distilled``: the fit to the model's answers, and the
        waves in which the fitted operator joined and took over, if it did.
        """
        told = {} if self._llm is None else dict(self._llm.report())
        learned = {
            name: dict(figures) for name, operator in self._operators.items() if name != LLM and (figures := operator.report())
        }
        share = self._made_by_model / self._made if self._made else 0.0
        if self._mix == "llm_only" and self._made_by_model < self._made:
            others = f"mix=llm_only, yet other operators made {1.0 - share:.1%} of the offspring"
            told["warning"] = f"{told['warning']}; {others}" if told.get("warning") else others
        credit = {"credit": self._bandit.report(), **({"learned": learned} if learned else {})}
        if self._llm is None:
            return {"mix": self._mix, "model_share": 0.0, **credit}
        return {
            **told,
            "mix": self._mix,
            "model_share": share,
            **credit,
            "spent": dict(self._notes.account.report(self._meter)),
            "distilled": {
                **self._notes.samples.report(),
                "joined_in_wave": self._joined,
                "handed_over_in_wave": self._handed_over,
            },
        }

    def _assign(self, wave: Wave, rng: np.random.Generator) -> IntArray:
        """Which operator serves each target, int64 [n]."""
        chosen = np.isin(wave.targets, self._chooser(replace(wave, rng=rng)))
        makers = np.zeros(wave.targets.size, dtype=np.int64)
        if self._handed_over is not None:
            makers[chosen] = self._names.index(DISTILLED)
        rest = np.flatnonzero(~chosen)
        shares = self._bandit.shares[self._first :]
        # Equally spaced marks over the cumulated shares: the numbers are as exact as whole numbers can be.
        marks = (np.arange(rest.size) + rng.random()) / max(1, rest.size)
        who = np.searchsorted(np.cumsum(shares / shares.sum())[:-1], marks, side="right")
        makers[rng.permutation(rest)] = self._first + who
        return makers

    def _merged(self, parts: list[tuple[int, Proposals]]) -> Proposals:
        """All offspring in owner order, without the free ones that no longer fit into the budget."""
        X = np.concatenate([part.X for _, part in parts])
        owner = np.concatenate([part.owner for _, part in parts])
        labels = [label for _, part in parts for label in part.labels]
        makers = np.repeat([k for k, _ in parts], [part.owner.size for _, part in parts])
        made_instead = [k < self._first and label not in _BY_MODEL for k, label in zip(makers, labels, strict=True)]
        makers[made_instead] = self._fallback
        self._notes.account.settle(owner, labels)
        order = np.argsort(owner, kind="stable")
        surplus = order.size - self._meter.remaining_evaluations
        if surplus > 0:
            free = [i for i in order if labels[i] not in PAID_LABELS][-surplus:]
            order = order[~np.isin(order, free)]
        self._makers = makers[order]
        return Proposals(X[order], owner[order], [labels[i] for i in order])

    def _refit(self, wave: Wave) -> None:
        """Let the fitted operator join, keep its fit fresh, and let it take over when its credit matches the model's."""
        if not self._distill or self._handed_over is not None:
            return
        fitted = self._notes.samples.fit()
        if fitted is None:
            return
        if self._joined is None:
            self._joined = wave.index
            self._bandit.join(DISTILLED, self._bandit.start(LLM))
        self._operators[DISTILLED] = Distilled(fitted, self._notes.grid)
        credit = dict(zip(self._names, self._bandit.credit.tolist(), strict=True))
        if self._bandit.spent(DISTILLED) >= TRIAL and credit[DISTILLED] >= credit[LLM]:
            self._handed_over = wave.index

    @property
    def _names(self) -> list[str]:
        return list(self._operators)

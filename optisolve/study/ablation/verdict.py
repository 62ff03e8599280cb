"""From the runs of an ablation to one sentence, by rules that are written down before anything is run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.study.ablation.plan import PLACEBO, Ablation, Arm
from optisolve.study.ablation.scores import Measure, base_measure
from optisolve.study.intervals import Estimate, estimate
from optisolve.study.loss import GAP_NOISE
from optisolve.study.statistics import Comparison, holm, paired_comparison, rank_rows

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ALPHA",
    "MIN_PAIRS",
    "RULES",
    "Answer",
    "ArmSummary",
    "Verdict",
    "Versus",
    "compare",
    "conclude",
    "pairs_needed",
    "summarize",
    "told_p",
    "told_share",
]

ALPHA = 0.05
"""Family-wise error rate of the comparisons with the language model."""

MIN_PAIRS = 6
"""Fewest pairs on which anything is concluded: below, Wilcoxon's exact test cannot reach 0.05 even for one comparison."""

RULES = f"""\
The language model is compared with every other arm on the same pairs (instance, seed): Wilcoxon's signed-rank test,
two-sided, p-values adjusted for the number of arms (Holm), alpha = {ALPHA:g}. A control is an arm that asks no language model.
The measure is the hypervolume, for one objective the gap; where half of the runs or more do not reach the scoring box, so that
their hypervolume is 0, it is IGD+.

1. *Undecided*: fewer than {MIN_PAIRS} complete pairs, or so few that no result could be significant after the adjustment.
2. *Not needed*: at least one control is significantly better than the language model; the one with the best mean is named.
3. *Needed*: the language model is significantly better than every control, and than its placebo when that took part.
4. *Not shown to use what it is told*: significantly better than every control, not significantly better than its placebo
   (the same model, asked as often, whose examples were shuffled).
5. *Undecided*: everything else; the control with the best mean from which the model could not be told apart is named.

When a stand-in answered in the language model's place, no verdict about a language model is given at all. The verdict holds
for these instances, this budget and this model; pairs of one instance share it and say little about other instances."""


class Answer(StrEnum):
    """What came out."""

    NOT_NEEDED = "not needed"
    """A control is significantly better."""
    NEEDED = "needed"
    """Better than every control, and than the placebo when there is one."""
    UNTOLD = "not shown to use what it is told"
    """Better than every control, but not than its own placebo."""
    UNDECIDED = "undecided"
    """Nothing of the kind is significant."""


@dataclass(frozen=True, slots=True)
class ArmSummary:
    """One arm over the complete pairs.

    Attributes:
        arm: The arm.
        n: Pairs.
        means: Mean by measure.
        estimates: The same with interval or range over the pairs.
        rank: Average rank by the primary measure within the pairs, 1 is best.
        gain: Mean improvement over the first population, hypervolume or gap.
        failed: Runs without a feasible point.
        broke: Runs that ended in an error.
        cost: Mean use per run: ``evaluations`` after the first population, ``calls``, ``tokens``, ``usd``.
        cost_per_step: The same per step of gain (total use / total gain); empty without a gain.
    """

    arm: Arm
    n: int
    means: Mapping[str, float]
    estimates: Mapping[str, Estimate]
    rank: float
    gain: float
    failed: int
    broke: int
    cost: Mapping[str, float]
    cost_per_step: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Versus:
    """The language model against one arm, on one measure.

    Attributes:
        arm: The other arm.
        comparison: Seen from the language model.
        p_holm: Adjusted for the number of arms.
        difference: Language model less the other arm, in the measure's own sign: mean, with interval or range over the pairs.
        maximize: Larger values are better.
    """

    arm: Arm
    comparison: Comparison
    p_holm: float
    difference: Estimate
    maximize: bool

    @property
    def significant(self) -> bool:
        """The difference is significant after adjustment."""
        return self.p_holm < ALPHA

    @property
    def model_better(self) -> bool:
        """The language model has the larger signed-rank sum."""
        return self.comparison.rank_biserial > 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer.

    Attributes:
        answer: Which rule applied.
        sentence: The answer in one sentence with its statistics.
        model: True when a language model took part, False for a stand-in.
    """

    answer: Answer
    sentence: str
    model: bool


def summarize(ablation: Ablation, runs: pd.DataFrame, wanted: Sequence[Measure]) -> list[ArmSummary]:
    """Every arm over the complete pairs, in the plan's order; empty without a complete pair."""
    table = _complete(ablation, runs)
    if table.empty:
        return []
    primary, step = wanted[0], base_measure(ablation).step
    wide = _by_arm(ablation, table, primary.column)
    ranks = rank_rows(wide, maximize=primary.maximize, tolerance=_ties(table))
    return [
        _summary(arm, table[table["arm"] == arm.name], wanted, float(ranks[arm.name].mean()), step)
        for arm in ablation.plan.arms
    ]


def compare(ablation: Ablation, runs: pd.DataFrame, measure: Measure) -> list[Versus]:
    """The language model against every other arm on one measure; empty without a complete pair."""
    table = _complete(ablation, runs)
    if table.empty:
        return []
    wide = _by_arm(ablation, table, measure.column)
    subject, *others = ablation.plan.arms
    ours = wide[subject.name].to_numpy(dtype=np.float64)
    ties = _ties(table)
    found = [paired_comparison(ours, wide[arm.name].to_numpy(), maximize=measure.maximize, tolerance=ties) for arm in others]
    adjusted = holm([c.p_value for c in found])
    rows = []
    for arm, comparison, p in zip(others, found, adjusted.tolist(), strict=True):
        difference = estimate(ours - wide[arm.name].to_numpy(dtype=np.float64))
        rows.append(Versus(arm, comparison, p, difference, measure.maximize))
    return rows


def conclude(
    ablation: Ablation, measure: Measure, arms: Sequence[ArmSummary], versus: Sequence[Versus], corner_warning: str = ""
) -> Verdict:
    """Apply the rules of `RULES`.

    Args:
        ablation: Says whether a model took part and what is missing.
        measure: The primary one.
        arms: From `summarize`.
        versus: From `compare` on the primary measure.
        corner_warning: Of `optisolve.study.ablation.bounds`; a verdict in the model's favor repeats that there is one.
    """
    model = not ablation.plan.surrogate
    answer, sentence = _judge(
        "the language model" if model else "the stand-in", measure, {summary.arm.name: summary for summary in arms}, versus
    )
    if corner_warning and answer in (Answer.NEEDED, Answer.UNTOLD):
        sentence += " The optimum sits where trivial answers look clever, so this alone does not speak for a model."
    if not model:
        sentence = (
            "No language model was called: offspring of the arm 'llm' were drawn from published statistics, so nothing is "
            f"said about a language model. For the stand-in: {sentence[0].lower()}{sentence[1:]}"
        )
    if ablation.partial:
        sentence = f"PARTIAL, {len(ablation.complete_pairs)} of {len(ablation.plan.pairs)} pairs: {sentence}"
    return Verdict(answer, sentence, model)


def _judge(who: str, measure: Measure, arms: Mapping[str, ArmSummary], versus: Sequence[Versus]) -> tuple[Answer, str]:
    """Which rule applies, and the sentence; `who` is the subject's name."""
    pairs = versus[0].comparison.n if versus else 0
    if pairs < MIN_PAIRS:
        return Answer.UNDECIDED, f"Undecided: complete pairs: {pairs}, at least {MIN_PAIRS} are needed."

    def merit(row: Versus) -> float:
        mean = arms[row.arm.name].means[measure.column]
        return mean if measure.maximize else -mean

    controls = sorted((row for row in versus if not row.arm.asks_llm), key=merit, reverse=True)
    if not controls:
        return Answer.UNDECIDED, "Undecided: no arm without a language model took part."
    needed = pairs_needed(len(versus))
    if pairs < needed:
        leader, times = controls[0].arm.label, controls[0].comparison.wins
        return Answer.UNDECIDED, (
            f"Undecided: with {pairs} pairs and {len(versus)} comparisons nothing could be significant, {needed} pairs are "
            f"needed. The control with the best mean is {leader}; {who} was ahead of it in {times} of {pairs} pairs."
        )
    higher = f"a {'higher' if measure.maximize else 'lower'} {measure.label}"
    for row in controls:
        if row.significant and not row.model_better:
            told = f"{row.arm.label} reached {higher} in {_counts(row, row.comparison.losses)}"
            return Answer.NOT_NEEDED, f"{_capital(who)} was not needed: {told}."
    equal = [row for row in controls if not row.significant]
    if equal:
        beaten = ", ".join(row.arm.name for row in controls if row.significant)
        also = f"; significantly worse were: {beaten}" if beaten else ""
        told = f"{equal[0].arm.label}; it was ahead in {_counts(equal[0], equal[0].comparison.wins)}"
        return Answer.UNDECIDED, f"Undecided: {who} could not be told apart from {told}{also}."
    best = controls[0]
    closest = f"against the best control, {best.arm.label}, it reached {higher} in {_counts(best, best.comparison.wins)}"
    placebo = next((row for row in versus if row.arm.name == PLACEBO), None)
    if placebo is None:
        return Answer.NEEDED, f"{_capital(who)} was needed: it beat every control; {closest}."
    ahead = f"ahead in {_counts(placebo, placebo.comparison.wins)}"
    if placebo.significant and placebo.model_better:
        return Answer.NEEDED, f"{_capital(who)} was needed: it beat every control and its own placebo, {ahead}; {closest}."
    return Answer.UNTOLD, (
        f"{_capital(who)} beat every control, but it is not shown that what it was told mattered: against its own placebo, the "
        f"same with shuffled examples, it was {ahead}; {closest}."
    )


def pairs_needed(comparisons: int) -> int:
    """Fewest pairs with which one of so many comparisons can be significant: Wilcoxon's smallest p-value is 2^(1 - n)."""
    return next(n for n in range(MIN_PAIRS, 64) if comparisons * 2.0 ** (1 - n) < ALPHA)


def _counts(row: Versus, times: int) -> str:
    return f"{times} of {row.comparison.n} pairs (Holm p {told_p(row.p_holm)}, A12 = {told_share(row.comparison.a12)})"


def _capital(words: str) -> str:
    return words[0].upper() + words[1:]


def told_p(p: float) -> str:
    """A p-value with its sign: ``= .004``, ``< .001``."""
    return "< .001" if p < 0.001 else f"= {p:.3f}".replace("0.", ".", 1)


def told_share(share: float) -> str:
    """A share from 0 to 1 with two decimals and no leading zero."""
    return f"{share:.2f}".removeprefix("0")


def _summary(arm: Arm, rows: pd.DataFrame, wanted: Sequence[Measure], rank: float, step: float) -> ArmSummary:
    first = int(getattr(arm.solver, "pop_size", 0))
    cost = {
        "evaluations": float(rows["evaluations"].mean()) - first,
        "calls": float(rows["llm_calls"].mean()),
        "tokens": float((rows["tokens_in"] + rows["tokens_out"]).mean()),
        "usd": float(rows["usd"].mean()),
    }
    gain = float(rows["gain"].mean())
    return ArmSummary(
        arm=arm,
        n=len(rows),
        means={m.column: float(rows[m.column].mean()) for m in wanted},
        estimates={m.column: estimate(rows[m.column].to_numpy(dtype=np.float64), within=(0.0, np.inf)) for m in wanted},
        rank=rank,
        gain=gain,
        failed=int(rows["failed"].sum()),
        broke=int((rows["broke"] != "").sum()),
        cost=cost,
        cost_per_step={name: value * step / gain for name, value in cost.items()} if gain > 0 else {},
    )


def _complete(ablation: Ablation, runs: pd.DataFrame) -> pd.DataFrame:
    pairs = set(ablation.complete_pairs)
    if runs.empty:
        return runs
    return runs[[pair in pairs for pair in zip(runs["instance"], runs["seed"], strict=True)]]


def _ties(table: pd.DataFrame) -> FloatArray:
    """Differences up to this size are ties, float64 [pairs], in the order of `_by_arm`; measures have no unit."""
    ties: FloatArray = table.groupby(["instance", "seed"])["tie"].max().to_numpy(dtype=np.float64)
    return np.maximum(ties, GAP_NOISE)


def _by_arm(ablation: Ablation, table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Values of a column, a row per pair and a column per arm."""
    wide = table.pivot_table(index=["instance", "seed"], columns="arm", values=column)
    return wide[[arm.name for arm in ablation.plan.arms]]

"""From the runs of an ablation to one sentence, by rules that are written down before anything is run."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from optisolve.core.controls import PLACEBO, Arm
from optisolve.study.ablation.runs import Ablation
from optisolve.study.ablation.scores import GAIN_STEP
from optisolve.study.intervals import Estimate, estimate
from optisolve.study.loss import LOSS_CAP
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
    "compare_runs",
    "complete_runs",
    "conclude",
    "judge",
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
The measure is the loss (docs/loss.md): 0 is as good as the reference, 1 the worst, which every run without a verified feasible
answer has; differences within the reference's tie are ties, and who beats a reference that is only best known is ahead.

1. *Undecided*: fewer than {MIN_PAIRS} complete pairs, or so few that no result could be significant after the adjustment.
2. *Not needed*: at least one control is significantly better than the language model; the one with the lowest loss is named.
3. *Needed*: the language model is significantly better than every control, and than its placebo when that took part.
4. *Not shown to use what it is told*: significantly better than every control, not significantly better than its placebo
   (the same model, asked as often, whose examples were shuffled).
5. *Undecided*: everything else; the control with the lowest mean loss from which the model could not be told apart is named.

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
        asks: It asks the language model.
        n: Pairs.
        loss: Mean loss with interval or range over the pairs.
        standing: Mean of what is compared, see `optisolve.study.ablation.scores.score_runs`.
        others: Further means by name, e.g. ``hypervolume``, where every run has one.
        rank: Average rank within the pairs, 1 is best.
        gain: Mean improvement over the first population, as a share of the loss's scale.
        failed: Runs without a feasible point.
        broke: Runs that ended in an error.
        cost: Mean use per run: ``evaluations`` after the first population, ``calls``, ``tokens``, ``usd``.
        cost_per_step: The same per step of gain (total use / total gain); empty without a gain.
    """

    arm: Arm
    asks: bool
    n: int
    loss: Estimate
    standing: float
    others: Mapping[str, float]
    rank: float
    gain: float
    failed: int
    broke: int
    cost: Mapping[str, float]
    cost_per_step: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Versus:
    """The language model against one arm.

    Attributes:
        arm: The other arm.
        asks: It asks the language model, too.
        comparison: Seen from the language model.
        p_holm: Adjusted for the number of arms.
        difference: Loss of the language model less that of the other arm: mean, with interval or range over the pairs.
    """

    arm: Arm
    asks: bool
    comparison: Comparison
    p_holm: float
    difference: Estimate

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


def complete_runs(ablation: Ablation, runs: pd.DataFrame) -> pd.DataFrame:
    """The rows of complete pairs."""
    pairs = set(ablation.complete_pairs)
    return runs if runs.empty else runs[[pair in pairs for pair in zip(runs["instance"], runs["seed"], strict=True)]]


def summarize(ablation: Ablation, runs: pd.DataFrame) -> list[ArmSummary]:
    """Every arm over the complete pairs, in the plan's order; empty without a complete pair."""
    table = complete_runs(ablation, runs)
    if table.empty:
        return []
    standings, ties = _blocks(table, ablation.plan.arms)
    ranks = rank_rows(standings, maximize=False, tolerance=ties).mean()
    rows = dict(iter(table.groupby("arm")))
    return [_summary(arm, arm.name in ablation.plan.asking, rows[arm.name], ranks[arm.name]) for arm in ablation.plan.arms]


def compare(ablation: Ablation, runs: pd.DataFrame, column: str = "loss") -> list[Versus]:
    """The language model against every other arm; empty without a complete pair.

    Args:
        ablation: The experiment.
        runs: From `score_runs`.
        column: ``loss``, or another figure without holes of which less is better.
    """
    table = complete_runs(ablation, runs)
    return [] if table.empty else compare_runs(table, ablation.plan.arms, ablation.plan.asking, column)


def compare_runs(table: pd.DataFrame, arms: Sequence[Arm], asking: Collection[str], column: str = "loss") -> list[Versus]:
    """`compare` on the runs of a report, which hold complete pairs alone.

    Args:
        table: Rows of a report's ``ablation.csv``.
        arms: The arms, the language model first.
        asking: Names of those that ask it.
        column: See `compare`.
    """
    compared, ties = _blocks(table, arms, "standing" if column == "loss" else column)
    shown, _ = _blocks(table, arms, column)
    subject, *others = arms
    ours = subject.name
    found = [paired_comparison(compared[ours], compared[arm.name], maximize=False, tolerance=ties) for arm in others]
    adjusted = holm([comparison.p_value for comparison in found]).tolist()
    return [
        Versus(arm, arm.name in asking, comparison, p, estimate(shown[ours] - shown[arm.name]))
        for arm, comparison, p in zip(others, found, adjusted, strict=True)
    ]


def conclude(ablation: Ablation, arms: Sequence[ArmSummary], versus: Sequence[Versus], corner_warning: str = "") -> Verdict:
    """Apply the rules of `RULES`.

    Args:
        ablation: Says whether a model took part and what is missing.
        arms: From `summarize`.
        versus: From `compare`.
        corner_warning: Of `optisolve.study.ablation.bounds`; a verdict in the model's favor repeats that there is one.
    """
    model = not ablation.plan.surrogate
    standings = {summary.arm.name: summary.standing for summary in arms}
    answer, sentence = judge("the language model" if model else "the stand-in", standings, versus)
    if corner_warning and answer in (Answer.NEEDED, Answer.UNTOLD):
        sentence += " The optimum sits where trivial answers look clever, so this alone does not speak for a model."
    if not model:
        sentence = (
            "No language model was called: the answers of the arm 'llm' were drawn from published statistics, so nothing is "
            f"said about a language model. For the stand-in: {sentence[0].lower()}{sentence[1:]}"
        )
    if ablation.partial:
        sentence = f"PARTIAL, {len(ablation.complete_pairs)} of {len(ablation.plan.pairs)} pairs: {sentence}"
    return Verdict(answer, sentence, model)


def judge(who: str, standings: Mapping[str, float], versus: Sequence[Versus]) -> tuple[Answer, str]:
    """Which of the `RULES` applies, and the sentence.

    Args:
        who: The subject's name.
        standings: Mean of what is compared by arm, less is better.
        versus: The subject against every other arm.
    """
    pairs = versus[0].comparison.n if versus else 0
    if pairs < MIN_PAIRS:
        return Answer.UNDECIDED, f"Undecided: complete pairs: {pairs}, at least {MIN_PAIRS} are needed."
    controls = sorted((row for row in versus if not row.asks), key=lambda row: standings[row.arm.name])
    if not controls:
        return Answer.UNDECIDED, "Undecided: no arm without a language model took part."
    needed = pairs_needed(len(versus))
    if pairs < needed:
        leader, times = controls[0].arm.label, controls[0].comparison.wins
        return Answer.UNDECIDED, (
            f"Undecided: with {pairs} pairs and {len(versus)} comparisons nothing could be significant, {needed} pairs are "
            f"needed. The control with the lowest mean loss is {leader}; {who} was ahead of it in {times} of {pairs} pairs."
        )
    for row in controls:
        if row.significant and not row.model_better:
            told = f"{row.arm.label} reached a lower loss in {_counts(row, row.comparison.losses)}"
            return Answer.NOT_NEEDED, f"{_capital(who)} was not needed: {told}."
    equal = [row for row in controls if not row.significant]
    if equal:
        beaten = ", ".join(row.arm.name for row in controls if row.significant)
        also = f"; significantly worse were: {beaten}" if beaten else ""
        told = f"{equal[0].arm.label}; it was ahead in {_counts(equal[0], equal[0].comparison.wins)}"
        return Answer.UNDECIDED, f"Undecided: {who} could not be told apart from {told}{also}."
    best = controls[0]
    closest = f"against the best control, {best.arm.label}, it reached a lower loss in {_counts(best, best.comparison.wins)}"
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


def _summary(arm: Arm, asks: bool, rows: pd.DataFrame, rank: float) -> ArmSummary:
    cost = {
        "evaluations": float((rows["evaluations"] - rows["first"]).mean()),
        "calls": float(rows["llm_calls"].mean()),
        "tokens": float(rows["tokens"].mean()),
        "usd": float(rows["usd"].mean()),
    }
    gain = float(rows["gain"].mean())
    others = [name for name in ("hypervolume", "igd_plus") if name in rows and rows[name].notna().all()]
    return ArmSummary(
        arm=arm,
        asks=asks,
        n=len(rows),
        loss=estimate(rows["loss"], within=(0.0, LOSS_CAP)),
        standing=float(rows["standing"].mean()),
        others={name: float(rows[name].mean()) for name in others},
        rank=float(rank),
        gain=gain,
        failed=int(rows["failed"].sum()),
        broke=int(rows["broke"].sum()),
        cost=cost,
        cost_per_step={name: value * GAIN_STEP / gain for name, value in cost.items()} if gain > 0 else {},
    )


def _blocks(table: pd.DataFrame, arms: Sequence[Arm], column: str = "standing") -> tuple[pd.DataFrame, pd.Series[float]]:
    """Values of a column, a row per pair and a column per arm, and up to which difference they are ties."""
    keys = ["instance", "seed"]
    wide = table.pivot_table(index=keys, columns="arm", values=column)[[arm.name for arm in arms]]
    return wide, table.groupby(keys)["quiet"].max()

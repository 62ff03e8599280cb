"""Runs that end elsewhere on another platform: whether what they reached agrees, alone or over the repetitions.

A last bit that comes out otherwise may lead a population, a model or an active set another way. What can then be compared is
what was reached. One run is *statistically* reproduced when it spent the same and its loss agrees to `SAME_LOSS`, the last
digit that a table prints, so that no rank hangs on it. Where trajectories are chaotic, the repetitions of an entry together
say something: `refuted` looks at them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from optisolve.run.schema import Record
from optisolve.study.loss import loss_of, succeeded

__all__ = ["SAME_LOSS", "Pair", "curves_apart", "pair_of", "refuted", "spent_alike", "worse_by"]

SAME_LOSS = 1e-6
"""Difference of losses up to which two runs have reached the same."""

_ALPHA = 1e-3
"""Error of each of the two tests over an entry's repetitions: no more than one honest entry in a thousand is refused by it."""

_FEWEST = 3
"""Runs here that say how far an entry's losses on a problem spread."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The losses of a published run and of the second run, which ended elsewhere.

    Attributes:
        problem: Its problem within the suite.
        told: What the record states.
        again: What the second run gave.
    """

    problem: str
    told: float
    again: float


def worse_by(told: Record, again: Record) -> float:
    """By how much what a record reached is worse than what a second run did, as a difference of its gaps; 0 without points.

    Args:
        told: The record; its scale of gaps is taken, or the size of the objective where it has none.
        again: The second run, of the same problem.
    """
    if len(told.verified.objectives) > 1:
        one, other, sign = told.scores.hypervolume, again.scores.hypervolume, -1.0
    else:
        maximized = told.verified.objectives[0].sense == "maximize"
        one, other, sign = told.scores.objective, again.scores.objective, -1.0 if maximized else 1.0
    if one is None or other is None:
        return 0.0
    return sign * (one - other) / (told.scores.gap_scale or max(abs(one), abs(other), 1e-12))


def spent_alike(told: Record, again: Record) -> bool:
    """Whether two runs counted the same, ended for the same reason, and both or neither found an answer."""
    names = {"evaluations", "llm_calls", "tokens_in", "tokens_out", "tokens_cached", "usd", "failed"}
    one, other = ((r.used.model_dump(include=names), r.termination.status, succeeded(r)) for r in (told, again))
    return one == other


def curves_apart(told: Record, again: Record) -> float:
    """The largest distance of what two runs had reached at the same number of evaluations, as a difference of gaps; infinite
    where only one of them had a feasible point.

    Args:
        told: The record; rows of tables have the end of their curve alone.
        again: The second run, with as much of its curve.
    """
    scale, apart = told.scores.gap_scale, 0.0
    other = iter(again.trace)
    now = next(other, None)
    ahead = next(other, None)
    for evaluations, _, value, _ in told.trace:
        while ahead is not None and ahead[0] <= evaluations:
            now, ahead = ahead, next(other, None)
        reached = None if now is None or now[0] > evaluations else now[2]
        if (value is None) != (reached is None):
            return math.inf
        if value is not None and reached is not None:
            apart = max(apart, abs(value - reached) / (scale or max(abs(value), abs(reached), 1e-12)))
    return apart


def pair_of(told: Record, again: Record) -> Pair | None:
    """The two losses; None where there is nothing that they could be measured to.

    Args:
        told: The record.
        again: The second run, with the reference and the gaps of the record.
    """
    losses = loss_of(told).value, loss_of(again).value
    return None if losses[0] is None or losses[1] is None else Pair(told.suite.problem, losses[0], losses[1])


def refuted(pairs: Sequence[Pair], known: Mapping[str, Sequence[float]]) -> str:
    """Why an entry's runs cannot be what they say although each may have ended elsewhere; "" where nothing says so.

    Two questions are asked. Are the stated losses better, or worse, than those of the second runs throughout? Wilcoxon's
    signed-rank test over all pairs, two-sided, at 0.001. Is one of them better than a run of this entry can be? It lies below
    the prediction interval, one-sided at 0.001 over the number of pairs, of the logarithms of the losses that the entry has on
    that problem here. Few runs make it wide; then the largest spread that the entry has on any problem bounds it, with the
    degrees of freedom of all of them.

    Args:
        pairs: The runs of one entry that ended elsewhere.
        known: Losses that were made here, by problem, those of the pairs included.
    """
    import numpy as np
    from scipy.stats import t as student

    from optisolve.study.statistics import paired_comparison

    logs = {problem: np.log(np.maximum(losses, SAME_LOSS)) for problem, losses in known.items()}
    spread = {problem: float(values.std(ddof=1)) for problem, values in logs.items() if values.size >= _FEWEST}
    freedom, alpha = sum(logs[problem].size - 1 for problem in spread), _ALPHA / max(len(pairs), 1)
    together = float(student.isf(alpha, max(freedom, 1))) * max(spread.values(), default=0.0)
    for pair in pairs:
        made = np.exp(logs.get(pair.problem, np.empty(0)))
        if made.size < _FEWEST or pair.told >= made.min():
            continue
        alone = float(student.isf(alpha, made.size - 1)) * spread[pair.problem]
        room = min(alone, together) * math.sqrt(1.0 + 1.0 / made.size)
        lowest = math.exp(float(logs[pair.problem].mean()) - room)
        if max(pair.told, SAME_LOSS) < lowest - SAME_LOSS:
            return (
                f"a loss of {pair.told:.6f} on {pair.problem}, where {made.size} runs made here reach "
                f"{made.min():.6f} to {made.max():.6f}, and another one no less than {lowest:.6f}"
            )
    if not pairs:
        return ""
    test = paired_comparison([p.told for p in pairs], [p.again for p in pairs], maximize=False, tolerance=SAME_LOSS)
    if test.p_value >= _ALPHA:
        return ""
    mean = math.fsum(p.told - p.again for p in pairs) / len(pairs)
    better = "better" if mean < 0.0 else "worse"
    return f"losses {better} by {abs(mean):.6f} in the mean than those of {len(pairs)} second runs (p = {test.p_value:.1e})"

"""Was the language model needed to find rules? The same search with something else in the model's place, in pairs.

A pair is a seed: it draws the instances of all three sets and the random programs that every arm begins with. Arms
have the same number of program evaluations; those whose name ends in ``_time`` have the time instead that the model's search
took, the model's processor time included, or waiting for it where it runs elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields

from optisolve.core.documents import Json, plain
from optisolve.core.errors import FieldProblem, OptionError
from optisolve.programs.search import ARMS, Arm
from optisolve.study.evolve import Evolution
from optisolve.study.intervals import Estimate, estimate
from optisolve.study.statistics import Comparison, holm, paired_comparison

__all__ = ["AT_EQUAL_TIME", "RULE_ARMS", "RuleAblation", "Standing", "compare_arms", "search_of"]

SUBJECT: Arm = "llm"

AT_EQUAL_TIME: Mapping[str, Arm] = {"gp_time": "gp", "random_time": "random"}
"""Arms that have the time of the model's search instead of its evaluations."""

RULE_ARMS: tuple[str, ...] = (SUBJECT, *(arm for arm in ARMS if arm != SUBJECT), *AT_EQUAL_TIME)
"""Who can take part; the language model itself comes first."""

_ALPHA = 0.05
_EXCESS = 1_000
"""Evaluations of an arm at equal time, as a multiple: never what ends it."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One arm, or one rule of people.

    Attributes:
        name: Arm, or ``hand: NAME``.
        gain: Gain on unseen instances over the first hand rule, percent, over seeds.
        shrinkage: Gain inside the loop less that, percentage points; None for rules of people.
        evaluations: Programs that were evaluated, mean; 0 for rules of people.
        seconds: Time of a search, mean.
        against: The language model against this arm, in pairs; None for the model itself.
        p_holm: The pairs' p-value, adjusted for the number of arms; None for the model itself.
    """

    name: str
    gain: Estimate
    shrinkage: float | None
    evaluations: float
    seconds: float
    against: Comparison | None = None
    p_holm: float | None = None


@dataclass(frozen=True, slots=True)
class RuleAblation:
    """What came of it.

    Attributes:
        standings: Arms in the order in which they were asked for, then the rules of people.
        searches: All searches by arm, seed by seed.
    """

    standings: Sequence[Standing]
    searches: Mapping[str, Sequence[Evolution]]

    @property
    def verdict(self) -> str:
        """One sentence."""
        sides: dict[str, list[str]] = {"is better than": [], "is worse than": [], "cannot be told from": []}
        for standing in self.standings:
            if standing.against is not None and standing.p_holm is not None:
                better = "is better than" if standing.against.rank_biserial > 0 else "is worse than"
                sides[better if standing.p_holm < _ALPHA else "cannot be told from"].append(standing.name)
        told = [f"{words} {', '.join(names)}" for words, names in sides.items() if names]
        n = len(next(iter(self.searches.values())))
        return f"On unseen instances, in {n} pairs, the language model {'; it '.join(told)} (Wilcoxon, Holm, 5 %)."

    def document(self) -> dict[str, Json]:
        """JSON-compatible."""
        return {
            "arms": [_told(standing) for standing in self.standings],
            "verdict": self.verdict,
            "searches": {arm: [found.document() for found in several] for arm, several in self.searches.items()},
        }


def _told(standing: Standing) -> dict[str, Json]:
    """JSON-compatible, which NaN is not: numbers that are not given are null."""
    gain = {name: value if math.isfinite(value) else None for name, value in asdict(standing.gain).items()}
    own = {field.name: plain(getattr(standing, field.name)) for field in fields(standing)}
    return {**own, "gain": plain(gain)}


def search_of(name: str, evaluations: int, subject_s: float | None) -> tuple[Arm, int, float | None]:
    """How an arm searches: the arm itself, its evaluations, and its seconds or None.

    Args:
        name: One of `RULE_ARMS`.
        evaluations: Of the arms at equal evaluations.
        subject_s: Time that the model's search took on the same seed, s.

    Raises:
        OptionError: An arm at equal time, and no search by the model to take the time from.
    """
    if name not in AT_EQUAL_TIME:
        return next(arm for arm in ARMS if arm == name), evaluations, None
    if subject_s is None:
        raise OptionError(
            "optisolve ablate", [FieldProblem("arms", name, f"{SUBJECT} before it, which says how much time it has")]
        )
    return AT_EQUAL_TIME[name], _EXCESS * evaluations, subject_s


def compare_arms(
    arms: Sequence[str],
    seeds: int,
    evaluations: int,
    search: Callable[[str, Arm, int, int, float | None], Evolution],
) -> RuleAblation:
    """Let every arm search with every seed.

    Args:
        arms: Names from `RULE_ARMS`; empty for all.
        seeds: Number of pairs, seeds 0, 1, ...
        evaluations: Program evaluations of a search.
        search: Makes one search from the name of the competitor, arm, seed, evaluations and seconds.

    Raises:
        OptionError: An unknown arm, or the model itself is not among them.
    """
    names = list(dict.fromkeys(arms or RULE_ARMS))
    wrong = [FieldProblem("arms", name, f"one of {', '.join(RULE_ARMS)}") for name in names if name not in RULE_ARMS]
    if not wrong and SUBJECT not in names:
        wrong = [FieldProblem("arms", ", ".join(names), f"{SUBJECT} among them: it is what the others are compared with")]
    if wrong:
        raise OptionError("optisolve ablate", wrong)
    names.sort(key=lambda name: (name != SUBJECT, name in AT_EQUAL_TIME))
    searches = dict[str, list[Evolution]]()
    for seed in range(seeds):
        for name in names:
            subject_s = searches[SUBJECT][seed].seconds if name != SUBJECT else None
            arm, most, seconds = search_of(name, evaluations, subject_s)
            searches.setdefault(name, []).append(search(name, arm, seed, most, seconds))
    return RuleAblation(_standings(searches), searches)


def _standings(searches: Mapping[str, Sequence[Evolution]]) -> list[Standing]:
    ours = [found.test_gain for found in searches[SUBJECT]]
    gains = {name: [found.test_gain for found in several] for name, several in searches.items()}
    gains |= {f"hand: {rule}": [found.hand[rule] for found in searches[SUBJECT]] for rule in searches[SUBJECT][0].hand}
    against = {name: paired_comparison(ours, theirs) for name, theirs in gains.items() if name != SUBJECT}
    adjusted = dict(zip(against, holm([found.p_value for found in against.values()]).tolist(), strict=True))
    made = list[Standing]()
    for name, values in gains.items():
        several = searches.get(name, ())
        n = max(len(several), 1)
        made.append(
            Standing(
                name,
                estimate(values),
                sum(found.shrinkage for found in several) / n if several else None,
                sum(found.evaluations for found in several) / n,
                sum(found.seconds for found in several) / n,
                against.get(name),
                adjusted.get(name),
            )
        )
    return made

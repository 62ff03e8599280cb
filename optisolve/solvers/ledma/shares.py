"""Who serves which share of the targets: operators' credit, and what the language model's budget allows.

Credit is gain per cost over the recent past. Shares follow it by probability matching with a floor (Thierens 2005,
doi 10.1145/1068009.1068251): in proportion to the credit rather than all to the best, since the operators help each other
and the best one changes during a run. As in FRRMAB (Li et al. 2014, doi 10.1109/TEVC.2013.2239648) old rewards fade,
because gains shrink by orders of magnitude as a run converges; here by a discount instead of a sliding window, and gains
are compared per unit of cost instead of by rank, since an operator may cost more than an evaluation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.budget import BudgetMeter
from optisolve.core.documents import JsonObject
from optisolve.solvers.moead.variation import Wave

__all__ = ["LLM", "MIXES", "Bandit", "Chooser", "paced", "planned_share", "random_share", "read_mix", "spread"]

DECAY = 0.95
"""Weight of everything so far when a wave is added."""
PRIOR_COST = 20.0
"""Evaluations at the average credit that every operator is believed to have made before its own are counted."""
FLOOR = 0.02
"""Smallest share of the targets, so that an operator can recover; for one with a smaller start, a fifth of its start."""
SHARPNESS = 1.0
"""Exponent of the credit: 1 is probability matching, large numbers give everything to the best."""
_SEGMENTS = 10
"""Rows of the report's history."""


class Bandit:
    """Shares of several operators by credit.

    The share of operator k is proportional to s_k (c_k / c)^a, with its start share s_k, its credit c_k, the average
    credit c and the exponent a = `SHARPNESS`; then raised to its floor. Credit is discounted gain over discounted cost,
    drawn towards the average by `PRIOR_COST`, so an operator that was hardly tried keeps its start share.

    Args:
        start: Start shares by operator, in the order of the report; they are scaled to sum to 1.
    """

    def __init__(self, start: Mapping[str, float]) -> None:
        self.names: list[str] = []
        self._start = np.empty(0)
        self._gain, self._cost = np.empty(0), np.empty(0)
        self._history: list[tuple[FloatArray, FloatArray]] = []  # per wave: cost and gain of each operator
        for name, share in start.items():
            self.join(name, share)

    def join(self, name: str, start: float) -> None:
        """Add an operator in the middle of a run, with a start share relative to those of the others."""
        self.names.append(name)
        self._start = np.append(self._start, start)
        self._gain, self._cost = np.append(self._gain, 0.0), np.append(self._cost, 0.0)

    def add(self, gain: Sequence[float] | FloatArray, cost: Sequence[float] | FloatArray) -> None:
        """Count one wave.

        Args:
            gain: float64 [k], what each operator's offspring gained.
            cost: float64 [k], what they cost, evaluations.
        """
        gained, spent = np.asarray(gain, dtype=np.float64), np.asarray(cost, dtype=np.float64)
        self._gain = DECAY * self._gain + gained
        self._cost = DECAY * self._cost + spent
        self._history.append((spent, gained))

    def forget(self) -> None:
        """Start over, since gains are measured differently from now on; the history stays."""
        self._gain[:], self._cost[:] = 0.0, 0.0

    def start(self, name: str) -> float:
        """Start share of one operator."""
        return float(self._start[self.names.index(name)])

    def share(self, name: str) -> float:
        """Share of one operator."""
        return float(self.shares[self.names.index(name)])

    @property
    def credit(self) -> FloatArray:
        """Recent gain per cost of each operator relative to the average, float64 [k]; 1 while nothing was gained."""
        total = self._gain.sum()
        if total <= 0.0:
            return np.ones(len(self.names))
        average = total / self._cost.sum()
        credit: FloatArray = (self._gain / average + PRIOR_COST) / (self._cost + PRIOR_COST)
        return credit

    @property
    def shares(self) -> FloatArray:
        """Share of the targets of each operator, float64 [k], sums to 1."""
        start = self._start / self._start.sum()
        shares = start * self.credit**SHARPNESS
        floor = np.minimum(FLOOR, start / 5.0)
        shares = np.maximum(shares / shares.sum(), floor)
        normalized: FloatArray = shares / shares.sum()
        return normalized

    def relative_share(self, name: str) -> float:
        """Share of one operator divided by its start share."""
        return self.share(name) * float(self._start.sum()) / self.start(name)

    def spent(self, name: str) -> float:
        """Undiscounted cost of one operator so far, evaluations."""
        k = self.names.index(name)
        return float(sum(cost[k] for cost, _ in self._history if cost.size > k))

    def report(self) -> JsonObject:
        """Shares of the cost and credit relative to the average over at most ten equal parts of the run."""
        n = len(self.names)
        cost = np.array([np.pad(c, (0, n - c.size)) for c, _ in self._history]).reshape(-1, n)
        gain = np.array([np.pad(g, (0, n - g.size)) for _, g in self._history]).reshape(-1, n)
        parts = np.array_split(np.arange(cost.shape[0]), min(_SEGMENTS, cost.shape[0])) if cost.shape[0] else []
        rows = [(cost[part].sum(axis=0), gain[part].sum(axis=0)) for part in parts]
        return {
            "operators": self.names,
            "until_wave": [int(part[-1]) + 1 for part in parts],
            "share": [(c / max(c.sum(), 1e-300)).round(4).tolist() for c, _ in rows],
            "credit": [_relative(g, c) for c, g in rows],
        }


def _relative(gain: FloatArray, cost: FloatArray) -> list[float | None]:
    """Gain per cost relative to the average; None for an operator that was not used."""
    if gain.sum() <= 0.0:
        return [None] * gain.size
    average = gain.sum() / cost.sum()
    return [round(float(g / c / average), 4) if c > 0.0 else None for g, c in zip(gain, cost, strict=True)]


Chooser = Callable[[Wave], IntArray]
"""Picks an operator's targets of a wave: a subset of ``wave.targets``, int64, in any order."""

LLM = "llm"
"""The language model's name in a bandit."""
MIXES = ("auto", "adaptive", "llm_only")
"""Mixes with a name; every other one is a share."""


def read_mix(value: str | float) -> str | float | None:
    """A mix by its name, or a share from ``0.3``, ``"0.3"`` or ``"fixed(0.3)"``; None when it is neither."""
    if value in MIXES:
        return value
    text = re.sub(r"^fixed\((.*)\)$", r"\1", str(value).strip())
    try:
        share = float(text)
    except ValueError:
        return None
    return share if 0.0 <= share <= 1.0 else None


def random_share(share: float, *, at_most: int | None = None) -> Chooser:
    """A chooser that gives each wave's primary operator a random share of the targets.

    Args:
        share: Share of the targets, 0 to 1; the expected number is exact, fractions are settled by chance.
        at_most: Largest number of targets per wave, or None.
    """

    def choose(wave: Wave) -> IntArray:
        wanted = share * wave.targets.size
        count = int(wanted) + int(wave.rng.random() < wanted - int(wanted))
        count = count if at_most is None else min(count, at_most)
        return np.sort(wave.rng.permutation(wave.targets)[:count])

    return choose


def planned_share(offspring: int, served: int, n_offspring: int, most: float) -> float:
    """Share of the targets that makes a number of served targets last for the whole run, at most `most`.

    With share p a wave of n targets has p n served ones and brings n (p s + 1 - p) offspring, s per served target; so c served
    targets on E offspring mean p = c / (E - c (s - 1)).

    Args:
        offspring: Evaluations that the run has after its first points, E.
        served: Targets that may be served, c.
        n_offspring: Offspring per served target, s.
        most: Largest share.
    """
    if served * n_offspring >= offspring:
        return most
    return min(most, served / (offspring - served * (n_offspring - 1)))


def spread(most: float, served: int, meter: BudgetMeter, n_offspring: int) -> Chooser:
    """As `random_share`, with the share that `planned_share` finds when the first points are evaluated.

    Args:
        most: Largest share.
        served: Targets that may be served in the whole run.
        meter: The run's meter.
        n_offspring: Offspring per served target.
    """
    choose: list[Chooser] = []

    def chosen(wave: Wave) -> IntArray:
        if not choose:
            choose.append(random_share(planned_share(meter.remaining_evaluations, served, n_offspring, most)))
        return choose[0](wave)

    return chosen


def paced(meter: BudgetMeter, n_offspring: int = 1, batch: int = 1, *, bandit: Bandit | None = None) -> Chooser:
    """A chooser that spends a language-model budget in step with the evaluations.

    After a share t of the run, about a share t of each limited resource (calls, tokens, dollars) is spent. Without any
    limit on them the model serves every target. With a bandit it serves the bandit's share of the targets, and when its
    credit is below the average the budget is released more slowly, by the ratio of its share to its start share; what is
    held back then is saved.

    Args:
        meter: The run's meter.
        n_offspring: Offspring per target; no more targets are served than their offspring can still be evaluated.
        batch: Targets per call.
        bandit: Tells the model's share of the targets; None means all that the budget pays for.
    """
    pacer = _Pacer(meter)

    def choose(wave: Wave) -> IntArray:
        n = wave.targets.size
        wanted, eagerness = n, 1.0
        if bandit is not None:
            expected = bandit.share(LLM) * n
            wanted = int(expected + wave.rng.random())
            eagerness = min(1.0, bandit.relative_share(LLM))
        room = max(1, meter.remaining_evaluations // n_offspring)
        count = min(wanted, room, batch * pacer.calls(n, eagerness))
        return np.sort(wave.rng.permutation(wave.targets)[:count])

    return choose


class _Pacer:
    """Releases the budget of calls, tokens and dollars in step with the run.

    Args:
        meter: The run's meter; what is evaluated before the first wave is no part of the run.
    """

    def __init__(self, meter: BudgetMeter) -> None:
        self._meter = meter
        self._n_first: int | None = None
        self._progress = self._released = 0.0

    def calls(self, wave_size: int, eagerness: float) -> int:
        """Calls that keep the spending in step when this wave is over.

        Args:
            wave_size: Targets of the wave.
            eagerness: Share of what falls due in this wave that is released, 0 to 1.
        """
        progress = self._progress_after(wave_size)
        self._released += eagerness * max(0.0, progress - self._progress)
        self._progress = max(progress, self._progress)
        meter, budget = self._meter, self._meter.budget
        tokens, calls = meter.tokens_in + meter.tokens_out, max(meter.llm_calls, 1)
        counts = [2**31]
        for limit, used, cost in (
            (budget.llm_calls, meter.llm_calls, 1.0),
            (budget.llm_tokens, tokens, tokens / calls),
            (budget.usd, meter.usd, meter.usd / calls),
        ):
            if limit is not None:
                left = limit * self._released - used
                # Before the first call its cost is unknown: one call will tell.
                counts.append(int(left / cost + 1e-9) if cost > 0 else int(meter.llm_calls == 0) or wave_size)
        return max(0, min(counts))

    def _progress_after(self, wave_size: int) -> float:
        """Share of the run that will be over after this wave, 0 to 1."""
        meter = self._meter
        if self._n_first is None:
            self._n_first = meter.evaluations
        limit, seconds = meter.budget.evaluations, meter.budget.seconds
        if limit is not None:
            return min(1.0, max(0.0, meter.evaluations - self._n_first + wave_size) / max(1, limit - self._n_first))
        return min(1.0, meter.elapsed_s / seconds) if seconds else 1.0

"""How many targets of a wave the language model serves: its budget in step with the run, and what its credit allows."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from optisolve.core.arrays import IntArray
from optisolve.core.budget import BudgetMeter
from optisolve.solvers.ledma.bandit import Bandit
from optisolve.solvers.moead.variation import Wave

__all__ = ["LLM", "MIXES", "Chooser", "paced", "random_share", "read_mix"]

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


def paced(meter: BudgetMeter, n_first: int, n_offspring: int = 1, batch: int = 1, *, bandit: Bandit | None = None) -> Chooser:
    """A chooser that spends a language-model budget in step with the evaluations.

    After a share t of the run, about a share t of each limited resource (calls, tokens, dollars) is spent. Without any
    limit on them the model serves every target. With a bandit it serves the bandit's share of the targets, and when its
    credit is below the average the budget is released more slowly, by the ratio of its share to its start share; what is
    held back then is saved.

    Args:
        meter: The run's meter.
        n_first: Evaluations of the first population, before the first wave.
        n_offspring: Offspring per target; no more targets are served than their offspring can still be evaluated.
        batch: Targets per call.
        bandit: Tells the model's share of the targets; None means all that the budget pays for.
    """
    pacer = _Pacer(meter, n_first)

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
        meter: The run's meter.
        n_first: Evaluations of the first population.
    """

    def __init__(self, meter: BudgetMeter, n_first: int) -> None:
        self._meter, self._n_first = meter, n_first
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
        limit, seconds = meter.budget.evaluations, meter.budget.seconds
        if limit is not None:
            return min(1.0, max(0.0, meter.evaluations - self._n_first + wave_size) / max(1, limit - self._n_first))
        return min(1.0, meter.elapsed_s / seconds) if seconds else 1.0

"""Two operators in one wave: a primary one for chosen targets, a secondary one for the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from optisolve.core.arrays import IntArray
from optisolve.core.json import JsonObject
from optisolve.solvers.moead.variation import Proposals, Variation, Wave

__all__ = ["Chooser", "Mixture", "random_share"]

Chooser = Callable[[Wave], IntArray]
"""Picks the primary operator's targets of a wave: a subset of ``wave.targets``, int64, in any order."""


class Mixture:
    """Gives some targets of every wave to one operator and the others to a second one.

    The chooser and both operators get streams of their own, spawned from the wave's stream, so what one draws never
    shifts another. Proposals are merged in owner order, the primary's first.

    Args:
        primary: Operator for the chosen targets.
        secondary: Operator for all other targets.
        chooser: Deterministic given the wave; may draw from ``wave.rng``.
    """

    def __init__(self, primary: Variation, secondary: Variation, chooser: Chooser) -> None:
        self.primary = primary
        self.secondary = secondary
        self.chooser = chooser

    def propose(self, wave: Wave) -> Proposals:
        """Offspring of both operators, ascending by owner."""
        choice_rng, primary_rng, secondary_rng = wave.rng.spawn(3)
        chosen = np.isin(wave.targets, self.chooser(replace(wave, rng=choice_rng)))
        parts = []
        for operator, mask, rng in ((self.primary, chosen, primary_rng), (self.secondary, ~chosen, secondary_rng)):
            if mask.any():
                parts.append(operator.propose(wave.part(mask, rng)))
        return parts[0] if len(parts) == 1 else _merged(parts)

    def report(self) -> JsonObject:
        """Figures of both operators."""
        return {"primary": dict(self.primary.report()), "secondary": dict(self.secondary.report())}


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


def _merged(parts: list[Proposals]) -> Proposals:
    X = np.concatenate([part.X for part in parts])
    owner = np.concatenate([part.owner for part in parts])
    source = [label for part in parts for label in part.labels]
    order = np.argsort(owner, kind="stable")
    return Proposals(X[order], owner[order], [source[i] for i in order])

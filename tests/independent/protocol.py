"""What a family's independent module offers, and how its members are found.

A module in `tests.independent.families` imports nothing of the family it is about: it is written from the card alone, in
plain loops, so that it shares no thought with kernel and twin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np

from optisolve.content import names
from optisolve.core import Instance, Problem
from optisolve.core.reference import Reference
from optisolve.registry import make_problem

__all__ = ["FAMILIES", "Family", "Scaling", "family", "own_evaluation", "scenarios"]

FAMILIES = tuple(sorted(p.stem for p in (Path(__file__).parent / "families").glob("*.py") if p.stem != "__init__"))


@dataclass(frozen=True)
class Scaling:
    """One quantity in another unit.

    Attributes:
        params: (origin.params, arrays, c) to the parameters of the instance in which the quantity is c times larger.
        x: (points [n, d], c) to the same points there.
        F: (objectives [n, m], c) to what they must be there.
        F_of: The same from (origin.params, objectives, c), where it depends on what the scenario asks for; None where not.
        ks: Decades to try.
        applies: Whether the maps hold for a scenario with such parameters; by default for all of the family.
    """

    params: Callable[[Mapping[str, Any], Mapping[str, np.ndarray], float], dict[str, Any]]
    x: Callable[[np.ndarray, float], np.ndarray]
    F: Callable[[np.ndarray, float], np.ndarray]
    ks: tuple[int, ...] = tuple(range(-12, 13))
    applies: Callable[[Mapping[str, Any]], bool] = lambda _: True
    F_of: Callable[[Mapping[str, Any], np.ndarray, float], np.ndarray] | None = None

    def expected(self, params: Mapping[str, Any], F: np.ndarray, c: float) -> np.ndarray:
        """What the objectives [n, m] must be in the other unit."""
        return self.F(F, c) if self.F_of is None else self.F_of(params, F, c)


class Family(Protocol):
    """The members of a module in `tests.independent.families`."""

    SCALINGS: Mapping[str, Scaling]

    def evaluate(
        self, params: Mapping[str, Any], arrays: Mapping[str, np.ndarray], x: Sequence[float]
    ) -> tuple[list[float], list[float], list[float]]:
        """F (own senses and units), G and H of one point."""

    def fuzz(self, rng: np.random.Generator) -> tuple[str, dict[str, Any]]:
        """A scenario and parameters that replace its own, accepted ones only, over many decades."""

    def attack(self, instance: Instance, reference: Reference, rng: np.random.Generator) -> np.ndarray:
        """Points [n, d] worth trying against the certificate."""


def family(name: str) -> Family:
    """The independent module of a family."""
    return cast("Family", import_module(f"tests.independent.families.{name}"))


def scenarios(name: str) -> tuple[str, ...]:
    """All shipped scenarios of a family."""
    return tuple(s for s in names("problems") if s == name or s.startswith(f"{name}/"))


def own_evaluation(name: str, instance: Instance, X: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """F [n, m], G [n, k] and H [n, p] of points by the independent equations."""
    params, arrays = instance.origin.params, instance.arrays()
    rows = [family(name).evaluate(params, arrays, row) for row in X.tolist()]
    n = len(rows)
    F, G, H = (np.array([row[i] for row in rows], dtype=np.float64).reshape(n, -1) for i in range(3))
    return F, G, H


def rebuilt(problem: Problem, params: Mapping[str, Any]) -> Problem:
    """A problem of the same class from other parameters."""
    return type(problem).from_mapping({**params, "scenario": problem.scenario})


def fuzzed(name: str, rng: np.random.Generator) -> Problem:
    """A problem of a family with parameters nobody tried."""
    scenario, overrides = family(name).fuzz(rng)
    return make_problem(scenario, overrides)

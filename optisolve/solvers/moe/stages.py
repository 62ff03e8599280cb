"""Stages of a chain: who proposes points, how many at a time, and what each is expected to bring."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.errors import OptisolveError
from optisolve.core.problem import Instance
from optisolve.core.solver import Solver
from optisolve.registry import SOLVERS, make_solver
from optisolve.solvers.start import population

__all__ = ["STAGES", "Role", "Stage", "find_stages", "first_samples", "slice_of", "trivial_points"]

Role: TypeAlias = Literal["trivial", "sampler", "gradient", "surrogate", "evolution"]

_ROLES: Final[Mapping[str, Role]] = {
    "null": "trivial",
    "ddpm": "sampler",
    "front_descent": "gradient",
    "parego": "surrogate",
    "moead_de": "evolution",
}
STAGES: Final = tuple(_ROLES)
"""Names of all stages, in the order in which they come first."""

_EXPECTED: Final[Mapping[Role, float]] = {
    "trivial": 0.0,
    "sampler": 0.0,
    "gradient": 0.02,
    "surrogate": 0.01,
    "evolution": 0.005,
}
"""Hypervolume that a stage is expected to gain while the number of evaluations grows by the factor e, before it has run."""
_SAMPLES, _SAMPLED = (17, 40), 0.02
"""Fewest and most samples of the first round, and their share of the budget between the two."""
SURROGATE_UNTIL: Final = 250
"""Evaluations beyond which no surrogate is asked: evolution brings as much, at a thousandth of the time."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage.

    Attributes:
        name: Name of its solver, the label of its points.
        role: What it does.
        solver: Who does it; None where points are taken as they are.
    """

    name: str
    role: Role
    solver: Solver | None = None

    @property
    def expected(self) -> float:
        """Hypervolume that it is expected to gain per factor e in evaluations, before it has run."""
        return _EXPECTED[self.role]


def find_stages(
    instance: Instance, names: Collection[str] = (), *, without: Collection[str] = ()
) -> tuple[tuple[Stage, ...], dict[str, str]]:
    """Stages that can treat an instance, in their order, and why the others cannot.

    Args:
        instance: The instance.
        names: Stages to choose from; empty means all.
        without: Names to leave out.
    """
    found: list[Stage] = []
    left: dict[str, str] = {}
    for name, role in _ROLES.items():
        if names and name not in names:
            left[name] = "not among the experts that were named"
        elif name in without:
            left[name] = "excluded by an option"
        elif isinstance(made := _stage(instance, name, role), Stage):
            found.append(made)
        else:
            left[name] = made
    return tuple(found), left


def _stage(instance: Instance, name: str, role: Role) -> Stage | str:
    """A stage, or why there is none."""
    if role == "trivial":
        return Stage(name, role)
    if role == "sampler":
        from optisolve.solvers.ddpm.start import has_sampler

        return Stage(name, role) if has_sampler(instance) else f"no trained sampler for {instance.origin.problem}"
    if name not in SOLVERS.choices():
        return "not part of this installation"
    try:
        solver = make_solver(name)
        reason = solver.skip(instance)
    except OptisolveError as error:
        return f"cannot be loaded: {error}"
    return Stage(name, role, solver) if reason is None else reason


def trivial_points(instance: Instance) -> FloatArray:
    """The instance's trivial answers, repaired, or the middle of the space where there are none, float64 [n, d], distinct."""
    space = instance.space
    given = [space.clip(np.atleast_2d(X)) for X in instance.null_policies().values()]
    points = np.concatenate(given or [space.clip(0.5 * (space.lower + space.upper)[None, :])])
    points = instance.project(points)
    return points[np.sort(np.unique(points, axis=0, return_index=True)[1])]


def first_samples(evaluations: int) -> int:
    """Samples that a budget of so many evaluations begins with."""
    return int(np.clip(round(_SAMPLED * evaluations), *_SAMPLES))


def slice_of(stage: Stage, evaluations: int, left: int) -> int:
    """Evaluations that a stage gets at a time.

    Args:
        stage: Who.
        evaluations: The whole budget.
        left: What is left of it.
    """
    wanted = {
        "gradient": max(50, evaluations // 20),
        "surrogate": 50,
        "evolution": max(2 * population(evaluations), evaluations // 10),
    }[stage.role]
    return left if left < wanted + wanted // 2 else wanted  # too little for anybody else

"""Stages of a chain: who proposes points, how many at a time, and what each is expected to bring for what is left."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.errors import OptisolveError
from optisolve.core.problem import Instance
from optisolve.core.solver import Solver
from optisolve.registry import SOLVERS, make_solver

__all__ = [
    "STAGES",
    "Account",
    "Role",
    "Stage",
    "base_of",
    "find_stages",
    "first_samples",
    "predicted_share",
    "sampler_weights",
    "share_of",
    "trivial_count",
    "trivial_points",
]

Role: TypeAlias = Literal["trivial", "sampler", "gradient", "surrogate", "evolution"]

_ROLES: Final[Mapping[str, Role]] = {
    "null": "trivial",
    "ddpm": "sampler",
    "front_descent": "gradient",
    "parego": "surrogate",
    "ledma": "evolution",
}
STAGES: Final = tuple(_ROLES)
"""Names of all stages, in the order in which they come first."""

_OPTIONS: Final[Mapping[str, Mapping[str, object]]] = {
    "front_descent": {"pop_size": 20, "init": ("uniform",)},
    "parego": {"init": ("sobol",)},
    "ledma": {"init": ("uniform",)},
}
"""Options of stages that differ from their presets: trivial answers and samples are the chain's own; a descent adds none."""
_RATES: Final[Mapping[Role, float]] = {"gradient": 0.02, "surrogate": 0.01, "evolution": 0.004}
"""What a stage is expected to gain per factor e in evaluations before it has run, as a share of the hypervolume reached."""
_TRIVIAL: Final = 25
"""One evaluation in so many may be a trivial answer; test functions have a hundred of them, all in corners of the box."""
_SAMPLES, _SAMPLED = (20, 100), 0.05
"""Fewest and most samples of the first round, and their share of the budget between the two."""
_ONLY_SAMPLES: Final = 30
"""Budget up to which there is nothing better than samples."""
SURROGATE_UNTIL: Final = 250
"""Evaluations beyond which no surrogate is asked: evolution brings as much, at a thousandth of the time."""
_BREAK_EVEN: Final = 1500
"""Evaluations that evolution takes to catch up with what is there already."""
_DESCENT: Final = 1000
"""Evaluations that a descent gets at first; it restarts with every share."""
_BASE: Final = 20
"""Evaluations that a front which a descent begins with stands for."""
EXPLORING: Final = 0.8
"""Share of what is left that evolution gets where somebody can refine what it finds."""


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
        solver = make_solver(name, _OPTIONS.get(name))
        reason = solver.skip(instance)
    except OptisolveError as error:
        return f"cannot be loaded: {error}"
    return Stage(name, role, solver) if reason is None else reason


def sampler_weights(instance: Instance, names: Collection[str] = (), without: Collection[str] = ()) -> dict[str, str] | None:
    """Name and hash of the weights that the sampler of a chain uses; None where it has none. Arguments as for `find_stages`."""
    from optisolve.solvers.ddpm.weights import weights_digest

    stages, _ = find_stages(instance, names, without=without)
    sampled = any(stage.role == "sampler" for stage in stages)
    return weights_digest("auto", instance.origin.problem) if sampled else None


def trivial_points(instance: Instance, most: int) -> FloatArray:
    """Trivial answers, repaired, or the middle of the space where there are none, float64 [n, d], distinct.

    Args:
        instance: The instance.
        most: How many; of more an evenly spread part, since policies list theirs one after the other.
    """
    space = instance.space
    given = [space.clip(np.atleast_2d(X)) for X in instance.null_policies().values()]
    points = np.concatenate(given or [space.clip(0.5 * (space.lower + space.upper)[None, :])])
    points = instance.project(points)
    points = points[np.sort(np.unique(points, axis=0, return_index=True)[1])]
    return points[np.linspace(0, len(points) - 1, most).round().astype(np.int64)] if len(points) > most else points


def trivial_count(instance: Instance, evaluations: int, *, sampled: bool) -> int:
    """Trivial answers that a budget begins with: a few samples say more, so beside those they are a small part at most."""
    few = evaluations // _TRIVIAL
    return few if sampled else max(few, min(len(instance.null_policies()) or 1, max(1, evaluations // 5)))


def first_samples(evaluations: int) -> int:
    """Samples that a budget of so many evaluations begins with."""
    return evaluations if evaluations <= _ONLY_SAMPLES else int(np.clip(round(_SAMPLED * evaluations), *_SAMPLES))


@dataclass(slots=True)
class Account:
    """What a stage has brought so far, and what is expected of it.

    Attributes:
        rate: Share of the hypervolume that it gains per factor e in evaluations; None before it has run.
        slices: How often it was asked.
        evaluations: What it has used.
        gain: Hypervolume that it has gained.
        fresh: Evaluations that it has used since there was something new for it.
        afresh: Others have explored since it ran.
        failures: Slices in a row that brought an error or no evaluation.
    """

    rate: float | None = None
    slices: int = 0
    evaluations: int = 0
    gain: float = 0.0
    fresh: int = 0
    afresh: bool = False
    failures: int = 0

    def note(self, used: int, share_gained: float, base: int) -> None:
        """Take in what a slice has brought.

        Args:
            used: Evaluations.
            share_gained: Hypervolume gained, as a share of what is there.
            base: What `base_of` said before it.
        """
        if used:
            self.rate = share_gained / math.log((base + used) / base)
        self.fresh += used
        self.afresh = False

    def begin_again(self) -> None:
        """There is something new for it: what it last gained says nothing about that."""
        if self.slices:
            self.rate, self.fresh, self.afresh, self.failures = None, 0, True, 0


def share_of(stage: Stage, account: Account, made: int, left: int, *, refined: bool) -> int:
    """Evaluations that a stage is asked for at a time, at least 1 and at most what is left; 0 where it is not worth asking.

    Args:
        stage: Who.
        account: What it has brought so far.
        made: Evaluations so far.
        left: What is left of the budget.
        refined: Somebody can refine what it finds.
    """
    if stage.role == "surrogate":
        return min(left, max(0, SURROGATE_UNTIL - made))
    if stage.role == "gradient":
        # after an exploration most of the front has no slopes yet, and its first evaluations gain nothing
        wanted = left if account.afresh else max(_DESCENT, account.fresh)
        return left if left < wanted + wanted // 2 else wanted
    return max(1, round(EXPLORING * left)) if refined else left


def predicted_share(stage: Stage, account: Account, made: int, left: int, asked: int) -> float:
    """How much hypervolume a stage is expected to bring by the end of the budget, as a share of what is there.

    A search gains by the logarithm of its evaluations, at a rate measured in this run or, before it has run, in others.
    Evolution begins again from a broad population and has to catch up first, so its worth lies in long shares alone.

    Args:
        stage: Who.
        account: What it has brought so far.
        made: Evaluations so far.
        left: What is left of the budget.
        asked: Its share.
    """
    if asked == 0:
        return 0.0
    rate = _RATES[stage.role]
    if stage.role == "evolution":
        return rate * math.log1p(asked / _BREAK_EVEN) if asked < _BREAK_EVEN else rate * math.log(2.0 * asked / _BREAK_EVEN)
    base, horizon = base_of(stage, account, made), asked if stage.role == "surrogate" else left
    return (rate if account.rate is None else account.rate) * math.log((base + horizon) / base)


def base_of(stage: Stage, account: Account, made: int) -> int:
    """Evaluations from which a stage's gain is counted: for a descent its own, since it has something new to refine."""
    return _BASE + account.fresh if stage.role == "gradient" else max(1, made)

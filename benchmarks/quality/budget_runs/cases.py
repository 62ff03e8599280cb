"""Who meets what at which budget: problems, instances, run seeds and solvers of the comparison by budgets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np

import optisolve
from optisolve.core.documents import Json, JsonObject
from optisolve.core.errors import OptisolveError, UnknownNameError
from optisolve.core.functional import problem as own_problem
from optisolve.core.problem import Instance
from optisolve.core.seeds import generator

__all__ = [
    "ENTRANTS",
    "FEW",
    "FUNCTIONS",
    "PARTS",
    "UAV",
    "Entrant",
    "Run",
    "instance_of",
    "runs",
    "settings",
    "why_not",
]

UAV = (20, 50, 100, 200, 500, 1000, 5000)
FEW = (50, 100, 200)
INSTANCES, SEEDS = range(100, 110), range(100, 105)
"""Nothing in the product was tuned on these instances nor with these run seeds; the sampler's training begins at seed 1e9."""
PRACTICE = range(20, 30), range(1, 6)
"""Instances and run seeds to tune on."""
LLM = "surrogate"
"""Offline stand-in, labelled as such; no language model is called."""


@dataclass(frozen=True, slots=True)
class Entrant:
    """A solver with settings.

    Args:
        label: In tables; the preset, and what differs from it as it is typed.
        solver: Preset.
        options: That replace the preset's.
        most: Largest budget it is measured at, evaluations.
        peer: A package of somebody else, measured on few pairs because it is slow.
        functions: Takes part on the problems without weights.
        llm: Language model of solvers that ask one.
    """

    label: str
    solver: str
    options: Mapping[str, Json] = field(default_factory=dict)
    most: int = 5000
    peer: bool = False
    functions: bool = True
    llm: str = LLM


ENTRANTS = (
    Entrant("null", "null"),
    Entrant("random_search", "random_search"),
    Entrant("nsga2", "nsga2"),
    Entrant("nsga3", "nsga3"),
    Entrant("sms_emoa", "sms_emoa"),
    Entrant("moead", "moead"),
    Entrant("moead_lo", "moead_lo"),
    Entrant("moead_de", "moead_de", {"init": ["uniform"]}),
    Entrant("moead_de init=auto", "moead_de", {"init": ["auto"]}),
    Entrant("ddpm_null", "ddpm_null", functions=False),
    Entrant("ddpm", "ddpm", functions=False),
    Entrant("front_descent init=uniform", "front_descent", {"init": ["uniform"]}, functions=False),
    Entrant("front_descent", "front_descent", functions=False),
    Entrant("parego init=uniform", "parego", {"init": ["uniform"]}, most=200, functions=False),
    Entrant("parego", "parego", {"init": ["auto"]}, most=200),
    Entrant("ledma init=uniform", "ledma", {"init": ["uniform"]}),
    Entrant("ledma llm=none", "ledma", {"init": ["auto"]}, llm="none"),
    Entrant("ledma llm=surrogate", "ledma", {"init": ["auto"]}),
    Entrant("moe", "moe"),
    Entrant("botorch", "botorch", most=200, peer=True),
    Entrant("optuna_gp", "optuna_gp", most=200, peer=True),
    Entrant("optuna_tpe", "optuna_tpe", most=200, peer=True),
)

FUNCTIONS: Mapping[str, tuple[str, JsonObject]] = {
    "re24": ("pymoo/re24", {}),
    "re33": ("pymoo/re33", {}),
    "zdt2_shifted": (
        "pymoo/zdt2_shifted",
        {"n_variables": 10, "hypervolume_reference": [1.1, 6.0], "hypervolume_ideal": [0, 0]},
    ),
    "dtlz7_shifted": (
        "pymoo/dtlz7_shifted",
        {"n_variables": 8, "hypervolume_reference": [1.0, 1.0, 20.0], "hypervolume_ideal": [0, 0, 2.6]},
    ),
    "mw7_shifted": ("pymoo/mw7_shifted", {"n_variables": 5}),
    "own relays": ("", {}),
}
"""Problems without weights: scenario and what differs from it. In the published boxes and dimensions of ZDT2, DTLZ7 and MW7
most runs of 50 evaluations have hypervolume 0, and a comparison of zeros says nothing."""

PARTS = {"uav_isac": (("uav_isac",), UAV), "functions": (tuple(FUNCTIONS), FEW)}
_DESIGNS = ("re24", "re33")
"""They have one instance; their pairs differ in the run seed alone."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the comparison."""

    problem: str
    instance: int
    seed: int
    evaluations: int
    entrant: Entrant


def runs(part: str, *, n_seeds: int, peer_pairs: int, practice: bool = False) -> Iterator[Run]:
    """The runs of a part, one seed of all instances after the other, so that a stopped measurement is a balanced one.

    Args:
        part: Key of `PARTS`.
        n_seeds: Run seeds per instance.
        peer_pairs: Pairs that slow peers get at 50 evaluations; fewer at more, so that every budget takes the same time.
        practice: On the instances and seeds that settings may be tuned on.
    """
    problems, budgets = PARTS[part]
    instances, seeds = PRACTICE if practice else (INSTANCES, SEEDS)
    for k, seed in enumerate(seeds[:n_seeds]):
        for i, number in enumerate(instances):
            pair = k * len(instances) + i
            for problem in problems:
                where = (0, seeds[0] + pair) if problem in _DESIGNS else (number, seed)
                for evaluations in budgets:
                    for entrant in ENTRANTS:
                        able = evaluations <= entrant.most and (entrant.functions or part == "uav_isac")
                        if able and (not entrant.peer or pair < max(1, peer_pairs * FEW[0] // evaluations)):
                            yield Run(problem, *where, evaluations, entrant)


@cache
def instance_of(problem: str, number: int) -> Instance:
    """An instance of a problem of the comparison."""
    if problem == "own relays":
        return own_relays(number)
    name, params = FUNCTIONS.get(problem, (problem, {}))
    return optisolve.load_problem(name, **params).instance(number)


def own_relays(number: int) -> Instance:
    """A user's own problem: three relays between a gateway and twenty users; farthest user against length of the chain, m."""
    users_m = generator(number, problem="own_relays", purpose="users").uniform(0.0, 1000.0, (20, 2))

    def far_and_long(x: np.ndarray) -> tuple[float, float]:
        relays = x.reshape(3, 2)
        far = np.linalg.norm(users_m[:, None] - relays, axis=2).min(axis=1).max()
        return float(far), float(np.linalg.norm(np.diff(relays, axis=0, prepend=0.0), axis=1).sum())

    names = [f"relay{k}.{axis}_m" for k in range(3) for axis in "xy"]
    box = ((1000.0, 2000.0), (0.0, 0.0))
    made = own_problem(
        far_and_long, 0.0, 1000.0, names=names, units="m", objectives=["farthest_m", "chain_m"], name="own_relays", box=box
    )
    return made.instance()


def why_not(problem: str, entrant: Entrant) -> str | None:
    """Why a solver takes no part on a problem here, None where it does."""
    try:
        return optisolve.load_solver(entrant.solver, **entrant.options).skip(instance_of(problem, INSTANCES[0]))
    except UnknownNameError:
        return "there is no such solver here"
    except OptisolveError as error:  # an option that it does not have, or an extra
        return " ".join(str(error).split())


@cache
def _version(problem: str) -> str:
    origin = instance_of(problem, INSTANCES[0]).origin
    return json.dumps([origin.version, origin.params], sort_keys=True, default=str)


def settings(problem: str, entrant: Entrant) -> tuple[str, str]:
    """Version of the solver, and a digest of all that a result depends on beside instance, seed and budget."""
    solver = optisolve.load_solver(entrant.solver, **entrant.options)
    told = [_version(problem), solver.info.version, solver.options(), entrant.llm if solver.info.uses_llm else ""]
    return solver.info.version, hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:8]

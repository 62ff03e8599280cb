"""Runs that figures are drawn from: small, and made once."""

from __future__ import annotations

from functools import cache

import pytest

import optisolve
from optisolve import Budget
from optisolve.core import Effort

SOLVERS = ("moead_de", "nsga2", "random_search")


@cache
def case(name):
    """Instance and reference."""
    problem = optisolve.load_problem(name)
    instance = problem.instance(0)
    return instance, problem.reference(instance, Effort.QUICK)


def solved(name, solver, *, seed=0, evaluations=60):
    instance, reference = case(name)
    budget = Budget(evaluations=evaluations, llm_calls=4)
    return optisolve.solve(instance, solver, budget=budget, seed=seed, llm="surrogate", reference=reference)


@pytest.fixture(scope="session")
def uav():
    """Three solvers, three seeds."""
    return [solved("uav_isac", solver, seed=seed) for solver in SOLVERS for seed in range(3)]


@pytest.fixture(scope="session")
def records(uav, tmp_path_factory):
    """The same as records in a folder."""
    folder = tmp_path_factory.mktemp("records")
    for result in uav:
        result.save(folder)
    return folder


@pytest.fixture(scope="session")
def three_objectives():
    return solved("pymoo/dtlz2", "random_search")


@pytest.fixture(scope="session")
def one_point():
    return solved("parallel_channels", "water_filling")


@pytest.fixture(scope="session")
def flat():
    return solved("power_control", "wmmse")

"""The conformance kit on every scenario of every family; ``pytest -m FAMILY`` takes those of one."""

import pytest

from optisolve.registry import PROBLEMS, make_problem
from optisolve.testing import check_problem

LARGE = {"offloading/multi_server_large"}
"""Scenarios whose reference takes its time."""

WITHOUT_POLICIES = "null policies can be evaluated"


def _case(scenario):
    family = getattr(pytest.mark, scenario.partition("/")[0])
    return pytest.param(scenario, marks=[family, pytest.mark.slow] if scenario in LARGE else [family])


@pytest.mark.parametrize("scenario", [_case(name) for name in PROBLEMS.choices()])
def test_every_scenario_conforms(scenario):
    """A test function with constraints has no null policies; everything else must be there."""
    problem = make_problem(scenario)
    lacking = {WITHOUT_POLICIES} if scenario.startswith("pymoo/") and problem.instance(0).constraint_names else set()
    results = check_problem(problem)
    assert {result.name for result in results if result.outcome != "passed"} == lacking, results

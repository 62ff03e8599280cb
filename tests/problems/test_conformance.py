"""The conformance kit on every scenario of every family; ``pytest -m FAMILY`` takes those of one."""

import pytest

from optisolve.core.capabilities import offers
from optisolve.registry import make_problem
from optisolve.testing import check_problem
from tests.scenarios import untraced

WIRED = ("nobel_eu", "france", "janos_us", "norway", "india35", "cost266", "germany50", "gabriel_25", "gabriel_100")
LARGE = {
    "offloading/multi_server_large",
    "radio_planning/urban_macro",
    "traffic_engineering/robust",
    "traffic_engineering/segments_large",
    *(f"traffic_engineering/{name}" for name in WIRED),
}
"""Scenarios whose reference takes its time, or whose readable equations do."""

WITHOUT_TWIN = "kernel agrees with the numpy twin"
WITHOUT_CAPABILITIES = "capabilities mean what they say"
WITHOUT_POLICIES = "null policies can be evaluated"


def _case(scenario):
    family = getattr(pytest.mark, scenario.partition("/")[0])
    return pytest.param(scenario, marks=[family, pytest.mark.slow] if scenario in LARGE else [family])


@pytest.mark.parametrize("scenario", [_case(name) for name in untraced()])
def test_every_scenario_conforms(scenario):
    """Only what a problem lacks may be skipped: a second evaluation, capabilities, policies."""
    problem = make_problem(scenario)
    instance = problem.instance(0)
    lacking = set() if instance.has_twin else {WITHOUT_TWIN}
    lacking |= set() if offers(instance) else {WITHOUT_CAPABILITIES}
    lacking |= {WITHOUT_POLICIES} if scenario.startswith("pymoo/") and instance.constraint_names else set()
    results = check_problem(problem)
    assert {result.name for result in results if result.outcome != "passed"} == lacking, results

"""Units decide nothing: other units of power or rate change no status, no evidence and no relative gap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

import optisolve
from optisolve.core import Budget, Effort, Instance
from optisolve.core.reference import Reference
from optisolve.registry import SOLVERS, make_problem, make_solver
from tests.independent.protocol import FAMILIES, Scaling, family, own_evaluation, rebuilt, scenarios
from tests.independent.test_evaluators import points

CASES = [(name, quantity) for name in FAMILIES for quantity in family(name).SCALINGS]
FEW = (-12, -5, 3, 12)
ABOVE_ROUNDING = 1e-6

QUICK = ("branch_and_bound", "cpsat", "cvxpy", "foschini_miljanic", "highs", "hungarian", "null", "water_filling", "wmmse")
SLOWER = (
    "cma_es",
    "ddpm",
    "game_control",
    "moead",
    "moead_de",
    "moead_lo",
    "moe",
    "nsga2",
    "random_search",
    "scipy_local",
    "sms_emoa",
)


@dataclass(frozen=True)
class Statement:
    """Everything that is said about an instance and must not depend on units."""

    evidence: str
    statuses: dict[str, tuple[str, str, str]]
    gaps: dict[str, float]


def statement(instance: Instance, reference: Reference | None, solvers: tuple[str, ...]) -> Statement:
    statuses, gaps = {}, {}
    for name in solvers:
        solver = make_solver(name)
        if solver.skip(instance) is not None:
            statuses[name] = ("skipped", "", "")
            continue
        result = optisolve.solve(instance, solver, budget=Budget(evaluations=300), reference=reference)
        statuses[name] = (
            result.termination.value,
            result.point_status.value,
            str(result.record["reference"] and result.record["reference"]["evidence"]),
        )
        gap = result.scores["gap"] if result.scores["gap"] is not None else result.scores["bound_gap"]
        gaps[name] = float("nan") if gap is None else gap
    return Statement("none" if reference is None else reference.evidence.value, statuses, gaps)


def check(scenario: str, scaling: Scaling, name: str, ks: tuple[int, ...], solvers: tuple[str, ...], seed: int = 0) -> None:
    problem = make_problem(scenario)
    instance = problem.instance(seed)
    reference = problem.reference(instance, Effort.QUICK)
    before = statement(instance, reference, solvers)
    X = points(instance, np.random.default_rng(0), 20)
    F = instance.evaluate_twin(X).F
    for k in ks:
        other = rebuilt(problem, scaling.params(instance.origin.params, instance.arrays(), k))
        case = other.instance(seed)
        moved = case.space.clip(scaling.x(X, k))
        wanted = scaling.expected(instance.origin.params, F, k)
        np.testing.assert_allclose(case.evaluate_twin(moved).F, wanted, rtol=1e-9, err_msg=f"{scenario} 10^{k}: twin")
        np.testing.assert_allclose(own_evaluation(name, case, moved)[0], wanted, rtol=1e-9, err_msg=f"{scenario} 10^{k}")
        proof = other.reference(case, Effort.QUICK)
        after = statement(case, proof, solvers)
        assert after.evidence == before.evidence, f"{scenario} 10^{k}: {before.evidence} became {after.evidence}: {proof}"
        assert after.statuses == before.statuses, f"{scenario} 10^{k}"
        for solver, gap in before.gaps.items():
            allowed = ABOVE_ROUNDING + tie(instance, reference)
            same = np.isclose(after.gaps[solver], gap, rtol=ABOVE_ROUNDING, atol=allowed, equal_nan=True)
            assert same, f"{scenario} 10^{k} {solver}: gap {gap!r} became {after.gaps[solver]!r}"


def tie(instance: Instance, reference: Reference | None) -> float:
    """The part of a gap that the reference cannot tell from zero."""
    if reference is None or (reference.value is None and reference.dual_bound is None):
        return 0.0
    target = reference.value if reference.value is not None else reference.dual_bound
    assert target is not None
    return reference.tie / instance.objectives[0].gap_scale(target)


@pytest.mark.parametrize(("name", "quantity"), CASES)
def test_units_change_no_statement(name: str, quantity: str) -> None:
    scaling = family(name).SCALINGS[quantity]
    check(_applicable(name, scaling)[0], scaling, name, tuple(k for k in FEW if k in scaling.ks), QUICK)


def _applicable(name: str, scaling: Scaling) -> list[str]:
    return [s for s in scenarios(name) if scaling.applies(make_problem(s).origin(0).params)]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "quantity"), CASES)
def test_units_change_no_statement_of_any_scenario_and_solver(name: str, quantity: str) -> None:
    scaling = family(name).SCALINGS[quantity]
    known = tuple(s for s in (*QUICK, *SLOWER) if s in SOLVERS.choices())
    chosen = _applicable(name, scaling)
    for scenario in chosen:
        check(scenario, scaling, name, scaling.ks if scenario == chosen[0] else FEW, known)

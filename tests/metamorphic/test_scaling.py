"""Units decide nothing: other units of power or rate change no status, no evidence and no relative gap."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest

import optisolve
from optisolve.core import Budget, Effort, Instance
from optisolve.core.reference import Reference
from optisolve.registry import make_problem, make_solver
from tests.independent.protocol import FAMILIES, Scaling, family, own_evaluation, rebuilt, scenarios
from tests.independent.test_evaluators import points

CASES = [(name, quantity) for name in FAMILIES for quantity in family(name).SCALINGS]
FEW = (-12, -5, 3, 12)
ABOVE_ROUNDING = 1e-6

EXACT = (
    "branch_and_bound",
    "cpsat",
    "cvxpy",
    "dual_decomposition",
    "equimarginal",
    "foschini_miljanic",
    "highs",
    "hungarian",
    "matrix_inversion",
    "null",
    "perron",
    "threshold_flow",
    "uplink_duality",
    "water_filling",
    "wmmse",
    "wmmse_precoding",
)
HEURISTIC = (
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

READS_MAGNITUDES = ("moe",)
"""The learned gate was trained on magnitudes of data: in other units it may choose other experts, and other gaps follow."""


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
            str(result.record.reference and result.record.reference.evidence),
        )
        known = [score for key in ("gap", "bound_gap", "hypervolume") if (score := result.scores[key]) is not None]
        gaps[name] = known[0] if known else float("nan")
    return Statement("none" if reference is None else reference.evidence.value, statuses, gaps)


def check(scenario: str, scaling: Scaling, name: str, factors: tuple[float, ...], solvers: tuple[str, ...]) -> None:
    """Solve a scenario as it is and in other units, and compare all that is said.

    What an exact method says beside a proven optimum must agree to `ABOVE_ROUNDING`. A heuristic, and a search that its limit
    ended, amplify the last bit of an evaluation: their gaps are compared where other units change no bit, as powers of two do
    unless decibels stand between them.
    """
    problem = make_problem(scenario)
    instance = problem.instance(0)
    reference = problem.reference(instance, Effort.QUICK)
    before = statement(instance, reference, solvers)
    X = points(instance, np.random.default_rng(0), 20)
    told = instance.evaluate_twin(X)
    for c in factors:
        where = f"{scenario} times {c:.3g}"
        other = rebuilt(problem, scaling.params(instance.origin.params, instance.arrays(), c))
        case = other.instance(0)
        moved = case.space.clip(scaling.x(X, c))
        wanted, now = scaling.expected(instance.origin.params, told.F, c), case.evaluate_twin(moved)
        np.testing.assert_allclose(now.F, wanted, rtol=1e-9, err_msg=f"{where}: twin")
        np.testing.assert_allclose(own_evaluation(name, case, moved)[0], wanted, rtol=1e-9, err_msg=where)
        proof = other.reference(case, Effort.QUICK)
        after = statement(case, proof, solvers)
        assert after.evidence == before.evidence, f"{where}: {before.evidence} became {after.evidence}: {proof}"
        assert after.statuses == before.statuses, where
        no_bit_changed = np.array_equal(now.F, wanted) and np.array_equal(now.G, told.G)
        no_bit_changed &= np.array_equal(np.frexp(moved)[0], np.frexp(X)[0])  # a shift of logarithms moves the point
        for solver, gap in before.gaps.items():
            exact = solver in EXACT and before.evidence == "proven_optimal"
            if exact or (no_bit_changed and solver not in READS_MAGNITUDES):
                allowed = ABOVE_ROUNDING + tie(instance, reference)
                same = np.isclose(after.gaps[solver], gap, rtol=ABOVE_ROUNDING, atol=allowed, equal_nan=True)
                assert same, f"{where} {solver}: gap {gap!r} became {after.gaps[solver]!r}"


def tie(instance: Instance, reference: Reference | None) -> float:
    """The part of a gap that the reference cannot tell from zero."""
    if reference is None or (reference.value is None and reference.dual_bound is None):
        return 0.0
    target = reference.value if reference.value is not None else reference.dual_bound
    assert target is not None
    return reference.tie / instance.objectives[0].gap_scale(target)


def _applicable(name: str, scaling: Scaling) -> list[str]:
    return [s for s in scenarios(name) if scaling.applies(make_problem(s).origin(0).params)]


def _decades(scaling: Scaling, ks: tuple[int, ...], base: float = 10.0) -> tuple[float, ...]:
    """Powers of a base next to powers of ten."""
    return tuple(base ** round(k * math.log(10.0, base)) for k in ks if k in scaling.ks and k)


@pytest.mark.parametrize(("name", "quantity"), CASES)
def test_units_change_no_statement(name: str, quantity: str) -> None:
    scaling = family(name).SCALINGS[quantity]
    check(_applicable(name, scaling)[0], scaling, name, _decades(scaling, FEW), EXACT)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "quantity"), CASES)
def test_units_change_no_statement_of_any_scenario_and_method(name: str, quantity: str) -> None:
    scaling = family(name).SCALINGS[quantity]
    chosen = _applicable(name, scaling)
    for scenario in chosen:
        check(scenario, scaling, name, _decades(scaling, scaling.ks if scenario == chosen[0] else FEW), EXACT)


@pytest.mark.slow
@pytest.mark.parametrize("solver", HEURISTIC)
@pytest.mark.parametrize(("name", "quantity"), CASES)
def test_units_change_no_statement_of_a_heuristic(name: str, quantity: str, solver: str) -> None:
    scaling = family(name).SCALINGS[quantity]
    check(_applicable(name, scaling)[0], scaling, name, _decades(scaling, FEW, base=4.0), (solver,))

"""Promises that every solver keeps: seeds, budgets, bounds, integers, constraints."""

from __future__ import annotations

import json
import subprocess
import sys

import numba
import numpy as np
import pytest

from optisolve import content
from optisolve.core import Budget, Solver, Space, Variable
from optisolve.core.errors import OptionError
from optisolve.solvers.moead import Moead, MoeadDe, MoeadLo
from optisolve.solvers.null import Null
from optisolve.solvers.pymoo_adapter import CmaEs, Nsga2, Nsga3, SmsEmoa
from optisolve.solvers.random_search import RandomSearch
from tests.solvers.toys import MIN, ZDT1_HYPERVOLUME, Constr, Dtlz2, Knights, Objective, Sphere, Toy, Zdt1, solve

FAMILY = [Moead(pop_size=20), MoeadDe(pop_size=20), MoeadLo(pop_size=20)]
SEVERAL = [*FAMILY, Nsga2(pop_size=20), Nsga3(pop_size=20), SmsEmoa(pop_size=20), RandomSearch(batch_size=16)]
SINGLE = [*FAMILY, Nsga2(pop_size=20), CmaEs(), RandomSearch(batch_size=16)]


def name(solver: Solver) -> str:
    return solver.info.name


every = pytest.mark.parametrize("solver", SEVERAL, ids=name)
single = pytest.mark.parametrize("solver", SINGLE, ids=name)


@every
@pytest.mark.parametrize("problem", [Zdt1(dim=5), Constr(), Knights(), Dtlz2()], ids=lambda p: p.name)
def test_the_same_seed_gives_the_same_points_and_another_seed_does_not(solver: Solver, problem: object) -> None:
    instance = problem.instance()  # type: ignore[attr-defined]
    first, again, other = (solve(instance, solver, 157, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.points, again.points)
    np.testing.assert_array_equal(first.outcome.X, again.outcome.X)
    assert first.outcome.report == again.outcome.report
    assert not np.array_equal(first.points, other.points)


@single
def test_the_same_seed_gives_the_same_points_for_one_objective(solver: Solver) -> None:
    for instance in (Sphere().instance(), Sphere(constrained=True).instance()):
        first, again = (solve(instance, solver, 333, seed=3) for _ in range(2))
        np.testing.assert_array_equal(first.points, again.points)


@pytest.mark.parametrize("solver", [*FAMILY, MoeadDe(pop_size=20, scalarization="pbi")], ids=name)
def test_the_number_of_threads_does_not_matter(solver: Solver) -> None:
    before = numba.get_num_threads()
    points = []
    try:
        for threads in (1, before):
            numba.set_num_threads(threads)
            points.append(solve(Dtlz2().instance(), solver, 300).points)
    finally:
        numba.set_num_threads(before)
    np.testing.assert_array_equal(*points)


@every
@pytest.mark.parametrize("evaluations", [1, 2, 7, 19, 20, 21, 39, 41, 63])
def test_the_budget_is_met_exactly_and_all_points_are_in_bounds(solver: Solver, evaluations: int) -> None:
    result = solve(Knights().instance(), solver, evaluations)
    space = result.evaluator.instance.space
    assert len(result.points) == evaluations
    assert (result.points >= space.lower).all()
    assert (result.points <= space.upper).all()
    np.testing.assert_array_equal(result.points[:, :3], np.rint(result.points[:, :3]))
    assert result.outcome.X.shape[0] >= 1


@every
def test_returned_points_satisfy_the_constraints_and_do_not_dominate_each_other(solver: Solver) -> None:
    result = solve(Constr().instance(), solver, 400)
    evaluation = result.evaluator.instance.evaluate(result.outcome.X)
    assert evaluation.max_violation.max() <= 1e-8
    F = evaluation.F
    dominates = (F[:, None] <= F[None]).all(axis=2) & (F[:, None] < F[None]).any(axis=2)
    assert not dominates.any()


@pytest.mark.parametrize("solver", [Moead(), MoeadDe(), MoeadLo(), Nsga2(), SmsEmoa(pop_size=40)], ids=name)
def test_constr_is_solved_better_than_by_sampling(solver: Solver) -> None:
    """The exact front is f2 = (7 - 9x)/x for x in [0.39, 2/3], then 1/x; hypervolume by quadrature."""
    x = np.linspace(7.0 / 18.0, 1.0, 200_001)
    y = np.where(x < 2.0 / 3.0, (7.0 - 9.0 * x) / x, 1.0 / x)
    exact = float(np.trapezoid(10.0 - y, x) + 0.1 * (10.0 - 1.0))
    share = solve(Constr().instance(), solver, 3000).hypervolume() / exact
    assert solve(Constr().instance(), RandomSearch(), 3000).hypervolume() / exact < share <= 1.0
    assert share > 0.94


@pytest.mark.parametrize(("solver", "share"), [(Moead(), 0.97), (Nsga2(), 0.97)], ids=lambda v: str(getattr(v, "info", v))[:30])
def test_zdt1_converges_to_its_known_hypervolume(solver: Solver, share: float) -> None:
    hypervolume = solve(Zdt1().instance(), solver, 20_000).hypervolume()
    assert share * ZDT1_HYPERVOLUME < hypervolume <= ZDT1_HYPERVOLUME


@pytest.mark.parametrize("solver", [Moead(), MoeadDe()], ids=name)
def test_a_maximized_objective_is_the_mirror_image_of_a_minimized_one(solver: Solver) -> None:
    plain, mirrored = (solve(Zdt1(dim=6, maximize=flag).instance(), solver, 2000) for flag in (False, True))
    np.testing.assert_array_equal(plain.points, mirrored.points)
    np.testing.assert_array_equal(plain.outcome.X, mirrored.outcome.X)


@pytest.mark.parametrize(("solver", "tolerance"), [(Moead(), 1e-3), (MoeadDe(), 1e-6), (CmaEs(), 1e-9), (Nsga2(), 1e-2)])
def test_the_sphere_is_solved(solver: Solver, tolerance: float) -> None:
    result = solve(Sphere().instance(), solver, 5000)
    assert result.outcome.X.shape[0] == 1
    assert result.F[0, 0] < tolerance


@pytest.mark.parametrize(("solver", "tolerance"), [(MoeadDe(), 5e-3), (CmaEs(), 1e-5)])
def test_an_active_constraint_of_one_objective_is_met(solver: Solver, tolerance: float) -> None:
    """Nearest point to 0.3 with a sum of at least d/2: all variables 0.5, distance 5 * 0.2^2 = 0.2."""
    result = solve(Sphere(constrained=True).instance(), solver, 5000)
    assert 0.2 - 1e-7 <= result.F[0, 0] < 0.2 + tolerance


def test_nothing_feasible_returns_the_least_violating_point() -> None:
    for solver in SEVERAL:
        result = solve(_hopeless(), solver, 100)
        violation = result.evaluator.history.violation
        assert result.evaluator.instance.evaluate(result.outcome.X).violation == pytest.approx([violation.min()])


def test_nsga3_is_reproducible_where_pymoo_breaks_ties_without_its_seed() -> None:
    """pymoo#794: equal violations are decided by an unseeded generator; the instance has one violation everywhere."""
    instance = _hopeless(equal=True)
    first, again = (solve(instance, Nsga3(pop_size=20), 200, seed=5) for _ in range(2))
    np.testing.assert_array_equal(first.points, again.points)


@pytest.mark.parametrize("solver", [Nsga3(pop_size=20), CmaEs()], ids=name)
def test_pymoo_leaves_the_global_random_state_alone(solver: Solver) -> None:
    instance = _hopeless() if isinstance(solver, Nsga3) else Sphere().instance()
    np.random.seed(7)
    expected = np.random.random(3)
    np.random.seed(7)
    solve(instance, solver, 100)
    np.testing.assert_array_equal(np.random.random(3), expected)
    assert not np.array_equal(np.random.default_rng().random(4), np.random.default_rng().random(4))


def test_cma_es_restarts_until_the_budget_is_spent() -> None:
    result = solve(Sphere(dim=2).instance(), CmaEs(), 4000)
    assert len(result.points) == 4000


def test_a_warm_start_is_part_of_pymoos_first_generation() -> None:
    warm = np.full((2, 5), 0.25)
    result = solve(Zdt1(dim=5).instance(), Nsga2(pop_size=20), 60, warm_start=warm)
    np.testing.assert_array_equal(result.points[:2], warm)


def test_null_evaluates_the_trivial_answers_only() -> None:
    result = solve(Zdt1(dim=5).instance(), Null(), 100)
    assert len(result.points) == 3
    assert result.evaluator.history.sources == ["null:corner", "null:center"]
    assert Null().skip(Sphere().instance()) == "sphere offers no null policies"
    assert len(solve(Zdt1(dim=5).instance(), Null(), 2).points) == 2


def test_random_search_does_not_depend_on_its_batch_size() -> None:
    for instance in (Knights().instance(), Zdt1().instance()):
        left, right = (solve(instance, RandomSearch(batch_size=size), 100).points for size in (7, 100))
        np.testing.assert_array_equal(left, right)


def test_solvers_say_what_they_cannot_treat() -> None:
    assert "several objectives" in str(CmaEs().skip(Constr().instance()))
    assert "one objective" in str(Nsga3().skip(Sphere().instance()))
    assert Moead().skip(Knights().instance()) is None


def test_bad_options_are_all_listed_at_once() -> None:
    with pytest.raises(OptionError) as caught:
        Moead(pop_size=1, delta=1.5, scalarization="sum")  # type: ignore[arg-type]
    assert {problem.field for problem in caught.value.problems} == {"pop_size", "delta", "scalarization"}
    with pytest.raises(OptionError, match="did you mean 'n_neighbors'"):
        Moead.from_mapping({"n_neighbours": 5})


PRESETS = [Moead, MoeadDe, MoeadLo, Nsga2, Nsga3, SmsEmoa, CmaEs, RandomSearch, Null]


@pytest.mark.parametrize("cls", PRESETS, ids=lambda c: c.info.name)
def test_a_preset_names_every_option_with_its_default(cls: type[Solver]) -> None:
    values = content.load_yaml("solvers", cls.info.name)
    assert values.pop("name") == cls.info.name
    assert set(values) == set(cls().options())
    assert cls.from_mapping(values) == cls()


def test_importing_the_engine_loads_no_heavy_library() -> None:
    code = (
        "import sys, json, optisolve.solvers.moead, optisolve.solvers.pymoo_adapter\n"
        "print(json.dumps([m for m in ('numba', 'pymoo', 'moocore', 'cma', 'scipy') if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_a_clock_budget_needs_no_evaluation_limit() -> None:
    for solver in (RandomSearch(), Nsga2(pop_size=20)):
        assert len(solve(Zdt1().instance(), solver, budget=Budget(seconds=0.1)).points) > 0


def _hopeless(equal: bool = False) -> Toy:
    """Two objectives and a constraint that nothing satisfies."""

    def formula(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        violation = np.ones((X.shape[0], 1)) if equal else 1.0 + X[:, :1]
        return np.column_stack([X[:, 0], 1.0 - X[:, 1]]), violation

    toy = Constr().instance()
    return Toy(
        formula,
        origin=toy.origin,
        space=Space.of([Variable(f"x{i}", 0.0, 1.0) for i in range(3)]),
        objectives=(Objective("a", MIN), Objective("b", MIN)),
        constraint_names=("never",),
        hypervolume_box=toy.hypervolume_box,
    )

"""Problems made of functions: they are problems like all others, known by what their functions say."""

from __future__ import annotations

import copy
import gc
import pickle

import numpy as np
import pytest

import optisolve
from optisolve.core import Budget, Objective, Sense, Termination
from optisolve.core.errors import OptionError, OptisolveError, ProblemError, RegistryError
from optisolve.solvers.random_search import RandomSearch
from optisolve.testing import check_problem

USERS_M = np.random.default_rng(3).uniform(0.0, 1000.0, (6, 2))
GAIN = np.array([1.0, 3.0, 0.5])
BUDGET = optisolve.Budget(evaluations=600)


def distance(x):
    """Distance of the farthest of six users from a relay at x, m."""
    return np.linalg.norm(USERS_M - x, axis=1).max()


def distances(X):
    return np.linalg.norm(USERS_M - X[:, None], axis=2).max(axis=1)


def relay(**changes):
    return optisolve.problem(distance, 0, 1000, **{"names": ["x_m", "y_m"], "units": "m", "name": "relay", **changes})


CASES = {
    "continuous": relay(),
    "maximized": optisolve.problem(lambda p: np.log2(1 + GAIN * p).sum(), [0, 0, 0], 2, sense="max", name="rate"),
    "integer": optisolve.problem(lambda x: abs(x[0] - 3.2) + x[1] ** 2, [0, -1], [9, 1], integer=[0], name="whole"),
    "inequality": optisolve.problem(
        lambda p: np.log2(1 + GAIN * p).sum(),
        [0, 0, 0],
        2,
        sense="max",
        ineq={"power": lambda p: p.sum() / 2 - 1},
        name="capped",
    ),
    "equality": optisolve.problem(
        lambda p: np.log2(1 + GAIN * p).sum(), [0] * 3, 2, sense="max", eq=lambda p: p.sum() / 2 - 1, name="spent"
    ),
    "several constraints": optisolve.problem(
        lambda x: x.sum(), [0, 0], 1, ineq=[lambda x: [0.2 - x[0], 0.3 - x[1]]], eq=[lambda x: x[0] - x[1]], name="corner"
    ),
    "two objectives": optisolve.problem(
        lambda x: (x[0], 1 - np.sqrt(x[0]) + x[1]), [0, 0], 1, sense=["min", "min"], box=((1.1, 1.1), (0, 0)), name="front"
    ),
    "two objectives without a box": optisolve.problem(
        lambda x: (x[0], 1 - np.sqrt(x[0]) + x[1]), [0, 0], 1, sense=["min", "min"], name="front"
    ),
    "with answers": relay(name="answered", null_policies={"center": [500, 500]}, project=lambda x: np.clip(x, 100, 900)),
}


@pytest.mark.parametrize("problem", CASES.values(), ids=CASES)
def test_the_whole_conformance_kit_passes(problem):
    assert [result for result in check_problem(problem) if result.outcome == "failed"] == []


@pytest.mark.parametrize("problem", CASES.values(), ids=CASES)
def test_general_solvers_solve_it_and_its_record_verifies_where_its_functions_are_known(problem, tmp_path):
    result = optisolve.solve(problem, "moead_de", budget=BUDGET)
    again = optisolve.solve(problem, "moead_de", budget=BUDGET)
    assert result.result_hash == again.result_hash
    assert result.record.provenance.tier == "self_reported"
    audit = optisolve.verify(result.save(tmp_path))
    assert audit, audit


def test_what_it_solves_is_what_was_meant():
    best = optisolve.solve(CASES["inequality"], "moead_de", budget=optisolve.Budget(evaluations=4000))
    level = (2 + (1 / GAIN[:2]).sum()) / 2  # water-filling by hand: the third channel is too weak
    assert best.scores["objective"] == pytest.approx(np.log2(level * GAIN[:2]).sum(), rel=1e-3)
    assert optisolve.solve(CASES["integer"], "nsga2", budget=BUDGET).X[0, 0] == 3.0


def test_equalities_are_repaired_without_a_word():
    spent = optisolve.solve(CASES["equality"], "moead_de", budget=optisolve.Budget(evaluations=4000))
    level = (2 + (1 / GAIN[:2]).sum()) / 2
    assert spent.point_status == "feasible"
    assert spent.scores["objective"] == pytest.approx(np.log2(level * GAIN[:2]).sum(), rel=1e-3)
    assert spent.X.sum() == pytest.approx(2.0, abs=1e-7)


def test_the_tolerance_is_the_problem_s_and_names_its_constraint():
    def loose(tolerance):
        cap = {"cap": lambda x: x.sum() - 1}
        return optisolve.problem(lambda x: x.sum(), [0, 0], 1, sense="max", ineq=cap, tolerance=tolerance, name="loose")

    assert loose({"cap": 0.1}).instance().tolerance.tolist() == [0.1]
    assert loose(0.1).instance().sha256 != loose(1e-8).instance().sha256
    with pytest.raises(ProblemError, match=r"tolerance names \['cup'\]; the constraints are \['cap'\]"):
        loose({"cup": 0.1})


def test_names_senses_and_units_are_those_that_were_given():
    instance = optisolve.problem(
        lambda x: (x[0], x[1]),
        [0, 1],
        [5, 2],
        names=["n", "p"],
        units=["users", "W"],
        integer=[True, False],
        objectives=["cost", Objective("rate", Sense.MAXIMIZE, "bit/s", "sum of rates")],
        ineq={"power": lambda x: x[1] - 1.5, "users": lambda x: [x[0] - 4, -x[0]]},
        eq=[distance_to_origin],
        box=((6, 0), (0, 3)),
        name="named",
    ).instance()
    assert (instance.space.names, instance.space.units) == (("n", "p"), ("users", "W"))
    assert instance.space.integer.tolist() == [True, False]
    assert [(o.name, o.sense) for o in instance.objectives] == [("cost", "minimize"), ("rate", "maximize")]
    assert instance.constraint_names == ("power", "users0", "users1")
    assert instance.equality_names == ("distance_to_origin",)


def distance_to_origin(x):
    return np.hypot(*x) - 1.0


# -- identity ----------------------------------------------------------------------------------------------------------


def test_one_point_at_a_time_and_many_at_once_are_one_problem():
    alone = relay()
    together = optisolve.problem(distances, 0, 1000, names=["x_m", "y_m"], units="m", name="relay", vectorized=True)
    assert together.instance().sha256 == alone.instance().sha256
    first, second = (optisolve.solve(problem, "moead_de", budget=BUDGET).result_hash for problem in (alone, together))
    assert first == second


@pytest.mark.parametrize(
    "other",
    [
        lambda: relay(sense="max"),
        lambda: relay(units="km"),
        lambda: relay(ineq=lambda x: x[0] - 500),
        lambda: relay(project=lambda x: x / 2),
        lambda: relay(null_policies={"center": [500, 500]}),
        lambda: optisolve.problem(distance, 0, 999, names=["x_m", "y_m"], units="m", name="relay"),
        lambda: optisolve.problem(lambda x: distance(x) + 1e-3, 0, 1000, names=["x_m", "y_m"], units="m", name="relay"),
    ],
    ids=["sense", "unit", "constraint", "projection", "policies", "bounds", "values"],
)
def test_what_is_another_question_or_has_other_values_is_another_problem(other):
    assert other().instance().sha256 != relay().instance().sha256


def test_data_in_a_closure_are_part_of_the_identity():
    def near(users):
        return optisolve.problem(lambda x: np.linalg.norm(users - x, axis=1).max(), 0, 1000, names=["x", "y"], name="near")

    assert near(USERS_M).instance().sha256 == near(USERS_M.copy()).instance().sha256
    assert near(USERS_M).instance().sha256 != near(USERS_M + 1.0).instance().sha256


def test_the_last_digits_of_another_processor_do_not_change_the_identity():
    shaken = optisolve.problem(
        lambda x: distance(x) * (1 + 4e-16), 0, 1000, names=["x_m", "y_m"], units="m", name="relay", objectives=["f"]
    )
    assert shaken.instance().sha256 == relay().instance().sha256


def test_a_record_of_functions_that_this_process_does_not_know_is_self_reported(tmp_path):
    folder = optisolve.solve(relay(name="forgotten"), "random_search", budget=BUDGET).save(tmp_path)
    gc.collect()
    audit = optisolve.verify(folder)
    assert audit
    assert audit.tier == "self_reported"
    assert "nothing but the hashes can be checked" in audit.notes[0]
    with pytest.raises(RegistryError, match=r"made of functions.*FILE\.py:NAME"):
        optisolve.replay(folder)
    told = relay(name="forgotten")
    assert optisolve.verify(folder, problem=told).tier == "verified"
    assert optisolve.replay(folder, problem=told).same


def test_functions_of_a_module_travel_to_another_process_and_those_of_memory_are_refused_in_words():
    instance = relay(name="traveller").instance()
    again = pickle.loads(pickle.dumps(instance))
    assert again.sha256 == instance.sha256
    assert again.evaluate([[1.0, 2.0]]).F == instance.evaluate([[1.0, 2.0]]).F
    with pytest.raises(ProblemError, match=r"only this process knows.*load_problem\('FILE\.py:NAME'\)"):
        pickle.dumps(CASES["maximized"].instance())


def test_an_ablation_of_functions_in_memory_says_that_they_belong_into_a_file(tmp_path):
    from optisolve.llm.config import llm_config
    from optisolve.study.ablation.plan import make_plan

    with pytest.raises(OptisolveError, match=r"problem=FILE\.py:NAME"):
        make_plan(relay(), optisolve.load_solver("ledma"), tmp_path, budget=BUDGET, llm=llm_config("surrogate"))


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def test_a_point_that_raises_or_is_nan_is_a_bad_point_and_ends_nothing():
    def rough(x):
        if x[0] > 0.7:
            raise ValueError("out of the table")
        return np.nan if x[0] < 0.2 else x.sum()

    problem = optisolve.problem(rough, [0, 0], 1, name="rough")
    assert [result for result in check_problem(problem) if result.outcome == "failed"]  # the kit says that it is not finite
    result = optisolve.solve(problem, "moead_de", budget=BUDGET)
    assert result.scores["objective"] == pytest.approx(0.2, abs=0.02)
    assert result.record.used.failed is not None
    assert "out of the table" in result.record.provenance.failed.first or "nan" in result.record.provenance.failed.first


def test_the_policy_for_bad_points_is_the_problem_s():
    def always(x):
        if x[0] > 0.5:
            raise ValueError("broken")
        return x[0]

    problem = optisolve.problem(always, 0, 1, name="strict", on_failure="stop")
    with pytest.raises(OptisolveError, match="broken"):
        optisolve.solve(problem, "random_search", budget=BUDGET)


BAD = {
    "bounds of two lengths": (
        lambda: optisolve.problem(sum, [0, 0], [1, 1, 1]),
        "lower: got '2 numbers', expected one number, or 3",
    ),
    "inverted bounds": (lambda: optisolve.problem(sum, [0, 2], [1, 1]), "bounds of x1"),
    "infinite bounds": (lambda: optisolve.problem(sum, 0, np.inf), "both finite"),
    "no whole number": (lambda: optisolve.problem(sum, [0.2], [0.8], integer=True), "whole number between"),
    "an index beyond": (lambda: optisolve.problem(sum, [0, 0], 1, integer=[2]), "indices from 0 to 1"),
    "too few names": (lambda: optisolve.problem(sum, [0, 0], 1, names=["a"]), "names: got .*expected 2 texts"),
    "one name twice": (lambda: optisolve.problem(sum, [0, 0], 1, names=["a", "a"]), "all different"),
    "an unknown sense": (lambda: optisolve.problem(sum, [0, 0], 1, sense="up"), "min or max"),
    "no function": (lambda: optisolve.problem(3, 0, 1), "fun: got 3"),
    "no constraint": (lambda: optisolve.problem(sum, [0], 1, ineq=[3]), "ineq: got 3, expected a function"),
    "a name with a blank": (lambda: optisolve.problem(sum, [0], 1, name="my relay"), "name of letters"),
    "a policy outside": (lambda: optisolve.problem(sum, [0], 1, null_policies={"far": [5]}), "null_policies.far"),
    "a box upside down": (lambda: optisolve.problem(lambda x: (x[0], x[0]), 0, 1, box=((0, 0), (1, 1))), "reference worse"),
    "a policy for failures": (lambda: optisolve.problem(sum, 0, 1, on_failure="hide"), "penalize, skip or stop"),
    "fewer senses": (
        lambda: optisolve.problem(lambda x: (x[0], x[0]), 0, 1, sense=["min"]),
        "as many as fun returns values, 2",
    ),
}


@pytest.mark.parametrize(("make", "told"), BAD.values(), ids=BAD)
def test_bad_arguments_are_named_with_what_was_expected(make, told):
    with pytest.raises(OptionError, match=told):
        make()


def test_all_bad_arguments_are_told_at_once():
    with pytest.raises(OptionError) as caught:
        optisolve.problem(3, 0, [1, 1], names=["a"], integer=[7], on_failure="hide", probes=0)
    assert {problem.field for problem in caught.value.problems} == {"fun", "names", "integer", "on_failure", "probes"}


SHAPES = {
    "nothing": (lambda: optisolve.problem(lambda x: None, 0, 1), "returned None; expected numbers; is a return missing"),
    "words": (lambda: optisolve.problem(lambda x: "good", 0, 1), "returned 'good'; expected numbers"),
    "a matrix": (lambda: optisolve.problem(lambda x: np.eye(2), 0, 1), r"shape \(2, 2\); expected one number, or a list"),
    "now one, now two": (lambda: optisolve.problem(lambda x: [1] * (1 + int(x[0] > 0.5)), 0, 1), r"\[1, 2\] values"),
    "many points without the flag": (
        lambda: optisolve.problem(lambda X: X.sum(axis=1), [0, 0], 1),
        "fails at all 8 points .*one point x .* say vectorized=True",
    ),
    "one point with the flag": (
        lambda: optisolve.problem(lambda x: x[0] * x[1], [0] * 8, 1, vectorized=True),
        "fails at all 8 points .*all points X .* leave vectorized=True away",
    ),
    "one number for many points": (
        lambda: optisolve.problem(lambda X: X.sum(), [0, 0], 1, vectorized=True),
        r"of 1 points X \[1, 2\] returned an array of shape \(\); expected \[1, k\] or \[1\]",
    ),
    "a projection to elsewhere": (
        lambda: optisolve.problem(sum, [0, 0], 1, project=lambda x: x[:1]),
        r"project of one point x \[2\] returned an array of shape \(1,\); expected 2 numbers",
    ),
    "rows that look at each other": (
        lambda: optisolve.problem(lambda X: X[:, 0] - X[:, 0].mean(), [0, 0], 1, vectorized=True),
        "every row must count for itself",
    ),
}


@pytest.mark.parametrize(("make", "told"), SHAPES.values(), ids=SHAPES)
def test_a_function_that_returns_something_else_is_one_error_that_says_what_was_expected(make, told):
    with pytest.raises(ProblemError, match=told):
        make()


def test_what_an_instance_says_of_its_data_cannot_be_written_whoever_wrote_the_class():
    from optisolve.testing.toys import SumCapSphere, _SphereInstance

    class Careless(_SphereInstance):
        def arrays(self):
            return {"center": self.data, "weights": [1.0, 2.0]}

    instance = Careless(SumCapSphere().origin(0), np.ones(4), 8.0, False)
    instance.data = np.arange(4.0)
    for values in instance.arrays().values():
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 7.0
    with pytest.raises(ValueError, match="read-only"):
        instance.data[0] = 7.0


def test_a_tolerance_is_part_of_the_problem_and_equalities_are_repaired_without_evaluations():
    def made(**settings):
        return optisolve.problem(
            lambda x: (x**2).sum(), 0, 2, name="corner", names=["a", "b"], eq={"product": lambda x: x[0] * x[1] - 1}, **settings
        )

    strict, loose = made().instance(), made(tolerance={"product": 1e-2}).instance()
    assert strict.sha256 != loose.sha256
    X = np.array([[1.0, 1.005]])
    assert strict.evaluate(X).feasible.tolist() == [False]
    assert loose.evaluate(X).feasible.tolist() == [True]
    assert strict.evaluate(strict.project([[0.3, 1.9], [2.0, 2.0]])).feasible.all()
    result = optisolve.solve(strict, "moead_de", budget=optisolve.Budget(evaluations=1000))
    assert result.F[0, 0] == pytest.approx(2.0, abs=1e-6)
    assert "repair" not in result.record.used.by_source
    with pytest.raises(ProblemError, match="tolerance names"):
        made(tolerance={"sum": 1e-2})


@pytest.mark.parametrize("solver", ["moead_de", "nsga2", "cma_es", "ledma_control", "scipy_local", "random_search"])
@pytest.mark.parametrize("integer", [False, [0]])
def test_functions_of_this_process_serve_every_general_solver(solver, integer):
    """Libraries copy what they are given; functions that nobody can pickle must survive it."""
    bowl = optisolve.problem(lambda x: float((x * x).sum()), -2, 3, names=["a", "b", "c"], integer=integer, name="bowl")
    copy.deepcopy(bowl.instance(0))
    if integer and solver == "scipy_local":
        return
    result = optisolve.solve(bowl, solver, budget=Budget(evaluations=600), seed=0)
    assert result.termination is not Termination.ERROR, result.notes
    assert result.record.used.evaluations == 600 or result.F[0, 0] < 1e-6


def test_a_solver_that_breaks_is_told_in_words():
    class Broken(RandomSearch):
        def _solve(self, task):
            task.evaluate(task.instance.space.sample(task.rng(purpose="x"), 3))
            raise RuntimeError("out of order")

    bowl = optisolve.problem(lambda x: float((x * x).sum()), -2, 3, names=["a", "b"], name="bowl")
    result = optisolve.solve(bowl, Broken(), budget=Budget(evaluations=10))
    assert "the solver broke: RuntimeError: out of order" in result.notes[0]
    assert "out of order" in repr(result)

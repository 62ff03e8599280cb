"""front_descent: the kit, looks that are paid for, better than evolution from the same points, integers, constraints."""

from __future__ import annotations

import numpy as np
import pytest

from optisolve import Budget, load_problem, solve
from optisolve.core import (
    Description,
    Evaluation,
    HypervolumeBox,
    Instance,
    Objective,
    Origin,
    Sense,
    Space,
    Termination,
    Variable,
)
from optisolve.core.space import Kind
from optisolve.solvers.front_descent import FrontDescent
from optisolve.testing import SolverConformance
from optisolve.testing.capabilities import require_capabilities

CORNERS = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 4.0], [0.0, 1.0, 4.0]])


class Distances(Instance):
    """Squared distances of (a, b, n) from three corners; n is an integer, and a + b has a cap that no repair knows."""

    def __init__(self, corners=CORNERS) -> None:
        self.corners = corners
        variables = (Variable("a", 0, 1), Variable("b", 0, 1), Variable("n", 0, 4, kind=Kind.INTEGER))
        super().__init__(
            origin=Origin("distances", "1", "distances", {}, 0),
            space=Space.of(variables),
            objectives=tuple(Objective(f"corner{i}", Sense.MINIMIZE) for i in range(3)),
            constraint_names=("cap",),
            hypervolume_box=HypervolumeBox((18.0, 6.0, 6.0), (0.0, 0.0, 0.0)),
        )

    def arrays(self):
        return {"corners": self.corners}

    def describe(self):
        return Description("Distances from three corners.")

    def _evaluate(self, X):
        F = ((X[:, None, :] - self.corners) ** 2).sum(axis=2)
        return Evaluation(F, X[:, :2].sum(axis=1, keepdims=True) - 0.8, np.empty((len(X), 0)))

    def jacobian(self, X):
        return 2.0 * (X[:, None, :] - self.corners)


class TestConformance(SolverConformance):
    """The kit, on a family that offers slopes and on a small instance with an integer and a constraint."""

    evaluations = 120

    def make_solver(self):
        return FrontDescent(init=("null", "uniform"), pop_size=20)

    def make_instances(self):
        return [load_problem("uav_isac").instance(1), Distances()]


def test_every_look_is_an_evaluation_that_was_paid_for():
    instance = load_problem("uav_isac").instance(20)
    result = solve(instance, "front_descent", budget=Budget(evaluations=200), init=["uniform"], pop_size=50, reference=None)
    told, parts = result.run.outcome.report, result.record.provenance
    assert result.record.used.evaluations == 200
    assert parts["jacobian"].evaluations == told["slopes"] > 20
    assert parts["jacobian"].hypervolume_gain == 0.0
    assert sum(part.evaluations for part in parts.values()) == 200


def test_two_hundred_evaluations_are_worth_more_than_a_thousand_of_evolution():
    """From the same 50 random points, on each of three instances."""
    for seed in (20, 21, 22):
        instance = load_problem("uav_isac").instance(seed)
        X = instance.project(instance.space.sample(np.random.default_rng(seed), 50))
        few, many = (
            solve(instance, name, budget=Budget(evaluations=n), warm_start=X, pop_size=50, reference=None).hypervolume
            for name, n in (("front_descent", 200), ("moead_de", 1000))
        )
        assert few > many


def test_without_restarts_it_ends_where_no_step_gains():
    """Objectives that agree have a front of one point, known here."""
    agreed = Distances(np.array([[0.3, 0.2, 0.0]] * 3))
    solver = FrontDescent(init=("uniform",), pop_size=20, n_shaken=0)
    result = solve(agreed, solver, budget=Budget(evaluations=2000))
    assert result.termination is Termination.CONVERGED
    np.testing.assert_allclose(result.X, [[0.3, 0.2, 0.0]], atol=1e-3)


def test_integers_and_constraints_are_kept_with_three_objectives():
    """The front is the part below the cap of the corners' hull; more of it is covered than by evolution at equal cost."""
    own, other = (solve(Distances(), name, budget=Budget(evaluations=400), seed=1) for name in ("front_descent", "nsga2"))
    assert (own.X[:, 2] == np.rint(own.X[:, 2])).all()
    assert own.feasible
    assert own.hypervolume > other.hypervolume


def test_a_family_without_slopes_is_skipped_with_the_reason():
    assert "needs the capability Jacobian" in FrontDescent().skip(load_problem("pymoo/zdt1").instance(0))
    assert "one objective" in FrontDescent().skip(load_problem("power_control").instance(0))


@pytest.mark.parametrize("factor", [1.0, 1.01])
def test_the_kit_compares_slopes_with_differences(factor):
    class Claimed(Distances):
        def jacobian(self, X):
            return factor * super().jacobian(X)

    X = Distances().space.sample(np.random.default_rng(0), 16)
    if factor == 1.0:
        require_capabilities(Claimed(), X)
    else:
        with pytest.raises(AssertionError, match="jacobian differs"):
            require_capabilities(Claimed(), X)

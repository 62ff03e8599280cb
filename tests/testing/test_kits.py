"""The conformance kits find what is wrong with a plug-in, and pass what is right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from optisolve.core import Outcome, Solver, SolverInfo, Task, Termination
from optisolve.core.problem import Evaluation
from optisolve.testing import check_problem, check_solver
from optisolve.testing.toys import ShiftedZdt1, SumCapSphere, _SphereInstance


def outcomes(results):
    return {result.name: result.outcome for result in results}


@pytest.mark.parametrize("problem", [ShiftedZdt1(), SumCapSphere(), SumCapSphere(integers=True)], ids=str)
def test_the_toys_conform(problem):
    assert "failed" not in outcomes(check_problem(problem)).values()


def test_a_family_with_one_evaluation_is_told_that_nothing_checks_it_at_run_time():
    result = {result.name: result for result in check_problem(SumCapSphere())}["kernel agrees with the numpy twin"]
    assert result.outcome == "skipped"
    assert "independent" in result.detail
    assert not SumCapSphere().instance(0).has_twin
    assert WrongKernel().instance(0).has_twin


@dataclass(frozen=True)
class WrongKernel(SumCapSphere):
    def instance(self, seed=0):
        class Wrong(_SphereInstance):
            def _evaluate(self, X):
                true = self._evaluate_twin(X)
                return Evaluation(true.F * (1 + 1e-6), true.G, true.H)

            def _evaluate_twin(self, X):
                return _SphereInstance._evaluate(self, X)

        return Wrong(self.origin(seed), super().instance(seed).center, self.cap, False)


@dataclass(frozen=True)
class OptimisticBound(SumCapSphere):
    def reference(self, instance, effort="normal"):
        from dataclasses import replace

        return replace(super().reference(instance), dual_bound=0.0)


@dataclass(frozen=True)
class LeakyInstance(SumCapSphere):
    def instance(self, seed=0):
        made = super().instance(seed)
        made.family = self
        return made


@pytest.mark.parametrize(
    ("problem", "property_"),
    [
        (WrongKernel(), "kernel agrees with the numpy twin"),
        (OptimisticBound(), "reference holds when re verified"),
        (LeakyInstance(), "instance does not know the reference"),
    ],
)
def test_a_broken_problem_fails_the_property_it_breaks(problem, property_):
    assert outcomes(check_problem(problem))[property_] == "failed"


@dataclass(frozen=True, slots=True)
class Cheater(Solver):
    """Uses global randomness and returns points outside the domain."""

    info: ClassVar[SolverInfo] = SolverInfo("cheater", "1", "breaks two rules")

    def _solve(self, task: Task) -> Outcome:
        task.evaluate(task.instance.space.sample(np.random.default_rng(), 1))
        return Outcome(task.instance.space.upper[None, :] + 1.0, Termination.OPTIMAL)


def test_a_broken_solver_fails_the_properties_it_breaks():
    results = outcomes(check_solver(Cheater))
    assert results["answers survive verification"] == "failed"
    assert results["same seed gives the same result hash"] == "failed"
    assert results["budget is never exceeded"] == "passed"

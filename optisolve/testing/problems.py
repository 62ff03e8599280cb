"""Conformance kit for problems: what every solver and the verifier rely on."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import get_args

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.errors import ProblemError
from optisolve.core.problem import Evaluation, Instance, Problem, RunsIn
from optisolve.core.reference import Effort
from optisolve.core.status import Evidence
from optisolve.run.evaluating import packed, unpacked
from optisolve.run.verify import verify_points
from optisolve.testing.capabilities import require_capabilities
from optisolve.testing.kit import CheckResult, NotApplicable, require, run_kit

__all__ = ["ProblemConformance", "check_problem"]


class ProblemConformance:
    """Properties that every problem must have.

    Subclass it in a pytest module, name the class ``Test...`` and implement `make_problem`.

    Attributes:
        rtol: Agreement asked of kernel and numpy twin, relative to the column's largest value.
        n_points: Points drawn per check.
        projection_is_exact: Set true when `project` always ends feasible.
    """

    rtol: float = 1e-10
    n_points: int = 64
    projection_is_exact: bool = False

    def make_problem(self) -> Problem:
        """The problem under test."""
        raise NotImplementedError("override make_problem")

    # -- identity ------------------------------------------------------------------------------------------------

    def test_names_and_version_are_set(self) -> None:
        """Registry name, version and summary are non-empty texts."""
        problem = self.make_problem()
        for field in ("name", "version", "summary"):
            value = getattr(type(problem), field, "")
            require(isinstance(value, str) and value != "", f"class attribute '{field}' must be a non-empty string")

    def test_same_seed_gives_the_same_instance(self) -> None:
        """Two instances of one seed have one hash; another seed has another one, unless data come from a file."""
        first, second = self.make_problem().instance(3), self.make_problem().instance(3)
        require(first.sha256 == second.sha256, "instance(3) differs between two calls")

    def test_instance_can_be_rebuilt_from_its_origin(self) -> None:
        """Parameters survive JSON and lead to the same instance."""
        problem = self.make_problem()
        instance = problem.instance(5)
        params = json.loads(json.dumps(dict(instance.origin.params), allow_nan=False))
        rebuilt = type(problem).from_mapping({**params, "scenario": instance.origin.scenario}).instance(instance.origin.seed)
        require(rebuilt.sha256 == instance.sha256, "the instance rebuilt from origin.params and origin.seed differs")

    def test_problem_is_frozen(self) -> None:
        """Scenario numbers cannot be changed after the fact."""
        problem = self.make_problem()
        try:
            problem.scenario = "changed"  # type: ignore[misc]
        except dataclasses.FrozenInstanceError:
            return
        raise AssertionError("assigning a field must raise FrozenInstanceError")

    # -- evaluation ----------------------------------------------------------------------------------------------

    def test_shapes_match_the_declaration(self) -> None:
        """F, G and H have one row per point and one column per declared name."""
        instance, X = self._case()
        evaluation = instance.evaluate(X)
        n = X.shape[0]
        for name, values, columns in (
            ("F", evaluation.F, len(instance.objectives)),
            ("G", evaluation.G, len(instance.constraint_names)),
            ("H", evaluation.H, len(instance.equality_names)),
        ):
            require(values.shape == (n, columns), f"{name} has shape {values.shape}, declared [{n}, {columns}]")
            require(values.dtype == np.float64, f"{name} has dtype {values.dtype}, expected float64")

    def test_kernel_agrees_with_the_numpy_twin(self) -> None:
        """Fast and readable evaluation agree within `rtol`; a family with one evaluation has nothing to compare."""
        instance, X = self._case()
        if not instance.has_twin:
            raise NotApplicable("the problem has one evaluation; compare it with an independent one in your tests")
        _agree(instance.evaluate(X), instance.evaluate_twin(X), self.rtol)

    def test_evaluation_is_pure_and_row_wise(self) -> None:
        """X is not written, calls repeat exactly, and a row's value does not depend on its batch mates."""
        instance, X = self._case()
        before = X.copy()
        whole, again = instance.evaluate(X), instance.evaluate(X)
        require(np.array_equal(X, before), "evaluate wrote into X")
        require(np.array_equal(whole.F, again.F), "two calls on the same X differ")
        single = instance.evaluate(X[7])
        _agree(Evaluation(whole.F[7:8], whole.G[7:8], whole.H[7:8]), single, 1e-14)

    def test_it_says_what_an_evaluation_costs_and_reaches_other_processes(self) -> None:
        """`evaluation_s` is a time, `runs_in` is known, and a copy that was sent to another process says the same."""
        instance, X = self._case()
        require(0.0 <= instance.evaluation_s < float("inf"), f"evaluation_s is {instance.evaluation_s}, expected seconds")
        require(instance.runs_in in get_args(RunsIn), f"runs_in is {instance.runs_in!r}, expected one of {get_args(RunsIn)}")
        require(instance.agreement > 0.0, f"agreement is {instance.agreement}, expected a number above 0")
        sent = unpacked(packed(instance))
        sent.warm_up()
        require(sent.sha256 == instance.sha256, "the copy for another process is another instance")
        _agree(instance.evaluate(X[:1]), sent.evaluate(X[:1]), 0.0)

    def test_bad_points_are_refused_by_name(self) -> None:
        """NaN, infinity, a wrong shape and a value outside its bounds raise `ProblemError`."""
        instance, X = self._case()
        name = instance.space.names[0]
        _refused(lambda: instance.evaluate(X[:, :-1]), "a wrong number of columns", "shape")
        for value, what in ((np.nan, "NaN"), (np.inf, "infinity"), (instance.space.upper[0] + 1.0, "a value above its bound")):
            bad = X.copy()
            bad[0, 0] = value
            _refused(lambda bad=bad: instance.evaluate(bad), what, name)  # type: ignore[misc]

    def test_arrays_are_read_only(self) -> None:
        """The data that define an instance cannot be changed by a solver."""
        instance, _ = self._case()
        for name, values in instance.arrays().items():
            require(not values.flags.writeable, f"arrays()['{name}'] is writable")

    # -- helpers for solvers -------------------------------------------------------------------------------------

    def test_projection_stays_inside_and_is_idempotent(self) -> None:
        """`project` ends inside the bounds, changes nothing the second time, and is exact where it says so."""
        instance, X = self._case()
        width = instance.space.upper - instance.space.lower
        P = instance.project(X + 0.5 * width * np.sin(np.arange(X.size)).reshape(X.shape))
        instance.space.require(P)
        require(np.allclose(instance.project(P), P, rtol=1e-9, atol=1e-9), "project(project(X)) differs from project(X)")
        if self.projection_is_exact:
            evaluation = instance.evaluate(P)
            worst = float(evaluation.max_violation.max())
            require(bool(evaluation.feasible.all()), f"a projected point violates a constraint by {worst:.2e}")

    def test_null_policies_can_be_evaluated(self) -> None:
        """Every null policy is valid; at least one is feasible when there are any."""
        instance, _ = self._case()
        policies = instance.null_policies()
        if not policies:
            raise NotApplicable("the problem has no null policies")
        feasible = [verify_points(instance, X).feasible.any() for X in policies.values()]
        require(any(feasible), f"none of the null policies {sorted(policies)} is feasible")

    def test_description_speaks_of_the_problem(self) -> None:
        """The words for people and language models are there."""
        instance, _ = self._case()
        told = instance.describe()
        require(len(told.summary) > 40, "describe().summary is shorter than a sentence")
        require(
            not instance.constraint_names or bool(told.constraints), "there are constraints, describe().constraints is empty"
        )
        require(all(o.meaning for o in instance.objectives), "every objective needs a meaning in words")

    def test_features_are_finite(self) -> None:
        """Features are finite numbers, for learned models."""
        instance, _ = self._case()
        for name, values in instance.features().items():
            require(bool(np.isfinite(np.asarray(values, dtype=np.float64)).all()), f"features()['{name}'] is not finite")

    def test_capabilities_mean_what_they_say(self) -> None:
        """What the instance offers to special solvers has the promised shapes and units and agrees with its evaluation."""
        require_capabilities(*self._case())

    def test_instance_does_not_know_the_reference(self) -> None:
        """A solver that sees the instance cannot reach the problem object or its reference."""
        instance, _ = self._case()
        require(not hasattr(instance, "reference"), "the instance has an attribute 'reference'")
        for name, value in vars(instance).items():
            require(not isinstance(value, Problem), f"the instance holds the Problem object in '{name}'")

    def test_reference_holds_when_re_verified(self) -> None:
        """A reference's point is feasible, has the stated value, and a proof means that value and bound meet."""
        problem = self.make_problem()
        instance = problem.instance(1)
        reference = problem.reference(instance, Effort.QUICK)
        if reference is None:
            raise NotApplicable("the problem has no reference")
        if reference.X is not None:
            check = verify_points(instance, reference.X)
            require(bool(check.feasible.all()), f"a reference point is not feasible (violation {check.max_violation:.2e})")
            if reference.value is not None:
                actual, tolerance = float(check.F[0, 0]), max(reference.tolerance, 1e-9 * max(1.0, abs(reference.value)))
                require(abs(actual - reference.value) <= tolerance, f"reference value {reference.value}, re-evaluated {actual}")
        if reference.evidence is Evidence.PROVEN_OPTIMAL:
            require(reference.X is not None and reference.value is not None, "a proof needs a point and its value")
            require(reference.dual_bound is not None, "a proof needs a dual bound")
            difference = abs((reference.value or 0.0) - (reference.dual_bound or 0.0))
            require(
                difference <= reference.tolerance, f"value and bound differ by {difference}, tolerance {reference.tolerance}"
            )

    def _case(self) -> tuple[Instance, FloatArray]:
        instance = self.make_problem().instance(1)
        return instance, instance.space.sample(np.random.default_rng(0), self.n_points)


def check_problem(problem: Problem) -> list[CheckResult]:
    """Run the kit on a problem and return one result per property."""

    class Kit(ProblemConformance):
        def make_problem(self) -> Problem:
            return problem

    return run_kit(Kit())


def _refused(call: Callable[[], object], what: str, needle: str) -> None:
    try:
        call()
    except ProblemError as error:
        require(needle in str(error), f"the error about {what} does not mention '{needle}': {error}")
        return
    raise AssertionError(f"evaluate accepted {what}")


def _agree(left: Evaluation, right: Evaluation, rtol: float) -> None:
    for name in ("F", "G", "H"):
        a, b = getattr(left, name), getattr(right, name)
        scale = np.maximum(1e-12, np.maximum(np.abs(a), np.abs(b)).max(axis=0, initial=0.0)) if a.size else 1.0
        worst = float((np.abs(a - b) / scale).max(initial=0.0))
        require(worst <= rtol, f"{name} differs by {worst:.2e} relative, allowed {rtol:.0e}")

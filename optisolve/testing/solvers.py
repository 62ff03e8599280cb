"""Conformance kit for solvers: budgets are kept, seeds are obeyed, answers survive verification."""

from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np

from optisolve.core.budget import Budget
from optisolve.core.controls import ASKING, SUBJECT, HasControls
from optisolve.core.problem import Instance
from optisolve.core.solver import Solver
from optisolve.core.status import PointStatus, Termination
from optisolve.registry import make_solver
from optisolve.run.open_run import start
from optisolve.run.solve import Result, solve
from optisolve.testing.kit import CheckResult, NotApplicable, require, run_kit
from optisolve.testing.toys import toy_instances

__all__ = ["SolverConformance", "check_solver"]


class SolverConformance:
    """Properties that every solver must have.

    Subclass it in a pytest module, name the class ``Test...`` and implement `make_solver`. Instances that the solver
    skips are left out; when it skips all of them, override `make_instances`.

    Attributes:
        evaluations: Budget of one check.
        llm: Language model for solvers that use one.
    """

    evaluations: int = 300
    llm: Any = "surrogate"

    def make_solver(self) -> Solver:
        """The solver under test, with its default options."""
        raise NotImplementedError("override make_solver")

    def make_instances(self) -> list[Instance]:
        """Instances to run on; by default small analytic ones: one and two objectives, constraints, integers."""
        return toy_instances()

    def test_info_is_complete(self) -> None:
        """Name, version and summary are set, and options can be copied with a change."""
        solver = self.make_solver()
        require(bool(solver.info.name and solver.info.version and solver.info.summary), "info lacks name, version or summary")
        require(solver.with_option() == solver, "with_option() without changes must give an equal solver")

    def test_unknown_option_is_refused(self) -> None:
        """A misspelt option raises one clear error."""
        from optisolve.core.errors import OptionError

        try:
            self.make_solver().with_option(no_such_option=1)
        except OptionError:
            return
        raise AssertionError("with_option(no_such_option=1) was accepted")

    def test_controls_can_be_made(self) -> None:
        """What it names in its language model's place are solvers; only itself and those that are told less ask the model."""
        solver = self.make_solver()
        if not isinstance(solver, HasControls):
            raise NotApplicable("the solver names no controls")
        arms = solver.controls(budget=Budget(evaluations=self.evaluations), model="surrogate")
        require(bool(arms) and arms[0].name == SUBJECT, f"controls() must give the solver itself first, called '{SUBJECT}'")
        for arm in arms:
            asks = make_solver(arm.solver, arm.options).info.uses_llm
            require(asks == (arm.name in ASKING), f"arm '{arm.name}' {'asks' if asks else 'asks no'} model")

    def test_skip_gives_a_reason(self) -> None:
        """`skip` returns None or a sentence, never raises."""
        for instance in self.make_instances():
            reason = self.make_solver().skip(instance)
            require(reason is None or len(reason) > 5, f"skip returned {reason!r}")

    def test_budget_is_never_exceeded(self) -> None:
        """Awkward budgets are kept to the last evaluation."""
        for instance in self._cases():
            for evaluations in (1, 7, self.evaluations - 1):
                used = self._run(instance, evaluations=evaluations).record.used.evaluations
                require(used <= evaluations, f"{instance!r}: {used} evaluations, budget {evaluations}")

    def test_same_seed_gives_the_same_result_hash(self) -> None:
        """Two runs of one seed agree to the last bit, if the solver says it is deterministic."""
        if not self.make_solver().info.deterministic:
            raise NotApplicable("the solver does not claim to be deterministic")
        for instance in self._cases():
            first, second = self._run(instance, seed=11), self._run(instance, seed=11)
            require(first.result_hash == second.result_hash, f"{instance!r}: two runs of seed 11 differ")

    def test_told_values_give_the_same_run(self) -> None:
        """Ask and tell, laid aside in the middle, gives the run that evaluates by itself."""
        if not self.make_solver().info.deterministic:
            raise NotApplicable("the solver does not claim to be deterministic")
        instance = self._cases()[0]
        whole = self._run(instance, evaluations=min(self.evaluations, 120))
        state = start(self.make_solver(), instance, budget=whole.run.meter.budget, seed=1, llm=self.llm)
        for told in count():
            if state.done:
                break
            X = state.ask()
            F, G, H = instance.evaluate(X)
            state.tell(X, F, G, H)
            if told == 1:
                state.close()  # it starts anew, and is told the same once more
        require(state.result.result_hash == whole.result_hash, f"{instance!r}: told values lead elsewhere")

    def test_answers_survive_verification(self) -> None:
        """Returned points are valid: right shape, inside the domain; status comes from re-evaluation."""
        for instance in self._cases():
            result = self._run(instance)
            require(result.point_status is not PointStatus.INVALID, f"{instance!r}: {result.verification.detail}")
            require(result.termination is not Termination.ERROR, f"{instance!r}: {result.run.outcome.detail}")

    def test_instance_is_left_untouched(self) -> None:
        """The solver writes nothing into the instance."""
        for instance in self._cases():
            before = {name: values.copy() for name, values in instance.arrays().items()}
            self._run(instance)
            after = instance.arrays()
            require(all(np.array_equal(before[k], after[k]) for k in before), f"{instance!r} was changed by the solver")

    def _cases(self) -> list[Instance]:
        solver = self.make_solver()
        cases = [instance for instance in self.make_instances() if solver.skip(instance) is None]
        if not cases:
            raise NotApplicable(f"the solver skips every test instance: {solver.skip(self.make_instances()[0])}")
        return cases

    def _run(self, instance: Instance, *, evaluations: int | None = None, seed: int = 1) -> Result:
        budget = Budget(evaluations=evaluations or self.evaluations, llm_calls=10)
        return solve(instance, self.make_solver(), budget=budget, seed=seed, llm=self.llm)


def check_solver(cls: type[Solver]) -> list[CheckResult]:
    """Run the kit on a solver class with default options and return one result per property."""

    class Kit(SolverConformance):
        def make_solver(self) -> Solver:
            return cls()

    return run_kit(Kit())

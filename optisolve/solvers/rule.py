"""A program as a solver: a rule written as data fills the open place of a skeleton and makes one answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Le

from optisolve.core.errors import BudgetExhausted, FieldProblem
from optisolve.core.problem import Instance
from optisolve.core.solver import Feature, Outcome, Proposal, Solver, SolverInfo, Task, spent_limit
from optisolve.core.status import Termination
from optisolve.programs.catalog import ANSWERING
from optisolve.programs.program import Program
from optisolve.programs.skeleton import Answering
from optisolve.programs.tree import ProgramError

__all__ = ["Rule"]


@dataclass(frozen=True, slots=True)
class Rule(Solver):
    """Construct one answer by a rule, which costs one evaluation; with several objectives a few of them.

    A skeleton that looks at loads (`weights`) costs one evaluation more for every look: as many as `rounds` says.

    Args:
        program: An s-expression over the skeleton's features, or the name of one of its rules; empty for its first rule.
        skeleton: What the rule is the missing piece of; ``"auto"`` is the first that fits program and instance.
        rounds: Steps, or improvements after the construction, at most.
    """

    info: ClassVar[SolverInfo] = SolverInfo(
        name="rule",
        version="1",
        summary="A rule written as data in a skeleton: powers, order of links, association, offloading, placement, routing.",
        supports=frozenset(
            {Feature.SINGLE_OBJECTIVE, Feature.MULTI_OBJECTIVE, Feature.REAL, Feature.INTEGER, Feature.INEQUALITY}
        ),
    )
    program: str = ""
    skeleton: Literal["auto", "exchange", "insertion", "update", "association", "offload", "placement", "weights"] = "auto"
    rounds: Annotated[int, Ge(1), Le(10_000)] = 100

    def skip(self, instance: Instance) -> str | None:
        """Needs an instance that a skeleton treats, and a program that fits that skeleton."""
        reason = Solver.skip(self, instance)
        if reason is not None:
            return reason
        treats = [made for made in self._skeletons() if made.gap(instance) is None]
        if not treats:
            gaps = dict.fromkeys(made.gap(instance) for made in self._skeletons())
            return "; ".join(filter(None, gaps))
        program = self._fitting(treats)
        if isinstance(program, str):
            return program
        return program[0].cost_gap(program[1], instance, self.rounds)

    def checkpoint(self, instance: Instance) -> dict[str, str] | None:
        """The program's hash; an audit refuses a record whose program has another one."""
        found = self._fitting([made for made in self._skeletons() if made.gap(instance) is None] or self._skeletons())
        return None if isinstance(found, str) else {"name": f"program of {found[0].name}", "sha256": found[1].sha256}

    def _check(self) -> Iterable[FieldProblem]:
        """The program must fit at least one of the skeletons that are meant."""
        found = self._fitting(self._skeletons())
        return [FieldProblem("program", self.program, f"a program; {found}")] if isinstance(found, str) else []

    def _skeletons(self) -> list[type[Answering]]:
        return [*ANSWERING.values()] if self.skeleton == "auto" else [ANSWERING[self.skeleton]]

    def _fitting(self, skeletons: list[type[Answering]]) -> tuple[type[Answering], Program] | str:
        """The first skeleton that the program fits, and the program; what is wrong with it where there is none."""
        wrong = dict[str, None]()
        for made in skeletons:
            try:
                return made, made.complete(self.program or next(iter(made.hand)))
            except ProgramError as error:
                wrong[str(error)] = None
        return next(iter(wrong))

    def propose(self, instances: Sequence[Instance], seed: int, evaluations: int) -> list[Proposal] | None:
        """The rule's answers, one instance after the other: what is saved is the account of a run, not a pass."""
        made = []
        for instance in instances:
            skeleton, program = self._found(instance)
            if skeleton.looks:  # its looks are evaluations, and only a run has an account
                return None
            X = skeleton.answers(program, instance, self.rounds)
            end = Termination.LIMIT if len(X) > evaluations else Termination.CONVERGED
            made.append(Proposal(instance.space.clip(X[:evaluations]), end))
        return made

    def _found(self, instance: Instance) -> tuple[type[Answering], Program]:
        """Skeleton and program for an instance that `skip` has passed."""
        found = self._fitting([made for made in self._skeletons() if made.gap(instance) is None])
        assert not isinstance(found, str)
        return found

    def _solve(self, task: Task) -> Outcome:
        skeleton, program = self._found(task.instance)
        rounds = min(self.rounds, task.meter.remaining_evaluations - 1) if skeleton.looks else self.rounds
        try:
            X = skeleton.answers(program, task.instance, rounds)
        except BudgetExhausted as stop:
            return task.outcome(Termination.LIMIT, stop.limit, report={"skeleton": skeleton.name, **program.report()})
        allowed = X[: task.meter.remaining_evaluations]
        task.evaluate(task.instance.space.clip(allowed), source="rule")
        report = {"skeleton": skeleton.name, **program.report()}
        if len(allowed) < len(X) or rounds < self.rounds:
            return task.outcome(Termination.LIMIT, spent_limit(task), report=report)
        return task.outcome(Termination.CONVERGED, report=report)

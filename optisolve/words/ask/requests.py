"""From a request to a verified answer, or to a question: `ask`."""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from optisolve.core.budget import Budget, BudgetMeter
from optisolve.core.documents import JsonObject
from optisolve.core.errors import OptionError, OptisolveError
from optisolve.core.problem import Instance, Problem
from optisolve.core.reference import Effort, Reference
from optisolve.core.solver import Solver
from optisolve.core.status import Evidence, PointStatus
from optisolve.goals.goal import Goal, goal_from, require_goal
from optisolve.goals.goal_instance import MeasuredInstance, measured
from optisolve.goals.wishes import settle_wishes
from optisolve.llm.config import LlmConfig, real_llm
from optisolve.registry import PROBLEMS, make_problem
from optisolve.run.solve import Result, solve
from optisolve.run.verify import confront
from optisolve.words.ask.checks import ClauseCheck, check_clauses, check_wishes, wishes_told
from optisolve.words.ask.ground import ground
from optisolve.words.ask.model_parser import ModelReading, read_by_model
from optisolve.words.ask.rules import Reading, read_by_rules
from optisolve.words.ask.satisfy import Satisfiability, check_satisfiable
from optisolve.words.ask.words import back_translation

if TYPE_CHECKING:
    from optisolve.llm.session import LlmSession, SessionReport

__all__ = [
    "ASK_BUDGET",
    "Answer",
    "AskStatus",
    "ClauseCheck",
    "Parsed",
    "answer",
    "ask",
    "check_clauses",
    "check_wishes",
    "goal_families",
    "parse",
    "parse_in",
]

ASK_BUDGET = Budget(evaluations=2000, llm_calls=4)
"""What an answer may cost when nothing is said."""


_WITHOUT = "Use parser=rules, which needs none"


class AskStatus(StrEnum):
    """What came of a request."""

    VERIFIED = "verified"
    """Every part of the goal stands in the words (or was typed), and the answer meets every clause by independent equations."""
    CONFIRMED = "confirmed"
    """The same, for a reading that the user confirmed although words did not account for all of it."""
    UNCONFIRMED = "unconfirmed"
    """A reading is shown that holds words of unknown meaning; nothing was solved. Confirm it or say it in other words."""
    ASKED = "asked"
    """Something is open or contradicts itself in the words; nothing was solved."""
    CONTRADICTORY = "contradictory"
    """It is proven that the requirements cannot be met together; nothing was solved, the smallest relaxations are given."""
    NOT_MET = "not_met"
    """Solved, but no point was found that meets every requirement; nothing is proven."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """What was understood, before anything is solved.

    Attributes:
        goal: The goal; None when nothing could be read.
        by: ``typed``, ``rules`` (no language model), or ``model``.
        grounded: Every part of the goal stands in the words, and no word is left over; true for typed goals.
        questions: What is open.
        unknown: Words without a known meaning.
        reading: The deterministic reading; None for typed goals.
        model: The model's reading; None without one.
        llm: Model, parameters and counters; None without one.
    """

    goal: Goal | None
    by: str
    grounded: bool
    questions: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    reading: Reading | None = None
    model: ModelReading | None = None
    llm: SessionReport | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request.

    Attributes:
        status: What came of it.
        parsed: What was understood.
        back_translation: The goal in words, made from the goal alone.
        satisfiability: Verdict and relaxations; None when there is no goal to check.
        result: The verified run; None when nothing was solved.
        reference: The certified optimum or bound, where the family has one, less what the answer itself refutes.
        clauses: Every requirement at the answer.
    """

    status: AskStatus
    parsed: Parsed
    back_translation: tuple[str, ...] = ()
    satisfiability: Satisfiability | None = None
    result: Result | None = None
    reference: Reference | None = None
    clauses: tuple[ClauseCheck, ...] = ()

    @property
    def questions(self) -> tuple[str, ...]:
        """What the user should answer; relaxations are questions, too."""
        if self.status is AskStatus.CONTRADICTORY and self.satisfiability is not None:
            return tuple(f"Accept {r.text}?" for r in self.satisfiability.relaxations)
        told = self.parsed.questions
        if self.status is AskStatus.UNCONFIRMED and self.parsed.unknown:
            words = ", ".join(f"'{w}'" for w in self.parsed.unknown)
            told = (*told, f"The words {words} have no known meaning here; is the reading complete without them?")
        return told

    @property
    def certificate(self) -> str:
        """What is proven about the answer: EXACT, GAP(x%), BOUND_ONLY, INFEASIBLE or NONE.

        EXACT is said where the answer's own verified value meets the bound within the reference's tolerance, whoever found
        it; the slack of the constraints is no part of that.
        """
        if self.result is None or self.reference is None:
            return "NONE"
        if self.reference.evidence is Evidence.PROVEN_INFEASIBLE:
            return "INFEASIBLE"
        value, bound = self.result.scores["objective"], self.reference.dual_bound
        if value is None or bound is None:
            return "NONE" if bound is None else "BOUND_ONLY"
        objective = self.result.instance.objectives[0]
        short = objective.shortfall(value, bound)
        return "EXACT" if short <= self.reference.tolerance else f"GAP({100.0 * short / objective.gap_scale(bound):.3g}%)"


def parse(
    request: str | Goal | JsonObject,
    instance: Instance,
    *,
    parser: Literal["model", "rules", "auto"] = "model",
    llm: LlmConfig | str = "auto",
    budget: Budget | None = None,
    seed: int = 0,
    transcript: Path | None = None,
) -> Parsed:
    """Understand a request without solving anything.

    Args:
        request: Words, or a typed goal, which skips the parser.
        instance: What it is about.
        parser: ``model`` asks a language model under a fixed form and grounds its answer in the words; ``rules`` uses no
            language model at all; ``auto`` takes the rules where they account for every word, else the model.
        llm: Language model of the parser ``model``.
        budget: Limits of the conversation.
        seed: Seed of the model's sampling.
        transcript: Where the conversation is written.

    Raises:
        OptisolveError: The text is no request, the goal does not fit, or no language model can be had.
    """
    if not isinstance(request, str):
        goal = goal_from(request)
        require_goal(goal, _about(instance).metrics())
        return Parsed(goal, "typed", grounded=True)
    reading = read_by_rules(request, _about(instance).metrics())
    if parser == "rules" or (parser == "auto" and reading.complete):
        return Parsed(reading.goal, "rules", reading.complete, reading.questions, reading.unknown, reading)
    from optisolve.llm.session import open_session

    meter = BudgetMeter(ASK_BUDGET if budget is None else budget)
    with open_session(real_llm(llm, _WITHOUT), meter, transcript=transcript, seed=seed) as session:
        return parse_in(session, request, instance, reading=reading, seed=seed)


def goal_families() -> tuple[str, ...]:
    """Names of the families whose instances document metrics, so that goals can speak about them."""
    found = []
    for name in sorted(PROBLEMS.targets()):
        with suppress(OptisolveError):  # a plug-in that cannot be loaded
            instance = make_problem(name).instance(0)
            found += [name] if isinstance(instance, MeasuredInstance) and instance.origin.problem != "goal" else []
    return tuple(found)


def _about(instance: Instance) -> MeasuredInstance:
    """The instance, which must document metrics; else the error names the families that do."""
    if isinstance(instance, MeasuredInstance):
        return instance
    return measured(instance, f". Families that do: {', '.join(goal_families())}")


def parse_in(
    session: LlmSession, text: str, instance: Instance, *, reading: Reading | None = None, seed: int = 0, tag: str = "ask"
) -> Parsed:
    """Understand a request by a language model in an open session, which may serve many requests.

    Args:
        session: The session.
        text: The request.
        instance: What it is about.
        reading: From `read_by_rules`, if it is known already.
        seed: Seed of the model's sampling.
        tag: Place of the question in the session's transcript.
    """
    metrics = measured(instance).metrics()
    reading = read_by_rules(text, metrics) if reading is None else reading
    model = read_by_model(text, metrics, session, seed=seed, tag=tag)
    model = dataclasses.replace(model, goal=_completed(model.goal, reading.goal))
    if model.goal is None:
        told = f"The language model gave no usable reading: {model.problem}."
        agreed, questions, unknown = False, (told, *reading.questions), reading.unknown
    else:
        found = ground(model.goal, text, reading, measured(instance))
        agreed, questions, unknown = found.agreed, found.questions, found.unknown
    return Parsed(model.goal, "model", agreed, questions, unknown, reading, model, session.describe())


def _completed(goal: Goal | None, said: Goal) -> Goal | None:
    """The model's goal with what its form has no place for, from the words: which clauses are wishes, and the deadline."""
    if goal is None:
        return None
    wishes = {c.source_span for c in said.constraints if not c.hard}
    clauses = tuple(c.model_copy(update={"hard": c.source_span not in wishes}) for c in goal.constraints)
    return goal.model_copy(update={"constraints": clauses, "deadline_s": said.deadline_s})


def ask(
    request: str | Goal | JsonObject,
    problem: Problem | str,
    *,
    instance: int = 0,
    parser: Literal["model", "rules", "auto"] = "model",
    llm: LlmConfig | str = "auto",
    solver: str | Solver = "moe",
    budget: Budget | None = None,
    seed: int = 0,
    confirm: bool = False,
    transcript: Path | None = None,
    solver_llm: Any = "auto",
    scratch: Path | None = None,
) -> Answer:
    """Answer a request about a problem: parse, ground, check, solve, verify.

    Args:
        request: Words, or a typed goal.
        problem: The problem or its scenario's name.
        instance: Instance seed.
        parser: See `parse`.
        llm: See `parse`.
        solver: Who solves the goal's instance.
        budget: Limits of solving.
        seed: Seed of solver and model.
        confirm: The user has seen the back-translation and takes a reading that words do not account for.
        transcript: Where the parser's conversation is written.
        solver_llm: Language model of the solver, if it uses one.
        scratch: Folder of the solver's transcript.

    Returns:
        The answer; only its status VERIFIED or CONFIRMED means that the clauses hold.

    Raises:
        OptisolveError: The text is no request, a typed goal does not fit, or a language model or solver cannot be had.
    """
    base = (make_problem(problem) if isinstance(problem, str) else problem).instance(instance)
    parsed = parse(request, base, parser=parser, llm=llm, seed=seed, transcript=transcript)
    return answer(
        parsed, base, solver=solver, budget=budget, seed=seed, confirm=confirm, solver_llm=solver_llm, scratch=scratch
    )


def answer(
    parsed: Parsed,
    base: Instance,
    *,
    solver: str | Solver = "moe",
    budget: Budget | None = None,
    seed: int = 0,
    confirm: bool = False,
    solver_llm: Any = "auto",
    scratch: Path | None = None,
) -> Answer:
    """Check, solve and verify what was understood; the arguments are those of `ask`.

    Args:
        parsed: From `parse`.
        base: The instance without the goal.
        solver: Who solves the goal's instance.
        budget: Limits of solving.
        seed: Seed of the solver.
        confirm: Take a reading that words do not account for.
        solver_llm: Language model of the solver, if it uses one.
        scratch: Folder of the solver's transcript.
    """
    if parsed.goal is None:
        return Answer(AskStatus.ASKED, parsed)
    base, goal = measured(base), parsed.goal.model_copy(update={"ambiguities": ()})
    try:
        told = back_translation(goal, base)
    except OptionError:  # an incomplete reading may not fit; its questions say so
        return Answer(AskStatus.ASKED, parsed)
    if parsed.questions and not (confirm and parsed.by == "model" and parsed.reading and not parsed.reading.questions):
        return Answer(AskStatus.ASKED, parsed, told)
    goal, wished = settle_wishes(base, goal), goal
    told = (*told, *wishes_told(goal, wished, base))
    checked = check_satisfiable(base, goal)
    if not parsed.grounded and not confirm:
        return Answer(AskStatus.UNCONFIRMED, parsed, told, checked)
    if checked.verdict.answer is False:
        return Answer(AskStatus.CONTRADICTORY, parsed, told, checked)
    case = base.with_goal(goal)
    maker = make_problem("goal", dict(case.origin.params))
    reference = maker.reference(case, Effort.QUICK)
    limits = ASK_BUDGET if budget is None else budget
    if goal.deadline_s is not None:
        limits = limits.with_option(seconds=min(goal.deadline_s, goal.deadline_s if limits.seconds is None else limits.seconds))
    result = solve(case, solver, budget=limits, seed=seed, llm=solver_llm, reference=reference, scratch=scratch)
    clauses: tuple[ClauseCheck, ...] = ()
    if result.feasible:
        clauses = (*check_clauses(base, goal, result.X[0]), *check_wishes(base, goal, result.X[0]))
    met = result.point_status is PointStatus.FEASIBLE and result.feasible and all(c.holds for c in clauses if not c.soft)
    status = AskStatus.NOT_MET if not met else AskStatus.VERIFIED if parsed.grounded else AskStatus.CONFIRMED
    return Answer(status, parsed, told, checked, result, confront(case, reference, result.verification), clauses)

"""Was the language model needed? An open suite of one problem whose solvers are the subject and its controls.

Every arm meets the same instances with the same seeds and the same number of evaluations. What stands in the model's place
the solver says itself (`optisolve.core.controls`); `optisolve.study.ablation.verdict` holds the rules of the answer.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from optisolve.core.budget import Budget
from optisolve.core.controls import PLACEBO, SUBJECT, WORDLESS, Arm, HasControls
from optisolve.core.documents import Json, JsonObject, document, plain
from optisolve.core.errors import FieldProblem, OptionError, OptisolveError, SolverError, nearest
from optisolve.core.problem import Instance, Problem
from optisolve.core.solver import Solver
from optisolve.core.text import Redactor, secrets_here
from optisolve.llm.config import AutoLlm, LlmConfig, NoLlm, OpenAiLlm, endpoint_of
from optisolve.registry import OWN, make_solver, solver_options
from optisolve.study.runner import Plan as SuitePlan
from optisolve.study.runner import Unit, plan_suite
from optisolve.study.suite import Suite, make_suite
from optisolve.study.suite_entries import Header, Limits

__all__ = ["NAME", "UNNOTED", "Key", "Plan", "arms_of", "make_plan"]

NAME = "ablation"
"""Name of the suite, of the folder of its records and of the report's files."""

LIMITS = Limits(seconds=86_400.0, memory_mb=16_000.0)
"""When a unit is killed unless something else is said: models on two cores take their time."""

UNNOTED = "unnoted"
"""Name of the arm that asks the same model as often on a moving instance and tells it nothing of earlier steps."""

_STAND_IN = {
    SUBJECT: "surrogate, no language model",
    PLACEBO: "surrogate, told nothing (placebo)",
    WORDLESS: "surrogate, numbers without words",
    UNNOTED: "surrogate without notes",
}
"""What the arms that ask a model are when a surrogate answers."""

Key = tuple[str, int, int]
"""Arm, number of the instance, number of the repetition."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The experiment before it starts.

    Attributes:
        suite: Problem, arms, seeds and budgets.
        text: The suite's file.
        units: Its runs.
        arms: The competitors that can treat the problem; the first one is the subject.
        instances: Number of instances, seeds 0, 1, ..., or of an episode's steps.
        seeds: Repetitions per instance.
        budget: Limits of the arms that ask the model; controls have its evaluations.
        llm: The language model.
        notices: Which stand-in will be used and why, which arms cannot take part.
    """

    suite: Suite
    text: str
    units: SuitePlan
    arms: tuple[Arm, ...]
    instances: int
    seeds: int
    budget: Budget
    llm: LlmConfig
    notices: tuple[str, ...] = ()

    @property
    def out(self) -> Path:
        """Where the suite's file, the records and the report go."""
        return self.suite.path.parent

    @property
    def problem(self) -> Problem:
        """What is solved."""
        return self.suite.cases[0].problem

    @property
    def scenario(self) -> str:
        """Its name."""
        return self.suite.cases[0].label

    @property
    def subject(self) -> Solver:
        """The solver that is asked about, as it takes part."""
        return next(cell.solver for cell in self.suite.cells if cell.label == SUBJECT)

    @property
    def asking(self) -> frozenset[str]:
        """Names of the arms that ask the language model."""
        return frozenset(cell.label for cell in self.suite.cells if cell.solver.info.uses_llm)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Instance and repetition of every pair, in the order of the runs."""
        return [(instance, seed) for instance in range(self.instances) for seed in range(self.seeds)]

    @property
    def runs(self) -> dict[Key, Unit]:
        """All runs, pair by pair."""
        return {(unit.label, unit.index, unit.repetition): unit for unit in self.units.units}

    @property
    def moving(self) -> bool:
        """True when the instances are the steps of an episode."""
        return self.suite.cases[0].motion is not None

    @property
    def surrogate(self) -> bool:
        """True when a stand-in answers in the language model's place."""
        return self.llm.kind == "surrogate"

    @property
    def trust(self) -> tuple[str, ...]:
        """The endpoint that the caller has named, for the runner."""
        return (endpoint_of(self.llm),) if isinstance(self.llm, OpenAiLlm) else ()

    def instance(self, index: int) -> Instance:
        """An instance by its number."""
        return self.units.lock.instances[self.scenario, index]


def arms_of(solver: Solver, *, budget: Budget, model: str) -> tuple[Arm, ...]:
    """The solver and what it is compared with: its own controls, else random search and the instance's trivial answers.

    Args:
        solver: Asks a language model.
        budget: Limits of every run that asks the model.
        model: Kind of the language model.

    Raises:
        OptionError: The solver asks no language model, or has options with which the comparison would mean nothing.
    """
    if not solver.info.uses_llm:
        expected = "a solver that asks a language model, e.g. solver=ledma; the others are what it is compared with"
        raise OptionError("The ablation's configuration", [FieldProblem("solver", solver.info.name, expected)])
    if isinstance(solver, HasControls):
        arms = tuple(solver.controls(budget=budget, model=model))
        if not arms or arms[0].name != SUBJECT:
            raise SolverError(f"{solver.info.name}: its method controls must give the solver itself first, called '{SUBJECT}'.")
        return arms
    options = solver.options()
    return (
        Arm(SUBJECT, "the language model", solver.info.name, options),
        Arm("random", "random search", "random_search", {key: options[key] for key in ("repair",) if key in options}),
        Arm("null", "trivial answers", "null"),
    )


def make_plan(
    problem: Problem,
    solver: Solver,
    out: Path,
    *,
    arms: Sequence[str] = (),
    instances: int = 3,
    seeds: int = 3,
    budget: Budget,
    llm: LlmConfig | None = None,
    limits: Limits = LIMITS,
    episode: JsonObject | None = None,
) -> Plan:
    """Put a solver and its controls on one problem at one budget.

    Args:
        problem: What is solved.
        solver: The subject.
        out: Folder of the suite's file, the records and the report; nothing is written yet.
        arms: Names of the arms; none for all. The subject always takes part.
        instances: Number of instances.
        seeds: Repetitions per instance.
        budget: Limits of every run; evaluations are required, seconds are refused.
        llm: The language model; None means `AutoLlm`.
        limits: When a run is killed.
        episode: ``steps``, ``seed`` and ``motion`` as in a suite: the instances are the steps of an instance that moves, and
            the question is whether notes of earlier steps helped the model, see `_remembering`.

    Raises:
        OptionError: Bad arms, or a budget that does not fit; all of them listed.
        OptisolveError: The subject cannot treat the problem.
    """
    config, notice = llm or AutoLlm(), ""
    if isinstance(config, AutoLlm):
        config, notice = config.resolve()
    if isinstance(config, NoLlm):
        expected = "a language model or surrogate: the ablation asks whether one was needed"
        raise OptionError("The ablation's configuration", [FieldProblem("llm", config.kind, expected)])
    chosen = _chosen(solver, arms, budget, config.kind, problem.instance(0) if episode else None)
    summary = f"Was the language model needed? {solver.info.name} on {problem.scenario or problem.name}."
    values = {
        "version": "1",
        "open": True,
        "instances": list(range(instances)),
        "repetitions": seeds,
        "budget": {"evaluations": budget.evaluations},
        "limits": limits.options(),
        "llm": {"kind": config.kind, **config.options()},
        "problems": [_case(problem, episode)],
        "solvers": [_entry(arm, budget) for arm in chosen],
    }
    header: dict[str, Json] = json.loads(document(plain(values)))  # plain strings where a value is a member of an enumeration
    suite = make_suite(Header.from_mapping(header), summary, out / f"{NAME}.yaml")
    units = plan_suite(suite)
    left_out = {skip.label: skip.reason for skip in units.skipped}
    if SUBJECT in left_out:
        raise OptisolveError(f"{solver.info.name} cannot solve {suite.cases[0].label}: {left_out[SUBJECT]}")
    notices = [*filter(None, [notice]), *(f"The arm {name} is left out: {reason}" for name, reason in left_out.items())]
    text = Redactor(secrets_here()).text(f"# {summary}\n{yaml.safe_dump(header, sort_keys=False)}")
    present = tuple(arm for arm in chosen if arm.name not in left_out)
    return Plan(suite, text, units, present, len(suite.cases[0].instances), seeds, budget, config, tuple(notices))


def _case(problem: Problem, episode: JsonObject | None) -> dict[str, object]:
    """The problem as a suite lists it."""
    entry: dict[str, object] = {
        "problem": _named(problem),
        "label": problem.scenario or problem.name,
        "params": problem.options(),
    }
    return entry if episode is None else {**entry, "episode": episode}


def _named(problem: Problem) -> str:
    """How a suite names the problem; a file of the user's own by its place beside the working folder.

    Raises:
        OptisolveError: It is made of functions that only this process knows.
    """
    if problem.home is not None:
        path, _, name = problem.home.target.rpartition(":")
        return f"{os.path.relpath(path)}:{name}" if path.endswith(".py") else problem.home.target
    if problem.name == OWN:
        raise OptisolveError(
            f"problem '{problem.scenario}' is made of functions that only this process knows; an ablation has processes of its "
            "own. Put it into a file and name it: problem=FILE.py:NAME."
        )
    return problem.name


def _chosen(solver: Solver, names: Sequence[str], budget: Budget, model: str, moving: Instance | None = None) -> list[Arm]:
    """The arms of these names, all for none; with memories where the instance moves.

    Raises:
        OptionError: Unknown arms, or limits that do not fit; all of them listed.
    """
    wrong = list(_check_budget(budget))
    offered: tuple[Arm, ...] = ()
    try:
        offered = arms_of(solver, budget=budget, model=model)
        offered = offered if moving is None else _remembering(offered, moving)
    except OptionError as error:
        wrong += error.problems
    else:
        wrong += _check_arms(names, [arm.name for arm in offered])
    if wrong:
        raise OptionError("The ablation's configuration", list({problem.field: problem for problem in wrong}.values()))
    labels = _STAND_IN if model == "surrogate" else {}
    chosen = [arm for arm in offered if arm.name == SUBJECT or not names or arm.name in names]
    return [replace(arm, label=labels.get(arm.name, arm.label)) for arm in chosen]


def _remembering(arms: Sequence[Arm], first: Instance) -> tuple[Arm, ...]:
    """The arms on an instance that moves: what the model is told of earlier steps is what is asked about.

    Every arm is handed the last answer where it begins with points. The model has notes besides, its placebo notes with the
    numbers dealt out anew, and `UNNOTED` is the same model without notes.
    """
    subject = arms[0]
    told = replace(subject, memory="notes")
    dealt = Arm(
        PLACEBO, "same model, numbers of the notes dealt out anew (placebo)", subject.solver, subject.options, "placebo"
    )
    silent = Arm(UNNOTED, "same model without notes", subject.solver, subject.options, "warm")
    plain = [arm for arm in arms[1:] if not solver_options(arm.solver)[0].info.uses_llm]
    return (told, dealt, silent, *(replace(arm, memory="warm" if _starts(arm, first) else "") for arm in plain))


def _starts(arm: Arm, first: Instance) -> bool:
    return make_solver(arm.solver, arm.options).takes_start(first)


def _entry(arm: Arm, budget: Budget) -> dict[str, object]:
    """A solver of the suite; limits on the language model would only blur the settings by which a control's run is found."""
    entry: dict[str, object] = {"solver": arm.solver, "label": arm.name, "options": arm.options}
    if arm.memory:
        entry["memory"] = arm.memory
    if solver_options(arm.solver)[0].info.uses_llm:
        told = {key: value for key, value in budget.options().items() if key != "evaluations"}
        entry["budget"] = {key: value for key, value in told.items() if key == "llm_calls" or value is not None}
    return entry


def _check_arms(names: Sequence[str], offered: Sequence[str]) -> Iterator[FieldProblem]:
    for name in names:
        if name not in offered:
            guess = nearest(name, offered)
            yield FieldProblem("arms", name, f"one of {', '.join(offered)}{f'; did you mean {guess!r}?' if guess else ''}")
    if not set(names or offered) - {SUBJECT}:
        yield FieldProblem("arms", ", ".join(names), f"at least one arm beside {SUBJECT} to compare with")


def _check_budget(budget: Budget) -> Iterator[FieldProblem]:
    if budget.seconds is not None:
        expected = "no limit on seconds: the arms are compared at equal evaluations"
        yield FieldProblem("budget.seconds", budget.seconds, expected)
    if budget.evaluations is None:
        yield FieldProblem("budget.evaluations", None, "a number of evaluations, the same for all arms")
    if budget.llm_calls is not None and budget.llm_calls < 1:
        yield FieldProblem("budget.llm_calls", budget.llm_calls, "at least one call per run, or 'unlimited'")

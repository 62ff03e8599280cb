"""Suites: which solvers meet which problems, on which instances, how often and at what budget.

A suite is one YAML file. `load_suite` checks all of it and names every bad field at once; `optisolve.study.lock` pins
what it means today, so that two people who run "core 1" run the same thing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from optisolve import content
from optisolve.core.budget import UNLIMITED, Budget
from optisolve.core.documents import Json, JsonObject, plain
from optisolve.core.episode import Step, episode_steps, motion_of
from optisolve.core.errors import FieldProblem, OptionError, OptisolveError, UnknownNameError
from optisolve.core.motion import Motion
from optisolve.core.problem import Instance, Problem
from optisolve.core.reference import Effort
from optisolve.core.seeds import derive
from optisolve.core.solver import Solver
from optisolve.core.text import is_safe_name, plain_slug
from optisolve.llm.config import AutoLlm, LlmConfig, llm_config
from optisolve.registry import make_solver, named_problem
from optisolve.study.suite_entries import (
    Columns,
    EpisodeEntry,
    Header,
    Limits,
    ProblemEntry,
    SolverEntry,
    collect,
    entries,
    merged,
    overrides,
    read,
    unknown,
)

__all__ = ["Case", "Cell", "Limits", "Suite", "list_suites", "load_suite", "make_suite", "suite_file", "with_solvers"]


@dataclass(frozen=True, eq=False, slots=True)
class Case:
    """A problem of a suite.

    Attributes:
        label: Its name within the suite; the scenario's name unless the file says otherwise.
        problem: Family bound to the scenario's numbers.
        instances: Instance seeds; no solver plays a part in them. Of an episode the numbers of its steps.
        effort: Work on the reference, None for no reference.
        budget: What a solver may spend here that the suite says nothing else about.
        limits: When such a run is killed.
        motion: How the instance moves in an episode; None without one.
        episode_seed: Of the episode.
        admit: Why it stays although `optisolve.study.trial` refuses it, "" for no reason.
    """

    label: str
    problem: Problem
    instances: tuple[int, ...]
    effort: Effort | None
    budget: Budget
    limits: Limits
    motion: Motion | None = None
    episode_seed: int = 0
    admit: str = ""
    _made: list[Step] = field(default_factory=list, repr=False)

    def steps(self) -> list[Step]:
        """The steps of its episode, made when they are first asked for; none without one."""
        if self.motion is not None and not self._made:
            self._made.extend(episode_steps(self.problem, self.motion, self.episode_seed, len(self.instances)))
        return self._made

    def instance(self, seed: int) -> Instance:
        """The instance of a seed; of an episode that of a step."""
        return self.problem.instance(seed) if self.motion is None else self.steps()[seed].instance


@dataclass(frozen=True, eq=False, slots=True)
class Cell:
    """One solver on one problem.

    Attributes:
        case: The problem.
        label: The solver's name within the suite.
        solver: With all of its options.
        llm: Language model, None for solvers without one.
        budget: What a run may spend.
        limits: When a run is killed.
        repetitions: Runs per instance.
        skip: Why the suite leaves this cell out, None when it does not.
        memory: What a step of an episode is handed of earlier ones, see `optisolve.study.episodes.memory`; "" for nothing.
    """

    case: Case
    label: str
    solver: Solver
    llm: LlmConfig | None
    budget: Budget
    limits: Limits
    repetitions: int
    skip: str | None
    memory: str = ""

    def settings(self) -> dict[str, Json]:
        """Options, language model, budget and limits as plain JSON: what a unit is told, and what a lock pins."""
        llm = None if self.llm is None else {"kind": self.llm.kind, **self.llm.options()}
        parts = {"options": self.solver.options(), "llm": llm, "budget": self.budget.options(), "limits": self.limits.options()}
        return {name: plain(part) for name, part in parts.items()} | ({"memory": self.memory} if self.memory else {})


@dataclass(frozen=True, eq=False, slots=True)
class Suite:
    """A checked suite.

    Attributes:
        name: File name without suffix.
        version: Changes whenever a published suite means something else.
        seed: Master seed of instances that the file does not list, and of all runs.
        repetitions: Runs per instance of a solver that the suite says nothing else about.
        path: The YAML file.
        summary: Its first line.
        cases: The problems.
        cells: Every problem with every solver, in the order of the file.
        open: It may grow: it has no hash, and units of earlier calls count as long as nothing that shapes them has changed.
        extra: Cells of solvers that do not belong to the suite; see `with_solvers`.
        columns: What a leaderboard shows of it beside the loss.
    """

    name: str
    version: str
    seed: int
    repetitions: int
    path: Path
    summary: str
    cases: tuple[Case, ...]
    cells: tuple[Cell, ...]
    open: bool = False
    extra: tuple[Cell, ...] = ()
    columns: Columns = field(default_factory=Columns)

    @property
    def argument(self) -> str:
        """How the command line names this suite."""
        shipped = self.name in list_suites() and self.path == suite_file(self.name)
        return self.name if shipped else str(self.path)

    def run_seed(self, case: Case, instance: int, repetition: int) -> int:
        """Seed of a run; the same for every solver, which then hashes its own name into its streams."""
        return _seed(self.seed, purpose="run", problem=case.label, instance=instance, repetition=repetition)

    def budget_of(self, case: Case) -> Budget:
        """What a solver outside of the suite may spend on a problem."""
        return case.budget


def list_suites() -> tuple[str, ...]:
    """Names of the suites that come with optisolve."""
    return content.names("suites")


def suite_file(name: str | os.PathLike[str]) -> Path:
    """The YAML file of a suite.

    Args:
        name: Name of a suite that comes with optisolve, or the path of a YAML file.

    Raises:
        UnknownNameError: No such suite; the nearest name is suggested.
        OptisolveError: No such file.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise OptisolveError(f"suite {path}: there is no such file.")
        return path
    if str(name) not in list_suites():
        raise UnknownNameError("suite", str(name), list_suites())
    return content.content_dir("suites") / f"{name}.yaml"


def load_suite(name: str | os.PathLike[str]) -> Suite:
    """Read and check a suite; nothing is run and no instance is made.

    Args:
        name: Name of a suite that comes with optisolve, or the path of a YAML file.

    Raises:
        UnknownNameError: There is no such suite.
        OptionError: Bad fields, all of them in one message.
    """
    path = suite_file(name)
    return make_suite(*read(path), path)


def make_suite(header: Header, summary: str, path: Path) -> Suite:
    """Check a suite.

    Args:
        header: Its content.
        summary: Its first line.
        path: Its file, which need not be there yet.

    Raises:
        OptionError: Bad fields, all of them in one message.
    """
    found: list[FieldProblem] = []
    if not is_safe_name(path.stem):
        found.append(
            FieldProblem("(file name)", path.name, "a name of letters, digits, '_', '-', '.', '+'; it names the suite")
        )
    problems: list[ProblemEntry] = entries(found, "problems", "problem", header.problems, ProblemEntry)
    solvers: list[SolverEntry] = entries(found, "solvers", "solver", header.solvers, SolverEntry)
    labels = {entry.label for entry in solvers}
    changes = overrides(found, header.overrides, {entry.label for entry in problems}, labels)
    cases: list[Case] = []
    cells: list[Cell] = []
    for i, entry in enumerate(problems):
        case = _case(found, f"problems[{i}]", header, entry)
        found += unknown(f"problems[{i}].solvers", entry.solvers or (), labels)
        cases += [] if case is None else [case]
        for j, solver in enumerate(solvers):
            if entry.solvers is not None and solver.label not in entry.solvers:
                continue
            matching = [change for change in changes if change.matches(entry.label, solver.label)]
            cell = _cell(found, f"solvers[{j}]", header, case, (entry, solver, *matching))
            cells += [] if cell is None else [cell]
    columns = collect(found, "columns", lambda: Columns.from_mapping(header.columns))
    _raise(f"suite {path}", found)
    size = (header.version, header.seed, header.repetitions)
    return Suite(path.stem, *size, path, summary, tuple(cases), tuple(cells), header.open, columns=columns)


def with_solvers(suite: Suite, given: Iterable[str | JsonObject]) -> Suite:
    """The suite with further solvers on all of its problems, at the suite's own budget and repetitions.

    This is how somebody else's solver enters a comparison: instances, seeds and budgets are the suite's, so is its hash.

    Args:
        suite: The suite.
        given: Names of presets, or mappings with ``solver``, and ``label``, ``options`` and ``llm`` as in a suite's file.

    Returns:
        A suite whose `extra` holds the new cells.

    Raises:
        OptionError: Bad fields, a label that the suite has already, or a budget of one's own.
    """
    found: list[FieldProblem] = []
    header, _ = read(suite.path)
    taken = {plain_slug(cell.label) for cell in suite.cells}
    cells: list[Cell] = []
    for i, entry in enumerate(entries(found, "solvers", "solver", given, SolverEntry)):
        if plain_slug(entry.label) in taken:
            found.append(FieldProblem(f"solvers[{i}].label", entry.label, f"a label that suite {suite.name} does not use"))
        for key in ("budget", "limits", "repetitions", "memory"):
            if getattr(entry, key):
                found.append(FieldProblem(f"solvers[{i}].{key}", getattr(entry, key), "nothing: the suite sets it"))
        for case in suite.cases:
            cell = _cell(found, f"solvers[{i}]", header, case, (ProblemEntry(), replace(entry, budget={}, limits={})))
            if cell is not None:
                said = {**header.budget, **{key: v for key, v in case.budget.options().items() if v is not None}}
                cells.append(replace(cell, budget=_limits(said, asks=cell.solver.info.uses_llm), limits=case.limits))
    _raise("The run's configuration", found)
    return replace(suite, extra=(*suite.extra, *cells))


def _case(found: list[FieldProblem], where: str, header: Header, entry: ProblemEntry) -> Case | None:
    problem = collect(found, f"{where}.params", lambda: named_problem(entry.problem, entry.params), name=f"{where}.problem")
    budget = collect(found, f"{where}: budget", lambda: _limits(merged([header.budget, entry.budget]), asks=False))
    limits = collect(found, f"{where}: limits", lambda: Limits.from_mapping(merged([header.limits, entry.limits])))
    if budget is not None and budget.unlimited:
        found.append(FieldProblem("budget", dict(header.budget), "at least one limit, e.g. evaluations: 2000"))
    episode = None
    if entry.episode is not None:
        told = entry.episode
        episode = collect(found, f"{where}.episode", lambda: EpisodeEntry.from_mapping(told))
        if entry.instances is not None:
            found.append(FieldProblem(f"{where}.instances", entry.instances, "nothing beside episode, which has the steps"))
    motion = None
    if episode is not None and problem is not None:
        motion = collect(found, f"{where}.episode", lambda: motion_of(problem, episode.motion))
    asked = header.instances if entry.instances is None else entry.instances
    asked = asked if episode is None else list(range(episode.steps))
    if isinstance(asked, int):
        seeds = tuple(_seed(header.seed, purpose="instance", problem=entry.label, instance=i) for i in range(asked))
    else:
        seeds = tuple(dict.fromkeys(asked))
    wanted = header.reference if entry.reference is None else entry.reference
    if problem is None or budget is None or limits is None:
        return None
    effort, moving = None if wanted == "none" else Effort(wanted), 0 if episode is None else episode.seed
    return Case(entry.label, problem, seeds, effort, budget, limits, motion, moving, entry.admit)


def _limits(told: JsonObject, *, asks: bool) -> Budget:
    """A budget; where nobody asks a language model, a limit on its calls stands in no lock unless the suite says one."""
    return Budget.from_mapping(told if asks else {"llm_calls": UNLIMITED, **told})


def _cell(found: list[FieldProblem], where: str, header: Header, case: Case | None, laid: tuple[Any, ...]) -> Cell | None:
    """One cell from its entries (problem, solver, overrides); later ones win over earlier ones, field by field."""
    entry: SolverEntry = laid[1]
    options = merged(part.options for part in laid[1:])
    solver = collect(found, f"{where}.options", lambda: make_solver(entry.solver, options), name=f"{where}.solver")
    budgets = merged([header.budget, *(part.budget for part in laid)])
    asks = solver is not None and solver.info.uses_llm
    budget = collect(found, f"{where}: budget", lambda: _limits(budgets, asks=asks))
    limits = collect(
        found, f"{where}: limits", lambda: Limits.from_mapping(merged([header.limits, *(part.limits for part in laid)]))
    )
    llm = _model(found, f"{where}.llm", header, entry) if asks else None
    if solver is None or budget is None or limits is None or case is None:
        return None
    repetitions = [header.repetitions, *(part.repetitions for part in laid[1:] if part.repetitions is not None)][-1]
    skip = next((part.skip for part in laid[2:] if part.skip is not None), None)
    if entry.memory and case.motion is None:
        found.append(FieldProblem(f"{where}.memory", entry.memory, f"none on {case.label}, which has no episode"))
    return Cell(case, entry.label, solver, llm, budget, limits, repetitions, skip, entry.memory)


def _model(found: list[FieldProblem], where: str, header: Header, entry: SolverEntry) -> LlmConfig | None:
    asked = header.llm if entry.llm is None else entry.llm
    if asked is None:
        found.append(FieldProblem(where, None, f"a language model for {entry.solver}, e.g. llm: surrogate"))
        return None
    values = {"kind": asked} if isinstance(asked, str) else dict(asked)
    config: LlmConfig | None = collect(found, where, lambda: llm_config(**values), name=f"{where}.kind")
    if isinstance(config, AutoLlm):
        found.append(FieldProblem(where, "auto", "local, surrogate or openai: auto means another model on another machine"))
    return config


def _raise(what: str, found: list[FieldProblem]) -> None:
    """One error with every bad field once; a bad solver is found again on every problem."""
    if found:
        raise OptionError(what, list({str(problem): problem for problem in found}.values()))


def _seed(master: int, **axes: str | int) -> int:
    return int(derive(master, **axes).generate_state(1)[0])

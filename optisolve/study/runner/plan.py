"""Units: one run each of one solver on one instance, described by plain data that any machine can carry out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from optisolve.core.documents import JsonObject, digest, plain
from optisolve.core.errors import FieldProblem, OptionError, OptisolveError, nearest
from optisolve.core.problem import Instance
from optisolve.core.text import unit_slug
from optisolve.llm.config import LlmConfig, LocalLlm, llm_config
from optisolve.study.lock import Lock
from optisolve.study.suite import Cell, Suite

__all__ = ["Plan", "Skip", "StaleWorker", "Unit", "make_plan"]


class StaleWorker(OptisolveError):
    """A worker has other versions than the suite was planned with; the whole run must end."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One run, to be carried out anywhere; every field is plain JSON.

    Attributes:
        id: Readable name and 12 digits of the SHA-256 over all other fields.
        suite: Name, version and hash of the suite.
        case: The problem's label within the suite.
        label: The solver's label within the suite.
        index: Number of the instance within the suite, from 0.
        repetition: Number of the run on this instance, from 0.
        problem: Registry name of the family.
        problem_version: Version of its equations.
        scenario: Name of the scenario.
        params: All scenario parameters.
        instance: Instance seed.
        instance_sha256: Hash of the instance's data.
        effort: Work on the reference, None for no reference.
        solver: Registry name of the solver.
        solver_version: Version of the solver.
        options: All options.
        llm: Kind and options of the language model, None without one.
        budget: What the run may spend.
        limits: When its process is killed.
        seed: The run's seed.
        file: Where a problem of the user's own stands on this machine, ``FILE.py:NAME``; "" for installed ones. No part of the
            id, which covers what stands in the file.
        memory: What a step of an episode is handed of earlier ones; "" for nothing.
        warm_start: What it is handed, points, once those steps have records; no part of the id.
        notes: What it is handed, in words; no part of the id.
    """

    id: str
    suite: Mapping[str, str]
    case: str
    label: str
    index: int
    repetition: int
    problem: str
    problem_version: str
    scenario: str
    params: JsonObject
    instance: int
    instance_sha256: str
    effort: str | None
    solver: str
    solver_version: str
    options: JsonObject
    llm: JsonObject | None
    budget: Mapping[str, float | None]
    limits: Mapping[str, float]
    seed: int
    file: str = ""
    memory: str = ""
    warm_start: list[list[float]] | None = None
    notes: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """All fields as JSON types."""
        return asdict(self)

    def model(self) -> LlmConfig | None:
        """The language model, None without one."""
        if self.llm is None:
            return None
        options = dict(self.llm)
        return llm_config(str(options.pop("kind")), **options)

    def membership(self) -> dict[str, str]:
        """What the record says about the suite it belongs to."""
        return {
            **self.suite,
            "unit": self.id,
            "problem": self.case,
            "solver": self.label,
            "instance": str(self.index),
            "repetition": str(self.repetition),
        }


@dataclass(frozen=True, slots=True)
class Skip:
    """A solver that does not run on an instance, and why, in words for people."""

    case: str
    label: str
    index: int
    reason: str


@dataclass(frozen=True, eq=False, slots=True)
class Plan:
    """All that a run of a suite consists of.

    Attributes:
        suite: The suite.
        lock: Its hashes and instances.
        units: What is run, in the order in which it is begun.
        skipped: What is not, with the reason.
        total: Units of the whole suite, also those that `only` leaves out.
    """

    suite: Suite
    lock: Lock
    units: tuple[Unit, ...]
    skipped: tuple[Skip, ...]
    total: int

    def worst_case(self) -> dict[str, float]:
        """Sum of all budgets: evaluations, language-model calls, tokens and dollars, as far as they are limited."""
        sums: dict[str, float] = {}
        for unit in self.units:
            for key in ("evaluations", "llm_calls", "llm_tokens", "usd"):
                amount = unit.budget.get(key)
                if amount is not None and (key == "evaluations" or unit.llm is not None):
                    sums[key] = sums.get(key, 0) + amount
        return sums


def make_plan(suite: Suite, lock: Lock, only: str = "") -> Plan:
    """All units of a suite, and what is skipped on this machine.

    Args:
        suite: The suite.
        lock: From `optisolve.study.lock`.
        only: Terms ``problem:NAME``, ``solver:NAME``, ``instance:NUMBER``, ``repetition:NUMBER``, joined by commas.
            Terms of one kind add up, different kinds restrict each other; "" means all.

    Raises:
        OptionError: A term of `only` that nothing in the suite answers to.
    """
    wanted = _terms(only, suite)
    units: list[Unit] = []
    skipped: list[Skip] = []
    total = 0
    for case in suite.cases:
        cells = [cell for cell in (suite.extra or suite.cells) if cell.case is case]
        for index, seed in enumerate(case.instances):  # units of one instance stand together and share its reference
            instance = lock.instances[case.label, seed]
            here: list[Unit] = []
            for cell in cells:
                reason = cell.skip or cell.solver.skip(instance) or _no_model(cell) or _no_memory(cell, instance)
                made = [_unit(suite, lock, cell, instance, index, r) for r in range(0 if reason else cell.repetitions)]
                total += len(made)
                if reason and _matches(wanted, case.label, cell.label, index, None):
                    skipped.append(Skip(case.label, cell.label, index, reason))
                here += [unit for unit in made if _matches(wanted, case.label, cell.label, index, unit.repetition)]
            units += sorted(here, key=lambda unit: unit.repetition)  # whatever is there when a run is cut short can be compared
    return Plan(suite, lock, tuple(units), tuple(skipped), total)


def _unit(suite: Suite, lock: Lock, cell: Cell, instance: Instance, index: int, repetition: int) -> Unit:
    case, origin = cell.case, instance.origin
    fields: dict[str, Any] = {
        "suite": lock.identity.to_json(),
        "case": case.label,
        "label": cell.label,
        "index": index,
        "repetition": repetition,
        "problem": origin.problem,
        "problem_version": origin.version,
        "scenario": origin.scenario,
        "params": plain(origin.params),
        "instance": origin.seed,
        "instance_sha256": instance.sha256,
        "effort": None if case.effort is None else case.effort.value,
        "solver": cell.solver.info.name,
        "solver_version": cell.solver.info.version,
        **cell.settings(),
        "seed": suite.run_seed(case, origin.seed, repetition),
    }
    readable = unit_slug(f"{case.label}.{cell.label}.i{index}.r{repetition}")
    home = case.problem.home
    code = digest(fields if home is None else {**fields, "source": home.sha256})[:12]
    return Unit(id=f"{readable}-{code}", **fields, file="" if home is None else home.target)


def _no_memory(cell: Cell, instance: Instance) -> str | None:
    """Why the solver would not read the cell's memory."""
    if not cell.memory:
        return None
    if not cell.solver.takes_start(instance):
        return f"{cell.solver.info.name} does not begin with points that it is given here (memory={cell.memory})"
    if cell.memory in ("notes", "placebo") and not cell.solver.info.uses_llm:
        return f"{cell.solver.info.name} asks no language model that could read notes (memory={cell.memory})"
    return None


def _no_model(cell: Cell) -> str | None:
    """Why the cell's language model cannot be had on this machine."""
    if not isinstance(cell.llm, LocalLlm):
        return None
    from optisolve.llm import catalog

    lacking = catalog.lacking(cell.llm.model, cell.llm.gguf)
    cure = f"pip install 'optisolve[local-llm]' && optisolve models fetch {cell.llm.model}"
    return f"{lacking}; for a local language model: {cure}" if lacking else None


def _terms(only: str, suite: Suite) -> dict[str, set[str]]:
    known: dict[str, Iterable[str]] = {
        "problem": [case.label for case in suite.cases],
        "solver": dict.fromkeys(cell.label for cell in suite.extra or suite.cells),
        "instance": [str(i) for i in range(max(len(case.instances) for case in suite.cases))],
        "repetition": [str(r) for r in range(max(cell.repetitions for cell in suite.extra or suite.cells))],
    }
    wanted: dict[str, set[str]] = {}
    bad = []
    for term in filter(None, (part.strip() for part in only.split(","))):
        kind, _, name = term.partition(":")
        if kind not in known:
            bad.append(FieldProblem("only", term, f"KIND:NAME with KIND one of {', '.join(known)}"))
        elif name not in known[kind]:
            guess = nearest(name, known[kind])
            hint = f"; did you mean {guess}?" if guess else ""
            bad.append(FieldProblem("only", term, f"a {kind} of suite {suite.name}: {', '.join(known[kind])}{hint}"))
        wanted.setdefault(kind, set()).add(name)
    if bad:
        raise OptionError("The run's configuration", bad)
    return wanted


def _matches(wanted: Mapping[str, set[str]], problem: str, solver: str, instance: int, repetition: int | None) -> bool:
    given = {"problem": problem, "solver": solver, "instance": str(instance)}
    if repetition is not None:
        given["repetition"] = str(repetition)
    return all(value in wanted.get(kind, {value}) for kind, value in given.items())

"""Membership in a suite: the lock is the current one, and the run is one of those that the suite asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from optisolve.core.errors import OptisolveError
from optisolve.core.problem import Origin
from optisolve.core.text import unit_slug
from optisolve.llm.config import NoLlm
from optisolve.run.schema import Record
from optisolve.trust.audit.findings import Findings
from optisolve.trust.audit.points import same_setting

if TYPE_CHECKING:
    from optisolve.study.suite import Case, Cell, Suite

__all__ = ["LockedSuite", "SuiteBook", "check_suite"]


@dataclass(frozen=True, eq=False, slots=True)
class LockedSuite:
    """A suite with the hash that its records must carry.

    Attributes:
        suite: The suite.
        sha256: Hash of its lock.
        instances: Hash of every instance's data by (label of the problem, instance seed).
    """

    suite: Suite
    sha256: str
    instances: Mapping[tuple[str, int], str]
    _origins: dict[tuple[str, int], Origin] = field(default_factory=dict)

    @property
    def identity(self) -> dict[str, str]:
        """Name, version and hash, as records carry them."""
        return {"name": self.suite.name, "version": self.suite.version, "sha256": self.sha256}

    def origin(self, case: Case, seed: int) -> Origin:
        """Where an instance comes from, as the instance itself says: a problem may hand out another family's."""
        key = (case.label, seed)
        if key not in self._origins:
            self._origins[key] = case.instance(seed).origin
        return self._origins[key]

    def cells(self, case: Case) -> list[Cell]:
        """The suite's own cells on a problem."""
        return [cell for cell in self.suite.cells if cell.case is case]


@dataclass(frozen=True, eq=False, slots=True)
class SuiteBook:
    """Suites by name, read once; a record cannot make us read any other file.

    Args:
        extra: Suites beside those that come with optisolve, by name.
    """

    extra: Mapping[str, Suite] = field(default_factory=dict)
    _read: dict[str, LockedSuite] = field(default_factory=dict)

    def get(self, name: str) -> LockedSuite | None:
        """A suite; None when nobody here knows it.

        Raises:
            OptisolveError: The suite or its lock file cannot be used.
        """
        if name not in self._read:
            from optisolve.study.suite import list_suites, load_suite

            if name not in self.extra and name not in list_suites():
                return None
            suite = self.extra.get(name) or load_suite(name)
            self._read[name] = _locked(suite)
        return self._read[name]


def check_suite(record: Record, book: SuiteBook, found: Findings) -> None:
    """Check what the record says about its suite, before anything of the record is built.

    Args:
        record: A record of the right layout.
        book: Known suites.
        found: Gets the problems.
    """
    told = record.suite
    if not told.name:
        for key, value in told:
            if value:
                found.wrong(f"suite.{key}", value, "empty for a run that belongs to no suite")
        return
    try:
        locked = book.get(told.name)
    except OptisolveError as error:
        found.unchecked(f"suite '{told.name}' cannot be used here ({error})")
        return
    if locked is None and not told.sha256:  # an open suite pins nothing that could be compared
        return
    if locked is None:
        found.unchecked(f"suite '{told.name}' is not known here: its lock cannot be compared")
        return
    before = len(found.problems)
    for key in ("version", "sha256"):
        if getattr(told, key) != locked.identity[key]:
            found.wrong(
                f"suite.{key}", getattr(told, key), f"{locked.identity[key]}, the lock of suite {locked.suite.name} here"
            )
    if len(found.problems) > before:
        return
    case = _check_case(record, locked, found)
    if case is not None:
        _check_cell(record, locked, case, found)


def _locked(suite: Suite) -> LockedSuite:
    from optisolve.study.lock import lock_suite, read_lock

    lock = read_lock(suite) or lock_suite(suite).file
    hashes = {(label, int(seed)): sha256 for label, case in lock.problems.items() for seed, sha256 in case.instances.items()}
    return LockedSuite(suite, lock.sha256, hashes)


def _check_case(record: Record, locked: LockedSuite, found: Findings) -> Case | None:
    """The suite's problem that the record belongs to; its instance is named as the suite has it."""
    told, suite = record.suite, locked.suite
    for key in ("unit", "problem", "solver", "instance", "repetition"):
        if key not in told.model_fields_set:
            found.wrong(f"suite.{key}", None, "to be present in a record of a suite")
            return None
    case = next((case for case in suite.cases if case.label == told.problem), None)
    if case is None:
        found.wrong("suite.problem", told.problem, f"one of {', '.join(case.label for case in suite.cases)}")
        return None
    index = _index(told.instance, len(case.instances))
    if index is None:
        found.wrong("suite.instance", told.instance, f"a number from 0 to {len(case.instances) - 1}")
        return None
    seed = case.instances[index]
    origin = locked.origin(case, seed)
    for key, wanted in (("problem", origin.problem), ("version", origin.version), ("scenario", origin.scenario)):
        if (given := getattr(record.instance, key)) != wanted:
            found.wrong(f"instance.{key}", given, f"{wanted}, as in suite {suite.name}")
    if not same_setting(record.instance.params, dict(origin.params)):
        found.wrong("instance.params", "other parameters", f"those of {case.label} in suite {suite.name}")
    if record.instance.seed != seed:
        found.wrong("instance.seed", record.instance.seed, f"{seed}, instance {index} of {case.label}")
    digest = locked.instances.get((case.label, seed))
    if record.instance.sha256 != digest:
        found.wrong("instance.sha256", record.instance.sha256, f"{digest}, as in the lock")
    return case


def _check_cell(record: Record, locked: LockedSuite, case: Case, found: Findings) -> None:
    """Options, model, budget and seed: those of the suite for a solver it lists, its open budget for another one."""
    told, suite = record.suite, locked.suite
    cell = next((cell for cell in locked.cells(case) if cell.label == told.solver), None)
    budget = suite.budget_of(case) if cell is None else cell.budget
    repetitions = suite.repetitions if cell is None else cell.repetitions
    remembers = cell is not None and bool(cell.memory)  # what exactly is checked with the records of earlier steps beside it
    if record.notes and not remembers:
        found.wrong("notes", f"{len(record.notes)} notes", f"none: the runs of suite {suite.name} are told nothing")
    if record.warm_start is not None and not remembers:
        given = f"{len(record.warm_start)} points"
        found.wrong("warm_start", given, f"none: the runs of suite {suite.name} start from nothing")
    for name in type(record.budget).model_fields:
        limit = getattr(budget, name)
        if (stated := getattr(record.budget, name)) != limit:
            found.wrong(f"budget.{name}", stated, f"{limit}, as in suite {suite.name}")
    repetition = _index(told.repetition, repetitions)
    if repetition is None:
        found.wrong("suite.repetition", told.repetition, f"a number from 0 to {repetitions - 1}")
        return
    unit = unit_slug(f"{case.label}.{told.solver}.i{told.instance}.r{repetition}")
    if re.fullmatch(re.escape(unit) + "-[0-9a-f]{12}", told.unit) is None:
        found.wrong("suite.unit", told.unit, f"{unit}- and 12 hexadecimal digits")
    seed = suite.run_seed(case, record.instance.seed, repetition)
    if record.seed != seed:
        found.wrong("seed", record.seed, f"{seed}, repetition {repetition} on this instance")
    if cell is None:
        return
    solver = record.solver
    if solver.name != cell.solver.info.name:
        found.wrong("solver.name", solver.name, f"{cell.solver.info.name}, which suite {suite.name} calls {cell.label}")
    elif not same_setting(solver.options, cell.solver.options()):
        found.wrong("solver.options", "other options", f"those of {cell.label} in suite {suite.name}")
    provider = NoLlm.kind if solver.llm is None else solver.llm.provider
    if cell.llm is not None and provider != cell.llm.kind:
        found.wrong("solver.llm.provider", provider, f"{cell.llm.kind}, as in suite {suite.name}")


def _index(text: str, count: int) -> int | None:
    """A number below `count` written plainly, else None."""
    return int(text) if text.isdecimal() and len(text) < 6 and str(int(text)) == text and int(text) < count else None

"""The audit of a record: everything it says is derived again, in an order in which each step may trust the last."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optisolve.content import shipped_only
from optisolve.core.errors import FieldProblem, OptisolveError, RecordError, RegistryError, UnknownNameError
from optisolve.core.problem import Instance, Problem
from optisolve.core.reference import Effort
from optisolve.core.solver import Solver
from optisolve.core.text import is_safe_name
from optisolve.registry import OWN, PROBLEMS, SOLVERS, Registry
from optisolve.run.rebuild import rebuild
from optisolve.run.schema import SCHEMA, LayoutError, Record, Tier
from optisolve.run.untrusted import MAX_RECORD_BYTES, bounded_memory, printable, read_json, reason
from optisolve.study.loss import loss_of
from optisolve.trust.audit.beside import check_history, check_tables
from optisolve.trust.audit.findings import ELSEWHERE, Audit, Findings
from optisolve.trust.audit.points import check_instance, check_points, check_scores
from optisolve.trust.audit.references import ReferenceMaker, check_reference
from optisolve.trust.audit.solver import check_model, check_prompts, check_reproduction, check_solver, is_failure
from optisolve.trust.audit.suites import SuiteBook, check_suite
from optisolve.trust.audit.transcript import check_transcript
from optisolve.trust.audit.usage import check_budget, check_start, check_termination, check_trace
from optisolve.trust.statistical import SAME_LOSS, pair_of

__all__ = ["MOST_EVALUATIONS", "Auditor", "audit_record", "verify"]

MOST_EVALUATIONS = 10_000_000
"""Largest budget of a run that is repeated, so that a stranger's record cannot keep a machine busy for days."""


@dataclass(frozen=True, eq=False, slots=True)
class Auditor:
    """Audits records; one auditor for many records makes every reference and suite once.

    Args:
        problems: Where to find problems.
        solvers: Where to find solvers; None leaves the solver's version and options unchecked.
        references: Makes references again, and says at what effort.
        suites: Locks that records may name.
        reproduce: Run every record again; None means those that claim to be reproduced. Needs `solvers`.
        max_bytes: Largest record file, bytes.
    """

    problems: Registry[Problem]
    solvers: Registry[Solver] | None = None
    references: ReferenceMaker = field(default_factory=ReferenceMaker)
    suites: SuiteBook = field(default_factory=SuiteBook)
    reproduce: bool | None = None
    max_bytes: int = MAX_RECORD_BYTES

    def file(self, path: Path) -> Audit:
        """Audit a record's file with what stands beside it; never raises, whatever the file holds."""
        try:
            record = read_json(path, max_bytes=self.max_bytes)
        except RecordError as error:
            found = Findings()
            found.wrong("(file)", str(error).removeprefix(f"{printable(path)}: "), "a record.json that optisolve wrote")
            return found.audit(printable(path), printable(path))
        return self.record(record, folder=path.parent, where=printable(path))

    def record(self, record: object, *, folder: Path | None = None, where: str = "") -> Audit:
        """Audit a record in memory.

        Args:
            record: A record, or anything else that JSON can hold.
            folder: Where its transcript and tables stand; None leaves them out of the audit.
            where: File, for messages.
        """
        found = Findings()
        name = record.get("record_id") if isinstance(record, Mapping) else getattr(record, "record_id", None)
        try:
            with bounded_memory(), shipped_only():
                self._check(record if isinstance(record, Record) else Record.from_json(record), folder, found)
        except RecordError as error:
            for problem in error.problems if isinstance(error, LayoutError) else [FieldProblem("schema", str(error), SCHEMA)]:
                found.wrong(problem.field, problem.given, problem.expected)
        except MemoryError:
            found.wrong("instance.params", "parameters", "a case that fits into this machine's memory")
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError, RecursionError) as error:
            # Content of a plug-in's own (params, options, reports) reaches code that we do not know.
            found.wrong("(content)", reason(error), "values that the problem and the solver can read")
        known = str(name) if is_safe_name(name) else where or "(no usable record_id)"
        return found.audit(known, where)

    def _check(self, record: Record, folder: Path | None, found: Findings) -> None:
        _check_hashes(record, found)
        check_suite(record, self.suites, found)
        if any(p.field.startswith(("suite.", "instance.")) for p in found.problems):
            return  # nothing of a record is built that its suite does not hold
        rebuilt = self._rebuilt(record, found)
        if rebuilt is None:
            _check_claim(record, found)
            return
        problem, instance = rebuilt
        check_instance(record, instance, found)
        check_budget(record, found)
        check_start(record, instance, found)
        solver = None if self.solvers is None else check_solver(record, instance, self.solvers, found)
        if self.solvers is not None:
            check_reproduction(record, self.problems, self.solvers, found)
        check_prompts(record, found)
        check_model(record, found)
        if any(p.field.startswith(("instance.", "solutions.variables")) for p in found.problems):
            return  # points of another case say nothing
        self._check_points(record, problem, instance, solver, found)
        if folder is not None:
            check_tables(record, folder, found)
            check_history(record, instance, folder, found)
            if record.solver.llm is not None and not is_failure(record):
                check_transcript(record, folder, found)
        if not found.problems:
            self._reproduce(record, folder, found)
        _check_claim(record, found)

    def _rebuilt(self, record: Record, found: Findings) -> tuple[Problem, Instance] | None:
        told = record.instance
        try:
            return rebuild(record.instance, self.problems)
        except (UnknownNameError, RegistryError) as error:
            known = isinstance(error, UnknownNameError) or told.problem == OWN
            why = "is not installed here" if known else f"cannot be loaded here ({error})"
            found.unchecked(f"problem '{told.problem}' {why}: nothing but the hashes can be checked{_cure(record)}")
            return None
        except OptisolveError as error:
            field_name = "instance.version" if "problem version" in str(error) else "instance"
            given = told.version if field_name == "instance.version" else told.scenario
            found.wrong(field_name, given, f"a case that this version can rebuild ({error})")
            return None

    def _check_points(
        self, record: Record, problem: Problem, instance: Instance, solver: Solver | None, found: Findings
    ) -> None:
        actual = check_points(record, instance, found)
        scores = check_scores(record, instance, actual, found)
        ours = solver is not None and type(solver).__module__.partition(".")[0] == "optisolve"
        check_termination(record, instance, scores["objective"], found)
        everything = solver is not None and solver.info.keeps_best and record.budget.points is None
        check_trace(record, instance, scores, archived=ours and everything, found=found)
        check_reference(record, problem, instance, actual, self.references, found)

    def _reproduce(self, record: Record, folder: Path | None, found: Findings) -> None:
        asked = record.provenance.tier in (Tier.REPRODUCED, Tier.REPLAYED) if self.reproduce is None else self.reproduce
        if not asked or (found.tier is Tier.SELF_REPORTED and not found.undecided) or self.solvers is None:
            return
        limit = record.budget.evaluations
        if limit is None or limit > MOST_EVALUATIONS:
            found.notes.append(f"not run again: budget.evaluations = {limit}; at most {MOST_EVALUATIONS:,} are repeated")
            return
        from optisolve.trust.remake import Match, repeated
        from optisolve.trust.replay import tier_of

        try:
            again = repeated(record, folder, problems=self.problems, solvers=self.solvers)
        except OptisolveError as error:
            found.notes.append(f"not run again: {printable(error)}")
            return
        found.made = loss_of(again.record).value
        on = f" on the kernels that it names, {again.kernels}" if again.kernels else ""
        if again.match is Match.DIFFERENT:
            found.wrong(
                "result_hash", record.result_hash, f"{again.record.result_hash}, as a second run gives{on} ({again.reason})"
            )
        elif again.match is Match.PLATFORM:
            found.undecided = True
            found.pair = pair_of(record, again.record)
            found.notes.append(printable(f"{ELSEWHERE}, which neither shows nor refutes it ({again.reason})"))
        else:
            found.tier = tier_of(record)
            notes = {
                Match.SAME: f"another platform: a second run gives the same{on}" if on else "",
                Match.ROUNDING: f"another platform: a second run{on} agrees up to rounding ({again.reason})",
                Match.AGREES: f"another platform, reproduced statistically: the same loss to {SAME_LOSS:g} ({again.reason})",
            }
            found.notes += filter(None, [printable(notes[again.match])])


def audit_record(record: Record | Mapping[str, Any], problems: Registry[Problem]) -> Audit:
    """Re-derive everything that a record in memory claims.

    Args:
        record: A record or a parsed document; any content is accepted, malformed ones fail the audit.
        problems: Where to find the problem's class.

    Returns:
        The audit. Instance, points, objectives, feasibility and scores are recomputed with the numpy twin.
    """
    return Auditor(problems).record(record)


def _cure(record: Record) -> str:
    """How a record of somebody's own file is checked by whoever has that file."""
    file = record.provenance.files.get("problem")
    return "" if file is None else f"; with its file, as it was then, the rest is checked too: problem={printable(file.name)}"


def _check_hashes(record: Record, found: Findings) -> None:
    sealed = record.sealed()
    for name, given, wanted in (
        ("provenance.run_id", record.provenance.run_id, sealed.provenance.run_id),
        ("result_hash", record.result_hash, sealed.result_hash),
        ("record_id", record.record_id, sealed.record_id),
    ):
        if given != wanted:
            found.wrong(name, given, f"{wanted} (hash of the content)")


def _check_claim(record: Record, found: Findings) -> None:
    """A record may claim less than what was shown, never more."""
    claimed = record.provenance.tier
    if claimed.rank > found.tier.rank and not (found.undecided and claimed.rank <= Tier.REPRODUCED.rank):
        why = f" ({'; '.join(found.notes)})" if found.notes else ""
        found.wrong("provenance.tier", claimed.value, f"at most '{found.tier.value}', which is what was shown{why}")


def verify(
    record: Record | Mapping[str, Any] | str | os.PathLike[str],
    *,
    reproduce: bool | None = None,
    effort: str | None = "quick",
    problem: Problem | str | None = None,
) -> Audit:
    """Check a record against independent code: layout, hashes, instance, points, scores, reference, usage, suite.

    Args:
        record: A record, its file, or its folder. Only a file is checked with what stands beside it (transcript, tables).
        reproduce: Run it again and compare ``result_hash``; None does so when the record claims to be reproduced.
        effort: Most work spent on making its reference again: ``"quick"``, ``"normal"``, ``"thorough"``, or None for none.
        problem: The problem that it is about, where it is none that is installed: itself, or ``FILE.py:NAME``.

    Returns:
        The audit; it is true when nothing was found, and tells the tier that was shown.

    Raises:
        RecordError: There is no such file.
    """
    references = ReferenceMaker(None if effort is None else Effort(effort))
    auditor = Auditor(PROBLEMS if problem is None else PROBLEMS.beside(problem), SOLVERS, references, reproduce=reproduce)
    if isinstance(record, Record | Mapping):
        return auditor.record(record)
    path = Path(record)
    file = path / "record.json" if path.is_dir() else path
    if not file.exists():
        raise RecordError(f"{file}: does not exist. Give a record.json or the folder that holds it.")
    return auditor.file(file)

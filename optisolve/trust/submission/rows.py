"""Rows of tables in a submission: taken apart into a file each, audited by making the run again, compared with their base.

A row holds when a second run gives it, and an audit of the full record of that run finds nothing. Where the second run ends
elsewhere and the row names other kernels, the run is made on those; where this processor does not have them, the row holds if
its loss is the same. Else it is self-reported, since nobody has seen its points: its full record, or a table made here, shows
more.

Where the suite names times, a row keeps what its run knew by then. Values and evaluations there are held against the second
run; the seconds are those of whoever ran it, which nobody can show.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from optisolve.content import shipped_only
from optisolve.core.errors import FieldProblem, OptisolveError, RecordError
from optisolve.core.text import is_safe_name
from optisolve.numerics.indicators import score
from optisolve.registry import SOLVERS
from optisolve.run.rebuild import rebuild
from optisolve.run.schema import Record
from optisolve.run.table import Row, Table, content_of, known_at, light
from optisolve.run.untrusted import bounded_memory, printable, read_bytes, read_json, reason
from optisolve.study.loss import loss_of
from optisolve.trust.audit import Audit, Auditor, Tier
from optisolve.trust.audit.auditor import MOST_EVALUATIONS
from optisolve.trust.audit.findings import ELSEWHERE, Findings
from optisolve.trust.audit.solver import check_reproduction
from optisolve.trust.audit.suites import check_suite
from optisolve.trust.board import Located
from optisolve.trust.remake import Match, Remade, filled, remake
from optisolve.trust.replay import tier_of
from optisolve.trust.statistical import SAME_LOSS, Pair, pair_of, refuted
from optisolve.trust.submission.bundle import read_transcripts
from optisolve.trust.submission.rules import LIMITS, RECORDS, TRANSCRIPTS

__all__ = ["ELSEWHERE", "MADE", "ROW", "RowAuditor", "check_repetitions", "read_row", "row_changes", "taken_apart"]

ROW = "row.json"
"""A row taken out of its table, in the folder of its record; made by the gate and no part of any submission."""


MADE = "made.json"
"""The full record of a row whose second run has shown it, beside the row; made by the gate, too."""


def taken_apart(table: Path) -> list[Row]:
    """The rows of a table; each is also written, with its transcript, to where its full record would stand beside the table.

    Raises:
        RecordError: The table or the file of transcripts beside it cannot be used.
    """
    rows, beside = Table.read(table, max_bytes=LIMITS.record).rows, table.with_name(TRANSCRIPTS)
    transcripts = {}
    if beside.is_file():
        transcripts = read_transcripts(read_bytes(beside, max_bytes=LIMITS.transcript), where=printable(beside))
    unknown = sorted(set(transcripts) - {row.record.record_id for row in rows if row.record.solver.llm is not None})
    if unknown:
        raise RecordError(f"{printable(beside)}: {unknown[0]} is no row that asked a language model.")
    for row in rows:
        folder = table.parent / row.record.record_id
        folder.mkdir(parents=True, exist_ok=True)
        told = {"content": row.content, "record": row.record.to_json()}
        (folder / ROW).write_text(json.dumps(told), encoding="utf-8")
        if row.record.record_id in transcripts:
            (folder / "transcript.jsonl").write_text(transcripts[row.record.record_id], encoding="utf-8")
    return list(rows)


def read_row(path: Path) -> Row:
    """Read what `write_row` wrote.

    Raises:
        RecordError: It is no row.
    """
    told = read_json(path)
    return Row(Record.from_json(told["record"], where=printable(path)), str(told["content"]))


def row_changes(before: Iterable[Row], after: Iterable[Row], current: str) -> tuple[list[Row], list[FieldProblem]]:
    """What a submission changes in a table.

    Args:
        before: Rows of the base.
        after: Rows of the head.
        current: Hash of the suite's lock; rows of an older lock may go.

    Returns:
        The new rows, and a problem for every published row that was changed or removed.
    """
    kept = {row.record.record_id: row for row in after}
    known, problems = {row.record.record_id: row for row in before}, []
    for name, row in known.items():
        now = kept.get(name)
        if now is None and row.record.suite.sha256 == current:
            problems.append(FieldProblem(name, "a removal", "additions only; published rows stay as they are"))
        elif now is not None and (now.record, now.content) != (row.record, row.content):
            problems.append(FieldProblem(name, "a change", "additions only; published rows stay as they are"))
    return [row for name, row in kept.items() if name not in known], problems


@dataclass(frozen=True, eq=False, slots=True)
class RowAuditor(Auditor):
    """Audits rows: the run is made again, and the full record that follows is audited with the row's claims in it.

    Args:
        keep: Write the full record of a row that was shown beside it, as `MADE`.
    """

    keep: bool = False

    def file(self, path: Path) -> Audit:
        """Audit a row's file; never raises, whatever the file holds."""
        try:
            row = read_row(path)
        except (RecordError, KeyError, TypeError) as error:
            found = Findings()
            found.wrong("(row)", printable(error), "a row of a table that optisolve wrote")
            return found.audit(printable(path), printable(path))
        return self._row(row, path.parent, printable(path))

    def _row(self, row: Row, folder: Path, where: str) -> Audit:
        told, found = row.record, Findings()
        name = told.record_id if is_safe_name(told.record_id) else where
        check_suite(told, self.suites, found)
        if not told.suite.name:
            found.wrong("suite.name", "", "a suite: a row is made again from its lock")
        check_reproduction(told, self.problems, self.solvers or SOLVERS, found)
        _check_curve(told, self._marks_ms(told), found)
        made = None if found.problems else self._remade(row, folder, found)
        if made is None:
            return found.audit(name, where)
        ended_elsewhere = made.match in (Match.AGREES, Match.PLATFORM)
        full = self._measured(made.record, told) if ended_elsewhere else made.record
        audit = replace(self, reproduce=False).record(full.with_provenance(tier=Tier.VERIFIED), folder=folder, where=where)
        undecided = made.match is Match.PLATFORM or audit.tier is Tier.SELF_REPORTED
        shown = Tier.SELF_REPORTED if undecided else tier_of(told)
        pair = pair_of(told, full) if made.match is Match.PLATFORM else None
        told_all = (*found.notes, *audit.notes)
        if self.keep and not ended_elsewhere and not audit.problems:
            (folder / MADE).write_bytes(filled(told, made.record).to_bytes())
        return replace(audit, record_id=name, tier=shown, notes=told_all, pair=pair, made=loss_of(full).value)

    def _marks_ms(self, told: Record) -> list[float]:
        """Times whose rows of the curve a row of this suite keeps."""
        try:
            locked = self.suites.get(told.suite.name)
        except OptisolveError:  # told with the suite's own check
            return []
        return [] if locked is None else locked.suite.columns.loss_at_ms

    def _measured(self, again: Record, told: Record) -> Record:
        """A run that ended elsewhere, with its own distance to the front that the row was measured to."""
        if told.scores.igd_plus is None:
            return again
        problem, instance = rebuild(again.instance, self.problems)
        F = np.array(again.verified.F, dtype=np.float64)[again.verified.feasible]
        made = next((self.references.make(problem, instance, effort) for effort in reversed(self.references.efforts)), None)
        distance = score(instance, F, made)["igd_plus"]
        return again.model_copy(update={"scores": again.scores.model_copy(update={"igd_plus": distance})})

    def _remade(self, row: Row, folder: Path, found: Findings) -> Remade | None:
        """The second run, if it shows the row; else `found` says why not."""
        told, limit = row.record, row.record.budget.evaluations
        if limit is None or limit > MOST_EVALUATIONS:
            found.unchecked(f"not run again: budget.evaluations = {limit}; at most {MOST_EVALUATIONS:,} are repeated")
            return None
        try:
            with bounded_memory(), shipped_only():
                made = remake(told, folder, problems=self.problems, solvers=self.solvers or SOLVERS)
        except MemoryError:
            found.wrong("instance.params", "parameters", "a case that fits into this machine's memory")
            return None
        except OptisolveError as error:
            found.unchecked(f"not run again: {error} A row whose run cannot be made again needs its full record")
            return None
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError, RecursionError) as error:
            found.wrong("(content)", reason(error), "values that the problem and the solver can read")
            return None
        on = f" on the kernels that it names, {made.kernels}" if made.kernels else ""
        again = f"as a second run gives{on} ({made.reason})" if made.reason else f"as a second run gives{on}"
        if made.match is Match.PLATFORM:
            found.notes.append(printable(f"{ELSEWHERE}, which neither shows nor refutes it ({made.reason})"))
            return made
        if made.match is Match.AGREES:
            reached = f"a second run ends elsewhere here and reaches the same loss to {SAME_LOSS:g}"
            found.notes.append(printable(f"another platform, reproduced statistically: {reached} ({made.reason})"))
            return made
        if made.kernels and made.match is not Match.DIFFERENT:
            found.notes.append(f"another platform: made again on the kernels that it names ({made.kernels})")
        if made.match is Match.ROUNDING:
            found.notes.append(f"another platform: a second run agrees up to rounding ({made.reason})")
            return made
        if made.match is Match.DIFFERENT and made.record.result_hash == told.result_hash:
            found.wrong("(row)", made.reason, "what its result_hash covers: a second run has the hash and other values")
        elif made.match is Match.DIFFERENT:
            found.wrong("result_hash", told.result_hash, f"{made.record.result_hash}, {again}")
        elif content_of(made.record) != row.content:
            found.wrong("content", row.content, f"{content_of(made.record)}, {again}")
        return None if found.problems else made


def _check_curve(told: Record, marks_ms: list[float], found: Findings) -> None:
    """The part of the curve that a row keeps: just what was known at the suite's times, later never less.

    Whether the run's curve has these values is for the second run to say.
    """
    rows = told.trace
    if light(told, known_at(told, marks_ms)).trace != rows:
        at = ", ".join(f"{mark:g}" for mark in marks_ms)
        expected = f"the last row of the curve{f' and the last ones by {at} ms' if at else ''}"
        found.wrong("trace", f"rows at {', '.join(str(row[0]) for row in rows[:10])} evaluations", expected)
    rises = len(told.verified.objectives) > 1 or any(own.sense == "maximize" for own in told.verified.objectives)
    for (count, seconds, value, _), row in pairwise(rows):
        if row[0] <= count or row[1] < seconds:
            found.wrong("trace", row, f"more evaluations than {count}, and no fewer seconds than {seconds}")
        if value is None:
            continue
        lost = float("inf") if row[2] is None else (value - row[2]) * (1.0 if rises else -1.0)
        if lost > 1e-12 * max(1.0, abs(value)):  # sums of areas round
            found.wrong("trace", row, f"a best value no worse than {value}, which was known before")


def check_repetitions(located: Iterable[Located], audits: Mapping[str, Audit]) -> list[FieldProblem]:
    """Published rows whose runs end elsewhere here: what an entry reached is compared over its repetitions.

    Args:
        located: All rows and records.
        audits: Their audits, by path.
    """
    pairs: dict[tuple[str, str, str], list[Pair]] = {}
    made: dict[tuple[str, str, str], dict[str, list[float]]] = {}
    for item in located:
        audit = audits.get(f"{RECORDS}/{item.path}")
        if audit is None or audit.made is None:
            continue
        entry = (item.suite, item.submitter, item.label)
        made.setdefault(entry, {}).setdefault(item.record.suite.problem, []).append(audit.made)
        if audit.pair is not None:
            pairs.setdefault(entry, []).append(audit.pair)
    found = []
    for (suite, submitter, label), own in sorted(pairs.items()):
        if why := refuted(own, made[suite, submitter, label]):
            where = f"{RECORDS}/{suite}/{submitter}: solver {label}"
            found.append(FieldProblem(where, why, "what another platform can make of the same runs"))
    return found

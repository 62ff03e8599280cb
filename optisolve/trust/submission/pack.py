"""From the records of a suite to the files of a submission."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from optisolve.core.documents import write_atomic
from optisolve.core.errors import FieldProblem, OptionError, OptisolveError, RecordError
from optisolve.core.reference import Effort
from optisolve.llm.config import SurrogateLlm
from optisolve.registry import PROBLEMS, SOLVERS
from optisolve.run.records import iter_records
from optisolve.run.schema import Record
from optisolve.run.table import Row, Table
from optisolve.run.untrusted import printable, read_bytes, read_json
from optisolve.trust.audit import AUDIT_LIMITS, Audit, AuditLimits, Auditor, ReferenceMaker, SuiteBook, Tier, audits
from optisolve.trust.audit.suites import LockedSuite
from optisolve.trust.board import build_board, read_located
from optisolve.trust.submission.bundle import read_transcripts, transcripts_bytes, write_archive
from optisolve.trust.submission.rules import DESCRIPTION, LIMITS, ROWS, SCHEMA, SUBMITTER, TRANSCRIPTS, check_description

__all__ = ["Packed", "pack", "write_table"]


@dataclass(frozen=True, slots=True)
class Packed:
    """What was packed.

    Attributes:
        folder: ``SUITE/SUBMITTER`` with its files.
        written: Records written, as rows of the table or as files.
        known: Records that were there already.
        other: Records of other suites or solvers, left out.
        files: How many of them could not become rows.
    """

    folder: Path
    written: int
    known: int
    other: int
    files: int


def pack(
    runs: Iterable[Path],
    target: Path,
    *,
    suite: str,
    submitter: str,
    title: str,
    solver: str = "",
    tier: Tier = Tier.REPRODUCED,
    book: SuiteBook | None = None,
    workers: int = 1,
    guard: AuditLimits | None = AUDIT_LIMITS,
    archive: Path | None = None,
    full: bool = False,
    on_audit: Callable[[int, int], object] | None = None,
) -> Packed:
    """Audit records and bring them, with the transcripts of language models, to where a submission has them.

    Records that were reproduced or replayed become rows of ``table.json``, since anybody can make them again; others are
    written as they are.

    Args:
        runs: Records, or folders with records.
        target: ``benchmarks/records`` of a checkout.
        suite: Name of the suite; records of other suites are left out.
        submitter: User name, lower case.
        title: What is submitted, one line.
        solver: Label within the suite; "" takes all.
        tier: What the records are to claim. REPRODUCED runs every one of them again, here and in the gate; those whose
            replies of a language model come from a transcript claim REPLAYED then.
        book: Suites; None means those that come with optisolve.
        workers: Processes that audit.
        guard: What the audit of one record may take; None audits in this process, without limits.
        archive: Folder that gets the full records of the table in one compressed file; its hash goes into the table.
        full: Write every record as it is and no table.
        on_audit: Called after every audit with how many are done and how many there will be.

    Raises:
        OptionError: A name that does not fit.
        RecordError: No record of the suite, or records that do not hold; nothing is written then.
    """
    _require(submitter, title)
    suites = SuiteBook() if book is None else book
    locked = suites.get(suite)
    if locked is None:
        raise OptisolveError(f"Suite '{printable(suite)}' is not known here; see: optisolve bench")
    efforts = [case.effort for case in locked.suite.cases if case.effort is not None]
    references = ReferenceMaker(max([Effort.QUICK, *efforts], key=list(Effort).index))
    auditor = Auditor(PROBLEMS, SOLVERS, references, suites, reproduce=tier is Tier.REPRODUCED)
    folder, other = target / suite / submitter, 0
    wanted: list[Path] = []
    for file in (file for path in runs for file in iter_records(path)):
        record = _readable(file)
        if record is not None and (record.suite.name != suite or solver not in ("", record.suite.solver)):
            other += 1
        else:
            wanted.append(file)
    audited: list[Audit] = []
    for audit in audits(auditor, wanted, workers=workers, limits=guard):
        audited.append(_enough(audit, tier))
        if on_audit is not None:
            on_audit(len(audited), len(wanted))
    chosen = [file for file, audit in zip(wanted, audited, strict=True) if audit]
    refused = [audit for audit in audited if not audit]
    if refused:
        raise RecordError("\n".join([f"{len(refused)} record(s) cannot be submitted:", *map(str, refused)]))
    if not chosen:
        raise RecordError(f"No record of suite {suite}{f' and solver {solver}' if solver else ''} at or below these paths.")
    shown = [min(tier, audit.tier, key=lambda t: t.rank) for audit in audited if audit]
    records = [(_claiming(file, claim), file.parent) for file, claim in zip(chosen, shown, strict=True)]
    repeated = [] if full else [item for item in records if item[0].provenance.tier.rank >= Tier.REPLAYED.rank]
    others = [item for item in records if item not in repeated]
    fresh = _write_rows(repeated, folder, locked, archive) if repeated else 0
    fresh += (files := sum(_write(record, parent, folder) for record, parent in others))
    _describe(folder / DESCRIPTION, submitter, title)
    return Packed(folder, fresh, len(chosen) - fresh, other, files)


def write_table(records: Path, table: Path, book: SuiteBook | None = None) -> bool:
    """Rebuild the ranking from a checkout's records; False when it was right already."""
    wanted = build_board(read_located(records), SuiteBook() if book is None else book).to_bytes()
    if table.is_file() and table.read_bytes() == wanted:
        return False
    table.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(table, wanted)
    return True


def _require(submitter: str, title: str) -> None:
    found = []
    if not SUBMITTER.fullmatch(submitter):
        found.append(FieldProblem("--submitter", submitter, "a user name: lower case, digits, '-', at most 39 characters"))
    if not title.strip() or not title.isprintable() or len(title) > 1000:
        found.append(FieldProblem("--title", title, "one line that says what is submitted"))
    if found:
        raise OptionError("The submission", found)


def _readable(file: Path) -> Record | None:
    """A record whose suite can be asked for; None leaves the answer to the audit."""
    try:
        return Record.from_json(read_json(file))
    except RecordError:
        return None


def _enough(audit: Audit, tier: Tier) -> Audit:
    """Refuse a record of which less was shown than it is to claim."""
    wanted = Tier.REPLAYED if tier is Tier.REPRODUCED else tier
    if not audit or audit.tier.rank >= wanted.rank:
        return audit
    expected = (
        f"'{tier.value}' ({'; '.join(audit.notes) or 'not shown'}); submit with --tier {audit.tier.value.replace('_', '-')}"
    )
    problem = FieldProblem("provenance.tier", audit.tier.value, expected)
    return replace(audit, problems=(problem,))


def _claiming(file: Path, tier: Tier) -> Record:
    """A record with its new claim."""
    return Record.from_json(read_json(file), where=printable(file)).with_provenance(tier=tier)


def _write_rows(records: Sequence[tuple[Record, Path]], folder: Path, locked: LockedSuite, archive: Path | None) -> int:
    """Add records to the table of a submission; rows of an older lock go. Returns how many are new.

    A run that is there already, under any clock, stays as it was published.
    """
    table, transcripts = folder / ROWS, folder / TRANSCRIPTS
    old = Table.read(table).rows if table.is_file() else ()
    rows = [row for row in old if row.record.suite.sha256 == locked.sha256]
    known = {row.record.result_hash for row in rows}
    texts = read_transcripts(read_bytes(transcripts, max_bytes=LIMITS.transcript)) if transcripts.is_file() else {}
    fresh = [(record, parent) for record, parent in records if record.result_hash not in known]
    texts |= {record.record_id: told for record, parent in fresh if (told := _transcript(record, parent))}
    rows += [Row.of(record, locked.suite.columns.loss_at_ms) for record, _ in fresh]
    ids = {row.record.record_id for row in rows}
    texts = {name: told for name, told in texts.items() if name in ids}
    folder.mkdir(parents=True, exist_ok=True)
    kept = None
    if archive is not None:
        kept = write_archive(
            {record.record_id: _files(record, parent) for record, parent in records}, archive, locked.suite.name
        )
    elif not fresh and table.is_file():
        kept = Table.read(table).archive
    write_atomic(table, Table.of(rows, kept).to_bytes())
    if texts:
        write_atomic(transcripts, transcripts_bytes(texts))
    else:
        transcripts.unlink(missing_ok=True)
    return len(fresh)


def _transcript(record: Record, parent: Path) -> str:
    """The transcript that a second run needs; the surrogate's is left out, since it answers the same again."""
    file, model = parent / "transcript.jsonl", record.solver.llm
    asked = model is not None and model.provider != SurrogateLlm.kind
    return file.read_text(encoding="utf-8") if asked and file.is_file() else ""


def _files(record: Record, parent: Path) -> dict[str, bytes]:
    told = _transcript(record, parent)
    return {"record.json": record.to_bytes(), **({"transcript.jsonl": told.encode()} if told else {})}


def _write(record: Record, parent: Path, folder: Path) -> bool:
    """Write one record as it is; False when it is there already."""
    target = folder / record.record_id
    if (target / "record.json").is_file():
        return False
    target.mkdir(parents=True, exist_ok=True)
    for name, data in sorted(_files(record, parent).items(), reverse=True):  # the record last
        write_atomic(target / name, data)
    return True


def _describe(path: Path, submitter: str, title: str) -> None:
    """Write the description unless there is one; published descriptions stay as they are."""
    if path.is_file():
        found = check_description(read_json(path, max_bytes=65_536), submitter)
        if found:
            raise OptionError(str(path), found)
        return
    body = {"schema": SCHEMA, "submitter": submitter, "title": title.strip()}
    write_atomic(path, json.dumps(body, indent=1, ensure_ascii=False).encode() + b"\n")

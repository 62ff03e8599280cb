"""The gate of the leaderboard: everything that happens to a pull request, in one function.

It reads two commits of a repository, and runs nothing of either: code, suites and locks are those of this installation.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optisolve.core.documents import JsonObject, canonical
from optisolve.core.errors import FieldProblem, OptisolveError, RecordError
from optisolve.core.reference import Effort
from optisolve.core.text import plain_slug
from optisolve.registry import PROBLEMS, SOLVERS
from optisolve.run.schema import Record
from optisolve.run.untrusted import printable, strict_json
from optisolve.study.lock import parse_part
from optisolve.trust.audit import AUDIT_LIMITS, Audit, AuditLimits, Auditor, ReferenceMaker, SuiteBook, Tier, audits
from optisolve.trust.board import Board, Located, build_board, slots_of
from optisolve.trust.submission.duplicates import duplicates
from optisolve.trust.submission.export import export_records
from optisolve.trust.submission.rows import ELSEWHERE, ROW, RowAuditor, check_repetitions, read_row
from optisolve.trust.submission.rules import (
    DESCRIPTION,
    EXPLANATION,
    LIMITS,
    RECORDS,
    ROWS,
    TABLE,
    TRANSCRIPTS,
    Limits,
    Place,
    check_changes,
    check_description,
    place_of,
)
from optisolve.trust.submission.tables import Rows, rows_of
from optisolve.trust.submission.tree import File, Tree, changed_paths

__all__ = ["Verdict", "check_submission"]


@dataclass(slots=True)
class Verdict:
    """What the gate says.

    Attributes:
        problems: Why the submission is refused; none when it is accepted.
        notes: What a reader should know although it is accepted.
        audits: Audit of every new record, by path.
        before: The table of the base.
        after: The table rebuilt from the head.
        checked: New records.
        elsewhere: How many of them come from another platform and hold.
        submitters: Who submits.
    """

    problems: list[FieldProblem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    audits: dict[str, Audit] = field(default_factory=dict)
    before: Board | None = None
    after: Board | None = None
    checked: int = 0
    elsewhere: int = 0
    submitters: tuple[str, ...] = ()

    @property
    def accepted(self) -> bool:
        """Nothing speaks against it."""
        return not self.problems


def check_submission(
    head: Tree,
    base: Tree | None = None,
    *,
    book: SuiteBook | None = None,
    author: str = "",
    limits: Limits = LIMITS,
    export: Path | None = None,
    archives: Sequence[Path] = (),
    workers: int = 1,
    guard: AuditLimits | None = AUDIT_LIMITS,
    sample: int | None = None,
    on_audit: Callable[[int, int], object] | None = None,
) -> Verdict:
    """Check what a commit adds to the leaderboard.

    Args:
        head: The commit.
        base: What it is compared with; None checks every record of `head`.
        book: Suites; None means those that come with optisolve.
        author: User name of whoever sends it; "" lets anybody submit for anybody.
        limits: Sizes.
        export: Empty folder that gets the head's records when they are accepted, e.g. to build a site from them; a row whose
            run was made again is a full record there.
        archives: Folders in which the export looks for the archives that tables name; full records come out of them, too.
        workers: Processes that audit.
        guard: What the audit of one record may take; None audits in this process, without limits.
        sample: Without a base, how many rows of every table are made again; None for all. The commit's name draws them.
        on_audit: Called after every audit with how many are done and how many there will be.

    Returns:
        The verdict; its `after` is the table that the head must hold.

    Raises:
        OptisolveError: The head does not contain the base, or git fails.
    """
    if base is not None and not head.contains(base):
        raise OptisolveError("The submission does not contain the newest state of the leaderboard; rebase it and pack again.")
    suites, verdict = SuiteBook() if book is None else book, Verdict()
    files = head.files(RECORDS, TABLE.rpartition("/")[0])
    if base is None:
        changes = {path: "A" for path in files if path.startswith(f"{RECORDS}/") and path != EXPLANATION}
    else:
        changes = changed_paths(base, head)
    verdict.problems += check_changes(changes, files, limits, whole=base is None)
    if verdict.problems:
        return verdict  # nothing was read so far, and nothing will be
    added = [path for path in sorted(changes) if path.startswith(f"{RECORDS}/")]
    verdict.submitters = tuple(sorted({place.submitter for path in added if (place := place_of(path))}))
    verdict.problems += _unknown_suites(added, suites)
    if verdict.problems:
        return verdict
    if author and verdict.submitters and verdict.submitters != (author.lower(),):
        verdict.problems.append(FieldProblem("(submission)", ", ".join(verdict.submitters), f"your own name, {author.lower()}"))
    with tempfile.TemporaryDirectory(prefix="optisolve-submission-") as scratch:
        root = Path(scratch)
        _extract(head, files, added, root, limits)
        rows = rows_of(head, base, files, root, suites, sample)
        verdict.problems += rows.problems
        if verdict.problems:
            return verdict
        added = sorted([*added, *rows.fresh])
        stale = set() if base is not None else _stale(added, root, suites, verdict)
        fresh = [path for path in added if path not in stale]
        places = {**{path: place for path in files if (place := place_of(path))}, **rows.places}
        verdict.audits = _audited(fresh, places, root, suites, workers, guard, on_audit, keep=export is not None)
        located = _checked(fresh, places, rows, root, suites, verdict, whole=base is None)
        shown = {path for path, audit in verdict.audits.items() if audit.tier is Tier.REPRODUCED}
        replayed = {path for path, audit in verdict.audits.items() if audit.tier is Tier.REPLAYED}
        verdict.problems += duplicates(located, set(added), shown, replayed)
        _check_entries(located, added, files, suites, verdict)
        if verdict.problems:
            return verdict
        verdict.after = build_board(located, suites)
        try:
            verdict.before = None if base is None else _table_of(base)
        except RecordError as error:  # of another layout, say
            verdict.notes.append(f"what changes in the ranking cannot be told: {error}")
        _check_table(head, files, verdict.after.to_bytes(), verdict)
        if export is not None and verdict.accepted:
            export_records(root, export, archives)
    return verdict


def _extract(head: Tree, files: Mapping[str, File], added: Iterable[str], root: Path, limits: Limits) -> None:
    """Write plain files of checked name and size into an empty folder; transcripts only of new records."""
    new = set(added)
    wanted: list[tuple[File, Place]] = []
    for path, file in files.items():
        place = place_of(path)
        usable = place is not None and file.mode == "100644" and file.size <= limits.of(place.name)
        if usable and place is not None and (path in new or place.name in ("record.json", ROWS, TRANSCRIPTS)):
            wanted.append((file, place))
    for (_, place), (_, data) in zip(wanted, head.read(file for file, _ in wanted), strict=True):
        target = root / place.suite / place.submitter / place.folder / place.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def _unknown_suites(added: Iterable[str], suites: SuiteBook) -> list[FieldProblem]:
    """A suite that nobody here knows has no lock to compare with, and nothing of its records is read."""
    names = sorted({place.suite for path in added if (place := place_of(path))})
    expected = "a suite of this installation; optisolve bench lists them"
    return [FieldProblem(f"{RECORDS}/{name}", name, expected) for name in names if suites.get(name) is None]


def _audited(
    added: Sequence[str],
    places: Mapping[str, Place],
    root: Path,
    suites: SuiteBook,
    workers: int,
    guard: AuditLimits | None,
    on_audit: Callable[[int, int], object] | None,
    *,
    keep: bool,
) -> dict[str, Audit]:
    """Audits of all new records and rows, by path; `keep` leaves the full records of rows beside them."""
    references = ReferenceMaker(_effort({places[path].suite for path in added if path in places}, suites))
    found: dict[str, Audit] = {}
    whole = Auditor(PROBLEMS, SOLVERS, references, suites, max_bytes=LIMITS.record)
    rows = RowAuditor(PROBLEMS, SOLVERS, references, suites, max_bytes=LIMITS.record, keep=keep)
    for name, auditor in (("record.json", whole), (ROW, rows)):
        own = [path for path in added if path in places and places[path].name == name]
        files = [_file(root, places[path]) for path in own]
        for path, audit in zip(own, audits(auditor, files, workers=workers, limits=guard), strict=True):
            found[path] = audit
            if on_audit is not None:
                on_audit(len(found), len(added))
    return found


def _file(root: Path, place: Place) -> Path:
    return root / place.suite / place.submitter / place.folder / place.name


def _checked(
    added: Sequence[str],
    places: Mapping[str, Place],
    rows: Rows,
    root: Path,
    suites: SuiteBook,
    verdict: Verdict,
    *,
    whole: bool,
) -> list[Located]:
    """Read all records and rows, the new ones if their audit found nothing; problems are named by path."""
    located, new = [], set(added)
    for path, place in sorted(places.items()):
        file = _file(root, place)
        if path in new:
            problems = _check_file(path, place, file, suites, verdict, whole=whole)
            verdict.problems += [FieldProblem(f"{path}: {p.field}", p.given, p.expected) for p in problems]
            if problems:
                continue
        if place.name in ("record.json", ROW):
            short = path.removeprefix(f"{RECORDS}/")
            located.append(Located(short, place.suite, place.submitter, _record(file), rows.contents.get(path)))
    if whole:
        verdict.problems += check_repetitions(located, verdict.audits)
    return located


def _record(file: Path) -> Record:
    """The record of its file, or of a row's."""
    return read_row(file).record if file.name == ROW else Record.from_json(strict_json(file.read_bytes()))


def _stale(added: Iterable[str], root: Path, suites: SuiteBook, verdict: Verdict) -> set[str]:
    """Published records of an older lock; they were checked when they came, and newer code cannot check them again."""
    found = set()
    for path in added:
        suite, _, rest = path.removeprefix(f"{RECORDS}/").partition("/")
        locked = suites.get(suite) if rest.endswith(("/record.json", f"/{ROW}")) else None
        if locked is None:
            continue
        try:
            sha256 = _record(root / suite / rest).suite.sha256
        except (OptisolveError, ValueError, KeyError, TypeError):
            continue  # the audit says what is wrong with it
        if sha256 != locked.sha256:
            found.add(path)
    if found:
        verdict.notes.append(f"{len(found)} record(s) belong to an older lock of their suite; they are not ranked")
    return found


def _check_file(path: str, place: Place, file: Path, suites: SuiteBook, verdict: Verdict, *, whole: bool) -> list[FieldProblem]:
    if place.name == DESCRIPTION:
        try:
            return check_description(strict_json(file.read_bytes()), place.submitter)
        except ValueError as error:
            return [FieldProblem("(file)", printable(error), "a JSON object")]
    if place.name in (ROWS, TRANSCRIPTS):
        alone = not file.with_name(ROWS).is_file()
        return [FieldProblem("(file)", "transcripts alone", f"a {ROWS} beside them")] if alone else []
    if place.name == "transcript.jsonl":
        alone = not (file.parent / "record.json").is_file()
        return [FieldProblem("(file)", "a transcript alone", "a record.json beside it")] if alone else []
    audit = verdict.audits[path]
    verdict.checked += 1
    problems = list(audit.problems)
    if problems:
        return problems
    if whole and any(note.startswith(ELSEWHERE) for note in audit.notes):
        verdict.notes.append(f"{path}: {'; '.join(audit.notes)}")
        return []  # its claim was shown when it came; what it reached is compared over the repetitions
    if any(note.startswith("another platform") for note in audit.notes):
        verdict.elsewhere += 1
    return _check_record(_record(file), audit, place, file, suites)


def _check_record(record: Record, audit: Audit, place: Place, file: Path, suites: SuiteBook) -> list[FieldProblem]:
    """What a record claims beside what its audit has shown, and beside where it stands."""
    problems = []
    if record.provenance.tier.rank > audit.tier.rank:  # the audit holds on this machine, its claim does not
        expected = f"at most '{audit.tier.value}', which is what was shown here ({'; '.join(audit.notes)})"
        problems.append(FieldProblem("provenance.tier", record.provenance.tier.value, expected))
    if record.record_id != place.folder:
        problems.append(FieldProblem("record_id", record.record_id, f"the folder's name, {place.folder}"))
    if record.suite.name != place.suite:
        problems.append(FieldProblem("suite.name", record.suite.name, f"{place.suite}, where the record stands"))
    case = _case(record, suites)
    if audit.uncounted and case is not None and case.effort is not None:
        expected = f"a reference of effort {case.effort.value}, as the suite has it ({'; '.join(audit.notes)})"
        problems.append(FieldProblem("reference", None if record.reference is None else record.reference.solver, expected))
    if case is not None and case.effort is not None and record.reference is None and any(record.verified.feasible):
        problems.append(FieldProblem("reference", None, f"a reference of effort {case.effort.value}, as the suite has it"))
    if record.solver.llm is None and (file.parent / "transcript.jsonl").exists():
        problems.append(FieldProblem("transcript.jsonl", "a transcript", "none: no language model was asked"))
    return problems


def _effort(names: Iterable[str], suites: SuiteBook) -> Effort:
    """The most work that the suites themselves put into a reference; a record cannot ask for more."""
    asked = [Effort.QUICK]
    for name in names:
        locked = suites.get(name)
        asked += [] if locked is None else [case.effort for case in locked.suite.cases if case.effort is not None]
    return max(asked, key=list(Effort).index)


def _case(record: Record, suites: SuiteBook) -> Any:
    locked = suites.get(record.suite.name)
    if locked is None:
        return None
    return next((case for case in locked.suite.cases if case.label == record.suite.problem), None)


def _check_entries(
    located: Sequence[Located], added: Sequence[str], files: Mapping[str, File], suites: SuiteBook, verdict: Verdict
) -> None:
    """One description per submitter, one solver per entry; missing units are told, since they count as lost."""
    touched = {(item.suite, item.submitter, item.label) for item in located if f"{RECORDS}/{item.path}" in added}
    for suite, submitter in sorted({key[:2] for key in touched}):
        path = f"{RECORDS}/{suite}/{submitter}/{DESCRIPTION}"
        if path not in files:
            verdict.problems.append(FieldProblem(path, None, "to be present; optisolve submit pack writes it"))
    for suite, submitter, label in sorted(touched):
        locked = suites.get(suite)
        if locked is None:
            continue
        own = [item for item in located if (item.suite, item.submitter, item.label) == (suite, submitter, label)]
        current = [item for item in own if item.record.suite.sha256 == locked.sha256]
        listed = any(cell.label == label for cell in locked.suite.cells)
        kinds = {canonical(_method(item.record)) for item in current}
        if len(kinds) > 1 and not listed:  # the suite itself may set options per problem
            expected = "one version, one set of options and one language model; give other settings a label of their own"
            verdict.problems.append(FieldProblem(f"{suite}/{submitter}: {label}", f"{len(kinds)} different solvers", expected))
        alike = {
            (item.submitter, item.label)
            for item in located
            if plain_slug(item.label) == plain_slug(label) and not (listed and item.label == label and item.suite != suite)
        } - {(submitter, label)}
        if alike:
            owners = ", ".join(other if name == label else f"{other} ({name})" for other, name in sorted(alike))
            expected = f"a label of your own; {owners} has an entry of this name"
            verdict.problems.append(FieldProblem(f"{suite}/{submitter}: suite.solver", label, expected))
        cells = {cell.label for cell in locked.suite.cells if plain_slug(cell.label) == plain_slug(label)} - {label}
        if cells:
            expected = f"a label of your own; the suite has {', '.join(sorted(cells))}"
            verdict.problems.append(FieldProblem(f"{suite}/{submitter}: suite.solver", label, expected))
        units = [unit for wanted in slots_of(locked, label).values() for unit in wanted]
        missing = len(set(units) - {item.unit for item in current})
        if missing:
            told = f"{missing} of {len(units)} units of suite {suite} have no record; they count as lost"
            verdict.notes.append(f"{label}: {told}")


def _method(record: Record) -> JsonObject:
    solver = record.solver
    model = None if solver.llm is None else solver.llm.model_dump(include={"provider", "model", "params"})
    return {"name": solver.name, "version": solver.version, "options": solver.options, "llm": model}


def _table_of(tree: Tree) -> Board | None:
    """The table that a trusted commit holds; None when it has none."""
    files = tree.files(TABLE)
    for _, data in tree.read(files.values()):
        return parse_part(Board, data, TABLE)
    return None


def _check_table(head: Tree, files: Mapping[str, File], wanted: bytes, verdict: Verdict) -> None:
    """The committed table is, byte for byte, what follows from the records."""
    file = files.get(TABLE)
    if file is None:
        verdict.problems.append(FieldProblem(TABLE, None, "to be present; run: optisolve submit table"))
        return
    same = file.size == len(wanted) and next(data for _, data in head.read([file])) == wanted
    if not same:
        expected = "what follows from the records, byte for byte; run: optisolve submit table"
        verdict.problems.append(FieldProblem(TABLE, "another table", expected))

"""The leaderboard: ``leaderboard`` builds its site, ``submit`` prepares and checks submissions and makes records again."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge

from optisolve.cli.display import console, print_notice
from optisolve.cli.progress import Bar, Show
from optisolve.cli.records import EXIT_REFUSED, RUNS, Paths, require_runs, suites_of
from optisolve.cli.settings import Verb, Word
from optisolve.core.errors import OptisolveError

if TYPE_CHECKING:
    from optisolve.core.documents import JsonObject
    from optisolve.trust.audit import SuiteBook
    from optisolve.trust.board import Board

__all__ = ["Leaderboard", "SubmitCheck", "SubmitPack", "SubmitRecords", "SubmitTable"]

_MOST_SHOWN = 20
_ARCHIVES = "benchmarks/archives"

# -- leaderboard -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Leaderboard(Verb):
    """A static site from records: sortable tables, plots, a page per record.

    Args:
        path: record.json, its folder, or a folder of folders; runs when nothing is said.
        out: Folder of the site, replaced as a whole.
        title: Heading of the site.
        table: File with the leaderboard's table, for the standings of each suite.
        degeneracy: File with degeneracy reports to show, from benchmarks/degeneracy.py.
    """

    path: Paths = RUNS
    out: Path = Path("site")
    title: str = "optisolve leaderboard"
    table: Path | None = None
    degeneracy: Path | None = None

    def __call__(self) -> int:
        from optisolve.trust.site import build_site, write_site

        for path in self.path:
            require_runs(path)
        degeneracy = None if self.degeneracy is None else _degeneracy(self.degeneracy)
        board = None if self.table is None else _board(self.table)
        site = build_site(self.path, title=self.title, degeneracy=degeneracy, board=board)
        page = write_site(site, self.out)
        for notice in site.notices:
            print_notice(notice)
        counts = ((site.records, "records"), (site.solvers, "solvers"), (site.problems, "problems"), (site.tracks, "tracks"))
        told = ", ".join(f"{len(items)} {name}" for items, name in counts)
        console.print(f"leaderboard: {page} ({told})", soft_wrap=True)
        return 0


def _degeneracy(path: Path) -> dict[str, list[JsonObject]]:
    """Rows of the degeneracy report by scenario, from the file that ``benchmarks/degeneracy.py`` wrote.

    Raises:
        OptisolveError: It cannot be read.
    """
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): list(item["rows"]) for name, item in told.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise OptisolveError(f"{path}: cannot be read ({error}); benchmarks/degeneracy.py writes it.") from error


def _board(path: Path) -> Board:
    from optisolve.study.lock import parse_part
    from optisolve.trust.board import Board

    try:
        return parse_part(Board, path.read_bytes(), str(path))
    except (OSError, OptisolveError) as error:
        raise OptisolveError(
            f"--table: not a table of the leaderboard ({error}); 'optisolve submit table' writes it."
        ) from error


# -- submit ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SubmitPack(Verb):
    """Audit the records of a suite and copy them to where a submission has them (step by step in docs/submission.md).

    Args:
        path: Folder that optisolve bench wrote.
        suite: Name of the suite.
        submitter: Your user name, lower case.
        title: What you submit, one line.
        solver: Only this solver's records, by label.
        tier: What the records are to claim; only repeated ones are ranked (reproduced: every run is repeated, and those of a
            hosted language model become 'replayed').
        archive: Also write the full records of the table into one compressed file in this folder, named by its SHA-256.
        full: Every record as a file, none as a row of the table.
        repository: Checkout of the leaderboard.
        suite_file: A suite that optisolve does not ship; may be given several times.
        workers: Processes that audit records.
        progress: How far it is, on stderr. auto: a bar on a terminal, elsewhere a line every few seconds.
    """

    path: Paths
    suite: str
    submitter: str
    title: str
    solver: str = ""
    tier: Literal["reproduced", "verified", "self-reported"] = "reproduced"
    archive: Path | None = None
    full: bool = False
    repository: Path = Path()
    suite_file: tuple[Path, ...] = ()
    workers: Annotated[int, Ge(1)] = 1
    progress: Show = "auto"

    def __call__(self) -> int:
        from optisolve.trust.audit import Tier
        from optisolve.trust.submission import RECORDS, TABLE, pack
        from optisolve.trust.submission.pack import write_table

        root, book = _root(self.repository), _book(self.suite_file)
        with Bar("packing", "records", show=self.progress) as bar:
            packed = pack(
                self.path,
                root / RECORDS,
                suite=self.suite,
                submitter=self.submitter,
                title=self.title,
                solver=self.solver,
                tier=Tier(self.tier.replace("-", "_")),
                book=book,
                workers=self.workers,
                archive=self.archive,
                full=self.full,
                on_audit=bar.update,
            )
        others = f"{packed.known} there already, {packed.other} of other suites or solvers left out"
        console.print(f"{packed.written} record(s) packed, {others}", soft_wrap=True)
        if packed.files and not self.full:
            console.print(f"{packed.files} of them as files, since nobody can make them again", soft_wrap=True)
        write_table(root / RECORDS, root / TABLE, book)
        folder = str(packed.folder)
        console.print(f"folder: {folder}\ntable:  {root / TABLE!s}", soft_wrap=True)
        console.print(f"next:   git add {folder} {TABLE}, commit, and open a pull request", soft_wrap=True)
        return 0


@dataclass(frozen=True, slots=True)
class SubmitCheck(Verb):
    """What the gate says about a commit; without BASE about all of its records.

    Args:
        base: Commit that the submission builds on, e.g. origin/main.
        head: Commit with the submission (HEAD unless said otherwise).
        author: Only this user may submit.
        comment: Also write the verdict into this file.
        site: Also build the leaderboard's site into this folder when nothing is refused. Curves, surfaces and maps are drawn
            of runs that were made again, or lie in an archive (benchmarks/archives).
        sample: Without BASE: make only so many rows of every table again, drawn by the commit's name, instead of all.
        repository: Checkout of the leaderboard.
        suite_file: A suite that optisolve does not ship; may be given several times.
        workers: Processes that audit records.
        progress: How far it is, on stderr. auto: a bar on a terminal, elsewhere a line every few seconds.

    exit codes: 0 nothing is refused, 1 error, 2 something is
    """

    base: Annotated[str, Word("BASE")] = ""
    head: Annotated[str, Word("HEAD")] = "HEAD"
    author: str = ""
    comment: Path | None = None
    site: Path | None = None
    sample: int | None = None
    repository: Path = Path()
    suite_file: tuple[Path, ...] = ()
    workers: Annotated[int, Ge(1)] = 1
    progress: Show = "auto"

    def __call__(self) -> int:
        from optisolve.core.documents import write_atomic
        from optisolve.trust.submission import TABLE, Tree, check_submission, comment_text

        root = _root(self.repository)
        head, base = Tree.at(root, self.head), Tree.at(root, self.base) if self.base else None
        with tempfile.TemporaryDirectory(prefix="optisolve-site-") as scratch:
            export = None if self.site is None else Path(scratch)
            with Bar("submission", "records", show=self.progress) as bar:
                verdict = check_submission(
                    head,
                    base,
                    book=_book(self.suite_file),
                    author=self.author,
                    export=export,
                    archives=[root / _ARCHIVES],
                    workers=self.workers,
                    sample=self.sample,
                    on_audit=bar.update,
                )
            text = comment_text(verdict)
            if self.comment is not None:
                write_atomic(self.comment, text.encode())
            console.print(text, soft_wrap=True, end="")
            if export is not None and self.site is not None and verdict.accepted:
                _site(export, self.site, root / TABLE.rpartition("/")[0] / "degeneracy.json", verdict.after)
        return 0 if verdict.accepted else EXIT_REFUSED


def _site(records: Path, folder: Path, degeneracy: Path, board: Board | None) -> None:
    """Build the leaderboard's pages from accepted records and what this checkout says of the problems."""
    from optisolve.trust.site import build_site, write_site
    from optisolve.trust.submission import ROWS

    if not any((*records.glob("*/*/*/record.json"), *records.glob(f"*/*/{ROWS}"))):
        console.print("site: not built, since there is no record yet")
        return
    known = _degeneracy(degeneracy) if degeneracy.is_file() else None
    site = build_site([records], degeneracy=known, board=board)
    console.print(f"site: {write_site(site, folder)!s}", soft_wrap=True)


@dataclass(frozen=True, slots=True)
class SubmitTable(Verb):
    """Rebuild the ranking from the records of the working tree.

    Args:
        repository: Checkout of the leaderboard.
        suite_file: A suite that optisolve does not ship; may be given several times.
    """

    repository: Path = Path()
    suite_file: tuple[Path, ...] = ()

    def __call__(self) -> int:
        from optisolve.trust.submission import RECORDS, TABLE
        from optisolve.trust.submission.pack import write_table

        root = _root(self.repository)
        changed = write_table(root / RECORDS, root / TABLE, _book(self.suite_file))
        console.print(f"{'rebuilt' if changed else 'unchanged'}: {root / TABLE!s}", soft_wrap=True)
        return 0


@dataclass(frozen=True, slots=True)
class SubmitRecords(Verb):
    """The full records of a published suite: from its archive, or made again.

    Args:
        suite: Name of the suite.
        submitter: Only this one's.
        out: Folder of the records.
        archive: An archive, or a folder in which to look for it (benchmarks/archives unless said otherwise); its SHA-256 must
            be the table's.
        count: Only the first so many rows of every table.
        repository: Checkout of the leaderboard.
        workers: Processes that make records again.

    exit codes: 0 ok, 1 error or a record that could not be made again, 2 another result on the same kernels and packages
    """

    suite: Annotated[str, Word("SUITE")]
    submitter: str = ""
    out: Path = Path("runs/published")
    archive: Path | None = None
    count: int | None = None
    repository: Path = Path()
    workers: Annotated[int, Ge(1)] = 1

    def __call__(self) -> int:
        from optisolve.trust.remake import Match
        from optisolve.trust.submission import RECORDS
        from optisolve.trust.submission.restore import Restored, find_tables, restore

        root, out = _root(self.repository), self.out / self.suite
        places = [root / _ARCHIVES if self.archive is None else self.archive]
        restored: list[Restored] = []
        for table in find_tables(root / RECORDS, self.suite, self.submitter):
            restored += restore(table, out, archives=places, count=self.count, workers=self.workers)
        counts = {name: sum(item.match is name and not item.archived for item in restored) for name in (*Match, None)}
        console.print(f"{len(restored)} record(s): {out}", soft_wrap=True)
        lines = {
            "out of the archive, whose SHA-256 is the table's": sum(item.archived for item in restored),
            "made again, with the hash that the table states": counts[Match.SAME],
            "another platform: made again, the same up to rounding": counts[Match.ROUNDING],
            "another platform: made again, other results and the same loss": counts[Match.AGREES],
            "another platform: made again, other results": counts[Match.PLATFORM],
            "not made again": counts[None],
            "REFUTED: other results on the kernels and packages that the row names": counts[Match.DIFFERENT],
        }
        for told, number in lines.items():
            if number:
                console.print(f"  {number:5d}  {told}", soft_wrap=True)
        for item in [item for item in restored if item.match is not Match.SAME][:_MOST_SHOWN]:
            console.print(f"  - {item.record_id}: {item.match or 'not made again'}: {item.reason}", soft_wrap=True)
        return EXIT_REFUSED if counts[Match.DIFFERENT] else int(bool(counts[None]))


def _root(given: Path) -> Path:
    root = given.resolve()
    if not (root / ".git").exists():
        raise OptisolveError(f"{root}: no checkout. Run this in a checkout of the leaderboard, or give --repository FOLDER.")
    return root


def _book(files: Sequence[Path]) -> SuiteBook:
    from optisolve.trust.audit import SuiteBook

    return SuiteBook(suites_of(files))

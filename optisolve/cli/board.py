"""The leaderboard: ``leaderboard`` builds its site, ``submit`` prepares and checks submissions, ``heldout`` keeps its seeds."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge
from rich.markup import escape

from optisolve.cli.display import console, print_error, write_plain
from optisolve.cli.records import EXIT_REFUSED, Paths, record_files, suites_of
from optisolve.cli.settings import Verb, Word
from optisolve.core.errors import OptisolveError

if TYPE_CHECKING:
    from optisolve.core.json import Json, JsonObject
    from optisolve.trust.audit import SuiteBook
    from optisolve.trust.heldout import Season, Secret

__all__ = [
    "HeldoutCheck",
    "HeldoutCommit",
    "HeldoutReveal",
    "HeldoutSeeds",
    "Leaderboard",
    "SubmitCheck",
    "SubmitPack",
    "SubmitTable",
]

# -- leaderboard -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Leaderboard(Verb):
    """A static site from records: sortable tables, plots, a page per record.

    Args:
        path: record.json, its folder, or a folder of folders.
        out: Folder of the site, replaced as a whole.
        title: Heading of the site.
        table: File with the leaderboard's table, for the standings of each suite.
        degeneracy: File with degeneracy reports to show, from benchmarks/degeneracy.py.
    """

    path: Paths
    out: Path = Path("site")
    title: str = "optisolve leaderboard"
    table: Path | None = None
    degeneracy: Path | None = None

    def run(self) -> int:
        """0 when the site was written."""
        from optisolve.trust.site import build_site, write_site

        degeneracy = None if self.degeneracy is None else _degeneracy(self.degeneracy)
        board = None if self.table is None else _board(self.table)
        site = build_site(self.path, title=self.title, degeneracy=degeneracy, board=board)
        page = write_site(site, self.out)
        for notice in site.notices:
            console.print(f"[yellow]note:[/] {escape(notice)}", soft_wrap=True)
        counts = ((site.records, "records"), (site.solvers, "solvers"), (site.problems, "problems"), (site.tracks, "tracks"))
        told = ", ".join(f"{len(items)} {name}" for items, name in counts)
        console.print(f"leaderboard: {escape(str(page))} ({told})", soft_wrap=True)
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


def _board(path: Path) -> dict[str, Json]:
    from optisolve.trust.board import SCHEMA

    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OptisolveError(f"--table {path}: cannot be read ({error}); 'optisolve submit table' writes it.") from error
    if not isinstance(told, dict) or told.get("schema") != SCHEMA:
        raise OptisolveError(f"--table {path}: not a table of the leaderboard; 'optisolve submit table' writes it.")
    return told


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
        repository: Checkout of the leaderboard.
        suite_file: A suite that optisolve does not ship; may be given several times.
        workers: Processes that audit records.
    """

    path: Paths
    suite: str
    submitter: str
    title: str
    solver: str = ""
    tier: Literal["reproduced", "verified", "self-reported"] = "reproduced"
    repository: Path = Path()
    suite_file: tuple[Path, ...] = ()
    workers: Annotated[int, Ge(1)] = 1

    def run(self) -> int:
        """0 when the records are packed."""
        from optisolve.trust.audit import Tier
        from optisolve.trust.submission import RECORDS, TABLE, pack
        from optisolve.trust.submission.pack import write_table

        root, book = _root(self.repository), _book(self.suite_file)
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
        )
        others = f"{packed.known} there already, {packed.other} of other suites or solvers left out"
        console.print(f"{packed.written} record(s) packed, {others}", soft_wrap=True)
        write_table(root / RECORDS, root / TABLE, book)
        folder = escape(str(packed.folder))
        console.print(f"folder: {folder}\ntable:  {escape(str(root / TABLE))}", soft_wrap=True)
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
        site: Also build the leaderboard's site into this folder when nothing is refused.
        repository: Checkout of the leaderboard.
        suite_file: A suite that optisolve does not ship; may be given several times.
        workers: Processes that audit records.

    exit codes: 0 nothing is refused, 1 error, 2 something is
    """

    base: Annotated[str, Word("BASE")] = ""
    head: Annotated[str, Word("HEAD")] = "HEAD"
    author: str = ""
    comment: Path | None = None
    site: Path | None = None
    repository: Path = Path()
    suite_file: tuple[Path, ...] = ()
    workers: Annotated[int, Ge(1)] = 1

    def run(self) -> int:
        """0 when nothing is refused."""
        from optisolve.core.files import write_atomic
        from optisolve.trust.submission import TABLE, Tree, check_submission, comment_text

        root = _root(self.repository)
        head, base = Tree.at(root, self.head), Tree.at(root, self.base) if self.base else None
        with tempfile.TemporaryDirectory(prefix="optisolve-site-") as scratch:
            export = None if self.site is None else Path(scratch)
            book = _book(self.suite_file)
            verdict = check_submission(head, base, book=book, author=self.author, export=export, workers=self.workers)
            text = comment_text(verdict)
            if self.comment is not None:
                write_atomic(self.comment, text.encode())
            console.print(escape(text), soft_wrap=True, end="")
            if export is not None and self.site is not None and verdict.accepted:
                _site(export, self.site, root / TABLE.rpartition("/")[0] / "degeneracy.json", verdict.after)
        return 0 if verdict.accepted else EXIT_REFUSED


def _site(records: Path, folder: Path, degeneracy: Path, board: Mapping[str, Json]) -> None:
    """Build the leaderboard's pages from accepted records and what this checkout says of the problems."""
    from optisolve.trust.site import build_site, write_site

    if not any(records.glob("*/*/*/record.json")):
        console.print("site: not built, since there is no record yet")
        return
    known = _degeneracy(degeneracy) if degeneracy.is_file() else None
    site = build_site([records], degeneracy=known, board=board)
    console.print(f"site: {escape(str(write_site(site, folder)))}", soft_wrap=True)


@dataclass(frozen=True, slots=True)
class SubmitTable(Verb):
    """Rebuild the ranking from the records of the working tree.

    Args:
        repository: Checkout of the leaderboard.
        suite_file: A suite that optisolve does not ship; may be given several times.
    """

    repository: Path = Path()
    suite_file: tuple[Path, ...] = ()

    def run(self) -> int:
        """0 when the table is up to date."""
        from optisolve.trust.submission import RECORDS, TABLE
        from optisolve.trust.submission.pack import write_table

        root = _root(self.repository)
        changed = write_table(root / RECORDS, root / TABLE, _book(self.suite_file))
        console.print(f"{'rebuilt' if changed else 'unchanged'}: {escape(str(root / TABLE))}", soft_wrap=True)
        return 0


def _root(given: Path) -> Path:
    root = given.resolve()
    if not (root / ".git").exists():
        raise OptisolveError(f"{root}: no checkout. Run this in a checkout of the leaderboard, or give --repository FOLDER.")
    return root


def _book(files: Sequence[Path]) -> SuiteBook:
    from optisolve.trust.audit import SuiteBook

    return SuiteBook(suites_of(files))


# -- heldout -----------------------------------------------------------------------------------------------------------


_VARIABLE = "OPTISOLVE_HELDOUT_SECRET"


@dataclass(frozen=True, slots=True)
class HeldoutCommit(Verb):
    """Write the commitment to seeds that are fixed before a season and known only after it (see docs/submission.md).

    Args:
        season: Name of the season, e.g. 2027.
        suite: Suite whose instances are held out.
        count: Number of seeds.
        out: File where the commitment is written.
        secret_env: Variable with the secret.
        secret_file: File that only you can read; wins over the variable.
    """

    season: str
    suite: str
    count: int
    out: Path
    secret_env: str = _VARIABLE
    secret_file: Path | None = None

    def run(self) -> int:
        """0 when the commitment is written."""
        from optisolve.trust.heldout import commit

        secret = _secret(self.secret_env, self.secret_file)
        season = commit(secret, season=self.season, suite=self.suite, count=self.count)
        _write(self.out, season.document())
        console.print(f"commitment {season.sha256}\npublish {escape(str(self.out))} before the season begins", soft_wrap=True)
        return 0


@dataclass(frozen=True, slots=True)
class HeldoutSeeds(Verb):
    """Print the seeds, one per line; needs the secret, or a revealed season.

    Args:
        commitment: File with the season.
        yaml: As the line that a suite's file needs.
        secret_env: Variable with the secret.
        secret_file: File that only you can read; wins over the variable.
    """

    commitment: Path
    yaml: bool = False
    secret_env: str = _VARIABLE
    secret_file: Path | None = None

    def run(self) -> int:
        """0 when the seeds are printed."""
        from optisolve.trust.heldout import read_season

        season: Season = read_season(self.commitment)
        opened = season if season.secret is not None else season.opened(_secret(self.secret_env, self.secret_file))
        seeds = [str(seed) for seed in opened.seeds()]
        write_plain(f"instances: [{', '.join(seeds)}]\n" if self.yaml else "".join(f"{seed}\n" for seed in seeds))
        return 0


@dataclass(frozen=True, slots=True)
class HeldoutReveal(Verb):
    """Write the secret down for everybody, after the season.

    Args:
        commitment: File with the season.
        out: File where the revealed season is written.
        publish: Yes, end the secrecy.
        secret_env: Variable with the secret.
        secret_file: File that only you can read; wins over the variable.
    """

    commitment: Path
    out: Path
    publish: bool = False
    secret_env: str = _VARIABLE
    secret_file: Path | None = None

    def run(self) -> int:
        """0 when the secret is public."""
        from optisolve.trust.heldout import read_season, reveal

        if not self.publish:
            raise OptisolveError("reveal writes the secret into a file for everybody to read. Say so with --publish.")
        _write(self.out, reveal(read_season(self.commitment), _secret(self.secret_env, self.secret_file)))
        console.print(f"revealed: {escape(str(self.out))}; the season is over", soft_wrap=True)
        return 0


@dataclass(frozen=True, slots=True)
class HeldoutCheck(Verb):
    """Check a season's records against commitment and revealed secret.

    Args:
        path: record.json, its folder, or a folder of folders.
        commitment: File with the season as published before it.
        reveal: File with the season as published after it.

    exit codes: 0 verified, on the seeds that were committed to, 1 error, 2 refused
    """

    path: Paths
    commitment: Path
    reveal: Path

    def run(self) -> int:
        """0 when all records hold and have the season's seeds."""
        from optisolve.registry import PROBLEMS, SOLVERS
        from optisolve.run.records import read_record
        from optisolve.run.untrusted import printable
        from optisolve.trust.audit import Auditor, audits
        from optisolve.trust.heldout import check_season, read_season

        files = record_files(self.path)
        refused = [str(audit) for audit in audits(Auditor(PROBLEMS, SOLVERS), files) if not audit]
        if not refused:
            seasons = read_season(self.commitment), read_season(self.reveal)
            refused = [printable(problem) for problem in check_season(*seasons, map(read_record, files))]
        for problem in refused:
            print_error(problem)
        if not refused:
            console.print(f"{len(files)} record(s): verified, on the seeds that were committed to", style="green")
        return EXIT_REFUSED if refused else 0


def _secret(variable: str, file: Path | None) -> Secret:
    from optisolve.trust.heldout import Secret

    return Secret.read(variable=variable, file=file)


def _write(path: Path, document: JsonObject) -> None:
    from optisolve.core.files import write_atomic
    from optisolve.run.untrusted import printable

    try:
        write_atomic(path, json.dumps(document, indent=1).encode() + b"\n")
    except OSError as error:
        raise OptisolveError(f"{printable(path)}: cannot be written ({error.strerror}).") from error

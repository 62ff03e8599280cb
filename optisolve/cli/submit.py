"""``optisolve submit``: pack records for the leaderboard, check a submission, rebuild the ranking, make records again."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape

from optisolve.cli.display import console
from optisolve.core.errors import OptisolveError
from optisolve.core.files import write_atomic
from optisolve.trust.audit import SuiteBook, Tier
from optisolve.trust.remake import Match
from optisolve.trust.submission import RECORDS, ROWS, TABLE, Tree, check_submission, comment_text, pack
from optisolve.trust.submission.pack import write_table
from optisolve.trust.submission.restore import Restored, find_tables, restore

__all__ = ["submit_command"]

_EXIT_REFUSED = 2
_MOST_SHOWN = 20
_ARCHIVES = "benchmarks/archives"
_DEGENERACY = f"{TABLE.rpartition('/')[0]}/degeneracy.json"


def submit_command(words: Sequence[str]) -> int:
    """Run one of ``pack``, ``check``, ``table``, ``records``."""
    options = _parser().parse_args(list(words))
    action: Callable[[argparse.Namespace], int] = options.action
    return action(options)


def _pack(options: argparse.Namespace) -> int:
    root, book = _root(options.repository), _book(options.suite_file)
    packed = pack(
        [Path(path) for path in options.path],
        root / RECORDS,
        suite=options.suite,
        submitter=options.submitter,
        title=options.title,
        solver=options.solver,
        tier=Tier(options.tier.replace("-", "_")),
        book=book,
        workers=options.workers,
        archive=None if options.archive is None else Path(options.archive),
        full=options.full,
    )
    told = (
        f"{packed.written} record(s) packed, {packed.known} there already, {packed.other} of other suites or solvers left out"
    )
    console.print(told, soft_wrap=True)
    if packed.files and not options.full:
        console.print(f"{packed.files} of them as files, since nobody can make them again", soft_wrap=True)
    write_table(root / RECORDS, root / TABLE, book)
    console.print(f"folder: {escape(str(packed.folder))}\ntable:  {escape(str(root / TABLE))}", soft_wrap=True)
    console.print(f"next:   git add {escape(str(packed.folder))} {TABLE}, commit, and open a pull request", soft_wrap=True)
    return 0


def _check(options: argparse.Namespace) -> int:
    root = _root(options.repository)
    head = Tree.at(root, options.head)
    base = None if options.base is None else Tree.at(root, options.base)
    with tempfile.TemporaryDirectory(prefix="optisolve-site-") as scratch:
        export = None if options.site is None else Path(scratch)
        book = _book(options.suite_file)
        verdict = check_submission(
            head,
            base,
            book=book,
            author=options.author,
            export=export,
            workers=options.workers,
            sample=options.sample,
        )
        text = comment_text(verdict)
        if options.comment is not None:
            write_atomic(Path(options.comment), text.encode())
        console.print(escape(text), soft_wrap=True, end="")
        if export is not None and verdict.accepted:
            _site(export, options.site, root / _DEGENERACY, verdict.after)
    return 0 if verdict.accepted else _EXIT_REFUSED


def _site(records: Path, folder: str, degeneracy: Path, board: Mapping[str, Any]) -> None:
    """Build the leaderboard's pages from accepted records and what this checkout says of the problems."""
    from optisolve.cli.leaderboard import read_degeneracy
    from optisolve.trust.site import build_site, write_site

    if not any((*records.glob("*/*/*/record.json"), *records.glob(f"*/*/{ROWS}"))):
        console.print("site: not built, since there is no record yet")
        return
    known = read_degeneracy(degeneracy) if degeneracy.is_file() else None
    site = build_site([records], degeneracy=known, board=board)
    console.print(f"site: {escape(str(write_site(site, folder)))}", soft_wrap=True)


def _table(options: argparse.Namespace) -> int:
    root = _root(options.repository)
    changed = write_table(root / RECORDS, root / TABLE, _book(options.suite_file))
    console.print(f"{'rebuilt' if changed else 'unchanged'}: {escape(str(root / TABLE))}", soft_wrap=True)
    return 0


def _records(options: argparse.Namespace) -> int:
    root = _root(options.repository)
    places = [Path(options.archive)] if options.archive is not None else [root / _ARCHIVES]
    restored: list[Restored] = []
    for table in find_tables(root / RECORDS, options.suite, options.submitter):
        out = Path(options.out) / options.suite
        restored += restore(table, out, archives=places, count=options.count, workers=options.workers)
    archived = sum(item.archived for item in restored)
    counts = {name: sum(item.match is name and not item.archived for item in restored) for name in (*Match, None)}
    console.print(f"{len(restored)} record(s): {escape(str(Path(options.out) / options.suite))}", soft_wrap=True)
    lines = {
        "out of the archive, whose SHA-256 is the table's": archived,
        "made again, with the hash that the table states": counts[Match.SAME],
        "another platform: made again, the same up to rounding": counts[Match.ROUNDING],
        "another platform: made again, other results": counts[Match.PLATFORM],
        "not made again": counts[None],
        "REFUTED: other results on the same kernels and packages": counts[Match.DIFFERENT],
    }
    for told, number in lines.items():
        if number:
            console.print(f"  {number:5d}  {told}", soft_wrap=True)
    differing = [item for item in restored if item.match is not Match.SAME]
    for item in differing[:_MOST_SHOWN]:
        console.print(escape(f"  - {item.record_id}: {item.match or 'not made again'}: {item.reason}"), soft_wrap=True)
    return _EXIT_REFUSED if counts[Match.DIFFERENT] else int(bool(counts[None]))


def _root(given: str) -> Path:
    root = Path(given).resolve()
    if not (root / ".git").exists():
        raise OptisolveError(f"{root}: no checkout. Run this in a checkout of the leaderboard, or give --repository FOLDER.")
    return root


def _book(files: Sequence[str]) -> SuiteBook:
    if not files:
        return SuiteBook()
    from optisolve.study.suite import load_suite

    return SuiteBook({suite.name: suite for suite in map(load_suite, files)})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="optisolve submit", description="Submissions to the leaderboard, step by step in docs/submission.md."
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)

    packed = actions.add_parser("pack", help="audit the records of a suite and copy them to where a submission has them")
    packed.add_argument("path", nargs="+", help="folder that optisolve bench wrote")
    packed.add_argument("--suite", required=True, help="name of the suite")
    packed.add_argument("--submitter", required=True, help="your user name, lower case")
    packed.add_argument("--title", required=True, help="what you submit, one line")
    packed.add_argument("--solver", default="", metavar="LABEL", help="only this solver's records")
    packed.add_argument(
        "--tier",
        choices=[tier.value.replace("_", "-") for tier in reversed(Tier) if tier is not Tier.REPLAYED],
        default=Tier.REPRODUCED.value,
        help="what the records are to claim; only repeated ones are ranked (default reproduced: every run is repeated, and "
        "those of a hosted language model become 'replayed')",
    )
    told = "also write the full records of the table into one compressed file in this folder, named by its SHA-256"
    packed.add_argument("--archive", metavar="FOLDER", help=told)
    packed.add_argument("--full", action="store_true", help="every record as a file, none as a row of the table")
    _common(packed)
    _parallel(packed)
    packed.set_defaults(action=_pack)

    check = actions.add_parser("check", help="what the gate says about a commit; without BASE about all of its records")
    check.add_argument("base", nargs="?", help="commit that the submission builds on, e.g. origin/main")
    check.add_argument("head", nargs="?", default="HEAD", help="commit with the submission (default HEAD)")
    check.add_argument("--author", default="", metavar="USER", help="only this user may submit")
    check.add_argument("--comment", metavar="FILE", help="also write the verdict into this file")
    check.add_argument("--site", metavar="FOLDER", help="also build the leaderboard's site when nothing is refused")
    told = "without BASE: make only N rows of every table again, drawn by the commit's name (default all)"
    check.add_argument("--sample", type=int, metavar="N", help=told)
    _common(check)
    _parallel(check)
    check.set_defaults(action=_check)

    table = actions.add_parser("table", help="rebuild the ranking from the records of the working tree")
    _common(table)
    table.set_defaults(action=_table)
    _add_records(actions)
    return parser


def _add_records(actions: Any) -> None:
    records = actions.add_parser("records", help="the full records of a published suite: from its archive, or made again")
    records.add_argument("suite", help="name of the suite")
    records.add_argument("--submitter", default="", metavar="USER", help="only this one's")
    records.add_argument("--out", default="runs/published", help="folder of the records (default runs/published)")
    told = f"an archive, or a folder in which to look for it (default {_ARCHIVES}); its SHA-256 must be the table's"
    records.add_argument("--archive", metavar="PATH", help=told)
    records.add_argument("--count", type=int, metavar="N", help="only the first N rows of every table")
    _common(records)
    _parallel(records)
    records.set_defaults(action=_records)


def _parallel(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes that audit records (default 1)")


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repository", default=".", metavar="FOLDER", help="checkout of the leaderboard (default .)")
    parser.add_argument(
        "--suite-file", action="append", default=[], metavar="FILE", help="a suite that optisolve does not ship"
    )

"""``optisolve heldout``: commit to seeds before a season, reveal them after it, check the season's records."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape

from optisolve.cli.display import console, print_error, write_plain
from optisolve.core.errors import OptisolveError
from optisolve.core.files import write_atomic
from optisolve.run.untrusted import printable
from optisolve.trust.heldout import SECRET_VARIABLE, Season, Secret, check_season, commit, read_season, reveal

__all__ = ["heldout_command"]

_EXIT_REFUSED = 2


def heldout_command(words: Sequence[str]) -> int:
    """Run one of ``commit``, ``seeds``, ``reveal``, ``check``."""
    options = _parser().parse_args(list(words))
    action: Callable[[argparse.Namespace], int] = options.action
    return action(options)


def _commit(options: argparse.Namespace) -> int:
    season = commit(_secret(options), season=options.season, suite=options.suite, count=options.count)
    _write(Path(options.out), season.document())
    console.print(f"commitment {season.sha256}\npublish {escape(options.out)} before the season begins", soft_wrap=True)
    return 0


def _seeds(options: argparse.Namespace) -> int:
    season = _opened(options)
    seeds = [str(seed) for seed in season.seeds()]
    write_plain(f"instances: [{', '.join(seeds)}]\n" if options.yaml else "".join(f"{seed}\n" for seed in seeds))
    return 0


def _reveal(options: argparse.Namespace) -> int:
    if not options.publish:
        raise OptisolveError("reveal writes the secret into a file for everybody to read. Say so with --publish.")
    _write(Path(options.out), reveal(read_season(options.commitment), _secret(options)))
    console.print(f"revealed: {escape(options.out)}; the season is over", soft_wrap=True)
    return 0


def _check(options: argparse.Namespace) -> int:
    from optisolve.cli.verify import record_files
    from optisolve.registry import PROBLEMS, SOLVERS
    from optisolve.run.records import read_record
    from optisolve.trust.audit import Auditor, audits

    auditor = Auditor(PROBLEMS, SOLVERS)
    files = record_files(options.path)
    refused = [audit for audit in audits(auditor, files) if not audit]
    for audit in refused:
        print_error(str(audit))
    if refused:
        return _EXIT_REFUSED
    found = check_season(read_season(options.commitment), read_season(options.reveal), map(read_record, files))
    for problem in found:
        print_error(printable(problem))
    if not found:
        console.print(f"{len(files)} record(s): verified, on the seeds that were committed to", style="green")
    return _EXIT_REFUSED if found else 0


def _opened(options: argparse.Namespace) -> Season:
    season = read_season(options.commitment)
    return season if season.secret is not None else season.opened(_secret(options))


def _secret(options: argparse.Namespace) -> Secret:
    return Secret.read(variable=options.secret_env, file=options.secret_file)


def _write(path: Path, document: dict[str, Any]) -> None:
    try:
        write_atomic(path, json.dumps(document, indent=1).encode() + b"\n")
    except OSError as error:
        raise OptisolveError(f"{printable(path)}: cannot be written ({error.strerror}).") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="optisolve heldout",
        description="Seeds that are fixed before a season and known only after it (see docs/submission.md).",
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)

    made = actions.add_parser("commit", help="write the commitment to publish before the season")
    made.add_argument("--season", required=True, help="name of the season, e.g. 2027")
    made.add_argument("--suite", required=True, help="suite whose instances are held out")
    made.add_argument("--count", type=int, required=True, help="number of seeds")
    made.add_argument("--out", required=True, metavar="FILE", help="where the commitment is written")
    _secret_arguments(made)
    made.set_defaults(action=_commit)

    seeds = actions.add_parser("seeds", help="print the seeds, one per line; needs the secret, or a revealed season")
    seeds.add_argument("--commitment", required=True, metavar="FILE")
    seeds.add_argument("--yaml", action="store_true", help="as the line that a suite's file needs")
    _secret_arguments(seeds)
    seeds.set_defaults(action=_seeds)

    shown = actions.add_parser("reveal", help="write the secret down for everybody, after the season")
    shown.add_argument("--commitment", required=True, metavar="FILE")
    shown.add_argument("--out", required=True, metavar="FILE", help="where the revealed season is written")
    shown.add_argument("--publish", action="store_true", help="yes, end the secrecy")
    _secret_arguments(shown)
    shown.set_defaults(action=_reveal)

    check = actions.add_parser("check", help="check a season's records against commitment and revealed secret")
    check.add_argument("path", nargs="+", help="record.json, its folder, or a folder of folders")
    check.add_argument("--commitment", required=True, metavar="FILE", help="as published before the season")
    check.add_argument("--reveal", required=True, metavar="FILE", help="as published after the season")
    check.set_defaults(action=_check)
    return parser


def _secret_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--secret-env", default=SECRET_VARIABLE, metavar="NAME", help=f"variable (default {SECRET_VARIABLE})")
    parser.add_argument("--secret-file", metavar="FILE", help="file that only you can read; wins over the variable")

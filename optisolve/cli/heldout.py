"""``heldout``: commit to seeds before a season, reveal them after it, check the season's records."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from optisolve.cli.display import console, print_error, write_plain
from optisolve.cli.records import EXIT_REFUSED, Paths, record_files
from optisolve.cli.settings import Verb
from optisolve.core.errors import OptisolveError

if TYPE_CHECKING:
    from optisolve.core.documents import JsonObject
    from optisolve.trust.heldout import Season, Secret

__all__ = ["HeldoutCheck", "HeldoutCommit", "HeldoutReveal", "HeldoutSeeds"]

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

    def __call__(self) -> int:
        from optisolve.trust.heldout import commit

        secret = _secret(self.secret_env, self.secret_file)
        season = commit(secret, season=self.season, suite=self.suite, count=self.count)
        _write(self.out, season.document())
        console.print(f"commitment {season.sha256}\npublish {self.out} before the season begins", soft_wrap=True)
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

    def __call__(self) -> int:
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

    def __call__(self) -> int:
        from optisolve.trust.heldout import read_season, reveal

        if not self.publish:
            raise OptisolveError("reveal writes the secret into a file for everybody to read. Say so with --publish.")
        _write(self.out, reveal(read_season(self.commitment), _secret(self.secret_env, self.secret_file)))
        console.print(f"revealed: {self.out}; the season is over", soft_wrap=True)
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

    def __call__(self) -> int:
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
    from optisolve.core.documents import write_atomic
    from optisolve.run.untrusted import printable

    try:
        write_atomic(path, json.dumps(document, indent=1).encode() + b"\n")
    except OSError as error:
        raise OptisolveError(f"{printable(path)}: cannot be written ({error.strerror}).") from error

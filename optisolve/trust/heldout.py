"""Held-out instances: seeds that nobody can know before the season ends, and that nobody can change afterwards.

The organizer draws a secret, publishes the SHA-256 of salt and secret before the season (the commitment), and reveals the
secret after it. The seeds follow from the secret by HMAC-SHA256, so the commitment fixes them without telling them.

The secret comes from an environment variable or a file. It is printed nowhere and written nowhere, except by `reveal`,
whose purpose it is to end the secrecy.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optisolve.core.errors import FieldProblem, OptionError, OptisolveError
from optisolve.core.text import is_safe_name
from optisolve.run.schema import Record
from optisolve.run.untrusted import printable, read_bytes, read_json

__all__ = ["SECRET_VARIABLE", "Season", "Secret", "check_season", "commit", "heldout_seed", "read_season", "reveal"]

SCHEMA = "optisolve.heldout/1"
SECRET_VARIABLE = "OPTISOLVE_HELDOUT_SECRET"
"""Environment variable that holds the secret unless the user names another one."""

MIN_SECRET = 32
"""Shortest secret, bytes; the salt is public, so a short one could be guessed."""

MAX_COUNT = 10_000
_SALT_BYTES = 32
_SEED_BITS = 53
"""Seeds stay below 2**53, so that every JSON reader keeps them exact."""


class Secret:
    """A secret that does not show itself in messages, tracebacks or representations.

    Args:
        value: At least 32 bytes.

    Raises:
        OptisolveError: Too short.
    """

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        if len(value) < MIN_SECRET:
            raise OptisolveError(
                f"The secret has {len(value)} bytes, expected at least {MIN_SECRET}. Draw one with: openssl rand -hex 32"
            )
        self._value = value

    def __repr__(self) -> str:
        return "Secret(…)"

    def seed(self, suite: str, index: int) -> int:
        """The held-out seed number `index` of a suite; see `heldout_seed`."""
        return heldout_seed(self._value, suite, index)

    def commitment(self, salt: bytes) -> str:
        """SHA-256 of salt and secret, hexadecimal; the salt has 32 bytes, so the two cannot be confused."""
        return hashlib.sha256(salt + self._value).hexdigest()

    def publish(self) -> str:
        """The secret itself, hexadecimal. Ends the secrecy."""
        return self._value.hex()

    @classmethod
    def read(cls, *, variable: str = SECRET_VARIABLE, file: str | os.PathLike[str] | None = None) -> Secret:
        """Take the secret from a file, or else from an environment variable; line breaks at its end do not count.

        Raises:
            OptisolveError: Neither is there, the file can be read by others, or the secret is too short.
        """
        if file is not None:
            path = Path(file)
            value = read_bytes(path, max_bytes=65_536)
            if os.name == "posix" and path.stat().st_mode & 0o077:
                raise OptisolveError(f"{printable(path)}: other users can read this secret. Run: chmod 600 {printable(path)}")
            return cls(value.rstrip(b"\r\n"))
        told = os.environ.get(variable)
        if not told:
            raise OptisolveError(f"No secret: set the environment variable {variable}, or give --secret-file FILE.")
        return cls(told.rstrip("\r\n").encode())


@dataclass(frozen=True, slots=True)
class Season:
    """A published commitment, and the secret once it was revealed.

    Attributes:
        season: Name of the season, e.g. ``"2027"``.
        suite: Suite whose instances are held out.
        count: Number of seeds.
        salt: 32 bytes, hexadecimal.
        sha256: SHA-256 of salt and secret, hexadecimal.
        secret: None until it is revealed.
    """

    season: str
    suite: str
    count: int
    salt: str
    sha256: str
    secret: Secret | None = None

    def document(self) -> dict[str, Any]:
        """The commitment as it is published; never holds the secret."""
        fields = {name: getattr(self, name) for name in ("season", "suite", "count", "salt", "sha256")}
        return {"schema": SCHEMA, **fields}

    def opened(self, secret: Secret) -> Season:
        """The season with its secret.

        Raises:
            OptisolveError: Another secret was committed to.
        """
        if not hmac.compare_digest(secret.commitment(bytes.fromhex(self.salt)), self.sha256):
            raise OptisolveError(f"season {self.season}: this secret is not the one that the commitment {self.sha256} fixes.")
        return Season(self.season, self.suite, self.count, self.salt, self.sha256, secret)

    def seeds(self) -> tuple[int, ...]:
        """All held-out seeds in order.

        Raises:
            OptisolveError: The secret was not revealed yet.
        """
        if self.secret is None:
            raise OptisolveError(f"season {self.season}: the secret was not revealed yet, so nobody knows its seeds.")
        return tuple(self.secret.seed(self.suite, index) for index in range(self.count))


def heldout_seed(secret: bytes, suite: str, index: int) -> int:
    """Seed number `index` of a suite: the first 53 bits of HMAC-SHA256(secret, "optisolve.heldout/1|suite|index").

    Args:
        secret: The organizer's secret.
        suite: Name of the suite.
        index: From 0.

    Returns:
        A seed in [0, 2**53).
    """
    digest = hmac.new(secret, f"{SCHEMA}|{suite}|{index}".encode(), hashlib.sha256).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - _SEED_BITS)


def commit(secret: Secret, *, season: str, suite: str, count: int, salt: bytes | None = None) -> Season:
    """Fix a season's seeds; publish `Season.document` before the season begins.

    Args:
        secret: The organizer's secret.
        season: Name of the season.
        suite: Suite whose instances are held out.
        count: Number of seeds, 1 to 10,000.
        salt: 32 bytes; drawn when None.

    Raises:
        OptionError: A name or a number that does not fit.
    """
    drawn = secrets.token_bytes(_SALT_BYTES) if salt is None else salt
    _require(season, suite, count, drawn.hex(), "0" * 64)
    return Season(season, suite, count, drawn.hex(), secret.commitment(drawn))


def reveal(season: Season, secret: Secret) -> dict[str, Any]:
    """The document that ends the season: the commitment with its secret.

    Raises:
        OptisolveError: Another secret was committed to.
    """
    return {**season.opened(secret).document(), "secret": secret.publish()}


def read_season(path: str | os.PathLike[str]) -> Season:
    """Read a commitment, or a revealed season, whose secret must fit its own commitment.

    Raises:
        OptisolveError: Not such a file, or the secret does not fit.
    """
    told = read_json(Path(path), max_bytes=65_536)
    keys = {"schema", "season", "suite", "count", "salt", "sha256"}
    if not isinstance(told, dict) or not keys <= set(told) <= keys | {"secret"} or told["schema"] != SCHEMA:
        raise OptisolveError(f"{printable(path)}: expected {', '.join(sorted(keys))} of schema {SCHEMA}.")
    _require(told["season"], told["suite"], told["count"], told["salt"], told["sha256"])
    season = Season(*(told[key] for key in ("season", "suite", "count", "salt", "sha256")))
    if "secret" not in told:
        return season
    try:
        return season.opened(Secret(bytes.fromhex(told["secret"])))
    except (TypeError, ValueError):
        raise OptisolveError(f"{printable(path)}: field 'secret' must be hexadecimal.") from None


def check_season(committed: Season, revealed: Season, records: Iterable[Record]) -> list[FieldProblem]:
    """Check a season's records against what was committed before it and revealed after it.

    Args:
        committed: As it was published before the season.
        revealed: As it was published after the season.
        records: Audited records of the season.

    Returns:
        Everything that does not fit: another commitment, a seed that the secret does not give, seeds that a solver
        left out on a problem.
    """
    if committed.document() != revealed.document():
        return [FieldProblem("sha256", revealed.sha256, f"the commitment published before the season, {committed.sha256}")]
    seeds = revealed.seeds()
    found: list[FieldProblem] = []
    run: dict[tuple[str, str], set[int]] = {}
    for record in records:
        told, where = record.instance.seed, record.record_id
        if record.suite.name != revealed.suite:
            found.append(FieldProblem(f"{where}: suite.name", record.suite.name, revealed.suite))
        elif told not in seeds:
            found.append(FieldProblem(f"{where}: instance.seed", told, f"one of the {len(seeds)} held-out seeds"))
        else:
            solver = record.suite.solver or record.solver.name
            run.setdefault((record.instance.scenario, solver), set()).add(told)
    for (scenario, solver), used in sorted(run.items()):
        absent = [index for index, seed in enumerate(seeds) if seed not in used]
        if absent:
            expected = f"all {len(seeds)} of the season; missing {_few(absent)}"
            found.append(FieldProblem(f"{scenario}, {solver}", f"{len(used)} seeds", expected))
    return found


def _few(numbers: Sequence[int]) -> str:
    told = ", ".join(str(number) for number in numbers[:8])
    return f"{told} and {len(numbers) - 8} more" if len(numbers) > 8 else told


def _require(season: Any, suite: Any, count: Any, salt: Any, sha256: Any) -> None:
    found = [
        FieldProblem(name, value, "a name of letters, digits, '_', '-', '.'")
        for name, value in (("season", season), ("suite", suite))
        if not is_safe_name(value)
    ]
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= MAX_COUNT:
        found.append(FieldProblem("count", count, f"a whole number from 1 to {MAX_COUNT}"))
    for name, value in (("salt", salt), ("sha256", sha256)):
        if not isinstance(value, str) or len(value) != 64 or set(value) - set("0123456789abcdef"):
            found.append(FieldProblem(name, value, "64 hexadecimal digits"))
    if found:
        raise OptionError("The season", found)

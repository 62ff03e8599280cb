"""Where files of a submission may stand, how large they may be, and what its description says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optisolve.core.errors import FieldProblem
from optisolve.core.text import is_safe_name
from optisolve.run.table import TABLE as ROWS
from optisolve.run.untrusted import printable, shortened
from optisolve.trust.submission.tree import File

__all__ = [
    "DESCRIPTION",
    "EXPLANATION",
    "LIMITS",
    "RECORDS",
    "ROWS",
    "SCHEMA",
    "TABLE",
    "TRANSCRIPTS",
    "Limits",
    "Place",
    "check_changes",
    "check_description",
    "place_of",
]

SCHEMA = "optisolve.submission/1"
RECORDS = "benchmarks/records"
"""Folder of all submissions."""

EXPLANATION = f"{RECORDS}/README.md"
"""The folder's own page; no part of a submission."""

TABLE = "benchmarks/leaderboard/table.json"
"""The ranking, rebuilt from all records."""

DESCRIPTION = "submission.json"
"""Who submits what, in a few words."""

TRANSCRIPTS = "transcripts.jsonl.xz"
"""The transcripts of a table: a line per run, ``record_id`` and the transcript's own ``text``."""

SUBMITTER = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,37}[a-z0-9])?")
"""A user name in lower case."""

_RECORD_FILES = ("record.json", "transcript.jsonl")
_GROWING = (ROWS, TRANSCRIPTS)
"""Files that a later submission may add to; that nothing else of them changes is seen row by row."""
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes that a submission may have, bytes."""

    description: int = 16_384
    record: int = 10 * _MIB
    transcript: int = 25 * _MIB
    total: int = 200 * _MIB
    files: int = 5_000

    def of(self, name: str) -> int:
        """Largest size of a file of this name."""
        sizes = dict.fromkeys(("record.json", ROWS), self.record)
        sizes |= dict.fromkeys(("transcript.jsonl", TRANSCRIPTS), self.transcript)
        return sizes.get(name, self.description)


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file of a submission stands.

    Attributes:
        suite: Name of the suite.
        submitter: User name.
        folder: The record's own folder, "" for the description, the table and its transcripts.
        name: File name.
    """

    suite: str
    submitter: str
    folder: str
    name: str


def place_of(path: str) -> Place | None:
    """The place that a path names, None when no file of a submission may stand there."""
    parts = path.removeprefix(f"{RECORDS}/").split("/")
    if not path.startswith(f"{RECORDS}/") or not all(map(is_safe_name, parts)):
        return None
    if len(parts) == 3 and parts[2] in (DESCRIPTION, *_GROWING) and SUBMITTER.fullmatch(parts[1]):
        return Place(parts[0], parts[1], "", parts[2])
    if len(parts) == 4 and parts[3] in _RECORD_FILES and SUBMITTER.fullmatch(parts[1]):
        return Place(*parts)
    return None


def check_changes(
    changes: Mapping[str, str], head: Mapping[str, File], limits: Limits = LIMITS, *, whole: bool = False
) -> list[FieldProblem]:
    """Check what a pull request does to the tree, before anything of it is read.

    Args:
        changes: From `changed_paths`.
        head: The new tree's files.
        limits: Sizes.
        whole: The changes are all records of a leaderboard, not one submission.
    """
    found: list[FieldProblem] = []
    inside = {path: status for path, status in changes.items() if path.startswith(f"{RECORDS}/") and path != EXPLANATION}
    outside = sorted(path for path in changes if path not in inside and path != TABLE)
    if inside and outside:
        expected = f"changes below {RECORDS}/ and {TABLE} only; send everything else in a pull request of its own"
        found += [FieldProblem(printable(path), "a change", expected) for path in outside[:10]]
    table = head.get(TABLE)
    if table is not None and table.mode != "100644":
        found.append(FieldProblem(TABLE, f"mode {table.mode}", "a plain file"))
    total = 0
    for path, status in sorted(inside.items()):
        problem = _change_problem(path, status, head.get(path), limits)
        if problem:
            found.append(FieldProblem(printable(path), *problem))
        total += head[path].size if path in head else 0
    if whole:
        return found
    if total > limits.total:
        found.append(FieldProblem("(submission)", f"{total:,} bytes", f"at most {limits.total:,} in all"))
    if len(inside) > limits.files:
        found.append(FieldProblem("(submission)", f"{len(inside):,} files", f"at most {limits.files:,}"))
    submitters = sorted({place.submitter for path in inside if (place := place_of(path)) is not None})
    if len(submitters) > 1:
        found.append(FieldProblem("(submission)", ", ".join(submitters), "one submitter per pull request"))
    return found


def _change_problem(path: str, status: str, file: File | None, limits: Limits) -> tuple[str, str] | None:
    """(given, expected) of a change that is not allowed."""
    place = place_of(path)
    if status != "A" and not (status == "M" and place is not None and place.name in _GROWING):
        told = {"M": "a change", "D": "a removal", "T": "a change of kind"}.get(status[:1], f"status {printable(status)}")
        return told, "additions only; published records stay as they are"
    if file is None or file.mode != "100644":
        kind = {"120000": "a symbolic link", "160000": "a submodule", "100755": "an executable file"}
        return kind.get("" if file is None else file.mode, "something that is no file"), "a plain file"
    if place is None:
        allowed = (
            f"SUITE/SUBMITTER/{' or '.join((DESCRIPTION, *_GROWING))}, SUITE/SUBMITTER/RECORD_ID/{' or '.join(_RECORD_FILES)}"
        )
        return "this file", f"{allowed}, the submitter in lower case"
    if file.size > limits.of(place.name):
        return f"{file.size:,} bytes", f"at most {limits.of(place.name):,}"
    return None


def check_description(told: Any, submitter: str) -> list[FieldProblem]:
    """Check the description of a submission.

    Args:
        told: Parsed JSON.
        submitter: The folder's name.
    """
    if not isinstance(told, Mapping):
        return [FieldProblem(DESCRIPTION, type(told).__name__, "an object with schema, submitter and title")]
    found = []
    for key in ("schema", "submitter", "title"):
        if key not in told:
            found.append(FieldProblem(f"{DESCRIPTION}: {key}", None, "to be present"))
    for key, value in told.items():
        if key not in ("schema", "submitter", "title", "url", "notes"):
            found.append(FieldProblem(f"{DESCRIPTION}: {printable(key)}", "a field", "schema, submitter, title, url, notes"))
        elif not isinstance(value, str) or len(value) > 1000 or not value.isprintable():
            found.append(FieldProblem(f"{DESCRIPTION}: {key}", shortened(value), "one line of text, at most 1,000 characters"))
    for key, wanted in (("schema", SCHEMA), ("submitter", submitter)):
        if key in told and told[key] != wanted:
            found.append(FieldProblem(f"{DESCRIPTION}: {key}", shortened(told[key]), wanted))
    url = told.get("url", "")
    if isinstance(url, str) and url and not re.fullmatch(r"https://[\w.-]+(/[\w./~%?=&#+-]*)?", url):
        found.append(FieldProblem(f"{DESCRIPTION}: url", shortened(url), "an https address"))
    return found

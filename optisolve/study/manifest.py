"""``suite.json``, which stands beside a suite's records: which suite they belong to, what was asked for, what was skipped."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from optisolve.run.fields import Count, Given, Part
from optisolve.study.lock import Identity, LockFile

__all__ = ["MANIFEST", "Manifest", "SkippedCell"]

MANIFEST = "suite.json"


class SkippedCell(Part):
    """A solver that was not run on some instances of a problem, and why."""

    problem: str
    solver: str
    instances: list[Count]
    reason: str


class Manifest(Part):
    """What the file holds; the ids of all units that were asked for so far are among it."""

    layout: Given[Literal["optisolve.suite-run/1"]] = Field(default="optisolve.suite-run/1", alias="schema")
    suite: Identity
    lock: LockFile | None = None
    units_of_the_suite: Count = 0
    units: list[str]
    skipped: tuple[SkippedCell, ...] = Field(default=(), strict=False)

"""What a report is made from: intact records, and what their suites planned."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from optisolve.core.errors import RecordError
from optisolve.core.text import unit_slug
from optisolve.run.records import load_records
from optisolve.run.schema import Record
from optisolve.run.table import TABLE
from optisolve.study.lock import parse_part
from optisolve.study.manifest import MANIFEST, Manifest
from optisolve.study.scored import Expected

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Inputs", "SuiteRun", "read_inputs"]

_UNIT_ID = re.compile(r"(?P<cell>.+)\.i(?P<instance>\d+)\.r(?P<repetition>\d+)-[0-9a-f]+")
_MOST_NAMED = 5
_BY_HAND = ("", "", "")
"""The suite of a run that belongs to none."""


@dataclass(frozen=True, slots=True)
class SuiteRun:
    """A suite as its folder describes it.

    Attributes:
        name: Of the suite.
        version: Of the suite.
        sha256: Hash of its lock.
        records: Records that belong to it.
        asked: Units that were asked for, None without a ``suite.json``.
        total: Units of the whole suite, None without a ``suite.json``.
    """

    name: str
    version: str
    sha256: str
    records: int
    asked: int | None
    total: int | None


@dataclass(frozen=True, eq=False, slots=True)
class Inputs:
    """Everything that a report is made from.

    Attributes:
        records: From `optisolve.load_records`, each record once, sorted by record id.
        expected: Units that the suites planned.
        suites: The suites among the records.
    """

    records: pd.DataFrame
    expected: tuple[Expected, ...]
    suites: tuple[SuiteRun, ...]

    def experiments(self) -> dict[str, Inputs]:
        """The records that may be compared with each other, by name: those of each suite, and all runs by hand."""
        keys = [_key(record) for record in self.records["record"]]
        names = {(s.name, s.version, s.sha256): f"Suite {s.name} {s.version}" for s in self.suites}
        names[_BY_HAND] = "Runs by hand"
        twice = Counter(names.values())
        found = {}
        for key in sorted(set(keys), key=lambda key: (key != _BY_HAND, key)):
            name = names[key] if twice[names[key]] == 1 else f"{names[key]} ({key[2][:8]})"
            own = self.records[[other == key for other in keys]].reset_index(drop=True)
            expected = tuple(unit for unit in self.expected if key[2] and unit.suite == key[2])
            found[name] = Inputs(own, expected, tuple(s for s in self.suites if s.sha256 == key[2] and key[2]))
        return found


def read_inputs(paths: Sequence[str | os.PathLike[str]]) -> Inputs:
    """Read all records at or below some paths, and the ``suite.json`` files beside them.

    Args:
        paths: Records, their folders, or folders of folders; a record that is found twice counts once.

    Raises:
        RecordError: Nothing there, a file that is not a record, or a record that was altered after it was written.
    """
    import pandas as pd

    if not paths:
        raise RecordError("No path to read records from. Give a folder, e.g. optisolve report runs/")
    records = pd.concat([load_records(path) for path in paths], ignore_index=True)
    records = records.drop_duplicates("record_id").sort_values("record_id", kind="stable", ignore_index=True)
    altered = [str(path) for path, record in zip(records["path"], records["record"], strict=True) if _altered(path, record)]
    if altered:
        more = f" and {len(altered) - _MOST_NAMED} more" if len(altered) > _MOST_NAMED else ""
        raise RecordError(
            f"{len(altered)} record(s) were altered after they were written, so no report is made: "
            f"{', '.join(altered[:_MOST_NAMED])}{more}. Restore them, or remove them and run the units again."
        )
    documents: list[Record] = records["record"].tolist()
    manifests = _manifests(records["path"])
    return Inputs(records, tuple(_expected(documents, manifests)), _suites(documents, manifests))


def _key(record: Record) -> tuple[str, str, str]:
    suite = record.suite
    return (suite.name, suite.version, suite.sha256) if suite.name else _BY_HAND


def _altered(path: str, record: Record) -> bool:
    """A row of a table lacks what its id was made of, so only a second run can tell."""
    return Path(path).name != TABLE and record.record_id != record.sealed().record_id


def _manifests(paths: Iterable[str]) -> list[Manifest]:
    """The ``suite.json`` of every folder of units, in the order of their suites."""
    files = sorted({Path(path).parent.parent / MANIFEST for path in paths})
    try:
        manifests = [parse_part(Manifest, file.read_bytes(), str(file)) for file in files if file.is_file()]
    except RecordError as error:
        raise RecordError(f"{error} Run the suite again to restore it.") from error
    return sorted(manifests, key=lambda manifest: manifest.suite.sha256)


def _expected(records: Iterable[Record], manifests: Iterable[Manifest]) -> Iterable[Expected]:
    """Every unit that was asked for, and every one that was skipped beforehand."""
    members = [record.suite for record in records if record.suite.unit]
    cells = {unit_slug(f"{m.problem}.{m.solver}"): (m.problem, m.solver) for m in members}
    problems = sorted({m.problem for m in members}, key=lambda name: -len(name))
    for manifest in manifests:
        suite = manifest.suite
        for item in manifest.skipped:
            cells[unit_slug(f"{item.problem}.{item.solver}")] = (item.problem, item.solver)
            for instance in item.instances:
                yield Expected(suite.sha256, item.problem, item.solver, instance, 0, item.reason)
        for unit in manifest.units:
            parts = _UNIT_ID.fullmatch(unit)
            if parts is None:
                raise RecordError(f"suite.json of {suite.name}: '{unit}' is not the id of a unit.")
            problem, solver = cells.get(parts["cell"]) or _split(parts["cell"], problems)
            yield Expected(suite.sha256, problem, solver, int(parts["instance"]), int(parts["repetition"]))


def _split(cell: str, problems: Sequence[str]) -> tuple[str, str]:
    """Problem and solver of a cell without any record, by the longest problem's name that fits."""
    for problem in problems:
        if cell.startswith(f"{unit_slug(problem)}."):
            return problem, cell[len(problem) + 1 :]
    problem, _, solver = cell.rpartition(".")
    return problem, solver


def _suites(records: Iterable[Record], manifests: Iterable[Manifest]) -> tuple[SuiteRun, ...]:
    suites = (record.suite for record in records if record.suite.name)
    counts = Counter((suite.name, suite.version, suite.sha256) for suite in suites)
    asked: dict[str, set[str]] = {}
    total: dict[str, int] = {}
    for manifest in manifests:
        asked.setdefault(manifest.suite.sha256, set()).update(manifest.units)
        total[manifest.suite.sha256] = manifest.units_of_the_suite
    return tuple(
        SuiteRun(*key, count, len(asked[key[2]]) if key[2] in asked else None, total.get(key[2]))
        for key, count in sorted(counts.items())
    )

"""A sweep, ``optisolve run -m``: what varies stands above every block, and at the end all runs stand in one table."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from optisolve.cli.display import console, new_table
from optisolve.cli.job import EXIT_ERROR, Ended
from optisolve.cli.overrides import swept

__all__ = ["Sweep"]

_FOLDER = "OPTISOLVE_SWEEP"
"""Environment variable with the folder where the jobs of a sweep leave what they reached; they may run in other processes."""

_PLAN = "plan.json"


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep at work.

    Args:
        folder: Where its jobs leave what they reached.
        keys: Settings of which it has several values.
        from_file: Keys that a file of settings has set, and the user has not.
    """

    folder: Path
    keys: tuple[str, ...]
    from_file: frozenset[str]

    @classmethod
    def of(cls, words: Sequence[str], from_file: frozenset[str]) -> Sweep:
        """The sweep that the words ask for."""
        return cls(Path(tempfile.mkdtemp(prefix="optisolve-")), swept(words), from_file)

    @classmethod
    def here(cls) -> Sweep:
        """The sweep that this process does a job of."""
        folder = Path(os.environ[_FOLDER])
        plan = json.loads((folder / _PLAN).read_text(encoding="utf-8"))
        return cls(folder, tuple(plan["keys"]), frozenset(plan["from_file"]))

    @contextmanager
    def environment(self) -> Iterator[Mapping[str, str]]:
        """What its jobs find in their environment; the folder is removed at the end."""
        plan = {"keys": self.keys, "from_file": sorted(self.from_file)}
        (self.folder / _PLAN).write_text(json.dumps(plan), encoding="utf-8")
        try:
            yield {_FOLDER: str(self.folder)}
        finally:
            for file in self.folder.iterdir():
                file.unlink()
            self.folder.rmdir()

    def varied(self, overrides: Sequence[str]) -> dict[str, str]:
        """What one job has for itself.

        Args:
            overrides: Its settings, ``key=value``.
        """
        told = dict(item.lstrip("+").partition("=")[::2] for item in overrides)
        return {key: told[key].strip("'\"") for key in self.keys if key in told}

    def leave(self, number: int, varied: Mapping[str, str], ended: Ended) -> None:
        """Write down how a job ended.

        Args:
            number: Of the job.
            varied: What it has for itself.
            ended: What came of it.
        """
        told = {"varied": varied, "code": ended.code, "scores": ended.scores}
        (self.folder / f"{number:06d}.json").write_text(json.dumps(told), encoding="utf-8")

    def ended(self) -> int:
        """Print one row per job, and give the worst exit code."""
        files = (file for file in sorted(self.folder.glob("*.json")) if file.name != _PLAN)
        jobs = [json.loads(file.read_text(encoding="utf-8")) for file in files]
        if any(job["scores"] for job in jobs):
            _print(self.keys, jobs)
        return max((int(job["code"]) for job in jobs), default=EXIT_ERROR)


def _print(keys: Sequence[str], jobs: Sequence[Mapping[str, dict[str, str]]]) -> None:
    last = [key.rpartition(".")[2] for key in keys]
    heads = [name if last.count(name) == 1 else key for key, name in zip(keys, last, strict=True)]
    names = dict.fromkeys(name for job in jobs for name in job["scores"])
    cells = {name: [job["scores"].get(name, "–") for job in jobs] for name in names if name != "points"}
    known = [name for name, own in cells.items() if {*own} - {"–", ""}]
    columns = [name for i, name in enumerate(known) if cells[name] not in [cells[other] for other in known[:i]]]
    table = new_table(*heads, *(f">{name}" for name in columns), title=f"Sweep: {len(jobs)} runs")
    for column, head, key in zip(table.columns, heads, keys, strict=False):
        column.min_width = max(len(head), *(len(job["varied"].get(key, "")) for job in jobs))
    for job in jobs:
        scores = job["scores"] or ({columns[0]: "failed"} if columns else {})
        table.add_row(*(job["varied"].get(key, "") for key in keys), *(scores.get(name, "–") for name in columns))
    console.print(table)

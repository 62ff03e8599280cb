"""What a search has tried, line by line: a search that was cut off goes on where it was, and every candidate has its fate."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from pathlib import Path
from typing import TextIO

from optisolve.core.documents import Json, JsonObject
from optisolve.core.errors import OptisolveError
from optisolve.programs.search import Candidate

__all__ = ["EVALUATED", "Journal"]

EVALUATED = "evaluated"
"""Fate of a candidate that has a score."""


class Journal:
    """Candidates in the order in which they came.

    A search is led through the lines that a file holds already: it makes the same choices, and what was scored is not scored
    again. A line that does not match is an error, since the search would be another one.

    Args:
        file: JSONL file that is continued; None keeps the lines in memory only.

    Attributes:
        rows: All candidates: fate, who made it, its text, and score or reason.
        waited_s: Time of the language model so far, s: processor time on this machine, waiting for one elsewhere.
        spent_s: What the clock said at the last candidate, s.
    """

    def __init__(self, file: Path | None = None) -> None:
        self.rows = list[JsonObject]()
        self.waited_s = 0.0
        self._known = [] if file is None or not file.is_file() else _read(file)
        scored = [row for row in self._known if row["fate"] == EVALUATED]
        self._scores = {str(row["sha256"]): -math.inf if row["score"] is None else float(str(row["score"])) for row in scored}
        self._path, self._file, self.spent_s, self._begun = file, None, 0.0, time.process_time()
        self.resumed = len(self._known)

    _file: TextIO | None

    def __enter__(self) -> Journal:
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self.resumed:  # a last line that was cut off is gone with this
                self._path.write_text("".join(f"{json.dumps(row)}\n" for row in self._known), encoding="utf-8")
            self._file = self._path.open("a", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def begin(self) -> None:
        """The search begins now."""
        self._begun = time.process_time()

    def clock(self) -> float:
        """Processor time plus the language model's so far, s; what a search that was cut off had used is part of it."""
        return max(self.spent_s, time.process_time() - self._begun + self.waited_s)

    def score(self, sha256: str) -> float | None:
        """Score of a program that the file holds; None where it does not."""
        return self._scores.get(sha256)

    def evaluated(self, candidate: Candidate, tokens: int) -> None:
        """A program has its score.

        Args:
            candidate: The program.
            tokens: Of the language model so far.
        """
        program, worst = candidate.program, candidate.score == -math.inf
        self._note(
            {
                "fate": EVALUATED,
                "by": candidate.made_by,
                "evaluation": candidate.evaluation,
                "score": None if worst else candidate.score,
                "nodes": program.codes.nodes,
                "program": program.text,
                "sha256": program.sha256,
                "tokens": tokens,
            }
        )

    def refused(self, fate: str, tag: str, text: str, reason: str, detail: str, position: int | None = None) -> None:
        """A text that somebody wrote is not evaluated.

        Args:
            fate: ``duplicate`` or ``rejected``.
            tag: Place of the question in the conversation.
            text: What was written.
            reason: In a word or two.
            detail: In words, with the place of a mistake.
            position: Where in the text, from 0; None where it is about the whole.
        """
        row: dict[str, Json] = {"fate": fate, "by": "llm", "tag": tag, "program": text, "reason": reason, "detail": detail}
        self._note({**row, "position": position})

    @property
    def fates(self) -> dict[str, int]:
        """How many texts of the language model had each fate, reasons beside it."""
        told = [
            f"{row['fate']}: {row['reason']}" if "reason" in row else str(row["fate"])
            for row in self.rows
            if row["by"] == "llm"
        ]
        return dict(sorted(Counter(told).items()))

    def _note(self, row: dict[str, Json]) -> None:
        place = len(self.rows)
        self.rows.append(row)
        if place < len(self._known):
            known = self._known[place]
            if any(known.get(name) != value for name, value in row.items()):
                raise OptisolveError(
                    f"{self._path}, line {place + 1}, holds {known.get('program')}, the search came to {row['program']}: "
                    "it was made by another version or other settings. Give another folder: out=FOLDER."
                )
            self.spent_s = float(str(known["seconds"]))
            if place + 1 == len(self._known):  # from here on the time runs on
                self._begun = time.process_time() - self.spent_s + self.waited_s
            return
        self.spent_s = round(self.clock(), 3)
        if self._file is not None:
            self._file.write(json.dumps({**row, "seconds": self.spent_s}) + "\n")
            self._file.flush()


def _read(file: Path) -> list[dict[str, Json]]:
    """The lines of a journal; one that was cut off at the end does not count."""
    found = list[dict[str, Json]]()
    lines = file.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines[:-1], start=1):
        try:
            row = json.loads(line)
            fine = isinstance(row, dict) and {"fate", "by", "program", "seconds"} <= set(row)
            fine = fine and (row["fate"] != EVALUATED or {"sha256", "score"} <= set(row))
        except ValueError:
            fine = False
        if not fine:
            raise OptisolveError(f"{file}, line {number} is no candidate of a search; give another folder: out=FOLDER.")
        found.append(row)
    return found

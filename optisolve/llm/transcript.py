"""The transcript: every request and raw reply, one JSON line each, written the moment it arrives.

The first line describes the model; a ``call`` line holds a request, its reply and its key; an ``attempt`` line a
failed HTTP attempt; a ``resumed`` line says that a new process goes on. What stands under ``volatile`` (latencies, times,
whether a reply came from the response cache) is no part of the hash.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from typing import IO, Any

from optisolve.core.documents import Json, JsonObject, canonical, naming, write_atomic
from optisolve.core.errors import LlmError
from optisolve.core.text import Redactor
from optisolve.llm.types import LlmReply, LlmRequest, Profile, reply_from, told

__all__ = ["Transcript", "mend_end", "read_transcript"]

FORMAT = 2
_VOLATILE = ("latency_s", "cached")


class Transcript:
    """Append-only log of one session; without a path it only keeps the hash.

    Args:
        path: JSONL file to append to, or None. A last line cut short by a crash is removed.
        redactor: Applied to everything that is written.
    """

    def __init__(self, path: Path | None, redactor: Redactor) -> None:
        self._redactor = redactor
        self._digests: dict[str, str] = {}
        self._lock = Lock()
        self._file: IO[bytes] | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_file():
                mend_end(path)
            self._file = path.open("ab")

    @property
    def sha256(self) -> str:
        """Hash over all calls in the order of their keys, without latencies and times."""
        lines = "\n".join(f"{key}:{self._digests[key]}" for key in sorted(self._digests))
        return hashlib.sha256(lines.encode()).hexdigest()

    def __contains__(self, key: str) -> bool:
        return key in self._digests

    def header(self, profile: Profile, notice: str, endpoint: str, seed: int) -> None:
        """Describe the model; the endpoint's address is volatile."""
        line: dict[str, Json] = {"type": "header", "format": FORMAT, "profile": asdict(profile), "notice": notice, "seed": seed}
        self._write({**line, "volatile": {"endpoint": endpoint}})

    def resumed(self, calls: int) -> None:
        """Say that a run goes on here, with so many calls recorded before."""
        self._write({"type": "resumed", "volatile": {"calls": calls}})

    def call(self, key: str, request: LlmRequest, reply: LlmReply, *, write: bool = True) -> None:
        """One request and what came back, or why nothing did.

        Args:
            key: The request's key.
            request: What was asked.
            reply: What came back.
            write: False when the line stands in the file already and only the hash must know it.
        """
        answer = told(reply)
        volatile = {name: answer.pop(name) for name in _VOLATILE}
        body = self._redactor.value({"key": key, "request": told(request), "reply": answer})
        digest = hashlib.sha256(canonical(body)).hexdigest()
        with self._lock:
            self._digests[key] = digest
        if write:
            self._write({"type": "call", **body, "volatile": volatile}, redacted=True)

    def attempt(self, key: str, number: int, failure: str, detail: str) -> None:
        """A failed HTTP attempt of a call that is still being tried."""
        self._write({"type": "attempt", "key": key, "number": number, "failure": failure, "detail": detail})

    def forget_unasked(self) -> None:
        """Drop recorded calls that a finished run had no use for, so that its transcript holds its own calls and no others."""
        with self._lock:
            if self._file is None:
                return
            path = Path(self._file.name)
            lines = path.read_bytes().splitlines(keepends=True)
            kept = [line for line in lines if json.loads(line).get("key", "") in {"", *self._digests}]
            if len(kept) < len(lines):
                self._file.close()
                write_atomic(path, b"".join(kept))
                self._file = path.open("ab")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _write(self, line: JsonObject, *, redacted: bool = False) -> None:
        if self._file is None:
            return
        text = json.dumps(line if redacted else self._redactor.value(line), ensure_ascii=False, separators=(",", ":"))
        with self._lock:
            if (file := self._file) is not None:  # another thread may have closed it meanwhile
                with naming(Path(file.name)):
                    file.write(text.encode() + b"\n")
                    file.flush()


def read_transcript(path: Path) -> tuple[Profile, dict[str, LlmReply], str]:
    """Read a transcript.

    Args:
        path: The JSONL file. A last line cut short by a crash is ignored.

    Returns:
        The model's profile, the replies by key, and the notice of the original run.

    Raises:
        LlmError: The file is missing, is no transcript, or holds a broken line before its end.
    """
    if not path.is_file():
        raise LlmError(f"No transcript at {path}; expected the transcript.jsonl that stands beside a record.")
    rows = _rows(path)
    if not rows or rows[0].get("type") != "header" or rows[0].get("format") != FORMAT:
        raise LlmError(f"{path} is no transcript of format {FORMAT}; its first line must be a header.")
    try:
        profile = Profile(**rows[0]["profile"])
        replies = {row["key"]: reply_from(row["reply"]) for row in rows if row["type"] == "call"}
    except (KeyError, TypeError) as error:
        raise LlmError(f"{path} is damaged: {error!r} is missing or unknown in one of its lines.") from None
    return profile, replies, str(rows[0].get("notice", ""))


def _rows(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            if number == len(lines):  # no line break behind it: the writer died here
                break
            raise LlmError(f"{path}, line {number}: not JSON ({error.msg}).") from None
        if not isinstance(row, dict):
            raise LlmError(f"{path}, line {number}: expected an object.")
        rows.append(row)
    return rows


def mend_end(path: Path) -> None:
    """Make a transcript end with a whole line: what a writer that died left of its last one is cut off.

    Args:
        path: The JSONL file. A last line that lacks nothing but its line break gets that, for its reply was paid for.
    """
    with path.open("rb+") as file:
        data = file.read()
        whole = data.rfind(b"\n") + 1
        if whole == len(data):
            return
        if _is_object(data[whole:]):
            file.write(b"\n")
        else:
            file.truncate(whole)


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False

"""Folders of runs that are not finished: found again by what was asked, claimed by one process, published whole.

A run works in ``OUT/NAME.XXXX.running/`` with its settings in ``job.json`` and, with a language model, every reply in
``transcript.jsonl`` the moment it arrives. All else follows from these two, so a run that was killed goes on by being
run again: recorded replies are taken from the transcript, the rest is asked for.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from optisolve.bench.records import canonical, read_record
from optisolve.core.errors import OptisolveError, RecordError
from optisolve.core.files import write_atomic

__all__ = ["SUFFIX", "JobFolder", "find_finished", "identity", "open_job", "read_job", "unfinished"]

SCHEMA = "optisolve.job/1"
SUFFIX = ".running"
_LOCK = ".lock"
_FINISHED_LATER = ("interrupted", "error")
"""Terminations after which a run may still go on."""


@dataclass(slots=True)
class JobFolder:
    """The folder of a run in progress, held by this process until `release`.

    Attributes:
        path: Where the run writes.
        resumed: The folder was left by an earlier process.
    """

    path: Path
    resumed: bool
    _lock: FileLock

    def release(self, *, at: Path | None = None) -> None:
        """Give the folder up; `at` is its place when it was published under another name."""
        self._lock.release()
        ((self.path if at is None else at) / _LOCK).unlink(missing_ok=True)

    def discard_when_empty(self) -> None:
        """Remove the folder of a run that failed, unless a language model answered in it."""
        transcript = self.path / "transcript.jsonl"
        paid = transcript.is_file() and b'"type":"call"' in transcript.read_bytes()
        self.release()
        if not paid:
            shutil.rmtree(self.path, ignore_errors=True)


def identity(settings: Mapping[str, Any]) -> str:
    """SHA-256 over what a run was asked to do."""
    return hashlib.sha256(canonical(settings)).hexdigest()


def open_job(out: Path, name: str, settings: Mapping[str, Any], *, resume: bool = False) -> JobFolder:
    """The folder to run in: with `resume` the one that an unfinished run of the same settings left, else a new one.

    Args:
        out: Parent folder, made when absent.
        name: Beginning of the new folder's name.
        settings: What is asked, JSON-compatible; equal settings are the same run.
        resume: Look for an unfinished run. One that was stopped by the user or broke has a record already; its replies
            are copied, its record stays.

    Returns:
        The folder, held by this process.
    """
    out.mkdir(parents=True, exist_ok=True)
    if resume:
        wanted = identity(settings)
        for folder in unfinished(out):
            if _identity_in(folder) == wanted and (held := _claim(folder)) is not None:
                return held
    made = Path(tempfile.mkdtemp(dir=out, prefix=".starting-"))  # nobody takes it for a run before it is complete
    lock = FileLock(made / _LOCK)
    lock.acquire()
    stopped = _stopped(out, identity(settings)) if resume else None
    if stopped is not None:
        shutil.copyfile(stopped / "transcript.jsonl", made / "transcript.jsonl")
    body = {"schema": SCHEMA, "identity": identity(settings), "settings": settings}
    write_atomic(made / "job.json", json.dumps(body, indent=1, ensure_ascii=False).encode() + b"\n")
    path = out / f"{name}{made.name.removeprefix('.starting')}{SUFFIX}"
    made.rename(path)
    return JobFolder(path, resumed=stopped is not None, _lock=lock)


def read_job(folder: Path) -> dict[str, Any]:
    """The settings in a run's folder.

    Raises:
        OptisolveError: There is no usable job.json.
    """
    try:
        body = json.loads((folder / "job.json").read_text(encoding="utf-8"))
        settings = body["settings"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OptisolveError(f"{folder}: holds no usable job.json ({error}); it is not the folder of a run.") from error
    if not isinstance(settings, dict) or body.get("schema") != SCHEMA:
        raise OptisolveError(f"{folder / 'job.json'}: field 'schema' must be '{SCHEMA}'.")
    return settings


def unfinished(out: Path) -> list[Path]:
    """Folders of unfinished runs in an output folder, sorted; some may belong to processes that are still at work."""
    return sorted(path for path in out.glob(f"*{SUFFIX}") if (path / "job.json").is_file())


def find_finished(out: Path, wanted: str) -> Path | None:
    """The record's folder of a finished run with this identity, or None."""
    for folder, record in _recorded(out, wanted):
        if record["termination"]["status"] not in _FINISHED_LATER:
            return folder
    return None


def _stopped(out: Path, wanted: str) -> Path | None:
    """The newest record of this identity that was cut short and has a transcript."""
    found = [folder for folder, _ in _recorded(out, wanted) if (folder / "transcript.jsonl").is_file()]
    return max(found, key=lambda folder: (folder / "record.json").stat().st_mtime_ns, default=None)


def _recorded(out: Path, wanted: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    for file in sorted(out.glob("*/job.json")):
        folder = file.parent
        if folder.suffix == SUFFIX or _identity_in(folder) != wanted:
            continue
        try:
            yield folder, read_record(folder)
        except RecordError:
            continue


def _identity_in(folder: Path) -> str:
    try:
        return identity(read_job(folder))
    except OptisolveError:
        return ""


def _claim(folder: Path) -> JobFolder | None:
    """Hold an unfinished run's folder; None when another process does, or has just finished it."""
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        return None
    if not (folder / "job.json").is_file():  # published between the look and the lock
        lock.release()
        return None
    return JobFolder(folder, resumed=True, _lock=lock)

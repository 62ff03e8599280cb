"""Folders of runs that are not finished: found again by what was asked, claimed by one process, published whole.

A run works in ``OUT/NAME.XXXX.running/`` with its settings in ``job.json`` and, with a language model, every reply in
``transcript.jsonl`` the moment it arrives. All else follows from these two, so a run that was killed goes on by being
run again: recorded replies are taken from the transcript, the rest is asked for. Two processes that are asked for the
same run with ``resume`` do it once: the second one waits, and reports what the first one found or goes on where it died.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from optisolve.core.documents import canonical, staging_folder, write_atomic
from optisolve.core.errors import OptisolveError, RecordError
from optisolve.core.text import require_encodable
from optisolve.run.records import read_record
from optisolve.run.schema import Record

__all__ = [
    "FINISHED_LATER",
    "SUFFIX",
    "JobFolder",
    "find_finished",
    "identity",
    "join_job",
    "open_job",
    "read_job",
    "unfinished",
]

SCHEMA = "optisolve.job/1"
SUFFIX = ".running"
_LOCK = ".lock"
_START_LOCK = ".resume.lock"
"""In the output folder; held for the moment in which it is decided who does a run."""
_KEPT = ("job.json", "transcript.jsonl", _LOCK)
"""What a killed run leaves of use; the rest was being written."""
_DEAD_AFTER_S = 3600.0
"""Age at which a folder that takes milliseconds to complete is litter."""
_POLL_S = 0.2
FINISHED_LATER = ("interrupted", "error")
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
        if not paid:  # while it is held, so that nobody goes on in a folder that vanishes
            shutil.rmtree(self.path, ignore_errors=True)
        self.release()


def identity(settings: Mapping[str, Any]) -> str:
    """SHA-256 over what a run was asked to do."""
    return hashlib.sha256(canonical(settings)).hexdigest()


def join_job(
    out: Path,
    name: str,
    settings: Mapping[str, Any],
    *,
    on_wait: Callable[[Path], None] | None = None,
    continues: Path | None = None,
) -> JobFolder | Path:
    """Take part in a run that may be started any number of times, also by several processes at once.

    Args:
        out: Parent folder, made when absent.
        name: Beginning of a new folder's name.
        settings: What is asked, JSON-compatible; equal settings are the same run.
        on_wait: Told once of the folder in which another process is at this run, before waiting for it.
        continues: Folder of a finished run that this one prolongs; replies of its language model are not asked for again.

    Returns:
        The record's folder when the run is finished; else the folder to run in, held by this process.
    """
    out.mkdir(parents=True, exist_ok=True)
    wanted = identity(settings)
    waited = False
    while True:
        with FileLock(out / _START_LOCK):
            _sweep(out)
            finished = find_finished(out, wanted)
            if finished is not None:
                return finished
            same = [folder for folder in unfinished(out) if _identity_in(folder) == wanted]
            for folder in same:
                if (held := _claim(folder)) is not None:
                    return held
            busy = next((folder for folder in same if folder.is_dir()), None)
            if busy is None:
                return open_job(out, name, settings, transcript_of=_stopped(out, wanted) or _with_transcript(continues))
        if not waited and on_wait is not None:
            on_wait(busy)
        waited = True
        time.sleep(_POLL_S)


def open_job(out: Path, name: str, settings: Mapping[str, Any], *, transcript_of: Path | None = None) -> JobFolder:
    """A new folder to run in.

    Args:
        out: Parent folder, made when absent.
        name: Beginning of the folder's name.
        settings: What is asked, JSON-compatible.
        transcript_of: Folder of a run of these settings that was stopped by the user or broke; its replies are copied,
            its record stays.

    Returns:
        The folder, held by this process.
    """
    out.mkdir(parents=True, exist_ok=True)
    with staging_folder(out, ".starting-") as made:  # nobody takes it for a run before it is complete
        lock = FileLock(made / _LOCK)
        lock.acquire()
        if transcript_of is not None:
            shutil.copyfile(transcript_of / "transcript.jsonl", made / "transcript.jsonl")
        body = {"schema": SCHEMA, "identity": identity(settings), "settings": settings}
        write_atomic(made / "job.json", json.dumps(body, indent=1, ensure_ascii=False).encode() + b"\n")
        path = out / f"{name}{made.name.removeprefix('.starting')}{SUFFIX}"
        made.rename(path)
    return JobFolder(path, resumed=transcript_of is not None, _lock=lock)


def read_job(folder: Path) -> dict[str, Any]:
    """The settings in a run's folder.

    Raises:
        OptisolveError: There is no usable job.json.
    """
    try:
        body = json.loads((folder / "job.json").read_text(encoding="utf-8"))
        settings = body["settings"]
        require_encodable(settings)
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
        if record.termination.status not in FINISHED_LATER:
            return folder
    return None


def _stopped(out: Path, wanted: str) -> Path | None:
    """The newest record of this identity that was cut short and has a transcript."""
    found = [folder for folder, _ in _recorded(out, wanted) if (folder / "transcript.jsonl").is_file()]
    return max(found, key=lambda folder: (folder / "record.json").stat().st_mtime_ns, default=None)


def _with_transcript(folder: Path | None) -> Path | None:
    return folder if folder is not None and (folder / "transcript.jsonl").is_file() else None


def _recorded(out: Path, wanted: str) -> Iterator[tuple[Path, Record]]:
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
    if not (folder / "job.json").is_file():
        return None
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        return None
    if not (folder / "job.json").is_file():  # published between the look and the lock, which has made the folder anew
        lock.release()
        with suppress(OSError):
            (folder / _LOCK).unlink()
            folder.rmdir()
        return None
    for left in folder.iterdir():  # a record or a table that its writer did not complete must not be published
        if left.name not in _KEPT:
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    return JobFolder(folder, resumed=True, _lock=lock)


def _sweep(out: Path) -> None:
    """Remove what processes left that were killed while a folder came into being."""
    for pattern in (".starting-*", ".saving-*"):
        for folder in out.glob(pattern):
            with suppress(OSError):
                if time.time() - folder.stat().st_mtime > _DEAD_AFTER_S:
                    shutil.rmtree(folder, ignore_errors=True)

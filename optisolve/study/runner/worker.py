"""A worker: the child process that runs units, and the parent's hand on it.

The process is started once and used again, so that imports, compiled kernels and references are paid for once. It is
killed, and started again for the next unit, when a unit breaks its limits, and it may die of itself; both end as a
`Delivery` that says why.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from optisolve.run.child import Child, End, Limits, Stopped
from optisolve.study.runner.plan import StaleWorker, Unit

__all__ = ["Delivery", "Failure", "Stopped", "Worker", "keep_transcript_only"]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a unit has no result of its own.

    Attributes:
        kind: ``error`` (the solver or its language model broke before the first evaluation), ``time``, ``memory``,
            ``died`` (the process crashed or was killed), ``lost`` (its machine vanished again and again).
        detail: One sentence.
    """

    kind: Literal["error", "time", "memory", "died", "lost"]
    detail: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """What came out of a unit.

    Attributes:
        unit_id: Which unit.
        files: Content by file name; without a `failure` the record is among them.
        failure: Why there is no record, None when there is one.
        seconds: Wall-clock time from order to answer, s.
    """

    unit_id: str
    files: Mapping[str, bytes] = field(default_factory=dict)
    failure: Failure | None = None
    seconds: float = 0.0


class Worker:
    """One child process, started when it is first needed.

    Args:
        threads: Threads of the numerical libraries.
        stop: Set by another thread to cut off what is running.
    """

    def __init__(self, threads: int = 1, stop: threading.Event | None = None) -> None:
        self._child = Child("optisolve.study.runner.child", threads, stop)

    @property
    def pid(self) -> int | None:
        """Process id of the child, None when there is none."""
        return self._child.pid

    def run(self, unit: Unit, scratch: Path) -> Delivery:
        """Carry out one unit.

        Args:
            unit: What to run.
            scratch: Its folder, on this machine. Kept when it holds replies of a language model that no record has yet.

        Returns:
            The files of the finished unit, or why it failed.

        Raises:
            Stopped: `stop` was set.
            StaleWorker: The child has other versions of problem or solver than the unit.
            OptisolveError: No child process can be started at all.
            OSError: There is no room on the disk for the unit's files.
        """
        seconds, memory_mb = unit.limits["seconds"], unit.limits["memory_mb"]
        if self._child.resident_mb > memory_mb / 2:  # what earlier units have filled does not count against this one
            self.close()
        scratch.mkdir(parents=True, exist_ok=True)
        limits = Limits(seconds, memory_mb, ("the limit of a unit (limits.seconds)", "the limit of a unit (limits.memory_mb)"))
        try:
            self._child.start()
            begin = time.perf_counter()
            told = self._child.ask({"unit": unit.plain(), "scratch": str(scratch)}, limits)
        except BaseException:
            self.close()
            keep_transcript_only(scratch)
            raise
        took = time.perf_counter() - begin
        failure, folder = None, scratch / "work"
        if isinstance(told, End):
            failure = Failure(told.kind, told.detail)
        elif "stale" in told:
            shutil.rmtree(scratch, ignore_errors=True)
            raise StaleWorker(told["stale"])
        elif "full" in told:
            keep_transcript_only(scratch)
            raise OSError(*told["full"])
        elif "error" in told:
            failure = Failure(told["kind"], told["error"])
        else:
            folder = Path(told["folder"])
        files = _files(folder)
        if log := self._child.printed():
            files["log.txt"] = log
        shutil.rmtree(scratch, ignore_errors=True)
        return Delivery(unit.id, files, failure, took)

    def close(self) -> None:
        """End the child and everything it started; the next unit starts a new one."""
        self._child.close()


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*")) if path.is_file()} if folder.is_dir() else {}


def keep_transcript_only(scratch: Path) -> None:
    """Replies that were paid for are kept, and continued from; a scratch folder without any goes."""
    transcript = scratch / "work" / "transcript.jsonl"
    if not (transcript.is_file() and b'"type":"call"' in transcript.read_bytes()):
        shutil.rmtree(scratch, ignore_errors=True)

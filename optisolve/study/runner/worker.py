"""A worker: the child process that runs units, and the parent's hand on it.

The process is started once and used again, so that imports, compiled kernels and references are paid for once. It is
killed, and started again for the next unit, when a unit breaks its limits, and it may die of itself; both end as a
`Delivery` that says why.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from optisolve.core.documents import JsonObject
from optisolve.core.errors import OptisolveError
from optisolve.core.text import Redactor, secrets_here
from optisolve.study.runner.plan import StaleWorker, Unit

__all__ = ["Delivery", "Failure", "Stopped", "Worker", "keep_transcript_only", "thread_settings"]

_POLL_S = 0.05
_STARTUP_S = 600.0
_STARTS = 3
"""Tries to start a child, when the system kills it meanwhile."""
_LOG_BYTES = 20_000
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "BLIS_NUM_THREADS",
)


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


class Stopped(BaseException):
    """The run is being stopped; the unit was cut off and nothing is delivered."""


def thread_settings(threads: int) -> dict[str, str]:
    """Environment variables that hold the numerical libraries to so many threads, set before the process starts."""
    return dict.fromkeys(_THREAD_VARIABLES, str(threads))


class Worker:
    """One child process, started when it is first needed.

    Args:
        threads: Threads of the numerical libraries.
        stop: Set by another thread to cut off what is running.
    """

    def __init__(self, threads: int = 1, stop: threading.Event | None = None) -> None:
        self._threads, self._stop = threads, stop or threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._replies: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._log: IO[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the child, None when there is none."""
        return None if self._process is None else self._process.pid

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
        self._require_room(unit)
        scratch.mkdir(parents=True, exist_ok=True)
        try:
            process = self._started()
            log_start, begin = self._log_size(), time.perf_counter()
            self._send(process, {"unit": unit.plain(), "scratch": str(scratch)})
            told = self._wait(process, unit.limits["seconds"], unit.limits["memory_mb"])
        except BaseException:
            self.close()
            keep_transcript_only(scratch)
            raise
        seconds = time.perf_counter() - begin
        failure, folder = None, scratch / "work"
        if isinstance(told, Failure):
            self.close(keep_log=True)
            failure = told
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
        if log := self._log_since(log_start):
            files["log.txt"] = log
        shutil.rmtree(scratch, ignore_errors=True)
        return Delivery(unit.id, files, failure, seconds)

    def close(self, *, keep_log: bool = False) -> None:
        """End the child and everything it started; the next unit starts a new one."""
        process, self._process = self._process, None
        if process is not None:
            _kill(process)
        if not keep_log and self._log is not None:
            self._log.close()
            self._log = None

    def _started(self) -> subprocess.Popen[bytes]:
        """The child, ready for orders; one that is killed while it starts says nothing about the next one."""
        if self._process is not None and self._process.poll() is None:
            return self._process
        for left in reversed(range(_STARTS)):
            process = self._spawned()
            told = self._wait(process, _STARTUP_S, float("inf"))
            if not isinstance(told, Failure):
                return process
            log = self._log_since(0).decode(errors="replace").strip().splitlines()
            killed = told.kind == "died" and (process.poll() or 0) < 0
            self.close()
            if not killed or not left:
                often = f" ({_STARTS} times in a row)" if killed else ""
                raise OptisolveError(f"A worker process cannot be started: {told.detail}{often}. {' '.join(log[-3:])}")
        raise AssertionError("unreachable")

    def _spawned(self) -> subprocess.Popen[bytes]:
        self.close()
        self._replies = queue.SimpleQueue()
        self._log = tempfile.TemporaryFile(prefix="optisolve-worker-")  # noqa: SIM115  # lives as long as the child
        process = subprocess.Popen(
            [sys.executable, "-m", "optisolve.study.runner.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, **thread_settings(self._threads)},
            start_new_session=True,  # Ctrl-C is for us; the child is stopped by us
        )
        self._process = process
        threading.Thread(target=_listen, args=(process, self._replies), daemon=True).start()
        return process

    def _send(self, process: subprocess.Popen[bytes], order: JsonObject) -> None:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died between two units; `_wait` will say so
            process.stdin.write(json.dumps(order).encode() + b"\n")
            process.stdin.flush()

    def _wait(self, process: subprocess.Popen[bytes], seconds: float, memory_mb: float) -> dict[str, Any] | Failure:
        """The child's reply, or what it was killed or died of."""
        deadline = time.perf_counter() + seconds
        while True:
            with contextlib.suppress(queue.Empty):
                line = self._replies.get(timeout=_POLL_S)
                if line is None:
                    return Failure("died", _cause_of_death(process))
                told: dict[str, Any] = json.loads(line)
                return told
            if self._stop.is_set():
                raise Stopped
            if time.perf_counter() > deadline:
                return Failure("time", f"killed after {seconds:g} s, the limit of a unit (limits.seconds)")
            if process.poll() is not None and self._replies.empty():
                return Failure("died", _cause_of_death(process))
            if (resident_mb(process.pid) or 0.0) > memory_mb:
                return Failure("memory", f"killed above {memory_mb:g} MB of memory, the limit of a unit (limits.memory_mb)")

    def _require_room(self, unit: Unit) -> None:
        """A process that earlier units have filled does not count against this one: it starts anew."""
        if self._process is not None and (resident_mb(self._process.pid) or 0.0) > unit.limits["memory_mb"] / 2:
            self.close()

    def _log_size(self) -> int:
        return 0 if self._log is None else os.fstat(self._log.fileno()).st_size

    def _log_since(self, start: int) -> bytes:
        """What was printed since, at most the last 20 kB, without keys."""
        size = self._log_size()
        if self._log is None or size <= start:
            return b""
        begin = max(start, size - _LOG_BYTES)
        told = os.pread(self._log.fileno(), size - begin, begin).decode(errors="surrogateescape")
        return Redactor(secrets_here()).text(told).encode(errors="surrogateescape")


def resident_mb(pid: int) -> float | None:
    """Resident memory of a process, MB; None when it is gone or the system does not tell."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    if platform.system() != "Darwin":
        return None
    told = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return int(told.stdout) * 1.024e-3 if told.stdout.strip() else None


def _listen(process: subprocess.Popen[bytes], replies: queue.SimpleQueue[str | None]) -> None:
    assert process.stdout is not None
    with process.stdout as stream:
        for line in stream:
            replies.put(line.decode())
    replies.put(None)


def _cause_of_death(process: subprocess.Popen[bytes]) -> str:
    try:
        code = process.wait(timeout=5.0)
    except subprocess.TimeoutExpired:
        return "its process closed the connection"
    if code >= 0:
        return f"its process ended with exit code {code}"
    name = signal.Signals(-code).name
    cause = {"SIGKILL": ", as the system does when memory runs out", "SIGSEGV": ", a fault in compiled code"}
    return f"its process was killed by {name}{cause.get(name, '')}"


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)  # it leads a session of its own
        else:
            process.kill()
    process.wait()
    with contextlib.suppress(OSError):
        if process.stdin is not None:
            process.stdin.close()


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*")) if path.is_file()} if folder.is_dir() else {}


def keep_transcript_only(scratch: Path) -> None:
    """Replies that were paid for are kept, and continued from; a scratch folder without any goes."""
    transcript = scratch / "work" / "transcript.jsonl"
    if not (transcript.is_file() and b'"type":"call"' in transcript.read_bytes()):
        shutil.rmtree(scratch, ignore_errors=True)

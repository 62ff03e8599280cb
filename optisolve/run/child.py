"""A child process that works for us, and our hand on it: it is killed when it breaks its limits, and it may die of itself.

Orders go as JSON lines to its standard input, replies come as JSON lines from its standard output; whatever else it prints goes
to a log of which the end is kept. It ends when its standard input does, so it cannot outlive whoever started it.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import platform
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from optisolve.core.clock import go_on, stand_still, stood_still_s
from optisolve.core.documents import Json, JsonObject
from optisolve.core.errors import OptisolveError
from optisolve.core.text import Redactor, secrets_here

__all__ = ["Child", "End", "Limits", "Stopped", "resident_mb", "serve", "thread_settings"]

_POLL_S = 0.05
_STARTUP_S = 600.0
_STARTS = 3
"""Tries to start a child, when the system kills it meanwhile."""
_LOG_BYTES = 20_000
_LONGEST_LOG = 1_000_000
"""Size of the log at which all but its end is thrown away, bytes: a model may print without end."""
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "BLIS_NUM_THREADS",
)


class Stopped(BaseException):
    """The run is being stopped; what the child was at was cut off and nothing is delivered."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When a child is killed.

    Args:
        seconds: From order to reply, s.
        memory_mb: Resident memory, MB.
        of: Whose limits they are, with the settings' names, for messages: one text for time, one for memory.
    """

    seconds: float = float("inf")
    memory_mb: float = float("inf")
    of: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class End:
    """Why there is no reply.

    Attributes:
        kind: ``time``, ``memory`` (it broke its limits) or ``died`` (it crashed or was killed).
        detail: One sentence.
    """

    kind: Literal["time", "memory", "died"]
    detail: str


def thread_settings(threads: int) -> dict[str, str]:
    """Environment variables that hold the numerical libraries to so many threads, set before the process starts."""
    return dict.fromkeys(_THREAD_VARIABLES, str(threads))


class Child:
    """One child process, started when it is first needed and again after its death.

    Args:
        module: What it runs, ``python -m module``; its `main` calls `serve`.
        threads: Threads of the numerical libraries.
        stop: Set by another thread to cut off what is running.
        variables: Further environment variables.
    """

    def __init__(
        self,
        module: str,
        threads: int = 1,
        stop: threading.Event | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self._module, self._threads, self._stop = module, threads, stop or threading.Event()
        self._variables = dict(variables or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._replies: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._log: _Log | None = None
        self.so_far: dict[str, Any] | None = None
        """The last thing that the child told before its reply, see `serve`; None when it told nothing."""

    @property
    def pid(self) -> int | None:
        """Process id of the child, None when there is none."""
        return None if self._process is None else self._process.pid

    @property
    def resident_mb(self) -> float:
        """Resident memory of the child, MB; 0 when there is none, or the system does not tell."""
        return 0.0 if self._process is None else resident_mb(self._process.pid) or 0.0

    @property
    def alive(self) -> bool:
        """Whether there is a child that has not ended."""
        return self._process is not None and self._process.poll() is None

    def ask(self, order: JsonObject, limits: Limits) -> dict[str, Any] | End:
        """Send an order and wait for the reply.

        Args:
            order: Anything that JSON can hold.
            limits: When to kill it.

        Returns:
            The reply; or why there is none, and then the child is gone.

        Raises:
            Stopped: `stop` was set.
            OptisolveError: No child process can be started at all.
        """
        try:
            process = self.start()
            assert self._log is not None
            self._log.mark()
            self.so_far = None
            begin = time.perf_counter()  # a long order takes a while to be read
            self._send(process, order)
            told = self._wait(process, limits, begin)
        except BaseException:
            self.close()
            raise
        if isinstance(told, End):
            self.close(keep_log=True)
        return told

    def start(self) -> subprocess.Popen[bytes]:
        """The child, ready for orders; one that is killed while it starts says nothing about the next one.

        Raises:
            Stopped: `stop` was set.
            OptisolveError: No child process can be started at all.
        """
        if self._process is not None and self._process.poll() is None:
            return self._process
        for left in reversed(range(_STARTS)):
            process = self._spawned()
            told = self._wait(process, Limits(seconds=_STARTUP_S))
            if not isinstance(told, End):
                return process
            log = self.printed().decode(errors="replace").strip().splitlines()
            killed = told.kind == "died" and (process.poll() or 0) < 0
            self.close()
            if not killed or not left:
                often = f" ({_STARTS} times in a row)" if killed else ""
                raise OptisolveError(f"A worker process cannot be started: {told.detail}{often}. {' '.join(log[-3:])}")
        raise AssertionError("unreachable")

    def printed(self) -> bytes:
        """What was printed since the last order, at most the last 20 kB, without keys."""
        told = b"" if self._log is None else self._log.since_mark()
        return Redactor(secrets_here()).text(told.decode(errors="surrogateescape")).encode(errors="surrogateescape")

    def close(self, *, keep_log: bool = False) -> None:
        """End the child and everything it started; the next order starts a new one."""
        process, self._process = self._process, None
        if process is not None:
            _kill(process)
        if not keep_log and self._log is not None:
            self._log.close()
            self._log = None

    def _spawned(self) -> subprocess.Popen[bytes]:
        self.close()
        self._replies = queue.SimpleQueue()
        self._log = _Log()
        process = subprocess.Popen(
            [sys.executable, "-m", self._module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log.file,
            env={**os.environ, **thread_settings(self._threads), **self._variables},
            start_new_session=True,  # Ctrl-C is for us; the child is stopped by us
        )
        self._process = process
        threading.Thread(target=_listen, args=(process, self._replies), daemon=True).start()
        return process

    def _send(self, process: subprocess.Popen[bytes], order: JsonObject) -> None:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died between two orders; `_wait` will say so
            process.stdin.write(json.dumps(order).encode() + b"\n")
            process.stdin.flush()

    def _wait(self, process: subprocess.Popen[bytes], limits: Limits, begin: float | None = None) -> dict[str, Any] | End:
        """The child's reply, or what it was killed or died of; the time counts from `begin`, now where that is None.

        While the child says that its clock stands still, ours does.
        """
        still = False

        def pause(now: bool) -> None:
            nonlocal still
            if now != still:
                (stand_still if now else go_on)()
            still = now

        try:
            return self._reply(process, limits, (time.perf_counter() if begin is None else begin) - stood_still_s(), pause)
        finally:
            pause(False)

    def _reply(
        self, process: subprocess.Popen[bytes], limits: Limits, begin: float, pause: Callable[[bool], None]
    ) -> dict[str, Any] | End:
        while True:
            with contextlib.suppress(queue.Empty):
                line = self._replies.get(timeout=_POLL_S)
                if line is None:
                    return End("died", _cause_of_death(process))
                told: dict[str, Any] = json.loads(line)
                if "so_far" in told:
                    self.so_far = told
                    continue
                if "paused" in told:
                    pause(told["paused"])
                    continue
                return told
            if self._stop.is_set():
                raise Stopped
            if time.perf_counter() - stood_still_s() > begin + limits.seconds:
                return End("time", f"killed after {limits.seconds:g} s, {limits.of[0]}")
            if process.poll() is not None and self._replies.empty():
                return End("died", _cause_of_death(process))
            if limits.memory_mb < float("inf") and (resident_mb(process.pid) or 0.0) > limits.memory_mb:
                return End("memory", f"killed above {limits.memory_mb:g} MB of memory, {limits.of[1]}")
            if self._log is not None:
                self._log.trim()


class _Log:
    """What a child prints: a file without a name, never much longer than `_LONGEST_LOG`."""

    def __init__(self) -> None:
        # appending, so that a child goes on at the end of a file that was cut
        self.file: IO[bytes] = tempfile.TemporaryFile(mode="ab+", prefix="optisolve-worker-")  # noqa: SIM115  # lives on
        self._start, self._cut = 0, b""

    def mark(self) -> None:
        """Whatever comes from now on is of interest."""
        self._start, self._cut = self._size, b""

    def since_mark(self) -> bytes:
        """The end of what came since."""
        return (self._cut + self._end(self._start))[-_LOG_BYTES:]

    def trim(self) -> None:
        """Throw all but the end away when it is long."""
        if self._size > _LONGEST_LOG:
            self._cut, self._start = self.since_mark(), 0
            os.ftruncate(self.file.fileno(), 0)

    def close(self) -> None:
        self.file.close()

    @property
    def _size(self) -> int:
        return os.fstat(self.file.fileno()).st_size

    def _end(self, start: int) -> bytes:
        size = self._size
        begin = max(start, size - _LOG_BYTES)
        return os.pread(self.file.fileno(), max(0, size - begin), begin)


def serve(
    prepare: Callable[[], object],
    answer: Callable[[dict[str, Any]], JsonObject],
    hand_out: Callable[[Callable[[Json], None], Callable[[bool], None]], object] | None = None,
) -> None:
    """The child's side: answer orders until standard input ends; what a solver or a model prints goes to standard error.

    Args:
        prepare: Done before the first order is taken, so that none is charged for it.
        answer: Order to reply, in the main thread.
        hand_out: Gets a function that tells, before there is a reply, what is known so far, and one that tells that the
            clock stands still (True) or goes on.
    """
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    faulthandler.enable()
    for number in (signal.SIGINT, signal.SIGTERM):  # whoever started us decides when we stop
        signal.signal(number, signal.SIG_IGN)
    orders: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_obey, args=(orders,), daemon=True).start()
    prepare()
    if hand_out is not None:
        hand_out(lambda told: _reply(replies, {"so_far": told}), lambda begins: _reply(replies, {"paused": begins}))
    _reply(replies, {"ready": True})
    while True:
        _reply(replies, answer(json.loads(orders.get())))


def _reply(stream: IO[str], message: JsonObject) -> None:
    stream.write(json.dumps(message) + "\n")
    stream.flush()


def _obey(orders: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        orders.put(line)
    os._exit(0)  # also from the middle of an order: nobody is left who would take the answer


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
    try:
        process.wait(timeout=_POLL_S)
    except subprocess.TimeoutExpired:  # giving gigabytes back takes the system a while, which is not ours to wait for
        threading.Thread(target=process.wait, daemon=True).start()
    with contextlib.suppress(OSError):
        if process.stdin is not None:
            process.stdin.close()

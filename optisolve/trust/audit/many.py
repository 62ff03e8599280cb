"""Audits of many records, in processes of their own that are killed when a record asks for too much."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import pickle
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from optisolve.core.errors import OptisolveError
from optisolve.run.child import resident_mb, thread_settings
from optisolve.run.untrusted import printable
from optisolve.trust.audit.auditor import Auditor
from optisolve.trust.audit.child import READY
from optisolve.trust.audit.findings import Audit, Findings

__all__ = ["AUDIT_LIMITS", "AuditLimits", "audit_files", "audits"]

_CHUNKS_PER_WORKER = 8
"""Neighboring records share instances, hence references; larger chunks share more, smaller ones spread the work better."""

_POLL_S = 0.2
_STARTUP_S = 300.0


@dataclass(frozen=True, slots=True)
class AuditLimits:
    """What the audit of one record may take.

    Args:
        seconds: Wall-clock time, s, a second run and the reference included.
        memory_mb: Resident memory of the process that audits, MB.
    """

    seconds: float = 600.0
    memory_mb: float = 8000.0


AUDIT_LIMITS = AuditLimits()


def audit_files(
    auditor: Auditor, files: Sequence[Path], *, workers: int = 1, limits: AuditLimits | None = AUDIT_LIMITS
) -> list[Audit]:
    """Audit records; arguments as `audits`.

    Returns:
        One audit per file, in the order of `files`.
    """
    return list(audits(auditor, files, workers=workers, limits=limits))


def audits(
    auditor: Auditor, files: Sequence[Path], *, workers: int = 1, limits: AuditLimits | None = AUDIT_LIMITS
) -> Iterator[Audit]:
    """Audit records one after another, or several at a time.

    Args:
        auditor: How; every process works with a copy.
        files: Records, those of one instance side by side.
        workers: Processes. The answers do not depend on it.
        limits: What one record may take; a record that takes more is refused in words. None audits in this process,
            without limits of time.

    Yields:
        One audit per file, in the order of `files`.
    """
    if limits is None:
        yield from map(auditor.file, files)
        return
    if workers <= 1 or len(files) < 2:
        with contextlib.closing(_Child(auditor, limits, {})) as child:
            yield from map(child.file, files)
        return
    size = max(1, -(-len(files) // (workers * _CHUNKS_PER_WORKER)))
    chunks = [files[start : start + size] for start in range(0, len(files), size)]
    free: queue.SimpleQueue[_Child] = queue.SimpleQueue()
    children = [_Child(auditor, limits, thread_settings(1)) for _ in range(workers)]
    for child in children:
        free.put(child)

    def some(chunk: Sequence[Path]) -> list[Audit]:
        child = free.get()
        try:
            return [child.file(file) for file in chunk]
        finally:
            free.put(child)

    with ThreadPoolExecutor(workers) as pool:
        try:
            for found in pool.map(some, chunks):
                yield from found
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in children:
                child.close()


class _Child:
    """One process that audits, started when it is first needed and again after it had to be killed.

    Args:
        auditor: What it works with.
        limits: What one record may take.
        environment: Variables on top of this process's own.
    """

    def __init__(self, auditor: Auditor, limits: AuditLimits, environment: dict[str, str]) -> None:
        self._auditor, self._limits, self._environment = auditor, limits, environment
        self._process: subprocess.Popen[bytes] | None = None
        self._replies: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._log: IO[bytes] | None = None
        self._closed = False

    def file(self, path: Path) -> Audit:
        """The audit of one record; a record that breaks the limits, or the process, is refused."""
        process = self._started()
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(str(path)).encode() + b"\n")
            process.stdin.flush()
        reply = self._wait(process, self._limits.seconds, self._limits.memory_mb)
        if isinstance(reply, str):
            self._end()
            found = Findings()
            found.wrong("(audit)", reply, f"an audit within {self._limits.seconds:g} s and {self._limits.memory_mb:g} MB")
            return found.audit(printable(path), printable(path))
        audit: Audit = pickle.loads(base64.b64decode(reply))  # from our own process, which runs our own code
        return audit

    def close(self) -> None:
        """End the process for good."""
        self._closed = True
        self._end()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._closed:
            raise OptisolveError("The audit was stopped.")
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._end()
        self._replies = queue.SimpleQueue()
        self._log = tempfile.TemporaryFile(prefix="optisolve-audit-")  # noqa: SIM115  # lives as long as the process
        self._process = process = subprocess.Popen(
            [sys.executable, "-m", "optisolve.trust.audit.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **self._environment},
        )
        threading.Thread(target=_listen, args=(process, self._replies), daemon=True).start()
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            pickle.dump(self._auditor, process.stdin)
            process.stdin.flush()
        if self._wait(process, _STARTUP_S, float("inf")) != READY:
            raise OptisolveError(f"A process that audits cannot be started: {self._last_words() or 'no reason given'}")
        return process

    def _last_words(self) -> str:
        """The last line that the process wrote where errors go, "" without one, and once `close` was called elsewhere."""
        log = self._log
        if log is None or log.closed:
            return ""
        log.seek(0)
        told = log.read().decode(errors="replace").strip().splitlines()
        return printable(told[-1]) if told else ""

    def _wait(self, process: subprocess.Popen[bytes], seconds: float, memory_mb: float) -> bytes | str:
        """The reply, or in words why there is none."""
        deadline = time.monotonic() + seconds
        while True:
            with contextlib.suppress(queue.Empty):
                reply = self._replies.get(timeout=_POLL_S)
                return reply or f"a process that ended with code {process.wait()} ({self._last_words() or 'it said nothing'})"
            if time.monotonic() > deadline:
                return f"stopped after {seconds:g} s"
            if (resident_mb(process.pid) or 0.0) > memory_mb:
                return f"stopped above {memory_mb:g} MB of memory"

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            with contextlib.suppress(OSError):
                if process.stdin is not None:
                    process.stdin.close()
        if self._log is not None:
            self._log.close()
            self._log = None


def _listen(process: subprocess.Popen[bytes], replies: queue.SimpleQueue[bytes]) -> None:
    assert process.stdout is not None
    with process.stdout as stream:
        for line in stream:
            replies.put(line.rstrip(b"\n"))
    replies.put(b"")

"""The process in which strangers' records are audited: ``python -m optisolve.trust.audit.child``.

The auditor comes pickled on standard input, then one path per line; every answer goes back as one line. The process ends when
its standard input does, so it cannot outlive whoever started it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import pickle
import queue
import signal
import sys
import threading
from pathlib import Path
from typing import IO

__all__ = ["READY", "main"]

READY = b"ready"


def main() -> None:
    """Audit until standard input ends."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a plug-in prints is no answer
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started us decides when we stop
    auditor = pickle.load(sys.stdin.buffer)  # from the process that started this one, never from a record
    orders: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, orders), daemon=True).start()
    _reply(replies, READY)
    while True:
        audit = auditor.file(Path(json.loads(orders.get())))
        _reply(replies, base64.b64encode(pickle.dumps(audit)))


def _reply(stream: IO[bytes], line: bytes) -> None:
    stream.write(line + b"\n")
    stream.flush()


def _listen(stream: IO[bytes], orders: queue.SimpleQueue[bytes]) -> None:
    for line in stream:
        orders.put(line)
    os._exit(0)  # also from the middle of an audit: nobody is left who would take the answer


if __name__ == "__main__":
    main()

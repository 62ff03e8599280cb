"""Processes that run the command line and may be killed: at once, or by themselves at a chosen file operation.

They are forked from one process that has imported everything, so that a start takes a fraction of a second; what
happens in them, and how they die, is what happens to ``optisolve`` started from a shell.
"""

import multiprocessing
import os
import signal
import sys
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.truncate")

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.reliability.warm"])


def start(words: list[str], output: Path, *, die_in: Path | None = None, die_at: int = -1) -> ForkServerProcess:
    """Start ``optisolve WORDS``.

    Args:
        words: The command line.
        output: File for all that it prints, and the beginning of the name of ``OUTPUT.changes``, the number of changes
            that it made to the folder `die_in`.
        die_in: A folder whose changes are counted.
        die_at: Kill itself (SIGKILL) just before this change of the folder, from 0; -1 means never.
    """
    place = (dict(os.environ), str(Path.cwd()))  # the common ancestor may have another one
    process = _CONTEXT.Process(target=_main, args=(words, str(output), place, None if die_in is None else str(die_in), die_at))
    process.start()
    return process


def _main(words: list[str], output: str, place: tuple[dict[str, str], str], die_in: str | None, die_at: int) -> None:
    os.environ.clear()
    os.environ.update(place[0])
    os.chdir(place[1])
    target = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(target, 1)
    os.dup2(target, 2)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    counter = None if die_in is None else _Counter(die_in, die_at)
    if counter is not None:
        sys.addaudithook(counter)
    from optisolve.cli.main import main

    code = main(words)
    if counter is not None:
        counter.armed = False
        Path(f"{output}.changes").write_text(str(counter.seen), encoding="ascii")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class _Counter:
    """Sees every change to a folder before it is made."""

    def __init__(self, folder: str, die_at: int) -> None:
        self.folder, self.die_at, self.seen, self.armed = folder, die_at, 0, True

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.armed or not self._changes(event, arguments):
            return
        if self.seen == self.die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.seen += 1

    def _changes(self, event: str, arguments: tuple[Any, ...]) -> bool:
        if event == "open":
            path, _, flags = arguments
            return isinstance(flags, int) and bool(flags & WRITING) and self._inside(path)
        return event in CHANGES and self._inside(arguments[0])

    def _inside(self, path: object) -> bool:
        return isinstance(path, str | bytes | os.PathLike) and os.fsdecode(path).startswith(self.folder)

"""Kills a worker's child while it starts, once for every file in the folder that KILLED_AT_START names."""

import contextlib
import os
import signal
import sys
from pathlib import Path

if "optisolve.study.runner.child" in sys.orig_argv and os.environ.get("KILLED_AT_START"):
    for token in Path(os.environ["KILLED_AT_START"]).iterdir():
        with contextlib.suppress(FileNotFoundError):  # another child was faster
            token.unlink()
            os.kill(os.getpid(), signal.SIGKILL)

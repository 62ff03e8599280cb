"""The process that holds the model: a llama.cpp server on loopback, alive only as long as its parent.

Run as a file, never imported by the library, so it loads nothing of the package. It prints one JSON line with its
address, or with the reason why there is none, and exits when its standard input ends: that happens on a normal
close, on Ctrl-C and on a SIGKILL of the parent alike.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from typing import Any


def main() -> None:
    """Serve until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the parent decides
    settings: dict[str, Any] = json.loads(sys.stdin.readline())
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    try:
        server = _serve(settings)
    except Exception as error:
        _tell({"error": f"{type(error).__name__}: {error}"})
        os._exit(1)
    _tell({"address": server.listening_address})
    threading.Event().wait()


def _serve(settings: dict[str, Any]) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = settings["path"]
    params.model_alias = {settings["alias"]}  # without it the server reports the file's path as its name
    params.hostnames = ["127.0.0.1"]
    params.port = 0  # any free one
    params.n_parallel = settings["slots"]
    params.n_ctx = settings["context_tokens"] * settings["slots"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings["threads"]
    params.cache_prompt = settings["reuse_prompt"]  # a reused prefix may change rounding, hence texts
    params.cache_ram_mib = 0
    params.n_ctx_checkpoints = 0
    params.fit_params = False  # the sizes are meant as they stand
    params.ui = False
    params.verbosity = 0
    return xllamacpp.Server(params)


def _tell(line: dict[str, str]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _exit_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()

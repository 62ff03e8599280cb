"""A real model on this machine: llama.cpp in a child process that cannot outlive us."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

from optisolve.core.errors import LlmError, MissingDependency
from optisolve.llm import catalog
from optisolve.llm.config import LocalLlm
from optisolve.llm.openai_client import Endpoint
from optisolve.llm.types import LlmReply, LlmRequest, Profile, TransportError

__all__ = ["LocalClient"]

_SERVER = Path(__file__).with_name("local_server.py")


class LocalClient:
    """Client of ``llm=local``; starts the server, stops it, and asks it.

    The server sits in a process of its own, so that it can always be killed, and exits by itself when this process
    is gone.

    Args:
        config: Which weights, how many threads and slots.

    Raises:
        MissingDependency: The runtime is not installed.
        LlmError: The weights are missing or altered.
    """

    def __init__(self, config: LocalLlm) -> None:
        if importlib.util.find_spec("xllamacpp") is None:
            raise MissingDependency("xllamacpp, the runtime of llm=local", extra="local-llm")
        self._config = config
        self._weights = catalog.weights(config.model, config.gguf)
        self.profile = Profile(
            provider="local",
            model=self._weights.name,
            params={
                "weights_sha256": self._weights.sha256,
                "runtime": f"xllamacpp {importlib.metadata.version('xllamacpp')}",
                "temperature": config.temperature,
                "slots": config.slots,
                "threads": config.threads,
                "context_tokens": config.context_tokens,
                **({"reuse_prompt": True} if config.reuse_prompt else {}),  # unnamed where off: names made before it stay
            },
            preferred_style="continuation",
            max_tokens=config.max_tokens,
        )
        self.concurrency, self.timeout_s = config.slots, config.timeout_s
        self.secrets: tuple[str, ...] = ()
        self.notice, self.endpoint, self.final = "", "loopback", False
        self._process: subprocess.Popen[str] | None = None
        self._transport: Endpoint | None = None

    async def start(self) -> None:
        """Start the server and wait until the weights are loaded.

        Raises:
            LlmError: The server does not start in time; the text holds its own words.
        """
        self._process = _spawn(self._settings())
        try:
            told = await asyncio.wait_for(asyncio.to_thread(_first_line, self._process), self._config.startup_s)
        except TimeoutError:
            raise LlmError(
                f"{self._weights.path.name} was not loaded within {self._config.startup_s:g} s; raise llm.startup_s."
            ) from None
        if "address" not in told:
            raise LlmError(f"The local model server did not start: {told.get('error', 'no reason given')}")
        self.endpoint = str(told["address"])
        self._transport = Endpoint(
            f"{self.endpoint}/v1",
            "",
            self._weights.name,
            temperature=self._config.temperature,
            structured="grammar",
            timeout_s=self._config.timeout_s,
            extra={"cache_prompt": self._config.reuse_prompt},
        )

    async def complete(self, request: LlmRequest, key: str) -> LlmReply:
        """One attempt; raises `TransportError`."""
        assert self._transport is not None
        if request.n > self._config.slots:
            text = f"{request.n} completions in one call need llm.slots={request.n} or more"
            raise TransportError("bad_request", text, retryable=False)
        return await self._transport.complete(request)

    @property
    def processor_s(self) -> float | None:
        """Processor time of the server so far, s; None where it does not run or the system does not tell."""
        if self._process is None:
            return None
        try:
            told = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="ascii", errors="replace")
        except OSError:
            return None
        user, system = told.rpartition(")")[2].split()[11:13]  # proc(5): fields 14 and 15, after the name in brackets
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    async def close(self) -> None:
        """Stop the server."""
        process, self._process = self._process, None
        if self._transport is not None:
            await self._transport.close()
            self._transport = None
        if process is not None:
            await asyncio.to_thread(_stop, process)

    def _settings(self) -> dict[str, str | int]:
        return {
            "path": str(self._weights.path),
            "alias": self._weights.name,
            "slots": self._config.slots,
            "context_tokens": self._config.context_tokens,
            "threads": self._config.threads,
            "reuse_prompt": self._config.reuse_prompt,
        }


def _spawn(settings: dict[str, str | int]) -> subprocess.Popen[str]:
    hidden = {name for name in os.environ if "KEY" in name.upper() or "TOKEN" in name.upper() or "SECRET" in name.upper()}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    # Waiting threads spin briefly: not at all costs a factor of two on an idle machine, as long as the runtime's
    # default a factor of ten on a busy one. Measured with SmolLM2-135M on two cores.
    environment.setdefault("GOMP_SPINCOUNT", "1000")
    process = subprocess.Popen(
        [sys.executable, "-I", str(_SERVER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it died at once; `_first_line` will say so
        process.stdin.write(json.dumps(settings) + "\n")
        process.stdin.flush()
    return process


def _first_line(process: subprocess.Popen[str]) -> dict[str, str]:
    assert process.stdout is not None
    for line in process.stdout:  # the runtime may print before us
        with contextlib.suppress(json.JSONDecodeError):
            told = json.loads(line)
            if isinstance(told, dict) and ("address" in told or "error" in told):
                return told
    code = process.wait()
    return {"error": f"it ended with exit code {code}; the file may be damaged or need more memory than there is"}


def _stop(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.close()  # the server's signal to go
    try:
        process.wait(timeout=2.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()

"""An OpenAI-compatible endpoint on loopback that misbehaves on demand, for tests of whatever asks a language model.

    with LlmServer(script=[Fault.RATE_LIMIT, Fault.TRUNCATED]) as server:
        config = llm_config("openai", base_url=server.base_url, model=server.model, backoff_s=0.01)
        ...
    assert server.calls == 3

Answers are random integers in the form that the request asks for (a JSON schema, a GBNF grammar, or the table in the
prompt). They depend on the request alone, never on timing, so runs against the server are reproducible.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import random
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Self

__all__ = ["Fault", "LlmServer"]


class Fault(StrEnum):
    """What the server does instead of answering well."""

    NONE = "none"
    """A good answer."""
    TIMEOUT = "timeout"
    """Never answers."""
    SLOW_BODY = "slow_body"
    """Sends the head at once and the body one byte at a time, without end."""
    RATE_LIMIT = "rate_limit"
    """429 without Retry-After."""
    RETRY_AFTER = "retry_after"
    """429 with a Retry-After of `LlmServer.retry_after_s`."""
    SERVER_ERROR = "server_error"
    """500."""
    AUTH = "auth"
    """401 with a text that repeats the key."""
    RESET = "reset"
    """Drops the connection in the middle of the reply."""
    BROKEN_BODY = "broken_body"
    """200 with a body that is not JSON."""
    NO_USAGE = "no_usage"
    """A good answer without token counts."""
    WRONG_MODEL = "wrong_model"
    """A good answer that names another model."""
    ECHO_KEY = "echo_key"
    """An answer that repeats the key it was sent."""
    EMPTY = "empty"
    """An empty text."""
    PROSE = "prose"
    """Words only."""
    PROSE_AROUND = "prose_around"
    """A good answer between two paragraphs."""
    TRUNCATED = "truncated"
    """The first two thirds of a good answer."""
    WRONG_COUNT = "wrong_count"
    """One point less than asked for."""
    WRONG_LENGTH = "wrong_length"
    """Points without their last number."""
    NAN = "nan"
    """Points with a NaN."""
    OUT_OF_BOUNDS = "out_of_bounds"
    """Points with a number beyond every bound."""
    DUPLICATES = "duplicates"
    """Points that the prompt already holds."""


_STATUS = {Fault.RATE_LIMIT: 429, Fault.RETRY_AFTER: 429, Fault.SERVER_ERROR: 500, Fault.AUTH: 401}
_REASON = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests", 500: "Error"}

Script = Sequence[Fault] | Callable[[int, Mapping[str, Any]], Fault]


class LlmServer:
    """The endpoint; a context manager that serves on a free port in a thread of its own.

    Args:
        script: Fault of the first, second, ... call (good answers afterwards), or a function of the call's number
            (from 0) and the request's body.
        probability: Chance of each fault for calls that the script leaves alone. Drawn from the request's text and
            how often it has come, so it does not depend on the order of concurrent calls.
        seed: Changes all draws.
        latency_s: Time before every answer, s, or a function of the call's number.
        retry_after_s: What `Fault.RETRY_AFTER` asks for, s.
        model: Name of the only model.
        api_key: Key that calls must carry; None accepts all.
        answer: Text for a request's body, in place of random integers.

    Attributes:
        calls: Completion requests received.
        max_in_flight: Largest number of completion requests at the same time.
        bodies: Bodies of all completion requests, in the order of arrival.
        faults: How often each fault was served.
    """

    def __init__(
        self,
        *,
        script: Script = (),
        probability: Mapping[Fault, float] | None = None,
        seed: int = 0,
        latency_s: float | Callable[[int], float] = 0.0,
        retry_after_s: float = 0.05,
        model: str = "loopback-model",
        api_key: str | None = None,
        answer: Callable[[Mapping[str, Any]], str] | None = None,
    ) -> None:
        self._script, self._probability, self._seed = script, dict(probability or {}), seed
        self._latency, self.retry_after_s, self.model = latency_s, retry_after_s, model
        self._api_key, self._answer = api_key, answer
        self.calls = self.max_in_flight = self._in_flight = 0
        self.bodies: list[dict[str, Any]] = []
        self.faults: Counter[Fault] = Counter()
        self._seen: Counter[str] = Counter()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="llm-test-server", daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.base_url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._connected, "127.0.0.1", 0), self._loop
        ).result()
        self.base_url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(timeout=10.0)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10.0)
        self._loop.close()

    async def _stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- HTTP ------------------------------------------------------------------------------------------------------

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            with contextlib.suppress(ConnectionError, RuntimeError):
                writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; False when the connection is to be dropped."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ", 2)
        headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
        raw = await reader.readexactly(int(headers.get("content-length", "0")))
        key = headers.get("authorization", "").removeprefix("Bearer ")
        if self._api_key is not None and key != self._api_key:
            return await self._send(writer, 401, _error(f"Incorrect API key provided: {key}"))
        if method == "GET" and path.endswith("/models"):
            return await self._send(writer, 200, {"object": "list", "data": [{"id": self.model, "object": "model"}]})
        if method != "POST" or not path.endswith("/completions"):
            return await self._send(writer, 404, _error(f"no such path {path}"))
        self._in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self._in_flight)
        try:
            return await self._complete(writer, json.loads(raw), key, chat="/chat/" in path)
        finally:
            self._in_flight -= 1

    async def _complete(self, writer: asyncio.StreamWriter, body: dict[str, Any], key: str, *, chat: bool) -> bool:
        number, self.calls = self.calls, self.calls + 1
        self.bodies.append(body)
        fault, rng = self._choose(number, body)
        self.faults[fault] += 1
        if fault is Fault.TIMEOUT:
            await asyncio.sleep(3600.0)
        await asyncio.sleep(self._latency(number) if callable(self._latency) else self._latency)
        if fault in _STATUS:
            extra = {"Retry-After": str(self.retry_after_s)} if fault is Fault.RETRY_AFTER else {}
            return await self._send(writer, _STATUS[fault], _error(f"{fault}: key {key}"), extra)
        reply = self._reply(fault, rng, body, key, chat=chat)
        if fault is Fault.BROKEN_BODY:
            return await self._send(writer, 200, "<html>bad gateway</html>")
        if fault in (Fault.RESET, Fault.SLOW_BODY):
            return await self._send_badly(writer, json.dumps(reply).encode(), drop=fault is Fault.RESET)
        return await self._send(writer, 200, reply)

    async def _send(self, writer: asyncio.StreamWriter, status: int, body: Any, extra: Mapping[str, str] | None = None) -> bool:
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        lines = [f"HTTP/1.1 {status} {_REASON[status]}", "Content-Type: application/json", f"Content-Length: {len(data)}"]
        lines += [f"{name}: {value}" for name, value in (extra or {}).items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + data)
        await writer.drain()
        return True

    async def _send_badly(self, writer: asyncio.StreamWriter, data: bytes, *, drop: bool) -> bool:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(data) + 10_000}\r\n\r\n"
        writer.write(head.encode() + (data[: len(data) // 2] if drop else b""))
        await writer.drain()
        if not drop:
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.05)
        writer.transport.abort()
        return False

    # -- answers ---------------------------------------------------------------------------------------------------

    def _choose(self, number: int, body: dict[str, Any]) -> tuple[Fault, random.Random]:
        text = json.dumps(body, sort_keys=True)
        repeat, self._seen[text] = self._seen[text], self._seen[text] + 1
        digest = hashlib.sha256(f"{self._seed}|{repeat}|{text}".encode()).digest()
        rng = random.Random(int.from_bytes(digest, "big"))
        if callable(self._script):
            fault = self._script(number, body)
        else:
            fault = self._script[number] if number < len(self._script) else Fault.NONE
        draw = rng.random()
        if fault is Fault.NONE:
            for candidate, chance in self._probability.items():
                if draw < chance:
                    return candidate, rng
                draw -= chance
        return fault, rng

    def _reply(self, fault: Fault, rng: random.Random, body: dict[str, Any], key: str, *, chat: bool) -> dict[str, Any]:
        texts = [self._text(fault, rng, body, key) for _ in range(int(body.get("n") or 1))]
        finish = "length" if fault is Fault.TRUNCATED else "stop"
        choices: list[dict[str, Any]] = []
        for i, text in enumerate(texts):
            said = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
            choices.append({"index": i, "finish_reason": finish, **said})
        asked = len(_prompt(body)) // 4 + 1
        told = sum(len(text) // 4 + 1 for text in texts)
        usage = {"prompt_tokens": asked, "completion_tokens": told, "total_tokens": asked + told}
        return {
            "id": "loopback",
            "object": "chat.completion" if chat else "text_completion",
            "created": 0,
            "model": "some-other-model" if fault is Fault.WRONG_MODEL else str(body.get("model", self.model)),
            "choices": choices,
            **({} if fault is Fault.NO_USAGE else {"usage": usage}),
        }

    def _text(self, fault: Fault, rng: random.Random, body: dict[str, Any], key: str) -> str:
        if fault is Fault.EMPTY:
            return ""
        if fault is Fault.PROSE:
            return "I would move the first UAV towards the crowd and lower the power of the others."
        if fault is Fault.ECHO_KEY:
            return f"Your key is {key}."
        text = self._answer(body) if self._answer is not None else _points(fault, rng, body)
        if fault is Fault.TRUNCATED:
            return text[: 2 * len(text) // 3]
        if fault is Fault.PROSE_AROUND:
            return f"Let me think {{about it}}.\n\n{text}\n\nI hope that this helps."
        return text


def _error(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "loopback", "code": None}}


def _prompt(body: Mapping[str, Any]) -> str:
    return str(body.get("prompt") or "\n".join(str(m.get("content", "")) for m in body.get("messages", [])))


def _points(fault: Fault, rng: random.Random, body: Mapping[str, Any]) -> str:
    """Random points in the form of the request, spoiled by the fault."""
    schema = (body.get("response_format") or {}).get("json_schema", {}).get("schema")
    known = [[int(v) for v in row.split(",")] for row in re.findall(r"(?<![\d.])\d+(?:, ?\d+)+(?![\d.])", _prompt(body))]
    if schema:
        properties: dict[str, Any] = schema["properties"]
        points = [_point(fault, rng, _bounds(p), known) for p in properties.values()]
        names = [list(p["properties"]) for p in properties.values()]
        told = {key: dict(zip(n, point, strict=False)) for key, n, point in zip(properties, names, points, strict=True)}
        if fault is Fault.WRONG_COUNT:
            told.pop(next(reversed(told)))
        return json.dumps(told)
    dim = len(known[-1]) if known else 1
    targets = re.findall(r'"\\n(\d+): "', str(body.get("grammar", "")))
    count = len(targets) if fault is Fault.WRONG_COUNT else len(targets) + 1
    rows = [",".join(map(str, _point(fault, rng, [(0, 1000)] * dim, known))) for _ in range(count)]
    return " " + "\n".join([*rows[:1], *(f"{t}: {row}" for t, row in zip(targets, rows[1:], strict=False))]) + "\n"


def _bounds(point: Mapping[str, Any]) -> list[tuple[int, int]]:
    return [(int(p.get("minimum", 0)), int(p.get("maximum", 1000))) for p in point["properties"].values()]


def _point(fault: Fault, rng: random.Random, bounds: Sequence[tuple[int, int]], known: Sequence[Sequence[int]]) -> list[float]:
    values: list[float] = [rng.randint(low, high) for low, high in bounds]
    place = rng.randrange(len(values))
    if fault is Fault.NAN:
        values[place] = float("nan")
    elif fault is Fault.OUT_OF_BOUNDS:
        values[place] = 10**6
    elif fault is Fault.WRONG_LENGTH:
        values = values[:-1]
    elif fault is Fault.DUPLICATES:
        fitting = [list(row) for row in known if len(row) == len(values)]
        values = list(rng.choice(fitting)) if fitting else values
    return values

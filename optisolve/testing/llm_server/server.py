"""The endpoint: HTTP on loopback, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NotRequired, Self, TypedDict

from optisolve.core.documents import JsonObject
from optisolve.core.errors import FieldProblem, OptionError
from optisolve.testing.llm_server.answers import ESCAPES, MODELS, SAID, answer_text, bomb, finish_reason, message
from optisolve.testing.llm_server.faults import Fault, FaultPlan, Script
from optisolve.testing.llm_server.questions import Body, prompt_of

__all__ = ["Call", "LlmServer"]

_REASON = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}
_HTML = "<html><body><h1>502 Bad Gateway</h1></body></html>"
_LETTERS_PER_CHUNK = 24
_CODES = {Fault.QUOTA: "insufficient_quota", Fault.TOO_LONG: "context_length_exceeded"}


@dataclass(frozen=True, slots=True)
class Call:
    """One completion request.

    Attributes:
        number: Index in order of arrival.
        body: The request.
        fault: What it met.
        chat: It asked for chat, not for a plain completion.
    """

    number: int
    body: Body
    fault: Fault
    chat: bool


class Usage(TypedDict):
    """Token counts of a reply; faults make them impossible numbers."""

    prompt_tokens: float
    completion_tokens: float
    total_tokens: float
    prompt_tokens_details: Mapping[str, int]


class Reply(TypedDict):
    """A completion, or several; faults make the choices other things than objects."""

    id: str
    object: str
    created: int
    model: str
    choices: Sequence[Any]
    usage: NotRequired[Usage]


class LlmServer:
    """The endpoint; a context manager that serves on loopback in a thread of its own.

    Args:
        script: Fault of the first, second, ... call (those behind follow `faults`), or a function of the call's number
            (from 0) and the request's body, such as `outage`.
        faults: Chance of each fault, see `FaultPlan`.
        seed: Changes all draws.
        latency_s: Time before every answer, s, or a function of the call's number; infinite means until `release`.
        tokens_per_s: Completion tokens per second, on top of the latency; None means all at once.
        retry_after_s: What `Fault.RETRY_AFTER` asks for, s.
        capacity: Requests served at the same time; those above are refused with 429. None means any number.
        model: Name of the only model.
        api_key: Key that calls must carry; None accepts all.
        structured: Forms of structured output that the endpoint knows; others are refused with 400.
        usage: Report token counts.
        cached_share: Share of the prompt tokens reported as served from the provider's cache.
        answer: Text for a request's body, in place of offspring of the points in the prompt.
        listing: What is wrong with the list of models.
        port: Port to serve on; 0 takes a free one.

    Raises:
        OptionError: A bad setting or fault plan.

    Attributes:
        base_url: Address, ending in ``/v1``.
        calls: Completion requests received.
        max_in_flight: Largest number of completion requests at the same time.
        log: All completion requests, in the order of arrival.
        served: How often each fault was served.
        on_call: Told of every completion request, or None.
    """

    def __init__(
        self,
        *,
        script: Script = (),
        faults: Mapping[Fault, float] | None = None,
        seed: int = 0,
        latency_s: float | Callable[[int], float] = 0.0,
        tokens_per_s: float | None = None,
        retry_after_s: float = 0.05,
        capacity: int | None = None,
        model: str = "loopback-model",
        api_key: str | None = None,
        structured: tuple[str, ...] = ("json_schema", "json_object", "grammar"),
        usage: bool = True,
        cached_share: float = 0.0,
        answer: Callable[[Body], str] | None = None,
        listing: Fault = Fault.NONE,
        port: int = 0,
    ) -> None:
        _require(
            capacity=capacity, tokens_per_s=tokens_per_s, cached_share=cached_share, retry_after_s=retry_after_s, port=port
        )
        self.plan = FaultPlan(script, faults, seed)
        self._latency, self._tokens_per_s = latency_s, tokens_per_s
        self.retry_after_s, self.model, self._capacity, self._api_key = retry_after_s, model, capacity, api_key
        self._structured, self._usage, self._cached_share, self._answer = structured, usage, cached_share, answer
        self._port, self._listing = port, listing
        self.calls = self.max_in_flight = self._in_flight = 0
        self.log: list[Call] = []
        self.served: Counter[Fault] = Counter()
        self.on_call: Callable[[Call], None] | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="llm-test-server", daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()
        self._released = asyncio.Event()
        self._server: asyncio.Server | None = None
        self.base_url = ""

    @property
    def bodies(self) -> list[Body]:
        """Bodies of all completion requests, in the order of arrival."""
        return [call.body for call in self.log]

    def release(self) -> None:
        """Answer the calls that are held back now."""
        self._loop.call_soon_threadsafe(self._let_go)

    def _let_go(self) -> None:
        held, self._released = self._released, asyncio.Event()
        held.set()

    def __enter__(self) -> Self:
        self._thread.start()
        starting = asyncio.start_server(self._connected, "127.0.0.1", self._port, limit=2**20)
        try:
            self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result()
        except BaseException:
            self._leave()
            raise
        self.base_url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(timeout=10.0)
        self._leave()

    def _leave(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10.0)
        self._loop.close()

    async def _stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- HTTP ----------------------------------------------------------------------------------------------------------

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
            return await self._models(writer, key)
        if method != "POST" or not path.endswith("/completions"):
            return await self._send(writer, 404, _error(f"no such path {path}; there are /v1/models and /v1/…/completions"))
        try:
            body = json.loads(raw)
        except ValueError as error:
            return await self._send(writer, 400, _error(f"the request is not JSON: {error}"))
        return await self._counted(writer, body, key, chat="/chat/" in path)

    async def _models(self, writer: asyncio.StreamWriter, key: str) -> bool:
        if self._listing is Fault.TIMEOUT:
            await asyncio.sleep(3600.0)
        if self._listing.status != 200:
            return await self._refuse(writer, self._listing, key)
        name = self.model + (ESCAPES if self._listing is Fault.ESCAPES else "")
        data = {"object": "list", "data": [{"id": name, "object": "model"}]}
        return await self._deliver(writer, self._listing, json.dumps(data).encode())

    async def _counted(self, writer: asyncio.StreamWriter, body: Body, key: str, *, chat: bool) -> bool:
        refusal = self._refusal(body)
        if refusal:
            return await self._send(writer, 400, _error(refusal))
        self._in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self._in_flight)
        try:
            return await self._complete(writer, body, key, chat=chat)
        finally:
            self._in_flight -= 1

    def _refusal(self, body: Body) -> str:
        """Why the endpoint cannot treat this request, or ""."""
        wanted = (body.get("response_format") or {}).get("type", "text")
        for form in (wanted, *(("grammar",) if body.get("grammar") else ())):
            if form != "text" and form not in self._structured:
                return f"response_format {form} is not supported by this endpoint"
        return ""

    async def _complete(self, writer: asyncio.StreamWriter, body: Body, key: str, *, chat: bool) -> bool:
        number, self.calls = self.calls, self.calls + 1
        fault, rng = self.plan.choose(number, body)
        if self._capacity is not None and self._in_flight > self._capacity:
            fault = Fault.RATE_LIMIT
        call = Call(number, body, fault, chat)
        self.log.append(call)
        self.served[fault] += 1
        if self.on_call is not None:
            self.on_call(call)
        if fault is Fault.TIMEOUT:
            await asyncio.sleep(3600.0)
        if fault is Fault.DROPPED:
            return _reset(writer)
        if fault.status != 200:
            return await self._refuse(writer, fault, key)
        reply = self._reply(fault, rng, body, key, chat=chat)
        delay_s = self._delay_s(number, reply)
        await (self._released.wait() if math.isinf(delay_s) else asyncio.sleep(delay_s))
        return await self._deliver(writer, fault, json.dumps(reply).encode(), reply if body.get("stream") else None)

    def _delay_s(self, number: int, reply: Reply) -> float:
        latency = self._latency(number) if callable(self._latency) else self._latency
        return latency + (0.0 if self._tokens_per_s is None else _tokens(_said(reply)) / self._tokens_per_s)

    async def _refuse(self, writer: asyncio.StreamWriter, fault: Fault, key: str) -> bool:
        if fault is Fault.BAD_GATEWAY:
            return await self._send(writer, fault.status, _HTML)
        extra = {"Retry-After": str(self.retry_after_s)} if fault is Fault.RETRY_AFTER else {}
        if fault is Fault.REDIRECT:  # the same server under another name, so that it sees who follows
            extra = {"Location": self.base_url.replace("127.0.0.1", "localhost") + "/chat/completions"}
        said = SAID.get(fault, f"{fault.meaning} key {key}")
        return await self._send(writer, fault.status, _error(said, _CODES.get(fault)), extra)

    async def _deliver(self, writer: asyncio.StreamWriter, fault: Fault, data: bytes, streamed: Reply | None = None) -> bool:
        if fault is Fault.BROKEN_BODY:
            return await self._send(writer, 200, _HTML)
        if fault is Fault.BAD_UTF8:
            return await self._send(writer, 200, data[:40] + b"\xff\xfe\xfa" + data[40:])
        if fault is Fault.RESET:
            await self._head(writer, 200, {"Content-Length": str(len(data) + 10_000)}, data[: len(data) // 2])
            return _reset(writer)
        if fault is Fault.BOMB:
            return await self._send(writer, 200, bomb(), {"Content-Encoding": "gzip"})
        if fault in (Fault.SLOW_BODY, Fault.FLOOD):
            piece, pause_s = (b" ", 0.05) if fault is Fault.SLOW_BODY else (b" " * 2**16, 0.0)
            await self._head(writer, 200, {"Content-Length": str(2**40)})
            while True:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause_s)
        if streamed is not None:
            return await self._stream(writer, streamed)
        return await self._send(writer, 200, data)

    async def _send(self, writer: asyncio.StreamWriter, status: int, body: Any, extra: Mapping[str, str] | None = None) -> bool:
        data = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        await self._head(writer, status, {"Content-Length": str(len(data)), **(extra or {})}, data)
        return True

    async def _head(self, writer: asyncio.StreamWriter, status: int, fields: Mapping[str, str], data: bytes = b"") -> None:
        lines = [f"HTTP/1.1 {status} {_REASON.get(status, 'Error')}"]
        lines += [f"{name}: {value}" for name, value in {"Content-Type": "application/json", **fields}.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + data)
        await writer.drain()

    async def _stream(self, writer: asyncio.StreamWriter, reply: Reply) -> bool:
        """The same reply as server-sent events, the connection's end being the stream's."""
        await self._head(writer, 200, {"Content-Type": "text/event-stream", "Connection": "close"})
        for piece in _pieces(reply):
            writer.write(f"data: {json.dumps(piece)}\n\n".encode())
            await writer.drain()
        writer.write(b"data: [DONE]\n\n")
        await writer.drain()
        return False

    # -- replies -------------------------------------------------------------------------------------------------------

    def _reply(self, fault: Fault, rng: random.Random, body: Body, key: str, *, chat: bool) -> Reply:
        texts = [answer_text(fault, rng, body, key, self._answer) for _ in range(int(body.get("n") or 1))]
        choices: list[Any] = []
        for i, text in enumerate([] if fault is Fault.NO_CHOICES else texts):
            choices.append({"index": i, "finish_reason": finish_reason(fault), **message(fault, text, chat=chat)})
        reply: Reply = {
            "id": "loopback",
            "object": "chat.completion" if chat else "text_completion",
            "created": 0,
            "model": MODELS.get(fault) or str(body.get("model", self.model)),
            "choices": ["text", None, 7] if fault is Fault.ODD_CHOICES else choices,
        }
        if self._usage and fault is not Fault.NO_USAGE:
            reply["usage"] = self._told_usage(fault, body, texts)
        return reply

    def _told_usage(self, fault: Fault, body: Body, texts: list[str]) -> Usage:
        limit = len(texts) * int(body.get("max_tokens") or body.get("max_completion_tokens") or 2**31)
        asked, told = _tokens([prompt_of(body)]), min(_tokens(texts), limit)
        wrong: dict[Fault, tuple[Any, Any]] = {
            Fault.WRONG_USAGE: (asked, 10**9),
            Fault.HUGE_USAGE: (10**400, 10**400),
            Fault.ODD_USAGE: (-asked, math.nan),
            Fault.REASONING: (asked, limit),
        }
        said_asked, said_told = wrong.get(fault, (asked, told))
        return {
            "prompt_tokens": said_asked,
            "completion_tokens": said_told,
            "total_tokens": said_asked + said_told,
            "prompt_tokens_details": {"cached_tokens": int(self._cached_share * asked)},
        }


def _require(*, capacity: int | None, tokens_per_s: float | None, cached_share: float, retry_after_s: float, port: int) -> None:
    checks = [
        ("capacity", capacity, capacity is None or capacity >= 1, "a number of requests from 1, or None"),
        ("tokens_per_s", tokens_per_s, tokens_per_s is None or tokens_per_s > 0, "a positive rate, or None"),
        ("cached_share", cached_share, 0 <= cached_share <= 1, "a share from 0 to 1"),
        ("retry_after_s", retry_after_s, retry_after_s >= 0, "seconds from 0"),
        ("port", port, 0 <= port < 65536, "a port from 0 to 65535"),
    ]
    problems = [FieldProblem(name, given, expected) for name, given, fine, expected in checks if not fine]
    if problems:
        raise OptionError("The test server", problems)


def _error(message: str, code: str | None = None) -> JsonObject:
    return {"error": {"message": message, "type": "loopback", "code": code}}


def _tokens(texts: list[str]) -> int:
    return sum(len(text) // 4 + 1 for text in texts)


def _said(reply: Reply) -> list[str]:
    return [str(choice["message"]["content"] if "message" in choice else choice["text"]) for choice in reply["choices"]]


def _pieces(reply: Reply) -> list[dict[str, Any]]:
    """The chunks of a streamed reply; the last one holds the token counts."""
    chat = reply["object"] == "chat.completion"
    head = {**reply, "object": "chat.completion.chunk" if chat else "text_completion"}
    usage = {"usage": head.pop("usage")} if "usage" in head else {}
    pieces = []
    for choice, text in zip(reply["choices"], _said(reply), strict=True):
        for start in range(0, len(text) or 1, _LETTERS_PER_CHUNK):
            part = text[start : start + _LETTERS_PER_CHUNK]
            said = {"delta": {"role": "assistant", "content": part}} if chat else {"text": part}
            last = start + _LETTERS_PER_CHUNK >= len(text)
            finish = choice["finish_reason"] if last else None
            pieces.append({**head, "choices": [{"index": choice["index"], "finish_reason": finish, **said}]})
    return [*pieces, {**head, "choices": [], **usage}]


def _reset(writer: asyncio.StreamWriter) -> bool:
    """End the connection at once with a reset, as a crashing server does."""
    channel = writer.get_extra_info("socket")
    if channel is not None:
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    return False

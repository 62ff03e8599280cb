"""What goes to a language model and what comes back, what a client must offer, and what can go wrong on the way."""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol, cast

from optisolve.core.documents import Json, JsonObject
from optisolve.core.text import encodable

__all__ = [
    "MOST_TOKENS",
    "Client",
    "LlmReply",
    "LlmRequest",
    "Message",
    "NoteBehind",
    "PointsBehind",
    "Profile",
    "RetryPolicy",
    "TransportError",
    "reply_from",
    "told",
]

MOST_TOKENS = 10**12
"""Largest count of tokens that is believed."""


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class PointsBehind:
    """Numbers behind a question for points of a grid.

    Attributes:
        names: Variable names.
        levels: Largest integer of each variable.
        count: Points asked for per task.
        parents: Points shown per task, worst to best.
        targets: Values promised to the rows of a table that is continued; None for a chat.
        batched: Tasks are named in the answer.
    """

    names: Sequence[str]
    levels: Sequence[int]
    count: int
    parents: Sequence[Sequence[Sequence[int]]]
    targets: Sequence[int] | None = None
    batched: bool = False


@dataclass(frozen=True, slots=True)
class NoteBehind:
    """Numbers behind a question for a note: how many proposals there were, and how many were kept."""

    made: int
    kept: int


@dataclass(frozen=True, slots=True)
class LlmRequest:
    """One call to a language model.

    Exactly one of `messages` (chat) and `prompt` (plain continuation) is set.

    Args:
        tag: Deterministic position of the call in the run, e.g. ``"wave=3/sub=12"``; part of the replay key.
        sample: Index among calls with the same tag.
        attempt: 0 for the first ask, 1 for the first re-ask, ...; part of the key, so that a re-ask is never served
            the cached failure.
        messages: Chat messages.
        prompt: Text to continue.
        n: Completions asked for in one call.
        max_tokens: Completion tokens allowed per completion.
        seed: Sampling seed sent to the server.
        schema: JSON schema of the answer, for servers that support structured output.
        grammar: GBNF grammar of the answer, for llama.cpp servers.
        behind: Numbers behind the prompt. Never sent anywhere; only the offline surrogate reads them.
    """

    tag: str
    sample: int = 0
    attempt: int = 0
    messages: tuple[Message, ...] = ()
    prompt: str | None = None
    n: int = 1
    max_tokens: int = 512
    seed: int = 0
    schema: JsonObject | None = None
    grammar: str | None = None
    behind: PointsBehind | NoteBehind | None = None

    def key(self, model: str, params: JsonObject) -> str:
        """SHA-256 over model, parameters, text, tag, sample and attempt index: the call's place in its run."""
        return _digest({**self._question(model, params), "tag": self.tag})

    def content_key(self, model: str, params: JsonObject, scope: str) -> str:
        """SHA-256 over what is asked of whom, wherever in a run: as `key`, with the endpoint instead of the tag."""
        return _digest({**self._question(model, params), "scope": scope})

    def _question(self, model: str, params: JsonObject) -> JsonObject:
        return {
            "model": model,
            "params": dict(params),
            "messages": [[m.role, m.content] for m in self.messages],
            "prompt": self.prompt,
            "n": self.n,
            "max_tokens": self.max_tokens,
            "seed": self.seed,
            "schema": self.schema,
            "grammar": self.grammar,
            "sample": self.sample,
            "attempt": self.attempt,
        }


@dataclass(frozen=True, slots=True)
class LlmReply:
    """What came back for one request, or why nothing did.

    Args:
        texts: Raw completions, at most `LlmRequest.n`; empty when the call failed.
        model: Model name that the server reports to have used.
        tokens_in: Prompt tokens.
        tokens_out: Completion tokens, all completions together.
        tokens_cached: Prompt tokens that the provider served from its own cache, part of `tokens_in`.
        finish: Finish reason per completion (``"stop"``, ``"length"``, ...).
        usd: Cost at the configured prices, US dollars.
        latency_s: Seconds from sending to the last byte; 0 in a replay.
        failure: "" on success, else one of ``budget``, ``timeout``, ``rate_limit``, ``server_error``, ``connection``,
            ``bad_request``, ``auth``, ``bad_reply``, ``reasoning`` (the token limit was spent before an answer began),
            ``refused_by_breaker``, ``interrupted``.
        detail: Human text of the failure with the setting that cures it, keys redacted.
        transport_attempts: HTTP attempts this reply cost, 1 when the first succeeded.
        cached: The reply came from the response cache (``llm.cache``); its cost is what it cost when it was asked for.
        charged_calls: Calls the budget was charged for; more than 1 when an attempt without an answer may have been
            processed (a time-out, a broken connection), 0 when nothing was sent.
    """

    texts: tuple[str, ...] = ()
    model: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    finish: tuple[str, ...] = ()
    usd: float = 0.0
    latency_s: float = 0.0
    failure: str = ""
    detail: str = ""
    transport_attempts: int = 1
    charged_calls: int = 1
    cached: bool = False

    @property
    def ok(self) -> bool:
        """True when the call returned at least one completion."""
        return not self.failure


_TOLD = {cls: tuple(f.name for f in fields(cls) if f.name != "behind") for cls in (LlmRequest, LlmReply)}


def told(item: LlmRequest | LlmReply) -> dict[str, Json]:
    """A request or a reply as JSON; a request without the numbers behind its prompt."""
    row = {name: getattr(item, name) for name in _TOLD[type(item)]}
    if isinstance(item, LlmRequest):
        row["messages"] = [{"role": m.role, "content": m.content} for m in item.messages]
    return row


def reply_from(row: Mapping[str, Any]) -> LlmReply:
    """The reply of `told`; the file that it comes from may be anybody's.

    Raises:
        KeyError: A field is missing.
        TypeError: A field is unknown, or holds something of another kind.
    """
    reply: Any = LlmReply(**{**row, "texts": tuple(row["texts"]), "finish": tuple(row["finish"])})
    words = (*reply.texts, *reply.finish, reply.model, reply.failure, reply.detail)
    counts = (reply.tokens_in, reply.tokens_out, reply.tokens_cached, reply.transport_attempts, reply.charged_calls)
    if not all(isinstance(word, str) and encodable(word) == word for word in words):
        raise TypeError("a text")
    if not all(isinstance(count, int) and 0 <= count <= MOST_TOKENS for count in counts):
        raise TypeError("a count")
    if not all(isinstance(amount, int | float) and 0 <= amount < math.inf for amount in (reply.usd, reply.latency_s)):
        raise TypeError("an amount")
    return cast(LlmReply, reply)


def _digest(body: JsonObject) -> str:
    # escaped to ASCII, unlike `core.documents.canonical`: recorded transcripts have these keys
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Profile:
    """What identifies a model for keys, budgets and records; stored at the head of every transcript.

    Args:
        provider: Kind of the configuration, e.g. ``"local"``.
        model: Name asked for.
        params: Everything else that shapes the replies (temperature, weights hash, runtime version, ...).
        preferred_style: ``"schema"`` or ``"continuation"``.
        max_tokens: Completion tokens per call that replace the prompt's own limit, or None.
        usd_per_million_in: Price of prompt tokens.
        usd_per_million_out: Price of completion tokens.
        usd_per_million_cached: Price of prompt tokens that the provider serves from its own cache.
        priced: False when the prices are unknown.
        price_source: Where the prices come from, in words.
    """

    provider: str
    model: str
    params: JsonObject = field(default_factory=dict)
    preferred_style: str = "schema"
    max_tokens: int | None = None
    usd_per_million_in: float = 0.0
    usd_per_million_out: float = 0.0
    usd_per_million_cached: float = 0.0
    priced: bool = True
    price_source: str = ""

    def usd(self, tokens_in: int, tokens_out: int, tokens_cached: int = 0) -> float:
        """Cost of a call at the configured prices, US dollars; `tokens_cached` are part of `tokens_in`."""
        full = (tokens_in - tokens_cached) * self.usd_per_million_in + tokens_cached * self.usd_per_million_cached
        return (full + tokens_out * self.usd_per_million_out) / 1e6


class TransportError(Exception):
    """One attempt brought no reply.

    Args:
        failure: Kind, as in `LlmReply.failure`.
        detail: Human text.
        retryable: Another attempt may succeed.
        may_be_billed: The request may have been processed, so the budget counts it.
        retry_after_s: Waiting time that the server asked for, s.
        final: Every other call would be refused alike, so none is sent any more.
        cure: The setting that would help, in words; it becomes the end of `detail`. "" when none is known.
    """

    def __init__(
        self,
        failure: str,
        detail: str,
        *,
        retryable: bool,
        may_be_billed: bool = False,
        retry_after_s: float | None = None,
        final: bool = False,
        cure: str = "",
    ) -> None:
        super().__init__(detail)
        self.failure, self.detail = failure, f"{detail}. {cure}" if cure else detail
        self.final, self.cured = final, bool(cure)
        self.retryable, self.may_be_billed, self.retry_after_s = retryable, may_be_billed, retry_after_s


class Client(Protocol):
    """One way to get completions; all methods run on the session's event loop.

    `profile` is complete once `start` has returned.
    """

    profile: Profile
    concurrency: int
    """Requests in flight."""
    timeout_s: float
    """Longest time for one attempt, s."""
    secrets: tuple[str, ...]
    """What must appear in no text."""
    notice: str
    """One line that the user must see, or ""."""
    endpoint: str
    """Address, for the transcript's head."""
    final: bool
    """Replies are taken as they are (replay, surrogate): nothing to retry, no usage to estimate."""

    async def start(self) -> None:
        """Reach the model; raises `LlmError` when it cannot be had."""
        ...

    async def complete(self, request: LlmRequest, key: str) -> LlmReply:
        """One attempt; raises `TransportError`."""
        ...

    async def close(self) -> None:
        """Release everything; harmless when done twice."""
        ...


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Bounded retries: exponential waiting times with jitter, Retry-After first.

    Args:
        retries: Attempts after the first.
        backoff_s: First waiting time, s.
        max_wait_s: Longest single waiting time, s.
        breaker_calls: Failed calls in a row after which only one call per batch is tried; 0 means never.
    """

    retries: int = 0
    backoff_s: float = 0.5
    max_wait_s: float = 60.0
    breaker_calls: int = 5

    def wait_s(self, attempt: int, error: TransportError) -> float | None:
        """Seconds to wait after failed attempt number `attempt` (from 1); None means give up."""
        if not error.retryable or attempt > self.retries:
            return None
        if error.retry_after_s is not None:
            return None if error.retry_after_s > self.max_wait_s else max(0.0, error.retry_after_s)
        ceiling = min(self.max_wait_s, self.backoff_s * 2.0 ** (attempt - 1))
        # Timing is no part of a result, so the jitter may come from an unseeded source.
        return ceiling * random.uniform(0.5, 1.0)

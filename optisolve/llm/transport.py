"""What a client must offer, what can go wrong on the way, and how long to wait before the next try."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Protocol

from optisolve.core.json import JsonObject
from optisolve.llm.types import LlmReply, LlmRequest

__all__ = ["Client", "Profile", "RetryPolicy", "TransportError"]


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

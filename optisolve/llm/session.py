"""One run's conversation with a language model: budgeted, bounded, recorded, in index order."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import math
import threading
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, TypedDict, TypeVar

from optisolve.core.budget import BudgetMeter, Reservation
from optisolve.core.documents import JsonObject
from optisolve.core.errors import BudgetExhausted, LlmError, SolverError
from optisolve.core.solver import Task
from optisolve.core.status import Limit
from optisolve.core.text import Redactor
from optisolve.llm.cache import ResponseCache
from optisolve.llm.config import AutoLlm, LlmConfig, LocalLlm, OpenAiLlm
from optisolve.llm.exchange import Batch, Exchange, make_client, worst_case_tokens
from optisolve.llm.transcript import Transcript, mend_end, read_transcript
from optisolve.llm.types import Client, LlmReply, LlmRequest, Profile, RetryPolicy, told

__all__ = ["LlmSession", "SessionReport", "open_session", "session_of"]

T = TypeVar("T")

_KEY_IN_PROMPT = (
    "The prompt holds the key of the endpoint, or what looks like one; nothing was sent. A key belongs into its environment "
    "variable only. When the endpoint needs no key, set llm.api_key_env='' instead of a word that prompts hold."
)
_FAREWELL_S = 5.0
"""Longest wait for calls that were given up, s."""
_CUT_OFF = LlmReply(failure="interrupted", transport_attempts=0, charged_calls=0)
_REFUSALS = ("auth", "bad_request", "reasoning")
_OURS = ("budget", "refused_by_breaker", "interrupted")
"""Failures that say nothing about the endpoint."""
_RECOVERABLE = (Limit.LLM_TOKENS.value, Limit.USD.value)
"""Limits of which settled calls give some back, since they are reserved at their worst case."""


class SessionReport(TypedDict):
    """Deterministic figures of a session, as they stand in a record: model, parameters, counters, the transcript's hash."""

    provider: str
    model: str
    models_reported: list[str]
    params: JsonObject
    calls: int
    tokens_in: int
    tokens_out: int
    usd: float
    failures: dict[str, int]
    transcript: str


def open_session(
    config: LlmConfig | None,
    meter: BudgetMeter,
    *,
    transcript: Path | None = None,
    seed: int = 0,
    dry_run: bool = False,
) -> LlmSession:
    """Make a session; use it as a context manager, which starts and stops the model.

    Args:
        config: Which model and how; None means `AutoLlm`.
        meter: Enforces the budget.
        transcript: JSONL file that every request and reply is appended to, or None. Replies that stand in it already,
            left by a run that was cut off, are taken from there and not asked for again.
        seed: The run's seed, noted in the transcript; requests carry seeds of their own.
        dry_run: Send nothing; estimate what every call would cost.

    Raises:
        LlmError: The model cannot be had; the text names the variable, the URL or the package. Most causes are found
            when the session is entered.
    """
    config = AutoLlm() if config is None else config
    notice = ""
    if isinstance(config, AutoLlm):
        config, notice = config.resolve()
    if dry_run:
        from optisolve.llm.estimate import DryRunClient, dry_profile

        return LlmSession(DryRunClient(dry_profile(config)), meter, RetryPolicy())
    client = make_client(config)
    client.notice = notice or client.notice
    policy = RetryPolicy()
    if isinstance(config, OpenAiLlm):
        policy = RetryPolicy(config.retries, config.backoff_s, config.max_wait_s, config.breaker_calls)
    cache = Path(config.cache) if isinstance(config, OpenAiLlm | LocalLlm) and config.cache else None
    return LlmSession(client, meter, policy, transcript, seed, cache)


def session_of(task: Task) -> LlmSession:
    """The session that a solver asks.

    Raises:
        SolverError: The run has none.
    """
    if not isinstance(task.llm, LlmSession):
        raise SolverError(
            f"{task.solver_name} asks a language model; run it with llm=auto, local, openai, surrogate or replay."
        )
    return task.llm


class LlmSession:
    """A running conversation; made by `open_session`.

    Args:
        client: Not yet started.
        meter: Enforces the budget.
        policy: When a failed attempt is repeated.
        transcript: JSONL file, or None.
        seed: Noted in the transcript.
        cache: Folder of replies shared between runs, or None.

    Attributes:
        calls: Requests that brought completions.
        tokens_in: Prompt tokens so far.
        tokens_out: Completion tokens so far.
        usd: Cost so far, US dollars.
        failures: Failed requests by kind.
        cached_calls: Requests answered by the response cache; they count in the budget as if they had been sent.
        cached_usd: What they would have cost again, US dollars.
    """

    def __init__(
        self,
        client: Client,
        meter: BudgetMeter,
        policy: RetryPolicy,
        transcript: Path | None = None,
        seed: int = 0,
        cache: Path | None = None,
    ) -> None:
        self._client, self._meter, self._policy, self._path, self._seed = client, meter, policy, transcript, seed
        self._cache_folder = cache
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="optisolve-llm", daemon=True)
        self._transcript: Transcript | None = None
        self._exchange: Exchange | None = None
        self._models: set[str] = set()
        self._redactor = Redactor()
        self._reasons: dict[str, str] = {}
        self.calls = self.tokens_in = self.tokens_out = self.cached_calls = 0
        self.usd = self.cached_usd = 0.0
        self.failures: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._run(self._client.start())
            self._require_prices()
            self._exchange = self._opened()
        except BaseException:
            self.close()
            raise
        return self

    def _opened(self) -> Exchange:
        """Start or continue the transcript, open the cache, and get ready to send."""
        redactor = self._redactor = Redactor(self._client.secrets)
        recorded = self._recorded()
        self._transcript = Transcript(self._path, redactor)
        if recorded is None:
            self._transcript.header(self.profile, self.notice, self._client.endpoint, self._seed)
        else:
            self._transcript.resumed(len(recorded))
        cache = None if self._cache_folder is None else ResponseCache(self._cache_folder, redactor)
        return Exchange(self._client, self._policy, self._meter, self._transcript, redactor, recorded=recorded, cache=cache)

    def _recorded(self) -> dict[str, LlmReply] | None:
        """What the transcript of an interrupted run holds; None when there is none."""
        if self._path is None or not self._path.is_file():
            return None
        mend_end(self._path)
        if not self._path.stat().st_size:
            return None
        profile, replies, _ = read_transcript(self._path)
        ours = (self.profile.provider, self.profile.model, self.params)
        theirs = (profile.provider, profile.model, dict(profile.params))
        if ours != theirs:
            raise LlmError(
                f"{self._path} was made with {profile.provider} {profile.model} ({theirs[2]}), this run asks {ours[0]} "
                f"{ours[1]} ({ours[2]}). Resume with the same language model, or start a run of its own."
            )
        return replies

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the model's server or connection; harmless when done twice."""
        if self._loop.is_closed():
            return
        self._exchange = None
        if self._thread.is_alive():
            try:
                self._run(self._client.close())
            finally:
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join(timeout=10.0)
        if not self._loop.is_running():
            self._loop.close()
        if self._transcript is not None:
            self._transcript.close()

    def forget_unasked(self) -> None:
        """The run is finished: replies that it was given and did not ask for leave its transcript."""
        if self._transcript is not None:
            self._transcript.forget_unasked()

    def ask(self, requests: Sequence[LlmRequest]) -> list[LlmReply]:
        """Ask everything at once; replies come in the order of the requests.

        The worst case of every request is reserved in that order before anything is sent, so which ones are refused
        does not depend on timing. What the others leave over is offered to the refused ones, again in order.

        Args:
            requests: Distinct requests (by tag, sample and attempt).

        Returns:
            One reply per request; a refused or failed one says why in `LlmReply.failure`.

        Raises:
            LlmError: The session is closed, a request was asked before, or a replay does not hold it.
        """
        limit = self.profile.max_tokens
        asked = list(requests) if limit is None else [replace(request, max_tokens=limit) for request in requests]
        keys = [request.key(self.model, self.params) for request in asked]
        self._require_usable(asked, keys)
        with self._meter.shield(self._hurry):
            return self._asked(Batch(asked, keys))

    def _asked(self, batch: Batch) -> list[LlmReply]:
        refused: dict[int, LlmReply] = {}
        waiting = list(range(len(batch.requests)))
        while waiting and not self._meter.interrupted:
            held: dict[int, Reservation] = {}
            for i in waiting:
                answer = self._reserve(batch.requests[i])
                if isinstance(answer, LlmReply):
                    refused[i] = answer
                else:
                    held[i] = answer
            if not held:
                break
            self._send(batch, held)
            waiting = [i for i in waiting if i not in held and refused[i].detail in _RECOVERABLE]
        replies = [batch.done.get(i) or refused.get(i, _CUT_OFF) for i in range(len(batch.requests))]
        for reply in replies:
            if reply.failure:
                self.failures[reply.failure] += 1
                if reply.detail:
                    self._reasons.setdefault(reply.failure, reply.detail)
        return replies

    def _hurry(self) -> None:
        """Give up the calls in flight; called by an interrupt."""
        if self._exchange is not None:
            self._loop.call_soon_threadsafe(self._exchange.stop)

    @property
    def profile(self) -> Profile:
        """What identifies the model; in a replay that of the original run."""
        return self._client.profile

    @property
    def notice(self) -> str:
        """One line that the user must see: which stand-in answers, what the endpoint said when it refused; or ""."""
        reasons = [f"{kind.replace('_', ' ')}: {self._reasons[kind]}" for kind in self._reasons if self._must_be_told(kind)]
        return "; ".join(filter(None, (self._client.notice, *reasons)))

    def _must_be_told(self, failure: str) -> bool:
        """True for refusals that a setting cures, and for whatever was in the way when nothing was answered."""
        return failure in _REFUSALS or (failure not in _OURS and not self.calls)

    @property
    def provider(self) -> str:
        """Kind of the model's source, e.g. ``"local"``."""
        return self.profile.provider

    @property
    def model(self) -> str:
        """Name of the model that was asked for."""
        return self.profile.model

    @property
    def params(self) -> JsonObject:
        """Everything else that shapes the replies."""
        return dict(self.profile.params)

    @property
    def preferred_style(self) -> str:
        """Prompt style that suits the model: ``"schema"`` or ``"continuation"``."""
        return self.profile.preferred_style

    @property
    def processor_s(self) -> float | None:
        """Processor time of a model on this machine so far, s; None for others, whose time is waiting."""
        used: float | None = getattr(self._client, "processor_s", None)
        return used

    def describe(self) -> SessionReport:
        """What was asked of whom; equal in a replay."""
        return {
            "provider": self.provider,
            "model": self.model,
            "models_reported": sorted(self._models),
            "params": self.params,
            "calls": self.calls,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "usd": self.usd,
            "failures": dict(sorted(self.failures.items())),
            "transcript": "" if self._transcript is None else f"sha256:{self._transcript.sha256}",
        }

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _require_prices(self) -> None:
        if self._meter.budget.usd is not None and not self.profile.priced:
            raise LlmError(
                f"budget.usd is set but the prices of '{self.model}' are unknown (they are not in prices/llm.yaml for "
                f"this endpoint). Set llm.usd_per_million_in and "
                "llm.usd_per_million_out, or drop budget.usd."
            )

    def _require_usable(self, asked: Sequence[LlmRequest], keys: Sequence[str]) -> None:
        if self._transcript is None or self._exchange is None:
            raise LlmError("The language-model session is closed; use it inside its `with` block.")
        for i, (request, key) in enumerate(zip(asked, keys, strict=True)):
            if self._redactor.finds(told(request)):
                raise LlmError(_KEY_IN_PROMPT)
            if key in self._transcript or key in keys[:i]:
                raise LlmError(
                    f"'{request.tag}' (sample {request.sample}, attempt {request.attempt}) was asked before; "
                    "a repeated question needs another attempt index."
                )

    def _reserve(self, request: LlmRequest) -> Reservation | LlmReply:
        tokens_in, tokens_out = worst_case_tokens(request)
        try:
            return self._meter.reserve(tokens=tokens_in + tokens_out, usd=self.profile.usd(tokens_in, tokens_out))
        except BudgetExhausted as refusal:
            return LlmReply(failure="budget", detail=refusal.limit.value, transport_attempts=0, charged_calls=0)

    def _send(self, batch: Batch, held: dict[int, Reservation]) -> None:
        """Send the reserved requests and settle them, also when the user interrupts."""
        assert self._exchange is not None
        future = asyncio.run_coroutine_threadsafe(self._exchange.send(batch, list(held)), self._loop)
        self._meter.unanswered = lambda: sum(i not in batch.done for i in held)
        try:
            self._wait_for(future)
        except BaseException:
            if not future.done():
                self._hurry()
                with contextlib.suppress(Exception):
                    self._wait_for(future, limit_s=_FAREWELL_S)
            raise
        finally:
            self._meter.unanswered = None
            # Sums of dollars depend on their order, so calls are settled in index order, never on arrival.
            for i in sorted(held):
                self._settle(batch, i, held[i])

    def _wait_for(self, sending: concurrent.futures.Future[None], limit_s: float = math.inf) -> None:
        """Wait until nothing is in flight; after an interrupt not longer than calls take to be given up."""
        while limit_s > 0.0:
            try:
                sending.result(timeout=1.0)
            except TimeoutError:
                if sending.done():
                    raise
                limit_s = min(limit_s, _FAREWELL_S) if self._meter.interrupted else limit_s
                limit_s -= 1.0
            else:
                return

    def _settle(self, batch: Batch, i: int, held: Reservation) -> None:
        reply = batch.done.get(i)
        if reply is None:  # cut off by an interrupt: it may have been billed
            tokens_in, tokens_out = worst_case_tokens(batch.requests[i])
            reply = LlmReply(tokens_in=tokens_in, tokens_out=tokens_out, failure="interrupted")
            reply = replace(reply, usd=self.profile.usd(tokens_in, tokens_out))
        if reply.charged_calls:
            self._meter.settle(
                held,
                tokens_in=reply.tokens_in,
                tokens_out=reply.tokens_out,
                tokens_cached=reply.tokens_cached,
                usd=reply.usd,
            )
        else:  # refused without being sent
            self._meter.release(held)
        repeated = batch.extra.get(i, [])
        if self._client.final and self._exchange is not None:
            repeated = self._exchange.repeated(batch.requests[i], reply)
        for extra in repeated:
            self._meter.settle(extra, tokens_in=0, tokens_out=0, usd=0.0)
        self.tokens_in += reply.tokens_in
        self.tokens_out += reply.tokens_out
        self.usd += reply.usd
        self.calls += reply.ok
        self.cached_calls += reply.cached
        self.cached_usd += reply.usd * reply.cached
        if reply.model:
            self._models.add(reply.model)

"""Exchanges with a model: the client of a configuration, a call sent and sent again, how many at once, and when to stop."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import TracebackType

from optisolve.core.budget import BudgetMeter, Reservation
from optisolve.core.errors import BudgetExhausted, LlmError
from optisolve.core.text import Redactor
from optisolve.llm.cache import ResponseCache
from optisolve.llm.config import LlmConfig, LocalLlm, OpenAiLlm, ReplayLlm, SurrogateLlm
from optisolve.llm.transcript import Transcript
from optisolve.llm.types import Client, LlmReply, LlmRequest, RetryPolicy, TransportError

__all__ = ["Batch", "Breaker", "Exchange", "Limiter", "make_client", "worst_case_tokens"]


def make_client(config: LlmConfig) -> Client:
    """The client of a configuration, not yet started."""
    if isinstance(config, LocalLlm):
        from optisolve.llm.local import LocalClient

        return LocalClient(config)
    if isinstance(config, OpenAiLlm):
        from optisolve.llm.openai_client import OpenAiClient

        return OpenAiClient(config)
    if isinstance(config, SurrogateLlm):
        from optisolve.llm.surrogate import SurrogateClient

        return SurrogateClient(config)
    if isinstance(config, ReplayLlm):
        from optisolve.llm.replay import ReplayClient

        return ReplayClient(config)
    raise LlmError(f"llm must be a configuration made by llm_config, got {type(config).__name__}.")


class Limiter:
    """At most so many calls in flight; fewer when the endpoint says that it is overloaded, more again when it copes.

    Additive increase, multiplicative decrease (Chiu & Jain 1989, doi 10.1016/0169-7552(89)90019-6): a 429 halves the
    limit, a whole round of good replies raises it by one. Use it as an asynchronous context manager round one attempt; who
    came first is served first.

    Args:
        largest: Most calls in flight.

    Attributes:
        limit: Calls that may be in flight now, a fraction counts as less than one.
    """

    def __init__(self, largest: int) -> None:
        self._largest = float(largest)
        self.limit = float(largest)
        self._busy = self._spared = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def __aenter__(self) -> Limiter:
        if not self._waiting and self._busy + 1 <= self.limit:
            self._busy += 1
            return self
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn  # whoever wakes us has taken the place for us
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        self._busy -= 1
        while self._waiting and self._busy + 1 <= self.limit:
            turn = self._waiting.popleft()
            if not turn.done():
                self._busy += 1
                turn.set_result(None)

    def overloaded(self) -> None:
        """The endpoint refused a call because there are too many; calls in flight at that moment count once together."""
        if self._spared:
            self._spared -= 1
            return
        self._spared = max(0, self._busy - 1)
        self.limit = max(1.0, self.limit / 2.0)

    def went_well(self) -> None:
        """A call was answered."""
        self._spared = max(0, self._spared - 1)
        self.limit = min(self._largest, self.limit + 1.0 / self.limit)


class Breaker:
    """Opens after so many failed calls in a row; while it is open one call per batch tries whether it can close.

    It counts calls, not seconds, so that a run does not depend on when it asks. A refusal that every call would meet shuts it.

    Args:
        calls: Failed calls in a row that open it; 0 means never.
    """

    def __init__(self, calls: int) -> None:
        self._calls = calls
        self._failed = 0
        self._final = ""

    @property
    def is_open(self) -> bool:
        """True while calls are to be refused."""
        return self.is_shut or 0 < self._calls <= self._failed

    @property
    def is_shut(self) -> bool:
        """True when no further call is to be tried at all."""
        return bool(self._final)

    @property
    def reason(self) -> str:
        """Why calls are refused, in words."""
        return self._final or f"the last {self._failed} calls failed"

    def shut(self, reason: str) -> None:
        """The endpoint refuses what every call has; for good, unless the breaker never opens."""
        if self._calls:
            self._final = self._final or f"every call is refused: {reason}"

    def saw(self, *, ok: bool) -> None:
        """Count one call that was sent and is over."""
        self._failed = 0 if ok else self._failed + 1


def worst_case_tokens(request: LlmRequest) -> tuple[int, int]:
    """Upper bounds on prompt and completion tokens of a request.

    A token of a byte-level vocabulary holds at least one byte, so bytes bound tokens; chat templates and schemas that
    a server pastes into the prompt are allowed for.
    """
    size = 64 + len((request.prompt or "").encode())
    size += sum(32 + len(m.content.encode()) for m in request.messages)
    size += len(str(dict(request.schema)).encode()) if request.schema else 0
    return size, request.n * request.max_tokens


class Batch:
    """Requests in flight together and what has come back.

    Args:
        requests: All requests of one `LlmSession.ask`.
        keys: Their keys.

    Attributes:
        done: Replies by index, filled as they arrive.
        extra: Reservations of repeated attempts whose predecessors may have been billed, by index.
        taken: Indices whose reply was taken as it was recorded: its cost is in it, nothing was sent.
    """

    def __init__(self, requests: Sequence[LlmRequest], keys: Sequence[str]) -> None:
        self.requests, self.keys = requests, keys
        self.done: dict[int, LlmReply] = {}
        self.extra: dict[int, list[Reservation]] = {}
        self.taken: set[int] = set()


class Exchange:
    """Sends batches through one client; all methods run on the session's event loop.

    A reply comes, in this order, from what an interrupted run has recorded, from the response cache, from the model.

    Args:
        client: A started client.
        policy: When to try again, and when to stop trying.
        meter: Charged for attempts that may have been billed; its clock bounds every wait.
        transcript: Where replies and failed attempts go.
        redactor: Applied to all texts that come back.
        recorded: Replies by key of a run that is resumed.
        cache: Replies shared between runs, or None.
    """

    def __init__(
        self,
        client: Client,
        policy: RetryPolicy,
        meter: BudgetMeter,
        transcript: Transcript,
        redactor: Redactor,
        *,
        recorded: Mapping[str, LlmReply] | None = None,
        cache: ResponseCache | None = None,
    ) -> None:
        self._client, self._policy, self._meter = client, policy, meter
        self._transcript, self._redactor = transcript, redactor
        self._recorded, self._cache = recorded or {}, cache
        self._limiter = Limiter(client.concurrency)
        self._breaker = Breaker(0 if client.final else policy.breaker_calls)
        self._resume_at = 0.0
        self._sending: asyncio.Task[None] | None = None
        self._stopped = False

    async def send(self, batch: Batch, indices: Sequence[int]) -> None:
        """Send some requests of a batch, at most the client's concurrency at a time."""
        self._sending = asyncio.current_task()
        try:
            if not self._stopped:
                await self._send(batch, indices)
        except asyncio.CancelledError:
            if not self._stopped:
                raise
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            self._sending, self._stopped = None, False

    def stop(self) -> None:
        """Give up what is in flight, or what is sent next; `send` returns without it."""
        self._stopped = True
        if self._sending is not None:
            self._sending.cancel()

    async def _send(self, batch: Batch, indices: Sequence[int]) -> None:
        live = [i for i in indices if not self._take_recorded(batch, i)]
        if self._breaker.is_open and live and not self._breaker.is_shut:  # one call tries whether the endpoint is back
            await self._serve(batch, live.pop(0), RetryPolicy(), probe=True)
        async with asyncio.TaskGroup() as group:
            for i in live:
                group.create_task(self._serve(batch, i, self._policy))

    def _take_recorded(self, batch: Batch, i: int) -> bool:
        """Take the reply that an interrupted run has recorded; False when there is none."""
        reply = self._recorded.get(batch.keys[i])
        if reply is None:
            return False
        batch.taken.add(i)
        batch.extra[i] = self.repeated(batch.requests[i], reply)  # before the others may use up what is left
        self._breaker.saw(ok=reply.ok)
        self._done(batch, i, reply, write=False)
        return True

    def repeated(self, request: LlmRequest, reply: LlmReply) -> list[Reservation]:
        """Reservations of the further calls that a recorded reply was charged for; they were paid, so they always fit."""
        tokens_in, tokens_out = worst_case_tokens(request)
        usd = self._client.profile.usd(tokens_in, tokens_out)
        further = range(reply.charged_calls - 1)
        return [self._meter.reserve(tokens=tokens_in + tokens_out, usd=usd, paid=True) for _ in further]

    async def _serve(self, batch: Batch, i: int, policy: RetryPolicy, *, probe: bool = False) -> None:
        """One request from the cache or from the model; whatever a server does ends in a reply."""
        cached = self._from_cache(batch, i)
        if cached is not None:
            batch.taken.add(i)
            self._done(batch, i, cached)
            return
        async with self._limiter if not probe else contextlib.nullcontext():
            if self._breaker.is_open and not probe:
                reply = LlmReply(
                    failure="refused_by_breaker", detail=self._breaker.reason, transport_attempts=0, charged_calls=0
                )
            else:
                reply = await self._reply(batch, i, policy)
                self._breaker.saw(ok=reply.ok)
        self._done(batch, i, reply)

    def _done(self, batch: Batch, i: int, reply: LlmReply, *, write: bool = True) -> None:
        batch.done[i] = reply
        self._transcript.call(batch.keys[i], batch.requests[i], reply, write=write)

    def _from_cache(self, batch: Batch, i: int) -> LlmReply | None:
        found = None if self._cache is None else self._cache.get(self._content_key(batch, i))
        return None if found is None else replace(found, cached=True, latency_s=0.0)

    def _content_key(self, batch: Batch, i: int) -> str:
        profile = self._client.profile
        scope = self._client.endpoint if profile.provider == "openai" else profile.provider
        return batch.requests[i].content_key(profile.model, profile.params, scope)

    async def _reply(self, batch: Batch, i: int, policy: RetryPolicy) -> LlmReply:
        """One request with its retries."""
        request, key = batch.requests[i], batch.keys[i]
        worst_in, worst_out = worst_case_tokens(request)
        number = lost = 0
        while True:
            number += 1
            await asyncio.sleep(max(0.0, self._resume_at - time.monotonic()))
            start = time.perf_counter()
            try:
                reply = await self._attempt(request, key)
                self._limiter.went_well()
                break
            except TransportError as error:
                detail = self._redactor.text(error.detail)
                lost += error.may_be_billed
                if error.failure == "rate_limit":
                    self._limiter.overloaded()
                wait = None if self._meter.out_of_time else policy.wait_s(number, error)
                if error.final:
                    self._breaker.shut(detail)
                if wait is None or (error.may_be_billed and not self._charge(batch, i, worst_in + worst_out)):
                    reply = LlmReply(failure=error.failure, detail=detail)
                    break
                self._transcript.attempt(key, number, error.failure, detail)
                await self._wait(wait, shared=error.failure == "rate_limit")
        if self._client.final:
            return reply
        if self._cache is not None and reply.ok:  # without what earlier attempts cost this run
            self._cache.put(self._content_key(batch, i), request, self._finished(request, reply, start, 1, 0, 0))
        return self._finished(request, reply, start, number, len(batch.extra.get(i, ())), lost)

    async def _attempt(self, request: LlmRequest, key: str) -> LlmReply:
        limit = self._client.timeout_s
        if self._meter.budget.seconds is not None:
            limit = min(limit, max(0.001, self._meter.budget.seconds - self._meter.elapsed_s))
        try:
            async with asyncio.timeout(limit):
                return await self._client.complete(request, key)
        except TimeoutError:
            raise TransportError("timeout", f"no reply within {limit:.3g} s", retryable=True, may_be_billed=True) from None

    async def _wait(self, seconds: float, *, shared: bool) -> None:
        """Wait before a retry; a server that is out of capacity gets a rest from all calls."""
        if shared:
            self._resume_at = max(self._resume_at, time.monotonic() + seconds)
        else:
            await asyncio.sleep(seconds)

    def _charge(self, batch: Batch, i: int, tokens: int) -> bool:
        """Reserve another call after one that may have been billed; False when it does not fit."""
        request = batch.requests[i]
        try:
            held = self._meter.reserve(tokens=tokens, usd=self._client.profile.usd(*worst_case_tokens(request)))
        except BudgetExhausted:
            return False
        batch.extra.setdefault(i, []).append(held)
        return True

    def _finished(self, request: LlmRequest, reply: LlmReply, start: float, attempts: int, extra: int, lost: int) -> LlmReply:
        """Redacted reply with cost: attempts without an answer that may have been billed count at their worst case."""
        worst_in, worst_out = worst_case_tokens(request)
        tokens_in, tokens_out = reply.tokens_in, reply.tokens_out
        if (reply.ok or reply.finish) and not tokens_in + tokens_out:  # the server reports no usage
            tokens_in, tokens_out = worst_in, worst_out
        tokens_in, tokens_out = tokens_in + lost * worst_in, tokens_out + lost * worst_out
        return replace(
            reply,
            texts=tuple(self._redactor.text(text) for text in reply.texts),
            model=self._redactor.text(reply.model),
            finish=tuple(self._redactor.text(end) for end in reply.finish),
            detail=self._redactor.text(reply.detail),
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            usd=self._client.profile.usd(tokens_in, tokens_out, reply.tokens_cached),
            latency_s=time.perf_counter() - start,
            transport_attempts=attempts,
            charged_calls=1 + extra,
        )

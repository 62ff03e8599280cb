"""Any endpoint that speaks the OpenAI protocol, through the `openai` package's asynchronous client."""

from __future__ import annotations

import email.utils
import json
import os
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from optisolve.core.errors import LlmError, nearest
from optisolve.llm.config import OpenAiLlm
from optisolve.llm.prices import Prices, listed_prices
from optisolve.llm.redact import Redactor
from optisolve.llm.transport import Profile, TransportError
from optisolve.llm.types import LlmReply, LlmRequest

if TYPE_CHECKING:
    from openai import AsyncOpenAI

__all__ = ["Endpoint", "OpenAiClient", "openai_profile"]

OPENAI_URL = "https://api.openai.com/v1"
_LADDER = ("json_schema", "json_object", "none")


class Endpoint:
    """Requests to one OpenAI-compatible address; knows nothing of keys, starting or budgets.

    Args:
        base_url: Address, ending in ``/v1``.
        api_key: Key to send.
        model: Model name.
        temperature: Sampling temperature, or None to leave it to the server.
        structured: ``auto``, ``json_schema``, ``json_object``, ``grammar`` or ``none``.
        max_tokens_field: Name of the limit in the request.
        send_seed: Send the seed.
        timeout_s: Time limit for connecting and between two reads, s.
        extra: Further fields of every request.

    Attributes:
        model: Model name; may change once the endpoint's list is known.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        model: str,
        *,
        temperature: float | None,
        structured: str,
        timeout_s: float,
        max_tokens_field: str = "max_tokens",
        send_seed: bool = True,
        extra: dict[str, Any] | None = None,
    ) -> None:
        self._base_url, self._api_key, self.model = base_url, api_key, model
        self._temperature, self._max_tokens_field, self._send_seed = temperature, max_tokens_field, send_seed
        self._structured = "json_schema" if structured == "auto" else structured
        self._may_step_down = structured == "auto"
        self._timeout_s, self._extra = timeout_s, extra or {}
        self._sdk: AsyncOpenAI | None = None

    @property
    def sdk(self) -> AsyncOpenAI:
        """The client; made on first use, on the event loop that uses it."""
        if self._sdk is None:
            from openai import AsyncOpenAI

            self._sdk = AsyncOpenAI(
                api_key=self._api_key or "none", base_url=self._base_url, max_retries=0, timeout=self._timeout_s
            )
        return self._sdk

    async def models(self, timeout_s: float) -> list[str]:
        """Names of the models that the endpoint lists; empty when it lists none.

        Args:
            timeout_s: As for the endpoint, s.

        Raises:
            TransportError: The endpoint cannot be reached or refuses the key.
        """
        try:
            page = await self.sdk.models.list(timeout=timeout_s)
        except Exception as error:
            told = explain(error)
            if told.failure in ("bad_request", "bad_reply"):  # reachable, but without a list of models
                return []
            raise told from None
        return [str(model.id) for model in page.data or []]

    async def complete(self, request: LlmRequest) -> LlmReply:
        """One attempt.

        Raises:
            TransportError: No reply; the reason and whether a retry makes sense.
        """
        level = self._structured
        try:
            return await self._send(request, level)
        except Exception as error:
            told = explain(error)
            lower = _LADDER[_LADDER.index(level) + 1 :] if level in _LADDER else ()
            if told.failure != "bad_request" or not self._may_step_down or not lower or not request.messages:
                raise told from None
        self._structured = lower[0]
        return await self.complete(request)

    async def close(self) -> None:
        """Close all connections."""
        if self._sdk is not None:
            await self._sdk.close()
            self._sdk = None

    async def _send(self, request: LlmRequest, level: str) -> LlmReply:
        fields: dict[str, Any] = {"model": self.model, self._max_tokens_field: request.max_tokens}
        if request.n != 1:
            fields["n"] = request.n
        if self._temperature is not None:
            fields["temperature"] = self._temperature
        if self._send_seed:
            fields["seed"] = request.seed
        body = dict(self._extra)
        if level == "grammar" and request.grammar:
            body["grammar"] = request.grammar
        if body:
            fields["extra_body"] = body
        if request.prompt is not None:
            answer: Any = await self.sdk.completions.create(prompt=request.prompt, **fields)
            return _reply(answer, [choice.text for choice in answer.choices or []])
        fields["messages"] = [{"role": m.role, "content": m.content} for m in request.messages]
        if request.schema is not None and level == "json_schema":
            schema = {"name": "answer", "strict": True, "schema": dict(request.schema)}
            fields["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif request.schema is not None and level == "json_object":
            fields["response_format"] = {"type": "json_object"}
        answer = await self.sdk.chat.completions.create(**fields)
        return _reply(answer, [choice.message.content for choice in answer.choices or []])


class OpenAiClient:
    """Client of ``llm=openai``.

    Args:
        config: Address, model, key variable, limits.

    Raises:
        LlmError: The key's variable is not set.
    """

    def __init__(self, config: OpenAiLlm) -> None:
        self._config = config
        self.endpoint = config.base_url or OPENAI_URL
        self._key = _key(config, self.endpoint)
        self.concurrency, self.timeout_s = config.max_concurrency, config.timeout_s
        self.secrets: tuple[str, ...] = (self._key,) if self._key else ()
        self.notice, self.final = "", False
        self._redactor = Redactor(self.secrets)
        self._model = config.model
        self.profile = self._profile()
        self._transport: Endpoint | None = None

    async def start(self) -> None:
        """Ask for the list of models, which shows that address and key work.

        Raises:
            LlmError: Unreachable, key refused, or no model named.
        """
        self._transport = self._endpoint()
        try:
            known = await self._transport.models(min(10.0, self.timeout_s))
        except TransportError as error:
            raise LlmError(self._start_error(error)) from None
        self._model = self._transport.model = self._chosen(known)
        self.profile = self._profile()

    async def complete(self, request: LlmRequest, key: str) -> LlmReply:
        """One attempt; raises `TransportError`."""
        assert self._transport is not None
        return await self._transport.complete(request)

    async def close(self) -> None:
        """Close all connections."""
        if self._transport is not None:
            await self._transport.close()
            self._transport = None

    def _endpoint(self) -> Endpoint:
        c = self._config
        return Endpoint(
            self.endpoint,
            self._key,
            self._model,
            temperature=c.temperature,
            structured=c.structured,
            max_tokens_field=c.max_tokens_field,
            send_seed=c.send_seed,
            timeout_s=self.timeout_s,
        )

    def _profile(self) -> Profile:
        return openai_profile(self._config, self._model, self.endpoint)

    def _chosen(self, known: list[str]) -> str:
        if self._model:
            if known and self._model not in known:
                guess = nearest(self._model, known)
                hint = f"; did you mean '{guess}'?" if guess else ""
                self.notice = f"{self.endpoint} does not list the model '{self._model}'{hint}"
            return self._model
        if len(known) == 1:
            return known[0]
        shown = ", ".join(known[:12]) or "(it lists none)"
        raise LlmError(f"llm.model is not set and {self.endpoint} does not offer exactly one model. Offered: {shown}.")

    def _start_error(self, error: TransportError) -> str:
        detail = self._redactor.text(error.detail)
        if error.failure == "auth":
            name = self._config.api_key_env or "(llm.api_key_env is empty)"
            return f"{self.endpoint} refuses the key in the environment variable {name}: {detail}"
        return f"No language model at {self.endpoint} ({error.failure}: {detail}). Is it running? Check llm.base_url."


def openai_profile(config: OpenAiLlm, model: str, endpoint: str) -> Profile:
    """What identifies a model at an endpoint, and its prices."""
    prices = _prices(config, model, endpoint)
    return Profile(
        provider="openai",
        model=model,
        params={"temperature": config.temperature, "structured": config.structured, "send_seed": config.send_seed},
        preferred_style="schema",
        max_tokens=config.max_tokens,
        usd_per_million_in=prices.tokens_in if prices else 0.0,
        usd_per_million_out=prices.tokens_out if prices else 0.0,
        usd_per_million_cached=prices.cached if prices else 0.0,
        priced=prices is not None,
        price_source=prices.source if prices else "",
    )


def _prices(config: OpenAiLlm, model: str, endpoint: str) -> Prices | None:
    """The configured prices, else the listed ones."""
    if config.usd_per_million_in is None or config.usd_per_million_out is None:
        return listed_prices(endpoint, model)
    cached = config.usd_per_million_in if config.usd_per_million_cached is None else config.usd_per_million_cached
    return Prices(config.usd_per_million_in, config.usd_per_million_out, cached, "set by the user")


def explain(error: Exception) -> TransportError:
    """What an exception of the `openai` package means for retries and the budget."""
    import openai

    if isinstance(error, TransportError):
        return error
    detail = _brief(error)
    if isinstance(error, openai.APITimeoutError):
        return TransportError("timeout", detail, retryable=True, may_be_billed=True)
    if isinstance(error, openai.APIConnectionError):
        # A refused connection was never processed; one that broke later may have been.
        refused = type(error.__cause__).__name__ in ("ConnectError", "ConnectTimeout")
        return TransportError("connection", detail, retryable=True, may_be_billed=not refused)
    if isinstance(error, openai.APIStatusError):
        return _explain_status(error, detail)
    # A body that is no JSON, or not of the protocol's shape: the work was done all the same.
    return TransportError("bad_reply", detail, retryable=True, may_be_billed=True)


def _explain_status(error: Any, detail: str) -> TransportError:
    status = int(error.status_code)
    wait = _retry_after(error.response.headers)
    if status == 429:
        exhausted = str(getattr(error, "code", "")) == "insufficient_quota"
        return TransportError("rate_limit", detail, retryable=not exhausted, retry_after_s=wait)
    if status in (401, 403):
        return TransportError("auth", detail, retryable=False)
    if status in (408, 409) or status >= 500:
        return TransportError("server_error", detail, retryable=True, retry_after_s=wait)
    return TransportError("bad_request", detail, retryable=False)


def _retry_after(headers: Any) -> float | None:
    """Seconds asked for by Retry-After (a number or an HTTP date), or None."""
    value = headers.get("retry-after-ms")
    scale = 1e-3 if value is not None else 1.0
    value = headers.get("retry-after") if value is None else value
    if value is None:
        return None
    try:
        seconds = float(value) * scale
        return seconds if seconds >= 0 else None
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def _reply(answer: Any, texts: list[str | None]) -> LlmReply:
    if not texts:
        raise TransportError("bad_reply", "the reply holds no completion", retryable=True, may_be_billed=True)
    usage = getattr(answer, "usage", None)
    details = getattr(usage, "prompt_tokens_details", None)
    return LlmReply(
        texts=tuple(text if isinstance(text, str) else "" for text in texts),
        model=str(answer.model or ""),
        tokens_in=_count(getattr(usage, "prompt_tokens", 0)),
        tokens_out=_count(getattr(usage, "completion_tokens", 0)),
        tokens_cached=min(_count(getattr(details, "cached_tokens", 0)), _count(getattr(usage, "prompt_tokens", 0))),
        finish=tuple(str(choice.finish_reason or "") for choice in answer.choices),
    )


def _count(value: object) -> int:
    return value if isinstance(value, int) and value >= 0 else 0


def _brief(error: Exception) -> str:
    """One line of at most 300 characters."""
    body = getattr(error, "body", None)
    text = body.get("message") if isinstance(body, dict) else None
    text = text if isinstance(text, str) else json.dumps(body) if body is not None else str(error)
    text = " ".join(f"{type(error).__name__}: {text}".split())
    return text if len(text) <= 300 else text[:299] + "…"


def _key(config: OpenAiLlm, url: str) -> str:
    if not config.api_key_env:
        return ""
    key = os.environ.get(config.api_key_env, "").strip()
    if not key and urlsplit(url).hostname not in ("localhost", "127.0.0.1", "::1"):
        raise LlmError(
            f"The environment variable {config.api_key_env} is not set, and {url} needs a key. Set it, name another one "
            "with llm.api_key_env=NAME, or set llm.api_key_env='' for an endpoint without keys."
        )
    return key

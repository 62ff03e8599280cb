"""Any endpoint that speaks the OpenAI protocol, through the `openai` package's asynchronous client."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Any

from optisolve.core.documents import JsonObject
from optisolve.core.errors import LlmError, nearest
from optisolve.core.text import SHORTEST_KEY, Redactor, encodable, printable
from optisolve.llm.config import OpenAiLlm, is_loopback
from optisolve.llm.prices import Prices, listed_prices
from optisolve.llm.refusals import explain
from optisolve.llm.types import MOST_TOKENS, LlmReply, LlmRequest, Profile, TransportError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

__all__ = ["Endpoint", "OpenAiClient", "openai_profile"]

_LADDER = ("json_schema", "json_object", "none")
_LONGEST_NAME = 200
"""Characters of a model's name that are kept."""
_MOST_MODELS = 10_000
"""Models of a list that are looked at."""


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
        extra: JsonObject | None = None,
    ) -> None:
        self._base_url, self._api_key, self.model = base_url, api_key, model
        self._temperature, self._max_tokens_field, self._send_seed = temperature, max_tokens_field, send_seed
        self._structured = "json_schema" if structured == "auto" else structured
        self._may_step_down = structured == "auto"
        self._timeout_s, self._extra = timeout_s, extra or {}
        self._redact = Redactor((api_key,)).text
        self._sdk: AsyncOpenAI | None = None

    @property
    def sdk(self) -> AsyncOpenAI:
        """The client; made on first use, on the event loop that uses it."""
        if self._sdk is None:
            from optisolve.llm.http import open_sdk

            self._sdk = open_sdk(self._base_url, self._api_key, self._timeout_s)
        return self._sdk

    async def models(self, timeout_s: float) -> list[str]:
        """Names of the models that the endpoint lists; empty when it lists none.

        Args:
            timeout_s: Time limit for the whole list, s.

        Raises:
            TransportError: The endpoint cannot be reached or refuses the key.
        """
        sdk = self.sdk  # loading the package is not the endpoint's time
        try:
            async with asyncio.timeout(timeout_s):
                raw = await sdk.models.with_raw_response.list(timeout=timeout_s)
            listed = json.loads(raw.http_response.content)["data"] or []
            return [_name(model["id"]) for model in listed[:_MOST_MODELS]]
        except TimeoutError:
            raise TransportError("timeout", f"no list of models within {timeout_s:g} s", retryable=True) from None
        except Exception as error:
            told = explain(error, self._redact)
            if told.failure in ("bad_request", "bad_reply") and not (told.final and "redirect" in told.detail):
                return []  # reachable, but without a list of models
            raise told from None

    async def complete(self, request: LlmRequest) -> LlmReply:
        """One attempt.

        Raises:
            TransportError: No reply; the reason and whether a retry makes sense.
        """
        level = self._structured
        fields = self._fields(request, level)
        try:
            return await self._send(request, fields)
        except Exception as error:
            told = explain(error, self._redact, fields)
            lower = _LADDER[_LADDER.index(level) + 1 :] if level in _LADDER else ()
            about_form = told.failure == "bad_request" and not told.cured
            if not about_form or not self._may_step_down or not lower or request.schema is None:
                raise told from None
        self._structured = lower[0]
        return await self.complete(request)

    async def close(self) -> None:
        """Close all connections."""
        if self._sdk is not None:
            await self._sdk.close()
            self._sdk = None

    def _fields(self, request: LlmRequest, level: str) -> dict[str, Any]:
        """The request as the protocol wants it."""
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
            return {**fields, "prompt": request.prompt}
        fields["messages"] = [{"role": m.role, "content": m.content} for m in request.messages]
        if request.schema is not None and level == "json_schema":
            schema = {"name": "answer", "strict": True, "schema": dict(request.schema)}
            fields["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif request.schema is not None and level == "json_object":
            fields["response_format"] = {"type": "json_object"}
        return fields

    async def _send(self, request: LlmRequest, fields: dict[str, Any]) -> LlmReply:
        place = self.sdk.completions if request.prompt is not None else self.sdk.chat.completions
        raw = await place.with_raw_response.create(**fields)
        return _reply(json.loads(raw.http_response.content), request)


class OpenAiClient:
    """Client of ``llm=openai``.

    Args:
        config: Address, model, key variable, limits.

    Raises:
        LlmError: The key's variable is not set.
    """

    def __init__(self, config: OpenAiLlm) -> None:
        self._config = config
        self.endpoint = config.address
        self._key = _key(config, self.endpoint)
        self.concurrency, self.timeout_s = config.max_concurrency, config.timeout_s
        self.secrets: tuple[str, ...] = (self._key,) if self._key else ()
        self.notice, self.final = _about_key(config, self._key), False
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
                some = f" (it lists {', '.join(known[:6])}{', …' if len(known) > 6 else ''})"
                told = self._redactor.text(f"{self.endpoint} does not list the model '{self._model}'{hint}{some}")
                self.notice = "; ".join(filter(None, (self.notice, told)))
            return self._model
        if len(known) == 1:
            return known[0]
        shown = ", ".join(known[:12]) or "(it lists none)"
        text = f"llm.model is not set and {self.endpoint} does not offer exactly one model. Offered: {shown}."
        raise LlmError(self._redactor.text(text))

    def _start_error(self, error: TransportError) -> str:
        name = self._config.api_key_env or "(llm.api_key_env is empty)"
        if error.failure == "auth":
            return self._redactor.text(f"{self.endpoint} refuses the key in the environment variable {name}: {error.detail}.")
        text = f"No language model at {self.endpoint} ({error.failure}: {error.detail}). Is it running? Check llm.base_url."
        return self._redactor.text(text)


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


def _reply(answer: Any, request: LlmRequest) -> LlmReply:
    """The reply in a body; everything in it is a stranger's, so nothing is taken for granted."""
    choices = [choice for choice in _list(_part(answer, "choices")) if isinstance(choice, dict)]
    if not choices:
        raise TransportError("bad_reply", "the reply holds no completion", retryable=True, may_be_billed=True)
    chat = request.prompt is None
    texts = [_text(_part(choice, "message", "content") if chat else choice.get("text")) for choice in choices]
    finish = [_name(choice.get("finish_reason") or "") for choice in choices]
    spent = all(end == "length" and _unanswered(text) for text, end in zip(texts, finish, strict=True))
    tokens_in, tokens_out, cached = _usage(_part(answer, "usage"))
    detail = (
        f"the limit of {request.max_tokens} tokens was spent on reasoning before an answer began. Set a larger llm.max_tokens=N"
    )
    return LlmReply(
        texts=() if spent else tuple(texts),
        model=_name(_part(answer, "model") or ""),
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        tokens_cached=cached,
        finish=tuple(finish),
        failure="reasoning" if spent else "",
        detail=detail if spent else "",
    )


def _part(value: Any, *path: str) -> Any:
    """What stands at a path of nested objects, None when nothing does."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    return encodable(value) if isinstance(value, str) else ""


def _name(value: Any) -> str:
    return printable(value)[:_LONGEST_NAME]


def _unanswered(text: str) -> bool:
    """True for no text, and for thoughts that were cut off; some servers put them in front of the answer."""
    return not text.strip() or (text.lstrip().startswith("<think>") and "</think>" not in text)


def _usage(usage: Any) -> tuple[int, int, int]:
    """Tokens of the prompt, of the completions, and of the prompt's cached part; zeros when the numbers are no counts."""
    counts = [_count(_part(usage, name)) for name in ("prompt_tokens", "completion_tokens")]
    if None in counts:
        return 0, 0, 0
    tokens_in, tokens_out = (count or 0 for count in counts)
    return tokens_in, tokens_out, min(_count(_part(usage, "prompt_tokens_details", "cached_tokens")) or 0, tokens_in)


def _count(value: Any) -> int | None:
    """The value as a number of tokens, 0 when it is absent, None when it is none."""
    if value is None:
        return 0
    whole = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS and value == int(value)
    return int(value) if whole else None


def _about_key(config: OpenAiLlm, key: str) -> str:
    if not 0 < len(key) < SHORTEST_KEY:
        return ""
    return f"the key in {config.api_key_env} has less than {SHORTEST_KEY} characters: taken for a placeholder, it is not masked"


def _key(config: OpenAiLlm, url: str) -> str:
    if not config.api_key_env:
        return ""
    key = os.environ.get(config.api_key_env, "").strip()
    if not key and not is_loopback(url):
        raise LlmError(
            f"The environment variable {config.api_key_env} is not set, and {url} needs a key. Set it, name another one "
            "with llm.api_key_env=NAME, or set llm.api_key_env='' for an endpoint without keys."
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise LlmError(
            f"The environment variable {config.api_key_env} holds no key: one is printable ASCII without blanks. Set it anew."
        )
    return key

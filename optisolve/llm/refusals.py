"""What an endpoint's refusal means: for retries, for the budget, for the calls to come, and which setting cures it."""

from __future__ import annotations

import email.utils
import json
import re
import time
from collections.abc import Callable, Collection
from typing import Any

from optisolve.core.text import printable
from optisolve.llm.types import TransportError

__all__ = ["explain"]

_LONGEST = 300
_OTHER_FIELD = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
_UNSUPPORTED = r"not supported|unsupported|unrecogni[sz]ed|not permitted|not allowed|unknown|does not support|only the default"


def explain(error: Exception, redact: Callable[[str], str], sent: Collection[str] = ()) -> TransportError:
    """What an exception of the `openai` package means.

    Args:
        error: The exception.
        redact: Masks keys, before the text is cut: half a key would be found by nobody.
        sent: Fields of the request, which tell which setting a complaint is about.
    """
    import openai

    for known in (error, error.__cause__):  # older versions of the package wrap what a client raises
        if isinstance(known, TransportError):
            return known
    detail = _brief(error, redact)
    if isinstance(error, openai.APITimeoutError):
        return TransportError("timeout", detail, retryable=True, may_be_billed=True)
    if isinstance(error, openai.APIConnectionError):
        # A refused connection was never processed; one that broke later may have been.
        refused = type(error.__cause__).__name__ in ("ConnectError", "ConnectTimeout")
        return TransportError("connection", detail, retryable=True, may_be_billed=not refused)
    if isinstance(error, openai.APIStatusError):
        return _explain_status(error, detail, sent)
    # A body that is no JSON, or not of the protocol's shape: the work was done all the same.
    return TransportError("bad_reply", detail, retryable=True, may_be_billed=True)


def _explain_status(error: Any, detail: str, sent: Collection[str]) -> TransportError:
    status = int(error.status_code)
    wait = _retry_after(error.response.headers)
    if status == 429:
        exhausted = str(getattr(error, "code", "")) == "insufficient_quota"
        return TransportError("rate_limit", detail, retryable=not exhausted, retry_after_s=wait, final=exhausted)
    if status in (401, 403):
        return TransportError("auth", detail, retryable=False, final=True, cure="Check the key and llm.api_key_env=NAME")
    if status in (408, 409) or status >= 500:
        return TransportError("server_error", detail, retryable=True, retry_after_s=wait)
    cure, final = _cure(status, _sentence(error).lower(), str(getattr(error, "code", "")), sent)
    return TransportError("bad_request", detail, retryable=False, final=final, cure=cure)


def _cure(status: int, said: str, code: str, sent: Collection[str]) -> tuple[str, bool]:
    """The setting that cures a refusal, "" when none is known, and whether every other call would meet the same one."""
    if status == 404:
        about_model = "model" in said or code == "model_not_found"
        return ("Set llm.model=NAME" if about_model else "Check llm.base_url: it mostly ends in /v1"), True
    if code == "context_length_exceeded" or re.search(r"context (length|window|size)|maximum context|available context", said):
        return "Take a model with a longer context, a smaller llm.max_tokens=N, or a solver setting that asks for less", False
    field = next((name for name in _OTHER_FIELD if name in sent), "")
    if field and re.search(rf"\b{field}\b", said):
        if _OTHER_FIELD[field] in said.replace(field, "") or re.search(_UNSUPPORTED, said):
            return f"Set llm.max_tokens_field={_OTHER_FIELD[field]}", True
        return "Set a smaller llm.max_tokens=N", True
    for name, setting in (("temperature", "llm.temperature=null"), ("seed", "llm.send_seed=false")):
        if name in sent and re.search(rf"\b{name}\b", said) and re.search(_UNSUPPORTED, said):
            return f"Set {setting}", True
    return "", False


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
    except (TypeError, ValueError, OverflowError):
        return None


def _sentence(error: Exception) -> str:
    """What the server said, or the exception's own text; the layouts are those of OpenAI, Ollama and FastAPI."""
    body = getattr(error, "body", None)
    while isinstance(body, dict):
        told = next((body[name] for name in ("message", "error", "detail") if body.get(name)), None)
        if told is None:
            return json.dumps(body)
        body = told
    return str(error) if body is None else body if isinstance(body, str) else json.dumps(body)


def _brief(error: Exception, redact: Callable[[str], str]) -> str:
    """One printable line of bounded length."""
    said = " ".join(printable(redact(f"{type(error).__name__}: {_sentence(error)}")[: 8 * _LONGEST]).split())
    return said if len(said) <= _LONGEST else said[: _LONGEST - 1] + "…"

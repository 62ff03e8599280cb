"""Hosts and key variables that a file names: used only when the user has named them, too."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from typing import Any

from optisolve.core.errors import LlmError
from optisolve.core.text import Redactor, printable, secrets_here
from optisolve.llm.config import OpenAiLlm, is_loopback

__all__ = ["endpoint_of", "require_trust"]

_API_KEY = re.compile(r"\w*_API_KEY", re.ASCII)


def endpoint_of(config: OpenAiLlm) -> str:
    """Variable and address as ``trust=`` takes them, e.g. ``OPENAI_API_KEY@https://api.openai.com/v1``."""
    return f"{config.api_key_env}@{config.address}"


def require_trust(config: Any, where: str, *, given: Collection[str] = (), trusted: Collection[str] = ()) -> None:
    """Stop before anything is sent to an address, or from a variable, that only a file has named.

    Without confirmation go the defaults (OpenAI with its own variable), and loopback when no key would be sent.

    Args:
        config: Settings of a language model; those of other kinds name no host.
        where: The file that holds them, for the error.
        given: Fields of `OpenAiLlm` that the user has given by own hand.
        trusted: Endpoints that the user trusts, as `endpoint_of` writes them.

    Raises:
        LlmError: The text names host, variable and the setting to add.
    """
    if not isinstance(config, OpenAiLlm):
        return
    default = OpenAiLlm()
    foreign = [name for name in ("base_url", "api_key_env") if getattr(config, name) != getattr(default, name)]
    if all(name in given for name in foreign) or endpoint_of(config) in trusted:
        return
    sends = bool(config.api_key_env and os.environ.get(config.api_key_env, "").strip())
    if config.base_url and is_loopback(config.base_url) and not sends:
        return
    name = config.api_key_env
    odd = "" if not name or _API_KEY.fullmatch(name) else " (no name of an API key, which ends in _API_KEY)"
    key = f"with the content of the environment variable {name}{odd}" if name else "without a key"
    text = (
        f"{where} asks for the language model at {config.address}, {key}. That stands in the file, not on your command line: "
        f"nothing was sent. If you trust that host with your prompts and this variable, add: trust={endpoint_of(config)}"
    )
    raise LlmError(Redactor(secrets_here()).text(printable(text)))

"""Settings of the language model, one frozen dataclass per kind, and whom a file's may name; nothing heavy is imported here."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from annotated_types import Ge, Gt, Le

from optisolve.core.errors import FieldProblem, LlmError, UnknownNameError
from optisolve.core.options import Options
from optisolve.core.text import Redactor, printable, secrets_here

__all__ = [
    "LLM_KINDS",
    "OPENAI_URL",
    "AutoLlm",
    "LlmConfig",
    "LocalLlm",
    "NoLlm",
    "OpenAiLlm",
    "ReplayLlm",
    "SurrogateLlm",
    "endpoint_of",
    "is_loopback",
    "llm_config",
    "real_llm",
    "require_trust",
]

OPENAI_URL = "https://api.openai.com/v1"


@dataclass(frozen=True, slots=True)
class LlmConfig(Options):
    """Base of all kinds; `kind` is the name on the command line (``llm=KIND``)."""

    kind: ClassVar[str] = ""
    summary: ClassVar[str] = ""

    def _title(self) -> str:
        return f"llm '{self.kind}'"


@dataclass(frozen=True, slots=True)
class OpenAiLlm(LlmConfig):
    """Any endpoint that speaks the OpenAI protocol.

    Args:
        model: Model name; "" takes the endpoint's only model.
        base_url: Endpoint, e.g. ``http://localhost:8000/v1``; "" means OpenAI's own.
        api_key_env: Environment variable that holds the key, the only one that is read; "" sends none. Loopback endpoints
            need no key.
        temperature: Sampling temperature; None leaves it to the endpoint (some models refuse the field).
        max_tokens: Completion tokens per call; None means what the prompt needs. Raise it for models that think first.
        max_tokens_field: Name of that field in the request.
        structured: How the answer's form is asked for; ``auto`` starts with ``json_schema`` and steps down when the
            endpoint refuses; ``grammar`` sends a GBNF grammar, which llama.cpp servers understand.
        send_seed: Send the sampling seed.
        max_concurrency: Calls in flight.
        timeout_s: Longest time for one HTTP request, s.
        retries: HTTP retries after time-outs, 429, 5xx and broken connections.
        backoff_s: First waiting time before a retry, s; doubles each time, with jitter. Retry-After wins.
        max_wait_s: Longest single waiting time, s; an endpoint that asks for more gets no retry.
        breaker_calls: Failed calls in a row after which only one call per wave is tried until it succeeds; a refusal that
            every call would meet (key, model, field) ends all of them at once. 0 means never, in both cases.
        usd_per_million_in: Price of prompt tokens; None takes it from ``prices/llm.yaml`` when the model is listed there.
        usd_per_million_out: Price of completion tokens; None as above.
        usd_per_million_cached: Price of prompt tokens from the provider's own cache; None means that of prompt tokens.
        cache: Folder of replies shared between runs; "" means none.
    """

    kind: ClassVar[str] = "openai"
    summary: ClassVar[str] = "any OpenAI-compatible endpoint; the key comes from the environment"
    model: str = ""
    base_url: str = ""
    api_key_env: str = "OPENAI_API_KEY"
    temperature: Annotated[float, Ge(0), Le(2)] | None = 0.8
    max_tokens: Annotated[int, Ge(1)] | None = None
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    structured: Literal["auto", "json_schema", "json_object", "grammar", "none"] = "auto"
    send_seed: bool = True
    max_concurrency: Annotated[int, Ge(1), Le(256)] = 8
    timeout_s: Annotated[float, Gt(0)] = 120.0
    retries: Annotated[int, Ge(0), Le(20)] = 3
    backoff_s: Annotated[float, Ge(0)] = 0.5
    max_wait_s: Annotated[float, Ge(0)] = 60.0
    breaker_calls: Annotated[int, Ge(0)] = 5
    usd_per_million_in: Annotated[float, Ge(0)] | None = None
    usd_per_million_out: Annotated[float, Ge(0)] | None = None
    usd_per_million_cached: Annotated[float, Ge(0)] | None = None
    cache: str = ""

    @property
    def address(self) -> str:
        """Where requests go."""
        return self.base_url or OPENAI_URL

    def _check(self) -> Iterable[FieldProblem]:
        if self.base_url:
            yield from _check_url(self.base_url)
        if self.api_key_env and not _may_be_a_variable(self.api_key_env):
            yield FieldProblem("api_key_env", "(not shown)", "the name of an environment variable that holds the key")
        if (self.usd_per_million_in is None) != (self.usd_per_million_out is None):
            given = (self.usd_per_million_in, self.usd_per_million_out)
            yield FieldProblem("usd_per_million_in, usd_per_million_out", given, "both prices or none")
        if self.usd_per_million_cached is not None and self.usd_per_million_in is None:
            expected = "none without usd_per_million_in and usd_per_million_out"
            yield FieldProblem("usd_per_million_cached", self.usd_per_million_cached, expected)


@dataclass(frozen=True, slots=True)
class LocalLlm(LlmConfig):
    """A real model on this machine: llama.cpp on loopback, started and stopped with the run.

    With one slot the same seed gives the same text; with several slots the batch changes rounding, so texts may
    differ between runs.

    Args:
        model: Name of a known model, see ``optisolve models``.
        gguf: Path of any GGUF file; wins over `model`.
        threads: Threads of the model. Another number may give other texts, so it does not follow the machine.
        slots: Requests served at the same time.
        context_tokens: Context per slot, tokens.
        temperature: Sampling temperature.
        max_tokens: Completion tokens per call; None means what the prompt needs.
        startup_s: Longest time to load the weights, s.
        timeout_s: Longest time for one request, s.
        cache: Folder of replies shared between runs; "" means none.
        reuse_prompt: Read what a prompt shares with the one before it only once: several times faster where long
            prompts begin alike. Rounding then depends on what was asked before, so a run that was interrupted and
            goes on may get other texts than one that was not.
    """

    kind: ClassVar[str] = "local"
    summary: ClassVar[str] = "a real model on this machine, served by llama.cpp on loopback"
    model: str = "smollm2-135m"
    gguf: str = ""
    threads: Annotated[int, Ge(1), Le(1024)] = 2
    slots: Annotated[int, Ge(1), Le(64)] = 1
    context_tokens: Annotated[int, Ge(256)] = 4096
    temperature: Annotated[float, Ge(0), Le(2)] = 0.8
    max_tokens: Annotated[int, Ge(1)] | None = None
    startup_s: Annotated[float, Gt(0)] = 120.0
    timeout_s: Annotated[float, Gt(0)] = 300.0
    cache: str = ""
    reuse_prompt: bool = False

    def _check(self) -> Iterable[FieldProblem]:
        if self.reuse_prompt and self.slots > 1:
            yield FieldProblem("slots", self.slots, "1 with reuse_prompt: which of several has read what is a race")


@dataclass(frozen=True, slots=True)
class SurrogateLlm(LlmConfig):
    """An offline stand-in drawn from published statistics of a language-model operator; no language model is called.

    Defaults are the statistics of the 13,828 published answers behind MOEA/D-LO (arXiv 2310.12541), re-analyzed.

    Args:
        noise: Standard deviation round the weighted sum of the parents, in units of the variable's range.
        copy_rate: Share of coordinates that repeat a parent's.
        outside_rate: Share of coordinates outside the range of the parents.
        malformed_rate: Share of answers that are not usable at all.
    """

    kind: ClassVar[str] = "surrogate"
    summary: ClassVar[str] = "offline stand-in from published operator statistics; no language model is called"
    noise: Annotated[float, Ge(0), Le(1)] = 0.166
    copy_rate: Annotated[float, Ge(0), Le(1)] = 0.274
    outside_rate: Annotated[float, Ge(0), Le(1)] = 0.254
    malformed_rate: Annotated[float, Ge(0), Le(1)] = 0.0024


@dataclass(frozen=True, slots=True)
class ReplayLlm(LlmConfig):
    """The replies of an earlier run, from its transcript; offline and free.

    Args:
        transcript: Path of the ``transcript.jsonl``.
    """

    kind: ClassVar[str] = "replay"
    summary: ClassVar[str] = "replies of an earlier run, from its transcript"
    transcript: str = ""


@dataclass(frozen=True, slots=True)
class AutoLlm(LlmConfig):
    """`local` when its runtime and weights are installed, else `surrogate` with one line saying so.

    Args:
        model: As for `local`.
        gguf: As for `local`; a file that is given and missing is an error, not a reason for the stand-in.
        threads: As for `local`.
        cache: As for `local`.
    """

    kind: ClassVar[str] = "auto"
    summary: ClassVar[str] = "local when runtime and weights are installed, else the surrogate, saying so"
    model: str = "smollm2-135m"
    gguf: str = ""
    threads: Annotated[int, Ge(1), Le(1024)] = 2
    cache: str = ""

    def resolve(self) -> tuple[LocalLlm | SurrogateLlm, str]:
        """The configuration to use, and one line for the user when it is the stand-in."""
        from optisolve.llm import catalog

        lacking = catalog.lacking(self.model, self.gguf)
        if not lacking:
            return LocalLlm(model=self.model, gguf=self.gguf, threads=self.threads, cache=self.cache), ""
        cure = "pip install 'optisolve[local-llm]' && optisolve models fetch " + (self.model or "smollm2-135m")
        return SurrogateLlm(), f"surrogate: no language model was called, because {lacking}. For a real one: {cure}"


@dataclass(frozen=True, slots=True)
class NoLlm(LlmConfig):
    """No language model and no stand-in, for solvers that can do without (`SolverInfo.needs_llm`)."""

    kind: ClassVar[str] = "none"
    summary: ClassVar[str] = "no language model and no stand-in; for solvers that can do without, such as ledma"


LLM_KINDS: dict[str, type[LlmConfig]] = {
    cls.kind: cls for cls in (AutoLlm, LocalLlm, OpenAiLlm, SurrogateLlm, ReplayLlm, NoLlm)
}
"""Every kind by its name on the command line."""


def llm_config(kind: str = "auto", **options: Any) -> LlmConfig:
    """Settings of a language model by kind.

    Args:
        kind: A key of `LLM_KINDS`.
        **options: Fields of that kind.

    Raises:
        UnknownNameError: No such kind; the nearest is suggested.
        OptionError: Unknown or bad options, all of them listed.
    """
    if kind not in LLM_KINDS:
        raise UnknownNameError("llm", kind, LLM_KINDS)
    return LLM_KINDS[kind].from_mapping(options, title=f"llm '{kind}'")


def real_llm(llm: LlmConfig | str, instead: str) -> LlmConfig:
    """The configuration of a real model for reading texts, which the surrogate cannot do.

    Args:
        llm: A configuration or its kind; ``auto`` takes a local model at temperature 0.
        instead: What works without a language model, for the error.

    Raises:
        LlmError: There is none here.
    """
    config = llm_config(llm) if isinstance(llm, str) else llm
    if isinstance(config, AutoLlm):
        config = config.resolve()[0]
        if isinstance(config, LocalLlm):  # reading is no matter of luck
            config = config.with_option(temperature=0.0)
    if isinstance(config, NoLlm):
        raise LlmError(f"Reading a text takes a language model, and llm=none asks for none. {instead}.")
    if isinstance(config, SurrogateLlm):
        raise LlmError(
            "There is no language model here that could read a text (the surrogate only stands in for variation operators). "
            f"{instead}, or install one: pip install 'optisolve[local-llm]' && optisolve models fetch smollm2-135m."
        )
    return config


def _may_be_a_variable(name: str) -> bool:
    """False for what cannot be a variable's name, and for what looks like the key itself."""
    mixed = any(c.islower() for c in name) and any(c.isdigit() for c in name)
    return re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) is not None and not (mixed and len(name) > 20)


def is_loopback(url: str) -> bool:
    """True for an address on this machine."""
    return urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")


def _check_url(url: str) -> Iterable[FieldProblem]:
    expected = "a URL such as http://localhost:8000/v1"
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        parts, usable = None, False
    if not usable or parts is None:
        yield FieldProblem("base_url", re.sub(r"//[^/]*@", "//…@", url.partition("?")[0]), expected)
    elif parts.username or parts.password or parts.query or parts.fragment:
        yield FieldProblem(
            "base_url", f"{parts.scheme}://…", f"{expected} without credentials or query; keys go into api_key_env"
        )


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

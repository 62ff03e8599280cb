"""What a run would ask a language model, before anything is sent."""

from __future__ import annotations

import json

from optisolve.llm.config import LlmConfig, LocalLlm, OpenAiLlm, SurrogateLlm
from optisolve.llm.exchange import make_client
from optisolve.llm.surrogate import SurrogateClient
from optisolve.llm.tokens import estimate_tokens
from optisolve.llm.types import LlmReply, LlmRequest, Profile, TransportError

__all__ = ["DryRunClient", "dry_profile", "told_prices"]

_ANSWERED = 0.5
"""Share of its token limit that an answer takes when nothing is known about it."""


def dry_profile(config: LlmConfig) -> Profile:
    """What a configuration asks and at which prices; needs neither key nor weights nor network.

    Raises:
        LlmError: As when the client is made, for kinds that send nothing anyway.
    """
    if isinstance(config, OpenAiLlm):
        from optisolve.llm.openai_client import openai_profile

        return openai_profile(config, config.model, config.address)
    if isinstance(config, LocalLlm):
        name = config.gguf.rpartition("/")[2] or config.model
        return Profile(provider="local", model=name, preferred_style="continuation", max_tokens=config.max_tokens)
    return make_client(config).profile


class DryRunClient:
    """Answers nothing and sends nothing: counts the tokens of each prompt and of a plausible answer.

    Answers have the form that the prompt asks for, drawn by the surrogate, so that a solver goes its usual way.

    Args:
        profile: Of the model that would be asked.
    """

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self._surrogate = SurrogateClient(SurrogateLlm())
        self.concurrency, self.timeout_s, self.final = 1, 60.0, True
        self.secrets: tuple[str, ...] = ()
        self.notice, self.endpoint = "dry run: nothing was sent", ""

    async def start(self) -> None:
        """Nothing to start."""

    async def complete(self, request: LlmRequest, key: str) -> LlmReply:
        """A made-up answer with its estimated cost."""
        tokens_in = estimate_tokens(request.prompt or "") + sum(4 + estimate_tokens(m.content) for m in request.messages)
        tokens_in += estimate_tokens(json.dumps(dict(request.schema))) if request.schema else 0
        try:
            texts = (await self._surrogate.complete(request, key)).texts
            tokens_out = sum(estimate_tokens(text) for text in texts)
        except TransportError:
            texts = ("",) * request.n
            tokens_out = int(_ANSWERED * request.n * request.max_tokens)
        tokens_out = min(tokens_out, request.n * request.max_tokens)
        usd = self.profile.usd(tokens_in, tokens_out)
        return LlmReply(texts=texts, model=self.profile.model, tokens_in=tokens_in, tokens_out=tokens_out, usd=usd)

    async def close(self) -> None:
        """Nothing to close."""


def told_prices(profile: Profile) -> str:
    """The prices of a profile in words."""
    if not profile.priced:
        return "prices unknown"
    if not profile.usd_per_million_in and not profile.usd_per_million_out:
        return "free of charge"
    told = f"{profile.usd_per_million_in:g} / {profile.usd_per_million_out:g} USD per million tokens in / out"
    return f"{told} ({profile.price_source})"

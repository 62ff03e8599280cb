"""Which client talks to the language model of a configuration."""

from __future__ import annotations

from optisolve.core.errors import LlmError
from optisolve.llm.config import LlmConfig, LocalLlm, OpenAiLlm, ReplayLlm, SurrogateLlm
from optisolve.llm.types import Client

__all__ = ["make_client"]


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

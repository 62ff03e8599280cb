"""Language models: configurations, sessions, transcripts, prompts, and what becomes of answers."""

from optisolve.llm.config import (
    LLM_KINDS,
    AutoLlm,
    LlmConfig,
    LocalLlm,
    NoLlm,
    OpenAiLlm,
    ReplayLlm,
    SurrogateLlm,
    llm_config,
)

__all__ = ["LLM_KINDS", "AutoLlm", "LlmConfig", "LocalLlm", "NoLlm", "OpenAiLlm", "ReplayLlm", "SurrogateLlm", "llm_config"]

"""What the tests of the language-model layer share."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from optisolve.core.budget import Budget, BudgetMeter
from optisolve.llm.config import OpenAiLlm, llm_config
from optisolve.llm.session import LlmSession, open_session
from optisolve.llm.types import LlmRequest, Message
from optisolve.testing.llm_server import LlmServer

FAKE_KEY = "sk-test-51e6a0c2b9d84f73"


def config_for(server: LlmServer, **options: Any) -> OpenAiLlm:
    values = {"base_url": server.base_url, "model": server.model, "backoff_s": 0.01, "timeout_s": 5.0, **options}
    made = llm_config("openai", **values)
    assert isinstance(made, OpenAiLlm)
    return made


def session_for(
    server: LlmServer, budget: Budget | None = None, *, transcript: Path | None = None, **options: Any
) -> tuple[LlmSession, BudgetMeter]:
    meter = BudgetMeter(budget or Budget())
    return open_session(config_for(server, **options), meter, transcript=transcript), meter


def chat(n: int, **fields: Any) -> list[LlmRequest]:
    return [LlmRequest(tag=f"q{i}", messages=(Message("user", f"question {i}"),), max_tokens=50, **fields) for i in range(n)]


def failures(replies: Sequence[Any]) -> list[str]:
    return [reply.failure for reply in replies]

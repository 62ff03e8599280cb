"""Serve the replies of an earlier run."""

from __future__ import annotations

from pathlib import Path

from optisolve.core.errors import LlmError
from optisolve.llm.config import ReplayLlm
from optisolve.llm.transcript import read_transcript
from optisolve.llm.types import LlmReply, LlmRequest

__all__ = ["ReplayClient"]


class ReplayClient:
    """Looks every request up by its key; nothing is sent anywhere.

    Args:
        config: Where the transcript is.

    Raises:
        LlmError: The transcript is missing or damaged.
    """

    def __init__(self, config: ReplayLlm) -> None:
        if not config.transcript:
            raise LlmError("llm=replay needs the transcript of an earlier run: llm.transcript=PATH/transcript.jsonl")
        self._path = Path(config.transcript)
        self.profile, self._replies, _ = read_transcript(self._path)
        self.concurrency = 1
        self.timeout_s = 60.0
        self.final = True
        self.secrets: tuple[str, ...] = ()
        self.endpoint = ""
        self.notice = f"replies replayed from {self._path.name}: no language model was called"

    async def start(self) -> None:
        """Nothing to start."""

    async def complete(self, request: LlmRequest, key: str) -> LlmReply:
        """The recorded reply, failures included.

        Raises:
            LlmError: The transcript does not hold this request.
        """
        reply = self._replies.get(key)
        if reply is None:
            raise LlmError(
                f"{self._path} holds no reply for '{request.tag}' (sample {request.sample}, attempt {request.attempt}). "
                "The run differs from the recorded one: other options, seed, prompt version or code."
            )
        return reply

    async def close(self) -> None:
        """Nothing to close."""

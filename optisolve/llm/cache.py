"""Replies shared between runs: one file per question, named by its hash."""

from __future__ import annotations

import json
from pathlib import Path

from optisolve.core.documents import JsonObject, write_atomic
from optisolve.core.errors import LlmError
from optisolve.core.text import Redactor
from optisolve.llm.types import LlmReply, LlmRequest, reply_from, told

__all__ = ["ResponseCache"]

FORMAT = 1


class ResponseCache:
    """A folder of replies; several processes may share it.

    A question is model, parameters, text, seed, sample and attempt index, whatever the run it is asked in: a re-ask is
    never served the failure that caused it. Only replies with an answer are kept, at the cost of the call that brought it.

    Args:
        folder: Made when absent.
        redactor: Applied to everything that is written.

    Raises:
        LlmError: The folder cannot be made.
    """

    def __init__(self, folder: Path, redactor: Redactor) -> None:
        self._folder, self._redactor = folder, redactor
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LlmError(
                f"llm.cache={folder}: cannot be made ({error.strerror}); give a folder that can be written."
            ) from error

    def get(self, key: str) -> LlmReply | None:
        """The reply to a question, or None; an unreadable file counts as absent and is written anew."""
        try:
            row = json.loads(self._path(key).read_text(encoding="utf-8"))
            reply = reply_from(row["reply"])
            return reply if row["format"] == FORMAT and reply.charged_calls == 1 else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, key: str, request: LlmRequest, reply: LlmReply) -> None:
        """Keep a reply."""
        path = self._path(key)
        path.parent.mkdir(exist_ok=True)
        row: JsonObject = {"format": FORMAT, "request": told(request), "reply": told(reply)}
        write_atomic(path, json.dumps(self._redactor.value(row), ensure_ascii=False).encode())

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.json"

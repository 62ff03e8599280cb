"""Keys must appear in no file, log or error, whatever a server echoes back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

__all__ = ["Redactor"]

_KEY_LIKE = re.compile(r"(?:\bsk-[A-Za-z0-9_*.\-]{6,}|(?i:bearer)\s+[A-Za-z0-9_.~+/=\-]{8,})")
_MASK = "[redacted]"


class Redactor:
    """Replaces known secrets, and whatever looks like a key, in text and nested JSON values.

    Args:
        secrets: The secrets to hide; empty ones are ignored.
    """

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        self._secrets = tuple(sorted({s for s in secrets if s}, key=len, reverse=True))

    def text(self, text: str) -> str:
        """The text without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, _MASK)
        return _KEY_LIKE.sub(_MASK, text)

    def value(self, value: Any) -> Any:
        """The JSON value without secrets in any of its strings."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(str(k)): self.value(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(v) for v in value]
        return value

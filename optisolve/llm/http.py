"""The HTTP under the `openai` client: bounded in bytes, no way to another host, nothing sent but what was named.

Imported only when an endpoint is asked, since the `openai` package is slow to load.
"""

from __future__ import annotations

import zlib
from typing import Any

from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from optisolve.llm.types import TransportError

__all__ = ["MAX_BYTES", "open_sdk"]

MAX_BYTES = 8 * 2**20
"""Largest body of a reply after decompression; two million tokens fit, and so do lists of ten thousand models."""

_MAX_REDIRECTS = 3
_SENT = frozenset(
    {"host", "accept", "accept-encoding", "connection", "user-agent", "content-type", "content-length"}
    | {"x-stainless-raw-response"}  # the package's note to itself that a reply is not to be parsed
)
"""Headers that leave this process beside the key; the package would add others from the environment."""
_ZLIB_OR_GZIP = 32 + zlib.MAX_WBITS


def open_sdk(base_url: str, api_key: str, timeout_s: float) -> AsyncOpenAI:
    """A client for one address.

    Args:
        base_url: Address, ending in ``/v1``.
        api_key: Key to send; "" sends none.
        timeout_s: Time limit for connecting and between two reads, s.
    """
    http = _BoundedClient(api_key, timeout=timeout_s)
    return AsyncOpenAI(api_key=api_key or "none", base_url=base_url, max_retries=0, timeout=timeout_s, http_client=http)


class _BoundedClient(DefaultAsyncHttpxClient):
    """The package's own client whose replies are read here, up to `MAX_BYTES`.

    Args:
        api_key: The only secret that is sent.
        **options: As for the package's client.
    """

    def __init__(self, api_key: str, **options: Any) -> None:
        super().__init__(follow_redirects=False, **options)
        self._api_key = api_key

    async def send(self, request: Any, *, stream: bool = False, **options: Any) -> Any:
        """Send and read the whole reply; redirects are followed on the same host only.

        Raises:
            TransportError: A redirect to another host, or a body that is too large or cannot be unpacked.
        """
        options["follow_redirects"] = False
        for _ in range(_MAX_REDIRECTS + 1):
            self._dress(request)
            response = await super().send(request, stream=True, **options)
            try:
                if response.next_request is None:
                    return _whole(response, await _body(response))
                _require_same_host(request.url, response.next_request.url)
            finally:
                await response.aclose()
            request = response.next_request
        detail = f"the endpoint redirects more than {_MAX_REDIRECTS} times"
        raise TransportError("bad_request", detail, retryable=False, final=True, cure="Check llm.base_url")

    def _dress(self, request: Any) -> None:
        """Leave only the headers that a reply depends on, and the key."""
        for name in [name for name in request.headers if name.lower() not in _SENT]:
            del request.headers[name]
        request.headers["Accept-Encoding"] = "identity"
        if self._api_key:
            request.headers["Authorization"] = f"Bearer {self._api_key}"


async def _body(response: Any) -> bytes:
    """The body of a reply, unpacked."""
    coding = response.headers.get("content-encoding", "").strip().lower() or "identity"
    if coding not in ("identity", "gzip", "x-gzip", "deflate"):
        raise _unreadable(f"the reply comes as Content-Encoding {coding[:40]}, which was not asked for")
    unpacker = None if coding == "identity" else zlib.decompressobj(wbits=_ZLIB_OR_GZIP)
    body = bytearray()
    async for piece in response.aiter_raw():
        try:
            body += piece if unpacker is None else unpacker.decompress(piece, MAX_BYTES + 1 - len(body))
        except zlib.error as error:
            raise _unreadable(f"the reply comes as {coding} and cannot be unpacked ({error})") from None
        if len(body) > MAX_BYTES:
            raise _unreadable(f"the reply is larger than {MAX_BYTES / 2**20:g} MB")
    return bytes(body)


def _whole(response: Any, body: bytes) -> Any:
    """The same reply with its body in memory."""
    gone = ("content-encoding", "content-length", "transfer-encoding")
    headers = [(name, value) for name, value in response.headers.multi_items() if name.lower() not in gone]
    return type(response)(response.status_code, headers=headers, content=body, request=response.request)


def _unreadable(detail: str) -> TransportError:
    return TransportError("bad_reply", detail, retryable=False, may_be_billed=True)


def _require_same_host(sent: Any, wanted: Any) -> None:
    """Refuse to carry a prompt elsewhere; the same host may move a path, and HTTP to HTTPS."""
    upgraded = (sent.scheme, wanted.scheme) == ("http", "https") and sent.port is None and wanted.port is None
    if sent.host == wanted.host and (upgraded or (sent.scheme, sent.port) == (wanted.scheme, wanted.port)):
        return
    place = f"{wanted.scheme}://{wanted.host}" + ("" if wanted.port is None else f":{wanted.port}")
    detail = f"the endpoint redirects to {place}, another host, which gets neither prompt nor key"
    cure = f"If you trust it, set llm.base_url={place}/…"
    raise TransportError("bad_request", detail, retryable=False, final=True, cure=cure)

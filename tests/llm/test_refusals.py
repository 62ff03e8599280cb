"""What an endpoint says when it refuses becomes one printable line with the setting that cures it."""

import asyncio
import gzip
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import openai
import pytest

from optisolve.cli.main import main
from optisolve.core.budget import Budget, BudgetMeter
from optisolve.core.errors import LlmError
from optisolve.core.text import Redactor
from optisolve.llm.config import llm_config
from optisolve.llm.http import MAX_BYTES, _body
from optisolve.llm.openai_client import _usage
from optisolve.llm.refusals import explain
from optisolve.llm.session import open_session
from optisolve.llm.types import LlmRequest, Message, TransportError, reply_from, told
from optisolve.testing.llm_server import Fault, LlmServer
from tests.llm.helpers import chat, session_for

KEY = "canary7c1f6b52e9d34a08b1e4"
SENT = {"max_tokens": 50, "temperature": 0.8, "seed": 1}


@pytest.fixture(autouse=True)
def _no_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def refusal(status: int, body: Any, sent: dict[str, Any] | None = None) -> TransportError:
    response: Any = SimpleNamespace(status_code=status, headers={}, request=None)
    error = openai.APIStatusError("said", response=response, body=body)
    return explain(error, Redactor([KEY]).text, SENT if sent is None else sent)


@pytest.mark.parametrize(
    ("status", "said", "cure", "final"),
    [
        (400, "'max_tokens' is not supported. Use 'max_completion_tokens' instead.", "llm.max_tokens_field=max_compl", True),
        (400, "max_tokens is too large: 99999. This model supports at most 4096", "smaller llm.max_tokens=N", True),
        (400, "'temperature' does not support 0.8 with this model. Only the default (1) value is supported.", "=null", True),
        (422, "Extra inputs are not permitted: seed", "llm.send_seed=false", True),
        (400, "This model's maximum context length is 4096 tokens", "longer context", False),
        (400, "the request exceeds the available context size", "longer context", False),
        (404, "model 'gpt-9' not found, try pulling it first", "llm.model=NAME", True),
        (404, "Not Found", "llm.base_url", True),
        (401, "Incorrect API key", "llm.api_key_env=NAME", True),
        (403, "Forbidden", "llm.api_key_env=NAME", True),
        (400, "response_format json_schema is not supported", "", False),
        (400, "no idea", "", False),
    ],
)
def test_a_refusal_names_the_setting_that_cures_it(status, said, cure, final):
    for body in ({"message": said}, {"error": said}, {"detail": {"message": said}}, said):
        error = refusal(status, body)
        assert said in error.detail
        assert cure in error.detail
        assert (error.final, error.retryable) == (final, False)
        assert error.cured == bool(cure)


def test_the_other_name_of_the_field_is_told_both_ways():
    error = refusal(400, {"message": "Unrecognized request argument: max_completion_tokens"}, {"max_completion_tokens": 5})
    assert error.detail.endswith("Set llm.max_tokens_field=max_tokens")


def test_a_key_is_masked_before_a_sentence_is_cut():
    for room in range(200, 320):
        assert "canary" not in refusal(400, {"message": "x" * room + " " + KEY}).detail


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 10**400, "completion_tokens": 5},
        {"prompt_tokens": -1, "completion_tokens": 5},
        {"prompt_tokens": 5, "completion_tokens": float("nan")},
        {"prompt_tokens": 5, "completion_tokens": float("inf")},
        {"prompt_tokens": 5, "completion_tokens": 1.5},
        {"prompt_tokens": "5", "completion_tokens": 5},
        {"prompt_tokens": True, "completion_tokens": 5},
        [1],
        None,
    ],
)
def test_numbers_that_are_no_counts_are_not_believed(usage):
    assert _usage(usage) == (0, 0, 0)


def test_counts_are_believed():
    assert _usage({"prompt_tokens": 7.0, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 9}}) == (7, 5, 7)
    assert _usage({"completion_tokens": 5, "prompt_tokens_details": None}) == (0, 5, 0)


class Raw:
    """A reply in pieces."""

    def __init__(self, coding: str, *pieces: bytes) -> None:
        self.headers, self.pieces = ({"content-encoding": coding} if coding else {}), pieces

    async def aiter_raw(self) -> Any:
        for piece in self.pieces:
            yield piece


def test_a_body_is_bounded_after_it_is_unpacked():
    packed = gzip.compress(b"fine")
    assert asyncio.run(_body(Raw("gzip", packed[:9], packed[9:]))) == b"fine"
    assert asyncio.run(_body(Raw("", b"fi", b"ne"))) == b"fine"
    assert len(asyncio.run(_body(Raw("", b" " * MAX_BYTES)))) == MAX_BYTES
    bombs = [Raw("", b" " * MAX_BYTES, b" "), Raw("gzip", gzip.compress(b" " * (MAX_BYTES + 1)))]
    for bad in (*bombs, Raw("br", b"x"), Raw("gzip, gzip", b"x"), Raw("gzip", b"no gzip")):
        with pytest.raises(TransportError) as error:
            asyncio.run(_body(bad))
        assert (error.value.failure, error.value.retryable) == ("bad_reply", False)


@contextmanager
def moving(target: str) -> Any:
    """An endpoint whose address has moved; `target` with the port in it."""

    met = list[str]()

    class Moved(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            met.append(self.path)
            if self.path.startswith("/old"):
                self.send_response(307)
                self.send_header("Location", target.format(port=server.server_port))
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = json.dumps({"choices": [{"message": {"content": "fine"}, "finish_reason": "stop"}]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Moved)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/old/v1", met
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("target", "followed"),
    [
        ("/new/v1/chat/completions", True),
        ("http://127.0.0.1:{port}/new/v1/chat/completions", True),
        ("http://localhost:{port}/new/v1/chat/completions", False),
        ("http://127.0.0.1:9/new/v1/chat/completions", False),
        ("https://127.0.0.1:{port}/new/v1/chat/completions", False),
        ("/old/v1/again", False),
    ],
)
def test_a_redirect_is_followed_on_the_same_host_only_and_not_for_ever(target, followed):
    with moving(target) as (address, met):
        config = llm_config("openai", base_url=address, model="m", retries=0)
        with open_session(config, BudgetMeter(Budget())) as session:
            (reply,) = session.ask(chat(1))
    assert reply.ok == followed, reply
    assert len(met) <= 4
    if not followed:
        assert reply.failure == "bad_request"
        assert "redirect" in reply.detail


def test_a_final_refusal_ends_the_calls_unless_nothing_ever_does():
    for breaker_calls, calls in ((5, 1), (0, 6)):
        with LlmServer(faults={Fault.NO_MODEL: 1.0}) as server:
            session, meter = session_for(server, max_concurrency=1, breaker_calls=breaker_calls)
            with session:
                replies = [*session.ask(chat(3)), *session.ask(chat(3, attempt=1))]
                notice = session.notice
            assert server.calls == meter.llm_calls == calls
        assert [reply.failure for reply in replies[calls:]] == ["refused_by_breaker"] * (6 - calls)
        assert notice.count("try pulling it first") == 1
        assert "llm.model=NAME" in notice


def test_a_prompt_that_holds_the_key_is_not_sent(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with LlmServer() as server:
        session, _ = session_for(server)
        with session, pytest.raises(LlmError, match="holds the key") as error:
            session.ask([LlmRequest(tag="a", messages=(Message("user", f"my key is {KEY}"),))])
        assert KEY not in str(error.value)
        assert server.calls == 0


@pytest.mark.parametrize("key", ["sécret-key-1234", "two words-12345", "line\nbreak-12345"])
def test_a_key_that_no_header_can_carry_is_one_clear_error(key, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(LlmError, match="OPENAI_API_KEY holds no key") as error:
        open_session(llm_config("openai", base_url="http://127.0.0.1:9/v1"), BudgetMeter(Budget()))
    assert key not in str(error.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"texts": [1]},
        {"texts": ["\ud800"]},
        {"tokens_in": "7"},
        {"tokens_in": -1},
        {"usd": float("nan")},
        {"tokens_out": 10**400},
    ],
)
def test_a_recorded_reply_of_another_kind_is_no_reply(wrong):
    with LlmServer(answer=lambda _: "fine") as server:
        session, _ = session_for(server)
        with session:
            (reply,) = session.ask(chat(1))
    assert reply_from(told(reply)) == reply
    with pytest.raises(TypeError):
        reply_from({**told(reply), **wrong})


def test_a_refusal_is_no_matter_of_other_words(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with LlmServer(faults={Fault.OLD_FIELD: 1.0}) as server:
        model = ["llm=openai", f"llm.base_url={server.base_url}", f"llm.model={server.model}"]
        assert main(["formulate", "choose x from 0 to 3 with the largest value of 2 x", *model]) == 3
        assert server.calls == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "llm.max_tokens_field=max_completion_tokens" in said
    assert "other words" not in said

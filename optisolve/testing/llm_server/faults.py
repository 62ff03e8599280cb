"""What the misbehaving endpoint may do instead of answering well, and when it does it."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from optisolve.core.errors import FieldProblem, OptionError

__all__ = ["Fault", "FaultPlan", "Script", "outage"]


class Fault(StrEnum):
    """What the server does instead of answering well; `optisolve.testing.llm_server --list` prints these sentences."""

    meaning: str
    status: int
    """HTTP status of the reply."""
    is_transport: bool
    """No completion arrives at all; such faults may pass when the request is sent again."""

    def __new__(cls, value: str, meaning: str = "", code: int = 200) -> Fault:
        """A member with its own sentence and HTTP status; 0 for a reply of status 200 that holds no completion."""
        member = str.__new__(cls, value)
        member._value_, member.meaning = value, meaning
        member.status, member.is_transport = code or 200, code != 200
        return member

    NONE = "none", "A good answer."
    # No reply, or not all of it.
    TIMEOUT = "timeout", "Never answers.", 0
    SLOW_BODY = "slow_body", "Sends the head at once and then one byte now and then, without end.", 0
    DROPPED = "dropped", "Closes the connection without a word.", 0
    RESET = "reset", "Resets the connection in the middle of the reply.", 0
    # Replies with an error status.
    RATE_LIMIT = "rate_limit", "429 without Retry-After.", 429
    RETRY_AFTER = "retry_after", "429 with a Retry-After of `retry_after_s`.", 429
    QUOTA = "quota", "429 because the account's money is spent; a retry cannot help.", 429
    SERVER_ERROR = "server_error", "500.", 500
    BAD_GATEWAY = "bad_gateway", "502 with a page of HTML, as a proxy sends it.", 502
    UNAVAILABLE = "unavailable", "503.", 503
    AUTH = "auth", "401 with a text that repeats the key.", 401
    TOO_LONG = "too_long", "400 because the prompt does not fit the context.", 400
    OLD_FIELD = "old_field", "400 because the field `max_tokens` has another name here.", 400
    NO_MODEL = "no_model", "404 because there is no such model.", 404
    ESCAPES_REFUSED = "escapes_refused", "400 with a text that steers a terminal.", 400
    REDIRECT = "redirect", "307 to another host.", 307
    # Replies that break the protocol.
    BROKEN_BODY = "broken_body", "200 with a body that is not JSON.", 0
    BAD_UTF8 = "bad_utf8", "200 with a body that is not UTF-8.", 0
    NO_CHOICES = "no_choices", "200 without any completion.", 0
    NULL_CONTENT = "null_content", "A completion whose text is null, as after a refusal."
    ODD_CHOICES = "odd_choices", "200 with completions that are no objects.", 0
    FLOOD = "flood", "200 with a body that never ends, as fast as it can be read.", 0
    BOMB = "bomb", "200 with a small compressed body that unpacks to 256 MB.", 0
    REASONING = "reasoning", "No text: the token limit was spent on reasoning."
    NO_USAGE = "no_usage", "A good answer without token counts."
    WRONG_USAGE = "wrong_usage", "A good answer that claims a thousand million completion tokens."
    HUGE_USAGE = "huge_usage", "A good answer that claims numbers of tokens with 401 digits."
    ODD_USAGE = "odd_usage", "A good answer that claims a negative number of tokens, and NaN."
    SURROGATE = "surrogate", "A good answer behind a lone surrogate, which JSON may hold and no file can."
    ESCAPES = "escapes", "A good answer whose model and finish reason steer a terminal."
    WRONG_MODEL = "wrong_model", "A good answer that names another model."
    # Texts that hold no usable answer.
    ECHO_KEY = "echo_key", "A text that repeats the key it was sent."
    EMPTY = "empty", "An empty text."
    PROSE = "prose", "Words only."
    CODE = "code", "Code that would do harm if anybody ran it."
    BLANKS = "blanks", "White space up to the token limit."
    DEEP = "deep", "A hundred thousand opening brackets."
    TRUNCATED = "truncated", "The first two thirds of a good answer, cut off by the token limit."
    # Answers that are wrong.
    PROSE_AROUND = "prose_around", "A good answer between two paragraphs."
    WRONG_COUNT = "wrong_count", "One point less than asked for, in every task."
    EXTRA_POINTS = "extra_points", "One point more than asked for, in every task."
    LOST_TASK = "lost_task", "The last task of the question is not answered; without tasks, nothing is."
    WRONG_LENGTH = "wrong_length", "Points without their last number."
    NAN = "nan", "Points with a NaN."
    INFINITE = "infinite", "Points with a number too large for any float."
    WORDS = "words", "Points with a word in place of a number."
    FRACTIONS = "fractions", "Points with a number that is not an integer."
    OUT_OF_BOUNDS = "out_of_bounds", "Points with a number beyond every bound."
    DUPLICATES = "duplicates", "Points that the prompt already holds."
    SIBLINGS = "siblings", "The same point again and again."


Script = Sequence[Fault] | Callable[[int, Mapping[str, Any]], Fault]
"""Fault of the first, second, ... call (none afterwards), or a function of the call's number and the request's body."""


def outage(first: int, last: int, fault: Fault = Fault.UNAVAILABLE) -> Script:
    """A script: the server is down for calls `first` to `last` (from 0, both included) and well otherwise."""

    def script(number: int, _body: Mapping[str, Any]) -> Fault:
        return fault if first <= number <= last else Fault.NONE

    return script


class FaultPlan:
    """Chooses the fault of every call.

    Args:
        script: What is decided beforehand; calls that it leaves alone follow the rates.
        rates: Chance of each fault. Whether the answer is bad is drawn from the request alone, so the same request
            always meets the same one; whether the transport fails is drawn from the request and how often it has come,
            so that a retry may succeed. Nothing depends on the order of concurrent calls.
        seed: Changes all draws.

    Raises:
        OptionError: A rate outside 0 to 1, or rates that add up to more than 1.
    """

    def __init__(self, script: Script = (), rates: Mapping[Fault, float] | None = None, seed: int = 0) -> None:
        self.script, self._seed = script, seed
        self.rates = {Fault(fault): rate for fault, rate in (rates or {}).items()}
        self._seen: Counter[bytes] = Counter()
        wrong = {fault: rate for fault, rate in self.rates.items() if not 0.0 <= rate <= 1.0}
        bad = [FieldProblem(f"faults.{fault}", rate, "a chance from 0 to 1") for fault, rate in wrong.items()]
        total = sum(self.rates.values())
        if not bad and total > 1.0 + 1e-9:
            bad = [FieldProblem("faults", f"chances that add up to {total:g}", "at most 1")]
        if bad:
            raise OptionError("The server's fault plan", bad)

    def choose(self, number: int, body: Mapping[str, Any]) -> tuple[Fault, random.Random]:
        """The fault of a call, and the stream that its answer is drawn from.

        Args:
            number: Index of the call, in order of arrival.
            body: The request.
        """
        text = json.dumps(body, sort_keys=True).encode()
        stream = self._stream(b"answer", text)
        draws = stream.random(), self._stream(b"transport", b"%d|" % self._again(text) + text).random()
        if callable(self.script):
            fault = self.script(number, body)
        else:
            fault = self.script[number] if number < len(self.script) else Fault.NONE
        return (self._drawn(*draws) if fault is Fault.NONE else fault), stream

    def _drawn(self, content: float, transport: float) -> Fault:
        lost = {fault: rate for fault, rate in self.rates.items() if fault.is_transport}
        fault = _pick(transport, lost)
        if fault is not Fault.NONE:
            return fault
        left = 1.0 - sum(lost.values())
        return _pick(content * left, {fault: rate for fault, rate in self.rates.items() if not fault.is_transport})

    def _again(self, text: bytes) -> int:
        """How often this request has come before."""
        digest = hashlib.sha256(text).digest()
        self._seen[digest] += 1
        return self._seen[digest] - 1

    def _stream(self, purpose: bytes, text: bytes) -> random.Random:
        digest = hashlib.sha256(b"%d|%s|%s" % (self._seed, purpose, text)).digest()
        return random.Random(int.from_bytes(digest, "big"))


def _pick(draw: float, rates: Mapping[Fault, float]) -> Fault:
    for fault, rate in rates.items():
        if draw < rate:
            return fault
        draw -= rate
    return Fault.NONE

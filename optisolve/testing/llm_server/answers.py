"""What the misbehaving endpoint says: answers as a published language-model operator gave them, spoiled on demand."""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from optisolve.core.documents import JsonObject
from optisolve.llm.config import SurrogateLlm
from optisolve.llm.surrogate import draw_offspring
from optisolve.testing.llm_server.faults import Fault
from optisolve.testing.llm_server.questions import Body, Slot, read_question

__all__ = ["ESCAPES", "MODELS", "SAID", "answer_text", "bomb", "finish_reason", "message"]

STATISTICS = SurrogateLlm()
"""Share of copied coordinates, share outside the parents' range and spread of the answers, as published."""

_PROSE = "I would move the first UAV towards the crowd and lower the power of the others."
_CODE = '__import__("os")._exit(99)'
_FIXED = {Fault.EMPTY: "", Fault.PROSE: _PROSE, Fault.CODE: _CODE, Fault.DEEP: '{"a":[' * 50_000}
_LARGE = 10**6
"""Beyond every bound; no grid has so many steps."""

ESCAPES = "\x1b]0;title\x07\x1b[2J\x9b31m"
"""Sets a terminal's title, clears it, and turns it red."""
SAID = {
    Fault.OLD_FIELD: "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead.",
    Fault.NO_MODEL: 'model "it" not found, try pulling it first',
    Fault.ESCAPES_REFUSED: f"{ESCAPES} something is wrong",
}
"""Sentences of real servers; the others repeat the key."""
MODELS = {Fault.WRONG_MODEL: "some-other-model", Fault.ESCAPES: f"model{ESCAPES}"}
"""Names of models that answer in place of the one that was asked."""

Row = list[Any]


def answer_text(
    fault: Fault,
    rng: random.Random,
    body: Body,
    key: str,
    answer: Callable[[Body], str] | None,
) -> str:
    """The text of one completion.

    Args:
        fault: What is wrong with it.
        rng: Where all draws come from.
        body: The request.
        key: The key that came with it.
        answer: Text of a good answer for a request's body; None means offspring of the points that the prompt shows.
    """
    if fault in _FIXED:
        return _FIXED[fault]
    if fault is Fault.ECHO_KEY:
        return f"Your key is {key}."
    if fault is Fault.BLANKS:
        return "{" + " \n" * int(body.get("max_tokens") or body.get("max_completion_tokens") or 512)
    text = _points(fault, rng, body) if answer is None else answer(body)
    if fault is Fault.TRUNCATED:
        return text[: 2 * len(text) // 3]
    if fault is Fault.SURROGATE:
        return "\ud800" + text
    if fault is Fault.PROSE_AROUND:
        return f"Let me think {{about it}}.\n\n{text}\n\nI hope that this helps."
    return text


def _points(fault: Fault, rng: random.Random, body: Body) -> str:
    question = read_question(body)
    if question is None:
        return "This server only knows questions that ask for new points beside given ones."
    tasks = question.tasks
    pooled = [row for block in question.parents for row in block]
    told: list[tuple[Slot, Row]] = []
    for i, slots in enumerate(tasks):
        parents = question.parents[i] if len(question.parents) == len(tasks) else pooled
        rows = _rows(fault, rng, slots, parents)
        told += zip(_places(slots, len(rows)), rows, strict=True)
    if fault is Fault.LOST_TASK:
        told = [(slot, row) for slot, row in told if len(tasks) > 1 and slot.task != tasks[-1][0].task]
    return _table(told) if question.table else json.dumps(_nested(told)).replace("Infinity", "1e999")


def _rows(fault: Fault, rng: random.Random, slots: Sequence[Slot], parents: Sequence[Sequence[int]]) -> list[Row]:
    """Points of one task, spoiled by the fault."""
    levels = np.array(slots[0].levels)
    known = [row for row in parents if len(row) == levels.size]
    count = len(slots) + (fault is Fault.EXTRA_POINTS) - (fault is Fault.WRONG_COUNT)
    rows: list[Row]
    if not known:
        rows = [[rng.randint(0, level) for level in levels.tolist()] for _ in range(count)]
    elif fault is Fault.DUPLICATES:
        rows = [list(rng.choice(known)) for _ in range(count)]
    else:
        drawn = draw_offspring(np.array(known), levels, count, np.random.default_rng(rng.getrandbits(64)), STATISTICS)
        rows = [np.clip(row, 0, levels).tolist() for row in drawn]
    if fault is Fault.SIBLINGS:
        rows = [list(rows[0]) for _ in rows]
    return [_spoiled(fault, rng, row) for row in rows]


def _spoiled(fault: Fault, rng: random.Random, row: Row) -> Row:
    place = rng.randrange(len(row))
    if fault is Fault.WRONG_LENGTH:
        return row[:-1]
    wrong = {Fault.NAN: float("nan"), Fault.INFINITE: float("inf"), Fault.WORDS: "some", Fault.OUT_OF_BOUNDS: _LARGE}
    if fault in wrong:
        row[place] = wrong[fault]
    elif fault is Fault.FRACTIONS:
        row[place] = row[place] - 0.25 if row[place] else 0.25
    return row


def _places(slots: Sequence[Slot], count: int) -> list[Slot]:
    """Places of `count` points: the asked ones, then further ones of the same kind."""
    last = slots[-1]
    extra = [Slot((*last.path[:-1], f"{last.path[-1]}0"), last.names, last.levels)]
    return [*slots, *extra][:count]


def _table(told: Sequence[tuple[Slot, Row]]) -> str:
    lines = [(f"{slot.path[0]}: " if slot.path[0] else "") + ",".join(map(_number, row)) for slot, row in told]
    return " " + "\n".join(lines) + "\n"


def _number(value: object) -> str:
    return "1e999" if value == float("inf") else str(value)


def _nested(told: Sequence[tuple[Slot, Row]]) -> dict[str, Any]:
    answer: dict[str, Any] = {}
    for slot, row in told:
        place = answer
        for name in slot.path[:-1]:
            place = place.setdefault(name, {})
        place[slot.path[-1]] = dict(zip(slot.names, row, strict=False))
    return answer


def finish_reason(fault: Fault) -> str:
    """Why a completion ends."""
    if fault in (Fault.TRUNCATED, Fault.BLANKS, Fault.REASONING):
        return "length"
    return f"stop{ESCAPES}" if fault is Fault.ESCAPES else "stop"


def message(fault: Fault, text: str, *, chat: bool) -> JsonObject:
    """What was said, in the layout of a chat or of a plain completion."""
    said = None if fault is Fault.NULL_CONTENT else text
    if fault is Fault.REASONING:
        thoughts = {"reasoning_content": "Let me think about it. " * 40}
        return {"message": {"role": "assistant", "content": None, **thoughts}} if chat else {"text": ""}
    return {"message": {"role": "assistant", "content": said}} if chat else {"text": said}


@cache
def bomb() -> bytes:
    """A quarter of a megabyte that unpacks to 256."""
    packer = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    return b"".join([*(packer.compress(b" " * 2**20) for _ in range(256)), packer.flush()])

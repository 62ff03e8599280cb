"""What a request asks for: read from its JSON schema, its grammar, or the words of its prompt, as a model would."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from optisolve.core.documents import JsonObject

__all__ = ["Body", "Question", "Slot", "prompt_of", "read_question"]

_EXAMPLE = re.compile(r"^[ \t]*(\d+)[.:)][ \t]*(\d+(?:[ \t]*,[ \t]*\d+)*)[ \t]*(?:->.*)?$", re.MULTILINE)
"""An example of a prompt: a number, a dot or colon, and the integers of a point."""
_ORDER = re.compile(r"^The (?:integers|numbers) of a .*design stand in this order: (.+)\.$", re.MULTILINE)
_VARIABLES = re.compile(r"^Variables\..*\n((?:- .+\n)+)", re.MULTILINE)
_LITERAL = re.compile(r'"(?:[^"\\]|\\.)*"')
_NUMBER_RULE = re.compile(r"n(\d+)")
_RESOLUTION = 1000


class _Message(TypedDict):
    role: str
    content: str


class _Schema(TypedDict, total=False):
    schema: JsonObject


class _Format(TypedDict, total=False):
    type: str
    json_schema: _Schema


class Body(TypedDict, total=False):
    """A completion request, as far as the server looks at it."""

    model: str
    messages: Sequence[_Message]
    prompt: str
    n: int
    stream: bool
    max_tokens: int
    max_completion_tokens: int
    response_format: _Format
    grammar: str


@dataclass(frozen=True, slots=True)
class Slot:
    """Place of one point in the answer.

    Attributes:
        path: Keys from the outermost object to the point; the text before the point in a table.
        names: Variable names; empty in a table.
        levels: Largest integer of each variable.
    """

    path: tuple[str, ...]
    names: tuple[str, ...]
    levels: tuple[int, ...]

    @property
    def task(self) -> str:
        """Sub-problem that the point belongs to; "" when the question holds a single one."""
        return self.path[0] if len(self.path) > 1 else ""


@dataclass(frozen=True, slots=True)
class Question:
    """What a request asks for.

    Attributes:
        table: The answer continues a table; otherwise it is a JSON object.
        slots: Places of the points, in order.
        parents: Points that the prompt shows, one block per task, each in the prompt's order.
    """

    table: bool
    slots: tuple[Slot, ...]
    parents: tuple[tuple[tuple[int, ...], ...], ...]

    @property
    def tasks(self) -> list[list[Slot]]:
        """The slots of every task."""
        blocks: dict[str, list[Slot]] = {}
        for slot in self.slots:
            blocks.setdefault(slot.task, []).append(slot)
        return list(blocks.values())


def prompt_of(body: Body) -> str:
    """All words of a request."""
    told = [str(message.get("content", "")) for message in body.get("messages") or []]
    return str(body.get("prompt") or "\n".join(told))


def read_question(body: Body) -> Question | None:
    """The question behind a request; None when it is none that asks for points."""
    text = prompt_of(body)
    parents = _parents(text)
    schema = ((body.get("response_format") or {}).get("json_schema") or {}).get("schema")
    grammar = body.get("grammar")
    if schema:
        slots, table = list(_of_schema(schema, ())), False
    elif grammar:
        slots, table = _of_grammar(str(grammar))
    elif "messages" in body:
        slots, table = _of_words(text), False
    else:
        slots, table = _of_table(parents, int(body.get("max_tokens") or 0)), True
    return Question(table, tuple(slots), parents) if slots else None


def _parents(text: str) -> tuple[tuple[tuple[int, ...], ...], ...]:
    """Examples of a prompt; a block ends where the numbering starts again."""
    blocks: list[list[tuple[int, ...]]] = []
    for match in _EXAMPLE.finditer(text):
        if not blocks or match.group(1) == "1":
            blocks.append([])
        blocks[-1].append(tuple(int(number) for number in match.group(2).split(",")))
    return tuple(tuple(block) for block in blocks)


def _of_schema(schema: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[Slot]:
    properties = schema.get("properties") or {}
    if properties and all(p.get("type") in ("integer", "number") for p in properties.values()):
        yield Slot(path, tuple(properties), tuple(int(p.get("maximum", _RESOLUTION)) for p in properties.values()))
        return
    for name, inner in properties.items():
        yield from _of_schema(inner, (*path, name))


def _of_grammar(grammar: str) -> tuple[list[Slot], bool]:
    """Slots of one of our GBNF grammars: fixed text with number rules called after their largest value."""
    rules = dict(line.split(" ::= ", 1) for line in grammar.splitlines() if " ::= " in line)
    levels: list[int] = []

    def expand(rule: str) -> str:
        text = ""
        for token in re.findall(rf"{_LITERAL.pattern}|[\w-]+", rules[rule]):
            number = _NUMBER_RULE.fullmatch(token)
            if token.startswith('"'):
                text += json.loads(token)
            elif number:
                levels.append(int(number.group(1)))
                text += "0"
            else:
                text += expand(token)
        return text

    text = expand("root")
    if text.startswith("{"):
        return list(_of_object(json.loads(text), (), iter(levels))), False
    rows = text.strip().splitlines()
    dim = len(levels) // len(rows)
    return [Slot((row.rpartition(":")[0],), (), tuple(levels[:dim])) for row in rows], True


def _of_object(value: Mapping[str, Any], path: tuple[str, ...], levels: Iterator[int]) -> Iterator[Slot]:
    if not any(isinstance(inner, dict) for inner in value.values()):
        yield Slot(path, tuple(value), tuple(next(levels) for _ in value))
        return
    for name, inner in value.items():
        yield from _of_object(inner, (*path, name), levels)


def _of_words(text: str) -> list[Slot]:
    """Slots of a prompt that only words describe: the named variables, under the keys of its designs and tasks."""
    order, section = _ORDER.search(text), _VARIABLES.search(text)
    if not section:
        return []
    levels: dict[str, int] = {}
    for line in section.group(1).splitlines():
        names, _, meaning = line.removeprefix("- ").partition(": ")
        largest = re.findall(r"(\d+) means", meaning)
        levels.update(dict.fromkeys(names.split(", "), int(largest[-1]) if largest else 0))
    names = tuple(order.group(1).split(", ") if order else levels)
    designs = list(dict.fromkeys(re.findall(r"\b(?:design|candidate)_\d+\b", text)))
    tasks = list(dict.fromkeys(re.findall(r"^(task_\d+):", text, re.MULTILINE)))
    sizes = tuple(levels.get(name, _RESOLUTION) for name in names)
    if tasks:
        return [Slot((task, design), names, sizes) for task in tasks for design in designs]
    return [Slot((design,), names, sizes) for design in designs]


def _of_table(parents: Sequence[Sequence[Sequence[int]]], max_tokens: int) -> list[Slot]:
    """Rows of a continued table, as many as the token limit leaves room for."""
    rows = [row for block in parents for row in block]
    if not rows:
        return []
    dim = len(rows[-1])
    count = max(1, (max_tokens - 8) // (5 * dim + 10))
    return [Slot(("",) if i == 0 else (str(900 - i),), (), (_RESOLUTION,) * dim) for i in range(count)]

"""Checks of prompt templates before any model sees them: names, header, variables, safety, prefix, size."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from optisolve.core.errors import LlmError
from optisolve.llm.prompts import Prompt, make_prompt, prompt_environment
from optisolve.llm.tokens import estimate_tokens

__all__ = ["Finding", "Level", "Lint", "lint_prompt"]

_FILE = re.compile(r"(?P<name>[a-z][a-z0-9_]*)\.v(?P<version>[1-9]\d*)\.jinja")
_HEADER = re.compile(r"\{#-?(?P<text>.*?)-?#\}", re.DOTALL)
_DECLARED = re.compile(r"\b(?P<kind>Constant|Changing|Variables):(?P<names>[^.]*)\.")
_PRIVATE = re.compile(
    r"\bsk-[A-Za-z0-9_-]{8,}|\bBearer\s+\S{8,}|(?<![\w.])/(?:home|root|Users|tmp|work|var|mnt)/\w+|\b[A-Z]:\\\w+"
)
_SYNTAX = re.compile(r"\{\{|\{%|\{#|%\}|#\}")
_INTERNAL = re.compile(r"_\w")
_LONGEST_TAIL = 200
"""Characters of constant text that may stand behind the first thing that changes."""
_LOOP_CALLS = ("cycle", "changed")


class Level(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    """The prompt must not be used as it is."""
    WARNING = "warning"
    """It works; somebody should look at it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a prompt.

    Attributes:
        level: How bad it is.
        rule: Short name of the check.
        line: Line in the file, from 1; 0 for the file as a whole.
        message: What is wrong and what to do.
    """

    level: Level
    rule: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.level} ({self.rule}): {self.message}"


@dataclass(frozen=True, slots=True)
class Lint:
    """What the checks say about one prompt.

    Attributes:
        file: Name of the file.
        findings: Ordered by line.
        characters: Length of the sample rendering; 0 when there is none.
        tokens: Its tokens, estimated.
        prefix_tokens: Tokens, estimated, that two different sample questions have in common at their start.
        real: The samples are those of a real problem, not stand-ins.
    """

    file: str
    findings: tuple[Finding, ...]
    characters: int = 0
    tokens: int = 0
    prefix_tokens: int = 0
    real: bool = False

    @property
    def ok(self) -> bool:
        """True without errors; warnings are allowed."""
        return not any(finding.level is Level.ERROR for finding in self.findings)


@dataclass(frozen=True, slots=True)
class _Header:
    """Variables that a template's header declares; `changing` is None when it does not say which ones change."""

    declared: frozenset[str]
    changing: frozenset[str] | None


def lint_prompt(
    file: str, text: str, samples: Sequence[Mapping[str, object]] = (), *, max_tokens: int = 8000, known: Sequence[int] = ()
) -> Lint:
    """Check a prompt template.

    Args:
        file: Name of its file, ``NAME.vVERSION.jinja``.
        text: The template.
        samples: Variables of two different questions about a sample problem; empty renders with stand-ins.
        max_tokens: Largest size of a sample rendering, tokens, estimated.
        known: Versions of this prompt that exist, for the check of gaps; empty skips it.
    """
    findings = [*_name_findings(file, known), *_text_findings(text)]
    match = _FILE.fullmatch(file)
    try:
        prompt = make_prompt(match["name"], int(match["version"]), text) if match else make_prompt(file, 0, text)
    except LlmError as error:
        findings.append(Finding(Level.ERROR, "syntax", 0, str(error)))
        return Lint(file, _ordered(findings))
    tree = prompt_environment().parse(text)
    header, told = _header(text)
    findings += [*told, *_variable_findings(prompt, header), *_unsafe_findings(tree)]
    if header is not None and header.changing is not None:
        findings += _prefix_findings(tree, header.changing)
    rendered, told = _rendered(prompt, samples, max_tokens)
    findings += told
    size = rendered[0] if rendered else ""
    shared = estimate_tokens(_common_start(*rendered[:2])) if len(rendered) > 1 else 0
    return Lint(file, _ordered(findings), len(size), estimate_tokens(size), shared, bool(samples))


def _common_start(first: str, second: str) -> str:
    size = next((i for i, pair in enumerate(zip(first, second, strict=False)) if pair[0] != pair[1]), len(first))
    return first[:size]


def _ordered(findings: list[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda finding: (finding.line, finding.rule, finding.message)))


# -- the file --------------------------------------------------------------------------------------------------------


def _name_findings(file: str, known: Sequence[int]) -> Iterator[Finding]:
    match = _FILE.fullmatch(file)
    if not match:
        yield Finding(
            Level.ERROR, "name", 0, f"'{file}' is not NAME.vVERSION.jinja with a lower-case name and a version from 1"
        )
    elif known and int(match["version"]) > 1 and int(match["version"]) - 1 not in known:
        yield Finding(Level.WARNING, "name", 0, f"version {match['version']} follows no version {int(match['version']) - 1}")


def _text_findings(text: str) -> Iterator[Finding]:
    if not text.endswith("\n"):
        yield Finding(Level.ERROR, "blanks", text.count("\n") + 1, "the file does not end with a line break")
    for number, line in enumerate(text.split("\n"), start=1):
        odd = sorted({char for char in line if not " " <= char <= "~"})
        if odd:
            shown = ", ".join(f"U+{ord(char):04X}" for char in odd[:5])
            yield Finding(Level.ERROR, "ascii", number, f"characters outside printable ASCII: {shown}")
        if line != line.rstrip(" \t\r"):
            yield Finding(Level.ERROR, "blanks", number, "blanks at the end of the line")
        private = _PRIVATE.search(line)
        if private:
            told = private.group()[:4]
            yield Finding(Level.ERROR, "private", number, f"looks like a key or a path of one machine ('{told}...')")


def _header(text: str) -> tuple[_Header | None, list[Finding]]:
    """What the comment at the top declares, and what is wrong with it."""
    match = _HEADER.match(text)
    if match is None:
        wanted = "begin with {#- What it is for. Constant: a, b. Changing: c. -#}"
        return None, [Finding(Level.ERROR, "header", 1, f"no comment at the top; {wanted}")]
    words = re.sub(r"\([^)]*\)", "", match["text"])
    lists = {found["kind"]: _names(found["names"]) for found in _DECLARED.finditer(words)}
    if not lists:
        return None, [
            Finding(Level.ERROR, "header", 1, "the header declares no variables; add 'Constant: ...' and 'Changing: ...'")
        ]
    declared = frozenset(name for names in lists.values() for name in names)
    if "Variables" in lists:
        told = "the header does not say what changes during a run (Constant: ... and Changing: ...); the prefix is unchecked"
        return _Header(declared, None), [Finding(Level.WARNING, "header", 1, told)]
    return _Header(declared, frozenset(lists.get("Changing", ()))), []


def _names(text: str) -> list[str]:
    return [name for name in (part.strip() for part in text.split(",")) if name]


# -- the template ----------------------------------------------------------------------------------------------------


def _variable_findings(prompt: Prompt, header: _Header | None) -> Iterator[Finding]:
    if header is None:
        return
    for name in sorted(prompt.variables - header.declared):
        yield Finding(Level.ERROR, "undefined", 0, f"the variable '{name}' is used but not declared in the header")
    for name in sorted(header.declared - prompt.variables):
        yield Finding(Level.ERROR, "unused", 0, f"the variable '{name}' is declared in the header but not used")


def _unsafe_findings(tree: Any) -> Iterator[Finding]:
    """Constructs that reach beyond words and given variables; the sandbox refuses most of them when rendering."""
    from jinja2 import nodes

    for node in tree.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)):
        yield Finding(Level.ERROR, "unsafe", node.lineno, "a prompt stands in one file: no include, import or extends")
    for node in tree.find_all((nodes.Getattr, nodes.Getitem)):
        name = node.attr if isinstance(node, nodes.Getattr) else getattr(node.arg, "value", None)
        if isinstance(name, str) and _INTERNAL.match(name):
            yield Finding(Level.ERROR, "unsafe", node.lineno, f"the attribute '{name}' is internal to Python")
    for node in tree.find_all(nodes.Call):
        called = node.node
        of_loop = isinstance(called, nodes.Getattr) and called.attr in _LOOP_CALLS and _reads(called) == {"loop"}
        if not of_loop:
            yield Finding(Level.ERROR, "unsafe", node.lineno, "calls have no place in a prompt; prepare the value in Python")
    for node in tree.find_all(nodes.Filter):
        hidden = [k.value for k in node.find_all(nodes.Const) if isinstance(k.value, str) and _INTERNAL.match(k.value)]
        if node.name == "attr" or hidden:
            yield Finding(Level.ERROR, "unsafe", node.lineno, f"the filter '{node.name}' reaches for attributes by name")


def _prefix_findings(tree: Any, changing: frozenset[str]) -> Iterator[Finding]:
    """Endpoints cache the start of a prompt as long as it stays the same, so what changes must stand at the end."""
    first, tail, line = 0, 0, 0
    for node, reads in _parts(tree.body, changing):
        if reads & changing:
            first = first or node.lineno
        elif first and reads:
            told = (
                f"'{min(reads)}' stays the same but stands behind line {first}, where the prompt begins to change; move it up"
            )
            yield Finding(Level.ERROR, "prefix", node.lineno, told)
        elif first:
            size = len("".join(getattr(node, "data", "").split()))
            line = line or (node.lineno if size > 1 else 0)
            tail += size
    if tail > _LONGEST_TAIL:
        told = f"{tail} characters of constant text stand behind line {first}, where the prompt begins to change; move them up"
        yield Finding(Level.ERROR, "prefix", line, told)


def _parts(body: Sequence[Any], changing: frozenset[str]) -> Iterator[tuple[Any, set[str]]]:
    """Pieces of a template in the order of output, each with the names that it reads; a loop over something that changes,
    or a condition on it, is one piece."""
    from jinja2 import nodes

    for node in body:
        if isinstance(node, nodes.Output):
            for child in node.nodes:
                yield child, _reads(child)
        elif isinstance(node, nodes.For | nodes.If):
            head = node.iter if isinstance(node, nodes.For) else node.test
            reads = _reads(head)
            if reads & changing:
                yield node, reads
            else:
                local = _reads(node.target) if isinstance(node, nodes.For) else set()
                branches = [*node.body, *getattr(node, "elif_", ()), *node.else_]
                for part, names in _parts(branches, changing):
                    yield part, (names - local - {"loop"}) | (reads if names else set())
        else:
            yield node, _reads(node)


def _reads(node: Any) -> set[str]:
    from jinja2 import nodes

    names = {name.name for name in node.find_all(nodes.Name)}
    return names | {node.name} if isinstance(node, nodes.Name) else names


# -- the sample ------------------------------------------------------------------------------------------------------


class _StandIn:
    """Any variable of any prompt: text, number, list and object at once."""

    def __str__(self) -> str:
        return "sample"

    def __getattr__(self, name: str) -> _StandIn:
        return _StandIn()

    def __getitem__(self, key: object) -> _StandIn:
        return _StandIn()

    def __iter__(self) -> Iterator[_StandIn]:
        return iter((_StandIn(), _StandIn()))

    def __len__(self) -> int:
        return 2

    def __gt__(self, other: object) -> bool:
        return True

    __lt__ = __ge__ = __le__ = __gt__


def _rendered(prompt: Prompt, samples: Sequence[Mapping[str, object]], max_tokens: int) -> tuple[list[str], list[Finding]]:
    """Renderings of the samples, and what is wrong with them."""
    given = samples or [{name: _StandIn() for name in prompt.variables}]
    try:
        texts = [prompt.render(**values) for values in given]
    except Exception as error:  # a template can raise anything; that is the finding
        level = Level.ERROR if samples else Level.WARNING
        return [], [Finding(level, "render", 0, f"a sample cannot be rendered: {error}")]
    findings = []
    tokens = max(map(estimate_tokens, texts))
    if tokens > max_tokens:
        findings.append(Finding(Level.ERROR, "size", 0, f"a sample takes about {tokens} tokens, more than {max_tokens}"))
    if any(map(_SYNTAX.search, texts)):
        findings.append(Finding(Level.ERROR, "render", 0, "template syntax is left in the rendered text"))
    if any(map(_PRIVATE.search, texts)):
        findings.append(
            Finding(Level.ERROR, "private", 0, "a rendered sample holds what looks like a key or a path of one machine")
        )
    if any("\n\n\n" in text for text in texts):
        findings.append(Finding(Level.WARNING, "blanks", 0, "a rendered sample has two empty lines in a row"))
    if any(line != line.rstrip() for text in texts for line in text.split("\n")):
        findings.append(Finding(Level.WARNING, "blanks", 0, "a rendered sample has blanks at the end of a line"))
    return texts, findings

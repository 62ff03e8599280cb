"""Blocks of code in pages and notebooks: which there are, and what a reader does with them.

A block does what it looks like: Python is run, command lines are run, and a block with a name (``title="goal.yaml"`` behind the
language, or ``<!-- file: goal.yaml -->`` above it) is written into the folder where the page is followed from top to bottom. A
comment above a block that no reader sees says what is different: ``<!-- skip: why -->`` (command lines are still read by the
real parsers), ``<!-- slow -->`` (followed only by the slow tests).

``python -m tests.docs.blocks`` lists what is skipped, and why.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

__all__ = ["PAGES", "ROOT", "Block", "Command", "blocks_of", "commands_of", "inline_commands"]

ROOT = Path(__file__).parents[2]
_OUTSIDE = ("README.md", "AGENTS.md", "benchmarks/records/README.md")
_MADE = re.compile(r"docs/ablation/[^/]+/ablation\.md")
"""Reports that a command wrote, with its own words in their heads."""
PAGES = tuple(
    sorted(
        path
        for path in (
            *_OUTSIDE,
            *(
                file.relative_to(ROOT).as_posix()
                for pattern in ("docs/**/*.md", "docs/**/*.ipynb", "solvers/*.md", "problems/**/README.md")
                for file in ROOT.glob(pattern)
            ),
        )
        if not _MADE.fullmatch(path) and (ROOT / path).is_file()
    )
)
"""Pages of the repository; CONTRIBUTING.md and examples/ are packages, which tests/testing installs before it follows them."""

_PROGRAMS = ("optisolve", "python", "pip", "make", "git", "ray", "export", "pytest", "cd", "pre-commit", "eval")
_SHELLS = ("console", "bash", "sh", "shell")
_MARK = re.compile(r"<!--\s*(skip|slow|file)(?::\s*(.*?))?\s*-->", re.DOTALL)
_TITLE = re.compile(r'title="([^"]+)"')
_COMMENT = re.compile(r"(?:^|\s)#\s*([^'\"]*)$")
_EXIT = re.compile(r"exit code (\d+)")


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a page.

    Attributes:
        page: Path in the repository.
        line: Where it begins, from 1.
        kind: ``python``, ``shell``, ``file`` or ``text``.
        language: As the page names it; empty for an indented block.
        text: What stands in it.
        name: The file that it is, for ``file``.
        mark: ``skip``, ``slow`` or nothing.
        why: The reason behind ``skip``.
    """

    page: str
    line: int
    kind: str
    language: str
    text: str
    name: str = ""
    mark: str = ""
    why: str = ""

    @property
    def place(self) -> str:
        """For messages."""
        return f"{self.page}:{self.line}"


@dataclass(frozen=True, slots=True)
class Command:
    """One command line.

    Attributes:
        place: Page and line.
        words: Its words, the program first; what stands behind a ``…`` is left out.
        exit_code: The one that a comment behind it promises, else 0.
        whole: False where the page leaves words out.
    """

    place: str
    words: tuple[str, ...]
    exit_code: int
    whole: bool


@cache
def blocks_of(page: str) -> tuple[Block, ...]:
    """All blocks of a page or notebook, in order.

    Args:
        page: Path in the repository.
    """
    text = (ROOT / page).read_text(encoding="utf-8")
    return tuple(_of_notebook(page, text) if page.endswith(".ipynb") else _of_markdown(page, text))


def _of_notebook(page: str, text: str) -> Iterator[Block]:
    for number, cell in enumerate(json.loads(text)["cells"], 1):
        source = "".join(cell["source"])
        if cell["cell_type"] == "code":
            skipped = "skip-execution" in cell["metadata"].get("tags", ())
            why = {"mark": "skip", "why": "tagged skip-execution"} if skipped else {}
            yield Block(page, number, "python", "python", source, **why)
        else:
            yield from (replace(block, line=number) for block in _of_markdown(page, source))


def _of_markdown(page: str, text: str) -> Iterator[Block]:
    above = Token("html_block", "", 0)
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    for token in tokens:
        if token.type in ("fence", "code_block"):
            yield _block(page, token, above.content)
        if token.type not in ("bullet_list_open", "list_item_open", "ordered_list_open"):
            above = token if token.type == "html_block" else Token("", "", 0)


def _block(page: str, token: Token, above: str) -> Block:
    language, _, rest = token.info.strip().partition(" ")
    marks = {found.group(1): found.group(2) or "" for found in _MARK.finditer(above)}
    title = _TITLE.search(rest)
    name = marks.get("file", "") or (title.group(1) if title else "")
    first = next((line.split()[0] for line in token.content.splitlines() if line.strip()), "")
    looks_like = "shell" if language in _SHELLS or (not language and first in _PROGRAMS) else "text"
    kind = "file" if name else {"python": "python"}.get(language, looks_like)
    mark = next((word for word in ("skip", "slow") if word in marks), "")
    line = (token.map[0] if token.map else 0) + 1 + (token.type == "fence")
    return Block(page, line, kind, language, token.content, name, mark, marks.get("skip", ""))


def commands_of(block: Block) -> Iterator[Command]:
    """The command lines of a block of kind ``shell``."""
    for text in re.sub(r"\\\n\s*", " ", block.text).splitlines():
        words, comment = _words(text)
        promised = _EXIT.fullmatch(comment)
        for part in _split(words):
            end = next((at for at, word in enumerate(part) if word.startswith(("…", "..."))), len(part))
            if end:
                yield Command(block.place, tuple(part[:end]), int(promised.group(1)) if promised else 0, end == len(part))


def inline_commands(page: str) -> Iterator[Command]:
    """Commands in the running text, `` `optisolve ...` ``."""
    if page.endswith(".ipynb"):
        return
    for token in MarkdownIt("commonmark").enable("table").parse((ROOT / page).read_text(encoding="utf-8")):
        for child in token.children or ():
            if child.type == "code_inline" and re.match(r"optisolve \w", child.content):
                text = " ".join(child.content.split())
                place = f"{page}:{(token.map or [0])[0] + 1}"
                words = tuple(shlex.split(text))
                end = next((at for at, word in enumerate(words) if word.startswith(("…", "..."))), len(words))
                yield Command(place, words[:end], 0, end == len(words))


def _words(text: str) -> tuple[list[str], str]:
    """Words of a line as a shell reads them, and the comment behind them."""
    comment = _COMMENT.search(text)
    return shlex.split(text.removeprefix("$ "), comments=True), comment.group(1) if comment else ""


def _split(words: list[str]) -> Iterator[list[str]]:
    """Commands that ``;`` and ``&&`` join."""
    part = list[str]()
    for word in words:
        bare = word.rstrip(";")
        if word == "&&" or bare != word:
            yield part + [bare] * bool(bare and word != "&&")
            part = []
        else:
            part.append(word)
    yield part


def main() -> None:
    """List what no test runs."""
    for page in PAGES:
        for block in blocks_of(page):
            if block.mark == "skip":
                first = block.text.strip().splitlines()[0]
                print(f"{block.place}: {block.why}\n    {first}")  # noqa: T201


if __name__ == "__main__":
    main()

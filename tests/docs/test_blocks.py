"""What README, the pages and the notebooks tell a reader to type works, page by page, from top to bottom."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from optisolve.cli import compose
from optisolve.cli import main as entry
from optisolve.core.errors import MissingDependency, OptisolveError
from tests.docs.blocks import PAGES, ROOT, Block, Command, blocks_of, commands_of, inline_commands

WITH_CODE = [page for page in PAGES if any(block.kind in ("python", "shell") for block in blocks_of(page))]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
SYNTAX = {"yaml": yaml.safe_load, "json": json.loads, "toml": tomllib.loads}
DIFFUSION = ("solver=legacy_diffsg", "train")
"""Words of command lines that cannot do without the extra of that name."""


def followed(page: str, slow: bool) -> list[Block]:
    """What a reader of a page does, with or without what takes long."""
    return [block for block in blocks_of(page) if block.mark == "" or (slow and block.mark == "slow")]


@pytest.mark.parametrize(
    "page", [page for page in WITH_CODE if any(b.kind in ("python", "shell") for b in followed(page, False))]
)
def test_what_a_page_shows_works_from_top_to_bottom(page, tmp_path, monkeypatch, capsys):
    follow(page, followed(page, slow=False), tmp_path, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in WITH_CODE if any(b.mark == "slow" for b in blocks_of(page))])
def test_what_takes_long_works_too(page, tmp_path, monkeypatch, capsys):
    follow(page, followed(page, slow=True), tmp_path, monkeypatch)


@pytest.mark.parametrize("page", [page for page in PAGES if any(b.mark or b.language in SYNTAX for b in blocks_of(page))])
def test_the_parsers_take_what_is_not_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    beside_the_repository(tmp_path)
    for block in blocks_of(page):
        if block.kind == "file":
            write(block, tmp_path)
        elif block.kind == "python" and block.mark:
            compile(block.text, block.place, "exec")
        elif block.kind == "shell" and block.mark:
            for command in commands_of(block):
                read(command)
        elif block.language in SYNTAX:
            SYNTAX[block.language](block.text)


@pytest.mark.parametrize("page", [page for page in PAGES if any(inline_commands(page))])
def test_commands_in_the_running_text_name_what_exists(page):
    for command in inline_commands(page):
        verb(command)


def test_what_is_not_run_says_why():
    unsaid = [block.place for page in PAGES for block in blocks_of(page) if block.mark == "skip" and not block.why]
    assert not unsaid, f"say why in the comment above: {', '.join(unsaid)}"


def test_no_command_hides_in_a_block_that_is_not_followed():
    """A block that begins with words and goes on with commands would be taken for text, and nobody would run it."""
    hidden = [
        f"{block.place}: {line}"
        for page in PAGES
        for block in blocks_of(page)
        if block.kind == "text"
        for line in block.text.splitlines()
        if re.match(r"\s*(?:\$ )?optisolve [a-z]+\b", line)
    ]
    assert not hidden


def test_a_page_that_is_wrong_is_found(tmp_path, monkeypatch):
    (tmp_path / "page.md").write_text(
        "    optisolve run problem=uav_isac sovler=moead\n\n```python\nimport optisolve\noptisolve.no_such\n```\n"
    )
    monkeypatch.setattr("tests.docs.blocks.ROOT", tmp_path)
    shell, python = blocks_of("page.md")
    with pytest.raises(OptisolveError, match="sovler"):
        read(next(iter(commands_of(shell))))
    with pytest.raises(AttributeError, match="no_such"):
        follow("page.md", [python], tmp_path, monkeypatch)


# -- following a page --------------------------------------------------------------------------------------------------


def follow(page: str, blocks: Sequence[Block], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do what the blocks say, in one folder and one namespace."""
    module = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.chdir(folder)
    beside = (ROOT / page).parent
    beside_the_repository(folder)
    before = set(sys.modules)
    try:
        for block in blocks:
            if block.kind == "file":
                write(block, folder)
            elif block.kind == "python":
                lines = "\n" * (block.line - 1) * (not page.endswith(".ipynb"))
                exec(compile(lines + block.text, f"{beside.name}/{Path(page).name}", "exec"), vars(module))
            elif block.kind == "shell":
                for command in commands_of(block):
                    run(command)
    finally:
        import matplotlib.pyplot as plt

        plt.close("all")
        for name in set(sys.modules) - before:
            if str(folder) in str(getattr(sys.modules[name], "__file__", None)):
                del sys.modules[name]


def beside_the_repository(folder: Path) -> None:
    """What a page names of the repository is found from its folder."""
    for name in ("examples", "benchmarks"):
        (folder / name).symlink_to(ROOT / name)


def write(block: Block, folder: Path) -> None:
    path = folder / block.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block.text, encoding="utf-8")


def run(command: Command) -> None:
    """A command of ours is run; what belongs to other programs is read."""
    if any(word in command.words for word in DIFFUSION):
        for package in ("torch", "diffusers"):
            pytest.importorskip(package, reason="needs the extra [diffusion]")
    if command.words[0] != "optisolve" or not command.whole:
        read(command)
        return
    code = entry.main([filled(word) for word in command.words[1:]])
    assert code == command.exit_code, f"{command.place}: {' '.join(command.words)} ended with {code}"


def filled(word: str) -> str:
    """`RECORD` stands for the newest record of the folder before it."""
    folder, slash, last = word.rpartition("/")
    if last != "RECORD" or not slash:
        return word
    made = max(Path(folder).glob("*/record.json"), key=lambda path: path.stat().st_mtime_ns)
    return str(made.parent)


# -- reading a command -------------------------------------------------------------------------------------------------


def read(command: Command) -> None:
    """Let the real parsers look at a command line without doing anything.

    Raises:
        OptisolveError: Ours is wrong.
        AssertionError: Another program's names something that does not exist.
    """
    program, *words = command.words
    if program == "optisolve":
        if command.whole:
            with nothing_done():
                try:
                    entry._run(words)
                except MissingDependency as missing:  # names the extra; the words themselves were read
                    if not any(f"optisolve[{extra}]" in str(missing) for extra in EXTRAS):
                        raise
        else:
            verb(command)
    elif program == "python" and words and words[0].startswith("benchmarks/"):
        script = ROOT / words[0]
        assert script.is_file(), f"{command.place}: there is no {words[0]}"
        text = script.read_text(encoding="utf-8") + "".join(p.read_text() for p in script.parent.glob("kept.py"))
        for flag in (word.partition("=")[0] for word in words if word.startswith("--")):
            assert f'"{flag}"' in text, f"{command.place}: {words[0]} has no {flag}"
    elif program == "make":
        for target in (word for word in words if word.islower()):
            assert target in TARGETS, f"{command.place}: the Makefile has no {target}"
    elif "install" in words:
        for extra in re.findall(r"optisolve\[([\w,-]+)\]", " ".join(words)):
            assert set(extra.split(",")) <= set(EXTRAS), f"{command.place}: there is no extra {extra}"
    elif program == "pytest":
        for path in (word for word in words if "/" in word and not word.startswith("-")):
            assert (ROOT / path).exists(), f"{command.place}: there is no {path}"


def verb(command: Command) -> None:
    words = command.words[1:]
    known = {*entry._VERBS} | {name.partition(" ")[0] for name in entry._VERBS}
    assert words[0] in known or words[0].startswith("-") or words[0].isupper(), f"{command.place}: there is no verb {words[0]}"


@contextmanager
def nothing_done():
    """Verbs are made of their words, with all checks, and not called."""
    found, patch = entry._class_of, pytest.MonkeyPatch()

    class Made:
        def __init__(self, name: str) -> None:
            self.name = name

        def read(self, name: str, words: Sequence[str]):
            found(self.name).read(name, words)
            return lambda: 0

        def __getattr__(self, name: str):
            return getattr(found(self.name), name)

    patch.setattr(entry, "_class_of", Made)
    patch.setattr(compose, "run_job", lambda *_, **__: compose.Ended(0))
    patch.setattr(compose, "_through_episode", lambda *_: compose.Ended(0))
    patch.setattr(entry, "_say", lambda *_: 0)
    try:
        yield
    finally:
        patch.undo()

"""A thousand command lines and files that nobody should write: an exit code, one clear message, never a traceback."""

import io
import random
import re
import subprocess
import sys
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import pytest

from optisolve.cli.main import main
from tests.reliability.fuzz import World, command_line

CODES = (0, 1, 2, 130)
LIMIT_S = 90.0
INTERNAL = re.compile(
    r"Traceback|\b(Key|Attribute|Index|Type|Value|Assertion|ZeroDivision|Recursion|Unicode\w+|Overflow)Error\b"
)


def run(words: list[str], limited: Any) -> tuple[int, str]:
    """Exit code, and all that was said."""
    said, complained = io.StringIO(), io.StringIO()
    with limited(LIMIT_S), redirect_stdout(said), redirect_stderr(complained):
        code = main(words)
    return code, said.getvalue() + complained.getvalue()


def judged(words: list[str], code: int, told: str) -> str:
    """What is wrong with the way it ended, or ""."""
    if code not in CODES:
        return f"exit code {code}"
    if found := INTERNAL.search(told):
        return f"{found[0]!r} in what it says"
    if code != 0 and not told.strip():
        return "no message"
    return ""


def campaign(count: int, folder: Any, limited: Any, monkeypatch: Any) -> tuple[Counter[int], list[str]]:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "200")
    world, codes, bad = World(folder), Counter[int](), []
    for number in range(count):
        words = command_line(random.Random(number), world, number)
        try:
            code, told = run(words, limited)
        except Exception as error:
            bad.append(f"{number} {words}: {type(error).__name__}: {error}")
            continue
        codes[code] += 1
        if wrong := judged(words, code, told):
            bad.append(f"{number} {words}: {wrong}: {told[-600:]}")
    return codes, bad


def test_some_wild_command_lines_end_with_a_code_and_a_message(tmp_path, limited, monkeypatch):
    _, bad = campaign(40, tmp_path, limited, monkeypatch)
    assert not bad, "\n".join(bad)


@pytest.mark.slow
def test_a_thousand_wild_command_lines_end_with_a_code_and_a_message(tmp_path, limited, monkeypatch, tell):
    codes, bad = campaign(1000, tmp_path, limited, monkeypatch)
    assert not bad, "\n".join(bad)
    told = ", ".join(f"{codes[code]} with {code}" for code in sorted(codes))
    tell(f"fuzzed command lines and files: {codes.total()}, exit codes: {told}; 0 tracebacks")


@pytest.mark.slow
def test_wild_command_lines_of_real_processes_end_alike(tmp_path, tell):
    world = World(tmp_path)
    for number in range(30):
        words = command_line(random.Random(number), world, number)
        done = subprocess.run(
            [sys.executable, "-m", "optisolve", *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert not judged(words, done.returncode, done.stdout + done.stderr), (words, done.stdout[-500:], done.stderr[-2000:])
    tell("fuzzed command lines as real processes: 30; 0 tracebacks")

"""What README shows runs as it stands, and what it names exists."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import optisolve
from optisolve import solvers
from optisolve.registry import PROBLEMS, SOLVERS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=["example", "own problem"])
def test_the_python_examples_run(block, tmp_path):
    (tmp_path / "example.py").write_text(block)
    ran = subprocess.run([sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "feasible" in ran.stdout


def test_the_examples_are_as_short_as_promised():
    assert len(BLOCKS[0].strip().splitlines()) <= 16
    assert len(BLOCKS[1].strip().splitlines()) <= 13


def test_the_own_problem_passes_the_kit_that_is_recommended_beside_it(tmp_path):
    (tmp_path / "relay.py").write_text(BLOCKS[1])
    checked = [sys.executable, "-m", "optisolve", "check", "relay.py:relay"]
    ran = subprocess.run(checked, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert " 0 failed" in ran.stdout


def test_every_family_and_solver_is_in_its_table():
    for name in (*PROBLEMS.targets(), *SOLVERS.targets()):
        assert f"`{name}`" in README, name


def test_the_tables_of_results_are_those_of_the_published_records():
    ran = [sys.executable, str(ROOT / "benchmarks" / "readme_table.py"), "--check"]
    done = subprocess.run(ran, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_a_page_whose_records_are_not_published_says_so_and_gets_its_tables_back():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import readme_table
    finally:
        sys.path.pop(0)
    board = {"suites": [_suite("core"), {**_suite("game"), "entries": []}]}
    page = "before <!-- game results: written by benchmarks/readme_table.py -->old<!-- end of game results --> after"
    empty = readme_table.renewed(page, board, "game")
    assert "No records of suite `game` are published at present" in empty
    assert "old" not in empty
    assert readme_table.renewed(empty, {"suites": []}, "game") == empty
    full = readme_table.renewed(empty, {"suites": [_suite("game")]}, "game")
    assert "| 1 | `game_local` | 0.250 | 1 of 1 |" in full
    assert "| `a` | dual bound | `game_local` | 0.25 |" in full
    assert full.startswith("before ")
    assert full.endswith(" after")
    assert "| `b` | – |" in readme_table.tables({"suites": [{**_suite("game"), "problems": ["a", "b"]}]}, "game")


def _suite(name: str) -> dict[str, object]:
    entry = {
        "tier": "reproduced",
        "rank": 1,
        "solver": "game_local",
        "loss": "0.25",
        "llm": None,
        "llm_calls": "0",
        "records": 3,
    }
    entry |= {"evaluations": "10", "problems": {"a": {"rank": 1, "loss": "0.25", "measured_to": "dual bound"}}}
    return {"name": name, "problems": ["a"], "entries": [entry]}


def test_every_named_script_and_page_exists():
    for path in set(re.findall(r"(?:benchmarks|docs|examples)/[\w/]+\.?\w*", README)):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("folder", [".", "quality", "speed"])
def test_no_script_hides_a_package_from_those_beside_it(folder):
    """Python looks into a script's own folder first: one called ``coverage.py`` broke numba in every script beside it."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); import cvxpy, numba, optisolve, pandas, scipy.optimize"
    command = [sys.executable, "-c", code, str(ROOT / "benchmarks" / folder)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_solver_classes_are_exported_under_their_names():
    exported = {getattr(solvers, name) for name in dir(solvers)}
    assert {SOLVERS.get(name) for name in SOLVERS.targets()} <= exported
    assert optisolve.load_solver("ledma") == solvers.Ledma()

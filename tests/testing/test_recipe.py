"""The recipe of CONTRIBUTING.md, followed to the letter: its blocks are the files of a package, its commands are run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
COMMANDS = [line for kind, _, text in BLOCKS if kind == "console" for line in text.splitlines()]


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """The package of the page, installed beside ours."""
    folder, site = tmp_path_factory.mktemp("package"), tmp_path_factory.mktemp("site")
    for _, path, text in BLOCKS:
        if path:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
    flags = ("-q", "--no-deps", "--no-build-isolation", "--target", str(site))
    subprocess.run([sys.executable, "-m", "pip", "install", *flags, str(folder)], check=True, capture_output=True)
    return folder, site


def test_the_recipe_is_two_classes_two_entry_points_and_one_test():
    assert [path for _, path, _ in BLOCKS if path] == [
        *("pyproject.toml", "lanterns/problem.py", "lanterns/solver.py", "tests/test_lanterns.py"),
    ]
    assert COMMANDS[0] == "pip install ."
    assert {command.split()[1] for command in COMMANDS if command.startswith("optisolve")} == {"list", "info", "check", "run"}


@pytest.mark.parametrize("command", [line for line in COMMANDS if not line.startswith("pip ")])
def test_the_recipe_s_commands_work(package, command):
    folder, site = package
    words = command.split()
    words = ["-m", *words] if words[0] == "optisolve" else [*words[1:], "-q", "-p", "no:cacheprovider", "-c", os.devnull]
    environment = {**os.environ, "PYTHONPATH": str(site), "COLUMNS": "200"}
    done = subprocess.run([sys.executable, *words], env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    expected = {
        "optisolve list": ("lanterns", "best_lamps"),
        "optisolve info lanterns": ("offers: ParallelChannels",),
        "optisolve check lanterns.problem:Lanterns": ("ok capabilities mean what they say", "0 failed"),
        "optisolve run problem=lanterns solver=best_lamps": ("feasible",),
        "optisolve run problem=lanterns solver=water_filling problem.n_lamps=12": ("optimal",),
        "python -m pytest tests": ("passed",),
    }
    for word in expected[command]:
        assert word in done.stdout.lower() or word in done.stdout


def test_the_recipe_s_solver_names_the_capability_that_another_family_lacks(package):
    folder, site = package
    environment = {**os.environ, "PYTHONPATH": str(site), "COLUMNS": "200"}
    words = ("-m", "optisolve", "run", "problem=beamforming", "solver=best_lamps")
    done = subprocess.run([sys.executable, *words], env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "needs the capability ParallelChannels" in done.stderr

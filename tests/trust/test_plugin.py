"""A solver of another repository: written, installed, run on a suite, packed, sent in, checked, ranked and shown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from optisolve.cli.main import main
from optisolve.study.lock import write_lock
from optisolve.study.suite import load_suite
from tests.trust.conftest import git

SUITE = """# One problem, two instances, one run each.
version: "1"
seed: 5
instances: 2
repetitions: 1
budget: {evaluations: 60}
problems: [parallel_channels]
solvers: [random_search, {solver: "null", repetitions: 1}]
"""

PROJECT = """[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "fireflies"
version = "0.1.0"
dependencies = ["optisolve"]

[project.entry-points."optisolve.solvers"]
fireflies = "fireflies:Fireflies"

[tool.hatch.build.targets.wheel]
packages = ["fireflies"]
"""

MODULE = '''"""Points near the best one so far."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from optisolve.core.solver import Outcome, Solver, SolverInfo, Task, spent_limit
from optisolve.core.status import Termination


@dataclass(frozen=True, slots=True)
class Fireflies(Solver):
    """Begin in the trivial answers, step around the best point.

    Args:
        step: Length of a step, share of the box.
    """

    info: ClassVar[SolverInfo] = SolverInfo(name="fireflies", version="1", summary="Steps around the best point so far.")
    step: float = 0.05

    def _solve(self, task: Task) -> Outcome:
        instance, rng = task.instance, task.rng(purpose="steps")
        X = np.vstack(list(instance.null_policies().values()))
        signs = np.array([-1.0 if o.sense == "maximize" else 1.0 for o in instance.objectives])
        best, value = X[0], np.inf
        while len(X := X[: task.meter.remaining_evaluations]):
            F = task.evaluate(X, source="steps").F @ signs
            if F.min() < value:
                best, value = X[F.argmin()], float(F.min())
            steps = rng.normal(0.0, self.step, (10, best.size)) * (instance.space.upper - instance.space.lower)
            X = instance.project(instance.space.clip(best + steps))
        return task.outcome(Termination.LIMIT, spent_limit(task))
'''


@pytest.fixture
def elsewhere(tmp_path):
    """The package, installed beside ours: the environment in which a command knows it."""
    package, site = tmp_path / "package", tmp_path / "site-packages"
    (package / "fireflies").mkdir(parents=True)
    (package / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    (package / "fireflies" / "__init__.py").write_text(MODULE, encoding="utf-8")
    flags = ("-q", "--no-deps", "--no-build-isolation", "--target", str(site))
    subprocess.run([sys.executable, "-m", "pip", "install", *flags, str(package)], check=True, capture_output=True)
    return {**os.environ, "PYTHONPATH": str(site), "COLUMNS": "200"}


def told(words, environment, folder, code=0) -> str:
    """What a command prints."""
    command = [sys.executable, "-m", "optisolve", *words]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_a_solver_of_another_repository_goes_from_its_package_to_a_rank_and_a_page(elsewhere, tmp_path, capsys):
    pytest.importorskip("plotly", reason="needs the extra [report]")
    suite, board = tmp_path / "tiny.yaml", tmp_path / "board"
    suite.write_text(SUITE)
    write_lock(load_suite(suite))
    board.mkdir()
    git(board, "init", "-q", "-b", "main")
    own = ["--suite-file", str(suite), "--repository", str(board)]

    assert main(["bench", f"suite={suite}", f"out={tmp_path / 'runs'}"]) == 0
    pack = ["submit", "pack", str(tmp_path / "runs" / "tiny"), "--suite", "tiny", *own]
    assert main([*pack, "--submitter", "baseline", "--title", "the suite's own solvers"]) == 0
    git(board, "add", "-A")
    git(board, "commit", "-q", "-m", "baseline")

    git(board, "checkout", "-q", "-b", "submission")
    told(["bench", f"suite={suite}", "solvers=fireflies@ada_fireflies", f"out={tmp_path / 'theirs'}"], elsewhere, tmp_path)
    pack[2] = str(tmp_path / "theirs" / "tiny")
    packed = told([*pack, "--submitter", "ada", "--title", "Fireflies"], elsewhere, tmp_path)
    assert "2 record(s) packed" in packed
    git(board, "add", "-A")
    git(board, "commit", "-q", "-m", "fireflies")

    check = ["submit", "check", "main", "HEAD", "--author", "ada", *own]
    verdict = told([*check, "--site", str(tmp_path / "site")], elsewhere, tmp_path)
    assert "accepted" in verdict
    assert "| `tiny` | `ada` | `ada_fireflies` | reproduced |" in verdict
    (ranked,) = json.loads((board / "benchmarks" / "leaderboard" / "table.json").read_bytes())["suites"]
    ranks = {row["solver"]: (row["rank"], row["tier"]) for row in ranked["entries"]}
    assert ranks["ada_fireflies"] == (1, "reproduced")
    assert ranks["random_search"][0] > 1

    track = (tmp_path / "site" / "tracks" / "tiny.html").read_text()
    assert 'href="../solvers/ada_fireflies.html"' in track
    assert "Steps around the best point so far." in (tmp_path / "site" / "solvers" / "ada_fireflies.html").read_text()
    records = [page.read_text() for page in Path(tmp_path, "site", "records").glob("*fireflies*.html")]
    assert len(records) == 2
    assert all("optisolve bench suite=tiny only=problem:parallel_channels,solver:ada_fireflies" in page for page in records)

    capsys.readouterr()
    assert main(check) == 2  # a gate that does not know the solver cannot run it again, and ranks nothing that it has not seen
    assert "fireflies" in capsys.readouterr().out
    git(board, "checkout", "-q", "-b", "unknown", "main")
    assert "2 record(s) packed" in told(
        [*pack, "--submitter", "ada", "--title", "Fireflies", "--tier", "self-reported"], elsewhere, tmp_path
    )
    git(board, "add", "-A")
    git(board, "commit", "-q", "-m", "fireflies, on their word")
    assert main(check) == 0
    (ranked,) = json.loads((board / "benchmarks" / "leaderboard" / "table.json").read_bytes())["suites"]
    assert {row["solver"]: row["rank"] for row in ranked["entries"]}["ada_fireflies"] is None

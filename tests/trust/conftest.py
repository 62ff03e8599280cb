"""A leaderboard in a real repository, with records to submit beside it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import optisolve
from optisolve.core import Budget
from optisolve.llm.config import llm_config
from optisolve.registry import PROBLEMS, SOLVERS
from optisolve.study.lock import lock_suite, write_lock
from optisolve.study.runner.plan import make_plan
from optisolve.study.suite import load_suite, with_solvers
from optisolve.testing.llm_server import LlmServer
from optisolve.trust.audit import SuiteBook, Tier
from optisolve.trust.submission import RECORDS, TABLE, Tree, check_submission, pack
from optisolve.trust.submission.pack import write_table
from tests.llm.helpers import config_for

SUITE = """# Two problems, two instances, two runs each.
version: "1"
seed: 5
instances: 2
repetitions: 2
budget: {evaluations: 60, llm_calls: 3}
llm: surrogate
problems: [parallel_channels, power_control/min_power]
solvers: [random_search, {solver: "null", repetitions: 1}]
"""


def git(root: Path, *words: str) -> str:
    command = ["git", "-C", str(root), "-c", "user.name=x", "-c", "user.email=x@example.org", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@dataclass
class Board:
    """A checkout of a leaderboard, with records to submit beside it."""

    root: Path
    runs: Path
    suite: Path

    @property
    def book(self) -> SuiteBook:
        return SuiteBook({"tiny": load_suite(self.suite)})

    @property
    def records(self) -> Path:
        return self.root / RECORDS

    def commit(self) -> Tree:
        git(self.root, "add", "-A")
        git(self.root, "commit", "-q", "--allow-empty", "-m", "x")
        return Tree.at(self.root, "HEAD")

    def pack(self, submitter: str, solver: str, **options: Any):
        options = {"tier": Tier.VERIFIED, "title": "a test", "guard": None, "full": True, **options}
        return pack([self.runs], self.records, suite="tiny", submitter=submitter, solver=solver, book=self.book, **options)

    def table(self) -> None:
        write_table(self.records, self.root / TABLE, self.book)

    def check(self, **options: Any):
        return check_submission(
            Tree.at(self.root, "HEAD"), Tree.at(self.root, "main"), book=self.book, **{"guard": None, **options}
        )

    def files(self, submitter: str) -> list[Path]:
        return sorted((self.records / "tiny" / submitter).glob("*/record.json"))


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    """A leaderboard with one entry on main, and the runs of three solvers."""
    home = tmp_path_factory.mktemp("board")
    suite_file = home / "tiny.yaml"
    suite_file.write_text(SUITE)
    suite = load_suite(suite_file)
    write_lock(suite)
    lock = lock_suite(suite)
    ledma = {"solver": "ledma", "options": {"pop_size": 20}}
    visiting = with_solvers(
        suite, ["scipy_local", ledma, {**ledma, "label": "stand_in"}, {"solver": "cma_es", "label": "mine"}]
    )
    with LlmServer() as server:
        for plan in (make_plan(suite, lock), make_plan(visiting, lock)):
            _run(plan, home, {"ledma": config_for(server), "stand_in": llm_config("surrogate")})
    board = Board(home / "repository", home / "runs", suite_file)
    board.root.mkdir()
    git(board.root, "init", "-q", "-b", "main")
    (board.root / "README.md").write_text("code\n")
    board.pack("baseline", "random_search", tier=Tier.REPRODUCED)
    board.table()
    board.commit()
    return board


def _run(plan: Any, home: Path, models: Mapping[str, Any]) -> None:
    for unit in plan.units:
        if unit.solver == "scipy_local" and unit.case != "parallel_channels":
            continue
        problem = PROBLEMS.get(unit.problem).from_mapping({**unit.params, "scenario": unit.scenario})
        instance = problem.instance(unit.instance)
        optisolve.solve(
            instance,
            SOLVERS.get(unit.solver).from_mapping(unit.options),
            budget=Budget(**unit.budget),
            seed=unit.seed,
            reference=problem.reference(instance),
            suite=unit.membership(),
            llm=models.get(unit.label),
            scratch=Path(tempfile.mkdtemp(dir=home)) if unit.label in models else None,
        ).save(home / "runs")


@pytest.fixture
def board(template, tmp_path):
    copy = Board(tmp_path / "repository", template.runs, template.suite)
    shutil.copytree(template.root, copy.root)
    git(copy.root, "checkout", "-q", "-b", "submission")
    return copy

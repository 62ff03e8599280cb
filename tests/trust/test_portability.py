"""What is declared portable has the same hash whatever kernel BLAS chooses, with one thread and two, and records say so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache

import pytest

import optisolve
from optisolve.core import Budget
from optisolve.registry import PROBLEMS, SOLVERS
from optisolve.run.environment import kernels, reproduction_of
from optisolve.run.schema import FilePart, Reproduction, Tier
from optisolve.trust.statistical import Pair, refuted
from tests.trust.conftest import Board

SCENARIOS = (
    *("uav_isac", "parallel_channels", "offloading/n10", "user_association", "maze", "market_game", "noma_uav"),
    *("pricing_game", "resource_allocation"),
)
"""One of every family that is declared portable."""

RUN = """
import json, sys, optisolve
from optisolve.run.environment import kernels
found = {}
for scenario, solver in json.loads(sys.argv[1]):
    budget = optisolve.Budget(evaluations=60, llm_calls=2)
    run = optisolve.solve(optisolve.load_problem(scenario).instance(1), solver, budget=budget, seed=3, llm="surrogate")
    found[f"{scenario} {solver}"] = run.result_hash
print(json.dumps([kernels()["blas.numpy"], found]))
"""


def cases(solvers: list[str]) -> list[tuple[str, str]]:
    """Every solver on every portable scenario that it can treat."""
    instances = {scenario: optisolve.load_problem(scenario).instance(1) for scenario in SCENARIOS}
    return [
        (scenario, name) for name in solvers for scenario in SCENARIOS if SOLVERS.get(name)().skip(instances[scenario]) is None
    ]


@cache
def made(core: str, threads: int, runs: str) -> tuple[str, dict[str, str]]:
    """The kernel that numpy's BLAS has, and the hashes of runs, in a process that is set to other kernels and threads."""
    counts = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    environment = {**os.environ, **counts, "OPENBLAS_CORETYPE": core, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    told = subprocess.run(
        [sys.executable, "-c", RUN, runs], env=environment, capture_output=True, text=True, check=True, timeout=600
    )
    kernel, hashes = json.loads(told.stdout.splitlines()[-1])
    return kernel, hashes


def test_portable_solvers_give_the_same_hash_on_another_kernel_of_blas_with_two_threads():
    runs = [("user_association", "random_search"), ("parallel_channels", "nsga2")]
    kernel, found = made("Haswell", 2, json.dumps(runs))
    if "SkylakeX" in kernels()["blas.numpy"]:  # elsewhere this process may have Haswell's kernels itself
        assert "Haswell" in kernel
    budget = Budget(evaluations=60, llm_calls=2)
    here = {
        f"{scenario} {solver}": optisolve.solve(
            optisolve.load_problem(scenario).instance(1), solver, budget=budget, seed=3, llm="surrogate"
        ).result_hash
        for scenario, solver in runs
    }
    assert found == here


@pytest.mark.slow
@pytest.mark.parametrize(("core", "threads"), [("Haswell", 1), ("Haswell", 2), ("SkylakeX", 2), ("Prescott", 1)])
def test_every_portable_solver_gives_the_same_hash_on_every_portable_problem(core, threads):
    portable = [name for name in SOLVERS.targets() if SOLVERS.get(name).info.portable]
    assert {optisolve.load_problem(scenario).name for scenario in SCENARIOS} == {
        name for name in PROBLEMS.targets() if PROBLEMS.get(name).portable
    }
    runs = json.dumps(cases(portable))
    assert {name for _, name in json.loads(runs)} == set(portable)
    assert made(core, threads, runs)[1] == made("SkylakeX", 1, runs)[1]


def test_records_say_what_a_second_run_gives_elsewhere():
    problem = optisolve.load_problem("uav_isac")
    assert problem.portable
    told = optisolve.solve(problem.instance(1), "random_search", budget=Budget(evaluations=20)).record
    assert told.provenance.reproduction is Reproduction.BIT_FOR_BIT
    assert reproduction_of(told.solver, "no such problem") is Reproduction.STATISTICAL
    for change in ({"name": "cma_es"}, {"name": "nobody's"}, {"checkpoint": FilePart(name="ddpm", sha256="0" * 64)}):
        assert reproduction_of(told.solver.model_copy(update=change), "uav_isac") is Reproduction.STATISTICAL


def test_the_table_says_which_entries_are_reproduced_bit_for_bit(board: Board):
    board.pack("ada", "mine", tier=Tier.REPRODUCED)  # CMA-ES, whose covariance goes through BLAS
    board.table()
    told = json.loads((board.root / "benchmarks/leaderboard/table.json").read_text())
    kinds = {row["solver"]: row["reproduction"] for row in told["suites"][0]["entries"]}
    assert kinds["mine"] == "statistical"
    assert set(kinds.values()) <= {"bit for bit", "statistical", None}


# -- repetitions -------------------------------------------------------------------------------------------------------


def entry(told: list[float], again: list[float]) -> tuple[list[Pair], dict[str, list[float]]]:
    return [Pair("p", *losses) for losses in zip(told, again, strict=True)], {"p": again}


CHANCE = [0.11, 0.31, 0.07, 0.22, 0.15, 0.4, 0.09, 0.26, 0.18, 0.12, 0.3, 0.2]


def test_runs_that_chance_made_otherwise_are_not_refuted():
    assert refuted(*entry(CHANCE[::-1], CHANCE)) == ""
    assert refuted(*entry(CHANCE[:2], CHANCE[-2:])) == ""
    assert refuted([], {}) == ""


def test_losses_that_are_better_throughout_are_refuted_however_little():
    better = refuted(*entry([loss * 0.97 for loss in CHANCE], CHANCE))
    assert "better by" in better
    assert "worse by" in refuted(*entry([loss * 1.03 for loss in CHANCE], CHANCE))
    assert refuted(*entry([loss - 1e-7 for loss in CHANCE], CHANCE)) == ""  # less than a table prints


def test_one_loss_that_no_run_of_the_entry_can_reach_is_refuted():
    told = [0.0, *CHANCE[1:]]
    assert "a loss of 0.000000 on p" in refuted(*entry(told, CHANCE))
    assert refuted(*entry([0.05, *CHANCE[1:]], CHANCE)) == ""
    assert refuted(*entry(told, [0.0, *CHANCE[1:]])) == ""  # one run here reaches it, too

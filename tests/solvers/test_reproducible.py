"""Same seed, same ``result_hash``: twice in one process, and in fresh processes with 1 and 2 numba threads."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

import optisolve
from optisolve.core.errors import SolverError
from optisolve.registry import SOLVERS

# A problem that every solver can treat is rare, so each one gets the first of these that it does not skip.
PROBLEMS = (
    "uav_isac",
    "power_control/gaussian_k5_0db",
    "parallel_channels",
    "power_game",
    "user_association",
    "offloading",
    "nsp_utility",
    "maze",
    "traffic_engineering/polska",
    "parallel_channels/msr80",
    "power_control/max_min",
    "user_association/max_min_fixed_rate",
    "beamforming",
    "beamforming/sum_rate",
    "noma_uav",
    "market_game",
    "pricing_game",
)

FEWER = {"botorch": 25, "optuna_gp": 25, "optuna_tpe": 100, "parego": 60, "hybrid": 60, "hybrid_control": 60}
"""Evaluations of solvers whose time per point grows with the points; the others have `USUAL`."""
USUAL = 1500

PROBE = """
import json, sys
import optisolve
name, scenario, evaluations = sys.argv[1:]
instance = optisolve.load_problem(scenario).instance(3)
budget = optisolve.Budget(evaluations=int(evaluations), llm_calls=12)
print(json.dumps(optisolve.solve(instance, name, budget=budget, seed=5, llm="surrogate").result_hash))
"""


def scenario_for(name: str) -> str:
    solver, reasons = optisolve.load_solver(name), []
    for scenario in PROBLEMS:
        reason = solver.skip(optisolve.load_problem(scenario).instance(3))
        if reason is None:
            return scenario
        reasons.append(reason)
    absent = [reason for reason in reasons if "pip install" in reason]
    if absent:  # an optional package: visible, never silent
        pytest.skip(absent[0])
    raise AssertionError(f"no test problem suits {name}: {reasons}")


@pytest.mark.parametrize("name", sorted(SOLVERS.targets()))
def test_two_runs_in_one_process_agree(name):
    scenario = scenario_for(name)
    budget = optisolve.Budget(evaluations=FEWER.get(name, USUAL), llm_calls=12)
    try:
        hashes = {
            optisolve.solve(
                optisolve.load_problem(scenario).instance(3), name, budget=budget, seed=5, llm="surrogate"
            ).result_hash
            for _ in range(2)
        }
    except SolverError as reason:  # e.g. an optional package is absent: visible, never silent
        pytest.skip(str(reason))
    assert len(hashes) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SOLVERS.targets()))
def test_fresh_processes_with_one_and_two_threads_agree(name):
    scenario = scenario_for(name)
    hashes = set()
    for threads in ("1", "2"):
        environment = {**os.environ, "NUMBA_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
        command = [sys.executable, "-c", PROBE, name, scenario, str(FEWER.get(name, USUAL))]
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        hashes.add(json.loads(ran.stdout))
    assert len(hashes) == 1

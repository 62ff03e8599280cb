"""A real small model as gate and as planner, its recorded replies replayed."""

from __future__ import annotations

from pathlib import Path

import pytest

import optisolve
from optisolve.core.budget import Budget
from optisolve.llm.config import llm_config

FOLDER = Path(__file__).parent / "transcripts"


@pytest.mark.parametrize("gate", ["llm", "planner"])
def test_a_recorded_opinion_decides_and_the_answer_is_verified(gate):
    config = llm_config("replay", transcript=str(FOLDER / f"{gate}.smollm2.jsonl"))
    instance = optisolve.load_problem("parallel_channels").instance(0)
    budget = Budget(evaluations=60, llm_calls=4)
    first, second = (optisolve.solve(instance, "moe_llm", budget=budget, seed=3, llm=config, gate=gate) for _ in range(2))
    report = first.record.used.report
    assert report["gate"] == gate
    assert report["fallbacks"] == []
    assert first.record.solver.llm.model == "smollm2-135m"
    assert first.record.used.llm_calls == 1
    assert first.result_hash == second.result_hash
    assert len(first.X) == 1

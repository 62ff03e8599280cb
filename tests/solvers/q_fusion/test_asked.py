"""Plans by a language model: recorded, replayed, asked again, and what happens without one."""

import json
from pathlib import Path

import pytest

import optisolve
from optisolve.content import read_text
from optisolve.core.budget import Budget
from optisolve.core.status import PointStatus
from optisolve.llm.config import llm_config
from optisolve.llm.prompt_lint import lint_prompt
from optisolve.llm.prompts import load_prompt
from optisolve.registry import make_problem, make_solver
from optisolve.solvers.q_fusion import QFusion
from optisolve.testing import SolverConformance
from optisolve.testing.llm_server import Fault, LlmServer
from tests.llm.helpers import config_for

TRANSCRIPT = Path(__file__).parent / "transcripts" / "q_fusion_smollm2.jsonl"
GOOD = json.dumps(
    {
        "stage_1": {"until": "prize_1", "avoid_trap": 50, "get_prize_1": 50, "go_goal": 0},
        "stage_2": {"until": "goal", "avoid_trap": 50, "get_prize_1": 0, "go_goal": 50},
    }
)


@pytest.fixture(autouse=True)
def _no_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


class TestConformance(SolverConformance):
    evaluations = 3

    def make_solver(self):
        return QFusion(episodes=20)

    def make_instances(self):
        return [make_problem("maze").instance(0)]


def run(config, calls=6, seed=7, **options):
    options = {"training": "value_iteration", **options}
    return optisolve.solve(
        make_problem("maze").instance(0),
        make_solver("q_fusion", options),
        budget=Budget(evaluations=50, llm_calls=calls),
        seed=seed,
        llm=config,
    )


def report_of(result):
    return result.record.used.report


def test_the_plan_of_a_real_small_model_is_replayed_and_forgets_the_prize():
    """SmolLM2-135M answers "go_goal until goal": valid, and wrong; the verifier says so."""
    result = run(llm_config("replay", transcript=str(TRANSCRIPT)), training="q_learning")
    told = report_of(result)
    assert told["plan_source"] == "llm"
    assert told["plan"] == [{"until": "goal", "experts": {"go_goal": 1.0}}]
    assert result.point_status is PointStatus.INFEASIBLE
    assert list(result.record.used.by_source) == ["llm"]


def test_a_model_that_plans_as_the_paper_draws_it_walks_nine_moves():
    with LlmServer(answer=lambda body: GOOD) as server:
        result = run(config_for(server))
        text = server.bodies[0]["messages"][0]["content"]
    assert result.F[0, 0] == 9.0
    assert "Safely obtain the prize first, then arrive at the goal." in text
    assert "get_prize_1: knows the shortest way to that prize" in text
    assert result.record.solver.prompts == load_prompt("maze_plan_schema").describe()


def test_a_plan_that_cannot_be_read_is_asked_for_again_with_the_reason():
    answers = iter(['{"stage_1": {"until": "lunch", "go_goal": 1}}', GOOD])
    with LlmServer(answer=lambda body: next(answers)) as server:
        result = run(config_for(server))
        second = server.bodies[1]["messages"][0]["content"]
    assert "could not be used: a stage ends with 'lunch'" in second
    assert report_of(result)["operator"]["calls"] == 2
    assert report_of(result)["plan_source"] == "llm"


@pytest.mark.parametrize("fault", [Fault.PROSE, Fault.SERVER_ERROR])
def test_without_a_plan_all_experts_are_alike_and_the_run_says_so(fault):
    with LlmServer(script=lambda number, body: fault) as server:
        result = run(config_for(server, retries=0))
    told = report_of(result)
    assert told["plan_source"] == "fallback"
    assert "gave no plan" in told["operator"]["warning"]
    assert list(result.record.used.by_source) == ["fallback"]


def test_a_budget_without_calls_leaves_the_fallback():
    told = report_of(run(llm_config("surrogate"), calls=0))
    assert told["operator"]["calls"] == 0
    assert told["plan_source"] == "fallback"
    assert "budget" in told["operator"]["rejected"]


@pytest.mark.parametrize("name", ["maze_plan_schema", "maze_plan_continuation"])
def test_prompts_pass_the_linter_with_real_questions(name):
    given = {
        "request": "Safely obtain the prize first, then arrive at the goal.",
        "experts": [{"name": "go_goal", "meaning": "knows the way"}],
        "ends": ["prize_1", "goal"],
        "stages": ["stage_1", "stage_2"],
    }
    prompt = load_prompt(name)
    samples = [{k: v for k, v in {**given, "error": e}.items() if k in prompt.variables} for e in ("", "no stages found")]
    found = lint_prompt(f"{name}.v1.jinja", read_text("prompts", f"{name}.v1.jinja"), samples, max_tokens=1000)
    assert found.real
    assert not found.findings

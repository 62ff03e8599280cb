"""The planner: retrieval without an embedding, a plan from a closed list, a critic that knows the cards, bounded reflection."""

from __future__ import annotations

import pytest

import optisolve
from optisolve.core.budget import Budget
from optisolve.solvers.moe.cards import find_experts
from optisolve.solvers.moe.gate_model import load_gate
from optisolve.solvers.moe.gates import features_for
from optisolve.solvers.moe.planner import PlannerGate, criticize
from optisolve.solvers.moe.retrieval import Bm25, similar_runs
from tests.solvers.moe.toys import Scripted


@pytest.fixture(scope="module")
def channels():
    instance = optisolve.load_problem("parallel_channels").instance(0)
    return instance, find_experts(instance, with_llm=False)[0]


def gate(session, steps, **options):
    values = {"retrieve": True, "criticize": True, "reasks": 1, **options}
    return PlannerGate(session, load_gate(), 0, 500, note=lambda role, told: steps.append((role, told)), **values)


def test_bm25_ranks_rare_words_above_common_ones_and_drops_what_does_not_match():
    texts = {"a": "power power power", "b": "power water filling", "c": "assignment of users"}
    found = Bm25(texts).rank("water filling for power", 3)
    assert [name for name, _ in found] == ["b", "a"]
    assert Bm25(texts).rank("nothing here matches", 3) == []


def test_the_right_card_is_retrieved_for_parallel_channels(channels):
    instance, experts = channels
    steps = []
    session = Scripted('{"first":"cma_es","second":"moead_de","third":"random_search"}')
    gate(session, steps).decide(instance, experts, 2)
    assert "water_filling" in steps[0][1]
    assert any("similar problem" in told for role, told in steps if role == "retrieve")
    assert "similar problem" in session.requests[0].messages[0].content


def test_similar_runs_speak_only_about_experts_that_can_treat_the_instance(channels):
    instance, experts = channels
    z = features_for(load_gate(), instance, experts)
    for line in similar_runs(load_gate(), z, ["cma_es"], 4):
        assert "cma_es" in line
        assert "," not in line


def test_the_critic_puts_a_proof_first_and_drops_controls(channels):
    instance, experts = channels
    by_name = {e.name: e for e in experts}
    plan, remarks = criticize([by_name["random_search"], by_name["cma_es"]], experts, instance)
    assert [e.name for e in plan] == ["water_filling", "cma_es"]
    assert len(remarks) == 2
    good = [by_name["water_filling"], by_name["cma_es"]]
    assert criticize(good, experts, instance) == (good, [])


@pytest.mark.parametrize("switched_off", ["retrieve", "criticize"])
def test_each_part_can_be_switched_off(switched_off, channels):
    instance, experts = channels
    steps = []
    session = Scripted('{"first":"cma_es","second":"moead_de","third":"random_search"}')
    decision = gate(session, steps, **{switched_off: False}).decide(instance, experts, 2)
    roles = {role for role, _ in steps}
    assert {"retrieve": "retrieve", "criticize": "critic"}[switched_off] not in roles
    assert decision.ranking[0] == ("cma_es" if switched_off == "criticize" else "water_filling")


def test_the_preset_runs_falls_back_on_the_log_and_verifies():
    instance = optisolve.load_problem("power_game").instance(0)
    result = optisolve.solve(instance, "moe_planner", budget=Budget(evaluations=120, llm_calls=4), llm="surrogate")
    report = result.record.used.report
    assert report["fallbacks"] == ["planner"]
    assert report["gate"] == "learned"
    roles = [e["facts"]["role"] for e in report["explanation"] if e["step"] == "planner"]
    assert roles[0] == "retrieve"
    assert "reflect" in roles
    assert optisolve.verify(result.record)

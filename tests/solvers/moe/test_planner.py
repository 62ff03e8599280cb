"""The planner: similar runs, a plan from a closed list, a critic that knows the cards, bounded reflection."""

from __future__ import annotations

import pytest

import optisolve
from optisolve.core.budget import Budget
from optisolve.llm.dialogue import Dialogue
from optisolve.llm.tokens import estimate_tokens
from optisolve.solvers.moe.cards import find_experts
from optisolve.solvers.moe.gate_model import load_gate
from optisolve.solvers.moe.gates import features_for
from optisolve.solvers.moe.planner import PlannerGate, criticize, similar_runs
from tests.solvers.moe.toys import Scripted


@pytest.fixture(scope="module")
def channels():
    instance = optisolve.load_problem("parallel_channels").instance(0)
    return instance, find_experts(instance, with_llm=False)[0]


def gate(session, steps, **options):
    values = {"retrieve": True, "criticize": True, **options}
    return PlannerGate(Dialogue(session), load_gate(), 0, 500, note=lambda role, told: steps.append((role, told)), **values)


def test_the_model_sees_the_cards_of_all_experts_and_what_similar_runs_say(channels):
    instance, experts = channels
    steps = []
    session = Scripted('{"first":"cma_es","second":"moead_de","third":"random_search"}')
    gate(session, steps).decide(instance, experts, 2)
    text = session.requests[0].messages[0].content
    assert all(e.name in text and e.card.words in text for e in experts)
    assert "similar problem" in text
    assert any("similar problem" in told for role, told in steps if role == "retrieve")
    assert estimate_tokens(text) < 2000


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

"""Gates: plain numbers in JSON, opinions checked, and the hybrid between what is said and what was seen."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from gate_training import without, write_gate

import optisolve
from optisolve.content import content_dir
from optisolve.core.budget import Budget
from optisolve.core.errors import OptisolveError
from optisolve.llm.dialogue import Dialogue
from optisolve.registry import SOLVERS
from optisolve.solvers.moe.cards import card_of, expert_names, find_experts
from optisolve.solvers.moe.features import feature_names, instance_features
from optisolve.solvers.moe.gate_model import load_gate, read_gate
from optisolve.solvers.moe.gates import (
    KnnGate,
    LearnedGate,
    RandomGate,
    SbsGate,
    UniformGate,
    features_for,
    knn_losses,
)
from optisolve.solvers.moe.llm_gate import HybridGate, LlmGate, posterior_of
from optisolve.solvers.moe.page import explanation_page
from optisolve.solvers.moe.planner import PlannerGate
from tests.solvers.moe.toys import Scripted

ANSWER = '{"first":"cma_es","second":"scipy_local","third":"random_search"}'


@pytest.fixture(scope="module")
def game():
    instance = optisolve.load_problem("power_game").instance(0)
    return instance, find_experts(instance, with_llm=False)[0]


def test_every_card_is_of_a_solver_and_every_solver_is_an_expert_with_a_card():
    import yaml

    cards = yaml.safe_load((content_dir("solvers") / "cards" / "experts.yml").read_text())
    assert set(cards) <= set(SOLVERS.targets())
    for name in expert_names():
        card = card_of(name)
        assert card.words
        assert card.role in ("exact", "bound", "local", "sampler", "search", "baseline")
        assert card.guarantee in ("exact", "bound", "local", "none")
    assert not {"moe", "moe_llm"} & set(expert_names())


def test_features_mean_the_same_everywhere_and_are_finite():
    for name in ("power_game", "uav_isac", "offloading/n10", "beamforming", "user_association"):
        instance = optisolve.load_problem(name).instance(0)
        z = instance_features(instance, ("cma_es", "cvxpy"), {"cma_es"})
        assert z.shape == (len(feature_names(("cma_es", "cvxpy"))),)
        assert np.isfinite(z).all()
        assert z[-2:].tolist() == [1.0, 0.0]


def test_the_shipped_gate_is_read_and_survives_writing(tmp_path):
    model = load_gate()
    assert model.single_best in model.experts
    assert set(model.flags) <= set(expert_names())
    write_gate(model, tmp_path / "gate.json")
    again = read_gate(tmp_path / "gate.json")
    z = np.zeros(len(feature_names(model.flags)))
    assert np.allclose(again.predict(z), model.predict(z), atol=1e-6)
    assert (again.predict(z) >= 0.0).all()


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b.update(format="optisolve.gate/99"),
        lambda b: b["features"].update(version=99),
        lambda b: b["forests"][0][0].update(left=[0] * len(b["forests"][0][0]["left"])),  # a loop: walking never ends
        lambda b: b["forests"][0][0].update(value=[float("nan")]),
        lambda b: b.update(forests=[]),
        lambda b: b["forests"].pop(),
        lambda b: b.update(reach=-1.0),
        lambda b: b.update(points=[]),
        lambda b: b.update(single_best="nobody"),
        lambda b: b.pop("losses"),
    ],
)
def test_a_damaged_gate_is_refused(damage, tmp_path):
    body = json.loads((content_dir("solvers") / "moe_gate.json").read_text())
    damage(body)
    (tmp_path / "gate.json").write_text(json.dumps(body))
    with pytest.raises(OptisolveError, match="no usable gate"):
        read_gate(tmp_path / "gate.json")


def test_the_learned_gate_ranks_by_predicted_loss(game):
    instance, experts = game
    decision = LearnedGate(load_gate()).decide(instance, experts, 3)
    losses = [decision.scores[name] for name in decision.ranking if name in decision.scores]
    assert losses == sorted(losses, key=lambda v: round(v, 4))
    assert all(choice.predicted_loss is not None for choice in decision.choices)


def test_the_controls_do_what_their_names_say(game):
    instance, experts = game
    orders = {RandomGate(np.random.default_rng(s)).decide(instance, experts, 2).ranking for s in range(8)}
    assert len(orders) > 1
    assert [c.expert for c in SbsGate("cma_es").decide(instance, experts, 3).choices] == ["cma_es"]
    with pytest.raises(OptisolveError, match="cannot treat"):
        SbsGate("water_filling").decide(instance, experts, 3)


def test_the_language_model_s_order_is_taken_and_nothing_else_of_it(game):
    instance, experts = game
    session = Scripted(f"Sure! {ANSWER} Shall I also run it?")
    decision = LlmGate(Dialogue(session), 0, 500).decide(instance, experts, 2)
    assert [c.expert for c in decision.choices] == ["cma_es", "scipy_local"]
    assert set(decision.ranking) == {e.name for e in experts}
    schema = session.requests[0].schema["properties"]["first"]
    assert schema["enum"] == [e.name for e in experts]


@pytest.mark.parametrize(
    "texts",
    [("no idea", ""), ('{"first":"gurobi"}', '{"first": 3}'), ("[1, 2]", "{"), ('{"first": {"first": "cma_es"}}', "")],
)
def test_unusable_answers_are_asked_again_once_and_then_refused(texts, game):
    instance, experts = game
    session = Scripted(*texts)
    with pytest.raises(OptisolveError, match=r"2 time\(s\)"):
        LlmGate(Dialogue(session), 0, 500).decide(instance, experts, 2)
    assert [r.attempt for r in session.requests] == [0, 1]


def test_a_call_that_failed_is_not_repeated_since_the_session_has_tried_again(game):
    instance, experts = game
    session = Scripted("")
    with pytest.raises(OptisolveError, match=r"did not answer \(timeout: too slow\), 1 time\(s\)"):
        LlmGate(Dialogue(session), 0, 500).decide(instance, experts, 2)


def test_a_name_that_stands_at_two_places_counts_once(game):
    instance, experts = game
    dialogue = Dialogue(Scripted('{"first":"cma_es","second":"cma_es","third":"scipy_local"}'))
    decision = LlmGate(dialogue, 0, 500).decide(instance, experts, 3)
    assert list(decision.scores) == ["cma_es", "scipy_local"]
    assert dialogue.report().fates["repaired"] == 1


@pytest.mark.parametrize("kind", ["llm", "hybrid", "planner"])
def test_a_placebo_is_asked_with_the_same_words_and_the_same_names_and_told_nothing_true(kind, game):
    instance, experts = game

    def asked(placebo: bool) -> tuple[str, list[str]]:
        session, model = Scripted(ANSWER), load_gate()
        gates = {
            "llm": LlmGate(Dialogue(session), 3, 500, placebo=placebo),
            "hybrid": HybridGate(Dialogue(session), model, 3, 500, trust=1e6, placebo=placebo),
            "planner": PlannerGate(Dialogue(session), model, 3, 500, True, False, lambda *_: None, placebo=placebo),
        }
        decision = gates[kind].decide(instance, experts, 3)
        return session.requests[0].messages[-1].content, [choice.expert for choice in decision.choices]

    (told, chosen), (dealt, again) = asked(False), asked(True)
    cards, others = (text.partition("Answer with")[0] for text in (told, dealt))
    assert sorted(cards) == sorted(others)
    assert chosen == again == ["cma_es", "scipy_local", "random_search"]
    described = [f"- {e.name}: {e.card.words}" for e in experts]
    assert all(text in cards for text in described)
    assert sum(text in others for text in described) < len(experts) / 2


def test_without_trust_the_hybrid_is_the_learned_gate_and_asks_nobody(game):
    instance, experts = game
    session = Scripted()
    learned = LearnedGate(load_gate()).decide(instance, experts, 2)
    hybrid = HybridGate(Dialogue(session), load_gate(), 0, 500, trust=0.0).decide(instance, experts, 2)
    assert session.requests == []
    assert [c.expert for c in hybrid.choices] == [c.expert for c in learned.choices]


def test_with_unlimited_trust_the_hybrid_follows_the_language_model(game):
    instance, experts = game
    hybrid = HybridGate(Dialogue(Scripted(ANSWER)), load_gate(), 0, 500, trust=1e6).decide(instance, experts, 3)
    assert [c.expert for c in hybrid.choices] == ["cma_es", "scipy_local", "random_search"]
    assert hybrid.note["prior"]["cma_es"] == pytest.approx(0.6)


def test_the_posterior_is_a_distribution_between_opinion_and_evidence():
    losses, prior = {"a": 0.0, "b": 0.5}, {"b": 1.0}
    for trust in (0.0, 1.0, 10.0):
        posterior = posterior_of(losses, prior, trust, seen=4.0)
        assert sum(posterior.values()) == pytest.approx(1.0)
    shares = [posterior_of(losses, prior, trust, 4.0)["b"] for trust in (0.0, 1.0, 10.0)]
    assert shares == sorted(shares)
    # where nothing similar was seen the opinion weighs more
    assert posterior_of(losses, prior, 1.0, seen=0.1)["b"] > posterior_of(losses, prior, 1.0, seen=10.0)["b"]


def test_a_model_that_cannot_answer_leaves_the_choice_to_the_learned_gate_on_the_log():
    instance = optisolve.load_problem("parallel_channels").instance(0)
    result = optisolve.solve(instance, "moe_llm", budget=Budget(evaluations=100, llm_calls=5), llm="surrogate", gate="llm")
    report = result.record.used.report
    assert report["fallbacks"] == ["llm"]
    assert report["gate"] == "learned"
    hop = next(e["facts"] for e in report["explanation"] if e["step"] == "fallback")
    assert "surrogate" in hop["reason"]
    assert optisolve.verify(result.record)


# -- controls, independence of the experts, and what is outside of training --------------------------------------------------


def test_features_do_not_depend_on_the_experts_to_choose_from(game):
    instance, experts = game
    model = load_gate()
    whole = features_for(model, instance, experts)
    assert np.array_equal(whole, features_for(model, instance, experts[:1]))
    assert np.array_equal(whole, features_for(model, instance, find_experts(instance, ("cma_es",), with_llm=False)[0]))
    assert not any("ddpm" in name for name in feature_names(model.flags))


@pytest.mark.parametrize("scenario", ["power_control", "uav_isac"])
def test_the_default_mixture_answers_the_same_whether_or_not_the_gate_was_trained_on_ddpm(scenario, tmp_path):
    path = tmp_path / "gate.json"
    write_gate(without(load_gate(), "ddpm"), path)
    instance = optisolve.load_problem(scenario).instance(1)
    budget = Budget(evaluations=120)
    first = optisolve.solve(instance, "moe", budget=budget, seed=5, several="gate")
    second = optisolve.solve(instance, "moe", budget=budget, seed=5, several="gate", gate_file=str(path))
    assert np.array_equal(first.X, second.X)
    reports = [r.record.used.report for r in (first, second)]
    assert reports[0]["ran"] == reports[1]["ran"]
    assert "ddpm" not in reports[0]["ran"]
    assert "ddpm" in load_gate().experts


def test_ddpm_is_no_expert_unless_it_is_named_and_then_the_learned_gate_takes_it_where_it_is_good():
    assert "ddpm" not in expert_names()
    pytest.importorskip("torch", reason="needs the extra [diffusion]")
    pytest.importorskip("diffusers", reason="needs the extra [diffusion]")
    names = ("ddpm", "moead_de", "nsga2", "ledma_control", "random_search", "cma_es")
    instance = optisolve.load_problem("uav_isac").instance(3)  # held out from training
    experts = find_experts(instance, names, with_llm=False)[0]
    assert LearnedGate(load_gate()).decide(instance, experts, 2).choices[0].expert == "ddpm"
    game = optisolve.load_problem("power_game").instance(3)
    assert "ddpm" not in {e.name for e in find_experts(game, names, with_llm=False)[0]}


def test_a_mixture_under_another_name_is_no_expert():
    instance = optisolve.load_problem("power_game").instance(0)
    found, left = find_experts(instance, ("moe_planner", "game", "cma_es"), with_llm=True)
    assert [e.name for e in found] == ["cma_es"]
    assert set(left) == {"moe_planner", "game"}


def test_far_from_training_the_log_and_the_page_say_so_and_the_choice_stays(tmp_path):
    instance = optisolve.load_problem("uav_isac").instance(0)
    experts = find_experts(instance, with_llm=False)[0]
    model = load_gate()
    moved = replace(model, points=model.points + 9.0)
    z = features_for(model, instance, experts)
    assert model.outside(z) == "" == replace(moved, reach=None).outside(z)
    near, far = (LearnedGate(m).decide(instance, experts, 2) for m in (model, moved))
    assert "nothing similar" in far.note["outside"]
    assert "outside" not in near.note
    assert near.choices == far.choices
    # the hybrid without trust is the learned gate here, too
    assert HybridGate(Dialogue(Scripted()), moved, 0, 500, trust=0.0).decide(instance, experts, 2).note == far.note
    write_gate(moved, tmp_path / "far.json")
    result = optisolve.solve(instance, "moe", budget=Budget(evaluations=60), gate_file=str(tmp_path / "far.json"))
    assert "nothing similar was seen in training" in explanation_page(result.record.used.report["explanation"])


def test_the_controls_look_at_neighbors_or_at_nothing(game):
    instance, experts = game
    model = load_gate()
    z = features_for(model, instance, experts)
    nearest = np.argsort(model.distances(z), kind="stable")[:5]
    assert np.allclose(knn_losses(model, z), model.losses[nearest].mean(axis=0))
    knn = KnnGate(model).decide(instance, experts, 2)
    assert knn.scores[knn.ranking[0]] == min(knn.scores.values())
    uniform = UniformGate(model).decide(instance, experts, 3)
    assert len({c.weight for c in uniform.choices}) == 1
    other = optisolve.load_problem("power_game").instance(1)
    assert uniform.ranking == UniformGate(model).decide(other, find_experts(other, with_llm=False)[0], 3).ranking

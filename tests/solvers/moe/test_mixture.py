"""The mixture: one budget, one seed, safe first, verified always, and a log that cannot be bent."""

from __future__ import annotations

import copy
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest

import optisolve
from optisolve.cli.main import main
from optisolve.core.budget import Budget, BudgetMeter
from optisolve.core.errors import OptionError, RecordError, SolverError, UnknownNameError
from optisolve.core.solver import Task
from optisolve.core.status import Termination
from optisolve.run.evaluator import Evaluator
from optisolve.solvers.moe import mixture
from optisolve.solvers.moe.executor import run_expert, safe_baseline
from optisolve.solvers.moe.gates import RuleGate, ranked
from optisolve.solvers.moe.log import ExplanationLog, read_entries, to_jsonl
from optisolve.solvers.moe.page import explanation_page
from optisolve.testing.toys import SumCapSphere, toy_instances
from tests.solvers.moe.toys import Boasts, Breaks, Greedy, Invents, expert

FAST = ("random_search", "moead_de", "scipy_local")


def task_for(instance, evaluations=200, seed=3):
    meter = BudgetMeter(Budget(evaluations=evaluations))
    evaluator = Evaluator(instance, meter)
    return Task(instance=instance, evaluate=evaluator, recorder=evaluator, meter=meter, seed=seed, solver_name="moe")


def run(instance, evaluations=120, seed=1, **options):
    options = {"experts": FAST, "gate": "rule", **options}
    return optisolve.solve(instance, "moe", budget=Budget(evaluations=evaluations), seed=seed, **options)


def steps(result):
    return [entry["step"] for entry in result.record.used.report["explanation"]]


@pytest.mark.parametrize("evaluations", [1, 2, 7, 33, 120])
@pytest.mark.parametrize("number", range(3))
def test_odd_budgets_are_kept_and_a_feasible_point_comes_first(evaluations, number):
    instance = toy_instances()[number]
    result = run(instance, evaluations)
    assert result.record.used.evaluations <= evaluations
    assert len(result.X) >= 1
    assert steps(result)[:3] == ["instance", "experts", "baseline"]


def test_same_seed_same_hash_and_another_seed_another_one():
    instance = SumCapSphere(n_variables=6).instance(2)
    first, second, other = run(instance), run(instance), run(instance, seed=2)
    assert first.result_hash == second.result_hash
    assert first.result_hash != other.result_hash


def test_an_expert_finds_in_the_mixture_what_it_finds_alone():
    instance = optisolve.load_problem("power_control/gaussian_k5_0db").instance(0)
    solver = optisolve.load_solver("moead_de")
    attempt = run_expert(task_for(instance, 150), "moead_de", solver, 100)
    alone = optisolve.solve(instance, solver, budget=Budget(evaluations=100), seed=3)
    assert attempt.used == 100
    assert attempt.quality.value == pytest.approx(alone.scores["objective"], rel=1e-12)


def test_a_broken_expert_is_its_own_failure():
    task = task_for(SumCapSphere().instance(1))
    attempt = run_expert(task, "breaks", Breaks(), 50)
    assert attempt.termination is Termination.ERROR
    assert "ZeroDivisionError" in attempt.detail
    assert attempt.used == 1
    assert run_expert(task, "greedy", Greedy(), 50).used == 49  # seven at a time: the eighth batch does not fit
    assert task.meter.evaluations == 50


def test_answers_are_verified_whatever_an_expert_claims():
    task = task_for(SumCapSphere().instance(1))
    attempt = run_expert(task, "invents", Invents(), 10)
    assert attempt.termination is Termination.OPTIMAL
    assert attempt.quality.value is None
    assert attempt.quality.status == "invalid"


def test_a_bound_that_a_verified_point_beats_is_refused_and_not_passed_on(monkeypatch):
    monkeypatch.setattr(mixture, "find_experts", lambda *a, **k: ((expert(Boasts(), guarantee="exact"),), {}))
    result = optisolve.solve(SumCapSphere().instance(1), "moe", budget=Budget(evaluations=60), gate="rule", combine="best_of")
    told = next(e["facts"] for e in result.record.used.report["explanation"] if e["step"] == "expert")
    assert "better than this bound" in told["bound_refused"]
    assert result.record.solutions.claimed.dual_bound is None
    assert result.termination is not Termination.OPTIMAL


def test_a_proven_optimum_ends_the_search():
    result = optisolve.solve(
        optisolve.load_problem("parallel_channels").instance(0), "moe", budget=Budget(evaluations=400), gate="rule"
    )
    assert result.termination is Termination.OPTIMAL
    assert result.record.used.evaluations < 20
    answer = result.record.used.report["explanation"][-1]["facts"]
    assert answer["certificate"] == "EXACT"
    assert answer["shadow_prices"]["power_budget"] > 0.0


def test_the_safe_baseline_is_feasible_where_the_family_repairs_exactly():
    for name in ("power_game", "power_control/weighted_qos", "nsp_utility", "parallel_channels"):
        task = task_for(optisolve.load_problem(name).instance(0), evaluations=100)
        assert safe_baseline(task).value is not None
        assert task.meter.evaluations <= 10


def test_several_objectives_are_merged_and_the_synergy_is_reported():
    result = run(toy_instances()[0], 200, experts=("moead_de", "nsga2"), n_experts=2)
    combined = next(e["facts"] for e in result.record.used.report["explanation"] if e["step"] == "combine")
    assert combined["how"] == "pareto_merge"
    assert combined["combined"] == pytest.approx(result.hypervolume, rel=1e-9)
    assert combined["synergy"] >= 0.0


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"experts": ("no_such_solver",)}, UnknownNameError),
        ({"gate": "oracle"}, OptionError),
        ({"gate": "llm"}, OptionError),  # moe asks no language model; moe_llm does
        ({"n_experts": 0}, OptionError),
        ({"experts": ("water_filling",)}, SolverError),  # nobody can treat the instance
    ],
)
def test_bad_options_are_one_clear_error(options, error):
    with pytest.raises(error):
        run(SumCapSphere().instance(1), **options)


def test_a_missing_gate_file_falls_back_to_the_rules_on_the_log(tmp_path):
    result = run(SumCapSphere().instance(1), gate="learned", gate_file=str(tmp_path / "none.json"))
    report = result.record.used.report
    assert report["gate"] == "rule"
    assert report["fallbacks"] == ["learned"]
    hop = next(e["facts"] for e in report["explanation"] if e["step"] == "fallback")
    assert "no usable gate" in hop["reason"]


def test_nobody_left_means_the_safe_default(monkeypatch):
    monkeypatch.setattr(mixture, "find_experts", lambda *a, **k: ((), {"all": "gone"}))
    result = optisolve.solve(SumCapSphere().instance(1), "moe", budget=Budget(evaluations=30), gate="rule")
    assert result.record.used.report["gate"] == "safe_default"
    assert len(result.X) == 1


# -- the log --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def entries():
    instance, options = optisolve.load_problem("power_game").instance(0), {"gate": "rule", "without": ["matrix_inversion"]}
    result = optisolve.solve(instance, "moe", budget=Budget(evaluations=150), **options)
    return result.record.used.report["explanation"]


def test_entries_stand_in_order_and_what_is_none_is_named(entries):
    assert [entry.index for entry in read_entries(entries)] == list(range(len(entries)))
    assert len(entries) >= 7
    for broken, place in (
        (entries[:2] + entries[3:], 2),
        ([entries[1], entries[0], *entries[2:]], 0),
        ([*entries[:3], "bought"], 3),
        ([{**entries[0], "facts": None}], 0),
    ):
        with pytest.raises(RecordError, match=rf"explanation\[{place}\]"):
            explanation_page(broken)
    bent = copy.deepcopy(entries)
    bent[0]["facts"].pop("objectives")
    with pytest.raises(RecordError, match=r"explanation\[0\]: the facts of step 'instance'"):
        explanation_page(bent)


def test_every_number_of_the_page_traces_to_its_entry(entries):
    page = explanation_page(entries)
    for line in page.splitlines():
        match = re.search(r"(.*) \[(\d+)\]$", line)
        if match is None:
            continue
        facts = str(entries[int(match[2])]["facts"])
        known = [float(n) for n in re.findall(r"-?\d+\.?\d*(?:e[-+]?\d+)?", facts)]
        for number in re.findall(r"(?<![\w.])-?\d+\.?\d*(?:e[-+]?\d+)?(?![\w])", match[1]):
            value = float(number)
            assert value == 1.0 or any(abs(value - k) <= 1e-3 * max(abs(k), 1e-9) for k in known), (number, line)


def test_predicted_and_actual_cost_and_counterfactuals_are_on_the_log(entries):
    by_step = {}
    for entry in entries:
        by_step.setdefault(entry["step"], []).append(entry["facts"])
    for attempt in by_step["expert"]:
        assert set(attempt["predicted"]) == {"loss", "evaluations"}
        assert 0 < attempt["actual"]["evaluations"] <= attempt["allotted"]
    assert {g["gate"] for g in by_step["counterfactuals"][0]["gates"]} == {"learned", "sbs"}
    total = by_step["baseline"][0]["evaluations"] + sum(a["actual"]["evaluations"] for a in by_step["expert"])
    assert by_step["answer"][0]["evaluations"] == total


def test_floats_that_are_not_finite_become_none():
    log = ExplanationLog()
    log.add("x", value=float("nan"), items=[float("inf"), 1])
    assert log.entries[0]["facts"] == {"value": None, "items": [None, 1]}
    assert len(read_entries(log.entries)) == 1
    assert to_jsonl(log.entries).count("\n") == 1


def test_the_command_line_explains_a_record_and_refuses_a_bent_one(tmp_path, capsys):
    result = run(SumCapSphere().instance(1))
    folder = result.save(tmp_path / "runs")
    page, jsonl = tmp_path / "why.md", tmp_path / "why.jsonl"
    assert main(["explain", str(folder), "--out", str(page), "--jsonl", str(jsonl)]) == 0
    assert "entries." in page.read_text()
    assert len(jsonl.read_text().splitlines()) == len(result.record.used.report["explanation"])
    record = json.loads((folder / "record.json").read_text())
    record["used"]["report"]["explanation"][1]["facts"]["able"] = ["bought"]
    (folder / "record.json").write_text(json.dumps(record))
    assert main(["explain", str(folder)]) == 1
    assert "result_hash" in capsys.readouterr().err
    plain = optisolve.solve(SumCapSphere().instance(1), "random_search", budget=Budget(evaluations=10)).save(tmp_path / "runs")
    assert main(["explain", str(plain)]) == 1
    assert "no explanation" in capsys.readouterr().err


def test_shares_add_up_and_fall():
    experts = [expert(Greedy(), name) for name in "abc"]
    decision = ranked("toy", experts, 3, reasons={}, scores={})
    assert sum(c.share for c in decision.choices) == pytest.approx(1.0)
    assert np.all(np.diff([c.share for c in decision.choices]) < 0)


def test_the_rule_gate_asks_exact_methods_first_and_keeps_to_its_cards():
    instance = SimpleNamespace(objectives=(1,), space=SimpleNamespace(dim=50))
    from optisolve.solvers.moe.cards import Expert, card_of

    names = ("cma_es", "branch_and_bound", "cvxpy", "random_search", "moead_de")
    experts = [Expert(n, Greedy(), card_of(n)) for n in names]
    assert RuleGate().decide(instance, experts, 5).ranking == (
        "cvxpy",
        "cma_es",
        "moead_de",
        "random_search",
        "branch_and_bound",
    )


@pytest.mark.parametrize(
    ("scenario", "made"),
    [("power_game", "matrix_inversion"), ("beamforming", "uplink_duality"), ("traffic_engineering/polska", "weight_search")],
)
def test_a_method_made_for_the_problem_is_asked_before_any_gate(scenario, made):
    instance = optisolve.load_problem(scenario).instance(0)
    report = optisolve.solve(instance, "moe", budget=Budget(evaluations=60)).record.used.report
    assert report["ran"][0] == made
    assert report["explanation"][1]["facts"]["made"] == [made]


def test_what_a_made_method_leaves_goes_to_the_gate_and_controls_of_gates_know_none():
    instance = optisolve.load_problem("beamforming/sum_rate").instance(0)
    report = optisolve.solve(instance, "moe", budget=Budget(evaluations=200)).record.used.report
    assert report["ran"][0] == "wmmse_precoding"
    assert report["gate"] == "learned"
    for options in ({"gate": "random"}, {"experts": ["null", "random_search"]}):
        told = optisolve.solve(instance, "moe", budget=Budget(evaluations=60), **options).record.used.report
        assert "wmmse_precoding" not in told["ran"]


def test_a_bound_that_says_nothing_at_this_size_costs_nothing():
    instance = optisolve.load_problem("power_control/weighted", n_links=50, noise_w=1.0).instance(8)
    told = optisolve.solve(instance, "moe", budget=Budget(evaluations=100)).record.used.report["explanation"][1]["facts"]
    assert "branch_and_bound" not in told["able"]
    assert "here are 50" in told["left_out"]["branch_and_bound"]
    named = {"experts": ["branch_and_bound", "wmmse"]}
    small = optisolve.load_problem("power_control/weighted", n_links=17).instance(8)
    told = optisolve.solve(small, "moe", budget=Budget(evaluations=20), **named).record.used.report["explanation"][1]["facts"]
    assert "branch_and_bound" in told["able"]

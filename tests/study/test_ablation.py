"""optisolve ablate: the same experiment for every arm, nothing repeated, and a verdict that follows from the figures."""

from __future__ import annotations

import copy
import csv
import importlib
import json
import os
import random
import shutil
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import wilcoxon

from optisolve.cli.main import main
from optisolve.core import Budget
from optisolve.core.controls import ASKING, Arm
from optisolve.core.errors import OptionError, OptisolveError
from optisolve.core.space import Space, Variable
from optisolve.llm.config import llm_config
from optisolve.numerics.indicators import hypervolume
from optisolve.registry import PROBLEMS, SOLVERS, load_problem, load_solver
from optisolve.run.schema import Record
from optisolve.solvers.ledma import Ledma
from optisolve.solvers.ledma.shares import planned_share
from optisolve.solvers.ledma.solver import OPERATORS
from optisolve.study.ablation import plan as plans
from optisolve.study.ablation.bounds import corners, find_corners
from optisolve.study.ablation.forecast import forecast
from optisolve.study.ablation.markdown import results
from optisolve.study.ablation.pages import write_report
from optisolve.study.ablation.plan import Plan, arms_of, make_plan
from optisolve.study.ablation.report import Report, make_report, share_of_answers, spread_words
from optisolve.study.ablation.runs import Ablation, run_plan
from optisolve.study.ablation.scores import progress, score_runs, spending
from optisolve.study.ablation.verdict import Answer, Verdict, compare, conclude, summarize, told_p
from optisolve.study.loss import loss_of
from optisolve.study.runner import Progress, run_suite
from optisolve.testing.llm_server import Fault, LlmServer
from tests.llm.helpers import config_for
from tests.study.records import but

ENGINE = {"pop_size": 8, "n_neighbors": 5, "wave_size": 4}
SMALL = ("llm", "placebo", "de", "zeros")
ALL = ("llm", "placebo", *OPERATORS)


@pytest.fixture(autouse=True)
def _no_key(monkeypatch, plugins):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def plan_of(out: Path, **changes: Any) -> Plan:
    settings = {
        "problem": PROBLEMS.get("toy_zdt1")(),
        "solver": Ledma(**ENGINE),
        "arms": SMALL,
        "instances": 2,
        "seeds": 1,
        "budget": Budget(evaluations=32, llm_calls=None),
        "llm": llm_config("surrogate"),
        **changes,
    }
    return make_plan(settings.pop("problem"), settings.pop("solver"), out, **settings)


def twin_arms(monkeypatch, out: Path, **options: Any) -> Plan:
    """Arms that are the same solver under different names."""
    twins = [Arm(name, f"DE called {name}", "ledma_control", {"operator": "de", **ENGINE}) for name in ("llm", "twin")]
    monkeypatch.setattr(plans, "arms_of", lambda *args, **more: tuple(twins))
    return plan_of(out, **{"arms": (), "instances": 3, "seeds": 3, **options})


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """All arms of ledma on two instances, run once; every test gets its own copy of the records."""
    from tests.conftest import PLUGINS

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(PLUGINS))
        patch.setenv("PYTHONPATH", str(PLUGINS))
        importlib.invalidate_caches()
        from optisolve import registry

        registry._targets.cache_clear()
        ablation = run_plan(plan_of(tmp_path_factory.mktemp("everything"), arms=ALL))
    registry._targets.cache_clear()
    assert not ablation.partial
    return ablation


@pytest.fixture
def whole(everything, tmp_path):
    """The same in a folder of its own."""
    shutil.copytree(everything.plan.out, tmp_path / "whole")
    plan = plan_of(tmp_path / "whole", arms=ALL)
    return Ablation(plan, copy.deepcopy(everything.records))


# -- the experiment ----------------------------------------------------------------------------------------------------


def test_every_arm_differs_from_the_model_in_nothing_but_its_operator(tmp_path):
    plan = plan_of(tmp_path, solver=Ledma(**ENGINE, n_offspring=3, de_scale=0.7, delta=0.8), arms=ALL)
    options = {cell.label: cell.solver.options() for cell in plan.suite.cells}
    subject = plan.subject.options()
    assert list(options) == [arm.name for arm in plan.arms] == list(ALL)
    for name in ALL[1:]:
        differing = {key for key, value in options[name].items() if key in subject and subject[key] != value}
        assert differing == ({"placebo"} if name == "placebo" else set())
        if name not in plan.asking:
            assert (options[name]["operator"], options[name]["mix"]) == (name, subject["mix"])
            assert {"n_offspring", "n_parents", "de_scale", "delta", "pop_size"} <= set(options[name]) & set(subject)


def test_pairs_share_their_instance_and_first_population(whole):
    starts = {}
    for (_, instance, seed), record in whole.records.items():
        first = [row[2] for row in record.trace if row[0] <= ENGINE["pop_size"]]
        gain = record.used.by_source["start:uniform"].hypervolume_gain
        starts.setdefault((instance, seed), []).append((record.instance.sha256, record.seed, gain, *first))
    for found in starts.values():
        assert len(found) == len(ALL)
        assert len(set(found)) == 1
    assert len({found[0] for found in starts.values()}) == len(starts)  # pairs differ from each other


def test_all_arms_get_the_same_evaluations_and_only_two_ask_the_model(whole):
    for (arm, *_), record in whole.records.items():
        assert record.used.evaluations == 32
        assert (record.used.llm_calls > 0) == (arm in ("llm", "placebo"))
        assert (record.solver.llm is not None) == (arm in ("llm", "placebo"))


def test_a_budget_of_calls_becomes_a_share_that_lasts_for_the_whole_run(tmp_path):
    with LlmServer() as server:
        solver = Ledma(**{**ENGINE, "wave_size": None}, n_parents=4)
        budget = Budget(evaluations=128, llm_calls=20)
        plan = plan_of(tmp_path, solver=solver, llm=config_for(server), budget=budget, arms=("llm", "de"), instances=1)
        ablation = run_plan(plan)
        assert 15 <= server.calls <= 20
    assert plan.subject.mix == 1.0
    assert plan.subject.spread
    model, control = (ablation.records[arm, 0, 0].used.by_source for arm in ("llm", "de"))
    asked = sum(model[name].evaluations for name in ("llm", "repaired") if name in model)
    assert 30 <= asked == control["control"].evaluations <= 2 * 20
    assert model["de"].evaluations == control["de"].evaluations == 120 - asked


@pytest.mark.parametrize(("calls", "batch"), [(5, 1), (12, 1), (4, 3)])
def test_the_planned_share_spends_the_budget(calls, batch):
    """Waves of n targets with share p cost p n / b calls and bring n (p s + 1 - p) offspring."""
    share = planned_share(200, calls * batch, 3, 1.0)
    per_target = share * 3 + 1 - share
    assert 200 / per_target * share / batch == pytest.approx(calls)


def test_with_enough_calls_the_model_serves_everything_and_never_more_than_its_share():
    assert planned_share(100, 50, 2, 1.0) == 1.0
    assert planned_share(100, 50, 2, 0.3) == 0.3
    assert planned_share(100, 20, 2, 0.1) == 0.1


def test_bad_settings_are_listed_together(tmp_path):
    with pytest.raises(OptionError) as caught:
        plan_of(tmp_path, solver=Ledma(**ENGINE, mix=0.0, distill=True), budget=Budget(evaluations=8, seconds=5, llm_calls=0))
    for needle in ("budget.evaluations", "budget.seconds", "budget.llm_calls", "solver.mix", "solver.distill"):
        assert needle in str(caught.value)
    with pytest.raises(OptionError, match=r"(?s)did you mean 'gaussian'.*budget\.seconds|budget\.seconds(?s:.*)'gaussian'"):
        plan_of(tmp_path, arms=("llm", "gausian"), budget=Budget(evaluations=32, seconds=5))
    with pytest.raises(OptionError, match="reflect_every"):
        plan_of(tmp_path, solver=Ledma(**ENGINE, reflect_every=2, style="schema"))
    with pytest.raises(OptionError, match="at least one arm beside llm"):
        plan_of(tmp_path, arms=("llm",))
    assert list(tmp_path.iterdir()) == []


# -- whoever asks a model can be asked -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("solver", "controls"),
    [
        ("opro", {"random", "null"}),
        ("game", {"placebo", "best_response", "regret_matching", "random"}),
        ("q_fusion", {"rule"}),
        ("moe_llm", {"placebo", "learned", "rule", "sbs", "random"}),
        ("hybrid", {"placebo", "wordless", "gaussian", "uniform", "none"}),
        ("guessing", {"blind"}),
        ("asking", {"random", "null"}),
    ],
)
def test_any_solver_with_a_model_names_its_controls_or_gets_the_general_ones(solver, controls):
    arms = arms_of(load_solver(solver), budget=Budget(evaluations=50), model="local")
    assert arms[0].name == "llm"
    assert {arm.name for arm in arms} >= controls
    for arm in arms:
        made = load_solver(arm.solver, **arm.options)
        assert made.info.uses_llm == (arm.name in ASKING)


def test_controls_keep_every_setting_that_they_share_with_the_subject():
    game = load_solver("game", rounds=7, protocol="sequential", agents=["llm", "best_response"])
    cuts = {arm.name: arm.options for arm in game.controls(budget=Budget(evaluations=50), model="local")}["equal_cut"]
    assert (cuts["rounds"], cuts["protocol"], cuts["agents"]) == (7, "sequential", ["equal_cut", "best_response"])
    experts = load_solver("moe_llm", n_experts=3, reserve=0.2)
    gates = experts.controls(budget=Budget(evaluations=50), model="local")
    assert [arm.options["gate"] for arm in gates[:2]] == ["hybrid", "hybrid_placebo"]
    assert {(arm.options["n_experts"], arm.options["reserve"]) for arm in gates} == {(3, 0.2)}


def test_a_third_party_s_solver_is_asked_against_its_own_controls(tmp_path):
    with LlmServer() as server:
        plan = plan_of(tmp_path, solver=SOLVERS.get("guessing")(), llm=config_for(server), arms=())
        report = make_report(run_plan(plan))
        assert server.calls == 2 * 32 / 4
    assert [(s.arm.name, s.asks, s.cost["calls"]) for s in report.arms] == [("llm", True, 8.0), ("blind", False, 0.0)]
    assert "guessing on toy_zdt1" in write_report(report).markdown.read_text()


def test_an_arm_that_cannot_treat_the_problem_is_left_out_and_the_report_says_so(tmp_path):
    plan = plan_of(tmp_path, solver=load_solver("opro", n_initial=8), arms=())
    assert [arm.name for arm in plan.arms] == ["llm", "random"]
    assert any("The arm null is left out: toy_zdt1 offers no null policies" in notice for notice in plan.notices)
    report = make_report(run_plan(plan))
    assert not report.ablation.partial
    assert "The arm null is left out" in write_report(report).markdown.read_text()


def moving(out: Path, **changes: Any) -> Plan:
    """A plan whose instances are the steps of an episode."""
    settings = {
        "problem": load_problem("power_control/gaussian_k5_0db"),
        "solver": load_solver("hybrid", init=["sobol"], n_initial=4, share=0.5),
        "arms": ("placebo", "unnoted", "none"),
        "budget": Budget(evaluations=10, llm_calls=None),
        "episode": {"steps": 2},
        **changes,
    }
    return plan_of(out, **settings)


def test_on_an_instance_that_moves_the_notes_are_what_is_asked_about(tmp_path):
    plan = moving(tmp_path)
    memories = {"llm": "notes", "placebo": "placebo", "unnoted": "warm", "none": "warm"}
    assert {cell.label: cell.memory for cell in plan.suite.cells} == memories
    options = {cell.label: cell.solver.options() for cell in plan.suite.cells}
    assert options["llm"] == options["placebo"] == options["unnoted"]
    assert plan.asking == {"llm", "placebo", "unnoted"}
    assert plan.pairs == [(0, 0), (1, 0)]
    with pytest.raises(OptisolveError, match="moe_llm does not begin with points"):
        moving(tmp_path, solver=load_solver("moe_llm"), arms=())


@pytest.mark.slow
def test_steps_of_an_episode_are_pairs_and_only_the_model_and_its_placebo_have_notes(tmp_path):
    ablation = run_plan(moving(tmp_path))
    report = make_report(ablation)
    assert not ablation.partial
    assert "steps 0-1 of an episode x 1 seeds" in report.setting
    assert {name for name, step, _ in ablation.records if ablation.records[name, step, 0].notes} == {"llm", "placebo"}
    assert all((record.warm_start is not None) == (step == 1) for (_, step, _), record in ablation.records.items())
    told, dealt = (ablation.records[name, 1, 0].notes for name in ("llm", "placebo"))
    assert told != dealt
    assert len(told) == len(dealt)


def test_a_solver_without_a_model_is_refused(tmp_path):
    with pytest.raises(OptionError, match="a solver that asks a language model"):
        plan_of(tmp_path, solver=load_solver("moead_de"))
    with pytest.raises(OptisolveError, match="game cannot solve toy_zdt1"):
        plan_of(tmp_path, solver=load_solver("game"), arms=())


def test_the_experiment_is_a_suite_that_anybody_can_run(whole):
    again = run_suite(whole.plan.suite.path, whole.plan.out, executor="serial")
    assert (again.executed, again.missing, len(again.finished)) == (0, 0, len(whole.records))


# -- resuming ----------------------------------------------------------------------------------------------------------


@dataclass
class Started:
    """Runs that were really performed; optionally interrupts after some of them."""

    runs: list[tuple[str, int, int]] = field(default_factory=list)
    stop_after: int = -1

    def __call__(self, state: Progress) -> None:
        if state.unit is not None:
            self.runs.append((state.unit.label, state.unit.index, state.unit.repetition))
        if len(self.runs) == self.stop_after:
            raise KeyboardInterrupt


def test_finished_runs_are_found_again_and_not_repeated(tmp_path):
    with LlmServer() as server:
        plan = plan_of(tmp_path, llm=config_for(server), arms=("llm", "de"), instances=1)
        first = run_plan(plan)
        calls = server.calls
        second = run_plan(plan)
        assert server.calls == calls > 0
    assert (first.executed, second.executed, len(second.records)) == (2, 0, 2)
    hashes = [{key: record.record_id for key, record in run.records.items()} for run in (first, second)]
    assert hashes[0] == hashes[1]


def test_more_seeds_add_runs_and_other_settings_repeat_them(whole):
    more = plan_of(whole.plan.out, seeds=2)
    there = {unit.id for unit in whole.plan.units.units}
    assert {key[1:] for key, unit in more.runs.items() if unit.id not in there} == {(0, 1), (1, 1)}
    added = run_plan(plan_of(whole.plan.out, seeds=2, arms=("llm", "de"), instances=1))
    assert (added.executed, len(added.records)) == (2, 4)
    other = plan_of(whole.plan.out, solver=Ledma(**ENGINE, delta=0.5))
    assert not there & {unit.id for unit in other.units.units}


def test_a_limit_on_the_model_does_not_repeat_the_controls(whole):
    limited = plan_of(whole.plan.out, budget=Budget(evaluations=32, llm_calls=None, llm_tokens=10**6))
    there = {unit.id for unit in whole.plan.units.units}
    assert {arm for (arm, *_), unit in limited.runs.items() if unit.id not in there} == {"llm", "placebo"}


def test_an_interrupted_experiment_is_labelled_as_partial_and_goes_on(tmp_path):
    ablation = run_plan(plan_of(tmp_path), on_progress=Started(stop_after=6))
    assert ablation.partial
    assert ablation.complete_pairs == [(0, 0)]
    report = make_report(ablation)
    written = write_report(report)
    assert report.verdict.sentence.startswith("PARTIAL, 1 of 2 pairs")
    assert "PARTIAL: 1 of 2 pairs are complete (stopped by the user)" in written.markdown.read_text()
    assert {row["partial"] for row in csv.DictReader(written.csv.open())} == {"True"}
    rest = run_plan(plan_of(tmp_path))
    assert rest.executed == 2
    assert not rest.partial
    assert "PARTIAL" not in make_report(rest).verdict.sentence


def test_an_experiment_stopped_before_its_first_run_still_leaves_a_report(tmp_path):
    report = make_report(run_plan(plan_of(tmp_path), on_progress=Started(stop_after=0)))
    text = write_report(report).markdown.read_text()
    assert "PARTIAL: 0 of 2 pairs" in text
    assert "nothing to compare yet" in text
    assert report.verdict.answer is Answer.UNDECIDED


def test_replies_of_an_interrupted_run_are_not_paid_for_twice(tmp_path):
    def stop(server: LlmServer) -> None:
        while server.calls < 6:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    with LlmServer(latency_s=0.3) as server:
        plan = plan_of(tmp_path / "a", llm=config_for(server), arms=("llm", "de"), instances=1)
        watcher = threading.Thread(target=stop, args=(server,))
        watcher.start()
        assert run_plan(plan).stopped == "stopped by the user"
        watcher.join()
        paid = server.calls
        done = run_plan(plan)
        record = done.records["llm", 0, 0]
        kept = record.used.llm_calls - (server.calls - paid)
        assert 0 < kept <= paid < server.calls
    transcript = tmp_path / "a" / "ablation" / plan.runs["llm", 0, 0].id / "transcript.jsonl"
    replayed = plan_of(tmp_path / "b", llm=llm_config("replay", transcript=str(transcript)), arms=("llm", "de"), instances=1)
    assert run_plan(replayed).records["llm", 0, 0].verified == record.verified


def test_an_error_keeps_what_is_finished(tmp_path, monkeypatch):
    """A control that breaks has lost its run; a model that cannot be had says nothing about its worth and ends all."""
    llm, _, _, de, *_ = arms_of(Ledma(**ENGINE), budget=Budget(evaluations=32, llm_calls=None), model="openai")
    broken = Arm("broken", "a solver with a bug", "misbehaving", {"then": "raise"})
    monkeypatch.setattr(plans, "arms_of", lambda *args, **more: (de, llm, broken))
    settings = {"arms": (), "instances": 1}
    with LlmServer() as server:
        report = make_report(run_plan(plan_of(tmp_path, llm=config_for(server), **settings)))
    assert report.ablation.stopped == ""
    assert report.runs.set_index("arm").loc["broken", "loss"] == 1.0
    assert any("1 ended in an error; their loss is 1, the worst" in banner for banner in report.banners)
    keyless = llm_config("openai", model="x", base_url="https://nobody.invalid/v1", api_key_env="NOBODYS_API_KEY")
    stopped = run_plan(plan_of(tmp_path / "keyless", llm=keyless, **settings))
    assert "NOBODYS_API_KEY" in stopped.stopped
    assert list(stopped.records) == [("de", 0, 0)]
    assert stopped.partial
    monkeypatch.setattr(plans, "arms_of", lambda *args, **more: (llm, de))
    with pytest.raises(OptisolveError, match="NOBODYS_API_KEY"):
        run_plan(plan_of(tmp_path / "nothing", llm=keyless, **settings))


# -- statistics and verdict --------------------------------------------------------------------------------------------


def made_up(
    out: Path, values: dict[str, list[float]], *, surrogate: bool = False, missing: int = 0
) -> tuple[Ablation, pd.DataFrame]:
    """An experiment whose runs miss this share of the reference: 1 - value."""
    pairs = len(values["llm"])
    llm = llm_config("surrogate" if surrogate else "openai")
    ablation = Ablation(plan_of(out, llm=llm, arms=tuple(values), instances=pairs + missing))
    ablation.records = {(arm, i, 0): {} for arm in values for i in range(pairs)}
    rows = [
        {"arm": arm, "instance": i, "seed": 0, "loss": 1.0 - value, "standing": 1.0 - value, "quiet": 1e-9, "gain": value - 0.1,
         "failed": False, "broke": False, "evaluations": 32, "first": 8, "llm_calls": 12 * (arm == "llm"),
         "tokens": 100 * (arm == "llm"), "usd": 0.0, "hypervolume": value}
        for arm, given in values.items()
        for i, value in enumerate(given)
    ]  # fmt: skip
    return ablation, pd.DataFrame(rows)


@pytest.fixture
def verdict_of(tmp_path):
    def judge(values: dict[str, list[float]], **more: Any) -> Verdict:
        ablation, runs = made_up(tmp_path, values, **more)
        return conclude(ablation, summarize(ablation, runs), compare(ablation, runs))

    return judge


def spread(mean: float, n: int = 12, seed: int = 0) -> list[float]:
    return list(mean + 0.01 * np.random.default_rng(seed).standard_normal(n))


def test_comparisons_agree_with_scipy(tmp_path):
    rng = np.random.default_rng(3)
    values = {"llm": rng.normal(0.5, 0.1, 15), "de": rng.normal(0.55, 0.1, 15), "sbx": rng.normal(0.45, 0.1, 15)}
    ablation, runs = made_up(tmp_path, {arm: list(v) for arm, v in values.items()})
    found = {row.arm.name: row for row in compare(ablation, runs)}
    raw = {arm: wilcoxon(values["llm"], values[arm]).pvalue for arm in found}
    first, second = sorted(raw.values())
    holm = {first: min(1.0, 2 * first), second: max(second, min(1.0, 2 * first))}
    for arm, row in found.items():
        assert row.comparison.p_value == pytest.approx(raw[arm])
        assert row.p_holm == pytest.approx(holm[raw[arm]])
        assert row.difference.mean == pytest.approx(np.mean(values[arm] - values["llm"]))
        greater = (values["llm"][:, None] > values[arm][None, :]).mean()
        assert row.comparison.a12 == pytest.approx(greater)
        assert row.difference.low < row.difference.mean < row.difference.high


def test_a_significantly_better_control_means_that_the_model_was_not_needed(verdict_of):
    told = verdict_of(
        {"llm": spread(0.5), "de": spread(0.6, seed=1), "sbx": spread(0.55, seed=2), "zeros": spread(0.1, seed=3)}
    )
    assert told.answer is Answer.NOT_NEEDED
    assert told.sentence == (
        "The language model was not needed: DE and mutation reached a lower loss in 12 of 12 pairs (Holm p = .001, A12 = .00)."
    )


def test_a_model_that_beats_every_control_and_its_placebo_was_needed(verdict_of):
    told = verdict_of(
        {"llm": spread(0.6), "placebo": spread(0.5, seed=1), "de": spread(0.5, seed=2), "sbx": spread(0.4, seed=3)}
    )
    assert told.answer is Answer.NEEDED
    assert "every control and its own placebo" in told.sentence
    assert "DE and mutation" in told.sentence
    assert verdict_of({"llm": spread(0.6), "de": spread(0.5, seed=2)}).answer is Answer.NEEDED


def test_a_model_no_better_than_its_placebo_gets_no_credit_for_what_it_was_told(verdict_of):
    told = verdict_of({"llm": spread(0.6), "placebo": spread(0.6, seed=1), "de": spread(0.5, seed=2)})
    assert told.answer is Answer.UNTOLD
    assert "it is not shown that what it was told mattered" in told.sentence


def test_beating_only_some_controls_is_undecided_and_names_the_best_other(verdict_of):
    told = verdict_of({"llm": spread(0.6), "de": spread(0.6, seed=5), "zeros": spread(0.1, seed=2)})
    assert told.answer is Answer.UNDECIDED
    assert "told apart from DE and mutation" in told.sentence
    assert told.sentence.endswith("significantly worse were: zeros.")


@pytest.mark.parametrize(
    ("pairs", "needle"),
    [
        (5, "at least 6 are needed"),
        (6, "nothing could be significant, 7 pairs are needed. The control with the lowest mean loss is DE and mutation"),
    ],
)
def test_too_few_pairs_are_undecided_whatever_they_say(verdict_of, pairs, needle):
    told = verdict_of({"llm": spread(0.5, pairs), "de": spread(0.9, pairs), "sbx": spread(0.8, pairs)})
    assert told.answer is Answer.UNDECIDED
    assert needle in told.sentence


def test_a_stand_in_gets_no_verdict_about_language_models(verdict_of):
    told = verdict_of({"llm": spread(0.6), "de": spread(0.5, seed=2)}, surrogate=True)
    assert told.sentence.startswith("No language model was called")
    assert "the language model was needed" not in told.sentence.lower()
    assert not told.model


def test_a_stand_in_is_never_called_a_language_model(whole):
    assert [arm.label for arm in whole.plan.arms[:2]] == ["surrogate, no language model", "surrogate, told nothing (placebo)"]
    assert not any(row["what it is"] == "the language model" for row in results(make_report(whole)))


def test_a_partial_experiment_says_so_first(verdict_of):
    assert verdict_of({"llm": spread(0.6), "de": spread(0.5, seed=2)}, missing=3).sentence.startswith("PARTIAL, 12 of 15 pairs")


def test_identical_operators_are_undecided_by_ties(tmp_path, monkeypatch):
    report = make_report(run_plan(twin_arms(monkeypatch, tmp_path)))
    (row,) = report.versus
    assert (row.comparison.ties, row.p_holm, row.comparison.a12) == (9, 1.0, 0.5)
    assert report.verdict.answer is Answer.UNDECIDED


def test_identical_operators_with_other_random_numbers_are_undecided(tmp_path, monkeypatch):
    """Two DE arms whose runs differ by chance alone: the second one's pairs are shifted to other seeds."""
    ablation = run_plan(twin_arms(monkeypatch, tmp_path, seeds=4))
    runs = score_runs(ablation)
    second = runs["arm"] == "twin"
    for column in ("loss", "standing"):
        runs.loc[second, column] = np.roll(runs.loc[second, column].to_numpy(), 1)
    rows = compare(ablation, runs)
    assert rows[0].comparison.ties < 4
    assert conclude(ablation, summarize(ablation, runs), rows).answer is Answer.UNDECIDED


def uniform_answer(body: Any) -> str:
    """Random integers in the form asked for; they depend on the request's sampling seed, not on the prompt's words."""
    rng = random.Random(body["seed"])
    points = body["response_format"]["json_schema"]["schema"]["properties"]
    drawn = {key: {name: rng.randint(0, 1000) for name in point["properties"]} for key, point in points.items()}
    return json.dumps(drawn)


def test_a_model_that_answers_at_random_cannot_be_told_apart_from_random_points(tmp_path):
    """The same distribution, once through prompts, JSON and the grid, once as a control: no arm has a built-in advantage."""
    with LlmServer(answer=uniform_answer) as server:
        plan = plan_of(tmp_path, llm=config_for(server), arms=("llm", "uniform"), seeds=8, budget=Budget(evaluations=40))
        report = make_report(run_plan(plan))
    (row,) = report.versus
    assert share_of_answers(report.runs, "llm")["ok"] > 0.99
    assert row.comparison.p_value > 0.05
    assert report.verdict.answer is Answer.UNDECIDED


def test_p_values_are_told_as_papers_tell_them():
    assert [told_p(p) for p in (0.00004, 0.0041, 0.05, 1.0)] == ["< .001", "= .004", "= .050", "= 1.000"]


# -- figures -----------------------------------------------------------------------------------------------------------


def test_distances_are_measured_to_the_reference_or_to_the_union_and_the_report_says_which(whole, tmp_path):
    known = run_plan(
        plan_of(tmp_path / "known", problem=load_problem("pymoo/zdt1_shifted", n_variables=5), arms=("llm", "de"), instances=1)
    )
    told = [write_report(make_report(ablation)).markdown.read_text() for ablation in (known, whole)]
    assert "to the best known front (" in told[0]
    assert "to the best known front (the best of all arms)" in told[1]
    for record in known.records.values():
        row = score_runs(known).set_index("record_id").loc[record.record_id]
        assert row["loss"] == loss_of(record).value
        assert row["igd_plus"] == record.scores.igd_plus
    for index in range(2):
        box = whole.plan.instance(index).hypervolume_box
        points = [F for key, record in whole.records.items() if key[1] == index for F in record.verified.F]
        best = hypervolume(np.array(points), box)
        rows = score_runs(whole).query(f"instance == {index}")
        assert rows["loss"].to_numpy() == pytest.approx(1.0 - rows["hypervolume"].to_numpy() / best)


def test_the_figures_of_a_run_are_those_of_its_record(whole):
    runs = score_runs(whole).set_index(["arm", "instance", "seed"])
    for key, record in whole.records.items():
        row, initial = runs.loc[key], record.used.by_source["start:uniform"].hypervolume_gain
        assert row["hypervolume"] == record.scores.hypervolume
        scale = (1.0 - row["loss"]) / row["hypervolume"] if row["hypervolume"] else 0.0
        assert row["gain"] == pytest.approx((row["hypervolume"] - initial) * scale)
    curves = progress(whole)
    ends = curves.groupby("solver")["mean"].last()
    assert ends.to_dict() == pytest.approx(runs.groupby("arm")["loss"].mean().to_dict())
    for _, curve in curves.groupby("solver"):
        assert np.all(np.diff(curve["mean"]) <= 1e-12)
        assert np.all((curve["low"] <= curve["median"]) & (curve["median"] <= curve["high"]))


def test_cost_of_a_gain_is_total_use_over_total_gain(tmp_path):
    with LlmServer(latency_s=0.05) as server:
        config = config_for(server, usd_per_million_in=2.0, usd_per_million_out=6.0)
        plan = plan_of(tmp_path, llm=config, budget=Budget(evaluations=120, llm_calls=None), arms=("llm", "de"), instances=1)
        report = make_report(run_plan(plan))
    record = report.ablation.records["llm", 0, 0]
    used = record.used
    gain = float(report.runs.set_index("arm").loc["llm", "gain"])
    summary = report.arms[0]
    for name, total in (
        ("tokens", used.tokens_in + used.tokens_out),
        ("usd", used.usd),
        ("calls", used.llm_calls),
        ("evaluations", 120 - 8),
    ):
        assert total > 0
        assert summary.cost_per_step[name] == pytest.approx(0.01 * total / gain)
    written = write_report(report)
    assert {p.name for p in written.pictures} == {"ablation.png", "ablation_evaluations.png", "ablation_tokens.png"}
    what, spent = spending(report.ablation, progress(report.ablation))
    model, control = (spent[spent["solver"] == name] for name in ("llm", "de"))
    assert what == "tokens"
    assert model["evaluations"].nunique() > 3  # noted while the run went on
    assert model["evaluations"].iloc[-1] == used.tokens_in + used.tokens_out
    assert model["mean"].iloc[-1] == pytest.approx(summary.loss.mean)
    assert control["mean"].to_list() == pytest.approx([report.arms[1].loss.mean] * 2)


def test_fates_and_fallbacks_of_the_models_answers_are_reported(tmp_path):
    with LlmServer(script=lambda number, body: Fault.PROSE) as server:
        report = make_report(run_plan(plan_of(tmp_path, llm=config_for(server), arms=("llm", "de"), instances=1)))
    told = share_of_answers(report.runs, "llm")
    assert told["rejected"] == told["fallbacks"] == told["reasks"] == 1.0
    assert share_of_answers(report.runs, "de") is None
    assert any("stand-in served 100% of the targets of llm" in banner for banner in report.banners)


def test_an_arm_whose_model_was_never_asked_is_named(whole):
    for (arm, *rest), record in whole.records.items():
        if arm == "llm":
            used = record.used.model_copy(update={"llm_calls": 0})
            whole.records[arm, *rest] = record.model_copy(update={"used": used})
    banners = [banner for banner in make_report(whole).banners if banner.startswith("NEVER ASKED")]
    assert len(banners) == 1
    assert "no run of llm made a call" in banners[0]


def test_a_run_without_a_feasible_point_counts_as_worst(whole):
    lost = whole.records["zeros", 0, 0]
    lost = but(lost, "verified", feasible=[False] * len(lost.verified.feasible))
    whole.records["zeros", 0, 0] = but(lost, "scores", hypervolume=0.0)
    report = make_report(whole)
    row = report.runs.set_index(["arm", "instance"]).loc["zeros", 0]
    assert row["failed"]
    assert row["loss"] == report.runs["loss"].max() == 1.0
    assert np.isfinite(report.runs["loss"]).all()
    assert any("found no feasible point" in banner for banner in report.banners)


def test_runs_that_do_not_reach_the_scoring_box_are_compared_by_igd_plus(tmp_path):
    """Thirty variables in 24 evaluations: loss 1 everywhere, which tells nothing apart; the distances stand beside it."""
    problem, solver = load_problem("pymoo/zdt1_shifted"), Ledma(**ENGINE, init=("uniform",))
    report = make_report(
        run_plan(plan_of(tmp_path, problem=problem, solver=solver, budget=Budget(evaluations=24), instances=1))
    )
    assert (report.runs["loss"] == 1.0).all()
    assert all(row.comparison.ties == 1 for row in report.versus)
    assert any(banner.startswith("OUTSIDE THE SCORING BOX: 100% of the runs") for banner in report.banners)
    assert any(row.comparison.ties == 0 for row in report.distances)
    assert report.verdict.answer is Answer.UNDECIDED
    assert "### IGD+, which no verdict is made by" in write_report(report).markdown.read_text()


def test_one_objective_is_compared_by_its_gap(tmp_path):
    report = make_report(run_plan(plan_of(tmp_path, problem=PROBLEMS.get("toy_sphere")(), arms=("llm", "de"))))
    runs = report.runs.set_index(["arm", "instance", "seed"])
    for key, record in report.ablation.records.items():
        assert runs.loc[key]["loss"] == pytest.approx(min(1.0, record.scores.gap))
    assert "hypervolume" not in report.arms[0].others
    assert "to the proven optimum" in write_report(report).markdown.read_text()


def test_without_a_reference_one_objective_is_measured_to_the_best_of_all_arms(tmp_path):
    problem = PROBLEMS.get("misjudged")(kind="none")
    report = make_report(run_plan(plan_of(tmp_path, problem=problem, arms=("llm", "de"), instances=1)))
    assert report.runs["loss"].min() == 0.0 < report.runs["loss"].max() <= 1.0
    assert "the best of all arms" in report.runs["measured_to"].iloc[0]
    assert progress(report.ablation)["mean"].between(0.0, 1.0).all()


# -- where the optimum is ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "warned"), [("pymoo/zdt1", True), ("pymoo/zdt1_shifted", False)])
def test_a_problem_whose_optimum_is_at_zero_is_warned_about(tmp_path, name, warned):
    """On plain ZDT1 the constant answer 0 is optimal in all variables but one."""
    plan = plan_of(tmp_path, problem=load_problem(name, n_variables=5), arms=("llm", "zeros"), instances=1)
    report = make_report(run_plan(plan))
    found = report.corners
    assert found.source == "the problem's reference points"
    assert bool(found.warning) is warned
    assert any(banner.startswith("WHERE THE OPTIMUM IS") for banner in report.banners) is warned
    if warned:
        assert {place: len(names) for place, names in found.variables.items()} == {"lower bound": 4}
    else:
        assert found.variables == {}


def test_the_reference_decides_where_the_optimum_is_when_there_is_one(tmp_path, whole):
    problem = load_problem("pymoo/zdt1_shifted", n_variables=5)
    found = find_corners(Ablation(plan_of(tmp_path, problem=problem)), [])
    assert found.source == "the problem's reference points"
    assert found.share < 0.02
    assert find_corners(whole, []).source == "the best points of all arms"


def test_a_constant_answer_that_ranks_high_is_warned_about(whole):
    from dataclasses import replace

    report = make_report(whole)
    lucky = [replace(summary, rank=1.5) if summary.arm.name == "zeros" else summary for summary in report.arms]
    assert f"the constant answer 0 has average rank 1.5 of {len(ALL)} arms" in find_corners(whole, lucky).warning


def test_bounds_and_inner_zeros_are_told_apart():
    space = Space.of(Variable(f"x{i}", -5.0, 5.0) for i in range(3))
    low, high, zero = corners(space, np.array([[-5.0, 5.0, 0.0], [-4.95, 4.0, 0.2]]))
    assert low.tolist() == [[True, False, False], [True, False, False]]
    assert high.tolist() == [[False, True, False], [False, False, False]]
    assert zero.tolist() == [[False, False, True], [False, False, False]]


# -- before it starts --------------------------------------------------------------------------------------------------


def test_the_forecast_counts_the_calls_that_are_made(tmp_path):
    with LlmServer() as server:
        plan = plan_of(tmp_path, llm=config_for(server, max_concurrency=4))
        ahead = forecast(plan)
        assert server.calls == 0  # nobody is charged for a forecast
        assert (ahead.runs, ahead.finished, ahead.llm_runs) == (8, 0, 4)
        assert ahead.per_run.calls == pytest.approx(12, abs=2)  # its made-up answers may need another question
        assert ahead.seconds == pytest.approx(4 * ahead.per_run.calls / 4 * 3.0)
        assert "assuming 3 s per call" in ahead.how
        run_plan(plan)
        assert server.calls == pytest.approx(4 * 12, abs=2)
        again = forecast(plan)
    assert (again.finished, again.llm_runs, again.seconds) == (8, 0, 0.0)
    assert again.how == "as the finished runs took"


def test_gaps_within_the_reference_s_tie_are_zero_and_ties(tmp_path):
    problem = PROBLEMS.get("misjudged")(kind="loose")
    report = make_report(run_plan(plan_of(tmp_path, problem=problem, instances=3, seeds=2)))
    gaps = {key: record.scores.gap for key, record in report.ablation.records.items()}
    runs = report.runs.set_index(["arm", "instance", "seed"])
    assert all(runs.loc[key]["loss"] == (0.0 if gap <= 0.9 else min(1.0, gap)) for key, gap in gaps.items())
    for row in report.versus:
        own, other = (report.runs[report.runs["arm"] == arm]["standing"].to_numpy() for arm in ("llm", row.arm.name))
        assert row.comparison.ties == (np.abs(own - other) <= report.runs["quiet"].max()).sum()


@pytest.mark.parametrize("kind", ["beaten", "wrong"])
def test_a_reference_that_an_arm_beats_gives_no_negative_gap_and_a_wrong_bound_is_shown(kind, tmp_path):
    problem = PROBLEMS.get("misjudged")(kind=kind)
    report = make_report(run_plan(plan_of(tmp_path, problem=problem, arms=("llm", "de"))))
    assert (report.runs["loss"] >= 0.0).all()
    assert (report.runs.groupby("instance")["loss"].min() == 0.0).all()
    assert report.versus[0].comparison.ties < 2  # who is further ahead of a reference that is only best known still counts
    text = write_report(report).markdown.read_text()
    assert "best known value (" in text
    assert ("REFERENCE WITHDRAWN on instance 1: A verified point" in text) == (kind == "wrong")


@pytest.mark.parametrize(("pairs", "words"), [(9, "fewer than 10 pairs give no interval"), (10, "95 % interval")])
def test_intervals_begin_at_ten_pairs_and_say_what_they_are_about(tmp_path, pairs, words):
    ablation, runs = made_up(tmp_path, {"llm": spread(0.5, pairs), "de": spread(0.6, pairs, seed=1)})
    (row,) = compare(ablation, runs)
    arms = summarize(ablation, runs)
    for found in (row.difference, arms[0].loss):
        assert found.n == pairs
        assert np.isnan(found.low) == (pairs < 10)
        assert f"n = {pairs}" in found.told("{:.3f}".format)
    report = Report(ablation, runs, arms, [row], [], None, None, [])
    assert words in spread_words(report)
    assert pairs < 10 or "other runs on these 10 instances, not other instances" in spread_words(report)


# -- the command -------------------------------------------------------------------------------------------------------

COMMAND = ["ablate", "problem=uav_isac", "llm=surrogate", "instances=1", "seeds=2", "arms=de,zeros", "solver.pop_size=8",
           "solver.n_neighbors=5", "budget.evaluations=24"]  # fmt: skip


def test_the_command_leaves_a_report_and_records_that_verify(tmp_path, capsys):
    words = [*COMMAND, f"out={tmp_path}"]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "No language model will be called" in shown
    assert "NO LANGUAGE MODEL WAS CALLED" in shown
    assert "with 2 pairs and 2 comparisons nothing can be significant; 7 pairs are needed" in shown
    assert "plan: 3 arms x 1 instance(s) x 2 seed(s) = 6 runs of 24 evaluations" in shown
    assert "verdict: No language model was called" in shown.replace("\n", " ")
    text = (tmp_path / "ablation.md").read_text()
    assert "    optisolve " + " ".join(words) in text
    for part in ("# Was the language model needed?", "NO LANGUAGE MODEL WAS CALLED", "## Results", "IGD+", "## Cost of a gain",
                 "## Answers of the language model", "## How the verdict is made", "ablation.png"):  # fmt: skip
        assert part in text
    rows = list(csv.DictReader((tmp_path / "ablation.csv").open()))
    assert len(rows) == 6
    assert {row["surrogate"] for row in rows} == {"True"}
    for name in ("ablation.png", "ablation_evaluations.png"):
        assert (tmp_path / name).stat().st_size > 10_000
    assert main(["verify", str(tmp_path)]) == 0
    capsys.readouterr()
    assert main(words) == 0
    assert "6 of them are there already" in capsys.readouterr().out


def test_a_dry_run_prints_the_plan_and_leaves_nothing(tmp_path, capsys):
    assert main([*COMMAND, f"out={tmp_path / 'x'}", "dry_run=true"]) == 0
    assert "2 runs x 8 calls = 16 calls" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_leaves_a_partial_report(tmp_path, capsys, monkeypatch):
    from optisolve.cli import ablate

    original = ablate._Display.show

    def stop(self: Any, state: Progress) -> None:
        original(self, state)
        if state.done == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(ablate._Display, "show", stop)
    assert main([*COMMAND, f"out={tmp_path}"]) == 130
    assert "PARTIAL" in capsys.readouterr().out
    assert "> **PARTIAL: 1 of 2 pairs" in (tmp_path / "ablation.md").read_text()


@pytest.mark.parametrize(
    ("words", "needles"),
    [
        ([], ["problem: got None"]),
        (["problem=uav_isak"], ["Did you mean 'uav_isac'"]),
        (["problem=uav_isac", "solver=moead_de"], ["a solver that asks a language model"]),
        (
            ["problem=uav_isac", "solvr.pop_size=3", "instancs=1"],
            ["did you mean 'solver.pop_size'", "did you mean 'instances'"],
        ),
        (
            ["problem=uav_isac", "solver.pop_sise=3", "budget.evals=2", "llm=surrogate", "llm.noise=7", "problem.n_uavs=x"],
            ["solver.pop_sise", "budget.evals", "llm.noise", "problem.n_uavs"],
        ),
        (["problem=uav_isac", "budget.seconds=3"], ["budget.seconds", "equal evaluations"]),
        (["problem=uav_isac", "arms=llm,gausian"], ["did you mean 'gaussian'"]),
        (["problem=uav_isac", "mix=0.3"], ["mix: got '0.3'", "solver.mix=0.3"]),
        (["problem=uav_isac", "solver.mix=0"], ["solver.mix"]),
        (["uav_isac"], ["key=value"]),
    ],
)
def test_bad_input_is_one_error_that_names_the_settings(tmp_path, capsys, words, needles):
    assert main(["ablate", *words, *([f"out={tmp_path}"] if words else [])]) == 1
    shown = capsys.readouterr()
    assert shown.err.count("error:") == 1
    assert all(needle in shown.err for needle in needles)
    assert list(tmp_path.iterdir()) == []


def test_records_of_controls_hold_their_options(whole):
    record = Record.from_json(json.loads(whole.files(("zeros", 0, 0))["record.json"]))
    assert record.solver.name == "ledma_control"
    assert record.solver.options["operator"] == "zeros"

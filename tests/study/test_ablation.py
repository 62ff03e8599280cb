"""optisolve ablate: the same experiment for every arm, nothing repeated, and a verdict that follows from the figures."""

from __future__ import annotations

import csv
import json
import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import wilcoxon

from optisolve.cli.main import main
from optisolve.core import Budget
from optisolve.core.errors import OptionError
from optisolve.core.reference import Reference
from optisolve.core.status import Evidence
from optisolve.llm.config import llm_config
from optisolve.solvers.ledma import Ledma
from optisolve.solvers.ledma.controls import LedmaControl
from optisolve.study.ablation import plan as ablation_module
from optisolve.study.ablation.bounds import corners, find_corners
from optisolve.study.ablation.forecast import forecast
from optisolve.study.ablation.plan import ARMS, Ablation, Arm, Cell, Plan, make_plan, planned_share, run_plan
from optisolve.study.ablation.report import Report, make_report, share_of_answers, spread_words, write_report
from optisolve.study.ablation.runs import read_curve
from optisolve.study.ablation.scores import HYPERVOLUME, score_runs, yardsticks
from optisolve.study.ablation.verdict import Answer, Verdict, compare, conclude, summarize, told_p
from optisolve.testing.llm_server import Fault, LlmServer
from optisolve.testing.toys import ShiftedZdt1, SumCapSphere
from tests.llm.helpers import config_for
from tests.solvers.toys import Constr, Zdt1

ENGINE = {"pop_size": 8, "n_neighbors": 5, "wave_size": 4}
SMALL = ("llm", "placebo", "de", "zeros")


@pytest.fixture(autouse=True)
def _no_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def plan_of(**changes: Any) -> Plan:
    settings = {
        "problem": ShiftedZdt1(),
        "solver": Ledma(**ENGINE),
        "arms": SMALL,
        "instances": 2,
        "seeds": 1,
        "budget": Budget(evaluations=32),
        "llm": llm_config("surrogate"),
        **changes,
    }
    return make_plan(settings.pop("problem"), settings.pop("solver"), **settings)


def twin_arms(n: int = 2, **options: Any) -> Plan:
    """Arms that are the same solver under different names."""
    plan = plan_of(**{"instances": 3, "seeds": 3, "llm": None, **options})
    solver = LedmaControl(operator="de", **ENGINE)
    arms = tuple(Arm(f"de{i}", f"DE number {i}", solver) for i in range(n))
    return Plan(plan.problem, arms, plan.instances, plan.seeds, plan.budget, plan.share, None)


# -- the experiment ----------------------------------------------------------------------------------------------------


def test_every_arm_differs_from_the_model_in_nothing_but_its_operator():
    plan = plan_of(solver=Ledma(**ENGINE, n_offspring=3, de_scale=0.7, delta=0.8), arms=tuple(ARMS))
    subject = plan.arms[0].solver.options()
    assert [arm.name for arm in plan.arms] == list(ARMS)
    for arm in plan.arms[1:]:
        options = arm.solver.options()
        differing = {key for key, value in options.items() if key in subject and subject[key] != value}
        assert differing == ({"placebo"} if arm.name == "placebo" else set())
        if not arm.asks_llm:
            assert (options["operator"], options["mix"]) == (arm.name, subject["mix"])
            assert {"n_offspring", "n_parents", "de_scale", "delta", "pop_size"} <= set(options) & set(subject)


def test_pairs_share_their_instance_and_first_population(tmp_path):
    ablation = run_plan(plan_of(arms=tuple(ARMS)), tmp_path)
    assert not ablation.partial
    starts = {}
    for (arm, instance, seed), record in ablation.records.items():
        curve = read_curve(ablation.folders[arm, instance, seed], record)
        first = curve.value[curve.evaluations <= ENGINE["pop_size"]]
        starts.setdefault((instance, seed), []).append((record["instance"]["sha256"], record["seed"], *first))
    for told in starts.values():
        assert len(told) == len(ARMS)
        assert len(set(told)) == 1
    assert len({tuple(told[0]) for told in starts.values()}) == len(starts)  # pairs differ from each other


def test_all_arms_get_the_same_evaluations_and_only_two_ask_the_model(tmp_path):
    ablation = run_plan(plan_of(arms=tuple(ARMS)), tmp_path)
    for (arm, *_), record in ablation.records.items():
        assert record["used"]["evaluations"] == 32
        assert (record["used"]["llm_calls"] > 0) == (arm in ("llm", "placebo"))
        assert (record["solver"]["llm"] is not None) == (arm in ("llm", "placebo"))


def test_a_budget_of_calls_becomes_a_share_that_lasts_for_the_whole_run(tmp_path):
    with LlmServer() as server:
        solver = Ledma(**{**ENGINE, "wave_size": None}, n_parents=4)
        plan = plan_of(
            solver=solver, llm=config_for(server), budget=Budget(evaluations=128, llm_calls=20), arms=("llm", "de"), instances=1
        )
        ablation = run_plan(plan, tmp_path)
        assert 15 <= server.calls <= 20
    assert 0 < plan.share < 1
    model, control = (ablation.records[arm, 0, 0]["used"]["by_source"] for arm in ("llm", "de"))
    asked = sum(model[name]["evaluations"] for name in ("llm", "repaired") if name in model)
    assert asked == control["control"]["evaluations"] == 2 * 20
    assert model["de"]["evaluations"] == control["de"]["evaluations"] == 120 - 40


@pytest.mark.parametrize(("calls", "batch"), [(5, 1), (12, 1), (4, 3)])
def test_the_planned_share_spends_the_budget(calls, batch):
    """Waves of n targets with share p cost p n / b calls and bring n (p s + 1 - p) offspring."""
    solver = Ledma(**ENGINE, n_offspring=3, batch_subproblems=batch, style="schema")
    share = planned_share(Budget(evaluations=208, llm_calls=calls), solver, 1.0)
    per_target = share * 3 + 1 - share
    assert 200 / per_target * share / batch == pytest.approx(calls)


def test_without_a_limit_on_calls_or_with_enough_the_model_serves_everything():
    solver = Ledma(**ENGINE)
    assert planned_share(Budget(evaluations=100), solver, 1.0) == 1.0
    assert planned_share(Budget(evaluations=108, llm_calls=50), solver, 1.0) == 1.0
    assert planned_share(Budget(evaluations=108, llm_calls=50), solver, 0.3) == 0.3


def test_bad_settings_are_listed_together():
    with pytest.raises(OptionError) as caught:
        plan_of(arms=("llm", "gausian"), budget=Budget(evaluations=8, seconds=5, llm_calls=0), mix=0.0)
    text = str(caught.value)
    for needle in ("did you mean 'gaussian'", "budget.evaluations", "budget.seconds", "budget.llm_calls", "mix"):
        assert needle in text
    with pytest.raises(OptionError, match="reflect_every"):
        plan_of(solver=Ledma(**ENGINE, reflect_every=2, style="schema"))
    with pytest.raises(OptionError, match=r"(?s)solver\.mix.*solver\.distill"):
        plan_of(solver=Ledma(**ENGINE, mix=0.4, distill=True))
    with pytest.raises(OptionError, match="at least one arm beside llm"):
        plan_of(arms=("llm",))


# -- resuming ----------------------------------------------------------------------------------------------------------


@dataclass
class Started:
    """Runs that were really performed; optionally interrupts before one of them."""

    runs: list[tuple[str, int, int]]
    stop_before: int = -1

    def __call__(self, cell: Cell, done: bool) -> None:
        if not done:
            if len(self.runs) == self.stop_before:
                raise KeyboardInterrupt
            self.runs.append(cell.key)


def test_finished_runs_are_found_again_and_not_repeated(tmp_path):
    with LlmServer() as server:
        plan = plan_of(llm=config_for(server))
        first = run_plan(plan, tmp_path)
        calls = server.calls
        started = Started([])
        second = run_plan(plan, tmp_path, on_cell=started)
        assert server.calls == calls > 0
    assert started.runs == []
    assert second.reused == len(second.records) == 8
    hashes = [{key: record["record_id"] for key, record in run.records.items()} for run in (first, second)]
    assert hashes[0] == hashes[1]


def test_more_seeds_add_runs_and_other_settings_repeat_them(tmp_path):
    run_plan(plan_of(), tmp_path)
    more, other = Started([]), Started([])
    run_plan(plan_of(seeds=2), tmp_path, on_cell=more)
    assert {(instance, seed) for _, instance, seed in more.runs} == {(0, 1), (1, 1)}
    run_plan(plan_of(solver=Ledma(**ENGINE, delta=0.5)), tmp_path, on_cell=other)
    assert len(other.runs) == 8


def test_a_limit_on_the_model_does_not_repeat_the_controls(tmp_path):
    run_plan(plan_of(), tmp_path)
    started = Started([])
    run_plan(plan_of(budget=Budget(evaluations=32, llm_tokens=10**6)), tmp_path, on_cell=started)
    assert {arm for arm, *_ in started.runs} == {"llm", "placebo"}


def test_an_interrupted_experiment_is_labelled_as_partial_and_goes_on(tmp_path):
    ablation = run_plan(plan_of(), tmp_path, on_cell=Started([], stop_before=6))
    assert ablation.partial
    assert ablation.complete_pairs == [(0, 0)]
    report = make_report(ablation)
    written = write_report(report, tmp_path)
    assert report.verdict.sentence.startswith("PARTIAL, 1 of 2 pairs")
    assert "PARTIAL: 1 of 2 pairs are complete (stopped by the user)" in written.markdown.read_text()
    assert {row["partial"] for row in csv.DictReader(written.csv.open())} == {"True"}
    started = Started([])
    whole = run_plan(plan_of(), tmp_path, on_cell=started)
    assert len(started.runs) == 2
    assert not whole.partial
    assert "PARTIAL" not in make_report(whole).verdict.sentence


def test_an_experiment_stopped_before_its_first_run_still_leaves_a_report(tmp_path):
    report = make_report(run_plan(plan_of(), tmp_path, on_cell=Started([], stop_before=0)))
    text = write_report(report, tmp_path).markdown.read_text()
    assert "PARTIAL: 0 of 2 pairs" in text
    assert "nothing to compare yet" in text
    assert report.verdict.answer is Answer.UNDECIDED


def test_replies_of_an_interrupted_run_are_not_paid_for_twice(tmp_path):
    def stop(state: Any) -> None:
        if state.meter.llm_calls >= 4:
            raise KeyboardInterrupt

    with LlmServer(latency_s=0.15) as server:  # every wave takes longer than the time between two progress calls
        plan = plan_of(llm=config_for(server), arms=("llm", "de"), instances=1)
        assert run_plan(plan, tmp_path, on_progress=stop).stopped == "stopped by the user"
        paid = server.calls
        assert paid >= 4
        whole = run_plan(plan, tmp_path)
        record = whole.records["llm", 0, 0]
        assert server.calls == record["used"]["llm_calls"] > paid
    undisturbed = run_plan(
        plan_of(llm=llm_config("replay", transcript=str(_transcript(whole))), arms=("llm", "de"), instances=1), tmp_path / "b"
    )
    assert undisturbed.records["llm", 0, 0]["verified"] == record["verified"]


def _transcript(ablation: Ablation) -> Path:
    return ablation.folders["llm", 0, 0] / "transcript.jsonl"


def test_an_error_keeps_what_is_finished(tmp_path, monkeypatch):
    original = ablation_module.perform

    def broken(asked: Any, **more: Any) -> Any:
        if asked.name == "zeros":
            raise OptionError("zeros", [])
        return original(asked, **more)

    monkeypatch.setattr(ablation_module, "perform", broken)
    ablation = run_plan(plan_of(), tmp_path)
    assert len(ablation.records) == 3
    assert "zeros" in ablation.stopped


# -- statistics and verdict --------------------------------------------------------------------------------------------


def made_up(
    values: dict[str, list[float]], *, seeds: int = 1, surrogate: bool = False, missing: int = 0
) -> tuple[Ablation, Any]:
    """An experiment whose runs have these hypervolumes."""
    plan = plan_of(llm=llm_config("surrogate" if surrogate else "openai"), arms=tuple(ARMS))
    arms = tuple(arm for arm in plan.arms if arm.name in values)
    pairs = len(values["llm"])
    plan = Plan(plan.problem, arms, pairs + missing, seeds, plan.budget, 1.0, plan.llm)
    ablation = Ablation(plan, {}, {}, records={(arm.name, i, 0): {} for arm in arms for i in range(pairs)})
    rows = [
        {"arm": arm, "instance": i, "seed": 0, "hypervolume": value, "tie": 0.0, "gain": value - 0.1, "failed": False,
         "broke": "", "evaluations": 32, "llm_calls": 12 * (arm == "llm"), "tokens_in": 100 * (arm == "llm"),
         "tokens_out": 20, "usd": 0.0}
        for arm, told in values.items()
        for i, value in enumerate(told)
    ]  # fmt: skip
    return ablation, pd.DataFrame(rows)


def verdict_of(values: dict[str, list[float]], **more: Any) -> Verdict:
    ablation, runs = made_up(values, **more)
    return conclude(ablation, HYPERVOLUME, summarize(ablation, runs, [HYPERVOLUME]), compare(ablation, runs, HYPERVOLUME))


def spread(mean: float, n: int = 12, seed: int = 0) -> list[float]:
    return list(mean + 0.01 * np.random.default_rng(seed).standard_normal(n))


def test_comparisons_agree_with_scipy():
    rng = np.random.default_rng(3)
    values = {"llm": rng.normal(0.5, 0.1, 15), "de": rng.normal(0.55, 0.1, 15), "sbx": rng.normal(0.45, 0.1, 15)}
    ablation, runs = made_up({arm: list(v) for arm, v in values.items()})
    found = {row.arm.name: row for row in compare(ablation, runs, HYPERVOLUME)}
    raw = {arm: wilcoxon(values["llm"], values[arm]).pvalue for arm in found}
    first, second = sorted(raw.values())
    holm = {first: min(1.0, 2 * first), second: max(second, min(1.0, 2 * first))}
    for arm, row in found.items():
        assert row.comparison.p_value == pytest.approx(raw[arm])
        assert row.p_holm == pytest.approx(holm[raw[arm]])
        assert row.difference.mean == pytest.approx(np.mean(values["llm"] - values[arm]))
        greater = (values["llm"][:, None] > values[arm][None, :]).mean()
        assert row.comparison.a12 == pytest.approx(greater)
        assert row.difference.low < row.difference.mean < row.difference.high


def test_a_significantly_better_control_means_that_the_model_was_not_needed():
    told = verdict_of(
        {"llm": spread(0.5), "de": spread(0.6, seed=1), "sbx": spread(0.55, seed=2), "zeros": spread(0.1, seed=3)}
    )
    assert told.answer is Answer.NOT_NEEDED
    assert told.sentence == (
        "The language model was not needed: DE and mutation reached a higher hypervolume in 12 of 12 pairs "
        "(Holm p = .001, A12 = .00)."
    )


def test_a_model_that_beats_every_control_and_its_placebo_was_needed():
    told = verdict_of(
        {"llm": spread(0.6), "placebo": spread(0.5, seed=1), "de": spread(0.5, seed=2), "sbx": spread(0.4, seed=3)}
    )
    assert told.answer is Answer.NEEDED
    assert "every control and its own placebo" in told.sentence
    assert "DE and mutation" in told.sentence
    assert verdict_of({"llm": spread(0.6), "de": spread(0.5, seed=2)}).answer is Answer.NEEDED


def test_a_model_no_better_than_its_placebo_gets_no_credit_for_what_it_was_told():
    told = verdict_of({"llm": spread(0.6), "placebo": spread(0.6, seed=1), "de": spread(0.5, seed=2)})
    assert told.answer is Answer.UNTOLD
    assert "it is not shown that what it was told mattered" in told.sentence


def test_beating_only_some_controls_is_undecided_and_names_the_best_other():
    told = verdict_of({"llm": spread(0.6), "de": spread(0.6, seed=5), "zeros": spread(0.1, seed=2)})
    assert told.answer is Answer.UNDECIDED
    assert "told apart from DE and mutation" in told.sentence
    assert told.sentence.endswith("significantly worse were: zeros.")


@pytest.mark.parametrize(
    ("pairs", "needle"),
    [
        (5, "at least 6 are needed"),
        (6, "nothing could be significant, 7 pairs are needed. The control with the best mean is DE and mutation"),
    ],
)
def test_too_few_pairs_are_undecided_whatever_they_say(pairs, needle):
    told = verdict_of({"llm": spread(0.5, pairs), "de": spread(0.9, pairs), "sbx": spread(0.8, pairs)})
    assert told.answer is Answer.UNDECIDED
    assert needle in told.sentence


def test_a_stand_in_gets_no_verdict_about_language_models():
    told = verdict_of({"llm": spread(0.6), "de": spread(0.5, seed=2)}, surrogate=True)
    assert told.sentence.startswith("No language model was called")
    assert "the language model was needed" not in told.sentence.lower()
    assert not told.model


def test_a_partial_experiment_says_so_first():
    assert verdict_of({"llm": spread(0.6), "de": spread(0.5, seed=2)}, missing=3).sentence.startswith("PARTIAL, 12 of 15 pairs")


def test_identical_operators_are_undecided_by_ties(tmp_path):
    ablation = run_plan(twin_arms(), tmp_path)
    report = make_report(ablation)
    (row,) = report.versus["hypervolume"]
    assert (row.comparison.ties, row.p_holm, row.comparison.a12) == (9, 1.0, 0.5)
    assert report.verdict.answer is Answer.UNDECIDED


def test_identical_operators_with_other_random_numbers_are_undecided(tmp_path):
    """Two DE arms whose runs differ by chance alone: the second one's pairs are shifted to other seeds."""
    ablation = run_plan(twin_arms(seeds=4), tmp_path)
    runs = score_runs(ablation, yardsticks(ablation))
    second = runs["arm"] == "de1"
    runs.loc[second, "hypervolume"] = np.roll(runs.loc[second, "hypervolume"].to_numpy(), 1)
    rows = compare(ablation, runs, HYPERVOLUME)
    assert rows[0].comparison.ties < 4
    verdict = conclude(ablation, HYPERVOLUME, summarize(ablation, runs, [HYPERVOLUME]), rows)
    assert verdict.answer is Answer.UNDECIDED


def uniform_answer(body: Any) -> str:
    """Random integers in the form asked for; they depend on the request's sampling seed, not on the prompt's words."""
    rng = random.Random(body["seed"])
    points = body["response_format"]["json_schema"]["schema"]["properties"]
    drawn = {key: {name: rng.randint(0, 1000) for name in point["properties"]} for key, point in points.items()}
    return json.dumps(drawn)


def test_a_model_that_answers_at_random_cannot_be_told_apart_from_random_points(tmp_path):
    """The same distribution, once through prompts, JSON and the grid, once as a control: no arm has a built-in advantage."""
    with LlmServer(answer=uniform_answer) as server:
        plan = plan_of(llm=config_for(server), arms=("llm", "uniform"), seeds=8, budget=Budget(evaluations=40))
        report = make_report(run_plan(plan, tmp_path))
    (row,) = report.versus["hypervolume"]
    assert share_of_answers(report.runs, "llm")["ok"] > 0.99
    assert row.comparison.p_value > 0.05  # of 120 pairs p = 0.16 and A12 = 0.45, so nothing hides behind few pairs
    assert report.verdict.answer is Answer.UNDECIDED


def test_p_values_are_told_as_papers_tell_them():
    assert [told_p(p) for p in (0.00004, 0.0041, 0.05, 1.0)] == ["< .001", "= .004", "= .050", "= 1.000"]


# -- figures -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Referenced(ShiftedZdt1):
    """The toy with its analytic front as reference."""

    def reference(self, instance: Any, effort: Any = None) -> Reference:
        f1 = np.linspace(0.0, 1.0, 50)
        X = np.column_stack([f1, np.tile(instance.arrays()["shift"], (50, 1))])
        return Reference(Evidence.BEST_KNOWN, X=X, F=np.column_stack([f1, 1.0 - np.sqrt(f1)]), solver="analytic")


def test_distances_are_measured_to_the_reference_or_to_the_union_and_the_report_says_which(tmp_path):
    known, unknown = (
        make_report(run_plan(plan_of(problem=p), tmp_path / p.__class__.__name__)) for p in (Referenced(), ShiftedZdt1())
    )
    assert all(stick.from_reference for stick in known.yardsticks.values())
    assert not any(stick.from_reference for stick in unknown.yardsticks.values())
    best = unknown.runs.groupby("instance")["igd_plus"].min()
    assert (best < 0.2).all()
    assert (known.runs.groupby("instance")["igd_plus"].min() > best).all()
    told = [write_report(report, tmp_path).markdown.read_text() for report in (known, unknown)]
    assert "the problem's reference front, best known (analytic)" in told[0]
    assert "the union of all arms' fronts" in told[1]


def test_the_figures_of_a_run_are_those_of_its_record(tmp_path):
    ablation = run_plan(plan_of(), tmp_path)
    runs = score_runs(ablation, yardsticks(ablation)).set_index(["arm", "instance", "seed"])
    for key, record in ablation.records.items():
        row, curve = runs.loc[key], read_curve(ablation.folders[key], record)
        initial = record["used"]["by_source"]["initial"]["hypervolume_gain"]
        assert row["hypervolume"] == record["scores"]["hypervolume"] == pytest.approx(curve.value[-1])
        assert row["gain"] == pytest.approx(row["hypervolume"] - initial)
        assert curve.value[ENGINE["pop_size"] - 1] == pytest.approx(initial)
        assert np.all(np.diff(curve.value) >= 0)


def test_cost_of_a_gain_is_total_use_over_total_gain(tmp_path):
    with LlmServer() as server:
        config = config_for(server, usd_per_million_in=2.0, usd_per_million_out=6.0)
        plan = plan_of(llm=config, budget=Budget(evaluations=120), arms=("llm", "de"))
        report = make_report(run_plan(plan, tmp_path))
    records = [record for key, record in report.ablation.records.items() if key[0] == "llm"]
    gain = sum(r["scores"]["hypervolume"] - r["used"]["by_source"]["initial"]["hypervolume_gain"] for r in records)
    summary = report.arms[0]
    for name, total in (
        ("tokens", sum(r["used"]["tokens_in"] + r["used"]["tokens_out"] for r in records)),
        ("usd", sum(r["used"]["usd"] for r in records)),
        ("calls", sum(r["used"]["llm_calls"] for r in records)),
        ("evaluations", 2 * (120 - 8)),
    ):
        assert total > 0
        assert summary.cost_per_step[name] == pytest.approx(0.01 * total / gain)
    written = write_report(report, tmp_path)
    assert {p.name for p in written.pictures} == {"ablation.png", "ablation_evaluations.png", "ablation_tokens.png"}


def test_fates_and_fallbacks_of_the_models_answers_are_reported(tmp_path):
    with LlmServer(script=lambda number, body: Fault.PROSE) as server:
        report = make_report(run_plan(plan_of(llm=config_for(server), arms=("llm", "de")), tmp_path))
    told = share_of_answers(report.runs, "llm")
    assert told["rejected"] == told["fallbacks"] == told["reasks"] == 1.0
    assert share_of_answers(report.runs, "de") is None
    assert any("DE served 100% of the targets of llm" in banner for banner in report.banners)


def test_a_run_without_a_feasible_point_counts_as_worst(tmp_path):
    plan = plan_of(problem=Constr(), instances=1, seeds=2, arms=("llm", "zeros", "de"))
    ablation = run_plan(plan, tmp_path)
    lost = ablation.records["zeros", 0, 0]
    lost["verified"]["feasible"] = [False] * len(lost["verified"]["feasible"])
    lost["scores"]["hypervolume"] = 0.0
    report = make_report(ablation)
    row = report.runs.set_index(["arm", "seed"]).loc["zeros", 0]
    assert row["failed"]
    assert row["igd_plus"] == report.runs["igd_plus"].max() > 0
    assert np.isfinite(report.runs["igd_plus"]).all()
    assert any("found no feasible point" in banner for banner in report.banners)


def test_runs_that_do_not_reach_the_scoring_box_are_compared_by_igd_plus(tmp_path):
    """Thirty variables in 40 evaluations: hypervolume 0 everywhere, which would make all arms equal."""
    report = make_report(run_plan(plan_of(problem=Zdt1(), budget=Budget(evaluations=40)), tmp_path))
    assert (report.runs["hypervolume"] == 0).all()
    assert [measure.column for measure in report.measures] == ["igd_plus", "hypervolume"]
    assert any(banner.startswith("OUTSIDE THE SCORING BOX: 100% of the runs") for banner in report.banners)
    best = min(report.arms, key=lambda summary: summary.means["igd_plus"])
    assert best.rank == min(summary.rank for summary in report.arms)
    assert "by IGD+" in write_report(report, tmp_path).markdown.read_text()


def test_one_objective_is_compared_by_its_gap(tmp_path):
    report = make_report(run_plan(plan_of(problem=SumCapSphere()), tmp_path))
    assert [measure.column for measure in report.measures] == ["gap"]
    assert (report.runs["gap"] >= 0).all()
    for key, record in report.ablation.records.items():
        row = report.runs.set_index(["arm", "instance", "seed"]).loc[key]
        assert row["gap"] == pytest.approx(record["scores"]["gap"])
    assert "proven optimal" in report.yardsticks[0].words
    assert "by how much the gap" in write_report(report, tmp_path).markdown.read_text()


# -- where the optimum is ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shift", "warned"), [(0.0, True), (0.4, False)])
def test_a_problem_whose_optimum_is_at_zero_is_warned_about(tmp_path, shift, warned):
    """On plain ZDT1 the constant answer 0 is optimal in all variables but one."""
    plan = plan_of(
        problem=Zdt1(dim=5, shift=shift), budget=Budget(evaluations=400), arms=("llm", "de", "gaussian", "zeros"), instances=1
    )
    report = make_report(run_plan(plan, tmp_path))
    found = report.corners
    assert found.source == "the best points of all arms"
    assert bool(found.warning) is warned
    assert any(banner.startswith("WHERE THE OPTIMUM IS") for banner in report.banners) is warned
    if warned:
        assert {c.variable for c in found.variables} >= {"x1", "x2", "x3", "x4"}
        assert {c.where for c in found.variables} == {"lower bound"}


def test_the_reference_decides_where_the_optimum_is_when_there_is_one(tmp_path):
    found = find_corners(run_plan(plan_of(problem=Referenced()), tmp_path), [])
    assert found.source == "the problem's reference points"
    assert found.variables == ()
    assert found.share < 0.02


def test_a_constant_answer_that_ranks_high_is_warned_about(tmp_path):
    report = make_report(run_plan(plan_of(problem=Referenced()), tmp_path))
    assert report.corners.warning == ""
    lucky = [summary for summary in report.arms if summary.arm.name != "zeros"]
    zeros = next(summary for summary in report.arms if summary.arm.name == "zeros")
    from dataclasses import replace

    warned = find_corners(report.ablation, [*lucky, replace(zeros, rank=1.5)])
    assert "the constant answer 0 has average rank 1.5 of 4 arms" in warned.warning


def test_bounds_and_inner_zeros_are_told_apart():
    space = SumCapSphere(n_variables=3).instance(0).space  # [-5, 5]
    low, high, zero = corners(space, np.array([[-5.0, 5.0, 0.0], [-4.95, 4.0, 0.2]]))
    assert low.tolist() == [[True, False, False], [True, False, False]]
    assert high.tolist() == [[False, True, False], [False, False, False]]
    assert zero.tolist() == [[False, False, True], [False, False, False]]


# -- before it starts --------------------------------------------------------------------------------------------------


def test_the_forecast_counts_the_calls_that_are_made(tmp_path):
    with LlmServer() as server:
        plan = plan_of(llm=config_for(server, max_concurrency=4))
        ahead = forecast(plan, tmp_path)
        assert server.calls == 0  # nobody is charged for a forecast
        assert (ahead.runs, ahead.finished, ahead.llm_runs) == (8, 0, 4)
        assert ahead.per_run.calls == pytest.approx(12, abs=2)  # its made-up answers may need another question
        assert ahead.seconds == pytest.approx(4 * ahead.per_run.calls / 4 * 3.0)
        assert "assuming 3 s per call" in ahead.how
        run_plan(plan, tmp_path)
        assert server.calls == pytest.approx(4 * 12, abs=2)
        again = forecast(plan, tmp_path)
    assert (again.finished, again.llm_runs, again.seconds) == (8, 0, 0.0)
    assert again.how == "as the finished runs took"


@dataclass(frozen=True)
class Misjudged(SumCapSphere):
    """The toy with a reference of another kind."""

    kind: str = ""

    def reference(self, instance: Any, effort: Any = None) -> Reference:
        true = SumCapSphere.reference(self, instance)
        if self.kind == "loose":  # nothing up to 90 % off can be told from the optimum
            return replace(true, tolerance=0.9 * instance.objectives[0].gap_scale(true.value))
        low = true.value - 50.0
        bound = low if self.kind == "wrong" else None
        return Reference(Evidence.BEST_KNOWN, X=true.X, value=low, dual_bound=bound, solver="careless")


def test_gaps_within_the_reference_s_tie_are_zero_and_ties(tmp_path):
    report = make_report(run_plan(plan_of(problem=Misjudged(kind="loose"), instances=3, seeds=2), tmp_path))
    tied = report.runs.groupby(["instance", "seed"])["gap"].apply(lambda gaps: np.ptp(gaps) <= 0.9)
    assert tied.sum() > 0
    for row in report.versus["gap"]:
        own, other = (report.runs[report.runs["arm"] == arm]["gap"].to_numpy() for arm in ("llm", row.arm.name))
        assert row.comparison.ties == (np.abs(own - other) <= report.runs["tie"].max()).sum()


@pytest.mark.parametrize("kind", ["beaten", "wrong"])
def test_a_reference_that_an_arm_beats_gives_no_negative_gap_and_a_wrong_bound_is_shown(kind, tmp_path):
    report = make_report(run_plan(plan_of(problem=Misjudged(kind=kind)), tmp_path))
    assert (report.runs["gap"] >= 0.0).all()
    assert (report.runs.groupby("instance")["gap"].min() == 0.0).all()
    assert all("better than the problem's reference, best known (careless)" in s.words for s in report.yardsticks.values())
    text = write_report(report, tmp_path).markdown.read_text()
    assert ("REFERENCE WITHDRAWN on instance 1: A verified point" in text) == (kind == "wrong")


@pytest.mark.parametrize(("pairs", "words"), [(9, "fewer than 10 pairs give no interval"), (10, "95 % interval")])
def test_intervals_begin_at_ten_pairs_and_say_what_they_are_about(pairs, words):
    ablation, runs = made_up({"llm": spread(0.5, pairs), "de": spread(0.6, pairs, seed=1)})
    (row,) = compare(ablation, runs, HYPERVOLUME)
    arms = summarize(ablation, runs, [HYPERVOLUME])
    for found in (row.difference, arms[0].estimates["hypervolume"]):
        assert found.n == pairs
        assert np.isnan(found.low) == (pairs < 10)
        assert f"n = {pairs}" in found.told("{:.3f}".format)
    report = Report(ablation, {}, runs, (HYPERVOLUME,), arms, {"hypervolume": [row]}, None, None, [])
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

    original, seen = ablate._Display.cell, []

    def stop(self: Any, cell: Cell, done: bool) -> None:
        seen.append(cell)
        if len(seen) == 8:
            raise KeyboardInterrupt
        original(self, cell, done)

    monkeypatch.setattr(ablate._Display, "cell", stop)
    assert main([*COMMAND, f"out={tmp_path}"]) == 130
    assert "PARTIAL" in capsys.readouterr().out
    assert "> **PARTIAL: 1 of 2 pairs" in (tmp_path / "ablation.md").read_text()


@pytest.mark.parametrize(
    ("words", "needles"),
    [
        ([], ["problem: got None"]),
        (["problem=uav_isak"], ["Did you mean 'uav_isac'"]),
        (["problem=uav_isac", "solver=moead_de"], ["a solver whose operator is a language model"]),
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
        (["problem=uav_isac", "mix=0"], ["mix"]),
        (["uav_isac"], ["key=value"]),
    ],
)
def test_bad_input_is_one_error_that_names_the_settings(tmp_path, capsys, words, needles):
    assert main(["ablate", *words, *([f"out={tmp_path}"] if words else [])]) == 1
    shown = capsys.readouterr()
    assert shown.err.count("error:") == 1
    assert all(needle in shown.err for needle in needles)
    assert list(tmp_path.iterdir()) == []


def test_records_of_controls_hold_their_options(tmp_path):
    ablation = run_plan(plan_of(), tmp_path)
    record = json.loads((ablation.folders["zeros", 0, 0] / "record.json").read_text())
    assert record["solver"]["name"] == "ledma_control"
    assert record["solver"]["options"]["operator"] == "zeros"

"""Episodes: what moves, what is remembered, what is scored, and what is refused."""

import json
import shutil
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

import optisolve
from optisolve.core.episode import episode_steps, motion_of
from optisolve.core.errors import OptionError, OptisolveError
from optisolve.core.motion import MOTIONS
from optisolve.core.workers import Workers
from optisolve.registry import PROBLEMS, SOLVERS, make_solver
from optisolve.study.episodes import (
    EPISODE_FILE,
    Course,
    Memory,
    arms_of,
    check_chains,
    check_episode,
    read_summary,
    run_arm,
    save_episode,
    score_steps,
)
from optisolve.study.runner.run import plan_suite, run_suite
from optisolve.study.suite import load_suite
from optisolve.trust.audit import Auditor, SuiteBook, verify
from optisolve.trust.replay import replay

FEW = optisolve.Budget(evaluations=12)


@pytest.fixture(scope="module")
def links():
    """Five links that fade."""
    return optisolve.load_problem("power_control/gaussian_k5_0db")


@pytest.fixture(scope="module")
def course(links):
    """Four steps with certified optima, and a link that is replaced in most of them."""
    return Course.of(links, 4, motion={"session_s": 0.02}, seed=3)


@pytest.fixture(scope="module")
def saved(course, tmp_path_factory):
    """A warm arm, and the folder of its records."""
    (arm,) = arms_of(make_solver("moead_de", {"pop_size": 4, "n_neighbors": 2}), "warm", FEW, controls=False)
    run = run_arm(course, arm, seed=1)
    return run, save_episode(run, tmp_path_factory.mktemp("episodes"))


def _steps(name, n=4, seed=0, **motion):
    problem = optisolve.load_problem(name)
    return list(episode_steps(problem, motion_of(problem, motion), seed, n))


@pytest.mark.parametrize("name", ["uav_isac", "power_control", "power_control/d2d50", "traffic_engineering/polska"])
def test_an_episode_begins_with_the_instance_of_its_seed_and_is_the_same_every_time(name):
    steps, again, other = _steps(name, 3, 5), _steps(name, 3, 5), _steps(name, 3, 6)
    first = optisolve.load_problem(name).instance(5).arrays()
    assert all(np.array_equal(first[key], values, equal_nan=True) for key, values in steps[0].instance.arrays().items())
    assert [s.instance.sha256 for s in steps] == [s.instance.sha256 for s in again]
    assert len({s.instance.sha256 for s in (*steps, *other)}) == 6


@pytest.mark.parametrize("name", ["uav_isac", "power_control/weighted_qos", "traffic_engineering/polska"])
def test_every_step_is_an_instance_that_its_parameters_make_again(name):
    for step in _steps(name, 3, **({"up_h": 0.2} if name.startswith("traffic") else {})):
        origin = step.instance.origin
        told = json.loads(json.dumps({**origin.params, "scenario": origin.scenario}))
        again = type(step.problem).from_mapping(told).instance(origin.seed)
        assert origin.seed == step.number
        assert again.sha256 == step.instance.sha256


def test_lines_fail_and_return_and_no_demand_is_ever_cut_off():
    steps = _steps("traffic_engineering/polska", 12, up_h=2.0, down_h=1.0)
    events = [event for step in steps for event in step.events]
    assert any(event.endswith("fails") for event in events)
    assert any(event.endswith("returns") for event in events)
    assert len({step.instance.space.dim for step in steps}) > 1
    assert all(step.instance.network.unreachable() is None for step in steps)


def test_fading_gains_keep_their_mean_and_forget_at_the_stated_rate():
    problem = optisolve.load_problem("power_control/gaussian_k50_0db")
    steps = list(episode_steps(problem, motion_of(problem, {"session_s": None}), 0, 3))
    gains = np.array([step.instance.gain for step in steps])
    assert gains.mean() == pytest.approx(1.0, abs=0.05)
    wanted = 0.9037**2  # J0(2 pi 10 Hz 10 ms) = 0.9037, and power gains are correlated by its square
    assert np.corrcoef(gains[0].ravel(), gains[1].ravel())[0, 1] == pytest.approx(0.9755**2, abs=0.03)  # J0 at 5 ms
    assert np.corrcoef(gains[0].ravel(), gains[2].ravel())[0, 1] < wanted + 0.15


def test_the_result_does_not_depend_on_workers(course, saved):
    run, _ = saved
    again = run_arm(course, run.arm, seed=1, workers=Workers(2, "thread"))
    assert [r.result_hash for r in again.results] == [r.result_hash for r in run.results]


def test_records_of_an_episode_verify_and_replay_like_any_other(saved):
    run, folder = saved
    assert check_episode(folder) == []
    for step in read_summary(folder).steps:
        assert verify(folder / step.record_id)
    last = folder / run.results[-1].record.record_id
    assert run.results[-1].record.warm_start is not None
    assert replay(last).same


@pytest.mark.parametrize("forgery", ["easier instance", "better start", "loss", "event", "swapped"])
def test_a_forged_step_is_refused(saved, course, tmp_path, forgery):
    run, folder = saved
    shutil.copytree(folder, forged := tmp_path / "forged")
    told = json.loads((forged / EPISODE_FILE).read_text())
    if forgery == "loss":
        told["steps"][2]["loss"] = 0.0
    elif forgery == "event":
        told["steps"][1]["events"] = ["the sun was shining"]
    elif forgery == "swapped":
        told["steps"][2], told["steps"][3] = told["steps"][3], told["steps"][2]
    else:
        step = course.steps[2] if forgery == "better start" else course.steps[0]
        start = course.references[2].X if forgery == "better start" else None
        better = optisolve.solve(
            step.problem.instance(2), run.arm.solver, budget=FEW, seed=run.results[2].record.seed, warm_start=start
        )
        better.save(forged)
        told["steps"][2] |= {"record_id": better.record.record_id, "result_hash": better.result_hash}
    (forged / EPISODE_FILE).write_text(json.dumps(told))
    assert check_episode(forged)


def test_a_cold_start_a_kept_answer_and_an_oracle_stand_in_their_order(course):
    arms = arms_of(make_solver("moead_de", {"pop_size": 4, "n_neighbors": 2}), "none", FEW, controls=True)
    loss = {arm.name: run_arm(course, arm, seed=1).scores.summed for arm in arms}
    cold, keep, oracle = loss.values()
    assert oracle < cold
    assert oracle < keep
    kept = run_arm(course, arms[1], seed=1).results
    assert [r.record.solver.name for r in kept] == ["moead_de", "keep", "keep", "keep"]
    assert all(np.array_equal(r.record.warm_start, kept[1].record.warm_start) for r in kept[2:])


def test_answers_are_carried_over_by_the_names_of_variables():
    steps = _steps("traffic_engineering/polska", 12, up_h=2.0)
    before, after = next((a, b) for a, b in pairwise(steps) if b.instance.space.dim < a.instance.space.dim)
    memory = Memory("warm", 1)
    x = np.arange(1.0, before.instance.space.dim + 1.0)[None, :]
    memory.learn(before, x, before.instance.evaluate(x).F)
    value = dict(zip(before.instance.space.names, x[0], strict=True))
    assert memory.start(after)[0].tolist() == [value[name] for name in after.instance.space.names]
    memory.learn(after, memory.start(after), after.instance.evaluate(memory.start(after)).F)
    assert memory.start(before)[0].tolist() == x[0].tolist()  # a line that returns has the weight that it had


def test_retrieval_prefers_the_steps_that_were_most_alike(course):
    memory, retrieving = Memory("warm", 3), Memory("retrieve", 3)
    for i, step in enumerate(course.steps[:3]):
        x = np.full((1, 5), 0.1 * (i + 1))
        for each in (memory, retrieving):
            each.learn(step, x, step.instance.evaluate(x).F)
    again = replace(course.steps[3], state=course.steps[0].state)
    assert memory.start(again)[0, 0] == pytest.approx(0.3)
    assert retrieving.start(again)[0, 0] == pytest.approx(0.1)


def test_an_event_is_made_good_when_the_loss_is_what_it_was(saved):
    records = [result.record for result in saved[0].results]
    scores = score_steps(records, [(), ("something happens",), (), ()])
    (recovery,) = scores.recoveries
    assert scores.summed == pytest.approx(sum(scores.losses))
    if recovery.evaluations is None:
        assert min(scores.losses[1:]) > scores.losses[0] + 0.01
    else:
        assert 1 <= recovery.evaluations <= sum(scores.evaluations[1:])


def test_notes_reach_the_model_and_the_record_and_a_placebo_tells_other_numbers(links):
    course = Course.of(links, 3, motion={"session_s": 0.02}, seed=3, effort=None)
    solver = make_solver("hybrid", {"n_initial": 4})
    runs = {}
    for memory in ("notes", "placebo"):
        (arm,) = arms_of(solver, memory, replace(FEW, llm_calls=4), controls=False)
        runs[memory] = run_arm(course, arm, seed=1, llm="surrogate")
    told = runs["notes"].results[1].record
    assert told.notes[0].startswith("The network moves; this is step 1.")
    assert "1 step ago the best answer reached" in told.notes[1]
    assert not runs["notes"].results[0].record.notes
    shuffled = runs["placebo"].results[1].record
    assert shuffled.notes != told.notes
    assert np.array_equal(shuffled.warm_start, told.warm_start)
    assert verify(told)
    with pytest.raises(OptisolveError, match="asks no language model"):
        optisolve.solve(links.instance(), "moead_de", budget=FEW, notes=["hear"])


@pytest.mark.parametrize(
    ("name", "settings", "told"),
    [
        ("beamforming", {}, "stand still"),
        ("uav_isac", {"kind": "fading"}, "gauss_markov or random_waypoint"),
        ("uav_isac", {"doppler_hz": 3.0}, "motion.doppler_hz"),
        ("uav_isac", {"step_s": -1.0}, "motion.step_s"),
        ("uav_isac", {"kind": "random_waypoint", "speed_min_m_s": 5.0}, "motion.speed_max_m_s"),
    ],
)
def test_bad_motions_are_one_clear_error(name, settings, told):
    with pytest.raises(OptionError, match=told):
        motion_of(optisolve.load_problem(name), settings)


def test_a_memory_that_a_solver_would_not_read_is_refused(links):
    for solver, memory, told in (
        ("random_search", "warm", "none or keep"),
        ("moe", "retrieve", "none or keep"),  # a gate's experts begin with their own points
        ("moead_de", "notes", "warm or retrieve"),
    ):
        with pytest.raises(OptionError, match=told):
            optisolve.episode(links, solver, steps=2, memory=memory, budget=FEW, reference=None)
    with pytest.raises(OptionError, match="at least 1"):
        optisolve.episode(links, "moead_de", steps=0, budget=FEW)


def test_every_kind_of_motion_is_offered_by_some_family():
    names = ("uav_isac", "power_control", "power_control/d2d50", "traffic_engineering")
    offered = {kind.kind for name in names for kind in optisolve.load_problem(name).motions()}
    assert offered == set(MOTIONS)


_SUITE = """# Links that fade, with a memory and without.
version: "1"
budget: {evaluations: 12}
limits: {seconds: 600}
problems:
  - problem: power_control/gaussian_k5_0db
    label: fading
    episode: {steps: 3, seed: 3, motion: {session_s: 0.02}}
solvers:
  - {solver: moead_de, label: cold, options: &few {pop_size: 4, n_neighbors: 2}}
  - {solver: moead_de, label: warm, options: *few, memory: warm}
"""


@pytest.fixture
def suite_file(tmp_path):
    (path := tmp_path / "moving.yaml").write_text(_SUITE)
    return path


def test_the_instances_of_a_suites_episode_are_its_steps(suite_file, course):
    plan = plan_suite(suite_file)
    assert [u.instance_sha256 for u in plan.units if u.label == "warm"] == [s.instance.sha256 for s in course.steps[:3]]
    assert {u.memory for u in plan.units if u.label == "cold"} == {""}
    assert len({u.id for u in plan.units}) == 6


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("steps: 3", "steps: 0", "episode.steps"),
        ("session_s: 0.02", "speed_m_s: 1.0", "motion.speed_m_s"),
        ("power_control/gaussian_k5_0db", "beamforming", "stand still"),
        ("memory: warm", "memory: elephantine", "memory"),
        ("    episode: {steps: 3, seed: 3, motion: {session_s: 0.02}}\n", "", "no episode"),
    ],
)
def test_bad_episodes_of_a_suite_are_one_clear_error(suite_file, old, new, told):
    suite_file.write_text(_SUITE.replace(old, new))
    with pytest.raises(OptionError, match=told):
        load_suite(suite_file)


@pytest.mark.slow
def test_a_suite_hands_on_what_earlier_steps_have_found_and_a_forged_chain_is_refused(suite_file, tmp_path):
    run = run_suite(suite_file, tmp_path / "runs", executor="serial")
    records = {(unit.label, unit.index): record for unit, record in run.records()}
    assert len(records) == 6
    assert not run.failures
    assert records["cold", 2].warm_start is None
    assert records["warm", 0].warm_start is None
    assert records["warm", 1].warm_start is not None
    suite = load_suite(suite_file)
    assert check_chains(suite, records.values()) == []
    auditor = Auditor(PROBLEMS, SOLVERS, suites=SuiteBook({suite.name: suite}))
    assert all(auditor.record(record) for record in records.values())
    better = records["warm", 2].model_copy(update={"warm_start": [[1.0] * 5]})
    assert check_chains(suite, [*records.values(), better])
    assert check_chains(suite, [records["warm", 0], records["warm", 2]])

"""Suites: every bad field named at once, seeds paired between solvers, locks that notice what moved."""

from __future__ import annotations

import json

import pytest

from optisolve.cli.main import main
from optisolve.core.errors import OptionError, OptisolveError, UnknownNameError
from optisolve.study.lock import lock_path, lock_suite, read_lock, require_lock, write_lock
from optisolve.study.runner import plan_suite, run_suite
from optisolve.study.suite import list_suites, load_suite, with_solvers


def test_a_suite_is_every_solver_on_every_problem(suite_of):
    plan = plan_suite(suite_of())
    assert len(plan.units) == 2 * 2 * 2 * 2
    assert {(u.case, u.label) for u in plan.units} == {
        (p, s) for p in ("toy_zdt1", "toy_sphere") for s in ("random_search", "moead_de")
    }
    assert len({unit.id for unit in plan.units}) == len(plan.units)
    assert plan.suite.summary == "A tiny suite."


def test_seeds_of_instances_and_runs_do_not_depend_on_the_solver(suite_of):
    few = plan_suite(suite_of("few", solvers=["random_search"]))
    many = plan_suite(suite_of("many", solvers=["moead_de", "nsga2", "random_search"]))
    seeds = {
        label: {(u.case, u.index, u.repetition): (u.instance, u.seed) for u in many.units if u.label == label}
        for label in ("moead_de", "nsga2", "random_search")
    }
    assert seeds["moead_de"] == seeds["nsga2"] == seeds["random_search"]
    assert seeds["moead_de"] == {(u.case, u.index, u.repetition): (u.instance, u.seed) for u in few.units}
    assert len({seed for _, seed in seeds["nsga2"].values()}) == len(seeds["nsga2"])


def test_instances_are_drawn_by_the_suites_seed_or_listed(suite_of):
    drawn = load_suite(suite_of())
    other = load_suite(suite_of("other", seed=8))
    listed = load_suite(suite_of("listed", problems=[{"problem": "toy_zdt1", "instances": [3, 0]}]))
    assert not {*drawn.cases[0].instances} & {*other.cases[0].instances}
    assert not {*drawn.cases[0].instances} & {*drawn.cases[1].instances}
    assert listed.cases[0].instances == (3, 0)


def test_the_most_specific_setting_wins_field_by_field(suite_of):
    path = suite_of(
        budget={"evaluations": 10, "llm_calls": 1},
        problems=[{"problem": "toy_zdt1", "budget": {"evaluations": 20}, "limits": {"seconds": 5}}, "toy_sphere"],
        solvers=[
            "random_search",
            {"solver": "moead_de", "budget": {"llm_calls": 2}, "options": {"pop_size": 30}, "repetitions": 1},
        ],
        overrides=[
            {"problem": "toy_zdt1", "solver": "moead_de", "budget": {"evaluations": 30}, "options": {"n_neighbors": 7}},
            {"solver": "moead_de", "problem": "toy_sphere", "skip": "too slow here"},
        ],
    )
    suite = load_suite(path)
    cells = {(cell.case.label, cell.label): cell for cell in suite.cells}
    plain, special = cells["toy_zdt1", "random_search"], cells["toy_zdt1", "moead_de"]
    assert (plain.budget.evaluations, plain.budget.llm_calls, plain.repetitions) == (20, 1, 2)
    assert (special.budget.evaluations, special.budget.llm_calls, special.repetitions) == (30, 2, 1)
    assert (special.solver.pop_size, special.solver.n_neighbors) == (30, 7)
    assert (special.limits.seconds, special.limits.memory_mb) == (5, 2000)
    assert suite.budget_of(suite.cases[0]).evaluations == 20
    skipped = plan_suite(suite).skipped
    assert {(skip.case, skip.label, skip.reason) for skip in skipped} == {("toy_sphere", "moead_de", "too slow here")}


def test_a_solver_that_cannot_treat_a_problem_is_skipped_with_its_own_words(suite_of):
    plan = plan_suite(suite_of(solvers=["cma_es", "random_search"]))
    assert {(skip.case, skip.label) for skip in plan.skipped} == {("toy_zdt1", "cma_es")}
    assert "several objectives" in plan.skipped[0].reason
    assert all((unit.case, unit.label) != ("toy_zdt1", "cma_es") for unit in plan.units)


def test_all_bad_fields_are_named_at_once_with_their_paths(suite_of):
    path = suite_of(
        repetitions=0,
        instances="many",
        sead=3,
    )
    with pytest.raises(OptionError) as raised:
        load_suite(path)
    assert {p.field for p in raised.value.problems} == {"repetitions", "instances", "sead"}
    path = suite_of(
        budget={"evals": 5},
        limits={"seconds": -1},
        problems=["toy_zdt2", {"problem": "toy_zdt1", "params": {"n_variables": 1}, "solvers": ["nobody"]}, {"colour": 1}, 7],
        solvers=["moead_de", "moead_de", {"solver": "nsga2", "options": {"pop_sise": 3}}, {"solver": "ledma", "llm": "auto"}],
        overrides=[{"problem": "elsewhere", "skip": "x"}, "all"],
    )
    with pytest.raises(OptionError) as raised:
        load_suite(path)
    text = str(raised.value)
    for needle in (
        "problems[0].problem: got 'toy_zdt2'",
        "did you mean 'toy_zdt1'",
        "problems[1].params.n_variables",
        "problems[1].solvers: got 'nobody'",
        "problems[2].colour",
        "problems[3]: got 7",
        "solvers[1].label: got 'moead_de'",
        "solvers[2].options.pop_sise",
        "did you mean 'pop_size'",
        "solvers[3].llm",
        "overrides[0].problem: got 'elsewhere'",
        "overrides[1]: got 'all'",
        "budget.evals",
        "limits.seconds",
    ):
        assert needle in text, needle
    assert len(text.splitlines()) == len(set(text.splitlines()))


def test_a_suite_without_any_budget_or_model_is_refused(suite_of):
    with pytest.raises(OptionError, match="at least one limit"):
        load_suite(suite_of(budget={}))
    path = suite_of(solvers=["ledma"], llm=None)
    with pytest.raises(OptionError, match="a language model for ledma"):
        load_suite(path)


def test_unknown_suites_and_files_that_are_none_are_clear_errors(tmp_path):
    with pytest.raises(UnknownNameError, match="smoke"):
        load_suite("smoek")
    (tmp_path / "list.yaml").write_text("- a\n- b\n")
    with pytest.raises(OptisolveError, match="must hold a mapping"):
        load_suite(tmp_path / "list.yaml")
    (tmp_path / "broken.yaml").write_text("a: [1,\n")
    with pytest.raises(OptisolveError, match="cannot be read as YAML"):
        load_suite(tmp_path / "broken.yaml")


def test_the_hash_depends_on_all_that_a_result_depends_on_and_not_on_the_spelling(suite_of):
    path = suite_of()
    first = lock_suite(load_suite(path)).sha256
    path.write_text("# Other words.\n\n" + path.read_text())
    assert lock_suite(load_suite(path)).sha256 == first
    for change in (
        {"seed": 8},
        {"version": "2"},
        {"repetitions": 3},
        {"budget": {"evaluations": 61}},
        {"limits": {"seconds": 601, "memory_mb": 2000}},
        {"reference": "quick"},
        {"solvers": ["random_search", {"solver": "moead_de", "options": {"pop_size": 50}}]},
        {"problems": ["toy_zdt1", {"problem": "toy_sphere", "params": {"cap": 1.3}}]},
    ):
        assert lock_suite(load_suite(suite_of(**change))).sha256 != first, change


def test_a_stale_lock_is_refused_and_says_what_moved(suite_of, monkeypatch):
    from optisolve.solvers import MoeadDe

    suite = load_suite(suite_of())
    path, changed = write_lock(suite)
    assert changed
    assert require_lock(suite).sha256 == json.loads(path.read_text())["sha256"]
    assert write_lock(suite) == (path, False)
    later = load_suite(suite_of(budget={"evaluations": 80}))
    with pytest.raises(OptisolveError, match="options, budget or limits on toy_sphere, toy_zdt1") as raised:
        require_lock(later)
    assert "lock=true" in str(raised.value)
    with pytest.raises(OptisolveError, match="still version 1"):
        write_lock(later)
    assert write_lock(load_suite(suite_of(version="2", budget={"evaluations": 80})))[1]
    path.unlink()
    assert write_lock(suite)[1]
    info = MoeadDe.info
    monkeypatch.setattr(MoeadDe, "info", type(info)(info.name, "99", info.summary, info.supports))
    with pytest.raises(OptisolveError, match=r"solver moead_de: version .* in the lock, 99 now"):
        require_lock(load_suite(suite_of()))


def test_a_lock_edited_by_hand_is_no_lock(suite_of):
    suite = load_suite(suite_of())
    path, _ = write_lock(suite)
    document = json.loads(path.read_text())
    document["problems"]["toy_zdt1"]["instances"] = {}
    path.write_text(json.dumps(document))
    with pytest.raises(OptisolveError, match="not a lock file that optisolve wrote"):
        read_lock(suite)


def test_other_solvers_enter_at_the_suites_own_budget_and_under_its_hash(suite_of):
    path = suite_of(problems=[{"problem": "toy_zdt1", "budget": {"evaluations": 20}}, "toy_sphere"])
    own = plan_suite(path)
    plan = plan_suite(path, solvers=["nsga2", {"solver": "moead_de", "label": "wide", "options": {"pop_size": 40}}])
    assert {unit.label for unit in plan.units} == {"nsga2", "wide"}
    assert {unit.budget["evaluations"] for unit in plan.units if unit.case == "toy_zdt1"} == {20}
    assert plan.lock.sha256 == own.lock.sha256
    assert {(u.case, u.index, u.instance, u.seed) for u in plan.units} == {
        (u.case, u.index, u.instance, u.seed) for u in own.units
    }
    with pytest.raises(OptionError) as raised:
        with_solvers(load_suite(path), ["moead_de", {"solver": "nsga2", "budget": {"evaluations": 10**6}}])
    assert {p.field for p in raised.value.problems} == {"solvers[0].label", "solvers[1].budget"}


def test_only_picks_a_part_and_names_what_is_not_there(suite_of):
    path = suite_of()
    whole = {unit.id for unit in plan_suite(path).units}
    part = plan_suite(path, "solver:moead_de, problem:toy_zdt1, problem:toy_sphere, repetition:1")
    assert {unit.label for unit in part.units} == {"moead_de"}
    assert {unit.case for unit in part.units} == {"toy_zdt1", "toy_sphere"}
    assert {unit.repetition for unit in part.units} == {1}
    assert {unit.id for unit in part.units} < whole
    assert part.total == len(whole)
    with pytest.raises(OptionError) as raised:
        plan_suite(path, "solver:moaed_de,color:red,instance:5")
    text = str(raised.value)
    assert "did you mean moead_de" in text
    assert "color:red" in text
    assert "instance:5" in text


def _runs(plan):
    return {(unit.case, unit.index, unit.instance, unit.seed) for unit in plan.units}


@pytest.mark.parametrize("name", list_suites())
def test_the_lock_of_a_shipped_suite_is_the_current_one(name):
    suite = load_suite(name)
    assert lock_path(suite).is_file()
    assert require_lock(suite).identity.name == name
    assert suite.summary


def test_every_solver_and_every_family_stands_in_some_shipped_suite():
    """A track enters what fits it; a solver that fits none would never be compared."""
    from optisolve.registry import PROBLEMS, SOLVERS

    suites = [load_suite(name) for name in list_suites()]
    elsewhere = {"hybrid", "hybrid_control", "q_fusion"}  # beside a real language model: optisolve ablate compares them
    given = {"keep"}  # evaluates the points of a warm start, which no unit of a suite has
    easy = {"breadth_first", "threshold_flow"}  # trivial answers are optimal in mazes in order, and with one rate per station
    solvers = {cell.solver.info.name for suite in suites for cell in suite.cells if cell.skip is None}
    assert solvers == set(SOLVERS.targets()) - elsewhere - given - easy
    assert {type(case.problem).name for suite in suites for case in suite.cases} == set(PROBLEMS.targets())


@pytest.mark.parametrize("name", ["real_time", "exact", "large", "evolutionary"])
def test_a_track_says_its_question_and_has_ten_instances_and_both_controls_everywhere(name):
    """Below ten instances a table prints points, not intervals; without null and random search nobody sees a scenario fail."""
    suite = load_suite(name)
    assert suite.summary.endswith((".", "?"))
    for case in suite.cases:
        assert len(case.instances) >= 10 or case.admit, case.label
        solvers = {cell.solver.info.name for cell in suite.cells if cell.case is case and cell.skip is None}
        assert {"null", "random_search"} <= solvers, case.label


def test_an_open_suite_grows_and_keeps_its_finished_units(suite_of, tmp_path):
    small = {"open": True, "problems": ["toy_sphere"], "reference": "quick", "repetitions": 1}
    first = run_suite(suite_of(**small, solvers=["random_search"], instances=[0]), tmp_path / "out", executor="serial")
    more = {**small, "repetitions": 2, "solvers": ["random_search", "null"]}
    second = run_suite(suite_of(**more, instances=[0, 1]), tmp_path / "out", executor="serial")
    assert (first.executed, second.executed, len(second.finished)) == (1, 7, 8)
    assert {record.suite.sha256 for _, record in second.records()} == {""}
    assert main(["verify", str(tmp_path / "out")]) == 0  # nothing is claimed that a lock would have to show


def test_an_open_suite_has_nothing_to_lock(suite_of):
    with pytest.raises(OptisolveError, match="is open: it may grow, so there is nothing to lock"):
        write_lock(load_suite(suite_of(open=True)))

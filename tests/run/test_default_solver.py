"""Which solver answers when nobody has named one: the best known without a language model, and it is said."""

from __future__ import annotations

import json

import pytest

import optisolve
from optisolve import Budget
from optisolve.cli.main import main
from optisolve.registry import list_problems, make_solver
from optisolve.run.choice import AUTO, default_solver
from optisolve.run.records import iter_records, read_record

FAMILIES = [name for name in list_problems() if "/" not in name and name != "goal"]
QUIET = ["pictures=false", "reference=none"]


@pytest.mark.parametrize("name", [*FAMILIES, "pymoo/dtlz2", "pymoo/zdt5", "pymoo/mw1", "power_control/min_power"])
def test_the_default_treats_its_instance_and_asks_no_language_model(name):
    instance = optisolve.load_problem(name).instance(0)
    chosen = default_solver(instance)
    solver = make_solver(chosen.name)
    assert solver.skip(instance) is None
    assert not solver.info.uses_llm
    expected = {1: "moe", 2: "nsga2"}.get(len(instance.objectives), "moead")
    expected = "weight_search" if name == "traffic_engineering" else expected
    assert chosen.name == expected
    assert default_solver(instance, with_llm=True).name == "ledma"


@pytest.mark.parametrize("name", ["power_control", "parallel_channels", "offloading/n10", "user_association"])
def test_where_a_method_is_exact_or_certified_the_default_meets_the_reference_in_a_moment(name):
    problem = optisolve.load_problem(name)
    instance = problem.instance(0)
    result = optisolve.solve(instance, budget=Budget(evaluations=2000), reference=problem.reference(instance))
    assert result.record.solver.name == "moe"
    assert result.scores["gap"] <= 1e-4
    assert result.record.used.llm_calls == 0


def test_python_and_the_command_line_choose_alike_and_record_the_name(tmp_path, capsys):
    words = ["problem=uav_isac", "budget.evaluations=200", *QUIET]
    assert main(["run", *words, f"out={tmp_path / 'chosen'}"]) == 0
    told = capsys.readouterr()
    assert "solver: nsga2 (default for two objectives" in told.err
    assert main(["run", *words, "solver=nsga2", f"out={tmp_path / 'named'}"]) == 0
    assert "default" not in capsys.readouterr().err
    chosen, named = (next(iter_records(tmp_path / name)) for name in ("chosen", "named"))
    assert json.loads(chosen.with_name("job.json").read_text()) == json.loads(named.with_name("job.json").read_text())
    assert read_record(chosen).result_hash == read_record(named).result_hash
    instance = optisolve.load_problem("uav_isac").instance(0)
    for solver in ({}, {"solver": AUTO}):
        result = optisolve.solve(instance, budget=Budget(evaluations=200, llm_calls=40), **solver)
        assert result.record.solver.name == "nsga2"
        assert result.result_hash == read_record(named).result_hash


def test_a_named_language_model_is_given_work(tmp_path, capsys):
    words = ["problem=uav_isac", "llm=surrogate", "solver.pop_size=20", "budget.evaluations=60", *QUIET, f"out={tmp_path}"]
    assert main(["run", *words]) == 0
    told = capsys.readouterr()
    assert "solver: ledma (default where a language model is named)" in told.err
    assert read_record(next(iter_records(tmp_path))).solver.options["pop_size"] == 20
    instance = optisolve.load_problem("uav_isac").instance(0)
    result = optisolve.solve(instance, llm="surrogate", budget=Budget(evaluations=60), pop_size=20)
    assert result.record.solver.name == "ledma"


def test_a_setting_of_a_solver_that_is_not_named_is_refused_with_the_form_to_write(tmp_path, capsys):
    assert main(["run", "problem=power_control", "solver.mix=0.3", f"out={tmp_path}"]) == 1
    assert "give solver=NAME beside it, e.g. solver=ledma solver.mix=" in " ".join(capsys.readouterr().err.split())


def test_every_bad_setting_is_listed_although_no_solver_is_named(tmp_path, capsys):
    assert main(["run", "problem.n_uavs=x", "budget.evaluations=-3", "seed=y", f"out={tmp_path}"]) == 1
    told = capsys.readouterr().err
    assert all(name in told for name in ("problem.n_uavs", "budget.evaluations", "seed"))


def test_every_job_of_a_sweep_over_problems_gets_its_own_default(tmp_path, capsys):
    words = ["-m", "problem=uav_isac,parallel_channels", "budget.evaluations=150", *QUIET, f"out={tmp_path}"]
    assert main(["run", *words]) == 0
    assert {read_record(file).solver.name for file in iter_records(tmp_path)} == {"nsga2", "moe"}


def test_info_names_the_default(capsys):
    assert main(["info", "power_control"]) == 0
    assert "default solver: moe" in capsys.readouterr().out


def test_what_a_language_model_was_worth_stands_first_and_controls_only_where_they_ran(tmp_path, capsys):
    words = ["problem=uav_isac", "solver=ledma", "llm=surrogate", "budget.evaluations=300", *QUIET, f"out={tmp_path}"]
    assert main(["run", *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    by_source = read_record(next(iter_records(tmp_path))).used.by_source
    made = [by_source[name] for name in ("llm", "repaired") if name in by_source]
    assert lines[1].startswith(
        f"the stand-in for a language model contributed {sum(item.gain for item in made):.4f} of the hyp"
    )
    assert f"with {sum(item.evaluations for item in made)} of 300 evaluations" in lines[1]
    assert "without one" not in lines[1]
    assert main(["run", *words, "controls=true"]) == 0
    told = capsys.readouterr().out
    assert "; without one " in told.splitlines()[1]
    for name in ("ledma, no model", "ledma, random start", "trivial answers", "trained sampler", "optisolve ablate"):
        assert name in told


def test_where_no_point_counts_the_screen_names_the_box_and_says_nothing_of_the_model(tmp_path, capsys):
    box = ["problem.n_users=40", "problem.hypervolume_reference=[-25,2]", "problem.hypervolume_ideal=[0,0]"]
    words = ["problem=uav_isac", "solver=ledma", "llm=surrogate", "budget.evaluations=150", *QUIET, *box, f"out={tmp_path}"]
    assert main(["run", *words]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "points of the front lie outside the scoring box (utility -25 to 0, error_bound 2 to 0)" in told
    assert "contributed" not in told

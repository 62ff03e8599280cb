"""Callbacks see a run as it is, can end it cleanly, and their errors are theirs; histories hold every point."""

from __future__ import annotations

import json
import shutil
import traceback
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

import optisolve
from optisolve import UNLIMITED, Budget, Progress, Termination
from optisolve.core.errors import OptionError, RecordError, SolverError
from optisolve.run.execution import now_and_then
from optisolve.testing.toys import ShiftedZdt1, SumCapSphere

REGISTERED = optisolve.load_problem("pymoo/zdt1_shifted", n_variables=5)
"""What an audit can build again."""

SOLVERS = ("moead", "ledma", "nsga2", "sms_emoa", "random_search", "moe")


def solve(solver="nsga2", problem=None, evaluations=400, **settings):
    """A run whose generations are of 100 points."""
    instance = (problem or ShiftedZdt1()).instance(1)
    if solver == "nsga2":
        solver = optisolve.load_solver("nsga2", pop_size=100)
    return optisolve.solve(instance, solver, budget=Budget(evaluations=evaluations), seed=2, llm="surrogate", **settings)


# -- callbacks -----------------------------------------------------------------------------------------------------------


def test_a_callback_sees_every_batch_as_it_was_at_that_moment():
    seen: list[Progress] = []
    result = solve(callback=seen.append)
    assert [p.evaluations for p in seen] == [100, 200, 300, 400]
    assert [p.generation for p in seen] == [1, 2, 3, 4]
    curve = result.trace.set_index("evaluations")["hypervolume"]
    assert seen[-1].hypervolume == pytest.approx(curve[400])
    assert seen[0].hypervolume == pytest.approx(curve[curve.index <= 100].iloc[-1], rel=0.2)
    assert seen[0].hypervolume < seen[-1].hypervolume  # read after the end, and yet not that of the end
    assert np.array_equal(np.sort(seen[-1].F, axis=0), np.sort(result.F, axis=0))
    assert seen[0].budget.evaluations == 400
    assert seen[0].best is None
    assert "archive" not in repr(seen[0])


def test_one_objective_has_a_best_value_in_its_own_sense():
    seen: list[Progress] = []
    result = solve("moead", SumCapSphere(), callback=seen.append)
    assert seen[-1].best == pytest.approx(result.scores["objective"])
    assert seen[-1].hypervolume is None
    assert all(a.best <= b.best for a, b in pairwise(seen) if a.best is not None)


def test_a_callback_is_told_what_a_language_model_has_cost():
    seen: list[Progress] = []
    used = solve("ledma", callback=seen.append).record.used
    assert (seen[-1].llm_calls, seen[-1].llm_tokens) == (used.llm_calls, used.tokens_in + used.tokens_out)
    assert seen[-1].llm_calls > 0


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("how", ["return", "stop"])
def test_a_callback_stops_any_solver_cleanly(solver, how, tmp_path):
    def enough(progress):
        if progress.evaluations >= 150:
            if how == "return":
                return True
            progress.stop()
        return None

    result = solve(solver, callback=enough)
    assert result.termination is Termination.STOPPED
    assert result.record.termination.detail == "stopped by the callback"
    assert 150 <= result.record.used.evaluations < 400
    assert len(result.X)
    assert optisolve.verify(result.save(tmp_path))


def test_a_stopped_run_can_be_repeated_from_its_record(tmp_path):
    result = solve(problem=REGISTERED, callback=lambda progress: progress.evaluations >= 200)
    audit = optisolve.verify(result.save(tmp_path), reproduce=True)
    assert audit.tier == "reproduced"


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("error", [ValueError("mine"), StopIteration("mine"), SolverError("mine"), KeyError("mine")])
def test_an_error_of_the_callback_comes_out_as_it_is(solver, error):
    def broken(progress):
        raise error

    with pytest.raises(type(error), match="mine") as caught:
        solve(solver, callback=broken)
    assert caught.value is error
    shown = "".join(traceback.format_exception(caught.value))
    assert "in broken" in shown
    assert "Raised by the callback of a run after" in shown
    assert "During handling" not in shown


def test_what_a_callback_returns_stops_nothing_unless_it_is_true():
    assert solve(callback=lambda progress: progress.evaluations).record.used.evaluations == 400
    assert solve(callback=lambda progress: np.bool_(True)).record.used.evaluations == 100


def test_watching_changes_no_result():
    assert solve("moead", callback=lambda progress: progress.X.sum() < 0).result_hash == solve("moead").result_hash


def test_the_old_name_is_refused_with_the_new_one():
    with pytest.raises(SolverError, match="callback=f"):
        solve(on_progress=print)


def test_displays_are_told_now_and_then():
    told: list[int] = []
    show = now_and_then(lambda progress: told.append(progress.evaluations), every_s=3600.0)
    solve(callback=show)
    assert told == [100]


# -- limits on a language model ------------------------------------------------------------------------------------------


def test_a_budget_that_says_nothing_of_calls_keeps_their_limit():
    problem = ShiftedZdt1()
    unsaid = optisolve.solve(problem, "opro", budget=Budget(evaluations=1000), llm="surrogate")
    assert unsaid.record.used.llm_calls == unsaid.record.budget.llm_calls == 40
    lifted = optisolve.solve(problem, "opro", budget=Budget(evaluations=300, llm_calls=UNLIMITED), llm="surrogate")
    assert lifted.record.used.llm_calls > 40
    assert lifted.record.budget.llm_calls is None


def test_unlimited_can_be_said_in_a_word():
    assert Budget(evaluations="unlimited", llm_calls="unlimited", usd="unlimited", seconds=1) == Budget(
        seconds=1, llm_calls=UNLIMITED
    )
    with pytest.raises(OptionError, match="llm_calls"):
        Budget(llm_calls="endless")


def test_documents_say_no_limit_as_they_always_did():
    record = solve("moead", evaluations=60).record
    assert record.budget.limits() == Budget(evaluations=60)
    old = record.model_copy(update={"budget": record.budget.model_copy(update={"llm_calls": None})})
    assert old.budget.limits().llm_calls is UNLIMITED


def test_a_run_without_a_limit_on_calls_is_prolonged(tmp_path):
    from optisolve.cli.main import main

    words = [
        "problem=uav_isac",
        "solver=opro",
        "llm=surrogate",
        "pictures=false",
        "budget.llm_calls=unlimited",
        f"out={tmp_path}",
    ]
    assert main(["run", *words, "budget.evaluations=80"]) == 0
    (first,) = (path.parent for path in tmp_path.glob("*/record.json"))
    assert main(["run", f"resume={first}", "budget.evaluations=110", "pictures=false"]) == 0
    records = optisolve.load_records(tmp_path)
    assert sorted(records["used.evaluations"]) == [80, 110]
    assert all(record.budget.llm_calls is None and record.used.llm_calls > 40 for record in records["record"])


# -- history -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["moead_lo", "nsga2", "ledma"])
def test_the_history_holds_every_point_and_changes_no_hash(solver, tmp_path):
    kept, plain = (solve(solver, REGISTERED, evaluations=250, history=which) for which in ("all", "none"))
    assert kept.result_hash == plain.result_hash
    table, instance = kept.history, kept.instance
    assert table["evaluation"].tolist() == list(range(1, 251))
    again = instance.evaluate(table[list(instance.space.names)].to_numpy())
    assert np.array_equal(table[["f1", "f2"]].to_numpy(), again.F)
    counts = table["source"].value_counts().to_dict()
    assert counts == {name: part.evaluations for name, part in kept.record.used.by_source.items()}
    assert table["seconds"].is_monotonic_increasing
    folder = kept.save(tmp_path)
    assert pd.read_parquet(folder / "history.parquet").equals(table)
    audit = optisolve.verify(folder)
    assert audit
    assert any("250 of 250 points evaluated again" in note for note in audit.notes)


def test_constraints_and_failed_points_stand_in_the_history():
    problem = SumCapSphere()
    instance = problem.instance(1)
    whole = type(instance)._evaluate

    def sometimes(self, X):
        evaluation = whole(self, X)
        evaluation.F[X[:, 0] > 2.5] = np.nan
        return evaluation

    try:
        type(instance)._evaluate = sometimes
        result = optisolve.solve(instance, "random_search", budget=Budget(evaluations=200), history="all")
    finally:
        type(instance)._evaluate = whole
    table = result.history
    failed = table[instance.objectives[0].name].isna()
    assert failed.sum() == result.record.used.failed > 0
    assert table.loc[failed, [f"G.{name}" for name in instance.constraint_names]].isna().all(axis=None)
    good = table[~failed]
    again = instance.evaluate(good[list(instance.space.names)].to_numpy())
    assert np.array_equal(good[[f"G.{name}" for name in instance.constraint_names]].to_numpy(), again.G)


def forged(folder, change):
    """The record's history after a change, with a record that vouches for the new file."""
    from hashlib import sha256

    file = folder / "history.parquet"
    table = pd.read_parquet(file)
    change(table)
    table.to_parquet(file, index=False)
    record = optisolve.load_records(folder).loc[0, "record"]
    history = record.provenance.history.model_copy(update={"sha256": sha256(file.read_bytes()).hexdigest()})
    (folder / "record.json").write_bytes(record.with_provenance(history=history).to_bytes())
    return optisolve.verify(folder)


def test_a_history_that_is_not_that_of_the_run_is_found(tmp_path):
    result = solve("moead", REGISTERED, evaluations=200, history="all")
    folder = result.save(tmp_path)

    def better(table):
        table.loc[150, ["f1", "f2"]] = [0.0, 0.0]

    def another_point(table):
        table.loc[150, "x3"] = 1.0 - table.loc[150, "x3"]

    def another_source(table):
        table["source"] = table["source"].astype(str).where(table["evaluation"] != 7, "llm")

    for change in (better, another_point, another_source, lambda table: table.pop("seconds")):
        copied = shutil.copytree(folder, tmp_path / "forged", dirs_exist_ok=True)
        audit = forged(copied, change)
        assert not audit
        assert {problem.field for problem in audit.problems} == {"history.parquet"}
    assert optisolve.verify(folder)
    (folder / "history.parquet").write_bytes(b"something else")
    assert not optisolve.verify(folder)
    (folder / "history.parquet").unlink()
    assert any("not here" in note for note in optisolve.verify(folder).notes)


def test_a_run_keeps_nothing_unless_it_is_asked(tmp_path):
    result = solve(evaluations=100)
    assert not (result.save(tmp_path) / "history.parquet").exists()
    assert "history" not in json.dumps(result.record.provenance.to_json())
    with pytest.raises(RecordError, match="history='all'"):
        result.history  # noqa: B018
    with pytest.raises(SolverError, match="'none', or 'all'"):
        solve(history="every")


def test_a_history_has_a_bound(monkeypatch):
    with pytest.raises(SolverError, match=r"at most 26,843,545"):
        solve(evaluations=10**9, history="all")
    monkeypatch.setattr("optisolve.run.evaluator.KEPT_BYTES", 4000)
    budget = Budget(seconds=60.0)
    result = optisolve.solve(ShiftedZdt1(), "random_search", budget=budget, history="all", batch_size=50)
    assert (result.termination, result.limit) == (Termination.LIMIT, optisolve.Limit.MEMORY)
    assert len(result.history) == result.record.used.evaluations == 150
    assert "has filled" in result.record.termination.detail


def test_the_command_line_keeps_a_history(tmp_path, capsys):
    from optisolve.cli.main import main

    words = ["problem=uav_isac", "solver=moead_de", "budget.evaluations=200", "pictures=false", f"out={tmp_path}"]
    assert main(["run", *words, "history=all"]) == 0
    (file,) = tmp_path.glob("*/history.parquet")
    assert len(pd.read_parquet(file)) == 200
    assert main(["verify", str(file.parent)]) == 0
    assert "200 of 200 points evaluated again" in capsys.readouterr().out

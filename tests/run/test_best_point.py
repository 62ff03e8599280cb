"""A run without a feasible point keeps its best one, says what it misses and what to do, and never counts as an answer."""

from __future__ import annotations

import json

import numpy as np
import pytest

import optisolve
from optisolve.core import Budget, PointStatus
from optisolve.registry import Registry
from optisolve.run.records import read_record
from optisolve.run.table import Row, Table
from optisolve.run.verify import verify_points
from optisolve.trust.audit import audit_record
from tests.blocks import Blocks, TwoGoalBlocks
from tests.forging import result_hash_of, seal


class BlocksRegistry(Registry):
    def get(self, name):
        return {"blocks": Blocks, "two_goal_blocks": TwoGoalBlocks}[name]


KNOWN = BlocksRegistry("problem", "none", Blocks)


def solved(*, evaluations=400, solver="moead", problem=Blocks, repairs=False, **settings):
    case = problem(repairs=repairs, **settings).instance(3)
    return optisolve.solve(case, solver, budget=Budget(evaluations=evaluations))


def test_the_least_violating_point_is_kept_and_scores_nothing():
    result = solved()
    assert not result.feasible
    assert result.point_status in (PointStatus.NEARLY_FEASIBLE, PointStatus.INFEASIBLE)
    assert result.X.shape == (1, 8)
    assert result.F.shape == (1, 1)
    history = result.run.evaluator.history
    assert result.instance.evaluate(result.X).violation[0] == history.violation.min()
    assert result.scores["objective"] is None
    assert len(result.front) == 0
    assert not any(row[2] for row in result.record.trace)


def test_the_result_the_record_and_its_table_say_what_is_missed_by_how_much_and_what_to_do(tmp_path):
    result = solved()
    worst = result.violations.sort_values("violation").iloc[-1]
    assert worst.constraint == "all_power"
    assert not worst.met
    assert worst.violation == np.abs(result.instance.evaluate(result.X).H).max()
    for part in ("all_power", f"{worst.violation:.2g}", "tolerance 1e-08", "projection", "docs/own_problem.md"):
        assert part in repr(result)
    assert [miss.name for miss in result.record.verified.missed] == ["all_power"]
    assert read_record(result.save(tmp_path)) == result.record
    rows = Table.from_json(json.loads(Table.of([Row.of(result.record)]).to_bytes())).rows
    assert rows[0].record.verified.missed == result.record.verified.missed


def test_a_front_without_a_feasible_point_keeps_one_point_too():
    result = solved(problem=TwoGoalBlocks)
    assert result.X.shape == (1, 8)
    assert result.F.shape == (1, 2)
    assert result.hypervolume == 0.0
    assert len(result.front) == 0


def test_a_feasible_result_misses_nothing():
    result = solved(repairs=True)
    assert result.feasible
    assert result.violations.met.all()
    assert result.shortfall == ""
    assert "missed" not in result.record.verified.to_json()
    assert "tolerance" not in result.record.verified.to_json()


@pytest.mark.parametrize("tolerance", [1e-8, 5e-2])
def test_records_with_and_without_a_feasible_point_are_verified(tolerance):
    result = solved(tolerance=tolerance)
    assert result.feasible == (tolerance == 5e-2)
    assert audit_record(result.record, KNOWN)
    assert result_hash_of(result.record.to_json()) == result.result_hash


def test_the_tolerance_of_a_problem_decides_what_is_feasible_and_is_part_of_the_instance():
    strict, loose = Blocks().instance(3), Blocks(tolerance=1e-3).instance(3)
    X = np.array([[3.0, 3.0, 3.0, 3.0, 0.25, 0.25, 0.25, 0.2505], [3.0, 3.0, 3.0, 3.0, 0.25, 0.25, 0.25, 0.2515]])
    assert strict.evaluate(X).feasible.tolist() == [False, False]
    assert loose.evaluate(X).feasible.tolist() == [True, False]
    assert verify_points(loose, X).counts == {"feasible": 1, "nearly_feasible": 1}
    assert verify_points(strict, X).counts == {"infeasible": 2}
    assert strict.sha256 != loose.sha256
    assert np.array_equal(loose.project(X)[0], X[0])
    assert not np.array_equal(loose.project(X)[1], X[1])


def _loosened(record):
    record["verified"]["tolerance"] = {"fair": 1e-8, "all_blocks": 1e-8, "all_power": 1.0}
    record["verified"] |= {"feasible": [True], "point": "feasible", "counts": {"feasible": 1}}
    record["scores"]["objective"] = record["verified"]["F"][0][0]


def _flattered(record):
    record["verified"]["missed"][0]["violation"] *= 0.5


def _silent(record):
    record["verified"]["missed"] = []


@pytest.mark.parametrize(
    ("forge", "field"),
    [(_loosened, "verified.tolerance"), (_flattered, "verified.missed"), (_silent, "verified.missed")],
)
def test_a_record_cannot_loosen_its_tolerance_or_belittle_what_it_misses(forge, field):
    record = solved().record.to_json()
    forge(record)
    audit = audit_record(seal(record), KNOWN)
    assert not audit
    assert any(problem.field == field for problem in audit.problems)


def test_an_infeasible_point_is_no_answer_on_the_screen(capsys):
    from optisolve.cli.display import print_summary

    result = solved()
    print_summary({"moead": result}, folder="runs/x", pictures=[])
    shown = capsys.readouterr().out
    assert "no feasible point; largest violation" in shown
    assert "all_power" in shown
    assert [line.split()[1] for line in shown.splitlines() if line.split()[:1] == ["moead"]] == ["0"]

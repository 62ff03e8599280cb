"""One loss: what the report, the leaderboard and its site print for the same records is what a reader works out by hand."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from statistics import fmean

import moocore
import numpy as np
import pytest

import optisolve
from optisolve.cli.main import main
from optisolve.content import content_dir
from optisolve.core import Budget
from optisolve.core.evaluation import Sense
from optisolve.core.reference import Effort
from optisolve.registry import PROBLEMS, SOLVERS
from optisolve.run.records import read_record
from optisolve.study.lock import lock_suite, write_lock
from optisolve.study.loss import LOSS_CAP, Yardstick, loss_of, loss_of_gap, losses_of_gaps
from optisolve.study.runner.plan import make_plan
from optisolve.study.suite import load_suite
from optisolve.trust.audit import SuiteBook
from optisolve.trust.board import build_board, read_located
from optisolve.trust.site import build_site
from tests.study.records import made

SUITE = """# A front, a proven optimum, a bound that nobody meets, and something that cannot be done.
version: "1"
seed: 5
instances: 2
repetitions: 2
budget: {evaluations: 60}
problems:
  - {problem: uav_isac, instances: [0, 1]}
  - parallel_channels
  - {problem: beamforming/sum_rate, instances: [0]}
  - power_control/min_power
solvers: [random_search, nsga2, {solver: "null", repetitions: 1}]
"""
MEASURED_TO = {
    "uav_isac": "best known front",
    "parallel_channels": "proven optimum",
    "beamforming/sum_rate": "dual bound",
    "power_control/min_power": "proven optimum",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """``tiny.yaml`` and ``records/tiny/ada/RECORD_ID``, as the leaderboard keeps them."""
    folder = tmp_path_factory.mktemp("loss")
    (folder / "tiny.yaml").write_text(SUITE)
    suite = load_suite(folder / "tiny.yaml")
    write_lock(suite)
    references = {}
    for unit in make_plan(suite, lock_suite(suite)).units:
        problem = PROBLEMS.get(unit.problem).from_mapping({**unit.params, "scenario": unit.scenario})
        instance = problem.instance(unit.instance)
        if instance.sha256 not in references:
            references[instance.sha256] = problem.reference(instance, Effort.QUICK)
        solver, budget = SOLVERS.get(unit.solver).from_mapping(unit.options), Budget(**unit.budget)
        reference, suite_part = references[instance.sha256], unit.membership()
        optisolve.solve(instance, solver, budget=budget, seed=unit.seed, reference=reference, suite=suite_part).save(
            folder / "records" / "tiny" / "ada"
        )
    return folder


@pytest.fixture(scope="module")
def by_hand(home) -> dict[str, float]:
    """Losses by record id, from points and reference alone: moocore and one subtraction, nothing of `optisolve.study`."""
    found = {}
    for file in home.rglob("record.json"):
        record = json.loads(file.read_text(encoding="utf-8"))
        verified, told = record["verified"], record["reference"]
        F = np.array([row for row, feasible in zip(verified["F"], verified["feasible"], strict=True) if feasible])
        if record["termination"]["status"] in ("error", "interrupted") or not F.size:
            found[record["record_id"]] = 1.0
            continue
        if len(verified["objectives"]) > 1:
            digest, corners = record["instance"]["sha256"], record["scores"]["box"]
            (published,) = content_dir("references").glob(f"*/{digest[:16]}.json")
            front = np.array(json.loads(published.read_text(encoding="utf-8"))["F"])
            ideal, nadir = np.array(corners["ideal"]), np.array(corners["reference"])
            own, best = (moocore.hypervolume(np.minimum((P - ideal) / (nadir - ideal), 1.0), ref=1.0) for P in (F, front))
            gap, tie = 1.0 - own / best, 1e-9
        else:
            problem = PROBLEMS.get(record["instance"]["problem"]).from_mapping(
                {**record["instance"]["params"], "scenario": record["instance"]["scenario"]}
            )
            (objective,) = problem.instance(record["instance"]["seed"]).objectives
            maximize = objective.sense is Sense.MAXIMIZE
            aim = told["value"] if told["evidence"] == "proven_optimal" else told["dual_bound"]
            scale = max(abs(told["value"] if told["value"] is not None else aim), objective.scale)
            behind = aim - F.max() if maximize else F.min() - aim
            gap, tie = behind / scale, max((told["tolerance"] + told["slack"]) / scale, 1e-9)
        found[record["record_id"]] = 0.0 if gap <= tie else min(gap, 1.0)
    return found


@pytest.fixture(scope="module")
def board(home):
    return build_board(read_located(home / "records"), SuiteBook({"tiny": load_suite(home / "tiny.yaml")}))


def test_report_and_leaderboard_print_the_loss_that_a_reader_works_out_by_hand(home, by_hand, board, tmp_path):
    assert main(["report", str(home / "records"), "--out", str(tmp_path)]) == 0
    with (tmp_path / "tables" / "units.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(by_hand) == 35
    assert {row["record_id"]: float(row["loss"]) for row in rows} == pytest.approx(by_hand, rel=1e-9, abs=1e-12)
    assert {row["scenario"]: row["measured_to"] for row in rows} == MEASURED_TO
    assert len({round(loss, 6) for loss in by_hand.values()}) > 15  # they are not all 0 or 1
    means: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        means.setdefault((row["solver"], row["scenario"]), []).append(by_hand[row["record_id"]])
    (suite,) = board.suites
    assert len(suite.entries) == 3
    for entry in suite.entries:
        told = {name: float(own.loss) for name, own in entry.problems.items()}
        wanted = {name: fmean(own) for (solver, name), own in means.items() if solver == entry.solver}
        assert told == pytest.approx(wanted, abs=6e-7)
        assert {name: own.measured_to for name, own in entry.problems.items()} == MEASURED_TO
        assert float(entry.loss) == pytest.approx(fmean(wanted.values()), abs=1e-6)


def test_the_site_shows_the_same_numbers_in_standings_and_lines(home, by_hand, board, tmp_path):
    pytest.importorskip("plotly", reason="needs the extra [report]")
    (tmp_path / "table.json").write_bytes(board.to_bytes())
    site, records, table = tmp_path / "site", str(home / "records"), str(tmp_path / "table.json")
    assert main(["leaderboard", records, "--out", str(site), "--table", table]) == 0
    page = (site / "tracks" / "tiny.html").read_text(encoding="utf-8")
    for entry in board.suites[0].entries:
        assert f'data-sort="{entry.loss}">{float(entry.loss):.3f}<' in page
    (track,) = build_site([records], board=board).tracks
    for line in track.lines:
        own = {e.solver: e.problems[line.scenario].loss for e in board.suites[0].entries}
        assert line.loss == pytest.approx(float(own[line.solver]), abs=6e-7)
        assert MEASURED_TO[line.scenario] in line.measure
    assert not re.search(r"loss[^<.]{0,40}scoring box", page)


def test_a_loss_names_what_it_is_measured_to_and_keeps_the_signed_gap(home, by_hand):
    for file in home.rglob("record.json"):
        record = read_record(file)
        loss = loss_of(record)
        assert loss.value == pytest.approx(by_hand[record.record_id], rel=1e-9, abs=1e-12)
        assert loss.yardstick in Yardstick
        assert (loss.gap is None) == (loss.value == 1.0) or loss.gap >= 1.0
    beaten = loss_of(made(gap=-0.2, evidence="best_known", dual_bound=False))
    assert (beaten.value, beaten.gap) == (0.0, -0.2)
    assert loss_of(made(gap=0.1, reference=False)).yardstick is Yardstick.NOTHING
    assert loss_of(made(gap=7.0)).value == LOSS_CAP


def test_a_gap_within_the_tie_is_no_loss_and_the_cap_can_be_lifted():
    assert [loss_of_gap(gap, 1e-3) for gap in (-1.0, 0.0, 1e-3, 1.1e-3, 3.0)] == [0.0, 0.0, 0.0, 1.1e-3, 1.0]
    assert losses_of_gaps([3.0, 0.5, -0.1], None, cap=np.inf).tolist() == [3.0, 0.5, 0.0]

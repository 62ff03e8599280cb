"""The degeneracy report tells a solved benchmark from an open one."""

from __future__ import annotations

import pytest

import optisolve
from optisolve.cli.main import main
from optisolve.study.degeneracy import degeneracy


def test_a_uniform_split_all_but_solves_the_smallest_sum_rate_set():
    """Published figure for three channels: uniform power reaches 0.998 of water-filling."""
    report = degeneracy(optisolve.load_problem("parallel_channels/msr3"), instances=20, samples=64, starts=0)
    rows = {row.policy: row for row in report.rows}
    assert rows["uniform"].ratio == pytest.approx(0.9984, abs=0.0015)
    assert rows["reference"].ratio == 1.0
    assert report.evidence == "proven_optimal"
    values = [row.value for row in report.curve.values()]
    assert values == sorted(values)


def test_a_power_control_optimum_sits_on_its_bounds_and_trivial_policies_do_not_reach_it():
    report = degeneracy(optisolve.load_problem("power_control/gaussian_k5_0db"), instances=4, samples=16, starts=4)
    assert report.at_bound == 1.0
    assert report.local_optima is not None
    assert 1 <= report.local_optima <= 4
    assert all(row.ratio < 0.95 for row in report.rows if row.policy in ("full_power", "best_link_alone"))


def test_inspect_prints_a_table_and_writes_a_picture(tmp_path, capsys):
    assert main(["inspect", "problem=parallel_channels/msr3", "--samples", "16", "--starts", "0", "--out", str(tmp_path)]) == 0
    assert "uniform" in capsys.readouterr().out
    assert (tmp_path / "inspect-parallel_channels-msr3.png").stat().st_size > 10_000
    assert main(["inspect", "parallel_channels"]) == 1
    assert "key=value" in capsys.readouterr().err

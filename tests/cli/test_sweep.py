"""Sweeps: ``optisolve run -m``, one after another or side by side through Hydra's launchers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import optisolve
from optisolve.cli.main import main

SMALL = ["solver=moead_de", "budget.evaluations=300", "pictures=false", "seed=0,1", "print=json"]


def visible(folder):
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def test_a_sweep_leaves_records_and_its_settings_out_of_the_way(tmp_path):
    assert main(["run", "-m", *SMALL, f"out={tmp_path}"]) == 0
    assert visible(tmp_path) == set(optisolve.load_records(tmp_path).record_id)
    assert (tmp_path / ".hydra" / "multirun.yaml").is_file()


VARIED = ["problem=parallel_channels", "problem.p_total_w=4,8", "solver=water_filling,null", "pictures=false"]


def test_every_block_says_what_varies_and_the_end_is_one_table(tmp_path, capsys):
    assert main(["run", "-m", *VARIED, f"out={tmp_path}"]) == 0
    blocks, _, table = capsys.readouterr().out.partition("Sweep: 4 runs")
    heads = [line for line in blocks.splitlines() if line.startswith("parallel_channels, instance 0")]
    assert heads == [
        f"parallel_channels, instance 0, seed 0, problem.p_total_w={power}, solver={solver}"
        for power in (4, 8)
        for solver in ("water_filling", "null")
    ]
    head, *rows = [line.split() for line in table.splitlines() if line.strip() and "─" not in line]
    assert head[:4] == ["p_total_w", "solver", "objective", "gap"]
    assert [row[:2] for row in rows] == [[power, solver] for power in "48" for solver in ("water_filling", "null")]
    records = optisolve.load_records(tmp_path).sort_values(["param.p_total_w", "scores.objective"], ascending=[True, False])
    assert [float(row[2]) for row in rows] == pytest.approx(list(records["scores.objective"]), abs=1e-4)
    assert list(records["param.p_total_w"]) == [4, 4, 8, 8]


def test_a_job_that_fails_has_its_row(tmp_path, capsys):
    assert main(["run", "-m", *VARIED[:1], "solver=null,wmmse", "pictures=false", f"out={tmp_path}"]) == 1
    told = capsys.readouterr()
    assert told.out.partition("Sweep: 2 runs")[2].split()[-2:] == ["wmmse", "failed"] or "failed" in told.out
    assert "wmmse cannot solve parallel_channels" in told.err


def test_a_sweep_for_another_program_prints_records_only(tmp_path, capsys):
    assert main(["run", "-m", *VARIED, "print=json", f"out={tmp_path}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert all(json.loads(line)["record_id"] for line in lines)


def test_a_file_of_settings_can_be_swept_over(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("my.yaml").write_text("problem: parallel_channels\nsolver: null\npictures: false\nseed: 7\n")
    assert main(["run", "-m", "config=my.yaml", "solver=null,random_search", "budget.evaluations=10"]) == 0
    assert set(optisolve.load_records("runs")["solver"]) == {"null", "random_search"}
    assert set(optisolve.load_records("runs")["seed"]) == {7}


def test_the_joblib_launcher_gives_the_same_results(tmp_path, capfd):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="needs the extra [sweep]")
    side_by_side = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    assert main(["run", "-m", *SMALL, f"out={tmp_path / 'one'}"]) == 0
    assert main(["run", "-m", *SMALL, *side_by_side, f"out={tmp_path / 'two'}"]) == 0
    one, two = (set(optisolve.load_records(tmp_path / name).result_hash) for name in ("one", "two"))
    assert len(one) == 2
    assert one == two


def test_a_job_that_fails_in_another_process_fails_the_sweep_and_not_the_other_jobs(tmp_path, capfd):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="needs the extra [sweep]")
    jobs = ["solver=branch_and_bound,moead_de", "budget.evaluations=300", "pictures=false", "print=json"]
    assert main(["run", "-m", *jobs, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", f"out={tmp_path}"]) == 1
    assert list(optisolve.load_records(tmp_path).solver) == ["moead_de"]


def test_without_the_launcher_the_message_names_the_extra(tmp_path, monkeypatch, capsys):
    from hydra.errors import MissingConfigException

    def missing(*_args, **_kwargs):
        raise MissingConfigException("no", missing_cfg_file="hydra/launcher/joblib")

    monkeypatch.setattr("optisolve.cli.compose.hydra.main", lambda **_: lambda _job: missing)
    assert main(["run", "-m", *SMALL, "hydra/launcher=joblib", f"out={tmp_path}"]) == 1
    assert "optisolve[sweep]" in capsys.readouterr().err

"""Sweeps: ``optisolve run -m``, one after another or side by side through Hydra's launchers."""

from __future__ import annotations

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

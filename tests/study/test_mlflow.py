"""MLflow hears of every record, and can do no harm."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

import optisolve
from optisolve.cli.main import main
from optisolve.core.errors import MissingDependency
from optisolve.study.runner import run_suite
from optisolve.study.tracking import MlflowTracker


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A real tracking server on SQLite, on loopback."""
    pytest.importorskip("mlflow", reason="needs the extra [mlflow]")
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/runs.db", "--artifacts-destination", str(folder / "files")]
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    uri = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 300
        while not answers(f"{uri}/health"):
            assert process.poll() is None, (folder / "log.txt").read_text()
            assert time.monotonic() < deadline, (folder / "log.txt").read_text()
            time.sleep(0.2)
        yield uri
    finally:
        os.killpg(process.pid, 15)
        process.wait(timeout=30)


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:
            return reply.status == 200
    except OSError:
        return False


def runs(uri, suite="tiny"):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(f"optisolve/{suite}")
    return client, {run.data.tags["optisolve.unit"]: run for run in client.search_runs([experiment.experiment_id])}


@pytest.mark.slow
def test_every_unit_is_a_run_with_parameters_metrics_curve_and_files(suite_of, tmp_path, server):
    path = suite_of(instances=1, repetitions=1, solvers=["moead_de", {"solver": "misbehaving", "options": {"then": "raise"}}])
    out = tmp_path / "out"
    arguments = ["bench", f"suite={path}", f"out={out}", "executor=serial", "tracker=mlflow", f"tracker.uri={server}"]
    assert main([*arguments, "only=solver:moead_de"]) == 0
    client, found = runs(server)
    table = optisolve.load_records(out)
    assert {run.data.tags["record_id"] for run in found.values()} == set(table.record_id)
    (row,) = table[table.scenario == "toy_zdt1"].to_dict("records")
    run = found[row["record"].suite.unit]
    assert run.info.status == "FINISHED"
    assert run.data.metrics["scores.hypervolume"] == row["scores.hypervolume"]
    assert run.data.metrics["used.evaluations"] == 60
    assert run.data.params["solver.name"] == "moead_de"
    assert run.data.params["problem.n_variables"] == "5"
    curve = client.get_metric_history(run.info.run_id, "trace.value")
    assert [(point.step, point.value) for point in curve] == [(r[0], r[2]) for r in row["record"].trace if r[2] is not None]
    files = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert files == {"record.json", "front.parquet", "trace.parquet"}
    assert main(arguments) == 1  # the others are added, among them failed ones; nothing is sent twice
    assert len(runs(server)[1]) == len(optisolve.load_records(out)) == 4


@pytest.mark.slow
def test_what_the_tracker_missed_is_sent_by_the_next_run(suite_of, tmp_path, server):
    path = suite_of("later", instances=1, repetitions=1)
    run_suite(path, tmp_path, executor="serial")
    done = run_suite(path, tmp_path, executor="serial", tracker=MlflowTracker("later", server))
    assert done.executed == 0
    assert set(runs(server, "later")[1]) == {unit.id for unit in done.finished}


def test_a_server_that_is_not_there_costs_no_record(suite_of, tmp_path, capsys):
    pytest.importorskip("mlflow", reason="needs the extra [mlflow]")
    path = suite_of(instances=1, repetitions=1)
    uri = f"http://127.0.0.1:{free_port()}"
    assert main(["bench", f"suite={path}", f"out={tmp_path}", "executor=serial", "tracker=mlflow", f"tracker.uri={uri}"]) == 0
    assert len(optisolve.load_records(tmp_path)) == 4
    assert "tracking stopped" in capsys.readouterr().out


def test_a_tracker_that_breaks_in_the_middle_costs_no_record(suite_of, tmp_path):
    class Breaking:
        told = 0

        def known(self):
            return set()

        def log(self, unit_id, record, files):
            self.told += 1
            if self.told == 2:
                raise ConnectionError("http://me:secret@host/api is gone")

        def close(self):
            raise AssertionError("a tracker that gave up is left alone")

    tracker = Breaking()
    done = run_suite(suite_of(instances=1), tmp_path, executor="serial", tracker=tracker)
    assert (done.executed, tracker.told) == (8, 2)
    assert len(done.notices) == 1
    assert "host/api is gone" in done.notices[0]
    assert "secret" not in done.notices[0]


def test_without_mlflow_the_message_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.setitem(sys.modules, "mlflow.tracking", None)
    with pytest.raises(MissingDependency, match=r"optisolve\[mlflow\]"):
        MlflowTracker("smoke")

"""The same suite on a Ray cluster of two nodes, one of which dies."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import pytest

import optisolve
from optisolve.core.errors import MissingDependency, OptisolveError
from optisolve.study.runner import run_suite
from optisolve.study.runner.ray_executor import ray_executor

ray = pytest.importorskip("ray", reason="needs the extra [ray]")

PLUGINS = Path(__file__).parents[1] / "plugins"
NODE = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    """A folder; for every file in it one child is killed while it starts."""
    return tmp_path_factory.mktemp("tokens")


@pytest.fixture(scope="module")
def nodes(tokens):
    """A cluster of one node with one core, on this machine, with the plug-in installed."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("PYTHONPATH", str(PLUGINS))
        patch.setenv("KILLED_AT_START", str(tokens))
        made = Cluster(initialize_head=True, head_node_args=NODE)
        try:
            yield made
        finally:
            ray.shutdown()
            made.shutdown()


@pytest.fixture
def cluster(nodes, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    return nodes


def hashes(folder):
    table = optisolve.load_records(folder)
    assert table.record_id.is_unique
    return sorted(table.result_hash)


def test_a_unit_that_kills_its_process_is_a_failure_on_a_cluster_too(suite_of, cluster, tmp_path):
    ways = [{"solver": "misbehaving", "label": way, "options": {"then": way}} for way in ("kill", "raise")]
    path = suite_of(problems=["toy_zdt1"], instances=1, repetitions=1, solvers=[*ways, "random_search"])
    done = run_suite(path, tmp_path / "ray", executor="ray", address=cluster.address)
    run_suite(path, tmp_path / "serial", executor="serial")
    assert {unit.label: detail.partition(",")[0] for unit, detail in done.failures} == {
        "kill": "its process was killed by SIGKILL",
        "raise": "misbehaving broke before its first evaluation: a bug of the plug-in",
    }
    assert hashes(tmp_path / "ray") == hashes(tmp_path / "serial")


def test_a_child_that_is_killed_while_it_starts_costs_nothing(suite_of, cluster, tokens, tmp_path):
    """The first unit makes its child die of itself, so that the second one needs a new one, which is killed twice."""
    dying = {"solver": "misbehaving", "options": {"then": "exit"}}
    path = suite_of(problems=["toy_zdt1"], instances=1, repetitions=1, solvers=[dying, "random_search", "moead_de"])
    for name in ("first", "second"):
        (tokens / name).touch()
    done = run_suite(path, tmp_path / "ray", executor="ray", address=cluster.address)
    assert not list(tokens.iterdir())
    assert [unit.label for unit, _ in done.failures] == ["misbehaving"]
    assert done.missing == 0


def test_two_nodes_make_the_same_records_and_the_death_of_one_loses_and_doubles_nothing(suite_of, cluster, tmp_path):
    signs = tmp_path / "signs"
    signs.mkdir()
    patient = {"solver": "patient", "options": {"seconds": 2.0, "sign": str(signs)}}
    path = suite_of(problems=["toy_zdt1"], instances=4, solvers=["moead_de", patient])
    doomed = cluster.add_node(**NODE)
    cluster.wait_for_nodes()

    def at_work():  # workers that began a unit of two seconds less than 1.6 seconds ago
        return {sign.name.split("-")[1] for sign in signs.iterdir() if time.time() - sign.stat().st_mtime < 1.6}

    def kill():
        while len(at_work()) < 2:
            time.sleep(0.02)
        cluster.remove_node(doomed, allow_graceful=False)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    done = run_suite(path, tmp_path / "ray", executor="ray", address=cluster.address)
    killer.join(timeout=5)
    assert not killer.is_alive()
    assert (done.executed, done.missing, len(done.failures)) == (16, 0, 0)
    assert len(list(signs.iterdir())) > 8  # the unit on the dead node was begun again
    run_suite(path, tmp_path / "serial", executor="serial")
    assert hashes(tmp_path / "ray") == hashes(tmp_path / "serial")
    again = run_suite(path, tmp_path / "ray", executor="ray", address=cluster.address)
    assert again.executed == 0


def test_no_cluster_and_no_ray_are_clear_errors(suite_of, tmp_path, monkeypatch):
    with pytest.raises(OptisolveError, match="no Ray cluster there"):
        run_suite(suite_of(), tmp_path, executor="ray", address="127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependency, match=r"optisolve\[ray\]"):
        next(ray_executor([], address="local", workers=1, threads=1))

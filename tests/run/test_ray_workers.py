"""Evaluations on a Ray cluster of two nodes, one of which dies."""

from __future__ import annotations

import os
import threading
import time

import pytest

import optisolve
from optisolve.core.errors import OptisolveError
from tests.run import troubles
from tests.run.troubles import began, problem_that

ray = pytest.importorskip("ray", reason="needs the extra [ray]")

NODE = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}


@pytest.fixture(scope="module")
def nodes():
    """A cluster of one node with one core, on this machine."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
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


def solved(problem, evaluations, **settings):
    return optisolve.solve(problem, "random_search", budget=optisolve.Budget(evaluations=evaluations), seed=1, **settings)


def test_troubles_on_a_cluster_are_those_of_one_machine(cluster, tmp_path):
    limit = {"evaluation_limit_s": 0.5}
    expected = solved(problem_that(troubles.hangs, tmp_path), 8, workers=2, **limit)
    result = solved(problem_that(troubles.hangs, tmp_path), 8, workers=2, executor="ray", address=cluster.address, **limit)
    assert result.result_hash == expected.result_hash
    assert result.record.used.failed == expected.record.used.failed > 0
    assert result.record.provenance.failed.first == expected.record.provenance.failed.first


def test_the_death_of_a_node_in_the_middle_loses_and_doubles_nothing(cluster, tmp_path):
    def waits(folder, _x):
        """The first evaluation of a process takes so long that its node is dead before it ends."""
        first = (folder / f"calls-{os.getpid()}").read_text("utf-8").count("\n") == 1
        time.sleep(5.0 if first else 0.05)

    calm, dying = tmp_path / "calm", tmp_path / "dying"
    for folder in (calm, dying):
        folder.mkdir()
    expected = solved(problem_that(waits, calm, everywhere=True), 40)
    problem = problem_that(waits, dying, everywhere=True)
    before = {file.name for file in dying.iterdir()}  # this process, which has probed the functions
    doomed = cluster.add_node(**NODE)
    cluster.wait_for_nodes()

    def kill():
        while len({file.name for file in dying.iterdir()} - before) < 2:  # both nodes are at work
            time.sleep(0.02)
        cluster.remove_node(doomed, allow_graceful=False)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    result = solved(problem, 40, workers=4, executor="ray", address=cluster.address)
    killer.join(timeout=5.0)
    assert not killer.is_alive()
    assert result.result_hash == expected.result_hash
    assert result.record.used.evaluations == 40 == len(result.run.evaluator.history)
    assert result.record.used.failed == 0
    redone = result.record.provenance.workers.redone
    assert redone >= 1
    assert len(began(dying)) >= len(began(calm)) + 1, "what was on the dead node was begun again"


def test_no_cluster_is_one_clear_error(tmp_path):
    with pytest.raises(OptisolveError, match="no Ray cluster there"):
        solved(problem_that(troubles.raises, tmp_path), 4, workers=2, executor="ray", address="127.0.0.1:1")

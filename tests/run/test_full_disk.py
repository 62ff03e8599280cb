"""A full disk: the file is named, what is complete is said and shown, and nothing half written is left."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import optisolve
from optisolve.core.documents import write_atomic
from optisolve.plotting import save_figure
from optisolve.plotting.style import new_figure
from optisolve.study.runner.store import open_store

ROOT = Path(optisolve.__file__).parents[1]
RUN = ["run", "problem=uav_isac", "solver=random_search", "budget.evaluations=300", "reference=none"]


@pytest.fixture
def on_a_disk_of(tmp_path):
    """Runs the command line with its output on a file system of so many kB; gives the process and what is left there."""
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("no unshare on this system")

    def run(kilobytes, *words):
        disk = tmp_path / "disk"
        disk.mkdir()
        script = (
            f"mount -t tmpfs -o size={kilobytes}k tmpfs {disk} || exit 77\n"
            f'"$@" out={disk}; code=$?; cd {disk}; find . -mindepth 1 | sed "s/^/LEFT /"; exit $code'
        )
        command = [unshare, "-m", "sh", "-c", script, "sh", sys.executable, "-m", "optisolve", *words]
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if done.returncode == 77 or "unshare" in done.stderr:
            pytest.skip("this system lets nobody mount")
        lines = done.stdout.splitlines()
        return done, [Path(line.removeprefix("LEFT ")) for line in lines if line.startswith("LEFT ")]

    return run


def test_no_room_for_the_record_names_the_file_and_leaves_nothing(on_a_disk_of):
    done, left = on_a_disk_of(4, *RUN)
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("error: No space left on device: ")
    assert line.endswith("front.parquet; no record was written")
    assert left == []


def test_no_room_for_pictures_still_shows_the_record_and_its_scores(on_a_disk_of):
    done, left = on_a_disk_of(40, *RUN)
    assert done.returncode == 1
    assert "front.png; the record in" in done.stderr
    assert "hypervolume" in done.stdout
    assert "record:" in done.stdout
    names = {path.name for path in left}
    assert {"record.json", "front.parquet", "trace.parquet"} <= names
    assert not any(name.endswith(".png") or name.startswith(".") for name in names)


def test_no_room_in_a_suite_is_no_failure_of_its_solvers(on_a_disk_of, suite_of):
    """Finished units are kept whole; the unit that did not fit has no record, so that it is run again."""
    suite = suite_of(problems=["toy_zdt1"], solvers=["random_search", "moead_de"])
    done, left = on_a_disk_of(100, "bench", f"suite={suite}", "executor=serial")
    assert done.returncode == 1
    assert "error: No space left on device: " in done.stderr
    assert "finished units are complete, the same command goes on" in done.stderr
    assert not [path for path in left if path.name.startswith((".saving-", ".running-"))]
    records = [path for path in left if path.name == "record.json"]
    assert 0 < len(records) < 8
    units = {path.parent for path in left if path.suffix == ".parquet"}
    assert units == {path.parent for path in records}


@pytest.fixture
def full(monkeypatch):
    def no_room(*_args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", no_room)


def test_a_write_that_fails_names_the_file_that_was_meant(tmp_path, full):
    with pytest.raises(OSError, match=r"\[Errno 28\] No space left on device: '.*record\.json'$"):
        write_atomic(tmp_path / "record.json", b"{}")
    assert list(tmp_path.iterdir()) == []


def test_a_result_a_unit_and_a_picture_leave_nothing_behind(tmp_path, full):
    instance = optisolve.load_problem("power_control").instance(0)
    result = optisolve.solve(instance, "wmmse", budget=optisolve.Budget(evaluations=20))
    (tmp_path / "suite").mkdir()
    figure, axes = new_figure("a title", "a place")
    axes.plot(np.arange(3))
    for attempt in (
        lambda: result.save(tmp_path),
        lambda: open_store(str(tmp_path), "suite").write("unit", {"record.json": b"{}"}),
        lambda: save_figure(figure, tmp_path / "front.png"),
    ):
        with pytest.raises(OSError, match="No space left on device: '"):
            attempt()
    assert [path.name for path in tmp_path.rglob("*")] == ["suite"]

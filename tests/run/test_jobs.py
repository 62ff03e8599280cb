"""Folders of runs that are not finished: who may go on in them, and what a killed writer leaves there."""

import os
import shutil
import time

import pytest

from optisolve.core.budget import Budget
from optisolve.core.errors import RecordError
from optisolve.registry import load_problem, load_solver
from optisolve.run.jobs import join_job, open_job, unfinished
from optisolve.run.solve import solve
from optisolve.trust.audit import verify

SETTINGS = {"solver": "moead_de", "seed": 3}


def finish(job):
    """A small run in the folder; the record's folder."""
    solver = load_solver("moead_de", pop_size=8, n_neighbors=4)
    result = solve(load_problem("uav_isac", n_uavs=1, n_users=3), solver, budget=Budget(evaluations=32), scratch=job.path)
    folder = result.save(job.path.parent)
    job.release(at=folder)
    return folder


def test_a_process_that_waited_is_given_the_record_of_the_other_one(tmp_path):
    first = join_job(tmp_path, "run", SETTINGS)
    folders = []
    second = join_job(tmp_path, "run", SETTINGS, on_wait=lambda _: folders.append(finish(first)))
    assert [second] == folders
    assert verify(second)
    assert not unfinished(tmp_path)
    assert join_job(tmp_path, "run", SETTINGS) == second


def test_what_a_killed_writer_left_half_written_is_not_published(tmp_path):
    job = join_job(tmp_path, "run", SETTINGS)
    for name in ("front.parquet", ".record.json.k3x9", "record.json", "curve.json"):
        (job.path / name).write_bytes(b"PAR1 half of i")
    (job.path / "transcript.jsonl").write_bytes(b"")
    job.release()
    again = join_job(tmp_path, "run", SETTINGS)
    assert again.path == job.path
    assert {path.name for path in again.path.iterdir()} == {"job.json", "transcript.jsonl", ".lock"}


def test_a_run_that_is_published_while_it_is_looked_at_leaves_no_second_folder(tmp_path):
    job = open_job(tmp_path, "run", SETTINGS)
    away = job.path.rename(tmp_path / "published")
    job.path.mkdir()  # as the lock of a process that came too late would make it
    job.release(at=away)
    (job.path / "job.json").write_text("{}")
    assert join_job(tmp_path, "run", SETTINGS).path != job.path


def test_folders_whose_makers_died_are_swept_when_they_are_old(tmp_path):
    for name in (".starting-old", ".saving-old", ".starting-new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "job.json").write_text("{}")
    hours_ago = time.time() - 3 * 3600.0
    for name in (".starting-old", ".saving-old"):
        os.utime(tmp_path / name, (hours_ago, hours_ago))
    join_job(tmp_path, "run", SETTINGS)
    assert {path.name for path in tmp_path.glob(".st*")} | {path.name for path in tmp_path.glob(".sa*")} == {".starting-new"}


def test_a_failed_run_removes_its_folder_before_it_lets_go(tmp_path):
    job = join_job(tmp_path, "run", SETTINGS)
    job.discard_when_empty()
    assert not job.path.exists()
    assert not isinstance(join_job(tmp_path, "run", SETTINGS), type(tmp_path))


def test_a_result_may_be_saved_twice_and_keeps_its_transcript(tmp_path):
    solver = load_solver("ledma", pop_size=8, n_neighbors=4, mix="llm_only")
    problem, budget = load_problem("uav_isac", n_uavs=1, n_users=3), Budget(evaluations=32)
    result = solve(problem, solver, budget=budget, llm="surrogate", scratch=tmp_path / "first" / "it.running")
    folders = [result.save(tmp_path / name) for name in ("first", "second", "second")]
    assert folders[1] == folders[2]
    for folder in folders:
        assert verify(folder).tier == "verified"


def test_a_transcript_that_vanished_is_an_error_and_not_a_record_without_it(tmp_path):
    solver = load_solver("ledma", pop_size=8, n_neighbors=4, mix="llm_only")
    problem, budget = load_problem("uav_isac", n_uavs=1, n_users=3), Budget(evaluations=32)
    result = solve(problem, solver, budget=budget, llm="surrogate", scratch=tmp_path / "it.running")
    shutil.rmtree(tmp_path / "it.running")
    with pytest.raises(RecordError, match="transcript"):
        result.save(tmp_path)
    assert not list(tmp_path.iterdir())

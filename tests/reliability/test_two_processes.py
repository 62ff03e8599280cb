"""Processes that write to the same place: nothing is lost, nothing is done twice."""

import json
import time
from pathlib import Path

import pytest

from optisolve.run.jobs import unfinished
from optisolve.run.records import iter_records, read_record
from optisolve.testing.llm_server import LlmServer
from optisolve.trust.audit import verify
from tests.reliability.child import start
from tests.reliability.family import words
from tests.reliability.gate import Gate

LIMIT_S = 120.0
NAME = "ledma llm_only batch 1"


def finish(*processes):
    for process in processes:
        process.join(LIMIT_S)
    assert [process.exitcode for process in processes] == [0] * len(processes)


def wait_for(file: Path, text: str) -> None:
    """Until a process has said something; a process that does not fails the test."""
    deadline = time.monotonic() + LIMIT_S
    while not (file.is_file() and text in file.read_text()):
        assert time.monotonic() < deadline, file.read_text()
        time.sleep(0.02)


def first_and_waiting(server: LlmServer, gate: Gate, out: Path, folder: Path):
    """A process with calls in flight and one that waits for it; the gate is open again."""
    asked = [*words(NAME, server), f"resume={out}"]
    gate.close_after(5)
    first = start(asked, folder / "first")
    assert gate.held.wait(LIMIT_S)
    second = start(asked, folder / "second")
    wait_for(folder / "second", "another process is at this run")
    gate.open()
    return first, second


def test_a_run_that_two_processes_are_asked_for_is_done_once(tmp_path):
    gate, out = Gate(), tmp_path / "out"
    with LlmServer(latency_s=gate) as server:
        first, second = first_and_waiting(server, gate, out, tmp_path)
        server.release()
        finish(first, second)
        (file,) = iter_records(out)
        assert server.calls == read_record(file).used.llm_calls
    assert not unfinished(out)
    assert verify(file, effort=None)
    told = [json.loads((tmp_path / name).read_text().splitlines()[-1]) for name in ("first", "second")]
    assert told[0] == told[1] == read_record(file).to_json()


def test_a_process_that_waits_goes_on_when_the_other_one_is_killed(tmp_path):
    gate, out = Gate(), tmp_path / "out"
    with LlmServer(latency_s=gate) as server:
        first, second = first_and_waiting(server, gate, out, tmp_path)
        first.kill()
        finish(second)
        (file,) = iter_records(out)
        in_flight = server.calls - read_record(file).used.llm_calls
    assert 1 <= in_flight <= 4 + 5  # those that were held, and those whose reply the first one may not have had time to write
    assert verify(file, effort=None)


@pytest.mark.parametrize("processes", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_processes_with_one_output_folder_keep_all_records(processes, tmp_path):
    out = tmp_path / "out"
    with LlmServer() as server:
        running = [start([*words(NAME, server), f"out={out}"], tmp_path / f"output{i}") for i in range(processes)]
        finish(*running)
    records = [read_record(file) for file in iter_records(out)]
    assert len({record.record_id for record in records}) == len(records) == processes
    assert len({record.result_hash for record in records}) == 1
    assert all(verify(file, effort=None) for file in iter_records(out))
    assert not [path for path in out.iterdir() if path.name.startswith(".") or path.suffix == ".running"]


@pytest.mark.parametrize("processes", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_processes_with_one_cache_leave_every_reply_in_it_once(processes, tmp_path):
    cache = tmp_path / "cache"
    with LlmServer() as server:
        asked = [*words(NAME, server), f"llm.cache={cache}"]
        finish(*(start([*asked, f"out={tmp_path / str(i)}"], tmp_path / f"output{i}") for i in range(processes)))
        before = server.calls
        finish(start([*asked, f"out={tmp_path / 'last'}"], tmp_path / "last-output"))
        assert server.calls == before  # whatever the others asked, one reply to every question was kept
        (last,) = iter_records(tmp_path / "last")
        record = read_record(last)
    assert len(list(cache.rglob("*.json"))) == record.used.llm_calls == record.provenance.llm_cache.calls
    assert not [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".json"]
    files = [file for i in range(processes) for file in iter_records(tmp_path / str(i))]
    assert {read_record(file).result_hash for file in files} == {record.result_hash}
    assert all(verify(file, effort=None) for file in files)


@pytest.mark.slow
def test_many_processes_with_few_runs_do_every_run_once(tmp_path, tell):
    out = tmp_path / "out"
    with LlmServer() as server:
        seeds = [0, 1, 2, 3] * 3
        running = [
            start([*words(NAME, server), f"seed={s}", f"resume={out}"], tmp_path / f"output{i}") for i, s in enumerate(seeds)
        ]
        finish(*running)
        records = [read_record(file) for file in iter_records(out)]
        assert sorted(record.seed for record in records) == [0, 1, 2, 3]
        assert server.calls == sum(record.used.llm_calls for record in records)
    tell(f"{len(seeds)} processes for 4 runs in one folder: 4 records, {server.calls} calls, none twice")

"""Ctrl-C at any moment: the record of what was done so far holds under verification, and the run can go on."""

import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from optisolve.cli.main import main
from optisolve.run.jobs import SUFFIX
from optisolve.run.records import iter_records, read_record
from optisolve.testing.llm_server import LlmServer
from tests.reliability.family import COMMON, SMALL, UAV, words
from tests.reliability.gate import Gate

LONG = ["budget.evaluations=2000000000", "budget.llm_calls=1000000000"]
KINDS = {
    "ledma, surrogate": [*COMMON, *UAV, *SMALL, *LONG, "solver=ledma", "llm=surrogate", "solver.mix=llm_only"],
    "ledma, all options": [
        *(*COMMON, *UAV, *SMALL, *LONG, "solver=ledma", "llm=surrogate", "solver.batch_subproblems=3"),
        *("solver.style=schema", "solver.reflect_every=1", "solver.distill=true", "solver.llm_call_cost=0"),
    ],
    "opro": [*COMMON, *UAV, *LONG, "solver=opro", "llm=surrogate", "solver.n_initial=10"],
    "moead_de": [*COMMON, *UAV, *SMALL, LONG[0], "solver=moead_de"],
    "nsga2": [*COMMON, *UAV, LONG[0], "solver=nsga2"],
}


@pytest.fixture(autouse=True, scope="module")
def _loaded(tmp_path_factory):
    """Everything is imported: a process that is interrupted in an import ends, this one must go on with whole modules."""
    for name in ("ledma, all options", "nsga2"):
        assert main(["run", *KINDS[name], "budget.evaluations=60", f"out={tmp_path_factory.mktemp('loaded')}"]) == 0


@pytest.fixture(autouse=True)
def _handlers():
    """The command line sets a handler of its own."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def interrupted(arguments: list[str], out: Path, ready: Callable[[], Any], after_s: float = 0.0) -> int:
    """Run what does not end by itself until an interrupt some time after it is ready; the exit code."""
    thread, ending, over = threading.main_thread().ident, threading.Lock(), []
    assert thread is not None

    def stop() -> None:
        while not ready():
            time.sleep(0.01)
        time.sleep(after_s)
        with ending:
            if not over:
                signal.pthread_kill(thread, signal.SIGINT)

    stopper = threading.Thread(target=stop, daemon=True)
    stopper.start()
    code = main(["run", *arguments, f"out={out}"])
    with ending:
        over.append(True)
    stopper.join()
    return code


def interrupt(name: str, count: int, folder: Path, capsys: Any) -> int:
    """Interrupt so many runs; how many had evaluated something and so have a record."""
    rng = random.Random(name)
    records = 0
    for number in range(count):
        out = folder / str(number)
        code = interrupted(KINDS[name], out, lambda out=out: list(out.glob(f"*{SUFFIX}")), rng.uniform(0.0, 0.6))
        told = capsys.readouterr()
        assert code in (1, 130), (code, told.err)  # 1: before anything was evaluated
        assert "Traceback" not in told.err
        for file in iter_records(out):
            assert read_record(file).termination.status == "interrupted"
            assert main(["verify", "--effort", "none", str(file)]) == 0, capsys.readouterr().out
            records += 1
    return records


@pytest.mark.parametrize("name", ["ledma, all options"])
def test_an_interrupted_run_leaves_a_record_that_holds(name, tmp_path, capsys):
    assert interrupt(name, 3, tmp_path, capsys) > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_forty_interrupts_leave_records_that_hold(name, tmp_path, capsys, tell):
    records = interrupt(name, 40, tmp_path, capsys)
    assert records > 0  # on a busy machine many interrupts come before the first evaluation
    tell(f"{name}: 40 interrupts at random moments, {records} records, all verified; the others had evaluated nothing yet")


@pytest.mark.parametrize("count", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_an_interrupted_run_goes_on_to_the_same_hash(count, tmp_path, capsys, tell):
    gate = Gate()
    with LlmServer(latency_s=gate) as server:
        arguments = words("ledma all options", server)[1:]
        assert main(["run", *arguments, f"out={tmp_path / 'whole'}"]) == 0
        (file,) = iter_records(tmp_path / "whole")
        whole, rng, asked = read_record(file).result_hash, random.Random(1), server.calls
        for number in range(count):
            out = tmp_path / str(number)
            gate.close_after(rng.randrange(asked))
            assert interrupted(arguments, out, gate.held.is_set) == 130
            gate.open()
            assert main(["run", *arguments, f"resume={out}"]) == 0, capsys.readouterr().err
            records = [read_record(path) for path in iter_records(out)]
            assert sorted(r.termination.status for r in records) == ["interrupted", "limit"]
            assert [r.result_hash for r in records if r.termination.status == "limit"] == [whole]
    tell(f"ledma all options: {count} interrupts while calls were in flight, all went on to the same hash")

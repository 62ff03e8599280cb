"""Runs that are killed with SIGKILL, again and again: every one ends with the hash of the run that nobody disturbed."""

import json
import random
import signal
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from optisolve.run.jobs import unfinished
from optisolve.run.records import iter_records, read_record
from optisolve.run.schema import Record
from optisolve.testing.llm_server import LlmServer
from optisolve.trust.audit import verify
from optisolve.trust.replay import replay
from tests.reliability.child import start
from tests.reliability.family import words
from tests.reliability.gate import Gate

LIMIT_S = 120.0
"""For one process; a machine under load needs a few seconds."""
ASKING = ("ledma llm_only batch 1", "ledma all options", "opro")
PLAIN = ("ledma_control de", "moead", "moead_de", "moead_lo", "nsga2", "nsga3", "sms_emoa", "cma_es")


class Bed:
    """One kind of run, its server, and what became of it."""

    def __init__(self, name: str, folder: Path, server: LlmServer, gate: Gate) -> None:
        self.server, self.gate, self.folder = server, gate, folder
        self.words = words(name, server)
        self.killed: Counter[str] = Counter()
        self.asked_again = self.recalled = self.number = 0
        start(["--version"], self._output()).join()  # loads what all children share
        began = time.monotonic()
        self.whole = self.finish(folder / "whole")
        self.seconds = time.monotonic() - began
        self.calls, self.changes = server.calls, int(Path(f"{self._output(0)}.changes").read_text())

    def finish(self, out: Path) -> Record:
        """Run to the end, as often as it takes; the record."""
        self.gate.open()
        process = start([*self.words, f"resume={out}"], self._output(), die_in=out)
        process.join(LIMIT_S)
        assert process.exitcode == 0, (process.exitcode, self._told())
        (file,) = iter_records(out)
        return read_record(file)

    def kill(self, kind: str, rng: random.Random, out: Path) -> bool:
        """Start it and kill it; False when it was done before that."""
        known = len(self.server.log)
        recorded = questions_in(out)
        at = rng.randrange(self.changes) if kind == "while a file changes" else -1
        if kind == "in a wave":
            self.gate.close_after(rng.randrange(max(1, self.calls - len(recorded))))
        process = start([*self.words, f"resume={out}"], self._output(), die_in=out, die_at=at)
        if kind == "in a wave":
            while not self.gate.held.wait(0.05) and process.is_alive():
                pass
        elif kind == "at any time":
            process.join(rng.uniform(0.0, self.seconds))
        if kind != "while a file changes":
            process.kill()
        process.join(LIMIT_S)
        self.gate.open()
        self.check_questions(known, recorded)
        if process.exitcode == 0:
            return False
        assert process.exitcode == -signal.SIGKILL, (process.exitcode, self._told())
        self.killed[kind] += 1
        return True

    def check_questions(self, known: int, recorded: Counter[str]) -> None:
        """What stood in the transcript when a process began was not asked by it."""
        asked = Counter(question(call.body) for call in self.server.log[known:])
        assert not asked & recorded, "a reply that was paid for and recorded was asked for again"
        self.recalled += recorded.total()

    def _output(self, further: int = 1) -> Path:
        self.number += further
        return self.folder / f"output{self.number}"

    def _told(self) -> str:
        return (self.folder / f"output{self.number}").read_text()[-3000:]


def question(body: Mapping[str, Any]) -> str:
    """What identifies a request, on the wire as in a transcript."""
    return json.dumps([body.get("prompt") or body["messages"], body["seed"]], sort_keys=True)


def questions_in(out: Path) -> Counter[str]:
    """The requests whose reply stands in the transcript of an unfinished run."""
    lines = [line for folder in unfinished(out) for line in _lines(folder / "transcript.jsonl")]
    rows = [row for row in lines if row["type"] == "call"]
    return Counter(question(row["request"]) for row in rows)


def _lines(path: Path) -> list[dict[str, Any]]:
    data = path.read_bytes() if path.is_file() else b""
    return [json.loads(line) for line in data[: data.rfind(b"\n") + 1].splitlines()]


KINDS = ("in a wave", "while a file changes", "at any time")


def kills(name: str, count: int, folder: Path, tell: Any) -> None:
    rng = random.Random(name)
    gate = Gate()
    with LlmServer(latency_s=gate) as server:
        bed = Bed(name, folder, server, gate)
        kinds = KINDS if bed.calls else KINDS[1:]  # nothing is asked: no wave in flight
        runs = 0
        while bed.killed.total() < count:
            out = folder / f"killed{runs}"
            for _ in range(rng.randint(1, 3)):  # a run that is killed may be killed again when it goes on
                if not bed.kill(kinds[bed.killed.total() % len(kinds)], rng, out):
                    break
            known, recorded = len(server.log), questions_in(out)
            record = bed.finish(out)
            bed.check_questions(known, recorded)
            check_end(record, bed.whole, out)
            runs += 1
    told = ", ".join(f"{bed.killed[kind]} {kind}" for kind in kinds)
    tell(
        f"{name}: {bed.killed.total()} SIGKILLs ({told}) in {runs} runs; all went on to {bed.whole.result_hash[:12]}; "
        f"{bed.recalled} recorded replies, 0 of them asked again"
    )


def check_end(record: Record, whole: Record, out: Path) -> None:
    assert record.result_hash == whole.result_hash
    assert record.used.llm_calls == whole.used.llm_calls
    (folder,) = (path for path in out.iterdir() if not path.name.startswith("."))
    assert {path.name for path in folder.iterdir()} - {".lock"} <= {
        *("record.json", "job.json", "front.parquet", "trace.parquet", "transcript.jsonl")
    }
    assert (audit := verify(folder, effort=None)), audit
    assert (again := replay(folder)).same, again.reason


def test_killed_runs_go_on_to_the_same_hash_and_ask_nothing_twice(tmp_path, tell):
    kills(ASKING[0], 3, tmp_path, tell)


@pytest.mark.slow
@pytest.mark.parametrize("name", ASKING)
def test_fifty_kills_change_nothing_and_cost_nothing(name, tmp_path, tell):
    kills(name, 50, tmp_path, tell)


@pytest.mark.slow
@pytest.mark.parametrize("name", PLAIN)
def test_ten_kills_of_a_solver_without_a_language_model_change_nothing(name, tmp_path, tell):
    kills(name, 10, tmp_path, tell)

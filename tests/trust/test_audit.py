"""Audits: hostile files get one clear answer, tiers are shown and not claimed, references are made again."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import optisolve
from optisolve.cli.main import main
from optisolve.core import Budget, Outcome, Solver, SolverInfo, Task, Termination
from optisolve.core.errors import RecordError
from optisolve.core.reference import Effort, Reference
from optisolve.core.status import Evidence
from optisolve.core.text import is_safe_name
from optisolve.registry import PROBLEMS, SOLVERS, Registry
from optisolve.run.solve import solve
from optisolve.run.untrusted import MAX_DEPTH, bounded_memory, printable, read_json, strict_json
from optisolve.testing.llm_server import LlmServer
from optisolve.testing.toys import SumCapSphere
from optisolve.trust.audit import Auditor, ReferenceMaker, Tier, audit_record
from tests.forging import record_bytes, seal
from tests.llm.helpers import config_for


@pytest.fixture(scope="module")
def genuine(tmp_path_factory):
    problem = optisolve.load_problem("parallel_channels")
    instance = problem.instance(1)
    reference = problem.reference(instance, Effort.QUICK)
    result = solve(instance, "random_search", budget=Budget(evaluations=60), seed=3, reference=reference)
    return result.save(tmp_path_factory.mktemp("genuine"))


@pytest.fixture
def record(genuine):
    return json.loads((genuine / "record.json").read_text())


def cli(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


# -- hostile files -----------------------------------------------------------------------------------------------------


def test_a_file_of_two_gigabytes_is_refused_without_being_read(tmp_path, capsys):
    file = tmp_path / "record.json"
    with file.open("wb") as stream:
        stream.truncate(2 * 2**30)  # sparse: takes no room on the disk
    assert cli("verify", file) == 2
    assert "2,147,483,648 bytes" in capsys.readouterr().out


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_a_folder_and_a_missing_file_are_no_records(tmp_path):
    os.mkfifo(tmp_path / "record.json")  # reading it would wait for ever
    assert "not a regular file" in str(Auditor(PROBLEMS).file(tmp_path / "record.json"))
    assert "not a regular file" in str(Auditor(PROBLEMS).file(tmp_path))
    assert "cannot be read" in str(Auditor(PROBLEMS).file(tmp_path / "absent.json"))


def test_depth_duplicate_keys_and_encodings_are_refused_with_the_reason():
    nested = b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1)
    for data, needle in (
        (nested, "nested deeper"),
        (b"[" * 200_000, "nested deeper"),
        (b'{"a": 1, "a": 2}', "stands twice"),
        (b'{"a": 1', "cut off"),
        (b'{"a": "1', "cut off"),
        (b"\xff\xfe{}", "utf-8"),
        (b"9" * 5000, "digits"),
    ):
        with pytest.raises(ValueError, match=needle):
            strict_json(data)
    assert strict_json(nested[1:-1]) is not None


def test_names_and_texts_of_strangers_cannot_leave_their_place():
    for name in ("../x", "a/b", "/etc/passwd", ".hidden", "", "a\nb", "a b", "..", "a..b", "x" * 201, 3, None):
        assert not is_safe_name(name)
    assert is_safe_name("uav_isac-dense.nsga2.s3.0123abc")
    assert printable("a\x1b[2Jb\nc\ud800") == "a\\x1b[2Jb\\nc\\ud800"


def test_no_content_makes_the_audit_raise(record):
    """Every place of a record gets something else, one place at a time."""
    values: list[Any] = [None, True, -1, 10**30, 1e308, float("nan"), "", "\ud800", "x" * 1000, [], [[]], {}, {"a": {}}]
    auditor, rng = Auditor(PROBLEMS, SOLVERS, ReferenceMaker(None)), np.random.default_rng(0)
    places = list(_places(record))
    assert len(places) > 120
    for place in places * 4:
        forged = copy.deepcopy(record)
        _put(forged, place, values[int(rng.integers(len(values)))])
        audit = auditor.record(forged)
        assert str(audit).isprintable() or "\n" in str(audit)
        str(audit).encode()
    for content in (None, 3, "text", [], [record], {}, {"schema": []}, {"record_id": {}}):
        assert not auditor.record(content)


def _places(value: Any, path: tuple[Any, ...] = ()):
    items = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from _places(item, (*path, key))


def _put(record: Any, path: tuple[Any, ...], value: Any) -> None:
    for key in path[:-1]:
        record = record[key]
    record[path[-1]] = value


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the limit exists on Linux only")
def test_memory_is_bounded_while_a_stranger_s_parameters_are_used():
    with bounded_memory(2**28), pytest.raises(MemoryError):
        np.ones(2**30)
    assert np.ones(2**20).size == 2**20


# -- what the command says ---------------------------------------------------------------------------------------------


def test_the_command_counts_tiers_and_ends_with_2_when_one_is_refused(genuine, record, tmp_path, capsys):
    assert cli("verify", genuine) == 0
    assert "1 verified" in capsys.readouterr().out
    assert cli("verify", "--reproduce", genuine) == 0
    assert "1 reproduced" in capsys.readouterr().out
    record["scores"]["objective"] += 1.0
    (tmp_path / "record.json").write_text(json.dumps(seal(record)))
    assert cli("verify", genuine, tmp_path) == 2
    shown = capsys.readouterr().out
    assert "scores.objective" in shown
    assert "1 verified" in shown
    assert "1 refused" in shown


def test_the_command_writes_json_for_machines(genuine, capsys):
    assert cli("verify", "--json", "--effort", "none", genuine) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["holds"] is True
    assert told["tier"] == "verified"
    assert told["uncounted"] == ["gap", "bound_gap"]


def test_a_record_counts_once_however_often_it_is_named(genuine, tmp_path, capsys):
    assert cli("verify", genuine, genuine / "record.json", genuine.parent) == 0
    assert "1 record(s)" in capsys.readouterr().out
    shutil.copytree(genuine, tmp_path / "copy")
    assert cli("verify", genuine, tmp_path) == 2
    assert "counts once" in capsys.readouterr().out


# -- tiers -------------------------------------------------------------------------------------------------------------


def test_a_claim_to_be_reproduced_is_checked_by_a_second_run(record):
    record["provenance"]["tier"] = "reproduced"
    audit = optisolve.verify(seal(record))
    assert audit
    assert audit.tier is Tier.REPRODUCED
    refused = optisolve.verify(record, reproduce=False)
    assert [problem.field for problem in refused.problems] == ["provenance.tier"]


def test_a_record_may_claim_less_than_is_shown(record):
    record["provenance"]["tier"] = "self_reported"
    assert optisolve.verify(seal(record)).tier is Tier.VERIFIED


def test_a_run_by_the_clock_holds_but_cannot_be_reproduced(record):
    record["budget"]["seconds"] = 5.0
    record["termination"]["limit"] = "time"
    audit = optisolve.verify(seal(record), reproduce=True)
    assert audit
    assert audit.tier is Tier.VERIFIED
    assert any("stopped by the clock" in note for note in audit.notes)


def test_huge_budgets_are_not_run_again(record):
    record["budget"]["evaluations"] = 10**12
    audit = optisolve.verify(seal(record), reproduce=True)
    assert audit.tier is Tier.VERIFIED
    assert "at most 10,000,000" in str(audit)


def test_a_solver_from_a_notebook_is_self_reported_and_says_so():
    @dataclasses.dataclass(frozen=True, slots=True)
    class Mine(Solver):
        info: ClassVar[SolverInfo] = SolverInfo("mine", "1", "one point")

        def _solve(self, task: Task) -> Outcome:
            task.evaluate(task.instance.project(task.instance.space.sample(task.rng(), 1)))
            return task.outcome(Termination.CONVERGED)

    told = solve(optisolve.load_problem("parallel_channels").instance(0), Mine(), budget=Budget(evaluations=5)).record.to_json()
    assert told["provenance"]["tier"] == "self_reported"
    audit = optisolve.verify(told)
    assert audit
    assert audit.tier is Tier.SELF_REPORTED
    assert "'mine' is not installed here" in str(audit)


def test_replies_that_were_not_kept_make_a_record_self_reported(tmp_path):
    problem = optisolve.load_problem("uav_isac")
    budget = Budget(evaluations=120, llm_calls=3)
    with LlmServer() as server:
        llm = config_for(server)
        lost = solve(problem.instance(0), "ledma", budget=budget, llm=llm)
        kept = solve(problem.instance(0), "ledma", budget=budget, llm=llm, scratch=Path(tempfile.mkdtemp(dir=tmp_path)))
    assert (lost.record.provenance.tier, kept.record.provenance.tier) == ("self_reported", "verified")
    assert lost.result_hash == kept.result_hash
    assert optisolve.verify(lost.save(tmp_path)).tier is Tier.SELF_REPORTED
    folder = kept.save(tmp_path)
    assert optisolve.verify(folder, reproduce=True).tier is Tier.REPLAYED
    (folder / "transcript.jsonl").unlink()
    assert [p.field for p in optisolve.verify(folder).problems] == ["provenance.tier"]


def test_the_surrogate_s_replies_need_not_be_kept_but_cannot_have_cost_anything(tmp_path):
    problem = optisolve.load_problem("uav_isac")
    run = solve(problem.instance(0), "ledma", budget=Budget(evaluations=120, llm_calls=3), llm="surrogate")
    folder = run.save(tmp_path)
    assert not (folder / "transcript.jsonl").exists()
    assert optisolve.verify(folder, reproduce=True).tier is Tier.REPRODUCED
    paid = json.loads((folder / "record.json").read_text())
    paid["used"]["tokens_in"] = 10
    (folder / "record.json").write_bytes(record_bytes(seal(paid)))
    assert "used.tokens_in" in [p.field for p in optisolve.verify(folder).problems]


# -- references --------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Harder(SumCapSphere):
    """A problem whose proof needs more work: quick gives a worse point and no bound."""

    name: ClassVar[str] = "toy_harder"

    def reference(self, instance, effort=Effort.NORMAL):
        best = super().reference(instance, effort)
        if effort is Effort.QUICK:
            x = best.X * 0.9
            return Reference(Evidence.BEST_KNOWN, X=x, value=float(instance.evaluate_twin(x).F[0, 0]), solver="quick")
        return best


class Toys(Registry):
    def get(self, name):
        return {"toy_harder": Harder}[name]


def harder(effort: Effort) -> dict[str, Any]:
    problem = Harder()
    instance = problem.instance(2)
    return solve(
        instance, "random_search", budget=Budget(evaluations=50), reference=problem.reference(instance, effort)
    ).record.to_json()


def test_a_reference_that_took_more_work_is_not_counted_until_that_work_is_done():
    toys, told = Toys("problem", "none", Harder), harder(Effort.NORMAL)
    quick = Auditor(toys, SOLVERS).record(told)
    assert quick
    assert quick.uncounted == ("gap", "bound_gap")
    thorough = Auditor(toys, SOLVERS, ReferenceMaker(Effort.NORMAL)).record(told)
    assert thorough
    assert thorough.uncounted == ()


def test_a_reference_that_flatters_is_refused_whatever_the_effort():
    toys = Toys("problem", "none", Harder)
    for effort in (Effort.QUICK, Effort.NORMAL):
        told = harder(Effort.QUICK)
        told["reference"]["value"] -= 0.5
        told["scores"]["gap"] = (told["reference"]["value"] - told["scores"]["objective"]) / max(
            abs(told["reference"]["value"]), 1.0
        )
        audit = Auditor(toys, SOLVERS, ReferenceMaker(effort)).record(seal(told))
        assert "reference.value" in [problem.field for problem in audit.problems]


def test_an_audit_in_memory_needs_no_solver_registry(record):
    assert audit_record(record, PROBLEMS)


def test_a_record_that_names_a_file_without_carrying_it_reads_nothing(record, tmp_path):
    secret = tmp_path / "secret.json"
    secret.write_text(json.dumps({"gain": [1.0, 2.0]}))
    record["instance"]["params"].update(instance_file=str(secret), instance_data=None)
    audit = optisolve.verify(seal(record))
    assert not audit
    assert "does not carry" in str(audit)
    told = solve(optisolve.load_problem("uav_isac").instance(0), "random_search", budget=Budget(evaluations=5)).record.to_json()
    told["instance"]["params"].update(users_file=str(secret), users_m=None)
    assert "does not carry" in str(optisolve.verify(seal(told)))


def test_a_missing_file_is_an_error_a_damaged_one_is_refused(tmp_path):
    with pytest.raises(RecordError, match="does not exist"):
        optisolve.verify(tmp_path / "absent")
    with pytest.raises(RecordError, match="not a regular file"):
        read_json(tmp_path)
    (tmp_path / "record.json").write_text("{")
    assert [problem.field for problem in optisolve.verify(tmp_path).problems] == ["(file)"]

"""The record's type: it refuses what no run wrote and names it, hashes as documented, and writes what it read."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import optisolve
from optisolve.core import Budget
from optisolve.core.errors import RecordError
from optisolve.core.reference import Effort
from optisolve.registry import PROBLEMS, SOLVERS, load_problem, load_solver
from optisolve.run.records import load_records, read_record
from optisolve.run.schema import LayoutError, Record, Tier
from optisolve.run.untrusted import strict_json
from optisolve.testing.toys import ShiftedZdt1, SumCapSphere
from tests.forging import record_bytes, record_id_of, result_hash_of, run_id_of
from tests.scenarios import untraced

BUDGETS = {"evaluations": 200, "seconds": 60, "usd": 0}  # whole numbers where others have fractions


@pytest.fixture(scope="module")
def result():
    problem = load_problem("parallel_channels")
    instance = problem.instance(1)
    start = instance.space.sample(np.random.default_rng(0), 3)
    reference = problem.reference(instance, Effort.QUICK)
    options = {"budget": Budget(**BUDGETS), "seed": 3, "reference": reference, "warm_start": instance.project(start)}
    return optisolve.solve(instance, "moead_de", **options)


@pytest.fixture
def document(result):
    return json.loads(result.record.to_bytes())


# -- bytes and hashes ----------------------------------------------------------------------------------------------------


def test_a_record_that_was_read_is_written_byte_for_byte(result, document, tmp_path):
    file = result.save(tmp_path) / "record.json"
    assert read_record(file).to_bytes() == file.read_bytes() == record_bytes(document)
    assert read_record(file) == Record.from_json(strict_json(file.read_bytes())) == result.record


def test_hashes_are_those_that_the_documentation_defines(result, document):
    """A second implementation over plain JSON; a field that is absent is absent in the hash."""
    record = result.record
    assert (record.result_hash, record.provenance.run_id) == (result_hash_of(document), run_id_of(document))
    assert record.record_id == record_id_of(document)
    assert record == record.sealed()
    plain = optisolve.solve(SumCapSphere(), "random_search", budget=Budget(evaluations=60)).record
    told = json.loads(plain.to_bytes())
    assert not {"warm_start"} & set(told)
    assert not {"failed", "errors", "files", "continues"} & {*told["used"], *told["provenance"]}
    assert (plain.result_hash, plain.record_id) == (result_hash_of(told), record_id_of(told))


def test_another_claim_changes_the_id_and_not_the_result(result):
    claimed = result.record.with_provenance(tier=Tier.REPRODUCED)
    assert claimed.result_hash == result.result_hash
    assert claimed.record_id != result.record.record_id
    assert claimed.sealed() == claimed


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(1 - 2**63, 2**63 - 1))
def test_every_number_survives_the_file_and_whole_ones_stay_whole(value):
    document = json.loads(_toy().to_bytes())
    document["scores"]["gap_scale"] = value
    again = Record.parse(record_bytes(document), where="here")
    assert (again.scores.gap_scale, type(again.scores.gap_scale)) == (value, type(value))
    assert again.to_bytes() == record_bytes(document)


# -- what is refused -----------------------------------------------------------------------------------------------------

BAD = {
    "seed": (True, "a whole number"),
    "instance.seed": (1.0, "a whole number"),
    "used.evaluations": (-1, "a whole number >= 0"),
    "used.wall_s": ("1", "a number >= 0"),
    "used.usd": (True, "a number >= 0"),
    "used.failed": (0, "a whole number >= 1"),
    "used.tokens_in": (2**63, "a whole number >= 0"),
    "budget.seconds": (float("nan"), "a finite number"),
    "scores.gap": (float("inf"), "a finite number"),
    "verified.F[0][0]": (None, "a number"),
    "verified.feasible[0]": (1, "true or false"),
    "verified.point": ("perfect", "one of"),
    "termination.status": ("done", "limit, "),
    "solutions.x": ([[1.0], [1.0, 2.0]], "rows of equal length"),
    "trace[0]": ([1, 0.0, 1.0], "to be present"),
    "instance.params": ([1], "an object"),
    "instance.scenario": ("../x", "a scenario name"),
    "instance.sha256": ("0" * 63, "64 hexadecimal digits"),
    "solver.name": ("a b", "a name of letters"),
    "solver.prompts": ({"a@1": 1}, "text"),
    "suite.instance": ("01", "a whole number from 0 to 99999"),
    "used.by_source.initial": ({"evaluations": 1}, "either hypervolume_gain or objective_gain"),
    "warm_start": (None, "something, or no such field"),
    "provenance.tier": ("certified", "one of self_reported, verified"),
    "provenance.continues": (None, "something, or no such field"),
    "termination.detail": ("\ud800", "text without broken characters"),
    "result_hash": (7, "64 hexadecimal digits"),
}


@pytest.mark.parametrize("path", BAD)
def test_a_bad_field_is_named_with_what_was_given_and_what_was_expected(document, path):
    value, expected = BAD[path]
    _set(document, path, value)
    with pytest.raises(LayoutError) as raised:
        Record.from_json(document, where="somewhere.json")
    assert any(problem.field.startswith(path) and expected in problem.expected for problem in raised.value.problems)
    assert str(raised.value).startswith("somewhere.json: not a record of the layout optisolve.record/2")


def test_all_bad_fields_are_told_at_once_and_each_of_them_once(document):
    del document["scores"]["gap"], document["env"]
    document["used"]["evaluation"] = document["used"].pop("evaluations")
    document["seed"] = "three"
    with pytest.raises(LayoutError) as raised:
        Record.from_json(document)
    told = {problem.field: problem.expected for problem in raised.value.problems}
    assert len(told) == len(raised.value.problems) == 5
    assert told["scores.gap"] == told["env"] == told["used.evaluations"] == "to be present"
    assert told["used.evaluation"] == "no such field; did you mean 'evaluations'?"
    assert told["seed"] == "a whole number of at most 63 bits"


@pytest.mark.parametrize("value", [None, 3, "text", [], {}, {"schema": 1}])
def test_what_is_no_record_at_all_is_said_to_be_none(value):
    with pytest.raises(LayoutError):
        Record.from_json(value)


@pytest.mark.parametrize("data", [b'{"schema": NaN}', b'{"a": "\\ud800"}', b"[" * 10_000, b'{"a": 1', b"\xff"])
def test_a_file_that_is_no_json_is_one_clear_error(tmp_path, data):
    (tmp_path / "record.json").write_bytes(data)
    with pytest.raises(RecordError, match=r"record\.json: not valid JSON"):
        read_record(tmp_path)


def test_a_lone_surrogate_anywhere_is_refused(document):
    document["instance"]["params"]["note"] = {"deep": ["\udfff"]}
    with pytest.raises(LayoutError, match="broken characters"):
        Record.from_json(document)


def test_who_writes_as_to_a_dictionary_is_told_the_new_form(result):
    with pytest.raises(TypeError, match=r"write \.scores"):
        result.record["scores"]
    with pytest.raises(TypeError, match=r"write \.gap"):
        result.record.scores["gap"]


# -- as a table ----------------------------------------------------------------------------------------------------------


def test_parameters_and_options_that_differ_are_columns_and_all_on_demand(tmp_path):
    for pop_size in (10, 20):
        problem = load_problem("uav_isac", n_uavs=1, n_users=3)
        optisolve.solve(problem, "moead_de", budget=Budget(evaluations=60), pop_size=pop_size).save(tmp_path)
    table = load_records(tmp_path)
    assert sorted(table["option.pop_size"]) == [10, 20]
    assert [name for name in table if name.startswith(("param.", "option."))] == ["option.pop_size"]
    whole = load_records(tmp_path, columns="all")
    assert set(whole["param.n_uavs"]) == {1}
    assert len([name for name in whole if name.startswith("param.")]) > 10
    assert not any(isinstance(value, dict | list) for value in whole.iloc[0])
    assert [type(record) for record in table["record"]] == [Record, Record]
    with pytest.raises(RecordError, match="'differing' or 'all'"):
        load_records(tmp_path, columns="some")


# -- copies --------------------------------------------------------------------------------------------------------------


def copies(value):
    return pickle.loads(pickle.dumps(value)), copy.deepcopy(value)


def test_results_pickle_and_copy_with_everything_in_them(result):
    seen = []
    watched = optisolve.solve(ShiftedZdt1(), "moead", budget=Budget(evaluations=80), callback=seen.append)
    for original in (result, watched):
        for again in copies(original):
            assert again.record == original.record
            assert again.record.to_bytes() == original.record.to_bytes()
            assert again.front.equals(original.front)
            assert again.trace.equals(original.trace)
            assert again.run.meter.evaluations == original.run.meter.evaluations


@pytest.mark.parametrize("family", sorted({name.split("/")[0] for name in PROBLEMS.choices()}))
def test_problems_instances_and_references_pickle_and_copy(family):
    for scenario in (name for name in untraced() if name.split("/")[0] == family):
        problem = load_problem(scenario)
        instance = problem.instance(0)
        assert all(again == problem for again in copies(problem))
        X = instance.project(instance.space.sample(np.random.default_rng(0), 2))
        for again in copies(instance):
            assert (again.sha256, again.origin) == (instance.sha256, instance.origin)
            assert np.array_equal(again.evaluate(X).F, instance.evaluate(X).F)


def test_solvers_budgets_errors_and_references_pickle_and_copy(result):
    problem = load_problem("power_control")
    reference = problem.reference(problem.instance(0), Effort.QUICK)
    values = [*map(load_solver, SOLVERS.choices()), Budget(evaluations=3, usd=0.1), *optisolve.core.Termination, result.record]
    for value in values:
        assert all(again == value for again in copies(value)), value
    for again in copies(reference):
        assert (again.value, again.evidence, again.detail) == (reference.value, reference.evidence, reference.detail)
    for error in (RecordError("x"), LayoutError("y: ", []), optisolve.core.errors.OptionError("z", [])):
        assert all(str(again) == str(error) and type(again) is type(error) for again in copies(error))


def test_the_package_and_its_help_load_no_models():
    for call in ("import optisolve", "from optisolve.cli.main import main; main(['--help'])"):
        told = f"import sys, contextlib\nwith contextlib.suppress(SystemExit):\n    {call}\nprint('pydantic' in sys.modules)"
        shown = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True).stdout
        assert shown.splitlines()[-1] == "False", call


def _toy() -> Record:
    return TOY


TOY = optisolve.solve(SumCapSphere(), "random_search", budget=Budget(evaluations=30)).record


def _set(document, path, value):
    *parents, last = path.replace("[", ".").replace("]", "").split(".")
    for key in parents:
        document = document[int(key)] if isinstance(document, list) else document[key]
    document[int(last) if isinstance(document, list) else last] = value

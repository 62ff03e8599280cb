"""Attacks: what a stranger's record names, asks for and invents, and what a plug-in does beside its meter."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import importlib
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import optisolve
from optisolve.cli.main import main
from optisolve.core import Budget, Outcome, Solver, SolverInfo, Task, Termination
from optisolve.core.errors import SolverError
from optisolve.core.options import _resources
from optisolve.core.reference import Effort
from optisolve.core.status import Limit
from optisolve.core.text import plain_slug
from optisolve.llm.config import llm_config
from optisolve.registry import PROBLEMS, SOLVERS
from optisolve.run.environment import kernels
from optisolve.run.schema import Record
from optisolve.run.solve import solve
from optisolve.solvers.ddpm.weights import WEIGHTS_FILE, find_weights
from optisolve.study.lock import lock_suite
from optisolve.study.runner.plan import make_plan
from optisolve.study.standing import share_references
from optisolve.study.suite import load_suite
from optisolve.trust.audit import AuditLimits, Auditor, ReferenceMaker, SuiteBook, Tier, audit_files
from optisolve.trust.elsewhere import run_there, variables_for
from optisolve.trust.remake import repeated
from optisolve.trust.site import build_site, write_site
from optisolve.trust.site.charts import score_chart
from tests.forging import record_bytes, seal

PATIENT = """
import time

from optisolve.trust.audit import Auditor


class Patient(Auditor):
    def file(self, path):
        if "slow" in str(path):
            time.sleep(600)
        return super().file(path)
"""
OPENED: list[str] = []
_HOOKED = False


@pytest.fixture
def opened():
    """Every path that Python opens from now on; a path in a record must never be among them."""
    global _HOOKED  # noqa: PLW0603 - an audit hook stays for good, so it is set once
    if not _HOOKED:
        sys.addaudithook(lambda event, values: OPENED.append(str(values[0])) if event == "open" else None)
        _HOOKED = True
    OPENED.clear()
    return OPENED


@pytest.fixture(scope="module")
def genuine(tmp_path_factory):
    problem = optisolve.load_problem("parallel_channels")
    instance = problem.instance(1)
    reference = problem.reference(instance, Effort.QUICK)
    return solve(instance, "moead_de", budget=Budget(evaluations=300), seed=3, reference=reference).save(
        tmp_path_factory.mktemp("genuine")
    )


@pytest.fixture
def record(genuine):
    return json.loads((genuine / "record.json").read_text())


def stored(record: dict[str, Any], folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "record.json").write_bytes(record_bytes(seal(record)))
    return folder / "record.json"


# -- what a record names -----------------------------------------------------------------------------------------------


def text_options() -> list[tuple[str, str]]:
    """Every option of every solver that is plain text, and so might name something."""
    found = []
    for name in SOLVERS.targets():
        for field, hint in SOLVERS.get(name).__annotations__.items():
            if "str" in str(hint) and "Literal" not in str(hint) and "tuple" not in str(hint) and "ClassVar" not in str(hint):
                found.append((name, field))
    return found


def test_options_that_name_files_or_hub_ids_are_declared():
    """Whoever adds such an option finds this list; the others are names of prompts, polishes and mixes."""
    declared = {(name, field) for name in SOLVERS.targets() for field in _resources(SOLVERS.get(name))}
    starts = {
        (name, field) for name, field in declared if field == "init"
    }  # its files are read before a run, never by the audit
    assert declared - starts == {("ddpm", "weights"), ("power_net", "weights"), ("moe", "gate_file"), ("moe_llm", "gate_file")}
    for name, field in set(text_options()) - declared:
        documented = SOLVERS.get(name).__doc__ or ""
        told = documented.partition(f"{field}:")[2].partition("\n        ")[0].lower()
        assert not any(word in told for word in (" path", "folder", "hub", " file")), (name, field)


@pytest.mark.parametrize(("name", "field"), text_options())
@pytest.mark.parametrize("reproduce", [False, True])
def test_no_option_of_a_record_makes_the_audit_open_a_file(record, opened, tmp_path, name, field, reproduce):
    canary = tmp_path / "canary.json"
    canary.write_text('{"format": "none"}')
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "diffusion_pytorch_model.safetensors").write_bytes(b"x")
    (folder / "config.json").write_text("{}")
    opened.clear()
    for path in (canary, folder):
        forged = copy.deepcopy(record)
        options = {**SOLVERS.get(name).from_mapping({}).options(), field: str(path)}
        forged["solver"].update(name=name, version=SOLVERS.get(name).info.version, options=json.loads(json.dumps(options)))
        Auditor(PROBLEMS, SOLVERS, ReferenceMaker(None), reproduce=reproduce).record(seal(forged))
    assert [path for path in opened if str(tmp_path) in path] == []


@pytest.mark.parametrize("family", sorted(PROBLEMS.targets()))
def test_no_parameter_of_a_record_makes_the_audit_open_a_file(record, opened, tmp_path, family):
    canary = tmp_path / "canary.json"
    canary.write_text("{}")
    opened.clear()
    for key in ("instance_file", "users_file"):
        for params in ({key: str(canary)}, {"problem": "uav_isac", "params": {key: str(canary)}, "goal": {}}):
            record["instance"].update(problem=family, version=PROBLEMS.get(family).version, scenario=family, params=params)
            assert not Auditor(PROBLEMS, SOLVERS).record(seal(record))
    assert [path for path in opened if str(tmp_path) in path] == []


def test_weights_of_a_stranger_are_neither_fetched_nor_believed(tmp_path, monkeypatch):
    pytest.importorskip("diffusers", reason="needs the extra [diffusion]")
    import huggingface_hub

    asked: list[str] = []
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, **_: asked.append(name))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda name, *_, **__: asked.append(name))
    problem = optisolve.load_problem("parallel_channels/msr80")
    told = solve(problem.instance(0), "ddpm", budget=Budget(evaluations=40), seed=1).record.to_json()
    assert len(told["solver"]["checkpoint"]["sha256"]) == 64
    assert optisolve.verify(copy.deepcopy(told), reproduce=True).tier is Tier.REPRODUCED
    told["solver"]["options"]["weights"] = "author2/memorized-optima"
    for claim, holds in (("reproduced", False), ("verified", False), ("self_reported", True)):
        told["provenance"]["tier"] = claim
        audit = optisolve.verify(seal(copy.deepcopy(told)), reproduce=True)
        assert bool(audit) is holds
        assert audit.tier is Tier.SELF_REPORTED
        assert "author2/memorized-optima" in "; ".join(audit.notes)
    assert asked == []


def test_weights_of_one_s_own_have_their_hash_in_the_record_and_are_self_reported(tmp_path, monkeypatch):
    pytest.importorskip("diffusers", reason="needs the extra [diffusion]")
    import huggingface_hub

    own = tmp_path / "cache"
    shutil.copytree(find_weights("auto", "parallel_channels"), own)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(own))
    instance = optisolve.load_problem("parallel_channels/msr80").instance(0)
    digest = hashlib.sha256((own / WEIGHTS_FILE).read_bytes()).hexdigest()
    for name, shown in (("ada/mine", "ada/mine"), (str(own), "cache")):
        told = solve(instance, "ddpm", budget=Budget(evaluations=40), seed=1, weights=name).record.to_json()
        assert told["solver"]["checkpoint"] == {"name": shown, "sha256": digest}
        assert told["provenance"]["tier"] == "self_reported"
        assert optisolve.verify(told).tier is Tier.SELF_REPORTED  # what a run writes passes


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_or_a_device_as_gate_is_refused_at_once(tmp_path):
    problem = optisolve.load_problem("parallel_channels")
    told = solve(problem.instance(0), "moe", budget=Budget(evaluations=200), seed=1).record.to_json()
    assert len(told["solver"]["checkpoint"]["sha256"]) == 64
    os.mkfifo(tmp_path / "pipe")
    for path in (str(tmp_path / "pipe"), "/dev/zero", "/etc/passwd"):
        told["solver"]["options"]["gate_file"] = path
        told["provenance"]["tier"] = "reproduced"
        begin = time.monotonic()
        audit = optisolve.verify(seal(told))
        assert time.monotonic() - begin < 20.0
        assert [problem.field for problem in audit.problems] == ["provenance.tier"]


def test_another_learned_file_than_the_shipped_one_is_refused(tmp_path):
    told = solve(
        optisolve.load_problem("parallel_channels").instance(0), "moe", budget=Budget(evaluations=100)
    ).record.to_json()
    told["solver"]["checkpoint"]["sha256"] = "0" * 64
    assert "solver.checkpoint" in [problem.field for problem in optisolve.verify(seal(told)).problems]


# -- what a record asks for --------------------------------------------------------------------------------------------


def test_an_audit_that_takes_too_long_is_a_finding_and_the_next_record_is_audited(record, genuine, tmp_path, monkeypatch):
    (tmp_path / "patient.py").write_text(PATIENT)
    monkeypatch.syspath_prepend(tmp_path)
    patient = importlib.import_module("patient").Patient(PROBLEMS, SOLVERS)
    files = [stored(record, tmp_path / "slow"), genuine / "record.json"]
    first, second = audit_files(patient, files, limits=AuditLimits(seconds=8.0))
    assert [problem.field for problem in first.problems] == ["(audit)"]
    assert "stopped after 8 s" in str(first)
    assert second


def test_an_audit_whose_process_dies_is_a_finding_with_its_last_words(record, genuine, tmp_path, monkeypatch):
    dying = PATIENT.replace("Patient", "Dying").replace("time.sleep(600)", 'sys.stderr.write("out of luck\\n"); os._exit(7)')
    (tmp_path / "dying.py").write_text(f"import os, sys\n{dying}")
    monkeypatch.syspath_prepend(tmp_path)
    auditor = importlib.import_module("dying").Dying(PROBLEMS, SOLVERS)
    first, second = audit_files(auditor, [stored(record, tmp_path / "slow"), genuine / "record.json"])
    assert "ended with code 7 (out of luck)" in str(first)
    assert second


def test_an_audit_that_takes_too_much_memory_is_a_finding(record, tmp_path):
    large = copy.deepcopy(record)
    params = {**optisolve.load_problem("power_control").options(), "n_links": 8000}
    params.pop("scenario")
    large["instance"].update(
        problem="power_control",
        version=PROBLEMS.get("power_control").version,
        scenario="power_control",
        params=json.loads(json.dumps(params, default=str)),
    )
    file = stored(large, tmp_path / "large")
    (audit,) = audit_files(Auditor(PROBLEMS, SOLVERS), [file], limits=AuditLimits(seconds=60.0, memory_mb=400.0))
    assert "of memory" in str(audit)


def test_nothing_is_built_for_a_record_that_its_suite_does_not_hold(tmp_path, monkeypatch):
    (tmp_path / "tiny.yaml").write_text(
        'version: "1"\nseed: 5\nbudget: {evaluations: 60}\nproblems: [parallel_channels]\nsolvers: [random_search]\n'
    )
    suite = load_suite(tmp_path / "tiny.yaml")
    unit = make_plan(suite, lock_suite(suite)).units[0]
    problem = PROBLEMS.get(unit.problem).from_mapping({**unit.params, "scenario": unit.scenario})
    instance = problem.instance(unit.instance)
    told = solve(
        instance, "random_search", budget=Budget(**unit.budget), seed=unit.seed, suite=unit.membership()
    ).record.to_json()
    auditor = Auditor(PROBLEMS, SOLVERS, suites=SuiteBook({"tiny": suite}))
    assert auditor.record(copy.deepcopy(told))
    auditor.suites.get("tiny").origin(suite.cases[0], suite.cases[0].instances[0])  # the suite's own instance may be built

    def refuse(*_: object) -> None:
        raise AssertionError("something was built")

    monkeypatch.setattr(type(problem), "instance", refuse)
    for change in (
        {"params": {**told["instance"]["params"], "n_channels": 10**7}},
        {"seed": 99},
        {"scenario": "power_control"},
    ):
        forged = copy.deepcopy(told)
        forged["instance"].update(change)
        assert auditor.record(seal(forged)).problems[0].field.startswith("instance.")
    for change in ({"instance": "not-a-number"}, {"name": "foo bar"}, {"solver": "random_search\u200b"}, {"repetition": "1e3"}):
        forged = copy.deepcopy(told)
        forged["suite"].update(change)
        assert auditor.record(seal(forged)).problems[0].field.startswith("suite.")


def test_a_record_of_countless_unknown_fields_gets_a_few_lines(record, tmp_path, capsys):
    record["scores"] |= {f"unknown_{i}": 1.0 for i in range(100_000)}
    record["used"]["by_source"] |= {f"source_{i}": {} for i in range(100_000)}
    begin = time.monotonic()
    assert main(["verify", str(stored(record, tmp_path))]) == 2
    shown = capsys.readouterr().out
    assert time.monotonic() - begin < 60.0
    assert len(shown.splitlines()) < 25
    assert "100,008 fields" in shown


def test_many_mismatches_are_counted_and_not_listed(record):
    record["solutions"]["claimed"] |= {str(i): float("inf") for i in range(500)}
    audit = Auditor(PROBLEMS).record(record)
    assert len(str(audit).splitlines()) < 20
    audit = dataclasses.replace(audit, further=10**6)
    assert "and 1,000,0" in str(audit)


@pytest.mark.parametrize("kind", ["text", "file"])
def test_a_table_that_unpacks_to_more_than_the_record_holds_is_not_unpacked(genuine, record, tmp_path, kind):
    file = stored(record, tmp_path)
    n = len(record["trace"])
    if kind == "text":
        columns = {name: pa.array(["x" * 2_000_000] * n) for name in "abcd"}
        pq.write_table(pa.table(columns), tmp_path / "trace.parquet", compression="zstd")
    else:
        with (tmp_path / "trace.parquet").open("wb") as stream:
            stream.truncate(2**31)
    audit = Auditor(PROBLEMS, SOLVERS).file(file)
    assert [problem.field for problem in audit.problems] == ["trace.parquet"]
    assert "bytes" in str(audit)


# -- what a record invents ---------------------------------------------------------------------------------------------


def moved(record: dict[str, Any], by: float) -> dict[str, Any]:
    """The same record with value and bound of its reference moved, and the gap that follows."""
    forged = copy.deepcopy(record)
    told, scores = forged["reference"], forged["scores"]
    sign = -1.0 if forged["verified"]["objectives"][0]["sense"] == "maximize" else 1.0
    for key, name in (("value", "gap"), ("dual_bound", "bound_gap")):
        if told[key] is not None:
            told[key] += sign * by
            scores[name] = sign * (scores["objective"] - told[key]) / scores["gap_scale"]
    return seal(forged)


@pytest.mark.parametrize("scenario", ["power_control/weighted_qos", "market_game", "noma_uav"])
def test_a_reference_moved_within_its_tolerance_is_refused(scenario):
    problem = optisolve.load_problem(scenario)
    instance = problem.instance(1)
    reference = problem.reference(instance, Effort.QUICK)
    told = solve(instance, "random_search", budget=Budget(evaluations=60), seed=2, reference=reference).record.to_json()
    auditor = Auditor(PROBLEMS, SOLVERS)
    assert auditor.record(copy.deepcopy(told)).uncounted == ()
    room = max(0.9 * reference.tolerance, 1e-5 * told["scores"]["gap_scale"])
    forged = auditor.record(moved(told, room))
    assert {problem.field for problem in forged.problems} & {"reference.value", "reference.dual_bound"}


def test_a_reference_moved_by_rounding_moves_no_rank(record):
    others = [copy.deepcopy(record) for _ in range(3)]
    for i, other in enumerate(others):
        other["seed"] += 1 + i
        seal(other)
    scale = record["scores"]["gap_scale"]
    shared = share_references([*map(Record.from_json, (moved(record, 5e-8 * scale), *others))])
    assert len({item.scores.gap for item in shared}) == 1
    assert len({item.reference.value for item in shared}) == 1
    far = share_references([*map(Record.from_json, (moved(record, 1e-3 * scale), *others))])
    assert len({item.scores.gap for item in far}) == 2  # another reference is left alone, and refused by the audit


def test_replies_of_a_made_up_surrogate_are_not_believed(tmp_path):
    """The surrogate answers the same again, so a transcript in its name proves nothing and is not replayed."""
    problem, budget = optisolve.load_problem("uav_isac"), Budget(evaluations=120, llm_calls=3)
    first = solve(
        problem.instance(0), "ledma", budget=budget, llm="surrogate", scratch=Path(tempfile.mkdtemp(dir=tmp_path))
    ).save(tmp_path / "first")
    rows = [json.loads(line) for line in (first / "transcript.jsonl").read_text().splitlines()]
    for row in rows[1:]:
        row["reply"]["texts"] = [rows[1]["reply"]["texts"][0]] * len(row["reply"]["texts"])
    altered = tmp_path / "altered.jsonl"
    altered.write_text("".join(json.dumps(row) + "\n" for row in rows))
    forged = solve(
        problem.instance(0),
        "ledma",
        budget=budget,
        llm=llm_config("replay", transcript=str(altered)),
        scratch=Path(tempfile.mkdtemp(dir=tmp_path)),
    )
    assert forged.record.solver.llm.provider == "surrogate"
    assert forged.result_hash != json.loads((first / "record.json").read_text())["result_hash"]
    assert optisolve.verify(first, reproduce=True).tier is Tier.REPRODUCED
    audit = optisolve.verify(forged.save(tmp_path / "forged"), reproduce=True)
    assert "result_hash" in [problem.field for problem in audit.problems]


def test_a_surrogate_without_its_notice_is_refused():
    problem = optisolve.load_problem("uav_isac")
    told = solve(problem.instance(0), "ledma", budget=Budget(evaluations=60, llm_calls=1), llm="surrogate").record.to_json()
    told["provenance"]["notice"] = ""
    assert "provenance.notice" in [problem.field for problem in optisolve.verify(seal(told)).problems]


# -- another platform --------------------------------------------------------------------------------------------------


def test_rounding_is_no_forgery(record):
    """One digit at the end of a point, as another processor writes it, with all that follows from it."""
    record["solutions"]["x"][0][0] = float(np.nextafter(record["solutions"]["x"][0][0], 1.0))
    record["used"]["report"]["note"] = "another library"
    record["provenance"]["tier"] = "reproduced"
    audit = optisolve.verify(seal(record))
    assert audit, str(audit)
    assert audit.tier is Tier.REPRODUCED
    assert "up to rounding" in "; ".join(audit.notes)


def test_another_end_counts_as_verified_on_another_platform_and_is_refused_on_this_one(record):
    rows = record["trace"]
    step = next(i for i in range(2, len(rows) - 1) if rows[i][2] is not None and rows[i][2] != rows[i + 1][2])
    rows[step][2] += 0.01 * (rows[step + 1][2] - rows[step][2])
    record["provenance"]["tier"] = "reproduced"
    assert "result_hash" in [problem.field for problem in optisolve.verify(seal(copy.deepcopy(record))).problems]
    kernel_of_blas, other_packages = copy.deepcopy(record), copy.deepcopy(record)
    kernel_of_blas["env"]["kernels"]["blas.numpy"] = "openblas 0.3 Prescott"
    audit = optisolve.verify(seal(kernel_of_blas))
    assert "result_hash" in [problem.field for problem in audit.problems]  # solver and problem declare that it changes nothing
    other_packages["env"]["packages"]["numpy"] = "1.0"
    audit = optisolve.verify(seal(other_packages))
    assert audit
    assert audit.tier is Tier.VERIFIED  # whatever it claims
    assert "another platform" in "; ".join(audit.notes)
    assert "1.0 there" in "; ".join(audit.notes)


@pytest.mark.skipif(not kernels()["numpy"], reason="needs a processor with instructions that numpy can leave out")
def test_a_record_that_names_kernels_of_this_processor_is_measured_on_those(record):
    """The excuse of another platform is taken at its word: the run is made on the instructions that the record names."""
    record["provenance"]["tier"] = "reproduced"
    record["env"]["kernels"]["numpy"] = ""
    there = run_there(Record.read(seal(copy.deepcopy(record))), None)
    assert there is not None
    assert there.exact
    assert there.record.env.kernels["numpy"] == ""
    made = there.record.with_provenance(tier=Tier.REPRODUCED)
    assert optisolve.verify(made).tier is Tier.REPRODUCED
    forged = json.loads(made.to_bytes())
    rows = forged["trace"]
    step = next(i for i in range(2, len(rows) - 1) if rows[i][2] is not None and rows[i][2] != rows[i + 1][2])
    rows[step][2] += 0.01 * (rows[step + 1][2] - rows[step][2])
    problems = [str(problem) for problem in optisolve.verify(seal(forged)).problems]
    assert any("result_hash" in told and "on the kernels that it names" in told for told in problems), problems
    in_a_process_of_audits = pickle.loads(pickle.dumps({"problems": PROBLEMS, "solvers": SOLVERS}))
    assert repeated(Record.read(seal(forged)), None, **in_a_process_of_audits).kernels


def test_data_that_numpy_draws_otherwise_are_refused_only_where_its_instructions_are_the_same(record):
    """Without a suite's lock nobody can tell which data a hash stands for, so the record counts as self-reported."""
    record["instance"]["sha256"] = "0" * 64
    problems = [problem.field for problem in optisolve.verify(seal(copy.deepcopy(record))).problems]
    assert problems == ["instance.sha256"]
    record["env"]["kernels"]["numpy"] = "RM_RF"
    record["provenance"]["tier"] = "self_reported"
    audit = optisolve.verify(seal(record))
    assert audit, str(audit)
    assert audit.tier is Tier.SELF_REPORTED
    assert "come out otherwise with the instructions" in "; ".join(audit.notes)


@pytest.mark.parametrize("told", ["openblas 0.3 Prescott", "mkl 2024.0", "openblas 0.3.30 Sky;lake", "", "openblas"])
def test_only_kernels_of_the_same_library_are_ever_set(told):
    assert variables_for({**kernels(), "blas.numpy": told}) is None
    assert variables_for({**kernels(), "numpy": "X86_V3 RM_RF"}) is None
    assert variables_for(kernels()) == {}


def test_no_record_promises_more_than_its_solver_and_problem_declare(record):
    record["solver"]["name"], record["provenance"]["reproduction"] = "no_such_solver", "bit for bit"
    assert "provenance.reproduction" in [problem.field for problem in optisolve.verify(seal(record)).problems]


MAKE = """
import dataclasses, sys, optisolve, optisolve.run.schema
for scenario, solver in (("power_control", "scipy_local"), ("power_control", "cma_es"), ("uav_isac", "moead"),
                         ("beamforming", "moead_de"), ("nsp_utility", "scipy_local"), ("beamforming", "scipy_local"),
                         ("parallel_channels", "moead_de"), ("pymoo/mw1", "moead_de")):
    problem = optisolve.load_problem(scenario)
    for seed in (0, 1):
        result = optisolve.solve(problem.instance(seed), solver, budget=optisolve.Budget(evaluations=150), seed=seed)
        record = result.record.with_provenance(tier=optisolve.run.schema.Tier.REPRODUCED)
        result.with_record(record).save(sys.argv[1])
"""


def test_records_of_another_kernel_hold(tmp_path):
    """Records made with BLAS kernels of Haswell and with numpy's oldest instructions."""
    choice = {"OPENBLAS_CORETYPE": "Haswell", "NPY_DISABLE_CPU_FEATURES": kernels()["numpy"]}
    environment = {**os.environ, **choice, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", MAKE, str(tmp_path)], env=environment, check=True, timeout=300)
    audits = [optisolve.verify(file) for file in sorted(tmp_path.glob("*/record.json"))]
    assert len(audits) == 16
    assert [str(audit) for audit in audits if not audit] == []
    told = json.loads(next(tmp_path.glob("*/record.json")).read_text())["env"]["kernels"]
    assert "numba" in told
    assert told["numpy"] == ""
    if told != kernels():  # a processor that has more than Haswell
        assert "Haswell" in told["blas.numpy"]


# -- the site ----------------------------------------------------------------------------------------------------------


def test_what_an_audit_accepts_can_never_break_the_site(genuine, tmp_path):
    pytest.importorskip("plotly", reason="needs the extra [report]")
    record = json.loads((genuine / "record.json").read_text())
    values: list[Any] = [None, True, 0, -1, 10**9, 1e308, "", "x", "<b>", "0", "99999", "-1", "x" * 300, [], {}, {"a": 1}]
    auditor, rng, accepted = Auditor(PROBLEMS, SOLVERS, ReferenceMaker(None)), np.random.default_rng(1), 0
    for place in list(places(record)) * 2:
        mutant = copy.deepcopy(record)
        put(mutant, place, values[int(rng.integers(len(values)))])
        mutant.setdefault("provenance", {})
        try:
            mutant = seal(mutant)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError):
            continue
        if auditor.record(mutant):
            stored(mutant, tmp_path / "records" / f"{accepted}")
            accepted += 1
    assert accepted > 40
    write_site(build_site([tmp_path / "records"]), tmp_path / "site")


def places(value: Any, path: tuple[Any, ...] = ()):
    items = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


def put(record: Any, path: tuple[Any, ...], value: Any) -> None:
    for key in path[:-1]:
        record = record[key]
    record[path[-1]] = value


def test_plots_hold_no_markup(record):
    import pandas as pd

    label = '<a href="https://evil.example/login">moe</a>'
    rows = pd.DataFrame([{"scenario": "s", "solver": label, "outcome": "ok", "loss": 1.0}])
    chart = score_chart("s", rows, label, {label: 0}).plain()
    assert "<" not in chart["y"] + chart["traces"][0]["name"]


def test_labels_that_look_alike_are_one_name():
    alike = ["moe", "MOE", "moe.", "m.o.e"]
    assert [plain_slug(label) == "moe" for label in alike] == [True, True, True, False]
    assert plain_slug("moe_llm") == plain_slug("moe-llm") != plain_slug("moellm")


# -- beside the meter --------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class Peeking(Solver):
    """Looks at the instance in a way that it was not handed, then answers with one counted point."""

    info: ClassVar[SolverInfo] = SolverInfo("peeking", "1", "looks")
    way: str = "instance"

    def _solve(self, task: Task) -> Outcome:
        X = task.instance.project(task.instance.space.sample(task.rng(), 40))
        origin = task.instance.origin
        again = optisolve.load_problem(origin.scenario)
        if self.way == "instance":
            task.instance.evaluate(X)
        elif self.way == "twin":
            task.instance.evaluate_twin(X)
        elif self.way == "again":
            again.instance(origin.seed).evaluate(X)
        elif self.way == "checked":
            task.instance.evaluate_checked(X)
        elif self.way == "reference":
            again.reference(task.instance, Effort.QUICK)
        else:
            solve(task.instance, "random_search", budget=Budget(evaluations=40))
        task.evaluate(X[:1])
        return task.outcome(Termination.CONVERGED)


@pytest.mark.parametrize("way", ["instance", "twin", "again", "checked"])
def test_a_look_past_the_evaluator_is_counted_like_any_other(way):
    instance = optisolve.load_problem("parallel_channels").instance(3)
    told = solve(instance, Peeking(way), budget=Budget(evaluations=100)).record.to_json()
    assert told["used"]["evaluations"] == 41
    assert sum(item["evaluations"] for item in told["used"]["by_source"].values()) == 41
    cut = solve(instance, Peeking(way), budget=Budget(evaluations=40))
    assert cut.limit is Limit.EVALUATIONS


@pytest.mark.parametrize("way", ["reference", "run"])
def test_a_reference_or_another_run_is_refused_while_a_solver_runs(way):
    problem = optisolve.load_problem("parallel_channels")
    instance = problem.instance(3)
    with pytest.raises(SolverError, match=r"while it solves|started another run"):
        solve(instance, Peeking(way), budget=Budget(evaluations=100))
    assert problem.reference(instance, Effort.QUICK) is not None  # outside of runs as ever

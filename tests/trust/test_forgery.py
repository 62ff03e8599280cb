"""Two hundred forged records of many kinds, all hashes made anew: each is refused by name of a field, genuine ones pass."""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest

import optisolve
from optisolve.core import Budget
from optisolve.core.reference import Effort
from optisolve.registry import PROBLEMS, SOLVERS
from optisolve.study.lock import lock_suite
from optisolve.study.runner.plan import make_plan
from optisolve.study.suite import load_suite
from optisolve.testing.llm_server import LlmServer
from optisolve.trust.audit import Auditor, SuiteBook, Tier
from tests.llm.helpers import config_for
from tests.trust.forgeries import KINDS, make

SUITE = """# Three small cells.
version: "1"
seed: 5
repetitions: 2
budget: {evaluations: 120}
problems: [parallel_channels, power_control/min_power]
solvers: [random_search, {solver: "null", repetitions: 1}]
"""

RUNS = (
    ("parallel_channels", "random_search", 200),
    ("parallel_channels", "water_filling", 200),
    ("power_control/min_power", "random_search", 200),
    ("power_control/min_power", "foschini_miljanic", 200),
    ("power_control/weighted_qos", "random_search", 200),
    ("user_association", "hungarian", 200),
    ("power_game", "random_search", 150),
    ("uav_isac", "moead_de", 200),
    ("uav_isac", "ledma", 250),
)


@pytest.fixture(scope="module")
def genuine(tmp_path_factory):
    """Folders of genuine records, and the suite that some of them belong to."""
    out = tmp_path_factory.mktemp("genuine")
    folders = []
    with LlmServer() as server:
        for scenario, solver, evaluations in RUNS:
            problem = optisolve.load_problem(scenario)
            instance = problem.instance(1)
            result = optisolve.solve(
                instance,
                solver,
                budget=Budget(evaluations=evaluations, llm_calls=6),
                seed=3,
                llm=config_for(server),
                reference=problem.reference(instance, Effort.QUICK),
                scratch=Path(tempfile.mkdtemp(dir=out, prefix=".")) if solver == "ledma" else None,
            )
            folders.append(result.save(out))
    problem = optisolve.load_problem("uav_isac")
    budget = Budget(evaluations=200)
    first = optisolve.solve(problem.instance(1), "moead_de", budget=budget)
    warm = optisolve.solve(problem.instance(1), "moead_de", budget=budget, seed=4, warm_start=first.X[:12])
    folders.append(warm.save(out))
    (out / "tiny.yaml").write_text(SUITE)
    suite = load_suite(out / "tiny.yaml")
    for unit in make_plan(suite, lock_suite(suite)).units[:4]:
        problem = PROBLEMS.get(unit.problem).from_mapping({**unit.params, "scenario": unit.scenario})
        solver = SOLVERS.get(unit.solver).from_mapping(unit.options)
        membership = unit.membership()
        run = optisolve.solve(
            problem.instance(unit.instance), solver, budget=Budget(**unit.budget), seed=unit.seed, suite=membership
        )
        folders.append(run.save(out))
    return folders, suite


def auditor(suite, *, reproduce=None):
    return Auditor(PROBLEMS, SOLVERS, suites=SuiteBook({suite.name: suite}), reproduce=reproduce)


def test_two_hundred_forgeries_are_refused_and_every_genuine_record_passes(genuine, tmp_path, capsys):
    folders, suite = genuine
    records = [json.loads((folder / "record.json").read_text()) for folder in folders]
    static, again = auditor(suite), auditor(suite, reproduce=True)
    passed = [again.file(folder / "record.json") for folder in folders]
    assert [str(audit) for audit in passed if not audit] == []
    assert {audit.tier for audit in passed} == {Tier.REPRODUCED, Tier.REPLAYED}

    refused: Counter[str] = Counter()
    missed = []
    for number, kind in enumerate(KINDS):
        for victim, folder in enumerate(folders):
            others = [record for i, record in enumerate(records) if i != victim]
            file = make(kind, folder, others, tmp_path / f"{number}-{victim}", seed=1000 * number + victim)
            if file is None:
                continue
            audit = (again if kind.again else static).file(file)
            named = [problem.field for problem in audit.problems]
            if named and any(field.startswith(kind.fields) for field in named) and "Traceback" not in str(audit):
                refused[kind.name] += 1
            else:
                missed.append(f"{kind.name} of {folder.name}: {audit}")
    with capsys.disabled():
        told = f"{sum(refused.values())} forged records of {len(refused)} kinds refused, {len(missed)} missed"
        sys.stdout.write(f"\n{told}; {len(passed)} genuine ones pass\n")
    assert missed == [], "\n".join(missed)
    assert sum(refused.values()) >= 200
    assert set(refused) == {kind.name for kind in KINDS}  # every kind met a record that it applies to

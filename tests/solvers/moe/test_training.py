"""Training of gates: what is learned about one expert does not depend on the others; how far the forests are trusted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import yaml
from gate_training import RunTable, evaluate_choices, gate_rows, run_table, train_gate, without, write_aslib
from gate_training.runs import Case

import optisolve
from optisolve.core.budget import Budget
from optisolve.core.errors import OptisolveError, RecordError
from optisolve.core.reference import Effort

EXPERTS, FLAGS = ("a", "b", "c", "extra"), ("a", "b", "c")


def table(families=3, per_family=6, seed=0):
    """Instances of some families: far from each other in features, the best expert differs by family, `extra` rarely able."""
    rng = np.random.default_rng(seed)
    cases, features, losses, able = [], [], [], []
    for f in range(families):
        for i in range(per_family):
            cases.append(Case(f"family{f}", f"family{f}", {}, i % 3, 4))
            features.append([10.0 * f + rng.normal(), rng.normal()])
            row = rng.uniform(0.3, 0.6, 4)
            row[f % 3] = 0.01
            losses.append(row)
            able.append([True, True, True, f == 0])
    losses, able = np.array(losses), np.array(able)
    losses[~able] = 1.0
    rule = np.zeros(len(cases), dtype=np.int64)
    return RunTable(tuple(cases), EXPERTS, FLAGS, losses, able, np.full(losses.shape, 9.0), rule, np.array(features))


@pytest.fixture(autouse=True)
def _sklearn():
    pytest.importorskip("sklearn", reason="needs the extra [moe]")


def test_a_column_more_or_less_changes_nothing_that_is_learned_about_the_others():
    full, fewer = table(), table().without("extra")
    assert fewer.experts == FLAGS
    first, second = train_gate(full), train_gate(fewer)
    for z in full.features:
        assert np.array_equal(first.predict(z)[:3], second.predict(z))
        assert np.array_equal(first.distances(z), second.distances(z))
    assert first.single_best == second.single_best
    assert first.reach == second.reach
    dropped = without(first, "extra")
    assert dropped.experts == second.experts
    with pytest.raises(OptisolveError, match="left out"):
        without(first, "a")  # features tell of it


def test_a_forest_learns_from_the_instances_that_its_expert_can_treat_and_no_others():
    full = table()
    model = train_gate(full)
    spoiled = replace(full, losses=np.where(full.able, full.losses, 0.0))  # losses of experts that could not run
    again = train_gate(spoiled)
    for z in full.features:
        assert np.array_equal(model.predict(z), again.predict(z))


def test_what_lies_as_near_as_instances_of_one_scenario_is_similar_and_another_family_is_not():
    own = table()
    model = train_gate(own)
    assert all(model.outside(z) == "" for z in own.features)
    rest = train_gate(own.rows(i for i, c in enumerate(own.cases) if c.family != "family2"))
    for z, case in zip(own.features, own.cases, strict=True):
        assert ("nothing similar" in rest.outside(z)) == (case.family == "family2")
    one_number = train_gate(own.rows(i for i, c in enumerate(own.cases) if c.seed == 0).rows([0, 1, 2, 3, 4, 5, 0, 1, 2]))
    assert one_number.reach is None  # nothing tells how far instances of one scenario lie apart
    assert one_number.outside(own.features[0] + 99.0) == ""


def test_too_few_instances_make_no_gate():
    with pytest.raises(OptisolveError, match="at least 8"):
        train_gate(table(families=1))


def test_closed_gap_is_one_for_the_best_choice_and_zero_for_the_single_best():
    own = table()
    more = {"feasible": 1.0, "gap": np.nan, "evaluations": 9.0, "calls": 0.0, "tokens": 0.0, "fallback": 0.0, "seconds": 0.1}
    runs = {
        "best": [{"loss": float(v), **more} for v in own.losses.min(axis=1)],
        "single": [{"loss": float(v), **more} for v in own.losses[:, 1]],
    }
    best, single = gate_rows(own, "b", runs)
    assert best.closed_gap == pytest.approx(1.0)
    assert single.closed_gap == pytest.approx(0.0)


def test_the_interval_of_a_closed_gap_covers_it_from_ten_instances_on_and_is_none_below():
    """Losses of the single best solver in [0.2, 0.6], the virtual best's half of them, the gate's in between: gap 0.5."""
    rng, n, held = np.random.default_rng(0), 15, 0
    fifteen = table().rows([0] * n)
    for _ in range(200):
        single = rng.uniform(0.2, 0.6, n)
        losses = np.ones_like(fifteen.losses)
        losses[:, :2] = np.column_stack([single / 2.0, single])
        gate = single * (0.75 + 0.2 * rng.uniform(-1.0, 1.0, n))
        told = evaluate_choices(replace(fifteen, losses=losses), fifteen.experts[1], {"gate": gate})["gate"]
        held += told[1] <= 0.5 <= told[2]
    assert held >= 180
    nine = replace(fifteen, losses=losses).rows(range(9))
    assert np.isnan(evaluate_choices(nine, nine.experts[1], {"gate": gate[:9]})["gate"][1:]).all()


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Three solvers, one of them a mixture, on two instances."""
    folder = tmp_path_factory.mktemp("gates") / "runs"
    problem = optisolve.load_problem("parallel_channels")
    for seed in (0, 1):
        instance = problem.instance(seed)
        reference = problem.reference(instance, Effort.QUICK)
        for solver in ("water_filling", "random_search", "moe"):
            optisolve.solve(instance, solver, budget=Budget(evaluations=40), reference=reference).save(folder)
    return optisolve.load_records(folder)


def test_records_of_mixtures_are_left_out_with_a_notice(records):
    told = run_table(records)
    assert told.experts == ("random_search", "water_filling")
    assert told.flags == told.experts
    assert [told.experts[j] for j in told.rule] == ["water_filling"] * 2
    assert any("moe" in notice for notice in told.notices)
    assert (told.losses[:, 1] < told.losses[:, 0]).all()
    with pytest.raises(RecordError):
        run_table(records, only=("moe",))


def test_the_exported_scenario_has_a_value_for_every_attribute(records, tmp_path):
    told = run_table(records)
    folder = write_aslib(told, tmp_path / "aslib", name="toy")
    for file in ("algorithm_runs.arff", "feature_values.arff", "feature_runstatus.arff", "cv.arff"):
        head, _, data = (folder / file).read_text().partition("@DATA\n")
        rows = data.splitlines()
        assert len(rows) == (4 if file.startswith("algorithm") else 2)
        assert {len(row.split(",")) for row in rows} == {head.count("@ATTRIBUTE")}
    description = yaml.safe_load((folder / "description.txt").read_text())
    assert set(description["metainfo_algorithms"]) == set(told.experts)
    assert len(description["features_deterministic"]) == told.features.shape[1]

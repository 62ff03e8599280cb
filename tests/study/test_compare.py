"""The gate on quality: worse means are refused, failures and missing units count as worst, clocks never gate."""

from __future__ import annotations

import pytest

import optisolve
from optisolve.cli.main import main
from optisolve.core import Budget
from optisolve.core.errors import OptionError, RecordError
from optisolve.core.reference import Effort
from optisolve.core.status import Termination
from optisolve.run.schema import TerminationPart
from optisolve.study.compare import METRICS, compare_records, parse_rules, read_units
from tests.forging import record_bytes, seal


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Good runs, the same with a fifth of the budget, and the good ones once more."""
    root = tmp_path_factory.mktemp("records")
    for name, evaluations in (("good", 500), ("poor", 25), ("again", 500)):
        for scenario in ("parallel_channels", "uav_isac"):
            problem = optisolve.load_problem(scenario)
            instance = problem.instance(0)
            reference = problem.reference(instance, Effort.QUICK) if scenario == "parallel_channels" else None
            for seed in range(6):
                result = optisolve.solve(
                    instance, "random_search", budget=Budget(evaluations=evaluations), seed=seed, reference=reference
                )
                result.save(root / name)
    return root


def changes(base, new, rules, **options):
    return {c.rule.metric.name: c for c in compare_records(read_units(base), read_units(new), parse_rules(rules), **options)}


def test_the_same_results_pass_and_worse_ones_fail(folders, capsys):
    assert main(["compare", str(folders / "good"), str(folders / "again")]) == 0
    assert main(["compare", str(folders / "good"), str(folders / "poor"), "--fail-on", "gap:+0.001"]) == 2
    shown = capsys.readouterr().out
    assert "worse than allowed: gap" in shown
    assert "random_search on parallel_channels" in shown
    assert main(["compare", str(folders / "poor"), str(folders / "good")]) == 0  # better is never refused


def test_the_allowed_change_is_the_border(folders):
    told = changes(folders / "good", folders / "poor", "gap:+0,hypervolume:-0,success:-0")
    assert (told["gap"].n, told["hypervolume"].n, told["success"].n) == (6, 6, 12)
    loss = told["gap"].new - told["gap"].base
    assert loss > 0.0
    assert told["gap"].failed
    assert changes(folders / "good", folders / "poor", f"gap:+{loss * 0.99}")["gap"].failed
    assert not changes(folders / "good", folders / "poor", f"gap:+{loss * 1.01}")["gap"].failed
    assert not told["success"].failed


def test_with_alpha_a_loss_must_be_significant_too(folders, tmp_path):
    base, new = read_units(folders / "good"), read_units(folders / "poor")
    assert compare_records(base, new, parse_rules("gap:+0"), alpha=0.05)[0].failed  # six pairs, all worse: p = 1/32
    assert not compare_records(base, new, parse_rules("gap:+0"), alpha=0.01)[0].failed


def test_a_missing_unit_and_a_failed_run_count_as_the_worst(folders):
    base = read_units(folders / "good")
    rules = parse_rules("gap:+0,hypervolume:-0,success:-0")
    new = dict(base)
    del new[next(key for key in base if key[0] == "parallel_channels")]
    broken = base[next(key for key in base if key[0] == "uav_isac")]
    broken = broken.model_copy(update={"termination": TerminationPart(status=Termination.ERROR, limit=None, detail="")})
    new[next(key for key in base if key[0] == "uav_isac")] = broken
    told = {change.rule.metric.name: change for change in compare_records(base, new, rules)}
    assert all(change.failed for change in told.values())
    assert told["success"].new == pytest.approx(10 / 12)
    assert told["gap"].worst[0][2] == 1.0
    assert told["hypervolume"].worst[0][2] == 0.0


def with_gap(record, gap, tie):
    scores = record.scores.model_copy(update={"gap": gap, "bound_gap": gap, "tie": tie})
    return record.model_copy(update={"scores": scores})


def test_changes_within_the_reference_s_tie_are_none_and_no_gap_counts_below_zero(folders):
    units = {key: record for key, record in read_units(folders / "good").items() if key[0] == "parallel_channels"}
    base = {key: with_gap(record, 0.2, 1e-3) for key, record in units.items()}
    near = {key: with_gap(record, 0.2008, 1e-3) for key, record in units.items()}
    far = {key: with_gap(record, 0.2012, 1e-3) for key, record in units.items()}
    rules = parse_rules("gap:+0")
    (same,), (worse,) = compare_records(base, near, rules), compare_records(base, far, rules)
    assert (same.better, same.worse, same.p_value, same.failed) == (0, 0, 1.0, False)
    assert (worse.worse, worse.failed) == (6, True)
    cheat, exact = ({key: with_gap(record, gap, 1e-7) for key, record in units.items()} for gap in (-9e-8, 0.0))
    (change,) = compare_records(cheat, exact, rules)
    assert (change.base, change.new, change.failed) == (0.0, 0.0, False)


def test_wall_clock_wrong_signs_and_unknown_metrics_are_refused_together():
    with pytest.raises(OptionError) as raised:
        parse_rules("wall_s:+1,gap:-0.01,hypervolume:+0.1,gpa:+1,success:often,gap:+0.1,gap:+0.2")
    text = str(raised.value)
    assert "6 bad field(s)" in text
    assert "factor of two" in text
    assert "refuse improvements" in text
    assert "did you mean gap?" in text


def test_every_metric_reads_every_record(folders):
    record = next(iter(read_units(folders / "good").values()))
    assert {name: metric.value(record) is not None for name, metric in METRICS.items()} == {
        "loss": True,
        "gap": True,
        "bound_gap": True,
        "igd_plus": False,
        "hypervolume": False,
        "success": True,
        "evaluations": True,
        "llm_calls": True,
        "tokens": True,
        "usd": True,
    }


def test_costs_may_gate(folders):
    assert changes(folders / "poor", folders / "good", "evaluations:+100")["evaluations"].failed
    assert not changes(folders / "poor", folders / "good", "evaluations:+500")["evaluations"].failed


def test_folders_without_a_common_unit_altered_records_and_two_answers_are_errors(folders, tmp_path):
    base = read_units(folders / "good")
    shifted = {(*key[:3], key[3] + 100): record for key, record in base.items()}
    with pytest.raises(RecordError, match="no unit in common"):
        compare_records(base, shifted, parse_rules("gap:+0"))
    record = next(iter(base.values())).to_json()
    record["scores"]["gap"] = 0.0
    (tmp_path / "altered").mkdir()
    (tmp_path / "altered" / "record.json").write_bytes(record_bytes(record))
    with pytest.raises(RecordError, match="does not fit its hashes"):
        read_units(tmp_path)
    record["scores"]["objective"] += 1.0
    (tmp_path / "altered" / "record.json").write_bytes(record_bytes(seal(record)))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "record.json").write_bytes(next(iter(base.values())).to_bytes())
    with pytest.raises(RecordError, match="two different results"):
        read_units(tmp_path)
    with pytest.raises(RecordError, match="leave it out"):
        compare_records(base, base, parse_rules("igd_plus:+0"))

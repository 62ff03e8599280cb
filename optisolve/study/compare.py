"""A gate on quality: what got worse between two folders of records, unit by unit.

A unit is one solver on one instance in one repetition. Units pair by instance, solver and seed, so the two folders must
come from the same problems and seeds; the solver's version and options may differ, since that is what a gate looks at.
Failures count as worst, and a unit that is gone counts as a failure. Wall-clock never gates.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optisolve.core.errors import FieldProblem, OptionError, RecordError, nearest
from optisolve.run.records import iter_records
from optisolve.run.schema import Record
from optisolve.run.untrusted import printable, read_json
from optisolve.study.loss import GAP_NOISE, LOSS_CAP, loss_of, loss_of_gap, quiet, succeeded

__all__ = [
    "METRICS",
    "Change",
    "Metric",
    "Rule",
    "compare_records",
    "missing_units",
    "parse_rules",
    "read_units",
]

UnitKey = tuple[str, str, str, int]
"""Scenario, hash of the instance, solver, seed."""


@dataclass(frozen=True, slots=True)
class Metric:
    """Something that may gate.

    Attributes:
        name: As in ``--fail-on``.
        maximize: Larger is better.
        worst: What a failure counts; None for costs, of which only pairs of finished runs count.
        meaning: In words.
        value: Takes it from a record; None where it does not apply.
    """

    name: str
    maximize: bool
    worst: float | None
    meaning: str
    value: Callable[[Record], float | None]


def _score(name: str) -> Callable[[Record], float | None]:
    return lambda record: record.scores.values()[name]


def _loss(record: Record) -> float | None:
    return loss_of(record).value


def _gap(name: str) -> Callable[[Record], float | None]:
    def cut(record: Record) -> float | None:
        gap = record.scores.values()[name]
        return None if gap is None else loss_of_gap(gap, record.scores.tie)

    return cut


def _cost(*names: str) -> Callable[[Record], float | None]:
    return lambda record: float(sum(getattr(record.used, name) for name in names))


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("loss", False, LOSS_CAP, "gap to optimum or bound, or missing share of the reference front", _loss),
        Metric("gap", False, LOSS_CAP, "relative gap to the reference value or front, 0 within its tie", _gap("gap")),
        Metric("bound_gap", False, LOSS_CAP, "relative gap to the dual bound, 0 within its tie", _gap("bound_gap")),
        Metric("igd_plus", False, LOSS_CAP, "distance to the reference front, units of the box", _score("igd_plus")),
        Metric("hypervolume", True, 0.0, "share of the scoring box", _score("hypervolume")),
        Metric("success", True, 0.0, "share of runs with a feasible answer", lambda record: float(succeeded(record))),
        Metric("evaluations", False, None, "evaluations used", _cost("evaluations")),
        Metric("llm_calls", False, None, "calls to a language model", _cost("llm_calls")),
        Metric("tokens", False, None, "tokens, prompt and completion", _cost("tokens_in", "tokens_out")),
        Metric("usd", False, None, "US dollars", _cost("usd")),
    )
}

_ROUNDING = 1e-12
"""Relative difference of two means of the same values."""

_CLOCKS = ("wall", "wall_s", "cpu", "cpu_s", "seconds", "time", "runtime", "speed", "peak_mb", "memory")


@dataclass(frozen=True, slots=True)
class Rule:
    """A metric and how much worse its mean may get.

    Attributes:
        metric: What is looked at.
        allowed: By how much the mean may get worse, >= 0, in the metric's unit.
    """

    metric: Metric
    allowed: float


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one metric.

    Attributes:
        rule: The metric and what is allowed.
        n: Units that the metric applies to.
        base: Mean over them in the first folder.
        new: Mean over them in the second one.
        better: Units that got better by more than a tie.
        worse: Units that got worse by more than a tie.
        p_value: Two-sided Wilcoxon signed-rank test over the pairs; 1 without any difference.
        failed: The mean lost more than allowed (and, when asked, the test says that it is no accident).
        worst: The units that lost most: (unit in words, value before, value now).
    """

    rule: Rule
    n: int
    base: float
    new: float
    better: int
    worse: int
    p_value: float
    failed: bool
    worst: tuple[tuple[str, float, float], ...]


def parse_rules(text: str) -> list[Rule]:
    """Rules such as ``gap:+0.01,hypervolume:-0.005,success:-0.02``.

    Args:
        text: METRIC:CHANGE joined by commas; the sign says which direction is the bad one.

    Raises:
        OptionError: Unknown metrics, a clock, a wrong sign, or a number that is none; all in one message.
    """
    rules: list[Rule] = []
    found: list[FieldProblem] = []
    for term in (part.strip() for part in text.split(",")):
        name, _, change = term.partition(":")
        problem = _rule_problem(name, change)
        if problem:
            found.append(FieldProblem("--fail-on", term, problem))
        elif name in {rule.metric.name for rule in rules}:
            found.append(FieldProblem("--fail-on", term, f"{name} once"))
        else:
            rules.append(Rule(METRICS[name], abs(float(change))))
    if found:
        raise OptionError("The comparison", found)
    return rules


def _rule_problem(name: str, change: str) -> str:
    """What was expected instead of a term; "" when it is fine."""
    if name in _CLOCKS:
        return (
            "a metric of quality or of counted cost: wall-clock and memory differ by a factor of two between two runs of the "
            "same code on shared machines, so no threshold is both above the noise and below a real loss; "
            "gate on evaluations, llm_calls or tokens"
        )
    if name not in METRICS:
        guess = nearest(name, METRICS)
        return f"one of {', '.join(METRICS)}" + (f"; did you mean {guess}?" if guess else "")
    try:
        value = float(change)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        return f"{name}:CHANGE with a number, e.g. {_example(name)}"
    if value and (value > 0) == METRICS[name].maximize:
        better = "larger" if METRICS[name].maximize else "smaller"
        return f"{_example(name)}: {better} values are better, so this sign would refuse improvements"
    return ""


def _example(name: str) -> str:
    return f"{name}:{'-' if METRICS[name].maximize else '+'}0.01"


def read_units(path: str | os.PathLike[str]) -> dict[UnitKey, Record]:
    """All records at or below a path by unit; layout and hashes are checked.

    Raises:
        RecordError: No record, an altered or malformed one, or two different results of one unit.
    """
    units: dict[UnitKey, Record] = {}
    for file in iter_records(path):
        record = Record.from_json(read_json(file), where=printable(file))
        if record != record.sealed():
            raise RecordError(
                f"{printable(file)}: the content does not fit its hashes; see: optisolve verify {printable(file)}"
            )
        key = _key(record)
        twin = units.setdefault(key, record)
        if twin.result_hash != record.result_hash:
            raise RecordError(
                f"{printable(path)}: two different results for {_words(key)} ({twin.record_id} and {record.record_id}). "
                "Give a folder that holds every unit once."
            )
    if not units:
        raise RecordError(f"{printable(path)}: no record.json at or below this path.")
    return units


def compare_records(
    base: Mapping[UnitKey, Record],
    new: Mapping[UnitKey, Record],
    rules: Sequence[Rule],
    *,
    alpha: float | None = None,
) -> list[Change]:
    """Compare unit by unit.

    Args:
        base: Units before; these are expected.
        new: Units now; further ones are ignored.
        rules: What may not get worse.
        alpha: Let a rule fail only when the paired test is significant at this level as well; None for the mean alone.

    Raises:
        RecordError: No unit in common, or a metric that no unit has on both sides.
    """
    if not set(base) & set(new):
        raise RecordError(
            "The two folders have no unit in common: units pair by scenario, instance data, solver and seed. "
            "Run the same suite with the same seeds."
        )
    return [_change(base, new, rule, alpha) for rule in rules]


def _change(base: Mapping[UnitKey, Record], new: Mapping[UnitKey, Record], rule: Rule, alpha: float | None) -> Change:
    from optisolve.study.statistics import paired_comparison

    metric = rule.metric
    pairs = {key: pair for key in sorted(base) if (pair := _pair(metric, base[key], new.get(key))) is not None}
    if not pairs:
        raise RecordError(
            f"No unit has the metric '{metric.name}' ({metric.meaning}) on both sides; leave it out of --fail-on."
        )
    before, now = zip(*pairs.values(), strict=True)
    ties = [_tie(metric, base[key], new.get(key)) for key in pairs]
    test = paired_comparison(now, before, maximize=metric.maximize, tolerance=ties)
    means = math.fsum(before) / len(pairs), math.fsum(now) / len(pairs)
    changes = [_worsening(metric, *pair) for pair in pairs.values()]
    told = {key: change for key, change, tie in zip(pairs, changes, ties, strict=True) if abs(change) > tie}
    rounding = _ROUNDING * max(map(abs, means))
    failed = math.fsum(told.values()) / len(pairs) > rule.allowed + rounding and (alpha is None or test.p_value < alpha)
    worst = sorted((key for key in told if told[key] > 0.0), key=lambda key: told[key], reverse=True)[:5]
    units = tuple((_words(key), *pairs[key]) for key in worst)
    return Change(rule, len(pairs), *means, test.wins, test.losses, test.p_value, failed, units)


def _tie(metric: Metric, *records: Record | None) -> float:
    """Difference of two values of a metric that says nothing."""
    if metric.name not in ("loss", "gap", "bound_gap"):
        return GAP_NOISE if metric.name in ("hypervolume", "igd_plus") else 0.0
    return max(quiet(record.scores.tie) for record in records if record is not None)


def _pair(metric: Metric, before: Record, now: Record | None) -> tuple[float, float] | None:
    """Values before and now; None where the metric does not apply to the unit."""
    if metric.name == "success":
        return float(succeeded(before)), float(now is not None and succeeded(now))
    done = [record for record in (before, now) if record is not None and succeeded(record)]
    values = [metric.value(record) for record in done]
    if not done or all(value is None for value in values):
        return None
    if metric.worst is None:
        return None if now is None or len(done) < 2 else (_given(metric, before), _given(metric, now))
    old = _given(metric, before) if succeeded(before) else metric.worst
    fresh = _given(metric, now) if now is not None and succeeded(now) else metric.worst
    return old, fresh


def _given(metric: Metric, record: Record) -> float:
    value = metric.value(record)
    if value is None:
        raise RecordError(
            f"{record.record_id}: has no {metric.name} although its counterpart does. Run both with the same reference=…"
        )
    limit = metric.worst
    if limit is None:
        return value
    return max(value, limit) if metric.maximize else min(value, limit)  # nothing is worse than a failure


def _worsening(metric: Metric, before: float, now: float) -> float:
    return before - now if metric.maximize else now - before


def _key(record: Record) -> UnitKey:
    return record.instance.scenario, record.instance.sha256, printable(record.suite.solver or record.solver.name), record.seed


def _words(key: UnitKey) -> str:
    scenario, sha256, solver, seed = key
    return f"{solver} on {scenario} (instance {sha256[:8]}, seed {seed})"


def missing_units(base: Mapping[UnitKey, Any], new: Mapping[UnitKey, Any]) -> tuple[list[str], list[str]]:
    """Units that are gone, and units that are new, in words."""
    return [_words(key) for key in sorted(set(base) - set(new))], [_words(key) for key in sorted(set(new) - set(base))]

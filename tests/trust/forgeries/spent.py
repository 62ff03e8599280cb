"""Forgeries of what was spent: evaluations, traces, tokens, terminations."""

from __future__ import annotations

from typing import Any

from optisolve.run.evaluator import checkpoints
from tests.trust.forgeries.case import DoesNotApply, forgery


@forgery("evaluations understated", "trace", "used.by_source", "solutions.x")
def understated(case):
    if case.record["used"]["evaluations"] < 2:
        raise DoesNotApply
    case.record["used"]["evaluations"] //= 2


@forgery("evaluations understated everywhere", "result_hash", "used.by_source.warm_start", again=True)
def understated_everywhere(case):
    """Budget, usage, sources and a fresh set of checkpoints all say half as much."""
    record = case.record
    if record["used"]["evaluations"] < 20 or record["solver"]["llm"] or record["suite"]["name"]:
        raise DoesNotApply
    half(record)


@forgery("over budget", "used.evaluations")
def over_budget(case):
    if case.record["used"]["evaluations"] < 2:
        raise DoesNotApply
    case.record["budget"]["evaluations"] = case.record["used"]["evaluations"] - 1


@forgery("budget of nothing", "budget")
def no_budget(case):
    case.record["budget"] = dict.fromkeys(case.record["budget"])


@forgery("altered budget", "result_hash", "budget.evaluations", again=True)
def altered_budget(case):
    if case.record["termination"]["limit"] != "evaluations":
        raise DoesNotApply
    case.record["budget"]["evaluations"] += 100


@forgery("trace raised at its end", "trace", "used.by_source")
def trace_end(case):
    if len(case.record["trace"]) < 2 or case.record["trace"][-1][2] is None:
        raise DoesNotApply
    case.record["trace"][-1][2] += case.better * 0.01


@forgery("trace raised with its gains", "trace")
def trace_gains(case):
    rows = case.record["trace"]
    if not rows or rows[-1][2] is None:
        raise DoesNotApply
    rows[-1][2] += case.better * 0.01
    source = next(iter(case.record["used"]["by_source"].values()))
    name = next(key for key in source if key != "evaluations")
    source[name] += 0.01


@forgery("trace that rises earlier", "result_hash", again=True)
def trace_early(case):
    """The end value is reached half-way: monotone, right checkpoints, right sums."""
    rows = case.record["trace"]
    known = [i for i, row in enumerate(rows) if row[2] is not None]
    if len(known) < 6 or rows[known[0]][2] == rows[-1][2] or rows[-1][2] == rows[known[3]][2]:
        raise DoesNotApply
    for i in known[3:]:
        rows[i][2] = rows[-1][2]


@forgery("trace that gets worse", "trace")
def trace_falls(case):
    rows = [row for row in case.record["trace"] if row[2] is not None]
    if len(rows) < 3:
        raise DoesNotApply
    rows[1][2] = rows[-1][2] + case.better


@forgery("trace with other checkpoints", "trace")
def trace_checkpoints(case):
    if len(case.record["trace"]) < 3:
        raise DoesNotApply
    del case.record["trace"][1]


@forgery("violation that rises", "trace")
def trace_violation(case):
    if len(case.record["trace"]) < 3:
        raise DoesNotApply
    case.record["trace"][-1][3] = 1.0


@forgery("gain of a source", "used.by_source")
def source_gain(case):
    source = next(iter(case.record["used"]["by_source"].values()), None)
    if source is None or "hypervolume_gain" not in source:
        raise DoesNotApply
    source["hypervolume_gain"] += 0.1


@forgery("points of a source", "used.by_source")
def source_points(case):
    source = next(iter(case.record["used"]["by_source"].values()), None)
    if source is None:
        raise DoesNotApply
    source["evaluations"] += 1


@forgery("credit beyond what was spent", "used.by_source")
def credit(case):
    source = next(iter(case.record["used"]["by_source"].values()), None)
    if source is None:
        raise DoesNotApply
    source[str(case.rng.choice(["usd", "tokens_in", "tokens_out", "survivors"]))] = 10**9


@forgery("tokens altered", "used.tokens", "solver.llm.tokens")
def tokens(case):
    if not case.record["solver"]["llm"]:
        raise DoesNotApply
    case.record["used"]["tokens_out"] += 7
    case.record["solver"]["llm"]["tokens_out"] += 7


@forgery("calls understated", "used.llm_calls", "solver.llm.calls")
def calls(case):
    if not case.record["solver"]["llm"]:
        raise DoesNotApply
    case.record["used"]["llm_calls"] -= 1


@forgery("tokens of nobody", "used.tokens_in")
def tokens_of_nobody(case):
    if case.record["solver"]["llm"]:
        raise DoesNotApply
    case.record["used"]["tokens_in"] = 10


@forgery("termination", "termination.limit")
def termination(case):
    case.record["termination"].update(status="limit", limit="usd")


@forgery("limit that was not the end", "termination.limit")
def limit_without_status(case):
    if case.record["termination"]["status"] == "limit":
        raise DoesNotApply
    case.record["termination"]["limit"] = "evaluations"


@forgery("claimed proof", "solutions.claimed.dual_bound")
def claimed_proof(case):
    if case.several or case.record["scores"]["objective"] is None:
        raise DoesNotApply
    case.record["solutions"]["claimed"]["dual_bound"] = case.record["scores"]["objective"] - case.better


@forgery("infeasibility claimed beside a point", "termination.status")
def claimed_infeasible(case):
    if not any(case.record["verified"]["feasible"]):
        raise DoesNotApply
    case.record["termination"].update(status="infeasible", limit=None)


def half(record: dict[str, Any]) -> None:
    """Half the evaluations in every place that mentions them, with the checkpoints that follow."""
    used, rows = record["used"], record["trace"]
    source = next(iter(used["by_source"]))
    gain = next(key for key in used["by_source"][source] if key != "evaluations")
    total = sum(item[gain] for item in used["by_source"].values())
    n = used["evaluations"] // 2
    at = checkpoints(n)
    values = [rows[round(i * (len(rows) - 1) / max(1, len(at) - 1))] for i in range(len(at))]
    record["trace"] = [[int(count), *row[1:]] for count, row in zip(at, values, strict=True)]
    used["evaluations"] = n
    used["by_source"] = {source: {"evaluations": n, gain: total}}
    if record["budget"]["evaluations"] is not None:
        record["budget"]["evaluations"] = n

"""What a family costs and how good its answers are at its usual size, at ten times and at a hundred times that.

    python benchmarks/quality/by_size.py --out FILE              # goes on where it was stopped
    python benchmarks/quality/by_size.py --out FILE --show       # the table of docs/scaling.md
    python benchmarks/quality/by_size.py --commands              # each run as a command

A row is a process of its own, as is each solver in it, whose data may grow to 8 GB (RLIMIT_DATA). It makes an instance,
evaluates points in batches, and does what `optisolve run` does with `reference=normal budget.seconds=10` and 5,000 evaluations:
`moe` and who is made for the family (`families.py`). Times are what the reference, or the run by its own clock, took, without
what it waited for a processor that others had; kernels are compiled before. Of the answers the better one is shown, of equal
ones the faster.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from families import FACTORS, FAMILIES
from limits import get_ready_for, of_reference, of_run, solved, timed, warm, watched

import optisolve
from optisolve.core.reference import Effort, Reference
from optisolve.core.status import PointStatus
from optisolve.run.aside import get_ready, limited_reference
from optisolve.run.solve import DEFAULT_BUDGET, Result
from optisolve.study.loss import loss_of

SECONDS = 10.0
ALLOWED_S = 1.1 * SECONDS + 0.5
MEMORY_BYTES = 8_000_000_000
GIVE_UP_S = 90.0
"""A call that has not ended by then is killed."""
ROW_S = 900.0
BUDGET = replace(DEFAULT_BUDGET, seconds=SECONDS)
_EVALUATED = 10_000_000
"""Numbers in a batch of points at most."""
_WORDS = 240
"""Letters of what is told at most."""
_SAME = 1e-9
"""Relative difference below which two answers count as equal."""
_NO_BOUND = 0.75
"""A dual bound that is further above a value than this says nothing, as for `power_control`."""


def main() -> None:
    """Run what is missing, or show what is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="file of results, a JSON line per row")
    parser.add_argument("--show", action="store_true", help="print the table, run nothing")
    parser.add_argument("--commands", action="store_true", help="print the commands, run nothing")
    parser.add_argument("--only", nargs="*", default=[], help="families")
    parser.add_argument("--factors", type=int, nargs="*", default=FACTORS, help="times the usual size")
    asked = parser.parse_args()
    chosen = [(name, k) for name in FAMILIES if not asked.only or name in asked.only for k in asked.factors]
    if asked.commands:
        print("\n".join(line for name, k in chosen for line in commands(name, k)))
        return
    if asked.out is None:
        parser.error("--out FILE is missing")
    rows = {(row["family"], row["factor"]): row for row in map(json.loads, _lines(asked.out))}
    compiled: set[str] = set()
    for name, k in [] if asked.show else chosen:
        if (name, k) not in rows:
            if name not in compiled:
                compiled.add(name)
                watched(_compile, name)
            row = {"family": name, "factor": k, **watched(_row, name, k, give_up_s=ROW_S)}
            with asked.out.open("a") as stream:
                stream.write(json.dumps(row) + "\n")
            rows[name, k] = row
            print(_told(row), flush=True)
    if asked.show:
        print(table([rows[key] for key in chosen if key in rows]))


def commands(name: str, factor: int) -> Iterator[str]:
    """Each run of a row as a command of the shell."""
    family = FAMILIES[name]
    told = [f"problem={family.scenario}"]
    for field, value in family.settings[FACTORS.index(factor)].items():
        text = f"problem.{field}={json.dumps(value, separators=(',', ':')).replace(chr(34), '')}"
        told.append(f"'{text}'" if set(text) & set("[]{}") else text)
    for solver in ("moe", *family.solvers):
        yield f"optisolve run {' '.join(told)} solver={solver} reference=normal budget.seconds={SECONDS:g}"


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.is_file() else []


def _compile(name: str, answer: Connection) -> None:
    """The reference of the usual size without a limit: what it compiles is found by those that are timed."""
    answer.send({})
    problem = optisolve.load_problem(FAMILIES[name].scenario, **FAMILIES[name].settings[0])
    problem.reference(problem.instance(0), Effort.NORMAL)
    answer.send({})


def _row(name: str, factor: int, answer: Connection) -> None:
    """All of a row: instance, evaluation, reference, solvers; each under its own limit."""
    answer.send({})
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    family = FAMILIES[name]
    held: list[tuple[optisolve.Problem, optisolve.Instance]] = []

    def make() -> dict[str, Any]:
        problem = optisolve.load_problem(family.scenario, **family.settings[FACTORS.index(factor)])
        held.append((problem, problem.instance(0)))
        return {"end": "made", "record": True}

    row: dict[str, Any] = {"instance": timed(make)}
    if held:
        problem, instance = held[0]
        row["dim"] = instance.space.dim
        warm(instance)
        row["evaluation"] = timed(lambda: {"s": _evaluation_s(instance), "end": "", "record": True})
        references: list[Reference | None] = []
        get_ready(instance, ("scipy.optimize", "highspy", f"{type(problem).__module__.rpartition('.')[0]}.reference"))
        row["reference"] = timed(
            lambda: of_reference(_kept(limited_reference(problem, instance, Effort.NORMAL, SECONDS), references))
        )
        reference = references[0] if references else None
        row["evidence"] = reference.evidence.value if reference else "none"
        row["solvers"] = {
            solver: watched(_run, instance, solver, reference, give_up_s=GIVE_UP_S) for solver in ("moe", *family.solvers)
        }
    answer.send(row)


def _kept(reference: Reference | None, into: list[Reference | None]) -> Reference | None:
    into.append(reference)
    return reference


def _evaluation_s(instance: optisolve.Instance) -> float:
    """Processor time of one point in a batch, the smallest of three, s."""
    n, most = 1, max(1, min(4096, _EVALUATED // instance.space.dim))
    while True:
        X = instance.space.sample(np.random.default_rng(0), n)
        least = np.inf
        for _ in range(3):
            begin = time.process_time()
            instance.evaluate(X)
            least = min(least, time.process_time() - begin)
        if least > 0.05 or n >= most:
            return float(least / n)
        n = min(most, 4 * n)


def _run(instance: optisolve.Instance, solver: str, reference: Reference | None, answer: Connection) -> None:
    """One run, in a process of its own."""
    if why := optisolve.load_solver(solver).skip(instance):
        answer.send({})
        answer.send({"end": f"skips: {why}"})
        return
    get_ready_for(instance, solver)
    answer.send({})

    def run() -> dict[str, Any]:
        made = solved(instance, solver, BUDGET, reference)
        return {**of_run(made), **_worth(made[0])}

    answer.send(timed(run))


def _worth(result: Result) -> dict[str, Any]:
    """How good an answer is: `worth` compares those of one instance, larger is better."""
    told = loss_of(result.record)
    if result.point_status is not PointStatus.FEASIBLE:
        return {"status": result.point_status.value}
    scores = result.record.scores
    several = len(result.instance.objectives) > 1
    value = scores.hypervolume if several else scores.objective
    worth = None if value is None else float(value if several else -value * result.instance.signs[0])
    return {
        "status": "feasible",
        "worth": worth,
        "value": value,
        "gap": told.gap,
        "tie": told.tie,
        "yardstick": told.yardstick.value,
    }


def _best(solvers: Mapping[str, Mapping[str, Any]]) -> tuple[str, Mapping[str, Any]] | None:
    """Whose answer is shown."""
    found = {name: told for name, told in solvers.items() if told.get("worth") is not None}
    if not found:
        return None
    most = max(told["worth"] for told in found.values())
    equal = {name: told for name, told in found.items() if told["worth"] >= most - _SAME * abs(most)}
    return min(equal.items(), key=lambda item: float(item[1]["took"]))


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The Markdown table."""
    lines = [
        "| family | size | instance | evaluation | reference | best solver | loss | what stops |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [f"| {' | '.join(_cells(row))} |" for row in rows]
    return "\n".join(lines)


def _cells(row: Mapping[str, Any]) -> Iterator[str]:
    name, factor = row["family"], row["factor"]
    yield f"`{FAMILIES[name].scenario}`, {factor}x"
    why = FAMILIES[name].why if factor == FACTORS[-1] else ""
    yield _size(FAMILIES[name].settings[FACTORS.index(factor)]) + (f" ({why})" if why else "")
    if "took" not in row.get("instance", {}):
        yield from ("–", "–", "–", "–", "–", _words(row.get("instance", row)["end"]))
        return
    yield _s(row["instance"]["took"])
    yield _s(row["evaluation"]["s"]) if "s" in row["evaluation"] else _words(row["evaluation"]["end"])
    yield f"{_s(row['reference']['took'])}, {row['evidence'].replace('_', ' ')}" if "took" in row["reference"] else "–"
    best = _best(row["solvers"])
    yield f"`{best[0]}`, {_s(best[1]['took'])}" if best else "–"
    yield _loss(best[1]) if best else "–"
    yield "; ".join(_stops(row)) or "–"


def _loss(told: Mapping[str, Any]) -> str:
    if told["gap"] is None:
        return "no bound"
    gap = 0.0 if abs(told["gap"]) <= told["tie"] else told["gap"]
    if gap < 0.0:
        return f"0, {-gap:.2g} ahead of the {told['yardstick']}"
    if gap > _NO_BOUND and told["yardstick"] == "dual bound":
        return f"no useful bound ({gap:,.0%} above)"
    shown = f"{gap:.2g}"
    return shown if told["yardstick"] == "proven optimum" else f"{shown} to the {told['yardstick']}"


def _stops(row: Mapping[str, Any]) -> Iterator[str]:
    """What did not come to its end, and what it says."""
    reference = row["reference"]
    if "took" not in reference or row["evidence"] == "none" or "stopped" in reference["end"] or "no bound" in reference["end"]:
        yield f"reference: {_words(reference['end'])}"
    for solver, told in row["solvers"].items():
        if (
            "took" not in told
            or told["end"].startswith(("limit time", "limit memory", "error"))
            or told["status"] != "feasible"
        ):
            status = "" if told.get("status", "feasible") == "feasible" else f" ({told['status'].replace('_', ' ')})"
            yield f"`{solver}`: {_words(told['end'])}{status}"


def _words(text: str) -> str:
    told = " ".join(text.replace("|", "/").replace(": ;", ":").split())
    return told if len(told) <= _WORDS else f"{told[:_WORDS]} …"


def _size(settings: Mapping[str, Any]) -> str:
    told = []
    for field, value in settings.items():
        if field == "goal":
            continue
        shown = json.dumps(value).replace('"', "")
        told.append(f"`{field}={shown}`" if len(shown) < 40 else f"`{field}`: {len(value)} numbers")
    return ", ".join(told) or "as it is"


def _s(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale or unit == "us":
            break
    return f"{seconds / scale:.2g} {unit}" if seconds < 100 * scale else f"{seconds / scale:.0f} {unit}"


def _told(row: Mapping[str, Any]) -> str:
    """A row for the screen, with whatever is late."""
    if "solvers" not in row:
        return f"{row['family']} {row['factor']}x: {row.get('instance', row)['end']}"
    late = [
        f"{who} {told['took']:.1f} s (call {told['call']:.1f} s)"
        for who, told in _all(row)
        if told.get("call", 0.0) > ALLOWED_S
    ]
    return " | ".join(_cells(row)) + (f" LATE: {', '.join(late)}" if late else "")


def _all(row: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "reference", row["reference"]
    yield from row["solvers"].items()


if __name__ == "__main__":
    main()

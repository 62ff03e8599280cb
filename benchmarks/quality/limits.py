"""Do limits hold? Every solver and reference of every family at ten times its usual size, under two seconds and 2 GB.

    python benchmarks/quality/limits.py --out FILE            # goes on where it was stopped
    python benchmarks/quality/limits.py --out FILE --show     # counts and offenders

Each case runs in a process of its own whose data may grow to 2 GB (RLIMIT_DATA), and that of its children. `took` is what
the run itself took, from the start of its clock, `call` the whole call, with imports, start of a child, verification, record;
both without what the process waited for a processor that others had (/proc/thread-self/schedstat), so that a busy machine can
be used, or without the time for which clocks stood still (kernels were loaded or compiled), whichever is more: they overlap.
The problem's kernels are loaded before.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from families import FACTORS, FAMILIES

import optisolve
from optisolve.core.clock import stood_still_s
from optisolve.core.reference import Effort, Reference
from optisolve.run.aside import get_ready, limited_reference
from optisolve.run.execution import execute
from optisolve.run.solve import Result, model_of, verified

SECONDS = 2.0
ALLOWED_S = 1.1 * SECONDS + 0.5
MEMORY_BYTES = 2_000_000_000
GIVE_UP_S = 60.0
"""A call that has not ended by then is killed and counted as one that does not end."""
_WARM_NUMBERS = 10_000_000

VARIANTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "beamforming, max_min": ("beamforming/max_min", {"n_antennas": 80, "n_users": 40}),
    "beamforming, sum_rate": ("beamforming/sum_rate", {"n_antennas": 80, "n_users": 40}),
    "offloading, multi_server": ("offloading/multi_server", {"n_users": 600}),
    "power_control, max_min": ("power_control/max_min", {"n_links": 100}),
    "power_control, min_power": ("power_control/min_power", {"n_links": 100}),
    "power_control, energy_efficiency": ("power_control/energy_efficiency", {"n_links": 100}),
    "traffic_engineering, segments": ("traffic_engineering/segments_large", {}),
    "traffic_engineering, split": ("traffic_engineering/split", {"network": "germany50"}),
    "user_association, one rate": ("user_association/max_min_fixed_rate", {"n_users": 300, "n_small": 40}),
    "user_association, 3000 x 401": ("user_association", {"n_users": 3000, "n_small": 400}),
}
"""Other scenarios of a family, at ten times their usual size."""
_TEN = FACTORS.index(10)
SIZES = {**{name: (family.scenario, family.settings[_TEN]) for name, family in FAMILIES.items()}, **VARIANTS}


def cases() -> Iterator[tuple[str, str]]:
    """Family and solver, or effort of the reference, of every case that is not declined in words."""
    for family, (name, params) in SIZES.items():
        instance = optisolve.load_problem(name, **params).instance(0)
        yield from ((family, f"reference {effort.value}") for effort in Effort)
        for solver in optisolve.list_solvers():
            if optisolve.load_solver(solver).skip(instance) is None:
                yield family, solver


def main() -> None:
    """Run what is missing, or show what is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="file of results, a JSON line per case")
    parser.add_argument("--show", action="store_true", help="print counts and offenders, run nothing")
    parser.add_argument("--only", default="", help="cases whose family or solver contains this")
    asked = parser.parse_args()
    rows = [json.loads(line) for line in asked.out.read_text().splitlines()] if asked.out.is_file() else []
    if not asked.show:
        done = {(row["family"], row["solver"]) for row in rows}
        for family, solver in cases():
            if (family, solver) not in done and asked.only in f"{family} {solver}":
                rows.append({"family": family, "solver": solver, **watched(_case, family, solver)})
                with asked.out.open("a") as stream:
                    stream.write(json.dumps(rows[-1]) + "\n")
                print(_line(rows[-1]), flush=True)
    _show([row for row in rows if asked.only in f"{row['family']} {row['solver']}"])


def watched(work: Callable[..., None], *given: Any, give_up_s: float = GIVE_UP_S) -> dict[str, Any]:
    """A piece of work in a process of its own, and what it says last.

    Args:
        work: Called with `given` and a connection, over which it says ``{}`` when it is ready and then what has come of it.
        given: Its arguments.
        give_up_s: When it is killed and counted as one that does not end, s after it was ready.
    """
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(*given, theirs))
    process.start()
    theirs.close()
    told: dict[str, Any] = {"end": f"did not end in {give_up_s:g} s"}
    try:
        ours.recv()  # it is ready
        if ours.poll(give_up_s):
            told = ours.recv()
    except EOFError:
        process.join()
        told = {"end": f"the process died (exit code {process.exitcode})"}
    process.kill()
    process.join()
    return told


def _case(family: str, solver: str, answer: Connection) -> None:
    name, params = SIZES[family]
    problem = optisolve.load_problem(name, **params)
    instance = problem.instance(0)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    warm(instance)
    if solver.startswith("reference "):
        get_ready(instance, ("scipy.optimize", "highspy", f"{type(problem).__module__.rpartition('.')[0]}.reference"))
        effort = Effort(solver.removeprefix("reference "))
        answer.send({})
        answer.send(timed(lambda: of_reference(limited_reference(problem, instance, effort, seconds=SECONDS))))
    else:
        get_ready_for(instance, solver)
        answer.send({})
        answer.send(timed(lambda: of_run(solved(instance, solver, optisolve.Budget(seconds=SECONDS)))))


def warm(instance: optisolve.Instance) -> None:
    """Load an instance's kernels, which no clock should count."""
    instance.warm_up()
    with suppress(optisolve.OptisolveError):
        middle = instance.project(0.5 * (instance.space.lower + instance.space.upper))
        n_points = max(1, min(512, _WARM_NUMBERS // instance.space.dim))  # so many that kernels are compiled
        instance.evaluate(np.repeat(np.atleast_2d(middle), n_points, axis=0))


def get_ready_for(instance: optisolve.Instance, solver: str) -> None:
    """Start the process that a solver will work in, if it does so in one of its own."""
    if aside := optisolve.load_solver(solver).info.aside:
        get_ready(instance, aside)


def solved(
    instance: optisolve.Instance, solver: str, budget: optisolve.Budget, reference: Reference | None = None
) -> tuple[Result, float]:
    """A run and what its own clock counted, s, without what it waited for a processor."""
    method = optisolve.load_solver(solver)
    model = model_of("surrogate") if method.info.uses_llm else None
    idle = _Idle()
    run = execute(instance, method, budget=budget, seed=0, llm=model)
    took = max(0.0, run.wall_s - idle.so_far_s())  # of waiting, some was before its clock began
    return verified(instance, method, run, reference=reference), took


def of_run(made: tuple[Result, float]) -> dict[str, Any]:
    """What a run says of itself."""
    result, took = made
    words = f"{result.termination.value} {result.limit.value if result.limit else ''} {result.run.outcome.detail}"
    return {"end": words, "took": took, "record": True, "points": len(result.X)}


def of_reference(made: Reference | None) -> dict[str, Any]:
    """What a reference says of itself."""
    return {"end": "no reference" if made is None else f"{made.evidence.value}: {made.detail}", "record": True}


def timed(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What comes of it, what it took without waiting for a processor, and errors as a user would see them."""
    begin, idle = time.perf_counter(), _Idle()
    told: dict[str, Any]
    try:
        told = work()
    except optisolve.OptisolveError as error:
        told = {"end": f"refused: {error}"}
    except BaseException as error:  # what a user would see as a traceback
        told = {"end": f"TRACEBACK {type(error).__name__}: {error}"}
    call = time.perf_counter() - begin - idle.so_far_s()
    took = {"took": call} if told.get("record") else {}
    return {**took, **told, "call": call, "waited": idle.so_far_s()}


class _Idle:
    """What no clock should count, from when this is made: waiting for a processor, or kernels, whichever is more."""

    def __init__(self) -> None:
        self._waited, self._still = _waited_s(), stood_still_s()

    def so_far_s(self) -> float:
        return max(_waited_s() - self._waited, stood_still_s() - self._still)


def _waited_s() -> float:
    """What this thread has waited for a processor so far, s."""
    return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9


def _line(row: Mapping[str, Any]) -> str:
    took, call = (f"{row[key]:6.2f}" if key in row else "     -" for key in ("took", "call"))
    return f"{row['family']:34} {row['solver']:20} {took} {call}  {' '.join(row['end'].split())[:110]}"


def _show(rows: list[dict[str, Any]]) -> None:
    late = [row for row in rows if row.get("took", 0.0) > ALLOWED_S]
    without = [row for row in rows if not row.get("record")]
    refused = [row for row in without if row["end"].startswith("refused")]
    bad = [row for row in without if row not in refused]
    print(f"\n{len(rows)} cases, {len(rows) - len(late) - len(without)} with a record within {ALLOWED_S:g} s")
    for title, those in (("late", late), ("refused in words", refused), ("no end, a traceback or a dead process", bad)):
        print(f"{title}: {len(those)}")
        for row in those:
            print("  ", _line(row))


if __name__ == "__main__":
    main()

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
from collections.abc import Iterator, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

import optisolve
from optisolve.core.clock import stood_still_s
from optisolve.core.reference import Effort
from optisolve.run.aside import get_ready, limited_reference
from optisolve.run.execution import execute
from optisolve.run.solve import model_of, verified

SECONDS = 2.0
ALLOWED_S = 1.1 * SECONDS + 0.5
MEMORY_BYTES = 2_000_000_000
GIVE_UP_S = 60.0
"""A call that has not ended by then is killed and counted as one that does not end."""

_GOAL = {"objective": {"sense": "max", "terms": [{"metric": "sum_rate"}]}, "constraints": []}
SIZES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "beamforming": ("beamforming", {"n_antennas": 80, "n_users": 40}),
    "beamforming, max_min": ("beamforming/max_min", {"n_antennas": 80, "n_users": 40}),
    "beamforming, sum_rate": ("beamforming/sum_rate", {"n_antennas": 80, "n_users": 40}),
    "cell_free": ("cell_free", {"n_access_points": 160, "n_users": 40, "pilot_symbols": 40}),
    "goal": ("goal", {"problem": "power_control", "params": {"n_links": 100}, "goal": _GOAL}),
    "market_game": ("market_game", {"n_agents": 50}),
    "maze": ("maze/random", {"width": 32, "height": 32, "n_traps": 120, "n_walls": 120, "horizon": 600}),
    "noma_uav": ("noma_uav/crowd", {"n_users": 100}),
    "nsp_utility": ("nsp_utility", {"gain_groups": [[80, 0.5, 2.5]], "p_total_w": 100.0}),
    "offloading": ("offloading/n20", {"n_users": 200}),
    "offloading, multi_server": ("offloading/multi_server", {"n_users": 600}),
    "parallel_channels": ("parallel_channels", {"n_channels": [80, 80]}),
    "power_control": ("power_control", {"n_links": 100}),
    "power_control, max_min": ("power_control/max_min", {"n_links": 100}),
    "power_control, min_power": ("power_control/min_power", {"n_links": 100}),
    "power_control, energy_efficiency": ("power_control/energy_efficiency", {"n_links": 100}),
    "power_game": (
        "power_game",
        {
            "link_gain": [1.21, 2.01, 0.58, 0.13] * 10,
            "initial_power_w": [2.0, 4.0, 5.0, 6.0] * 10,
            "rate_threshold_bit_s": [350.0, 1580.0, 440.0, 100.0] * 10,
        },
    ),
    "pricing_game": ("pricing_game", {"n_links": 90}),
    "pymoo": ("pymoo", {"n_variables": 300}),
    "radio_planning": ("radio_planning", {"n_users": 2000}),
    "resource_allocation": ("resource_allocation", {"n_users": 80, "n_tones": 320}),
    "traffic_engineering": ("traffic_engineering/gabriel_100", {}),
    "traffic_engineering, segments": ("traffic_engineering/segments_large", {}),
    "traffic_engineering, split": ("traffic_engineering/split", {"network": "germany50"}),
    "uav_isac": ("uav_isac", {"n_uavs": 40, "n_users": 120}),
    "user_association": ("user_association", {"n_users": 300, "n_small": 40}),
    "user_association, one rate": ("user_association/max_min_fixed_rate", {"n_users": 300, "n_small": 40}),
    "user_association, 3000 x 401": ("user_association", {"n_users": 3000, "n_small": 400}),
}


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
                rows.append({"family": family, "solver": solver, **_watched(family, solver)})
                with asked.out.open("a") as stream:
                    stream.write(json.dumps(rows[-1]) + "\n")
                print(_line(rows[-1]), flush=True)
    _show([row for row in rows if asked.only in f"{row['family']} {row['solver']}"])


def _watched(family: str, solver: str) -> dict[str, Any]:
    """One case in a process of its own."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_case, args=(family, solver, theirs))
    process.start()
    theirs.close()
    told: dict[str, Any] = {"end": f"did not end in {GIVE_UP_S:g} s"}
    try:
        ours.recv()  # it is ready
        if ours.poll(GIVE_UP_S):
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
    instance.warm_up()
    with suppress(optisolve.OptisolveError):
        middle = instance.project(0.5 * (instance.space.lower + instance.space.upper))
        instance.evaluate(np.repeat(middle, 512, axis=0))  # so many that kernels are compiled
    if solver.startswith("reference "):
        get_ready(instance, ("scipy.optimize", "highspy", f"{type(problem).__module__.rpartition('.')[0]}.reference"))
    elif aside := optisolve.load_solver(solver).info.aside:
        get_ready(instance, aside)
    answer.send({})
    begin, waited, still = time.perf_counter(), _waited_s(), stood_still_s()

    def idle() -> float:
        return max(_waited_s() - waited, stood_still_s() - still)

    told: dict[str, Any]
    try:
        if solver.startswith("reference "):
            made = limited_reference(problem, instance, Effort(solver.removeprefix("reference ")), seconds=SECONDS)
            words = "no reference" if made is None else f"{made.evidence.value}: {made.detail}"
            told = {"end": words, "took": time.perf_counter() - begin - idle(), "record": True}
        else:
            budget = optisolve.Budget(seconds=SECONDS)
            method = optisolve.load_solver(solver)
            model = model_of("surrogate") if method.info.uses_llm else None
            run = execute(instance, method, budget=budget, seed=0, llm=model)
            not_ours = idle()
            result = verified(instance, method, run)
            words = f"{result.termination.value} {result.limit.value if result.limit else ''} {run.outcome.detail}"
            told = {"end": words, "took": run.wall_s - not_ours, "record": True, "points": len(result.X)}
    except optisolve.OptisolveError as error:
        told = {"end": f"refused: {error}"}
    except BaseException as error:  # what a user would see as a traceback
        told = {"end": f"TRACEBACK {type(error).__name__}: {error}"}
    answer.send({**told, "call": time.perf_counter() - begin - idle(), "waited": idle()})


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

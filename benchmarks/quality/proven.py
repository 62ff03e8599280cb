"""Up to which size an optimum is proven within a minute of processor time, per family.

    python benchmarks/quality/proven.py [--seconds 60] [--only power_control ...] [--seed 0]
    python benchmarks/quality/proven.py --bounds [--links 10 20 50 200 1000]

Sizes grow in steps until a reference leaves its optimum open, takes longer, or asks for more memory than there may be. A row is
a process of its own, whose limit of processor time is raised before every size; the first size of a row warms up.
`--bounds` prints how far the bounds of `power_control` are above the best known value, sum rate at 0 dB: all links alone, one
search over all links, and clusters.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from optisolve.core import Effort, Evidence
from optisolve.numerics.clustered_bound import clustered_bound
from optisolve.numerics.mixed_monotonic import RateProgram, maximize_rate
from optisolve.problems.power_control.instance import PowerControlInstance
from optisolve.problems.power_control.reference import Work, good_points
from optisolve.registry import make_problem

MEMORY_BYTES = 8 << 30


@dataclass(frozen=True)
class Row:
    """A scenario and how it grows.

    Attributes:
        scenario: Its name.
        sizes: In rising order.
        change: The fields that a size sets.
        what: What a size counts.
    """

    scenario: str
    sizes: tuple[int, ...]
    change: Callable[[int], dict[str, object]]
    what: str


def _links(n: int) -> dict[str, object]:
    return {"n_links": n}


def _users(n: int) -> dict[str, object]:
    return {"n_users": n}


def _tones(n: int) -> dict[str, object]:
    return {"n_users": n, "n_tones": 4 * n}


def _stations(n: int) -> dict[str, object]:
    return {"n_users": n, "n_small": max(2, n // 8)}


def _antennas(n: int) -> dict[str, object]:
    return {"n_users": n, "n_antennas": 2 * n}


MANY = (10, 30, 100, 300, 1000, 3000)
ROWS = (
    Row("power_control", (8, 10, 12, 14, 16, 20), _links, "links, sum rate"),
    Row("power_control/gaussian_k10_10db", (8, 10, 12, 14, 16, 20), _links, "links, sum rate, 10 dB"),
    Row("power_control/energy_efficiency", (6, 8, 10, 12, 16), _links, "links, energy efficiency"),
    Row("power_control/min_power", (10, 30, 100, 300, 1000), _links, "links, least power"),
    Row("power_control/max_min", (10, 30, 100, 200), _links, "links, max-min"),
    Row("resource_allocation", (8, 25, 80, 250, 800), _tones, "users, four tones each, weighted sum rate"),
    Row("resource_allocation/quota", (8, 25, 80, 250), lambda n: {**_tones(n), "quota": 4}, "users, four tones each, quotas"),
    Row("resource_allocation/min_rates", (4, 6, 8, 12), _tones, "users, four tones each, minimum rates"),
    Row("parallel_channels", MANY, lambda n: {"n_channels": [n // 2, n - n // 2]}, "channels"),
    Row("offloading/n10", MANY, _users, "users, one server"),
    Row("offloading/multi_server", (6, 20, 60, 200, 600, 2000), _users, "users, three servers"),
    Row("offloading/deadlines", (6, 12, 25, 50, 100), _users, "users with deadlines"),
    Row("user_association", (30, 100, 300, 600), _stations, "users, a station for eight, proportional fairness"),
    Row(
        "user_association/max_min_fixed_rate",
        (60, 200, 600, 2000),
        _stations,
        "users, a station for eight, max-min, one rate each",
    ),
    Row("user_association/sum_rate", (15, 30, 60, 120), _stations, "users, a station for eight, sum rate"),
    Row("beamforming", (10, 30, 60, 100, 200), _antennas, "users, two antennas each, least power"),
    Row("beamforming/max_min", (10, 30, 60, 100, 200), _antennas, "users, two antennas each, balanced SINR"),
    Row("cell_free", (4, 8, 12, 16), lambda n: {"n_users": n, "n_access_points": 4 * n}, "users, four access points each"),
    Row("noma_uav/crowd", (3, 6, 12, 24), _users, "users"),
    Row("nsp_utility", (8, 25, 80, 250, 800), lambda n: {"gain_groups": [[n, 0.5, 2.5]]}, "branches"),
    Row("market_game", MANY, lambda n: {"n_agents": n}, "agents, Kelly's mechanism"),
    Row("pricing_game", (9, 30, 100), _links, "links"),
)


def climb(row: Row, seconds: float, seed: int) -> None:
    """Print one JSON line per size until one is not proven; killed where a size takes longer."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    warm = make_problem(row.scenario, row.change(row.sizes[0]))
    warm.reference(warm.instance(seed), Effort.QUICK)
    for size in row.sizes:
        used = time.process_time()
        resource.setrlimit(resource.RLIMIT_CPU, (int(used + seconds) + 2, resource.RLIM_INFINITY))
        print(json.dumps({"size": size}), flush=True)
        try:
            problem = make_problem(row.scenario, row.change(size))
            instance = problem.instance(seed)
            started = time.process_time()
            found = problem.reference(instance, Effort.NORMAL)
        except MemoryError:
            print(json.dumps({"size": size, "why": "memory"}), flush=True)
            return
        spent = time.process_time() - started
        proven = found.evidence in (Evidence.PROVEN_OPTIMAL, Evidence.PROVEN_INFEASIBLE) and spent <= seconds
        why = "" if proven else found.evidence.value if spent <= seconds else "time"
        print(json.dumps({"size": size, "proven": proven, "s": spent, "why": why}), flush=True)
        if not proven:
            return


def bounds(links: list[int], seed: int, max_nodes: int = 1_000_000) -> None:
    """Print the table of bounds of the sum rate at 0 dB."""
    print("| links | best known, bit/s/Hz | alone | one search | clusters of 10 | s: one search, clusters |")
    print("|---|---|---|---|---|---|", flush=True)
    for n in links:
        instance = make_problem("power_control", {"n_links": n}).instance(seed)
        assert isinstance(instance, PowerControlInstance)
        points = good_points(instance, Work(0, 256, 8))
        rates = instance.evaluate_twin(points).F[:, 0]
        best, start = float(rates.max()), points[int(rates.argmax())]
        program = RateProgram(instance.gain, instance.noise_w, instance.p_max_w, instance.weight, instance.sinr_floor)
        alone = float(np.log2(1.0 + np.diag(instance.gain) * instance.p_max_w / instance.noise_w).sum())
        times = [time.process_time()]
        whole = maximize_rate(
            program, start_w=start, gap=5e-5, max_nodes=max(1, min(max_nodes, int(max_nodes * (10 / n) ** 2)))
        )
        times.append(time.process_time())
        parts = clustered_bound(program, least_w=np.zeros(n), size=10, max_nodes=max_nodes)
        times.append(time.process_time())
        above = " | ".join(f"{bound:.2f} ({bound / best - 1.0:.0%})" for bound in (alone, whole.dual_bound, parts.bound))
        print(f"| {n} | {best:.3f} | {above} | {times[1] - times[0]:.1f}, {times[2] - times[1]:.1f} |", flush=True)


def told(row: Row, lines: list[dict[str, object]], seconds: float) -> str:
    """The row of the table."""
    proven = [line for line in lines if line.get("proven")]
    last = lines[-1] if lines else {"size": row.sizes[0], "why": "error"}
    best = f"{proven[-1]['size']}" if proven else f"below {row.sizes[0]}"
    took = f"{proven[-1]['s']:.2f}" if proven else "–"
    if last.get("proven") and last["size"] == row.sizes[-1]:
        stops = "not tried further"
    else:
        why = str(last.get("why") or f"takes more than {seconds:g} s")
        stops = f"{last['size']}: {why.replace('_', ' ').replace('time', f'takes more than {seconds:g} s')}"
    return f"| `{row.scenario}` | {row.what} | {best} | {took} | {stops} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="processor time of one reference, s")
    parser.add_argument("--only", nargs="*", default=[], help="families or scenarios")
    parser.add_argument("--seed", type=int, default=0, help="of the instances")
    parser.add_argument("--climb", type=int, default=-1, help=argparse.SUPPRESS)
    parser.add_argument("--bounds", action="store_true", help="the bounds of power_control instead")
    parser.add_argument("--links", type=int, nargs="*", default=[10, 20, 50, 200, 1000], help="for --bounds")
    chosen = parser.parse_args()
    if chosen.bounds:
        bounds(chosen.links, chosen.seed)
        return
    if chosen.climb >= 0:
        climb(ROWS[chosen.climb], chosen.seconds, chosen.seed)
        return
    print("| scenario | size | proven up to | s | then |\n|---|---|---|---|---|", flush=True)
    for k, row in enumerate(ROWS):
        if chosen.only and not {row.scenario, row.scenario.partition("/")[0]} & set(chosen.only):
            continue
        command = [sys.executable, __file__, "--climb", str(k), "--seconds", str(chosen.seconds), "--seed", str(chosen.seed)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        if done.returncode > 0:
            print(done.stderr.strip().splitlines()[-1], file=sys.stderr)
        print(told(row, lines, chosen.seconds), flush=True)


if __name__ == "__main__":
    main()

"""One changed weight against everything anew, at 100 nodes with demands between all pairs; and the kernel against its twin.

    python benchmarks/speed/routing.py

Full: every weight is another one than before. Change: one weight of the row before is another one, as in a local search.
Seconds are of the process, medians over repetitions. One function does both and gives the same bits; that is checked here too.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from optisolve.registry import load_problem

ROWS, REPETITIONS = 200, 5


def seconds(function, *arguments) -> float:
    """Median processor time, s."""
    spent = []
    for _ in range(REPETITIONS):
        begin = time.process_time()
        function(*arguments)
        spent.append(time.process_time() - begin)
    return float(np.median(spent))


def walk(instance, rng, largest, near):
    """Rows that differ in one weight each, float64 [ROWS, E]: any new one, or the next one up or down."""
    rows = np.repeat(rng.integers(1, largest + 1, (1, instance.space.dim)).astype(float), ROWS, axis=0)
    for i in range(1, ROWS):
        link = rng.integers(instance.space.dim)
        rows[i] = rows[i - 1]
        rows[i, link] = np.clip(rows[i, link] + rng.choice((-1, 1)), 1, largest) if near else rng.integers(1, largest + 1)
    return rows


def main() -> None:
    """Print one line per kind of change."""
    instance: Any = load_problem("traffic_engineering/gabriel_100").instance(0)
    rng = np.random.default_rng(0)
    n, d = len(instance.network.nodes), instance.space.dim
    print(f"{n} nodes, {d} directed links, {int((instance.demand_matrix() > 0.0).sum())} demands")
    print(f"{'weights':>10} {'change':>10} {'full us':>10} {'change us':>10} {'ratio':>7} {'twin us':>10}")
    for largest in (20, 65_535):
        anew = instance.space.clip(rng.integers(1, largest + 1, (ROWS, d)).astype(float))
        instance.evaluate(anew[:3])  # compiled
        full = seconds(instance.evaluate, anew) / ROWS
        twin = seconds(instance.evaluate_twin, anew[:10]) / 10
        for near in (False, True):
            rows = walk(instance, rng, largest, near)
            change = seconds(instance.evaluate, np.concatenate([rows, rows[::-1]])) / (2 * ROWS)
            together = instance.evaluate(rows).F
            for i in range(0, ROWS, 10):  # between two rows everything is routed anew
                instance.evaluate(anew[:2])
                assert np.array_equal(instance.evaluate(rows[i]).F[0], together[i])
            kind = "next" if near else "any"
            print(f"{largest:>10} {kind:>10} {1e6 * full:10.1f} {1e6 * change:10.1f} {full / change:7.1f} {1e6 * twin:10.1f}")


if __name__ == "__main__":
    main()

"""How near to the flow's bound equal splitting can come at all: an integer program over weights, on networks with small blocks.

    python benchmarks/quality/splitting.py FOLDER [--networks Garr200109 Cesnet2001 ...] [--nodes 8] [--seconds 60]

FOLDER holds REPETITA's files, see `wired.py`. In every block of at most `--nodes` nodes (see `modelling.network_blocks`) the
program has a weight per link, from 1 to 30, distances, a binary per target and link that says whether the link is on shortest
paths, at least 0.5 shorter than any other way, and equal parts on those that are. Printed are the least utilization of the
busiest link that HiGHS proves for such weights, over the bound of the optimal flow, and what `weight_search` finds.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import scipy.sparse as sp
from wired import cases

import optisolve
from optisolve.modelling.highs import HighsModel, solve_highs
from optisolve.modelling.network_blocks import blocks
from optisolve.modelling.network_flow import Traffic, best_prices, price_bound

LARGEST_WEIGHT, GAP = 30.0, 0.5
FARTHEST = 2.0 * LARGEST_WEIGHT


class Rows:
    """Columns and rows of a linear model, one by one."""

    def __init__(self) -> None:
        self.columns, self.rows, self.entries = [], [], []

    def column(self, lower, upper, *, whole=False):
        """Add a column and return its number."""
        self.columns.append((lower, upper, whole))
        return len(self.columns) - 1

    def row(self, lower, upper, *terms):
        """Add lower <= sum of coefficient x column <= upper."""
        self.entries += [(len(self.rows), column, coefficient) for column, coefficient in terms]
        self.rows.append((lower, upper))


def program(traffic: Traffic, unit: float) -> HighsModel:
    """Weights, distances, shortest links and equal parts in one block; utilizations in `unit`."""
    m, n, links = Rows(), len(traffic.demand), range(traffic.tail.size)
    tail, head = traffic.tail.tolist(), traffic.head.tolist()
    top = m.column(0.0, np.inf)
    weight = [m.column(1.0, LARGEST_WEIGHT) for _ in links]
    load = [[] for _ in links]
    for t in np.flatnonzero(traffic.demand.any(axis=0)).tolist():
        received = float(traffic.demand[:, t].sum())
        far = [m.column(0.0, 0.0 if v == t else FARTHEST) for v in range(n)]
        flow = [m.column(0.0, 0.0 if tail[e] == t else 1.0) for e in links]
        for v in range(n):
            out = [e for e in links if tail[e] == v]
            if v == t:
                continue
            into = [(flow[e], -1.0) for e in links if head[e] == v]
            sent = float(traffic.demand[v, t]) / received
            m.row(sent, sent, *((flow[e], 1.0) for e in out), *into)
            share, on = m.column(0.0, 1.0), [m.column(0.0, 1.0, whole=True) for _ in out]
            m.row(1.0, np.inf, *((y, 1.0) for y in on))
            for e, y in zip(out, on, strict=True):
                m.row(-np.inf, 0.0, (flow[e], 1.0), (share, -1.0))
                m.row(-1.0, np.inf, (flow[e], 1.0), (share, -1.0), (y, -1.0))
                m.row(-np.inf, 0.0, (flow[e], 1.0), (y, -1.0))
                longer = ((far[v], 1.0), (weight[e], -1.0), (far[head[e]], -1.0))
                m.row(-np.inf, -GAP, *longer, (y, -GAP))
                m.row(-2.0 * FARTHEST, np.inf, *longer, (y, -2.0 * FARTHEST))
        for e in links:
            load[e].append((flow[e], received / float(traffic.capacity[e]) / unit))
    for e in links:
        m.row(-np.inf, 0.0, *load[e], (top, -1.0))
    lower, upper, whole = (np.array(part) for part in zip(*m.columns, strict=True))
    rows, columns, values = (np.array(part) for part in zip(*m.entries, strict=True))
    matrix = sp.csr_matrix((values, (rows, columns)), shape=(len(m.rows), len(m.columns)))
    row_lower, row_upper = (np.array(part) for part in zip(*m.rows, strict=True))
    cost = np.zeros(len(m.columns))
    cost[top] = 1.0
    return HighsModel(
        cost, matrix, row_lower, row_upper, lower, upper, whole, False, decode=lambda z: z, value_of=lambda v: v * unit
    )


def main() -> None:
    """Print one line per network and matrix."""
    parser = argparse.ArgumentParser()
    parser.add_argument("where")
    parser.add_argument("--networks", nargs="*")
    parser.add_argument("--matrices", type=int, default=2)
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--evaluations", type=int, default=3000)
    chosen = parser.parse_args()
    for name, instance in cases(chosen.where, (8, 60), 1 if chosen.networks else 5, chosen.matrices, chosen.networks):
        begin = time.process_time()
        traffic = Traffic(instance.link_tail, instance.link_head, instance.link_capacity, instance.demand_matrix())
        bound = price_bound(traffic, best_prices(traffic))
        parts = [b.traffic for b in blocks(traffic) if len(b.traffic.demand) <= chosen.nodes]
        answers = [solve_highs(program(part, bound), seconds=chosen.seconds) for part in parts]
        proven = max([a.dual_bound / bound for a in answers if a.dual_bound is not None], default=0.0)
        budget = optisolve.Budget(evaluations=chosen.evaluations, seconds=600.0)
        found = float(optisolve.solve(instance, "weight_search", budget=budget, seed=0).F[:, 0].min()) / bound
        told = f"proven {max(proven, 1.0):.4f}  weight_search {found:.4f}"
        print(f"{name} ({len(parts)} blocks): {told}  {time.process_time() - begin:.1f} s", flush=True)


if __name__ == "__main__":
    main()

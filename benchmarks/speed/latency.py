"""Quality against latency for `power_control`: one instance and batches of 100, one thread, processor time.

    python benchmarks/speed/latency.py [--links 10 20 ...] [--db 0 10] [--weighted]   measures, adds to latency.csv beside it
    python benchmarks/speed/latency.py --only "ddpm distilled, 4 of 1 step" ...       adds these rows, all others stay
    python benchmarks/speed/latency.py --show                                         prints the tables, draws docs/latency.png

Answers come from `optisolve.prepare`: each is selected by the instance's own evaluation and seen by the twin. Quality is the
mean of the sum rate over that of WMMSE from full power, in percent. Contenders whose mean paired difference from the best of
their cell is within two standard errors are a tie with it. `--weighted` gives the links weights U(0, 1). With `--only` the
contenders of `BESIDE` are measured and printed in the same run, since times of two runs say little about each other.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"))

import numpy as np

import optisolve

ROOT = Path(__file__).parents[2]
FILE = Path(__file__).with_suffix(".csv")
PICTURE = ROOT / "docs" / "latency.png"
SIZES, LEVELS = (10, 20, 50, 100, 200), (0, 10)
FIRST, BATCH = 70_000, 100
"""First instance, and instances: no training has seen them."""
SINGLES = 15
"""Instances whose single calls are timed; half of them are not a warm-up."""
_SHOWN = 97.0
"""Percent below which a contender is only named in the picture."""
SLOW_S = 0.05
"""A call that takes longer is timed on a fifth of the instances."""


@dataclass(frozen=True)
class Contender:
    """A solver with options under the name of the tables, up to so many links."""

    name: str
    solver: str
    options: tuple[tuple[str, object], ...] = ()
    most_links: int = 1_000


ONE_STEP = (("weights", "power_control_one_step"), ("steps", 1))
CONTENDERS = (
    Contender("WMMSE, full power", "wmmse", (("n_random_starts", 0),)),
    Contender("WMMSE, 9 starts", "wmmse", (("n_random_starts", 8),)),
    Contender("WMMSE, 33 starts", "wmmse"),
    Contender("rule", "rule"),
    Contender("rule_weakest", "rule_weakest", most_links=50),
    Contender("ddpm_null, 4", "ddpm_null", (("n_samples", 4),)),
    Contender("ddpm_null, 16", "ddpm_null"),
    Contender("ddpm, 2 of 1 step", "ddpm", (("n_samples", 2), ("steps", 1))),
    Contender("ddpm, 16 of 2 steps", "ddpm"),
    Contender("ddpm wide, 4 of 4 steps", "ddpm", (("weights", "power_control_wide"), ("n_samples", 4), ("steps", 4))),
    Contender("ddpm distilled, 4 of 1 step", "ddpm", (*ONE_STEP, ("n_samples", 4))),
    Contender("ddpm distilled, 16 of 1 step", "ddpm", ONE_STEP),
    Contender("network, plain", "power_net", (("n_anchors", 0), ("polish", "none"))),
    Contender("network, switches", "power_net", (("n_anchors", 0),)),
    Contender("4 anchors", "power_net", (("n_candidates", 0), ("n_anchors", 4))),
    Contender("12 anchors", "power_net", (("n_candidates", 0),)),
    Contender("power_net", "power_net"),
)
BESIDE = ("WMMSE, full power", "ddpm_null, 4", "ddpm_null, 16", "ddpm, 16 of 2 steps", "4 anchors", "12 anchors", "power_net")


def cpu_s(call: Callable[[], object]) -> float:
    """Processor time of a call, s."""
    start = time.process_time()
    call()
    return time.process_time() - start


def measure(n_links: int, level_db: int, weighted: bool, names: Collection[str]) -> list[dict[str, object]]:
    """A row per contender of these names: percent of WMMSE from full power, what that is worth, us for one and in a batch."""
    scenario = "power_control/weighted" if weighted else "power_control"
    problem = optisolve.load_problem(scenario, n_links=n_links, noise_w=10.0 ** (-level_db / 10.0))
    cases = [problem.instance(FIRST + i) for i in range(BATCH)]
    able = [c for c in CONTENDERS if n_links <= c.most_links and c.name in names]
    ready = {c.name: optisolve.prepare(c.solver, problem, **dict(c.options)) for c in able}
    slow = {name: cpu_s(lambda call=call: call(cases[0])) > SLOW_S for name, call in ready.items()}
    batch = {name: cases[: BATCH // 5] if slow[name] else cases for name in ready}
    single: dict[str, list[float]] = {name: [] for name in ready}
    for case in cases[:SINGLES]:  # in turns, so that a slow phase of the machine hits all of them
        for name, call in ready.items():
            single[name].append(cpu_s(lambda call=call, case=case: call(case)))
    share, many_s = {}, {}
    base = np.array([answer.F[0, 0] for answer in ready["WMMSE, full power"](cases)])
    for name, call in ready.items():
        rounds = []
        for _ in range(1 if slow[name] else 3):  # the first one loads and allocates
            start = time.process_time()
            answers = call(batch[name])
            rounds.append(time.process_time() - start)
        many_s[name] = min(rounds)
        share[name] = 100.0 * np.array([answer.F[0, 0] for answer in answers]) / base[: len(answers)]
    best = max(share, key=lambda name: share[name].mean())
    rows = []
    for name in ready:
        n = min(len(share[name]), len(share[best]))
        apart = share[best][:n] - share[name][:n]
        error = float(apart.std(ddof=1) / n**0.5)
        rows.append(
            {
                "links": n_links,
                "db": level_db,
                "weighted": int(weighted),
                "contender": name,
                "percent": round(float(share[name].mean()), 3),
                "tie": int(float(apart.mean()) <= 2.0 * error),
                "instances": len(share[name]),
                "single_us": round(1e6 * statistics.median(single[name]), 1),
                "least_us": round(1e6 * min(single[name]), 1),
                "batch_us": round(1e6 * many_s[name] / len(batch[name]), 1),
            }
        )
        print(*rows[-1].values(), flush=True)
    return rows


def add(rows: list[dict[str, object]], *, only: Collection[str]) -> None:
    """Replace the rows of a cell in the file, or those of some contenders."""
    made = [row for row in rows if not only or row["contender"] in only]
    kept = [row for row in load() if _cell(row) != _cell(rows[0]) or (only and row["contender"] not in only)]
    rest = [*kept, *({name: str(value) for name, value in row.items()} for row in made)]
    rest.sort(key=_cell)
    with FILE.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rest)


def _cell(row: Mapping[str, object]) -> tuple[int, int, int]:
    """With or without weights, level and size of a row."""
    return int(str(row["weighted"])), int(str(row["db"])), int(str(row["links"]))


def load() -> list[dict[str, str]]:
    """What was measured."""
    if not FILE.is_file():
        return []
    with FILE.open(newline="", encoding="utf-8") as stream:
        return [{"weighted": "0", **row} for row in csv.DictReader(stream)]


def table(rows: list[dict[str, str]], weighted: int, level_db: int) -> str:
    """Percent and us per instance, alone and in a batch; the best of a cell and its ties are bold."""
    sizes = sorted({int(row["links"]) for row in rows if _cell(row)[:2] == (weighted, level_db)})
    name = f"{level_db} dB, weights" if weighted else f"{level_db} dB"
    lines = ["| " + " | ".join([name, *(f"K = {k}" for k in sizes)]) + " |", "|---" * (len(sizes) + 1) + "|"]
    for contender in CONTENDERS:
        cells = []
        for size in sizes:
            wanted = contender.name, (weighted, level_db, size)
            row = next((r for r in rows if (r["contender"], _cell(r)) == wanted), None)
            if row is None:  # too many links for it, or measured before it was a contender
                cells.append("–")
                continue
            percent = f"{float(row['percent']):.2f}"
            shown = f"**{percent}**" if row["tie"] == "1" else percent
            cells.append(f"{shown} ({_time(row['least_us'])}, {_time(row['batch_us'])})")
        lines.append("| " + " | ".join([contender.name, *cells]) + " |")
    return "\n".join(lines)


def _time(us: str) -> str:
    return f"{float(us):.0f} us" if float(us) < 1000.0 else f"{float(us) / 1000.0:.3g} ms"


def draw(rows: list[dict[str, str]]) -> None:
    """Quality over latency with its front, a panel per size from 20 links on, at 0 and 10 dB; one instance and batches."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    from optisolve.plotting.style import GRID, MUTED, blank_figure, dress, label_axes, looks_of, save_figure

    sizes = [k for k in sorted({int(row["links"]) for row in rows}) if k >= 20]
    figure, looks = blank_figure(11.0, 8.6), looks_of([c.name for c in CONTENDERS])
    panels = figure.subplots(4, len(sizes))
    lines = [(db, field, told) for db in LEVELS for field, told in (("least_us", "one"), ("batch_us", "batch"))]
    for line, (db, field, told) in enumerate(lines):
        for column, size in enumerate(sizes):
            axes = panels[line][column]
            dress(axes)
            cell = [r for r in rows if _cell(r) == (0, db, size)]
            points = {r["contender"]: (float(r[field]) / 1e3, float(r["percent"])) for r in cell}
            front = [
                (x, y) for x, y in sorted(points.values()) if y >= _SHOWN and all(y > v for u, v in points.values() if u < x)
            ]
            axes.plot(*zip(*front, strict=True), color=GRID, linewidth=3, zorder=1)
            for name, (x, y) in points.items():
                if y >= _SHOWN:
                    axes.plot(x, y, linestyle="none", label=name, **looks[name].marks(7))
            below = [name for name, (_, y) in points.items() if y < _SHOWN]
            if below:
                axes.text(
                    0.99, 0.02, "below: " + "\n".join(below), transform=axes.transAxes, fontsize=6, color=MUTED, ha="right"
                )
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
            axes.set_title(f"K = {size}, {db} dB, {told}", fontsize=8, loc="left")
            label_axes(axes, x="ms per instance" if line == 3 else None, y="% of WMMSE" if not column else None)
    handles, names = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=5, frameon=False, fontsize=8)
    save_figure(figure, PICTURE, dots=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--links", type=int, nargs="+", default=SIZES)
    parser.add_argument("--db", type=int, nargs="+", default=LEVELS)
    parser.add_argument("--weighted", action="store_true", help="links with weights U(0, 1)")
    parser.add_argument(
        "--only", nargs="+", choices=[c.name for c in CONTENDERS], default=[], help="contenders whose rows are made"
    )
    parser.add_argument("--show", action="store_true", help="print and draw what was measured")
    given = parser.parse_args()
    if not given.show:
        for level_db in given.db:
            for n_links in given.links:
                names = {*given.only, *BESIDE} if given.only else {c.name for c in CONTENDERS}
                add(measure(n_links, level_db, given.weighted, names), only=given.only)
        return
    rows = load()
    for weighted, level_db in sorted({_cell(row)[:2] for row in rows}):
        print(table(rows, weighted, level_db), end="\n\n")
    draw(rows)


if __name__ == "__main__":
    main()

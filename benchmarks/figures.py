"""The figures of README and of the gallery, from short runs that anybody can repeat, with the numbers that stand in them.

    python benchmarks/figures.py [NAME ...]            draws docs/*.png and docs/gallery/*.png, writes their numbers
    python benchmarks/figures.py --check [NAME ...]    runs them again and compares with docs/gallery/numbers.json

Every run has a seed and a budget of evaluations, and no language model is called: the legend names the stand-in. The runs of
`budgets` are many; they are those of benchmarks/budgets.parquet (`benchmarks/quality/budgets.py`).
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

import optisolve
from optisolve.core import Effort
from optisolve.core.documents import write_atomic
from optisolve.plotting.figures import Kind
from optisolve.plotting.profiles import budget_figure
from optisolve.plotting.style import figure_bytes

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
NUMBERS = DOCS / "gallery" / "numbers.json"
TOLERANCE = 1e-3
"""Relative difference of a score from which a figure is out of date; processors round differently, and runs part a little."""
DOTS, COLORS = 130, 200
BUDGETS = "budgets"
"""Name of the figure of docs/budgets.md."""


@dataclass(frozen=True)
class Picture:
    """One figure.

    Args:
        file: Below ``docs``.
        kind: Of `optisolve.plot`.
        problem: Scenario.
        solvers: Presets.
        seeds: How many runs each.
        evaluations: Budget of a run.
        width: inches.
        alt: What it shows, for pages.
    """

    file: str
    kind: Kind
    problem: str
    solvers: tuple[str, ...]
    seeds: int = 1
    evaluations: int = 2000
    width: float = 5.0
    alt: str = ""


UAV = ("moead_de", "nsga2", "ledma", "random_search")
PICTURES = {
    "front": Picture(
        "front.png", "front", "uav_isac", ("moead_de", "ledma", "moead", "random_search", "null"),
        evaluations=5000, width=6.0,
        alt="Pareto fronts of five solvers beside the best known front: network utility against localization error.",
    ),
    "fronts": Picture(
        "gallery/fronts.png", "front", "uav_isac", UAV, seeds=3,
        alt="Fronts of four solvers, each by its run of median hypervolume of three seeds.",
    ),
    "convergence": Picture(
        "gallery/convergence.png", "convergence", "uav_isac", UAV, seeds=5,
        alt="Hypervolume over evaluations: medians of five seeds with their quartiles, and the best known front's.",
    ),
    "attainment": Picture(
        "gallery/attainment.png", "attainment", "uav_isac", UAV, seeds=5,
        alt="Attainment surfaces of four solvers over five seeds.",
    ),
    "map": Picture(
        "gallery/map.png", "map", "uav_isac/dense", ("moead_de",),
        alt="Map of 8 UAVs with their powers and the 60 users that they serve.",
    ),
    "matrix": Picture(
        "gallery/matrix.png", "front", "pymoo/dtlz2", ("nsga3",), evaluations=3000,
        alt="Scatter matrix of three objectives beside the front.",
    ),
    "parallel": Picture(
        "gallery/parallel.png", "parallel", "pymoo/re37", ("nsga3",), evaluations=300,
        alt="Parallel coordinates of the three objectives of a rocket injector.",
    ),
    "optimum": Picture(
        "gallery/optimum.png", "convergence", "power_control", ("wmmse", "cma_es", "random_search"),
        seeds=5, evaluations=1000,
        alt="Sum rate over evaluations of three solvers beside the certified optimum.",
    ),
    "powers": Picture(
        "gallery/powers.png", "map", "parallel_channels", ("water_filling",),
        alt="Water-filling: noise over gain of every channel with its power on top.",
    ),
}  # fmt: skip


@cache
def solved(problem: str, solver: str, seed: int, evaluations: int) -> optisolve.Result:
    """One run; figures share them."""
    instance, reference = _case(problem)
    budget = optisolve.Budget(evaluations=evaluations, llm_calls=40)
    return optisolve.solve(instance, solver, budget=budget, seed=seed, llm="surrogate", reference=reference)


@cache
def _case(name: str) -> tuple[optisolve.Instance, Any]:
    problem = optisolve.load_problem(name)
    instance = problem.instance(0)
    return instance, problem.reference(instance, Effort.QUICK)


def results(picture: Picture) -> list[optisolve.Result]:
    return [
        solved(picture.problem, solver, seed, picture.evaluations)
        for solver in picture.solvers
        for seed in range(picture.seeds)
    ]


def numbers(found: Iterable[optisolve.Result]) -> dict[str, list[float | None]]:
    """Scores by solver, one per seed."""
    told: dict[str, list[float | None]] = {}
    for result in found:
        score = result.hypervolume if len(result.instance.objectives) > 1 else result.scores["objective"]
        told.setdefault(result.record.solver.name, []).append(score)
    return told


def curves() -> pd.DataFrame:
    """Medians and quartiles by solver and budget, from the file of results."""
    sys.path.append(str(ROOT / "benchmarks" / "quality"))
    from budget_runs import measuring, tables

    return tables.curves(measuring.read_results())


def drawn(name: str) -> tuple[str, dict[str, list[float | None]], Callable[[], Figure]]:
    """File below ``docs``, numbers and figure of a name."""
    if name == BUDGETS:
        data = curves()
        told = {str(solver): own["median"].round(5).tolist() for solver, own in data.groupby("solver", sort=False)}
        return "budgets.png", told, lambda: budget_figure(data, measure="Hypervolume, share of the scoring box (→ better)")
    picture = PICTURES[name]
    found = results(picture)
    return picture.file, numbers(found), lambda: optisolve.plot(found, picture.kind, width=picture.width)


def differences(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What a figure says that a run now does not."""
    if old.keys() != new.keys():
        return [f"{name}: drawn {', '.join(old) or 'never'}; now {', '.join(new)}"]
    told = []
    for solver, values in new.items():
        before = old[solver]
        same = len(before) == len(values) and all(
            a == b or (a is not None and b is not None and abs(a - b) <= TOLERANCE * max(abs(a), abs(b)))
            for a, b in zip(before, values, strict=False)
        )
        told += [] if same else [f"{name}: {solver} has {before} in the figure and {values} now"]
    return told


def small(png: bytes) -> bytes:
    """The same picture with few colors, so that a page of figures loads at once."""
    drawn = io.BytesIO()
    image = Image.open(io.BytesIO(png)).convert("RGB")
    image.quantize(COLORS, dither=Image.Dither.NONE).save(drawn, format="png", optimize=True)
    return drawn.getvalue()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = (*PICTURES, BUDGETS)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which of {', '.join(names)}; all by default")
    parser.add_argument("--check", action="store_true", help="draw nothing; exit code 1 where a figure is out of date")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in names]:
        parser.error(f"unknown figure {', '.join(unknown)}; expected some of {', '.join(names)}")
    kept = json.loads(NUMBERS.read_text(encoding="utf-8")) if NUMBERS.is_file() else {}
    stale: list[str] = []
    for name in options.names or names:
        file, now, figure = drawn(name)
        path = DOCS / file
        if options.check:
            stale += differences(name, kept.get(name, {}), now)
            stale += [] if path.is_file() else [f"{name}: docs/{file} is missing"]
            continue
        write_atomic(path, small(figure_bytes(figure(), "png", dots=DOTS)))
        kept[name] = now
        print(f"docs/{file}: {path.stat().st_size / 1000:.0f} kB, {now}")
    if options.check:
        print("\n".join(stale) or "all figures say what their runs say")
        return int(bool(stale))
    NUMBERS.write_text(json.dumps({name: kept[name] for name in names if name in kept}, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

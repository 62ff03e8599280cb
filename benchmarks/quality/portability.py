"""Which solvers give the same bits whatever kernels BLAS and numpy choose, for one thread and two: solver x setting.

    python benchmarks/quality/portability.py [SUITE ...] [--solvers NAME ...] [--evaluations 150] [--settings NAME ...]
                                             [--problems] [--out FILE]

Every solver of every suite that optisolve ships runs once on the first instance of each of the suite's problems, with its own
seed and options and at most so many evaluations; every setting is a process. A cell of the table says how many runs have
another `result_hash` than under the first setting; those that differ by rounding alone stand in brackets, and the largest
difference of what was reached (hypervolume, or the objective relative to its size) behind them. With `--problems` the same by
problem, and whether an instance's own data or the evaluation of its null policies change. `--out` keeps the runs.

What a solver or a problem declares (`portable`) is held against this in tests/trust/test_portability.py.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np

_THREADS = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_TORCH = {"MKL_CBWR": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}


def settings() -> dict[str, dict[str, str]]:
    """Environment variables by the name of a setting; the first one is what the others are compared with."""
    found = " ".join(np.show_config(mode="dicts")["SIMD Extensions"].get("found", ()))
    return {
        "SkylakeX": {"OPENBLAS_CORETYPE": "SkylakeX"},
        "SkylakeX 2 threads": {"OPENBLAS_CORETYPE": "SkylakeX", **dict.fromkeys(_THREADS, "2")},
        "Haswell": {"OPENBLAS_CORETYPE": "Haswell", **_TORCH},
        "Haswell 2 threads": {"OPENBLAS_CORETYPE": "Haswell", **_TORCH, **dict.fromkeys(_THREADS, "2")},
        "numpy baseline": {"OPENBLAS_CORETYPE": "SkylakeX", "NPY_DISABLE_CPU_FEATURES": found},
        "numba haswell": {
            "OPENBLAS_CORETYPE": "SkylakeX",
            "NUMBA_CPU_NAME": "haswell",
            "NUMBA_CPU_FEATURES": "+avx,+avx2,+fma",
        },
    }


def runs(suites: list[str], evaluations: int, only: list[str], without: list[str]):
    """The cells, each once: suite, problem, solver and the run itself."""
    from optisolve.core.budget import Budget
    from optisolve.core.documents import digest, plain
    from optisolve.run.solve import solve
    from optisolve.study.suite import list_suites, load_suite

    seen = set()
    for name in suites or list_suites():
        suite = load_suite(name)
        instances = {}
        for cell in suite.cells:
            info = cell.solver.info
            if cell.skip or cell.memory or (only and info.name not in only) or info.name in without:
                continue
            first = cell.case.instances[0]
            key = id(cell.case)
            instances[key] = instances.get(key) or cell.case.instance(first)
            instance = instances[key]
            if cell.solver.skip(instance) or (cell.llm is not None and cell.llm.kind != "surrogate"):
                continue
            told = cell.budget.options()
            told["evaluations"] = min(evaluations, told["evaluations"] or evaluations)
            told["seconds"] = None
            unit = digest(plain([instance.sha256, info.name, cell.solver.options(), told]))
            if unit in seen:
                continue
            seen.add(unit)
            seed = suite.run_seed(cell.case, first, 0)
            result = solve(instance, cell.solver, budget=Budget.from_mapping(told), seed=seed, llm=cell.llm)
            yield suite.name, f"{cell.label} on {cell.case.label}", instance, result


def child(chosen: argparse.Namespace) -> None:
    """Run everything under the setting of this process; a line per run."""
    from optisolve.run.environment import kernels

    with Path(chosen.out).open("w", encoding="utf-8") as out:
        for suite, label, instance, result in runs(chosen.suites, chosen.evaluations, chosen.solvers, chosen.without):
            nulls = {name: instance.evaluate(X) for name, X in instance.null_policies().items()}
            values = [[e.F.tolist(), e.G.tolist(), e.H.tolist()] for e in nulls.values()]
            told = {
                "suite": suite,
                "label": label,
                "solver": result.record.solver.name,
                "problem": f"{suite}/{result.record.instance.problem}",
                "instance": instance.sha256,
                "nulls": values,
                "kernels": kernels(),
                "record": result.record.to_json(),
            }
            out.write(json.dumps(told) + "\n")
            out.flush()


def made(name: str, variables: dict[str, str], words: list[str], folder: Path) -> dict[tuple[str, ...], dict]:
    """What a process with these variables finds, by suite and cell."""
    file = folder / f"{name.replace(' ', '_')}.jsonl"
    environment = {**os.environ, **dict.fromkeys(_THREADS, "1"), **variables}
    command = [sys.executable, __file__, *words, "--child", "--out", str(file)]
    subprocess.run(command, env=environment, check=True)
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return {(row["suite"], row["label"]): row for row in rows}


def distance(one, other) -> float:
    """Between what two runs reached: hypervolume as it is, an objective relative to its size."""
    if one.scores.hypervolume is not None and other.scores.hypervolume is not None:
        return abs(one.scores.hypervolume - other.scores.hypervolume)
    a, b = one.scores.objective, other.scores.objective
    if a is None or b is None:
        return 0.0 if a is b else float("inf")
    return abs(a - b) / max(abs(a), abs(b), 1e-12)


def compared(base: dict, other: dict) -> dict[tuple[str, ...], tuple[str, float]]:
    """Of every run: ``same``, ``rounding`` or ``elsewhere``, and how far apart the two are."""
    from optisolve.run.schema import Record
    from optisolve.trust.replay import agrees

    found = {}
    for key in sorted(base.keys() & other.keys()):
        one, two = Record.read(base[key]["record"]), Record.read(other[key]["record"])
        if one.result_hash == two.result_hash:
            found[key] = "same", 0.0
        else:
            found[key] = "rounding" if agrees(one, two) else "elsewhere", distance(one, two)
    return found


def table(rows: dict[str, dict[str, list[tuple[str, float]]]], names: list[str]) -> None:
    """Print it."""
    print(f"{'':24} {'runs':>5}  " + "  ".join(f"{name:>24}" for name in names))
    for solver in sorted(rows):
        cells = []
        for name in names:
            found = rows[solver][name]
            kinds = [kind for kind, _ in found]
            if all(kind == "same" for kind in kinds):
                cells.append("same")
            else:
                worst = max(far for _, far in found)
                cells.append(f"{len(kinds) - kinds.count('same')} ({kinds.count('rounding')} rounding) {worst:.0e}")
        print(f"{solver:24} {len(rows[solver][names[0]]):5d}  " + "  ".join(f"{cell:>24}" for cell in cells))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("suites", nargs="*")
    parser.add_argument("--solvers", nargs="+", default=[])
    parser.add_argument("--without", nargs="+", default=[])
    parser.add_argument("--evaluations", type=int, default=150)
    parser.add_argument("--settings", nargs="+", default=list(settings()))
    parser.add_argument("--problems", action="store_true")
    parser.add_argument("--child", action="store_true")
    parser.add_argument("--out", default="")
    chosen = parser.parse_args()
    if chosen.child:
        child(chosen)
        return
    words = [*chosen.suites, "--evaluations", str(chosen.evaluations)]
    for option in ("solvers", "without"):
        words += [f"--{option}", *getattr(chosen, option)] if getattr(chosen, option) else []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(chosen.out or scratch)
        folder.mkdir(parents=True, exist_ok=True)
        results = {name: made(name, settings()[name], words, folder) for name in chosen.settings}
    base, *others = chosen.settings
    by_solver: dict = defaultdict(lambda: defaultdict(list))
    by_problem: dict = defaultdict(lambda: defaultdict(list))
    for name in others:
        for key, found in compared(results[base], results[name]).items():
            row, other = results[base][key], results[name][key]
            by_solver[row["solver"]][name].append(found)
            data = "same" if row["instance"] == other["instance"] else "elsewhere"
            values = "same" if row["nulls"] == other["nulls"] else "elsewhere"
            by_problem[f"{row['problem'].partition('/')[2]}: data"][name].append((data, 0.0))
            by_problem[f"{row['problem'].partition('/')[2]}: values"][name].append((values, 0.0))
            by_problem[f"{row['problem'].partition('/')[2]}: runs"][name].append(found)
    table(by_solver, others)
    if chosen.problems:
        print()
        table(by_problem, others)


if __name__ == "__main__":
    main()

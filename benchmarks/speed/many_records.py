"""The leaderboard's site with many records: seconds to build and to write, and what its pages weigh.

    python benchmarks/speed/many_records.py [--records 10000]

Ten runs are made; the records are copies of them under other suites, problems, solvers, instances and repetitions, with scores
that differ a little, so that ranks and tests have something to do.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import optisolve
from optisolve.run.schema import Record
from optisolve.trust.site import build_site, write_site

SOLVERS = ("moead", "moead_de", "nsga2", "random_search", "null")
TRACKS, PROBLEMS, INSTANCES, REPETITIONS = 10, 10, 10, 2


def originals() -> dict[str, list[Record]]:
    """Full records of five solvers on a problem with a front and on one with a bound."""
    found = {}
    for name in ("uav_isac", "power_control"):
        problem = optisolve.load_problem(name)
        instance = problem.instance(0)
        reference, budget = problem.reference(instance), optisolve.Budget(evaluations=500)
        solved = (optisolve.solve(instance, solver, budget=budget, reference=reference) for solver in SOLVERS)
        found[name] = [result.record for result in solved]
    return found


def copies(count: int) -> Iterator[Record]:
    """As many records as asked for, sealed."""
    made, rng, left = originals(), np.random.default_rng(0), count
    for track in range(TRACKS):
        for repetition in range(REPETITIONS):
            for instance in range(INSTANCES):
                for problem in range(PROBLEMS):
                    for record in made["uav_isac" if problem % 2 else "power_control"]:
                        if not left:
                            return
                        left -= 1
                        suite = record.suite.model_copy(
                            update={
                                "name": f"track{track}", "version": "1", "sha256": f"{track:064x}",
                                "problem": f"problem{problem}", "solver": record.solver.name,
                                "instance": str(instance), "repetition": str(repetition),
                                "unit": f"{problem}.{record.solver.name}.i{instance}.r{repetition}-{track:012x}",
                            }
                        )  # fmt: skip
                        gap = record.scores.gap or 0.0
                        scores = record.scores.model_copy(update={"gap": gap * float(rng.uniform(0.8, 1.2))})
                        where = record.instance.model_copy(
                            update={"seed": instance, "sha256": f"{100 * problem + instance:064x}"}
                        )
                        changed = {"suite": suite, "scores": scores, "instance": where, "seed": int(rng.integers(2**31))}
                        yield record.model_copy(update=changed).sealed()


def main() -> None:
    """Print what it costs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--records", type=int, default=TRACKS * PROBLEMS * INSTANCES * REPETITIONS * len(SOLVERS))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="optisolve-many-") as scratch:
        folder, site = Path(scratch, "records"), Path(scratch, "site")
        for record in copies(options.records):
            path = folder / record.suite.name / record.suite.unit / "record.json"
            path.parent.mkdir(parents=True)
            path.write_bytes(record.to_bytes())
        start, cpu = time.perf_counter(), time.process_time()
        content = build_site([folder])
        built, built_cpu = time.perf_counter(), time.process_time()
        write_site(content, site)
        done, done_cpu = time.perf_counter(), time.process_time()
        print(f"{len(content.records):,} records, {len(content.tracks)} tracks")
        for what, seconds, of_core in (
            ("build", built - start, built_cpu - cpu),
            ("write", done - built, done_cpu - built_cpu),
        ):
            print(f"{what} {seconds:.0f} s ({of_core:.0f} s of one core)")
        for name in (".", "tracks", "questions", "statistics", "problems", "solvers", "records"):
            pages = sorted((path.stat().st_size for path in (site / name).glob("*.html")), reverse=True)
            print(f"{name:12} {len(pages):6,} pages, largest {pages[0] / 1e3:,.0f} kB, together {sum(pages) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()

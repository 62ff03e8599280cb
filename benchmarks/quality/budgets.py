"""What is best at which budget of evaluations: the tables of docs/budgets.md.

    python benchmarks/quality/budgets.py                          # measures what is missing, then prints all tables
    python benchmarks/quality/budgets.py --part uav_isac --seeds 1
    python benchmarks/quality/budgets.py --print                  # tables of what is in benchmarks/budgets.parquet
    python benchmarks/readme_table.py                             # writes them into docs/budgets.md and README.md

Ten instances and five run seeds, the same for all solvers, on which nothing was tuned; every point of a curve is runs of its
own, since solvers know their budget. The script may be stopped and goes on; it measures one seed of all instances after the
other, so what is there is balanced. Runs of another version or of other options of a solver are made again.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from budget_runs.cases import PARTS
from budget_runs.measuring import RESULTS, bring_up_to_date, outdated, read_results
from budget_runs.tables import TABLES


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--seeds", type=int, default=5, help="run seeds per instance, 1 to 5")
    parser.add_argument(
        "--peer-pairs", type=int, default=4, help="pairs per problem at 50 evaluations of botorch, optuna_gp, optuna_tpe"
    )
    parser.add_argument("--only", nargs="+", metavar="LABEL", help="measure these solvers alone, by their names in the tables")
    parser.add_argument("--workers", type=int, default=2, help="processes, one thread each")
    parser.add_argument("--file", type=Path, default=RESULTS, help="default benchmarks/budgets.parquet")
    parser.add_argument(
        "--practice", action="store_true", help="instances 20 to 29, seeds 1 to 5, to tune on; with a --file of its own"
    )
    parser.add_argument("--print", action="store_true", dest="print_only", help="measure nothing")
    options = parser.parse_args()
    if options.practice and options.file == RESULTS:
        parser.error("--practice needs a --file of its own: what is published is not measured where settings are tuned")
    broken: list[str] = []
    if not options.print_only:
        start = time.monotonic()
        size = {"n_seeds": options.seeds, "peer_pairs": options.peer_pairs, "workers": options.workers}
        broken = bring_up_to_date(options.part, path=options.file, practice=options.practice, only=options.only, **size)
        print(f"measured in {time.monotonic() - start:,.0f} s\n")
    frame = read_results(options.file)
    for name, table in TABLES.items():
        print(f"== {name}\n\n{table(frame)}\n")
    if old := outdated(frame):
        print(f"made by other versions or options: {', '.join(f'{label} ({rows})' for label, rows in old.items())}")
    print("\n".join(f"broke: {words}" for words in broken))
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())

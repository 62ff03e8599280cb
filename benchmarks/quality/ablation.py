"""Was the language model needed? The reports in docs/ablation, made by `optisolve ablate`.

    python benchmarks/quality/ablation.py                                    # everything, local model and surrogate
    python benchmarks/quality/ablation.py --llm surrogate                    # minutes, no model
    python benchmarks/quality/ablation.py --problems uav_isac --seeds 5 --evaluations 300

Records stay in --out and are found again, so the script goes on where it was stopped. What is copied to docs/ablation is
what the command wrote, unchanged: ablation.md, ablation.csv, ablation.yaml and the pictures. Partial reports are not copied.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs" / "ablation"
PROBLEMS = {
    "uav_isac": [],
    "pymoo/zdt1_shifted": ["problem.n_variables=5"],  # with 30 no arm reaches the scoring box in 100 evaluations
    "power_control": [],
}
"""What is solved, and what is changed about it."""
LLMS = ("surrogate", "local")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", nargs="+", default=list(PROBLEMS))
    parser.add_argument("--llm", nargs="+", default=LLMS, help="language models (default: surrogate local)")
    parser.add_argument("--instances", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--evaluations", type=int, default=100)
    parser.add_argument("--out", default="runs/ablation", help="folder of the records (default runs/ablation)")
    parser.add_argument("--set", nargs="*", default=[], metavar="key=value", help="further settings of optisolve ablate")
    options = parser.parse_args()
    size = [f"instances={options.instances}", f"seeds={options.seeds}", f"budget.evaluations={options.evaluations}"]
    failed = []
    for llm in options.llm:
        for problem in options.problems:
            name = f"{problem.replace('/', '-')}-{llm}"
            out = Path(options.out) / name
            words = [
                f"problem={problem}",
                "solver=ledma",
                f"llm={llm}",
                *PROBLEMS.get(problem, []),
                *size,
                *options.set,
                f"out={out}",
            ]
            print(f"== optisolve ablate {' '.join(words)}", flush=True)
            done = subprocess.run([sys.executable, "-m", "optisolve", "ablate", *words], check=False)
            if done.returncode == 130:
                return 130
            if done.returncode:
                failed.append(name)
                continue
            publish(out, DOCS / name)
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


def publish(out: Path, target: Path) -> None:
    """Copy a complete report; what an earlier one left there goes."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for file in sorted(out.glob("ablation*")):
        if file.is_file():  # not the records
            shutil.copyfile(file, target / file.name)
    print(f"-> {target}")


if __name__ == "__main__":
    sys.exit(main())

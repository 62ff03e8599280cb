"""Does a language model find better rules than blind search and genetic programming? Two skeletons, ten searches an arm.

    python benchmarks/quality/rule_writers.py out=FOLDER                     # SmolLM2-135M, one process per skeleton
    python benchmarks/quality/rule_writers.py out=FOLDER only=insertion      # one of the two, in this process
    python benchmarks/quality/rule_writers.py llm=openai llm.base_url=URL llm.model=NAME
    python benchmarks/quality/rule_writers.py seeds=2 budget.evaluations=25 arms=[llm,gp,random]    # a quick look

Both are plans, benchmarks/plans/writer-*.yaml; what is given is given to `optisolve ablate` for both. Arms have the same
number of program evaluations; ``gp_time`` has the processor time of the model's own search instead. Figures are gains on
instances that no search has seen. A run that was cut off goes on where it was, with the same command; one that is finished
prints its table.

Size: 16 answers of the model a search, of which about half are programs that were not there before; the rest of the 30 programs
fits numbers. An answer takes 1 to 2 s of one core for `insertion` and about 3 s for `association`, whose programs cost more
too: 80 searches by the model and 20 at equal time take a little over an hour of processor time.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from optisolve.cli.main import main

PLANS = Path(__file__).resolve().parents[1] / "plans"
SKELETONS = ("insertion", "association")


def run(words: list[str]) -> int:
    named = dict(word.partition("=")[::2] for word in words)
    only, folder = named.pop("only", ""), named.pop("out", "runs/rule-writers")
    if only and only not in SKELETONS:
        print(f"only={only}: one of {', '.join(SKELETONS)}", file=sys.stderr)
        return 1
    if not only:
        started = [subprocess.Popen([sys.executable, __file__, *words, f"only={skeleton}"]) for skeleton in SKELETONS]
        return max(process.wait() for process in started)
    words = [f"{name}={value}" for name, value in {"progress": "lines", **named}.items()]
    return main(["ablate", f"config={PLANS / f'writer-{only}-local.yaml'}", f"out={folder}/{only}", *words])


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))

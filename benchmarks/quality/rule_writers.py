"""Does a language model find better rules than blind search and genetic programming? Two skeletons, ten searches an arm.

    python benchmarks/quality/rule_writers.py                                   # SmolLM2-135M, 10 searches an arm
    python benchmarks/quality/rule_writers.py llm=openai llm.base_url=URL llm.model=NAME
    python benchmarks/quality/rule_writers.py seeds=2 budget.evaluations=25 arms=[llm,gp,random]    # a quick look

What is given is given to `optisolve ablate` for both skeletons. Arms have the same number of program evaluations, those called
``_time`` the time of the model's own search; figures are gains on instances that no search has seen. A run that was cut off
goes on where it was.
"""

from __future__ import annotations

import sys

from optisolve.cli.main import main

PLACES = (("power_control/gaussian_k20_0db", "insertion"), ("user_association/max_min", "association"))

GIVEN = {"llm": "local", "seeds": "10", "budget.evaluations": "100", "sets.train": "24", "sets.validation": "24"}
"""What is not given."""


def run(words: list[str]) -> int:
    named = {word.partition("=")[0] for word in words}
    rest = [f"{name}={value}" for name, value in GIVEN.items() if name not in named]
    return max(main(["ablate", f"problem={problem}", f"skeleton={skeleton}", *rest, *words]) for problem, skeleton in PLACES)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))

"""The long fuzz: parameters nobody tried, an attack on every certificate, counts by family.

    python -m tests.independent.fuzz --instances 400 --seconds 120      # per family; exit code 1 when anything fell

What it counts: references by evidence, the worst distance between the card and both evaluators, how far the best verified
point came relative to the bound, certificates beaten, exceptions that are no clear error.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field

from optisolve.core import Effort
from optisolve.core.errors import OptisolveError
from optisolve.core.seeds import generator
from tests.independent.attack import attack, passed_ideal
from tests.independent.protocol import FAMILIES, fuzzed
from tests.independent.test_evaluators import disagreement, points


@dataclass
class Tally:
    """Counts of one family."""

    instances: int = 0
    evidence: Counter[str] = field(default_factory=Counter)
    disagreement: float = 0.0
    closest: float = float("-inf")
    tried: int = 0
    beaten: list[str] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)
    refused: int = 0
    raised: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Nothing fell: no certificate beaten, no raw exception, evaluators as the card says."""
        return not self.beaten and not self.raised and self.disagreement <= 1e-9


def fuzz_family(name: str, instances: int, seconds: float = float("inf"), *, first: int = 0, n_random: int = 100) -> Tally:
    """Draw instances of a family until the count or the time is reached.

    Args:
        name: The family.
        instances: How many.
        seconds: Wall-clock limit, s.
        first: Number of the first draw.
        n_random: Random points per attack.
    """
    tally, start = Tally(), time.perf_counter()
    for draw in range(first, first + instances):
        if time.perf_counter() - start > seconds:
            break
        told = f"{name} draw {draw}"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", RuntimeWarning)
                _one(name, draw, tally, n_random)
        except OptisolveError as error:
            tally.raised.append(f"{told}: {type(error).__name__}: {error}")
        except Exception as error:  # what the fuzz is looking for
            tally.raised.append(f"{told}: raw {type(error).__name__}: {error}")
    return tally


def _one(name: str, draw: int, tally: Tally, n_random: int) -> None:
    rng = generator(draw, purpose="independent-fuzz", problem=name)
    problem = fuzzed(name, rng)
    instance = problem.instance(draw)
    tally.instances += 1
    tally.disagreement = max(tally.disagreement, disagreement(name, instance, points(instance, rng, 12)))
    reference = problem.reference(instance, Effort.QUICK)
    if reference is None or len(instance.objectives) > 1:
        tally.evidence["none" if reference is None else reference.evidence.value] += 1
        passed = "" if reference is None else passed_ideal(name, instance, reference, rng, n_random=n_random)
        if passed:
            tally.beaten.append(f"{name} draw {draw}: {passed}; {problem!r}")
        return
    tally.evidence[reference.evidence.value] += 1
    if reference.note:
        tally.withdrawn.append(f"{name} draw {draw}: {reference.note}")
    strike = attack(name, instance, reference, rng, n_random=n_random)
    tally.tried += strike.tried
    if strike.beyond != float("inf"):
        tally.closest = max(tally.closest, strike.beyond)
    if strike.beaten:
        tally.beaten.append(
            f"{name} draw {draw}: {reference.evidence.value}, beyond by {strike.beyond:.3e} relative; {problem!r}"
        )


def main() -> int:
    """Fuzz all families, or those named, and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("families", nargs="*", default=FAMILIES)
    parser.add_argument("--instances", type=int, default=400)
    parser.add_argument("--seconds", type=float, default=120.0, help="per family")
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    columns = (
        "family",
        "instances",
        "evidence",
        "card against evaluators",
        "points",
        "beyond bound",
        "beaten",
        "withdrawn",
        "raised",
    )
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    fell, total = [], 0
    for name in options.families:
        tally = fuzz_family(name, options.instances, options.seconds, first=options.first)
        total += tally.instances
        evidence = " ".join(f"{key}:{count}" for key, count in sorted(tally.evidence.items()))
        cells = [name, tally.instances, evidence, f"{tally.disagreement:.1e}", f"{tally.tried:,}", f"{tally.closest:.1e}"]
        cells += [len(tally.beaten), len(tally.withdrawn), len(tally.raised)]
        print(f"| {' | '.join(map(str, cells))} |", flush=True)
        fell += [*tally.beaten, *tally.raised, *tally.withdrawn]
    print(f"\n{total} instances")
    for line in fell:
        print(line)
    return bool(fell)


if __name__ == "__main__":
    sys.exit(main())

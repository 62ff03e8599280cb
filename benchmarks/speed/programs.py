"""Speed of the interpreter of programs: node evaluations per second and core, one node being all items of a vector.

    python benchmarks/speed/programs.py              # K = 20
    python benchmarks/speed/programs.py --items 50

Processor time, one thread, compiled before; the loop over runs is compiled as well, as it is in the skeletons.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from optisolve.numerics.compiled import njit
from optisolve.programs.catalog import SKELETONS
from optisolve.programs.interpreter import execute
from optisolve.programs.program import Machine, pack

PROGRAMS = {
    "balanced": "(/ (* weight g) (* (+ 1 heard) (+ 1 caused)))",
    "logarithm": "(- (* weight (log1p (/ g (+ 1 heard)))) loss)",
    "orders": "(+ (rank g) (where (< heard caused) (expneg heard) (rank caused)))",
    "matrix": "(- (log1p g) (sum (* cross (columns on))))",
}


@njit(cache=False)
def repeat(n, instructions, numbers, scalars, vectors, matrices, registers, stack, n_items):
    for _ in range(n):
        execute(instructions, numbers, scalars, vectors, matrices, registers, stack, n_items)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=20)
    parser.add_argument("--runs", type=int, default=50_000)
    settings = parser.parse_args()
    skeleton, rng, n = SKELETONS["insertion"], np.random.default_rng(0), settings.items
    values = {feature.name: rng.random(((), (n,), (n, n))[feature.kind]) for feature in skeleton.features}
    for name, text in PROGRAMS.items():
        program = skeleton.read(text)
        machine, packed = Machine(program, n), pack(skeleton.features, values, n)
        arguments = (program.codes.instructions, program.codes.numbers, *packed, machine.registers, machine.stack, n)
        repeat(1, *arguments)
        begun = time.process_time()
        repeat(settings.runs, *arguments)
        rate = program.codes.nodes * settings.runs / (time.process_time() - begun)
        print(f"{name:10} {program.codes.nodes:3} nodes, K = {n}: {rate / 1e6:6.1f} million node evaluations per second")


if __name__ == "__main__":
    main()

"""The published configuration of DiffSG (arXiv 2408.06701) on its 80-channel set, rebuilt to show the difference.

    python benchmarks/quality/ddpm_legacy.py [--test 1000] [--instances 100]
    python benchmarks/quality/ddpm_legacy.py --write solvers/legacy_diffsg/weights    # train anew: labels, 200 epochs, card

Twenty diffusion steps with a cosine schedule (beta at most 0.84), noise prediction by an hour-glass MLP, null condition =
zeros, guidance weight 500, a sampler that normalizes whole batches in its first steps and adds noise of the variance's size,
and a softmax decoder between the smallest and largest value of the whole test set. Labels are exact water-filling here, scaled
to [0, 1] by their largest value. Printed are the published sampler and decoder, the same weights with the DDPM posterior and
with a projection, the decoder's ceiling (the optimum itself pushed through it), and our sampler beside them; then the solver
`legacy_diffsg` on single instances, whose batch are its own samples.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from legacy_training import fit

import optisolve
from optisolve.core.arrays import FloatArray
from optisolve.core.bridge import stack
from optisolve.numerics.water_filling import project_to_simplex
from optisolve.solvers.ddpm.bridges import bridge_of
from optisolve.solvers.ddpm.networks import parameter_count
from optisolve.solvers.ddpm.noise import case_keys, normal
from optisolve.solvers.ddpm.pipeline import draw, finish
from optisolve.solvers.ddpm.sampler import Sampling
from optisolve.solvers.ddpm.weights import load_weights, save_weights
from optisolve.solvers.legacy_diffsg.chain import softmax_of_range, walk_back
from optisolve.solvers.legacy_diffsg.solver import conditions, load_legacy

SCENARIO, FIRST_TRAINING_SEED, SEED = "parallel_channels/msr80", 3_000_000_000, 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="train, and write weights and card to this folder")
    parser.add_argument("--train", type=int, default=7000)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--test", type=int, default=1000)
    parser.add_argument("--instances", type=int, default=100, help="instances solved one by one")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.write is not None:
        write(options.write, options.train, options.epochs)
        return
    batch(options.test)
    single(options.instances)


def read(first: int, count: int) -> tuple[dict[str, FloatArray], FloatArray]:
    """Cases and their optimal powers over the uniform split, float64 [B, N]."""
    problem, bridge = optisolve.load_problem(SCENARIO), bridge_of(optisolve.load_problem("parallel_channels").instance(0))
    cases = stack([bridge.read(problem.instance(first + i)) for i in range(count)])
    label, _ = bridge.label(cases, np.random.default_rng(0), 1)
    return cases, bridge.decode(cases, label)[:, 0]


def write(folder: Path, count: int, epochs: int) -> None:
    start = time.perf_counter()
    cases, optimum = read(FIRST_TRAINING_SEED, count)
    labelled, scale, losses = time.perf_counter(), float(optimum.max()), []
    network = fit(conditions(cases), optimum / scale, epochs=epochs, seed=SEED, on_epoch=lambda _, loss: losses.append(loss))
    card = {
        "family": "parallel_channels",
        "problem": SCENARIO,
        "method": "DiffSG as published (arXiv 2408.06701), rebuilt; labels are exact water-filling",
        "labels": {
            "instances": count,
            "first_seed": FIRST_TRAINING_SEED,
            "sha256": hashlib.sha256(np.ascontiguousarray(optimum)).hexdigest(),
        },
        "label_scale": scale,
        "batch_statistics": "of the run's own samples of the one instance; the published code takes its whole test set",
        "seed": SEED,
        "epochs": epochs,
        "steps": epochs * -(-count // 512),
        "loss": {"first_epoch": round(losses[0], 5), "last_epoch": round(losses[-1], 5)},
        "parameters": parameter_count(network),
        "seconds": {
            "labels": round(labelled - start, 1),
            "training": round(time.perf_counter() - labelled, 1),
            "device": "cpu",
        },
    }
    save_weights(network, folder, card)
    print(f"{folder}: {card['parameters']} weights, loss {losses[0]:.4f} to {losses[-1]:.4f}, {card['seconds']}")


def batch(count: int) -> None:
    """The test set as one batch, as published."""
    bridge, (cases, best) = bridge_of(optisolve.load_problem("parallel_channels").instance(0)), read(0, count)
    network, scale, _ = load_legacy()
    keys, optimum = case_keys(0, np.arange(count)), bridge.score(cases, best[:, None])[:, 0]

    def run(guidance: float, *, posterior: bool) -> FloatArray:
        def normals(stream: int) -> FloatArray:
            return normal(keys, (best.shape[1],), stream=stream)

        return walk_back(network, conditions(cases), normals, guidance=guidance, posterior=posterior)

    legacy = run(500.0, posterior=False)
    rows: list[tuple[str, Callable[[], FloatArray]]] = [
        ("uniform split", lambda: np.ones_like(legacy)),
        ("published sampler and decoder, w = 500", lambda: softmax_of_range(legacy)),
        ("the optimum itself through the published decoder", lambda: softmax_of_range(best)),
        ("the same weights, DDPM posterior, w = 0, published decoder", lambda: softmax_of_range(run(0.0, posterior=True))),
        (
            "the same weights, DDPM posterior, w = 0, projection onto the simplex",
            lambda: project_to_simplex(run(0.0, posterior=True) * scale),
        ),
        ("`ddpm`, one sample", lambda: ours(cases, count)),
    ]
    print(f"80 channels, W = 20, {count} held-out instances: sum rate over water-filling\n\n| | share |\n|---|---|")
    for label, answer in rows:
        print(f"| {label} | {bridge.score(cases, answer()[:, None]).sum() / optimum.sum():.4f} |")
    shift = np.abs(softmax_of_range(legacy[:10]) - softmax_of_range(legacy)[:10]).max()
    print(f"\nlargest change of a power when 10 instances are decoded without the others: {shift:.3f} of the uniform split\n")


def ours(cases: dict[str, FloatArray], count: int) -> FloatArray:
    bridge, network = (
        bridge_of(optisolve.load_problem("parallel_channels").instance(0)),
        load_weights("auto", "parallel_channels").forward(),
    )
    y = draw(bridge, cases, case_keys(0, np.arange(count)), 1, network=network, how=Sampling(steps=2))
    return finish(bridge, cases, y, polish="none", steps=0).projected[:, 0]


def single(count: int) -> None:
    """The solver, one instance at a time."""
    problem = optisolve.load_problem(SCENARIO)
    instances = [problem.instance(seed) for seed in range(count)]
    optimum = [float(optisolve.solve(i, "water_filling", reference=None).verification.F[0, 0]) for i in instances]
    print(f"solver legacy_diffsg, {count} instances one by one; the batch is the samples of the instance\n")
    print("| samples | changes | mean sample | best sample |\n|---|---|---|---|")
    honest = {"sampler": "posterior", "guidance": 0.0, "decoder": "projection"}
    for samples in (1, 4, 16, 64):
        for label, changes in (("as published", {}), ("posterior, w = 0, projection", honest)):
            solver = optisolve.load_solver("legacy_diffsg", n_samples=samples, **changes)
            found = [optisolve.solve(i, solver, seed=i.origin.seed, reference=None) for i in instances]
            mean = sum(float(r.run.outcome.report["mean"]) for r in found) / sum(optimum)
            best = sum(float(r.verification.F[0, 0]) for r in found) / sum(optimum)
            print(f"| {samples} | {label} | {mean:.4f} | {best:.4f} |")


if __name__ == "__main__":
    main()

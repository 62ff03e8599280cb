"""Label-free steps by gradient and by self-imitation, from the same start: a learning curve each.

    python benchmarks/quality/ddpm_rules.py OUT [--imitation 600] [--label-free 900] [--problem power_control]

All runs share labels, seed and the imitation steps, hence their first weights; afterwards one goes on imitating labels, one
raises the decoded objective by its gradient through the reverse chain, and one imitates its own answers, weighted by their
true objective. Printed is the best of the recipe's validation samples over the best label, on held-out instances. OUT keeps
labels and checkpoints, so that an interrupted run goes on.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch

from optisolve.solvers.ddpm.recipe import load_recipe
from optisolve.solvers.ddpm.session import train
from optisolve.solvers.ddpm.training import read_state


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--imitation", type=int, default=600)
    parser.add_argument("--label-free", type=int, default=900)
    parser.add_argument("--problem", default="power_control")
    options = parser.parse_args()
    torch.set_num_threads(1)
    total = options.imitation + options.label_free
    small = {
        "labels.shards": 24,
        "labels.validation_shards": 2,
        "steps.batch": 48,
        "steps.keep_imitating": 0.0,
        "steps.check_every": 150,
        "steps.patience": total,
    }
    runs: dict[str, dict[str, Any]] = {
        "imitation only": {"steps.imitation": total, "steps.label_free": 0},
        "self-imitation": {"steps.rule": "self_imitation"},
        "gradient": {},
    }
    print("| steps | " + " | ".join(runs) + " |\n|---|" + "---|" * len(runs))
    curves, seconds = {}, {}
    for name, changes in runs.items():
        phases = {"steps.imitation": options.imitation, "steps.label_free": options.label_free}
        recipe = load_recipe(options.problem, {**small, **phases, **changes})
        out = options.out / name.replace(" ", "_")
        trained = train(recipe, out, labels=options.out / "labels", device="cpu")
        seconds[name] = trained.card["seconds"]["training"]
        curves[name] = {int(step): decoded for step, _, decoded, _ in read_state(out / "checkpoint.safetensors")["history"]}
    for step in curves["gradient"]:
        print(f"| {step} | " + " | ".join(f"{100.0 * curves[name][step]:.2f}" for name in runs) + " |")
    print("\ntraining, s: " + ", ".join(f"{name} {taken:.0f}" for name, taken in seconds.items()))


if __name__ == "__main__":
    main()

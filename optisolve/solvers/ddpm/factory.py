"""The label factory: instances and their near-optima, in shards on disk.

A shard is decided by the recipe and its number alone, so that any number of workers, in any order, after any interruption,
make the same files. Training and validation draw from disjoint ranges of instance seeds, far from the small seeds that people
and benchmarks use, and the hashes of all instances are compared as well.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.bridge import Bridge, stack
from optisolve.core.documents import write_atomic
from optisolve.core.errors import SolverError
from optisolve.core.problem import Problem
from optisolve.core.seeds import generator
from optisolve.solvers.ddpm.bridges import bridge_of
from optisolve.solvers.ddpm.recipe import Recipe

__all__ = ["TRAINING_SEEDS", "VALIDATION_SEEDS", "Shard", "check_split", "make_shards", "read_shard", "recipe_bridge"]

TRAINING_SEEDS = 2_000_000_000
"""First instance seed of training; seeds below 1,000,000,000 are for tests and benchmarks."""
VALIDATION_SEEDS = 1_000_000_000

Shard = dict[str, FloatArray]
"""Cases of a shard, and ``label_y`` [B, M, N, C] and ``label_score`` [B, M]; memory-mapped."""


def make_shards(
    recipe: Recipe, folder: Path, *, workers: int = 1, on_shard: Callable[[int, int], None] | None = None
) -> tuple[list[Path], list[Path]]:
    """Make all shards that are not there yet.

    Args:
        recipe: Which instances.
        folder: Where the shards of this recipe lie.
        workers: Processes at a time.
        on_shard: Called with the number of shards done and of all shards.

    Returns:
        Folders of the training and of the validation shards.

    Raises:
        SolverError: The folder belongs to another recipe, or an instance occurs in both sets.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _claim(folder, recipe)
    wanted = [("train", i) for i in range(recipe.labels.shards)]
    wanted += [("validation", i) for i in range(recipe.labels.validation_shards)]
    paths = {key: folder / f"{key[0]}-{key[1]:05d}" for key in wanted}
    missing = [key for key in wanted if not (paths[key] / "shard.json").is_file()]
    done = len(wanted) - len(missing)
    if workers > 1 and len(missing) > 1:
        import joblib

        parallel = joblib.Parallel(n_jobs=workers, return_as="generator_unordered")
        made = parallel(joblib.delayed(_make)(recipe, *key, paths[key]) for key in missing)
    else:
        made = (_make(recipe, *key, paths[key]) for key in missing)
    for _ in made:
        done += 1
        if on_shard is not None:
            on_shard(done, len(wanted))
    training = [paths[key] for key in wanted if key[0] == "train"]
    validation = [paths[key] for key in wanted if key[0] == "validation"]
    check_split(training, validation)
    return training, validation


def check_split(training: list[Path], validation: list[Path]) -> None:
    """Compare the hashes of all instances.

    Raises:
        SolverError: An instance occurs in both sets.
    """
    seen = {name for path in training for name in _note(path)["instances"]}
    leaked = [name for path in validation for name in _note(path)["instances"] if name in seen]
    if leaked:
        raise SolverError(
            f"{len(leaked)} validation instance(s) occur among the training instances too (first: {leaked[0][:16]}); "
            "the scenario has too few different instances for a held-out set. Vary more of its parameters."
        )


def read_shard(path: Path) -> Shard:
    """The arrays of a shard, memory-mapped."""
    return {file.stem: np.load(file, mmap_mode="r", allow_pickle=False) for file in sorted(path.glob("*.npy"))}


class _Note(TypedDict):
    """``shard.json``."""

    instances: list[str]
    modes_per_instance: float


def _note(path: Path) -> _Note:
    note: _Note = json.loads((path / "shard.json").read_text(encoding="utf-8"))
    return note


def _claim(folder: Path, recipe: Recipe) -> None:
    """Bind a folder to a recipe's instances."""
    note = folder / "labels.json"
    if note.is_file():
        found = json.loads(note.read_text(encoding="utf-8"))["digest"]
        if found != recipe.digest():
            raise SolverError(f"{folder}: its labels were made by another recipe; give another folder or remove this one.")
        return
    write_atomic(note, json.dumps({"problem": recipe.problem, "digest": recipe.digest()}).encode())


def shard_problem(recipe: Recipe, kind: str, index: int) -> Problem:
    """The scenario of one shard, its varied parameters drawn."""
    from optisolve.registry import make_problem

    rng = generator(index, purpose="ddpm-shard", kind=kind)
    return make_problem(recipe.problem, {name: vary.draw(rng) for name, vary in recipe.vary.items()})


def recipe_bridge(recipe: Recipe) -> Bridge:
    """The bridge of the instances that a recipe makes.

    Raises:
        SolverError: They cannot be sampled.
    """
    return bridge_of(shard_problem(recipe, "train", 0).instance(TRAINING_SEEDS))


def _make(recipe: Recipe, kind: str, index: int, path: Path) -> Path:
    """Write one shard; the last file written makes it count."""
    problem = shard_problem(recipe, kind, index)
    first = (TRAINING_SEEDS if kind == "train" else VALIDATION_SEEDS) + index * recipe.labels.shard_size
    instances = [problem.instance(first + i) for i in range(recipe.labels.shard_size)]
    bridge: Bridge = bridge_of(instances[0])
    rng = generator(index, purpose="ddpm-labels", kind=kind)
    cases = stack([bridge.vary(bridge.read(instance), rng) for instance in instances])
    y, score = bridge.label(cases, rng, recipe.labels.per_instance)
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    for name, values in {**cases, "label_y": y, "label_score": score}.items():
        np.save(path / f"{name}.npy", values, allow_pickle=False)
    modes = float(np.isfinite(score).sum(axis=1).mean())
    told: _Note = {"instances": [instance.sha256 for instance in instances], "modes_per_instance": modes}
    write_atomic(path / "shard.json", json.dumps(told).encode())
    return path

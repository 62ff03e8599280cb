"""Small networks and cases for tests of the sampler."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

import optisolve
from optisolve.core.bridge import Bridge, stack, to_tensors
from optisolve.solvers.ddpm.bridges import bridge_of
from optisolve.solvers.ddpm.networks import Condition, Denoiser, FilmDenoiser, InterferenceDenoiser, SetDenoiser
from optisolve.solvers.ddpm.recipe import Recipe, load_recipe


def cases_of(name: str, count: int, first: int = 0) -> tuple[Bridge, dict[str, Any]]:
    instances = [optisolve.load_problem(name).instance(first + i) for i in range(count)]
    bridge = bridge_of(instances[0])
    return bridge, stack([bridge.read(instance) for instance in instances])


def condition_of(bridge: Bridge, cases: Mapping[str, Any]) -> Condition:
    return to_tensors(bridge.condition(cases), "cpu")


def networks() -> dict[str, tuple[str, Denoiser]]:
    """Every denoiser with random weights, and a scenario that it fits."""
    torch.manual_seed(0)
    return {
        "interference": ("power_control", InterferenceDenoiser(width=8, hidden=8, messages=2, layers=2)),
        "set": ("offloading/n10", SetDenoiser(token_features=5, width=8, layers=2, heads=2)),
        "set_with_context": ("noma_uav", SetDenoiser(3, 3, 2, width=8, layers=2, heads=2)),
        "velocity": ("power_control", InterferenceDenoiser(8, 8, 2, 2, prediction="velocity")),
        "film": ("parallel_channels", Flat(features=16, variables=16, width=8, layers=2)),
    }


class Flat(FilmDenoiser):
    """The fixed-size network on the first feature of every token."""

    def encode(self, condition: Condition) -> Condition:
        return super().encode({"vector": condition["tokens"][:, :, 0]})


def tiny_recipe(**changes: Any) -> Recipe:
    """Seconds of training on small offloading problems."""
    small = {
        "labels.shards": 3,
        "labels.shard_size": 32,
        "labels.validation_shards": 1,
        "steps.imitation": 60,
        "steps.label_free": 40,
        "steps.batch": 16,
        "steps.check_every": 50,
        "vary.n_users.high": 9,
        "network.config": {"token_features": 5, "width": 16, "layers": 2, "heads": 2},
    }
    return load_recipe("offloading", {**small, **changes})


def shards_of(recipe: Recipe, folder: Path) -> tuple[list[Path], list[Path]]:
    from optisolve.solvers.ddpm.factory import make_shards

    return make_shards(recipe, folder)


def permuted(cases: Mapping[str, Any], order: np.ndarray[Any, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """The same cases with the users renamed."""
    changed = {name: values[:, order] if name in names else values for name, values in cases.items()}
    if "gain" in changed:
        changed["gain"] = cases["gain"][:, order][:, :, order]
    return changed

"""Small trained policies, evaluated in numpy: no deep-learning library at run time."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from optisolve.content import content_dir, digest
from optisolve.core.arrays import FloatArray
from optisolve.core.errors import SolverError
from optisolve.core.problem import Instance

__all__ = [
    "EXPERTS",
    "OBSERVATION",
    "Policy",
    "Training",
    "least_total",
    "load_policy",
    "observe",
    "policies_digest",
    "policy_file",
    "powers_of",
    "read_policy",
]

EXPERTS = ("rate", "availability", "bep", "energy")
"""Primitive intents with a shipped policy."""
Training = Literal["ppo", "sac"]
"""How the shipped policies were trained."""
OBSERVATION = "2 (log10(gain / noise_w) - 2) per branch"
_MOST_BYTES = 2**20
_FAINT = 1e-6
"""Share of the cap from which powers are scaled up to the floors."""


@dataclass(frozen=True, eq=False, slots=True)
class Policy:
    """A multilayer perceptron with tanh between its layers: gains in, powers out.

    Attributes:
        name: Its intent.
        layers: Weight float64 [out, in] and bias float64 [out] of every layer.
        reach: Raw actions are this times the tanh of the last layer (SAC); None for the last layer itself (PPO).
    """

    name: str
    layers: tuple[tuple[FloatArray, FloatArray], ...]
    reach: float | None = None

    @property
    def n_branches(self) -> int:
        """Branches that it was trained for."""
        return int(self.layers[0][0].shape[1])

    def act(self, gain: FloatArray, noise_w: float, p_total_w: float) -> FloatArray:
        """Powers of the branches.

        Args:
            gain: float64 [M], linear.
            noise_w: W.
            p_total_w: Cap on the total, W.

        Returns:
            float64 [M], W, within the cap.
        """
        h: FloatArray = observe(gain, noise_w)
        for weight, bias in self.layers[:-1]:
            h = np.tanh(weight @ h + bias)
        weight, bias = self.layers[-1]
        raw = weight @ h + bias
        if self.reach is not None:
            raw = self.reach * np.tanh(raw)
        powers: FloatArray = powers_of(raw[None, :], p_total_w)[0]
        return powers


def observe(gain: FloatArray, noise_w: float) -> FloatArray:
    """What a policy sees of the gains: `OBSERVATION`, same shape."""
    return np.asarray(2.0 * (np.log10(gain / noise_w) - 2.0))


def powers_of(actions: FloatArray, p_total_w: float) -> FloatArray:
    """Powers of raw actions: all but the last are logits of the branches' shares, the last one is the logit of the total's.

    Args:
        actions: float64 [n, M + 1].
        p_total_w: Cap on the total, W.

    Returns:
        float64 [n, M], W; their sum is below the cap.
    """
    logits, total = actions[:, :-1], 1.0 / (1.0 + np.exp(-actions[:, -1:]))
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(p_total_w * total * shares / shares.sum(axis=1, keepdims=True))


def least_total(instance: Instance, powers: FloatArray) -> FloatArray:
    """The same shares at the least total that meets the instance's floors, or at the cap when none does.

    Args:
        instance: One whose projection scales powers up until the floors hold.
        powers: float64 [M], W, not all zero.

    Returns:
        float64 [M], W.
    """
    nearly_none: FloatArray = _FAINT * powers / powers.sum() * instance.space.upper.max()
    return np.asarray(instance.project(nearly_none[None, :])[0])


def policy_file(name: str, training: Training) -> str:
    """File name of a policy: ``rate.json`` (PPO), ``rate.sac.json``."""
    return f"{name}.json" if training == "ppo" else f"{name}.{training}.json"


@cache
def load_policy(name: str, training: Training = "ppo") -> Policy:
    """A shipped policy.

    Args:
        name: One of `EXPERTS`.
        training: How it was trained.

    Raises:
        SolverError: Missing or damaged; the text names the file and the script that makes it.
    """
    return read_policy(name, content_dir("solvers") / "drl_fusion" / policy_file(name, training))


def policies_digest(training: Training = "ppo") -> dict[str, str]:
    """Name and SHA-256 of all shipped policies of a training together, as records carry them."""
    folder = content_dir("solvers") / "drl_fusion"
    told = "".join(digest(folder / policy_file(name, training)) for name in EXPERTS)
    return {"name": f"drl_fusion/{training}", "sha256": hashlib.sha256(told.encode()).hexdigest()}


def read_policy(name: str, path: Path) -> Policy:
    """A policy from its file.

    Args:
        name: Its intent.
        path: JSON file of the training script.

    Raises:
        SolverError: Missing or damaged; the text names the file and the script that makes it.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError("larger than any policy")
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        layers = tuple(
            (np.array(item["weight"], dtype=np.float64), np.array(item["bias"], dtype=np.float64)) for item in told["layers"]
        )
        _require_fitting(layers)
        reach = None if told.get("reach") is None else float(told["reach"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SolverError(
            f"The policy '{name}' cannot be read from {path.name} ({error}); make it with benchmarks/training/nsp_experts.py."
        ) from None
    return Policy(name, layers, reach)


def _require_fitting(layers: tuple[tuple[FloatArray, FloatArray], ...]) -> None:
    for i, (weight, bias) in enumerate(layers):
        fits = weight.ndim == 2 and bias.shape == weight.shape[:1] and np.isfinite(weight).all() and np.isfinite(bias).all()
        if not fits or (i > 0 and weight.shape[1] != layers[i - 1][0].shape[0]):
            raise ValueError(f"layer {i} does not fit")
    if not layers or layers[-1][0].shape[0] != layers[0][0].shape[1] + 1:
        raise ValueError("the last layer must have one output more than there are branches")

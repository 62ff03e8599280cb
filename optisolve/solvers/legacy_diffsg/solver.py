"""`legacy_diffsg`: the published configuration of DiffSG on the set that it was published for, to show the difference."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Ge

from optisolve.content import content_dir, digest
from optisolve.core.arrays import FloatArray
from optisolve.core.bridge import stack
from optisolve.core.capabilities import ParallelChannels, Samplable
from optisolve.core.documents import Json
from optisolve.core.problem import Instance
from optisolve.core.solver import Feature, Outcome, Solver, SolverInfo, Task, spent_limit
from optisolve.core.status import Limit, Termination
from optisolve.numerics.water_filling import project_to_simplex
from optisolve.solvers.ddpm.bridges import bridge_gap, bridge_of
from optisolve.solvers.ddpm.noise import case_keys, normal
from optisolve.solvers.ddpm.weights import WEIGHTS_FILE

__all__ = ["CHANNELS", "LegacyDiffsg", "conditions", "load_legacy"]

CHANNELS = 80
"""The network has one fixed size."""
_GRID = 2.0**20
"""Powers are rounded down to 1 / 2^20 of the uniform split, so that the last bits of different processors rarely show."""


@dataclass(frozen=True, slots=True)
class LegacyDiffsg(Solver):
    """Twenty steps of noise prediction with guidance 500, batch statistics in chain and decoder, a softmax for the budget.

    The published code takes its whole test set as one batch; one instance has no batch, so its own samples are it. Every sample
    is one evaluation, the best one is the answer; the report tells their mean, which is what a single sample is worth.

    Args:
        n_samples: Samples of the instance, which are the batch of all batch statistics.
        guidance: Weight w: (1 + w) conditioned - w null.
        sampler: ``published``, or ``posterior`` for the posterior of DDPM without batch statistics.
        decoder: ``softmax`` (published), or ``projection`` onto the budget.
    """

    info: ClassVar = SolverInfo(
        name="legacy_diffsg",
        version="1",
        summary="DiffSG as published, rebuilt on its 80-channel set: what ddpm does differently is seen beside it.",
        supports=frozenset({Feature.SINGLE_OBJECTIVE, Feature.REAL, Feature.INEQUALITY}),
        requires=(ParallelChannels, Samplable),
        needs=("torch", "diffusers", "safetensors"),
        extra="diffusion",
        citation="Liang et al. 2024, arXiv 2408.06701",
    )
    n_samples: Annotated[int, Ge(1)] = 16
    guidance: Annotated[float, Ge(0)] = 500.0
    sampler: Literal["published", "posterior"] = "published"
    decoder: Literal["softmax", "projection"] = "softmax"

    def skip(self, instance: Instance) -> str | None:
        """Needs a plain sum rate over 80 parallel channels, and the extra."""
        family = instance.origin.problem
        if family != "parallel_channels":
            return f"knows parallel_channels/msr80, which it was trained on; this problem is {family}"
        reason = bridge_gap(instance)
        if reason is not None:
            return reason
        assert isinstance(instance, ParallelChannels)  # its bridge made sure
        weight = instance.weight
        if instance.space.dim != CHANNELS or np.ptp(weight) > 0.0:
            return (
                f"has a network of one size, {CHANNELS} channels of equal weight; this instance has {instance.space.dim}"
                f"{'' if np.ptp(weight) == 0.0 else ' with weights'}. Take parallel_channels/msr80, or solver=ddpm"
            )
        return Solver.skip(self, instance)

    def checkpoint(self, instance: Instance) -> dict[str, str] | None:
        """The weights."""
        return {"name": "legacy_diffsg", "sha256": digest(_weights() / WEIGHTS_FILE)}

    def _solve(self, task: Task) -> Outcome:
        from optisolve.solvers.legacy_diffsg.chain import softmax_of_range, walk_back

        left = task.meter.remaining_evaluations
        if left == 0:
            return task.outcome(Termination.LIMIT, spent_limit(task))
        count = min(self.n_samples, left)
        network, scale, sha256 = load_legacy()
        bridge = bridge_of(task.instance)
        gain = conditions(stack([bridge.read(task.instance)])).repeat(count, axis=0)  # [S, N]
        keys = case_keys(task.seed, np.arange(count))

        def normals(stream: int) -> FloatArray:
            return normal(keys, (CHANNELS,), stream=stream)

        y = walk_back(network, gain, normals, guidance=self.guidance, posterior=self.sampler == "posterior")
        powers = softmax_of_range(y) if self.decoder == "softmax" else project_to_simplex(scale * y)
        X = bridge.points(task.instance, np.floor(powers * _GRID) / _GRID)
        values = task.evaluate(X, source="sample").F[:, 0]
        quality = {"mean": float(values.mean()), "worst": float(values.min())}
        report: dict[str, Json] = {"samples": count, **quality, "weights_sha256": sha256}
        if count < self.n_samples:
            detail = "fewer samples than asked for, hence other batch statistics"
            return task.outcome(Termination.LIMIT, Limit.EVALUATIONS, detail=detail, report=report)
        return task.outcome(Termination.CONVERGED, detail="all samples drawn", report=report)


def conditions(cases: dict[str, FloatArray]) -> FloatArray:
    """What the network is told: gains over noise as they are, float64 [B, N]."""
    found: FloatArray = cases["snr"] * (cases["snr"].shape[1] / cases["budget"][:, None])
    return found


def load_legacy() -> tuple[Any, float, str]:
    """The shipped network, the power over the uniform split that its labels call 1, and the hash of the weights."""
    from optisolve.solvers.ddpm.weights import load_weights

    weights = load_weights(str(_weights()), "parallel_channels", kinds=("HourGlass",))
    return weights.denoiser(), float(str(weights.card["label_scale"])), weights.sha256


def _weights() -> Path:
    return content_dir("solvers") / "legacy_diffsg" / "weights"

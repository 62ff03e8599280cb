"""`ddpm`: sample candidates from a trained conditional diffusion model, project, polish briefly, keep the best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Le

from optisolve.core.arrays import FloatArray
from optisolve.core.errors import FieldProblem
from optisolve.core.problem import Instance
from optisolve.core.solver import Feature, Outcome, Solver, SolverInfo, Task
from optisolve.core.status import Limit, Termination
from optisolve.solvers.ddpm.bridges import bridge_gap, make_bridge
from optisolve.solvers.ddpm.bridges.base import NO_POLISH, Bridge, Cases, stack
from optisolve.solvers.ddpm.noise import case_keys
from optisolve.solvers.ddpm.pipeline import Stages, draw, finish
from optisolve.solvers.ddpm.weights import find_weights, load_weights
from optisolve.solvers.stopping import spent_limit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from optisolve.solvers.ddpm.sampler import Guide
    from optisolve.solvers.ddpm.weights import Weights

__all__ = ["Ddpm"]


@dataclass(frozen=True, slots=True)
class Ddpm(Solver):
    """Sample K candidates, project them in every reverse step, polish them for a few steps, select by the true objective.

    Every projected and every polished candidate is one evaluation. The looks that a polish takes at the objective on the way
    are counted in the report (``probes``); steps of WMMSE need none.

    Args:
        n_samples: Candidates K for one objective.
        n_preferences: Candidates for several objectives, one evenly spread preference each.
        sampler: ``network``, or ``null`` for an uninformed sampler with the same projection, completion and polish: the
            control.
        weights: ``auto`` for the shipped weights of the family, the name of shipped weights, a folder, or a hub id.
        schedule: Scheduler of the reverse chain.
        steps: Network calls.
        eta: Noise on the way back, ``ddim`` only: 0 deterministic, 1 as much as DDPM.
        guidance: Weight w of classifier-free guidance, null + (1 + w) (conditioned - null); 0 asks the network once.
        push: Objective guidance: length of the gradient's push per step, in units of the sampled variables; 0 for none.
        project: Project the clean estimate in every reverse step, not only at the end.
        polish: ``auto`` (the family's own), ``none``, or a polish of the family by name.
        polish_steps: Steps of the polish.
        device: Where the network runs.
    """

    info: ClassVar = SolverInfo(
        name="ddpm",
        version="1",
        summary="Conditional diffusion sampler: sample K, project, polish, keep the best by the true objective.",
        supports=frozenset(Feature) - {Feature.EQUALITY},
        needs=("torch", "diffusers", "safetensors"),
        extra="diffusion",
        citation="Ho, Jain and Abbeel 2020, arXiv 2006.11239; Song, Meng and Ermon 2021, arXiv 2010.02502",
    )
    n_samples: Annotated[int, Ge(1)] = 16
    n_preferences: Annotated[int, Ge(1)] = 100
    sampler: Literal["network", "null"] = "network"
    weights: str = "auto"
    schedule: Literal["ddim", "ddpm", "dpm_solver", "flow_matching"] = "ddim"
    steps: Annotated[int, Ge(1), Le(1000)] = 2
    eta: Annotated[float, Ge(0), Le(1)] = 0.0
    guidance: Annotated[float, Ge(0)] = 0.0
    push: Annotated[float, Ge(0)] = 0.0
    project: bool = True
    polish: str = "auto"
    polish_steps: Annotated[int, Ge(0)] = 5
    device: Literal["auto", "cpu", "cuda"] = "auto"

    def skip(self, instance: Instance) -> str | None:
        """Needs a family that it knows and, unless it is the null sampler, the extra and weights."""
        family = instance.origin.problem
        reason = bridge_gap(instance)
        if reason is None and self.polish not in ("auto", NO_POLISH, *make_bridge(family).polishes):
            return f"has no polish '{self.polish}' for {family}; there are auto, {', '.join(make_bridge(family).polishes)}"
        if self.sampler == "null":
            return reason
        reason = reason or Solver.skip(self, instance)
        if reason is None and self.weights == "auto" and find_weights("auto", family) is None:
            return f"has no shipped weights for {family}; train some with: optisolve train solver=ddpm problem={family}"
        return reason

    def _check(self) -> Iterable[FieldProblem]:
        if self.eta > 0.0 and self.schedule != "ddim":
            yield FieldProblem("eta", self.eta, f"0, since schedule is '{self.schedule}'")

    def _solve(self, task: Task) -> Outcome:
        bridge = make_bridge(task.instance.origin.problem)
        polish = bridge.polishes[0] if self.polish == "auto" else self.polish
        polished = polish != NO_POLISH and self.polish_steps > 0
        if task.meter.remaining_evaluations == 0:
            return task.outcome(Termination.LIMIT, spent_limit(task))
        affordable = max(1, task.meter.remaining_evaluations // (2 if polished else 1))
        wanted = self.n_preferences if bridge.preferences > 0 else self.n_samples
        count = min(wanted, affordable)
        weights, device = self._load(bridge)
        stages, how_many = self._stages(task, bridge, weights, device, count, polish)
        report: dict[str, Any] = {"sampler": self.sampler, "samples": how_many}
        if weights is not None:
            report |= {"weights": weights.name, "weights_sha256": weights.sha256, "network_calls": self._calls()}
        report |= self._evaluate(task, bridge, stages, polish)
        if count < wanted:
            return task.outcome(Termination.LIMIT, Limit.EVALUATIONS, detail="fewer samples than asked for", report=report)
        return task.outcome(Termination.CONVERGED, detail="all samples drawn", report=report)

    def _load(self, bridge: Bridge) -> tuple[Weights | None, str]:
        if self.sampler == "null":
            return None, "cpu"
        from optisolve.solvers.ddpm.sampler import pick_device

        device = pick_device(self.device)
        return load_weights(self.weights, bridge.family, device), device

    def _calls(self) -> int:
        return self.steps * (2 if self.guidance > 0.0 else 1)

    def _stages(
        self, task: Task, bridge: Bridge, weights: Weights | None, device: str, count: int, polish: str
    ) -> tuple[Stages, int]:
        """All stages with one leading case, and the number of samples."""
        case = bridge.read(task.instance)
        several = bridge.preferences > 0
        cases: Cases = bridge.spread(case, count) if several else stack([case])
        keys = case_keys(task.seed, np.arange(count if several else 1))
        how, guide = None, None
        if weights is not None:
            from optisolve.solvers.ddpm.sampler import Sampling
            from optisolve.solvers.ddpm.schedules import Schedule

            how = Sampling(Schedule(self.schedule), self.steps, self.eta, self.guidance, self.push, self.project)
            guide = _guide(bridge, task.instance, cases, device) if self.push > 0.0 else None
        network = None if weights is None else weights.network
        y = draw(bridge, cases, keys, 1 if several else count, network=network, how=how, device=device, guide=guide)
        return finish(bridge, cases, y, polish=polish, steps=self.polish_steps), count

    def _evaluate(self, task: Task, bridge: Bridge, stages: Stages, polish: str) -> dict[str, Any]:
        """Evaluate what is affordable, best stage first when there is one evaluation only; the stages for the report."""
        instance = task.instance

        def points(values: FloatArray) -> FloatArray:
            return bridge.points(instance, values.reshape(-1, values.shape[2]))

        told: dict[str, Any] = {}
        single = len(instance.objectives) == 1
        projected = points(stages.projected)
        if single:  # of no account for the answer, so evaluated outside the budget and never returned
            told["raw"] = _best(instance, points(stages.raw))
        afterwards = None if stages.polished is None else points(stages.polished)
        if afterwards is None or task.meter.remaining_evaluations >= 2 * len(projected):
            task.evaluate(projected, source="sample")
            if single:
                told["projected"] = _best(instance, projected)
        if afterwards is not None:
            task.evaluate(afterwards, source="polished")
            told["polish"] = {"method": polish, "steps": self.polish_steps, "probes": int(stages.probes.sum())}
            if single:
                told["polished"] = _best(instance, afterwards)
        return told


def _best(instance: Instance, X: FloatArray) -> dict[str, Any]:
    """Best feasible value of a stage, its mean, and the share of feasible points."""
    evaluation = instance.evaluate(X)
    feasible = evaluation.violation <= 0.0
    values = evaluation.F[feasible, 0]
    best = None if not feasible.any() else float(values[np.argmin(values * instance.signs[0])])
    mean = None if not feasible.any() else float(values.mean())
    return {"best": best, "mean": mean, "feasible": float(feasible.mean())}


def _guide(bridge: Bridge, instance: Instance, cases: Cases, device: str) -> Guide:
    """Gradient of the instance's own `objective_torch`, or of the bridge's value where the instance has none."""
    import torch

    from optisolve.solvers.ddpm.sampler import to_tensors

    objective = getattr(instance, "objective_torch", None)
    condition = to_tensors(bridge.condition(cases), device)

    def gradient(y: Tensor) -> Tensor:
        with torch.enable_grad():
            y = y.detach().requires_grad_(True)
            decision = bridge.decision(instance, y.reshape(-1, *y.shape[2:])) if objective is not None else None
            if decision is not None and objective is not None:
                total = -float(instance.signs[0]) * objective(decision).sum()
            else:
                total = bridge.value(condition, y).sum()
            found: Tensor = torch.autograd.grad(total, y)[0]
        return found

    return gradient

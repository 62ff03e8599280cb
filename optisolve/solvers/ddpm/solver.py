"""`ddpm`: sample candidates from a trained conditional diffusion model, project, polish briefly, keep the best."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Le

from optisolve.core.arrays import FloatArray
from optisolve.core.bridge import NO_POLISH, Bridge, Cases, joined, stack, to_tensors
from optisolve.core.capabilities import Differentiable, Samplable
from optisolve.core.documents import Json
from optisolve.core.errors import FieldProblem
from optisolve.core.evaluation import unwatched
from optisolve.core.options import Resource
from optisolve.core.problem import Instance
from optisolve.core.solver import Feature, Outcome, Proposal, Solver, SolverInfo, Task, spent_limit
from optisolve.core.status import Limit, Termination
from optisolve.solvers.ddpm.bridges import bridge_gap, bridge_of, caution
from optisolve.solvers.ddpm.noise import Keys, case_keys
from optisolve.solvers.ddpm.pipeline import Stages, draw, finish
from optisolve.solvers.ddpm.sampler import Guide, Sampling
from optisolve.solvers.ddpm.schedules import Schedule
from optisolve.solvers.ddpm.weights import find_weights, is_shipped, load_weights, weights_digest

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Ddpm", "DdpmNull"]


@dataclass(frozen=True, slots=True)
class Candidates(Solver):
    """What the sampler and its control share: completion, polish, selection.

    Args:
        n_samples: Candidates K for one objective.
        n_preferences: Candidates for several objectives, one evenly spread preference each.
        polish: ``auto`` (the family's own), ``none``, or a polish of the family by name.
        polish_steps: Steps of the polish.
    """

    n_samples: Annotated[int, Ge(1)] = 16
    n_preferences: Annotated[int, Ge(1)] = 100
    polish: str = "auto"
    polish_steps: Annotated[int, Ge(0)] = 5

    def _gap(self, instance: Instance) -> str | None:
        """Why the family or the polish does not fit; None when both do."""
        reason = bridge_gap(instance)
        if reason is None and self.polish not in ("auto", NO_POLISH, *(known := bridge_of(instance).polishes)):
            return f"has no polish '{self.polish}' for {instance.origin.problem}; there are auto, {', '.join(known)}"
        if reason is None and self._wants_torch() and find_spec("torch") is None:
            return f"needs torch for {self._wants_torch()}; install it with: pip install 'optisolve[diffusion]'"
        return reason

    def _wants_torch(self) -> str:
        """The option for which torch is needed; empty when none is."""
        return "polish=gradient" if self.polish == "gradient" and self.polish_steps > 0 else ""

    def _samples(
        self, instance: Instance, bridge: Bridge, cases: Cases, keys: Keys, count: int
    ) -> tuple[FloatArray, dict[str, Json]]:
        """Samples y of all cases, float64 [B, S, N, C], and what the report tells of them; what pushes is `instance` alone."""
        raise NotImplementedError

    def _polish(self, bridge: Bridge) -> tuple[str, bool]:
        """The polish, and whether it does anything."""
        polish = bridge.polishes[0] if self.polish == "auto" else self.polish
        return polish, polish != NO_POLISH and self.polish_steps > 0

    def _count(self, bridge: Bridge, evaluations: int) -> tuple[int, int]:
        """Candidates that are wanted, and those that so many evaluations pay for."""
        wanted = self.n_preferences if bridge.preferences > 0 else self.n_samples
        return wanted, min(wanted, max(1, evaluations // (2 if self._polish(bridge)[1] else 1)))

    def _drawn(
        self, bridge: Bridge, instance: Instance, read: Sequence[Cases], seed: int, count: int
    ) -> tuple[Stages, dict[str, Json]]:
        """Candidates of instances of one size, all in one pass, and what the report tells of them.

        Noise is that of a run with this seed, the same for each instance, and samples are rounded far above the last digits: an
        instance gets what it would get alone.

        Args:
            bridge: Their family.
            instance: The first of them.
            read: What the bridge reads of each.
            seed: Of each run.
            count: Candidates for each.

        Returns:
            Stages of all cases, those of an instance one after the other.
        """
        several = bridge.preferences > 0
        parts = [bridge.spread(case, count) if several else stack([case]) for case in read]
        cases: Cases = joined(parts) if len(parts) > 1 else parts[0]
        keys = np.tile(case_keys(seed, np.arange(_size(parts[0]))), len(parts))
        y, told = self._samples(instance, bridge, cases, keys, 1 if several else count)
        return finish(bridge, cases, y, polish=self._polish(bridge)[0], steps=self.polish_steps), told

    def propose(self, instances: Sequence[Instance], seed: int, evaluations: int) -> list[Proposal] | None:
        """Candidates of all instances; those of one size share their forward passes."""
        if self._wants_torch():  # the gradient that pushes or polishes is that of one instance
            return None
        groups: dict[tuple[Hashable, ...], list[int]] = {}
        bridges = [bridge_of(instance) for instance in instances]
        read = [bridge.read(instance) for bridge, instance in zip(bridges, instances, strict=True)]
        for index, (bridge, case) in enumerate(zip(bridges, read, strict=True)):
            groups.setdefault((type(bridge), *(values.shape for values in case.values())), []).append(index)
        made: dict[int, Proposal] = {}
        for indices in groups.values():
            bridge = bridges[indices[0]]
            wanted, count = self._count(bridge, evaluations)
            stages, _ = self._drawn(bridge, instances[indices[0]], [read[i] for i in indices], seed, count)
            shown = [stages.projected] if stages.polished is None else [stages.projected, stages.polished]
            if len(shown) > 1 and evaluations < 2 * count:
                shown = shown[1:]
            cases = len(shown[0]) // len(indices)
            for rank, index in enumerate(indices):
                part = [values[rank * cases : (rank + 1) * cases].reshape(-1, values.shape[2]) for values in shown]
                X = bridge.points(instances[index], np.concatenate(part))
                made[index] = Proposal(X, Termination.LIMIT if count < wanted else Termination.CONVERGED)
        return [made[index] for index in range(len(instances))]

    def _solve(self, task: Task) -> Outcome:
        bridge = bridge_of(task.instance)
        if task.meter.remaining_evaluations == 0:
            return task.outcome(Termination.LIMIT, spent_limit(task))
        wanted, count = self._count(bridge, task.meter.remaining_evaluations)
        stages, told = self._drawn(bridge, task.instance, [bridge.read(task.instance)], task.seed, count)
        report = {"samples": count, **told, **self._evaluate(task, bridge, stages, self._polish(bridge)[0])}
        if count < wanted:
            return task.outcome(Termination.LIMIT, Limit.EVALUATIONS, detail="fewer samples than asked for", report=report)
        return task.outcome(Termination.CONVERGED, detail="all samples drawn", report=report)

    def _evaluate(self, task: Task, bridge: Bridge, stages: Stages, polish: str) -> dict[str, Json]:
        """Evaluate what is affordable, best stage first when there is one evaluation only; the stages for the report."""
        instance = task.instance

        def points(values: FloatArray) -> FloatArray:
            return bridge.points(instance, values.reshape(-1, values.shape[2]))

        told: dict[str, Json] = {}
        single = len(instance.objectives) == 1
        projected = points(stages.projected)
        if single:  # of no account for the answer, so evaluated outside the budget and never returned
            with unwatched():
                told["raw"] = _best(instance, points(stages.raw))
        afterwards = None if stages.polished is None else points(stages.polished)
        if afterwards is None or task.meter.remaining_evaluations >= 2 * len(projected):
            task.evaluate(projected, source="sample")
            if single:
                with unwatched():  # evaluated and counted a line before
                    told["projected"] = _best(instance, projected)
        if afterwards is not None:
            task.evaluate(afterwards, source="polished")
            told["polish"] = {"method": polish, "steps": self.polish_steps, "probes": int(stages.probes.sum())}
            if single:
                with unwatched():
                    told["polished"] = _best(instance, afterwards)
        return told


@dataclass(frozen=True, slots=True)
class Ddpm(Candidates):
    """Sample K candidates, project them in every reverse step, polish them for a few steps, select by the true objective.

    Every projected and every polished candidate is one evaluation. The looks that a polish takes at the objective on the way
    are counted in the report (``probes``); steps of WMMSE need none.

    Args:
        weights: ``auto`` for the shipped weights of the family, the name of shipped weights, a folder, or a hub id.
        schedule: Scheduler of the reverse chain.
        steps: Network calls.
        eta: Noise on the way back, ``ddim`` only: 0 deterministic, 1 as much as DDPM.
        guidance: Weight w of classifier-free guidance, null + (1 + w) (conditioned - null); 0 asks the network once.
        push: Objective guidance: length of the gradient's push per step, in units of the sampled variables; 0 for none.
        project: Project the clean estimate in every reverse step, not only at the end.
        device: Where the network runs: ``auto`` and ``cpu`` in numpy on the processor, ``cuda`` in torch.
        n_random: How many of the `n_samples` are drawn by the control instead: uninformed, projected and polished alike. They
            bring what the network lacks where a polish is strong, diversity; for one objective only.
    """

    info: ClassVar = SolverInfo(
        name="ddpm",
        version="3",
        summary="Conditional diffusion sampler: sample K, project, polish, keep the best by the true objective.",
        supports=frozenset(Feature) - {Feature.EQUALITY},
        requires=(Samplable,),
        welcomes=(Differentiable,),
        citation="Ho, Jain and Abbeel 2020, arXiv 2006.11239; Song, Meng and Ermon 2021, arXiv 2010.02502",
    )
    weights: Annotated[str, Resource(is_shipped)] = "auto"
    schedule: Literal["ddim", "ddpm", "dpm_solver", "flow_matching"] = "ddim"
    steps: Annotated[int, Ge(1), Le(1000)] = 2
    eta: Annotated[float, Ge(0), Le(1)] = 0.0
    guidance: Annotated[float, Ge(0)] = 0.0
    push: Annotated[float, Ge(0)] = 0.0
    project: bool = True
    device: Literal["auto", "cpu", "cuda"] = "auto"
    n_random: Annotated[int, Ge(0)] = 0

    def skip(self, instance: Instance) -> str | None:
        """Needs a family that it knows, and weights; gradients and CUDA need torch."""
        family = instance.origin.problem
        # Without zero-argument super(): a dataclass with slots is a second class.
        reason = self._gap(instance) or Solver.skip(self, instance)
        if reason is None and self.weights == "auto" and find_weights("auto", family) is None:
            return f"has no shipped weights for {family}; train some with: optisolve train solver=ddpm problem={family}"
        return reason

    def caution(self, instance: Instance) -> str:
        """Where the instance lies outside of what the weights have seen."""
        return caution(load_weights(self.weights, instance.origin.problem), instance)

    def checkpoint(self, instance: Instance) -> dict[str, str] | None:
        """The weights."""
        return weights_digest(self.weights, instance.origin.problem)

    def _wants_torch(self) -> str:
        if self.device == "cuda":
            return "device=cuda"
        return "push above 0" if self.push > 0.0 else Candidates._wants_torch(self)

    def _check(self) -> Iterable[FieldProblem]:
        if self.eta > 0.0 and self.schedule != "ddim":
            yield FieldProblem("eta", self.eta, f"0, since schedule is '{self.schedule}'")
        if self.n_random >= self.n_samples:
            yield FieldProblem("n_random", self.n_random, f"less than n_samples = {self.n_samples}")

    def _samples(
        self, instance: Instance, bridge: Bridge, cases: Cases, keys: Keys, count: int
    ) -> tuple[FloatArray, dict[str, Json]]:
        weights = load_weights(self.weights, bridge.family)
        network = weights.denoiser("cuda") if self.device == "cuda" else weights.forward()
        how = Sampling(Schedule(self.schedule), self.steps, self.eta, self.guidance, self.push, self.project)
        guide = _guide(bridge, instance, cases) if self.push > 0.0 else None
        n_random = 0 if bridge.preferences else min(self.n_random, count - 1)
        y = draw(bridge, cases, keys, count, network=network, how=how, guide=guide, n_random=n_random)
        calls = self.steps * (2 if self.guidance > 0.0 else 1)
        told: dict[str, Json] = {"weights": weights.name, "weights_sha256": weights.sha256, "network_calls": calls}
        return y, {**told, "random_samples": n_random} if n_random else told


@dataclass(frozen=True, slots=True)
class DdpmNull(Candidates):
    """The control of `Ddpm`: uninformed candidates with the same completion, polish and selection; no network."""

    info: ClassVar = SolverInfo(
        name="ddpm_null",
        version="1",
        summary="The control of ddpm: uninformed samples, the same repair, polish and selection.",
        supports=frozenset(Feature) - {Feature.EQUALITY},
        requires=(Samplable,),
    )

    def skip(self, instance: Instance) -> str | None:
        """Needs a family that it knows; a polish by gradients needs torch."""
        return self._gap(instance)

    def _samples(
        self, instance: Instance, bridge: Bridge, cases: Cases, keys: Keys, count: int
    ) -> tuple[FloatArray, dict[str, Json]]:
        return draw(bridge, cases, keys, count, network=None), {}


def _size(cases: Cases) -> int:
    return len(next(iter(cases.values())))


def _best(instance: Instance, X: FloatArray) -> dict[str, Json]:
    """Best feasible value of a stage, its mean, and the share of feasible points."""
    evaluation = instance.evaluate(X)
    feasible = evaluation.violation <= 0.0
    values = evaluation.F[feasible, 0]
    best = None if not feasible.any() else float(values[np.argmin(values * instance.signs[0])])
    mean = None if not feasible.any() else float(values.mean())
    return {"best": best, "mean": mean, "feasible": float(feasible.mean())}


def _guide(bridge: Bridge, instance: Instance, cases: Cases) -> Guide:
    """Gradient of the instance's own `objective_torch`, or of the bridge's value where the instance has none."""
    import torch

    condition = to_tensors(bridge.condition(cases), "cpu")

    def gradient(clean: FloatArray) -> FloatArray:
        with torch.enable_grad():
            y = torch.as_tensor(clean.astype(np.float32)).requires_grad_(True)
            decision = bridge.decision(instance, y.reshape(-1, *y.shape[2:]))
            if decision is not None and isinstance(instance, Differentiable):
                total = -float(instance.signs[0]) * instance.objective_torch(decision).sum()
            else:
                total = bridge.value(condition, y).sum()
            found: FloatArray = torch.autograd.grad(total, y)[0].numpy().astype(np.float64)
        return found

    return gradient

"""`drl_fusion`: trained experts for primitive intents, fused for compound ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.capabilities import BranchTargets, IntentBranches
from optisolve.core.documents import Json
from optisolve.core.errors import FieldProblem, SolverError
from optisolve.core.problem import Instance
from optisolve.core.solver import Feature, Outcome, Solver, SolverInfo, Task
from optisolve.core.status import Limit, Termination
from optisolve.solvers.drl_fusion.policy import EXPERTS, Training, least_total, load_policy, policies_digest

__all__ = ["DrlFusion", "average_powers", "expert_powers", "intent_weights"]


def expert_powers(instance: Instance, training: Training = "ppo") -> dict[str, FloatArray]:
    """What every shipped expert would do: its powers by name, float64 [M], W. A gate may call it.

    The energy expert divides the least total that meets the floors, so it has no answer without a floor; when energy is the
    goal the others keep to the least total, too. For other goals with floors powers are scaled up until the floors hold.

    Args:
        instance: One that `DrlFusion.skip` accepts.
        training: Which policies, by how they were trained.
    """
    case = _branches(instance)
    c = case.constants
    powers = {}
    for name in EXPERTS:
        if name == "energy" and not _floors(c):
            continue
        own = np.minimum(load_policy(name, training).act(case.gain, c.noise_w, c.p_total_w), instance.space.upper)
        powers[name] = least_total(instance, own) if name == "energy" else _placed(instance, own)
    return powers


def average_powers(instance: Instance, weights: Mapping[str, float], powers: Mapping[str, FloatArray]) -> FloatArray:
    """The weighted mean of experts' powers, float64 [M], W, scaled like theirs.

    Args:
        instance: One that `DrlFusion.skip` accepts.
        weights: Weight of each expert by name; together 1.
        powers: Of `expert_powers`.
    """
    return _placed(instance, np.array(list(weights.values())) @ np.stack([powers[name] for name in weights]))


def _placed(instance: Instance, powers: FloatArray) -> FloatArray:
    c = _branches(instance).constants
    if not _floors(c):
        return powers
    return least_total(instance, powers) if c.goal == "energy" else np.asarray(instance.project(powers[None, :])[0])


def intent_weights(instance: Instance) -> dict[str, float]:
    """Which primitive intents a compound one is made of, by a table: equal weights, no language.

    Throughput is rate and availability together; a floor on a quality names its expert beside the goal's. Energy at a rate is
    a primitive intent itself.
    """
    c = _branches(instance).constants
    named = {"throughput": ["rate", "availability"]}.get(c.goal, [c.goal])
    named = list(dict.fromkeys([*named, *(name for name in _floors(c) if (c.goal, name) != ("energy", "rate"))]))
    if c.goal == "energy" and not _floors(c):
        named = [name for name in EXPERTS if name != "energy"]
    return {name: 1.0 / len(named) for name in named}


def _branches(instance: Instance) -> IntentBranches:
    assert isinstance(instance, IntentBranches)  # `skip` made sure
    return instance


def _floors(c: BranchTargets) -> list[str]:
    """Experts of the qualities that have a floor."""
    floors = (("availability", c.outage_max), ("bep", c.bep_max), ("rate", c.rate_min_mbps))
    return [name for name, value in floors if value is not None]


@dataclass(frozen=True, slots=True)
class DrlFusion(Solver):
    """One small trained policy per primitive intent; the answers of several are fused for a compound intent.

    Args:
        fusion: ``"average"``: the weighted mean of the experts' powers, whatever it is worth (the paper's rule). ``"best_of"``:
            the best of the experts, by evaluation. ``"safe"``: the better of both.
        weights: Weight of each expert by name; None takes a table from the goal and floors (equal weights). A gate sets it.
        training: Policies trained with ``"ppo"`` or with ``"sac"``.
    """

    info: ClassVar[SolverInfo] = SolverInfo(
        name="drl_fusion",
        version="2",
        summary="Small trained policies for primitive intents, averaged or picked for compound ones.",
        supports=frozenset({Feature.SINGLE_OBJECTIVE, Feature.REAL, Feature.INEQUALITY}),
        requires=(IntentBranches,),
        citation="Setting after Du et al. 2024, arXiv 2402.09756; policies trained here with PPO and SAC (stable-baselines3)",
    )
    fusion: Literal["average", "best_of", "safe"] = "safe"
    weights: dict[str, float] | None = field(default=None)
    training: Training = "ppo"

    def skip(self, instance: Instance) -> str | None:
        """Needs parallel branches, as many as the policies were trained for."""
        reason = Solver.skip(self, instance)
        if reason is not None:
            return reason
        wanted = load_policy(EXPERTS[0], self.training).n_branches
        has = instance.space.dim
        return None if has == wanted else f"its policies are for {wanted} branches, this instance has {has}"

    def checkpoint(self, instance: Instance) -> dict[str, str] | None:
        """The policies."""
        return policies_digest(self.training)

    def _check(self) -> Iterable[FieldProblem]:
        given = self.weights
        if given is not None and (set(given) - set(EXPERTS) or not sum(given.values()) > 0.0 or min(given.values()) < 0.0):
            yield FieldProblem("weights", given, f"non-negative weights of {', '.join(EXPERTS)}, at least one above 0")

    def _solve(self, task: Task) -> Outcome:
        given = intent_weights(task.instance) if self.weights is None else self.weights
        powers = expert_powers(task.instance, self.training)
        known = {name: value for name, value in given.items() if value > 0.0 and name in powers}
        if not known:
            raise SolverError("drl_fusion: the energy expert needs a floor, and no other expert has a weight; give it one.")
        shares = {name: value / sum(known.values()) for name, value in known.items()}
        actions = np.stack([powers[name] for name in shares])  # [n, M]
        mean = average_powers(task.instance, shares, powers)
        rows = [(f"expert:{name}", row) for name, row in zip(shares, actions, strict=True)] if self.fusion != "average" else []
        if (self.fusion != "best_of" and len(shares) > 1) or not rows:
            rows = [("average", mean), *rows]  # first, so that the smallest budget has an answer
        kept = rows[: max(1, task.meter.remaining_evaluations)]
        evaluation = task.evaluate(np.stack([row for _, row in kept]), source=[name for name, _ in kept])
        report: dict[str, Json] = {
            "training": self.training,
            "weights": shares,
            "no_answer": sorted(set(given) - set(powers)),
            **_synergy(task.instance, [name for name, _ in kept], evaluation.F[:, 0]),
        }
        if len(kept) < len(rows):
            return task.outcome(Termination.LIMIT, Limit.EVALUATIONS, report=report)
        return task.outcome(Termination.CONVERGED, report=report)


def _synergy(instance: Instance, names: list[str], values: FloatArray) -> dict[str, Json]:
    """Objective by source, and what averaging gained over the best expert, higher is better: at most 0 means that selection
    would have done as well."""
    told: Mapping[str, float] = dict(zip(names, values.tolist(), strict=True))
    experts = [value for name, value in told.items() if name != "average"]
    if "average" not in told or not experts:
        return {"objectives": dict(told)}
    sign = -float(instance.signs[0])
    return {"objectives": dict(told), "synergy": sign * told["average"] - max(sign * value for value in experts)}

"""The bridge of an instance, why a sampler cannot treat it, and what of it a training has not seen."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, cast

from optisolve.content import is_file
from optisolve.core.bridge import Bridge, Seen
from optisolve.core.capabilities import Samplable, capability_gap
from optisolve.core.documents import Json, JsonObject, plain
from optisolve.core.errors import SolverError
from optisolve.core.problem import Instance
from optisolve.registry import make_problem

if TYPE_CHECKING:
    from optisolve.solvers.ddpm.weights import Weights

__all__ = ["bridge_gap", "bridge_of", "caution", "seen_by"]

_NO_DATA = ("scenario", "hypervolume_reference", "hypervolume_ideal")
"""Settings of a scenario that no network is told of."""
_MOST = 4
"""Parameters that are named."""


def bridge_gap(instance: Instance) -> str | None:
    """Why an instance cannot be sampled, in one sentence; None when it can."""
    reason = capability_gap(instance, Samplable)
    if reason is not None:
        return reason
    bridge = cast(Samplable, instance).bridge()  # `isinstance` takes longer than all of this
    if bridge.family != instance.origin.problem:  # a goal on top: points are the family's, requirements are not
        return f"knows {bridge.family}; this problem is {instance.origin.problem}"
    return bridge.gap(instance)


def bridge_of(instance: Instance) -> Bridge:
    """The bridge of an instance.

    Raises:
        SolverError: There is none, or the instance lacks what it needs.
    """
    reason = bridge_gap(instance)
    if reason is None:
        return cast(Samplable, instance).bridge()
    raise SolverError(f"ddpm {reason}.")


def caution(weights: Weights, instance: Instance, rival: str = "the control, ddpm_null") -> str:
    """That an instance is unlike all that the weights were trained on, and in what; "" where it is not, and without a card.

    Args:
        weights: Their card says what they were trained on.
        instance: One that a solver with these weights can treat.
        rival: Whom to compare with.
    """
    bridge = cast(Samplable, instance).bridge()  # to look for a gap once more would take longer than all of this
    told = bridge.unseen(instance, seen_by(weights))
    if not told:
        return ""
    more = f" and {len(told) - _MOST} more" if len(told) > _MOST else ""
    where = f"outside of what the weights '{weights.name}' have seen: {', '.join(told[:_MOST])}{more}"
    return f"{where}; compare with {rival}"


def seen_by(weights: Weights) -> Seen:
    """Parameters that a training has varied with their ranges, and those of its scenario as they were; empty without a card."""
    return _seen(weights.sha256, weights) if weights.card else {}


@lru_cache(maxsize=16)
def _seen(_sha256: str, weights: Weights) -> Seen:
    recipe = weights.card.get("recipe")
    if not isinstance(recipe, dict):
        return {}
    scenario, varied = str(recipe.get("problem")), recipe.get("vary")
    fixed = make_problem(scenario).options() if is_file("problems", scenario) else {}
    seen: dict[str, tuple[Json, ...]] = {name: (plain(value),) for name, value in fixed.items() if name not in _NO_DATA}
    for name, law in varied.items() if isinstance(varied, dict) else ():
        if isinstance(law, dict):
            seen[name] = _drawn(law)
    return seen


def _drawn(law: JsonObject) -> tuple[Json, ...]:
    values = law.get("values")
    return tuple(values) if isinstance(values, list) and values else (law.get("low"), law.get("high"))

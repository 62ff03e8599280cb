"""What the training of some weights has drawn, and what to say of an instance that lies outside of it."""

from __future__ import annotations

from functools import lru_cache

from optisolve.content import is_file
from optisolve.core.bridge import Seen
from optisolve.core.documents import Json, JsonObject, plain
from optisolve.core.problem import Instance
from optisolve.registry import make_problem
from optisolve.solvers.ddpm.bridges import bridge_of
from optisolve.solvers.ddpm.weights import Weights

__all__ = ["caution", "seen_by"]

_NO_DATA = ("scenario", "hypervolume_reference", "hypervolume_ideal")
"""Settings of a scenario that no network is told of."""
_MOST = 4
"""Parameters that are named."""


def caution(weights: Weights, instance: Instance) -> str:
    """That an instance is unlike all that the weights were trained on, and in what; "" where it is not, and without a card.

    Args:
        weights: Their card says what they were trained on.
        instance: Of their family.
    """
    told = bridge_of(instance).unseen(instance, seen_by(weights))
    if not told:
        return ""
    more = f" and {len(told) - _MOST} more" if len(told) > _MOST else ""
    where = f"outside of what the weights '{weights.name}' have seen: {', '.join(told[:_MOST])}{more}"
    return f"{where}; compare with the control, ddpm_null"


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

"""The bridge of an instance, or why a sampler cannot treat it."""

from __future__ import annotations

from typing import cast

from optisolve.core.bridge import Bridge
from optisolve.core.capabilities import Samplable, capability_gap
from optisolve.core.errors import SolverError
from optisolve.core.problem import Instance

__all__ = ["bridge_gap", "bridge_of"]


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

"""Families that the sampler knows; an instance finds its bridge here."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from optisolve.core.errors import SolverError
from optisolve.core.problem import Instance
from optisolve.solvers.ddpm.bridges.base import Bridge

__all__ = ["FAMILIES", "bridge_gap", "bridge_of", "make_bridge"]

FAMILIES = {
    "noma_uav": "noma_uav:NomaUavBridge",
    "offloading": "offloading:OffloadingBridge",
    "parallel_channels": "parallel_channels:ParallelChannelsBridge",
    "uav_isac": "uav_isac:UavIsacBridge",
    "power_control": "power_control:PowerControlBridge",
}
"""Module and class by the problem's registry name."""


def make_bridge(family: str) -> Bridge:
    """The bridge of a family, by the problem's registry name."""
    module, _, name = FAMILIES[family].partition(":")
    return cast(Bridge, getattr(import_module(f"optisolve.solvers.ddpm.bridges.{module}"), name)())


def bridge_gap(instance: Instance) -> str | None:
    """Why an instance cannot be sampled, in one sentence; None when it can."""
    if instance.origin.problem not in FAMILIES:
        return f"knows {', '.join(FAMILIES)}; this problem is {instance.origin.problem}"
    return make_bridge(instance.origin.problem).gap(instance)


def bridge_of(instance: Instance) -> Bridge:
    """The bridge of an instance.

    Raises:
        SolverError: There is none, or the instance lacks what it needs.
    """
    reason = bridge_gap(instance)
    if reason is not None:
        raise SolverError(f"ddpm {reason}.")
    return make_bridge(instance.origin.problem)

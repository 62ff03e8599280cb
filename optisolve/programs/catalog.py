"""All skeletons by name."""

from __future__ import annotations

from optisolve.programs.association import Association
from optisolve.programs.offload import Offload
from optisolve.programs.placement import Placement
from optisolve.programs.power import Exchange, Insertion, Update
from optisolve.programs.skeleton import Answering, Skeleton
from optisolve.programs.variation import Variation
from optisolve.programs.weights import Weights

__all__ = ["ANSWERING", "SKELETONS"]

ANSWERING: dict[str, type[Answering]] = {
    made.name: made for made in (Exchange, Insertion, Update, Association, Offload, Placement, Weights)
}
"""Those that make an answer of an instance, what is tried first coming first."""
SKELETONS: dict[str, type[Skeleton]] = {**ANSWERING, Variation.name: Variation}

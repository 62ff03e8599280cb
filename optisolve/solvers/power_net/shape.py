"""Numbers that the network in torch and its forward pass without torch share."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LINK_FEATURES", "PHYSICS", "STRETCH", "Shape"]

LINK_FEATURES = 8
"""What a link knows of the channel before any power is chosen."""
PHYSICS = 7
"""What a layer computes of the powers, per link."""
STRETCH = 0.05
"""How far a sigmoid is stretched past 0 and 1 before it is clipped: what is nearly off is off."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Size of the network.

    Args:
        width: Length of a link's state.
        hidden: Width of the layers' hidden activations.
        messages: Numbers that links tell each other in each direction.
        layers: Number of layers.
    """

    width: int = 16
    hidden: int = 32
    messages: int = 3
    layers: int = 6

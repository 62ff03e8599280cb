"""How much a check measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

WIDE = {"network.config.width": 64, "network.config.hidden": 128, "network.config.layers": 6}
"""The larger network of docs/diffusion.md, meant for a GPU."""


@dataclass(frozen=True)
class Steps:
    """Training steps of one kind.

    Args:
        title: What to call them.
        recipe: A shipped recipe.
        few: Instances per step on the processor.
        many: Instances per step on the device.
        phase: ``imitation`` or ``label_free``.
        change: What is changed in the recipe.
    """

    title: str
    recipe: str
    few: int
    many: int
    phase: str = "label_free"
    change: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Args:
        seconds: Time for one figure, s, warming up excluded.
        batches: Cases that are sampled together.
        training: What is timed.
        twice: What is trained twice.
        steps: Steps in each phase of those.
        rays: Rays of every site.
    """

    seconds: float
    batches: tuple[int, ...]
    training: tuple[Steps, ...]
    twice: tuple[Steps, ...]
    steps: int
    rays: int


SIZES = {
    "full": Size(
        seconds=2.0,
        batches=(1, 64, 4096),
        training=(
            Steps("power_control, imitation", "power_control", 96, 96, "imitation"),
            Steps("power_control", "power_control", 96, 96),
            Steps("power_control, wide", "power_control", 96, 1536, change=WIDE),
            Steps("uav_isac", "uav_isac", 8, 64),
        ),
        twice=(Steps("power_control", "power_control", 96, 96), Steps("uav_isac", "uav_isac", 8, 8)),
        steps=6,
        rays=1_000_000,
    ),
    "small": Size(
        seconds=0.02,
        batches=(1, 4),
        training=(
            Steps("offloading, imitation", "offloading", 4, 4, "imitation"),
            Steps("uav_isac", "uav_isac", 2, 3, change={"steps.front": 3}),
        ),
        twice=(Steps("offloading", "offloading", 4, 4),),
        steps=2,
        rays=1_000,
    ),
}

"""Who made the offspring of a run, and what they were worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.problem import Instance
from optisolve.plotting.style import INK, MUTED, PALETTE, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["credit_figure", "offspring_sources"]

_STARTS = ("initial", "warm_start")
_MADE, _GAINED = "#B8C4CE", PALETTE[0]
_THICK = 0.36


class Source(Protocol):
    """What one source of candidates made, gained and cost, as a record tells it."""

    @property
    def evaluations(self) -> int: ...
    @property
    def gain(self) -> float: ...
    @property
    def survivors(self) -> int | None: ...
    @property
    def tokens_in(self) -> int: ...
    @property
    def tokens_out(self) -> int: ...
    @property
    def usd(self) -> float: ...


def offspring_sources(sources: Mapping[str, Source]) -> list[str]:
    """Sources that made offspring, largest gain first; the first population is nobody's.

    Args:
        sources: ``used.by_source`` of a record.
    """
    made = [name for name, item in sources.items() if name not in _STARTS and item.evaluations]
    return sorted(made, key=lambda name: (-sources[name].gain, -sources[name].evaluations, name))


def credit_figure(sources: Mapping[str, Source], instance: Instance) -> Figure:
    """Share of the evaluations beside share of the gain, by source, with what each one cost.

    Args:
        sources: ``used.by_source`` of a record; see `optisolve.run.trace.credit`.
        instance: Names the scenario.
    """
    names = offspring_sources(sources)
    where = f"{instance.origin.scenario}, instance {instance.origin.seed}; first population left out"
    figure, axes = new_figure("Who made the offspring, and what they gained", where, height=1.9 + 0.72 * len(names))
    made = np.array([sources[name].evaluations for name in names], dtype=float)
    gained = np.array([sources[name].gain for name in names])
    at = np.arange(len(names))
    told = "hypervolume gain" if len(instance.objectives) > 1 else "improvement"
    for offset, values, color, label in (
        (-_THICK / 2, _percent(made), _MADE, f"share of {int(made.sum()):,} evaluations"),
        (_THICK / 2, _percent(gained), _GAINED, f"share of the {told} of {gained.sum():.4g}"),
    ):
        axes.barh(at + offset, values, height=_THICK, color=color, label=label, zorder=3)
        for y, value in zip(at + offset, values, strict=True):
            axes.text(value + 0.8, y, f"{value:.1f} %", va="center", fontsize=8, color=MUTED)
    axes.set_yticks(at, [_label(name, sources[name]) for name in names], fontsize=9, color=INK)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0.0, min(112.0, 1.16 * max(_percent(made).max(), _percent(gained).max(), 1.0)))
    axes.set_xlabel("share [%]", color=INK)
    figure.legend(frameon=False, fontsize=9, loc="outside lower left", ncols=2)
    return figure


def _percent(values: FloatArray) -> FloatArray:
    total = float(values.sum())
    return 100.0 * values / total if total > 0.0 else np.zeros_like(values)


def _label(name: str, item: Source) -> str:
    """Name, survivors, tokens and dollars, as far as there are any."""
    told = [] if item.survivors is None else [f"{item.survivors:,} of {item.evaluations:,} survived"]
    tokens = item.tokens_in + item.tokens_out
    cost = [f"{tokens:,} tokens"] if tokens else []
    cost += [f"{item.usd:.4f} USD"] if item.usd else []
    return "\n".join(filter(None, (name, *told, ", ".join(cost))))

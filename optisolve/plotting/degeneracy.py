"""The picture of a degeneracy report: a random sampler's curve between trivial policies and the reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from optisolve.plotting.style import INK, MUTED, PALETTE, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["degeneracy_figure"]


def degeneracy_figure(problem: str, measure: str, lines: Mapping[str, float], curve: Mapping[int, float]) -> Figure:
    """Best of k random points over k, with a line for every trivial policy, the reference and the bound.

    Args:
        problem: Scenario name.
        measure: Label of the value axis.
        lines: Value of every trivial policy, of ``"reference"`` and of ``"dual bound"``.
        curve: Value by k, where a feasible point was found.
    """
    figure, axes = new_figure("What trivial answers reach", problem, width=8.0)
    if curve:
        axes.set_xscale("log", base=4)
        axes.plot(list(curve), list(curve.values()), marker="o", color=PALETTE[0], linewidth=2, label="random, best of k")
    else:
        axes.plot([], [], color=PALETTE[0], label="random: nothing feasible")
        axes.set_xticks([])
    for i, (policy, value) in enumerate(lines.items()):
        special = {"reference": (INK, "-"), "dual bound": (MUTED, "--")}.get(policy)
        color, style = special or (PALETTE[1 + i % (len(PALETTE) - 1)], ":")
        axes.axhline(value, color=color, linestyle=style, linewidth=1.6 if special else 2.0, label=f"{policy}: {value:.4g}")
    axes.set_xlabel("k, random points with the problem's own repair", color=INK)
    axes.set_ylabel(measure, color=INK)
    axes.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5), labelcolor=INK)
    axes.tick_params(axis="x", which="minor", bottom=False)
    return figure

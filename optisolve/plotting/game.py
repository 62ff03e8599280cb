"""A game round by round: what was reached, how far from equilibrium, what service was missed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from optisolve.core.problem import Instance
from optisolve.plotting.figures import INK, MARKERS, MUTED, PALETTE, dress

__all__ = ["rounds_figure"]

_LEAST = 1e-6
"""Smallest distance from equilibrium that is drawn; smaller ones stand on this line."""


def rounds_figure(reports: Mapping[str, Mapping[str, Any]], instance: Instance, optimum: float | None = None) -> Figure:
    """Objective, largest gain by moving alone, and missed service, round after round.

    Args:
        reports: ``used.report`` of records of `game` and `game_control` on the instance, by label.
        instance: What was played.
        optimum: Reference value of the objective, drawn as a line; None leaves it out.

    Returns:
        Three panels over one axis of rounds.
    """
    figure = Figure(figsize=(7.0, 6.4), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    panels = figure.subplots(3, 1, sharex=True)
    objective = instance.objectives[0]
    for i, (label, report) in enumerate(reports.items()):
        rounds, every = report["rounds"], max(1, len(report["rounds"]["round"]) // 20)
        style: dict[str, Any] = {"color": PALETTE[i % len(PALETTE)], "marker": MARKERS[i % len(MARKERS)], "markevery": every}
        for axes, name in zip(panels, ("objective", "epsilon", "shortfall"), strict=True):
            values = np.asarray(rounds[name], dtype=np.float64)
            values = np.maximum(values, _LEAST) if name == "epsilon" else values
            axes.plot(rounds["round"], values, label=label, linewidth=1.4, markersize=3.5, **style)
    if optimum is not None:
        panels[0].axhline(optimum, color=MUTED, linestyle="--", linewidth=1.0, label="optimum")
    panels[1].set_yscale("log")
    told = (objective.label, "largest gain by\nmoving alone", "missed service\n[bit/s/Hz]")
    for axes, words in zip(panels, told, strict=True):
        dress(axes, label_size=8)
        axes.set_ylabel(words, fontsize=9, color=INK)
    panels[-1].set_xlabel("round", color=INK)
    figure.suptitle(f"Rounds of the game: {instance.origin.scenario}", x=0.01, ha="left", fontsize=12, color=INK)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize=8, loc="outside lower left", ncols=3)
    return figure

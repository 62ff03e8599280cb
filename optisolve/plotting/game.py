"""A game round by round: what was reached, how far from equilibrium, what service was missed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from optisolve.core.problem import Instance
from optisolve.plotting.series import axis_text
from optisolve.plotting.style import INK, MUTED, Drawing, blank_figure, dress, looks_of

__all__ = ["rounds_figure"]

_LEAST = 1e-6
"""Smallest distance from equilibrium that is drawn; smaller ones stand on this line."""


def rounds_figure(reports: Mapping[str, Mapping[str, Any]], instance: Instance, optimum: float | None = None) -> Drawing:
    """Objective, largest gain by moving alone, and missed service, round after round.

    Args:
        reports: ``used.report`` of records of `game` and `game_control` on the instance, by label.
        instance: What was played.
        optimum: Reference value of the objective, drawn as a line; None leaves it out.

    Returns:
        Three panels over one axis of rounds.
    """
    figure = blank_figure(7.0, 6.4)
    panels, looks = figure.subplots(3, 1, sharex=True), looks_of(reports)
    for label, report in reports.items():
        rounds, every = report["rounds"], max(1, len(report["rounds"]["round"]) // 20)
        style = {**looks[label].marks(3.5), "linestyle": looks[label].dashes, "markevery": every}
        for axes, name in zip(panels, ("objective", "epsilon", "shortfall"), strict=True):
            values = np.asarray(rounds[name], dtype=np.float64)
            values = np.maximum(values, _LEAST) if name == "epsilon" else values
            axes.plot(rounds["round"], values, label=label, linewidth=1.2, **style)
    if optimum is not None:
        panels[0].axhline(optimum, color=MUTED, linestyle="--", linewidth=1.0, label="optimum")
    panels[1].set_yscale("log")
    told = (axis_text(instance.objectives[0], width=26), "largest gain by\nmoving alone", "missed service\nin bit/s/Hz")
    for axes, words in zip(panels, told, strict=True):
        dress(axes, label_size=8)
        axes.set_ylabel(words, fontsize=9, color=INK)
    panels[-1].set_xlabel("round", color=INK)
    figure.suptitle(f"Rounds of the game: {instance.origin.scenario}", x=0.01, ha="left", fontsize=12, color=INK)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize=8, loc="outside lower left", ncols=3)
    return figure

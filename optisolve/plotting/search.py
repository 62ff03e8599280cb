"""The picture of a search for a rule: quality against programs that were tried, and against size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from optisolve.plotting.style import ACCENT, INK, MUTED, add_title, blank_figure, dress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["formulas_figure", "search_figure"]


def search_figure(
    steps: Sequence[tuple[int, float]],
    sizes: Sequence[tuple[int, float]],
    evaluations: int,
    test_gain: float,
    baseline: str,
    where: str,
    paid: Sequence[tuple[int, float]] = (),
    tokens: int = 0,
) -> Figure:
    """Best gain so far, and the best gain of every size beside it; between them the same against tokens, where there are any.

    Args:
        steps: Number of the evaluation and gain, percent, whenever a better program was found.
        sizes: Number of nodes and gain, percent, small to large.
        evaluations: Programs that were tried in all.
        test_gain: Gain of the chosen program on unseen instances, percent.
        baseline: What gains refer to.
        where: Scenario, skeleton and arm, for the subtitle.
        paid: Tokens of the language model and gain, percent, whenever a better program was found.
        tokens: Tokens in all.
    """
    from matplotlib.ticker import MaxNLocator

    figure = blank_figure(9.0 + 3.0 * bool(tokens), 4.2)
    panels = figure.subplots(1, 2 + bool(tokens), width_ratios=(2, 1.5, 1) if tokens else (2, 1), sharey=True)
    left, right = panels[0], panels[-1]
    names = ["Programs tried", *["Tokens"] * bool(tokens), "Nodes"]
    for axes in panels:
        dress(axes)
    add_title(left, "What the search found", where)
    gains = [gain for _, gain in steps]
    x, y = [n for n, _ in steps] + [evaluations], [*gains, gains[-1]]
    left.step(x, y, where="post", color=INK, label="best inside the loop")
    left.axhline(test_gain, color=ACCENT, linewidth=1.4, label="chosen one, unseen instances")
    right.plot([n for n, _ in sizes], [gain for _, gain in sizes], "o-", color=INK, markersize=4)
    low = min(-1.0, test_gain, y[-1]) - 1.0
    if tokens:
        panels[1].step([n for n, _ in paid] + [tokens], y, where="post", color=INK)
        panels[1].axhline(test_gain, color=ACCENT, linewidth=1.4)
    for axes, name in zip(panels, names, strict=True):
        axes.axhline(0.0, color=MUTED, linewidth=1.0, linestyle="--")
        axes.set_xlabel(name)
    high = max(0.0, test_gain, y[-1])
    left.set_ylim(max(low, min(y)), high + 0.1 * (high - max(low, min(y))) + 1e-9)
    right.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.set_ylabel(f"Gain over {baseline} [%]")
    left.legend(loc="lower right", frameon=False, fontsize="medium")
    return figure


def formulas_figure(rows: Sequence[tuple[str, str]]) -> Figure:
    """Rules as formulas, one below the other.

    Args:
        rows: What stands above a formula, and the formula in TeX.
    """
    figure = blank_figure(9.0, 0.3 + 0.95 * len(rows))
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set_xlim(0.0, 1.0)
    axes.set_ylim(-len(rows), 0.0)
    for row, (told, tex) in enumerate(rows):
        axes.text(0.0, -row - 0.12, told, color=MUTED, va="top", fontsize="medium")
        axes.text(0.02, -row - 0.62, f"${tex}$", color=INK, va="center", fontsize=15)
    return figure

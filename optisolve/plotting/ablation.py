"""The pictures of an ablation: final losses with intervals, and curves over evaluations and over what was spent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.plotting.style import ACCENT, INK, MUTED, PALETTE, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ArmLine", "ArmRow", "final_figure", "progress_figure"]

_CONTROL_COLORS = (*PALETTE[:1], *PALETTE[2:])
"""The accent is the language model's own."""
_STYLES = ("-", "--", ":")


class Interval(Protocol):
    """A mean of `n` independent observations; `low` and `high` are NaN where no interval is given."""

    @property
    def mean(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...
    @property
    def n(self) -> int: ...


@dataclass(frozen=True, slots=True, eq=False)
class ArmRow:
    """Final losses of one arm.

    Attributes:
        label: Name for people.
        asks_llm: It asks the language model.
        values: float64 [n], one per pair.
        found: Their mean, with its interval where there are enough pairs.
        note: Comparison with the language model, short; "" for the model itself.
    """

    label: str
    asks_llm: bool
    values: FloatArray
    found: Interval
    note: str


@dataclass(frozen=True, slots=True, eq=False)
class ArmLine:
    """Mean loss of one arm as a step function, with a band.

    Attributes:
        label: Name for people.
        asks_llm: It asks the language model.
        x: float64 [k].
        mean: float64 [k].
        low: float64 [k], lower end of the band.
        high: float64 [k], its upper end.
    """

    label: str
    asks_llm: bool
    x: FloatArray
    mean: FloatArray
    low: FloatArray
    high: FloatArray


def final_figure(rows: Sequence[ArmRow], where: str) -> Figure:
    """Mean loss of every arm, with its interval where there is one, above its single runs, best on top.

    Args:
        rows: The arms.
        where: Scenario and budget, for the subtitle.
    """
    order = sorted(rows, key=lambda row: row.found.mean, reverse=True)
    figure, axes = new_figure("What each arm reached", where, width=9.0, height=1.9 + 0.42 * len(rows))
    for i, row in enumerate(order):
        color, found = ACCENT if row.asks_llm else INK, row.found
        axes.plot(row.values, np.full(row.values.size, i - 0.22), "|", color=color, alpha=0.35, markersize=5)
        if np.isfinite(found.low):
            axes.plot((found.low, found.high), (i, i), color=color, linewidth=2.2, solid_capstyle="round")
        axes.plot(found.mean, i, "o", color=color, markersize=6)
        axes.annotate(
            f"{found.mean:.4f}   {row.note}  ",
            (1.0, i),
            xycoords=("axes fraction", "data"),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=color,
            annotation_clip=False,
        )
    axes.set_yticks(range(len(order)), [row.label for row in order])
    for tick, row in zip(axes.get_yticklabels(), order, strict=True):
        tick.set_color(ACCENT if row.asks_llm else INK)
    axes.set_ylim(-0.7, len(order) - 0.4)
    n = max((row.found.n for row in rows), default=0)
    line = "line: its 95 % interval, " if any(np.isfinite(row.found.low) for row in rows) else ""
    axes.set_xlabel("loss, smaller is better", color=INK)
    told = f"dot: mean of {n} pairs, {line}ticks: single runs; p (Holm) and A12: llm against the arm"
    figure.supxlabel(told, x=0.99, ha="right", fontsize=8, color=MUTED)
    axes.grid(visible=False, axis="y")
    return figure


def progress_figure(
    lines: Sequence[ArmLine], where: str, axis: str, band: str, *, finals: Mapping[str, float] | None = None, start: float = 0
) -> Figure:
    """Mean curves over evaluations or over what was spent; the language model's with its band.

    Args:
        lines: The arms.
        where: Scenario and budget, for the subtitle.
        axis: What is on the horizontal axis.
        band: What the band is, in words.
        finals: Final mean by label of arms that spend none of it, drawn as lines.
        start: Where the curves begin.
    """
    figure, axes = new_figure(f"Progress over {axis}", where, width=9.0)
    looks = {asks: _looks(asks) for asks in (True, False)}
    for line in lines:
        color, style = next(looks[line.asks_llm])
        show = (line.x >= start) & np.isfinite(line.mean)
        x, width = line.x[show], 2.4 if line.asks_llm else 1.5
        if line.asks_llm and style == "-":
            axes.fill_between(x, line.low[show], line.high[show], step="post", color=color, alpha=0.15, linewidth=0)
        axes.step(x, line.mean[show], where="post", color=color, linestyle=style, linewidth=width, label=line.label)
    for label, value in (finals or {}).items():
        color, style = next(looks[False])
        axes.axhline(value, color=color, linestyle=":" if style == "-" else "-.", linewidth=1.5, label=f"{label} (0 {axis})")
    axes.set_xlabel(f"{axis} per run", color=INK)
    axes.set_ylabel("loss", color=INK)
    axes.set_xlim(left=0)
    axes.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5), labelcolor=INK)
    axes.tick_params(colors=MUTED)
    figure.supxlabel(f"band: {band}", x=0.99, ha="right", fontsize=8, color=MUTED)
    return figure


def _looks(asks_llm: bool) -> Iterator[tuple[str, str]]:
    """Colors and line styles: the model's arms in the accent, the controls in turn."""
    colors = (ACCENT,) if asks_llm else _CONTROL_COLORS
    i = 0
    while True:
        yield colors[i % len(colors)], _STYLES[i // len(colors) % len(_STYLES)]
        i += 1

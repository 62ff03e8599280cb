"""Figures by kind, on axes of somebody else's or in a figure of their own; the picture of one solution, and who made what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, get_args

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.errors import OptisolveError
from optisolve.core.problem import Instance
from optisolve.core.solver import is_start
from optisolve.plotting.fronts import draw_attainment, draw_front
from optisolve.plotting.legend import place_legend
from optisolve.plotting.many import MOST_IN_A_MATRIX, draw_matrix, draw_parallel
from optisolve.plotting.progress import draw_convergence
from optisolve.plotting.series import Series, Setting
from optisolve.plotting.style import INK, MUTED, PALETTE, Drawing, add_title, blank_figure, dress, new_figure, text_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "KINDS",
    "Kind",
    "credit_figure",
    "credited_sources",
    "draw_kind",
    "figure_of_kind",
    "solution_figure",
]

Kind: TypeAlias = Literal["front", "convergence", "map", "attainment", "parallel"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_HEIGHTS: Mapping[str, float] = {"front": 0.74, "convergence": 0.66, "attainment": 0.74, "parallel": 0.66}
"""Height of a figure by its width; a legend below the axes comes on top."""


def figure_of_kind(
    kind: Kind,
    series: Sequence[Series],
    setting: Setting,
    *,
    width: float = 7.0,
    height: float | None = None,
    title: str = "",
    knee: bool = False,
    scores: bool = False,
) -> tuple[Drawing, list[str]]:
    """A figure of its own.

    Args:
        kind: What is drawn; not ``"map"``, which draws one solution (`solution_figure`).
        series: What is drawn.
        setting: What it is about.
        width: inches.
        height: inches; None fits it to the kind. A legend below the axes adds to it.
        title: Above the axes; "" for none, as in papers.
        knee: Mark the knee point of the first series in a front of two objectives.
        scores: Write scores behind names in it.

    Returns:
        The figure, and what is not drawn and why, in sentences.

    Raises:
        OptisolveError: The kind cannot show this.
    """
    _require_drawable(kind, setting)
    m = len(setting.objectives)
    if kind == "front" and 2 < m <= MOST_IN_A_MATRIX:
        figure = blank_figure(width, height or width)
        return figure, draw_matrix(figure, series, setting, title=title)
    shown: Kind = "parallel" if kind == "front" and m > MOST_IN_A_MATRIX else kind
    figure = blank_figure(width, height or _HEIGHTS[shown] * width)
    axes = figure.add_subplot()
    dress(axes)
    add_title(axes, title)
    if shown == "front":
        return figure, draw_front(axes, series, setting, knee=knee, scores=scores)
    return figure, draw_kind(shown, axes, series, setting)


def draw_kind(kind: Kind, axes: Axes, series: Sequence[Series], setting: Setting) -> list[str]:
    """The same on axes that are there already, whose style stays.

    Args:
        kind: As above.
        axes: Where.
        series: What is drawn.
        setting: What it is about.

    Returns:
        What is not drawn and why.

    Raises:
        OptisolveError: The kind cannot show this, or not on one pair of axes.
    """
    _require_drawable(kind, setting)
    if kind == "front" and setting.several and len(setting.objectives) > 2:
        m = len(setting.objectives)
        raise OptisolveError(
            f"ax: a front of {m} objectives needs a figure of its own; kind='parallel' draws all {m} on one ax."
        )
    draw = {"front": draw_front, "convergence": draw_convergence, "attainment": draw_attainment, "parallel": draw_parallel}
    return draw[kind](axes, series, setting)


def _require_drawable(kind: str, setting: Setting) -> None:
    if kind not in KINDS:
        raise OptisolveError(f"kind: got {kind!r}, expected one of {', '.join(KINDS)}.")
    m = len(setting.objectives)
    if m < 2 and kind in ("front", "attainment", "parallel"):
        name = setting.objectives[0].name
        raise OptisolveError(
            f"kind: {kind!r} needs two objectives; {setting.name} has one, {name}. Use kind='convergence' or 'map'."
        )
    if m > 2 and kind == "attainment":
        raise OptisolveError(
            f"kind: 'attainment' needs two objectives; {setting.name} has {m}. Use kind='front' or 'parallel'."
        )


def solution_figure(
    instance: Instance, x: FloatArray, *, width: float = 6.0, height: float | None = None, title: str = ""
) -> Drawing | None:
    """The problem's own picture of one solution, or None when it has none.

    Args:
        instance: Draws itself.
        x: float64 [d].
        width: inches.
        height: inches; None makes room for a map's square or for bars.
        title: Above the axes; "" for none.
    """
    figure = blank_figure(width, height or (1.0 if instance.picture == "map" else 0.66) * width)
    axes = figure.add_subplot()
    dress(axes)
    add_title(axes, title)
    return figure if draw_solution(axes, instance, x) else None


def draw_solution(axes: Axes, instance: Instance, x: FloatArray) -> bool:
    """The same on axes that are there already; false when the problem has no picture."""
    if not instance.draw(axes, x):
        return False
    if axes.get_legend() is None:
        place_legend(axes, outside=instance.picture == "map")
    return True


# -- who made what -----------------------------------------------------------------------------------------------------

_RANDOM_STARTS = frozenset({"initial", "start:uniform", "start:latin_hypercube"})
_MADE, _GAINED = "#B8C4CE", PALETTE[0]
_THICK = 0.36
_NO_GAIN = 1e-6
"""Gain, relative to the value reached, below which shares of it say nothing."""


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


def credited_sources(sources: Mapping[str, Source]) -> list[str]:
    """Sources among which the gain is divided, largest first; those of the first points too where not all of these were random.

    Args:
        sources: ``used.by_source`` of a record.
    """
    names = [name for name, item in sources.items() if item.evaluations]
    if _RANDOM_STARTS.issuperset(name for name in names if is_start(name)):  # a random first population is nobody's
        names = [name for name in names if not is_start(name)]
    return sorted(names, key=lambda name: (-sources[name].gain, -sources[name].evaluations, name))


def credit_figure(sources: Mapping[str, Source], instance: Instance, *, reached: float = 1.0, width: float = 7.0) -> Drawing:
    """Share of the evaluations beside share of the gain, by source, with what each one cost.

    Args:
        sources: ``used.by_source`` of a record; see `optisolve.run.evaluator.credit`.
        instance: Names the scenario.
        reached: Final score; a gain that is nothing beside it is not divided among sources.
        width: inches.
    """
    names = credited_sources(sources)
    where, what = f"{instance.origin.scenario}, instance {instance.origin.seed}", "points"
    if not any(map(is_start, names)):
        where, what = f"{where}; first population left out", "offspring"
    figure, axes = new_figure(f"Who made the {what}, and what they gained", where, width=width, height=1.7 + 0.62 * len(names))
    made = np.array([sources[name].evaluations for name in names], dtype=float)
    gained = np.array([sources[name].gain for name in names])
    told = "hypervolume gain" if len(instance.objectives) > 1 else "improvement"
    real = float(gained.sum()) > _NO_GAIN * abs(reached)
    bars = [(_percent(made), _MADE, f"share of {int(made.sum()):,} evaluations")]
    bars += [(_percent(gained), _GAINED, f"share of the {told} of {gained.sum():.4g}")] if real else []
    thick, at, small = (_THICK if real else 1.4 * _THICK), np.arange(len(names)), text_size(axes)
    for k, (values, color, label) in enumerate(bars):
        offset = (k - 0.5) * _THICK if real else 0.0
        axes.barh(at + offset, values, height=thick, color=color, label=label, zorder=3)
        for y, value in zip(at + offset, values, strict=True):
            axes.text(value + 0.8, y, f"{value:.1f} %", va="center", fontsize=small, color=MUTED)
    axes.set_yticks(at, [_label(name, sources[name]) for name in names], fontsize=small + 1, color=INK)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0.0, min(112.0, 1.16 * max(1.0, *(float(values.max()) for values, _, _ in bars))))
    axes.set_xlabel("share in %", fontsize=small + 1, color=INK)
    nothing = f"no source gained anything worth dividing ({told} {gained.sum():.2g} on the way to {reached:.5g})"
    place_legend(axes, title="" if real else nothing, outside=True)
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

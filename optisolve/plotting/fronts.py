"""Pictures of two objectives: fronts and attainment surfaces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.artist import Artist
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import Normal, Stroke

from optisolve.core.arrays import FloatArray
from optisolve.numerics.indicators import knee_index
from optisolve.numerics.indicators import outside as points_outside
from optisolve.plotting.legend import place_labels, place_legend
from optisolve.plotting.series import Series, Setting, axis_text, number, seeds_text
from optisolve.plotting.style import (
    ACCENT,
    MUTED,
    Look,
    ink_of,
    label_axes,
    looks_of,
    no_offset,
    room_for_words,
    text_size,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["CROWD", "draw_attainment", "draw_front", "frame", "near_front", "reference_dots", "say_nothing", "surfaces"]

_MARGIN = 0.05
_NEAR = 0.05
"""Share of the axes' range within which the edge of the scoring box counts as near."""
_FAR = 1.0
"""What lies further from the points than so many times their range is told and not drawn."""
_FAR_FRONT = 3.0
"""The same for points of a reference front."""
_ENOUGH = 5
"""Points from which their range says what the axes should show."""
_BOUND_REACH = 0.12
"""The same for proven bounds on single objectives."""
CROWD = 60
"""Points from which markers are small."""


def draw_front(
    axes: Axes, series: Sequence[Series], setting: Setting, *, knee: bool = False, scores: bool = False
) -> list[str]:
    """Fronts in the plane of two objectives, with the reference front and the scoring box where they matter.

    Args:
        axes: Where.
        series: Each is drawn by its run with the median score.
        setting: Two objectives.
        knee: Mark the knee point of the first series.
        scores: Write the hypervolume behind every name.

    Returns:
        What is not drawn and why, in sentences.
    """
    looks, shown = looks_of(s.label for s in series), {s.label: s.middle(setting) for s in series}
    points = np.vstack([shot.F for shot in shown.values()])
    handles = [_points(axes, s, shown[s.label].F, looks[s.label], setting, scores=scores) for s in series]
    known = setting.front if setting.front is not None else np.empty((0, 2))
    if len(known):
        handles.append(reference_dots(axes, known, setting))
    if not len(points):
        return say_nothing(axes, setting, handles)
    near, cut = near_front(points, known)
    frame(axes, np.vstack([points, near]))
    notes = [*cut, *_box(axes, points, setting, handles), *_ideal(axes, setting, handles)]
    if knee and len(points) > 1:
        _mark_knee(axes, shown[series[0].label].F, setting)
    _name_axes(axes, setting)
    if len(points) == 1:
        told = ", ".join(
            f"{number(v)}{f' {o.unit}' if o.unit else ''}" for v, o in zip(points[0], setting.objectives, strict=True)
        )
        place_labels(axes, points, [f"({told})"])
    many = seeds_text(series)
    title = f"run of median hypervolume, {many}" if many else "hypervolume in brackets" if scores else ""
    place_legend(axes, handles, title=title)
    return notes


def _points(axes: Axes, series: Series, F: FloatArray, look: Look, setting: Setting, *, scores: bool) -> Line2D:
    label = series.label
    if not len(F):
        label += " (no feasible point)"
    elif scores and setting.box is not None:
        label += f" ({series.middle(setting).score:.4f})"
    size = 5.0 if len(F) < CROWD else 3.2
    (line,) = axes.plot(F[:, 0], F[:, 1], linestyle="none", label=label, zorder=3, **look.marks(size))
    return line


def reference_dots(axes: Axes, front: FloatArray, setting: Setting) -> Line2D:
    """As dots: a front may have gaps, which a line would close."""
    size = 1.0 if len(front) > 400 else 1.8 if len(front) > 40 else 3.0
    (line,) = axes.plot(
        *front[:, :2].T, ".", markersize=size, color=ink_of(axes), label=setting.front_words, zorder=2, markeredgewidth=0
    )
    return Line2D([], [], color=ink_of(axes), linestyle=(0, (0.8, 1.2)), linewidth=1.6, label=line.get_label())


def near_front(points: FloatArray, known: FloatArray) -> tuple[FloatArray, list[str]]:
    """The part of a reference front that the axes show: what is far from every point would squeeze them."""
    if len(points) < _ENOUGH or not len(known):
        return known, []
    low, high = points.min(axis=0), points.max(axis=0)
    reach = _FAR_FRONT * np.maximum(high - low, 1e-9 * np.maximum(abs(low), abs(high)))
    near = ((known >= low - reach) & (known <= high + reach)).all(axis=1)
    cut = int((~near).sum())
    return known[near], [f"{cut} of {len(known)} points of the reference front lie beyond the axes"] if cut else []


def frame(axes: Axes, points: FloatArray) -> None:
    """Limits from the points alone, so that nothing else squeezes them."""
    low, high = points.min(axis=0), points.max(axis=0)
    flat = high - low <= 1e-9 * np.maximum(abs(low), abs(high))
    pad = np.where(flat, np.where(low == 0.0, 0.5, 0.05 * abs(low)), _MARGIN * (high - low))
    _reframe(axes, low - pad, high + pad)


def _reframe(axes: Axes, low: FloatArray, high: FloatArray) -> None:
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])


def _corners(axes: Axes) -> tuple[FloatArray, FloatArray]:
    """Lower left and upper right, float64 [2] each."""
    low, high = np.array([axes.get_xlim(), axes.get_ylim()]).T
    return low, high


def _name_axes(axes: Axes, setting: Setting) -> None:
    across, up = room_for_words(axes)
    label_axes(axes, x=axis_text(setting.objectives[0], width=across), y=axis_text(setting.objectives[1], width=up))
    no_offset(axes.xaxis, axes.yaxis)


def say_nothing(axes: Axes, setting: Setting, handles: list[Artist] | list[Line2D]) -> list[str]:
    """Axes that say that there is nothing to show; the sentence for who asked."""
    axes.text(0.5, 0.5, "no feasible point", transform=axes.transAxes, ha="center", va="center", color=MUTED)
    axes.set_xticks([])
    axes.set_yticks([])
    _name_axes(axes, setting)
    place_legend(axes, handles, outside=True)
    return ["no run has a feasible point"]


def _box(axes: Axes, points: FloatArray, setting: Setting, handles: list[Line2D]) -> list[str]:
    """The edges of the scoring box where points lie outside of it or near them."""
    if setting.box is None:
        return []
    reference, signs = np.array(setting.box.reference), setting.signs
    outside = points_outside(points, setting.box)
    low, high = _corners(axes)
    room = ((reference - points) * signs).min(axis=0)
    if not outside and (room > _NEAR * (high - low)).all():
        return []
    told = f"{outside} of {len(points)} points lie outside of the scoring box and count nothing" if outside else ""
    if ((reference < low - _FAR * (high - low)) | (reference > high + _FAR * (high - low))).any():
        if told:
            handles.append(Line2D([], [], linestyle="none", label=f"{outside} of {len(points)} points outside the scoring box"))
        return [f"{told}; its edge is far from them and not drawn"] if told else []
    pad = _MARGIN * (high - low)
    low, high = np.minimum(low, reference - pad), np.maximum(high, reference + pad)
    _reframe(axes, low, high)
    far = np.where(signs < 0.0, high, low)  # the axes' better ends
    label = f"scoring box ({outside} of {len(points)} points outside)" if outside else "scoring box"
    edge = [(far[0], reference[1]), tuple(reference), (reference[0], far[1])]
    (line,) = axes.plot(*zip(*edge, strict=True), color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), label=label, zorder=1)
    _reframe(axes, low, high)
    handles.append(line)
    return [told] if told else []


def _ideal(axes: Axes, setting: Setting, handles: list[Line2D]) -> list[str]:
    """Proven bounds on the objectives, where they lie within the axes' reach."""
    bounds = None if setting.reference is None else setting.reference.ideal_bound
    if bounds is None:
        return []
    low, high = _corners(axes)
    value, reach = np.array(bounds), _BOUND_REACH * (high - low)
    near = (value >= low - reach) & (value <= high + reach)
    pad = 0.02 * (high - low)
    _reframe(axes, np.where(near, np.minimum(low, value - pad), low), np.where(near, np.maximum(high, value + pad), high))
    dotted = (0, (1, 1.5))
    if near[0]:
        axes.axvline(value[0], color=MUTED, linewidth=0.9, linestyle=dotted, zorder=1)
    if near[1]:
        axes.axhline(value[1], color=MUTED, linewidth=0.9, linestyle=dotted, zorder=1)
    if near.any():
        handles.append(Line2D([], [], color=MUTED, linewidth=0.9, linestyle=dotted, label="proven bound of an objective"))
    far = [(o, v) for o, v, ok in zip(setting.objectives, value, near, strict=True) if not ok]
    return [f"the proven bound on {o.name}, {number(v)} {o.unit}".rstrip() + ", lies beyond the axes" for o, v in far]


def _mark_knee(axes: Axes, F: FloatArray, setting: Setting) -> None:
    if not len(F):
        return
    knee, signs = F[knee_index(F * setting.signs)], setting.signs
    axes.plot(*knee[:2], marker="o", markersize=11, markerfacecolor="none", markeredgecolor=ACCENT, zorder=5)
    arrow = {"arrowstyle": "-", "color": ACCENT, "shrinkB": 6}
    away = (26 * signs[0], 26 * signs[1])  # towards the dominated side, where it is empty
    label = axes.annotate(
        "knee", tuple(knee[:2]), xytext=away, textcoords="offset points", color=ACCENT, fontsize=text_size(axes, 1),
        arrowprops=arrow, ha="right" if signs[0] < 0 else "left", va="center", zorder=5,
    )  # fmt: skip
    label.set_path_effects([Stroke(linewidth=2.0, foreground=axes.get_facecolor()), Normal()])


# -- attainment --------------------------------------------------------------------------------------------------------


def draw_attainment(axes: Axes, series: Sequence[Series], setting: Setting) -> list[str]:
    """What half of the seeds attain, as a line, between what the best and what all of them attain, as an area.

    Args:
        axes: Where.
        series: All their runs count.
        setting: Two objectives.

    Returns:
        What is not drawn and why.

    Source:
        Grunert da Fonseca, Fonseca and Hall 2001 (the empirical attainment function); computed by moocore.
    """
    looks, handles = looks_of(s.label for s in series), list[Artist]()
    fronts = [shot.F for s in series for shot in s.shots if len(shot.F)]
    known = setting.front if setting.front is not None else np.empty((0, 2))
    if not fronts:
        return say_nothing(axes, setting, [])
    near, notes = near_front(np.vstack(fronts), known)
    frame(axes, np.vstack([*fronts, near]))
    corner = np.array([axes.get_xlim(), axes.get_ylim()])
    far = (corner * setting.signs[:, None]).max(axis=1)  # worst corner, minimization form
    areas = False
    for s in series:
        found = [shot.F * setting.signs for shot in s.shots if len(shot.F)]
        if len(found) < s.seeds:
            notes.append(f"{s.label}: {s.seeds - len(found)} of {s.seeds} runs have no feasible point and attain nothing")
        look = looks[s.label]
        middle, best, worst = surfaces(found, s.seeds, far)
        if len(middle):
            axes.plot(*(middle * setting.signs).T, color=look.color, linestyle=look.dashes, linewidth=1.4, zorder=3)
        if s.seeds > 1:
            areas = True
            _area(axes, best, worst if len(worst) else far[None, :], setting.signs, look, far)
        handles.append(Line2D([], [], color=look.color, linestyle=look.dashes, linewidth=1.4, label=s.label))
    if len(known):
        handles.append(reference_dots(axes, known, setting))
    axes.set_xlim(*corner[0])
    axes.set_ylim(*corner[1])
    _name_axes(axes, setting)
    many = seeds_text(series)
    if areas:
        handles.append(Patch(facecolor=MUTED, alpha=0.2, label="best to worst"))
    place_legend(axes, handles, title=f"attained by half of {many}" if many else "attained by one run")
    return notes


def surfaces(fronts: Sequence[FloatArray], runs: int, far: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Corners of the surfaces that half of the runs, one run and all runs attain, float64 [k, 2], minimization form.

    Args:
        fronts: Of the runs that have one.
        runs: How many runs there are.
        far: Worst corner of the axes, where a surface ends.
    """
    from moocore import eaf

    if not fronts:
        return (np.empty((0, 2)),) * 3
    sets = np.repeat(np.arange(len(fronts)), [len(F) for F in fronts])
    levels = [(count, 100.0 * count / len(fronts)) for count in (-(-runs // 2), 1, runs) if count <= len(fronts)]
    table = eaf(np.vstack(fronts), sets, percentiles=sorted({level for _, level in levels}))
    by_count = {count: _stairs(table[np.isclose(table[:, 2], level)][:, :2], far) for count, level in levels}
    half, one, every = (by_count.get(count, np.empty((0, 2))) for count in (-(-runs // 2), 1, runs))
    return half, one, every


def _stairs(points: FloatArray, far: FloatArray) -> FloatArray:
    """The staircase through non-dominated points, from the upper to the right edge, float64 [k, 2]."""
    if not len(points):
        return np.empty((0, 2))
    points = points[np.lexsort((points[:, 1], points[:, 0]))]
    corners = [(points[0, 0], max(far[1], points[0, 1]))]
    for (x, y), (after, _) in zip(points, [*points[1:], (max(far[0], points[-1, 0]), 0.0)], strict=True):
        corners += [(x, y), (after, y)]
    return np.array(corners)


def _area(axes: Axes, best: FloatArray, worst: FloatArray, signs: FloatArray, look: Look, far: FloatArray) -> None:
    """Between two staircases; where one ends at the upper edge or the right edge, so does the area."""
    if not len(best):
        return
    start, end = [(best[0, 0], far[1])], [(far[0], best[-1, 1])]
    outline = np.vstack([start, best, end, worst[::-1]]) * signs
    axes.fill(*outline.T, color=look.color, alpha=0.18, linewidth=0, zorder=2)

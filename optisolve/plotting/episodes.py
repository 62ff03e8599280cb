"""The picture of an episode: loss over time, with events marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from optisolve.plotting.style import MUTED, Drawing, add_title, blank_figure, dress, label_axes, looks_of

__all__ = ["Track", "episode_figure"]

_HOUR_S, _MANY_S = 3600.0, 7200.0
_LOWEST = 1e-4
"""Losses below this are drawn there where the axis is logarithmic."""


class Track(NamedTuple):
    """One arm: what the legend calls it, and its loss at every step."""

    label: str
    losses: Sequence[float]


def episode_figure(
    times_s: Sequence[float], tracks: Sequence[Track], events: Mapping[float, Sequence[str]], where: str
) -> Drawing:
    """Losses of all arms over time; what happened is a dotted line, the legend counts them.

    Args:
        times_s: Time of every step, s.
        tracks: The arms; one that was interrupted is shorter.
        events: What happened, by time, s.
        where: Scenario and motion, under the title.
    """
    unit, name = (_HOUR_S, "Time [h]") if times_s[-1] > _MANY_S else (1.0, "Time [s]")
    figure = blank_figure(8.0, 4.4)
    axes = figure.subplots()
    dress(axes)
    add_title(axes, "Loss at every step", where)
    values = np.concatenate([np.asarray(track.losses, dtype=np.float64) for track in tracks])
    logarithmic = bool(values.max(initial=0.0) > 30.0 * max(np.median(values), _LOWEST))
    for i, at in enumerate(sorted(events)):
        label = f"event ({sum(map(len, events.values()))})" if i == 0 else None
        axes.axvline(at / unit, color=MUTED, linewidth=0.9, linestyle=":", zorder=0, label=label)
    looks = looks_of([track.label for track in tracks])
    for track in tracks:
        look = looks[track.label]
        shown = np.maximum(track.losses, _LOWEST) if logarithmic else np.asarray(track.losses)
        last = 2.0 * times_s[-1] - times_s[-2] if len(times_s) > 1 else times_s[-1] + 1.0
        edges = np.append(np.asarray(times_s, dtype=np.float64), last)[: len(shown) + 1] / unit
        shown = np.append(shown, shown[-1])  # a step lasts until the next one
        axes.step(edges, shown, where="post", color=look.color, linestyle=look.dashes, linewidth=1.6, label=track.label)
    if logarithmic:
        axes.set_yscale("log")
    label_axes(axes, x=name, y="Loss (share of the reference)")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure

"""The pictures that a run leaves beside its record."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from optisolve.cli.display import shown_sources
from optisolve.numerics.knee import knee_index
from optisolve.plotting import convergence_figure, front_figure, map_figure, save_figure
from optisolve.plotting.credit import credit_figure, offspring_sources
from optisolve.plotting.game import rounds_figure
from optisolve.run.result import Result

__all__ = ["write_pictures"]


def write_pictures(results: Mapping[str, Result], folder: Path) -> list[Path]:
    """Draw front, map and convergence of a run beside its controls, who made what when several sources did, and the rounds of
    a game.

    Args:
        results: By solver name; the first one is the subject.
        folder: Where the PNG files go.

    Returns:
        The files written; a picture that does not apply is left out.
    """
    subject = next(iter(results.values()))
    instance = subject.instance
    written = []
    if len(instance.objectives) > 1:
        figure = front_figure({name: result.F for name, result in results.items()}, instance)
        written.append(save_figure(figure, folder / "front.png"))
    if len(subject.X):
        index = knee_index(subject.F * instance.signs)
        label = "knee point" if len(instance.objectives) > 1 else "best point"
        drawn = map_figure(instance, subject.X[index], label=label)
        if drawn is not None:
            written.append(save_figure(drawn, folder / "map.png"))
    sources = shown_sources(subject.record)
    if len(offspring_sources(sources)) > 1:
        written.append(save_figure(credit_figure(sources, instance), folder / "credit.png"))
    played = {name: result.record.used.report for name, result in results.items()}
    played = {name: report for name, report in played.items() if "rounds" in report and "epsilon" in report}
    if played:
        optimum = None if subject.record.reference is None else subject.record.reference.value
        written.append(save_figure(rounds_figure(played, instance, optimum), folder / "rounds.png"))
    traces = {name: result.trace for name, result in results.items() if len(result.trace)}
    if traces:
        written.append(save_figure(convergence_figure(traces, instance), folder / "convergence.png"))
    return written

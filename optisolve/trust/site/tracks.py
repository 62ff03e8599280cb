"""The pages of tracks: who is best on which problem, and what is drawn of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from optisolve.run.schema import Record
from optisolve.study.report.commands import run_command_of
from optisolve.study.scored import ScoredUnits
from optisolve.trust.site.charts import anytime_chart, attainment_chart
from optisolve.trust.site.maps import map_of, mapped
from optisolve.trust.site.pages import TrackPicture, Winner
from optisolve.trust.summary import NULL, is_peer

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COMPARED", "first_record", "methods_of", "pictures_of", "winners_of"]

COMPARED = 5
"""Solvers whose attainment surfaces stand in one chart; more cannot be told apart."""


def winners_of(lines: pd.DataFrame, units: ScoredUnits) -> Iterator[Winner]:
    """Who is best on every problem of a track.

    Args:
        lines: Of the track, from `optisolve.trust.site.build.lines_of`: best first within each problem.
        units: All units.

    Yields:
        One winner per problem; none for a problem on which nobody has a record of its own.
    """
    for scenario, own in lines.groupby("scenario", sort=True):
        best = own[own["rank"] == 1]["solver"].tolist()
        frame = units.frame[units.frame["scenario"] == scenario]
        record = first_record(frame, best[0])
        if record is None:
            continue
        methods = methods_of(frame)
        peers = own[[is_peer(methods.get(solver, solver)) for solver in own["solver"]]]
        null, limit = own[own["solver"] == NULL], record.budget.evaluations
        yield Winner(
            scenario=str(scenario),
            allowed="∞" if limit is None else f"{limit:,}",
            measure=own["measure"].iloc[0],
            best=tuple(best),
            score=own["score"].iloc[0],
            null=null["score"].iloc[0] if len(null) else "–",
            peer=peers["solver"].iloc[0] if len(peers) else "",
            peer_score=peers["score"].iloc[0] if len(peers) else "",
            command=run_command_of(record),
            record_id=record.record_id,
            seconds=record.used.wall_s,
        )


def methods_of(frame: pd.DataFrame) -> dict[str, str]:
    """Registered names of solvers by those that they have on the site.

    Args:
        frame: Rows of `optisolve.study.scored.ScoredUnits.frame`.
    """
    told = zip(frame["solver"], frame["record"], strict=True)
    return {str(solver): record.solver.name for solver, record in told if record is not None}


def first_record(frame: pd.DataFrame, solver: str) -> Record | None:
    """The record of a solver's first run: lowest instance, then lowest repetition; None without any.

    Args:
        frame: Rows of `optisolve.study.scored.ScoredUnits.frame`, of the problems in question.
        solver: Whose.
    """
    own = frame[(frame["solver"] == solver) & frame["record"].notna()]
    return None if own.empty else own.sort_values(["scenario", "instance", "repetition"], kind="stable")["record"].iloc[0]


def pictures_of(lines: pd.DataFrame, units: ScoredUnits, colors: Mapping[str, int]) -> Iterator[TrackPicture]:
    """What is drawn of every problem of a track.

    Args:
        lines: Of the track, best first within each problem.
        units: All units.
        colors: Color index of every solver.
    """
    frame = units.frame
    drawn = mapped(frame, [str(name) for name in lines["scenario"].unique()])
    for name, own in lines.groupby("scenario", sort=True):
        scenario, order = str(name), own["solver"].tolist()
        charts = (
            anytime_chart(scenario, units, colors),
            attainment_chart(scenario, frame, colors, order[:COMPARED]),
        )
        found = tuple(chart for chart in charts if chart is not None)
        finite = own[np.isfinite(own["standing"])]["solver"].tolist()
        best = finite[0] if finite else ""
        picture = map_of(scenario, frame, best, drawn[scenario]) if best and scenario in drawn else None
        if found or picture is not None:
            yield TrackPicture(scenario, found, picture)

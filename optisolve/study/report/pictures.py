"""The pictures of a report, each with words that say what it shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from optisolve.core.text import slug
from optisolve.plotting.profiles import (
    SMALLEST_DRAWN,
    anytime_figure,
    data_profile_figure,
    ecdf_figure,
    performance_profile_figure,
)
from optisolve.plotting.statistics import critical_difference_figure
from optisolve.study.profiles import (
    anytime_data,
    data_profile_data,
    ecdf_data,
    expected_runtime,
    performance_profile_data,
)
from optisolve.study.report.tables import number

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from optisolve.study.aggregate import Ranking
    from optisolve.study.scored import ScoredUnits

__all__ = ["Picture", "family_pictures"]

_PROFILED = {False: 0.01, True: 0.1}
"""The loss at which data profiles are drawn: for one objective, for several."""


@dataclass(frozen=True, eq=False, slots=True)
class Picture:
    """A figure with its words.

    Attributes:
        name: File name without suffix.
        title: Heading.
        caption: How to read it, and its source.
        alt: What it shows, in a sentence with numbers.
        figure: The drawing.
        data: The numbers behind it.
    """

    name: str
    title: str
    caption: str
    alt: str
    figure: Figure
    data: pd.DataFrame


def family_pictures(family: str, units: ScoredUnits, ranked: Ranking, times: pd.DataFrame) -> list[Picture]:
    """All pictures of one family.

    Args:
        family: Which one.
        units: All units.
        ranked: The family's ranking.
        times: Its evaluations to targets, from `optisolve.study.profiles.runtimes`.
    """
    found = [_critical(family, ranked)] if ranked.friedman is not None else []
    for scenario in units.scenarios(family):
        found += _anytime(scenario, units)
    compared = times[times["solver"].isin(ranked.blocks.table.columns)]  # who skips hard instances would look good
    if len(compared):
        found += _profiles(family, units, compared)
    for name in units.scenarios(family):
        own = times[times["scenario"] == name]
        if set(own["solver"]) - set(ranked.blocks.table.columns):  # solvers that the family's picture leaves out
            found.append(_ecdf(f"on-{slug(name)}", f"Targets reached on {name}", own))
    return found


def _critical(family: str, ranked: Ranking) -> Picture:
    assert ranked.friedman is not None  # the caller asked
    averages = ranked.friedman.average_ranks
    order = sorted(averages, key=lambda name: (averages[name], name))
    groups = "; ".join(", ".join(group) for group in ranked.cliques) or "none"
    return Picture(
        f"cd-{family}",
        "Critical-difference diagram",
        "Average ranks, best on the left. A bar joins neighbors of which no two differ significantly (Wilcoxon signed-rank "
        f"tests with Holm's correction, family-wise error {ranked.alpha:g}; diagram after Demšar 2006, bars after Benavoli et "
        "al. 2016).",
        f"Average ranks: {', '.join(f'{name} {averages[name]:.2f}' for name in order)}. Not significantly different: {groups}.",
        critical_difference_figure(averages, ranked.cliques),
        ranked.table[["solver", "average_rank"]],
    )


def _anytime(scenario: str, units: ScoredUnits) -> list[Picture]:
    measure = units.measures[scenario]
    data = anytime_data(units, scenario) if measure.has_loss else None
    if data is None or data.empty:
        return []
    values = data.groupby("solver", sort=True)["median"].last()
    told = ", ".join(f"{name} {number(float(value))}" for name, value in values.items())
    return [
        Picture(
            f"anytime-{slug(scenario)}",
            f"Progress on {scenario}",
            f"Loss ({measure.label}) over evaluations: median of all runs, band between the quartiles. A run keeps its last "
            "loss after it stopped; a failed run has loss 1 throughout. Losses below "
            f"{number(SMALLEST_DRAWN)} are drawn at the lower edge.",
            f"Median loss on {scenario} at the end: {told}.",
            anytime_figure(data, measure=f"loss: {measure.label}"),
            data,
        )
    ]


def _profiles(family: str, units: ScoredUnits, times: pd.DataFrame) -> list[Picture]:
    last = float(times["spent"].max())
    found = [_ecdf(family, f"Targets reached, all of {family}", times)]
    target = _PROFILED[any(units.measures[name].several for name in units.scenarios(family))]
    if np.isclose(times["target"], target).any():
        words = f"a loss of {target:g}"
        profile = data_profile_data(times, target)
        gradients = last / (float(times["dimension"].min()) + 1.0)
        found.append(
            Picture(
                f"data-profile-{family}",
                f"Data profile at {words}",
                f"Share of runs that reached {words} within so many simplex gradients (Moré and Wild 2009, with a fixed "
                "target).",
                f"Share of runs at the end: {_ends(profile)}.",
                data_profile_figure(profile, last=gradients),
                profile,
            )
        )
    costs = expected_runtime(times, ("scenario", "instance")).pivot(
        index=["scenario", "instance", "target"], columns="solver", values="ert"
    )
    ratios = performance_profile_data(costs)
    found.append(
        Picture(
            f"performance-profile-{family}",
            "Performance profile",
            "Share of (instance, target) pairs on which a solver's expected evaluations are within a factor of the best "
            "solver's (Dolan and Moré 2002). Read it for the best curve or for pairs: the order of the others can change with "
            "the company (Gould and Scott 2016).",
            f"Share solved at all: {_ends(ratios)}.",
            performance_profile_figure(ratios),
            ratios,
        )
    )
    return found


def _ecdf(name: str, title: str, times: pd.DataFrame) -> Picture:
    curves = ecdf_data(times)
    return Picture(
        f"ecdf-{name}",
        title,
        "Share of (run, target) pairs reached within so many evaluations, over all targets of the table (ECDF, after Hansen "
        "et al. 2016). Higher and further left is better; the height at the right edge is the share reached at all.",
        f"Share reached at the end: {_ends(curves)}.",
        ecdf_figure(curves, last=float(times["spent"].max())),
        curves,
    )


def _ends(curves: pd.DataFrame) -> str:
    last = curves.groupby("solver", sort=True)["share"].last()
    return ", ".join(f"{name} {share:.0%}" for name, share in last.items())

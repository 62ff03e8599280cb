"""Maps, and what else a problem has for a picture of one answer, drawn from a record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optisolve.content import shipped_only
from optisolve.core.errors import OptisolveError
from optisolve.core.text import slug
from optisolve.plotting.style import Drawing
from optisolve.run.plot import gather, plot_runs
from optisolve.run.untrusted import bounded_memory
from optisolve.study.report.svg import svg_text
from optisolve.study.scored import Outcome

if TYPE_CHECKING:
    import pandas as pd

    from optisolve.run.schema import Record

__all__ = ["AnswerMap", "map_of", "mapped"]

_WIDTH = 5.0
"""Inches; what is large on a phone and small enough beside charts."""


@dataclass(frozen=True, slots=True)
class AnswerMap:
    """A picture of one answer.

    Attributes:
        title: Heading.
        alt: What it shows, in words.
        svg: The picture; its colors are those of the page.
    """

    title: str
    alt: str
    svg: str


def mapped(units: pd.DataFrame, scenarios: Sequence[str]) -> dict[str, str]:
    """The instance that is drawn of each scenario: those that share one have it drawn once, where the budget is largest.

    Args:
        units: Rows of `optisolve.study.scored.ScoredUnits.frame`.
        scenarios: Of one suite.

    Returns:
        The instance's hash by scenario.
    """
    drawn: dict[str, tuple[float, str]] = {}
    for name in scenarios:
        own = units[(units["scenario"] == name) & units["record"].notna()]
        if len(own):
            first: Record = min(own["record"], key=lambda record: (record.instance.seed, record.record_id))
            limit = float(own["evaluation_limit"].fillna(float("inf")).max())
            drawn[first.instance.sha256] = max(drawn.get(first.instance.sha256, (-1.0, name)), (limit, name))
    return {name: instance for instance, (_, name) in drawn.items()}


def map_of(scenario: str, units: pd.DataFrame, solver: str, instance: str) -> AnswerMap | None:
    """The problem's own picture of a solver's best answer; None where it has none, or no record holds its points.

    Args:
        scenario: Which one.
        units: Rows of `optisolve.study.scored.ScoredUnits.frame`.
        solver: Whose answer.
        instance: Hash of the instance.
    """
    own = units[(units["scenario"] == scenario) & (units["solver"] == solver) & (units["outcome"] == Outcome.OK)]
    records: list[Record] = [r for r in own["record"] if r is not None and r.solutions.x and r.instance.sha256 == instance]
    if not records:
        return None
    try:
        with bounded_memory(), shipped_only():
            figure, told = plot_runs(gather(records[:1] if _differ(records) else records), "map", width=_WIDTH)
            assert isinstance(figure, Drawing)  # no axes were given
            told = [note.removeprefix("shown: ") for note in told if note.startswith("shown: ")]
            which = f"{', '.join(told) or 'an answer'} of {solver} on instance {records[0].instance.seed}"
            title = f"Best answer on {scenario}"
            alt = f"{which[0].upper()}{which[1:]}, drawn from the stored point."
            return AnswerMap(title, alt, svg_text(figure, name=f"map-{slug(scenario)}", alt=alt))
    except OptisolveError:
        return None  # no picture of its own, or a family or version that is not installed here
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError, RecursionError, MemoryError):
        return None  # a stranger's parameters that no instance can be made of


def _differ(records: Sequence[Record]) -> bool:
    """Whether the records are of several settings, which no one map can show."""
    settings: list[Mapping[str, object]] = [record.solver.options for record in records]
    return any(options != settings[0] for options in settings)

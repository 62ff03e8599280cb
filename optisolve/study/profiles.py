"""Profiles: evaluations to a target, expected running time, ECDF over targets, performance and data profiles, anytime curves.

Everything here returns tidy tables; `optisolve.plotting` draws them. Targets are fixed losses, never derived from the records
at hand, so that adding a solver changes nobody else's curve (performance profiles excepted, which are relative by definition).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.study.aggregate import targets_of
from optisolve.study.loss import GAP_NOISE, LOSS_CAP, losses_along
from optisolve.study.scored import KEYS, Outcome, ScoredUnits

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "anytime_data",
    "data_profile_data",
    "ecdf_data",
    "expected_runtime",
    "performance_profile_data",
    "runtimes",
]


def runtimes(units: ScoredUnits, targets: Sequence[float] | None = None) -> pd.DataFrame:
    """Evaluations that each unit needed to reach each target.

    A target counts only when the verified final answer meets it, whatever the trace says. Where the trace does not show it (a
    model-based solver states its answer without evaluating it) it counts at the run's last evaluation.

    Args:
        units: All units.
        targets: Losses; None for the measure's own.

    Returns:
        A row per unit with a loss and target: `KEYS`, ``family``, ``target``, ``evaluations`` (infinite when missed),
        ``spent`` (evaluations of the whole run; for a unit without a record what it was allowed) and ``dimension``.
    """
    import pandas as pd

    rows = []
    scored = units.frame[units.frame["loss"].notna()]
    allowed = _allowed(units)
    for unit in _rows(scored):
        scenario = str(unit["scenario"])
        at, losses = _curve(unit)
        spent = unit["evaluations"] if np.isfinite(unit["evaluations"]) else allowed[scenario]
        kept = {key: unit[key] for key in (*KEYS, "family", "dimension")}
        for target in targets_of(units.measures[scenario]) if targets is None else targets:
            needed = float("inf")
            if unit["loss"] <= target + GAP_NOISE:
                hit = np.flatnonzero(losses <= target + GAP_NOISE)
                needed = float(at[hit[0]]) if hit.size else max(1.0, float(unit["evaluations"]))
            rows.append({**kept, "target": float(target), "evaluations": needed, "spent": max(1.0, float(spent))})
    table = pd.DataFrame(rows, columns=[*KEYS, "family", "dimension", "target", "evaluations", "spent"])
    return table.astype(dict.fromkeys(("dimension", "target", "evaluations", "spent"), "float64"))  # also when it is empty


def expected_runtime(times: pd.DataFrame, by: Sequence[str] = ("scenario",)) -> pd.DataFrame:
    """Expected evaluations until a target is reached when unsuccessful runs are repeated.

    Args:
        times: From `runtimes`.
        by: Columns that group the runs besides solver and target, e.g. ``("scenario", "instance")``.

    Returns:
        A row per group, solver and target: ``runs``, ``successes``, ``ert`` = evaluations of all runs, successful ones up to
        the target, per success; infinite without a success.

    Source:
        Hansen, Auger, Mersmann, Tušar and Brockhoff 2016, arXiv 1603.08785; Auger and Hansen 2005,
        doi 10.1109/CEC.2005.1554903.
    """
    reached = np.isfinite(times["evaluations"])
    charged = times.assign(_success=reached, _cost=times["evaluations"].where(reached, times["spent"]))
    table = charged.groupby([*by, "solver", "target"], sort=True, as_index=False).agg(
        runs=("_success", "size"), successes=("_success", "sum"), _cost=("_cost", "sum")
    )
    ert = np.where(table["successes"] > 0, table["_cost"] / table["successes"].clip(lower=1), np.inf)
    return table.drop(columns="_cost").assign(ert=ert)


def ecdf_data(times: pd.DataFrame) -> pd.DataFrame:
    """Share of (run, target) pairs that each solver reached within so many evaluations.

    Args:
        times: From `runtimes`, of the scenarios that one picture shows.

    Returns:
        The steps of one curve per solver: ``solver``, ``evaluations``, ``share``; a solver that reached nothing has one row,
        (1, 0). Runs are not restarted by simulation, so a curve ends where the budget ended.

    Source:
        Hansen, Auger, Brockhoff, Tušar and Tušar 2016, arXiv 1605.03560.
    """
    return _steps(((name, own["evaluations"]) for name, own in times.groupby("solver", sort=True)), "evaluations")


def data_profile_data(times: pd.DataFrame, target: float) -> pd.DataFrame:
    """Share of runs that each solver brought to one target within so many simplex gradients.

    Args:
        times: From `runtimes`.
        target: A loss that is in it.

    Returns:
        ``solver``, ``gradients`` (evaluations / (dimension + 1)), ``share``; steps as in `ecdf_data`.

    Source:
        Moré and Wild 2009, doi 10.1137/080724083. There the target depends on the starting point and on the best solver
        present; here it is a fixed loss, so that a profile does not change with the company.
    """
    chosen = times[np.isclose(times["target"], target, rtol=1e-12)]
    gradients = chosen["evaluations"] / (chosen["dimension"] + 1.0)
    return _steps(((name, own) for name, own in gradients.groupby(chosen["solver"], sort=True)), "gradients", start=0.0)


def performance_profile_data(costs: pd.DataFrame, /) -> pd.DataFrame:
    """Share of problems on which each solver's cost is within a factor of the best solver's.

    Args:
        costs: float64 [n problems, k solvers], positive, infinite where a solver failed; NaN counts as failed. A problem that
            nobody solved stays in the denominator.

    Returns:
        ``solver``, ``ratio`` (>= 1), ``share``; steps as in `ecdf_data`.

    Source:
        Dolan and Moré 2002, doi 10.1007/s101070100263. The order of the curves, the best one excepted, can change when a
        solver is added or removed: Gould and Scott 2016, doi 10.1145/2950048.
    """
    values = costs.to_numpy(dtype=np.float64, na_value=np.inf)
    values = np.where(np.isnan(values), np.inf, values)
    best = values.min(axis=1, keepdims=True, initial=np.inf)
    with np.errstate(invalid="ignore"):
        ratios = np.where(np.isfinite(values), values / best, np.inf)
    return _steps(((str(name), ratios[:, i]) for i, name in enumerate(costs.columns)), "ratio")


def anytime_data(units: ScoredUnits, scenario: str, *, points: int = 64) -> pd.DataFrame:
    """Loss over evaluations, all runs of a scenario together.

    Args:
        units: All units.
        scenario: Which one; it needs losses.
        points: Log-spaced evaluation counts.

    Returns:
        ``solver``, ``evaluations``, ``median``, ``low``, ``high`` (quartiles), ``mean``; a run keeps its last loss after it
        stopped, a failed one has the worst loss throughout, and the last point of a run is its verified answer.
    """
    import pandas as pd

    columns = ["solver", "evaluations", "median", "low", "high", "mean"]
    frame = units.frame[(units.frame["scenario"] == scenario) & units.frame["loss"].notna()]
    if frame.empty:
        return pd.DataFrame(columns=columns)
    last = max(2.0, _allowed(units)[scenario])
    grid = np.unique(np.rint(np.geomspace(1.0, last, points)))
    rows = []
    for solver, own in frame.groupby("solver", sort=True):
        curves = np.array([_on_grid(unit, grid) for unit in _rows(own)])  # [runs, t]
        low, median, high = np.quantile(curves, (0.25, 0.5, 0.75), axis=0)
        mean = curves.mean(axis=0)
        rows += [(solver, *row) for row in zip(grid, median, low, high, mean, strict=True)]
    return pd.DataFrame(rows, columns=columns)


def _curve(unit: Mapping[str, Any]) -> tuple[FloatArray, FloatArray]:
    return losses_along(unit["record"]) if unit["outcome"] == Outcome.OK else (np.empty(0), np.empty(0))


def _on_grid(unit: Mapping[str, Any], grid: FloatArray) -> FloatArray:
    at, losses = _curve(unit)
    if unit["outcome"] == Outcome.OK:
        end = max(1.0, unit["evaluations"], *at[-1:])
        at, losses = np.append(at, end), np.append(losses, unit["loss"])
    index = np.searchsorted(at, grid, side="right") - 1
    curve: FloatArray = np.append(losses, LOSS_CAP)[index]  # index -1, before the first point, is the worst loss
    return curve


def _steps(samples: Iterator[tuple[Any, Any]], column: str, *, start: float = 1.0) -> pd.DataFrame:
    """Empirical distribution functions; infinite values stay in the denominator."""
    import pandas as pd

    rows: list[tuple[str, float, float]] = []
    for name, sample in samples:
        values = np.asarray(sample, dtype=np.float64)
        at, counts = np.unique(values[np.isfinite(values)], return_counts=True)
        shares = np.cumsum(counts) / max(1, values.size)
        rows.append((str(name), start, 0.0))
        rows += [(str(name), float(x), float(share)) for x, share in zip(at, shares, strict=True)]
    return pd.DataFrame(rows, columns=["solver", column, "share"])


def _allowed(units: ScoredUnits) -> dict[str, float]:
    """Evaluations that a run of each scenario may spend; the most that one did spend where there is no limit."""
    frame = units.frame.assign(most=units.frame[["evaluations", "evaluation_limit"]].max(axis=1))
    most = frame.groupby("scenario")["most"].max().fillna(1.0)
    return {str(name): float(value) for name, value in most.items()}


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]

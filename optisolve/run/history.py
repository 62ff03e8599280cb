"""What a run did, point by point: the table of everything that was evaluated, and how far two runs are the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np

from optisolve.core.budget import Budget
from optisolve.core.errors import SolverError
from optisolve.core.problem import FAILED_VIOLATION, Instance
from optisolve.run import evaluator
from optisolve.run.evaluator import KEPT_BYTES, trace_rows
from optisolve.run.schema import TraceRow

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["HISTORY_FILE", "History", "common_beginning", "history_columns", "history_file", "keeps"]

HISTORY_FILE = "history.parquet"

History: TypeAlias = Literal["none", "all"]
"""Which evaluated points a run keeps."""


def keeps(history: str, instance: Instance, budget: Budget) -> bool:
    """Whether a run keeps every point.

    Raises:
        SolverError: Neither word; or all points of the budget would take more memory than `KEPT_BYTES`.
    """
    if history not in get_args(History):
        raise SolverError(f"history is {history!r}, expected 'none', or 'all' for every evaluated point.")
    if history == "none":
        return False
    width = instance.space.dim + len(instance.constraint_names) + len(instance.equality_names)
    needed = 8 * width * (budget.evaluations or 0)
    if needed > KEPT_BYTES:
        most, limit = KEPT_BYTES // (8 * width), KEPT_BYTES / 2**30
        raise SolverError(
            f"history = 'all' would take {needed / 2**30:.1f} GiB for {budget.evaluations:,} points of {width} numbers; "
            f"at most {limit:g} GiB are kept. Set budget.evaluations to at most {most:,}, or leave history out."
        )
    return True


def history_columns(instance: Instance) -> list[str]:
    """Names of the columns, in the order of the file."""
    values = [*(o.name for o in instance.objectives), *instance.space.names]
    constraints = [*(f"G.{name}" for name in instance.constraint_names), *(f"H.{name}" for name in instance.equality_names)]
    return ["evaluation", "source", "seconds", *values, *constraints]


def history_file(instance: Instance, history: evaluator.History) -> bytes:
    """Every evaluated point as a Parquet file.

    Args:
        instance: What was solved.
        history: A history that keeps points.

    Returns:
        The file: evaluation (1, 2, ...), source, seconds, objectives in the problem's own senses, variables, constraints.
        Objectives and constraints of a point that the model could not evaluate are NaN.
    """
    return _table(instance, history).to_parquet(index=False)


def _table(instance: Instance, history: evaluator.History) -> pd.DataFrame:
    import pandas as pd

    n, m, d = len(history), len(instance.objectives), instance.space.dim
    k, p = len(instance.constraint_names), len(instance.equality_names)
    values = np.empty((n, m + d + k + p))
    values[:, :m] = history.F_min * instance.signs
    at = 0
    for X, G, H in history.points or ():
        values[at : at + X.shape[0], m:] = np.hstack([X, G, H])
        at += X.shape[0]
    failed = history.violation >= FAILED_VIOLATION
    values[failed, :m] = np.nan
    values[failed, m + d :] = np.nan
    columns = history_columns(instance)
    table = pd.DataFrame(values, columns=columns[3:])
    evaluation = np.arange(1, n + 1)
    sources = pd.Categorical.from_codes(history.source, pd.Index(history.sources, dtype=str))
    first = pd.DataFrame({columns[0]: evaluation, columns[1]: sources, columns[2]: history.seconds_at(evaluation)})
    return pd.concat([first, table], axis=1)


def common_beginning(instance: Instance, history: evaluator.History, trace: Sequence[TraceRow]) -> int:
    """Evaluations up to which the curve of an earlier run is that of a history: same values and violations, row by row."""
    n = min(trace[-1][0], len(history)) if trace else 0
    agreed = 0
    for row, again in zip(trace, trace_rows(instance, history.first(n)), strict=False):
        if (row[0], *row[2:]) != (again[0], *again[2:]):
            break
        agreed = row[0]
    return agreed

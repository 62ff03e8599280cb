"""The Python interface: load a problem, solve it, verify what came out, read records."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from optisolve.bench.audit import Audit, audit_record
from optisolve.bench.records import load_records, read_record
from optisolve.bench.replay import replay
from optisolve.bench.solve import DEFAULT_BUDGET, solve
from optisolve.core.problem import Problem
from optisolve.core.solver import Solver
from optisolve.registry import PROBLEMS, SOLVERS, make_problem, make_solver

__all__ = [
    "DEFAULT_BUDGET",
    "list_problems",
    "list_solvers",
    "load_problem",
    "load_records",
    "load_solver",
    "replay",
    "solve",
    "verify",
]


def list_problems() -> tuple[str, ...]:
    """Names of all scenarios and problem plug-ins."""
    return PROBLEMS.choices()


def list_solvers() -> tuple[str, ...]:
    """Names of all presets and solver plug-ins."""
    return SOLVERS.choices()


def load_problem(name: str, **params: Any) -> Problem:
    """A problem by scenario name.

    Args:
        name: E.g. ``"uav_isac"`` or ``"uav_isac/dense"``.
        **params: Parameters that replace the scenario's.

    Raises:
        UnknownNameError: No such scenario; the nearest name is suggested.
        OptionError: Unknown or bad parameters, all in one message.
    """
    return make_problem(name, params)


def load_solver(name: str, **options: Any) -> Solver:
    """A solver by preset name; the errors are those of `load_problem`."""
    return make_solver(name, options)


def verify(record: Mapping[str, Any] | str | os.PathLike[str]) -> Audit:
    """Check a record against independent code: hashes, instance, points, objectives, scores, budget.

    Args:
        record: A record, its file, or its folder.

    Returns:
        The audit; it is true when nothing was found.

    Raises:
        RecordError: The file is missing or is not a record at all.
    """
    return audit_record(record if isinstance(record, Mapping) else read_record(record), PROBLEMS)

"""The Python interface: load a problem, solve it, verify what came out, read records."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from optisolve.bench.audit import Audit, Auditor, ReferenceMaker
from optisolve.bench.records import load_records
from optisolve.bench.replay import replay
from optisolve.bench.solve import DEFAULT_BUDGET, solve
from optisolve.core.errors import RecordError
from optisolve.core.problem import Problem
from optisolve.core.reference import Effort
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


def verify(
    record: Mapping[str, Any] | str | os.PathLike[str], *, reproduce: bool | None = None, effort: str | None = "quick"
) -> Audit:
    """Check a record against independent code: layout, hashes, instance, points, scores, reference, usage, suite.

    Args:
        record: A record, its file, or its folder. Only a file is checked with what stands beside it (transcript, tables).
        reproduce: Run it again and compare ``result_hash``; None does so when the record claims to be reproduced.
        effort: Most work spent on making its reference again: ``"quick"``, ``"normal"``, ``"thorough"``, or None for none.

    Returns:
        The audit; it is true when nothing was found, and tells the tier that was shown.

    Raises:
        RecordError: There is no such file.
    """
    references = ReferenceMaker(None if effort is None else Effort(effort))
    auditor = Auditor(PROBLEMS, SOLVERS, references, reproduce=reproduce)
    if isinstance(record, Mapping):
        return auditor.record(record)
    path = Path(record)
    file = path / "record.json" if path.is_dir() else path
    if not file.exists():
        raise RecordError(f"{file}: does not exist. Give a record.json or the folder that holds it.")
    return auditor.file(file)

"""LLM-driven network optimization: problems, solvers, certified references, records that can be trusted.

>>> import optisolve
>>> instance = optisolve.load_problem("uav_isac").instance(seed=7)
>>> result = optisolve.solve(instance, solver="moead_de", budget=optisolve.Budget(evaluations=2000), seed=1)
>>> result.front, result.hypervolume, result.result_hash  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from optisolve.version import __version__

if TYPE_CHECKING:
    from optisolve.core import UNLIMITED, Budget, Evidence, Instance, Limit, PointStatus, Problem, Solver, Termination
    from optisolve.core.errors import OptisolveError
    from optisolve.core.functional import problem
    from optisolve.registry import list_problems, list_solvers, load_problem, load_solver
    from optisolve.run.execution import Progress
    from optisolve.run.open_run import OpenRun, start
    from optisolve.run.plot import plot
    from optisolve.run.prepared import prepare
    from optisolve.run.records import load_records
    from optisolve.run.solve import Result, solve
    from optisolve.study.episodes import episode
    from optisolve.trust.audit import verify
    from optisolve.trust.replay import replay

__all__ = [
    "UNLIMITED",
    "Budget",
    "Evidence",
    "Instance",
    "Limit",
    "OpenRun",
    "OptisolveError",
    "PointStatus",
    "Problem",
    "Progress",
    "Result",
    "Solver",
    "Termination",
    "__version__",
    "episode",
    "list_problems",
    "list_solvers",
    "load_problem",
    "load_records",
    "load_solver",
    "plot",
    "prepare",
    "problem",
    "replay",
    "solve",
    "start",
    "verify",
]

# Importing the package loads nothing heavy; a name is looked up where it lives when it is first used.
_HOMES = {
    "optisolve.core": (
        "UNLIMITED",
        "Budget",
        "Evidence",
        "Instance",
        "Limit",
        "PointStatus",
        "Problem",
        "Solver",
        "Termination",
    ),
    "optisolve.core.errors": ("OptisolveError",),
    "optisolve.core.functional": ("problem",),
    "optisolve.registry": ("list_problems", "list_solvers", "load_problem", "load_solver"),
    "optisolve.run.execution": ("Progress",),
    "optisolve.run.open_run": ("OpenRun", "start"),
    "optisolve.run.plot": ("plot",),
    "optisolve.run.prepared": ("prepare",),
    "optisolve.run.records": ("load_records",),
    "optisolve.run.solve": ("Result", "solve"),
    "optisolve.study.episodes": ("episode",),
    "optisolve.trust.audit": ("verify",),
    "optisolve.trust.replay": ("replay",),
}
_HOME_OF = {name: home for home, members in _HOMES.items() for name in members}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'optisolve' has no attribute '{name}'")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

"""The process that carries out units, one after another: ``python -m optisolve.study.runner.child``.

See `optisolve.run.child`; what a solver prints goes to standard error.
"""

from __future__ import annotations

import errno
import json
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from optisolve.core.budget import Budget
from optisolve.core.documents import JsonObject, canonical, write_atomic
from optisolve.core.errors import OptisolveError
from optisolve.core.problem import Instance
from optisolve.core.reference import Effort, Reference
from optisolve.run.child import serve
from optisolve.run.environment import forget_peak_memory
from optisolve.run.execution import Progress, now_and_then
from optisolve.study.runner.plan import StaleWorker, Unit

__all__ = ["SPENDING", "carry_out", "main"]

SPENDING = "spending.json"
"""Beside a record: rows of evaluations, calls, tokens and US dollars so far, of a unit that asks a language model."""

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_NEEDED_BY_ALL = ("optisolve.run.solve", "moocore", "pandas", "pyarrow.parquet")
"""Imported before the first unit, which is not charged for it."""


def main() -> None:
    """Answer orders until standard input ends."""
    serve(lambda: [import_module(name) for name in _NEEDED_BY_ALL], _answered)


def _answered(order: dict[str, Any]) -> JsonObject:
    return _answer(Unit(**order["unit"]), Path(order["scratch"]))


def carry_out(unit: Unit, scratch: Path) -> Path:
    """Run one unit in this process.

    Args:
        unit: What to run.
        scratch: Folder of this unit; a transcript in it from an interrupted run is continued.

    Returns:
        The folder inside `scratch` with the record and what belongs to it.

    Raises:
        OptisolveError: The solver broke before its first evaluation, or a language model cannot be had.
        StaleWorker: This machine has other versions than the unit was planned with.
    """
    from optisolve.registry import SOLVERS
    from optisolve.run.solve import solve

    solver = SOLVERS.get(unit.solver).from_mapping(unit.options)
    _require("solver", unit.solver, unit.solver_version, solver.info.version)
    where = (unit.problem, unit.problem_version, unit.scenario, canonical(unit.params).decode())
    instance, reference = _instance(*where, unit.instance, unit.effort, unit.file)
    _require("instance", f"{unit.case} {unit.instance}", unit.instance_sha256, instance.sha256)
    forget_peak_memory()
    work, spent = scratch / "work", _Spending()
    result = solve(
        instance,
        solver,
        budget=Budget.from_mapping(unit.budget),
        seed=unit.seed,
        llm=unit.model(),
        reference=reference,
        callback=None if unit.llm is None else now_and_then(spent),
        scratch=None if unit.llm is None else work,
        suite=unit.membership(),
        warm_start=None if unit.warm_start is None else np.array(unit.warm_start, dtype=np.float64),
        notes=unit.notes,
    )
    if unit.llm is not None:
        work.mkdir(parents=True, exist_ok=True)  # nobody has where no model was asked (llm: none)
        write_atomic(work / SPENDING, canonical(spent.rows))
    return result.save(scratch)


class _Spending:
    """Notes a few times a second what the language model has cost so far."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int, int, float]] = []

    def __call__(self, state: Progress) -> None:
        self.rows.append((state.evaluations, state.llm_calls, state.llm_tokens, state.usd))


@lru_cache(maxsize=4)
def _instance(
    problem: str, version: str, scenario: str, params: str, seed: int, effort: str | None, file: str
) -> tuple[Instance, Reference | None]:
    """Instance and reference; units of one instance come one after another and share them."""
    from optisolve.registry import PROBLEMS

    cls = (PROBLEMS.beside(file) if file else PROBLEMS).get(problem)
    _require("problem", problem, version, cls.version)
    family = cls.from_mapping({**json.loads(params), "scenario": scenario}, title=f"problem '{scenario}'")
    instance = family.instance(seed)
    return instance, None if effort is None else family.reference(instance, Effort(effort))


def _require(kind: str, name: str, planned: str, here: str) -> None:
    if planned != here:
        raise StaleWorker(
            f"{kind} {name} is {here} on this worker, but the suite was planned with {planned}. "
            "Install the same version of optisolve on every machine."
        )


def _answer(unit: Unit, scratch: Path) -> dict[str, Any]:
    try:
        return {"folder": str(carry_out(unit, scratch))}
    except StaleWorker as error:
        return {"stale": str(error)}
    except MemoryError as error:
        return {"error": f"out of memory: {error}", "kind": "memory"}
    except OSError as error:
        if error.errno in _NO_ROOM:  # says nothing about the solver
            return {"full": [error.errno, error.strerror, error.filename]}
        return {"error": f"{type(error).__name__}: {error}", "kind": "error"}
    except Exception as error:  # a plug-in may raise anything; the unit counts as failed
        kind = "" if isinstance(error, OptisolveError) else f"{type(error).__name__}: "
        return {"error": f"{kind}{error}", "kind": "error"}


if __name__ == "__main__":
    main()

"""Runs of a quality script that are kept: asked for again, they are read, so a script goes on where it was stopped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optisolve
from optisolve.run.jobs import join_job
from optisolve.run.records import read_record
from optisolve.run.schema import Record


def kept_record(
    out: Path | None,
    instance: optisolve.Instance,
    solver: str,
    change: Mapping[str, Any],
    *,
    budget: optisolve.Budget,
    seed: int,
    llm: Mapping[str, Any],
) -> Record:
    """The record of one run, made or found.

    Args:
        out: Folder of the runs; None keeps nothing.
        instance: What to solve.
        solver: Preset name.
        change: Options that replace the preset's.
        budget: Limits.
        seed: The run's seed.
        llm: Kind and settings of the language model; solvers that use none ignore it.
    """
    from optisolve.llm.config import llm_config

    method = optisolve.load_solver(solver, **change)
    asks = method.info.uses_llm
    model: Any = llm_config(**llm) if asks else "surrogate"
    if out is None:
        return optisolve.solve(instance, method, budget=budget, seed=seed, llm=model).record
    origin = instance.origin
    told = {
        "solver": [method.info.name, method.info.version, dict(change)],
        "problem": [origin.problem, origin.scenario, origin.seed],
        "budget": budget.options(),
        "seed": seed,
        **({"llm": dict(llm)} if asks else {}),
    }
    held = join_job(out, f"{solver}.{origin.problem}.s{seed}", told)
    if isinstance(held, Path):
        return read_record(held)
    result = optisolve.solve(instance, method, budget=budget, seed=seed, llm=model, scratch=held.path)
    held.release(at=result.save(out))
    return result.record

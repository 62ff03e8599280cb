"""Re-derive a run from its record: same settings, language-model replies from the transcript."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from optisolve.core.documents import JsonObject
from optisolve.core.errors import RecordError
from optisolve.core.problem import Problem
from optisolve.core.reference import Effort
from optisolve.core.solver import Solver
from optisolve.core.status import Limit, Termination
from optisolve.core.workers import Workers
from optisolve.llm.config import NoLlm, SurrogateLlm, llm_config
from optisolve.registry import PROBLEMS, SOLVERS, Registry
from optisolve.run.environment import environment, reproduction_of
from optisolve.run.execution import Callback
from optisolve.run.rebuild import rebuild
from optisolve.run.records import read_record
from optisolve.run.schema import EnvironmentPart, Record, Reproduction, Tier
from optisolve.run.solve import Result, solve

__all__ = ["Replay", "agrees", "close", "difference", "other_platform", "platform_of", "replay", "replay_record", "tier_of"]


@dataclass(frozen=True, slots=True)
class Replay:
    """Outcome of a replay.

    Attributes:
        result: The re-derived run; its record's tier is ``reproduced`` when the hashes agree.
        same: The ``result_hash`` agrees.
        reason: Which part differs, "" when nothing does.
        rounding: The hash differs, yet everything that was asked, spent and reached agrees up to rounding.
        platform: What differs between the machine of the record and this one, in words; "" when its record says that its
            kernels and packages are those of this machine.
    """

    result: Result
    same: bool
    reason: str
    rounding: bool = False
    platform: str = ""


def replay(path: Path, *, problem: Problem | str | None = None) -> Replay:
    """Run a record again without its language model.

    Args:
        path: A record.json or its folder; ``transcript.jsonl`` stands beside it when a model was used.
        problem: The problem, where it is none that is installed: itself, or ``FILE.py:NAME``.

    The surrogate, which is no language model, needs no transcript and is given none: it answers the same again.

    Raises:
        RecordError: The record or its transcript is missing or damaged, or the run was cut short by the user or the clock,
            which cannot be repeated exactly.
    """
    folder, problems = path if path.is_dir() else path.parent, PROBLEMS if problem is None else PROBLEMS.beside(problem)
    return replay_record(read_record(path), folder, effort=Effort.QUICK, problems=problems)


def replay_record(
    record: Record,
    folder: Path | None,
    *,
    effort: Effort | None = None,
    problems: Registry[Problem] = PROBLEMS,
    solvers: Registry[Solver] = SOLVERS,
) -> Replay:
    """The same for a record in memory.

    Args:
        record: The record.
        folder: Where its ``transcript.jsonl`` stands; None when there is none.
        effort: Work on the reference of the new record; None makes none, which changes no ``result_hash``.
        problems: Where to find problems.
        solvers: Where to find solvers.

    Raises:
        RecordError: As `replay`.
    """
    _require_repeatable(record)
    problem, instance = rebuild(record.instance, problems)
    solver = solvers.get(record.solver.name).from_mapping(record.solver.options)
    result = solve(
        instance,
        solver,
        budget=record.budget.limits(),
        seed=record.seed,
        llm=_replay_config(record, folder),
        warm_start=None if record.warm_start is None else np.array(record.warm_start),
        callback=_same_stop(record),
        notes=record.notes,
        reference=None if record.reference is None or effort is None else problem.reference(instance, effort),
        suite=record.suite.to_json(),
        workers=_same_limits(record),
    )
    same = result.result_hash == record.result_hash
    if same:
        shown = result.record.with_provenance(tier=tier_of(record))
        return Replay(result.with_record(shown), True, "")
    told = difference(record, result.record), agrees(record, result.record), other_platform(record)
    return Replay(result, False, *told)


def tier_of(record: Record) -> Tier:
    """What a second run that gave the same shows: less where the replies of a language model had to be taken on trust."""
    model = record.solver.llm
    return Tier.REPRODUCED if model is None or model.provider == SurrogateLlm.kind else Tier.REPLAYED


def other_platform(record: Record, *, problems: Registry[Problem] = PROBLEMS, solvers: Registry[Solver] = SOLVERS) -> str:
    """What differs between the machine that a record names and this one, as far as the last bits of its run depend on it.

    Args:
        record: Its ``env`` is its own word: it can excuse a difference and never show that a run is true. Kernels of BLAS
            excuse nothing where solver and problem are declared portable.
        problems: Where to find problems.
        solvers: Where to find solvers.
    """
    there, here = (platform_of(part) for part in (record.env, environment()))
    portable = reproduction_of(record.solver, record.instance.problem, problems=problems, solvers=solvers)
    differing = [
        name
        for name in sorted(there.keys() | here.keys())
        if there.get(name) != here.get(name) and not (portable is Reproduction.BIT_FOR_BIT and name.startswith(_BLAS))
    ]
    return ", ".join(f"{name}: {there.get(name, 'unknown')} there, {here.get(name, 'none')} here" for name in differing)


def platform_of(env: EnvironmentPart) -> dict[str, str]:
    """What the last bits of a run depend on, by name: the kernels that libraries chose, and versions of packages."""
    return {**{f"kernels of {name}": value for name, value in env.kernels.items()}, **env.packages}


def _require_repeatable(record: Record) -> None:
    termination = record.termination
    if termination.status is Termination.INTERRUPTED or termination.limit is Limit.TIME:
        cut = "the user" if termination.status is Termination.INTERRUPTED else "the clock"
        raise RecordError(f"{record.record_id}: the run was stopped by {cut}, so it cannot be repeated exactly.")
    if (who := record.provenance.workers) is not None and who.asynchronous:
        raise RecordError(f"{record.record_id}: the run was asynchronous, so its seed does not repeat it.")


def _same_limits(record: Record) -> Workers:
    """One worker, with the limits of an evaluation that the run had."""
    who = record.provenance.workers
    if who is None:
        return Workers()
    return Workers(1, evaluation_limit_s=who.evaluation_limit_s, evaluation_limit_mb=who.evaluation_limit_mb)


def _same_stop(record: Record) -> Callback | None:
    """Stops where the callback of a run has stopped it, which counts as the run's own end."""
    if record.termination.status is not Termination.STOPPED:
        return None
    return lambda progress: progress.evaluations >= record.used.evaluations


def _replay_config(record: Record, folder: Path | None) -> Any:
    model = record.solver.llm
    if model is None:
        return llm_config(NoLlm.kind)
    if model.provider == SurrogateLlm.kind:  # it answers the same again, so a file of replies is not believed
        return llm_config(SurrogateLlm.kind, **model.params)
    transcript = (folder or Path()) / "transcript.jsonl"
    if folder is not None and transcript.is_file():
        return llm_config("replay", transcript=str(transcript))
    raise RecordError(f"{transcript}: missing; the replies of the language model stand in this file.")


_BLAS = "kernels of blas."
"""How the names of kernels begin that a portable run does not depend on."""

_MAY_DIFFER = (
    "wall_s",
    "cpu_s",
    "peak_mb",
    "seconds_by_source",
    "code",
    "by",
    "igd_plus",
    "gap",
    "bound_gap",
    "gap_scale",
    "tie",
)


def difference(old: Record, new: Record) -> str:
    """The first part in which two records of the same run differ, in words."""
    for key in ("instance", "solver", "budget", "used", "termination", "solutions", "verified", "scores"):
        for name, value in getattr(old, key):
            if value != getattr(getattr(new, key), name) and name not in _MAY_DIFFER:
                return f"'{key}.{name}' differs"
    return "the trace differs"


def agrees(old: Record, new: Record) -> bool:
    """Two runs of the same settings that differ by rounding alone: same course, same counts, same values to nine digits."""
    (asked, spent, reached), (asked_again, spent_again, reached_again) = (
        (_asked(record), _spent(record), _reached(record)) for record in (old, new)
    )
    return asked == asked_again and close(spent, spent_again, _COURSE) and close(reached, reached_again, _OUTCOME)


def _asked(record: Record) -> JsonObject:
    return record.model_dump(
        include=dict.fromkeys(("suite", "instance", "solver", "seed", "budget", "termination"), True),
        exclude={"solver": {"code", "llm"}},
    )


def _spent(record: Record) -> JsonObject:
    return {
        "used": record.used.model_dump(exclude={"wall_s", "cpu_s", "peak_mb", "seconds_by_source", "report"}),
        "trace": [[row[0], *row[2:]] for row in record.trace],
        "llm": None if record.solver.llm is None else record.solver.llm.to_json(),
        "claimed": record.solutions.claimed.dual_bound,
    }


def _reached(record: Record) -> JsonObject:
    scores = record.scores.model_dump(include={"hypervolume", "objective"})
    return {"verified": record.verified.model_dump(include={"F", "feasible", "counts"}), "scores": scores}


_OUTCOME = 1e-9
_COURSE = 1e-7
"""Relative agreement of what was reached, and of traces and gains, which are sums by the fast kernel."""


def close(told: Any, again: Any, tolerance: float) -> bool:
    """Whether parsed JSON is the same, numbers with a fraction up to a relative tolerance."""
    if isinstance(told, Mapping) and isinstance(again, Mapping):
        return set(told) == set(again) and all(close(told[key], again[key], tolerance) for key in told)
    if isinstance(told, list) and isinstance(again, list):
        return len(told) == len(again) and all(close(a, b, tolerance) for a, b in zip(told, again, strict=True))
    if isinstance(told, float) or isinstance(again, float):
        numbers = isinstance(told, (int, float)) and isinstance(again, (int, float))
        return numbers and math.isclose(told, again, rel_tol=tolerance, abs_tol=tolerance * tolerance)
    return bool(told == again)

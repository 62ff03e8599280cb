"""Re-derive a run from its record: same settings, language-model replies from the transcript."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from optisolve.bench.audit import rebuild
from optisolve.bench.audit.findings import Findings
from optisolve.bench.audit.layout import check_layout
from optisolve.bench.records import read_record, seal
from optisolve.bench.result import Result
from optisolve.bench.solve import solve
from optisolve.core.budget import Budget
from optisolve.core.errors import RecordError
from optisolve.core.problem import Problem
from optisolve.core.reference import Effort
from optisolve.core.solver import Solver
from optisolve.registry import PROBLEMS, SOLVERS, Registry

__all__ = ["Replay", "replay", "replay_record"]

_MOST_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Replay:
    """Outcome of a replay.

    Attributes:
        result: The re-derived run; its record's tier is ``reproduced`` when the hashes agree.
        same: The ``result_hash`` agrees.
        reason: Which part differs, "" when nothing does.
    """

    result: Result
    same: bool
    reason: str


def replay(path: Path) -> Replay:
    """Run a record again without its language model.

    Args:
        path: A record.json or its folder; ``transcript.jsonl`` stands beside it when a model was used.

    The surrogate, which is no language model, needs no transcript: it answers the same again.

    Raises:
        RecordError: The record or its transcript is missing or damaged, or the run was cut short by the user or the clock,
            which cannot be repeated exactly.
    """
    record, found = read_record(path), Findings()
    if not check_layout(record, found):
        told = "\n".join(f"  - {problem}" for problem in found.problems[:_MOST_SHOWN])
        raise RecordError(f"{path}: not a whole record:\n{told}")
    return replay_record(record, path if path.is_dir() else path.parent, effort=Effort.QUICK)


def replay_record(
    record: Mapping[str, Any],
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
    problem, instance = rebuild(record, problems)
    solver = solvers.get(record["solver"]["name"]).from_mapping(record["solver"]["options"])
    result = solve(
        instance,
        solver,
        budget=Budget.from_mapping(record["budget"]),
        seed=record["seed"],
        llm=_replay_config(record, folder),
        warm_start=np.array(record["warm_start"]) if "warm_start" in record else None,
        reference=None if record["reference"] is None or effort is None else problem.reference(instance, effort),
        suite=record["suite"],
    )
    same = result.result_hash == record["result_hash"]
    if same:
        result.record["provenance"]["tier"] = "reproduced"
        seal(result.record)
    return Replay(result, same, "" if same else _difference(record, result.record))


def _require_repeatable(record: Mapping[str, Any]) -> None:
    termination = record["termination"]
    if termination["status"] == "interrupted" or termination["limit"] == "time":
        cut = "the user" if termination["status"] == "interrupted" else "the clock"
        raise RecordError(f"{record['record_id']}: the run was stopped by {cut}, so it cannot be repeated exactly.")


def _replay_config(record: Mapping[str, Any], folder: Path | None) -> Any:
    model = record["solver"]["llm"]
    if model is None:
        return None
    from optisolve.llm.config import SurrogateLlm, llm_config

    transcript = (folder or Path()) / "transcript.jsonl"
    if folder is not None and transcript.is_file():
        return llm_config("replay", transcript=str(transcript))
    if model["provider"] == SurrogateLlm.kind:
        return llm_config(SurrogateLlm.kind, **model["params"])
    raise RecordError(f"{transcript}: missing; the replies of the language model stand in this file.")


_MAY_DIFFER = ("wall_s", "cpu_s", "peak_mb", "code", "by", "igd_plus", "gap", "bound_gap", "gap_scale", "tie")


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    for key in ("instance", "solver", "seed", "budget", "used", "termination", "solutions", "verified", "scores"):
        left, right = old[key], new[key]
        if isinstance(left, dict):
            differing = [name for name in left if left[name] != right.get(name) and name not in _MAY_DIFFER]
            if differing:
                return f"'{key}.{differing[0]}' differs"
        elif left != right:
            return f"'{key}' differs"
    return "the trace differs"

"""``resume=DIR``: which run is meant, and is there anything left to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from optisolve.cli.display import print_note
from optisolve.core.errors import OptisolveError
from optisolve.core.problem import FROM_FILES
from optisolve.core.status import Limit, Termination
from optisolve.registry import load_problem
from optisolve.run.jobs import FINISHED_LATER, SUFFIX, read_job, unfinished
from optisolve.run.records import read_record
from optisolve.run.result import Result
from optisolve.run.schema import ContinuedPart, Record
from optisolve.run.trace import common_beginning

__all__ = ["Resolved", "asked", "continued", "how_to_prolong", "resolve"]

_HOW_SHOWN = ("out", "pictures", "print", "reference", "controls", "resume", "trust")
"""Settings that do not change what a run finds."""


def asked(values: Mapping[str, Any], problem: str, solver: str, uses_llm: bool) -> dict[str, Any]:
    """What a run is asked to do, JSON-compatible; equal for every start of the same run.

    Args:
        values: The composed configuration.
        problem: Scenario name.
        solver: Preset name.
        uses_llm: The solver asks a language model.
    """
    return {
        "problem": {"name": problem, **_self_contained(values, problem)},
        "instance": values["instance"],
        "solver": {"name": solver, **values["solver"]},
        "llm": values["llm"] if uses_llm else None,
        "budget": values["budget"],
        "seed": values["seed"],
    }


def _self_contained(values: Mapping[str, Any], problem: str) -> dict[str, Any]:
    """Parameters with what is in a file in place of its path: however it is spelled the run is the same, also without it."""
    given = values["problem"]
    if all(given.get(name) is None for name in FROM_FILES):
        return dict(given)
    origin = load_problem(problem, **given).instance(values["instance"]).origin
    return {**given, **origin.params}


class Resolved(NamedTuple):
    """Which run ``resume=DIR`` means.

    Attributes:
        values: Configuration.
        problem: Scenario name.
        solver: Preset name.
        continues: Folder of the finished run that is to be prolonged, None in all other cases.
        finished: Folder of a finished run of which nothing is left to do, None in all other cases.
    """

    values: dict[str, Any]
    problem: str
    solver: str
    continues: Path | None = None
    finished: Path | None = None


def resolve(values: dict[str, Any], problem: str, solver: str, given: Sequence[str]) -> Resolved:
    """Settings of the run that ``resume=DIR`` means.

    DIR is an output folder (``true`` means `out`), the folder of one unfinished run inside it, or the folder of a record.
    With no other setting the unfinished run's own settings are taken; with settings the unfinished run of these settings, or
    else a new one. A record's run is finished, goes on where it was stopped, or, given a larger budget, is prolonged.

    Args:
        values: The composed configuration.
        problem: Scenario name.
        solver: Preset name.
        given: Keys that the user set herself.

    Raises:
        OptisolveError: DIR does not say which run, or `out` names another folder.
    """
    folder = Path(values["out"] if values["resume"] is True else str(values["resume"]))
    recorded = (folder / "record.json").is_file()
    chosen = [key for key in given if key.split(".")[0] not in _HOW_SHOWN]
    out = folder.parent if recorded or folder.suffix == SUFFIX else folder
    if "out" in given and Path(values["out"]).resolve() != out.resolve():
        raise OptisolveError(f"resume={folder} continues in {out}, but out={values['out']} was given; leave out away.")
    values = {**values, "out": str(out), "resume": str(folder)}
    if recorded:
        return _of_record(values, folder, problem, solver, chosen)
    if folder.suffix == SUFFIX:
        return _adopted(values, folder, problem, solver, chosen)
    waiting = unfinished(out)
    if chosen or not waiting:
        return Resolved(values, problem, solver)
    if len(waiting) > 1:
        names = "\n".join(f"  - {path}" for path in waiting)
        raise OptisolveError(f"resume={folder} holds {len(waiting)} unfinished runs; name one, or give its settings:\n{names}")
    return _adopted(values, waiting[0], problem, solver, chosen)


def _of_record(values: dict[str, Any], folder: Path, problem: str, solver: str, chosen: Sequence[str]) -> Resolved:
    """A run that has a record: nothing is left to do, it was stopped and goes on, or it gets more than it had."""
    termination = read_record(folder).termination
    budget = [key.partition(".")[2] for key in chosen if key.startswith("budget.")]
    if termination.status not in FINISHED_LATER and not chosen:
        return Resolved(values, problem, solver, finished=folder)
    if not (folder / "job.json").is_file():
        raise OptisolveError(f"resume={folder}: optisolve run did not write it (no job.json), so its settings are not known.")
    had = _run_settings(folder)["budget"]
    wanted = {**had, **{key: values["budget"][key] for key in budget}}
    less = [key for key in wanted if _amount(wanted[key]) < _amount(had[key])]
    if less:
        told = ", ".join(f"budget.{key}={wanted[key]} (it had {had[key]})" for key in less)
        raise OptisolveError(f"resume={folder}: a run is prolonged by a larger budget, not by {told}.")
    values = {**values, "budget": wanted}
    resolved = _adopted(values, folder, problem, solver, [key for key in chosen if not key.startswith("budget.")])
    resolved = resolved._replace(values={**resolved.values, "budget": wanted})
    if termination.status in FINISHED_LATER:
        return resolved
    if wanted == had or termination.status != Termination.LIMIT:
        return resolved._replace(finished=folder)
    return resolved._replace(continues=folder)


def _amount(limit: float | None) -> float:
    return float("inf") if limit is None else limit


def _run_settings(folder: Path) -> dict[str, Any]:
    """What stands in the folder of a run that this command line started."""
    job = read_job(folder)
    groups = {"problem": "name", "solver": "name", **({} if job.get("llm") is None else {"llm": "kind"})}
    lacking = [key for key in ("problem", "instance", "solver", "llm", "budget", "seed") if key not in job]
    lacking += [f"{g}.{key}" for g, key in groups.items() if g in job and not isinstance(_get(job[g], key), str)]
    if lacking:
        raise OptisolveError(f"{folder / 'job.json'}: lacks {', '.join(lacking)}; optisolve run did not write it.")
    return job


def _get(group: Any, key: str) -> Any:
    return group.get(key) if isinstance(group, dict) else None


def _adopted(values: dict[str, Any], folder: Path, problem: str, solver: str, chosen: Sequence[str]) -> Resolved:
    """The settings that stand in an unfinished run's folder; the user's own must not differ."""
    job = _run_settings(folder)
    own = asked(values, problem, solver, job["llm"] is not None)
    differing = [key for key in own if any(c.split(".")[0] == key for c in chosen) and own[key] != job[key]]
    if differing:
        raise OptisolveError(
            f"resume={folder}: that run had another {', '.join(differing)}. Give the same settings, give none, or start a run "
            "of its own."
        )
    told: dict[str, Any] = {key: job[key] for key in ("instance", "budget", "seed")}
    told.update({key: {k: v for k, v in job[key].items() if k != "name"} for key in ("problem", "solver")})
    if job["llm"] is not None:
        told["llm"] = job["llm"]
    return Resolved({**values, **told}, job["problem"]["name"], job["solver"]["name"])


def how_to_prolong(record: Record, folder: Path) -> str:
    """What to do with a finished run, in words."""
    status, limit, had = record.termination.status, record.termination.limit, record.budget.evaluations
    if status != Termination.LIMIT:
        return f"it ended by itself ({status}), so a larger budget would change nothing"
    if limit == Limit.EVALUATIONS:
        return f"to go on: resume={folder} budget.evaluations=N with N above {had}"
    return f"it ended at a limit ({limit}); to go on: resume={folder} with a larger budget"


def continued(result: Result, folder: Path) -> Result:
    """Name the run that a result prolongs in its record, and say how far the two agree.

    A longer run is the same run from its seed on, so that anybody can repeat it from its own record alone. Where the earlier
    one cut its last batch short, or a solver plans by its budget, the two part; the earlier record stands beside the new one.

    Args:
        result: The longer run.
        folder: The earlier record's folder.

    Returns:
        The longer run with its record sealed again.
    """
    old = read_record(folder)
    had = old.used.evaluations
    agree = common_beginning(result.instance, result.run.evaluator.history, old.trace)
    shorter = ContinuedPart(record_id=old.record_id, result_hash=old.result_hash, evaluations=had, agree=agree)
    parted = f"agrees with it for {agree} of its {had} evaluations (a last batch cut short, or a plan by the budget)"
    print_note(f"continues {old.record_id}: {f'its {had} evaluations are the beginning' if agree == had else parted}")
    return replace(result, record=result.record.with_provenance(continues=shorter))

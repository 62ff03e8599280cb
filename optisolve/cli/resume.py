"""``resume=DIR``: which run is meant, and is there anything left to do."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypedDict, cast

from optisolve.cli.job import Asked
from optisolve.cli.settings import Choice, Group
from optisolve.core.errors import OptisolveError
from optisolve.core.source import is_target
from optisolve.core.status import Termination
from optisolve.run.jobs import FINISHED_LATER, SUFFIX, read_job, unfinished
from optisolve.run.records import read_record

__all__ = ["Resolved", "resolve"]

_HOW_SHOWN = ("out", "pictures", "print", "progress", "reference", "controls", "resume", "trust", "history")
"""Settings that do not change what a run finds."""


class Resolved(NamedTuple):
    """Which run ``resume=DIR`` means.

    Attributes:
        asked: Its configuration.
        continues: Folder of the finished run that is to be prolonged, None in all other cases.
        finished: Folder of a finished run of which nothing is left to do, None in all other cases.
    """

    asked: Asked
    continues: Path | None = None
    finished: Path | None = None


def resolve(asked: Asked) -> Resolved:
    """Settings of the run that ``resume=DIR`` means.

    DIR is an output folder (``true`` means `out`), the folder of one unfinished run inside it, or the folder of a record.
    With no other setting the unfinished run's own settings are taken; with settings the unfinished run of these settings, or
    else a new one. A record's run is finished, goes on where it was stopped, or, given a larger budget, is prolonged.

    Raises:
        OptisolveError: DIR does not say which run, or `out` names another folder.
    """
    told_out, told = str(asked.settings["out"]), asked.settings["resume"]
    folder = Path(told_out if told is True else str(told))
    recorded = (folder / "record.json").is_file()
    chosen = [key for key in asked.given if key.split(".")[0] not in _HOW_SHOWN]
    out = folder.parent if recorded or folder.suffix == SUFFIX else folder
    if "out" in asked.given and Path(told_out).resolve() != out.resolve():
        raise OptisolveError(f"resume={folder} continues in {out}, but out={told_out} was given; leave out away.")
    asked = dataclasses.replace(asked, settings={**asked.settings, "out": str(out), "resume": str(folder)})
    if recorded:
        return _of_record(asked, folder, chosen)
    if folder.suffix == SUFFIX:
        return _adopted(asked, folder, chosen)
    waiting = unfinished(out)
    if chosen or not waiting:
        return Resolved(asked)
    if len(waiting) > 1:
        names = "\n".join(f"  - {path}" for path in waiting)
        raise OptisolveError(f"resume={folder} holds {len(waiting)} unfinished runs; name one, or give its settings:\n{names}")
    return _adopted(asked, waiting[0], chosen)


def _of_record(asked: Asked, folder: Path, chosen: Sequence[str]) -> Resolved:
    """A run that has a record: nothing is left to do, it was stopped and goes on, or it gets more than it had."""
    termination = read_record(folder).termination
    if termination.status not in FINISHED_LATER and not chosen:
        return Resolved(asked, finished=folder)
    if not (folder / "job.json").is_file():
        raise OptisolveError(f"resume={folder}: optisolve run did not write it (no job.json), so its settings are not known.")
    had = _run_settings(folder)["budget"]
    budget = [key.partition(".")[2] for key in chosen if key.startswith("budget.")]
    wanted = {**had, **{key: asked.budget[key] for key in budget}}
    less = [key for key in wanted if _amount(wanted[key]) < _amount(had[key])]
    if less:
        told = ", ".join(f"budget.{key}={wanted[key]} (it had {had[key]})" for key in less)
        raise OptisolveError(f"resume={folder}: a run is prolonged by a larger budget, not by {told}.")
    resolved = _adopted(asked, folder, [key for key in chosen if not key.startswith("budget.")])
    resolved = resolved._replace(asked=dataclasses.replace(resolved.asked, budget=wanted))
    if termination.status in FINISHED_LATER:
        return resolved
    if wanted == had or termination.status != Termination.LIMIT:
        return resolved._replace(finished=folder)
    return resolved._replace(continues=folder)


def _amount(limit: object) -> float:
    return float("inf") if limit is None else float(cast(float, limit))


class _Written(TypedDict):
    """What `Asked.plain` left in a run's folder."""

    problem: Mapping[str, object]
    instance: object
    solver: Mapping[str, object]
    llm: Mapping[str, object] | None
    budget: Group
    seed: object


def _run_settings(folder: Path) -> _Written:
    """What stands in the folder of a run that this command line started."""
    job = read_job(folder)
    groups = {"problem": "name", "solver": "name", **({} if job.get("llm") is None else {"llm": "kind"})}
    lacking = [key for key in _Written.__annotations__ if key not in job]
    lacking += [f"{g}.{key}" for g, key in groups.items() if g in job and not _is_named(job[g], key)]
    if lacking:
        raise OptisolveError(f"{folder / 'job.json'}: lacks {', '.join(lacking)}; optisolve run did not write it.")
    return cast(_Written, job)


def _is_named(group: object, key: str) -> bool:
    return isinstance(group, dict) and isinstance(group.get(key), str)


def _adopted(asked: Asked, folder: Path, chosen: Sequence[str]) -> Resolved:
    """The settings that stand in an unfinished run's folder; the user's own must not differ."""
    job = _run_settings(folder)
    own = asked.plain(uses_llm=job["llm"] is not None)
    differing = [key for key in own if any(c.split(".")[0] == key for c in chosen) and own[key] != job.get(key)]
    if differing:
        raise OptisolveError(
            f"resume={folder}: that run had another {', '.join(differing)}. Give the same settings, give none, or start a run "
            "of its own."
        )
    settings = {**asked.settings, "instance": job["instance"], "seed": job["seed"]}
    llm = asked.llm if job["llm"] is None else _choice(job["llm"], "kind")
    problem, solver = _choice(job["problem"], "name"), _choice(job["solver"], "name")
    if is_target(problem.name):  # where the file lies, and that it may be run, nobody but the user can say
        if "problem" not in asked.given:
            raise OptisolveError(
                f"resume={folder}: that run's problem stands in a file of yours, {problem.name}; name it too, "
                f"problem=FOLDER/{problem.name}. Code is run only when its file is named."
            )
        problem = asked.problem
    return Resolved(Asked(problem, solver, llm, job["budget"], settings, asked.given, asked.read))


def _choice(group: Group, key: str) -> Choice:
    return Choice(str(group[key]), {name: value for name, value in group.items() if name != key})

"""``resume=DIR``: which run is meant, and is there anything left to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from optisolve.bench.jobs import SUFFIX, read_job, unfinished
from optisolve.core.errors import OptisolveError

__all__ = ["asked", "resolve"]

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
        "problem": {"name": problem, **values["problem"]},
        "instance": values["instance"],
        "solver": {"name": solver, **values["solver"]},
        "llm": values["llm"] if uses_llm else None,
        "budget": values["budget"],
        "seed": values["seed"],
    }


def resolve(values: dict[str, Any], problem: str, solver: str, given: Sequence[str]) -> tuple[dict[str, Any], str, str]:
    """Settings of the run that ``resume=DIR`` means.

    DIR is an output folder (``true`` means `out`), or the folder of one unfinished run inside it. With no other setting
    the unfinished run's own settings are taken; with settings the unfinished run of these settings, or else a new one.

    Args:
        values: The composed configuration.
        problem: Scenario name.
        solver: Preset name.
        given: Keys that the user set herself.

    Returns:
        Configuration, scenario name and preset name.

    Raises:
        OptisolveError: DIR does not say which run, or `out` names another folder.
    """
    folder = Path(values["out"] if values["resume"] is True else str(values["resume"]))
    chosen = [key for key in given if key.split(".")[0] not in _HOW_SHOWN]
    out = folder.parent if folder.suffix == SUFFIX else folder
    if "out" in given and Path(values["out"]).resolve() != out.resolve():
        raise OptisolveError(f"resume={folder} continues in {out}, but out={values['out']} was given; leave out away.")
    values = {**values, "out": str(out), "resume": str(folder)}
    if folder.suffix == SUFFIX:
        return _adopted(values, folder, problem, solver, chosen)
    waiting = unfinished(out)
    if chosen or not waiting:
        return values, problem, solver
    if len(waiting) > 1:
        names = "\n".join(f"  - {path}" for path in waiting)
        raise OptisolveError(f"resume={folder} holds {len(waiting)} unfinished runs; name one, or give its settings:\n{names}")
    return _adopted(values, waiting[0], problem, solver, chosen)


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


def _adopted(
    values: dict[str, Any], folder: Path, problem: str, solver: str, chosen: Sequence[str]
) -> tuple[dict[str, Any], str, str]:
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
    return {**values, **told}, job["problem"]["name"], job["solver"]["name"]

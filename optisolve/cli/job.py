"""One configured run of the command line: check, run, print, write."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from optisolve.api import DEFAULT_BUDGET, load_problem, load_solver, solve
from optisolve.bench.result import Result
from optisolve.cli.display import ProgressBar, print_error, print_summary
from optisolve.cli.pictures import write_pictures
from optisolve.core.budget import Budget
from optisolve.core.errors import FieldProblem, OptionError
from optisolve.core.options import Options
from optisolve.core.problem import Instance, Problem
from optisolve.core.reference import Effort, Reference
from optisolve.core.solver import Solver
from optisolve.core.status import PointStatus, Termination

__all__ = ["CONTROLS", "DEFAULTS", "EXIT_ERROR", "EXIT_INTERRUPTED", "EXIT_OK", "EXIT_UNVERIFIED", "Job", "run_job"]

EXIT_OK, EXIT_ERROR, EXIT_UNVERIFIED, EXIT_INTERRUPTED = 0, 1, 2, 130

CONTROLS = ("null", "random_search", "moead", "moead_de", "moead_lo")
"""What every learned or model-driven answer is printed beside."""

DEFAULTS: dict[str, Any] = {
    "seed": 0,
    "instance": 0,
    "budget": DEFAULT_BUDGET.options(),
    "reference": "quick",
    "controls": False,
    "pictures": True,
    "print": "table",
    "out": "runs",
}


@dataclass(frozen=True, slots=True)
class _Settings(Options):
    seed: int
    instance: int
    reference: Literal["none", "quick", "normal", "thorough"]
    controls: bool
    pictures: bool
    print: Literal["table", "json"]
    out: str


@dataclass(frozen=True, slots=True)
class Job:
    """A checked configuration.

    Attributes:
        problem: The family with its scenario; knows the reference.
        instance: What is solved.
        solver: Who solves it.
        llm: Configuration of the language model, None for solvers without one.
        budget: Limits.
        settings: Seed, output folder and the like.
    """

    problem: Problem
    instance: Instance
    solver: Solver
    llm: Any
    budget: Budget
    settings: _Settings

    @classmethod
    def of(cls, values: Mapping[str, Any], *, problem: str, solver: str, given: Sequence[str]) -> Job:
        """Check a composed configuration; every bad field is named with its full path in one error.

        Args:
            values: The composed configuration.
            problem: Scenario name.
            solver: Preset name.
            given: Keys that the user set herself.

        Raises:
            OptionError: Bad fields.
        """
        found: list[FieldProblem] = []
        settings = _collect(found, "", lambda: _Settings.from_mapping({k: values[k] for k in _SETTINGS}))
        budget = _collect(found, "budget", lambda: Budget.from_mapping(values["budget"]))
        family = _collect(found, "problem", lambda: load_problem(problem, **_without(values["problem"], "name")))
        method = _collect(found, "solver", lambda: load_solver(solver, **_without(values["solver"], "name")))
        llm = None
        if method is not None:
            if method.info.uses_llm:
                llm = _collect(found, "llm", lambda: _llm(values["llm"]))
            elif any(key.split(".")[0] == "llm" for key in given):
                expected = f"no llm setting: solver '{solver}' asks no language model (try solver=ledma)"
                found.append(FieldProblem("llm", values["llm"].get("kind"), expected))
        if found or settings is None or budget is None or family is None or method is None:
            raise OptionError("The run's configuration", found)
        return cls(family, family.instance(settings.instance), method, llm, budget, settings)


_SETTINGS = tuple(f for f in DEFAULTS if f != "budget")


def run_job(job: Job) -> int:
    """Run, print, write; returns the exit code."""
    out = Path(job.settings.out)
    out.mkdir(parents=True, exist_ok=True)
    wanted = job.settings.reference
    reference = None if wanted == "none" else job.problem.reference(job.instance, Effort(wanted))
    results = {job.solver.info.name: _solve(job, job.solver, out, reference)}
    subject = next(iter(results.values()))
    if job.settings.controls and subject.termination is not Termination.INTERRUPTED:
        for name in CONTROLS:
            control = load_solver(name)
            if name not in results and control.skip(job.instance) is None:
                results[name] = _solve(job, control, out, reference)
    folders = {name: result.save(out) for name, result in results.items()}
    folder = folders[job.solver.info.name]
    pictures = write_pictures(results, folder) if job.settings.pictures else []
    if job.settings.print == "json":
        sys.stdout.write(json.dumps(subject.record, allow_nan=False) + "\n")
    else:
        print_summary(results, folder, pictures)
    return _exit_code(subject)


def _solve(job: Job, solver: Solver, out: Path, reference: Reference | None) -> Result:
    scratch = Path(tempfile.mkdtemp(dir=out, prefix=".running-")) if solver.info.uses_llm else None
    try:
        with ProgressBar(solver.info.name, job.budget, job.instance) as progress:
            return solve(
                job.instance,
                solver,
                budget=job.budget,
                seed=job.settings.seed,
                llm=job.llm,
                reference=reference,
                on_progress=progress.update,
                scratch=scratch,
            )
    except BaseException:
        if scratch is not None:
            _keep_what_was_paid_for(scratch)
        raise


def _keep_what_was_paid_for(scratch: Path) -> None:
    """Remove the scratch folder of a run that failed, unless a language model answered in it."""
    transcript = scratch / "transcript.jsonl"
    if transcript.is_file() and '"type":"call"' in transcript.read_text(encoding="utf-8"):
        print_error(f"the replies of the language model are kept in {transcript}")
    else:
        shutil.rmtree(scratch, ignore_errors=True)


def _exit_code(result: Result) -> int:
    if result.termination is Termination.ERROR:
        print_error(f"{result.record['solver']['name']} broke: {result.run.outcome.detail} What it had found is in the record.")
        return EXIT_ERROR
    if result.termination is Termination.INTERRUPTED:
        return EXIT_INTERRUPTED
    return EXIT_OK if result.point_status in (PointStatus.FEASIBLE, PointStatus.NEARLY_FEASIBLE) else EXIT_UNVERIFIED


def _llm(values: Mapping[str, Any]) -> Any:
    from optisolve.llm.config import llm_config

    return llm_config(values["kind"], **_without(values, "kind"))


def _without(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {k: v for k, v in values.items() if k != key}


def _collect(found: list[FieldProblem], prefix: str, make: Any) -> Any:
    """The made object, or None after adding its bad fields with their full path."""
    try:
        return make()
    except OptionError as error:
        dot = f"{prefix}." if prefix else ""
        found.extend(FieldProblem(dot + p.field, p.given, p.expected) for p in error.problems)
        return None

"""One configured run of the command line: check, run, print, write."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.markup import escape

from optisolve.cli.display import (
    ProgressBar,
    console,
    hide,
    new_table,
    print_error,
    print_json,
    print_note,
    print_os_error,
    print_summary,
)
from optisolve.cli.pictures import write_pictures
from optisolve.cli.resume import asked, continued, how_to_prolong
from optisolve.core.budget import Budget
from optisolve.core.errors import FieldProblem, OptionError
from optisolve.core.options import Options
from optisolve.core.problem import Instance, Problem
from optisolve.core.reference import Effort, Reference
from optisolve.core.solver import Solver
from optisolve.core.status import PointStatus, Termination
from optisolve.core.text import Redactor, secrets_here
from optisolve.registry import load_problem, load_solver
from optisolve.run.estimate import estimate
from optisolve.run.jobs import JobFolder, join_job, open_job
from optisolve.run.records import read_record
from optisolve.run.result import Result
from optisolve.run.solve import DEFAULT_BUDGET, solve

__all__ = ["CONTROLS", "DEFAULTS", "EXIT_ERROR", "EXIT_INTERRUPTED", "EXIT_OK", "EXIT_UNVERIFIED", "Job", "run_job"]

EXIT_OK, EXIT_ERROR, EXIT_UNVERIFIED, EXIT_INTERRUPTED = 0, 1, 2, 130

CONTROLS = ("null", "random_search", "moead", "moead_de", "moead_lo")
"""What every learned or model-driven answer is printed beside."""

OWN_CONTROLS = {"ddpm": ("ddpm_null",)}
"""Further controls by solver: the same pipeline without what was learned."""

_NO_KEY = "no key: one belongs into its environment variable only, and llm.api_key_env=NAME names that"

DEFAULTS: dict[str, Any] = {
    "seed": 0,
    "instance": 0,
    "budget": DEFAULT_BUDGET.options(),
    "reference": "quick",
    "controls": False,
    "pictures": True,
    "print": "table",
    "out": "runs",
    "resume": None,
    "trust": "",
    "dry_run": False,
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
    resume: str | None
    trust: str
    dry_run: bool


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
        asked: What stands in the run's ``job.json``.
        continues: Folder of a finished run that this one prolongs, None in all other cases.
    """

    problem: Problem
    instance: Instance
    solver: Solver
    llm: Any
    budget: Budget
    settings: _Settings
    asked: dict[str, Any]
    continues: Path | None = None

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
        settings = _collect(
            found, "", lambda: _Settings.from_mapping({k: values[k] or None if k == "resume" else values[k] for k in _SETTINGS})
        )
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
        told = asked(values, problem, solver, method.info.uses_llm)
        _require_own(llm, settings, given)
        _require_no_key(told)
        return cls(family, family.instance(settings.instance), method, llm, budget, settings, told)


_SETTINGS = tuple(f for f in DEFAULTS if f != "budget")


def run_job(job: Job) -> int:
    """Run, print, write; returns the exit code."""
    if job.settings.dry_run:
        return _dry_run(job)
    out = Path(job.settings.out)
    joined = _join(job, out)
    if isinstance(joined, Path):
        return report_finished(joined, as_json=job.settings.print == "json")
    held, wanted = joined, job.settings.reference
    try:
        reference = None if wanted == "none" else job.problem.reference(job.instance, Effort(wanted))
        subject = _solve(job, job.solver, reference, held.path)
        if job.continues is not None:
            subject = continued(subject, job.continues)
        folder = subject.save(out)
    except BaseException:
        held.discard_when_empty()
        if held.path.exists():
            print_error(f"the replies of the language model are kept in {held.path}; go on with: resume={held.path}")
        raise
    held.release(at=folder)
    results, pictures, complete = {job.solver.info.name: subject}, list[Path](), True
    try:
        results |= _controls(job, subject, reference)
        pictures = write_pictures(results, folder) if job.settings.pictures else []
    except OSError as error:  # what was paid for is on the disk already, and is shown
        print_os_error(error, f"; the record in {folder} is complete, controls or pictures are not")
        complete = False
    if job.settings.print == "json":
        print_json(subject.record.to_json())
    else:
        print_summary(results, folder, pictures)
    return _exit_code(subject) or (EXIT_OK if complete else EXIT_ERROR)


def _join(job: Job, out: Path) -> JobFolder | Path:
    """The folder to run in, held; with `resume` that of the finished run when there is one."""
    if job.settings.resume is None:
        return open_job(out, _name(job), job.asked)
    return join_job(
        out,
        _name(job),
        job.asked,
        on_wait=lambda folder: print_note(f"another process is at this run ({folder}); waiting"),
        continues=job.continues,
    )


def _controls(job: Job, subject: Result, reference: Reference | None) -> dict[str, Result]:
    """The controls that can treat the instance, solved and saved."""
    if not job.settings.controls or subject.termination is Termination.INTERRUPTED:
        return {}
    subject_name = job.solver.info.name
    names = (*OWN_CONTROLS.get(subject_name, ()), *CONTROLS)
    wanted = {name: load_solver(name) for name in names if name != subject_name}
    results = {n: _solve(job, solver, reference) for n, solver in wanted.items() if solver.skip(job.instance) is None}
    for result in results.values():
        result.save(job.settings.out)
    return results


def _solve(job: Job, solver: Solver, reference: Reference | None, scratch: Path | None = None) -> Result:
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


def _name(job: Job) -> str:
    return f"{job.instance.origin.scenario.replace('/', '-')}.{job.solver.info.name}.s{job.settings.seed}"


def report_finished(folder: Path, *, as_json: bool) -> int:
    """Say that a run is done, and how it could go on; the exit code is the one it ended with.

    Args:
        folder: The record's folder.
        as_json: Print the record instead.
    """
    record = read_record(folder)
    if as_json:
        print_json(record.to_json())
    else:
        told = f"already finished: {escape(str(folder))}; result hash {record.result_hash[:16]}"
        console.print(f"{told}\n{escape(how_to_prolong(record, folder))}", soft_wrap=True)
    return EXIT_OK if record.verified.point in (PointStatus.FEASIBLE, PointStatus.NEARLY_FEASIBLE) else EXIT_UNVERIFIED


def _dry_run(job: Job) -> int:
    """Print what the run would ask a language model; nothing is sent and nothing is written."""
    if not job.solver.info.uses_llm:
        console.print(f"dry run: {job.solver.info.name} asks no language model; 0 calls, 0 tokens, 0 USD")
        return EXIT_OK
    told = estimate(job.instance, job.solver, budget=job.budget, seed=job.settings.seed, llm=job.llm)
    if job.settings.print == "json":
        print_json(dataclasses.asdict(told))
        return EXIT_OK
    table = new_table("", ">calls", ">tokens in", ">tokens out", ">tokens", ">USD", title="Dry run: nothing was sent")
    tokens = told.tokens_in + told.tokens_out
    table.add_row("expected", str(told.calls), f"{told.tokens_in:,}", f"{told.tokens_out:,}", f"{tokens:,}", _usd(told.usd))
    table.add_row("worst case", str(told.calls), "", "", f"{told.worst_tokens:,}", _usd(told.worst_usd))
    console.print(table)
    console.print(f"model: {escape(told.model) or '(the only one offered)'}; {escape(told.prices)}", soft_wrap=True)
    limit = job.budget.llm_calls
    console.print(
        f"re-asks and retries come on top, up to the budget ({'no limit on calls' if limit is None else f'{limit} calls'})"
    )
    return EXIT_OK


def _usd(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4f}"


def _exit_code(result: Result) -> int:
    if result.termination is Termination.ERROR:
        print_error(f"{result.record.solver.name} broke: {result.run.outcome.detail} What it had found is in the record.")
        return EXIT_ERROR
    if result.termination is Termination.INTERRUPTED:
        return EXIT_INTERRUPTED
    if errors := result.record.provenance.errors:
        for told in errors:
            print_error(f"{told}. The record claims nothing.")
        return EXIT_UNVERIFIED
    return EXIT_OK if result.point_status in (PointStatus.FEASIBLE, PointStatus.NEARLY_FEASIBLE) else EXIT_UNVERIFIED


def _require_own(llm: Any, settings: _Settings, given: Sequence[str]) -> None:
    """Refuse a host or a key variable that stands in the folder to resume, or in a file of settings, alone."""
    if llm is None or settings.dry_run:
        return
    from optisolve.llm.trust import require_trust

    hide([getattr(llm, "api_key_env", "")])
    where = "A file of settings" if settings.resume is None else f"The run in {settings.resume}"
    own = [key.removeprefix("llm.") for key in given if key.startswith("llm.")]
    require_trust(llm, where, given=own, trusted=[settings.trust])


def _require_no_key(told: Mapping[str, Any]) -> None:
    """Refuse a key in a file of settings or in a folder to resume; words of the command line were looked at before."""
    redactor = Redactor(secrets_here())
    groups = {key: part if isinstance(part, dict) else {"": part} for key, part in told.items()}
    names = [f"{key}.{name}".rstrip(".") for key, part in groups.items() for name, v in part.items() if redactor.finds(v)]
    if names:
        raise OptionError("The run's configuration", [FieldProblem(name, "(not shown)", _NO_KEY) for name in names])


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

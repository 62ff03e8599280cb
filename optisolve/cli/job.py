"""One configured run of the command line: check, run, print, write."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from optisolve.cli.display import (
    console,
    hide,
    new_table,
    print_error,
    print_json,
    print_note,
    print_os_error,
    print_summary,
    score_row,
    write_pictures,
)
from optisolve.cli.progress import Bar, RunBar, Show, quiet_for
from optisolve.cli.run import Run
from optisolve.cli.settings import Choice, Group
from optisolve.core.budget import Budget
from optisolve.core.documents import Json, plain
from optisolve.core.errors import FieldProblem, OptionError
from optisolve.core.memory import NoRoom
from optisolve.core.options import Collected
from optisolve.core.problem import FROM_FILES, Instance, Problem
from optisolve.core.reference import Effort, Reference
from optisolve.core.solver import Solver
from optisolve.core.source import is_target
from optisolve.core.status import Evidence, Limit, PointStatus, Termination
from optisolve.core.text import Redactor, secrets_here
from optisolve.core.workers import Workers
from optisolve.registry import make_solver, named_problem
from optisolve.run.choice import AUTO, WITH_MODEL, default_solver
from optisolve.run.estimate import estimate
from optisolve.run.execution import now_and_then
from optisolve.run.history import common_beginning
from optisolve.run.jobs import JobFolder, join_job, open_job
from optisolve.run.records import read_record
from optisolve.run.schema import ContinuedPart, Record
from optisolve.run.solve import Result, solve

if TYPE_CHECKING:
    from optisolve.llm.config import LlmConfig

__all__ = [
    "CONTROLS",
    "EXIT_ERROR",
    "EXIT_INTERRUPTED",
    "EXIT_OK",
    "EXIT_UNVERIFIED",
    "Asked",
    "Ended",
    "Job",
    "report_finished",
    "run_job",
]

EXIT_OK, EXIT_ERROR, EXIT_UNVERIFIED, EXIT_INTERRUPTED = 0, 1, 2, 130

CONTROLS = ("null", "random_search", "moead", "moead_de", "moead_lo")
"""What every learned or model-driven answer is printed beside."""

OWN_CONTROLS = {"ddpm": ("ddpm_null",)}
"""Further controls by solver: the same pipeline without what was learned."""

_NO_KEY = "no key: one belongs into its environment variable only, and llm.api_key_env=NAME names that"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run is asked to do: a composed configuration, not yet checked.

    Args:
        problem: Scenario with all of its parameters.
        solver: Preset with all of its options.
        llm: Kind of the language model with all of its settings.
        budget: Limits.
        settings: Values of `Run`.
        given: Keys that the user set herself, or had a file of settings set.
        read: Those of them that only a file has set.
        motion: Of an episode: kind and settings.
    """

    problem: Choice
    solver: Choice
    llm: Choice
    budget: Group
    settings: Group
    given: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    motion: Group = field(default_factory=dict)

    def settled(self) -> Asked:
        """With the default solver for the problem where the user has named none, and a line that says so."""
        if self.solver.name != AUTO:
            if self.solver.name == WITH_MODEL.name and not {"solver", "resume"} & {*self.given}:
                print_note(f"solver: {WITH_MODEL.name} ({WITH_MODEL.why})")
            return self
        try:
            problem = named_problem(self.problem.name, self.problem.options)
            instance = problem.instance(cast(int, self.settings["instance"]))
        except (OptionError, TypeError):  # told with everything else that is wrong
            return replace(self, solver=Choice("null"))
        chosen = default_solver(instance)
        print_note(f"solver: {chosen.name} ({chosen.why})")
        return replace(self, solver=Choice(chosen.name, cast(Group, plain(make_solver(chosen.name).options()))))

    def plain(self, *, uses_llm: bool) -> dict[str, Json]:
        """As it stands in ``job.json``, equal for every start of the same run: contents of files stand for their paths."""
        name, params = self.problem.name, self.problem.options
        own = is_target(name)
        if own or any(params.get(key) is not None for key in FROM_FILES):
            problem = named_problem(name, params)
            params = {**params, **problem.instance(cast(int, self.settings["instance"])).origin.params}
            if own and problem.home is not None:  # another text of the file is another run
                name, params = problem.home.name, {**params, "source": problem.home.sha256}
        told = {
            "problem": {"name": name, **params},
            "instance": self.settings["instance"],
            "solver": {"name": self.solver.name, **self.solver.options},
            "llm": {"kind": self.llm.name, **self.llm.options} if uses_llm else None,
            "budget": self.budget,
            "seed": self.settings["seed"],
        }
        return cast(dict[str, Json], told)


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
        motion: Of an episode: kind and settings.
    """

    problem: Problem
    instance: Instance
    solver: Solver
    llm: LlmConfig | None
    budget: Budget
    settings: Run
    asked: dict[str, Json]
    continues: Path | None = None
    motion: Group = field(default_factory=dict)

    @classmethod
    def of(cls, asked: Asked, continues: Path | None = None) -> Job:
        """Check a composed configuration; every bad field is named with its full path in one error.

        Raises:
            OptionError: Bad fields.
        """
        asked, collected = asked.settled(), Collected("The run's configuration")
        settings = collected("", lambda: Run.from_mapping({**asked.settings, "resume": asked.settings["resume"] or None}))
        if settings is not None:
            collected("", lambda: _workers(settings))
            collected.problems += _misplaced(settings, asked)
        budget = collected("budget", lambda: Budget.from_mapping(asked.budget))
        problem = collected("problem", lambda: named_problem(asked.problem.name, asked.problem.options))
        solver = collected("solver", lambda: make_solver(asked.solver.name, asked.solver.options))
        uses_llm = solver is not None and solver.info.uses_llm
        llm = collected("llm", lambda: _llm(asked.llm)) if uses_llm else None
        if solver is not None and not uses_llm and any(key.split(".")[0] == "llm" for key in asked.given):
            expected = f"no llm setting: solver '{asked.solver.name}' asks no language model (try solver=ledma)"
            collected.problems.append(FieldProblem("llm", asked.llm.name, expected))
        if settings is None or budget is None or problem is None or solver is None or collected.problems:
            raise OptionError(collected.title, collected.problems)
        told = asked.plain(uses_llm=uses_llm)
        _require_own(llm, settings, [key for key in asked.given if key not in asked.read])
        _require_no_key(told)
        return cls(problem, problem.instance(settings.instance), solver, llm, budget, settings, told, continues, asked.motion)


class Ended(NamedTuple):
    """How a run ended.

    Attributes:
        code: Exit code.
        scores: What it reached, as it is shown, by column; nothing without a record, or where another program reads.
    """

    code: int
    scores: Mapping[str, str] = {}


def run_job(job: Job, varied: Mapping[str, str] | None = None) -> Ended:
    """Run, print, write.

    Args:
        job: What to do.
        varied: What a job of a sweep has for itself, for the heading.
    """
    if job.settings.dry_run:
        return Ended(_dry_run(job))
    out = Path(job.settings.out)
    joined = _join(job, out)
    if isinstance(joined, Path):
        return report_finished(joined, as_json=job.settings.print == "json", history=job.settings.history)
    held, wanted = joined, job.settings.reference
    try:
        with Bar(f"reference ({wanted})", show=_shown(job)):
            reference = None if wanted == "none" else _reference(job, Effort(wanted))
        subject = _solve(job, job.solver, reference, held.path)
        if job.continues is not None:
            subject = _continued(subject, job.continues)
        folder = subject.save(out)
    except BaseException:
        held.discard_when_empty()
        if held.path.exists():
            print_error(f"the replies of the language model are kept in {held.path}; go on with: resume={held.path}")
        raise
    held.release(at=folder)
    results, pictures, code = {job.solver.info.name: subject}, list[Path](), _exit_code(subject)
    try:
        results |= _controls(job, subject, reference)
        pictures = write_pictures(results, folder) if job.settings.pictures else []
    except KeyboardInterrupt:
        print_note(f"interrupted; the record in {folder} is complete, controls or pictures are not")
        code = EXIT_INTERRUPTED
    except OSError as error:  # what was paid for is on the disk already, and is shown
        print_os_error(error, f"; the record in {folder} is complete, controls or pictures are not")
        code = code or EXIT_ERROR
    if job.settings.print == "json":
        print_json(subject.record.to_json())
        return Ended(code)
    print_summary(results, folder, pictures, varied or {})
    return Ended(code, score_row(subject.record))


def _reference(job: Job, effort: Effort) -> Reference | None:
    """The reference; under a limit on seconds what is known of it when they are over."""
    limit = job.settings.reference_limit_s
    seconds = job.budget.seconds if limit == "budget" else None if limit == "unlimited" else limit
    if seconds is None:
        try:
            return job.problem.reference(job.instance, effort)
        except NoRoom as error:
            return Reference(Evidence.NONE, solver=job.problem.name, detail=f"no bound: {error}")
    from optisolve.run.aside import limited_reference

    return limited_reference(job.problem, job.instance, effort, seconds)


def _misplaced(settings: Run, asked: Asked) -> Iterator[FieldProblem]:
    """Settings of an episode where there is none, and those that an episode does not have."""
    if settings.episode is None:
        if settings.memory != "auto":
            yield FieldProblem("memory", settings.memory, "none without an episode; give the number of its steps: episode=50")
        if moving := [key for key in asked.given if key.startswith("motion.")]:
            yield FieldProblem(moving[0], asked.motion.get(moving[0].partition(".")[2]), "none without an episode: episode=50")
        return
    if settings.reference == "none":
        yield FieldProblem("reference", "none", "quick, normal or thorough: an episode is scored by its losses")
    for name, idle in (("resume", None), ("history", "none"), ("dry_run", False)):
        if (value := getattr(settings, name)) != idle:
            yield FieldProblem(name, value, f"{'null' if idle is None else str(idle).lower()} in an episode")


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
    if not job.settings.controls or _interrupted(subject):
        return {}
    from optisolve.core.controls import HasPlainRuns

    subject_name = job.solver.info.name
    names = (*OWN_CONTROLS.get(subject_name, ()), *CONTROLS)
    wanted = {name: make_solver(name) for name in names if name != subject_name}
    without = job.solver.plain_runs() if isinstance(job.solver, HasPlainRuns) else {}
    no_model = _llm(Choice("none", {})) if without else None
    results = {
        **{name: _solve(replace(job, llm=no_model), solver, reference) for name, solver in without.items()},
        **{n: _solve(job, solver, reference) for n, solver in wanted.items() if solver.skip(job.instance) is None},
    }
    for result in results.values():
        result.save(job.settings.out)
    return results


def _solve(job: Job, solver: Solver, reference: Reference | None, scratch: Path | None = None) -> Result:
    with RunBar(solver, job.budget, show=_shown(job)) as bar:
        return solve(
            job.instance,
            solver,
            budget=job.budget,
            seed=job.settings.seed,
            llm=job.llm,
            reference=reference,
            callback=now_and_then(bar.heard),
            history=job.settings.history if solver is job.solver else "none",
            scratch=scratch,
            workers=_workers(job.settings),
        )


def _workers(settings: Run) -> Workers:
    limits = (settings.evaluation_limit_s, settings.evaluation_limit_mb)
    return Workers(settings.workers, settings.executor, settings.address, *limits, settings.asynchronous)


def _shown(job: Job) -> Show:
    return quiet_for(job.settings.progress, json=job.settings.print == "json")


def _name(job: Job) -> str:
    return f"{job.instance.origin.scenario.replace('/', '-')}.{job.solver.info.name}.s{job.settings.seed}"


def report_finished(folder: Path, *, as_json: bool, history: str = "none") -> Ended:
    """Say that a run is done, and how it could go on; the exit code is the one it ended with.

    Args:
        folder: The record's folder.
        as_json: Print the record instead.
        history: The points that were asked for, which a finished run cannot be given.
    """
    record = read_record(folder)
    if history == "all" and record.provenance.history is None:
        print_note(f"{folder} was run without history=all and has no points to keep; for those run it again without resume")
    if as_json:
        print_json(record.to_json())
    else:
        told = f"already finished: {folder}; result hash {record.result_hash[:16]}"
        console.print(f"{told}\n{_how_to_prolong(record, folder)}", soft_wrap=True)
    good = record.verified.point in (PointStatus.FEASIBLE, PointStatus.NEARLY_FEASIBLE)
    return Ended(EXIT_OK if good else EXIT_UNVERIFIED, {} if as_json else score_row(record))


def _how_to_prolong(record: Record, folder: Path) -> str:
    """What to do with a finished run, in words."""
    status, limit, had = record.termination.status, record.termination.limit, record.budget.evaluations
    if status != Termination.LIMIT:
        return f"it ended by itself ({status}), so a larger budget would change nothing"
    if limit == Limit.EVALUATIONS:
        return f"to go on: resume={folder} budget.evaluations=N with N above {had}"
    return f"it ended at a limit ({limit}); to go on: resume={folder} with a larger budget"


def _continued(result: Result, folder: Path) -> Result:
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
    return result.with_record(result.record.with_provenance(continues=shorter))


def _dry_run(job: Job) -> int:
    """Print what the run would ask a language model; nothing is sent and nothing is written."""
    if not job.solver.info.uses_llm:
        console.print(f"dry run: {job.solver.info.name} asks no language model; 0 calls, 0 tokens, 0 USD")
        return EXIT_OK
    if job.llm is not None and job.llm.kind == "none":
        console.print(f"dry run: {job.solver.info.name} without a language model (llm=none); 0 calls, 0 tokens, 0 USD")
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
    console.print(f"model: {told.model or '(the only one offered)'}; {told.prices}", soft_wrap=True)
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
    if _interrupted(result):
        return EXIT_INTERRUPTED
    if errors := result.record.provenance.errors:
        for told in errors:
            print_error(f"{told}. The record claims nothing.")
        return EXIT_UNVERIFIED
    return EXIT_OK if result.point_status in (PointStatus.FEASIBLE, PointStatus.NEARLY_FEASIBLE) else EXIT_UNVERIFIED


def _interrupted(result: Result) -> bool:
    """Whether the user asked to stop, while the solver was at work or while its answer was verified."""
    return result.termination is Termination.INTERRUPTED or result.run.meter.interrupted


def _require_own(llm: LlmConfig | None, settings: Run, given: Sequence[str]) -> None:
    """Refuse a host or a key variable that stands in the folder to resume, or in a file of settings, alone."""
    if llm is None or settings.dry_run:
        return
    from optisolve.llm.config import require_trust

    hide([getattr(llm, "api_key_env", "")])
    where = "A file of settings" if settings.resume is None else f"The run in {settings.resume}"
    own = [key.removeprefix("llm.") for key in given if key.startswith("llm.")]
    require_trust(llm, where, given=own, trusted=[settings.trust])


def _require_no_key(told: Mapping[str, Json]) -> None:
    """Refuse a key in a file of settings or in a folder to resume; words of the command line were looked at before."""
    redactor = Redactor(secrets_here())
    groups = {key: part if isinstance(part, dict) else {"": part} for key, part in told.items()}
    names = [f"{key}.{name}".rstrip(".") for key, part in groups.items() for name, v in part.items() if redactor.finds(v)]
    if names:
        raise OptionError("The run's configuration", [FieldProblem(name, "(not shown)", _NO_KEY) for name in names])


def _llm(choice: Choice) -> LlmConfig:
    from optisolve.llm.config import llm_config

    return llm_config(choice.name, **choice.options)

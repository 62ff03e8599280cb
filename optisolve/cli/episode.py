"""``optisolve run episode=N``: an instance that moves, solved step by step, beside its controls."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from optisolve.cli.display import console, format_number, new_table, print_json, print_note, styled, write_pictures
from optisolve.cli.progress import Bar, quiet_for
from optisolve.core.reference import Effort
from optisolve.core.workers import Workers

if TYPE_CHECKING:
    from optisolve.cli.job import Job
    from optisolve.study.episodes import Arm, Course, EpisodeRun
    from optisolve.study.episodes.memory import Policy

__all__ = ["run_episode"]

_OK, _UNVERIFIED, _INTERRUPTED = 0, 2, 130
_LISTED = 12
"""Events that are printed one by one."""


def run_episode(job: Job) -> int:
    """Go through an episode with the solver that was asked for and, with ``controls=true``, with its controls.

    Args:
        job: What to do.

    Returns:
        Exit code: 0, 2 where a step has no feasible point, 130 where it was interrupted.
    """
    from optisolve.study.episodes import Course, EpisodeRun, arms_of, read_summary
    from optisolve.study.episodes.course import require_use

    settings, n_steps = job.settings, job.settings.episode
    assert n_steps is not None
    moving = {"motion": dict(job.motion), "seed": settings.instance}
    first = Course.of(job.problem, 1, effort=None, **moving)  # type: ignore[arg-type]  # one mapping for two calls
    arms = arms_of(job.solver, _memory(job), job.budget, controls=settings.controls)
    require_use(arms[0], first.steps[0])  # before anything takes time
    with _bar(job, f"references ({settings.reference})") as bar:
        effort = Effort(settings.reference)
        course = Course.of(job.problem, n_steps, effort=effort, on_step=bar.update, **moving)  # type: ignore[arg-type]
    runs, folders = list[EpisodeRun](), list[Path]()
    for arm in arms:
        run, folder = _through(job, course, arm)
        runs.append(run)
        folders.append(folder)
        if not run.complete:
            break
    pictures = _draw(runs, folders[0]) if settings.pictures else []
    if settings.print == "json":
        print_json(read_summary(folders[0]).to_json())
    else:
        _print(runs, folders, pictures)
    if not all(run.complete for run in runs):
        return _INTERRUPTED
    return _OK if all(result.feasible for result in runs[0].results) else _UNVERIFIED


def _memory(job: Job) -> Policy:
    """The memory that was asked for, or the usual one for the solver."""
    asked = job.settings.memory
    if asked != "auto":
        return asked
    takes = job.solver.takes_start(job.instance)
    why = "begins with the last answer" if takes else "begins with no points that it is given"
    print_note(f"memory: {'warm' if takes else 'none'} ({job.solver.info.name} {why})")
    return "warm" if takes else "none"


def _through(job: Job, course: Course, arm: Arm) -> tuple[EpisodeRun, Path]:
    """An arm's way through the episode, and the folder of its records."""
    from optisolve.study.episodes import run_arm, save_episode

    settings, out = job.settings, Path(job.settings.out)
    limits = (settings.evaluation_limit_s, settings.evaluation_limit_mb)
    workers = Workers(settings.workers, settings.executor, settings.address, *limits, settings.asynchronous)
    with _bar(job, arm.name) as bar, tempfile.TemporaryDirectory(prefix="optisolve-episode-") as scratch:
        run = run_arm(
            course,
            arm,
            seed=settings.seed,
            llm="auto" if job.llm is None else job.llm,
            workers=workers,
            on_step=bar.update,
            scratch=None if job.llm is None else lambda step: Path(scratch) / f"step-{step}",
        )
        return run, save_episode(run, out)


def _bar(job: Job, name: str) -> Bar:
    show = quiet_for(job.settings.progress, json=job.settings.print == "json")
    return Bar(name, "steps", job.settings.episode, show=show)


def _draw(runs: Sequence[EpisodeRun], folder: Path) -> list[Path]:
    """Losses over time, and the last step as any run is drawn."""
    from optisolve.plotting.episodes import Track, episode_figure
    from optisolve.plotting.style import save_figure

    course = runs[0].course
    times = [step.time_s for step in course.steps]
    events = {step.time_s: step.events for step in course.steps if step.events}
    tracks = [Track(run.arm.name, run.scores.losses) for run in runs]
    where = f"{course.problem.scenario or course.problem.name}, {course.motion.kind}, seed {course.seed}"
    drawn = [save_figure(episode_figure(times, tracks, events, where), folder / "episode.png")]
    last = runs[0].results[-1]
    return [*drawn, *write_pictures({runs[0].arm.solver.info.name: last}, folder)]


def _print(runs: Sequence[EpisodeRun], folders: Sequence[Path], pictures: Sequence[Path]) -> None:
    course = runs[0].course
    n, seconds = len(course.steps), course.motion.step_s
    told = f", {n} steps of {seconds:g} s, {course.motion.kind}, episode {course.seed}, seed {runs[0].seed}"
    console.print(styled(course.problem.scenario or course.problem.name, "bold") + told, soft_wrap=True)
    happened = [(step.number, event) for step in course.steps for event in step.events]
    for number, event in happened[:_LISTED]:
        console.print(f"step {number}: {event}", soft_wrap=True)
    if len(happened) > _LISTED:
        console.print(f"and {len(happened) - _LISTED} more events", soft_wrap=True)
    table = new_table("loss at every step", ">sum", ">worst", ">at", ">calls", ">to recover", ">never")
    for run in runs:
        scores = run.scores
        felt = f"{scores.unrecovered}/{len(scores.recoveries)}" if scores.recoveries else "–"
        table.add_row(
            run.arm.name,
            format_number(scores.summed),
            format_number(scores.losses[scores.worst]),
            str(scores.worst),
            f"{sum(scores.evaluations) / len(scores.evaluations):.0f}",
            "–" if scores.mean_recovery is None else f"{scores.mean_recovery:.0f}",
            felt,
        )
    console.print(table)
    console.print(
        "calls: evaluations a step; to recover: evaluations until an event was made good; never: events that were not"
    )
    for file in pictures:
        console.print(f"picture:  {file}", soft_wrap=True)
    for folder in folders:
        console.print(f"records:  {folder}", soft_wrap=True)

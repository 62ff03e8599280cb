"""`optisolve.plot`: results and records of one instance as a figure."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias, overload, runtime_checkable

import numpy as np

from optisolve.core.documents import canonical
from optisolve.core.errors import OptisolveError
from optisolve.core.evaluation import HypervolumeBox, Objective, Sense
from optisolve.core.problem import Instance, Problem
from optisolve.core.reference import Effort, Reference
from optisolve.registry import PROBLEMS, Registry
from optisolve.run.rebuild import rebuild
from optisolve.run.records import describe_reference, iter_records, read_record
from optisolve.run.schema import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from optisolve.core.arrays import FloatArray
    from optisolve.plotting.figures import Kind
    from optisolve.plotting.series import Series, Setting, Shot
    from optisolve.plotting.style import Drawing

__all__ = ["Plottable", "Solved", "default_kind", "gather", "plot", "plot_runs", "run_figures", "setting_of", "shot_of"]

_OWN_WIDTH = 6.4
"""Inches of a run's own pictures."""


@runtime_checkable
class Solved(Protocol):
    """A result: a record with the instance and the reference at hand."""

    @property
    def record(self) -> Record: ...  # noqa: D102
    @property
    def instance(self) -> Instance: ...  # noqa: D102
    @property
    def reference(self) -> Reference | None: ...  # noqa: D102


Plottable: TypeAlias = Solved | Record | str | os.PathLike[str]
"""A result, a record, or a path to records."""


@dataclass(frozen=True, eq=False, slots=True)
class Plotted:
    """A run to be drawn.

    Attributes:
        record: Its record.
        instance: Where a result brings it; else it is made again from the record.
        reference: Likewise.
    """

    record: Record
    instance: Instance | None = None
    reference: Reference | None = None


@overload
def plot(
    results: Plottable | Iterable[Plottable],
    kind: Kind | None = None,
    *,
    ax: Axes,
    width: float = ...,
    height: float | None = ...,
    title: str = ...,
) -> Axes: ...
@overload
def plot(
    results: Plottable | Iterable[Plottable],
    kind: Kind | None = None,
    *,
    ax: None = None,
    width: float = ...,
    height: float | None = ...,
    title: str = ...,
) -> Drawing: ...
def plot(
    results: Plottable | Iterable[Plottable],
    kind: Kind | None = None,
    *,
    ax: Axes | None = None,
    width: float = 7.0,
    height: float | None = None,
    title: str = "",
) -> Axes | Drawing:
    """Draw results or records of one instance.

    Runs that differ in nothing but their seed are one series: a median with a band in convergence, attainment surfaces, the
    run with the median score in a front. What scores refer to (a reference front, a certified optimum, a bound) is drawn
    where it is known, and the legend says what it is.

    Args:
        results: Results, records, or paths of records and of folders of records; one or many.
        kind: ``"front"``, ``"convergence"``, ``"map"`` (the problem's own picture of one solution), ``"attainment"`` or
            ``"parallel"``; None draws fronts of several objectives, and convergence of one.
        ax: Axes to draw on, whose style stays; None makes a figure.
        width: Of a new figure, inches; a column of a paper has 3.5.
        height: Of a new figure, inches; None fits it to the kind.
        title: Above the axes; none by default, since a paper has captions.

    Returns:
        `ax` where it was given, else a figure: ``figure.savefig("front.pdf")`` writes it with embedded fonts.

    Raises:
        OptisolveError: Nothing to draw, runs of different instances, or a kind that cannot show them.
    """
    drawn, _ = plot_runs(gather(results), kind, ax=ax, width=width, height=height, title=title)
    return drawn


def plot_runs(
    runs: Sequence[Plotted],
    kind: Kind | None = None,
    *,
    ax: Axes | None = None,
    width: float = 7.0,
    height: float | None = None,
    title: str = "",
    problems: Registry[Problem] = PROBLEMS,
) -> tuple[Axes | Drawing, list[str]]:
    """The same from runs that are at hand, and what is not drawn and why, in sentences.

    Args:
        runs: From `gather`.
        kind: As in `plot`; likewise those up to `title`.
        ax: As there.
        width: As there.
        height: As there.
        title: As there.
        problems: Where the problems of records are found.
    """
    from optisolve.plotting.figures import draw_kind, figure_of_kind
    from optisolve.plotting.style import add_title

    _require_one_instance(runs)
    runs, twins = _once(runs)
    notes = [f"{twins} record(s) are repetitions of others and count once"] if twins else []
    chosen = kind or default_kind(runs)
    if chosen == "map":
        instance, more = _case(runs, problems)[1:]
        if instance is None:
            why = more[0].partition(": axes carry")[0]
            raise OptisolveError(f"plot: no map can be drawn, since {why}.")
        drawn, told = _map(runs, instance, ax, width, height, title)
        return drawn, [*notes, *told]
    setting, told = setting_of(runs, with_front=chosen in ("front", "attainment"), problems=problems)
    series = series_of(runs)
    if ax is not None:
        more = draw_kind(chosen, ax, series, setting)
        add_title(ax, title)
        return ax, [*notes, *told, *more]
    figure, more = figure_of_kind(chosen, series, setting, width=width, height=height, title=title)
    return figure, [*notes, *told, *more]


def gather(results: Plottable | Iterable[Plottable]) -> list[Plotted]:
    """Results, records and paths as runs.

    Raises:
        OptisolveError: A path without a record, or something that is none of these.
    """
    if isinstance(results, Solved | Record | str | os.PathLike):
        results = [results]
    if not isinstance(results, Iterable):
        raise OptisolveError(f"plot: got {type(results).__name__}, expected a Result, a Record, or a path of records.")
    found: list[Plotted] = []
    for item in results:
        if isinstance(item, Solved):
            found.append(Plotted(item.record, item.instance, item.reference))
        elif isinstance(item, Record):
            found.append(Plotted(item))
        elif isinstance(item, str | os.PathLike):
            files = list(iter_records(item)) if Path(item).exists() else []
            if not files:
                raise OptisolveError(f"{os.fspath(item)}: no record.json at or below this path; optisolve run writes them.")
            found += [Plotted(read_record(file)) for file in files]
        else:
            raise OptisolveError(f"plot: got {type(item).__name__}, expected a Result, a Record, or a path of records.")
    if not found:
        raise OptisolveError("plot: nothing to draw; give at least one result, record, or path.")
    return found


def default_kind(runs: Sequence[Plotted]) -> Kind:
    """Fronts of several objectives, convergence of one."""
    return "front" if len(runs[0].record.verified.objectives) > 1 else "convergence"


def _require_one_instance(runs: Sequence[Plotted]) -> None:
    cases: dict[str, list[Plotted]] = {}
    for run in runs:
        cases.setdefault(run.record.instance.sha256, []).append(run)
    if len(cases) == 1:
        return
    parts = [own[0].record.instance for own in cases.values()]
    extras = {
        name: _differing([part.params for part in parts if part.scenario == name]) for name in {p.scenario for p in parts}
    }
    lines = [
        f"  {part.scenario}, instance {part.seed}{extras[part.scenario].pop(0)}: {len(own)} record(s)"
        for part, own in zip(parts, cases.values(), strict=True)
    ]
    listed = "\n".join([*lines[:12], *([f"  and {len(lines) - 12} more"] if len(lines) > 12 else [])])
    raise OptisolveError(
        f"plot: records of {len(cases)} different instances cannot share one figure:\n{listed}\nGive the records of one; on "
        "the command line problem=NAME, problem.KEY=VALUE and instance=N choose."
    )


def _differing(settings: Sequence[Mapping[str, object]]) -> list[str]:
    """What tells settings of one kind apart, ``, n_users=40``; "" where nothing does."""
    names = [n for n in dict.fromkeys(n for own in settings for n in own) if all(n in own for own in settings)]
    names = [n for n in names if len({canonical(own[n]) for own in settings}) > 1 and n != "instance_data"]
    return ["".join(f", {n}={_short(own[n])}" for n in names[:3]) for own in settings]


def _short(value: object) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 24 else f"{text[:21]}..."


def _once(runs: Sequence[Plotted]) -> tuple[list[Plotted], int]:
    """Runs without repetitions of the same run, and how many of those there were."""
    unique = {(run.record.result_hash, _label_key(run.record), run.record.seed): run for run in reversed(runs)}
    kept = [run for run in runs if unique.get((run.record.result_hash, _label_key(run.record), run.record.seed)) is run]
    return kept, len(runs) - len(kept)


# -- from records to what is drawn -------------------------------------------------------------------------------------


def shot_of(record: Record) -> Shot:
    """What figures show of one run."""
    from optisolve.plotting.series import Shot

    feasible = np.array(record.verified.feasible, dtype=bool)
    F = np.array(record.verified.F, dtype=np.float64).reshape(-1, len(record.verified.objectives))[feasible]
    trace = [(row[0], np.nan if row[2] is None else row[2]) for row in record.trace]
    at, value = np.array(trace, dtype=np.float64).reshape(-1, 2).T
    scores = record.scores
    score = scores.hypervolume if len(record.verified.objectives) > 1 else scores.objective
    return Shot(F, at, value, np.nan if score is None or not len(F) else score, record.seed)


def series_of(runs: Sequence[Plotted]) -> list[Series]:
    """Runs that differ in their seed alone, together; named by what tells them apart."""
    from optisolve.plotting.series import Series

    groups: dict[str, list[Record]] = {}
    for run in runs:
        groups.setdefault(_label_key(run.record), []).append(run.record)
    labels = _labels([own[0] for own in groups.values()])
    shots = [tuple(shot_of(record) for record in sorted(own, key=lambda r: r.seed)) for own in groups.values()]
    return [Series(label, own) for label, own in zip(labels, shots, strict=True)]


def _asked(record: Record) -> dict[str, object]:
    """All that a run was asked to do, but for its seed."""
    solver = record.solver
    model = None if solver.llm is None else f"{solver.llm.provider} {solver.llm.model}".strip()
    limits = {f"budget.{name}": value for name, value in record.budget.to_json().items()}
    start = None if not record.warm_start else f"{len(record.warm_start)} points"
    return {"version": solver.version, "llm": model, **solver.options, **limits, "warm_start": start}


def _label_key(record: Record) -> str:
    return f"{record.solver.name} {canonical(_asked(record)).decode()}"


def name_of(record: Record, name: str = "") -> str:
    """A solver's name, or the preset's; where a stand-in took the language model's place, it says so."""
    llm = record.solver.llm
    stand_in = llm is not None and llm.provider == "surrogate"
    return f"{name or record.solver.name}{' (surrogate)' * stand_in}"


def _labels(records: Sequence[Record]) -> list[str]:
    """Names of solvers; where two are the same, with the settings in which they differ."""
    names = [name_of(record) for record in records]
    labels = list(names)
    for name in {name for name in names if names.count(name) > 1}:
        places = [i for i, other in enumerate(names) if other == name]
        for i, extra in zip(places, _differing([_asked(records[i]) for i in places]), strict=True):
            labels[i] = f"{name}{extra}".replace("budget.", "")
    return [label if labels.count(label) == 1 else f"{label} #{labels[: i + 1].count(label)}" for i, label in enumerate(labels)]


def setting_of(
    runs: Sequence[Plotted], *, with_front: bool = True, problems: Registry[Problem] = PROBLEMS
) -> tuple[Setting, list[str]]:
    """What all runs are about, and what of it cannot be had.

    Args:
        runs: Of one instance.
        with_front: The reference front is wanted, which a record does not hold: it is made again.
        problems: Where the problems of records are found.
    """
    from optisolve.plotting.series import Setting

    first = runs[0].record
    name = f"{first.instance.scenario}, instance {first.instance.seed}"
    problem, instance, notes = _case(runs, problems)
    box, told = first.scores.box, next((run.record for run in runs if run.record.reference is not None), None)
    objectives = instance.objectives if instance is not None else tuple(
        Objective(part.name, Sense(part.sense), part.unit) for part in first.verified.objectives
    )  # fmt: skip
    reference = next((run.reference for run in runs if run.reference is not None), None)
    if reference is None and told is not None:
        reference, more = _reference_of(told, problem, instance, with_front=with_front and len(objectives) > 1)
        notes += more
    target = told.scores.gap_scale if told is not None and len(objectives) > 1 else None
    corners = None if box is None else HypervolumeBox(tuple(box.reference), tuple(box.ideal))
    return Setting(name, objectives, corners, reference, np.nan if target is None else target), notes


def _case(runs: Sequence[Plotted], problems: Registry[Problem]) -> tuple[Problem | None, Instance | None, list[str]]:
    """Problem and instance of runs; a record of a problem that is not installed here lacks both, which is told."""
    for run in runs:
        if run.instance is not None:
            return None, run.instance, []
    told = runs[0].record.instance
    try:
        problem, instance = rebuild(told, problems)
    except OptisolveError as error:
        return (
            None,
            None,
            [f"{told.scenario} cannot be made again here ({str(error).rstrip('.')}): axes carry names instead of descriptions"],
        )
    return problem, instance, []


def _reference_of(
    record: Record, problem: Problem | None, instance: Instance | None, *, with_front: bool
) -> tuple[Reference | None, list[str]]:
    """The reference as the record tells it; its front, which the record does not hold, is made again and compared."""
    told = record.reference
    assert told is not None  # the caller looked
    ideal = None if told.ideal_bound is None else tuple(told.ideal_bound)
    bare = Reference(
        told.evidence, None, told.value, told.dual_bound, tolerance=told.tolerance, solver=told.solver, ideal_bound=ideal
    )
    if not with_front:
        return bare, []
    if problem is None or instance is None:
        return bare, ["the reference front is not at hand and not drawn"]
    made = problem.reference(instance, Effort.QUICK)
    if made is not None and describe_reference(made).sha256 == told.sha256:
        return made, []
    return bare, ["the reference front that the record names cannot be made again here and is not drawn"]


def run_figures(results: Mapping[str, Solved]) -> dict[str, Drawing]:
    """The pictures of a run beside its controls, by the names of their files.

    Args:
        results: By solver name, all of one instance; the first one is the subject.

    Returns:
        ``front`` for several objectives, ``convergence``, and the problem's own picture of the subject's knee or best point;
        what does not apply is left out.
    """
    from optisolve.numerics.indicators import knee_index
    from optisolve.plotting.figures import figure_of_kind, solution_figure
    from optisolve.plotting.series import Series

    subject = next(iter(results.values()))
    instance, name = subject.instance, name_of(subject.record, next(iter(results)))
    setting, _ = setting_of(gather(results.values()))
    series = [Series(name_of(result.record, label), (shot_of(result.record),)) for label, result in results.items()]
    where = f"{setting.name}, seed {subject.record.seed}"
    figures = {}
    if len(instance.objectives) > 1:
        figures["front"], _ = figure_of_kind(
            "front", series, setting, width=_OWN_WIDTH, title=f"Verified points of {where}", knee=True, scores=True
        )
    shot = series[0].shots[0]
    if len(shot.F):
        X = _feasible_points(subject.record)
        which = "knee point" if len(instance.objectives) > 1 else "best point"
        title = f"{instance.picture.capitalize()} of {name}'s {which}, {setting.name}"
        drawn = solution_figure(instance, X[knee_index(shot.F * instance.signs)], width=_OWN_WIDTH, title=title)
        if drawn is not None:
            figures[instance.picture] = drawn
    if any(len(s.shots[0].at) for s in series):
        figures["convergence"], _ = figure_of_kind(
            "convergence", series, setting, width=_OWN_WIDTH, title=f"Progress on {where}"
        )
    return figures


def _feasible_points(record: Record) -> FloatArray:
    """Verified feasible points, float64 [n, d]."""
    X = np.array(record.solutions.x, dtype=np.float64).reshape(-1, len(record.solutions.variables))
    kept: FloatArray = X[np.array(record.verified.feasible, dtype=bool)]
    return kept


def _map(
    runs: Sequence[Plotted], instance: Instance, ax: Axes | None, width: float, height: float | None, title: str
) -> tuple[Axes | Drawing, list[str]]:
    """The problem's own picture of the best run's knee point."""
    from optisolve.numerics.indicators import knee_index
    from optisolve.plotting.figures import draw_solution, solution_figure
    from optisolve.plotting.style import add_title

    solvers = dict.fromkeys(run.record.solver.name for run in runs)
    if len({_label_key(run.record) for run in runs}) > 1:
        raise OptisolveError(
            f"plot: a map shows one solution, got runs of {', '.join(solvers)}; give those of one (solver=NAME)."
        )
    sign = -1.0 if len(instance.objectives) > 1 else instance.signs[0]
    found = [(shot_of(run.record), run.record) for run in runs]
    usable = [(shot, record) for shot, record in found if len(shot.F)]
    if not usable:
        raise OptisolveError("plot: no feasible point, so that there is nothing to put on a map.")
    shot, record = min(usable, key=lambda pair: sign * pair[0].score)
    x = _feasible_points(record)[knee_index(shot.F * instance.signs)]
    if ax is not None:
        drawn: Axes | Drawing | None = ax if draw_solution(ax, instance, x) else None
        add_title(ax, title)
    else:
        drawn = solution_figure(instance, x, width=width, height=height, title=title)
    if drawn is None:
        raise OptisolveError(f"plot: {instance.origin.problem} has no picture of a solution; use another kind.")
    which = f" of seed {record.seed}, the best of {len(runs)}" if len(runs) > 1 else ""
    return drawn, [f"shown: the {'knee' if len(instance.objectives) > 1 else 'best'} point{which}"]

"""``plot``: a figure for a paper from records."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Interval

from optisolve.cli.display import console, print_note
from optisolve.cli.records import RUNS, Paths, require_runs
from optisolve.cli.settings import Choice, Verb
from optisolve.core.errors import FieldProblem, OptionError, OptisolveError
from optisolve.core.source import is_target

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from optisolve.run.plot import Plotted
    from optisolve.run.schema import Record

__all__ = ["Plot"]


@dataclass(frozen=True, slots=True)
class Plot(Verb):
    """Draw a figure for a paper from records.

    Fronts, convergence, maps, attainment surfaces and parallel coordinates of one instance.

    Runs that differ in nothing but their seed are one curve with a band. What scores refer to (reference front, certified
    optimum, bound) is drawn where it is known. Fonts are embedded, and the same records give the same file.

    Args:
        path: record.json, its folder, or a folder of folders; runs when nothing is said.
        kind: front, convergence, map, attainment or parallel; left out, a front of several objectives and convergence of one.
        format: pdf, svg or png; left out, that of `out`, else pdf.
        width: Width, inches; a column of a paper has 3.5.
        height: Height, inches; left out, it fits the kind.
        out: The file; left out, KIND.FORMAT in the current folder.
        title: Above the axes; none by default, since a paper has captions.
        problem: Draw the records of this scenario alone, with these values of its parameters. A problem of your own is
            FILE.py:NAME, whose file is run; without it figures of its records lack descriptions and maps.
        instance: Draw the records of this instance alone.
        solver: Draw these solvers alone, in this order.
    """

    path: Paths = RUNS
    kind: Literal["", "front", "convergence", "map", "attainment", "parallel"] = ""
    format: Literal["", "pdf", "svg", "png"] = ""
    width: Annotated[float, Interval(ge=1.0, le=40.0)] = 3.5
    height: Annotated[float, Interval(ge=1.0, le=40.0)] | None = None
    out: Path | None = None
    title: str = ""
    problem: Choice = field(default_factory=Choice)
    instance: Annotated[int, Ge(0)] | None = None
    solver: tuple[str, ...] = ()

    def _check(self) -> Iterator[FieldProblem]:
        suffix = "" if self.out is None else self.out.suffix[1:].lower()
        if suffix and suffix not in ("pdf", "svg", "png"):
            yield FieldProblem("out", str(self.out), "a file that ends in .pdf, .svg or .png")
        elif suffix and self.format and suffix != self.format:
            yield FieldProblem("format", self.format, f"{suffix}, as out={self.out} says, or neither of them")

    def __call__(self) -> int:
        from optisolve.plotting.style import Drawing, save_figure
        from optisolve.registry import PROBLEMS
        from optisolve.run.plot import default_kind, gather, plot_runs

        for path in self.path:
            require_runs(path)
        own = (self.problem.name,) if is_target(self.problem.name) else ()
        runs = self._chosen(gather(self.path))
        kind = self.kind or default_kind(runs)
        known = PROBLEMS.beside(*own)
        figure, notes = plot_runs(runs, kind, width=self.width, height=self.height, title=self.title, problems=known)
        assert isinstance(figure, Drawing)  # no axes were given
        out = self.out or Path(f"{kind}.{self.format or 'pdf'}")
        if not out.suffix:
            out = out.with_suffix(f".{self.format or 'pdf'}")
        out.parent.mkdir(parents=True, exist_ok=True)
        save_figure(figure, out, dots=300)
        for note in notes:
            print_note(note)
        across, up = figure.get_size_inches()
        told = f"{kind} of {len(runs)} record(s), {across:.3g} x {up:.3g} in"
        console.print(f"figure: {out} ({told})", soft_wrap=True)
        return 0

    def _chosen(self, runs: Sequence[Plotted]) -> list[Plotted]:
        """Those that were asked for, in the order in which solvers were named."""
        from optisolve.registry import named_problem

        name = self.problem.name
        scenario = named_problem(name).instance(0).origin.scenario if is_target(name) else name
        kept = [run for run in runs if self._wants(run.record, scenario)]
        if not kept:
            held = ", ".join(sorted({f"{r.record.instance.scenario} by {r.record.solver.name}" for r in runs})[:20])
            raise OptisolveError(f"plot: none of {len(runs)} record(s) is of what was asked for; there are: {held}.")
        missing = [name for name in self.solver if name not in {run.record.solver.name for run in kept}]
        if missing:
            known = ", ".join(sorted({run.record.solver.name for run in runs}))
            raise OptionError("optisolve plot", [FieldProblem("solver", name, f"one of {known}") for name in missing])
        return sorted(kept, key=lambda run: self.solver.index(run.record.solver.name)) if self.solver else kept

    def _wants(self, record: Record, scenario: str) -> bool:
        told = record.instance
        return (
            scenario in ("", told.scenario)
            and all(told.params.get(key) == value for key, value in self.problem.options.items())
            and self.instance in (None, told.seed)
            and (not self.solver or record.solver.name in self.solver)
        )

"""What `optisolve.solve` returns."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.errors import RecordError
from optisolve.core.files import staging_folder, write_atomic
from optisolve.core.problem import Instance
from optisolve.core.status import Limit, PointStatus, Termination
from optisolve.run.execution import Run
from optisolve.run.records import publish
from optisolve.run.schema import Record
from optisolve.run.verify import Verification

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["Result"]


@dataclass(frozen=True, eq=False, slots=True)
class Result:
    """A verified run.

    Attributes:
        instance: What was solved.
        record: The run's record.
        verification: Re-evaluated points.
        run: Raw result (history, archive, meter).
    """

    instance: Instance
    record: Record
    verification: Verification
    run: Run
    _scratch: Path | None = None
    _saved: Path | None = None

    def __repr__(self) -> str:
        scores = {key: round(value, 6) for key, value in self.scores.items() if isinstance(value, float)}
        return f"<Result {self.record.record_id}: {self.point_status}, {len(self.X)} points, {scores}>"

    @property
    def X(self) -> FloatArray:
        """Verified feasible points, float64 [n, d]."""
        return self.verification.X[self.verification.feasible]

    @property
    def F(self) -> FloatArray:
        """Their objectives by the numpy twin, float64 [n, m], in the problem's own senses."""
        return self.verification.F[self.verification.feasible]

    @property
    def front(self) -> pd.DataFrame:
        """Verified feasible points as a table: objectives first, then variables, sorted by the first objective."""
        import pandas as pd

        names = [o.name for o in self.instance.objectives]
        table = pd.DataFrame(np.hstack([self.F, self.X]), columns=[*names, *self.instance.space.names])
        return table.sort_values(names[0], kind="stable", ignore_index=True)

    @property
    def trace(self) -> pd.DataFrame:
        """Anytime curve: evaluations, seconds, hypervolume (or best objective), smallest violation."""
        import pandas as pd

        value = "hypervolume" if len(self.instance.objectives) > 1 else self.instance.objectives[0].name
        return pd.DataFrame(self.record.trace, columns=["evaluations", "seconds", value, "violation"])

    @property
    def scores(self) -> dict[str, float | None]:
        """Scores of the verified points: hypervolume, igd_plus, objective, gap, bound_gap."""
        return self.record.scores.values()

    @property
    def hypervolume(self) -> float | None:
        """Normalized hypervolume in the scenario's fixed box; None for one objective."""
        return self.record.scores.hypervolume

    @property
    def termination(self) -> Termination:
        """Why the solver stopped."""
        return self.run.outcome.termination

    @property
    def limit(self) -> Limit | None:
        """Which limit ended the run, if one did."""
        return self.run.outcome.limit

    @property
    def point_status(self) -> PointStatus:
        """What the returned points are, by re-evaluation."""
        return self.verification.point

    @property
    def result_hash(self) -> str:
        """Same seed, same hash."""
        return self.record.result_hash

    def plot(self) -> Figure:
        """The Pareto front (or the anytime curve for one objective) as a matplotlib figure."""
        from optisolve.plotting import convergence_figure, front_figure

        if len(self.instance.objectives) > 1:
            return front_figure({self.record.solver.name: self.F}, self.instance)
        return convergence_figure({self.record.solver.name: self.trace}, self.instance)

    def save(self, folder: str | os.PathLike[str] = "runs") -> Path:
        """Write record, front, trace and, when there is one, the transcript; the folder appears at once or not at all.

        Args:
            folder: Parent folder; the record's own folder is made inside it.

        Returns:
            The record's folder.

        Raises:
            RecordError: The folder in which the run kept the replies of its language model is gone, or `folder` lies in it.
            OSError: A file cannot be written; it is named, and nothing but the run's own folder is left.
        """
        parent = Path(folder)
        if self._scratch is not None and self._scratch.resolve() in (parent.resolve(), *parent.resolve().parents):
            raise RecordError(f"{folder}: lies in the run's own folder {self._scratch}; save to a folder beside it.")
        parent.mkdir(parents=True, exist_ok=True)
        scratch, kept = self._scratch, self._saved or self._scratch
        if kept is not None and not kept.is_dir() and self.record.solver.llm is not None:
            raise RecordError(f"{kept}: gone, and the transcript with it; the record would claim what nobody can check.")
        if scratch is not None and kept == scratch and scratch.is_dir() and scratch.parent.resolve() == parent.resolve():
            saved = self._fill(scratch, parent)
        else:
            with staging_folder(parent, ".saving-") as staging:
                if kept is not None and kept.is_dir():
                    shutil.copytree(kept, staging, dirs_exist_ok=True)
                saved = self._fill(staging, parent)
            if kept is not None and kept == scratch:
                shutil.rmtree(scratch, ignore_errors=True)
        object.__setattr__(self, "_saved", saved)
        return saved

    def _fill(self, staging: Path, parent: Path) -> Path:
        """Write the run's files and let the folder appear under its name."""
        for name, table in (("front", self.front), ("trace", self.trace)):
            write_atomic(staging / f"{name}.parquet", table.to_parquet(index=False))
        write_atomic(staging / "record.json", self.record.to_bytes())
        return publish(staging, parent / self.record.record_id)

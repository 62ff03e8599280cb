"""botorch: noisy expected hypervolume improvement for few variables, a trust region for many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import moocore
import numpy as np
from annotated_types import Ge, Gt, Le

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.documents import JsonObject
from optisolve.core.solver import SolverInfo, Task
from optisolve.solvers.bo.loop import ModelBased, Points
from optisolve.solvers.bo.undisturbed import one_torch_thread, quiet
from optisolve.solvers.moead.scalarize import dominated
from optisolve.solvers.parego.acquisition import Acquisition
from optisolve.solvers.start import Init

if TYPE_CHECKING:
    from optisolve.solvers.bo.models import Fitted, State
    from optisolve.solvers.bo.trust_region import Region

__all__ = ["Botorch"]

_HYPERVOLUME_UP_TO = 3
"""Objectives up to which a hypervolume is improved where nothing else is said; its cells multiply with every objective."""
_LOGGERS = ("botorch", "linear_operator")


@dataclass(frozen=True, slots=True)
class Botorch(ModelBased):
    """Bayesian optimization with botorch, a Gaussian process per objective and per violated constraint.

    Few variables: the point with the largest expected improvement of the front's hypervolume (qLogNEHVI), of one objective
    LogEI, or qLogNEI for batches and under constraints. Many variables: Thompson sampling in a trust region (TuRBO-1, SCBO).

    Args:
        n_initial: Points evaluated first; None means 2 (d + 1), at most a quarter of the budget.
        batch_size: Points proposed per step; None means one, and one more per hundred points known.
        acquisition: What several objectives improve: the ``"hypervolume"``, or a drawn preference's ``"tchebycheff"`` value
            (qLogNParEGO); None means the hypervolume of up to three.
        mc_samples: Quasi-random draws of the posterior that an expectation is taken over.
        num_restarts: Local searches of the acquisition function.
        raw_samples: Points that their beginnings are chosen among.
        maxiter: Iterations of a local search.
        fit_tolerance: Relative gain of the likelihood at which a fit ends; it begins where the one before ended.
        trust_region_from: Variables from which on a trust region is searched.
        n_candidates: Points of a trust region among which draws of the posterior choose.
        max_points: Most points that a process is fitted to; beyond, the best and the latest. Time grows with its cube.
    """

    info: ClassVar[SolverInfo] = SolverInfo(
        name="botorch",
        version="1",
        summary="botorch: noisy expected hypervolume improvement; a trust region where variables are many.",
        needs=("botorch", "torch"),
        extra="bo",
        citation="Balandat et al. 2020, arXiv 1910.06403; Ament et al. 2023, arXiv 2310.20708; TuRBO: arXiv 1910.01739",
    )
    init: Init = ("latin_hypercube",)
    acquisition: Acquisition | None = None
    mc_samples: Annotated[int, Ge(1)] = 128
    num_restarts: Annotated[int, Ge(1)] = 10
    raw_samples: Annotated[int, Ge(1)] = 512
    maxiter: Annotated[int, Ge(1)] = 200
    fit_tolerance: Annotated[float, Gt(0)] = 1e-6
    trust_region_from: Annotated[int, Ge(1)] = 50
    n_candidates: Annotated[int, Ge(2), Le(20_000)] = 2000
    max_points: Annotated[int, Ge(20)] = 500

    def _model(self, task: Task, points: Points) -> _Search:
        return _Search(task, self, points)


class _Search:
    """What botorch proposes in one run."""

    def __init__(self, task: Task, options: Botorch, points: Points) -> None:
        self._task, self._options, self._points = task, options, points
        self._m = len(task.instance.objectives)
        self._kind: Acquisition = options.acquisition or ("hypervolume" if self._m <= _HYPERVOLUME_UP_TO else "tchebycheff")
        self._states: list[State] = []
        self._fits = self._failures = self._told = 0
        self._region: Region | None = None
        self._scale: tuple[FloatArray, FloatArray] | None = None
        box = task.instance.hypervolume_box
        self._box_corner = None if box is None else np.asarray(box.reference) * task.instance.signs
        self._corner: FloatArray | None = None  # in the units of the fits

    def report(self) -> JsonObject:
        """Deterministic figures of the run so far."""
        restarts = {} if self._region is None else {"trust_region_restarts": self._region.restarts}
        return {"fits": self._fits, "failed_fits": self._failures, **restarts}

    def propose(self, count: int) -> FloatArray:
        """Points with the largest acquisition, or drawn from the trust region."""
        points, space = self._points, self._task.instance.space
        rng = self._task.rng(step=points.X.shape[0], purpose="botorch")
        local = space.dim >= self._options.trust_region_from
        with quiet(*_LOGGERS), one_torch_thread(int(rng.integers(2**31))):
            U = self._in_region(count, rng) if local else self._everywhere(count, rng)
        return space.denormalize(U)

    def _everywhere(self, count: int, rng: np.random.Generator) -> FloatArray:
        from optisolve.solvers.bo.acquisition import Effort, maximizers

        options, points, meter = self._options, self._points, self._task.meter
        kept = self._kept(0)
        Y, fitted = self._fit(kept, local=False)
        limit = meter.budget.seconds
        seconds = None if limit is None else max(0.1, limit - meter.elapsed_s)
        return maximizers(
            fitted.model,
            points.U[kept],
            Y,
            points.violation[kept] <= 0.0,
            count,
            n_objectives=self._m,
            kind=self._kind,
            effort=Effort(options.mc_samples, options.num_restarts, options.raw_samples, options.maxiter, seconds),
            corner=self._corner,
            foreseen=points.foreseen,
            rng=rng,
        )

    def _in_region(self, count: int, rng: np.random.Generator) -> FloatArray:
        from optisolve.solvers.bo.models import lengthscales
        from optisolve.solvers.bo.trust_region import Region, drawn

        points, d = self._points, self._task.instance.space.dim
        region = self._region = self._region or Region()
        self._judge(region)
        kept = self._kept(region.first)
        if kept.size < min(2 * d, 20):  # a new region begins with points of its own, from anywhere
            return np.empty((0, d))
        Y, fitted = self._fit(kept, local=True)
        logs = np.log(lengthscales(fitted.model)[: self._m]).mean(axis=0)
        return drawn(
            fitted.model,
            Y,
            points.violation[kept] <= 0.0,
            points.U[rng.choice(self._leaders(kept))],
            region.length * np.exp(logs - logs.mean()),
            count,
            n_objectives=self._m,
            kind=self._kind,
            n_candidates=self._options.n_candidates,
            foreseen=points.foreseen,
            rng=rng,
        )

    def _judge(self, region: Region) -> None:
        """Tell the region what the step before has brought."""
        points = self._points
        end = points.X.shape[0]
        rows = region.first + np.flatnonzero(~points.failed[region.first :])
        good = points.F[rows[points.violation[rows] <= 0.0]]
        worth = 0.0
        if good.size:
            if self._scale is None:
                spread = np.ptp(good, axis=0)
                self._scale = good.max(axis=0), np.where(spread > 0.0, spread, 1.0)
            Z = (good - self._scale[0]) / self._scale[1]
            worth = -float(Z.min()) if self._m == 1 else float(moocore.hypervolume(Z, ref=np.full(self._m, 0.1)))
        before = region.restarts
        region.judge(points.violation[rows], worth, max(1, end - self._told), points.X.shape[1], end)
        self._told = end
        if region.restarts > before:
            self._states, self._scale = [], None

    def _leaders(self, rows: IntArray) -> IntArray:
        """Rows that a region may be centered at: the front, or the least violating point."""
        points = self._points
        good = rows[points.violation[rows] <= 0.0]
        if not good.size:
            return rows[[int(np.argmin(points.violation[rows]))]]
        if self._m == 1:
            return good[[int(np.argmin(points.F[good, 0]))]]
        return good[~dominated(points.F[good])]

    def _kept(self, first: int) -> IntArray:
        """Rows that processes are fitted to: all from `first` on that could be evaluated, up to `max_points`."""
        points, limit = self._points, self._options.max_points
        rows = first + np.flatnonzero(~points.failed[first:])
        if rows.size <= limit:
            return rows
        F = points.F[rows]
        rank = np.argsort(np.argsort(F, axis=0), axis=0).min(axis=1) + (points.violation[rows] > 0.0) * rows.size
        best = rows[np.argsort(rank, kind="stable")[: limit // 2]]
        latest = np.setdiff1d(rows, best)[-(limit - best.size) :]
        return np.sort(np.concatenate([best, latest]))

    def _fit(self, kept: IntArray, *, local: bool) -> tuple[FloatArray, Fitted]:
        """Outcomes of the kept points, float64 [n, m + k], and processes fitted to them."""
        from optisolve.solvers.bo.models import bilog, fitted, gains

        points = self._points
        F, feasible = points.F[kept], points.violation[kept] <= 0.0
        gain, self._corner = gains(F, F[feasible] if feasible.sum() >= 4 else F, self._box_corner)
        Y = np.hstack([gain, bilog(points.violated()[0][kept])])
        found = fitted(points.U[kept], Y, self._states, tolerance=self._options.fit_tolerance, local=local)
        self._states = found.states
        self._fits, self._failures = self._fits + Y.shape[1], self._failures + found.failures
        return Y, found

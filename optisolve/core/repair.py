"""The repair of equalities that an instance has without a projection of its own: `Instance._project` does it by default.

Which equalities are linear is found out and never assumed: one step along every variable gives the coefficients, points
elsewhere in the box have to agree with them. Linear ones are solved by projection (`optisolve.core.affine`), integers first;
the others by Gauss-Newton steps in the reals, whose Jacobian comes from finite differences and is updated in between (Broyden
1965, doi 10.1090/S0025-5718-1965-0198670-6), each step being the projection on the linearized equalities in the box.

What it costs: every point at which the equalities are looked at goes through `Instance._equalities`. By default that evaluates
the whole model, so while a run is on each of these points is charged as an evaluation, under the source ``repair``: d + 7 once
per run for the coefficients, nothing more for linear equalities, and for others all looks of the Gauss-Newton steps. An
instance that offers its equalities alone pays nothing, as it pays nothing for a projection of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from optisolve.core.affine import AffineSystem, nearest
from optisolve.core.arrays import BoolArray, FloatArray
from optisolve.core.errors import BudgetExhausted
from optisolve.core.evaluation import run_memory
from optisolve.core.seeds import generator
from optisolve.core.space import Space

__all__ = ["Equalities", "EqualityRepair", "equality_repair"]

_EXACT = 1e-11
"""Largest miss of a repaired linear equality, where rounding allows it; far below every sensible tolerance."""
_ROUNDING = 1e-13
"""Rounding error of an equality, in its largest value over the probes."""
_CHECKS = 4
_STEP = 1e-7
"""Step of finite differences, share of a variable's range."""
_JACOBIANS = 4
_LOOKS = 16
_GOLDEN = 0.6180339887498949


class Equalities(Protocol):
    """What the repair has to know of an instance."""

    space: Space
    constraint_names: tuple[str, ...]
    equality_names: tuple[str, ...]
    tolerance: FloatArray
    on_failure: str

    @property
    def sha256(self) -> str:
        """What tells it from others."""
        ...

    def _equalities(self, X: FloatArray) -> FloatArray:
        """The equalities alone, float64 [n, p]."""
        ...


def equality_repair(instance: Equalities) -> EqualityRepair:
    """The repair of an instance's equalities; found once per run, and once for all calls outside of runs.

    A run finds it anew although the instance may know it, so that what it is charged does not depend on earlier runs.
    """
    memory = run_memory(instance)
    kept = vars(instance) if memory is None else memory
    repair = kept.get("_equality_repair")
    if not isinstance(repair, EqualityRepair):
        repair = kept["_equality_repair"] = _found(instance)
    return repair


@dataclass(frozen=True, eq=False)
class EqualityRepair:
    """What is known of an instance's equalities.

    Attributes:
        linear: bool [p], equalities that are linear.
        system: The linear ones.
        touched: bool [d], real variables that the others depend on.
    """

    instance: Equalities
    linear: BoolArray
    system: AffineSystem
    touched: BoolArray

    def __call__(self, X: FloatArray) -> FloatArray:
        """Repaired points float64 [n, d]; what meets the equalities within the tolerance is not changed.

        Args:
            X: float64 [n, d], inside the bounds; integers may be fractions, which say how they are best rounded.
        """
        if not X.shape[0]:
            return X
        allowed = self.instance.tolerance[len(self.instance.constraint_names) :]
        Y = self.instance.space.clip(X)
        wrong = (np.abs(self.system.misses(Y)) > allowed[self.linear]).any(axis=1)
        if wrong.any():
            Y[wrong] = self.system.solve(X[wrong])
        if self.linear.all() or not self.touched.any():
            return Y
        return _Newton(self, allowed).repaired(Y)


def _looked(instance: Equalities, X: FloatArray) -> FloatArray:
    """The equalities at points, float64 [n, p]; NaN where they cannot be evaluated."""
    try:
        return np.asarray(instance._equalities(X), dtype=np.float64)
    except (MemoryError, BudgetExhausted):
        raise
    except Exception:  # equalities of somebody's own; evaluating such a point will say what is wrong with it
        if instance.on_failure == "stop":
            raise
        if X.shape[0] == 1:
            return np.full((1, len(instance.equality_names)), np.nan)
        return np.concatenate([_looked(instance, X[i : i + 1]) for i in range(X.shape[0])])


def _found(instance: Equalities) -> EqualityRepair:
    """Probe the equalities: a point, a step along every variable, and points that a linear function must agree with."""
    space, p, d = instance.space, len(instance.equality_names), instance.space.dim
    lower = np.where(space.integer, np.ceil(space.lower), space.lower)
    upper = np.where(space.integer, np.floor(space.upper), space.upper)
    # Away from centers and corners, where symmetric functions hide what they depend on
    base = space.clip((lower + (upper - lower) * (0.35 + 0.3 * (_GOLDEN * np.arange(1, d + 1) % 1.0)))[None])[0]
    ends = np.where(upper - base >= base - lower, upper, lower)
    probes = base + np.diag(ends - base)  # [d, d]
    probes[np.diag_indices(d)] = ends  # exactly on the bound
    checks = np.concatenate([lower[None], upper[None], space.sample(generator(0, purpose="equalities"), _CHECKS)])
    at_base = _looked(instance, base[None])[0]  # alone and first: a budget too small for more leaves one point
    H = _looked(instance, np.concatenate([probes, checks]))
    at_probes, at_checks = H[:d], H[d:]
    steps = ends - base
    change = (at_probes - at_base).T  # [p, d]
    size = np.abs(H).max(axis=0, initial=0.0)  # [p]
    change[np.abs(change) <= _ROUNDING * size[:, None]] = 0.0
    A = np.divide(change, steps, out=np.zeros((p, d)), where=steps != 0.0)
    b = A @ base - at_base
    allowed = instance.tolerance[len(instance.constraint_names) :]
    apart = np.abs(checks @ A.T - b - at_checks).max(axis=0)
    reach = size + np.abs(A) @ np.maximum(np.abs(lower), np.abs(upper))
    linear = apart <= np.maximum(10.0 * _ROUNDING * reach, 1e-2 * allowed)  # false for NaN
    goal = np.maximum(np.minimum(_EXACT, 1e-2 * allowed), 1e-15 * d * reach)
    system = AffineSystem(A[linear], b[linear], lower, upper, space.integer, goal[linear])
    touched = ~space.integer & (upper > lower) & ~(change[~linear] == 0.0).all(axis=0)
    return EqualityRepair(instance, linear, system, touched)


class _Newton:
    """Gauss-Newton steps for equalities that are not linear, many points in step.

    Args:
        repair: What is known of the equalities.
        allowed: float64 [p], their tolerances.
    """

    def __init__(self, repair: EqualityRepair, allowed: FloatArray) -> None:
        self._repair, self._instance, self._system = repair, repair.instance, repair.system
        self._columns = np.flatnonzero(repair.touched)
        self._bent = ~repair.linear
        self._allowed = np.concatenate([allowed[repair.linear], allowed[self._bent]])
        self._goal = np.concatenate([repair.system.goal, 0.5 * allowed[self._bent]])  # with room for another rounding

    def repaired(self, X: FloatArray) -> FloatArray:
        """The points after as many steps as are allowed, each of which misses less than the last, float64 [n, d]."""
        Y, H = X.copy(), self._misses(X)  # [n, p], linear ones first
        n, q, p = X.shape[0], self._columns.size, int(self._bent.sum())
        J, made, stale, length = np.zeros((n, p, q)), np.zeros(n, dtype=np.int64), np.ones(n, dtype=bool), np.ones(n)
        going = np.flatnonzero((np.abs(H) > self._allowed).any(axis=1))
        for _ in range(_LOOKS):
            going = going[~stale[going] | (made[going] < _JACOBIANS)]
            if not going.size:
                break
            anew = going[stale[going]]
            J[anew] = self._jacobian(Y[anew], H[anew])
            made[anew], stale[anew], length[anew] = made[anew] + 1, False, 1.0
            fresh = np.isin(going, anew)
            step = length[going, None] * (self._linearized(Y[going], H[going], J[going]) - Y[going])
            reached = self._instance.space.clip(Y[going] + step)
            H_new = self._misses(reached)
            before, after = self._worst(H[going]), self._worst(H_new)
            better = after < before
            won = going[better]
            J[won] = self._updated(J[won], step[better], H_new[better] - H[won])
            Y[won], H[won] = reached[better], H_new[better]
            length[going] = np.where(better, 1.0, 0.25 * length[going])
            stale[going] = np.where(better, after > 0.3 * before, ~fresh & (length[going] == 0.25))
            going = going[(np.abs(H[going]) > self._goal).any(axis=1)]
        return Y

    def _worst(self, H: FloatArray) -> FloatArray:
        worst: FloatArray = (np.abs(H) / self._allowed).max(axis=1)
        return worst

    def _misses(self, X: FloatArray) -> FloatArray:
        """What the equalities miss at points, linear ones first, float64 [n, p]; infinite where the model failed."""
        H = _looked(self._instance, X)[:, self._bent]
        return np.concatenate([self._system.misses(X), np.where(np.isfinite(H), H, np.inf)], axis=1)

    def _jacobian(self, X: FloatArray, H: FloatArray) -> FloatArray:
        """Derivatives of the equalities that are not linear, float64 [n, p, q]; 0 where the model failed."""
        n, q, bent = X.shape[0], self._columns.size, slice(int(self._repair.linear.sum()), None)
        if not n:
            return np.zeros((0, int(self._bent.sum()), q))
        steps = _STEP * np.sqrt(self._system.weight)
        signed = np.where(X + steps <= self._system.upper, steps, -steps)[:, self._columns]  # [n, q]
        points = np.repeat(X[:, None, :], q, axis=1)  # [n, q, d]
        points[:, np.arange(q), self._columns] += signed
        points = np.maximum(points, self._system.lower)
        taken = (points - X[:, None, :])[:, np.arange(q), self._columns]  # as rounded
        around = self._misses(points.reshape(n * q, -1)).reshape(n, q, -1)[:, :, bent]
        with np.errstate(invalid="ignore"):
            slopes = (around - H[:, None, bent]) / taken[:, :, None]
        return np.where(np.isfinite(slopes), slopes, 0.0).transpose(0, 2, 1)

    def _linearized(self, X: FloatArray, H: FloatArray, J: FloatArray) -> FloatArray:
        """The nearest points of the box that solve the linearized equalities, integers held, float64 [n, d]."""
        system, n = self._system, X.shape[0]
        p_linear = system.A.shape[0]
        rows = np.zeros((n, H.shape[1], X.shape[1]))
        rows[:, :p_linear] = system.A
        rows[:, p_linear:, self._columns] = J
        held = system.integer
        lower, upper = np.where(held, X, system.lower), np.where(held, X, system.upper)
        aims = np.einsum("npd,nd->np", rows, X) - np.where(np.isfinite(H), H, 0.0)
        return nearest(X, rows, aims, lower, upper, system.weight, 1e-2 * self._goal)[0]

    def _updated(self, J: FloatArray, step: FloatArray, change: FloatArray) -> FloatArray:
        """Broyden's least change after which the Jacobians explain what a step has changed."""
        moved = step[:, self._columns]
        scaled = moved / self._system.weight[self._columns]
        square = (moved * scaled).sum(axis=1)[:, None]
        wrong = change[:, int(self._repair.linear.sum()) :] - np.einsum("npq,nq->np", J, moved)
        share = np.divide(wrong, square, out=np.zeros_like(wrong), where=np.isfinite(wrong) & (square > 0.0))
        updated: FloatArray = J + share[:, :, None] * scaled[:, None, :]
        return updated

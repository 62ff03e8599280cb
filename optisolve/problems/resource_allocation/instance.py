"""One concrete OFDMA case."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.problem import Description, Evaluation, Instance, Objective, Origin, Sense
from optisolve.core.space import Kind, Space, Variable
from optisolve.problems.resource_allocation import model
from optisolve.problems.resource_allocation.model import Cell, Goal

if TYPE_CHECKING:
    import torch
    from matplotlib.axes import Axes

__all__ = ["ResourceAllocationInstance"]

_MEGA = 1e6
_NEGLIGIBLE = 1e-3
"""Share of what the best users get at equal power below which differences count little: smallest scale of gaps."""


class ResourceAllocationInstance(Instance):
    """Gains of K users on M tones.

    The point is ``tone0.owner ...`` (users 0..K-1), followed by ``tone0.power_w ...`` or, with power levels, by
    ``tone0.level ...`` (0 = off); under equal power there are owners only.

    Args:
        origin: How to make this instance again.
        arrays: Checked arrays, see `ResourceAllocation.ARRAYS`.
        goal: What is maximized.
        power_levels: Levels L of a tone's power, 0 for continuous powers.

    Attributes:
        cell: What the equations need, see `model.Cell`.
    """

    picture = "powers"

    def __init__(self, origin: Origin, arrays: Mapping[str, FloatArray], *, goal: Goal, power_levels: int) -> None:
        self._arrays = dict(arrays)
        self.power_levels = power_levels
        n_users, self.n_tones = arrays["gain"].shape
        cap = min(float(arrays["tone_power_max_w"]), float(arrays["power_total_w"]))
        self.cell = Cell(
            snr_per_w=arrays["gain"] / arrays["noise_w"],
            tone_mbps=float(arrays["tone_hz"]) / _MEGA,
            weight=arrays["weight"] if goal is Goal.WEIGHTED_SUM_RATE else np.ones(n_users),
            power_total_w=float(arrays["power_total_w"]),
            tone_power_max_w=cap,
            rate_min_mbps=arrays["rate_min_bps"] / _MEGA if goal is Goal.MIN_RATES else np.zeros(n_users),
            quota=arrays["quota"],
            goal=goal,
            level_w=cap / power_levels if power_levels else 0.0,
        )
        super().__init__(
            origin=origin,
            space=self._space(n_users, cap),
            objectives=(Objective("rate", Sense.MAXIMIZE, "Mbit/s", meaning=_MEANING[goal], scale=self._scale()),),
            constraint_names=self._constraints(n_users),
        )

    def _scale(self) -> float:
        """A small share of a rate that follows from the data, Mbit/s: the best user of every tone at equal powers."""
        c = self.cell
        power = min(c.power_total_w / self.n_tones, c.tone_power_max_w)
        best = (c.weight[:, None] * np.log1p(c.snr_per_w * power)).max(axis=0).sum()
        return float(_NEGLIGIBLE * c.tone_mbps / np.log(2.0) * best)

    def _space(self, n_users: int, cap: float) -> Space:
        tones = range(self.n_tones)
        kind = Kind.BINARY if n_users == 2 else Kind.INTEGER
        variables = [Variable(f"tone{m}.owner", 0.0, n_users - 1.0, kind=kind) for m in tones]
        if self.cell.goal is Goal.EQUAL_POWER:
            return Space.of(variables)
        if self.power_levels:
            top = float(self.power_levels)
            return Space.of([*variables, *(Variable(f"tone{m}.level", 0.0, top, kind=Kind.INTEGER) for m in tones)])
        return Space.of([*variables, *(Variable(f"tone{m}.power_w", 0.0, cap, "W") for m in tones)])

    def _constraints(self, n_users: int) -> tuple[str, ...]:
        if self.cell.goal is Goal.EQUAL_POWER:
            return tuple(f"user{k}.quota" for k in range(n_users))
        return ("power", *(f"user{k}.rate" for k in np.flatnonzero(self.cell.rate_min_mbps > 0.0)))

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """The arrays of `ResourceAllocation.ARRAYS`."""
        return self._arrays

    def features(self) -> Mapping[str, npt.NDArray[Any]]:
        """``snr_db`` [K, M] at equal power, ``weight`` [K], and ``rate_min_mbps`` or ``quota`` [K] where they count."""
        equal = self.cell.power_total_w / self.n_tones
        found: dict[str, npt.NDArray[Any]] = {
            "snr_db": 10.0 * np.log10(self.cell.snr_per_w * equal),
            "weight": self.cell.weight,
        }
        if self.cell.goal is Goal.MIN_RATES:
            found["rate_min_mbps"] = self.cell.rate_min_mbps
        if self.cell.goal is Goal.EQUAL_POWER:
            found["quota"] = self.cell.quota
        return found

    @property
    def goal(self) -> str:
        """What is maximized, a `Goal`, which is a string such as ``"sum_rate"``."""
        return self.cell.goal

    @property
    def snr_per_w(self) -> FloatArray:
        """Gains over noise, float64 [K, M], 1/W."""
        return self.cell.snr_per_w

    @property
    def tone_mbps(self) -> float:
        """Rate of a tone per bit/s/Hz, Mbit/s."""
        return self.cell.tone_mbps

    @property
    def weight(self) -> FloatArray:
        """Weights of the users, float64 [K]; ones unless the goal weighs."""
        return self.cell.weight

    @property
    def power_total_w(self) -> float:
        """Power of all tones, W."""
        return self.cell.power_total_w

    @property
    def tone_power_max_w(self) -> float:
        """Largest power of a tone, W."""
        return self.cell.tone_power_max_w

    def point(self, owner: npt.ArrayLike, power: npt.ArrayLike | None = None) -> FloatArray:
        """The point of given owners [M] and powers [M] (W, or levels with power levels), float64 [d]."""
        parts = [np.asarray(owner, dtype=np.float64)]
        if self.cell.goal is not Goal.EQUAL_POWER:
            parts.append(np.asarray(power, dtype=np.float64))
        point: FloatArray = self.space.clip(np.concatenate(parts)[None, :])[0]
        return point

    def describe(self) -> Description:
        """The instance in words."""
        return _in_words(self.cell, self.features()["snr_db"], power_levels=self.power_levels)

    def null_policies(self) -> Mapping[str, FloatArray]:
        """``round_robin``, ``best_user`` and ``in_turns`` (users pick their best free tone in turns), equal powers."""
        n_users = self.cell.weight.size
        owners = {
            "round_robin": np.arange(self.n_tones) % n_users,
            "best_user": np.argmax(self.cell.snr_per_w, axis=0),
            "in_turns": self._in_turns(),
        }
        equal = min(self.cell.power_total_w / self.n_tones, self.cell.tone_power_max_w)
        power = np.full(self.n_tones, np.floor(equal / self.cell.level_w + 1e-9) if self.power_levels else equal)
        return {name: self.project(self.point(owner, power)) for name, owner in owners.items()}

    def _in_turns(self) -> IntArray:
        owner = np.full(self.n_tones, -1, dtype=np.int64)
        for turn in range(self.n_tones):
            k = turn % self.cell.weight.size
            owner[int(np.argmax(np.where(owner < 0, self.cell.snr_per_w[k], -np.inf)))] = k
        return owner

    def model(self, dialect: str) -> Any:
        """``"cpsat"`` and ``"highs"`` for power levels and equal power, ``"assignment"`` for equal power."""
        from optisolve.problems.resource_allocation import forms

        builders: dict[str, Callable[[forms.Tones], Any]]
        if self.cell.goal is Goal.EQUAL_POWER:
            builders = {"assignment": forms.assignment_form, "cpsat": forms.cpsat_quota_form, "highs": forms.highs_quota_form}
        elif self.power_levels:
            builders = {"cpsat": forms.cpsat_level_form, "highs": forms.highs_level_form}
        else:
            return None
        return builders[dialect](self) if dialect in builders else None

    def offers(self, dialect: str) -> bool:
        """As `model`, without building one."""
        return dialect in self._dialects()

    def _dialects(self) -> tuple[str, ...]:
        if self.cell.goal is Goal.EQUAL_POWER:
            return ("assignment", "cpsat", "highs")
        return ("cpsat", "highs") if self.power_levels else ()

    def objective_torch(self, x: torch.Tensor) -> torch.Tensor:
        """Weighted rate as a torch expression, differentiable in the powers; owners are rounded.

        Args:
            x: [n, d].

        Returns:
            [n, 1], Mbit/s, the same values as the numpy twin.
        """
        import torch

        c, m = self.cell, self.n_tones
        owner = x[:, :m].round().long()
        tones = torch.arange(m, device=x.device)
        snr = torch.tensor(c.snr_per_w, dtype=x.dtype, device=x.device)[owner, tones]
        weight = torch.tensor(c.weight, dtype=x.dtype, device=x.device)[owner]
        power = c.power_total_w / m if c.goal is Goal.EQUAL_POWER else x[:, m:] * self._power_unit_w
        value: torch.Tensor = (weight * c.tone_mbps * torch.log1p(snr * power) / np.log(2.0)).sum(dim=1, keepdim=True)
        return value

    def draw(self, axes: Axes, x: FloatArray) -> bool:
        """Bars of the tones' powers, one color per owner."""
        from optisolve.plotting.maps import draw_bars

        owner, power = x[: self.n_tones].astype(int), self._powers_w(x[None, :])[0]
        bars = {f"user {k}": np.where(owner == k, power, 0.0) for k in range(self.cell.snr_per_w.shape[0])}
        draw_bars(axes, bars, x="Tone; number: its user", y="Power in W", words=[str(k) for k in owner], stacked=True)
        return True

    # -- evaluation ----------------------------------------------------------------------------------------------

    @property
    def _power_unit_w(self) -> float:
        """Watts per unit of the power variables, or of every tone under equal power."""
        if self.cell.goal is Goal.EQUAL_POWER:
            return self.cell.power_total_w / float(self.n_tones)
        return self.cell.level_w if self.power_levels else 1.0

    def _powers_w(self, X: FloatArray) -> FloatArray:
        """Powers of a batch, float64 [n, M], W."""
        if self.cell.goal is Goal.EQUAL_POWER:
            return np.full((X.shape[0], self.n_tones), self._power_unit_w)
        return X[:, self.n_tones :] * self._power_unit_w

    def _evaluate(self, X: FloatArray) -> Evaluation:
        from optisolve.problems.resource_allocation.kernels import evaluate

        c, n = self.cell, X.shape[0]
        F, G = np.empty((n, 1)), np.empty((n, len(self.constraint_names)))
        equal = c.goal is Goal.EQUAL_POWER
        evaluate(
            X, c.snr_per_w, c.tone_mbps, c.weight, self._power_unit_w, c.power_total_w, c.rate_min_mbps, c.quota, equal, F, G
        )
        return Evaluation(F, G, np.empty((n, 0)))

    def _evaluate_twin(self, X: FloatArray) -> Evaluation:
        value, G = model.evaluate(self.cell, X[:, : self.n_tones].astype(np.int64), self._powers_w(X))
        return Evaluation(value[:, None], G, np.empty((X.shape[0], 0)))

    def _project(self, X: FloatArray) -> FloatArray:
        """Powers onto the budget (exact inside the box), levels or owners repaired; minimum rates are left alone."""
        c, m = self.cell, self.n_tones
        if c.goal is Goal.EQUAL_POWER:
            return model.repair_quota(X, c.quota, c.snr_per_w)
        if self.power_levels:
            X[:, m:] = model.repair_levels(X[:, m:], c.level_budget)
        else:
            X[:, m:] = model.repair_power(X[:, m:], c.power_total_w)
        return X


_MEANING = {
    Goal.SUM_RATE: "sum of the users' rates",
    Goal.WEIGHTED_SUM_RATE: "sum of the users' rates, weighted",
    Goal.MIN_RATES: "sum of the users' rates, while each gets its minimum",
    Goal.EQUAL_POWER: "sum of the users' rates at equal power on all tones",
}


_ENTRIES = 160
"""Signal-to-noise ratios that are listed; of more, only the strongest users of every tone are."""
_STRONGEST = 2


def _in_words(cell: Cell, snr_db: FloatArray, *, power_levels: int) -> Description:
    """The cell in words.

    Args:
        cell: What the equations need.
        snr_db: float64 [K, M], SNR of every user on every tone at equal power, dB.
        power_levels: Levels of a tone's power, 0 for continuous powers.
    """
    n_users, n_tones = snr_db.shape
    if cell.goal is Goal.EQUAL_POWER:
        constraints = [f"user{k} gets at most {q:g} tones." for k, q in enumerate(cell.quota)]
    else:
        unit = f" (one level is {cell.level_w:.4g} W)" if power_levels else ""
        constraints = [f"The powers of all tones add up to at most {cell.power_total_w:g} W{unit}."]
        constraints += [f"user{k} needs at least {r:g} Mbit/s." for k, r in enumerate(cell.rate_min_mbps) if r > 0.0]
    return Description(
        f"Each of {n_tones} tones goes to one of {n_users} users (0 to {n_users - 1}). The rate of a tone grows with the "
        "logarithm of power times the owner's gain on it; owners are combinatorial, powers trade between tones.",
        tuple(constraints),
        _facts(cell, snr_db),
        _hints(cell),
    )


def _facts(cell: Cell, snr_db: FloatArray) -> tuple[str, ...]:
    n_users, n_tones = snr_db.shape
    if n_users * n_tones <= _ENTRIES:
        return tuple(
            f"user{k}: weight {cell.weight[k]:.3g}; SNR per tone at equal power [dB] "
            + ", ".join(f"{v:.1f}" for v in snr_db[k])
            for k in range(n_users)
        )
    weights = "Weights of the users: " + ", ".join(f"{w:.3g}" for w in cell.weight) + "."
    best = np.argsort(-snr_db, axis=0, kind="stable")[:_STRONGEST]  # [2, M]
    return (
        *([] if np.ptp(cell.weight) == 0.0 else [weights]),
        f"Strongest {_STRONGEST} users of every tone, SNR at equal power in dB: "
        + "; ".join(
            f"tone{m}: " + ", ".join(f"user{k} {snr_db[k, m]:.0f}" for k in best[:, m].tolist()) for m in range(n_tones)
        )
        + ".",
    )


def _hints(cell: Cell) -> tuple[str, ...]:
    hints = ["Without other constraints the user with the highest gain should own a tone."]
    if np.ptp(cell.weight) > 0.0:
        hints.append("A large weight makes up for a smaller gain, since the rate is only a logarithm of it.")
    if cell.goal is Goal.EQUAL_POWER:
        hints.append("A user at its quota should keep the tones on which it is furthest ahead of the next best user.")
    else:
        hints += [
            "Good powers fill water: strong tones get more, tones below the water level none; the whole budget is used.",
            "A tone at low SNR earns almost in proportion to its power, one at high SNR gains little from more.",
        ]
    if (cell.rate_min_mbps > 0.0).any():
        hints.append("A user below its minimum rate should get tones on which others lose least, then power.")
    return tuple(hints)

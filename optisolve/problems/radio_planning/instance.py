"""What all forms of radio planning share: variables, objectives, constraints; a form says what gains a plan has."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

import numpy as np

from optisolve.core import Description, Evaluation, HypervolumeBox, Instance, Origin, Space, Variable
from optisolve.core.arrays import FloatArray
from optisolve.problems.radio_planning import model
from optisolve.problems.radio_planning.model import Plan, Transmitters

__all__ = ["PlanningInstance"]

_UNITS = {"x_m": "m", "y_m": "m", "height_m": "m", "azimuth_deg": "deg", "tilt_deg": "deg", "power_dbm": "dBm"}


class PlanningInstance(Instance):
    """M transmitters whose variables are ``site{m}.x_m``, ``site{m}.y_m`` and what else is decided, transmitter by transmitter.

    Args:
        origin: How to make this instance again.
        plan: What is decided and wanted.
        bounds: Lower and upper bound of every variable of one transmitter, by name (``"x_m"``, ..., ``"power_dbm"``), in order.
        hypervolume_box: Scoring box of several objectives; None lets it follow the instance.

    Attributes:
        plan: What is decided and wanted.
    """

    def __init__(
        self,
        *,
        origin: Origin,
        plan: Plan,
        bounds: Mapping[str, tuple[float, float]],
        hypervolume_box: HypervolumeBox | None = None,
    ) -> None:
        self.plan = plan
        self._fields = tuple(bounds)
        super().__init__(
            origin=origin,
            space=Space.of(
                Variable(f"site{m}.{name}", low, high, _UNITS[name])
                for m in range(plan.n_transmitters)
                for name, (low, high) in bounds.items()
            ),
            objectives=plan.objectives,
            constraint_names=plan.constraint_names,
            hypervolume_box=hypervolume_box,
        )

    @property
    def full_power_dbm(self) -> float:
        """Largest power that the cap on the EIRP allows, dBm; used where power is not decided."""
        return min(self.plan.power_dbm[1], self.plan.eirp_max_dbm - self.plan.peak_dbi)

    def columns(self, X: FloatArray, name: str) -> FloatArray:
        """One variable of all transmitters, float64 [n, M], a view.

        Args:
            X: float64 [n, d].
            name: E.g. ``"x_m"``.
        """
        return X[:, self._fields.index(name) :: len(self._fields)]

    def point(self, values: Mapping[str, FloatArray]) -> FloatArray:
        """Points from the variables of all transmitters, float64 [n, d]; the inverse of `columns`.

        Args:
            values: float64 [n, M] by name; names that are not decided are left out.
        """
        return np.stack([values[name] for name in self._fields], axis=2).reshape(len(values["x_m"]), -1)

    @abstractmethod
    def transmitters(self, X: FloatArray) -> Transmitters:
        """The configurations that points of the space stand for, float64 [n, d]."""

    @abstractmethod
    def gains(self, chosen: Transmitters) -> FloatArray:
        """Linear path gains to the users, antenna included, float64 [n, M, K]."""

    def links(self, x: FloatArray) -> model.Links:
        """SINR, association and rate of every user at one point, each [1, K].

        Args:
            x: float64 [d], inside the bounds.
        """
        chosen = self.transmitters(self.space.require(x, what="x"))
        return model.links(self.gains(chosen), model.watts(chosen.power_dbm), self.plan)

    def _evaluate(self, X: FloatArray) -> Evaluation:
        chosen = self.transmitters(X)
        power_w = model.watts(chosen.power_dbm)
        F = model.goals(model.links(self.gains(chosen), power_w, self.plan), power_w, self.plan)
        return Evaluation(F, self._constraints(chosen), np.empty((X.shape[0], 0)))

    def _constraints(self, chosen: Transmitters) -> FloatArray:
        """G, float64 [n, k]."""
        G = [model.separation_gaps(chosen.position_m, self.plan)]
        if "power" in self.plan.decide:
            G.append(model.eirp_excess(chosen.power_dbm, self.plan))
        return np.concatenate(G, axis=1)

    def _project(self, X: FloatArray) -> FloatArray:
        if "power" in self.plan.decide:
            power = self.columns(X, "power_dbm")
            np.minimum(power, self.full_power_dbm, out=power)
        return X

    def _in_words(self, summary: str, facts: tuple[str, ...], hints: tuple[str, ...] = ()) -> Description:
        """The description: what all forms say, with what one form adds."""
        plan = self.plan
        power = "power" in plan.decide
        constraints = [f"Any two transmitters must be at least {plan.distance_min_m:g} m apart."]
        if power:
            cap = f"{self.full_power_dbm:g} dBm, so that power plus antenna gain stays within {plan.eirp_max_dbm:g} dBm EIRP"
            constraints.append(f"No transmitter may use more than {cap}.")
        return Description(summary, tuple(constraints), facts, (*_hints(plan), *hints))


def _hints(plan: Plan) -> tuple[str, ...]:
    """What a change of a variable does to the objectives."""
    told = ["Transmitters that cover the same streets waste each other: spread them over the users, close to where many are."]
    if plan.shared:
        told.append(
            "All transmitters use one carrier: a user between two of them hears both equally loud and is lost to the SINR "
            "target, so beams should not overlap where users are."
        )
    else:
        told.append("Every transmitter has a carrier of its own: they do not disturb each other, only gaps matter.")
    if "azimuth" in plan.decide:
        told.append(
            "An azimuth of 0 looks east, 90 north, 180 west, 270 south; a beam is 65 degrees wide, what lies behind it gets "
            "30 dB less. A transmitter at the edge should look towards the middle."
        )
    if "tilt" in plan.decide:
        told.append(
            "The beam is 13 degrees high: a larger down-tilt serves near streets and spares far ones, a smaller one reaches "
            "far and disturbs more."
        )
    if "power" in plan.decide:
        lost = "interference to the users of the others" if plan.shared else "radiated power"
        told.append(f"3 dB more power are twice the watts; they reach farther and cost {lost}.")
    if "edge_rate" in plan.goals:
        told.append("Users of one transmitter share its band: an overloaded one lowers the rate of all its users.")
    return tuple(told)

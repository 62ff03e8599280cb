"""One case of `beamforming`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import ComplexArray, FloatArray
from optisolve.core.problem import Description, Evaluation, Instance, Objective, Origin, Sense
from optisolve.core.space import Space, Variable
from optisolve.goals.goal_instance import GoalInstance, MeasuredInstance, goal_origin
from optisolve.goals.metric import Bound, Feasibility, Metric
from optisolve.problems.beamforming import goals, model
from optisolve.problems.beamforming.model import Constants

if TYPE_CHECKING:
    import torch

    from optisolve.goals.goal import Goal as TypedGoal
    from optisolve.modelling.cvxpy import CvxpyModel

__all__ = ["BeamformingInstance"]

_OBJECTIVES = {
    "min_power": ("power", Sense.MINIMIZE, "W", "Total transmit power of all precoders."),
    "max_min": ("balanced_sinr", Sense.MAXIMIZE, "", "Smallest ratio of a user's SINR to its target."),
    "weighted_sum_rate": ("sum_rate", Sense.MAXIMIZE, "bit/s/Hz", "Weighted sum of the users' rates."),
}


class BeamformingInstance(MeasuredInstance):
    """Channels of K users to M antennas.

    Args:
        origin: How to make it again.
        constants: Goal and data.
        arrays: The defining arrays, read-only.
    """

    def __init__(self, origin: Origin, constants: Constants, arrays: Mapping[str, FloatArray]) -> None:
        self.constants, self._arrays = constants, dict(arrays)
        K, M = constants.h.shape
        bound = math.sqrt(constants.p_total_w)
        name, sense, unit, meaning = _OBJECTIVES[constants.goal]
        targets = tuple(f"sinr{k}" for k in range(K)) if constants.goal == "min_power" else ()
        super().__init__(
            origin=origin,
            space=Space.of(
                Variable(f"user{k}.antenna{m}.{part}", -bound, bound, "sqrt(W)")
                for k in range(K)
                for m in range(M)
                for part in ("re", "im")
            ),
            objectives=(Objective(name, sense, unit, meaning, scale=_least_magnitude(constants)),),
            constraint_names=("total_power", *targets),
        )

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """Channels, weights and SINR targets."""
        return self._arrays

    def describe(self) -> Description:
        """The instance in words."""
        return _in_words(self.constants)

    def null_policies(self) -> Mapping[str, FloatArray]:
        """MRT, RZF and, with enough antennas, ZF at equal power; for least power also with minimal powers."""
        c = self.constants
        K, M = c.h.shape
        norm = np.linalg.norm(c.h, axis=1, keepdims=True)
        users = c.h / norm  # directions count, and so the gains' spread does not
        directions = {"mrt": users, "rzf": _regularized(users, K * c.noise_w / (c.p_total_w * norm[:, 0] ** 2))}
        if M >= K and np.linalg.matrix_rank(users) == K:
            directions["zf"] = _regularized(users, np.zeros(K))
        policies = {}
        for name, W in directions.items():
            unit = W / np.linalg.norm(W, axis=1, keepdims=True)
            policies[name] = model.to_points((unit * math.sqrt(c.p_total_w / K * (1.0 - 1e-15)))[None])
            if c.goal == "min_power":
                power = model.power_control(c, W, c.sinr_target)
                if power is not None and power.sum() <= c.p_total_w:
                    policies[f"{name}_power_control"] = model.to_points((unit * np.sqrt(power)[:, None])[None])
        return {name: self.space.clip(point) for name, point in policies.items()}

    def model(self, dialect: str) -> CvxpyModel | None:
        """The SOCP for ``"cvxpy"`` (least power, balanced SINR); None for the sum rate and for other dialects."""
        if dialect != "cvxpy" or self.constants.goal == "weighted_sum_rate":
            return None
        from optisolve.problems.beamforming.convex import BeamformingModel

        return BeamformingModel(self.constants)

    @property
    def goal(self) -> str:
        """``"min_power"``, ``"max_min"`` or ``"weighted_sum_rate"``."""
        return self.constants.goal

    @property
    def channel(self) -> ComplexArray:
        """The users' channels, complex128 [K, M]."""
        return self.constants.h

    @property
    def weight(self) -> FloatArray:
        """Weights of the rates, float64 [K]."""
        return self.constants.weight

    @property
    def sinr_target(self) -> FloatArray:
        """SINR targets, float64 [K], linear."""
        return self.constants.sinr_target

    @property
    def noise_w(self) -> float:
        """Noise of every user, W."""
        return self.constants.noise_w

    @property
    def p_total_w(self) -> float:
        """Cap on the power of all precoders, W."""
        return self.constants.p_total_w

    def precoded(self, W: ComplexArray) -> FloatArray:
        """The point of precoders complex128 [K, M], sqrt(W), brought into the bounds; float64 [d]."""
        point: FloatArray = self.space.clip(model.to_points(W[None]))[0]
        return point

    def metrics(self) -> tuple[Metric, ...]:
        """``sinr`` and ``rate`` of every user, ``sum_rate``, ``total_power``."""
        return goals.metrics(self.constants)

    def metric_values(self, X: FloatArray) -> Mapping[str, FloatArray]:
        """The metrics at points float64 [n, 2 K M], sqrt(W)."""
        return goals.metric_values(self.constants, X)

    def own_bounds(self) -> tuple[Bound, ...]:
        """The SINR targets of the least power."""
        return goals.own_bounds(self.constants)

    def satisfiable(self, bounds: tuple[Bound, ...]) -> Feasibility:
        """Exact for least SINRs and rates under a largest total power."""
        return goals.feasibility(self.constants, bounds)

    def goal_model(self, dialect: str, goal: TypedGoal, bounds: tuple[Bound, ...]) -> CvxpyModel | None:
        """The SOCP for ``"cvxpy"`` where the least power has floors for some users only."""
        part = goals.served_part(self.constants, goal.objective, bounds) if dialect == "cvxpy" else None
        if part is None:
            return None
        from optisolve.problems.beamforming.convex import ServedModel

        return ServedModel(part[0], tuple(int(k) for k in part[1]), self.constants.sinr_target.size)

    def _native_goal(self, goal: TypedGoal, bounds: tuple[Bound, ...]) -> Instance | None:
        constants = goals.native_constants(self.constants, goal.objective, bounds, keep=goal.keep)
        if constants is not None:
            changed = {"weight": constants.weight, "sinr_target": constants.sinr_target}
            return BeamformingInstance(goal_origin(self, goal), constants, {**self._arrays, **changed})
        base, explicit, rest = goals.general_form(self.constants, goal, bounds)
        arrays = {**self._arrays, "sinr_target": base.sinr_target}
        return GoalInstance(BeamformingInstance(self.origin, base, arrays), explicit, rest)

    def objective_torch(self, x: torch.Tensor) -> torch.Tensor:
        """The objective, differentiable (``max_min`` almost everywhere).

        Args:
            x: Tensor [n, 2 K M], sqrt(W).

        Returns:
            Tensor [n, 1], the values of `evaluate_twin`.
        """
        import torch

        c = self.constants
        if c.goal == "min_power":
            return (x * x).sum(dim=1, keepdim=True)
        sinr = self._sinr_torch(x)
        if c.goal == "max_min":
            ratio = sinr / torch.as_tensor(c.sinr_target.copy(), dtype=x.dtype, device=x.device)
            return ratio.min(dim=1, keepdim=True).values
        weight = torch.as_tensor(c.weight.copy(), dtype=x.dtype, device=x.device)
        return (weight * torch.log1p(sinr)).sum(dim=1, keepdim=True) / math.log(2.0)

    def constraints_torch(self, x: torch.Tensor) -> torch.Tensor:
        """The inequality constraints as differentiable functions.

        Args:
            x: Tensor [n, 2 K M], sqrt(W).

        Returns:
            Tensor [n, k], the values of G of `evaluate_twin`.
        """
        import torch

        c = self.constants
        power = (x * x).sum(dim=1, keepdim=True) / c.p_total_w - 1.0
        if c.goal != "min_power":
            return power
        target = torch.as_tensor(c.sinr_target.copy(), dtype=x.dtype, device=x.device)
        return torch.cat([power, 1.0 - self._sinr_torch(x) / target], dim=1)

    def _sinr_torch(self, x: torch.Tensor) -> torch.Tensor:
        import torch

        c = self.constants
        W = torch.view_as_complex(x.reshape(x.shape[0], *c.h.shape, 2).contiguous())  # [n, K, M]
        h = torch.as_tensor(c.h.copy(), dtype=W.dtype, device=x.device)
        received = torch.einsum("km,njm->nkj", h.conj(), W)
        gains = received.real**2 + received.imag**2
        signal = torch.diagonal(gains, dim1=1, dim2=2)
        others = 1.0 - torch.eye(gains.shape[1], dtype=gains.dtype, device=x.device)
        return signal / ((gains * others).sum(dim=2) + c.noise_w)

    def _evaluate(self, X: FloatArray) -> Evaluation:
        from optisolve.problems.beamforming import kernels

        c, arrays = self.constants, self._arrays
        F, G = np.empty((X.shape[0], 1)), np.empty((X.shape[0], len(self.constraint_names)))
        goal = kernels.GOALS.index(c.goal)
        kernels.evaluate(goal, arrays["h_re"], arrays["h_im"], c.weight, c.sinr_target, c.noise_w, c.p_total_w, X, F, G)
        return Evaluation(F, G, np.empty((X.shape[0], 0)))

    def _evaluate_twin(self, X: FloatArray) -> Evaluation:
        F, G = model.evaluate(self.constants, X)
        return Evaluation(F, G, np.empty((X.shape[0], 0)))

    def _project(self, X: FloatArray) -> FloatArray:
        return model.project(self.constants, X)


def _regularized(users: ComplexArray, loading: FloatArray) -> ComplexArray:
    """Directions of H^H (H H^H + loading)^-1 as rows, complex128 [K, M]; loading 0 is zero forcing.

    Args:
        users: complex128 [K, M], channels of norm 1.
        loading: float64 [K], regularization of each user over its channel gain.
    """
    inner = users.conj() @ users.T + np.diag(loading + 1e-14)  # [K, K]; the trace of a loading keeps like users apart
    # A factor of a row of the answer turns no direction, hence loadings far above 1 are taken out
    return np.asarray(np.linalg.solve((inner / (1.0 + loading)[:, None]).T, users), dtype=np.complex128)


def _least_magnitude(c: Constants) -> float:
    """What the optimum is never below, from the data alone, so that gaps are relative to the optimum itself.

    Least power: what the targets need without interference. Balanced SINR: matched filters at equal power, all else taken for
    interference. Sum rate: the best user alone.
    """
    snr = c.p_total_w / c.noise_w * (np.abs(c.h) ** 2).sum(axis=1)  # [K]
    if c.goal == "min_power":
        return c.p_total_w * float((c.sinr_target / snr).sum())
    if c.goal == "max_min":
        return float((snr / snr.size / (1.0 + snr) / c.sinr_target).min())
    return float((c.weight * np.log1p(snr)).max()) / math.log(2.0)


_ENTRIES = 64
"""Channel entries that are listed; more would drown the reader."""

_AIM = {
    "min_power": "Reach every user's SINR target with as little power as possible.",
    "max_min": "Make the worst ratio of SINR to target as large as possible.",
    "weighted_sum_rate": "Make the weighted sum of rates as large as possible.",
}

_HINTS = {
    "min_power": (
        "Scaling all precoders down by one factor saves power and lowers every SINR; at the optimum every user meets its "
        "target exactly.",
        "A user above its target can lower its own precoder, which also helps all others.",
    ),
    "max_min": (
        "Only the worst user counts: move power to it and turn the others' precoders away from its channel.",
        "At the optimum all ratios are equal and the whole power is used.",
    ),
    "weighted_sum_rate": (
        "The last watt is worth most at a user with large weight, strong channel and little interference.",
        "Serving fewer users can be better than serving all: a precoder near zero switches a user off.",
    ),
}


def _in_words(c: Constants) -> Description:
    """The channels in words.

    Args:
        c: Goal and data.
    """
    K, M = c.h.shape
    constraints = [f"The squared magnitudes of all precoder entries add up to at most {c.p_total_w:g} W."]
    if c.goal == "min_power":
        constraints.append("Every user's SINR reaches its target.")
    gain = (np.abs(c.h) ** 2).sum(axis=1)
    facts = [
        f"user{k}: channel gain {g:.3g}, SINR target {10 * math.log10(t):.1f} dB, weight {a:.3g}"
        for k, (g, t, a) in enumerate(zip(gain, c.sinr_target, c.weight, strict=True))
    ]
    return Description(
        f"Choose complex precoders of {M} antennas for {K} users on one downlink channel, noise {c.noise_w:g} W. "
        + _AIM[c.goal],
        constraints=tuple(constraints),
        facts=(*facts, *_channels(c)),
        hints=(
            "The variables are the real (re) and imaginary (im) part of every entry of every precoder w. User k hears the "
            "signal of user j with power |h_k^H w_j|^2: its own is useful, the others' are interference.",
            "A precoder along the user's channel gives most signal; one orthogonal to the others' channels disturbs nobody.",
            "Regularized zero forcing is between the two and often good: channel minus a part that lies along the others'.",
            "Turning the phase of a whole precoder changes nothing.",
            *_HINTS[c.goal],
        ),
    )


def _channels(c: Constants) -> tuple[str, ...]:
    """Directions of the channels, when they are few enough to read; what two channels have in common otherwise."""
    unit = c.h / np.linalg.norm(c.h, axis=1, keepdims=True)
    if c.h.size <= _ENTRIES:
        return tuple(
            f"channel h of user{k}, scaled to norm 1, (re, im) by antenna: "
            + ", ".join(f"({v.real:.2f}, {v.imag:.2f})" for v in row)
            for k, row in enumerate(unit)
        )
    overlap = np.abs(unit.conj() @ unit.T)  # [K, K]
    np.fill_diagonal(overlap, -1.0)
    return tuple(
        f"user{k}'s channel is most like that of user{int(row.argmax())} (cosine {row.max():.2f})"
        for k, row in enumerate(overlap)
    )

"""The family `pricing_game`: one number, the price of a watt, decides how selfish links behave."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, cast

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt, Le

from optisolve.core.arrays import FloatArray, frozen
from optisolve.core.capabilities import SelfishLinks
from optisolve.core.clock import so_far, time_is_up, time_left
from optisolve.core.errors import FieldProblem, ProblemError
from optisolve.core.problem import Description, Evaluation, Instance, Objective, Origin, Problem, Sense
from optisolve.core.reference import Effort, Reference
from optisolve.core.seeds import generator
from optisolve.core.space import Space, Variable
from optisolve.modelling.answer import certify
from optisolve.numerics.games import equilibrium_sinr
from optisolve.numerics.priced_links import ROUNDING, good_price, neighbors, upper_bound
from optisolve.problems.pricing_game import model
from optisolve.problems.pricing_game.model import Uplink

__all__ = ["PricingGame", "PricingGameInstance"]

_Amount = Annotated[float, Ge(1e-30), Le(1e30)]

_LARGEST_SNR = 1e20
"""Largest ratio of received power, processing gain included, to noise, and the inverse of the smallest."""

_GRID = {Effort.QUICK: 301, Effort.NORMAL: 1001, Effort.THOROUGH: 10001}
_RTOL = {Effort.QUICK: 1e-4, Effort.NORMAL: 1e-6, Effort.THOROUGH: 1e-7}
_AT_ONCE = 16
"""Prices that are tried together where the time is limited."""
_CELLS = {Effort.QUICK: 5_000, Effort.NORMAL: 20_000, Effort.THOROUGH: 200_000}


class PricingGameInstance(Instance):
    """The price that a network puts on the power of selfish links.

    Attributes:
        uplink: Gains, noise, rate and frame of the links.
    """

    def __init__(self, origin: Origin, uplink: Uplink, log_low: float, log_high: float) -> None:
        self.uplink = uplink
        scale = 1e-3 * float(model.alone(uplink).max())
        super().__init__(
            origin=origin,
            space=Space.of([Variable("log10_price", log_low, log_high, "log10(bit/J/W)")]),
            objectives=(Objective("total_utility", Sense.MAXIMIZE, "kbit/J", "bits per joule of all links together", scale),),
        )

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """Gains, noise and the numbers of the links."""
        up = self.uplink
        names = ("gain", "noise_w", "processing_gain", "p_max_w", "rate_bit_s", "frame_bits")
        return {name: frozen(getattr(up, name)) for name in names}

    def describe(self) -> Description:
        """The game in words."""
        up = self.uplink
        return Description(
            f"{up.gain.size} selfish links share one receiver; each maximizes its bits per joule less a price on its power. "
            "Choose the decimal logarithm of that price so that, once nobody wants to move, all links together deliver as many "
            "bits per joule as possible.",
            facts=(f"Without a price every link ends at SINR {up.balanced_sinr:.4g}, with more power than is good for all.",),
            hints=("A small price changes nothing, a large one silences links; in between all of them gain.",),
        )

    def null_policies(self) -> Mapping[str, FloatArray]:
        """Hardly any price (the plain Nash equilibrium), the middle of the range, the largest price."""
        low, high = self.space.lower, self.space.upper
        return {"no_price": low[None, :].copy(), "middle": 0.5 * (low + high)[None, :], "largest": high[None, :].copy()}

    def powers(self, x: FloatArray) -> FloatArray:
        """Powers of the links at the equilibrium of one decision, float64 [K], W."""
        power_w: FloatArray = self._settled(x[None, :1])[0][0]
        return power_w

    def _evaluate(self, X: FloatArray) -> Evaluation:
        return Evaluation(self._settled(X)[1], np.empty((X.shape[0], 0)), np.empty((X.shape[0], 0)))

    def _settled(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Powers float64 [n, K], W, and total utility float64 [n, 1], kbit/J."""
        from optisolve.numerics.priced_links_kernels import evaluate

        up, n = self.uplink, X.shape[0]
        P, F = np.empty((n, up.gain.size)), np.empty((n, 1))
        numbers = (up.noise_w, up.processing_gain, up.p_max_w, up.rate_bit_s, up.frame_bits, up.balanced_sinr)
        evaluate(10.0 ** X[:, 0], up.gain, *numbers, P, F)
        return P, F


@dataclass(frozen=True)
class PricingGame(Problem):
    """Selfish links and a price on power.

    Args:
        n_links: Links; with M = 80 and G = 100 at most 16 can share the receiver.
        distance_low_m: Smallest distance to the receiver, m.
        distance_high_m: Largest distance to the receiver, m.
        gain_at_1m: Power gain at 1 m, linear.
        path_exponent: Gain falls with this power of the distance.
        noise_w: Noise power, W.
        processing_gain: G, linear.
        p_max_w: Cap of every link, W.
        rate_bit_s: R, bit/s.
        frame_bits: M.
        log10_price_low: Smallest decision, log10 of bit/J per W.
        log10_price_high: Largest.
    """

    name: ClassVar[str] = "pricing_game"
    version: ClassVar[str] = "3"
    summary: ClassVar[str] = "A price on power makes selfish links deliver more bits per joule."
    evidence: ClassVar[str] = "proven optimal (branch and bound over the price)"
    portable: ClassVar[bool] = True

    n_links: Annotated[int, Ge(2), Le(1000)]
    distance_low_m: Annotated[float, Ge(1e-6), Le(1e9)]
    distance_high_m: Annotated[float, Ge(1e-6), Le(1e9)]
    gain_at_1m: _Amount
    path_exponent: Annotated[float, Gt(0), Le(10)]
    noise_w: _Amount
    processing_gain: Annotated[float, Ge(1e-12), Le(1e12)]
    p_max_w: _Amount
    rate_bit_s: _Amount
    frame_bits: Annotated[int, Ge(2), Le(100_000)]
    log10_price_low: Annotated[float, Ge(-100), Le(100)]
    log10_price_high: Annotated[float, Ge(-100), Le(100)]

    def instance(self, seed: int = 0) -> Instance:
        """Draw distances, uniform in area."""
        rng = generator(seed, problem=self.name, purpose="instance")
        squares = rng.uniform(self.distance_low_m**2, self.distance_high_m**2, self.n_links)
        up = Uplink(
            gain=frozen(self.gain_at_1m * squares ** (-0.5 * self.path_exponent)),
            noise_w=self.noise_w,
            processing_gain=self.processing_gain,
            p_max_w=self.p_max_w,
            rate_bit_s=self.rate_bit_s,
            frame_bits=self.frame_bits,
            balanced_sinr=equilibrium_sinr(self.frame_bits),
        )
        with np.errstate(over="ignore", under="ignore"):
            snr = up.processing_gain * up.gain * up.p_max_w / up.noise_w
        if not ((snr >= 1.0 / _LARGEST_SNR) & (snr <= _LARGEST_SNR)).all():
            told = f"processing_gain * gain * p_max_w / noise_w = {snr.min():g} to {snr.max():g}"
            expected = f"{1.0 / _LARGEST_SNR:g} to {_LARGEST_SNR:g}: change noise_w, p_max_w, gain_at_1m or the distances"
            raise ProblemError(f"pricing_game: {told}; expected {expected}.")
        return PricingGameInstance(self.origin(seed), up, self.log10_price_low, self.log10_price_high)

    def reference(self, instance: Instance, effort: Effort = Effort.NORMAL) -> Reference | None:
        """The best price, and a bound over all prices that meets it within 1e-4, 1e-6 or 1e-7 of its value, by effort.

        A grid, refined twice, finds a good price; branch and bound proves it or finds a better one. When that takes too
        many intervals, the bound stays apart from the value and the evidence is DUAL_BOUND.
        """
        if not isinstance(instance, PricingGameInstance):
            raise ProblemError(f"pricing_game: got an instance of {type(instance).__name__}; draw it with instance(seed).")
        low, high, n = float(instance.space.lower[0]), float(instance.space.upper[0]), _GRID[effort]
        best = good_price(lambda grid: _values(instance, grid), low, high, n)
        proof = upper_bound(
            cast(SelfishLinks, instance.uplink),  # frozen, where the protocol knows no such thing
            low,
            high,
            lambda x: float(instance.evaluate(np.array([[x]])).F[0, 0]),
            best,
            rtol=_RTOL[effort],
            most_cells=_CELLS[effort],
            stop=time_is_up,
        )
        near = instance.space.clip(neighbors(proof.x)[:, None])
        return certify(
            instance,
            near[int(np.argmax(instance.evaluate_twin(near).F[:, 0]))],
            dual_bound=proof.bound if np.isfinite(proof.bound) else None,
            tolerance=(_RTOL[effort] + 2.0 * ROUNDING) * abs(proof.value),
            slack=0.0,
            solver="grid, branch and bound",
            solver_version="2",
            detail=f"Grid of {n} prices, refined twice; {proof.n_cells} intervals of prices bounded by enclosures of the game.",
        )

    def _check(self) -> Iterable[FieldProblem]:
        if self.log10_price_low >= self.log10_price_high:
            yield FieldProblem("log10_price_high", self.log10_price_high, "more than log10_price_low")
        if self.distance_low_m >= self.distance_high_m:
            yield FieldProblem("distance_high_m", self.distance_high_m, "more than distance_low_m")


def _values(instance: PricingGameInstance, prices: FloatArray) -> FloatArray:
    """Values of prices, float64 [n], kbit/J; where the time is limited, of as many, spread over all, as half of it allows."""
    begin = time_left()
    if begin is None:
        return instance.evaluate(prices[:, None]).F[:, 0]
    values, turns = np.full(prices.size, -np.inf), -(-prices.size // _AT_ONCE)
    for turn in range(turns):
        values[turn::turns] = instance.evaluate(prices[turn::turns, None]).F[:, 0]
        x = prices[[int(np.argmax(values))]]
        so_far(certify(instance, x, dual_bound=None, tolerance=0.0, slack=0.0, solver="grid"))
        if (time_left() or 0.0) < 0.5 * begin:
            break
    return values

"""`pricing_game` from its card: the links of one price settle round by round, in plain loops."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tests.independent.protocol import Scaling

ROUNDS = 300
SETTLED = 1e-12


def evaluate(
    params: Mapping[str, Any], arrays: Mapping[str, np.ndarray], x: Sequence[float]
) -> tuple[list[float], list[float], list[float]]:
    gain, price = arrays["gain"].tolist(), 10.0 ** x[0]
    top = _balanced(params["frame_bits"])
    powers, gone = [0.0] * len(gain), [False] * len(gain)
    for _ in range(ROUNDS):
        following = []
        for k, own in enumerate(gain):
            heard = math.fsum(
                [params["noise_w"], *(g * p for j, (g, p) in enumerate(zip(gain, powers, strict=True)) if j != k)]
            )
            following.append(0.0 if gone[k] else _reply(params, params["processing_gain"] * own / heard, price, top))
        gone = [g or p <= 0.0 for g, p in zip(gone, following, strict=True)]
        still = all(abs(a - b) <= SETTLED * max(a, b) for a, b in zip(following, powers, strict=True))
        powers = following
        if still:
            break
    value = []
    for k, own in enumerate(gain):
        if powers[k] > 0.0:
            heard = math.fsum(
                [params["noise_w"], *(g * p for j, (g, p) in enumerate(zip(gain, powers, strict=True)) if j != k)]
            )
            sinr = params["processing_gain"] * own * powers[k] / heard
            value.append(params["rate_bit_s"] * (-math.expm1(-sinr)) ** params["frame_bits"] / powers[k] / 1e3)
    return [math.fsum(value)], [], []


def _heard(noise_w: float, gain: Sequence[float], powers: Sequence[float], k: int) -> float:
    return math.fsum([noise_w, *(g * p for j, (g, p) in enumerate(zip(gain, powers, strict=True)) if j != k)])


def _balanced(bits: int) -> float:
    """The g beyond ln M with f'(g) g = f(g), that is M g = exp(g) - 1, by bisection of ln(1 + M g) = g."""
    low, high = math.log(bits), 2.0 * math.log(bits) + 2.0
    for _ in range(200):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if math.log1p(bits * middle) > middle else (low, middle)
    return 0.5 * (low + high)


def _reply(params: Mapping[str, Any], per_watt: float, price: float, top: float) -> float:
    """Power that makes R f(g) / p - c p largest, 0 when nothing pays; g f'(g) - f(g) = c g^2 / (R h^2) by bisection."""
    bits, rate = params["frame_bits"], params["rate_bit_s"]

    def excess(g: float) -> float:
        base = -math.expm1(-g)
        return base ** (bits - 1) * (bits * g * math.exp(-g) - base) - price / rate / per_watt**2 * g * g

    low, high = math.log(bits), top
    if excess(low) <= 0.0:
        return 0.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if excess(middle) > 0.0 else (low, middle)
    power = min(0.5 * (low + high) / per_watt, params["p_max_w"])
    net = rate * (-math.expm1(-power * per_watt)) ** bits / power - price * power
    return power if net > 0.0 else 0.0


def fuzz(rng: np.random.Generator) -> tuple[str, dict[str, Any]]:
    """Powers and rates in any unit; prices around the scenario's, in those units."""
    watt, bit = 10.0 ** rng.uniform(-6, 6), 10.0 ** rng.uniform(-6, 6)
    shift = math.log10(bit) - 2.0 * math.log10(watt)
    return "pricing_game", {
        "n_links": int(rng.integers(2, 10)),
        "noise_w": 5e-15 * watt * 10.0 ** rng.uniform(-3, 3),
        "p_max_w": 2.0 * watt * 10.0 ** rng.uniform(-2, 1),
        "rate_bit_s": 1e4 * bit,
        "frame_bits": int(10.0 ** rng.uniform(0.4, 4.0)),
        "processing_gain": 10.0 ** rng.uniform(1.0, 3.0),
        "path_exponent": rng.uniform(2.0, 4.5),
        "log10_price_low": shift + rng.uniform(2.0, 8.0),
        "log10_price_high": shift + rng.uniform(9.0, 13.0),
    }


def attack(instance: Any, reference: Any, rng: np.random.Generator) -> np.ndarray:
    low, high = float(instance.space.lower[0]), float(instance.space.upper[0])
    points = [np.linspace(low, high, 400), rng.uniform(low, high, 100)]
    if reference.X is not None:
        best = float(reference.X[0, 0])
        points += [
            best + np.spacing(best) * np.arange(-60, 61),
            best + rng.standard_normal(100) * 10.0 ** rng.uniform(-9, -1, 100),
        ]
    return np.concatenate(points)[:, None]


def _more_power(params: Mapping[str, Any], arrays: Mapping[str, np.ndarray], c: float) -> dict[str, Any]:
    changed = {name: params[name] * c for name in ("noise_w", "p_max_w")}
    prices = {name: params[name] - 2.0 * math.log10(c) for name in ("log10_price_low", "log10_price_high")}
    return {**params, **changed, **prices}


def _more_rate(params: Mapping[str, Any], arrays: Mapping[str, np.ndarray], c: float) -> dict[str, Any]:
    prices = {name: params[name] + math.log10(c) for name in ("log10_price_low", "log10_price_high")}
    return {**params, **prices, "rate_bit_s": params["rate_bit_s"] * c}


SCALINGS = {
    "power": Scaling(params=_more_power, x=lambda X, c: X - 2.0 * math.log10(c), F=lambda F, c: F * c**-1.0),
    "rate": Scaling(params=_more_rate, x=lambda X, c: X + math.log10(c), F=lambda F, c: F * c),
}

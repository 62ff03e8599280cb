"""What all forward passes share: named weights, layers, the noise level as features, the calling convention."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.bridge import Cases
from optisolve.core.documents import JsonObject
from optisolve.core.errors import SolverError

__all__ = [
    "TIME_WIDTH",
    "Encoded",
    "Estimator",
    "Forward",
    "Linear",
    "Norm",
    "Parts",
    "sigmoid",
    "silu",
    "softmax",
    "time_features",
]

Encoded = dict[str, FloatArray]
"""What a network needs of its instances, computed once and used in every step."""

_TIME_FREQUENCIES = 4
TIME_WIDTH = 2 * _TIME_FREQUENCIES + 1
_NORM_EPS = 1e-5


class Estimator(Protocol):
    """Clean estimates for the cases that it was made for."""

    def __call__(self, noisy: FloatArray, level: float, *, null: bool = False) -> FloatArray:
        """The clean solutions that a network guesses.

        Args:
            noisy: float64 [B, S, N, C].
            level: Noise level from 0 (clean) to 1 (pure noise).
            null: Do without the condition (classifier-free guidance).

        Returns:
            float64 [B, S, N, C].
        """
        ...


class Forward(ABC):
    """A denoiser in numpy, float64 throughout, so that last bits of sums are far below the grid that samples are rounded to.

    Args:
        parts: The weights.
        prediction: What the network was trained to predict, ``"sample"`` or ``"velocity"``.
    """

    def __init__(self, parts: Parts, prediction: str) -> None:
        self.prediction = prediction
        self._build(parts)
        parts.require_all_taken()

    @abstractmethod
    def _build(self, parts: Parts) -> None:
        """Take the weights."""

    @abstractmethod
    def encode(self, condition: Cases) -> Encoded:
        """What the network needs of the instances."""

    @abstractmethod
    def denoise(self, noisy: FloatArray, level: float, encoded: Encoded, *, null: bool) -> FloatArray:
        """What the network predicts; arguments as `Estimator`."""

    def at(self, condition: Cases) -> Estimator:
        """The estimator of some cases.

        Args:
            condition: Of B cases, as `Bridge.condition` tells it.
        """
        with np.errstate(over="ignore"):  # exp(-x) of a very negative x: the limit is right
            encoded = self.encode(condition)

        def clean(noisy: FloatArray, level: float, *, null: bool = False) -> FloatArray:
            with np.errstate(over="ignore"):
                predicted = self.denoise(noisy, level, encoded, null=null)
            if self.prediction == "sample":
                return predicted
            angle = 0.5 * math.pi * level
            estimate: FloatArray = math.cos(angle) * noisy - math.sin(angle) * predicted
            return estimate

        return clean


@dataclass(frozen=True, eq=False, slots=True)
class Linear:
    """A linear layer.

    Args:
        weight: float64 [inputs, outputs].
        bias: float64 [outputs], or None.
    """

    weight: FloatArray
    bias: FloatArray | None

    def __call__(self, x: FloatArray) -> FloatArray:
        """float64 [..., outputs] from [..., inputs], as one product of matrices."""
        flat = x.reshape(-1, x.shape[-1]) @ self.weight
        if self.bias is not None:
            flat += self.bias
        out: FloatArray = flat.reshape(*x.shape[:-1], flat.shape[1])
        return out


@dataclass(frozen=True, eq=False, slots=True)
class Norm:
    """Layer normalization over the last axis, with scale and shift float64 [width]."""

    weight: FloatArray
    bias: FloatArray

    def __call__(self, x: FloatArray) -> FloatArray:
        """float64 [..., width]."""
        centered = x - x.mean(axis=-1, keepdims=True)
        variance = np.square(centered).mean(axis=-1, keepdims=True)
        out: FloatArray = centered / np.sqrt(variance + _NORM_EPS) * self.weight + self.bias
        return out


@dataclass(slots=True)
class Parts:
    """Weights by name, each checked and taken once.

    Args:
        source: Where they come from, for messages.
        kind: Class of the network, for messages.
        arrays: The tensors of the file.
        config: The network's arguments.
    """

    source: str
    kind: str
    arrays: Mapping[str, np.ndarray]
    config: JsonObject
    _taken: set[str] = field(default_factory=set)

    def size(self, name: str, default: int) -> int:
        """A whole number of the configuration.

        Raises:
            SolverError: It is none, or negative.
        """
        value = self.config.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise SolverError(f"ddpm: {self.source}: config.json: {name} is {value!r}; expected a whole number, at least 0.")
        return value

    def array(self, name: str, *shape: int) -> FloatArray:
        """A tensor as float64.

        Raises:
            SolverError: It is missing, of another shape, or not finite.
        """
        if name not in self.arrays:
            raise SolverError(f"ddpm: {self.source}: the weights lack '{name}', which a {self.kind} of this config.json has.")
        values = np.asarray(self.arrays[name], dtype=np.float64)
        if values.shape != shape:
            raise SolverError(
                f"ddpm: {self.source}: '{name}' has the shape {list(values.shape)}; "
                f"a {self.kind} of this config.json has {list(shape)}."
            )
        if not np.isfinite(values).all():
            raise SolverError(f"ddpm: {self.source}: '{name}' holds numbers that are not finite.")
        self._taken.add(name)
        return values

    def linear(self, name: str, inputs: int, outputs: int, *, bias: bool = True) -> Linear:
        """A linear layer ``name.weight`` [outputs, inputs] with ``name.bias`` [outputs]."""
        weight = self.array(f"{name}.weight", outputs, inputs)
        return Linear(weight.T, self.array(f"{name}.bias", outputs) if bias else None)

    def norm(self, name: str, width: int) -> Norm:
        """A layer normalization."""
        return Norm(self.array(f"{name}.weight", width), self.array(f"{name}.bias", width))

    def two_layers(self, name: str, inputs: int, hidden: int, outputs: int) -> Callable[[FloatArray], FloatArray]:
        """Linear, SiLU, linear: ``name.0`` and ``name.2``."""
        first, second = self.linear(f"{name}.0", inputs, hidden), self.linear(f"{name}.2", hidden, outputs)
        return lambda x: second(silu(first(x)))

    def require_all_taken(self) -> None:
        """Refuse weights that hold more than the network has.

        Raises:
            SolverError: They do.
        """
        strangers = sorted(set(self.arrays) - self._taken)
        if strangers:
            raise SolverError(
                f"ddpm: {self.source}: the weights hold '{strangers[0]}', which a {self.kind} of this config.json lacks."
            )


def time_features(level: float) -> FloatArray:
    """Noise level as float64 [2F + 1]: itself and a few sines and cosines."""
    angle = level * math.pi * np.arange(1, _TIME_FREQUENCIES + 1)
    return np.concatenate([[level], np.sin(angle), np.cos(angle)])


def sigmoid(x: FloatArray) -> FloatArray:
    """1 / (1 + exp(-x))."""
    y: FloatArray = np.exp(-x)
    y += 1.0
    return np.reciprocal(y, out=y)


def silu(x: FloatArray) -> FloatArray:
    """x / (1 + exp(-x))."""
    y: FloatArray = np.exp(-x)
    y += 1.0
    return np.divide(x, y, out=y)


def softmax(x: FloatArray, axis: int) -> FloatArray:
    """exp(x) over its sum along an axis."""
    y: FloatArray = x - x.max(axis=axis, keepdims=True)
    np.exp(y, out=y)
    y /= y.sum(axis=axis, keepdims=True)
    return y

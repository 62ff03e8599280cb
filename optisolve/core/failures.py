"""A model that cannot evaluate a point: which rows of a batch failed, and what the first of them said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import numpy as np

from optisolve.core.arrays import BoolArray, FloatArray
from optisolve.core.errors import BudgetExhausted, ProblemError
from optisolve.core.evaluation import Evaluation, Objective
from optisolve.core.space import Space

__all__ = [
    "POLICIES",
    "Attempt",
    "Modelled",
    "OnFailure",
    "WrongShape",
    "attempt",
    "examined",
    "failure_text",
    "hopeless_points",
    "lost_points",
    "point_by_point",
    "policy_of",
]

OnFailure = Literal["penalize", "skip", "stop"]
POLICIES: tuple[OnFailure, ...] = get_args(OnFailure)

_LONGEST_TEXT = 300
_MOST_VARIABLES = 6


class _Named(Protocol):
    @property
    def problem(self) -> str: ...

    @property
    def scenario(self) -> str: ...


class Modelled(Protocol):
    """What has to be known of an instance whose model may fail."""

    space: Space
    objectives: tuple[Objective, ...]
    constraint_names: tuple[str, ...]
    equality_names: tuple[str, ...]
    on_failure: str

    @property
    def costly(self) -> bool:
        """Whether every evaluation is a call of its own."""
        ...

    @property
    def origin(self) -> _Named:
        """Its names, for messages."""
        ...

    def judged(self, evaluation: Evaluation) -> Evaluation:
        """An evaluation by its own tolerances."""
        ...


@dataclass(frozen=True, eq=False, slots=True)
class Attempt:
    """What came of a batch.

    Attributes:
        evaluation: F, G and H of all rows; NaN where the model failed.
        failed: bool [n].
        message: What was wrong with the first failed row, "" without one.
        cause: The exception behind `message`, None when the values were not finite.
    """

    evaluation: Evaluation
    failed: BoolArray
    message: str = ""
    cause: Exception | None = None


class WrongShape(ProblemError):
    """A model returned arrays of a wrong shape."""


def policy_of(instance: Modelled) -> OnFailure:
    """The instance's policy.

    Raises:
        ProblemError: It is none of `POLICIES`.
    """
    for policy in POLICIES:
        if instance.on_failure == policy:
            return policy
    raise ProblemError(f"{instance.origin.problem}: on_failure is {instance.on_failure!r}, expected one of {POLICIES}.")


def attempt(instance: Modelled, X: FloatArray, evaluate: Callable[[FloatArray], Evaluation]) -> Attempt:
    """Evaluate a batch; when the model raises, row by row, so that one point costs no other one.

    A model whose evaluations cost time gets one point per call from the start: nothing is evaluated twice.

    Args:
        instance: Whose points they are.
        X: float64 [n, d], checked.
        evaluate: The instance's fast evaluation or its twin, unchecked.

    Raises:
        WrongShape: Arrays of a wrong shape for every point.
        MemoryError: From the model, for a batch or for each of its points.
    """
    if instance.costly and X.shape[0] > 1:
        return point_by_point(instance, X, lambda x: attempt(instance, x, evaluate))
    try:
        evaluation = evaluate(X)
    except (MemoryError, BudgetExhausted):
        raise
    except Exception as error:
        if X.shape[0] > 1:
            return point_by_point(instance, X, lambda x: attempt(instance, x, evaluate))
        return lost_points(instance, X, failure_text(error), error)
    return examined(instance, X, evaluation)


def examined(instance: Modelled, X: FloatArray, evaluation: Evaluation) -> Attempt:
    """What a batch is by its values: rows with one that is not finite have failed.

    Args:
        instance: Whose points they are.
        X: float64 [n, d].
        evaluation: Their values.

    Raises:
        WrongShape: They are not as many as the instance declares.
    """
    _require_shapes(instance, evaluation, X.shape[0])
    evaluation = instance.judged(evaluation)
    failed = np.zeros(X.shape[0], dtype=bool)
    F, G, H = evaluation.F, evaluation.G, evaluation.H
    if np.isfinite(F).all() and (not G.size or np.isfinite(G).all()) and (not H.size or np.isfinite(H).all()):
        return Attempt(evaluation, failed)  # the usual case, told in one look
    parts = (("F", F), ("G", G), ("H", H))
    for _, values in parts:
        failed |= ~np.isfinite(values).all(axis=1)
    row = int(np.argmax(failed))
    name, column = next((name, int(np.argmin(np.isfinite(v[row])))) for name, v in parts if not np.isfinite(v[row]).all())
    value = next(v for n, v in parts if n == name)[row, column]
    told = f"{name}[{column}] = {value} at {_point_text(instance, X[row])}"
    return Attempt(evaluation, failed, told)


def failure_text(error: BaseException) -> str:
    """An exception of somebody's model in one printable line."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return shown if len(shown) <= _LONGEST_TEXT else f"{shown[:_LONGEST_TEXT]}..."


def lost_points(instance: Modelled, X: FloatArray, told: str, cause: Exception | None = None) -> Attempt:
    """A batch of which no point has values.

    Args:
        instance: Whose points they are.
        X: float64 [n, d], n >= 1.
        told: Why.
        cause: The exception behind it.
    """
    message = f"{told} at {_point_text(instance, X[0])}"
    return Attempt(Evaluation(*_nothing(instance, X.shape[0])), np.ones(X.shape[0], dtype=bool), message, cause)


def point_by_point(instance: Modelled, X: FloatArray, evaluate: Callable[[FloatArray], Attempt]) -> Attempt:
    """A batch of which every point is a call of its own; arrays of a wrong shape, or no memory, fail that point alone.

    Args:
        instance: Whose points they are.
        X: float64 [n, d], n >= 2.
        evaluate: What came of one point, float64 [1, d].

    Raises:
        WrongShape: For every point: nothing else can come of this model.
        MemoryError: Likewise.
    """
    F, G, H = _nothing(instance, X.shape[0])
    failed, message, cause = np.zeros(X.shape[0], dtype=bool), "", None
    hopeless: list[WrongShape | MemoryError] = []
    for i in range(X.shape[0]):
        try:
            one = evaluate(X[i : i + 1])
        except (WrongShape, MemoryError) as error:
            hopeless.append(error)
            one = hopeless_points(instance, X[i : i + 1], error)
        failed[i] = one.failed[0]
        F[i], G[i], H[i] = one.evaluation.F[0], one.evaluation.G[0], one.evaluation.H[0]
        if failed[i] and not message:
            message, cause = one.message, one.cause
    if len(hopeless) == X.shape[0]:
        raise hopeless[0]
    return Attempt(instance.judged(Evaluation(F, G, H)), failed, message, cause)


def hopeless_points(instance: Modelled, X: FloatArray, error: WrongShape | MemoryError) -> Attempt:
    """Points, float64 [n, d], at which a model has no memory or the wrong number of values, where at others it was right."""
    told = str(error).rstrip(".") if isinstance(error, WrongShape) else f"out of memory: {error}".rstrip(": ")
    return lost_points(instance, X, told, error)


def _nothing(instance: Modelled, n: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """F, G and H of n points, NaN throughout."""
    m, k, p = len(instance.objectives), len(instance.constraint_names), len(instance.equality_names)
    return np.full((n, m), np.nan), np.full((n, k), np.nan), np.full((n, p), np.nan)


def _require_shapes(instance: Modelled, evaluation: Evaluation, n: int) -> None:
    widths = (len(instance.objectives), len(instance.constraint_names), len(instance.equality_names))
    for name, values, width in zip("FGH", evaluation, widths, strict=True):
        shape = np.shape(values)
        if shape != (n, width):
            where = f"{instance.origin.scenario}: {name} of {n} points"
            raise WrongShape(f"{where} has shape {shape}, declared is ({n}, {width}).")


def _point_text(instance: Modelled, x: FloatArray) -> str:
    shown = [f"{name} = {value:.6g}" for name, value in zip(instance.space.names[:_MOST_VARIABLES], x, strict=False)]
    return ", ".join(shown) + (", ..." if x.size > _MOST_VARIABLES else "")

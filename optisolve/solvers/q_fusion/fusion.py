"""Rules that make one decision out of several experts': pure functions that any gate can call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from optisolve.core.arrays import FloatArray

__all__ = ["RULES", "Rule", "fuse_q", "mix_actions", "normalized"]

Rule = Literal["normalized", "average", "gpi", "successor", "product"]
RULES: tuple[Rule, ...] = ("normalized", "average", "gpi", "successor", "product")
"""``normalized``: weighted mean of scale-free action values. ``average``: weighted mean of the action values as they are.
``gpi``: per action the largest value of any expert with a weight. ``successor``: generalized policy improvement on successor
features, see `optisolve.solvers.q_fusion.experts`. ``product``: product of the experts' soft policies, each to the power of its
weight."""
_TINY = 1e-12


def normalized(Q: FloatArray) -> FloatArray:
    """Action values without offset and scale: ``(Q - mean_a Q) / (max_a Q - min_a Q)``, 0 where all actions are alike.

    Args:
        Q: float64 [..., A].
    """
    spread = Q.max(axis=-1, keepdims=True) - Q.min(axis=-1, keepdims=True)
    return np.asarray(
        np.where(spread > _TINY, (Q - Q.mean(axis=-1, keepdims=True)) / np.where(spread > _TINY, spread, 1.0), 0.0)
    )


def fuse_q(rule: Rule, Q: FloatArray, weight: FloatArray, *, temperature: float = 0.1) -> FloatArray:
    """Scores of the actions after fusing the experts; the largest one is the decision.

    Args:
        rule: One of `RULES`; ``successor`` treats Q as values of the experts' policies under the compound reward, so it takes
            the same maximum as ``gpi``.
        Q: float64 [n, ..., A], action values of n experts, higher is better.
        weight: float64 [n], non-negative; an expert with weight 0 has no say.
        temperature: Of the soft policies of ``product``, in units of each expert's spread of values.

    Returns:
        float64 [..., A].

    Source:
        ``normalized``: weighted fusion of arXiv 2402.09756, made scale-free; ``gpi`` and ``successor``: Barreto et al. 2017,
        arXiv 1606.05312; ``product``: Haarnoja et al. 2018, arXiv 1803.06773.
    """
    share = weight / max(float(weight.sum()), _TINY)
    shaped = share.reshape(-1, *[1] * (Q.ndim - 1))
    if rule == "normalized":
        return np.asarray((shaped * normalized(Q)).sum(axis=0))
    if rule == "average":
        return np.asarray((shaped * Q).sum(axis=0))
    if rule in ("gpi", "successor"):
        return np.asarray(np.where(shaped > 0.0, Q, -np.inf).max(axis=0))
    logits = normalized(Q) / temperature
    top = logits.max(axis=-1, keepdims=True)
    log_policy = logits - top - np.log(np.exp(logits - top).sum(axis=-1, keepdims=True))
    return np.asarray((shaped * log_policy).sum(axis=0))


def mix_actions(
    actions: FloatArray, weight: FloatArray, *, value: Callable[[FloatArray], FloatArray] | None = None, convex: bool = False
) -> tuple[FloatArray, str]:
    """Fuse continuous decisions: the weighted mean only where it is safe, else the best of them.

    On a convex feasible set with a concave objective the mean is at least the weighted mean of the values (Jensen), yet it may
    be below the best; on an interference channel it can lose half of the rate. So the mean is taken only when `convex` is
    declared, and with `value` given only when it beats the best expert.

    Args:
        actions: float64 [n, d], one decision per expert.
        weight: float64 [n], non-negative.
        value: Value of decisions float64 [m, d], float64 [m], higher is better; minus infinity where infeasible. None when no
            decision can be tried: then the expert with the largest weight decides unless `convex` is declared.
        convex: The feasible set is convex and the objective concave.

    Returns:
        The decision float64 [d], and ``"mean"``, or ``"best"`` with the index of the expert, e.g. ``"best:0"``.
    """
    share = weight / max(float(weight.sum()), _TINY)
    mean = share @ actions
    if value is None:
        heaviest = int(np.argmax(weight))
        return (mean, "mean") if convex else (actions[heaviest], f"best:{heaviest}")
    values = value(np.vstack([actions, mean]))
    best = int(np.argmax(values[:-1]))
    if convex and values[-1] > values[best]:
        return mean, "mean"
    return actions[best], f"best:{best}"

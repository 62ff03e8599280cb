"""An instance as a short vector of numbers that means the same for every family."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.problem import Instance, Sense

__all__ = ["FEATURE_VERSION", "feature_names", "instance_features"]

FEATURE_VERSION = 2
"""Changes with the meaning of any entry; a trained gate refuses another version."""

_PLAIN = (
    "log_variables",
    "log_constraints",
    "log_equalities",
    "integer_share",
    "objectives",
    "maximize",
    "arrays",
    "log_numbers",
    "log_mean",
    "log_spread",
    "log_low",
    "log_high",
    "zero_share",
    "log_ratio",
)


def feature_names(flags: Collection[str]) -> tuple[str, ...]:
    """Names of the entries: general ones, then one per expert of `flags`, 1 when it can treat the instance."""
    return (*_PLAIN, *(f"can:{name}" for name in sorted(flags)))


def instance_features(instance: Instance, flags: Collection[str], able: Collection[str]) -> FloatArray:
    """The vector, float64 [14 + len(flags)], finite.

    Args:
        instance: The instance; only its public description is used: space, constraints, `Instance.features`.
        flags: Experts that the vector speaks about.
        able: Those of them that can treat the instance.
    """
    space = instance.space
    arrays = [np.abs(np.asarray(v, dtype=np.float64)).ravel() for v in instance.features().values()]
    values = np.concatenate(arrays) if arrays else np.zeros(1)
    values = values[np.isfinite(values)]
    values = values if values.size else np.zeros(1)
    nonzero = values[values > 0.0]
    logs = np.log10(np.clip(nonzero, 1e-30, 1e30)) if nonzero.size else np.zeros(1)
    low, high = np.quantile(logs, [0.05, 0.95])
    plain = [
        np.log10(space.dim),
        np.log10(1.0 + len(instance.constraint_names)),
        np.log10(1.0 + len(instance.equality_names)),
        float(np.mean(space.integer)),
        float(len(instance.objectives)),
        float(instance.objectives[0].sense is Sense.MAXIMIZE),
        float(len(arrays)),
        np.log10(1.0 + values.size),
        float(logs.mean()),
        float(logs.std()),
        float(low),
        float(high),
        float(np.mean(values == 0.0)),
        np.log10(1.0 + values.size / space.dim),
    ]
    return np.array([*plain, *(float(name in able) for name in sorted(flags))], dtype=np.float64)

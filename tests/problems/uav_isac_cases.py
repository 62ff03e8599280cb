"""Scenarios shared by the tests of `uav_isac`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from optisolve.content import load_yaml
from optisolve.core.arrays import FloatArray
from optisolve.problems.uav_isac import UavIsac

ROOT = Path(__file__).parents[2]

URBAN = {"channel": "al_hourani", "los_a_deg": 9.61, "los_b_per_deg": 0.16, "eta_los_db": 1.0, "eta_nlos_db": 20.0}


def scenario(**changes: Any) -> UavIsac:
    """The default scenario with changes."""
    values = load_yaml("problems", "uav_isac")
    values.pop("name")
    return UavIsac.from_mapping({**values, **changes})


def project_powers(P: FloatArray, p_min_w: float, p_max_w: float, p_total_w: float) -> FloatArray:
    """Euclidean projection of powers onto the box cut by the total-power cap.

    The answer is clip(p - tau) with the smallest tau >= 0 that meets the cap; the sum is piecewise linear in tau, so tau
    is found on the piece between two sorted breakpoints.

    Args:
        P: float64 [n, M], inside [p_min_w, p_max_w], W.
        p_min_w: Lower bound, W.
        p_max_w: Upper bound, W.
        p_total_w: Cap on the row sums, W; at least M p_min_w.

    Returns:
        float64 [n, M], W.
    """
    breaks = np.sort(np.concatenate([P - p_max_w, P - p_min_w, np.zeros((len(P), 1))], axis=1), axis=1)
    breaks = np.maximum(breaks, 0.0)  # [n, 2M + 1] ascending candidates for tau
    sums = np.clip(P[:, None, :] - breaks[:, :, None], p_min_w, p_max_w).sum(axis=2)  # [n, 2M + 1] descending
    meets = sums <= p_total_w
    meets[:, -1] = True  # M p_min_w meets the cap by assumption, up to rounding
    right = np.argmax(meets, axis=1)  # first breakpoint that meets the cap
    rows = np.arange(len(P))
    left = np.maximum(right - 1, 0)
    high, low = sums[rows, left], sums[rows, right]
    share = np.where(high > low, (high - p_total_w) / np.where(high > low, high - low, 1.0), 1.0)
    tau = breaks[rows, left] + np.maximum(share, 0.0) * (breaks[rows, right] - breaks[rows, left])
    tau = np.where(P.sum(axis=1) <= p_total_w, 0.0, tau)
    return np.clip(P - tau[:, None], p_min_w, p_max_w)

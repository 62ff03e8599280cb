"""The logarithm of kernels that also small jobs run, in Python; importing this module does not import numba."""

from __future__ import annotations

from math import log, log1p

from optisolve.numerics.interpreted import njit_once_it_pays

__all__ = ["log_one_plus"]


@njit_once_it_pays(nogil=True, error_model="numpy")
def log_one_plus(x):  # type: ignore[no-untyped-def]
    """log(1 + x) for x >= 0, to 1e-14 relative; the library's log1p takes much longer than log and is needed only near 0."""
    return log(1.0 + x) if x > 0.01 else log1p(x)

"""Elementary functions for kernels; importing this module imports numba.

Those that end in ``_inline`` are free of branches and calls, so that loops over many points vectorize; they give the same bits
at every vector width.
"""

from __future__ import annotations

import math
from typing import Any

from numba import types
from numba.extending import intrinsic

from optisolve.numerics.compiled import njit

__all__ = ["atan_unit_inline", "exp_inline", "log1p_inline", "log_inline"]

_LN2_HIGH = float.fromhex("0x1.62e42fee00000p-1")  # ln 2 with 21 trailing zero bits: products with exponents are exact
_LN2_LOW = float.fromhex("0x1.a39ef35793c76p-33")  # ln 2 - _LN2_HIGH
_LOG2_E = 1.0 / math.log(2.0)
_SQRT_HALF_BITS = 0x3FE6A09E667F3BCD
_ROUND = 1.5 * 2.0**52  # adding and subtracting it rounds to the nearest integer
_ROUND_BITS = 0x4338000000000000
_TAN_PI_8 = math.sqrt(2.0) - 1.0
_PI_8 = math.pi / 8.0

_part = njit(inline="always", error_model="numpy")


@intrinsic  # type: ignore[untyped-decorator]
def _bits(_typing: Any, _value: Any) -> Any:
    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], context.get_value_type(types.int64))

    return types.int64(types.float64), codegen


@intrinsic  # type: ignore[untyped-decorator]
def _float(_typing: Any, _value: Any) -> Any:
    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], context.get_value_type(types.float64))

    return types.float64(types.int64), codegen


@_part
def _log_sum(u: Any, rest: Any) -> Any:
    """ln(u + rest) for a positive normal u and |rest| below half an ulp of u."""
    bits = _bits(u)
    exponent = (bits - _SQRT_HALF_BITS) >> 52
    mantissa = _float(bits - (exponent << 52))  # in [sqrt(1/2), sqrt(2))
    f = (mantissa - 1.0) + rest * _float((1023 - exponent) << 52)
    s = f / (2.0 + f)  # |s| < 0.172; ln(1 + f) = 2 artanh(s)
    z = s * s
    tail = 1 / 15 + z * (1 / 17 + z * (1 / 19 + z * (1 / 21)))
    tail = 1 / 3 + z * (1 / 5 + z * (1 / 7 + z * (1 / 9 + z * (1 / 11 + z * (1 / 13 + z * tail)))))
    return exponent * _LN2_HIGH + (2.0 * s + (2.0 * s * (z * tail) + exponent * _LN2_LOW))


@_part
def log_inline(x: Any) -> Any:
    """Natural logarithm of a positive normal number."""
    return _log_sum(x, 0.0)


@_part
def log1p_inline(x: Any) -> Any:
    """ln(1 + x) for x >= 0, with full relative accuracy for small x."""
    u = 1.0 + x
    return _log_sum(u, x - (u - 1.0))


@_part
def exp_inline(x: Any) -> Any:
    """Exponential, argument clipped to [-700, 700]."""
    x = min(max(x, -700.0), 700.0)
    shifted = x * _LOG2_E + _ROUND  # its last bits hold the nearest integer n
    n = shifted - _ROUND
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW  # |r| < 0.35
    tail = 1 / 5040 + r * (1 / 40320 + r * (1 / 362880 + r * (1 / 3628800 + r * (1 / 39916800 + r * (1 / 479001600)))))
    tail = 1 / 2 + r * (1 / 6 + r * (1 / 24 + r * (1 / 120 + r * (1 / 720 + r * tail))))
    return (1.0 + (r + r * r * tail)) * _float((_bits(shifted) - _ROUND_BITS + 1023) << 52)


@_part
def atan_unit_inline(q: Any) -> Any:
    """Arc tangent of q in [0, 1], by the addition theorem around tan(pi/8) and the odd series."""
    y = (q - _TAN_PI_8) / (1.0 + _TAN_PI_8 * q)  # |y| <= tan(pi/8)
    z = -y * y
    tail = 1 / 31 + z * (1 / 33 + z * (1 / 35 + z * (1 / 37 + z * (1 / 39 + z * (1 / 41)))))
    tail = 1 / 19 + z * (1 / 21 + z * (1 / 23 + z * (1 / 25 + z * (1 / 27 + z * (1 / 29 + z * tail)))))
    tail = 1 / 9 + z * (1 / 11 + z * (1 / 13 + z * (1 / 15 + z * (1 / 17 + z * tail))))
    tail = 1 / 3 + z * (1 / 5 + z * (1 / 7 + z * tail))
    return _PI_8 + (y + y * (z * tail))

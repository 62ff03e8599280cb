"""Small array helpers shared by the contracts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["BoolArray", "ComplexArray", "FloatArray", "IntArray", "array_hash", "frozen", "product"]

FloatArray = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


def frozen(values: npt.ArrayLike) -> FloatArray:
    """Copy to a contiguous float64 array that cannot be written."""
    array = np.array(values, dtype=np.float64, order="C")
    array.setflags(write=False)
    return array


def array_hash(arrays: Mapping[str, npt.NDArray[Any]], words: str = "") -> str:
    """SHA-256 over names, dtypes, shapes and bytes, independent of the mapping's order, and over words beside them."""
    digest = hashlib.sha256(words.encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}|{array.dtype.str}|{array.shape}|".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


_SMALL = 4096
"""Terms of a matrix product up to which they are all made at once."""


def product(left: FloatArray, right: FloatArray) -> FloatArray:
    """The matrix product, its terms added from first to last: what is hashed must not depend on which kernel BLAS chose.

    Args:
        left: float64 [n, k].
        right: float64 [k, m].

    Returns:
        float64 [n, m].
    """
    (n, k), m = left.shape, right.shape[1]
    if 1 < n * m <= _SMALL // max(k, 1) and right.shape[0] == k:  # numpy adds rows in order, unless each is one number
        terms = np.multiply(left.T[:, :, None], right[:, None, :], order="C")
        summed: FloatArray = np.add.reduce(terms, axis=0, initial=0.0)
        return summed
    total = np.zeros((n, m))
    for column, row in zip(left.T, right, strict=True):
        total += column[:, None] * row
    return total

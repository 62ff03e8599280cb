"""Small array helpers shared by the contracts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["BoolArray", "FloatArray", "IntArray", "array_hash", "frozen"]

FloatArray = npt.NDArray[np.float64]
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

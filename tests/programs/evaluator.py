"""A plain recursive evaluator of programs, numpy arrays by the definitions in docs/programs.md.

Logarithm and exponential are the product's own, which tests/numerics hold against the library's: otherwise a last digit could
decide a comparison. Everything else is written anew here.
"""

from __future__ import annotations

import functools

import numpy as np

from optisolve.programs.interpreter import _one

LARGEST, SMALL = 1e100, 1e-12


def evaluate(tree, features, registers, n_items):
    """Value of a program, float64 [K]; `registers` (name -> array) is updated."""
    known = {name: _kept(np.asarray(value, dtype=float)) for name, value in features.items()}
    for name, node in tree.sets:
        registers[name] = _value(node, known, registers)
    return np.broadcast_to(_value(tree.value, known, registers), (n_items,))


def _kept(x):
    return np.clip(x, -LARGEST, LARGEST)


def _elementary(code):
    def apply(x):
        flat = np.array(x, dtype=float).ravel()
        _one(code, flat, flat.size)
        return flat.reshape(np.shape(x))

    return apply


def _sum(x):
    """Over the last index, from first to last."""
    return functools.reduce(np.add, np.moveaxis(np.asarray(x), -1, 0))


def _divide(x, y):
    return x / np.where(np.abs(y) < SMALL, np.where(y < 0, -SMALL, SMALL), y)


def _rank(x):
    order = np.argsort(x, kind="stable")
    found = np.empty(len(x))
    found[order] = np.arange(len(x)) / max(len(x) - 1, 1)
    return found


def _take(x, places):
    return x[np.clip(np.rint(places), 0, len(x) - 1).astype(int)]


DEFINITIONS = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": _divide,
    "min": np.minimum,
    "max": np.maximum,
    "<": lambda x, y: np.where(x < y, 1.0, 0.0),
    "<=": lambda x, y: np.where(x <= y, 1.0, 0.0),
    "negative": np.negative,
    "abs": np.abs,
    "sign": np.sign,
    "sqrt": lambda x: np.sqrt(np.abs(x)),
    "log1p": _elementary(24),
    "expneg": _elementary(25),
    "where": lambda x, y, z: np.where(x > 0, y, z),
    "clip": lambda x, y, z: np.minimum(np.maximum(x, y), z),
    "interpolate": lambda x, y, z: x + z * (y - x),
    "sum": _sum,
    "mean": lambda x: _sum(x) / np.shape(x)[-1],
    "largest": lambda x: np.max(x, axis=-1),
    "smallest": lambda x: np.min(x, axis=-1),
    "rank": _rank,
    "argsort": lambda x: np.argsort(x, kind="stable").astype(float),
    "dot": lambda x, y: _sum(x * y),
    "take": _take,
    "rows": lambda x: np.repeat(x[:, None], len(x), axis=1),
    "columns": lambda x: np.repeat(x[None, :], len(x), axis=0),
    "transpose": np.transpose,
}


def _value(node, known, registers):
    if node.is_number:
        return np.float64(node.value)
    if not node.arguments:
        return registers[node.name] if node.name in registers else known[node.name]
    return _kept(DEFINITIONS[node.name](*(_value(argument, known, registers) for argument in node.arguments)))

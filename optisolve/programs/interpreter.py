"""The one function that runs every program; importing this module imports numba.

Values lie on a stack of slots, one slot for a scalar, a vector or a matrix. Loops over elements have no branches where that
can be, so that they vectorize; logarithms and exponentials are our own, so that every machine gives the same bits.
"""

from __future__ import annotations

from math import sqrt

import numpy as np

from optisolve.numerics.compiled import njit
from optisolve.numerics.elementary import exp_inline, log1p_inline
from optisolve.programs.language import LARGEST, SMALLEST_DIVISOR

__all__ = ["ascending", "execute"]

_kernel = njit(cache=True, nogil=True, error_model="numpy")


@_kernel
def _saturate(x, n):  # type: ignore[no-untyped-def]
    """Keep values within what products and sums can bear."""
    for i in range(n):
        x[i] = min(max(x[i], -LARGEST), LARGEST)


@_kernel
def _spread(x, kind, target, n):  # type: ignore[no-untyped-def]
    """Fill a scalar over all elements of a wider value."""
    if kind == 0 and target > 0:
        first = x[0]
        for i in range(1, n):
            x[i] = first


@_kernel
def _one(code, x, n):  # type: ignore[no-untyped-def]
    """Operators of one argument, in place."""
    if code == 20:
        for i in range(n):
            x[i] = -x[i]
    elif code == 21:
        for i in range(n):
            x[i] = abs(x[i])
    elif code == 22:
        for i in range(n):
            x[i] = (1.0 if x[i] > 0.0 else 0.0) - (1.0 if x[i] < 0.0 else 0.0)
    elif code == 23:
        for i in range(n):
            x[i] = sqrt(abs(x[i]))
    elif code == 24:
        for i in range(n):
            x[i] = log1p_inline(abs(x[i]))
    elif code == 25:
        for i in range(n):
            x[i] = exp_inline(min(max(-x[i], -700.0), 230.0))


@_kernel
def _two(code, x, y, n):  # type: ignore[no-untyped-def]
    """Operators of two arguments, element by element, into the first."""
    if code == 10:
        for i in range(n):
            x[i] = x[i] + y[i]
    elif code == 11:
        for i in range(n):
            x[i] = x[i] - y[i]
    elif code == 12:
        for i in range(n):
            x[i] = x[i] * y[i]
    elif code == 13:
        for i in range(n):
            small = -SMALLEST_DIVISOR if y[i] < 0.0 else SMALLEST_DIVISOR
            x[i] = x[i] / (small if abs(y[i]) < SMALLEST_DIVISOR else y[i])
    elif code == 14:
        for i in range(n):
            x[i] = y[i] if y[i] < x[i] else x[i]
    elif code == 15:
        for i in range(n):
            x[i] = y[i] if y[i] > x[i] else x[i]
    elif code == 16:
        for i in range(n):
            x[i] = 1.0 if x[i] < y[i] else 0.0
    elif code == 17:
        for i in range(n):
            x[i] = 1.0 if x[i] <= y[i] else 0.0


@_kernel
def _three(code, x, y, z, n):  # type: ignore[no-untyped-def]
    """Operators of three arguments, element by element, into the first."""
    if code == 30:
        for i in range(n):
            x[i] = y[i] if x[i] > 0.0 else z[i]
    elif code == 31:
        for i in range(n):
            x[i] = min(max(x[i], y[i]), z[i])
    elif code == 32:
        for i in range(n):
            x[i] = x[i] + z[i] * (y[i] - x[i])


@_kernel
def _reduced(code, x, begin, n):  # type: ignore[no-untyped-def]
    """Sum, mean, largest or smallest of n elements."""
    value = x[begin]
    for i in range(begin + 1, begin + n):
        if code == 42:
            value = max(value, x[i])
        elif code == 43:
            value = min(value, x[i])
        else:
            value += x[i]
    return value / n if code == 41 else value


@_kernel
def ascending(x, n, order, other):  # type: ignore[no-untyped-def]
    """Places of the first n elements in ascending order, equal ones as they stand, into ``order``: a merge sort from below.

    Args:
        x: float64, at least n elements.
        n: How many.
        order: int64, at least n, written.
        other: int64, at least n, overwritten.
    """
    for i in range(n):
        order[i] = i
    width = 1
    while width < n:
        for begin in range(0, n, 2 * width):
            middle, end = min(begin + width, n), min(begin + 2 * width, n)
            left, right = begin, middle
            for place in range(begin, end):
                if right >= end or (left < middle and x[order[left]] <= x[order[right]]):
                    other[place] = order[left]
                    left += 1
                else:
                    other[place] = order[right]
                    right += 1
        for i in range(n):
            order[i] = other[i]
        width *= 2


@_kernel
def _ranked(code, x, n):  # type: ignore[no-untyped-def]
    """Ranks in [0, 1], or the order itself, in place."""
    order = np.empty(n, dtype=np.int64)
    ascending(x, n, order, np.empty(n, dtype=np.int64))
    for place in range(n):
        if code == 50:
            x[order[place]] = place / (n - 1) if n > 1 else 0.0
        else:
            x[place] = order[place]


@_kernel
def _place(value, n):  # type: ignore[no-untyped-def]
    """A number as a place in a vector: rounded, and within it."""
    return int(min(max(np.rint(value), 0.0), n - 1.0))


@_kernel
def _taken(x, y, kind, n):  # type: ignore[no-untyped-def]
    """Elements of x at the places in y, into x."""
    if kind == 0:
        x[0] = x[_place(y[0], n)]
        return
    for i in range(n):
        y[i] = x[_place(y[i], n)]
    for i in range(n):
        x[i] = y[i]


@_kernel
def _matrix(code, x, n):  # type: ignore[no-untyped-def]
    """A vector spread over a matrix, or a matrix turned, in place."""
    if code == 72:
        for i in range(n):
            for j in range(i):
                held = x[i * n + j]
                x[i * n + j] = x[j * n + i]
                x[j * n + i] = held
        return
    for i in range(n - 1, -1, -1):  # from the end, so that the vector at the beginning is read before it is written over
        for j in range(n):
            if code == 70:
                x[i * n + (n - 1 - j)] = x[i]
            elif i > 0:
                x[i * n + j] = x[j]


@_kernel
def _dot(x, y, kind, n):  # type: ignore[no-untyped-def]
    """Vector times vector or matrix times vector, into x; each product is within what a sum of many can bear."""
    for row in range(n if kind == 2 else 1):
        total = 0.0
        for j in range(n):
            total += x[row * n + j] * y[j]
        x[row] = total


@_kernel
def _load(code, a, n, numbers, scalars, vectors, matrices, registers, x):  # type: ignore[no-untyped-def]
    """A number, a feature or a register into a place of the stack."""
    if code == 0:
        x[0] = numbers[a]
    elif code == 1:
        x[0] = scalars[a]
    elif code == 2:
        for i in range(n):
            x[i] = vectors[a, i]
    elif code == 3:
        n_items = matrices.shape[1]
        for i in range(n_items):
            for j in range(n_items):
                x[i * n_items + j] = matrices[a, i, j]
    else:
        for i in range(n):
            x[i] = registers[a, i]


@_kernel
def _each(code, row, x, y, z, n):  # type: ignore[no-untyped-def]
    """Operators element by element, of one, two or three arguments, into the first; scalars are spread before."""
    kind = row[1]
    if code >= 30:
        _spread(z, row[4], kind, n)
    if code < 20 or code >= 30:
        _spread(x, row[2], kind, n)
        _spread(y, row[3], kind, n)
    if code < 20:
        _two(code, x, y, n)
    elif code < 30:
        _one(code, x, n)
    else:
        _three(code, x, y, z, n)


@_kernel
def _across(code, row, x, y, n, n_items):  # type: ignore[no-untyped-def]
    """Operators that are not element by element, into the first argument."""
    if code < 50:
        for i in range(n):
            x[i] = _reduced(code, x, i * n_items, n_items)
    elif code < 60:
        _ranked(code, x, n_items)
    elif code == 60:
        _dot(x, y, row[2], n_items)
    elif code == 61:
        _taken(x, y, row[3], n_items)
    else:
        _matrix(code, x, n_items)


@_kernel
def execute(instructions, numbers, scalars, vectors, matrices, registers, stack, n_items):  # type: ignore[no-untyped-def]
    """Run a program once; the value is left in ``stack[0]``, a scalar spread over all items.

    Args:
        instructions: int64 [n, 5], see `optisolve.programs.codes`.
        numbers: float64 [c].
        scalars: float64 [s], scalar features.
        vectors: float64 [v, K].
        matrices: float64 [m, K, K].
        registers: float64 [3, slot], read and written.
        stack: float64 [depth, slot], overwritten.
        n_items: Number of items K.
    """
    top, last = 0, stack.shape[0] - 1  # first free place
    for k in range(instructions.shape[0]):
        row = instructions[k]
        code, kind = row[0], row[1]
        n = 1 if kind == 0 else (n_items if kind == 1 else n_items * n_items)
        if code == 5:
            top -= 1
            for i in range(n):
                registers[row[2], i] = stack[top, i]
            continue
        if code < 5:
            _load(code, row[2], n, numbers, scalars, vectors, matrices, registers, stack[top])
        else:  # how many values the operator takes from the stack
            taken = 2 if code < 20 or 60 <= code <= 61 else (3 if 30 <= code < 40 else 1)
            top -= taken
            x, y, z = stack[top], stack[min(top + 1, last)], stack[min(top + 2, last)]
            if code < 40:
                _each(code, row, x, y, z, n)
            else:
                _across(code, row, x, y, n, n_items)
        _saturate(stack[top], n)
        top += 1
    if instructions[instructions.shape[0] - 1, 1] == 0:
        _spread(stack[0], 0, 1, n_items)

"""Usual sizes of the variables and terms of a model, so that a solver sees numbers of the order of 1 whatever the units are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import lsqr

from optisolve.core.arrays import FloatArray
from optisolve.modelling.freeform.evaluate import constant
from optisolve.modelling.freeform.linear import Form, Terms, integers, limits, terms_of
from optisolve.modelling.freeform.schema import Checked
from optisolve.modelling.freeform.tree import Call, Fold, Node, children, places

__all__ = ["sizes_at", "variable_scale"]

_HOMOGENEOUS = ("abs", "max", "min", "norm")
"""Functions whose value has the size of their arguments."""
_LIMIT = 100
"""Largest power of two, up or down, that a unit is changed by."""

_Entries = list[tuple[int, float]]


def variable_scale(checked: Checked, form: Form) -> FloatArray:
    """The usual size of every variable, a power of two, float64 [size]; 1 for whole numbers.

    Sizes are chosen so that all terms of a row, its constant included, are of one size as far as that is possible: the least
    squares of the logarithms over all rows, limits of variables and arguments of functions. A change of units changes them
    by just that change.
    """
    groups: list[_Entries] = []
    for terms in (Terms(form.aim.coefficients, 0.0, form.aim.curved), *form.rows):
        groups += _groups(terms, checked)
    lower, upper = limits(checked)
    for i in range(checked.size):
        groups += [[(i, 1.0), (-1, abs(v))] for v in (lower[i], upper[i]) if v and np.isfinite(v)]
    groups = [group for group in groups if len(group) > 1]
    whole = integers(checked)
    logs = np.zeros(checked.size)
    free = np.flatnonzero(~whole)
    if groups and free.size:
        column = dict(zip(free.tolist(), range(free.size), strict=True))
        rows, columns, values, target = [], [], [], []
        for g, group in enumerate(groups):
            for i, size in group:
                k = len(target)
                target.append(-np.log2(size))
                rows.append(k)
                columns.append(free.size + g)
                values.append(-1.0)
                if i in column:
                    rows.append(k)
                    columns.append(column[i])
                    values.append(1.0)
        shape = (len(target), free.size + len(groups))
        system = sparse.csr_matrix((values, (rows, columns)), shape=shape)
        logs[free] = lsqr(system, np.array(target), atol=1e-10, btol=1e-10)[0][: free.size]
    return np.asarray(np.exp2(np.clip(np.rint(logs), -_LIMIT, _LIMIT)), dtype=np.float64)


def sizes_at(checked: Checked, form: Form, x: FloatArray) -> tuple[float, FloatArray]:
    """Largest term of the objective, and of every row, at a point; constants do not count, and nothing is 0.

    Args:
        checked: The model.
        form: Its terms.
        x: float64 [size].
    """
    told = []
    for terms in (form.aim, *form.rows):
        sizes = [size for size, _ in terms.sizes(checked, x)[:-1] if np.isfinite(size) and size > 0.0]
        told.append(max(sizes, default=1.0))
    return told[0], np.array(told[1:])


def _groups(terms: Terms, checked: Checked) -> Iterator[_Entries]:
    """Terms that should be of one size: those of a row, and those of every argument of a function."""
    own: _Entries = [*((i, abs(a)) for i, a in terms.coefficients.items())]
    for factor, node, at in terms.curved:
        for inner, where in _arguments(node, checked, at):
            found = terms_of(inner, checked, where)
            if isinstance(node, Call | Fold) and node.function in _HOMOGENEOUS and not found.curved:
                own += [(i, abs(factor * a)) for i, a in found.coefficients.items()]
            yield from _groups(found, checked)
    if terms.constant:
        own.append((-1, abs(terms.constant)))
    yield own


def _arguments(node: Node, checked: Checked, at: Mapping[str, int]) -> Iterator[tuple[Node, Mapping[str, int]]]:
    """The arguments of a function that hold variables, once for every term of a fold."""
    if isinstance(node, Fold):
        inner = places(tuple(name for name, _ in node.indices), node.ranges, node.where, at)
        yield from ((node.body, where) for where in inner)
    else:
        yield from ((child, at) for child in children(node) if constant(child, checked, at) is None)

"""Usual sizes of the variables and terms of a model, so that a solver sees numbers of the order of 1 whatever the units are."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import lsqr

from optisolve.core.arrays import FloatArray
from optisolve.words.freeform.linear import Form, Terms, terms_of
from optisolve.words.freeform.schema import Checked
from optisolve.words.freeform.tree import Binary, Node, Power, children

__all__ = ["sizes_at", "variable_scale"]

_DEGREES = {"square": 2.0, "inv": -1.0, "sqrt": 0.5}
_LIMIT = 200
"""Largest power of two, up or down, that a unit is changed by."""


def variable_scale(checked: Checked, form: Form) -> FloatArray:
    """The usual size of every variable, a power of two, float64 [size]; 1 for whole numbers.

    Sizes are chosen so that all terms of a row, its constant included, are of one size as far as that is possible: the least
    squares of the logarithms over all rows, limits of variables and arguments of functions. A change of units changes them
    by just that change.
    """
    sizes = _Sizes(checked)
    for terms in (Terms(form.aim.coefficients, 0.0, form.aim.curved), *form.rows):
        sizes.of(terms)
    lower, upper = checked.limits
    for i in range(checked.size):
        for limit in (lower[i], upper[i]):
            if limit and np.isfinite(limit):
                sizes.of(Terms({i: 1.0}, float(limit)))
    return np.asarray(np.exp2(np.clip(np.rint(sizes.solved()), -_LIMIT, _LIMIT)), dtype=np.float64)


class _Sizes:
    """Equations between the logarithms of sizes; unknowns are the variables and, behind them, the groups of like terms.

    Args:
        checked: The model.
    """

    def __init__(self, checked: Checked) -> None:
        self.checked, self.unknowns = checked, checked.size
        self.whole = checked.whole
        self.equations: list[tuple[dict[int, float], float]] = []

    def of(self, terms: Terms) -> int:
        """A group whose size is that of all its terms; its unknown."""
        group = self.unknowns
        self.unknowns += 1
        for i, a in terms.coefficients.items():
            own = {} if self.whole[i] else {i: 1.0}
            self.equations.append(({**own, group: -1.0}, -float(np.log2(abs(a)))))
        for factor, node in terms.curved:
            size = self.size(node)
            if size is not None:
                self.equations.append(({**size, group: -1.0}, -float(np.log2(abs(factor)))))
        if terms.constant:
            self.equations.append(({group: -1.0}, -float(np.log2(abs(terms.constant)))))
        return group

    def size(self, node: Node) -> dict[int, float] | None:
        """The logarithm of the size of a function, as a sum of unknowns; None when its argument does not tell it."""
        groups = [self.of(terms_of(child)) for child in children(node)]
        if isinstance(node, Power):
            return {groups[0]: node.exponent}
        if isinstance(node, Binary):  # a product or a quotient
            return {groups[0]: 1.0, groups[1]: 1.0 if node.op == "*" else -1.0}
        function = getattr(node, "function", "")
        if function == "exp":  # its argument has no unit
            self.equations.append(({groups[0]: 1.0}, 0.0))
        if function in ("exp", "log", "log2"):
            return None
        if function in _DEGREES:
            return {groups[0]: _DEGREES[function]}
        self.equations += [({group: 1.0, groups[0]: -1.0}, 0.0) for group in groups[1:]]
        return {groups[0]: 1.0}

    def solved(self) -> FloatArray:
        """Logarithms of the sizes of the variables, float64 [size]; 0 for whole numbers."""
        if not self.equations:
            return np.zeros(self.checked.size)
        entries = [(k, i, value) for k, (told, _) in enumerate(self.equations) for i, value in told.items()]
        rows, columns, values = (np.array(part) for part in zip(*entries, strict=True))
        system = sparse.csr_matrix((values, (rows, columns)), shape=(len(self.equations), self.unknowns))
        found = lsqr(system, np.array([target for _, target in self.equations]), atol=1e-10, btol=1e-10)[0]
        return np.where(self.whole, 0.0, found[: self.checked.size])


def sizes_at(form: Form, x: FloatArray) -> tuple[float, FloatArray]:
    """Largest term of the objective, and of every row, at a point; constants do not count, and nothing is 0.

    Args:
        form: Terms of a model.
        x: float64 [size].
    """
    told = []
    for terms in (form.aim, *form.rows):
        sizes = [size for size in terms.sizes(x)[:-1] if np.isfinite(size) and size > 0.0]
        told.append(max(sizes, default=1.0))
    return told[0], np.array(told[1:])

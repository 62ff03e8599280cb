"""The terms of a model, read off its trees: coefficients where a side is affine by its form, curved terms where it is not.

This is the second reading of a model. Its terms are what violations are measured against, and what the model is scaled by.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

from optisolve.core.arrays import FloatArray
from optisolve.core.errors import FieldProblem, OptionError
from optisolve.words.freeform.evaluate import constant, number
from optisolve.words.freeform.schema import Checked, Row
from optisolve.words.freeform.tree import Binary, Call, Negative, Node, Number, Power, Variable

__all__ = ["Form", "Miss", "Terms", "form_agrees", "form_of", "impossible", "misses", "terms_of"]

TOLERANCE = 1e-6
"""How much a row may be missed by, relative to its largest term, and an objective differ, relative to its largest term."""
_ROUNDING = 1e-15
_POINTS = 2
_RANGE = (1e-60, 1e60)
"""Sizes of coefficients that are computed; products of numbers can be beyond them."""


@dataclass(frozen=True, eq=False, slots=True)
class Terms:
    """``coefficients @ x + constant + sum(factor * node)``.

    Attributes:
        coefficients: By position in the flat vector; none is 0.
        constant: What does not depend on the variables.
        curved: Factor and node of every term that is not affine by its form.
        written: Largest number that was added up to each coefficient and, at -1, to the constant; some of them cancel.
    """

    coefficients: Mapping[int, float] = field(default_factory=dict)
    constant: float = 0.0
    curved: tuple[tuple[float, Node], ...] = ()
    written: Mapping[int, float] = field(default_factory=dict)

    def plus(self, other: Terms, factor: float = 1.0) -> Terms:
        """The sum with `factor` times other terms."""
        return _added((self, 1.0), (other, factor))

    def value(self, x: FloatArray) -> float:
        """The sum of the terms at a point."""
        told = [a * float(x[i]) for i, a in self.coefficients.items()]
        return math.fsum([*told, self.constant, *(f * number(node, x) for f, node in self.curved)])

    def rounding(self, x: FloatArray) -> float:
        """What plain arithmetic on the text may be wrong by at a point."""
        return _ROUNDING * max((v * (abs(float(x[i])) if i >= 0 else 1.0) for i, v in self.written.items()), default=0.0)

    @property
    def fixed(self) -> bool:
        """No variable stands in it."""
        return not self.coefficients and not self.curved

    def sizes(self, x: FloatArray) -> list[float]:
        """Size of every term at a point; the constant comes last."""
        linear = [float(abs(a * x[i])) for i, a in self.coefficients.items()]
        return [*linear, *(abs(f * number(node, x)) for f, node in self.curved), abs(self.constant)]

    def name(self, term: int, checked: Checked) -> str:
        """What the term at a place of `sizes` is called."""
        linear = list(self.coefficients.items())
        if term < len(linear):
            return f"{linear[term][1]:.6g}*{checked.label(linear[term][0])}"
        curved = self.curved[term - len(linear) :]
        return f"a term of {_kind(curved[0][1])}" if curved else f"the constant {self.constant:.6g}"


def terms_of(node: Node) -> Terms:
    """The terms of a tree whose constant parts have values (`require_defined`)."""
    if isinstance(node, Number):
        return Terms(constant=node.value)
    if isinstance(node, Variable):
        return Terms({node.position: 1.0})
    if isinstance(node, Negative):
        return Terms().plus(terms_of(node.body), -1.0)
    if isinstance(node, Call) and node.function == "sum":
        return _added(*((terms_of(argument), 1.0) for argument in node.arguments))
    if isinstance(node, Power) and node.exponent == 1.0:
        return terms_of(node.base)
    if isinstance(node, Binary) and node.op in "+-":
        return terms_of(node.left).plus(terms_of(node.right), 1.0 if node.op == "+" else -1.0)
    if isinstance(node, Binary):
        factor = constant(node.right)
        if factor is not None:
            return Terms().plus(terms_of(node.left), factor if node.op == "*" else 1.0 / factor)
        factor = constant(node.left) if node.op == "*" else None
        if factor is not None:
            return Terms().plus(terms_of(node.right), factor)
    value = constant(node)
    return Terms(curved=((1.0, node),)) if value is None else Terms(constant=value)


def _added(*parts: tuple[Terms, float]) -> Terms:
    """A sum of multiples, in which a rest of rounding, as of 0.1 + 0.2 - 0.3, is 0."""
    total: dict[int, float] = {}
    written: dict[int, float] = {}
    curved: list[tuple[float, Node]] = []
    for terms, factor in parts:
        for i, value in (*terms.coefficients.items(), (-1, terms.constant)):
            first, second = total.get(i, 0.0), factor * value
            rest = first + second
            total[i] = 0.0 if abs(rest) <= _ROUNDING * max(abs(first), abs(second)) else rest
            written[i] = max(written.get(i, 0.0), abs(second))
        for i, value in terms.written.items():
            written[i] = max(written.get(i, 0.0), abs(factor * value))
        curved += [(factor * f, node) for f, node in terms.curved if factor]
    constant = total.pop(-1, 0.0)
    return Terms({i: v for i, v in total.items() if v}, constant, tuple(curved), written)


@dataclass(frozen=True, eq=False, slots=True)
class Form:
    """All terms of a model.

    Attributes:
        aim: Terms of the objective.
        rows: Left side minus right side per row.
        ops: ``<=``, ``>=`` or ``==`` per row, against 0.
    """

    aim: Terms
    rows: tuple[Terms, ...]
    ops: tuple[str, ...]

    @property
    def linear(self) -> bool:
        """No term is curved."""
        return not any(terms.curved for terms in (self.aim, *self.rows))

    def matrix(self, size: int, columns: FloatArray) -> sparse.csr_matrix:
        """Coefficients of the rows, [rows, size], of variables in units of `columns`, float64 [size]."""
        entries = [(k, i, a) for k, row in enumerate(self.rows) for i, a in row.coefficients.items()]
        k, i = (np.array([entry[j] for entry in entries], dtype=np.int64) for j in range(2))
        values = np.array([entry[2] for entry in entries], dtype=np.float64)
        return sparse.csr_matrix((values * columns[i], (k, i)), shape=(len(self.rows), size))

    def cost(self, size: int) -> FloatArray:
        """Coefficients of the objective, float64 [size]."""
        cost = np.zeros(size)
        for i, a in self.aim.coefficients.items():
            cost[i] = a
        return cost

    def row_limits(self) -> tuple[FloatArray, FloatArray]:
        """What ``coefficients @ x`` of every row lies between, float64 [rows] each."""
        low = [-row.constant if op in (">=", "==") else -np.inf for row, op in zip(self.rows, self.ops, strict=True)]
        high = [-row.constant if op in ("<=", "==") else np.inf for row, op in zip(self.rows, self.ops, strict=True)]
        return np.array(low, dtype=np.float64), np.array(high, dtype=np.float64)


def form_of(checked: Checked) -> Form:
    """The terms of a model.

    Raises:
        OptionError: A coefficient is beyond what is computed.
    """
    aim = terms_of(checked.objective)
    rows = [terms_of(row.relation.left).plus(terms_of(row.relation.right), -1.0) for row in checked.rows]
    names = ["objective.expression", *(f"{row.field}.relation" for row in checked.rows)]
    for name, terms in zip(names, (aim, *rows), strict=True):
        sizes = [abs(v) for v in (*terms.coefficients.values(), terms.constant, *(f for f, _ in terms.curved)) if v]
        beyond = [v for v in sizes if not _RANGE[0] <= v <= _RANGE[1]]
        if beyond:
            expected = f"coefficients from {_RANGE[0]:g} to {_RANGE[1]:g} when it is multiplied out; choose other units"
            raise OptionError("model", [FieldProblem(name, beyond[0], expected)])
    return Form(aim, tuple(rows), tuple(row.relation.op for row in checked.rows))


def form_agrees(checked: Checked, form: Form, scale: FloatArray) -> bool:
    """Terms and trees have the same values at random points; two affine functions that do are the same.

    Args:
        checked: The model.
        form: Its terms.
        scale: float64 [size], usual size of every variable.
    """
    rng = np.random.default_rng(0)
    for _ in range(_POINTS):
        x = rng.uniform(0.5, 1.5, checked.size) * scale
        told = [(form.aim, number(checked.objective, x))]
        told += [(terms, _gap(row, x)) for row, terms in zip(checked.rows, form.rows, strict=True)]
        for terms, value in told:
            read, allowed = terms.value(x), 1e-9 * sum(terms.sizes(x)) + terms.rounding(x)
            if math.isfinite(read) and math.isfinite(value) and abs(read - value) > allowed:
                return False
    return True


def _gap(row: Row, x: FloatArray) -> float:
    """Left side minus right side, by plain arithmetic on the tree."""
    return number(row.relation.left, x) - number(row.relation.right, x)


@dataclass(frozen=True, slots=True)
class Miss:
    """A row and how much it is missed by.

    Attributes:
        share: Relative to the largest term; infinite for a value that is not defined.
        told: The row, the amount and the term, in words.
    """

    share: float
    told: str


def misses(checked: Checked, form: Form, x: FloatArray) -> list[Miss]:
    """Every violated row and limit of a variable at a point, the worst first; rows by plain arithmetic on the trees.

    Rows without variables are the same at all points and are no matter of it; see `impossible`.
    """
    found = []
    for row, terms in zip(checked.rows, form.rows, strict=True):
        gap, read = _gap(row, x), terms.value(x)
        gap = read if abs(gap - read) <= terms.rounding(x) else gap  # what cancels has taken the last digits along
        gap = {"<=": gap, ">=": -gap, "==": abs(gap)}[row.relation.op]
        if terms.fixed or gap <= 0.0:
            continue
        sizes = terms.sizes(x)
        size = max(sizes)
        share = gap / size if size > 0.0 and not math.isnan(gap) else math.inf
        largest = terms.name(sizes.index(size), checked)
        told = (
            "has no value there" if math.isnan(gap) else f"is missed by {gap:.3g}, {share:.2g} of its largest term ({largest})"
        )
        found.append(Miss(share, f"{row.name} {told}"))
    lower, upper = checked.limits
    for i in np.flatnonzero((x < lower) | (x > upper) | ~np.isfinite(x)):
        found.append(
            Miss(math.inf, f"{checked.label(int(i))} = {x[i]:.9g} lies outside of its limits {lower[i]:g} and {upper[i]:g}")
        )
    return sorted(found, key=lambda miss: -miss.share)


def impossible(checked: Checked, form: Form) -> list[str]:
    """Why no point can be right: rows without variables that are not true, and limits with no whole number between them."""
    told, zeros = [], np.zeros(checked.size)
    for row, terms in zip(checked.rows, form.rows, strict=True):
        if terms.fixed and terms.constant and not {"<=": terms.constant < 0.0, ">=": terms.constant > 0.0}.get(row.relation.op):
            left, right = (number(side, zeros) for side in (row.relation.left, row.relation.right))
            told.append(
                f"{row.name} holds no variable (every coefficient is 0) and is false: {left:g} {row.relation.op} {right:g}"
            )
    lower, upper = checked.limits
    for i in np.flatnonzero(checked.whole & (np.ceil(lower) > np.floor(upper))):
        told.append(f"{checked.label(int(i))}: there is no whole number between its limits {lower[i]:g} and {upper[i]:g}")
    return told


def _kind(node: Node) -> str:
    return getattr(node, "function", "") or {Power: "a power", Binary: "a product or quotient"}.get(type(node), "a function")

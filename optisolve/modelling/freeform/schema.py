"""The declarative schema: sets, parameters, variables, objective, constraints; every name and shape is checked before use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from optisolve.core.arrays import FloatArray
from optisolve.core.errors import FieldProblem, OptionError
from optisolve.modelling.freeform.expressions import (
    FUNCTIONS,
    Binary,
    Call,
    ExpressionError,
    Negative,
    Node,
    Number,
    Power,
    Ref,
    Relation,
    Sum,
    parse_expression,
    parse_relation,
)

__all__ = ["Checked", "FreeModel", "Row", "free_model", "rows_of"]

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
_NAME = r"^[A-Za-z_]\w{0,63}$"
_MAX_ROWS, _MAX_VARIABLES, _MAX_NODES, _MAX_AXES = 5000, 5000, 50_000, 8
_RESERVED = {*FUNCTIONS, "sum", "in"}

Name = Annotated[str, Field(pattern=_NAME)]
Size = Annotated[int, Field(ge=1, le=1000)]
Value = Annotated[float, Field(ge=-1e12, le=1e12)]


class FreeParameter(BaseModel):
    """Data: a number, or a nested list over sets.

    Attributes:
        over: Sets that it is indexed by.
        value: The number, or lists in the order of `over`.
        unit: For people; nothing is converted.
    """

    model_config = _STRICT
    over: tuple[Name, ...] = ()
    value: Value | list[Any]
    unit: str = ""


class FreeVariable(BaseModel):
    """What is decided.

    Attributes:
        over: Sets that it is indexed by.
        kind: ``real``, ``integer`` or ``binary``.
        lower: Smallest value; None for no limit.
        upper: Largest value; None for no limit.
        unit: For people.
        meaning: One phrase.
    """

    model_config = _STRICT
    over: tuple[Name, ...] = ()
    kind: Literal["real", "integer", "binary"] = "real"
    lower: Value | None = 0.0
    upper: Value | None = None
    unit: str = ""
    meaning: str = ""


class FreeObjective(BaseModel):
    """What is optimized."""

    model_config = _STRICT
    sense: Literal["min", "max"]
    expression: str
    unit: str = ""


class FreeConstraint(BaseModel):
    """A relation, once or for every value of running indices.

    Attributes:
        name: Label.
        relation: E.g. ``"sum(i in users, p[i]) <= budget"``.
        for_all: Running indices and their sets, e.g. ``{"i": "users"}``.
    """

    model_config = _STRICT
    name: Name
    relation: str
    for_all: dict[Name, Name] = Field(default_factory=dict)


class FreeModel(BaseModel):
    """A declarative model.

    Attributes:
        sets: Sizes of sets; their elements are counted from 1.
        parameters: Data.
        variables: What is decided.
        objective: What is optimized.
        constraints: What must hold.
    """

    model_config = _STRICT
    sets: dict[Name, Size] = Field(default_factory=dict)
    parameters: dict[Name, FreeParameter] = Field(default_factory=dict)
    variables: Annotated[dict[Name, FreeVariable], Field(min_length=1)]
    objective: FreeObjective
    constraints: Annotated[list[FreeConstraint], Field(max_length=200)] = Field(default_factory=list)


@dataclass(frozen=True, eq=False, slots=True)
class Row:
    """One relation with its running indices filled in."""

    name: str
    relation: Relation
    at: Mapping[str, int]


@dataclass(frozen=True, eq=False, slots=True)
class Checked:
    """A model whose names, shapes and expressions are in order.

    Attributes:
        model: As it was given.
        data: float64 array per parameter, in the shape of its sets.
        offsets: First position of each variable in the flat vector.
        shapes: Shape per variable.
        size: Length of the flat vector.
        objective: Tree of the objective.
        rows: Every constraint with its indices filled in.
    """

    model: FreeModel
    data: Mapping[str, FloatArray]
    offsets: Mapping[str, int]
    shapes: Mapping[str, tuple[int, ...]]
    size: int
    objective: Node
    rows: tuple[Row, ...]


def free_model(values: Mapping[str, Any] | FreeModel) -> Checked:
    """Check a model.

    Raises:
        OptionError: Everything that is wrong: fields, names, shapes, expressions, sizes.
    """
    try:
        model = values if isinstance(values, FreeModel) else FreeModel.model_validate(dict(values))
    except ValidationError as error:
        problems = [FieldProblem(".".join(map(str, e["loc"])), _short(e.get("input")), str(e["msg"])) for e in error.errors()]
        raise OptionError("model", problems) from None
    problems = list(_name_problems(model))
    data: dict[str, FloatArray] = {}
    for name, parameter in model.parameters.items():
        try:
            _require_numbers(parameter.value)
            array = np.asarray(parameter.value, dtype=np.float64)
            wanted = tuple(model.sets[s] for s in parameter.over)
            if array.shape != wanted or not np.isfinite(array).all() or np.abs(array).max(initial=0.0) > 1e12:
                problems.append(FieldProblem(f"parameters.{name}", f"shape {array.shape}", f"finite numbers of shape {wanted}"))
            data[name] = array
        except (KeyError, ValueError, TypeError, OverflowError):
            problems.append(FieldProblem(f"parameters.{name}", _short(parameter.value), "numbers over known sets"))
    if problems:
        raise OptionError("model", problems)
    shapes = {name: tuple(model.sets[s] for s in v.over) for name, v in model.variables.items()}
    sizes = {name: int(np.prod(shape, dtype=np.int64)) for name, shape in shapes.items()}
    offsets = dict(zip(sizes, np.cumsum([0, *sizes.values()])[:-1].tolist(), strict=True))
    size = sum(sizes.values())
    if size > _MAX_VARIABLES:
        raise OptionError("model", [FieldProblem("variables", f"{size} scalars", f"at most {_MAX_VARIABLES}")])
    try:
        objective = parse_expression(model.objective.expression)
        _check_refs(objective, model, {}, "objective")
        rows = tuple(_rows(model))
    except ExpressionError as error:
        raise OptionError("model", [FieldProblem("expression", "a text", str(error))]) from None
    return Checked(model, data, offsets, shapes, size, objective, rows)


def _require_numbers(value: object, depth: int = 0) -> None:
    """Nested lists of numbers; texts and truth values are no data.

    Raises:
        TypeError: Something else, or lists deeper than any model needs.
    """
    if isinstance(value, list) and depth < _MAX_AXES:
        for item in value:
            _require_numbers(item, depth + 1)
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("no number")


def rows_of(checked: Checked) -> tuple[Row, ...]:
    """All rows of a checked model."""
    return checked.rows


def _rows(model: FreeModel) -> Iterator[Row]:
    count = nodes = 0
    for constraint in model.constraints:
        relation = parse_relation(constraint.relation)
        for name, owner in constraint.for_all.items():
            if owner not in model.sets:
                raise ExpressionError(f"constraint '{constraint.name}': '{owner}' is no set.")
            if name in _RESERVED or name in model.parameters or name in model.variables:
                raise ExpressionError(f"constraint '{constraint.name}': the index '{name}' is the name of something else.")
        running = {name: model.sets[owner] for name, owner in constraint.for_all.items()}
        for side in (relation.left, relation.right):
            nodes += _check_refs(side, model, running, f"constraint '{constraint.name}'") * int(np.prod([*running.values(), 1]))
        count += int(np.prod([*running.values(), 1]))
        if count > _MAX_ROWS or nodes > _MAX_NODES:
            raise ExpressionError(f"the constraints expand to more than {_MAX_ROWS} rows or {_MAX_NODES} terms.")
        names = list(running)
        for at in product(*(range(running[n]) for n in names)):
            label = "".join(f"[{i + 1}]" for i in at)
            yield Row(f"{constraint.name}{label}", relation, dict(zip(names, at, strict=True)))


def _check_refs(node: Node, model: FreeModel, running: Mapping[str, int], where: str) -> int:
    """Names, numbers of indices and ranges; the number of nodes after sums are written out."""
    if isinstance(node, Number):
        return 1
    if isinstance(node, Negative | Call):
        return 1 + _check_refs(node.body, model, running, where)
    if isinstance(node, Power):
        return 1 + _check_refs(node.base, model, running, where)
    if isinstance(node, Binary):
        return 1 + _check_refs(node.left, model, running, where) + _check_refs(node.right, model, running, where)
    if isinstance(node, Sum):
        inner = dict(running)
        size = 1
        for name, owner in node.indices:
            if owner not in model.sets:
                raise ExpressionError(f"{where}: '{owner}' is no set.")
            if name in inner or name in _RESERVED or name in model.parameters or name in model.variables:
                raise ExpressionError(f"{where}: the index '{name}' is the name of something else.")
            inner[name] = model.sets[owner]
            size *= model.sets[owner]
        total = size * _check_refs(node.body, model, inner, where)
        if total > _MAX_NODES:
            raise ExpressionError(f"{where}: a sum expands to more than {_MAX_NODES} terms.")
        return total
    return _check_ref(node, model, running, where)


def _check_ref(node: Ref, model: FreeModel, running: Mapping[str, int], where: str) -> int:
    if node.name in running:
        if node.indices:
            raise ExpressionError(f"{where}: the index '{node.name}' has no indices of its own.")
        return 1
    owner = model.parameters.get(node.name) or model.variables.get(node.name)
    if owner is None:
        raise ExpressionError(f"{where}: '{node.name}' is neither a parameter, a variable nor a running index.")
    if len(node.indices) != len(owner.over):
        raise ExpressionError(f"{where}: '{node.name}' has {len(owner.over)} indices, got {len(node.indices)}.")
    for index, name in zip(node.indices, owner.over, strict=True):
        size = model.sets[name]
        if isinstance(index, int):
            if index > size:
                raise ExpressionError(f"{where}: '{node.name}': the set {name} has {size} elements, not {index}.")
        elif index not in running:
            raise ExpressionError(f"{where}: '{node.name}': the index '{index}' runs through no set.")
        elif running[index] > size:
            raise ExpressionError(f"{where}: '{node.name}': the index '{index}' runs past the set {name}.")
    return 1


def _name_problems(model: FreeModel) -> Iterator[FieldProblem]:
    seen: set[str] = set()
    for kind, names in (("sets", model.sets), ("parameters", model.parameters), ("variables", model.variables)):
        for name in names:
            if name in seen or name in _RESERVED:
                yield FieldProblem(f"{kind}.{name}", name, "a name that nothing else has")
            seen.add(name)
    owners: list[tuple[str, tuple[str, ...]]] = [(f"parameters.{n}", p.over) for n, p in model.parameters.items()]
    owners += [(f"variables.{n}", v.over) for n, v in model.variables.items()]
    for label, over in owners:
        for name in over:
            if name not in model.sets:
                yield FieldProblem(label, name, f"one of the sets {', '.join(model.sets) or '(none)'}")
    for name, variable in model.variables.items():
        if variable.lower is not None and variable.upper is not None and variable.lower > variable.upper:
            yield FieldProblem(f"variables.{name}", (variable.lower, variable.upper), "lower <= upper")


def _short(value: object) -> object:
    text = repr(value)
    return value if len(text) <= 80 else f"{text[:77]}..."

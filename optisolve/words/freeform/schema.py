"""The declarative schema: sets, parameters, variables, objective, constraints; every name and shape is checked before use."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from optisolve.core.arrays import BoolArray, FloatArray
from optisolve.core.documents import JsonObject
from optisolve.core.errors import FieldProblem, OptionError, short
from optisolve.words.freeform.expressions import RESERVED
from optisolve.words.freeform.tree import Node, Relation

__all__ = ["Checked", "FreeConstraint", "FreeModel", "Row", "checked_data", "free_values", "name_problems"]

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
_NAME = r"^[A-Za-z_]\w{0,63}$"
_MAX_AXES, _MAX_ELEMENTS = 8, 1000
_MAX_VALUE = 1e12

Name = Annotated[str, Field(pattern=_NAME)]
Size = Annotated[int, Field(ge=1, le=_MAX_ELEMENTS, strict=True)]
Names = Annotated[list[Name], Field(min_length=1, max_length=_MAX_ELEMENTS)]
Value = Annotated[float, Field(ge=-_MAX_VALUE, le=_MAX_VALUE)]


class FreeParameter(BaseModel):
    """Data: a number, or a nested list over sets.

    Attributes:
        over: Sets that it is indexed by.
        value: The number, or lists in the order of `over`; mappings from the names of elements work as well.
        unit: For people; nothing is converted.
    """

    model_config = _STRICT
    over: tuple[Name, ...] = ()
    value: Value | list[Any] | dict[str, Any]
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

    @property
    def limits(self) -> tuple[float, float]:
        """Smallest and largest value, infinite where there is none."""
        lower, upper = -math.inf if self.lower is None else self.lower, math.inf if self.upper is None else self.upper
        return (max(0.0, lower), min(1.0, upper)) if self.kind == "binary" else (lower, upper)


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
        where: Which values of the indices it holds for, e.g. ``"i != j"``; "" for all.
    """

    model_config = _STRICT
    name: Name
    relation: str
    for_all: dict[Name, Name] = Field(default_factory=dict)
    where: str = ""


class FreeModel(BaseModel):
    """A declarative model.

    Attributes:
        sets: Sizes of sets, whose elements are counted from 1, or lists of the names of their elements.
        parameters: Data.
        variables: What is decided.
        objective: What is optimized.
        constraints: What must hold.
    """

    model_config = _STRICT
    sets: dict[Name, Size | Names] = Field(default_factory=dict)
    parameters: dict[Name, FreeParameter] = Field(default_factory=dict)
    variables: Annotated[dict[Name, FreeVariable], Field(min_length=1)]
    objective: FreeObjective
    constraints: Annotated[list[FreeConstraint], Field(max_length=200)] = Field(default_factory=list)

    def size(self, name: str) -> int:
        """Number of elements of a set."""
        given = self.sets[name]
        return given if isinstance(given, int) else len(given)

    def elements(self, name: str) -> list[str]:
        """Names of the elements of a set; empty when they are counted."""
        given = self.sets[name]
        return [] if isinstance(given, int) else given

    def label(self, owner: str, index: Sequence[int]) -> str:
        """``p[2]`` or ``x[north]`` for places from 0 of a variable or parameter."""
        over = (self.variables.get(owner) or self.parameters[owner]).over
        names = [(self.elements(s) or range(1, i + 2))[i] for s, i in zip(over, index, strict=True)]
        return f"{owner}[{','.join(map(str, names))}]" if names else owner


@dataclass(frozen=True, eq=False, slots=True)
class Row:
    """One relation with its running indices filled in.

    Attributes:
        name: The constraint's name with the values of its indices.
        relation: The comparison, its indices and sums written out.
        field: Place of the constraint in the model.
    """

    name: str
    relation: Relation
    field: str


@dataclass(frozen=True, eq=False, slots=True)
class Checked:
    """A model whose names, shapes and expressions are in order.

    Attributes:
        model: As it was given.
        data: float64 array per parameter, in the shape of its sets.
        offsets: First position of each variable in the flat vector.
        shapes: Shape per variable.
        size: Length of the flat vector.
        limits: Lower and upper bounds of the flat vector, float64 [size] each, infinite where there is none.
        whole: Which places of the flat vector hold whole numbers, bool [size].
        objective: Tree of the objective, its sums written out.
        rows: Every constraint with its indices filled in.
        notes: How something was read that could be meant otherwise.
    """

    model: FreeModel
    data: Mapping[str, FloatArray]
    offsets: Mapping[str, int]
    shapes: Mapping[str, tuple[int, ...]]
    size: int
    limits: tuple[FloatArray, FloatArray]
    whole: BoolArray
    objective: Node
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    def label(self, position: int) -> str:
        """Name of a place in the flat vector, such as ``p[2]``."""
        owner = max((n for n in self.offsets if self.offsets[n] <= position), key=lambda n: self.offsets[n])
        index = np.unravel_index(position - self.offsets[owner], self.shapes[owner] or (1,))
        return self.model.label(owner, [int(i) for i in index] if self.shapes[owner] else [])


def free_values(values: JsonObject | FreeModel) -> FreeModel:
    """Fields, types and limits of a model; names and expressions are not looked at.

    Raises:
        OptionError: Every field that is wrong.
    """
    try:
        return values if isinstance(values, FreeModel) else FreeModel.model_validate(dict(values))
    except ValidationError as error:
        problems: dict[str, FieldProblem] = {}
        for e in error.errors():
            given, told, loc = short(e.get("input")), str(e["msg"]), list(map(str, e["loc"]))
            if loc[:1] == ["sets"] and len(loc) > 2:  # one fault, which is told once for every type that it could have had
                loc, told = loc[:2], f"a number of elements from 1 to {_MAX_ELEMENTS}, or a list of their names"
            elif loc[:1] == ["parameters"] and len(loc) > 3 and loc[2] == "value":
                loc, told = loc[:3], f"finite numbers up to {_MAX_VALUE:g}, alone or in lists over sets"
            elif e["type"] == "extra_forbidden":
                told = f"no such part; a model has {', '.join(FreeModel.model_fields)}" if len(loc) == 1 else "no such field"
            problems.setdefault(".".join(loc), FieldProblem(".".join(loc), given, told))
        raise OptionError("model", list(problems.values())) from None


def checked_data(model: FreeModel) -> tuple[dict[str, FloatArray], list[FieldProblem]]:
    """float64 array per parameter, in the shape of its sets, and what is wrong with them."""
    data: dict[str, FloatArray] = {}
    problems = []
    for name, parameter in model.parameters.items():
        if any(s not in model.sets for s in parameter.over):
            continue  # `name_problems` says so
        wanted = tuple(model.size(s) for s in parameter.over)
        try:
            array = np.asarray(_table(parameter.value, model, parameter.over), dtype=np.float64)
        except (KeyError, ValueError, TypeError, OverflowError) as error:
            told = f"; {error.args[0]}" if isinstance(error, KeyError) else ""
            expected = f"finite numbers up to {_MAX_VALUE:g} of shape {wanted} over known sets{told}"
            problems.append(FieldProblem(f"parameters.{name}.value", short(parameter.value), expected))
            continue
        if array.shape != wanted or not np.isfinite(array).all() or np.abs(array).max(initial=0.0) > _MAX_VALUE:
            expected = f"finite numbers up to {_MAX_VALUE:g} of shape {wanted}"
            problems.append(FieldProblem(f"parameters.{name}.value", f"shape {array.shape}", expected))
        data[name] = array
    return data, problems


def _table(value: object, model: FreeModel, over: Sequence[str], depth: int = 0) -> Any:
    """Nested lists of numbers; texts and truth values are no data, and mappings are put in the order of their set.

    Raises:
        TypeError: Something else, or lists deeper than any model needs.
        KeyError: A mapping whose names are not those of the elements.
    """
    if isinstance(value, dict):
        names = model.elements(over[0]) if over else []
        if not names or set(names) != set(value):
            raise KeyError(f"the elements are {', '.join(names)}" if names else "there are no names of elements here")
        value = [value[name] for name in names]
    if isinstance(value, list) and depth < _MAX_AXES:
        return [_table(item, model, over[1:], depth + 1) for item in value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("no number")
    return value


def name_problems(model: FreeModel) -> Iterator[FieldProblem]:
    """Names that stand twice or mean something in the grammar, sets that do not exist, limits that exclude each other."""
    seen: dict[str, str] = {}
    for kind, names in (("sets", model.sets), ("parameters", model.parameters), ("variables", model.variables)):
        for name in names:
            yield from taken(f"{kind}.{name}", name, seen)
            seen[name] = f"one of the {kind}"
    for owner in model.sets:
        elements = model.elements(owner)
        for name in dict.fromkeys(elements):
            yield from taken(f"sets.{owner}", name, {} if elements.count(name) == 1 else {name: "an element twice"})
    owners: list[tuple[str, tuple[str, ...]]] = [(f"parameters.{n}", p.over) for n, p in model.parameters.items()]
    owners += [(f"variables.{n}", v.over) for n, v in model.variables.items()]
    for label, over in owners:
        for name in over:
            if name not in model.sets:
                yield FieldProblem(label, name, f"one of the sets {', '.join(model.sets) or '(none)'}")
    for name, variable in model.variables.items():
        if variable.lower is not None and variable.upper is not None and variable.lower > variable.upper:
            yield FieldProblem(f"variables.{name}", (variable.lower, variable.upper), "lower <= upper")


def taken(where: str, name: str, seen: Mapping[str, str]) -> Iterator[FieldProblem]:
    """A problem when a name means something in the grammar or in the model already."""
    if name in RESERVED:
        told = f"a name that nothing else has: '{name}' is a word or function of the grammar"
        yield FieldProblem(where, name, f"{told} ({', '.join(sorted(RESERVED))})")
    elif name in seen:
        yield FieldProblem(where, name, f"a name that nothing else has: it is {seen[name]} already")

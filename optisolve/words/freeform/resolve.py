"""From a checked schema to trees without names: elements become numbers, sums and constraints are written out.

A shifted index such as ``s[t-1]`` exists only inside its set. Where it does not, the row of the constraint, or the term of the
sum that its index belongs to, is not made; a note says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.documents import JsonObject
from optisolve.core.errors import FieldProblem, OptionError, short
from optisolve.words.freeform.expressions import (
    RESERVED,
    ExpressionError,
    parse_condition,
    parse_expression,
    parse_relation,
)
from optisolve.words.freeform.schema import (
    Checked,
    FreeConstraint,
    FreeModel,
    Row,
    checked_data,
    free_values,
    name_problems,
)
from optisolve.words.freeform.tree import (
    Call,
    Condition,
    Fold,
    Index,
    Node,
    Number,
    Ref,
    Relation,
    Variable,
    children,
    mapped,
    places,
)

__all__ = ["free_model"]

_MAX_ROWS, _MAX_VARIABLES, _MAX_NODES = 5000, 5000, 50_000


def free_model(values: JsonObject | FreeModel) -> Checked:
    """Check a model.

    Raises:
        OptionError: Everything that is wrong: fields, names, shapes, expressions, sizes.
    """
    model = free_values(values)
    data, problems = checked_data(model)
    problems += name_problems(model)
    if problems:
        raise OptionError("model", problems)
    shapes = {name: tuple(model.size(s) for s in v.over) for name, v in model.variables.items()}
    sizes = {name: int(np.prod(shape, dtype=np.int64)) for name, shape in shapes.items()}
    offsets = dict(zip(sizes, np.cumsum([0, *sizes.values()])[:-1].tolist(), strict=True))
    size = sum(sizes.values())
    if size > _MAX_VARIABLES:
        raise OptionError("model", [FieldProblem("variables", f"{size} scalars", f"at most {_MAX_VARIABLES}")])
    names = _Names(model, data, offsets)
    objective = names.objective()
    rows = tuple(names.rows())
    if names.problems or objective is None:
        raise OptionError("model", names.problems)
    owners, counts = model.variables.values(), list(sizes.values())
    lower, upper = np.repeat(np.array([v.limits for v in owners], dtype=np.float64).T, counts, axis=1)
    whole = np.repeat([v.kind != "real" for v in owners], counts)
    notes = tuple(dict.fromkeys(names.notes))
    return Checked(model, data, offsets, shapes, size, (lower, upper), whole, objective, rows, notes)


class _Names:
    """Resolves the texts of one model; `problems` and `notes` collect what there is to tell.

    Args:
        model: Fields and names of the model are in order.
        data: float64 array per parameter.
        offsets: First place of each variable in the flat vector.
    """

    def __init__(self, model: FreeModel, data: Mapping[str, FloatArray], offsets: Mapping[str, int]) -> None:
        self.model, self.data, self.offsets = model, data, offsets
        self.problems, self.notes = list[FieldProblem](), list[str]()
        self.where, self.count, self.nodes = "", 0, 0

    def objective(self) -> Node | None:
        """The resolved objective; None when something is wrong with it."""
        text = self.model.objective.expression
        self.where = "objective.expression"
        try:
            node = self.node(parse_expression(text), {})
            self.weigh(node)
        except ExpressionError as error:
            self.problems.append(FieldProblem(self.where, short(text), f"an expression: {_at(text, error, sides=False)}"))
            return None
        return self.written(node, {})

    def rows(self) -> Iterator[Row]:
        """The rows of all constraints that are in order."""
        names = [constraint.name for constraint in self.model.constraints]
        for number, constraint in enumerate(self.model.constraints, start=1):
            twice = f" (number {number})" if names.count(constraint.name) > 1 else ""
            self.where = f"constraints.{constraint.name}{twice}"
            where = self.condition(constraint)
            if where is None:
                continue
            try:
                relations = parse_relation(constraint.relation)
                for part, relation in enumerate(relations, start=1):
                    name = f"{constraint.name}.{part}" if len(relations) > 1 else constraint.name
                    if relation.written in ("<", ">"):
                        told = f"'{relation.written}' is read as '{relation.op}': a limit that is never reached has no optimum"
                        self.notes.append(f"{self.where}.relation: {told}")
                    yield from self.relation(constraint, relation, where, name)
            except ExpressionError as error:
                told = f"a relation: {_at(constraint.relation, error, sides=True)}"
                self.problems.append(FieldProblem(f"{self.where}.relation", short(constraint.relation), told))

    def condition(self, constraint: FreeConstraint) -> tuple[Condition, ...] | None:
        """The resolved conditions of a constraint; None when they or its running indices are not in order."""
        for name, owner in constraint.for_all.items():
            try:
                self.index_name(name)
            except ExpressionError as error:
                self.problems.append(FieldProblem(f"{self.where}.for_all", name, f"a name that nothing else has: {error}"))
                return None
            if owner not in self.model.sets:
                expected = f"one of the sets {', '.join(self.model.sets) or '(none)'}: '{owner}' is no set"
                self.problems.append(FieldProblem(f"{self.where}.for_all", owner, expected))
                return None
        try:
            found = parse_condition(constraint.where) if constraint.where else ()
            return self.conditions(found, constraint.for_all)
        except ExpressionError as error:
            told = f"comparisons of indices: {_at(constraint.where, error, sides=False)}"
            self.problems.append(FieldProblem(f"{self.where}.where", short(constraint.where), told))
            return None

    def relation(
        self, constraint: FreeConstraint, relation: Relation, where: tuple[Condition, ...], name: str
    ) -> Iterator[Row]:
        """The rows of one comparison."""
        running = constraint.for_all
        left, right = self.node(relation.left, running), self.node(relation.right, running)
        names = tuple(running)
        ranges = tuple(self.reach(n, running[n], (left, right)) for n in names)
        rows = int(np.prod([len(r) for r in ranges], dtype=np.int64))
        self.count += rows
        self.weigh(left, rows)
        self.weigh(right, rows)
        if self.count > _MAX_ROWS:
            raise ExpressionError(f"the constraints expand to more than {_MAX_ROWS} rows")
        made = 0
        for at in places(names, ranges, where, {}):
            told = "".join(f"[{(self.model.elements(running[n]) or range(1, at[n] + 2))[at[n]]}]" for n in names)
            sides = replace(relation, left=self.written(left, at), right=self.written(right, at))
            yield Row(f"{name}{told}", sides, self.where)
            made += 1
        if not made:
            raise ExpressionError("at least one row: no value of the indices is left by for_all, where and shifted indices")

    # -- trees ------------------------------------------------------------------------------------------------------------

    def weigh(self, node: Node, times: int = 1) -> None:
        """Count the nodes of a resolved tree with its sums written out.

        Raises:
            ExpressionError: There are more than are computed.
        """
        self.nodes += times * _weight(node)
        if self.nodes > _MAX_NODES:
            raise ExpressionError(f"the model expands to more than {_MAX_NODES} terms")

    def node(self, node: Node, running: Mapping[str, str]) -> Node:
        """A tree with its names resolved.

        Args:
            node: As it was parsed.
            running: Running indices and their sets.
        """
        if isinstance(node, Ref):
            return self.ref(node, running)
        if isinstance(node, Fold):
            return self.fold(node, running)
        return mapped(node, lambda below: self.node(below, running))

    def written(self, node: Node, at: Mapping[str, int]) -> Node:
        """A resolved tree with its data as numbers, its variables as places, and its sums written out.

        Args:
            node: From `node`.
            at: Values of running indices, from 0.
        """
        if isinstance(node, Fold):
            inner = places(tuple(name for name, _ in node.indices), node.ranges, node.where, at)
            return Call(node.function, tuple(self.written(node.body, values) for values in inner))
        if not isinstance(node, Ref):
            return mapped(node, lambda below: self.written(below, at))
        if node.name in at:
            return Number(float(at[node.name] + 1))
        index = tuple(at[i.name] + i.shift if i.name else i.shift - 1 for i in node.indices)
        if node.name in self.data:
            return Number(float(self.data[node.name][index]))
        shape = tuple(self.model.size(s) for s in self.model.variables[node.name].over)
        return Variable(self.offsets[node.name] + (int(np.ravel_multi_index(index, shape)) if index else 0))

    def fold(self, node: Fold, running: Mapping[str, str]) -> Node:
        inner = dict(running)
        for name, owner in node.indices:
            if owner not in self.model.sets:
                raise ExpressionError(f"'{owner}' is no set", node.place)
            self.index_name(name, inner, node.place)
            inner[name] = owner
        where, body = self.conditions(node.where, inner), self.node(node.body, inner)
        ranges = tuple(self.reach(name, owner, (body,)) for name, owner in node.indices)
        found = replace(node, where=where, body=body, ranges=ranges)
        if _weight(found) > _MAX_NODES:
            raise ExpressionError(f"a {node.function} expands to more than {_MAX_NODES} terms", node.place)
        return found

    def ref(self, node: Ref, running: Mapping[str, str]) -> Ref:
        if node.name in running:
            if node.indices:
                raise ExpressionError(f"the index '{node.name}' has no indices of its own", node.place)
            if self.model.elements(running[node.name]):
                raise ExpressionError(f"the index '{node.name}' runs through names, which are no numbers", node.place)
            return node
        owner = self.model.parameters.get(node.name) or self.model.variables.get(node.name)
        if owner is None:
            told = f"'{node.name}' is neither a parameter, a variable nor a running index"
            hint = f"; {node.name} is a function: {node.name}(...)" if node.name in RESERVED else ""
            raise ExpressionError(f"{told}{hint}", node.place)
        if len(node.indices) != len(owner.over):
            raise ExpressionError(f"'{node.name}' has {len(owner.over)} indices, got {len(node.indices)}", node.place)
        pairs = zip(node.indices, owner.over, strict=True)
        return replace(node, indices=tuple(self.index(index, name, running, node) for index, name in pairs))

    def index(self, index: Index, owner: str, running: Mapping[str, str], node: Ref) -> Index:
        """An index of `node` along a set: a running index stays, an element becomes its number."""
        size, elements = self.model.size(owner), self.model.elements(owner)
        if not index.name:
            if index.shift > size:
                raise ExpressionError(f"'{node.name}': the set {owner} has {size} elements, not {index.shift}", node.place)
            return index
        if index.name not in running:
            if index.name in elements and not index.shift:
                return Index("", elements.index(index.name) + 1)
            told = f"runs through no set and is no element of {owner}" if elements else "runs through no set"
            raise ExpressionError(f"'{node.name}': the index '{index}' {told}", node.place)
        through = running[index.name]
        if through != owner and self.model.elements(through) != elements:
            told = f"runs through {through}, whose elements are not those of {owner}"
            raise ExpressionError(f"'{node.name}': the index '{index}' {told}", node.place)
        if not index.shift and self.model.size(through) > size:
            raise ExpressionError(f"'{node.name}': the index '{index}' runs past the set {owner}", node.place)
        return index

    def index_name(self, name: str, running: Sequence[str] | Mapping[str, str] = (), place: int = 0) -> None:
        """Refuse a running index whose name means something else."""
        model = self.model
        if name in RESERVED:
            raise ExpressionError(f"the index '{name}' is the name of something else: a word or function of the grammar", place)
        if name in running or name in model.parameters or name in model.variables:
            raise ExpressionError(f"the index '{name}' is the name of something else", place)
        owner = next((s for s in model.sets if name in model.elements(s)), None)
        if owner is not None:
            raise ExpressionError(f"the index '{name}' is the name of something else: an element of {owner}", place)

    def conditions(self, found: tuple[Condition, ...], running: Mapping[str, str]) -> tuple[Condition, ...]:
        """Conditions with the names of elements resolved by the set of the index on the other side."""
        told = []
        for condition in found:
            sides = (condition.left, condition.right)
            sets = {running[i.name] for i in sides if i.name in running}
            if not sets or (len(sets) > 1 and any(self.model.elements(s) for s in sets)):
                raise ExpressionError(f"'{condition.left} {condition.op} {condition.right}' compares no indices of one set")
            elements = self.model.elements(sets.pop())
            resolved = []
            for i in sides:
                if i.name and i.name not in running and (i.name not in elements or i.shift):
                    raise ExpressionError(f"'{i}' is neither a running index nor an element")
                known = not i.name or i.name in running
                resolved.append(i if known else Index("", elements.index(i.name) + 1))
            told.append(Condition(condition.op, *resolved))
        return tuple(told)

    def reach(self, name: str, owner: str, nodes: Sequence[Node]) -> range:
        """Values of a running index, from 0, for which every shifted use of it lies inside its set.

        Raises:
            ExpressionError: There are none.
        """
        first, end = 0, self.model.size(owner)
        for ref, axis in (found for node in nodes for found in _shifted(node, name)):
            over = (self.model.parameters.get(ref.name) or self.model.variables[ref.name]).over
            shift = ref.indices[axis].shift
            first, end = max(first, -shift), min(end, self.model.size(over[axis]) - shift)
        if first >= end:
            raise ExpressionError(f"a value of '{name}' for which every shifted index lies inside its set; there is none")
        if end - first < self.model.size(owner):
            elements = self.model.elements(owner)
            ends = [elements[i] if elements else str(i + 1) for i in (first, end - 1)]
            self.notes.append(
                f"{self.where}: made for {name} from {ends[0]} to {ends[1]} only, where every shifted index exists"
            )
        return range(first, end)


def _weight(node: Node) -> int:
    """Nodes of a resolved tree with its sums written out; an upper bound where conditions leave terms out."""
    below = sum(_weight(child) for child in children(node))
    return below * int(np.prod([len(r) for r in node.ranges], dtype=np.int64)) if isinstance(node, Fold) else 1 + below


def _shifted(node: Node, name: str) -> Iterator[tuple[Ref, int]]:
    """References that use a running index with a shift, and on which axis."""
    if isinstance(node, Ref):
        yield from ((node, axis) for axis, index in enumerate(node.indices) if index.name == name and index.shift)
    for child in children(node):
        yield from _shifted(child, name)


def _at(text: str, error: ExpressionError, *, sides: bool) -> str:
    """What is wrong, behind the character and the side of a relation where it is wrong."""
    if not error.place:
        return str(error)
    before = text[: error.place - 1]
    depth, part = 0, 0
    for mark in re.findall(r"[()]|<=|>=|==|[<>=]", before):
        depth += {"(": 1, ")": -1}.get(mark, 0)
        part += depth == 0 and mark not in "()"
    side = f"{('left side', 'right side')[part] if part < 2 else f'side {part + 1}'}, " if sides else ""
    return f"{side}character {error.place}: {error}"

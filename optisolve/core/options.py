"""Typed options: a frozen dataclass that validates all of its fields at once."""

from __future__ import annotations

import dataclasses
import math
import operator
import re
import typing
from collections.abc import Callable, Iterable
from functools import cache
from types import UnionType
from typing import TYPE_CHECKING, Any, Self

from annotated_types import Ge, Gt, Interval, Le, Lt

from optisolve.core.errors import FieldProblem, OptionError, nearest

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = ["Collected", "Options", "Resource"]

T = typing.TypeVar("T")

_SECRET = re.compile(r"(key|secret|password|token)$", re.IGNORECASE)
"""Names of settings that do not exist, but that a secret may be put under by mistake."""


@dataclasses.dataclass(frozen=True)
class Resource:
    """Marks an option whose value names a file, a folder or something on a hub: ``Annotated[str, Resource(...)]``.

    What such a name stands for differs from machine to machine, so an audit uses shipped content only.

    Args:
        shipped: Says of the option's value whether it stands for something that comes with optisolve.
    """

    shipped: Callable[[Any], bool]


class Options:
    """Mixin for frozen dataclasses whose fields are options.

    Values are checked against the annotations (``Annotated[int, Ge(2)]`` and the like, through pydantic) when the
    object is made. Numbers given as text are accepted, since configuration files and command lines deliver text.
    Cross-field rules go into `_check`.
    """

    __slots__ = ()

    def __post_init__(self) -> None:
        problems: list[FieldProblem] = []
        cls = typing.cast(Any, type(self))
        for name, hint in _hints(cls).items():
            value, expected = getattr(self, name), None
            validated = _quick(hint, value)
            if validated is _UNSURE:
                validated, expected = _validate(_adapters(cls)[name], value)
            if expected is not None:
                problems.append(FieldProblem(name, value, expected))
            elif validated is not value:
                object.__setattr__(self, name, validated)
        if not problems:
            problems.extend(self._check())
        if problems:
            raise OptionError(self._title(), problems)

    def _check(self) -> typing.Iterable[FieldProblem]:
        """Rules between fields; runs only when every field alone is fine."""
        return ()

    def _title(self) -> str:
        return type(self).__name__

    def options(self) -> dict[str, Any]:
        """All fields by name, in declaration order."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(typing.cast(Any, self)) if f.init}

    @classmethod
    def _renamed(cls, values: typing.Mapping[str, Any]) -> typing.Mapping[str, Any]:
        """Settings under the names that they have today, where some had another one before."""
        return values

    def unshipped(self) -> dict[str, str]:
        """Options that name something which does not come with optisolve, so that nobody else can repeat what it does."""
        return {
            name: value
            for name, resource in _resources(typing.cast(Any, type(self))).items()
            if (value := getattr(self, name)) is not None and not resource.shipped(value)
        }

    def with_option(self, **changes: Any) -> Self:
        """A copy with some fields changed; unknown names raise `OptionError` with a suggestion."""
        return type(self).from_mapping({**self.options(), **changes})

    @classmethod
    def from_mapping(cls, values: typing.Mapping[str, Any], *, title: str | None = None) -> Self:
        """Build from a mapping; every unknown or bad field is listed in one error.

        Raises:
            OptionError: Unknown names (with the nearest known one) or values that do not fit.
        """
        known = [f.name for f in dataclasses.fields(typing.cast(Any, cls)) if f.init]
        if not isinstance(values, typing.Mapping):
            raise OptionError(title or cls.__name__, [FieldProblem("(all)", values, f"settings by name: {', '.join(known)}")])
        values = cls._renamed(values)
        unknown = []
        for name in values:
            if name not in known:
                guess = nearest(name, known)
                hint = f"; did you mean '{guess}'?" if guess else ""
                given = "(not shown)" if _SECRET.search(name) else values[name]
                unknown.append(FieldProblem(name, given, f"one of {', '.join(known)}{hint}"))
        try:
            made = cls(**{key: value for key, value in values.items() if key in known})
        except OptionError as error:
            raise OptionError(title or cls.__name__, [*unknown, *error.problems]) from None
        except TypeError as error:  # a required field is absent
            raise OptionError(title or cls.__name__, [*unknown, FieldProblem("(fields)", sorted(values), str(error))]) from None
        if unknown:
            raise OptionError(title or cls.__name__, unknown)
        return made


class Collected:
    """Bad settings of several parts, told in one error.

    Args:
        title: What they are settings of.
        problems: What is known already.
    """

    def __init__(self, title: str, problems: Iterable[FieldProblem] = ()) -> None:
        self.title, self.problems = title, list(problems)

    def __call__(self, prefix: str, make: Callable[[], T]) -> T | None:
        """The made object, or None after its bad fields were added with their full names."""
        try:
            return make()
        except OptionError as error:
            dot = f"{prefix}." if prefix else ""
            self.problems.extend(FieldProblem(dot + p.field, p.given, p.expected) for p in error.problems)
            return None

    def whole(self, made: T | None) -> T:
        """The object when nothing is bad.

        Raises:
            OptionError: All that is bad.
        """
        if self.problems or made is None:
            raise OptionError(self.title, self.problems)
        return made


@cache
def _adapters(cls: type) -> dict[str, TypeAdapter[object]]:
    """Pydantic adapters of a dataclass's fields, by name."""
    from pydantic import ConfigDict, TypeAdapter

    config = ConfigDict(arbitrary_types_allowed=True, allow_inf_nan=False)
    return {
        name: TypeAdapter(hint, config=None if dataclasses.is_dataclass(hint) else config) for name, hint in _hints(cls).items()
    }


@cache
def _hints(cls: type) -> dict[str, Any]:
    """Annotations of a dataclass's fields, by name."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {f.name: hints[f.name] for f in dataclasses.fields(typing.cast(Any, cls)) if f.init}


_UNSURE = object()
_BOUNDS: tuple[tuple[str, Callable[[Any, Any], bool]], ...] = (
    ("ge", operator.ge),
    ("gt", operator.gt),
    ("le", operator.le),
    ("lt", operator.lt),
)


def _quick(hint: Any, value: Any) -> Any:
    """What pydantic makes of a value where that is plain to see; `_UNSURE` where only pydantic can say.

    Most values are of just the type that is asked for, so that most processes need not load pydantic for their options.
    """
    if hint is float:
        whole = type(value) is int and abs(value) < 2**53
        return float(value) if whole or (type(value) is float and math.isfinite(value)) else _UNSURE
    if hint in (int, str, bool):
        return value if type(value) is hint else _UNSURE
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return value if any(type(value) is type(part) and value == part for part in parts) else _UNSURE
    if origin is typing.Annotated:
        known = all(isinstance(mark, (Ge, Gt, Le, Lt, Interval, Resource)) for mark in parts[1:])
        found = _quick(parts[0], value) if known else _UNSURE
        return found if found is not _UNSURE and all(_within(found, mark) for mark in parts[1:]) else _UNSURE
    if origin in (typing.Union, UnionType) and len(parts) == 2 and type(None) in parts:
        return None if value is None else _quick(next(part for part in parts if part is not type(None)), value)
    if origin is tuple and isinstance(value, (list, tuple)) and parts[1:] == (Ellipsis,):
        parts = parts[:1] * len(value)
    if origin is tuple and isinstance(value, (list, tuple)) and len(value) == len(parts):
        members = tuple(_quick(part, member) for part, member in zip(parts, value, strict=True))
        return _UNSURE if any(member is _UNSURE for member in members) else members
    return _UNSURE


def _within(value: Any, mark: object) -> bool:
    """A number keeps a bound; anything else has none that is plain to see."""
    limits = [(holds, getattr(mark, name, None)) for name, holds in _BOUNDS]
    kept = [holds(value, limit) for holds, limit in limits if limit is not None] if isinstance(value, (int, float)) else [False]
    return isinstance(mark, Resource) or all(kept)


@cache
def _resources(cls: type) -> dict[str, Resource]:
    """The fields of a dataclass that are marked with `Resource`."""
    found = {}
    for name, hint in typing.get_type_hints(cls, include_extras=True).items():
        for part in (hint, *typing.get_args(hint)):
            for mark in getattr(part, "__metadata__", ()):
                if isinstance(mark, Resource):
                    found[name] = mark
    return found


def _validate(adapter: TypeAdapter[object], value: object) -> tuple[object, str | None]:
    """Validated value, and what was expected when it does not fit."""
    from pydantic import ValidationError

    try:
        return adapter.validate_python(value), None
    except ValidationError as error:
        messages = dict.fromkeys(str(item["msg"]).removeprefix("Input should be ") for item in error.errors())
        return value, " or ".join(messages)

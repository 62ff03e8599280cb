"""What may stand in a field of a file that a stranger wrote, and one clear error for each field that holds something else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from optisolve.core.documents import JsonObject
from optisolve.core.errors import FieldProblem, nearest
from optisolve.core.text import is_safe_name
from optisolve.run.untrusted import shortened

__all__ = [
    "Amount",
    "Count",
    "Digest",
    "Given",
    "Integer",
    "Name",
    "Number",
    "Object",
    "Part",
    "PlainNumber",
    "Positive",
    "Report",
    "Rows",
    "Scenario",
    "SuiteName",
    "field_problems",
]

T = TypeVar("T")

_LARGEST = 2**63
_LONGEST_GUESSED = 40
_SCENARIO = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*(/[A-Za-z0-9][A-Za-z0-9_.+-]*)*")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_PLAIN = re.compile(r"0|[1-9][0-9]{0,4}")


class Part(BaseModel):
    """An object of a file: every field known, of its type and unchangeable; what is absent stays absent when written."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, validate_by_name=False)

    def to_json(self) -> dict[str, Any]:
        """JSON values, in the order of the file."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    def __repr__(self) -> str:
        return str(self.to_json())

    if not TYPE_CHECKING:  # what was a dictionary once tells who still writes so; a type checker knows anyway

        def __getitem__(self, key):
            raise TypeError(f"fields are attributes: write .{key} instead of [{key!r}]; to_json() gives a dictionary")


@dataclass(frozen=True, eq=False, slots=True)
class _Plain:
    """The check of an annotated type."""

    schema: CoreSchema

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return self.schema


def _as(schema: CoreSchema, expected: str) -> _Plain:
    """A check with one message, which says what was expected."""
    return _Plain(core_schema.custom_error_schema(schema, "expected", custom_error_message=expected))


def _numbers(at_least: float | None = None) -> CoreSchema:
    """Whole numbers stay whole, so that a hash over them stays what it was."""
    whole = core_schema.int_schema(strict=True, ge=-_LARGEST if at_least is None else int(at_least), lt=_LARGEST)
    real = core_schema.float_schema(strict=True, ge=at_least, allow_inf_nan=False)
    return core_schema.union_schema([whole, real], mode="left_to_right")


def _texts(fits: Callable[[str], object]) -> CoreSchema:
    def check(value: str) -> str:
        if not fits(value):
            raise ValueError
        return value

    return core_schema.no_info_after_validator_function(check, core_schema.str_schema(strict=True))


def _is_scenario(text: str) -> bool:
    return len(text) <= 200 and _SCENARIO.fullmatch(text) is not None and ".." not in text


_INTEGER = core_schema.int_schema(strict=True, gt=-_LARGEST, lt=_LARGEST)
_COUNT = core_schema.int_schema(strict=True, ge=0, lt=_LARGEST)

Integer: TypeAlias = Annotated[int, _as(_INTEGER, "a whole number of at most 63 bits")]
Count: TypeAlias = Annotated[int, _as(_COUNT, "a whole number >= 0")]
Positive: TypeAlias = Annotated[int, _as(core_schema.int_schema(strict=True, ge=1, lt=_LARGEST), "a whole number >= 1")]
Number: TypeAlias = Annotated[float, _as(_numbers(), "a number")]
Amount: TypeAlias = Annotated[float, _as(_numbers(0), "a number >= 0")]
Digest: TypeAlias = Annotated[str, _as(_texts(_DIGEST.fullmatch), "64 hexadecimal digits")]
Name: TypeAlias = Annotated[str, _as(_texts(is_safe_name), "a name of letters, digits, '_', '-', '.', '+'")]
SuiteName: TypeAlias = Annotated[str, _as(_texts(lambda text: not text or is_safe_name(text)), "a name, or nothing")]
Scenario: TypeAlias = Annotated[str, _as(_texts(_is_scenario), "a scenario name such as family or family/name")]
PlainNumber: TypeAlias = Annotated[
    str, _as(_texts(_PLAIN.fullmatch), "a whole number from 0 to 99999, written plainly, as text")
]


if TYPE_CHECKING:
    Object: TypeAlias = JsonObject
    Report: TypeAlias = Mapping[str, Any]
else:  # a type that contains itself is more than a model needs to look into
    Object = Report = Annotated[dict, _as(core_schema.dict_schema(core_schema.str_schema()), "an object")]
"""Keys and values of others: parameters and options; a solver's report, which only its own pages know how to read."""


def _equal_rows(rows: list[list[float]]) -> list[list[float]]:
    if len({len(row) for row in rows}) > 1:
        raise PydanticCustomError("expected", "rows of equal length")
    return rows


_ROW = core_schema.list_schema(
    core_schema.custom_error_schema(_numbers(), "expected", custom_error_message="a number"), strict=True, fail_fast=True
)
_ROWS = core_schema.no_info_after_validator_function(_equal_rows, core_schema.list_schema(_ROW, strict=True, fail_fast=True))


Rows: TypeAlias = Annotated[list[list[float]], _Plain(_ROWS)]
"""Numbers in rows of one length; their number follows from the rows, so nothing needs to be stored."""


def _not_null(value: T) -> T:
    if value is None:
        raise PydanticCustomError("expected", "something, or no such field")
    return value


Given: TypeAlias = Annotated[T, BeforeValidator(_not_null)]
"""A field that is there or not, and never null."""


# -- errors ------------------------------------------------------------------------------------------------------------

_KINDS = {
    "bool_type": "true or false",
    "dict_type": "an object",
    "list_type": "a list",
    "missing": "to be present",
    "model_type": "an object",
    "string_type": "text",
    "string_unicode": "text without broken characters",
    "tuple_type": "a list",
}


def field_problems(error: ValidationError, model: type[BaseModel]) -> Iterator[FieldProblem]:
    """Every bad field once: its path, what was given, what was expected.

    Args:
        error: What the model raised.
        model: The model.
    """
    for problem in error.errors(include_url=False):
        *parents, last = problem["loc"] or ("(file)",)
        kind, given = problem["type"], problem["input"]
        expected = _KINDS.get(kind) or problem["msg"]
        if kind in ("enum", "literal_error"):
            expected = f"one of {problem['ctx']['expected'].replace(chr(39), '').replace(' or ', ', ')}"
        elif kind == "missing":
            given = None
        elif kind == "extra_forbidden":
            guess = nearest(str(last)[:_LONGEST_GUESSED], _names(model, parents))
            given, expected = "a field", f"no such field{f'; did you mean {guess!r}?' if guess else ''}"
        yield FieldProblem(_path((*parents, last)), shortened(given), expected)


def _path(location: tuple[int | str, ...]) -> str:
    """``verified.F[0][1]``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(".")


def _names(model: Any, parents: list[int | str]) -> list[str]:
    for parent in parents:
        fields = getattr(model, "model_fields", {})
        if parent in fields:
            model = fields[str(parent)].annotation
            model = next((kind for kind in getattr(model, "__args__", ()) if hasattr(kind, "model_fields")), model)
    return [field.alias or name for name, field in getattr(model, "model_fields", {}).items()]

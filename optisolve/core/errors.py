"""Every error optisolve raises on purpose, so that callers can catch one base class.

A message says what was given, what was expected and what to do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from optisolve.core.status import Limit
from optisolve.core.text import printable, printable_lines

__all__ = [
    "BudgetExhausted",
    "FieldProblem",
    "LlmError",
    "MissingDependency",
    "OptionError",
    "OptisolveError",
    "OutOfTime",
    "ProblemError",
    "RecordError",
    "RegistryError",
    "RunStopped",
    "SolverError",
    "UnknownNameError",
    "nearest",
    "short",
]


_LISTED_AT_MOST = 50


class OptisolveError(Exception):
    """Base class of all deliberate errors; the command line prints its text without a traceback.

    Args:
        text: What is wrong. Much of it may be a stranger's (names of arrays, headers, words of a server), so what would steer
            a terminal is escaped; line breaks stay.
    """

    def __init__(self, text: object = "") -> None:
        super().__init__(printable_lines(text))

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies are made without `__init__`, whose arguments differ from class to class."""
        return _remade, (type(self), self.args), self.__dict__


def _remade(cls: type[OptisolveError], args: tuple[Any, ...]) -> OptisolveError:
    return cls.__new__(cls, *args)


class ProblemError(OptisolveError):
    """A scenario, an instance file or a decision vector is not usable; the text names the field."""


class SolverError(OptisolveError):
    """A solver cannot treat an instance, or broke while it did."""


class LlmError(OptisolveError):
    """A language model could not be reached, started, or understood."""


class RecordError(OptisolveError):
    """A record is malformed, altered, or refers to something that is not there."""


class RegistryError(OptisolveError):
    """Two plug-ins claim one name, or a plug-in cannot be loaded."""


class MissingDependency(OptisolveError):
    """An optional package is not installed; the text names the extra that brings it.

    Args:
        what: What is missing, one thing or several separated by commas.
        extra: The extra of optisolve that brings it.
    """

    def __init__(self, what: str, *, extra: str) -> None:
        super().__init__(f"Not installed: {what}. Install with: pip install 'optisolve[{extra}]'")
        self.extra = extra


class UnknownNameError(OptisolveError):
    """A problem, solver, preset or option name does not exist.

    Args:
        kind: What was looked up, e.g. ``"solver"``.
        name: The name that was given.
        known: All names that would have worked.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, tuple(sorted(known))
        guess = nearest(name, self.known)
        hint = f" Did you mean '{guess}'?" if guess else ""
        super().__init__(f"Unknown {kind} '{name}'.{hint} Known: {_listed(self.known)}.")


def _listed(names: tuple[str, ...]) -> str:
    """All names while they fit on a screen; else those before a slash, which stand for their scenarios."""
    if len(names) > _LISTED_AT_MOST:
        families = dict.fromkeys(name.partition("/")[0] for name in names)
        return f"{', '.join(families)}; 'optisolve list' shows the scenarios of each, FAMILY/SCENARIO"
    return ", ".join(names) or "(none)"


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One bad field: its dotted name, what was given, and what was expected."""

    field: str
    given: object
    expected: str

    def __str__(self) -> str:
        return f"{printable(self.field)}: got {self.given!r}, expected {self.expected}"


def short(value: object) -> object:
    """A value as it was given; the beginning of its representation when that is long."""
    text = repr(value)
    return value if len(text) <= 80 else f"{text[:77]}..."


class OptionError(OptisolveError):
    """One or more fields of a configuration are wrong; the text lists all of them."""

    def __init__(self, what: str, problems: Sequence[FieldProblem]) -> None:
        self.problems = tuple(problems)
        lines = "\n".join(f"  - {problem}" for problem in self.problems)
        super().__init__(f"{what} has {len(self.problems)} bad field(s):\n{lines}")


class BudgetExhausted(OptisolveError):
    """The next step does not fit the budget; raised before anything is spent.

    Args:
        limit: The limit that would have been exceeded.
        detail: Given and remaining amounts, in words.
    """

    def __init__(self, limit: Limit, detail: str) -> None:
        super().__init__(f"Budget exhausted ({limit.value}): {detail}")
        self.limit = limit


class OutOfTime(BaseException):
    """The limit on seconds has passed and the solver did not look; no error, so that no solver may take it for its own."""


class RunStopped(BaseException):
    """Somebody who watches a run ends it; no error, so that no solver may take it for one of its own."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name closest to a mistyped one, or None when nothing is close."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None

"""How a kit runs: every ``test_*`` method is one property; pytest and the command line run the same methods."""

from __future__ import annotations

from dataclasses import dataclass
from unittest import SkipTest

from optisolve.core.errors import OptisolveError

__all__ = ["CheckResult", "NotApplicable", "require", "run_kit"]


class NotApplicable(SkipTest):
    """Raised by a check that does not concern this plug-in; reported as skipped, never as passed, by pytest too."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One property of a plug-in.

    Attributes:
        name: The property in words.
        outcome: ``passed``, ``failed`` or ``skipped``.
        detail: Why it failed or was skipped.
    """

    name: str
    outcome: str
    detail: str = ""


def require(condition: bool, message: str) -> None:
    """Fail with a message unless a property holds.

    Raises:
        AssertionError: It does not hold.
    """
    if not condition:
        raise AssertionError(message)


def run_kit(kit: object) -> list[CheckResult]:
    """Run all ``test_*`` methods of a kit object, in order of definition."""
    results = []
    for attribute in dir(type(kit)):
        if not attribute.startswith("test_"):
            continue
        name = attribute.removeprefix("test_").replace("_", " ")
        try:
            getattr(kit, attribute)()
        except NotApplicable as reason:
            results.append(CheckResult(name, "skipped", str(reason)))
        except (AssertionError, OptisolveError) as failure:
            results.append(CheckResult(name, "failed", str(failure)))
        except Exception as failure:  # a plug-in may raise anything; the report must go on
            results.append(CheckResult(name, "failed", f"{type(failure).__name__}: {failure}"))
        else:
            results.append(CheckResult(name, "passed"))
    return results

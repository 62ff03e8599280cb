"""Marks that tests get by where they stand and by what they are parametrized with; nobody types them.

A test below ``tests/problems``, ``tests/metamorphic`` or ``tests/solvers`` has the mark of the family or solver that its
folder or file is named after; one of a file over many of them has those of its parameters. ``plumbing`` marks tests of
what carries the product and is slow to start: clusters, trackers, browsers, forgeries, processes that are killed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from optisolve.registry import PROBLEMS, SOLVERS

TESTS = Path(__file__).parent

PLUMBING = {
    "browser": "the site in Chromium",
    "forgeries": "records that claim what is not so",
    "hostile": "endpoints, replies and command lines that mean harm",
    "joblib": "sweeps by Hydra's joblib launcher",
    "kernels": "caches of compiled code",
    "kills": "processes that are interrupted, killed, or many",
    "mlflow": "the tracker",
    "ray": "a cluster",
}
"""Marks below ``plumbing`` and what their tests are about."""

_PLUMBING_FILES = {
    "cli/test_sweep.py": "joblib",
    "reliability/test_family.py": "kills",
    "reliability/test_faulty_answers.py": "hostile",
    "reliability/test_fuzz.py": "hostile",
    "reliability/test_hostile_endpoints.py": "hostile",
    "reliability/test_interrupts.py": "kills",
    "reliability/test_kernel_cache.py": "kernels",
    "reliability/test_kills.py": "kills",
    "reliability/test_secrets.py": "hostile",
    "reliability/test_two_processes.py": "kills",
    "run/test_ray_workers.py": "ray",
    "study/test_mlflow.py": "mlflow",
    "study/test_ray.py": "ray",
    "trust/test_attacks.py": "forgeries",
    "trust/test_forgery.py": "forgeries",
}
_BROWSER_FILES, _BROWSER_FIXTURE = ("docs/test_site.py", "trust/test_site.py"), "browser"

_SWEEPS = {
    "independent/test_evaluators.py",
    "independent/test_fuzz.py",
    "metamorphic/test_allocation.py",
    "metamorphic/test_games.py",
    "metamorphic/test_scaling.py",
    "problems/test_conformance.py",
    "problems/test_instance_file.py",
    "run/test_certificates.py",
    "solvers/test_model_solvers.py",
    "solvers/test_power_solvers.py",
    "solvers/test_reproducible.py",
    "solvers/test_single_objective.py",
}
"""Files over many families or solvers: their tests have the marks of what they are parametrized with."""

_PARAMETERS = ("family", "name", "problem", "scenario", "solver")
_NAMED_AFTER = ("metamorphic", "problems", "solvers")


@cache
def plugins() -> frozenset[str]:
    """Names of all families and solvers that come with optisolve."""
    return frozenset({*PROBLEMS.targets(), *SOLVERS.targets()})


def marks_of(file: Path) -> frozenset[str]:
    """Marks that every test of a file has."""
    parts = file.relative_to(TESTS).parts
    plumbing = _PLUMBING_FILES.get("/".join(parts))
    if plumbing is not None:
        return frozenset({"plumbing", plumbing})
    if parts[0] not in _NAMED_AFTER:
        return frozenset()
    named = parts[1] if len(parts) > 2 else file.stem.removeprefix("test_")
    fitting = [name for name in plugins() if named == name or named.startswith(f"{name}_")]
    return frozenset({max(fitting, key=len)} if fitting else ())


def marks_of_item(file: Path, fixtures: Iterable[str], parameters: dict[str, object]) -> frozenset[str]:
    """Marks that one test has for its fixtures and parameters."""
    sweep = file.relative_to(TESTS).as_posix() in _SWEEPS
    named = {str(value).partition("/")[0] for key, value in parameters.items() if sweep and key in _PARAMETERS}
    browser = {"plumbing", "browser"} if _BROWSER_FIXTURE in fixtures else set()
    return frozenset(named & plugins() | browser)


def can_hold(file: Path, expression: str) -> bool:
    """Whether a file may hold a test that ``-m EXPRESSION`` selects; told from its place and text, without an import.

    Only names joined by ``or`` are decided here, so that ``pytest -m FAMILY`` starts in seconds.
    """
    wanted = set(expression.split(" or "))
    if not wanted <= {*plugins(), *PLUMBING, "plumbing"}:
        return True
    place = file.relative_to(TESTS).as_posix()
    if place in _SWEEPS or wanted & marks_of(file) or (place in _BROWSER_FILES and wanted & {"plumbing", "browser"}):
        return True
    text = file.read_text(encoding="utf-8")
    return any(re.search(rf"\bmark\.{name}\b", text) for name in wanted)

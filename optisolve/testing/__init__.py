"""Conformance kits and doubles that third-party plug-ins may use in their own tests.

Subclass `ProblemConformance` or `SolverConformance` in a pytest file, or call `check_problem` / `check_solver`.
"""

from optisolve.testing.kit import CheckResult
from optisolve.testing.problems import ProblemConformance, check_problem
from optisolve.testing.solvers import SolverConformance, check_solver

__all__ = ["CheckResult", "ProblemConformance", "SolverConformance", "check_problem", "check_solver"]

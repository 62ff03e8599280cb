"""botorch, optuna_gp, optuna_tpe: the kit, constraints, integers, bad input, and what they leave untouched."""

from __future__ import annotations

import importlib.util
import warnings

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import optisolve
from optisolve import Budget, solve
from optisolve.core import Limit, Termination
from optisolve.core.solver import Known
from optisolve.solvers.bo import Botorch, OptunaGp, OptunaTpe
from optisolve.testing import SolverConformance

LACKING = [name for name in ("botorch", "optuna", "torch") if importlib.util.find_spec(name) is None]
needs_bo = pytest.mark.skipif(bool(LACKING), reason="needs the extra [bo]")
QUICK = {"mc_samples": 16, "num_restarts": 2, "raw_samples": 32, "maxiter": 20}
"""Little effort of botorch's."""
ALL = [("botorch", QUICK), ("botorch", {**QUICK, "trust_region_from": 1}), ("optuna_gp", {}), ("optuna_tpe", {})]
IDS = ["botorch", "trust_region", "optuna_gp", "optuna_tpe"]


@needs_bo
class TestBotorch(SolverConformance):
    """The kit, with as few evaluations as it is made for."""

    evaluations = 10

    def make_solver(self):
        return Botorch(n_initial=7, batch_size=2, **QUICK)


@needs_bo
class TestTrustRegion(SolverConformance):
    """The kit in trust regions."""

    evaluations = 24

    def make_solver(self):
        return Botorch(n_initial=20, batch_size=2, trust_region_from=1, n_candidates=200)


@needs_bo
class TestOptunaGp(SolverConformance):
    """The kit, with as few evaluations as it is made for."""

    evaluations = 12

    def make_solver(self):
        return OptunaGp()


@needs_bo
class TestOptunaTpe(SolverConformance):
    """The kit."""

    evaluations = 30

    def make_solver(self):
        return OptunaTpe()

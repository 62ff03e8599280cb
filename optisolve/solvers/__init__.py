"""Solvers, one module or package each; a class is imported when it is first asked for.

>>> from optisolve.solvers import Ledma
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optisolve.solvers.branch_and_bound import BranchAndBound
    from optisolve.solvers.cpsat import CpSat
    from optisolve.solvers.cvxpy_solver import Cvxpy
    from optisolve.solvers.ddpm import Ddpm, DdpmNull
    from optisolve.solvers.drl_fusion import DrlFusion
    from optisolve.solvers.foschini_miljanic import FoschiniMiljanic
    from optisolve.solvers.game import Game, GameControl
    from optisolve.solvers.highs import Highs
    from optisolve.solvers.hungarian import Hungarian
    from optisolve.solvers.legacy_diffsg import LegacyDiffsg
    from optisolve.solvers.moe import Moe, MoeLlm
    from optisolve.solvers.moead import Ledma, LedmaControl, Moead, MoeadDe, MoeadLo
    from optisolve.solvers.null import Null
    from optisolve.solvers.opro import Opro
    from optisolve.solvers.pymoo_adapter import CmaEs, Nsga2, Nsga3, PymooSolver, SmsEmoa
    from optisolve.solvers.q_fusion import QFusion, QFusionControl
    from optisolve.solvers.random_search import RandomSearch
    from optisolve.solvers.scipy_local import ScipyLocal
    from optisolve.solvers.water_filling import WaterFilling
    from optisolve.solvers.wmmse import Wmmse

_HOMES = {
    "branch_and_bound": ("BranchAndBound",),
    "cpsat": ("CpSat",),
    "cvxpy_solver": ("Cvxpy",),
    "ddpm": ("Ddpm", "DdpmNull"),
    "drl_fusion": ("DrlFusion",),
    "foschini_miljanic": ("FoschiniMiljanic",),
    "game": ("Game", "GameControl"),
    "highs": ("Highs",),
    "hungarian": ("Hungarian",),
    "legacy_diffsg": ("LegacyDiffsg",),
    "moead": ("Ledma", "LedmaControl", "Moead", "MoeadDe", "MoeadLo"),
    "moe": ("Moe", "MoeLlm"),
    "null": ("Null",),
    "opro": ("Opro",),
    "pymoo_adapter": ("CmaEs", "Nsga2", "Nsga3", "PymooSolver", "SmsEmoa"),
    "q_fusion": ("QFusion", "QFusionControl"),
    "random_search": ("RandomSearch",),
    "scipy_local": ("ScipyLocal",),
    "water_filling": ("WaterFilling",),
    "wmmse": ("Wmmse",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "BranchAndBound",
    "CmaEs",
    "CpSat",
    "Cvxpy",
    "Ddpm",
    "DdpmNull",
    "DrlFusion",
    "FoschiniMiljanic",
    "Game",
    "GameControl",
    "Highs",
    "Hungarian",
    "Ledma",
    "LedmaControl",
    "LegacyDiffsg",
    "Moe",
    "MoeLlm",
    "Moead",
    "MoeadDe",
    "MoeadLo",
    "Nsga2",
    "Nsga3",
    "Null",
    "Opro",
    "PymooSolver",
    "QFusion",
    "QFusionControl",
    "RandomSearch",
    "ScipyLocal",
    "SmsEmoa",
    "WaterFilling",
    "Wmmse",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'optisolve.solvers' has no attribute '{name}'")
    return getattr(import_module(f"optisolve.solvers.{_HOME_OF[name]}"), name)

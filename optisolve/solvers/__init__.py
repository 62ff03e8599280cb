"""Solvers, one module or package each; a class that an entry point declares is imported when it is first asked for.

>>> from optisolve.solvers import Ledma
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from optisolve.registry import SOLVERS

if TYPE_CHECKING:  # what an editor sees; at run time the entry points decide
    from optisolve.solvers.big_square_small_square import BigSquareSmallSquare as BigSquareSmallSquare
    from optisolve.solvers.bo import Botorch as Botorch
    from optisolve.solvers.bo import OptunaGp as OptunaGp
    from optisolve.solvers.bo import OptunaTpe as OptunaTpe
    from optisolve.solvers.branch_and_bound import BranchAndBound as BranchAndBound
    from optisolve.solvers.breadth_first import BreadthFirst as BreadthFirst
    from optisolve.solvers.cpsat import CpSat as CpSat
    from optisolve.solvers.cvxpy_solver import Cvxpy as Cvxpy
    from optisolve.solvers.ddpm import Ddpm as Ddpm
    from optisolve.solvers.ddpm import DdpmNull as DdpmNull
    from optisolve.solvers.drl_fusion import DrlFusion as DrlFusion
    from optisolve.solvers.dual_decomposition import DualDecomposition as DualDecomposition
    from optisolve.solvers.equimarginal import Equimarginal as Equimarginal
    from optisolve.solvers.foschini_miljanic import FoschiniMiljanic as FoschiniMiljanic
    from optisolve.solvers.front_descent import FrontDescent as FrontDescent
    from optisolve.solvers.game import Game as Game
    from optisolve.solvers.game import GameControl as GameControl
    from optisolve.solvers.highs import Highs as Highs
    from optisolve.solvers.hungarian import Hungarian as Hungarian
    from optisolve.solvers.hybrid import Hybrid as Hybrid
    from optisolve.solvers.hybrid import HybridControl as HybridControl
    from optisolve.solvers.interval_branch_and_bound import IntervalBranchAndBound as IntervalBranchAndBound
    from optisolve.solvers.ledma import Ledma as Ledma
    from optisolve.solvers.ledma import LedmaControl as LedmaControl
    from optisolve.solvers.legacy_diffsg import LegacyDiffsg as LegacyDiffsg
    from optisolve.solvers.matrix_inversion import MatrixInversion as MatrixInversion
    from optisolve.solvers.moe import Moe as Moe
    from optisolve.solvers.moe import MoeLlm as MoeLlm
    from optisolve.solvers.moead import Moead as Moead
    from optisolve.solvers.moead import MoeadDe as MoeadDe
    from optisolve.solvers.moead import MoeadLo as MoeadLo
    from optisolve.solvers.moead.programmed import MoeadRule as MoeadRule
    from optisolve.solvers.null import Keep as Keep
    from optisolve.solvers.null import Null as Null
    from optisolve.solvers.opro import Opro as Opro
    from optisolve.solvers.parego import Parego as Parego
    from optisolve.solvers.perron import Perron as Perron
    from optisolve.solvers.power_net import PowerNet as PowerNet
    from optisolve.solvers.pymoo_adapter import CmaEs as CmaEs
    from optisolve.solvers.pymoo_adapter import Nsga2 as Nsga2
    from optisolve.solvers.pymoo_adapter import Nsga3 as Nsga3
    from optisolve.solvers.pymoo_adapter import SmsEmoa as SmsEmoa
    from optisolve.solvers.q_fusion import QFusion as QFusion
    from optisolve.solvers.q_fusion import QFusionControl as QFusionControl
    from optisolve.solvers.random_search import RandomSearch as RandomSearch
    from optisolve.solvers.rule import Rule as Rule
    from optisolve.solvers.scipy_local import ScipyLocal as ScipyLocal
    from optisolve.solvers.threshold_flow import ThresholdFlow as ThresholdFlow
    from optisolve.solvers.uplink_duality import UplinkDuality as UplinkDuality
    from optisolve.solvers.water_filling import WaterFilling as WaterFilling
    from optisolve.solvers.weight_search import WeightSearch as WeightSearch
    from optisolve.solvers.wmmse import Wmmse as Wmmse
    from optisolve.solvers.wmmse_precoding import WmmsePrecoding as WmmsePrecoding


def _homes() -> dict[str, str]:
    """Class names of the solvers that are declared in this package, and where each lives."""
    declared = (target.partition(":") for target in SOLVERS.targets().values())
    return {name: module for module, _, name in declared if module.startswith("optisolve.solvers.")}


def __getattr__(name: str) -> Any:
    home = _homes().get(name)
    if home is None:
        raise AttributeError(f"module 'optisolve.solvers' has no attribute '{name}'")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(_homes())

"""Tabular experts for primitive intents, fused for a compound one."""

from optisolve.solvers.q_fusion.fusion import RULES, fuse_q, mix_actions, normalized
from optisolve.solvers.q_fusion.solver import QFusion, QFusionControl

__all__ = ["RULES", "QFusion", "QFusionControl", "fuse_q", "mix_actions", "normalized"]

"""Small trained experts for primitive intents of a network service provider, fused for compound ones."""

from optisolve.solvers.drl_fusion.policy import EXPERTS, Policy, load_policy
from optisolve.solvers.drl_fusion.solver import DrlFusion, average_powers, expert_powers, intent_weights

__all__ = ["EXPERTS", "DrlFusion", "Policy", "average_powers", "expert_powers", "intent_weights", "load_policy"]

"""Small trained experts for primitive intents of a network service provider, fused for compound ones."""

from optisolve.solvers.drl_fusion.policy import EXPERTS, Policy, load_policy
from optisolve.solvers.drl_fusion.solver import DrlFusion, expert_powers, intent_weights

__all__ = ["EXPERTS", "DrlFusion", "Policy", "expert_powers", "intent_weights", "load_policy"]

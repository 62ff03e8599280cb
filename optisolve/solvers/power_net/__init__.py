"""`power_net`: powers from one forward pass of a small network that was trained without labels."""

from optisolve.solvers.power_net.solver import PowerNet

__all__ = ["PowerNet"]

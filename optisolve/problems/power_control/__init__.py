"""Power control on an interference channel: sum rate, least power, fairness and energy efficiency."""

from optisolve.problems.power_control.problem import PowerControl

__all__ = ["PowerControl"]

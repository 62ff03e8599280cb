"""Traffic engineering: link weights, segments and splits that keep the busiest link of a wired network unloaded."""

from optisolve.problems.traffic_engineering.problem import TrafficEngineering

__all__ = ["TrafficEngineering"]

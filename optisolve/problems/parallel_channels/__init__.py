"""Parallel channels under one power budget: water-filling."""

from optisolve.problems.parallel_channels.problem import ParallelChannels

__all__ = ["ParallelChannels"]

"""MISO downlink beamforming: least power, balanced SINR, weighted sum rate."""

from optisolve.problems.beamforming.problem import Beamforming

__all__ = ["Beamforming"]

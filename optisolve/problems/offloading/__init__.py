"""Computation offloading to edge servers: who computes where, and with which share of the server's processor."""

from optisolve.problems.offloading.problem import Offloading

__all__ = ["Offloading"]

"""Conditional diffusion samplers; torch and diffusers are imported only when a network is used."""

from optisolve.solvers.ddpm.solver import Ddpm, DdpmNull

__all__ = ["Ddpm", "DdpmNull"]

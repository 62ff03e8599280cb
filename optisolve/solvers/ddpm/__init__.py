"""Conditional diffusion samplers; torch and diffusers are imported only when a network is used."""

from optisolve.solvers.ddpm.solver import Ddpm

__all__ = ["Ddpm"]

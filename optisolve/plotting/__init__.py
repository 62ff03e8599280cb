"""Figures: fronts, maps, anytime curves. No pyplot, no global state: every function returns a `Figure`."""

from optisolve.plotting.degeneracy import degeneracy_figure
from optisolve.plotting.figures import convergence_figure, front_figure, map_figure, save_figure

__all__ = ["convergence_figure", "degeneracy_figure", "front_figure", "map_figure", "save_figure"]

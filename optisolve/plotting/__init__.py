"""Figures: fronts, curves, attainment surfaces, maps, comparisons. No pyplot, no global state.

`optisolve.plotting.style` is how all of them look; `optisolve.plot` draws results and records with them.
"""

from optisolve.plotting.degeneracy import degeneracy_figure
from optisolve.plotting.figures import KINDS, draw_kind, figure_of_kind, solution_figure
from optisolve.plotting.style import save_figure

__all__ = ["KINDS", "degeneracy_figure", "draw_kind", "figure_of_kind", "save_figure", "solution_figure"]

"""DiffSG as published, to show the difference; torch is imported only when it runs."""

from optisolve.solvers.legacy_diffsg.solver import LegacyDiffsg

__all__ = ["LegacyDiffsg"]

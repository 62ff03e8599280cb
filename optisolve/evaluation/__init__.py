"""The evaluator solvers call, the archive it fills and the history it keeps."""

from optisolve.evaluation.archive import Archive, nondominated
from optisolve.evaluation.evaluator import Evaluator
from optisolve.evaluation.history import History

__all__ = ["Archive", "Evaluator", "History", "nondominated"]

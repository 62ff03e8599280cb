"""The contracts: problem, instance, space, solver, status, budget, reference, seeds, errors."""

from optisolve.core.budget import UNLIMITED, Budget, BudgetMeter
from optisolve.core.options import Options
from optisolve.core.problem import (
    Description,
    Evaluation,
    HypervolumeBox,
    Instance,
    Objective,
    Origin,
    Problem,
    Sense,
)
from optisolve.core.reference import Effort, Reference
from optisolve.core.seeds import derive, generator
from optisolve.core.solver import ANY_PROBLEM, Feature, Outcome, Solver, SolverInfo, Task
from optisolve.core.space import Kind, Space, Variable
from optisolve.core.status import Evidence, Limit, PointStatus, Termination

__all__ = [
    "ANY_PROBLEM",
    "UNLIMITED",
    "Budget",
    "BudgetMeter",
    "Description",
    "Effort",
    "Evaluation",
    "Evidence",
    "Feature",
    "HypervolumeBox",
    "Instance",
    "Kind",
    "Limit",
    "Objective",
    "Options",
    "Origin",
    "Outcome",
    "PointStatus",
    "Problem",
    "Reference",
    "Sense",
    "Solver",
    "SolverInfo",
    "Space",
    "Task",
    "Termination",
    "Variable",
    "derive",
    "generator",
]

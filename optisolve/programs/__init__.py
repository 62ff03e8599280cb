"""Programs as data: a small typed language for rules and operators, run by one interpreter; nothing is compiled or executed."""

from optisolve.programs.language import OPERATORS, Feature, Kind
from optisolve.programs.program import Machine, Program
from optisolve.programs.tree import ProgramError

__all__ = ["OPERATORS", "Feature", "Kind", "Machine", "Program", "ProgramError"]

"""Declarative models of problems that no family covers: data in, checked optimum out; nothing written is executed."""

from optisolve.words.freeform.expressions import ExpressionError, parse_expression, parse_relation
from optisolve.words.freeform.resolve import free_model
from optisolve.words.freeform.schema import FreeModel
from optisolve.words.freeform.solve import FreeAnswer, solve_free

__all__ = ["ExpressionError", "FreeAnswer", "FreeModel", "free_model", "parse_expression", "parse_relation", "solve_free"]

"""User association: which base station serves which user, under a load-dependent rate."""

from optisolve.problems.user_association.problem import UserAssociation

__all__ = ["UserAssociation"]

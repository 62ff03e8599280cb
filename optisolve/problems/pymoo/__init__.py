"""Third-party test functions: ZDT, DTLZ, MW and RE, with their fronts and with shifted variants."""

from optisolve.problems.pymoo.problem import PymooFunction

__all__ = ["PymooFunction"]

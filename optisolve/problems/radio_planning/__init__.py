"""Radio planning: where transmitters stand, where they look and how loud they are, in a city or a drawn one."""

from optisolve.problems.radio_planning.problem import RadioPlanning

__all__ = ["RadioPlanning"]

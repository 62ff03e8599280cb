"""UAV placement and power control for integrated sensing and communication (two objectives)."""

from optisolve.problems.uav_isac.instance import UavIsacInstance
from optisolve.problems.uav_isac.model import Links
from optisolve.problems.uav_isac.problem import UavIsac

__all__ = ["Links", "UavIsac", "UavIsacInstance"]

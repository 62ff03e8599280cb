"""Published reference fronts of `uav_isac`; see `optisolve.problems.front_file`."""

from optisolve.problems.front_file import cached_front, front_path, read_front, write_front

__all__ = ["cached_front", "front_path", "read_front", "write_front"]

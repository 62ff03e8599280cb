"""Skeleton for user association: who is served next by which station, and who then moves."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.capabilities import SharedStations, capability_gap
from optisolve.core.problem import Instance
from optisolve.programs.language import Feature, Kind
from optisolve.programs.program import Machine, Program
from optisolve.programs.skeleton import Answering, rules

__all__ = ["Association"]

_GOALS = ("proportional_fair", "max_min", "sum_rate")
_S, _V = Kind.SCALAR, Kind.VECTOR


class Association(Answering):
    """Users are served one after the other, the best-scored pair of user and station first; then users move while that helps.

    Items are all pairs of a user and a station. While somebody waits, the best-scored pair of a waiting user is taken; after
    that the best-scored move that improves the objective, until none does.
    """

    name: ClassVar = "association"
    summary: ClassVar = "user_association: which user is served next by which station, then which move is made"
    features: ClassVar = (
        Feature("rate", _V, "Mbit/s", "peak rate of the user at the station"),
        Feature("best", _V, "Mbit/s", "the user's peak rate at its best station"),
        Feature("load", _V, "1", "users that the station serves now"),
        Feature("crowd", _V, "1", "share of all users whose best station this is"),
        Feature("total", _V, "Mbit/s", "sum of the peak rates of those that the station serves now"),
        Feature("slowest", _V, "Mbit/s", "least peak rate among them; 0 where there are none"),
        Feature("present", _V, "Mbit/s", "the user's rate now; 0 while it waits"),
        Feature("change", _V, "1", "exact change of the objective by the move, in the objective's unit"),
        Feature("here", _V, "1", "1 where the station serves the user now"),
        Feature("n_users", _S, "1", "number of users"),
        Feature("n_stations", _S, "1", "number of stations"),
        Feature("waiting", _S, "1", "share of users who are not served yet"),
        Feature("value", _S, "1", "the objective now, over those who are served"),
    )
    hand: ClassVar = rules(
        emptier=("(/ rate (+ 1 load))", "the rate that the user would get; the usual greedy rule"),
        strongest=("rate", "highest peak rate first"),
        steepest=("change", "the move that changes the objective most for the better"),
        urgent=("(- (/ rate (* best (+ 1 load))) best)", "slow users choose first, each by its share of the station; ours"),
    )

    @classmethod
    def gap(cls, instance: Instance) -> str | None:
        """Needs stations that share their time among users."""
        reason = capability_gap(instance, SharedStations)
        if reason is not None or not isinstance(instance, SharedStations):
            return reason
        known = instance.goal in _GOALS
        return None if known else f"the skeleton {cls.name} needs one of the goals {', '.join(_GOALS)}, found {instance.goal}"

    @classmethod
    def n_items(cls, instance: Instance) -> int:
        """Number of pairs of a user and a station."""
        assert isinstance(instance, SharedStations)
        return int(instance.rate_mbps.size)

    @classmethod
    def answer(cls, program: Program, instance: Instance, rounds: int) -> FloatArray:
        """Stations, float64 [I]; station 0 for users who reach none."""
        from optisolve.programs.association_kernels import associate

        assert isinstance(instance, SharedStations)
        rate = np.array(instance.rate_mbps)
        log_rate = np.log(np.where(rate > 0.0, rate, 1.0))
        machine, codes = Machine(program, rate.size), program.codes
        goal, room = _GOALS.index(instance.goal), (machine.registers, machine.stack)
        station = associate(rate, log_rate, goal, codes.instructions, codes.numbers, np.array(codes.vectors), rounds, *room)
        return np.asarray(np.maximum(station, 0), dtype=np.float64)

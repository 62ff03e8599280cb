"""Skeleton for computation offloading: which task moves next, and which ones change places."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.capabilities import SharedServers, capability_gap
from optisolve.core.problem import Instance
from optisolve.programs.language import Feature, Kind
from optisolve.programs.program import Machine, Program
from optisolve.programs.skeleton import Answering, rules

__all__ = ["Offload"]

_S, _V = Kind.SCALAR, Kind.VECTOR


class Offload(Answering):
    """Tasks begin at home; the best-scored move that lowers the cost is made, then exchanges are, until none does.

    Items are all pairs of a task and a place, home included. The program scores all of them anew after every move. In an
    exchange a task leaves a server and another one goes on it; shares of the servers are the best ones for who is on them.
    """

    name: ClassVar = "offload"
    summary: ClassVar = "offloading: which task moves to which place next, then which ones are exchanged"
    features: ClassVar = (
        Feature("local", _V, "s+J", "cost of the task at home"),
        Feature(
            "transmit", _V, "s+J", "cost of sending the task to the place; that of the task at home where the place is home"
        ),
        Feature("root", _V, "(s+J)^0.5", "root of the cost of running the task alone there; 0 where the place is home"),
        Feature("load", _V, "(s+J)^0.5", "sum of the roots of those that are at the place now; its square is what they cost"),
        Feature("left", _V, "(s+J)^0.5", "the same where the task is now"),
        Feature("change", _V, "s+J", "exact change of the cost by the move; negative is better"),
        Feature("here", _V, "1", "1 where the task is at the place now"),
        Feature("home", _V, "1", "1 where the place is home"),
        Feature("n_tasks", _S, "1", "number of tasks"),
        Feature("n_servers", _S, "1", "number of servers"),
        Feature("away", _S, "1", "share of the tasks that are on a server"),
        Feature("cost", _S, "s+J", "cost now"),
    )
    hand: ClassVar = rules(
        steepest=("(- change)", "steepest descent: the move that saves most"),
        density=("(/ (- local transmit) root)", "saving per load of the server; the order of the continuous relaxation"),
        alone=("(- local (+ transmit (* root root)))", "what the task would save if it were alone on the server"),
        strongest=("(- transmit)", "cheapest to send first; the usual greedy order by channel"),
    )

    @classmethod
    def gap(cls, instance: Instance) -> str | None:
        """Needs servers that are shared, without hard deadlines."""
        reason = capability_gap(instance, SharedServers)
        if reason is not None or not isinstance(instance, SharedServers):
            return reason
        return f"the skeleton {cls.name} knows no hard deadlines" if instance.hard_deadlines else None

    @classmethod
    def n_items(cls, instance: Instance) -> int:
        """Number of pairs of a task and a place."""
        assert isinstance(instance, SharedServers)
        return instance.local_cost.size + instance.root_cost.size

    @classmethod
    def answer(cls, program: Program, instance: Instance, rounds: int) -> FloatArray:
        """Servers and their best shares, float64 [2 N]."""
        from optisolve.programs.offload_kernels import offload

        assert isinstance(instance, SharedServers)
        local, transmit, root = (np.array(part) for part in (instance.local_cost, instance.transmit_cost, instance.root_cost))
        machine, codes = Machine(program, cls.n_items(instance)), program.codes
        room = (machine.registers, machine.stack)
        places = offload(local, transmit, root, codes.instructions, codes.numbers, rounds, *room)
        return instance.complete(places)

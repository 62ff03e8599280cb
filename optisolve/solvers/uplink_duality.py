"""Uplink-downlink duality: precoders of least power or of balanced SINR by a fixed point, with a dual bound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge

from optisolve.core.capabilities import MultiuserDownlink
from optisolve.core.problem import Instance
from optisolve.core.solver import Feature, Outcome, Solver, SolverInfo, Task
from optisolve.core.status import Limit, Termination
from optisolve.modelling.answer import ModelAnswer
from optisolve.numerics.uplink_duality import Uplink, balanced_precoders, least_power_precoders
from optisolve.solvers.model_outcome import evaluated_outcome

__all__ = ["UplinkDuality"]


@dataclass(frozen=True, slots=True)
class UplinkDuality(Solver):
    """Raise the powers of the dual uplink to their fixed point; its receivers are the best precoders. One evaluation.

    Args:
        max_rounds: Rounds of the fixed point at most; the bound holds at any of them.
    """

    info: ClassVar[SolverInfo] = SolverInfo(
        name="uplink_duality",
        version="1",
        summary="Exact multi-user precoders by the dual uplink: least power, balanced SINR.",
        supports=frozenset({Feature.SINGLE_OBJECTIVE, Feature.REAL, Feature.INEQUALITY}),
        requires=(MultiuserDownlink,),
        citation="Visotsky and Madhow 1999; Schubert and Boche 2004; Tan, Chiang and Srikant 2011",
    )
    max_rounds: Annotated[int, Ge(1)] = 20_000

    def skip(self, instance: Instance) -> str | None:
        """Needs the goal of least power or of the balanced SINR."""
        reason = Solver.skip(self, instance)
        if reason is None and isinstance(instance, MultiuserDownlink) and instance.goal not in ("min_power", "max_min"):
            return f"needs an instance with the goal min_power or max_min, this one has {instance.goal}"
        return reason

    def _solve(self, task: Task) -> Outcome:
        downlink = task.instance
        assert isinstance(downlink, MultiuserDownlink)
        uplink = Uplink(downlink.channel, downlink.noise_w, downlink.p_total_w)
        method = least_power_precoders if downlink.goal == "min_power" else balanced_precoders
        found = method(uplink, downlink.sinr_target, max_rounds=self.max_rounds)
        report = {"rounds": found.rounds}
        if found.reason:
            return evaluated_outcome(task, ModelAnswer(Termination.INFEASIBLE, None, None, detail=found.reason), tolerance=0.0)
        ended = found.rounds >= self.max_rounds
        termination, limit = (Termination.LIMIT, Limit.ITERATIONS) if ended else (Termination.OPTIMAL, None)
        x = None if found.W is None else downlink.precoded(found.W)
        if x is None and termination is Termination.OPTIMAL:
            termination = Termination.NUMERICAL_ERROR
        detail = "" if x is not None else "no precoders with the directions found reach the targets"
        answer = ModelAnswer(termination, x, found.bound, limit, detail=detail, report=report)
        return evaluated_outcome(task, answer, tolerance=0.0)

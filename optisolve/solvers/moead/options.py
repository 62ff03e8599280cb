"""Settings shared by every solver of the decomposition family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le

from optisolve.core.errors import FieldProblem, OptionError
from optisolve.solvers.start import SAMPLES, PopulationOptions

__all__ = ["DecompositionOptions"]


@dataclass(frozen=True, slots=True)
class DecompositionOptions(PopulationOptions):
    """Settings of the decomposition engine.

    Args:
        n_neighbors: Neighborhood size T, at most N is used.
        delta: Probability that parents come from the neighborhood, not from a sample of everyone.
        replacement: Where an offspring may replace incumbents: ``"global"`` around the sub-problem that it suits best,
            ``"mates"`` in the pool that its parents came from.
        max_replaced: Most incumbents that one offspring replaces; None means its whole pool.
        scalarization: ``"tchebycheff"`` or ``"pbi"``.
        pbi_theta: Penalty of PBI on the distance from the weight's direction, dimensionless.
        normalize: Scale objectives by the running ideal and nadir points before scalarizing.
        wave_size: Sub-problems per wave, at most N is used; None means all of them. Small waves work with fresher
            parents, large ones keep more of an operator's requests in flight.
        repair: Project points with `Instance.project`; otherwise they are only clipped to the bounds.
    """

    n_neighbors: Annotated[int, Ge(2)] = 20
    delta: Annotated[float, Ge(0), Le(1)] = 0.9
    replacement: Literal["global", "mates"] = "global"
    max_replaced: Annotated[int, Ge(1)] | None = 4
    scalarization: Literal["tchebycheff", "pbi"] = "tchebycheff"
    pbi_theta: Annotated[float, Ge(0)] = 5.0
    normalize: bool = True
    wave_size: Annotated[int, Ge(1)] | None = 50
    repair: bool = True

    @classmethod
    def _renamed(cls, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """``sampling`` became a source of `init`."""
        if "sampling" not in values:
            return values
        sampling, rest = values["sampling"], {name: value for name, value in values.items() if name != "sampling"}
        init = rest.get("init", "uniform")
        entries = list(init) if isinstance(init, (list, tuple)) else [init]
        if all(entry in SAMPLES for entry in entries):
            return {**rest, "init": sampling}
        if sampling == "uniform":  # as every list of sources is filled up
            return rest
        expected = f"the new form, init=[{', '.join(map(str, [*entries, sampling]))}]"
        raise OptionError(cls.__name__, [FieldProblem("sampling", sampling, expected)])

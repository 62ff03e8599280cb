"""Small analytic problems with known answers, for conformance checks and examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
from annotated_types import Ge

from optisolve.core.arrays import FloatArray, frozen
from optisolve.core.problem import (
    FEASIBILITY_TOLERANCE,
    Description,
    Evaluation,
    HypervolumeBox,
    Instance,
    Objective,
    Origin,
    Problem,
    Sense,
)
from optisolve.core.reference import Effort, Reference
from optisolve.core.seeds import generator
from optisolve.core.space import Kind, Space, Variable
from optisolve.core.status import Evidence

__all__ = ["ShiftedZdt1", "SumCapSphere", "toy_instances"]


@dataclass(frozen=True)
class ShiftedZdt1(Problem):
    """ZDT1 with its optimum moved away from 0, where a solver that answers zeros would look clever.

    Source: Zitzler, Deb and Thiele 2000, doi 10.1162/106365600568202; shifted as g = 1 + 9/(d-1) sum |x_i - s_i|.

    Args:
        n_variables: d >= 2.
    """

    name: ClassVar[str] = "toy_zdt1"
    version: ClassVar[str] = "1"
    summary: ClassVar[str] = "Two smooth objectives with a known convex front; the optimum is shifted."
    evidence: ClassVar[str] = "analytic front"

    n_variables: Annotated[int, Ge(2)] = 5

    def instance(self, seed: int = 0) -> Instance:
        """A shift in [0.2, 0.8] drawn by the seed."""
        rng = generator(seed, problem=self.name, purpose="shift")
        return _Zdt1Instance(self.origin(seed), frozen(rng.uniform(0.2, 0.8, self.n_variables - 1)))


class _Zdt1Instance(Instance):
    def __init__(self, origin: Origin, shift: FloatArray) -> None:
        self.shift = shift
        super().__init__(
            origin=origin,
            space=Space.of(Variable(f"x{i}", 0.0, 1.0) for i in range(shift.size + 1)),
            objectives=(
                Objective("f1", Sense.MINIMIZE, meaning="the first coordinate"),
                Objective("f2", Sense.MINIMIZE, meaning="distance from the optimum, traded against f1"),
            ),
            hypervolume_box=HypervolumeBox(reference=(1.1, 1.1), ideal=(0.0, 0.0)),
        )

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        return {"shift": self.shift}

    def describe(self) -> Description:
        return Description("Minimize two conflicting functions of the variables x0, x1, ...; f2 is small near a hidden shift.")

    def _evaluate(self, X: FloatArray) -> Evaluation:
        g = 1.0 + 9.0 * np.abs(X[:, 1:] - self.shift).mean(axis=1)  # [n]
        F = np.column_stack([X[:, 0], g * (1.0 - np.sqrt(X[:, 0] / g))])
        return Evaluation(F, np.empty((X.shape[0], 0)), np.empty((X.shape[0], 0)))


@dataclass(frozen=True)
class SumCapSphere(Problem):
    """Maximize -sum (x - c)^2 under a cap on sum x; the optimum is an exact projection.

    Args:
        n_variables: Number of variables d.
        cap: Cap on the sum.
        integers: Make every second variable an integer.
    """

    name: ClassVar[str] = "toy_sphere"
    version: ClassVar[str] = "1"
    summary: ClassVar[str] = "A concave function under a cap on the sum; optionally with integer variables."
    evidence: ClassVar[str] = "proven optimal (real variables)"

    n_variables: Annotated[int, Ge(1)] = 4
    cap: Annotated[float, Ge(0)] = 8.0
    integers: bool = False

    def instance(self, seed: int = 0) -> Instance:
        """A center in [1, 4] drawn by the seed."""
        rng = generator(seed, problem=self.name, purpose="center")
        return _SphereInstance(self.origin(seed), frozen(rng.uniform(1.0, 4.0, self.n_variables)), self.cap, self.integers)

    def reference(self, instance: Instance, effort: Effort = Effort.NORMAL) -> Reference | None:
        """Projection of the center onto the half-space, inside the box by construction; None with integers."""
        if self.integers:
            return None
        center = np.asarray(instance.arrays()["center"])
        excess = max(0.0, float(center.sum()) - self.cap)
        x = center - excess / center.size
        value = -float(((x - center) ** 2).sum())
        return Reference(
            Evidence.PROVEN_OPTIMAL,
            X=x[None, :],
            value=value,
            dual_bound=-(excess**2) / center.size,
            tolerance=1e-9,
            slack=2.0 * excess * FEASIBILITY_TOLERANCE * max(self.cap, 1.0) / center.size,  # the cap, that much higher
        )


class _SphereInstance(Instance):
    def __init__(self, origin: Origin, center: FloatArray, cap: float, integers: bool) -> None:
        self.center, self.cap = center, cap
        kinds = [Kind.INTEGER if integers and i % 2 else Kind.REAL for i in range(center.size)]
        super().__init__(
            origin=origin,
            space=Space.of(Variable(f"x{i}", -5.0, 5.0, kind=kind) for i, kind in enumerate(kinds)),
            objectives=(Objective("closeness", Sense.MAXIMIZE, meaning="negative squared distance from a hidden center"),),
            constraint_names=("sum_cap",),
        )

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        return {"center": self.center}

    def describe(self) -> Description:
        return Description(
            "Come as close to a hidden center as possible without exceeding a cap on the sum of all variables.",
            constraints=(f"The variables add up to at most {self.cap:g}.",),
        )

    def null_policies(self) -> Mapping[str, FloatArray]:
        return {"zeros": np.zeros((1, self.center.size))}

    def _evaluate(self, X: FloatArray) -> Evaluation:
        F = -((X - self.center) ** 2).sum(axis=1, keepdims=True)
        G = (X.sum(axis=1, keepdims=True) - self.cap) / max(self.cap, 1.0)
        return Evaluation(F, G, np.empty((X.shape[0], 0)))


def toy_instances() -> list[Instance]:
    """Two objectives; one objective with a constraint; the same with integers."""
    return [ShiftedZdt1().instance(1), SumCapSphere().instance(1), SumCapSphere(integers=True).instance(1)]

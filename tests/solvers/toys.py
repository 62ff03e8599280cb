"""Small problems with known answers, for testing solvers without a network problem."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge

from optisolve.core import (
    Budget,
    BudgetMeter,
    Description,
    Evaluation,
    HypervolumeBox,
    Instance,
    Kind,
    Objective,
    Problem,
    Sense,
    Space,
    Task,
    Variable,
)
from optisolve.core.arrays import FloatArray
from optisolve.core.errors import BudgetExhausted
from optisolve.core.solver import Outcome, Solver
from optisolve.core.status import Termination
from optisolve.run.evaluator import Evaluator

MIN, MAX = Sense.MINIMIZE, Sense.MAXIMIZE


class Toy(Instance):
    """An instance given by one function X -> (F, G)."""

    def __init__(
        self, formula: Any, projection: Any = None, policies: Mapping[str, FloatArray] | None = None, **fields: Any
    ) -> None:
        super().__init__(**fields)
        self._formula, self._projection, self._policies = formula, projection, dict(policies or {})

    def _evaluate(self, X: FloatArray) -> Evaluation:
        F, G = self._formula(X)
        return Evaluation(F, G, np.empty((X.shape[0], 0)))

    def _project(self, X: FloatArray) -> FloatArray:
        return X if self._projection is None else self._projection(X)

    def describe(self) -> Description:
        return Description("A toy.")

    def arrays(self) -> Mapping[str, Any]:
        return {"dim": np.array([self.space.dim])}

    def null_policies(self) -> Mapping[str, FloatArray]:
        return self._policies


def _free(X: FloatArray) -> FloatArray:
    return np.empty((X.shape[0], 0))


@dataclass(frozen=True)
class Zdt1(Problem):
    """ZDT1 in a box [0, 1]^d; the optimum of variables 2..d sits at `shift` instead of 0.

    Front f2 = 1 - sqrt(f1); hypervolume 2/3 + 0.1 * 1.1 * 2 - 0.01 ... see `ZDT1_HYPERVOLUME`.
    """

    name: ClassVar[str] = "zdt1"
    version: ClassVar[str] = "1"
    summary: ClassVar[str] = "toy"
    dim: Annotated[int, Ge(2)] = 30
    shift: float = 0.3
    maximize: bool = False

    def instance(self, seed: int = 0) -> Toy:
        sign = -1.0 if self.maximize else 1.0

        def formula(X: FloatArray) -> tuple[FloatArray, FloatArray]:
            g = 1.0 + 9.0 * np.abs(X[:, 1:] - self.shift).mean(axis=1)
            f1 = X[:, 0]
            return np.column_stack([f1, sign * g * (1.0 - np.sqrt(f1 / g))]), _free(X)

        return Toy(
            formula,
            policies={"corner": np.zeros((1, self.dim)), "center": np.full((2, self.dim), 0.5)},
            origin=self.origin(seed),
            space=Space.of([Variable(f"x{i}", 0.0, 1.0) for i in range(self.dim)]),
            objectives=(Objective("f1", MIN), Objective("f2", MAX if self.maximize else MIN)),
            hypervolume_box=HypervolumeBox(reference=(1.1, sign * 1.1), ideal=(0.0, 0.0)),
        )


ZDT1_HYPERVOLUME = 1.1 * 1.1 - 1.0 / 3.0
"""Area above the front f2 = 1 - sqrt(f1) inside [0, 1.1]^2: the box less the integral of the front, 1 - 2/3."""


@dataclass(frozen=True)
class Constr(Problem):
    """CONSTR (Deb 2001): min x, (1 + y) / x; y + 9x >= 6, -y + 9x >= 1, x in [0.1, 1], y in [0, 5]."""

    name: ClassVar[str] = "constr"
    version: ClassVar[str] = "1"
    summary: ClassVar[str] = "toy"

    def instance(self, seed: int = 0) -> Toy:
        def formula(X: FloatArray) -> tuple[FloatArray, FloatArray]:
            x, y = X.T
            return np.column_stack([x, (1.0 + y) / x]), np.column_stack([6.0 - y - 9.0 * x, 1.0 + y - 9.0 * x])

        return Toy(
            formula,
            origin=self.origin(seed),
            space=Space.of([Variable("x", 0.1, 1.0), Variable("y", 0.0, 5.0)]),
            objectives=(Objective("f1", MIN), Objective("f2", MIN)),
            constraint_names=("g1", "g2"),
            hypervolume_box=HypervolumeBox(reference=(1.1, 10.0), ideal=(0.0, 0.0)),
        )


@dataclass(frozen=True)
class Knights(Problem):
    """Mixed integers: three integers in [-2, 9], one real in [0, 1]; conflict between sum and distance to 5."""

    name: ClassVar[str] = "knights"
    version: ClassVar[str] = "1"
    summary: ClassVar[str] = "toy"

    def instance(self, seed: int = 0) -> Toy:
        def formula(X: FloatArray) -> tuple[FloatArray, FloatArray]:
            k, r = X[:, :3], X[:, 3]
            return np.column_stack([k.sum(axis=1) + r, ((k - 5.0) ** 2).sum(axis=1) + (1.0 - r) ** 2]), _free(X)

        whole = [Variable(f"k{i}", -2.0, 9.0, kind=Kind.INTEGER) for i in range(3)]
        return Toy(
            formula,
            origin=self.origin(seed),
            space=Space.of([*whole, Variable("r", 0.0, 1.0)]),
            objectives=(Objective("sum", MIN), Objective("distance", MIN)),
            hypervolume_box=HypervolumeBox(reference=(30.0, 150.0), ideal=(-6.0, 0.0)),
        )


@dataclass(frozen=True)
class Sphere(Problem):
    """One objective: squared distance to 0.3 in every variable; optionally kept away by sum(x) >= d/2."""

    name: ClassVar[str] = "sphere"
    version: ClassVar[str] = "1"
    summary: ClassVar[str] = "toy"
    dim: int = 5
    constrained: bool = False

    def instance(self, seed: int = 0) -> Toy:
        def formula(X: FloatArray) -> tuple[FloatArray, FloatArray]:
            G = self.dim / 2.0 - X.sum(axis=1, keepdims=True) if self.constrained else _free(X)
            return ((X - 0.3) ** 2).sum(axis=1, keepdims=True), G

        return Toy(
            formula,
            origin=self.origin(seed),
            space=Space.of([Variable(f"x{i}", -1.0, 2.0) for i in range(self.dim)]),
            objectives=(Objective("distance", MIN),),
            constraint_names=("half",) if self.constrained else (),
        )


@dataclass(frozen=True)
class Dtlz2(Problem):
    """DTLZ2 with m objectives: the front is the unit sphere's positive part."""

    name: ClassVar[str] = "dtlz2"
    version: ClassVar[str] = "1"
    summary: ClassVar[str] = "toy"
    m: int = 3
    dim: int = 7

    def instance(self, seed: int = 0) -> Toy:
        def formula(X: FloatArray) -> tuple[FloatArray, FloatArray]:
            g = ((X[:, self.m - 1 :] - 0.5) ** 2).sum(axis=1)
            angle = X[:, : self.m - 1] * np.pi / 2
            F = np.repeat((1.0 + g)[:, None], self.m, axis=1)
            for j in range(self.m):
                F[:, j] *= np.cos(angle[:, : self.m - 1 - j]).prod(axis=1)
                if j:
                    F[:, j] *= np.sin(angle[:, self.m - 1 - j])
            return F, _free(X)

        return Toy(
            formula,
            origin=self.origin(seed),
            space=Space.of([Variable(f"x{i}", 0.0, 1.0) for i in range(self.dim)]),
            objectives=tuple(Objective(f"f{j}", MIN) for j in range(self.m)),
            hypervolume_box=HypervolumeBox(reference=(1.1,) * self.m, ideal=(0.0,) * self.m),
        )


@dataclass
class Run:
    """A finished run: its outcome and everything that was evaluated."""

    outcome: Outcome
    evaluator: Evaluator
    points: FloatArray = field(repr=False)

    @property
    def F(self) -> FloatArray:
        """Objectives of the returned points, minimization form."""
        return self.evaluator.instance.evaluate(self.outcome.X).F * self.evaluator.instance.signs

    def hypervolume(self) -> float:
        """Hypervolume of the returned points against the instance's reference point."""
        import moocore

        box = self.evaluator.instance.hypervolume_box
        assert box is not None
        return float(moocore.hypervolume(self.F, ref=np.array(box.reference) * self.evaluator.instance.signs))


def solve(instance: Instance, solver: Solver, evaluations: int = 500, *, seed: int = 1, **task_fields: Any) -> Run:
    """Run a solver on an instance under a budget, keeping every evaluated point."""
    meter = BudgetMeter(task_fields.pop("budget", None) or Budget(evaluations=evaluations))
    evaluator = Evaluator(instance, meter)
    seen: list[FloatArray] = []

    def evaluate(X: FloatArray, *, source: str | list[str] = "solver") -> Evaluation:
        evaluation = evaluator(X, source=source)
        seen.append(np.array(X))
        return evaluation

    task = Task(
        instance=instance,
        evaluate=evaluate,
        recorder=evaluator,
        meter=meter,
        seed=seed,
        solver_name=solver.info.name,
        **task_fields,
    )
    try:
        outcome = solver._solve(task)
    except BudgetExhausted as stop:  # as `optisolve.run.execution.execute` ends a run
        outcome = task.outcome(Termination.LIMIT, stop.limit, report=task.reporter() if task.reporter else {})
    return Run(outcome, evaluator, np.concatenate(seen) if seen else np.empty((0, instance.space.dim)))

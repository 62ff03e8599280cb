"""optuna's samplers as solvers: they propose through ask and tell, our evaluator counts."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge, Le

from optisolve.core.arrays import FloatArray
from optisolve.core.documents import JsonObject
from optisolve.core.problem import Instance
from optisolve.core.solver import SolverInfo, Task
from optisolve.solvers.bo.loop import ModelBased, Points
from optisolve.solvers.bo.undisturbed import one_torch_thread, quiet

if TYPE_CHECKING:
    import optuna

__all__ = ["OptunaGp", "OptunaTpe"]


@dataclass(frozen=True, slots=True)
class _Optuna(ModelBased):
    """Base of optuna's samplers.

    A proposal is repaired, evaluated and added to the study as a trial of its own, so that the sampler learns the point that
    was evaluated. Constraints that no point has violated are kept from the sampler, and of more than eight it learns the
    largest violation.
    """

    n_initial: Annotated[int, Ge(2)] = 10
    batch_size: Annotated[int, Ge(1), Le(64)] = 1

    @abstractmethod
    def _sampler(self, seed: int) -> Any:
        """A fresh `optuna.samplers.BaseSampler`; import optuna here, not at the top of the module."""

    def _model(self, task: Task, points: Points) -> _Study:
        return _Study(task, self, points)


class _Study:
    """One run of a sampler."""

    def __init__(self, task: Task, options: _Optuna, points: Points) -> None:
        self._task, self._options, self._points = task, options, points
        self._study: optuna.Study | None = None
        self._told = self._violated = self._studies = 0

    def report(self) -> JsonObject:
        """Figures of the run; a study begins anew when a constraint is violated for the first time."""
        return {"studies": self._studies}

    def propose(self, count: int) -> FloatArray:
        """Points that the sampler asks for; trials of the same batch are running for each other."""
        import optuna

        space = self._task.instance.space
        seed = int(self._task.rng(step=self._points.X.shape[0], purpose="torch").integers(2**31))
        with quiet("optuna"), one_torch_thread(seed) if "torch" in self._options.info.needs else quiet():
            kinds = {
                name: optuna.distributions.IntDistribution(int(np.ceil(low)), int(np.floor(high)))
                if whole
                else optuna.distributions.FloatDistribution(float(low), float(high))
                for name, whole, low, high in zip(space.names, space.integer, space.lower, space.upper, strict=True)
            }
            study = self._up_to_date(kinds)
            trials = [study.ask(kinds) for _ in range(count)]
            for trial in trials:  # the point is added as it was evaluated
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
        return np.array([[float(trial.params[name]) for name in space.names] for trial in trials])

    def _up_to_date(self, kinds: dict[str, Any]) -> optuna.Study:
        """The study with all points that could be evaluated."""
        import optuna

        points, instance = self._points, self._task.instance
        G, violated = points.violated()
        if self._study is None or violated != self._violated:
            seed = int(self._task.rng(study=self._studies).integers(2**31))
            directions = [o.sense.value for o in instance.objectives]
            self._study = optuna.create_study(sampler=self._options._sampler(seed), directions=directions)
            self._told, self._violated, self._studies = 0, violated, self._studies + 1
        for row in range(self._told, points.X.shape[0]):
            if points.failed[row]:
                continue
            values = [int(np.rint(x)) if instance.space.integer[i] else float(x) for i, x in enumerate(points.X[row])]
            trial = optuna.trial.create_trial(
                values=(points.F[row] * instance.signs).tolist(),
                params=dict(zip(instance.space.names, values, strict=True)),
                distributions=kinds,
                constraints={f"g{j}": float(g) for j, g in enumerate(G[row])} or None,
            )
            self._study.add_trial(trial)
        self._told = points.X.shape[0]
        return self._study


@dataclass(frozen=True, slots=True)
class OptunaGp(_Optuna):
    """optuna's Gaussian-process sampler: logarithms of expected improvement, of the hypervolume for several objectives.

    Args:
        n_initial: Points evaluated first.
        batch_size: Points asked for per step.
        deterministic: The processes have no noise.
        max_variables: Most variables it accepts: time per point grows with their number and distances in more say little.
    """

    info: ClassVar[SolverInfo] = SolverInfo(
        name="optuna_gp",
        version="1",
        summary="optuna's Gaussian-process sampler, through ask and tell.",
        needs=("optuna", "torch"),
        extra="bo",
        citation="Akiba et al. 2019, doi 10.1145/3292500.3330701; acquisition: Ament et al. 2023, arXiv 2310.20708",
    )
    deterministic: bool = True
    max_variables: Annotated[int, Ge(1)] = 100

    def skip(self, instance: Instance) -> str | None:
        """Why this solver cannot treat an instance here; too many variables are a reason."""
        if instance.space.dim > self.max_variables:
            return (
                f"optuna_gp treats at most max_variables={self.max_variables} variables, this has {instance.space.dim}; "
                "botorch searches trust regions there, optuna_tpe and moead_de take as many as there are"
            )
        return ModelBased.skip(self, instance)

    def _sampler(self, seed: int) -> Any:
        from optuna.samplers import GPSampler

        return GPSampler(seed=seed, n_startup_trials=1, deterministic_objective=self.deterministic)


@dataclass(frozen=True, slots=True)
class OptunaTpe(_Optuna):
    """optuna's sampler of tree-structured Parzen estimators: densities of good and of other points.

    Args:
        n_initial: Points evaluated first.
        batch_size: Points asked for per step.
        n_candidates: Draws among which the best ratio of densities is taken.
        multivariate: One density for all variables together; None: for one objective, one per variable for several.
    """

    info: ClassVar[SolverInfo] = SolverInfo(
        name="optuna_tpe",
        version="1",
        summary="optuna's tree-structured Parzen estimators, through ask and tell.",
        needs=("optuna",),
        extra="bo",
        citation="Bergstra et al. 2011 (NeurIPS 24); several objectives: Ozaki et al. 2022, doi 10.1613/jair.1.13188",
    )
    n_candidates: Annotated[int, Ge(1)] = 24
    multivariate: bool | None = None

    def _sampler(self, seed: int) -> Any:
        from optuna.samplers import TPESampler

        return TPESampler(seed=seed, n_startup_trials=1, n_ei_candidates=self.n_candidates, multivariate=self.multivariate)

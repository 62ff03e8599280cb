"""pymoo's algorithms as solvers: they propose through ask and tell, our evaluator counts.

Wrapping another one takes a dataclass and one method::

    @dataclass(frozen=True, slots=True)
    class UNsga3(PymooSolver):
        \"\"\"U-NSGA-III.\"\"\"

        info: ClassVar[SolverInfo] = SolverInfo(name="unsga3", version="1", summary="U-NSGA-III of pymoo.")
        pop_size: int = 100

        def _algorithm(self, instance: Instance) -> Any:
            from pymoo.algorithms.moo.unsga3 import UNSGA3

            return UNSGA3(ref_dirs=weight_vectors(len(instance.objectives), self.pop_size))
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Le

from optisolve.core.arrays import FloatArray
from optisolve.core.budget import Budget
from optisolve.core.problem import Evaluation, Instance
from optisolve.core.solver import ANY_PROBLEM, Feature, Known, Outcome, SolverInfo, Task, require_stopping_rule, spent_limit
from optisolve.core.status import Limit, Termination
from optisolve.solvers.fresh import Fresh
from optisolve.solvers.isolation import IsolatedRandomness
from optisolve.solvers.known import best_of, joined
from optisolve.solvers.moead.weights import weight_vectors
from optisolve.solvers.start import Init, StartOptions, first_points, population, starting_points

__all__ = ["CmaEs", "Nsga2", "Nsga3", "PymooSolver", "SmsEmoa", "cma_fitness"]

_SEVERAL_OBJECTIVES = ANY_PROBLEM - {Feature.SINGLE_OBJECTIVE}
_ONE_OBJECTIVE = ANY_PROBLEM - {Feature.MULTI_OBJECTIVE}


@dataclass(frozen=True, slots=True)
class PymooSolver(StartOptions):
    """Base class: runs any pymoo algorithm on our evaluator, exactly within the budget.

    Integer variables are rounded, the last generation is evaluated as far as the budget goes, and the same seed gives
    the same points although parts of pymoo and cma draw from unseeded generators (see `isolation`). The first generation
    holds the points of `init`, and of points that the run has paid for the best.

    Args:
        repair: Project points with `Instance.project` before they are evaluated; otherwise they are only clipped.
    """

    moves_again: ClassVar[bool] = False
    """Whether points that were evaluated before may be moved: not where an algorithm learns from where it has drawn."""
    repair: bool = True

    @abstractmethod
    def _algorithm(self, instance: Instance) -> Any:
        """A fresh `pymoo.core.algorithm.Algorithm`; import pymoo here, not at the top of the module."""

    def _sized(self, budget: Budget) -> PymooSolver:
        """The same solver with what it leaves to the budget filled in."""
        return self

    def _problem(self, instance: Instance) -> Any:
        """The problem that the algorithm sees: a unit box, numbers of objectives and constraints.

        pymoo's operators hold absolute distances (1e-14 in SBX, 1e-16 between duplicates) against raw variables.
        """
        problem = instance.to_pymoo()
        problem.xl, problem.xu = np.zeros(instance.space.dim), np.ones(instance.space.dim)
        if _own_tolerance(instance):
            problem.n_ieq_constr, problem.n_eq_constr = len(instance.tolerance), 0
        return problem

    def _fitness(self, evaluation: Evaluation, instance: Instance) -> dict[str, FloatArray]:
        """What the algorithm is told about evaluated points, under pymoo's names; F is minimized."""
        told = {"F": evaluation.F * instance.signs}
        if _own_tolerance(instance):
            violations = evaluation.violations
            return {**told, "G": np.where(violations > instance.tolerance, violations, 0.0)}
        if evaluation.G.shape[1]:
            told["G"] = evaluation.G
        if evaluation.H.shape[1]:
            told["H"] = evaluation.H
        return told

    def _solve(self, task: Task) -> Outcome:
        require_stopping_rule(task)
        loop = _AskTell(task, self._sized(task.meter.budget), self)
        task.reporter = loop.report
        while (left := task.meter.remaining_evaluations) > 0:
            if not loop.step(left):
                return task.outcome(*loop.why_it_stopped, report=loop.report())
        return task.outcome(Termination.LIMIT, spent_limit(task), report=loop.report())


def _own_tolerance(instance: Instance) -> bool:
    """Whether pymoo would judge by other tolerances than ours: it takes 1e-4 for equalities and 0 for inequalities."""
    return bool(instance.equality_names) or not instance.usual_tolerance


class _AskTell:
    """One run of a pymoo algorithm."""

    def __init__(self, task: Task, solver: PymooSolver, options: StartOptions) -> None:
        from pymoo.core.termination import NoTermination

        self._task, self._solver, self._options = task, solver, options
        # cma takes a seed of 0 for "use the clock", so zero is left out.
        seed = int(task.rng(purpose="pymoo").integers(1, 2**31))
        self._random = IsolatedRandomness(seed)
        self._generations = 0
        self._fresh = Fresh(task) if solver.repair and solver.moves_again and task.instance.repairs_integers else None
        self.why_it_stopped: tuple[Termination, Limit | None] = (Termination.CONVERGED, None)
        with self._random.active():
            self._algorithm = solver._algorithm(task.instance)
            self._problem = solver._problem(task.instance)
            # The budget decides when to stop; an algorithm can still end itself.
            self._algorithm.setup(self._problem, seed=seed, termination=NoTermination())

    def step(self, left: int) -> bool:
        """Ask, evaluate at most `left` points, tell; False when the algorithm has nothing more to ask."""
        with self._random.active():
            infills = self._algorithm.ask()
        if infills is None or len(infills) == 0:
            self.why_it_stopped = (Termination.LIMIT, Limit.STALLED)  # e.g. only duplicates are left
            return False
        made = self._first(len(infills), left) if self._generations == 0 else self._next(infills, left)
        self._generations += 1
        if made is None or made.X.shape[0] < len(infills):
            return True  # the budget is spent; the algorithm cannot be told half a generation
        self._tell(infills, made)
        return bool(self._algorithm.has_next())

    def report(self) -> dict[str, Any]:
        """Deterministic figures of the run."""
        return {"generations": self._generations}

    def _first(self, n: int, left: int) -> Known | None:
        """The first generation: the best n of all points to start from, as far as the budget goes for those not yet known."""
        task = self._task
        n_known = 0 if task.known is None else task.known.X.shape[0]
        start = starting_points(task, self._options, min(first_points(task, self._options, n), n_known + left))
        made = start.known
        if start.source:
            X = self._repaired(start.X)
            made = joined(made, X, task.evaluate(X, source=start.source))
        return made if made is None or made.X.shape[0] <= n else best_of(made, task.instance, n)

    def _next(self, infills: Any, left: int) -> Known:
        """A later generation, as far as the budget goes."""
        X = self._repaired(self._task.instance.space.denormalize(np.array(infills.get("X"), dtype=np.float64)))
        X = X if self._fresh is None else self._fresh.moved(X)
        return Known(X[:left], self._task.evaluate(X[:left], source=self._solver.info.name))

    def _repaired(self, X: FloatArray) -> FloatArray:
        instance = self._task.instance
        return instance.project(X) if self._solver.repair else instance.space.clip(X)

    def _tell(self, infills: Any, made: Known) -> None:
        from pymoo.problems.static import StaticProblem

        told = self._solver._fitness(made.evaluation, self._task.instance)
        with self._random.active():
            infills.set("X", self._task.instance.space.normalize(made.X))
            known = StaticProblem(self._problem, **told)
            self._algorithm.evaluator.eval(known, infills, skip_already_evaluated=False)
            self._algorithm.tell(infills=infills)


@dataclass(frozen=True, slots=True)
class _Genetic(PymooSolver):
    """Base of the algorithms that cross and mutate; whole individuals are always offered to the mutation.

    Args:
        pop_size: Points per generation; None follows the evaluations: 1.2 times their square root, 10 to 100.
        crossover_eta: Distribution index of SBX.
        crossover_probability: Chance that a pair of parents is crossed.
        mutation_eta: Distribution index of polynomial mutation.
        mutation_probability: Chance per variable; None means pymoo's min(0.5, 1 / number of variables).
    """

    moves_again: ClassVar[bool] = True
    pop_size: Annotated[int, Ge(4)] | None = None
    crossover_eta: Annotated[float, Ge(0)] = 15.0
    crossover_probability: Annotated[float, Ge(0), Le(1)] = 0.9
    mutation_eta: Annotated[float, Ge(0)] = 20.0
    mutation_probability: Annotated[float, Gt(0), Le(1)] | None = None

    def population(self, budget: Budget) -> int:
        """Points per generation under a budget."""
        return population(budget.evaluations) if self.pop_size is None else self.pop_size

    def _sized(self, budget: Budget) -> PymooSolver:
        return self.with_option(pop_size=self.population(budget))

    def _operators(self) -> dict[str, Any]:
        from pymoo.operators.crossover.sbx import SBX
        from pymoo.operators.mutation.pm import PM

        return {
            "pop_size": self.pop_size,
            "crossover": SBX(prob=self.crossover_probability, eta=self.crossover_eta),
            "mutation": PM(prob=1.0, prob_var=self.mutation_probability, eta=self.mutation_eta),
        }


@dataclass(frozen=True, slots=True)
class Nsga2(_Genetic):
    """NSGA-II: non-dominated sorting and crowding distance."""

    info: ClassVar[SolverInfo] = SolverInfo(
        name="nsga2",
        version="3",
        summary="NSGA-II of pymoo: non-dominated sorting and crowding distance.",
        needs=("pymoo",),
        citation="Deb et al. 2002, doi 10.1109/4235.996017",
        portable=True,
    )

    def _algorithm(self, instance: Instance) -> Any:
        from pymoo.algorithms.moo.nsga2 import NSGA2

        return NSGA2(**self._operators())


@dataclass(frozen=True, slots=True)
class Nsga3(_Genetic):
    """NSGA-III: non-dominated sorting and `pop_size` evenly spread reference directions, for three objectives and more."""

    info: ClassVar[SolverInfo] = SolverInfo(
        name="nsga3",
        version="3",
        summary="NSGA-III of pymoo: non-dominated sorting and reference directions.",
        supports=_SEVERAL_OBJECTIVES,
        needs=("pymoo",),
        citation="Deb & Jain 2014, doi 10.1109/TEVC.2013.2281535",
    )
    crossover_eta: Annotated[float, Ge(0)] = 30.0
    crossover_probability: Annotated[float, Ge(0), Le(1)] = 1.0

    def _algorithm(self, instance: Instance) -> Any:
        from pymoo.algorithms.moo.nsga3 import NSGA3

        return NSGA3(ref_dirs=weight_vectors(len(instance.objectives), self.pop_size or population(None)), **self._operators())


@dataclass(frozen=True, slots=True)
class SmsEmoa(_Genetic):
    """SMS-EMOA: survival by contribution to the hypervolume."""

    info: ClassVar[SolverInfo] = SolverInfo(
        name="sms_emoa",
        version="3",
        summary="SMS-EMOA of pymoo: survival by contribution to the hypervolume.",
        supports=_SEVERAL_OBJECTIVES,
        needs=("pymoo",),
        citation="Beume, Naujoks & Emmerich 2007, doi 10.1016/j.ejor.2006.08.008",
    )

    def _algorithm(self, instance: Instance) -> Any:
        from pymoo.algorithms.moo.sms import SMSEMOA

        return SMSEMOA(**self._operators())


@dataclass(frozen=True, slots=True)
class CmaEs(PymooSolver):
    """CMA-ES with restarts and growing population, for one objective.

    Constraints enter by Deb's rule: an infeasible point counts as worse than every feasible one of its generation,
    by its violation. Only ranks within a generation matter to CMA-ES, so no penalty weight is needed.

    The mean of the first generation is the best of 20 starting points; of points that the run has paid for the best one.

    Args:
        sigma: First standard deviation, as a share of each variable's range.
        pop_size: Points per generation; None means 4 + 3 ln(number of variables).
        restarts: Restarts, each with twice the population, before it counts as converged.
    """

    info: ClassVar[SolverInfo] = SolverInfo(
        name="cma_es",
        version="3",
        summary="CMA-ES of pycma through pymoo, with restarts; one objective.",
        supports=_ONE_OBJECTIVE,
        needs=("pymoo", "cma"),
        citation="Hansen & Ostermeier 2001, doi 10.1162/106365601750190398; Auger & Hansen 2005 (restarts)",
    )
    init: Init = ("latin_hypercube",)
    sigma: Annotated[float, Gt(0), Le(1)] = 0.25
    pop_size: Annotated[int, Ge(4)] | None = None
    restarts: Annotated[int, Ge(0), Le(9)] = 9

    def _algorithm(self, instance: Instance) -> Any:
        from pymoo.algorithms.soo.nonconvex.cmaes import CMAES

        return CMAES(sigma=self.sigma, pop_size=self.pop_size, restarts=self.restarts)

    def _problem(self, instance: Instance) -> Any:
        problem = PymooSolver._problem(self, instance)
        problem.n_ieq_constr = problem.n_eq_constr = 0  # `_fitness` has folded them in
        return problem

    def _fitness(self, evaluation: Evaluation, instance: Instance) -> dict[str, FloatArray]:
        return {"F": cma_fitness(evaluation, instance)}


def cma_fitness(evaluation: Evaluation, instance: Instance) -> FloatArray:
    """What CMA-ES ranks the points of a generation by, float64 [n, 1], lower is better: Deb's rule in one number."""
    # In units of the objective's scale, since pycma stops at absolute differences (tolfun)
    F = evaluation.F * instance.signs / instance.objectives[0].scale
    violation = evaluation.violation[:, None]  # [n, 1], like F
    feasible = violation <= 0.0
    worst = float(F[feasible].max()) if feasible.any() else 0.0
    return np.where(feasible, F, worst + max(1.0, abs(worst)) * violation)

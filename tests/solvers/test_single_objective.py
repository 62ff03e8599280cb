"""One objective: the decomposition engine as a single-objective solver, and `ledma` on every scenario there is."""

from __future__ import annotations

import numpy as np
import pytest

import optisolve
from optisolve.core.budget import Budget
from optisolve.core.reference import Effort
from optisolve.core.seeds import generator
from optisolve.core.status import PointStatus, Termination
from optisolve.solvers.moead import MoeadDe
from optisolve.solvers.moead.variation import De, Mutation, Wave
from optisolve.solvers.moead.weights import neighborhoods, weight_vectors
from optisolve.solvers.start import population
from tests.scenarios import untraced
from tests.solvers.toys import Sphere, Zdt1, solve


def wave_of(instance, n=30, pool=10, seed=0):
    rng = np.random.default_rng(seed)
    X = instance.space.sample(rng, n)
    evaluation = instance.evaluate(X)
    m = len(instance.objectives)
    F = evaluation.F * instance.signs
    mates = neighborhoods(weight_vectors(m, n), pool)
    return Wave(
        index=0,
        targets=np.arange(n),
        mates=mates,
        X=X,
        F=F,
        violation=evaluation.violation,
        weights=weight_vectors(m, n),
        ideal=F.min(axis=0),
        nadir=F.max(axis=0),
        values=F[:, 0][mates],
        rng=generator(seed, purpose="test"),
        instance=instance,
    )


NO_MUTATION = Mutation(probability=0.0)


@pytest.mark.parametrize("crossover", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("dim", [1, 2, 12])
def test_every_child_of_one_objective_changes_a_variable_of_its_incumbent(dim, crossover):
    wave = wave_of(Sphere(dim=dim).instance())
    children = De(0.5, crossover, NO_MUTATION).propose(wave).X
    changed = (children != wave.X).sum(axis=1)
    clipped = ((children == 0.0) | (children == 1.0)).any(axis=1)
    assert ((changed >= 1) | clipped).all()
    assert changed.mean() <= max(1.0, dim * crossover) + 1e-9
    if crossover == 1.0:
        assert changed.max() == dim


def test_children_of_one_objective_stand_round_the_best_of_their_pool():
    """With scale near 0 a changed variable has the value of the best mate, feasible ones before others."""
    instance = Sphere(dim=6, constrained=True).instance()
    wave = wave_of(instance)
    children = De(1e-12, 1.0, NO_MUTATION).propose(wave).X
    for row, pool in enumerate(wave.mates):
        best = min(pool, key=lambda j: (wave.violation[j], wave.F[j, 0]))
        same = np.isclose(children[row], wave.X[best], atol=1e-9)
        assert same.any()
        np.testing.assert_array_equal(children[row][~same], wave.X[row][~same])


def test_several_objectives_keep_their_own_incumbent_as_base():
    wave = wave_of(Zdt1(dim=5).instance())
    children = De(1e-12, 1.0, NO_MUTATION).propose(wave).X
    np.testing.assert_allclose(children, wave.X, atol=1e-9)


def test_one_objective_converges_without_losing_the_optimum():
    result = solve(Sphere().instance(), MoeadDe(), 3000)
    assert result.F[0, 0] < 1e-8


@pytest.mark.parametrize("seed", [0, 1])
def test_a_population_that_met_in_a_trap_begins_again(seed):
    """No power at all costs nothing and earns nothing; from nearly all random points that is where selection leads (seed 0)."""
    instance = optisolve.load_problem("nsp_utility").instance(0)
    budget = Budget(evaluations=2000)
    ends = [optisolve.solve(instance, "moead_de", budget=budget, seed=seed).F[0, 0] for _ in range(2)]
    assert ends[0] == ends[1] > 28.0


def test_a_plateau_is_searched_before_points_are_drawn_anew():
    """Offspring may leave it, as long as ten sweeps do not."""
    instance = optisolve.load_problem("nsp_utility").instance(0)
    result = optisolve.solve(instance, "moead_de", budget=Budget(evaluations=500), seed=2)
    assert result.record.used.by_source["start:uniform"].evaluations == population(500)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scenario", "gap"),
    [("power_control", 0.05), ("parallel_channels", 1e-3), ("nsp_utility", 5e-3), ("offloading", 1e-6), ("noma_uav", 1e-3)],
)
@pytest.mark.parametrize("solver", ["moead_de", "ledma"])
def test_gaps_of_the_single_objective_families(scenario, gap, solver):
    """2,000 evaluations, three instances: the mean gap stays below a few times what benchmarks/quality measured."""
    problem = optisolve.load_problem(scenario)
    gaps = []
    for seed in range(3):
        instance = problem.instance(seed)
        reference = problem.reference(instance, Effort.QUICK)
        budget = Budget(evaluations=2000, llm_calls=40)
        result = optisolve.solve(instance, solver, budget=budget, seed=seed, llm="surrogate", reference=reference)
        gaps.append(result.record.scores.gap)
    assert np.mean(gaps) < gap


@pytest.mark.parametrize("scenario", untraced())
def test_ledma_runs_on_every_scenario(scenario, tmp_path):
    """A small budget with the surrogate: an honest status, no error, everything labelled, a record that verifies."""
    instance = optisolve.load_problem(scenario).instance(1)
    (tmp_path / "scratch").mkdir()
    budget = Budget(evaluations=260, llm_calls=6)
    result = optisolve.solve(instance, "ledma", budget=budget, seed=1, llm="surrogate", scratch=tmp_path / "scratch")
    assert result.termination is Termination.LIMIT, result.run.outcome.detail
    assert result.point_status in (PointStatus.FEASIBLE, PointStatus.NEARLY_FEASIBLE, PointStatus.INFEASIBLE)
    assert result.record.used.evaluations == 260
    assert 0 < result.record.used.llm_calls <= 6
    history = result.run.evaluator.history
    labels = [history.sources[i] for i in history.source]
    assert labels.count("llm") + labels.count("repaired") + labels.count("fallback") > 0
    if result.point_status is PointStatus.INFEASIBLE:
        assert history.violation.min() > 0.0
    assert optisolve.verify(result.save(tmp_path / "runs"))

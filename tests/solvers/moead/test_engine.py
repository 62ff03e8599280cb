"""Properties of the decomposition engine, whatever the operator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from optisolve.core import Budget, Limit, SolverInfo, Task, Termination
from optisolve.core.errors import SolverError
from optisolve.numerics.indicators import GainMeter
from optisolve.run.archive import nondominated
from optisolve.solvers.ledma import Mixture, random_share
from optisolve.solvers.moead import De, DecompositionSolver, Moead, MoeadDe, Proposals, Sbx, Wave
from tests.solvers.toys import Constr, Dtlz2, Sphere, Zdt1, solve


class Several:
    """Proposes `count(target)` copies of each target's incumbent, nudged; remembers the waves it saw."""

    def __init__(self, count: Any, source: str | None = None) -> None:
        self.count, self.source, self.waves = count, source, []

    def propose(self, wave: Wave) -> Proposals:
        self.waves.append(wave)
        owner = np.repeat(wave.targets, [self.count(t) for t in wave.targets]).astype(np.int64)
        X = wave.X[owner] + 0.01 * wave.rng.normal(size=(owner.size, wave.X.shape[1]))
        return Proposals(X, owner, self.source or [f"kind{i % 2}" for i in range(owner.size)])

    def report(self) -> Mapping[str, Any]:
        return {"calls": len(self.waves)}


@dataclass(frozen=True)
class Around(DecompositionSolver):
    """A decomposition solver around an operator made for a test."""

    info: ClassVar[SolverInfo] = SolverInfo(name="around", version="1", summary="test")
    operator: Any = None

    def _variation(self, task: Task) -> Any:
        return self.operator


def solve_with(operator: Any, instance: Any, evaluations: int, **options: Any) -> Any:
    return solve(instance, Around(operator=operator, **options), evaluations)


def test_several_offspring_or_none_per_target_are_all_evaluated_and_credited() -> None:
    operator = Several(lambda t: t % 3)
    result = solve_with(operator, Zdt1(dim=4).instance(), 200, pop_size=12, wave_size=None, n_neighbors=4)
    report = result.outcome.report
    assert len(result.points) == 200
    assert report["offspring"]["kind0"] + report["offspring"]["kind1"] == 200 - 12
    assert set(report["survivors"]) == {"kind0", "kind1"}
    assert report["operator"] == {"calls": report["waves"]}


def test_an_operator_that_never_proposes_ends_the_run_as_stalled() -> None:
    result = solve_with(Several(lambda t: 0), Zdt1(dim=4).instance(), 1000, pop_size=10, wave_size=3)
    assert result.outcome.termination is Termination.LIMIT
    assert result.outcome.limit is Limit.STALLED
    assert len(result.points) == 10


def test_an_operator_that_answers_for_a_foreign_target_is_an_error() -> None:
    class Foreign(Several):
        def propose(self, wave: Wave) -> Proposals:
            return Proposals(wave.X[:1], (wave.targets[-1:] + 1) % wave.X.shape[0], "foreign")

    with pytest.raises(SolverError, match="Foreign proposed 1 points"):
        solve_with(Foreign(lambda t: 1), Zdt1(dim=4).instance(), 100, pop_size=10, wave_size=4)


def test_every_sweep_serves_every_sub_problem_once_and_waves_are_ascending() -> None:
    operator = Several(lambda t: 1, "copy")
    solve_with(operator, Zdt1(dim=4).instance(), 10 + 3 * 10, pop_size=10, wave_size=4)
    served = [wave.targets for wave in operator.waves]
    assert [len(targets) for targets in served] == [4, 4, 2] * 3
    for start in (0, 3, 6):
        np.testing.assert_array_equal(np.sort(np.concatenate(served[start : start + 3])), np.arange(10))
    assert all((np.diff(targets) > 0).all() for targets in served)


def test_the_wave_tells_the_truth_about_the_population() -> None:
    class Looking(Several):
        def propose(self, wave: Wave) -> Proposals:
            evaluation = wave.instance.evaluate(wave.X)
            np.testing.assert_array_equal(wave.F, evaluation.F * wave.instance.signs)
            np.testing.assert_array_equal(wave.violation, evaluation.violation)
            feasible = wave.F[wave.violation <= 0]
            if feasible.size:
                assert (wave.ideal <= feasible.min(axis=0)).all()
                np.testing.assert_array_equal(wave.nadir, feasible[nondominated(feasible)].max(axis=0))
            assert wave.values.shape == wave.mates.shape == (wave.targets.size, 5)
            return super().propose(wave)

    for instance in (Constr().instance(), Zdt1(dim=4, maximize=True).instance()):
        solve_with(Looking(lambda t: 1, "copy"), instance, 200, pop_size=20, n_neighbors=5, wave_size=None)


def test_a_mixture_splits_the_targets_and_keeps_the_streams_apart() -> None:
    instance = Zdt1(dim=4).instance()
    mixed = Mixture(Several(lambda t: 2, "first"), De(), lambda wave: wave.targets[::4])
    report = solve_with(mixed, instance, 20 + 5 * (5 * 2 + 15), pop_size=20, wave_size=None).outcome.report
    assert report["offspring"] == {"de": 75, "first": 50}
    # What the primary operator draws must not shift the secondary's numbers.
    seen = []
    for count in (1, 3):
        wave_points = solve_with(
            Mixture(Several(lambda t, n=count: n, "first"), De(), lambda wave: wave.targets[:1]),
            instance, 20 + 19 + count, pop_size=20, wave_size=None,
        ).points  # fmt: skip
        seen.append(wave_points[20 + count :])
    np.testing.assert_array_equal(*seen)


def test_a_random_share_is_exact_on_average_and_capped() -> None:
    mixed = Mixture(Several(lambda t: 1, "first"), Sbx(), random_share(0.1))
    report = solve_with(mixed, Zdt1(dim=4).instance(), 20 + 400 * 5, pop_size=20, wave_size=5).outcome.report
    assert 160 < report["offspring"]["first"] < 240  # binomial around 200
    capped = Mixture(Several(lambda t: 1, "first"), Sbx(), random_share(1.0, at_most=3))
    report = solve_with(capped, Zdt1(dim=4).instance(), 20 + 10 * 20, pop_size=20, wave_size=None).outcome.report
    assert report["offspring"] == {"first": 30, "sbx": 170}


def test_a_warm_start_is_evaluated_first_and_its_points_reach_fitting_sub_problems() -> None:
    instance = Zdt1(dim=6).instance()
    front = np.full((9, 6), 0.3)
    front[:, 0] = np.linspace(1.0, 0.0, 9)
    operator = Several(lambda t: 1, "copy")
    solver = Around(operator=operator, pop_size=9, wave_size=None, n_neighbors=3)
    result = solve(instance, solver, 18, warm_start=front)
    np.testing.assert_array_equal(result.points[:9], front)
    f1 = operator.waves[0].F[:, 0]  # weights run from (0, 1), best f2, to (1, 0), best f1
    assert (np.diff(f1) < 0).all()


class Told(Several):
    """Remembers what it is told."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.told: list[Any] = []

    def learn(self, feedback: Any) -> None:
        self.told.append(feedback)


@pytest.mark.parametrize("problem", [Zdt1(dim=2, maximize=True), Constr(), Dtlz2(), Sphere(constrained=True)])
def test_a_learner_is_told_what_each_of_its_offspring_gained(problem: Any) -> None:
    instance, operator = problem.instance(), Told(lambda t: t % 3)
    result = solve_with(operator, instance, 317, pop_size=12, wave_size=5, n_neighbors=4)
    history, box = result.evaluator.history, instance.hypervolume_box
    gains = GainMeter(instance.signs, box).add(history.F_min, history.violation)
    np.testing.assert_array_equal(np.concatenate([told.gain for told in operator.told]), gains[12:])
    assert gains[12:].sum() > 0
    labels = [label for told in operator.told for label in told.source]
    assert labels == [history.sources[code] for code in history.source[12:]]
    survivors = sum(int((told.replaced > 0).sum()) for told in operator.told)
    assert survivors == sum(result.outcome.report["survivors"].values())


def test_an_offspring_reaches_the_sub_problem_that_it_suits_best() -> None:
    """Each target proposes the best point of the opposite end of the front; only global replacement can use it."""

    class Opposite(Several):
        def propose(self, wave: Wave) -> Proposals:
            X = np.full((wave.targets.size, 4), 0.3)
            X[:, 0] = 1.0 - wave.weights[wave.targets, 1]
            return Proposals(X, wave.targets, "opposite")

    kept = {}
    for replacement in ("global", "mates"):
        operator = Opposite(lambda t: 1)
        options = {"pop_size": 40, "n_neighbors": 4, "delta": 1.0, "wave_size": None, "replacement": replacement}
        report = solve_with(operator, Zdt1(dim=4).instance(), 80, **options).outcome.report
        kept[replacement] = report["survivors"]["opposite"]
    assert kept["global"] > 36 > 28 > kept["mates"]


def test_a_budget_without_a_stopping_rule_is_refused() -> None:
    with pytest.raises(SolverError, match=r"budget\.evaluations"):
        solve(Sphere().instance(), MoeadDe(), budget=Budget(llm_calls=3))


def test_a_limit_in_seconds_stops_the_run() -> None:
    result = solve(Sphere().instance(), MoeadDe(), budget=Budget(seconds=0.05))
    assert result.outcome.limit is Limit.TIME
    assert len(result.points) >= 100


def test_repair_projects_points_and_can_be_switched_off() -> None:
    instance = Sphere(dim=3).instance()
    instance._projection = lambda X: np.minimum(X, 0.1)
    assert solve(instance, Moead(), 300).points.max() <= 0.1
    assert solve(instance, Moead(repair=False), 300).points.max() > 0.1


def test_an_operator_cannot_reach_the_population() -> None:
    class Vandal(Several):
        def propose(self, wave: Wave) -> Proposals:
            proposals = super().propose(wave)
            wave.X[:], wave.F[:], wave.violation[:] = 0.0, -1e9, 0.0
            return proposals

    vandal, honest = (solve_with(kind(lambda t: 1, "x"), Constr().instance(), 300).points for kind in (Vandal, Several))
    np.testing.assert_array_equal(vandal, honest)

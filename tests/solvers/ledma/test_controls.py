"""The controls of ledma differ from it in nothing but who makes the offspring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import optisolve
from optisolve import content
from optisolve.core import Budget, BudgetMeter, Task
from optisolve.llm.config import llm_config
from optisolve.llm.session import LlmSession, open_session
from optisolve.registry import SOLVERS
from optisolve.run.evaluator import Evaluator
from optisolve.solvers.ledma import Ledma
from optisolve.solvers.ledma import controls as controls_module
from optisolve.solvers.ledma import solver as ledma
from optisolve.solvers.ledma.controls import CONTROL, LedmaControl, best_parents
from optisolve.solvers.moead import Wave
from optisolve.testing import SolverConformance
from optisolve.testing.toys import ShiftedZdt1
from tests.solvers.toys import Knights, Run, Zdt1, solve

OPERATORS = ("sbx", "de", "linear", "convex", "gaussian", "zeros", "uniform")
ENGINE = {"pop_size": 12, "n_neighbors": 6, "n_offspring": 3}


class TestLedmaControl(SolverConformance):
    """The kit."""

    def make_solver(self):
        return LedmaControl()


def run_ledma(config: Any, *, seed: int = 1, evaluations: int = 120, instance: Any = None, **options: Any) -> Run:
    instance = ShiftedZdt1().instance(0) if instance is None else instance
    solver = Ledma(**{**ENGINE, "n_parents": 5, "mix": 1.0, **options})
    meter = BudgetMeter(Budget(evaluations=evaluations))
    with open_session(config, meter, seed=seed) as session:
        evaluator = Evaluator(instance, meter)
        points = []

        def evaluate(X, *, source="solver"):
            points.append(np.array(X))
            return evaluator(X, source=source)

        outcome = solver._solve(Task(instance, evaluate, evaluator, meter, seed, "ledma", llm=session))
    return Run(outcome, evaluator, np.concatenate(points))


@dataclass
class Watched:
    """Targets of the primary operator, wave by wave."""

    targets: list[list[int]]

    def watch(self, monkeypatch: pytest.MonkeyPatch, module: Any) -> None:
        original = module.random_share

        def spied(share: float, **more: Any) -> Any:
            choose = original(share, **more)

            def told(wave: Wave) -> Any:
                chosen = choose(wave)
                self.targets.append([int(t) for t in chosen])
                return chosen

            return told

        monkeypatch.setattr(module, "random_share", spied)


@pytest.mark.parametrize("operator", OPERATORS)
def test_a_control_makes_as_many_offspring_per_target_as_the_model_is_asked_for(operator):
    run = solve(ShiftedZdt1().instance(0), LedmaControl(operator=operator, **ENGINE), 12 + 5 * 36)
    history = run.evaluator.history
    sources = [history.sources[i] for i in history.source]
    assert sources == ["start:uniform"] * 12 + [CONTROL] * 5 * 36
    assert run.outcome.report["waves"] == 5


@pytest.mark.parametrize("operator", OPERATORS)
def test_a_control_starts_from_the_population_of_ledma(operator):
    control = solve(ShiftedZdt1().instance(0), LedmaControl(operator=operator, **ENGINE), 60, seed=4)
    model = run_ledma(llm_config("surrogate"), seed=4, evaluations=60)
    assert np.array_equal(control.points[:12], model.points[:12])
    other = run_ledma(llm_config("surrogate"), seed=5, evaluations=60)
    assert not np.array_equal(control.points[:12], other.points[:12])


def test_choosers_of_model_and_controls_pick_the_same_targets(monkeypatch):
    model = Watched([])
    model.watch(monkeypatch, ledma)
    # Malformed answers make the model's run propose fewer points, which must not shift the choice.
    run_ledma(llm_config("surrogate", malformed_rate=0.5), mix=0.4, wave_size=None)
    for operator in OPERATORS:
        control = Watched([])
        with monkeypatch.context() as patch:
            control.watch(patch, controls_module)
            solve(ShiftedZdt1().instance(0), LedmaControl(operator=operator, mix=0.4, wave_size=None, **ENGINE), 120)
        waves = min(len(control.targets), len(model.targets)) - 1  # the last wave has what is left of the budget
        assert waves >= 4
        assert control.targets[:waves] == model.targets[:waves]
    assert len({tuple(chosen) for chosen in model.targets}) > 1


def test_targets_that_a_control_does_not_serve_are_made_by_de():
    run = solve(ShiftedZdt1().instance(0), LedmaControl(operator="zeros", mix=0.25, wave_size=None, **ENGINE), 12 + 4 * 18)
    history = run.evaluator.history
    counts = {name: int((history.source == code).sum()) for code, name in enumerate(history.sources)}
    assert counts == {"start:uniform": 12, CONTROL: 36, "de": 36}


def test_a_control_stops_where_a_budget_of_calls_would():
    run = solve(ShiftedZdt1().instance(0), LedmaControl(operator="uniform", max_targets=20, **ENGINE), 12 + 100)
    history = run.evaluator.history
    sources = [history.sources[i] for i in history.source]
    assert sources.count(CONTROL) == 20 * 3
    assert CONTROL not in sources[12 + 12 * 3 + 8 * 3 + 4 :]


def test_at_the_end_of_the_budget_des_offspring_make_room():
    run = solve(ShiftedZdt1().instance(0), LedmaControl(operator="uniform", mix=0.5, wave_size=None, **ENGINE), 12 + 20)
    history = run.evaluator.history
    assert [history.sources[i] for i in history.source].count(CONTROL) == 18


def test_the_constant_answer_is_every_variable_at_its_lower_bound():
    for instance in (Zdt1(dim=4).instance(0), Knights().instance(0)):
        run = solve(instance, LedmaControl(operator="zeros", **ENGINE), 60)
        assert np.array_equal(np.unique(run.points[12:], axis=0), instance.space.lower[None, :])


def test_gaussian_steps_are_as_wide_as_told_and_start_at_the_best_parent():
    """With noise 0 the offspring are the best parents themselves; 0.05 of the range is their spread otherwise."""
    wave = _wave()
    best = wave.X[best_parents(wave, 1)[:, 0]]
    rows = np.repeat(np.arange(wave.targets.size), 400)
    still = LedmaControl(operator="gaussian", noise=0.0)._gaussian(wave, rows)
    assert np.allclose(still, best[rows])
    moved = LedmaControl(operator="gaussian", noise=0.05)._gaussian(wave, rows)
    inside = (best[rows] > 0.2) & (best[rows] < 0.8)
    assert np.std((moved - best[rows])[inside]) == pytest.approx(0.05, rel=0.05)


def test_convex_combinations_without_noise_stay_in_the_hull_of_the_parents():
    wave = _wave()
    parents = wave.X[best_parents(wave, 4)]  # [n, 4, d]
    rows = np.repeat(np.arange(wave.targets.size), 50)
    made = LedmaControl(operator="convex", noise=0.0, n_parents=4)._convex(wave, rows)
    assert np.all(made >= parents.min(axis=1)[rows] - 1e-12)
    assert np.all(made <= parents.max(axis=1)[rows] + 1e-12)
    assert np.unique(made, axis=0).shape[0] == made.shape[0]


def test_best_parents_are_feasible_first_then_by_value():
    wave = _wave()
    for row, order in enumerate(best_parents(wave, 6)):
        keys = [(wave.violation[k], wave.values[row][list(wave.mates[row]).index(k)]) for k in order]
        assert keys == sorted(keys)
        assert set(order.tolist()) == set(wave.mates[row].tolist())


def _wave() -> Wave:
    rng = np.random.default_rng(7)
    n, d = 9, 5
    return Wave(
        index=0,
        targets=np.arange(n),
        mates=np.stack([rng.permutation(n)[:6] for _ in range(n)]),
        X=rng.random((n, d)),
        F=rng.random((n, 2)),
        violation=np.where(rng.random(n) < 0.4, rng.random(n), 0.0),
        weights=np.full((n, 2), 0.5),
        ideal=np.zeros(2),
        nadir=np.ones(2),
        values=rng.random((n, 6)),
        rng=rng,
        instance=Zdt1(dim=d).instance(0),
    )


# -- the placebo ---------------------------------------------------------------------------------------------------------


def _tables(placebo: bool, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str], list[str]]]:
    """Tag, values and points of every table that is put before the model, also of further questions about a target."""
    prompts: list[tuple[str, str]] = []
    original = LlmSession.ask

    def told(self: LlmSession, requests: Any) -> Any:
        prompts.extend((request.tag, str(request.prompt)) for request in requests)
        return original(self, requests)

    with monkeypatch.context() as patch:
        patch.setattr(LlmSession, "ask", told)
        config = llm_config("surrogate", malformed_rate=0.5)
        run_ledma(config, placebo=placebo, max_reasks=2, evaluations=60, style="continuation")
    rows = [(tag, [line.split(": ") for line in text.splitlines()[1:] if ": " in line]) for tag, text in prompts]
    return [(tag, [value for value, _ in table], [point for _, point in table]) for tag, table in rows]


def test_a_placebo_keeps_values_sorted_and_shuffles_the_points(monkeypatch):
    true = {tag: (values, points) for tag, values, points in _tables(False, monkeypatch)}
    shown = [(tag, *table) for tag, *table in _tables(True, monkeypatch) if tag.startswith("wave=0/")]
    moved = 0  # later waves have other parents
    for tag, values, points in shown:
        assert values == true[tag][0] == sorted(values, key=int, reverse=True)
        assert sorted(points) == sorted(true[tag][1])
        moved += points != true[tag][1]
    assert len(points) == 5
    assert moved > 6


def test_a_placebo_draws_one_permutation_per_question_and_keeps_it_for_further_samples(monkeypatch):
    groups: dict[str, list[tuple[list[str], list[str]]]] = {}
    for tag, values, points in _tables(True, monkeypatch):
        groups.setdefault(tag, []).append((values, points))
    assert max(len(tables) for tables in groups.values()) > 1  # something was asked again
    for tables in groups.values():
        assert all(table == tables[0] for table in tables)


def test_the_placebo_depends_on_the_seed_alone():
    runs = [run_ledma(llm_config("surrogate"), placebo=True, seed=seed, evaluations=60).points for seed in (1, 1, 2)]
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


def test_the_preset_names_every_option_with_its_default():
    values = content.load_yaml("solvers", "ledma_control")
    assert SOLVERS.get(values.pop("name")) is LedmaControl
    assert set(values) == set(LedmaControl().options())
    assert LedmaControl.from_mapping(values) == LedmaControl()


def test_a_record_of_a_control_can_be_replayed(tmp_path):
    problem = optisolve.load_problem("uav_isac")
    solver = LedmaControl(operator="gaussian", **ENGINE)
    result = optisolve.solve(problem.instance(0), solver, budget=Budget(evaluations=30), seed=2)
    assert optisolve.replay(result.save(tmp_path)).same

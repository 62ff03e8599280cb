"""ledma without a language model, where it begins, and the operators that learn while a run goes on."""

from __future__ import annotations

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import optisolve
from optisolve.core import Budget
from optisolve.core.controls import HasPlainRuns
from optisolve.core.errors import OptionError, OptisolveError, SolverError
from optisolve.core.problem import FAILED_VIOLATION
from optisolve.core.seeds import generator
from optisolve.core.solver import is_start
from optisolve.llm.config import SurrogateLlm
from optisolve.solvers.ledma import Ledma, LedmaControl
from optisolve.solvers.ledma.adaptive import HistoryDe, Screened, Seen
from optisolve.solvers.moead import Wave
from optisolve.solvers.moead.variation import Feedback, Mutation, Proposals
from optisolve.testing.toys import ShiftedZdt1, SumCapSphere
from tests.solvers.toys import Zdt1

BUDGET = Budget(evaluations=300, llm_calls=20)


def uav():
    return optisolve.load_problem("uav_isac").instance(21)


def begun(result):
    """The first points of a run and who made them."""
    sources = [result.run.evaluator.history.sources[code] for code in result.run.evaluator.history.source]
    count = sum(map(is_start, sources))
    return np.concatenate([points[0] for points in result.run.evaluator.history.points])[:count], sources[:count]


def run(solver, instance=None, seed=3, llm="none", budget=BUDGET):
    return optisolve.solve(instance or uav(), solver, budget=budget, seed=seed, llm=llm, history="all", reference=None)


def test_a_run_without_a_model_is_the_same_again_with_any_number_of_threads_and_says_so(tmp_path):
    results = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            results.append(run("ledma"))
    assert results[0].result_hash == results[1].result_hash
    record = results[0].record
    assert record.solver.llm is None
    assert record.used.llm_calls == 0
    assert record.used.report["operator"]["model_share"] == 0.0
    assert not {"llm", "repaired", "fallback"} & set(record.used.by_source)
    assert {"de", "screened_de", "adaptive_de", "gaussian"} <= set(record.used.by_source)
    folder = results[0].save(tmp_path)
    assert optisolve.replay(folder).same


def test_one_objective_constraints_and_integers_go_without_a_model():
    for instance in (SumCapSphere().instance(1), optisolve.load_problem("user_association").instance(0)):
        result = optisolve.solve(instance, "ledma", budget=Budget(evaluations=200), seed=1, llm="none", reference=None)
        assert result.point_status == "feasible"


def test_settings_that_mean_nothing_without_a_model_are_refused_together():
    with pytest.raises((OptionError, SolverError)) as told:
        run(Ledma(mix="llm_only", distill=True, placebo=True), ShiftedZdt1().instance(0))
    for name in ("mix", "distill", "placebo"):
        assert name in str(told.value)


def test_a_solver_that_cannot_do_without_a_model_refuses_none():
    with pytest.raises(OptisolveError, match="opro asks a language model, and llm=none gives it none"):
        run("opro", ShiftedZdt1().instance(0))


def test_uniform_is_the_first_population_as_published():
    instance = ShiftedZdt1().instance(0)
    result = run(Ledma(init=("uniform",), pop_size=20), instance, seed=5)
    X, sources = begun(result)
    assert sources == ["start:uniform"] * 20
    expected = instance.space.sample(generator(5, solver="ledma", operator="initial"), 20)
    np.testing.assert_array_equal(X, instance.project(expected))


def test_model_no_model_and_controls_begin_with_the_same_points_of_the_sampler():
    first, sources = begun(run("ledma"))
    assert {"start:null", "start:ddpm"} == set(sources)
    others = [
        run("ledma", llm=SurrogateLlm()),
        run(LedmaControl(operator="gaussian")),
        run(Ledma(placebo=True), llm=SurrogateLlm()),
    ]
    for other in others:
        np.testing.assert_array_equal(begun(other)[0], first)
        assert begun(other)[1] == sources


def test_a_share_that_is_spread_lasts_for_the_whole_run_and_controls_serve_as_many():
    options = {"mix": 1.0, "spread": True}
    asked = run(Ledma(**options), llm=SurrogateLlm(malformed_rate=0.0), budget=Budget(evaluations=500, llm_calls=40))
    control = run(LedmaControl(**options, max_targets=40), budget=Budget(evaluations=500))
    assert 30 <= asked.record.used.llm_calls <= 40
    assert control.record.used.by_source["control"].evaluations in range(60, 81)
    for result in (asked, control):
        rows = [name in ("llm", "repaired", "control") for name in _sources(result)]
        made = np.flatnonzero(rows)
        assert made[-1] > 440
        assert made[0] < 320


def test_a_run_is_printed_beside_itself_without_a_model_and_from_random_points():
    solver = Ledma(mix=0.3, reflect_every=2, style="schema")
    assert isinstance(solver, HasPlainRuns)
    same, random = solver.plain_runs().values()
    assert (same.mix, same.init, random.init) == (0.0, ("auto",), ("uniform",))
    assert run(same).record.used.llm_calls == 0


def _sources(result):
    return [result.run.evaluator.history.sources[code] for code in result.run.evaluator.history.source]


# -- operators that learn ----------------------------------------------------------------------------------------------


def wave_of(instance, n=12, seed=0):
    rng = np.random.default_rng(seed)
    X = instance.space.sample(rng, n)
    F = instance.evaluate(X).F * instance.signs
    weights = np.column_stack([np.linspace(0, 1, n), np.linspace(1, 0, n)])
    mates = np.tile(np.arange(n), (n, 1))
    values = (weights[:, None] * (F - F.min(axis=0))).max(axis=2)
    targets = np.arange(n)
    return Wave(0, targets, mates, X, F, np.zeros(n), weights, F.min(axis=0), F.max(axis=0), values, rng, instance)


def test_success_history_moves_to_what_survived():
    wave = wave_of(Zdt1(dim=8).instance())
    operator = HistoryDe(Mutation())
    before = operator.report()
    for _ in range(40):
        made = operator.propose(wave)
        rates = operator._drawn[1]
        replaced = (rates > np.median(rates)).astype(np.int64)  # large crossover rates are what survives
        operator.learn(Feedback(wave.targets, made.labels, replaced, replaced * 1.0, made.X, wave.F, wave.violation))
    assert operator.report()["crossover"] > before["crossover"] + 0.2
    assert ((made.X >= 0) & (made.X <= 1)).all()


class Ladder:
    """Children on a line from good to bad, in an order of their own."""

    def propose(self, wave):
        X = wave.X[wave.targets].copy()
        X[:, 1:] = wave.rng.random(X.shape[0])[:, None]
        return Proposals(X, wave.targets, "ladder")

    def report(self):
        return {}


def test_of_twenty_children_the_one_that_the_model_thinks_best_is_made():
    """Of ZDT1 with equal first variable the point with the smallest others is best where the second objective matters."""
    instance = Zdt1(dim=4).instance()
    seen = Seen(instance.space)
    rng = np.random.default_rng(4)
    X = instance.space.sample(rng, 400)
    seen.begin(X, instance.evaluate(X).F, np.zeros(400))
    wave = wave_of(instance, seed=1)
    chosen = Screened(Ladder(), seen, "screened").propose(wave)
    assert chosen.X.shape == wave.X.shape
    assert chosen.labels == ["screened"] * wave.targets.size
    assert chosen.X[:3, 1].max() < 0.15  # the best of twenty uniform numbers has the mean 1 / 21


def test_points_that_could_not_be_evaluated_do_not_mislead_the_model():
    instance = Zdt1(dim=4).instance()
    seen = Seen(instance.space)
    X = instance.space.sample(np.random.default_rng(4), 30)
    F = instance.evaluate(X).F
    seen.begin(X, F, np.where(np.arange(30) < 10, FAILED_VIOLATION, 0.0))
    assert seen.points()[0].shape == (20, 4)

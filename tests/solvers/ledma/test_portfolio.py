"""Credit and shares of operators, the cost of calls by outcome, and the operator fitted to a model's answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import optisolve
from optisolve.core import Budget, BudgetMeter, HypervolumeBox, Objective, Sense, Space, Variable
from optisolve.llm.candidates import Grid
from optisolve.llm.config import SurrogateLlm
from optisolve.llm.surrogate import draw_offspring
from optisolve.llm.types import LlmReply
from optisolve.solvers.ledma.distill import MIN_OFFSPRING, Distilled, LinearFit, Samples, ranked_parents
from optisolve.solvers.ledma.portfolio import TRIAL, Account, Notes, Portfolio
from optisolve.solvers.ledma.shares import FLOOR, Bandit, random_share, read_mix
from optisolve.solvers.moead import De, Linear, Sbx
from optisolve.solvers.moead.variation import Feedback, Gaussian, Learner, Proposals, Wave, published_rank_weights
from tests.solvers.moead.test_engine import Around, Several
from tests.solvers.toys import Knights, Toy, Zdt1, solve

GRID = Grid(Space.of([Variable(f"x{i}", 0.0, 1.0) for i in range(12)]))


# -- bandit ------------------------------------------------------------------------------------------------------------


def filled(gain: Mapping[str, float], cost: Mapping[str, float], waves: int = 40, unit: float = 1.0) -> Bandit:
    bandit = Bandit({"llm": 0.1, "de": 0.45, "sbx": 0.45})
    for _ in range(waves):
        bandit.add([unit * gain[name] for name in bandit.names], [cost[name] for name in bandit.names])
    return bandit


def test_an_operator_starts_with_its_share_and_keeps_it_while_nothing_is_gained():
    bandit = Bandit({"llm": 0.1, "de": 0.45, "sbx": 0.45})
    np.testing.assert_allclose(bandit.shares, [0.1, 0.45, 0.45])
    bandit.add([0.0, 0.0, 0.0], [5.0, 22.0, 23.0])
    np.testing.assert_allclose(bandit.shares, [0.1, 0.45, 0.45])


def test_shares_follow_gain_per_cost_and_do_not_depend_on_the_unit_of_the_gain():
    cost = {"llm": 5.0, "de": 25.0, "sbx": 20.0}
    even = filled({"llm": 5.0, "de": 25.0, "sbx": 20.0}, cost)
    np.testing.assert_allclose(even.shares, [0.1, 0.45, 0.45])
    better = filled({"llm": 5.0, "de": 75.0, "sbx": 20.0}, cost)
    assert better.share("de") > 0.55 > 0.4 > better.share("sbx")
    np.testing.assert_allclose(filled({"llm": 5.0, "de": 75.0, "sbx": 20.0}, cost, unit=1e-9).shares, better.shares)
    dearer = filled({"llm": 5.0, "de": 75.0, "sbx": 20.0}, {**cost, "de": 150.0})
    assert dearer.share("de") < dearer.share("sbx")


def test_an_operator_without_any_gain_keeps_a_small_share_and_recovers():
    bandit = filled({"llm": 0.0, "de": 1.0, "sbx": 0.0}, {"llm": 40.0, "de": 40.0, "sbx": 40.0}, waves=100)
    assert bandit.shares.min() >= 0.9 * FLOOR
    assert bandit.share("de") > 0.85
    for _ in range(60):
        bandit.add([0.0, 0.0, 5.0], [2.0, 45.0, 3.0])
    assert bandit.share("sbx") > bandit.share("de")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(*[st.tuples(st.floats(0, 1e3), st.integers(0, 60))] * 3), max_size=30))
def test_shares_are_always_shares(waves):
    bandit = Bandit({"a": 0.1, "b": 0.3, "c": 0.6})
    for wave in waves:
        bandit.add([gain if cost else 0.0 for gain, cost in wave], [float(cost) for _, cost in wave])
    assert bandit.shares.sum() == pytest.approx(1.0)
    assert (bandit.shares >= 0.01).all()
    report = bandit.report()
    assert len(report["share"]) == len(report["credit"]) == min(10, len(waves))


def test_an_operator_may_join_in_the_middle():
    bandit = filled({"llm": 1.0, "de": 1.0, "sbx": 1.0}, {"llm": 1.0, "de": 1.0, "sbx": 1.0})
    bandit.join("distilled", bandit.start("llm"))
    np.testing.assert_allclose(bandit.shares * 1.1, [0.1, 0.45, 0.45, 0.1])
    bandit.add([1.0] * 4, [7.0] * 4)
    assert bandit.spent("distilled") == 7.0
    assert [len(row) for row in bandit.report()["share"]] == [4] * 10


# -- account -----------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.lists(st.integers(0, 5), max_size=3), st.integers(0, 5000), st.integers(0, 700), st.floats(0, 0.1)),
        max_size=8,
    ),
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["llm", "repaired", "fallback", "de"])), max_size=12),
)
def test_what_the_sources_cost_sums_to_what_was_paid(calls, rows):
    account, meter = Account(), BudgetMeter(Budget())
    for targets, tokens_in, tokens_out, usd in calls:
        account.asked(targets, LlmReply(tokens_in=tokens_in, tokens_out=tokens_out, usd=usd))
        meter.settle(meter.reserve(tokens=0, usd=0.0), tokens_in=tokens_in, tokens_out=tokens_out, usd=usd)
    account.settle(np.array([owner for owner, _ in rows], dtype=np.int64), [label for _, label in rows])
    told = account.report(meter)
    assert sum(item["tokens_in"] for item in told.values()) == meter.tokens_in
    assert sum(item["tokens_out"] for item in told.values()) == meter.tokens_out
    assert sum(item["usd"] for item in told.values()) == pytest.approx(meter.usd)
    assert set(told) <= {"llm", "repaired", "fallback", "unused"}


def test_a_call_is_split_over_what_came_of_it():
    """By hand: 7 tokens over three offspring are 3, 2, 2; a call that failed stands with its fallback."""
    account, meter = Account(), BudgetMeter(Budget())
    account.asked([3, 5], LlmReply(tokens_in=7, tokens_out=4, usd=0.3))
    account.asked([8], LlmReply(failure="timeout", tokens_in=0, tokens_out=0, usd=0.0))
    account.asked([8], LlmReply(tokens_in=11, tokens_out=1, usd=0.1))
    meter.settle(meter.reserve(tokens=0, usd=0.0), tokens_in=18, tokens_out=5, usd=0.4)
    owner, source = np.array([1, 3, 3, 5, 8]), ["de", "llm", "repaired", "llm", "fallback"]
    account.settle(owner, source)
    assert account.report(meter) == {
        "fallback": {"tokens_in": 11, "tokens_out": 1, "usd": 0.1},
        "llm": {"tokens_in": 5, "tokens_out": 3, "usd": pytest.approx(0.2)},
        "repaired": {"tokens_in": 2, "tokens_out": 1, "usd": pytest.approx(0.1)},
    }


# -- distillation ------------------------------------------------------------------------------------------------------


def samples_of(draw: Any, answers: int, seed: int = 1) -> LinearFit:
    rng, samples = np.random.default_rng(seed), Samples(GRID)
    for _ in range(answers):
        parents = rng.integers(0, 1001, (10, 12))
        samples.add(parents, draw(parents, rng))
    fitted = samples.fit()
    assert fitted is not None
    return fitted


@pytest.mark.parametrize(("noise", "mask"), [(0.02, 1.0), (0.15, 0.6), (0.3, 0.3)])
def test_a_known_linear_operator_is_recovered(noise, mask):
    weights = published_rank_weights(10)

    def draw(parents, rng):
        y = weights @ parents + noise * np.ptp(parents, axis=0) * rng.standard_normal((2, 12))
        return np.where(rng.random((2, 12)) < mask, np.rint(y), parents[-1])

    fitted = samples_of(draw, 300)
    np.testing.assert_allclose(fitted.smooth, weights, atol=0.06 * noise + 0.01)
    np.testing.assert_allclose(fitted.weights, weights, atol=0.15 * noise + 0.01)
    assert fitted.noise == pytest.approx(noise, rel=0.05)
    assert fitted.mask == pytest.approx(mask, abs=0.02)


def test_any_weights_come_out_of_least_squares():
    weights = np.array([0.3, -0.1, 0.0, 0.2, 0.05, 0.1, -0.05, 0.1, 0.1, 0.2])
    fitted = samples_of(lambda parents, rng: np.rint(weights @ parents + rng.normal(0, 5, (2, 12))), 200)
    np.testing.assert_allclose(fitted.weights, weights, atol=0.005)


def test_what_was_distilled_behaves_as_what_it_was_fitted_to():
    """A run of the fitted operator, fitted again, gives the same figures."""
    instance, grid = Zdt1(dim=12).instance(), GRID
    truth = LinearFit(published_rank_weights(8), published_rank_weights(8), 0.2, 0.7, 0.25, 0, 0, 0, 0, 0, 0)
    samples = Samples(grid)

    class Watched(Distilled):
        def propose(self, wave: Wave) -> Proposals:
            made = super().propose(wave)
            for row in range(wave.targets.size):
                samples.add(ranked_parents(wave, row, 8, grid)[0], grid.encode(made.X[row : row + 1]))
            return made

    solve(instance, Around(operator=Watched(truth, grid), pop_size=100, n_neighbors=20, init="latin_hypercube"), 300)
    again = samples.fit()
    assert again is not None
    assert again.mask == pytest.approx(0.7, abs=0.04)
    assert again.copies == pytest.approx(0.25, abs=0.04)
    assert again.noise == pytest.approx(0.2, rel=0.15)
    np.testing.assert_allclose(again.smooth, truth.smooth, atol=0.05)


def test_the_fit_to_the_surrogate_finds_its_configured_statistics():
    """Published: 27.4 % copies, of these 43 % from the best parent, 25.4 % outside; noise with the other habits off."""
    given_ = SurrogateLlm()
    fitted = samples_of(lambda parents, rng: np.clip(draw_offspring(parents, GRID.levels, 2, rng, given_), 0, 1000), 400)
    assert fitted.copy_rate == pytest.approx(given_.copy_rate, abs=0.03)
    assert fitted.outside_rate == pytest.approx(given_.outside_rate, abs=0.03)
    assert fitted.mask == pytest.approx(1.0 - 0.119, abs=0.03)
    assert fitted.copies == pytest.approx((0.274 - 0.119) / (1.0 - 0.119), abs=0.03)
    assert int(np.argmax(fitted.smooth)) == 9
    plain = SurrogateLlm(noise=0.05, copy_rate=0.0, outside_rate=0.0)
    fitted = samples_of(lambda parents, rng: np.clip(draw_offspring(parents, GRID.levels, 2, rng, plain), 0, 1000), 400)
    assert fitted.residual_sd == pytest.approx(0.05, abs=0.008)  # one coordinate in 400 lies past its bound
    np.testing.assert_allclose(fitted.smooth, published_rank_weights(10), atol=0.01)
    assert fitted.r2 > 0.8


def test_too_few_answers_or_parents_that_are_alike_give_no_fit():
    samples = Samples(GRID)
    samples.add(np.full((5, 12), 500), np.full((MIN_OFFSPRING - 1, 12), 400.0))
    assert samples.fit() is None
    assert samples.report() == {"offspring": MIN_OFFSPRING - 1}
    samples.add(np.full((5, 12), 500), np.full((1, 12), 400.0))
    assert samples.fit() is None  # nothing can be learned about weights from equal parents


def test_integers_stay_integers_in_the_distilled_operator():
    instance = Knights().instance()
    fit = LinearFit(published_rank_weights(5), published_rank_weights(5), 0.3, 0.8, 0.1, 0, 0, 0, 0, 0, 0)
    run = solve(instance, Around(operator=Distilled(fit, Grid(instance.space)), pop_size=20, n_neighbors=8), 200)
    np.testing.assert_array_equal(run.points[:, :3], np.rint(run.points[:, :3]))


# -- portfolio ---------------------------------------------------------------------------------------------------------


class Model(Several):
    """Stands in for the language model's operator: two offspring per target for one call, or failures."""

    def __init__(self, meter: BudgetMeter, notes: Notes, labels: tuple[str, ...] = ("llm", "repaired")) -> None:
        super().__init__(lambda t: len(labels))
        self.meter, self.notes, self.labels, self.told = meter, notes, labels, []

    def propose(self, wave: Wave) -> Proposals:
        made = super().propose(wave)
        for row, target in enumerate(wave.targets.tolist()):
            self.notes.asked([target], LlmReply(tokens_in=100, tokens_out=10))
            held = self.meter.reserve(tokens=0, usd=0.0)
            self.meter.settle(held, tokens_in=100, tokens_out=10, usd=0.0)
            mine = made.X[made.owner == target]
            parents, _, _ = ranked_parents(wave, row, 5, self.notes.grid)
            self.notes.answered(parents, self.notes.grid.encode(wave.instance.space.clip(mine)))
        return Proposals(made.X, made.owner, list(self.labels) * wave.targets.size)

    def learn(self, feedback: Feedback) -> None:
        self.told.append(feedback)


class Run:
    """A portfolio on ZDT1 and what came of it."""

    def __init__(
        self, evaluations: int = 620, *, labels: tuple[str, ...] = ("llm", "repaired"), instance: Any = None, **options: Any
    ) -> None:
        instance = Zdt1(dim=12, shift=0.3).instance() if instance is None else instance
        self.meter = BudgetMeter(Budget(evaluations=evaluations, llm_calls=None))
        self.notes = Notes(Grid(instance.space))
        self.model = Model(self.meter, self.notes, labels)
        self.bandit = Bandit({"llm": 0.1, "de": 0.45, "sbx": 0.45})
        settings_ = {"chooser": random_share(0.2), "call_cost": 3.0, "fallback": "de", **options}
        self.portfolio = Portfolio(
            self.model, {"de": De(), "sbx": Sbx()}, bandit=self.bandit, meter=self.meter, notes=self.notes, **settings_
        )
        solver = Around(operator=self.portfolio, pop_size=20, n_neighbors=8, wave_size=20)
        # The run's own meter is the portfolio's, so that the room at the end of the budget is known.
        self.run = solve_with_meter(instance, solver, self.meter)
        history = self.run.evaluator.history
        self.sources = [history.sources[code] for code in history.source]
        self.operator = self.run.outcome.report["operator"]


def solve_with_meter(instance: Any, solver: Any, meter: BudgetMeter) -> Any:
    from optisolve.core import Task
    from optisolve.run.evaluator import Evaluator
    from tests.solvers.toys import Run as Finished

    evaluator = Evaluator(instance, meter)
    task = Task(instance, evaluator, evaluator, meter, 1, "around")
    return Finished(solver._solve(task), evaluator, np.empty((0, 12)))


def test_a_portfolio_serves_every_target_and_counts_gains_and_costs_by_operator():
    ran = Run()
    assert set(ran.sources) == {"start:uniform", "llm", "repaired", "de", "sbx"}
    assert sum(ran.bandit.spent(name) for name in ("llm", "de", "sbx")) == 600 + 3.0 * ran.meter.llm_calls
    assert ran.bandit.spent("de") == ran.sources.count("de")
    assert ran.bandit.spent("llm") == ran.sources.count("llm") + ran.sources.count("repaired") + 3.0 * ran.meter.llm_calls
    made = ran.sources.count("llm") + ran.sources.count("repaired")
    assert ran.operator["model_share"] == pytest.approx(made / 600)
    assert ran.operator["spent"]["llm"]["tokens_in"] == 50 * ran.meter.llm_calls


def test_the_operator_of_the_model_hears_what_became_of_its_offspring():
    ran = Run()
    labels = [label for feedback in ran.model.told for label in feedback.source]
    assert labels == ran.sources[20:]


def test_a_fallback_is_credited_to_its_operator_and_its_call_to_the_model():
    ran = Run(labels=("fallback",))
    assert ran.operator["model_share"] == 0.0
    assert ran.bandit.spent("llm") == 3.0 * ran.meter.llm_calls > 0
    assert ran.bandit.spent("de") == ran.sources.count("de") + ran.sources.count("fallback")
    k = ran.bandit.names.index("llm")
    assert all(not row[k] for row in ran.operator["credit"]["credit"])
    assert ran.operator["spent"] == {
        "fallback": {"tokens_in": ran.meter.tokens_in, "tokens_out": ran.meter.tokens_out, "usd": 0}
    }


def test_while_nothing_is_feasible_credit_goes_to_what_lowers_the_violation():
    def formula(X: Any) -> Any:
        return X[:, :2] ** 2, 1.0 + np.abs(X - 0.3).sum(axis=1, keepdims=True)

    space = GRID.space
    box = HypervolumeBox(reference=(2.0, 2.0), ideal=(0.0, 0.0))
    objectives = (Objective("f1", Sense.MINIMIZE), Objective("f2", Sense.MINIMIZE))
    instance = Toy(
        formula, origin=Zdt1().origin(0), space=space, objectives=objectives, constraint_names=("g",), hypervolume_box=box
    )
    ran = Run(instance=instance)
    assert any(row != [None] * 3 for row in ran.operator["credit"]["credit"])
    assert np.abs(ran.bandit.shares - [0.1, 0.45, 0.45]).max() > 0.05


def test_at_the_end_of_the_budget_free_offspring_make_room_for_paid_ones():
    ran = Run(evaluations=20 + 20 + 11, chooser=random_share(0.25))
    calls = ran.meter.llm_calls
    assert ran.sources.count("llm") + ran.sources.count("repaired") == 2 * calls
    assert len(ran.sources) == 51


def test_the_fitted_operator_takes_over_when_its_credit_matches_and_saves_the_calls():
    ran = Run(evaluations=3000, distill=True)
    told = ran.operator["distilled"]
    assert told["offspring"] >= MIN_OFFSPRING
    joined, over = told["joined_in_wave"], told["handed_over_in_wave"]
    assert 0 < joined < over
    first = ran.sources.index("distilled")
    last_call = len(ran.sources) - 1 - ran.sources[::-1].index("llm")
    assert ran.sources[first : last_call + 20].count("distilled") >= TRIAL  # whole waves of 20 are counted
    assert "distilled" in ran.sources[last_call:]
    assert len(ran.sources) - last_call > 1000
    never = Run(evaluations=3000)
    assert never.meter.llm_calls > 2 * ran.meter.llm_calls
    assert "distilled" not in never.sources
    assert never.operator["distilled"]["offspring"] >= MIN_OFFSPRING  # the figures are there all the same
    assert never.operator["distilled"]["handed_over_in_wave"] is None


def test_classical_operators_ask_for_no_feedback():
    assert not any(isinstance(operator, Learner) for operator in (De(), Sbx(), Linear(), Gaussian()))


def test_normal_noise_is_as_wide_as_the_neighborhood():
    class Watched:
        def propose(self, wave: Wave) -> Proposals:
            made = Gaussian(width=0.5).propose(wave)
            step = (made.X - wave.X[wave.targets]) / wave.X[wave.mates].std(axis=1)
            inside = (made.X > 0) & (made.X < 1)
            steps.append(step[inside])
            return made

        def report(self) -> Mapping[str, Any]:
            return {}

    steps: list[Any] = []
    solve(Zdt1(dim=12, shift=0.5).instance(), Around(operator=Watched(), n_neighbors=20), 600)
    moved = np.concatenate(steps)
    assert moved[moved != 0.0].std() == pytest.approx(0.5, rel=0.15)
    assert 0.15 < (moved != 0.0).mean() < 0.35  # a few variables at a time


@pytest.mark.parametrize(
    ("given_", "read"),
    [
        ("auto", "auto"),
        ("adaptive", "adaptive"),
        ("llm_only", "llm_only"),
        (0.3, 0.3),
        ("0.3", 0.3),
        ("fixed(0.3)", 0.3),
        ("fixed(1)", 1.0),
        (0, 0.0),
        ("fixed(1.5)", None),
        ("fixed()", None),
        ("nan", None),
        ("sometimes", None),
        (-0.1, None),
    ],
)
def test_a_mix_has_one_meaning(given_, read):
    assert read_mix(given_) == read


def test_a_box_that_no_point_reaches_does_not_blind_the_mix():
    """Forty users in the box of twelve: operators are still told apart, and the run says what the hypervolume is worth."""
    corners = {"hypervolume_reference": (-25.0, 2.0), "hypervolume_ideal": (0.0, 0.0)}
    instance = optisolve.load_problem("uav_isac", n_users=40, **corners).instance(0)
    budget = optisolve.Budget(evaluations=900, llm_calls=10)
    result = optisolve.solve(instance, "ledma", llm="surrogate", budget=budget, pop_size=40, n_neighbors=10)
    credit = result.record.used.report["operator"]["credit"]
    assert result.hypervolume == 0.0
    assert any(value not in (None, 0.0) for row in credit["credit"] for value in row)
    shares = [share for name, share in zip(credit["operators"], credit["share"][-1], strict=True) if name != "llm"]
    assert max(shares) > 1.5 * min(shares)


def test_credit_is_forgotten_when_gains_are_measured_in_another_box():
    ran = Run()
    assert ran.bandit.credit.max() > 1.0
    feedback = ran.model.told[-1]
    ran.portfolio.learn(dataclasses.replace(feedback, gain=np.zeros(feedback.owner.size), rescaled=True))
    assert ran.bandit.credit.tolist() == [1.0] * 3

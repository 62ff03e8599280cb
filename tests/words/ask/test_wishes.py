"""Wishes, deadlines, and goals on beamforming: enforced where it is proven that they can be, never at a requirement's cost."""

from __future__ import annotations

from itertools import chain, combinations

import numpy as np
import pytest
from labelled.requests import Kind, generate_intents

import optisolve
from optisolve.core.budget import Budget
from optisolve.core.errors import OptionError
from optisolve.core.reference import Effort
from optisolve.core.status import Evidence
from optisolve.goals.goal import bounds_of, goal_from
from optisolve.goals.goal_instance import GoalInstance
from optisolve.goals.metric import effective
from optisolve.goals.wishes import settle_wishes
from optisolve.words.ask import requests as asking
from optisolve.words.ask.requests import AskStatus, answer, ask, parse
from optisolve.words.ask.rules import read_by_rules

GAME, LINKS, BEAMS = "power_game", "power_control/gaussian_k5_10db", "beamforming"


def rate(value, unit, *users, hard=True):
    return {"metric": "rate", "op": ">=", "value": value, "unit": unit, "users": list(users), "hard": hard}


@pytest.fixture(scope="module")
def game():
    return optisolve.load_problem(GAME).instance(0)


def satisfiable(instance, clauses, *, keep=True):
    goal = goal_from({"constraints": [{**c.model_dump(), "hard": True} for c in clauses], "keep": keep})
    bounds = effective(instance.own_bounds(), bounds_of(goal, instance.metrics()), keep=keep)
    return instance.satisfiable(bounds).answer


@pytest.mark.parametrize("seed", [0, 1])
def test_the_largest_set_of_wishes_is_enforced(seed):
    """Against all subsets, each decided by the family; ties go to earlier wishes."""
    instance = optisolve.load_problem(LINKS).instance(seed)
    alone = instance.metric_values(np.diag(instance.p_max_w))["rate"].diagonal()
    asked = alone * np.array([0.9, 0.3, 0.5, 0.2, 0.95])
    wishes = [rate(float(f"{r:.3g}"), "bit/s/Hz", k + 1, hard=False) for k, r in enumerate(asked)]
    goal = goal_from({"constraints": [rate(0.05, "bit/s/Hz", 1), *wishes]})
    settled = settle_wishes(instance, goal)
    hard = [c for c in settled.constraints if c.hard]
    assert hard[0] == goal.constraints[0]
    assert satisfiable(instance, hard) is True
    subsets = chain.from_iterable(combinations(goal.constraints[1:], n) for n in range(6))
    largest = max(len(s) for s in subsets if satisfiable(instance, [goal.constraints[0], *s]) is True)
    assert len(hard) == 1 + largest
    assert 0 < largest < 5  # else the test says nothing
    assert settle_wishes(instance, settled) == settled


def test_a_wish_of_all_users_is_one_wish_each(game):
    settled = settle_wishes(game, goal_from({"constraints": [rate(16, "kbps", hard=False)]}))
    assert [c.users for c in settled.constraints] == [(1,), (2,), (3,), (4,)]
    assert any(c.hard for c in settled.constraints)
    assert not all(c.hard for c in settled.constraints)


def test_a_wish_never_loosens_what_the_scenario_asks_for(game):
    base = game.with_goal(goal_from({})).cell.rate_threshold_bit_s
    wished = game.with_goal(goal_from({"constraints": [rate(1, "kbps", 2, hard=False)]})).cell.rate_threshold_bit_s
    assert wished.tolist() == base.tolist()


def test_a_wish_must_fit_the_instance_like_any_clause(game):
    with pytest.raises(OptionError, match="users 1 to 4"):
        game.with_goal(goal_from({"constraints": [rate(1, "kbps", 7, hard=False)]}))


def test_an_answer_says_what_became_of_every_wish():
    goal = {"constraints": [rate(16, "kbps", 2), rate(16.5, "kbps", 2, hard=False), rate(60, "kbps", 3, hard=False)]}
    told = ask(goal, GAME, solver="scipy_local")
    assert told.status is AskStatus.VERIFIED
    assert told.certificate == "EXACT"
    lines = " ".join(told.back_translation)
    assert "Wish enforced: rate of user 2 at least 16.5 kbit/s" in lines
    assert "Wish not enforced, since beside the rest it cannot be met" in lines
    given_up = [c for c in told.clauses if c.soft]
    assert [c.holds for c in given_up] == [False]
    assert next(c for c in told.clauses if "16.5 kbit/s" in c.text).holds
    assert optisolve.verify(told.result.record)


def test_wishes_are_read_from_the_words(game):
    reading = read_by_rules("save at least 5 % power while user 2 gets at least 18 kbps if possible", game.metrics())
    assert reading.complete
    assert [c.hard for c in reading.goal.constraints] == [True, False]
    lost = read_by_rules("user 2 gets at least 18 kbps, if possible", game.metrics())
    assert any("'if possible'" in q for q in lost.questions)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("save 5 % power, answer within 5 s", 5.0),
        ("answer within 250 ms: save 5 % power", 0.25),
        ("save 5 % power within 5 s", 5.0),
        ("within 2 s save 5 % power", 2.0),
    ],
)
def test_a_deadline_is_no_requirement_of_the_network(text, seconds, game):
    reading = read_by_rules(text, game.metrics())
    assert reading.complete, reading
    assert reading.goal.deadline_s == pytest.approx(seconds)
    assert len(reading.goal.constraints) == 1


@pytest.mark.parametrize(
    "text", ["save 5 % power, answer within", "answer within 5 s and answer within 6 s: save 5 % power", "save 5 s power"]
)
def test_a_deadline_that_is_not_clear_becomes_a_question(text, game):
    assert read_by_rules(text, game.metrics()).questions


@pytest.mark.parametrize(("given", "used"), [(None, 7.5), (3.0, 3.0), (60.0, 7.5)])
def test_the_tighter_of_deadline_and_budget_goes_to_the_solver(given, used, game, monkeypatch):
    seen = []
    real = asking.solve

    def watched(*args, budget, **more):
        seen.append(budget.seconds)
        return real(*args, budget=budget, **more)

    monkeypatch.setattr(asking, "solve", watched)
    parsed = parse({"constraints": [rate(10, "kbps", 2)], "deadline_s": 7.5}, game)
    answer(parsed, game, solver="scipy_local", budget=Budget(evaluations=500, seconds=given))
    assert seen == [used]


def test_auto_takes_complete_words_and_calls_no_model(game):
    parsed = parse("save at least 5 % power", game, parser="auto", llm="openai")
    assert (parsed.by, parsed.grounded) == ("rules", True)
    with pytest.raises(optisolve.OptisolveError):  # words that the rules do not know go to the model, which is not there
        parse("kindly save 5 % power", game, parser="auto", llm="surrogate")


# -- beamforming ----------------------------------------------------------------------------------------------------------


def sinr(value_db, *users):
    return {"metric": "sinr", "op": ">=", "value": value_db, "unit": "dB", "users": list(users)}


NATIVE = {
    "targets": (BEAMS, {"constraints": [sinr(6, 1, 2), sinr(12, 3)]}),
    "rates": (BEAMS, {"constraints": [rate(1.5, "bit/s/Hz")], "keep": False}),
    "budget": ("beamforming/max_min", {"constraints": [{"metric": "total_power", "op": "<=", "value": 4, "unit": "W"}]}),
    "balance": (BEAMS, {"objective": {"sense": "maxmin", "terms": [{"metric": "rate"}]}, "keep": False}),
}


@pytest.mark.parametrize("case", NATIVE)
def test_beamforming_goals_have_certified_optima_that_the_socp_confirms(case):
    problem, goal = NATIVE[case]
    made = optisolve.load_problem("goal", problem=problem, goal=goal)
    instance = made.instance(0)
    assert not isinstance(instance, GoalInstance)
    reference = made.reference(instance, Effort.THOROUGH)  # raises where duality and SOCP differ
    assert reference.evidence is Evidence.PROVEN_OPTIMAL
    base = optisolve.load_problem(problem).instance(0)
    assert all(check.margin >= -1e-7 for check in asking.check_clauses(base, goal_from(goal), reference.X[0]))


def test_the_least_power_for_a_scaled_target_is_that_of_the_family():
    """One target for all, as a goal and as a scenario parameter."""
    goal = {"constraints": [sinr(7)]}
    by_goal = optisolve.load_problem("goal", problem=BEAMS, goal=goal)
    by_scenario = optisolve.load_problem(BEAMS, sinr_target_db=7.0)
    values = [p.reference(p.instance(3), Effort.QUICK).value for p in (by_goal, by_scenario)]
    assert values[0] == pytest.approx(values[1], rel=1e-9)


def test_beamforming_metrics_are_the_quantities_of_the_evaluation():
    instance = optisolve.load_problem(BEAMS).instance(0)
    X = instance.project(instance.space.sample(np.random.default_rng(0), 20))
    values, twin = instance.metric_values(X), instance.evaluate_twin(X)
    assert np.allclose(values["total_power"], twin.F[:, 0])
    assert np.allclose(1.0 - values["sinr"] / instance.constants.sinr_target, twin.G[:, 1:])
    assert np.allclose(values["rate"].sum(axis=1), values["sum_rate"])


def test_a_general_beamforming_goal_enforces_what_was_asked_and_no_target_that_it_dropped():
    goal = goal_from(
        {"objective": {"sense": "min", "terms": [{"metric": "total_power"}]}, "constraints": [sinr(3, 1)], "keep": False}
    )
    case = optisolve.load_problem(BEAMS).instance(0).with_goal(goal)
    assert isinstance(case, GoalInstance)
    h = case.base.constants.h
    x = np.zeros((1, case.space.dim))
    W = np.zeros_like(h)
    least = 10**0.3 / float((np.abs(h[0]) ** 2).sum())  # alone on the channel, by hand
    W[0] = np.sqrt(least) * h[0] / np.linalg.norm(h[0])
    x[0] = np.stack([W.real, W.imag], axis=-1).ravel()
    told = case.evaluate_twin(x)
    assert told.F[0, 0] == pytest.approx(least)
    assert (told.G <= 1e-9).all()


@pytest.mark.parametrize(("targets", "met"), [([sinr(10)], True), ([sinr(45)], False), ([sinr(3, 1)], True)])
def test_beamforming_targets_are_decided_in_advance(targets, met):
    instance = optisolve.load_problem(BEAMS).instance(0)
    bounds = bounds_of(goal_from({"constraints": targets}), instance.metrics())
    assert instance.satisfiable(bounds).answer is met


def test_generated_beamforming_requests_are_read_and_proven():
    kinds = (Kind.PLAIN, Kind.COMPOUND, Kind.UNIT_TRAP)
    for intent in generate_intents(6, kinds=kinds, problems=("beamforming", "beamforming/max_min")):
        instance = optisolve.load_problem(intent.problem).instance(intent.instance)
        reading = read_by_rules(intent.text, instance.metrics())
        assert reading.complete, (intent.text, reading)
        assert intent.optimum is not None


def test_more_families_do_not_change_the_published_requests():
    texts = [i.text for i in generate_intents(3)]
    assert texts == [
        i.text for i in generate_intents(3, problems=("power_game/zou_spread", LINKS, "nsp_utility", "parallel_channels"))
    ]


def test_least_power_with_floors_for_some_users_is_proven_and_the_limit_of_floors_for_all():
    """The others get a floor that goes to nothing; then the goal is the family's own, solved by the duality."""
    aim = {"sense": "min", "terms": [{"metric": "total_power"}]}
    some = {"objective": aim, "constraints": [sinr(6, 1, 3)], "keep": False}
    nothing = {"metric": "sinr", "op": ">=", "value": 1e-7, "unit": "", "users": [2, 4]}
    values = []
    for goal in (some, {**some, "constraints": [sinr(6, 1, 3), nothing]}):
        made = optisolve.load_problem("goal", problem=BEAMS, goal=goal)
        instance = made.instance(0)
        reference = made.reference(instance, Effort.QUICK)
        assert reference.evidence is Evidence.PROVEN_OPTIMAL
        values.append(reference.value)
        assert isinstance(instance, GoalInstance) == (goal is some)
    assert values[0] == pytest.approx(values[1], rel=1e-5)

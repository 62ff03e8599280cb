"""Games of agents without a language model: equilibria, the loop, what is measured."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import optisolve
from optisolve.core import Budget, Limit, PointStatus, Termination
from optisolve.core.errors import OptionError, SolverError
from optisolve.numerics.games import EnergyEfficiencyGame, MinPowerGame, RateGame
from optisolve.numerics.interference import foschini_miljanic, least_powers
from optisolve.registry import make_problem, make_solver
from optisolve.solvers.game import Game, GameControl
from optisolve.solvers.game.ledger import jain, oscillation
from optisolve.solvers.game.views import Mailbox, Report
from optisolve.testing import SolverConformance
from optisolve.testing.toys import toy_instances

HARD = "power_game/zou_hard"
KINDS = (
    "best_response",
    "grid_best_response",
    "foschini_miljanic",
    "regret_matching",
    "proportional_cut",
    "equal_cut",
    "random",
)
PROTOCOLS = ("simultaneous", "sequential", "asynchronous")


class TestGameControl(SolverConformance):
    def make_solver(self):
        return make_solver("game_control")

    def make_instances(self):
        names = (HARD, "power_game/zou_spread", "power_control/gaussian_k5_0db", "power_control/min_power")
        return [*(make_problem(name).instance(1) for name in (*names, "power_control/energy_efficiency")), *toy_instances()]


class TestRegretMatching(TestGameControl):
    def make_solver(self):
        return make_solver("game_control", {"agents": ["regret_matching"], "protocol": "asynchronous"})


def channel(seed, n=4, cross=0.3):
    rng = np.random.default_rng(seed)
    gain = cross * rng.exponential(size=(n, n))
    np.fill_diagonal(gain, 0.2 + rng.exponential(size=n))
    return gain, rng.uniform(0.05, 0.5, n), rng.uniform(0.5, 2.0, n)


def games(seed):
    gain, noise, cap = channel(seed)
    rng = np.random.default_rng(seed + 1)
    weight = rng.uniform(0.5, 2.0, cap.size)
    return [
        MinPowerGame(gain, noise, cap, rng.uniform(0.1, 3.0, cap.size)),
        RateGame(gain, noise, cap, weight),
        RateGame(gain, noise, cap, weight, price_per_w=0.8),
        EnergyEfficiencyGame(gain, noise, cap, weight, 0.3, 1.5),
    ]


def play(scenario=HARD, *, seed=0, evaluations=3000, reference=False, instance=0, **options):
    problem = make_problem(scenario)
    case = problem.instance(instance)
    told = problem.reference(case) if reference else None
    budget = Budget(evaluations=evaluations)
    return optisolve.solve(case, make_solver("game_control", options), budget=budget, seed=seed, reference=told)


def report_of(result):
    return result.record.used.report


# -- utilities and equilibria -----------------------------------------------------------------------------------------


@given(seed=st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_no_own_action_beats_the_best_response(seed):
    """Against a dense grid of own actions, for every game, everybody else fixed."""
    x = np.random.default_rng(seed + 2).random(4)
    for game in games(seed):
        point = x * game.upper
        best = game.best_response(point)
        assert (best >= 0.0).all()
        assert (best <= game.upper).all()
        for k in range(4):
            others = game.own_utilities(k, np.linspace(0.0, game.upper[k], 2001), point)
            mine = float(game.own_utilities(k, best[[k]], point)[0])
            assert mine >= others.max() - 1e-9 * max(1.0, abs(others.max()))
            gained = max(0.0, mine - float(game.utilities(point[None])[0, k]))
            assert game.regrets(point)[k] == pytest.approx(gained, abs=1e-12)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_best_response_to_a_floor_is_the_least_power_that_meets_it(seed):
    """The penalty is exact: where the cap allows the floor, utility and constraint lead to the same action."""
    gain, noise, cap = channel(seed)
    floor = np.random.default_rng(seed).uniform(0.01, 5.0, cap.size)
    game = MinPowerGame(gain, noise, cap, floor)
    x = np.random.default_rng(seed + 1).random(4) * cap
    required, best = game.required(x), game.best_response(x)
    reachable = required <= cap
    np.testing.assert_allclose(best[reachable], required[reachable], rtol=1e-12)
    assert (best[~reachable] <= cap[~reachable]).all()


def test_the_equilibrium_of_the_floors_is_the_least_power():
    """Regrets vanish at p* of the closed form and nowhere on the way of Foschini and Miljanic."""
    instance = make_problem(HARD).instance(0)
    game = MinPowerGame(instance.gain, instance.noise_w, instance.p_max_w, instance.sinr_floor)
    least = least_powers(instance.gain, instance.noise_w, instance.sinr_floor, instance.p_max_w).powers_w
    assert game.regrets(least).max() < 1e-12
    path = foschini_miljanic(
        instance.initial_power_w, instance.gain, instance.noise_w, instance.sinr_floor, instance.p_max_w, 20
    )
    assert min(game.regrets(x).max() for x in path) > 1e-4


def test_without_a_price_everybody_is_at_full_power_and_the_sum_suffers():
    """Full power is dominant for rates; the report says so and the objective is not the optimum."""
    result = play("power_control/gaussian_k5_0db", agents=["best_response"], reference=True)
    np.testing.assert_array_equal(result.run.outcome.X[0], result.instance.p_max_w)
    assert report_of(result)["epsilon"] == 0.0
    assert result.scores["gap"] > 0.05


# -- Foschini and Miljanic --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("scenario", [HARD, "power_game/zou_15khz", "power_game/zou_spread"])
@pytest.mark.parametrize("kind", ["foschini_miljanic", "best_response"])
def test_distributed_control_reaches_the_optimum(kind, protocol, scenario):
    """Within 1e-6 W of p* in every component, whoever moves when (Yates 1995), and that is an equilibrium."""
    result = play(scenario, agents=[kind], protocol=protocol, reference=True, seed=3)
    reference = make_problem(scenario).reference(result.instance)
    np.testing.assert_allclose(result.run.outcome.X[0], reference.X[0], atol=1e-6)
    assert result.termination is Termination.CONVERGED
    assert result.point_status is PointStatus.FEASIBLE
    assert abs(result.scores["gap"]) < 1e-7
    assert report_of(result)["epsilon"] < 1e-7
    assert report_of(result)["messages"] == 0


def test_total_power_round_by_round_is_the_golden_trace():
    """Derived: 15.626, 12.856 and 10.313 W after 1, 5 and 20 rounds at 15 kHz; no threshold is ever missed."""
    told = report_of(play("power_game/zou_15khz", agents=["foschini_miljanic"], rounds=20))
    totals = dict(zip(told["rounds"]["round"], told["rounds"]["objective"], strict=True))
    for rounds, total in {1: 15.626, 5: 12.856, 20: 10.313}.items():
        assert totals[rounds] == pytest.approx(total, abs=5e-4)
    assert told["deficit"] == 0.0
    assert told["oscillation"] == 0.0


def test_the_grid_costs_at_most_one_level_per_agent_of_utility():
    """Best responses on the grid end where nobody gains more than a level's worth by leaving it."""
    told = report_of(play(agents=["grid_best_response"], levels=200))
    assert 0.0 < told["epsilon"] <= 1.0 / 200
    finer = report_of(play(agents=["grid_best_response"], levels=2000))
    assert finer["epsilon"] <= 1.0 / 2000


@pytest.mark.parametrize("kind", ["proportional_cut", "equal_cut"])
def test_naive_cuts_meet_the_intent_and_break_a_threshold_in_the_hard_setting(kind):
    """Derived: at 14.5 kHz and noise 1 both 5 % cuts fail, at 15 kHz both work; the cut is the intent's 0.85 W."""
    hard, easy = play(agents=[kind]), play("power_game/zou_15khz", agents=[kind])
    assert hard.point_status is PointStatus.INFEASIBLE
    assert easy.point_status is PointStatus.FEASIBLE
    for result in (hard, easy):
        assert result.run.outcome.X.sum() == pytest.approx(17.0 - 0.85)
    assert report_of(hard)["deficit"] > 0.0
    assert report_of(hard)["epsilon"] > 0.01


def test_regret_matching_is_nearer_to_equilibrium_than_random_play():
    """On the grid of 200 levels the gain of moving alone falls below two levels."""
    assert report_of(play(agents=["regret_matching"], rounds=400))["epsilon"] < 0.01
    assert report_of(play(agents=["random"], rounds=400))["epsilon"] > 0.1


# -- the loop ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_known_beyond_measurements_changes_nothing_for_controls_but_the_messages(kind):
    """Local information suffices; messages are one per listener, agent and round."""
    local, talking, everything = (
        play(agents=[kind], information=name, rounds=12, seed=5) for name in ("local", "neighbors", "global")
    )
    for other in (talking, everything):
        np.testing.assert_array_equal(local.run.outcome.X, other.run.outcome.X)
    played = report_of(talking)["played"]
    assert report_of(talking)["messages"] == played * 4 * 3
    assert report_of(talking)["bytes"] > 15 * report_of(talking)["messages"]
    assert report_of(everything)["messages"] == report_of(local)["bytes"] == 0


def test_neighbors_are_those_that_disturb_most():
    """One neighbor each: as many messages as agents, and the strongest interferer is the one that is heard."""
    told = report_of(play("power_control/min_power", information="neighbors", n_neighbors=1, rounds=3, agents=["random"]))
    n = len(told["agents"])
    assert told["messages"] == 3 * n
    gain = np.array([[1.0, 0.1, 0.5], [0.3, 1.0, 0.2], [0.4, 0.6, 1.0]])
    game = RateGame(gain, np.ones(3), np.ones(3), np.ones(3))
    box = Mailbox(game, 1)
    for agent in range(3):
        box.post(Report(agent, 50, 1.0))
    assert [box.heard_by(agent)[0].agent for agent in range(3)] == [2, 0, 1]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_who_moves_depends_on_the_seed_only(protocol):
    first, again = (play(agents=["random"], protocol=protocol, rounds=10, seed=4) for _ in range(2))
    other = play(agents=["random"], protocol=protocol, rounds=10, seed=5)
    assert first.result_hash == again.result_hash
    assert report_of(first)["rounds"]["actions"] != report_of(other)["rounds"]["actions"]
    moves = sum(report_of(first)["moves"].values())
    assert moves == 40 if protocol != "asynchronous" else 10 <= moves < 40


def test_sequential_play_sees_the_moves_of_the_same_round():
    """One round of best responses, one after the other, is nearer to the optimum than all at once."""
    together, in_turn = (
        report_of(play(agents=["best_response"], protocol=name, rounds=1)) for name in ("simultaneous", "sequential")
    )
    assert in_turn["rounds"]["objective"][1] < together["rounds"]["objective"][1]


def test_no_agent_moves_further_than_allowed():
    told = report_of(play(agents=["random"], max_step=0.02, rounds=50))
    steps = np.abs(np.diff(np.array(told["rounds"]["actions"]), axis=0))
    assert 0.0 < steps.max() <= 0.02 * 10.0 + 1e-12


def test_the_answer_is_where_the_agents_end_and_survives_verification():
    """Not the best that they passed through, unless asked for; the record passes the audit either way."""
    last, best = (play(agents=["random"], rounds=60, answer=answer, reference=True) for answer in ("last", "best"))
    assert last.run.outcome.X[0].tolist() == report_of(last)["rounds"]["actions"][-1]
    violations = report_of(best)["rounds"]["violation"]
    found = best.instance.evaluate(best.run.outcome.X)
    assert float(found.violation[0]) == pytest.approx(min(violations))
    for result in (last, best):
        audit = optisolve.verify(result.record)
        assert audit, audit


def test_mixed_tables_play_together():
    """One agent each of four kinds; every kind moves once per round."""
    kinds = ["best_response", "foschini_miljanic", "regret_matching", "random"]
    told = report_of(play(agents=kinds, rounds=7))
    assert told["moves"] == dict.fromkeys(sorted(kinds), 7)


def test_a_budget_of_evaluations_ends_the_game():
    result = play(agents=["random"], evaluations=6)
    assert result.limit is Limit.EVALUATIONS
    assert report_of(result)["played"] == 5


def test_long_games_list_two_hundred_rounds_and_count_all():
    told = report_of(play(agents=["random"], rounds=600))
    assert len(told["rounds"]["round"]) == len(told["rounds"]["epsilon"]) == 200
    assert told["rounds"]["round"][-1] == told["played"] == 600


def test_what_cannot_be_played_is_refused_in_words():
    fm = make_solver("game_control", {"agents": ["foschini_miljanic"]})
    assert "SINR floors" in fm.skip(make_problem("power_control/gaussian_k5_0db").instance(0))
    assert "needs an instance with the goal" in GameControl().skip(make_problem("power_control/max_min").instance(0))
    two = GameControl(agents=("random", "random"))
    assert "name one or all" in two.skip(make_problem(HARD).instance(0))
    with pytest.raises(SolverError, match="name one or all"):
        play(agents=["random", "random"])
    with pytest.raises(OptionError, match="agents"):
        GameControl(agents=("llm",))
    with pytest.raises(OptionError, match="at least one 'llm'"):
        Game(agents=("random",))


# -- measures ---------------------------------------------------------------------------------------------------------


def test_fairness_is_one_for_equals_and_one_over_k_for_a_monopoly():
    assert jain(np.array([2.0, 2.0, 2.0])) == pytest.approx(1.0)
    assert jain(np.array([5.0, 0.0, 0.0, 0.0])) == pytest.approx(0.25)
    assert jain(np.zeros(3)) == 1.0


def test_oscillation_is_the_share_of_movement_that_led_nowhere():
    straight = np.array([[0.0, 4.0], [1.0, 3.0], [2.0, 2.0]])
    assert oscillation(straight) == pytest.approx(0.0)
    assert oscillation(np.array([[0.0], [1.0], [0.0]])) == pytest.approx(1.0)
    assert oscillation(np.array([[0.0], [3.0], [2.0]])) == pytest.approx(1.0 - 2.0 / 4.0)
    assert oscillation(np.zeros((3, 2))) == 0.0


def test_the_deficit_adds_up_what_every_round_missed():
    told = report_of(play(agents=["random"], rounds=30))
    assert told["deficit"] == pytest.approx(sum(told["rounds"]["shortfall"][1:]))
    instance = make_problem(HARD).instance(0)
    game = MinPowerGame(instance.gain, instance.noise_w, instance.p_max_w, instance.sinr_floor)
    x = np.array(told["rounds"]["actions"][3])
    missed = np.maximum(0.0, game.needed - game.rates(x[None])[0]).sum()
    assert told["rounds"]["shortfall"][3] == pytest.approx(missed, abs=1e-7)


@pytest.mark.parametrize(("name", "cls"), [("game", Game), ("game_control", GameControl)])
def test_presets_hold_the_class_defaults(name, cls):
    assert make_solver(name) == cls()


def test_the_rounds_are_drawn():
    """One picture for several games of one instance."""
    from optisolve.plotting.game import rounds_figure

    results = {kind: play(agents=[kind], rounds=15) for kind in ("foschini_miljanic", "random")}
    figure = rounds_figure({name: report_of(r) for name, r in results.items()}, results["random"].instance, optimum=13.56)
    assert len(figure.axes) == 3
    assert [len(axes.lines) for axes in figure.axes] == [3, 2, 2]
    np.testing.assert_allclose(
        figure.axes[0].lines[0].get_ydata(), report_of(results["foschini_miljanic"])["rounds"]["objective"]
    )

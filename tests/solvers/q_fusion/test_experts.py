"""Fusing experts: pure rules, tabular experts, plans, and what fusion can and cannot do in mazes."""

from __future__ import annotations

import numpy as np
import pytest

import optisolve
from optisolve.core import Budget, PointStatus
from optisolve.llm.forms import schema_of
from optisolve.numerics.grid_world import shortest_walk
from optisolve.numerics.interference import sinr
from optisolve.registry import make_problem, make_solver
from optisolve.solvers.q_fusion import RULES, QFusion, QFusionControl, fuse_q, mix_actions, normalized
from optisolve.solvers.q_fusion.experts import expert_names, joint_values, make_experts, successor_values, target_of
from optisolve.solvers.q_fusion.plan import blind_plan, plan_form, read_plan, rule_plan
from optisolve.testing import SolverConformance
from optisolve.testing.toys import toy_instances


class TestQFusionControl(SolverConformance):
    evaluations = 3

    def make_solver(self):
        return QFusionControl(episodes=50)

    def make_instances(self):
        return [make_problem(name).instance(1) for name in ("maze", "maze/random")] + toy_instances()


def play(scenario, *, instance=0, **options):
    problem = make_problem(scenario)
    case = problem.instance(instance)
    return optisolve.solve(
        case,
        make_solver("q_fusion_control", options),
        budget=Budget(evaluations=5),
        seed=instance,
        reference=problem.reference(case),
    )


def exact(world):
    return make_experts(
        world, training="value_iteration", episodes=1, learning_rate=1.0, exploration=0.0, rng=np.random.default_rng(0)
    )


# -- rules ------------------------------------------------------------------------------------------------------------


def test_scale_free_values_do_not_depend_on_units_or_offsets():
    Q = np.random.default_rng(0).normal(size=(3, 7, 4))
    np.testing.assert_allclose(normalized(5.0 * Q + 2.0), normalized(Q), atol=1e-12)
    assert np.ptp(normalized(Q), axis=-1) == pytest.approx(1.0)
    np.testing.assert_array_equal(normalized(np.ones((2, 3))), 0.0)


@pytest.mark.parametrize("rule", RULES)
def test_one_expert_alone_decides_as_it_would_and_a_weightless_one_has_no_say(rule):
    rng = np.random.default_rng(1)
    Q = rng.normal(size=(3, 20, 4))
    alone = fuse_q(rule, Q[:1], np.array([1.0])).argmax(axis=-1)
    np.testing.assert_array_equal(alone, Q[0].argmax(axis=-1))
    muted = fuse_q(rule, Q, np.array([0.7, 0.0, 0.0])).argmax(axis=-1)
    np.testing.assert_array_equal(muted, Q[0].argmax(axis=-1))


def test_fusion_does_not_care_for_scales_and_an_expert_without_an_opinion_has_no_say():
    Q, weight = np.array([[[0.0, 1.0, 0.2]], [[500.0, 0.0, 900.0]], [[7.0, 7.0, 7.0]]]), np.array([1.0, 1.0, 5.0])
    scaled = Q * np.array([3.0, 0.01, 1.0])[:, None, None] + 4.0
    assert np.allclose(fuse_q("normalized", Q, weight), fuse_q("normalized", scaled, weight))
    alone = fuse_q("normalized", Q[:2], weight[:2])
    assert (fuse_q("normalized", Q, weight).argmax(), alone.argmax()) == (2, 2)
    assert fuse_q("gpi", Q, weight)[0].tolist() == [500.0, 7.0, 900.0]


def test_averaging_raw_values_lets_the_loudest_expert_win_and_normalizing_does_not():
    quiet, loud = np.array([[0.0, 1.0]]), np.array([[100.0, 99.0]])
    Q, weight = np.stack([quiet, loud * 10]), np.array([0.8, 0.2])
    assert fuse_q("average", Q, weight).argmax() == 0
    assert fuse_q("normalized", Q, weight).argmax() == 1
    assert fuse_q("product", Q, weight).argmax() == 1


def test_the_mean_of_two_good_decisions_is_refused_where_it_halves_the_rate():
    """Golden values of the blend trap: 3.4594 bit each, 1.7489 bit for the mean (two links, all gains 1, noise 0.1)."""
    gain, noise = np.ones((2, 2)), np.full(2, 0.1)

    def rate(P):
        return np.log2(1.0 + sinr(P, gain, noise)).sum(axis=1)

    experts, weight = np.eye(2), np.array([0.5, 0.5])
    assert rate(experts) == pytest.approx([3.4594, 3.4594], abs=5e-5)
    assert rate(experts.mean(axis=0)[None])[0] == pytest.approx(1.7489, abs=5e-5)
    for convex in (False, True):  # even a wrong claim of convexity cannot choose the worse point when values are known
        decision, how = mix_actions(experts, weight, value=rate, convex=convex)
        assert how == "best:0"
        assert rate(decision[None])[0] == pytest.approx(3.4594, abs=5e-5)
    assert mix_actions(experts, weight)[1] == "best:0"


def test_the_mean_is_taken_where_it_is_declared_safe_and_better():
    def value(X):
        return -((X - 0.5) ** 2).sum(axis=1)

    decision, how = mix_actions(np.eye(2), np.array([1.0, 1.0]), value=value, convex=True)
    assert how == "mean"
    np.testing.assert_allclose(decision, 0.5)
    assert mix_actions(np.eye(2), np.array([1.0, 3.0]), convex=True)[0].tolist() == [0.25, 0.75]


# -- experts ----------------------------------------------------------------------------------------------------------


def test_exact_experts_know_their_own_intent_only():
    world = make_problem("maze/random").instance(0).world
    table = world.next_cells()
    for expert in exact(world):
        target = target_of(expert.name, world)
        best = expert.Q.argmax(axis=1)
        if target is None:
            beside = (world.traps[table].any(axis=1)) & ~world.traps
            assert not world.traps[table[beside, best[beside]]].any()
        else:
            cell, steps = world.start, 0
            while cell != target:
                cell, steps = int(table[cell, best[cell]]), steps + 1
            assert steps < world.size


def test_q_learning_finds_the_greedy_policy_of_value_iteration():
    """On the paper's grid every learned expert takes a shortest way, from every cell."""
    world = make_problem("maze").instance(0).world
    learned = make_experts(
        world, training="q_learning", episodes=2000, learning_rate=1.0, exploration=0.2, rng=np.random.default_rng(3)
    )
    for ours, theirs in zip(learned, exact(world), strict=True):
        assert ours.transitions > 1000
        value = theirs.Q.max(axis=1)
        chosen = theirs.Q[np.arange(world.size), ours.Q.argmax(axis=1)]
        target = target_of(ours.name, world)
        inside = ~world.traps if target is None else np.arange(world.size) != target
        np.testing.assert_allclose(chosen[inside], value[inside], atol=1e-9)


def test_a_new_expert_for_each_stage_walks_the_shortest_way():
    """The control without fusion: value iteration on the compound reward, exact for ordered prizes."""
    for scenario in ("maze", "maze/random", "maze/ordered"):
        for seed in range(4):
            result = play(scenario, instance=seed, fusion="joint", training="value_iteration")
            assert result.scores["gap"] == 0.0


def test_successor_values_of_one_policy_are_its_own_values():
    """With the expert's own reward the successor features give back its action values."""
    world = make_problem("maze").instance(0).world
    experts = exact(world)
    goal = next(e for e in experts if e.name == "go_goal")
    (values,) = successor_values(experts, world, ["go_goal"])
    free = ~world.traps & (np.arange(world.size) != world.goal)
    away = free & ~world.traps[world.next_cells()].any(axis=1)
    safe = [c for c in np.flatnonzero(away) if world.place(int(c))[0] > 4]  # ways that no expert's tie leads past the trap
    np.testing.assert_allclose(values[safe], goal.Q[safe], atol=1e-6)
    joint = joint_values(world, ["go_goal"])
    np.testing.assert_allclose(joint[free], goal.Q[free], atol=1e-9)


# -- plans and walks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fusion", ["normalized", "average", "successor", "product"])
def test_the_maze_of_the_paper_is_walked_in_nine_moves(fusion):
    """The golden optimum, by every rule but raw GPI, with exact experts and the plan prize, then goal."""
    result = play("maze", fusion=fusion, training="value_iteration")
    assert result.point_status is PointStatus.FEASIBLE
    assert result.F[0, 0] == 9.0
    report = result.record.used.report
    assert report["stages_reached"] == 2
    assert report["plan"] == [
        {"until": "prize_1", "experts": {"avoid_trap": 0.5, "get_prize_1": 0.5}},
        {"until": "goal", "experts": {"avoid_trap": 0.5, "go_goal": 0.5}},
    ]


def test_the_largest_value_of_any_expert_stands_still():
    """Values of unlike rewards cannot be compared: the one who fears traps promises 0 for staying, which beats every walk."""
    result = play("maze", fusion="gpi", training="value_iteration")
    assert result.point_status is PointStatus.INFEASIBLE
    assert result.run.evaluator.instance.evaluate(result.run.outcome.X).G[0].tolist() == [0.0, 1.0, pytest.approx(0.5)]


def test_experts_that_do_not_know_each_other_can_walk_in_circles():
    """On some random grids the fused values have a trap between two moves that undo each other; a new expert has none."""
    stuck = 0
    for seed in range(6):
        fused = play("maze/random", instance=seed, training="value_iteration")
        joint = play("maze/random", instance=seed, fusion="joint")
        assert joint.point_status is PointStatus.FEASIBLE
        stuck += fused.point_status is PointStatus.INFEASIBLE
        if fused.point_status is PointStatus.FEASIBLE:
            assert fused.F[0, 0] >= shortest_walk(fused.instance.world).moves.size
    assert stuck > 0


def test_plans_are_read_in_both_forms_and_bad_ones_are_told():
    world = make_problem("maze/ordered").instance(0).world
    line = " get_prize_1 and avoid_trap until prize_1; go_goal until goal\n"
    plan, wrong = read_plan(line, world)
    assert not wrong.reason
    assert plan.told() == [
        {"until": "prize_1", "experts": {"get_prize_1": 0.5, "avoid_trap": 0.5}},
        {"until": "goal", "experts": {"go_goal": 1.0}},
    ]
    text = 'Sure: {"stage_1": {"until": "prize_2", "get_prize_2": 30, "avoid_trap": 10, "go_goal": 0, "extra": 9}} Done.'
    plan, wrong = read_plan(text, world)
    assert plan.stages[0].weights == {"get_prize_2": 0.75, "avoid_trap": 0.25}
    for bad, told in (
        ("go home", "no stages"),
        ('{"stage_1": {"until": "lunch", "go_goal": 1}}', "ends with 'lunch'"),
        ('{"stage_1": {"until": "goal", "go_goal": 0}}', "no expert has a weight"),
        ("{" * 50_000, "no stages"),
    ):
        plan, wrong = read_plan(bad, world)
        assert plan is None
        assert told in wrong.detail
    assert [stage.until for stage in rule_plan(world).stages] == ["prize_1", "prize_2", "prize_3", "goal"]
    assert len(blind_plan(world).stages) == 1
    assert set(schema_of(plan_form(world))["properties"]["stage_1"]["properties"]) == {"until", *expert_names(world)}


def test_other_instances_are_refused_in_words():
    assert "GridWalk" in QFusionControl().skip(make_problem("user_association").instance(0))
    assert make_solver("q_fusion") == QFusion()
    assert make_solver("q_fusion_control") == QFusionControl()

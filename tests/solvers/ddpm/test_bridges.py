"""What a bridge promises: feasible points, the true objective, exact completion; no torch needed."""

from __future__ import annotations

import numpy as np
import pytest

import optisolve
from optisolve.core.bridge import distinct, stack
from optisolve.core.errors import SolverError
from optisolve.core.reference import Effort
from optisolve.numerics.switches import rates, switch_links
from optisolve.numerics.water_filling import project_to_simplex
from optisolve.solvers.ddpm.bridges import bridge_gap, bridge_of
from optisolve.solvers.ddpm.noise import case_keys, normal, uniform
from optisolve.solvers.ddpm.pipeline import draw, finish
from tests.numerics.channels_in_numpy import switch_in_numpy

SINGLE = (
    "power_control",
    "power_control/weighted",
    "parallel_channels",
    "parallel_channels/msr80",
    "offloading",
    "offloading/n10",
    "noma_uav",
)


def cases_of(name: str, count: int = 3):  # type: ignore[no-untyped-def]
    instances = [optisolve.load_problem(name).instance(seed) for seed in range(count)]
    bridge = bridge_of(instances[0])
    return bridge, instances, stack([bridge.read(instance) for instance in instances])


@pytest.mark.parametrize("name", SINGLE)
def test_decoded_points_are_feasible_and_the_score_is_the_objective(name: str) -> None:
    bridge, instances, cases = cases_of(name)
    y = 2.0 * uniform(case_keys(1, np.arange(3)), (6, *bridge.shape(cases))) - 1.0
    points = bridge.decode(cases, y)
    score = bridge.score(cases, points)
    for i, instance in enumerate(instances):
        evaluation = instance.evaluate(bridge.points(instance, points[i]))
        value = -evaluation.F[:, 0] * instance.signs[0]
        met = score[i] > -0.999 if name == "noma_uav" else np.ones(6, dtype=bool)  # -1: no split meets the minimum rates
        assert met.any()
        assert (evaluation.violation[met] == 0.0).all()
        unit = value[met] / score[i][met]
        np.testing.assert_allclose(unit, unit[0], rtol=2e-3)  # up to the scale of weights or costs, and share floors


@pytest.mark.parametrize("name", [n for n in SINGLE if n != "offloading"])
def test_labels_reach_the_reference(name: str) -> None:
    bridge, instances, cases = cases_of(name)
    y, score = bridge.label(cases, np.random.default_rng(0), 3)
    problem = optisolve.load_problem(name)
    assert (score[:, 0] >= score[:, 1:].max(axis=1)).all()
    for i, instance in enumerate(instances):
        reference = problem.reference(instance, Effort.QUICK)
        assert reference is not None
        assert reference.value is not None
        value = instance.evaluate(bridge.points(instance, bridge.decode(cases, y)[i, :1])).F[0, 0]
        assert abs(value - reference.value) <= 2e-3 * abs(reference.value)


@pytest.mark.parametrize("name", ["power_control", "offloading/n10", "noma_uav"])
def test_polish_and_more_samples_never_make_the_best_worse(name: str) -> None:
    bridge, _, cases = cases_of(name)
    keys = case_keys(3, np.arange(3))
    y = draw(bridge, cases, keys, 8, network=None)
    np.testing.assert_array_equal(draw(bridge, cases, keys, 4, network=None), y[:, :4])
    for method in bridge.polishes:
        stages = finish(bridge, cases, y, polish=method, steps=4)
        if stages.polished is None:
            continue
        before = bridge.score(cases, stages.projected).max(axis=1)
        after = bridge.score(cases, stages.polished).max(axis=1)
        if (name, method) == ("power_control", "wmmse"):  # it starts from the point lifted off zero
            assert after.sum() > before.sum()
        else:
            assert (after >= before - 1e-12).all()
            assert stages.probes.min() > 0


def test_switch_kernel_agrees_with_plain_numpy() -> None:
    rng = np.random.default_rng(0)
    for n_links, weights in ((7, np.ones((3, 7))), (12, rng.random((3, 12)) + 0.1)):
        gain = rng.exponential(size=(3, n_links, n_links)) * 3.0
        start = rng.random((3, 4, n_links))
        on, value, looked = switch_links(gain, weights, start, max_switches=20)
        np.testing.assert_allclose(rates(gain, weights, on), value, rtol=1e-12)
        assert (looked % n_links == 0).all()
        for b in range(3):
            for s in range(4):
                twin, twin_value = switch_in_numpy(gain[b], weights[b], start[b, s], max_switches=20)
                np.testing.assert_array_equal(twin, on[b, s])
                assert value[b, s] == pytest.approx(twin_value, rel=1e-12)


def test_switches_see_faint_signals() -> None:
    """Signals of 1e-12 of the noise: every link is worth switching on, and rates are theirs to the last digit."""
    gain = 1e-12 * (1.0 + np.random.default_rng(3).random((1, 5, 5)))
    on, value, _ = switch_links(gain, np.ones((1, 5)), np.zeros((1, 1, 5)), max_switches=20)
    twin, twin_value = switch_in_numpy(gain[0], np.ones(5), np.zeros(5), max_switches=20)
    assert on[0, 0].tolist() == twin.tolist() == [1.0] * 5
    exact = np.trace(gain[0]) / np.log(2.0)
    assert value[0, 0] == pytest.approx(exact, rel=1e-10)
    assert twin_value == pytest.approx(exact, rel=1e-10)
    assert rates(gain, np.ones((1, 5)), np.ones((1, 1, 5)))[0, 0] == pytest.approx(exact, rel=1e-10)


def test_a_switch_does_not_disturb_the_link_itself() -> None:
    """A link as strong as all that it hears would cancel to nothing if its own gain counted as interference: one goes off."""
    gain = np.array([[[1.0, 8.0], [8.0, 2.0]]])
    on, value, _ = switch_links(gain, np.ones((1, 2)), np.ones((1, 1, 2)), max_switches=5)
    assert on[0, 0].tolist() == [0.0, 1.0]
    assert value[0, 0] == pytest.approx(np.log2(3.0))
    alone, _, _ = switch_links(np.eye(3)[None], np.ones((1, 3)), np.ones((1, 1, 3)), max_switches=5)
    assert alone.all()


def test_switches_stand_huge_signals() -> None:
    """Sixty links without interference at 200 dB: the product of 1 + SINR would leave the range of a double."""
    gain = np.eye(60)[None] * 1e20 + 1e-3
    on, value, _ = switch_links(gain, np.ones((1, 60)), np.zeros((1, 1, 60)), max_switches=60)
    assert on.all()
    assert np.isfinite(value).all()


def test_simplex_projection_is_the_nearest_point() -> None:
    """Projection of -1/g onto the simplex is water-filling; and the variational inequality holds at random points."""
    rng = np.random.default_rng(1)
    u = rng.normal(size=(5, 9)) * 3.0
    p = project_to_simplex(u)
    np.testing.assert_allclose(p.sum(axis=1), 9.0)
    assert (p >= 0.0).all()
    for q in 9.0 * rng.dirichlet(np.ones(9), size=50):
        assert (((u - p) * (q - p)).sum(axis=1) <= 1e-9).all()


def test_noise_belongs_to_its_case() -> None:
    keys = case_keys(5, np.arange(40))
    batch = normal(keys, (3, 4, 1))
    np.testing.assert_array_equal(normal(keys[7:8], (3, 4, 1))[0], batch[7])
    np.testing.assert_array_equal(normal(keys, (2, 4, 1)), batch[:, :2])
    assert not np.array_equal(normal(case_keys(6, np.arange(40)), (3, 4, 1)), batch)
    many = normal(case_keys(0, np.arange(2000)), (50,))
    assert abs(many.mean()) < 0.01
    assert abs(many.std() - 1.0) < 0.01
    assert abs(np.corrcoef(many[:, 0], many[:, 1])[0, 1]) < 0.08


def test_distinct_drops_copies_and_marks_what_is_missing() -> None:
    y = np.array([[[1.0], [1.0], [-1.0]]])[..., None]
    kept, score = distinct(y, np.array([[2.0, 2.0, 3.0]]), 3, digits=3)
    assert score.tolist() == [[3.0, 2.0, -np.inf]]
    assert kept[0, :, 0, 0].tolist() == [-1.0, 1.0, -1.0]


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("power_control/max_min", "goal"),
        ("power_control/weighted_qos", "minimum rates"),
        ("offloading/multi_server", "one server"),
        ("offloading/deadlines", "deadlines"),
        ("noma_uav/diffsg", "order"),
        ("uav_isac/urban", "line-of-sight"),
        ("beamforming", "capability Samplable"),
    ],
)
def test_what_a_bridge_cannot_treat_is_said(name: str, word: str) -> None:
    instance = optisolve.load_problem(name).instance(0)
    reason = bridge_gap(instance)
    assert reason is not None
    assert word in reason
    with pytest.raises(SolverError, match="ddpm"):
        bridge_of(instance)


def test_one_case_is_stacked_as_several_are_and_shares_no_memory() -> None:
    """Whoever works on a batch in place must not change the instance, whose arrays cannot be written."""
    instance = optisolve.load_problem("power_control").instance(0)
    case = bridge_of(instance).read(instance)
    one, two = stack([case]), stack([case, case])
    for name, values in one.items():
        np.testing.assert_array_equal(values, two[name][:1])
        assert values.flags.writeable
        assert values.flags.c_contiguous
        assert not np.shares_memory(values, case[name])

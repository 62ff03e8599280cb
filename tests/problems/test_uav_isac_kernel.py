"""Kernel, twin and repair of `uav_isac`: values from theory, agreement on anything, the same bits everywhere."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
import time

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optisolve.problems.uav_isac import kernels, model
from tests.problems.uav_isac_cases import ROOT, URBAN, project_powers, scenario

RING = {50: 0.124055, 100: 0.079151, 200: 0.080095, 400: 0.158301, 600: 0.298496}


def both(instance, x):
    kernel, twin = instance.evaluate(x), instance.evaluate_twin(x)
    return [(e.F[0], e.G[0]) for e in (kernel, twin)]


@pytest.mark.parametrize(("radius_m", "error_m"), RING.items())
def test_golden_error_bound_of_a_ring_round_one_user(radius_m, error_m):
    """Golden numbers of the specification (an independent implementation), which prints six decimals."""
    instance = scenario(users_m=[(750, 750)], n_users=1, p_total_w=0.4).instance()
    x = [v for dx, dy in ((1, 0), (0, 1), (-1, 0), (0, -1)) for v in (750 + radius_m * dx, 750 + radius_m * dy, 0.1)]
    for F, _ in both(instance, x):
        assert abs(F[1] - error_m) < 6e-7


def test_ring_error_bound_follows_the_closed_form():
    """On a ring J is a multiple of the identity, so the bound is sqrt(2 / (eps + 2 w R^2)) by hand."""
    instance = scenario(users_m=[(750, 750)], n_users=1, p_total_w=0.4).instance()
    c, radius = instance.constants, 130.0
    d2 = radius**2 + 200.0**2
    weight = 1e5 * 10**-4.7 / (10 * 1e-14) * 0.1 / d2**3 + 8 / d2**2
    x = [v for dx, dy in ((1, 0), (0, 1), (-1, 0), (0, -1)) for v in (750 + radius * dx, 750 + radius * dy, 0.1)]
    for F, _ in both(instance, x):
        assert F[1] == pytest.approx(math.sqrt(2 / (c.prior_per_m2 + 2 * weight * radius**2)), rel=1e-12)


def test_golden_utility_error_and_constraints_of_four_uavs():
    """Golden numbers of the specification (an independent implementation)."""
    users = [(100, 200), (400, 1200), (900, 300), (1300, 1300)]
    instance = scenario(users_m=users, n_users=4).instance()
    x = [300, 300, 0.05, 500, 1100, 0.04, 1000, 500, 0.06, 1200, 1200, 0.05]
    for F, G in both(instance, x):
        assert list(F) == pytest.approx([3.2902167117, 1.0265833720], rel=1e-6)
        assert G[-1] == pytest.approx(0.0, abs=1e-12)
        assert G[0] == pytest.approx((100 - math.hypot(200, 800)) / 100, rel=1e-12)


def test_single_link_rate_falls_with_distance_as_published():
    """11.29, 9.29 and 7.30 Mbit/s at 200, 400 and 800 m: log2(1 + SNR) by hand, SNR = p alpha0 / (d^2 sigma^2)."""
    instance = scenario(n_uavs=1, n_users=1, users_m=[(0, 0)]).instance()
    for distance_m, rate in ((200.0, 11.29), (400.0, 9.29), (800.0, 7.30)):
        links = instance.links([math.sqrt(distance_m**2 - 200.0**2), 0.0, 0.1])
        assert links.rate_bps[0] / 1e6 == pytest.approx(rate, abs=5e-3)
        assert links.rate_bps[0] == pytest.approx(1e6 * math.log2(1 + 0.1 * 1e-5 / distance_m**2 / 1e-14), rel=1e-9)


def test_urban_channel_loses_what_al_hourani_says():
    """Straight above a user P_LoS is nearly 1 and the loss nearly eta_LoS; far away it approaches eta_NLoS."""
    c = scenario(**URBAN).instance().constants
    near, far = model.attenuation(np.array([0.0, 1e5]), c)
    assert 10 * math.log10(near) == pytest.approx(-1.0, abs=1e-3)
    p_los = 1 / (1 + 9.61 * math.exp(-0.16 * (math.degrees(math.atan(200 / 1e5)) - 9.61)))
    assert 10 * math.log10(far) == pytest.approx(-(p_los * 1 + (1 - p_los) * 20), abs=1e-9)


def test_ties_are_served_by_the_lowest_index_in_kernel_and_twin():
    """Users midway between two equal UAVs: sharing or not changes the utility by whole nats, so both must agree."""
    users = [(500, 600), (500, 200), (250, 400), (750, 400)]
    instance = scenario(n_uavs=2, n_users=4, users_m=users).instance()
    x = [250, 400, 0.05, 750, 400, 0.05]
    assert instance.links(x).association.tolist() == [0, 0, 0, 1]
    (left, _), (right, _) = both(instance, x)
    assert left == pytest.approx(right, rel=1e-14)


@st.composite
def cases(draw):
    """Any small scenario and points; coordinates on a coarse grid half of the time, so that ties and lines occur."""
    n_uavs, n_users = draw(st.integers(1, 12)), draw(st.integers(1, 14))
    problem = scenario(
        n_uavs=n_uavs,
        n_users=n_users,
        area_m=draw(st.sampled_from([400.0, 1500.0, 5000.0])),
        altitude_m=draw(st.floats(30.0, 500.0)),
        alpha0_db=draw(st.floats(-80.0, -30.0)),
        p_total_w=draw(st.floats(0.05, 1.0)),
        d_min_m=draw(st.floats(1.0, 100.0)),
        **draw(st.sampled_from([{}, URBAN])),
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    grid = draw(st.booleans())
    users = rng.random((n_users, 2)) * problem.area_m
    if grid:
        users = np.round(users / 100) * 100
        users = np.clip(users, 0, problem.area_m)
    instance = problem.with_option(users_m=tuple(map(tuple, users.tolist()))).instance()
    X = instance.space.sample(rng, draw(st.integers(1, 70)))
    if grid:
        for axis in (0, 1):
            X[:, axis::3] = np.clip(np.round(X[:, axis::3] / 100) * 100, 0, problem.area_m)
        X[:, 2::3] = np.clip(np.round(X[:, 2::3], 2), problem.p_min_w, problem.p_max_w)
    return instance, X


@settings(max_examples=150, deadline=None)
@given(cases())
def test_kernel_agrees_with_the_twin_on_any_instance(case):
    """Utility to 1e-12 of the number of users, everything else to 1e-12 relative."""
    instance, X = case
    kernel, twin = instance.evaluate(X), instance.evaluate_twin(X)
    assert np.abs(kernel.F[:, 0] - twin.F[:, 0]).max() <= 1e-12 * max(len(instance.users_m), np.abs(twin.F[:, 0]).max())
    np.testing.assert_allclose(kernel.F[:, 1], twin.F[:, 1], rtol=1e-12)
    np.testing.assert_allclose(kernel.G, twin.G, rtol=1e-12, atol=1e-14)


@settings(max_examples=30, deadline=None)
@given(cases())
def test_error_bound_agrees_with_a_matrix_inverse(case):
    """The expanded determinant equals what an explicit inverse of the 2x2 information matrix gives."""
    instance, X = case
    c, x = instance.constants, X[0]
    links = instance.links(x)
    for k, user in enumerate(instance.users_m):
        J = c.prior_per_m2 * np.eye(2)
        for m in range(c.n_uavs):
            delta = links.positions_m[m] - user
            d2 = delta @ delta + c.altitude_m**2
            J += (c.ranging_per_w * links.powers_w[m] / d2**3 + 8 / d2**2) * np.outer(delta, delta)
        assert links.error_m[k] == pytest.approx(math.sqrt(np.trace(np.linalg.inv(J))), rel=1e-6)


@pytest.mark.parametrize("n_uavs", [kernels.PAIRED, kernels.PAIRED + 1, 33])
def test_swarms_in_a_line_agree_with_the_twin_however_the_determinant_is_made(n_uavs):
    """Seen from a user in that line all information but the prior's points one way, which a difference of products loses."""
    instance = scenario(n_uavs=n_uavs, p_total_w=0.1 * n_uavs).instance(0)
    rng = np.random.default_rng(2)
    X = instance.space.sample(rng, 40)
    along = np.linspace(0.0, 1.0, n_uavs)
    user = instance.users_m[0]
    for row, spread_m in enumerate((0.0, 1e-9, 1e-6, 1e-3, 1.0)):
        X[row, 0::3] = user[0] * along
        X[row, 1::3] = user[1] * along + spread_m * rng.random(n_uavs)
    kernel, twin = instance.evaluate(X), instance.evaluate_twin(X)
    np.testing.assert_allclose(kernel.F[:, 1], twin.F[:, 1], rtol=1e-12)


@pytest.mark.parametrize("changes", [{}, URBAN, {"n_uavs": 7, "p_total_w": 0.5}, {"n_uavs": 11, "p_total_w": 0.9}])
def test_same_bits_alone_in_a_batch_and_with_any_number_of_threads(changes):
    """A row's value must not depend on its neighbors, its position, or the machine's load."""
    instance = scenario(**changes).instance(2)
    X = instance.space.sample(np.random.default_rng(0), 1000)
    whole = instance.evaluate(X)
    for i in (0, 31, 32, 577, 999):
        assert np.array_equal(instance.evaluate(X[i]).F[0], whole.F[i])
        assert np.array_equal(instance.evaluate(X[i:]).G[0], whole.G[i])
    before = numba.get_num_threads()
    try:
        for count in range(1, before + 1):
            numba.set_num_threads(count)
            F, G = np.empty_like(whole.F), np.empty_like(whole.G)
            kernels.evaluate_parallel(X, instance.users_m, instance.packed, F, G)
            assert np.array_equal(F, whole.F)
            assert np.array_equal(G, whole.G)
    finally:
        numba.set_num_threads(before)


def test_python_threads_may_evaluate_at_once(monkeypatch):
    """Several callers get the right values; the thread pool is entered by one at a time."""
    instance = scenario().instance(0)
    X = instance.space.sample(np.random.default_rng(1), 3000)
    expected = instance.evaluate(X).F
    monkeypatch.setattr(kernels, "_FIRST_REST_S", 0.0)
    monkeypatch.setattr(kernels, "_pace", kernels._Pace())
    wrong = []

    def work():
        for _ in range(5):
            if not np.array_equal(instance.evaluate(X).F, expected):
                wrong.append(1)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
def test_a_forked_child_evaluates_like_its_parent():
    """OpenMP pools do not survive a fork; the child stays on one thread instead of being aborted."""
    code = (
        "import multiprocessing, numpy as np\n"
        "from tests.problems.uav_isac_cases import scenario\n"
        "instance = scenario().instance(0)\n"
        "X = instance.space.sample(np.random.default_rng(1), 20000)\n"
        "total = [instance.evaluate(X).F.sum() for _ in range(4)][-1]\n"
        "from optisolve.problems.uav_isac import kernels\n"
        "kernels.evaluate_parallel(X, instance.users_m, instance.packed, np.empty((20000, 2)), np.empty((20000, 7)))\n"
        "def work(_): return [instance.evaluate(X).F.sum() for _ in range(4)][-1]\n"
        "with multiprocessing.get_context('fork').Pool(1) as pool:\n"
        "    assert pool.map_async(work, [0]).get(timeout=60) == [total]\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=120, cwd=ROOT)


def test_threads_rest_after_a_loss(monkeypatch):
    """A stalled threaded call (another process holds the core) sends the following batches to one thread."""
    instance = scenario().instance(0)
    X = instance.space.sample(np.random.default_rng(1), 4096)
    calls = []

    class Stalled:
        signatures = (1,)

        def __call__(self, *args):
            calls.append(1)
            time.sleep(0.02)
            kernels.evaluate_serial(*args)

    pace = kernels._Pace()
    pace.rest_s = 0.0
    monkeypatch.setattr(kernels, "_pace", pace)
    monkeypatch.setattr(kernels, "evaluate_parallel", Stalled())
    monkeypatch.setattr(numba, "get_num_threads", lambda: 2)
    for _ in range(20):
        instance.evaluate(X)
    assert len(calls) == 1
    pace.rest_s = 0.0
    instance.evaluate(X)
    assert len(calls) == 2


@settings(max_examples=80, deadline=None)
@given(cases(), st.floats(0.05, 1.0))
def test_projection_is_feasible_idempotent_and_keeps_feasible_rows(case, crowding):
    """Also for crowded scenarios: separation up to the largest one the constructor accepts."""
    instance, X = case
    problem = scenario(**{k: v for k, v in instance.origin.params.items() if k != "d_min_m"})
    spacing = model_spacing(problem)
    tight = problem.with_option(d_min_m=min(spacing * crowding, 1e6)).instance()
    P = tight.project(X)
    evaluation = tight.evaluate(P)
    assert evaluation.G.max() <= 1e-15
    assert np.array_equal(tight.project(P), P)
    feasible = tight.evaluate(X).G.max(axis=1) <= 0
    assert np.array_equal(P[feasible], X[feasible])
    np.testing.assert_array_equal(P, tight.project(X))


def model_spacing(problem):
    from optisolve.problems.uav_isac.placements import lattice

    return lattice(problem.n_uavs, problem.area_m)[1]


def test_coincident_and_cornered_uavs_are_separated():
    """All UAVs in one point, in a corner or in a line against a wall: the repair needs no luck to part them."""
    for d_min in (100.0, 700.0, 1500.0):
        instance = scenario(d_min_m=d_min).instance()
        rows = []
        for x, y in ((0, 0), (750, 750), (1500, 0), (1500, 1500)):
            rows.append([x, y, 0.1] * 4)
            rows.append([x, y, 0.001, x, 750, 0.1, x, y, 0.1, x, 751, 0.1])
        P = instance.project(rows)
        assert instance.evaluate(P).G.max() <= 1e-15


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 8), st.floats(0.01, 1.0))
def test_power_projection_is_the_nearest_point_under_the_cap(seed, n_uavs, share):
    """Kernel equals twin, and no feasible power vector is nearer (the variational inequality on random ones)."""
    p_min, p_max = 0.001, 0.1
    cap = n_uavs * (p_min + share * (p_max - p_min))
    instance = scenario(n_uavs=n_uavs, d_min_m=1.0, p_total_w=cap).instance()
    rng = np.random.default_rng(seed)
    X = instance.space.sample(rng, 20)
    X[:, 0::3] = np.arange(n_uavs) * 10.0
    P, wanted = instance.project(X)[:, 2::3], X[:, 2::3]
    np.testing.assert_allclose(P, project_powers(wanted, p_min, p_max, cap), rtol=0, atol=1e-12)
    Q = instance.project(instance.space.sample(rng, 200))[:, 2::3]
    inner = ((wanted - P)[:, None, :] * (Q[None, :, :] - P[:, None, :])).sum(axis=2)
    assert inner.max() <= 1e-12


@pytest.mark.parametrize("changes", [{}, {"n_uavs": 9, "p_total_w": 0.05}, {"n_uavs": 3, "p_min_w": 0.001, "p_total_w": 0.003}])
def test_projection_without_the_compiler_has_the_bits_of_the_kernel(changes, monkeypatch):
    """Powers at, above and below the cap, rows that keep their distances and rows that do not."""
    instance = scenario(**changes).instance(1)
    X = instance.space.sample(np.random.default_rng(0), 500)
    X[:100] = instance.project(X[:100])  # which keep the cap to the last bit
    with_kernel = instance.project(X)
    monkeypatch.setattr("optisolve.problems.uav_isac.instance._REPAIR", "a module that nobody has loaded")
    np.testing.assert_array_equal(instance.project(X), with_kernel)
    apart = ~model.too_close(with_kernel, instance.constants) & ~model.too_close(X, instance.constants)
    assert apart.any()
    np.testing.assert_array_equal(instance.project(X[apart]), with_kernel[apart])

"""Bounds from clusters of links: never below what anybody reaches, with weights, floors and consumed power."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from optisolve.core import Evidence
from optisolve.core.problem import FEASIBILITY_TOLERANCE
from optisolve.numerics.clustered_bound import clustered_bound, interference_clusters
from optisolve.numerics.interference import least_powers, sinr
from optisolve.numerics.mixed_monotonic import RateProgram
from optisolve.numerics.wmmse import normalized_gain, wmmse
from optisolve.problems.power_control.reference import USEFUL, Work, rate
from optisolve.registry import make_problem


def program_of(rng, n_links, *, floors=False, slope=0.0):
    """Random links with gains over many decades, weights, and floors of a share of what full power gives."""
    gain = rng.exponential(1.0, (n_links, n_links)) * 10.0 ** rng.uniform(-3.0, 1.0, (n_links, n_links))
    noise, cap = 10.0 ** rng.uniform(-2.0, 1.0, n_links), rng.uniform(0.5, 2.0, n_links)
    floor = rng.uniform(0.0, 0.5, n_links) * sinr(cap[None], gain, noise)[0] if floors else np.zeros(n_links)
    circuit = rng.uniform(0.1, 2.0) if slope else 1.0
    return RateProgram(gain, noise, cap, rng.uniform(0.0, 2.0, n_links), floor, circuit, slope)


def values(program, P):
    """Objective at powers float64 [n, K]; -inf where a floor is missed by more than verification allows."""
    reached = sinr(P, program.gain, program.noise_w)
    value = np.log2(1.0 + reached) @ program.weight / (program.circuit_power_w + program.slope * P.sum(axis=1))
    met = (np.log1p(reached) >= np.log1p(program.sinr_floor) * (1.0 - FEASIBILITY_TOLERANCE)).all(axis=1)
    return np.where(met, value, -np.inf)


def bound_of(program, *, size, max_nodes):
    least = least_powers(program.gain, program.noise_w, program.sinr_floor, program.p_max_w).verified_lower_w
    return clustered_bound(program, least_w=least, size=size, max_nodes=max_nodes).bound


@pytest.mark.parametrize(("floors", "slope"), [(False, 0.0), (True, 0.0), (False, 1.5), (True, 1.5)])
def test_no_grid_point_beats_the_bound(floors, slope):
    """Brute force over a grid of powers of five links in clusters of one to three, whatever the number of boxes."""
    rng = np.random.default_rng(1)
    grid = np.array(list(itertools.product((0.0, 0.25, 0.5, 0.75, 1.0), repeat=5)))
    for case in range(12):
        program = program_of(rng, 5, floors=floors, slope=slope)
        best = values(program, grid * program.p_max_w).max()
        assert best > -np.inf
        assert best <= bound_of(program, size=1 + case % 3, max_nodes=(1, 50, 3000)[case // 4])


def test_no_ascent_beats_the_bound():
    """Many random channels of 12 to 40 links: WMMSE from many starts stays below, and the bound is below no interference."""
    rng = np.random.default_rng(2)
    for _ in range(15):
        n_links = int(rng.integers(12, 41))
        program = program_of(rng, n_links)
        scaled = normalized_gain(program.gain, program.noise_w, program.p_max_w)
        shares = wmmse(scaled[None], program.weight[None], rng.random((1, 16, n_links)))[0][0]
        bound = bound_of(program, size=8, max_nodes=4000)
        assert values(program, shares * program.p_max_w).max() <= bound
        alone = float(program.weight @ np.log2(1.0 + np.diag(scaled)))
        assert bound <= alone * (1.0 + 1e-9)


@pytest.mark.slow
def test_no_ascent_beats_the_bound_at_a_thousand_links():
    program = program_of(np.random.default_rng(3), 1000)
    scaled = normalized_gain(program.gain, program.noise_w, program.p_max_w)
    shares = wmmse(scaled[None], program.weight[None], np.random.default_rng(4).random((1, 4, 1000)))[0][0]
    assert values(program, shares * program.p_max_w).max() <= bound_of(program, size=10, max_nodes=100_000)


def test_clusters_are_a_partition_by_interference():
    """Three groups that only hear their own members are found."""
    gain = np.kron(np.eye(3), np.full((4, 4), 5.0)) + np.eye(12)
    order = np.random.default_rng(0).permutation(12)
    program = RateProgram(gain[np.ix_(order, order)], np.ones(12), np.ones(12), np.ones(12), np.zeros(12))
    found = {frozenset((order[links] // 4).tolist()) for links in interference_clusters(program, 4)}
    assert found == {frozenset({0}), frozenset({1}), frozenset({2})}


def test_a_bound_far_above_the_value_is_told_and_not_used():
    """200 links that all disturb each other: best known, with the number that is proven in the words; 12 apart: proven."""
    work = Work(2000, 4, 2)
    crowded = rate(make_problem("power_control", {"n_links": 200}).instance(0), work)
    assert (crowded.evidence, crowded.dual_bound) == (Evidence.BEST_KNOWN, None)
    assert crowded.detail.startswith("No useful bound: ")
    assert f"{100 * USEFUL:.0f} %" in crowded.detail
    quiet = rate(make_problem("power_control", {"n_links": 30, "cross_gain": 1e-6}).instance(0), work)
    assert quiet.evidence is Evidence.PROVEN_OPTIMAL

"""`legacy_diffsg`: the published configuration is what runs, and its known faults show."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import optisolve
from optisolve.content import content_dir
from optisolve.core.errors import SolverError
from optisolve.core.problem import Instance
from optisolve.core.solver import Solver
from optisolve.core.status import PointStatus
from optisolve.solvers import LegacyDiffsg
from optisolve.testing import SolverConformance

has_torch = all(importlib.util.find_spec(name) for name in ("torch", "diffusers", "safetensors"))
needs_torch = pytest.mark.skipif(not has_torch, reason="needs the extra [diffusion]")
SCENARIO = "parallel_channels/msr80"


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small networks; threads would only wait for each other."""
    if not has_torch:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@needs_torch
class TestLegacy(SolverConformance):
    evaluations = 20

    def make_solver(self) -> Solver:
        return LegacyDiffsg()

    def make_instances(self) -> list[Instance]:
        return [optisolve.load_problem(SCENARIO).instance(1)]


def test_other_problems_are_skipped_with_a_reason() -> None:
    for name, told in {
        "power_control": "this problem is power_control",
        "parallel_channels": "80 channels of equal weight; this instance has 16 with weights",
        "parallel_channels/msr3": "this instance has 3.",
    }.items():
        reason = LegacyDiffsg().skip(optisolve.load_problem(name).instance(0))
        assert reason is not None
        assert told in reason


@needs_torch
def test_it_falls_short_of_the_optimum_as_its_decoder_must() -> None:
    """Better than the uniform split, below the ceiling of a softmax between extremes (0.957 of water-filling), all feasible.

    The same weights without batch statistics, guidance and softmax are beyond that ceiling.
    """
    problem = optisolve.load_problem(SCENARIO)
    shares: dict[str, list[float]] = {"published": [], "plain": []}
    plain = LegacyDiffsg(n_samples=4, guidance=0.0, sampler="posterior", decoder="projection")
    for seed in range(6):
        instance = problem.instance(seed)
        optimum = float(optisolve.solve(instance, "water_filling", reference=None).verification.F[0, 0])
        uniform = float(instance.evaluate(np.full((1, 80), 0.25)).F[0, 0])
        for name, solver in (("published", LegacyDiffsg(n_samples=4)), ("plain", plain)):
            result = optisolve.solve(instance, solver, seed=seed, reference=None)
            assert result.point_status is PointStatus.FEASIBLE
            shares[name].append(float(result.verification.F[0, 0]) / optimum)
        assert uniform / optimum < shares["published"][-1] < 0.957
    assert min(shares["plain"]) > 0.957


@needs_torch
def test_samples_depend_on_their_batch_as_published_and_not_with_the_posterior() -> None:
    instance = optisolve.load_problem(SCENARIO).instance(2)

    def mean_of_first(solver: LegacyDiffsg) -> Any:
        from optisolve.core.bridge import stack
        from optisolve.problems.parallel_channels.sampling import ParallelChannelsBridge
        from optisolve.solvers.ddpm.noise import case_keys, normal
        from optisolve.solvers.legacy_diffsg.chain import walk_back
        from optisolve.solvers.legacy_diffsg.solver import conditions, load_legacy

        keys = case_keys(0, np.arange(solver.n_samples))
        gain = conditions(stack([ParallelChannelsBridge().read(instance)])).repeat(solver.n_samples, axis=0)
        posterior = solver.sampler == "posterior"
        network, _, _ = load_legacy()
        return walk_back(network, gain, lambda s: normal(keys, (80,), stream=s), guidance=solver.guidance, posterior=posterior)[
            0
        ]

    alone, among = (mean_of_first(LegacyDiffsg(n_samples=n)) for n in (1, 8))
    assert np.abs(alone - among).max() > 1e-3
    alone, among = (mean_of_first(LegacyDiffsg(n_samples=n, guidance=0.0, sampler="posterior")) for n in (1, 8))
    np.testing.assert_allclose(alone, among, atol=1e-9)


@needs_torch
def test_its_schedule_is_the_published_one() -> None:
    from optisolve.solvers.legacy_diffsg.chain import STEPS, schedule, softmax_of_range

    beta, alpha, product = schedule()
    assert len(beta) == STEPS == 20
    assert float(beta.max()) == pytest.approx(0.84)
    assert float(product[-1]) == pytest.approx(0.001, abs=2e-4)  # read from the published code: alpha_bar_19 = 0.001
    assert bool((alpha == 1.0 - beta).all())
    powers = softmax_of_range(np.random.default_rng(0).normal(size=(3, 80)))
    np.testing.assert_allclose(powers.sum(axis=1), 80.0)
    assert float((powers.max(axis=1) / powers.min(axis=1)).max()) <= np.e + 1e-9


@needs_torch
def test_a_short_training_learns_to_tell_the_noise() -> None:
    from legacy_training import fit

    rng, losses = np.random.default_rng(0), []
    gain = rng.uniform(0.5, 2.5, (256, 80))
    network = fit(gain, gain / 2.5, epochs=70, seed=1, on_epoch=lambda _, loss: losses.append(loss))
    again = fit(gain, gain / 2.5, epochs=1, seed=1)
    assert losses[-1] < 0.8 * losses[0]
    assert not network.training
    assert {n: v.shape for n, v in network.state_dict().items()} == {n: v.shape for n, v in again.state_dict().items()}


@needs_torch
def test_shipped_weights_are_small_and_their_card_tells_their_hash() -> None:
    from optisolve.solvers.ddpm.weights import load_weights
    from optisolve.solvers.legacy_diffsg.solver import load_legacy

    folder = content_dir("solvers") / "legacy_diffsg" / "weights"
    card = json.loads((folder / "card.json").read_text())
    assert card["sha256"] == load_legacy()[2]
    assert card["labels"]["first_seed"] > 1_000_000_000  # far from the seeds of tests and benchmarks
    assert sum(file.stat().st_size for file in folder.iterdir()) < 1_000_000
    with pytest.raises(SolverError, match="holds a 'HourGlass'"):  # no weights of ddpm
        load_weights(str(folder), "parallel_channels")

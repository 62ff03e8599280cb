"""The sampler: independent of batch mates, equivariant, reproducible; schedulers walk home; guidance does what it says."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra [diffusion]")
pytest.importorskip("diffusers", reason="needs the extra [diffusion]")

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of diffusers

from optisolve.core.arrays import FloatArray  # noqa: E402
from optisolve.core.bridge import Bridge  # noqa: E402
from optisolve.core.errors import SolverError  # noqa: E402
from optisolve.solvers.ddpm.losses import spread  # noqa: E402
from optisolve.solvers.ddpm.networks import Condition, InterferenceDenoiser, pick_device  # noqa: E402
from optisolve.solvers.ddpm.noise import case_keys  # noqa: E402
from optisolve.solvers.ddpm.sampler import Sampling, sample  # noqa: E402
from optisolve.solvers.ddpm.schedules import Chain, Schedule, angle_of  # noqa: E402
from optisolve.solvers.ddpm.weights import load_weights, save_weights  # noqa: E402
from tests.solvers.ddpm.helpers import cases_of, condition_of, networks, permuted  # noqa: E402

NAMES = ("interference", "set", "set_with_context", "velocity", "film")


@pytest.mark.parametrize("schedule", list(Schedule))
@pytest.mark.parametrize("name", NAMES)
def test_samples_do_not_depend_on_batch_mates(name: str, schedule: Schedule) -> None:
    scenario, network = networks()[name]
    bridge, cases = cases_of(scenario, 5)
    keys, how = case_keys(0, np.arange(5)), Sampling(schedule, steps=3)
    together = sample(network, bridge, cases, keys, 3, how)
    alone = sample(network, bridge, {k: v[3:4] for k, v in cases.items()}, keys[3:4], 3, how)
    assert np.abs(together[3:4] - alone).max() <= 1.0 / 1024.0  # last bits of float32 may cross the grid once
    assert together.std() > 0.0


@pytest.mark.parametrize("name", ["interference", "velocity", "set"])
def test_permuting_users_permutes_the_answer(name: str) -> None:
    scenario, network = networks()[name]
    bridge, cases = cases_of(scenario, 2)
    order = np.random.default_rng(0).permutation(10)
    other = permuted(cases, order, ("weight", "cap", "local", "remote", "root"))
    noisy, time = torch.randn(2, 3, 10, 1), torch.tensor([0.7])
    plain = network(noisy, time, condition_of(bridge, cases))
    moved = network(noisy[:, :, order], time, condition_of(bridge, other))
    torch.testing.assert_close(plain[:, :, order], moved, atol=1e-5, rtol=1e-4)


def test_order_of_the_second_set_does_not_matter() -> None:
    scenario, network = networks()["set_with_context"]
    bridge, cases = cases_of(scenario, 2)
    other = permuted(cases, np.array([2, 0, 1]), ("users", "min_rate"))
    noisy, time = torch.randn(2, 3, 1, 2), torch.tensor([0.4])
    first, second = (network(noisy, time, condition_of(bridge, c)) for c in (cases, other))
    torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-4)


def test_one_network_runs_at_every_size() -> None:
    network = InterferenceDenoiser(8, 8, 2, 2)
    for scenario, n_links in (("power_control/gaussian_k5_0db", 5), ("power_control/gaussian_k50_0db", 50)):
        bridge, cases = cases_of(scenario, 1)
        assert sample(network, bridge, cases, case_keys(0, [0]), 2, Sampling()).shape == (1, 2, n_links, 1)


@pytest.mark.parametrize("name", ["interference", "set_with_context"])
def test_the_seed_decides_the_samples(name: str) -> None:
    scenario, network = networks()[name]
    bridge, cases = cases_of(scenario, 2)
    how = Sampling(Schedule.DDIM, 4, eta=0.5)
    first, again, other = (sample(network, bridge, cases, case_keys(s, [0, 1]), 4, how) for s in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("name", ["interference", "set", "set_with_context", "velocity"])
def test_saved_weights_give_identical_samples(name: str, tmp_path: Path) -> None:
    scenario, network = networks()[name]
    bridge, cases = cases_of(scenario, 2)
    save_weights(network, tmp_path / "w", {"family": bridge.family})
    loaded = load_weights(str(tmp_path / "w"), bridge.family)
    assert {file.suffix for file in (tmp_path / "w").iterdir()} == {".json", ".safetensors"}
    keys = case_keys(0, [0, 1])
    for how in (Sampling(), Sampling(steps=3, guidance=1.0)):
        ours, theirs = (sample(n, bridge, cases, keys, 3, how) for n in (network, loaded.denoiser()))
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(SolverError, match="no weights"):
        load_weights(str(tmp_path / "nothing"), bridge.family)
    with pytest.raises(SolverError, match="are for"):
        load_weights(str(tmp_path / "w"), "another_family")


class Oracle(InterferenceDenoiser):
    """Knows the answer, whatever it is shown; counts its calls and remembers the noise levels."""

    def denoise(self, noisy, time, encoded: Condition, null=None):  # type: ignore[no-untyped-def]
        self.seen = [*getattr(self, "seen", []), float(time.reshape(-1)[0])]
        if float(time.reshape(-1)[0]) > 0.999:  # pure noise has unit power, whatever the scheduler calls its level
            self.power = float(noisy.square().mean())
        return encoded["own"][:, None].expand(noisy.shape).sign() * 0.5


@pytest.mark.parametrize("steps", [1, 2, 7])
@pytest.mark.parametrize("schedule", list(Schedule))
def test_every_scheduler_ends_at_the_clean_estimate(schedule: Schedule, steps: int) -> None:
    """Trailing spacing begins at pure noise, levels fall, and the last step keeps no noise (set_alpha_to_one)."""
    bridge, cases = cases_of("power_control", 1)
    oracle = Oracle(8, 8, 2, 1)
    y = sample(oracle, bridge, cases, case_keys(0, [0]), 64, Sampling(schedule, steps))
    np.testing.assert_allclose(y, 0.5, atol=1e-3)
    assert len(oracle.seen) == steps
    assert oracle.seen[0] > 0.999
    assert oracle.seen == sorted(oracle.seen, reverse=True)
    assert oracle.power == pytest.approx(1.0, abs=0.25)


def test_the_noise_level_told_is_that_of_the_sample() -> None:
    """A scheduler that is stepped with the true x0 keeps x = cos(a) x0 + sin(a) noise at the angle that the network is told."""
    clean, noise = torch.full((1, 4096, 1, 1), 0.5), torch.randn((1, 4096, 1, 1), generator=torch.Generator().manual_seed(0))
    for schedule in (Schedule.DDIM, Schedule.DPM_SOLVER, Schedule.FLOW_MATCHING):
        chain: Chain[torch.Tensor] = Chain(schedule, 5)
        noisy = noise  # 5 divides 1000; DDIM rounds its levels otherwise
        for index in range(4):
            noisy = chain.step(clean, index, noisy)
            level, scale = chain.level(index + 1)
            x = noisy * scale
            angle = 0.5 * math.pi * level
            torch.testing.assert_close(x, math.cos(angle) * clean + math.sin(angle) * noise, atol=2e-3, rtol=2e-3)


def test_ancestral_steps_are_those_of_ddpm() -> None:
    """Mean and variance of a step equal those of `diffusers.DDPMScheduler`, given the same noise."""
    import diffusers

    theirs = diffusers.DDPMScheduler(
        num_train_timesteps=1000,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="sample",
        clip_sample=False,
        timestep_spacing="trailing",
        variance_type="fixed_small",
    )
    theirs.set_timesteps(5)
    ours: Chain[torch.Tensor] = Chain(Schedule.DDPM, 5)
    noisy, clean = torch.randn(1, 2, 3, 1), torch.rand(1, 2, 3, 1)
    for index in range(4):
        generator = torch.Generator().manual_seed(index)
        noise = torch.randn(noisy.shape, generator=torch.Generator().manual_seed(index))
        expected = theirs.step(clean, theirs.timesteps[index], noisy, generator=generator).prev_sample
        torch.testing.assert_close(ours.step(clean, index, noisy, noise), expected, atol=5e-3, rtol=0.0)


def test_null_token_hides_the_condition_and_guidance_leads_away_from_it() -> None:
    for name in ("interference", "set", "set_with_context"):
        scenario, network = networks()[name]
        bridge, cases = cases_of(scenario, 2)
        condition = condition_of(bridge, cases)
        n, c = bridge.shape(cases)
        noisy, time = torch.randn(1, 1, n, c).expand(2, 1, n, c), torch.tensor([0.5])
        hidden = network(noisy, time, condition, torch.tensor([True, True]))
        torch.testing.assert_close(hidden[0], hidden[1])
        seen = network(noisy, time, condition, torch.tensor([False, False]))
        assert not torch.equal(seen[0], seen[1])
        keys = case_keys(0, [0, 1])
        plain = sample(network, bridge, cases, keys, 2, Sampling(steps=1))
        guided = sample(network, bridge, cases, keys, 2, Sampling(steps=1, guidance=2.0))
        assert not np.array_equal(plain, guided)
        assert np.abs(guided).max() <= 1.0


def test_gradient_push_raises_the_objective_and_stays_feasible() -> None:
    bridge, cases = cases_of("power_control", 4)
    network = networks()["interference"][1]
    condition = condition_of(bridge, cases)

    def guide(clean: FloatArray) -> FloatArray:
        y = torch.as_tensor(clean, dtype=torch.float32).requires_grad_(True)
        return torch.autograd.grad(bridge.value(condition, y).sum(), y)[0].numpy().astype(float)

    keys = case_keys(0, np.arange(4))
    values = []
    for push in (0.0, 0.3):
        y = sample(network, bridge, cases, keys, 4, Sampling(steps=5, push=push), guide=guide if push else None)
        assert np.abs(y).max() <= 1.0
        values.append(bridge.score(cases, bridge.decode(cases, y)).mean())
    assert values[1] > values[0]


def test_projection_acts_in_every_step() -> None:
    class Counting(type(cases_of("parallel_channels", 1)[0])):  # type: ignore[misc]
        calls = 0

        def project(self, condition, y):  # type: ignore[no-untyped-def]
            Counting.calls += 1
            return super().project(condition, y)

    _, network = networks()["film"]
    bridge, cases = Counting(), cases_of("parallel_channels", 2)[1]
    y = sample(network, bridge, cases, case_keys(0, [0, 1]), 2, Sampling(steps=4))
    assert Counting.calls == 5  # once per step and once at the end
    power = bridge.raw(cases, y)
    np.testing.assert_allclose(power.sum(axis=2), 16.0, rtol=5e-3)  # the rounding grid is all that is missing


def test_levels_are_angles() -> None:
    assert angle_of(1.0) == 0.0
    assert angle_of(0.0) == pytest.approx(1.0)
    assert angle_of(0.5) == pytest.approx(0.5)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_a_missing_device_is_said() -> None:
    assert pick_device("auto") == "cpu"
    with pytest.raises(SolverError, match="no CUDA device"):
        pick_device("cuda")


@pytest.mark.parametrize("scenario", ["power_control", "power_control/weighted", "parallel_channels", "noma_uav", "uav_isac"])
def test_torch_value_grows_with_the_score(scenario: str) -> None:
    """The differentiable value and the score order the same feasible points alike."""
    bridge, cases = cases_of(scenario, 3)
    y = bridge.project_torch(condition_of(bridge, cases), torch.rand(3, 40, *bridge.shape(cases)) * 2.0 - 1.0)
    value = bridge.value(condition_of(bridge, cases), y).numpy()
    score = bridge.score(cases, bridge.decode(cases, y.numpy().astype(np.float64)))
    for b in range(3):
        met = score[b] > -0.999
        assert np.corrcoef(value[b][met], score[b][met])[0, 1] > 0.9999


def test_uav_value_is_made_of_the_instances_objectives() -> None:
    import optisolve
    from optisolve.problems.uav_isac.sampling import UavIsacBridge, _objectives

    instance = optisolve.load_problem("uav_isac").instance(3)
    bridge: Bridge = UavIsacBridge()
    cases = bridge.spread(bridge.read(instance), 30)
    y = bridge.null(cases, np.random.default_rng(0).random((30, 1, 4, 3)))
    points = bridge.decode(cases, y)
    uavs = torch.as_tensor(points.astype(np.float32)).view(30, 1, 4, 3)
    utility, error, _ = _objectives(condition_of(bridge, cases), uavs)
    X = points[:, 0].reshape(30, 4, 3).copy()
    X[..., :2] *= 1500.0
    F = instance.evaluate(X.reshape(30, 12)).F
    np.testing.assert_allclose(utility[:, 0].numpy(), F[:, 0], atol=1e-4)
    np.testing.assert_allclose(error[:, 0].numpy(), F[:, 1], rtol=1e-4)


def test_a_fronts_value_is_its_hypervolume_and_its_gradient_widens_it() -> None:
    """Against moocore, less the samples' own small share; a step along the gradient raises it."""
    import moocore

    from optisolve.problems.uav_isac import sampling as uav_isac

    bridge, cases = cases_of("uav_isac", 2)
    many = spread(bridge, cases, 12)
    condition = condition_of(bridge, many)
    y = bridge.project_torch(condition, torch.rand(24, 1, 4, 3, generator=torch.Generator().manual_seed(1)) * 2.0 - 1.0)
    y = y.view(2, 12, 4, 3).requires_grad_(True)
    value = bridge.front_value(condition, y)
    own = bridge.value(condition, y.flatten(0, 1)[:, None]).view(2, 12).mean(dim=1)
    a, e, lacking = uav_isac._losses(condition, bridge._uavs(condition, y.flatten(0, 1)[:, None]))  # type: ignore[attr-defined]
    points = torch.stack([a + lacking, e + lacking], dim=-1).view(2, 12, 2).detach().numpy().astype(float)
    for b in range(2):
        volume = moocore.hypervolume(points[b], ref=[1.0, 1.0])
        assert volume > 0.0
        assert float((value - uav_isac._OWN * own)[b].detach()) == pytest.approx(volume, abs=1e-5)
    (gradient,) = torch.autograd.grad(value.sum(), y)
    wider = bridge.front_value(condition, y + 1e-3 * gradient / gradient.norm())
    assert float(wider.detach().sum()) > float(value.detach().sum())


@pytest.mark.parametrize("name", ["interference", "velocity"])
def test_training_and_use_compute_the_same_network(name: str) -> None:
    """The sums that are taken in place outside of training are those that gradients go through."""
    scenario, network = networks()[name]
    bridge, cases = cases_of(scenario, 2)
    noisy, time, condition = torch.randn(2, 3, 10, 1), torch.tensor([0.4]), condition_of(bridge, cases)
    null = torch.tensor([False, True])
    trained = network(noisy, time, condition, null)
    with torch.inference_mode():
        used = network(noisy, time, condition, null)
    torch.testing.assert_close(trained.detach(), used, atol=1e-5, rtol=1e-5)

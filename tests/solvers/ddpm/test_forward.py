"""Sampling without torch: the numbers of the networks that were trained, whatever the batch and the threads."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from threadpoolctl import threadpool_limits

import optisolve
from optisolve.cli.main import main
from optisolve.content import content_dir
from optisolve.core.arrays import FloatArray
from optisolve.core.bridge import Bridge, stack
from optisolve.core.errors import SolverError
from optisolve.solvers.ddpm.bridges import bridge_of
from optisolve.solvers.ddpm.forward import Forward
from optisolve.solvers.ddpm.noise import case_keys
from optisolve.solvers.ddpm.sampler import Sampling, sample
from optisolve.solvers.ddpm.schedules import Chain, Schedule, signal_power
from optisolve.solvers.ddpm.weights import WEIGHTS_FILE, load_weights, save_weights, shipped
from tests.solvers.ddpm.shipped import scenario_of

has_torch = all(find_spec(name) for name in ("torch", "diffusers"))
needs_torch = pytest.mark.skipif(not has_torch, reason="needs the extra [diffusion]")


def loaded(weights: str, count: int) -> tuple[Forward, Bridge, dict[str, FloatArray]]:
    """The network of shipped weights and cases for it; with preferences all of one instance."""
    problem = optisolve.load_problem(scenario_of(weights))
    bridge = bridge_of(problem.instance(0))
    if bridge.preferences:
        cases = dict(bridge.spread(bridge.read(problem.instance(0)), count))
    else:
        cases = stack([bridge.read(problem.instance(seed)) for seed in range(count)])
    return load_weights(weights, bridge.family).forward(), bridge, cases


@needs_torch
@pytest.mark.parametrize("weights", shipped())
def test_shipped_networks_compute_what_torch_computes(weights: str) -> None:
    """To 1e-9 in double precision; single precision, as in training, rounds by 1e-5 itself, and by more without condition."""
    import torch

    forward, bridge, cases = loaded(weights, 4)
    denoiser = load_weights(weights, bridge.family).denoiser()
    condition = bridge.condition(cases)
    noisy = np.random.default_rng(0).standard_normal((4, 3, *bridge.shape(cases)))
    asked = [(level, null) for level in (1.0, 0.6, 0.1) for null in (False, True)]
    ours = [forward.at(condition)(noisy, level, null=null) for level, null in asked]
    for (level, null), values in zip(asked, ours, strict=True):
        single = denoiser.at(condition)(noisy, level, null=null)
        assert np.abs(values - single).max() <= (1e-3 if null else 1e-5)
    network, double = denoiser.double(), {name: torch.as_tensor(values) for name, values in condition.items()}
    for (level, null), values in zip(asked, ours, strict=True):
        mask, time = torch.ones(4, dtype=torch.bool) if null else None, torch.tensor([level], dtype=torch.float64)
        with torch.no_grad():
            theirs = network.clean(torch.as_tensor(noisy), time, network.encode(double), mask).numpy()
        assert np.abs(values - theirs).max() <= 1e-9


@needs_torch
@pytest.mark.parametrize("name", ["interference", "set", "set_with_context", "velocity", "film"])
def test_every_kind_of_network_has_a_twin(name: str, tmp_path: Path) -> None:
    """With random weights; also what no shipped network has: predicted velocity, layers of one fixed size."""
    from optisolve.solvers.ddpm.networks import FilmDenoiser
    from tests.solvers.ddpm.helpers import cases_of, networks

    scenario, network = networks()[name]
    bridge, cases = cases_of(scenario, 3)
    condition = bridge.condition(cases)
    if name == "film":  # which no bridge feeds: its condition is one vector
        network = FilmDenoiser(features=16, variables=16, width=8, layers=2).eval()
        condition = {"vector": condition["tokens"][:, :, 0]}
    for values in network.parameters():  # null tokens begin at 0, which would hide a missing one
        values.data.add_(0.1)
    save_weights(network, tmp_path, {"family": bridge.family})
    noisy = np.random.default_rng(0).standard_normal((3, 2, *bridge.shape(cases)))
    forward = load_weights(str(tmp_path), bridge.family).forward()
    for null in (False, True):
        ours, theirs = (n.at(condition)(noisy, 0.7, null=null) for n in (forward, network))
        np.testing.assert_allclose(ours, theirs, atol=2e-5)


@needs_torch
@pytest.mark.parametrize("steps", [2, 3, 7, 16])
@pytest.mark.parametrize("schedule", list(Schedule))
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of diffusers
def test_the_chain_takes_the_steps_of_diffusers(schedule: Schedule, steps: int) -> None:
    """Given its signal powers in double precision, every step to 1e-6; the powers themselves to 1e-6 as it computes them."""
    import diffusers
    import torch

    cosine = {"num_train_timesteps": 1000, "beta_schedule": "squaredcos_cap_v2", "prediction_type": "sample"}
    spacing = {"timestep_spacing": "trailing"}
    eta = 1.0 if schedule is Schedule.DDPM else 0.5 if schedule is Schedule.DDIM else 0.0
    if schedule is Schedule.FLOW_MATCHING:
        theirs = diffusers.FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=1.0)
        theirs.set_timesteps(sigmas=[1.0 - i / steps for i in range(steps)])
    else:
        solver = {"algorithm_type": "dpmsolver++", "solver_order": 2, "final_sigmas_type": "zero"}
        if schedule is Schedule.DPM_SOLVER:
            theirs = diffusers.DPMSolverMultistepScheduler(**cosine, **spacing, **solver)
        else:
            theirs = diffusers.DDIMScheduler(**cosine, **spacing, clip_sample=False, set_alpha_to_one=True)
        np.testing.assert_allclose(theirs.alphas_cumprod.numpy(), signal_power(), atol=1e-6)
        theirs.alphas_cumprod = torch.as_tensor(signal_power())
        theirs.set_timesteps(steps)
    ours: Chain[FloatArray] = Chain(schedule, steps, 0.5 if schedule is Schedule.DDIM else 0.0)
    rng = np.random.default_rng(0)
    noisy = rng.standard_normal(64)
    for index in range(steps - 1):
        clean, noise = rng.uniform(-1.0, 1.0, 64), rng.standard_normal(64)
        x0, x, time = torch.as_tensor(clean), torch.as_tensor(noisy), theirs.timesteps[index]
        if schedule is Schedule.FLOW_MATCHING:
            expected = theirs.step((x - x0) / float(theirs.sigmas[index]), time, x).prev_sample
        elif schedule is Schedule.DPM_SOLVER:
            expected = theirs.step(x0, time, x).prev_sample
        else:
            expected = theirs.step(x0, time, x, eta=min(eta, 1.0 - 1e-6), variance_noise=torch.as_tensor(noise)).prev_sample
        noisy = ours.step(clean, index, noisy, noise)
        np.testing.assert_allclose(noisy, expected.numpy(), atol=1e-6)


@pytest.mark.parametrize("weights", shipped())
def test_samples_are_the_same_alone_and_among_others(weights: str) -> None:
    """To the last bit, across the blocks in which cases walk."""
    forward, bridge, cases = loaded(weights, 140)
    keys = case_keys(0, np.arange(140))
    together = sample(forward, bridge, cases, keys, 2, Sampling(steps=2))
    for first, size in ((0, 1), (130, 1), (120, 20)):
        few = {name: values[first : first + size] for name, values in cases.items()}
        alone = sample(forward, bridge, few, keys[first : first + size], 2, Sampling(steps=2))
        np.testing.assert_array_equal(together[first : first + size], alone)
    assert together.std() > 0.0


@pytest.mark.parametrize("weights", ["uav_isac", "parallel_channels", "power_control"])
def test_samples_are_the_same_with_any_number_of_threads(weights: str) -> None:
    forward, bridge, cases = loaded(weights, 64)
    drawn = []
    for threads in (1, 2, 4):
        with threadpool_limits(threads):
            drawn.append(sample(forward, bridge, cases, case_keys(1, np.arange(64)), 8, Sampling(steps=3, guidance=0.5)))
    np.testing.assert_array_equal(drawn[0], drawn[1])
    np.testing.assert_array_equal(drawn[0], drawn[2])


def test_the_first_sample_of_a_process_waits_for_nothing_heavy() -> None:
    probe = (
        "import sys, optisolve\n"
        "from optisolve.solvers.ddpm.start import sampled_points\n"
        "X = sampled_points(optisolve.load_problem('uav_isac').instance(20), 1, 0)\n"
        "heavy = ('torch', 'diffusers', 'numba', 'scipy', 'pydantic', 'pymoo', 'pandas')\n"
        "print(X.shape, [name for name in heavy if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "(1, 12) []"


# -- weights that do not fit ---------------------------------------------------------------------------------------------


def change(**edit: object) -> Callable[[Path], None]:
    """Other values in ``config.json``."""

    def edited(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **edit}))

    return edited


def tensors(edit: Callable[[dict[str, np.ndarray]], None]) -> Callable[[Path], None]:
    """Other tensors in the weights file."""

    def edited(folder: Path) -> None:
        arrays = load_file(folder / WEIGHTS_FILE)
        edit(arrays)
        save_file(arrays, folder / WEIGHTS_FILE)

    return edited


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (lambda folder: (folder / "config.json").unlink(), "no config.json"),
    "config is no JSON": (lambda folder: (folder / "config.json").write_text("{"), "config.json is no JSON"),
    "config is a list": (lambda folder: (folder / "config.json").write_text("[]"), "must hold an object"),
    "another class": (change(_class_name="UNet2DModel"), "holds a 'UNet2DModel'; expected one of InterferenceDenoiser"),
    "another network of ours": (change(_class_name="SetDenoiser"), "the weights lack 'embed.0.weight'"),
    "another prediction": (change(prediction="noise"), "prediction is 'noise'; expected 'sample' or 'velocity'"),
    "another width": (change(width=17), r"'embed.weight' has the shape \[16, 5\]; .* has \[17, 5\]"),
    "width in words": (change(width="wide"), "width is 'wide'; expected a whole number"),
    "more layers": (change(layers=4), "the weights lack 'blocks.3.say.weight'"),
    "fewer layers": (change(layers=2), "the weights hold 'blocks.2"),
    "not finite": (tensors(lambda arrays: arrays["embed.bias"].fill(np.nan)), "'embed.bias' holds numbers that are not finite"),
    "cut short": (lambda folder: (folder / WEIGHTS_FILE).write_bytes(b"\x10" + bytes(9)), "cannot be read as weights"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_weights_that_do_not_fit_are_one_error(case: str, tmp_path: Path) -> None:
    breaks, message = BROKEN[case]
    folder = tmp_path / "mine"
    shutil.copytree(content_dir("solvers") / "ddpm" / "weights" / "power_control", folder)
    breaks(folder)
    with pytest.raises(SolverError, match=message):
        load_weights(str(folder), "power_control").forward()


@pytest.mark.parametrize(
    ("weights", "message"),
    [("offloading", "are for offloading, this problem is power_control"), ("nowhere", "no weights 'nowhere'")],
)
def test_weights_of_another_family_end_a_run_with_one_line(
    weights: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", "problem=power_control", "solver=ddpm", f"solver.weights={weights}", "budget.evaluations=4"]) != 0
    told = capsys.readouterr()
    assert message in " ".join((told.out + told.err).split())
    assert "Traceback" not in told.out + told.err

"""`power_net`: conformance, the network with and without torch, what its answers are worth, and what it says of them."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import optisolve
from optisolve.content import content_dir, digest
from optisolve.core.budget import Budget
from optisolve.core.errors import OptionError, SolverError
from optisolve.core.problem import Instance
from optisolve.core.solver import Solver
from optisolve.core.status import Limit, Termination
from optisolve.numerics.switches import rates
from optisolve.solvers.ddpm.weights import WEIGHTS_FILE
from optisolve.solvers.power_net import PowerNet
from optisolve.solvers.power_net.weights import trained
from optisolve.testing import SolverConformance
from optisolve.testing.toys import toy_instances

WEIGHTS = content_dir("solvers") / "power_net" / "weights"


class TestPowerNet(SolverConformance):
    evaluations = 40

    def make_solver(self) -> Solver:
        return PowerNet()

    def make_instances(self) -> list[Instance]:
        names = ("power_control", "power_control/weighted", "power_control/d2d50")
        return [*(optisolve.load_problem(name).instance(1) for name in names), *toy_instances()]


def cases(n_links: int, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    gain = rng.exponential(size=(count, n_links, n_links)) * 10.0 ** rng.uniform(-0.5, 1.5, (count, 1, 1))
    weight = rng.random((count, n_links))
    return gain, weight / weight.max(axis=1, keepdims=True)


@pytest.mark.skipif(find_spec("torch") is None, reason="needs the extra [diffusion]")
@pytest.mark.parametrize("n_links", [1, 2, 9, 60])
def test_compiled_loops_compute_what_torch_trained(n_links: int) -> None:
    """In double precision, up to the grid of 1/1024 that powers are rounded to."""
    import torch
    from safetensors.torch import load_file

    from optisolve.solvers.power_net.network import PowerNetwork
    from optisolve.solvers.power_net.shape import Shape

    config = json.loads((WEIGHTS / "config.json").read_text(encoding="utf-8"))
    network = PowerNetwork(Shape(**{name: value for name, value in config.items() if not name.startswith("_")}))
    network.load_state_dict(load_file(WEIGHTS / WEIGHTS_FILE))
    gain, weight = cases(n_links, 3)
    noise = np.random.default_rng(1).standard_normal((2, n_links))
    told = torch.as_tensor(np.broadcast_to(noise.T, (3, n_links, 2)).copy())
    with torch.no_grad():
        expected = network.double()(torch.as_tensor(gain), torch.as_tensor(weight), told)[-1].numpy().transpose(0, 2, 1)
    found = trained("auto").network(gain, weight, noise)
    assert np.abs(found - expected).max() <= 0.5 / 1024 + 1e-9


def test_links_in_another_order_get_the_same_powers() -> None:
    gain, weight = cases(30, 2)
    order = np.random.default_rng(3).permutation(30)
    network, silent = trained("auto").network, np.zeros((1, 30))
    plain = network(gain, weight, silent)
    turned = network(gain[:, order][:, :, order], weight[:, order], silent)
    assert np.abs(turned - plain[:, :, order]).max() <= 1.0 / 1024


def test_noise_power_and_caps_count_by_their_ratio_alone() -> None:
    """An instance in milliwatts gets the powers of the same instance in watts, a thousandth of the number."""
    small = optisolve.load_problem("power_control", n_links=20, noise_w=0.1).instance(5)
    large = optisolve.load_problem("power_control", n_links=20, noise_w=100.0, p_max_w=1000.0).instance(5)
    shares = [optisolve.prepare("power_net", case)(case).X[0] / case.p_max_w for case in (small, large)]
    assert shares[0] == pytest.approx(shares[1], abs=1e-9)


@pytest.mark.parametrize(("n_links", "db"), [(20, 0), (50, 0), (100, 10), (200, 0)])
def test_one_pass_and_a_few_switches_beat_wmmse_from_full_power(n_links: int, db: int) -> None:
    """On the mean of instances that training never saw; a network that learned nothing is far below."""
    problem = optisolve.load_problem("power_control", n_links=n_links, noise_w=10.0 ** (-db / 10))
    instances = [problem.instance(60_000 + i) for i in range(12)]
    plain = optisolve.prepare("power_net", problem, n_anchors=0)(instances)
    wmmse = optisolve.prepare("wmmse", problem, n_random_starts=0)(instances)
    assert np.mean([a.F[0, 0] / b.F[0, 0] for a, b in zip(plain, wmmse, strict=True)]) > 1.0


def test_weights_of_the_links_are_heard() -> None:
    """What is named for weighted links is worth more to them than what is named for equal ones."""
    gain, weight = cases(40, 20, seed=4)
    network, silent = trained("auto").network, np.zeros((1, 40))
    heard, deaf = network(gain, weight, silent), network(gain, np.ones_like(weight), silent)
    assert rates(gain, weight, heard).mean() > 1.02 * rates(gain, weight, deaf).mean()


def test_a_small_budget_gives_a_part_of_what_a_large_one_gives() -> None:
    instance = optisolve.load_problem("power_control/gaussian_k20_10db").instance(3)
    solver, values = PowerNet(n_candidates=3, n_anchors=10), []
    for evaluations in (1, 2, 4, 8, 16, 100):
        result = optisolve.solve(instance, solver, budget=Budget(evaluations=evaluations), seed=2)
        limited = evaluations < 16
        assert result.termination is (Termination.LIMIT if limited else Termination.CONVERGED)
        assert result.run.outcome.limit is (Limit.EVALUATIONS if limited else None)
        values.append(float(result.verification.F[0, 0]))
    assert values == sorted(values)


def test_the_plain_answer_has_no_seed_and_neighbors_do_not_change_it() -> None:
    problem = optisolve.load_problem("power_control", n_links=25)
    instances = [problem.instance(i) for i in range(4)] + [optisolve.load_problem("power_control", n_links=9).instance(0)]
    together = optisolve.prepare("power_net", problem, seed=1)(instances)
    for instance, answer in zip(instances, together, strict=True):
        alone = optisolve.solve(instance, "power_net", seed=7)
        assert answer.X.tolist() == alone.verification.X.tolist()


@pytest.mark.parametrize(
    ("scenario", "params", "told"),
    [
        ("power_control", {}, ""),
        ("power_control/weighted", {}, ""),
        ("power_control/d2d50", {}, ""),
        ("power_control", {"n_links": 200, "noise_w": 0.1}, ""),
        ("power_control", {"n_links": 250}, "n_links = 250 (8 to 200)"),
        ("power_control", {"n_links": 5}, "n_links = 5 (8 to 200)"),
        ("power_control", {"noise_w": 0.001}, "noise_w = 0.001"),
        ("power_control", {"cross_gain": 5.0}, "cross_gain = 5"),
    ],
)
def test_what_training_had_not_is_named(scenario: str, params: dict[str, float], told: str) -> None:
    note = optisolve.load_solver("power_net").caution(optisolve.load_problem(scenario, **params).instance(1))
    assert told in note
    assert bool(told) == bool(note)


@pytest.mark.parametrize("scenario", ["power_control/weighted_qos", "power_control/max_min", "parallel_channels", "uav_isac"])
def test_what_it_cannot_treat_it_declines_in_words(scenario: str) -> None:
    reason = optisolve.load_solver("power_net").skip(optisolve.load_problem(scenario).instance(0))
    assert reason is not None


def test_without_the_network_it_is_its_own_control() -> None:
    """Anchors alone need no weights, name none, and say nothing of what training had not; the network beside them helps."""
    problem = optisolve.load_problem("power_control/d2d50")
    instances = [problem.instance(i) for i in range(6)]
    control = optisolve.load_solver("power_net", n_candidates=0)
    assert control.checkpoint(instances[0]) is None
    assert control.caution(optisolve.load_problem("power_control", n_links=3).instance(0)) == ""
    both, alone = optisolve.prepare("power_net", problem)(instances), optisolve.prepare(control, problem)(instances)
    assert all(a.F[0, 0] >= b.F[0, 0] for a, b in zip(both, alone, strict=True))
    assert np.mean([a.F[0, 0] / b.F[0, 0] for a, b in zip(both, alone, strict=True)]) > 1.02


@pytest.mark.parametrize("options", [{"n_anchors": 0}, {"polish": "none"}, {"polish_steps": 0}])
def test_nothing_to_start_from_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=r"n_candidates.*at least 1"):
        PowerNet(n_candidates=0, **options)  # type: ignore[arg-type]


def test_the_record_names_the_weights() -> None:
    result = optisolve.solve(optisolve.load_problem("power_control").instance(0), "power_net")
    card = json.loads((WEIGHTS / "card.json").read_text(encoding="utf-8"))
    assert result.run.outcome.report["sha256"] == digest(WEIGHTS / WEIGHTS_FILE) == card["sha256"]


def test_weights_of_ones_own_and_what_is_none_of_them(tmp_path: Path) -> None:
    own = shutil.copytree(WEIGHTS, tmp_path / "own")
    instance = optisolve.load_problem("power_control").instance(0)
    ready = optisolve.prepare("power_net", instance, weights=str(own))
    assert ready(instance).X.tolist() == optisolve.prepare("power_net", instance)(instance).X.tolist()
    with pytest.raises(SolverError, match=r"nowhere.*expected 'auto' or a folder"):
        optisolve.prepare("power_net", instance, weights=str(tmp_path / "nowhere"))
    other = content_dir("solvers") / "ddpm" / "weights" / "power_control"
    with pytest.raises(SolverError, match=r"InterferenceDenoiser.*PowerNetwork"):
        optisolve.prepare("power_net", instance, weights=str(other))


def test_the_preset_holds_the_class_defaults() -> None:
    assert optisolve.load_solver("power_net") == PowerNet()

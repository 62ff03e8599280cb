"""The solver `ddpm`: budgets, stages in the record, controls, and what it says when something is missing."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import optisolve
from optisolve.cli.main import main
from optisolve.content import content_dir
from optisolve.core.budget import Budget
from optisolve.core.errors import MissingDependency, OptionError
from optisolve.core.problem import Instance
from optisolve.core.solver import Solver
from optisolve.core.status import PointStatus, Termination
from optisolve.solvers.ddpm import Ddpm, DdpmNull
from optisolve.solvers.ddpm.weights import load_weights, shipped
from optisolve.testing import SolverConformance
from tests.solvers.ddpm.shipped import scenario_of

has_torch = all(importlib.util.find_spec(name) for name in ("torch", "diffusers"))
needs_torch = pytest.mark.skipif(not has_torch, reason="needs the extra [diffusion]")


def small_instances() -> list[Instance]:
    return [optisolve.load_problem(name).instance(1) for name in ("power_control", "parallel_channels", "offloading/n10")]


class TestNullControl(SolverConformance):
    evaluations = 40

    def make_solver(self) -> Solver:
        return DdpmNull()

    def make_instances(self) -> list[Instance]:
        return [*small_instances(), optisolve.load_problem("noma_uav").instance(1)]


class TestNetwork(SolverConformance):
    evaluations = 40

    def make_solver(self) -> Solver:
        return Ddpm()

    def make_instances(self) -> list[Instance]:
        return small_instances()


def report(result: Any) -> dict[str, Any]:
    told: dict[str, Any] = result.run.outcome.report
    return told


@pytest.mark.parametrize("weights", shipped())
def test_shipped_weights_beat_their_null_control(weights: str) -> None:
    """Without polish, at equal samples; every family that ships weights, with its card beside it."""
    problem = optisolve.load_problem(scenario_of(weights))
    size: dict[str, Any] = {"n_samples": 8, "n_preferences": 8, "polish": "none"}
    network, null = Ddpm(weights=weights, **size), DdpmNull(**size)
    budget, ours, theirs = Budget(evaluations=8), [], []
    for seed in range(4):
        for solver, values in ((network, ours), (null, theirs)):
            result = optisolve.solve(problem.instance(seed), solver, budget=budget, seed=seed)
            assert result.point_status is PointStatus.FEASIBLE
            assert result.record.used.evaluations == 8
            F = result.verification.F
            sign = problem.instance(0).signs
            values.append(result.hypervolume if len(sign) > 1 else -float(F[0, 0]) * sign[0])
    assert np.sum(ours) > np.sum(theirs)


def test_power_control_works_without_training_and_reports_its_stages() -> None:
    result = optisolve.solve(optisolve.load_problem("power_control").instance(0), "ddpm", budget=Budget(evaluations=5000))
    told = report(result)
    assert result.termination is Termination.CONVERGED
    assert result.record.used.evaluations == 2 * told["samples"] == 32
    assert told["raw"]["best"] <= told["projected"]["best"] + 1e-12
    assert told["polished"]["best"] >= told["raw"]["mean"]
    assert told["polish"]["method"] == "switch"
    assert told["polish"]["probes"] > 0
    assert told["network_calls"] == 2
    assert len(told["weights_sha256"]) == 64


@needs_torch
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of diffusers
@pytest.mark.parametrize("schedule", ["ddim", "ddpm", "dpm_solver", "flow_matching"])
def test_every_schedule_solves_the_default_case(schedule: str) -> None:
    solver = Ddpm(schedule=schedule, steps=4, guidance=0.5, push=0.05, n_samples=4)
    instance = optisolve.load_problem("power_control").instance(0)
    first, second = (optisolve.solve(instance, solver, seed=2) for _ in range(2))
    assert first.point_status is PointStatus.FEASIBLE
    assert first.result_hash == second.result_hash
    assert report(first)["network_calls"] == 8


@pytest.mark.parametrize("evaluations", [1, 2, 7, 64])
def test_evaluations_are_counted_and_small_budgets_draw_fewer_samples(evaluations: int) -> None:
    instance = optisolve.load_problem("power_control").instance(0)
    result = optisolve.solve(instance, DdpmNull(), budget=Budget(evaluations=evaluations))
    used = result.record.used
    assert used.evaluations <= evaluations
    assert used.evaluations == min(32, evaluations if evaluations == 1 else 2 * (evaluations // 2))
    assert (result.termination is Termination.LIMIT) == (evaluations < 32)


def test_switch_and_wmmse_are_polishes_of_power_control_only() -> None:
    power, channels = (optisolve.load_problem(name).instance(0) for name in ("power_control", "parallel_channels"))
    assert DdpmNull(polish="wmmse").skip(power) is None
    reason = DdpmNull(polish="wmmse").skip(channels)
    assert reason is not None
    assert "no polish 'wmmse' for parallel_channels" in reason
    with pytest.raises(OptionError, match="eta"):
        Ddpm(schedule="flow_matching", eta=0.5)


def test_uninformed_samples_may_stand_beside_the_networks() -> None:
    """The network's samples stay as they are, the rest are the control's; the report says how many."""
    instance = optisolve.load_problem("power_control").instance(0)
    mixed = optisolve.solve(instance, Ddpm(n_samples=6, n_random=2), seed=3)
    assert report(mixed)["random_samples"] == 2
    assert report(mixed)["samples"] == 6
    assert mixed.point_status is PointStatus.FEASIBLE
    plain = optisolve.solve(instance, Ddpm(n_samples=4), seed=3)
    assert mixed.verification.F[0, 0] >= plain.verification.F[0, 0]
    assert "random_samples" not in report(plain)
    lone = optisolve.solve(instance, Ddpm(n_samples=6, n_random=5), budget=Budget(evaluations=2), seed=3)
    assert report(lone)["samples"] == 1  # what is left is the network's
    assert "random_samples" not in report(lone)
    with pytest.raises(OptionError, match="n_random"):
        Ddpm(n_samples=4, n_random=4)


def test_weights_in_a_folder_give_the_answer_of_the_shipped_ones(tmp_path: Path) -> None:
    """A folder need not hold a card."""
    folder = tmp_path / "mine"
    shutil.copytree(content_dir("solvers") / "ddpm" / "weights" / "power_control", folder)
    (folder / "card.json").unlink()
    instance = optisolve.load_problem("power_control").instance(0)
    theirs, ours = (optisolve.solve(instance, Ddpm(weights=name), seed=1) for name in ("auto", str(folder)))
    np.testing.assert_array_equal(theirs.run.outcome.X, ours.run.outcome.X)
    assert report(theirs)["weights_sha256"] == report(ours)["weights_sha256"]


def without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither found nor imported, as on a machine without the extra."""
    for name in ("torch", "diffusers", "huggingface_hub"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.parametrize("name", ["power_control", "uav_isac"])
def test_sampling_needs_no_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The result hash is that of a machine that has torch."""
    instance, budget = optisolve.load_problem(name).instance(0), Budget(evaluations=20)
    there = optisolve.solve(instance, Ddpm(), budget=budget, seed=1)
    without_torch(monkeypatch)
    assert Ddpm().skip(instance) is None
    assert optisolve.solve(instance, Ddpm(), budget=budget, seed=1).result_hash == there.result_hash


@pytest.mark.parametrize(
    ("solver", "name", "option"),
    [
        (Ddpm(push=0.1), "power_control", "push above 0"),
        (Ddpm(device="cuda"), "power_control", "device=cuda"),
        (Ddpm(polish="gradient"), "uav_isac", "polish=gradient"),
        (DdpmNull(polish="gradient"), "uav_isac", "polish=gradient"),
    ],
)
def test_what_needs_torch_names_the_extra(solver: Solver, name: str, option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    without_torch(monkeypatch)
    reason = solver.skip(optisolve.load_problem(name).instance(0))
    assert reason is not None
    assert reason.startswith(f"needs torch for {option};")
    assert "pip install 'optisolve[diffusion]'" in reason


def test_weights_on_the_hub_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    without_torch(monkeypatch)
    with pytest.raises(MissingDependency, match=r"huggingface_hub.*optisolve\[diffusion\]"):
        load_weights("somebody/some-weights", "power_control")


def test_training_without_torch_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    import optisolve.cli.train as command

    monkeypatch.setattr(command, "find_spec", lambda name: None)
    assert main(["train", "problem=power_control", f"out={tmp_path}"]) == 1
    assert "optisolve[diffusion]" in capsys.readouterr().err.replace("\n", "")


def test_unknown_families_and_missing_weights_are_said() -> None:
    reason = DdpmNull().skip(optisolve.load_problem("beamforming").instance(0))
    assert reason is not None
    assert "beamforming" in reason


@needs_torch
def test_training_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "problem=offloading", f"out={tmp_path}", "threads=1", "labels.shards=2", "labels.shard_size=16"]
    words += ["labels.validation_shards=1", "steps.imitation=4", "steps.label_free=2", "steps.check_every=3", "steps.batch=8"]
    assert main(words) == 0
    assert (tmp_path / "weights" / "card.json").is_file()
    assert "solver.weights=" in capsys.readouterr().out
    assert main(words) == 0  # nothing left to do, says so, and writes the same weights
    assert "6 steps" in capsys.readouterr().out
    assert main([*words, "resume=false"]) == 1
    assert main(["train", "problem=offloading", "steps.batch=0"]) == 1
    assert "steps" in capsys.readouterr().err

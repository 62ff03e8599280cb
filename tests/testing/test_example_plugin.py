"""A third party's package is found through its entry points, runs from the command line and passes the kits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parents[2] / "examples" / "relay_plugin"


GAINS = """
import optisolve

problem = optisolve.load_problem("relay")
for name, options in (("ddpm", {"weights": "trained/weights"}), ("ddpm_null", {})):
    solver = optisolve.load_solver(name, n_samples=2, **options)
    print(sum(optisolve.solve(problem.instance(seed), solver, seed=seed).scores["objective"] for seed in range(8)))
"""
"""Gains of the worst users on eight instances, dB: by the trained sampler, by its control."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    target = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        str(target),
        str(PLUGIN),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return target


def optisolve(site, *arguments, cwd):
    environment = {**os.environ, "PYTHONPATH": str(site), "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-m", "optisolve", *arguments], env=environment, cwd=cwd, capture_output=True, text=True, check=False
    )


def test_the_plugin_is_listed_and_runs(installed, tmp_path):
    listed = optisolve(installed, "list", cwd=tmp_path)
    assert listed.returncode == 0, listed.stderr
    assert "relay" in listed.stdout
    assert "coordinate_search" in listed.stdout
    run = optisolve(installed, "run", "problem=relay", "solver=coordinate_search", "print=json", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    record = json.loads(run.stdout)
    assert record["verified"]["point"] == "feasible"
    assert record["termination"]["status"] == "converged"


def test_a_parameter_of_the_plugin_can_be_set_on_the_command_line(installed, tmp_path):
    run = optisolve(installed, "run", "problem=relay", "solver=random_search", "problem.n_users=3", "print=json", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["instance"]["params"]["n_users"] == 3


def test_the_plugin_passes_the_conformance_command(installed, tmp_path):
    for target in ("relay_plugin.problem:Relay", "coordinate_search"):
        checked = optisolve(installed, "check", target, cwd=tmp_path)
        assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_plugin_s_own_tests_pass(installed, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, str(PLUGIN / "tests")]
    ran = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout


def test_two_plugins_with_one_name_are_an_error(installed, tmp_path):
    twin = tmp_path / "twin-1.0.dist-info"
    twin.mkdir()
    (twin / "METADATA").write_text("Metadata-Version: 2.1\nName: twin\nVersion: 1.0\n")
    (twin / "entry_points.txt").write_text("[optisolve.problems]\nrelay = other_module:Relay\n")
    listed = optisolve(f"{installed}{os.pathsep}{tmp_path}", "list", cwd=tmp_path)
    assert listed.returncode == 1
    assert "Two problem plug-ins are called 'relay'" in listed.stderr
    assert "Traceback" not in listed.stderr


def test_a_sampler_is_trained_on_the_plugin_s_family(installed, tmp_path):
    """The family brings its bridge and its recipe; its network beats uninformed samples on instances it has not seen."""
    pytest.importorskip("torch", reason="needs the extra [diffusion]")
    pytest.importorskip("diffusers", reason="needs the extra [diffusion]")
    words = ("solver=ddpm", "problem=relay", f"recipe={PLUGIN / 'relay.toml'}", "out=trained", "device=cpu", "threads=1")
    trained = optisolve(installed, "train", *words, cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    gains = subprocess.run(
        [sys.executable, "-c", GAINS],
        env={**os.environ, "PYTHONPATH": str(installed)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    trained_db, uninformed_db = map(float, gains.stdout.split())
    assert trained_db > uninformed_db + 5.0

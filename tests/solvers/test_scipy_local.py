"""scipy_local: the kit, known optima, gradients by torch and by differences."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from optisolve import load_problem, solve
from optisolve.core import Budget, Termination
from optisolve.solvers.scipy_local import ScipyLocal
from optisolve.testing import SolverConformance
from optisolve.testing.toys import SumCapSphere

HAS_TORCH = importlib.util.find_spec("torch") is not None


class TestConformance(SolverConformance):
    """The kit, on the toys with real variables and one objective."""

    def make_solver(self):
        return ScipyLocal()


def test_reaches_the_known_projection():
    """The sphere under a cap: the optimum is an exact projection."""
    problem = SumCapSphere()
    instance = problem.instance(3)
    result = solve(instance, "scipy_local", budget=Budget(evaluations=2000), reference=problem.reference(instance))
    assert result.termination is Termination.CONVERGED
    assert abs(result.record.scores.gap) < 1e-7


def test_reasons_to_skip():
    """Integers, and more variables than SLSQP can carry."""
    assert "integer" in ScipyLocal().skip(SumCapSphere(integers=True).instance(0))
    assert "max_variables" in ScipyLocal().skip(load_problem("beamforming/massive").instance(0))


@pytest.mark.skipif(not HAS_TORCH, reason="needs the extra [diffusion]")
@pytest.mark.parametrize(
    "name", ["noma_uav", "nsp_utility", "nsp_utility/bep", "beamforming", "beamforming/max_min", "cell_free"]
)
def test_torch_functions_have_the_values_of_the_twin(name):
    """`objective_torch` and `constraints_torch` agree with the numpy equations to 1e-12."""
    import torch

    instance = load_problem(name).instance(2)
    X = instance.project(instance.space.sample(np.random.default_rng(0), 20))
    evaluation = instance.evaluate_twin(X)
    x = torch.tensor(X, dtype=torch.float64)
    np.testing.assert_allclose(instance.objective_torch(x).numpy(), evaluation.F, rtol=1e-11, atol=1e-12)
    if hasattr(instance, "constraints_torch"):
        np.testing.assert_allclose(instance.constraints_torch(x).numpy(), evaluation.G, rtol=1e-11, atol=1e-12)


@pytest.mark.skipif(not HAS_TORCH, reason="needs the extra [diffusion]")
def test_torch_gradients_save_evaluations():
    """Same optimum as finite differences, with a tenth of the evaluations."""
    instance = load_problem("beamforming/sum_rate", n_antennas=3, n_users=2).instance(1)
    runs = [
        solve(instance, "scipy_local", budget=Budget(evaluations=6000), gradient=gradient)
        for gradient in ("torch", "finite_differences")
    ]
    values = [run.record.scores.objective for run in runs]
    used = [run.record.used.evaluations for run in runs]
    assert values[0] == pytest.approx(values[1], rel=1e-7)
    assert used[0] < 0.25 * used[1]
    assert runs[0].run.outcome.report["gradient"] == "torch"


def test_exact_slopes_save_evaluations_and_are_paid_for():
    """Same optimum as finite differences of ten powers, with a third of the evaluations, looks included."""
    instance = load_problem("power_control").instance(3)
    exact, differences = (
        solve(instance, "scipy_local", budget=Budget(evaluations=2000), gradient=gradient, reference=None)
        for gradient in ("exact", "finite_differences")
    )
    assert exact.record.scores.objective == pytest.approx(differences.record.scores.objective, rel=1e-9)
    assert exact.record.used.evaluations < differences.record.used.evaluations / 3
    assert exact.record.used.by_source["jacobian"].evaluations > 10


@pytest.mark.skipif(not HAS_TORCH, reason="needs the extra [diffusion]")
@pytest.mark.parametrize(
    "name",
    [
        *("power_control", "power_control/max_min", "power_control/energy_efficiency", "power_control/weighted"),
        *("parallel_channels", "noma_uav", "power_game"),
    ],
)
def test_slopes_in_closed_form_are_those_of_torch(name):
    import torch

    instance = load_problem(name).instance(2)
    X = instance.project(instance.space.sample(np.random.default_rng(0), 20))
    x = torch.tensor(X, dtype=torch.float64, requires_grad=True)
    (slopes,) = torch.autograd.grad(instance.objective_torch(x).sum(), x)
    np.testing.assert_allclose(instance.jacobian(X)[:, 0], slopes.numpy(), rtol=1e-9, atol=1e-12 * float(slopes.abs().max()))


def test_a_record_does_not_depend_on_whether_torch_is_installed(monkeypatch):
    """Finite differences unless torch is asked for; asked for and absent, the solver says what to install."""
    instance = load_problem("nsp_utility").instance(1)
    runs = []
    for found in (None, importlib.machinery.ModuleSpec("torch", None)):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name, found=found: found)
        runs.append(solve(instance, "scipy_local", budget=Budget(evaluations=600)))
    assert runs[0].result_hash == runs[1].result_hash
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "optisolve[diffusion]" in ScipyLocal(gradient="torch").skip(instance)


def test_importing_these_modules_loads_nothing_heavy():
    """numba, cvxpy, ortools, pymoo and torch stay out until they are needed."""
    modules = [f"optisolve.problems.{name}" for name in ("noma_uav", "nsp_utility", "beamforming", "cell_free")]
    modules += ["optisolve.modelling.cvxpy", "optisolve.solvers.cvxpy_solver", "optisolve.solvers.scipy_local"]
    code = (
        f"import sys, {', '.join(modules)}; print(sorted({{'numba', 'cvxpy', 'ortools', 'pymoo', 'torch'}} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

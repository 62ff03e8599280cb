"""Cost grows as the documentation says: slopes of processor time, in a process of their own."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

BUSY = 0.05
"""By how much a slope moves on a machine whose caches others use as well."""
STEEPER = {"evaluations, all after the loop, s": 1.2, "users, uav_isac, s": 1.1}
"""Slopes above the target: sorting after the loop, a fifth of a run whose whole is linear; 10,000 users leave the caches."""
SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "speed" / "growth.py"


@pytest.fixture(scope="module")
def growth() -> ModuleType:
    spec = importlib.util.spec_from_file_location("growth", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["growth"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("axis", ["users", "uavs", "links", "evaluations", "records"])
def test_twice_as_much_costs_at_most_about_twice_as_much(growth, axis):
    for name, (sizes, seconds) in growth.AXES[axis]().items():
        most = STEEPER.get(name, growth.STEEPEST)
        assert growth.slope(sizes, seconds) <= most + BUSY, f"{name}: {seconds} s at {sizes}"


@pytest.mark.slow
def test_an_evaluation_costs_at_most_ten_times_as_much_in_a_hundredfold_population(growth):
    for name, (sizes, seconds) in growth.population().items():
        assert seconds[-1] <= 10.0 * seconds[0], f"{name}: {seconds} s at {sizes}"


@pytest.mark.slow
def test_a_million_evaluations_fit_into_a_gigabyte(growth):
    ((_, told),) = growth.memory().values()
    assert told[-1] < 1.0

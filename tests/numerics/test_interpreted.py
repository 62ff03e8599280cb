"""Small jobs: kernels in Python and compiled give the same bits, and Python gives up in time."""

from __future__ import annotations

import numpy as np
import pytest

import optisolve
from optisolve.numerics import interpreted, wmmse
from optisolve.numerics.interpreted import PATIENCE, SmallKernel, njit_once_it_pays

SCENARIOS = (
    "power_control",
    "power_control/weighted_qos",
    "power_control/max_min",
    "power_control/min_power",
    "power_control/energy_efficiency",
    "power_game/zou_spread",
    "resource_allocation",
    "resource_allocation/quota",
    "user_association",
    "user_association/max_min",
    "user_association/sum_rate",
    "offloading/deadlines",
    "offloading/multi_server",
)


def _both(monkeypatch, call):
    """What a call gives with every kernel in Python, and with every kernel compiled; and the kernels it used."""
    used = set()

    def plain(kernel, *args):
        used.add(kernel.__name__)
        with np.errstate(all="ignore"):
            return kernel.plain(*args)

    with monkeypatch.context() as patch:
        patch.setattr(SmallKernel, "__call__", plain)
        told = call()
    with monkeypatch.context() as patch:
        patch.setattr(SmallKernel, "__call__", lambda kernel, *args: kernel.compiled(*args))
        return told, call(), used


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_python_and_compiled_evaluations_have_the_same_bits(scenario, monkeypatch):
    instance = optisolve.load_problem(scenario).instance(0)
    X = instance.space.sample(np.random.default_rng(0), 40)
    plain, compiled, used = _both(monkeypatch, lambda: instance.evaluate(instance.project(X)))
    assert "evaluate" in used
    assert [a.tobytes() for a in plain] == [a.tobytes() for a in compiled]


def test_python_and_compiled_wmmse_have_the_same_bits(monkeypatch):
    rng = np.random.default_rng(1)
    for n_links in (1, 2, 3, 5):
        spread = 10.0 ** rng.uniform(-3.0, 3.0, (2, n_links, n_links))
        gain, weight = rng.exponential(size=spread.shape) * spread, rng.uniform(0.1, 2.0, (2, n_links))
        starts = rng.uniform(size=(2, 4, n_links))
        starts[:, 0], starts[:, 1] = 0.0, 1.0
        for call in (
            lambda g=gain, w=weight, s=starts: wmmse.wmmse(g, w, s)[0].tobytes() + wmmse.wmmse(g, w, s)[1].tobytes(),
            lambda g=gain, w=weight, s=starts: repr(wmmse.on_off_search(g[0], w[0], s[0, 2])),
        ):
            plain, compiled, used = _both(monkeypatch, call)
            assert used
            assert plain == compiled


def test_python_is_left_as_soon_as_compiling_pays(monkeypatch):
    monkeypatch.setattr(interpreted, "_taken", [0.0])

    @njit_once_it_pays(lambda x: x.size, cache=False)
    def double(x):
        return 2.0 * x[0]

    x = np.ones(PATIENCE // 2)
    assert double(x) == double(x) == 2.0
    assert not double.signatures
    assert double(x) == 2.0
    assert double.signatures

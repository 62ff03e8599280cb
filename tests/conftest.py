"""Settings for all tests."""

import importlib
import signal
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import settings

from optisolve import registry

# A shell starts background jobs with SIGINT ignored, and children inherit that; tests of Ctrl-C need the usual handler.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Hypothesis would fail examples that are slow once; on a shared machine that says nothing.
settings.register_profile("optisolve", deadline=None)
settings.load_profile("optisolve")

PLUGINS = Path(__file__).parent / "plugins"


@pytest.fixture
def plugins(monkeypatch):
    """Installs the misbehaving plug-in, here and in every process that is started."""
    monkeypatch.syspath_prepend(str(PLUGINS))
    monkeypatch.setenv("PYTHONPATH", str(PLUGINS))
    importlib.invalidate_caches()
    registry._targets.cache_clear()
    yield
    registry._targets.cache_clear()
    sys.modules.pop("optisolve_misbehaving", None)


@pytest.fixture
def suite_of(tmp_path, plugins):
    """Writes a suite; what is not given is tiny."""

    def write(name="tiny", **changes):
        values = {
            "version": "1",
            "seed": 7,
            "instances": 2,
            "repetitions": 2,
            "reference": "none",
            "budget": {"evaluations": 60},
            "limits": {"seconds": 600, "memory_mb": 2000},
            "llm": "surrogate",
            "problems": ["toy_zdt1", "toy_sphere"],
            "solvers": ["random_search", "moead_de"],
            **changes,
        }
        path = tmp_path / f"{name}.yaml"
        path.write_text("# A tiny suite.\n" + yaml.safe_dump(values))
        return path

    return write

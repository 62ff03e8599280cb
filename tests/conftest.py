"""Settings for all tests."""

import importlib
import signal
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import settings

from optisolve import registry
from tests import marks

# A shell starts background jobs with SIGINT ignored, and children inherit that; tests of Ctrl-C need the usual handler.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Hypothesis would fail examples that are slow once; on a shared machine that says nothing.
settings.register_profile("optisolve", deadline=None)
settings.load_profile("optisolve")

PLUGINS = Path(__file__).parent / "plugins"


def pytest_configure(config):
    lines = [*(f"{name}: tests of this family or solver" for name in marks.plugins())]
    lines += ["plumbing: all of those below", *(f"{name}: {told}" for name, told in marks.PLUMBING.items())]
    for line in sorted(lines):
        config.addinivalue_line("markers", line)


def pytest_ignore_collect(collection_path, config):
    """Leave out files that cannot hold a wanted test before they are imported."""
    wanted = collection_path.suffix == ".py" and collection_path.name.startswith("test_")
    return True if wanted and not marks.can_hold(collection_path, config.option.markexpr) else None


@pytest.hookimpl(tryfirst=True)  # before -m is looked at
def pytest_collection_modifyitems(config, items):
    for item in (item for item in items if item.path.is_relative_to(marks.TESTS)):
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        for name in marks.marks_of(item.path) | marks.marks_of_item(item.path, item.fixturenames, parameters):
            item.add_marker(name)
    if "slow" not in config.option.markexpr:  # whatever else is asked for
        slow = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if not item.get_closest_marker("slow")]


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

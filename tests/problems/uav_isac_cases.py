"""Scenarios shared by the tests of `uav_isac`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from optisolve.content import load_yaml
from optisolve.problems.uav_isac import UavIsac

ROOT = Path(__file__).parents[2]

URBAN = {"channel": "al_hourani", "los_a_deg": 9.61, "los_b_per_deg": 0.16, "eta_los_db": 1.0, "eta_nlos_db": 20.0}


def scenario(**changes: Any) -> UavIsac:
    """The default scenario with changes."""
    values = load_yaml("problems", "uav_isac")
    values.pop("name")
    return UavIsac.from_mapping({**values, **changes})

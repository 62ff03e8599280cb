"""Units: what people write becomes SI, and a wrong dimension is a question, never a guess."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optisolve.goals.units import UnitError, find_unit, format_si, to_si


@pytest.mark.parametrize(
    ("value", "unit", "wanted", "si"),
    [
        (30, "dBm", "W", 1.0),
        (0, "dBm", "W", 1e-3),
        (-3, "dBW", "W", 10**-0.3),
        (250, "mW", "W", 0.25),
        (2, "kW", "W", 2000.0),
        (15.8, "kbps", "bit/s", 15_800.0),
        (2, "kB/s", "bit/s", 16_000.0),
        (1.5, "Mbit/s", "bit/s", 1.5e6),
        (5, "%", "", 0.05),
        (3, "dB", "", 10**0.3),
        (0.1, "", "", 0.1),
        (4, "bps/Hz", "bit/s/Hz", 4.0),
    ],
)
def test_values_come_out_in_si(value, unit, wanted, si):
    assert to_si(value, unit, wanted) == pytest.approx(si, rel=1e-12)


@pytest.mark.parametrize(
    ("value", "unit", "wanted", "told"),
    [
        (30, "dB", "W", "dBm or dBW"),  # a level in dB is a ratio
        (5, "kbps", "W", "is a rate"),
        (5, "Mbps", "bit/s/Hz", "differ by the bandwidth"),
        (5, "", "W", "has no unit"),
        (5, "W", "", "is a power"),
        (5000, "dBm", "W", "physical range"),
        (5, "mw", "W", "mW or MW"),  # case decides about nine orders of magnitude
        (5, "parsec", "m", "not a unit"),
    ],
)
def test_traps_are_named(value, unit, wanted, told):
    with pytest.raises(UnitError, match=told):
        to_si(value, unit, wanted)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.floats(1e-9, 1e9), st.sampled_from(["W", "bit/s", "Hz"]))
def test_what_is_printed_reads_back(value, unit):
    number, _, printed = format_si(value, unit).partition(" ")
    assert to_si(float(number), printed, unit) == pytest.approx(value, rel=1e-5)


def test_no_two_units_share_a_spelling():
    from optisolve.goals.units import UNITS

    spellings = [s for unit in UNITS for s in unit.spellings]
    assert len(spellings) == len(set(spellings))
    assert all(find_unit(s) is unit for unit in UNITS for s in unit.spellings)

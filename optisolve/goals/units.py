"""Units that people write, brought to SI; a unit of the wrong dimension is an error that says what was meant, never a guess.

Traps on purpose: a level in dB is a ratio and never a power (dBm and dBW are), bytes are not bits, a spectral efficiency is
not a rate, and a percentage needs something that it is a percentage of.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from optisolve.core.errors import ProblemError

__all__ = ["Unit", "UnitError", "find_unit", "format_si", "to_si", "unit_spellings"]


class UnitError(ProblemError):
    """A value has no unit, an unknown one, or one of another dimension; the text says what would do."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit.

    Args:
        name: As it is printed.
        dimension: ``power``, ``rate``, ``efficiency``, ``ratio``, ``time``, ``frequency``, ``length``, ``energy``.
        factor: SI value of 1 of it; for logarithmic units the value at level 0.
        decibel: The value is a level: SI = factor * 10^(value / 10).
        spellings: How it is written; compared exactly first, then without regard to case.
    """

    name: str
    dimension: str
    factor: float
    spellings: tuple[str, ...]
    decibel: bool = False


SI_UNIT = {
    "power": "W",
    "rate": "bit/s",
    "efficiency": "bit/s/Hz",
    "ratio": "",
    "time": "s",
    "frequency": "Hz",
    "length": "m",
    "energy": "J",
}
"""The unit in which values of a dimension are kept."""


def _scaled(dimension: str, spellings: dict[str, float]) -> tuple[Unit, ...]:
    return tuple(Unit(text, dimension, factor, (text,)) for text, factor in spellings.items())


def _rates() -> tuple[Unit, ...]:
    units = []
    for prefix, factor in (("", 1.0), ("k", 1e3), ("M", 1e6), ("G", 1e9)):
        bits = tuple(f"{prefix}{form}" for form in ("bit/s", "bps", "b/s", "bits/s", "bit per second", "bits per second"))
        words = {"k": ("kilobit/s", "kilobits per second"), "M": ("megabit/s", "megabits per second")}.get(prefix, ())
        units.append(Unit(f"{prefix}bit/s", "rate", factor, (*bits, *words)))
        units.append(Unit(f"{prefix}byte/s", "rate", 8.0 * factor, (f"{prefix}B/s", f"{prefix}byte/s", f"{prefix}Byte/s")))
    return tuple(units)


UNITS: tuple[Unit, ...] = (
    Unit("W", "power", 1.0, ("W", "watt", "watts", "Watt", "Watts")),
    Unit("mW", "power", 1e-3, ("mW", "milliwatt", "milliwatts")),
    Unit("nW", "power", 1e-9, ("nW",)),
    Unit("uW", "power", 1e-6, ("uW", "µW", "μW", "microwatt", "microwatts")),
    Unit("kW", "power", 1e3, ("kW", "kilowatt", "kilowatts")),
    Unit("MW", "power", 1e6, ("MW", "megawatt", "megawatts")),  # so that "mw" is a question and never a milliwatt by luck
    Unit("dBm", "power", 1e-3, ("dBm",), decibel=True),
    Unit("dBW", "power", 1.0, ("dBW",), decibel=True),
    *_rates(),
    Unit("bit/s/Hz", "efficiency", 1.0, ("bit/s/Hz", "bps/Hz", "b/s/Hz", "bits/s/Hz")),
    Unit("%", "ratio", 1e-2, ("%", "percent", "per cent")),
    Unit("dB", "ratio", 1.0, ("dB", "decibel", "decibels"), decibel=True),
    *_scaled("time", {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}),
    *_scaled("frequency", {"Hz": 1.0, "kHz": 1e3, "MHz": 1e6, "GHz": 1e9}),
    *_scaled("length", {"m": 1.0, "km": 1e3}),
    *_scaled("energy", {"J": 1.0, "mJ": 1e-3, "kJ": 1e3}),
)

_EXACT = {spelling: unit for unit in UNITS for spelling in unit.spellings}
_CASELESS: dict[str, list[Unit]] = {}
for _unit in UNITS:
    for _spelling in _unit.spellings:
        if _unit not in _CASELESS.setdefault(_spelling.lower(), []):
            _CASELESS[_spelling.lower()].append(_unit)


def unit_spellings() -> tuple[str, ...]:
    """Every spelling, longest first, for a scanner."""
    return tuple(sorted(_EXACT, key=lambda text: (-len(text), text)))


def find_unit(text: str) -> Unit:
    """The unit that a text names.

    Raises:
        UnitError: Unknown, or ambiguous without regard to case (``MW`` or ``mW``, ``kB/s`` or ``kb/s``).
    """
    if text in _EXACT:
        return _EXACT[text]
    candidates = _CASELESS.get(text.lower(), [])
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        raise UnitError(f"'{text}' could be {' or '.join(unit.name for unit in candidates)}; write one of them.")
    raise UnitError(f"'{text}' is not a unit that is known here. Known: {', '.join(unit.name for unit in UNITS)}.")


def to_si(value: float, unit: str, wanted: str) -> float:
    """A value in the SI unit of a metric.

    Args:
        value: As it was given.
        unit: As it was given; "" only for ratios.
        wanted: The metric's SI unit, e.g. ``"W"``; "" for a ratio or probability.

    Raises:
        UnitError: Another dimension, an unknown unit, or a value out of range.
    """
    dimension = next((name for name, si in SI_UNIT.items() if si == wanted), None)
    if dimension is None:
        raise UnitError(f"'{wanted}' is not an SI unit of this table: {', '.join(SI_UNIT.values())}.")
    if unit == "":
        if dimension != "ratio":
            raise UnitError(f"{value:g} has no unit; a {dimension} is needed, e.g. {value:g} {wanted}.")
        return _finite(value, unit)
    found = find_unit(unit)
    if found.dimension != dimension:
        asked = f"a {dimension} in {wanted or 'parts of 1'} is needed{_hint(found, dimension)}"
        raise UnitError(f"{value:g} {unit} is a {found.dimension}, but {asked}")
    if found.decibel:
        if abs(value) > 400.0:
            raise UnitError(f"{value:g} {unit} is out of any physical range (400 {unit} at most).")
        return _finite(found.factor * 10.0 ** (value / 10.0), unit)
    return _finite(value * found.factor, unit)


def format_si(value: float, unit: str) -> str:
    """A value as people write it, e.g. ``15.8 kbit/s`` or ``250 mW``; always linear units."""
    if unit in ("W", "bit/s", "Hz", "s") and value != 0.0 and math.isfinite(value):
        prefixes = (("G", 1e9), ("M", 1e6), ("k", 1e3), ("", 1.0), ("m", 1e-3), ("u", 1e-6), ("n", 1e-9))
        allowed = [p for p in prefixes if f"{p[0]}{unit}" in _EXACT]  # what is printed can be read again
        prefix, factor = next((p for p in allowed if abs(value) >= p[1] * (1.0 - 1e-12)), allowed[-1])
        return f"{value / factor:.6g} {prefix}{unit}"
    return f"{value:.6g} {unit}".strip()


def _finite(value: float, unit: str) -> float:
    if not math.isfinite(value):
        raise UnitError(f"a value in {unit or 'parts of 1'} is not finite.")
    return float(value)


def _hint(found: Unit, dimension: str) -> str:
    if found.name == "dB" and dimension == "power":
        return "; dB is a ratio: did you mean dBm or dBW?"
    if {found.dimension, dimension} == {"rate", "efficiency"}:
        return "; a rate and a spectral efficiency differ by the bandwidth"
    return ""

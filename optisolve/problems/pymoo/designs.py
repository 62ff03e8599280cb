"""All functions by name; of the RE problems variables, objectives and what they are about (`model_re` has their equations)."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

from optisolve.core.problem import Description, Objective, Sense
from optisolve.core.space import Kind, Variable
from optisolve.problems.pymoo.functions import Function

__all__ = ["DESIGNS", "FUNCTIONS"]

_REAL, _INTEGER = Kind.REAL, Kind.INTEGER


def _design(name: str, variables: tuple[Variable, ...], objectives: tuple[Objective, ...], words: Description) -> Function:
    return Function(name, "re", variables=variables, objectives=objectives, words=words)


def _least(name: str, unit: str, meaning: str) -> Objective:
    return Objective(name, Sense.MINIMIZE, unit, meaning)


def _unmet(what: str) -> Objective:
    return _least("violation", "", f"how far the design misses the rules about {what}, added up; 0 when it keeps all of them")


def _variables(*rows: tuple[str, float, float, str] | tuple[str, float, float, str, Kind]) -> tuple[Variable, ...]:
    return tuple(Variable(*row) for row in rows)


_NEAR_ZERO = 1e-5
"""Stands for a lower bound of 0 where a function divides by the variable."""

DESIGNS = (
    _design(
        "re21",
        _variables(
            ("area1_cm2", 1.0, 3.0, "cm2"),
            ("area2_cm2", 2.0**0.5, 3.0, "cm2"),
            ("area3_cm2", 2.0**0.5, 3.0, "cm2"),
            ("area4_cm2", 1.0, 3.0, "cm2"),
        ),
        (
            _least("volume", "cm3", "material in the four bars"),
            _least("displacement", "cm", "how far the loaded joint moves"),
        ),
        Description(
            "Choose the cross-sections of the four bars of a truss under a fixed load. Thick bars make it stiff and heavy."
        ),
    ),
    _design(
        "re22",
        _variables(("steel_in2", 0.2, 15.0, "in2"), ("width_in", _NEAR_ZERO, 20.0, "in"), ("depth_in", 0.0, 40.0, "in")),
        (_least("cost", "", "cost of concrete and steel"), _unmet("strength and proportions")),
        Description(
            "Choose steel area, width and depth of a concrete beam reinforced with steel bars. The steel area is moved to the "
            "nearest one in a catalogue of bars."
        ),
    ),
    _design(
        "re23",
        _variables(
            ("shell_sixteenths_in", 1.0, 100.0, "in/16", _INTEGER),
            ("head_sixteenths_in", 1.0, 100.0, "in/16", _INTEGER),
            ("radius_in", 10.0, 200.0, "in"),
            ("length_in", 10.0, 240.0, "in"),
        ),
        (_least("cost", "", "cost of material, forming and welding"), _unmet("wall thickness and content")),
        Description(
            "Choose the plate thicknesses of shell and heads, the inner radius and the length of a cylindrical pressure vessel "
            "with two half-sphere heads that must hold a given content."
        ),
    ),
    _design(
        "re24",
        _variables(("flange_cm", 0.5, 4.0, "cm"), ("beam_cm", 0.5, 50.0, "cm")),
        (_least("weight", "", "weight of the cover"), _unmet("bending, shear, deflection and buckling")),
        Description("Choose the thickness of the flanges and the height of the beam of a ship's hatch cover."),
    ),
    _design(
        "re25",
        _variables(("coils", 1.0, 70.0, "", _INTEGER), ("winding_in", 0.6, 3.0, "in"), ("wire_in", 0.09, 0.5, "in")),
        (
            _least("volume", "in3", "steel in the spring"),
            _unmet("shear stress, length, proportions and deflection"),
        ),
        Description(
            "Choose number of coils, winding diameter and wire diameter of a compression spring. The wire diameter is moved to "
            "the nearest one in a catalogue of wires."
        ),
    ),
    _design(
        "re31",
        _variables(("area1_m2", _NEAR_ZERO, 100.0, "m2"), ("area2_m2", _NEAR_ZERO, 100.0, "m2"), ("height_m", 1.0, 3.0, "m")),
        (
            _least("volume", "m3", "material in the two bars"),
            _least("stress", "kPa", "stress in the first bar"),
            _unmet("volume and stresses"),
        ),
        Description("Choose the cross-sections of two bars of a truss and the height of the joint where they meet."),
    ),
    _design(
        "re32",
        _variables(
            ("weld_in", 0.125, 5.0, "in"),
            ("weld_length_in", 0.1, 10.0, "in"),
            ("height_in", 0.1, 10.0, "in"),
            ("width_in", 0.125, 5.0, "in"),
        ),
        (
            _least("cost", "", "cost of welding and material"),
            _least("deflection", "in", "deflection at the loaded end"),
            _unmet("shear, bending, weld size and buckling"),
        ),
        Description(
            "Choose size and length of the weld and height and width of a beam welded to a wall and loaded at its end."
        ),
    ),
    _design(
        "re33",
        _variables(
            ("inner_mm", 55.0, 80.0, "mm"),
            ("outer_mm", 75.0, 110.0, "mm"),
            ("force_n", 1000.0, 3000.0, "N"),
            ("surfaces", 11.0, 20.0, ""),
        ),
        (
            _least("mass", "kg", "mass of the brake"),
            _least("time", "s", "time until the disc stands still"),
            _unmet("size, pressure, heat and torque"),
        ),
        Description("Choose inner and outer radius of the discs, engaging force and number of friction surfaces of a brake."),
    ),
    _design(
        "re34",
        _variables(*((f"thickness{i}_mm", 1.0, 3.0, "mm") for i in range(1, 6))),
        (
            _least("mass", "kg", "mass of the vehicle"),
            _least("acceleration", "g/10", "acceleration of the passengers in a full frontal crash"),
            _least("intrusion", "m", "how far the toe board is pushed in by an offset crash"),
        ),
        Description("Choose the thickness of five members of a vehicle's front so that it is light and safe in a crash."),
    ),
    _design(
        "re35",
        _variables(
            ("face_cm", 2.6, 3.6, "cm"),
            ("module_cm", 0.7, 0.8, "cm"),
            ("teeth", 17.0, 28.0, "", _INTEGER),
            ("shaft1_length_cm", 7.3, 8.3, "cm"),
            ("shaft2_length_cm", 7.3, 8.3, "cm"),
            ("shaft1_diameter_cm", 2.9, 3.9, "cm"),
            ("shaft2_diameter_cm", 5.0, 5.5, "cm"),
        ),
        (
            _least("weight", "", "weight of the gear box"),
            _least("stress", "", "stress in the first shaft"),
            _unmet("teeth, shafts and proportions"),
        ),
        Description(
            "Choose face width, module and number of teeth of the pinion, and the lengths and diameters of two shafts of a "
            "speed reducer."
        ),
    ),
    _design(
        "re36",
        _variables(*((f"teeth{i}", 12.0, 60.0, "", _INTEGER) for i in range(1, 5))),
        (
            _least("error", "", "difference between the gear ratio (teeth3 teeth4) / (teeth1 teeth2) and 6.931"),
            _least("largest", "", "number of teeth of the largest wheel"),
            _unmet("the ratio, which may be off by half"),
        ),
        Description("Choose the numbers of teeth of the four wheels of a gear train for a given ratio, with small wheels."),
    ),
    _design(
        "re37",
        _variables(
            ("angle", 0.0, 1.0, ""),
            ("hydrogen_area", 0.0, 1.0, ""),
            ("oxygen_area", 0.0, 1.0, ""),
            ("tip_thickness", 0.0, 1.0, ""),
        ),
        (
            _least("face_temperature", "", "largest temperature of the injector face, scaled"),
            _least("combustion_length", "", "distance from the inlet to where combustion is complete, scaled"),
            _least("tip_temperature", "", "largest temperature of the post tip, scaled"),
        ),
        Description(
            "Choose hydrogen flow angle, changes of hydrogen and oxygen flow areas and the tip thickness of a rocket injector, "
            "all scaled to the range 0 to 1."
        ),
    ),
)
"""All RE problems."""


def _zdt() -> list[Function]:
    plain = [Function(f"zdt{i}", "zdt", fold=True) for i in (1, 2, 3)]
    return [*plain, Function("zdt4", "zdt", lower=-5.0, upper=5.0), *(Function(f"zdt{i}", "zdt", fold=True) for i in (5, 6))]


def _dtlz() -> list[Function]:
    return [Function(f"dtlz{i}", "dtlz", many=True, fold=i in (6, 7)) for i in range(1, 8)]


def _mw() -> list[Function]:
    n_constraints = (1, 1, 2, 1, 3, 1, 2, 1, 1, 3, 4, 2, 2, 1)
    upper = {6: 1.1, 11: sqrt(2.0), 13: 1.5, 14: 1.5}
    return [
        Function(f"mw{i}", "mw", n, many=i in (4, 8, 14), upper=upper.get(i, 1.0), position_upper=upper.get(i, 1.0))
        for i, n in enumerate(n_constraints, start=1)
    ]


FUNCTIONS: Mapping[str, Function] = {function.name: function for function in (*_zdt(), *_dtlz(), *_mw(), *DESIGNS)}
"""All functions by name."""

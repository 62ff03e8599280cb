"""Instance, points and scores, made again with the numpy twin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import FloatArray
from optisolve.core.problem import Instance
from optisolve.core.reference import Reference
from optisolve.core.status import Evidence, PointStatus
from optisolve.numerics.indicators import outside, score
from optisolve.run.environment import kernels
from optisolve.run.records import describe_box, describe_misses, describe_objectives, describe_tolerance
from optisolve.run.schema import BoxPart, Record, VerifiedPart
from optisolve.run.untrusted import printable
from optisolve.run.verify import Verification, verify_points
from optisolve.trust.audit.findings import Findings

__all__ = [
    "RELATIVE_TOLERANCE",
    "agrees",
    "check_instance",
    "check_points",
    "check_scores",
    "feasible_objectives",
    "same_setting",
]

RELATIVE_TOLERANCE = 1e-9
"""Agreement asked of recomputed objectives and scores; other processors round differently in the last digits."""


def check_instance(record: Record, instance: Instance, found: Findings) -> None:
    """Hash of the data, all parameters with their values, names of variables and objectives, the scoring box.

    numpy's logarithms and powers round otherwise with other instructions, and so may an instance's data. Where the record names
    other ones, data of the hash that its suite's lock holds are taken for this instance, whose values are then compared;
    without a lock nobody can tell, and the record is self-reported.
    """
    told, rounded = record.instance, False
    if told.sha256 != instance.sha256:
        there, here = record.env.kernels.get("numpy", ""), kernels()["numpy"]
        rounded = there != here
        drawn = f"the instance's data come out otherwise with the instructions that numpy has here ({here or 'none'})"
        if not rounded:
            found.wrong("instance.sha256", told.sha256, f"{instance.sha256} (rebuilt from params and seed)")
        elif record.suite.sha256:  # compared with the lock before anything was built
            found.notes.append(printable(f"another platform: {drawn}; there {there or 'none'}"))
        else:
            found.unconfirmed(f"another platform: {drawn}, there {there or 'none'}; no lock says which data these were")
    for name, value in instance.origin.params.items():
        if name not in told.params:
            found.wrong(f"instance.params.{name}", None, "to be present")
        elif not same_setting(told.params[name], value):
            found.wrong(f"instance.params.{name}", told.params[name], f"{value!r} (as the problem reads it)")
    names = list(instance.space.names)
    if record.solutions.variables != names:
        found.wrong("solutions.variables", record.solutions.variables, f"the instance's variables {names[:4]}...")
    objectives = describe_objectives(instance)
    if record.verified.objectives != objectives:
        found.wrong("verified.objectives", record.verified.objectives, f"the instance's objectives {objectives}")
    box = describe_box(instance)
    if record.scores.box != box and not (rounded and _same_box(record.scores.box, box)):
        found.wrong("scores.box", record.scores.box, f"the scenario's box {box}")


def _same_box(told: BoxPart | None, own: BoxPart | None) -> bool:
    """The same corners up to rounding."""
    if told is None or own is None:
        return told is own
    return agrees(told.reference, own.reference, 1.0) and agrees(told.ideal, own.ideal, 1.0)


def check_points(record: Record, instance: Instance, found: Findings) -> Verification:
    """Objectives, feasibility and violation of the returned points."""
    told = record.verified
    actual = verify_points(instance, record.solutions.x)
    n_invalid = told.counts.get(PointStatus.INVALID.value, 0)  # such points are not in the record
    valid = {status: count for status, count in told.counts.items() if status != PointStatus.INVALID.value}
    if actual.counts.get(PointStatus.INVALID.value, 0):
        found.wrong("solutions.x", "a point that cannot be evaluated", f"points of the instance ({actual.detail})")
        return actual
    if valid != dict(actual.counts):
        found.wrong("verified.counts", told.counts, f"{dict(actual.counts)} for the points in solutions.x")
    point = PointStatus.INVALID if n_invalid else actual.point
    if told.point is not point:
        found.wrong("verified.point", told.point, point.value)
    if record.solutions.returned != sum(told.counts.values()):
        found.wrong("solutions.returned", record.solutions.returned, f"the sum of verified.counts {told.counts}")
    actual = _objectives(told, instance, actual, found)
    if told.feasible != actual.feasible.tolist():
        found.wrong("verified.feasible", told.feasible, "the feasibility of solutions.x")
    if not agrees(told.max_violation, actual.max_violation, 1.0):
        found.wrong("verified.max_violation", told.max_violation, actual.max_violation)
    _check_tolerance(told, instance, actual, found)
    return actual


def _objectives(told: VerifiedPart, instance: Instance, actual: Verification, found: Findings) -> Verification:
    """The points with the objectives from which scores follow: those made here.

    Estimates from samples come out the same to the last digit where the same samples are drawn again. Another processor or
    device may draw others: then the stated values stand, unconfirmed, as long as they lie within the problem's spread.
    """
    scales = [o.scale for o in instance.objectives]
    if agrees(told.F, actual.F, scales):
        return actual
    if instance.repeats or not agrees(told.F, actual.F, scales, within=instance.spread(actual.F)):
        found.wrong("verified.F", "values", "the objectives of solutions.x, re-evaluated")
        return actual
    stated = np.array(told.F, dtype=np.float64)
    apart = np.abs(stated - actual.F).max(axis=0)
    shown = ", ".join(f"{o.name} by {a:.3g} {o.unit}".rstrip() for o, a in zip(instance.objectives, apart, strict=True) if a)
    found.unconfirmed(
        f"the objectives are estimates from samples and come out otherwise here, within what the problem allows ({shown}): "
        "other samples on another processor or device, or values that were changed; nothing here tells which"
    )
    return replace(actual, F=stated)


def _check_tolerance(told: VerifiedPart, instance: Instance, actual: Verification, found: Findings) -> None:
    """Tolerances are the problem's own; what the record says of a miss is what the points miss."""
    own = describe_tolerance(instance)
    if told.tolerance != own:
        found.wrong("verified.tolerance", told.tolerance, f"{own}, as the problem says")
    if told.missed is None:  # older records do not say it
        return
    stated, derived = told.missed, describe_misses(actual) or []
    by_name = {miss.name: miss.violation for miss in derived}
    same = len(stated) == len(derived) and all(
        miss.name in by_name and agrees(miss.violation, by_name[miss.name], 1.0) for miss in stated
    )
    if not same or {miss.name: miss.tolerance for miss in stated} != {miss.name: miss.tolerance for miss in derived}:
        found.wrong("verified.missed", told.missed, f"{derived}, for the least violating point of solutions.x")


def check_scores(record: Record, instance: Instance, actual: Verification, found: Findings) -> dict[str, float | None]:
    """Hypervolume, objective, and the gaps to the reference that the record states.

    Whether that reference is true is another check. IGD+ needs its front, see `references`.

    Returns:
        The recomputed scores.
    """
    told, part = record.scores, record.reference
    stated = (
        None
        if part is None
        else Reference(Evidence.NONE, value=part.value, dual_bound=part.dual_bound, tolerance=part.tolerance, slack=part.slack)
    )
    wanted = score(instance, feasible_objectives(actual), stated)
    if len(instance.objectives) > 1 and (front := told.gap_scale) and wanted["hypervolume"] is not None:
        wanted["gap"], wanted["gap_scale"] = (front - wanted["hypervolume"]) / front, front
    lost = 0 if instance.hypervolume_box is None else outside(feasible_objectives(actual), instance.hypervolume_box)
    if told.outside not in (None, lost):
        found.wrong("scores.outside", told.outside, f"{lost} points")
    scale = instance.objectives[0].scale if len(instance.objectives) == 1 else 1.0
    if len(instance.objectives) == 1 and told.igd_plus is not None:
        found.wrong("scores.igd_plus", told.igd_plus, "null for one objective")
    for name in ("hypervolume", "objective", "gap", "bound_gap", "gap_scale", "tie"):
        given = getattr(told, name)
        if not agrees(given, wanted[name], scale if name == "objective" else 1.0):
            found.wrong(f"scores.{name}", given, wanted[name])
    return wanted


def feasible_objectives(actual: Verification) -> npt.NDArray[np.float64]:
    """Objectives of the feasible points, float64 [n, m]."""
    return np.ascontiguousarray(actual.F[actual.feasible])


def agrees(
    told: Any,
    actual: Any,
    scale: float | list[float],
    *,
    tolerance: float = RELATIVE_TOLERANCE,
    within: FloatArray | float = 0.0,
) -> bool:
    """Whether stated numbers equal recomputed ones up to rounding, column by column.

    Args:
        told: A number, a row or rows, or None.
        actual: The same, recomputed.
        scale: Magnitude below which differences are taken as absolute; one per column.
        tolerance: Relative.
        within: Differences that are allowed whatever the tolerance, one per column.
    """
    if told is None or actual is None:
        return told is None and actual is None
    given, wanted = np.asarray(told, dtype=np.float64), np.asarray(actual, dtype=np.float64)
    if given.size == 0 and wanted.size == 0:
        return True
    if given.shape != wanted.shape or not np.isfinite(given).all():
        return False
    allowed = np.maximum(tolerance * np.maximum(np.abs(wanted), scale), within)
    return bool((np.abs(given - wanted) <= allowed).all())


def same_setting(told: Any, actual: Any) -> bool:
    """JSON knows no tuples and enumerations; numbers and texts must not be exchanged."""
    if isinstance(actual, Mapping):
        same_keys = isinstance(told, Mapping) and set(told) == set(actual)
        return same_keys and all(same_setting(told[key], value) for key, value in actual.items())
    if isinstance(actual, (list, tuple)):
        same_length = isinstance(told, list) and len(told) == len(actual)
        return same_length and all(map(same_setting, told, actual))
    if isinstance(actual, bool) or actual is None:
        return told is actual
    if isinstance(actual, (int, float)):
        return isinstance(told, (int, float)) and not isinstance(told, bool) and told == actual
    return bool(told == (actual if isinstance(actual, str) else str(actual)))

"""One reference per instance: gaps of several records can be compared only when they refer to the same number.

An audit lets a stated reference differ from the one that it made by rounding. Where gaps are compared, even that may decide
nothing: all records of an instance are measured from the middle one of their references, or of their fronts' hypervolumes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["share_references"]

_NUMBERS = ("value", "dual_bound", "tolerance", "slack")
_SAME = 1e-6
"""Relative distance up to which stated values are one and the same reference; farther ones are left as they are."""


def share_references(records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The records with gaps from one reference per instance.

    Args:
        records: Whole documents, audited.

    Returns:
        In the given order; those whose reference is another one altogether stay as they are.
    """
    groups: dict[str, list[int]] = {}
    for i, record in enumerate(records):
        if record["reference"] is not None:
            groups.setdefault(record["instance"]["sha256"], []).append(i)
    shared = list(records)
    for members in groups.values():
        scales = sorted(s for i in members if (s := records[i]["scores"]["gap_scale"]) is not None)
        if not scales:
            continue
        scale = scales[(len(scales) - 1) // 2]
        ranked = sorted(members, key=lambda i: (_aim(records[i]["reference"]), records[i]["record_id"]))
        middle = records[ranked[(len(ranked) - 1) // 2]]["reference"]
        for i in members:
            if _same(records[i], middle, scale):
                shared[i] = _measured_from(records[i], middle, scale)
    return shared


def _aim(reference: Mapping[str, Any]) -> float:
    return float(reference["dual_bound"] or 0.0 if reference["value"] is None else reference["value"])


def _same(record: Mapping[str, Any], middle: Mapping[str, Any], scale: float) -> bool:
    """One and the same reference up to rounding."""
    told, own = record["reference"], record["scores"]["gap_scale"]
    return bool(
        told["evidence"] == middle["evidence"]
        and (own is None or abs(own - scale) <= _SAME * scale)
        and all(
            (told[name] is None) == (middle[name] is None) and abs((told[name] or 0.0) - (middle[name] or 0.0)) <= _SAME * scale
            for name in _NUMBERS
        )
    )


def _measured_from(record: Mapping[str, Any], reference: Mapping[str, Any], scale: float) -> Mapping[str, Any]:
    """The record, or where it has another number a copy, with the gaps to a reference."""
    stated = {**record["reference"], **{name: reference[name] for name in _NUMBERS}}
    objectives, told = record["verified"]["objectives"], record["scores"]
    if told["gap_scale"] is None or (stated == record["reference"] and scale == told["gap_scale"]):
        return {**record, "reference": stated}
    scores = {**told, "gap_scale": scale}
    if len(objectives) > 1:
        scores["gap"] = (scale - told["hypervolume"]) / scale
        return {**record, "scores": scores, "reference": stated}
    scores["tie"] = (reference["tolerance"] + reference["slack"]) / scale
    sign = -1.0 if objectives[0]["sense"] == "maximize" else 1.0
    for name, key in (("gap", "value"), ("bound_gap", "dual_bound")):
        if reference[key] is not None:
            scores[name] = sign * (told["objective"] - reference[key]) / scale
    return {**record, "scores": scores, "reference": stated}

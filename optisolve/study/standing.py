"""One reference per instance: gaps of several records can be compared only when they refer to the same number.

An audit lets a stated reference differ from the one that it made by rounding. Where gaps are compared, even that may decide
nothing: all records of an instance are measured from the middle one of their references.
"""

from __future__ import annotations

from collections.abc import Sequence

from optisolve.run.schema import Record, ReferencePart

__all__ = ["share_references"]

_NUMBERS = ("value", "dual_bound", "tolerance", "slack")
_SAME = 1e-6
"""Relative distance up to which stated values are one and the same reference; farther ones are left as they are."""


def share_references(records: Sequence[Record]) -> list[Record]:
    """The records with gaps from one reference per instance.

    Args:
        records: Whole documents, audited.

    Returns:
        In the given order; those whose reference is another one altogether stay as they are.
    """
    groups: dict[str, list[int]] = {}
    for i, record in enumerate(records):
        if record.reference is not None and record.reference.value is not None:
            groups.setdefault(record.instance.sha256, []).append(i)
    shared = list(records)
    for members in groups.values():
        ranked = sorted(members, key=lambda i: (_value(records[i]), records[i].record_id))
        middle = records[ranked[(len(ranked) - 1) // 2]].reference
        scales = sorted(s for i in members if (s := records[i].scores.gap_scale) is not None)
        if middle is None or not scales:
            continue
        for i in members:
            shared[i] = _measured_from(records[i], middle, scales[(len(scales) - 1) // 2])
    return shared


def _value(record: Record) -> float:
    return 0.0 if record.reference is None or record.reference.value is None else record.reference.value


def _same(told: ReferencePart, middle: ReferencePart, scale: float) -> bool:
    """One and the same reference up to rounding."""
    pairs = [(getattr(told, name), getattr(middle, name)) for name in _NUMBERS]
    return told.evidence is middle.evidence and all(
        (a is None) == (b is None) and abs((a or 0.0) - (b or 0.0)) <= _SAME * scale for a, b in pairs
    )


def _measured_from(record: Record, reference: ReferencePart, scale: float) -> Record:
    """The record, or where it has another number of the same reference a copy, with the gaps to that."""
    own, scores = record.reference, record.scores
    if own is None or not _same(own, reference, scale):
        return record
    stated = own.model_copy(update={name: getattr(reference, name) for name in _NUMBERS})
    if scores.objective is None or (stated == own and scale == scores.gap_scale):
        return record.model_copy(update={"reference": stated})
    sign = -1.0 if record.verified.objectives[0].sense == "maximize" else 1.0
    told: dict[str, float] = {"gap_scale": scale, "tie": (reference.tolerance + reference.slack) / scale}
    for name, aim in (("gap", reference.value), ("bound_gap", reference.dual_bound)):
        if aim is not None:
            told[name] = sign * (scores.objective - aim) / scale
    return record.model_copy(update={"scores": scores.model_copy(update=told), "reference": stated})

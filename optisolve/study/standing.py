"""One reference per instance: gaps of several records can be compared only when they refer to the same number.

An audit lets a stated reference differ from the one that it made by rounding. Where gaps are compared, even that may decide
nothing: all records of an instance are measured from the middle one of their references, or of their fronts' hypervolumes.
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
        In the given order; those whose reference is another one altogether stay as they are. A record that was made without
        a reference is measured from that of the others.
    """
    groups: dict[str, list[tuple[int, ReferencePart]]] = {}
    for i, record in enumerate(records):
        if record.reference is not None:
            groups.setdefault(record.instance.sha256, []).append((i, record.reference))
    shared = list(records)
    bare: dict[str, list[int]] = {}
    for i, record in enumerate(records):
        if record.reference is None:
            bare.setdefault(record.instance.sha256, []).append(i)
    for instance, members in groups.items():
        scales = sorted(scale for i, _ in members if (scale := records[i].scores.gap_scale) is not None)
        if not scales:
            continue
        scale = scales[(len(scales) - 1) // 2]
        ranked = sorted(members, key=lambda member: (_aim(member[1]), records[member[0]].record_id))
        _, middle = ranked[(len(ranked) - 1) // 2]
        for i, reference in members:
            if _same(records[i].scores.gap_scale, reference, middle, scale):
                shared[i] = _measured_from(records[i], reference, middle, scale)
        for i in bare.get(instance, ()):
            unmeasured = records[i].scores.model_copy(update={"gap_scale": scale})
            shared[i] = _measured_from(records[i].model_copy(update={"scores": unmeasured}), middle, middle, scale, again=True)
    return shared


def _aim(reference: ReferencePart) -> float:
    return (reference.dual_bound or 0.0) if reference.value is None else reference.value


def _same(own: float | None, told: ReferencePart, middle: ReferencePart, scale: float) -> bool:
    """One and the same reference up to rounding, and gaps divided by the same."""
    pairs = [(getattr(told, name), getattr(middle, name)) for name in _NUMBERS]
    return (
        told.evidence is middle.evidence
        and (own is None or abs(own - scale) <= _SAME * scale)
        and all((a is None) == (b is None) and abs((a or 0.0) - (b or 0.0)) <= _SAME * scale for a, b in pairs)
    )


def _measured_from(record: Record, own: ReferencePart, middle: ReferencePart, scale: float, *, again: bool = False) -> Record:
    """The record, or where it has another number, or is measured again, a copy with the gaps to a reference."""
    stated = own.model_copy(update={name: getattr(middle, name) for name in _NUMBERS})
    objectives, scores = record.verified.objectives, record.scores
    if scores.gap_scale is None or (stated == own and scale == scores.gap_scale and not again):
        return record.model_copy(update={"reference": stated})
    told: dict[str, float] = {"gap_scale": scale}
    if len(objectives) > 1:
        if not again or scores.hypervolume is not None:
            told["gap"] = (scale - (scores.hypervolume or 0.0)) / scale
    elif scores.objective is not None:
        told["tie"] = (middle.tolerance + middle.slack) / scale
        sign = -1.0 if objectives[0].sense == "maximize" else 1.0
        for name, aim in (("gap", middle.value), ("bound_gap", middle.dual_bound)):
            if aim is not None:
                told[name] = sign * (scores.objective - aim) / scale
    return record.model_copy(update={"scores": scores.model_copy(update=told), "reference": stated})

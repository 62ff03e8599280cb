"""Numbers of a question put into words: variables, preferences, examples, the values of a ranked table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.problem import Instance, Objective
from optisolve.core.space import Kind, Space

__all__ = [
    "Named",
    "Parents",
    "answer_form",
    "examples",
    "gaps",
    "listed",
    "objectives",
    "preference",
    "preference_sentence",
    "table_targets",
    "table_values",
    "tokens_per_parent",
    "variable_groups",
    "variables",
    "weights",
]

TARGET_FACTOR = 0.9
"""A continued row is promised this share of the value of the row above it."""
_NAMES_LISTED = 128
"""Variables named one by one; of more, only the first and last ones are."""


@dataclass(frozen=True, slots=True, eq=False)
class Parents:
    """Parents of one sub-problem, worst to best, without duplicates after rounding.

    Attributes:
        numbers: int64 [l, d], on the grid.
        F: float64 [l, m], objectives in their own senses.
        violation: float64 [l], total constraint violation.
        values: float64 [l], scalarized value, lower is better.
    """

    numbers: IntArray
    F: FloatArray
    violation: FloatArray
    values: FloatArray


class Named(Protocol):
    """What has names: an instance, or something that stands for one under other names."""

    @property
    def space(self) -> Space:
        """The variables."""
        ...

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What is minimized or maximized."""
        ...


def objectives(instance: Named) -> list[dict[str, str]]:
    """Objectives with sense, unit and meaning."""
    return [
        {"sense": str(o.sense), "name": o.name, "unit": f" [{o.unit}]" if o.unit else "", "meaning": o.meaning}
        for o in instance.objectives
    ]


def variables(instance: Named, levels: Sequence[int]) -> list[dict[str, str]]:
    """Every variable by itself: name, range, unit, largest integer."""
    space = instance.space
    notes = {Kind.REAL: "", Kind.INTEGER: " (integer)", Kind.BINARY: " (off or on)"}
    return [
        {
            "name": space.names[i],
            "lower": f"{space.lower[i]:.6g}",
            "upper": f"{space.upper[i]:.6g}",
            "unit": f" {space.units[i]}" if space.units[i] else "",
            "levels": str(levels[i]),
            "note": notes[space.kinds[i]],
        }
        for i in range(space.dim)
    ]


def variable_groups(instance: Named, levels: Sequence[int]) -> tuple[list[dict[str, str]], str]:
    """Variables of equal range together.

    Returns:
        The groups with their names and what their integers mean; and the order of all variables, "" when it is that of
        the groups.
    """
    space = instance.space
    groups: dict[str, list[str]] = {}
    for i, name in enumerate(space.names):
        meaning = _meaning(space.kinds[i], float(space.lower[i]), float(space.upper[i]), space.units[i], levels[i])
        groups.setdefault(meaning, []).append(name)
    in_order = [name for names in groups.values() for name in names] == list(space.names)
    told = [{"names": listed(names), "meaning": meaning} for meaning, names in groups.items()]
    return told, "" if in_order else listed(space.names)


def listed(names: Sequence[str]) -> str:
    """Names in order, shortened when there are very many."""
    if len(names) <= _NAMES_LISTED:
        return ", ".join(names)
    return f"{', '.join(names[:6])}, ... {', '.join(names[-2:])} ({len(names)} in all)"


def answer_form(names: Sequence[str], designs: Sequence[str], tasks: Sequence[str] | None) -> str:
    """A sketch of the answer's JSON, with n for every integer.

    Args:
        names: Variable names.
        designs: Keys of the designs.
        tasks: Keys of the tasks, or None when the answer has no such level.
    """
    point = "{" + ", ".join(f'"{name}": n' for name in names[:2]) + (", ...}" if len(names) > 2 else "}")
    body = "{" + ", ".join([f'"{designs[0]}": {point}', *(f'"{key}": {{...}}' for key in designs[1:])]) + "}"
    if tasks is None:
        return body
    return "{" + ", ".join([f'"{tasks[0]}": {body}', *(f'"{key}": {{...}}' for key in tasks[1:2])]) + ", ...}"


def preference(instance: Named, weight: FloatArray) -> str:
    """The weight vector in words and numbers; "" for a single objective."""
    if len(instance.objectives) == 1:
        return ""
    shares = weight / weight.sum()
    order = np.argsort(-shares, kind="stable")
    words = [f"{instance.objectives[i].name} {_strength(float(shares[i]))} (weight {shares[i]:.2f})" for i in order]
    return "; ".join(words)


def weights(instance: Named, weight: FloatArray) -> str:
    """The weight vector in numbers; "" for a single objective."""
    if len(instance.objectives) == 1:
        return ""
    shares = (weight / weight.sum()).tolist()
    return ", ".join(f"{o.name} {share:.2f}" for o, share in zip(instance.objectives, shares, strict=True))


def preference_sentence(instance: Named, weight: FloatArray) -> str:
    """The same as a sentence that explains itself, as version 1 of the prompt wants it."""
    told = preference(instance, weight)
    if not told:
        return f"{instance.objectives[0].sense} {instance.objectives[0].name}."
    return f"{told}. Weights apply to objectives scaled to the range of the designs found so far."


def examples(instance: Named, parents: Parents) -> list[dict[str, str]]:
    """Parents as text: their integers, objectives, score and violation."""
    return [
        {
            "point": ", ".join(map(str, numbers)),
            "objectives": ", ".join(f"{o.name} {value:.4g}" for o, value in zip(instance.objectives, row, strict=True)),
            "score": f"{value:.3g}",
            "violation": f"{violation:.3g}" if violation > 0 else "",
        }
        for numbers, row, value, violation in zip(
            parents.numbers.tolist(),
            parents.F.tolist(),
            parents.values.tolist(),
            parents.violation.tolist(),
            strict=True,
        )
    ]


def gaps(instance: Instance, parents: Parents, ideal: FloatArray, nadir: FloatArray) -> str:
    """How far the best parent is behind the best value seen of every objective; "" when that says nothing.

    Args:
        instance: Names and senses of the objectives.
        parents: The parents.
        ideal: float64 [m], running ideal point in minimization form.
        nadir: float64 [m], running nadir point in minimization form.
    """
    width = nadir - ideal
    if len(instance.objectives) == 1 or parents.violation[-1] > 0.0 or not np.isfinite(width).all():
        return ""
    behind = (parents.F[-1] * instance.signs - ideal) / np.where(width > 0.0, width, np.inf)
    told = zip(instance.objectives, behind.tolist(), strict=True)
    return ", ".join(f"{o.name} by {max(0.0, share):.0%}" for o, share in told)


def tokens_per_parent(levels: IntArray) -> int:
    """Most tokens that one example takes, with a token per digit."""
    return 40 + sum(len(str(level)) + 2 for level in levels.tolist())


def table_values(parents: Parents) -> IntArray:
    """Values of a table, worst to best: up to 1000 when feasible, 1001 to 2000 by violation otherwise, int64 [l]."""
    feasible = parents.violation <= 0.0
    values = parents.values - min(0.0, float(parents.values.min()))
    top = float(values[feasible].max()) if feasible.any() else 0.0
    worst = float(parents.violation.max())
    by_value = 1000.0 * values / top if top > 0.0 else np.full_like(values, 1000.0)
    by_violation = 1001.0 + 999.0 * parents.violation / worst if worst > 0.0 else by_value
    return np.rint(np.where(feasible, by_value, by_violation)).astype(np.int64)


def table_targets(best: int, count: int) -> list[int]:
    """Values promised to the new rows, each below the one above it as long as integers allow."""
    targets = []
    for _ in range(count):
        best = max(0, min(best - 1, int(TARGET_FACTOR * best)))
        targets.append(best)
    return targets


def _meaning(kind: Kind, lower: float, upper: float, unit: str, level: int) -> str:
    suffix = f" {unit}" if unit else ""
    if level == 0:
        return f"always 0, fixed at {lower:.6g}{suffix}"
    if kind is Kind.BINARY:
        return "0 means off, 1 means on"
    if kind is Kind.INTEGER and level == upper - lower:
        return f"whole numbers, 0 means {lower:.6g}{suffix}, {level} means {upper:.6g}{suffix}"
    step = f"{(upper - lower) / level:.4g}{suffix}"
    return f"0 means {lower:.6g}{suffix}, {level} means {upper:.6g}{suffix}, one step is {step}"


def _strength(share: float) -> str:
    for limit, words in ((0.75, "matters most"), (0.4, "matters much"), (0.15, "matters some"), (0.02, "matters little")):
        if share >= limit:
            return words
    return "hardly matters"

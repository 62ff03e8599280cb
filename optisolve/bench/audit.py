"""Audit of a record by independent code: nothing the record says about itself is believed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from optisolve.bench.records import SCHEMA, describe_reference, record_id_of, result_hash_of, run_id_of
from optisolve.core.errors import FieldProblem, OptisolveError
from optisolve.core.problem import Instance, Problem
from optisolve.core.reference import Effort, Reference
from optisolve.core.status import Evidence
from optisolve.registry import Registry
from optisolve.scoring.indicators import hypervolume, score
from optisolve.scoring.verify import Verification, verify_points

__all__ = ["Audit", "audit_record", "rebuild"]

RELATIVE_TOLERANCE = 1e-9
"""Agreement asked of recomputed objectives and scores; other processors round differently in the last digits."""

_KEYS: Mapping[str, type | tuple[type, ...]] = {
    "schema": str,
    "suite": dict,
    "instance": dict,
    "solver": dict,
    "seed": int,
    "budget": dict,
    "used": dict,
    "termination": dict,
    "solutions": dict,
    "verified": dict,
    "reference": (dict, type(None)),
    "scores": dict,
    "trace": list,
    "env": dict,
    "provenance": dict,
    "result_hash": str,
    "record_id": str,
}


@dataclass(frozen=True, slots=True)
class Audit:
    """Outcome of an audit; true when the record holds.

    Attributes:
        record_id: The record's own name.
        problems: Every mismatch: field, what the record says, what was expected.
    """

    record_id: str
    problems: tuple[FieldProblem, ...]

    def __bool__(self) -> bool:
        return not self.problems

    def __str__(self) -> str:
        if not self.problems:
            return f"{self.record_id}: verified"
        lines = "\n".join(f"  - {problem}" for problem in self.problems)
        return f"{self.record_id}: {len(self.problems)} mismatch(es)\n{lines}"


def audit_record(record: Mapping[str, Any], problems: Registry[Problem]) -> Audit:
    """Re-derive everything that a record claims.

    Args:
        record: A parsed record; any content is accepted, malformed ones fail the audit.
        problems: Where to find the problem's class.

    Returns:
        The audit. Instance, points, objectives, feasibility and scores are recomputed with the numpy twin.
    """
    name = str(record.get("record_id", "(no record_id)"))
    found = list(_check_shape(record))
    if found:
        return Audit(name, tuple(found))
    try:
        found += _check_hashes(record)
        problem, instance = rebuild(record, problems)
        found += _check_instance(record, instance)
        if not found or all(p.field.startswith(("result_hash", "record_id")) for p in found):
            found += _check_points(record, problem, instance)
        found += _check_budget(record)
    except OptisolveError as error:
        found.append(FieldProblem("instance", record["instance"].get("scenario"), f"a case this version can rebuild ({error})"))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        found.append(FieldProblem("(layout)", f"{type(error).__name__}: {error}", f"the layout of {SCHEMA}"))
    return Audit(name, tuple(found))


def _check_shape(record: Mapping[str, Any]) -> list[FieldProblem]:
    found = []
    for key, kind in _KEYS.items():
        if key not in record:
            found.append(FieldProblem(key, None, "to be present"))
        elif not isinstance(record[key], kind) or isinstance(record[key], bool):
            found.append(FieldProblem(key, type(record[key]).__name__, f"{kind}"))
    if not found and record["schema"] != SCHEMA:
        found.append(FieldProblem("schema", record["schema"], SCHEMA))
    return found


def _check_hashes(record: Mapping[str, Any]) -> list[FieldProblem]:
    checks: dict[str, tuple[Any, Callable[[Mapping[str, Any]], str]]] = {
        "provenance.run_id": (record["provenance"].get("run_id"), run_id_of),
        "result_hash": (record["result_hash"], result_hash_of),
        "record_id": (record["record_id"], record_id_of),
    }
    return [
        FieldProblem(field, given, f"{compute(record)} (hash of the content)")
        for field, (given, compute) in checks.items()
        if given != compute(record)
    ]


def rebuild(record: Mapping[str, Any], problems: Registry[Problem]) -> tuple[Problem, Instance]:
    """The problem and instance that a record speaks of, made again from parameters and seed.

    Raises:
        OptisolveError: Unknown problem, other version of its equations, or bad parameters.
    """
    told = record["instance"]
    cls = problems.get(told["problem"])
    if told["version"] != cls.version:
        raise OptisolveError(f"problem version {told['version']}, this installation has {cls.version}")
    problem = cls.from_mapping({**told["params"], "scenario": told["scenario"]}, title="instance.params")
    return problem, problem.instance(int(told["seed"]))


def _check_instance(record: Mapping[str, Any], instance: Instance) -> list[FieldProblem]:
    given = record["instance"].get("sha256")
    if given != instance.sha256:
        return [FieldProblem("instance.sha256", given, f"{instance.sha256} (rebuilt from params and seed)")]
    return []


def _check_points(record: Mapping[str, Any], problem: Problem, instance: Instance) -> list[FieldProblem]:
    told = record["verified"]
    actual = verify_points(instance, record["solutions"]["x"])
    found = []
    if told["point"] != actual.point.value and told["point"] != "invalid":
        found.append(FieldProblem("verified.point", told["point"], actual.point.value))
    if not _close(told["F"], actual.F):
        found.append(FieldProblem("verified.F", "values", "the objectives of solutions.x, re-evaluated"))
    if told["feasible"] != actual.feasible.tolist():
        found.append(FieldProblem("verified.feasible", told["feasible"], "the feasibility of solutions.x"))
    if not _close(told["max_violation"], actual.max_violation):
        found.append(FieldProblem("verified.max_violation", told["max_violation"], f"{actual.max_violation}"))
    return found + _check_scores(record, problem, instance, actual)


def _check_scores(record: Mapping[str, Any], problem: Problem, instance: Instance, actual: Verification) -> list[FieldProblem]:
    told, box = record["scores"], instance.hypervolume_box
    found = []
    if box is not None:
        corners = {"reference": list(box.reference), "ideal": list(box.ideal)}
        if told.get("box") != corners:
            found.append(FieldProblem("scores.box", told.get("box"), f"the scenario's box {corners}"))
        value = hypervolume(np.ascontiguousarray(actual.F[actual.feasible]), box)
        if not _close(told.get("hypervolume"), value):
            found.append(FieldProblem("scores.hypervolume", told.get("hypervolume"), f"{value}"))
        return found + _check_distance(record, problem, instance, actual)
    reference = record["reference"] or {}
    stated = Reference(Evidence.NONE, value=reference.get("value"), dual_bound=reference.get("dual_bound"))
    wanted = score(instance, np.ascontiguousarray(actual.F[actual.feasible]), stated)
    for name in ("objective", "gap", "bound_gap"):
        if told.get(name) != wanted[name] and not _close(told.get(name), wanted[name]):
            found.append(FieldProblem(f"scores.{name}", told.get(name), f"{wanted[name]}"))
    return found


def _check_distance(
    record: Mapping[str, Any], problem: Problem, instance: Instance, actual: Verification
) -> list[FieldProblem]:
    """IGD+ against the reference front, where this installation has the same front as the record."""
    told = record["scores"].get("igd_plus")
    if told is None:
        return []
    reference = problem.reference(instance, Effort.QUICK) if record["reference"] is not None else None
    described = describe_reference(reference)
    if reference is None or described is None:
        return [FieldProblem("scores.igd_plus", told, "no value, since there is no reference front")]
    if described["sha256"] != record["reference"].get("sha256"):
        return []  # another front: its distance cannot be recomputed here
    wanted = score(instance, np.ascontiguousarray(actual.F[actual.feasible]), reference)["igd_plus"]
    return [] if _close(told, wanted) else [FieldProblem("scores.igd_plus", told, f"{wanted}")]


def _check_budget(record: Mapping[str, Any]) -> list[FieldProblem]:
    budget, used = record["budget"], record["used"]
    spent = {**used, "llm_tokens": used["tokens_in"] + used["tokens_out"]}
    found = []
    for name in ("evaluations", "llm_calls", "llm_tokens", "usd"):
        limit = math.inf if budget.get(name) is None else budget[name]
        if not 0 <= spent[name] <= limit:
            found.append(FieldProblem(f"used.{name}", spent[name], f"a value from 0 to budget.{name} = {budget.get(name)}"))
    if len(record["solutions"]["x"]) > used["evaluations"]:
        found.append(FieldProblem("solutions.x", f"{len(record['solutions']['x'])} points", "no more points than evaluations"))
    return found


def _close(told: Any, actual: Any) -> bool:
    try:
        given, wanted = np.asarray(told, dtype=np.float64), np.asarray(actual, dtype=np.float64)
    except (TypeError, ValueError):
        return False
    if given.size == 0 and wanted.size == 0:
        return True
    scale = max(1.0, float(np.abs(wanted).max()) if wanted.size else 1.0)
    return (
        given.shape == wanted.shape
        and bool(np.all(np.abs(given - wanted) <= RELATIVE_TOLERANCE * scale))
        and math.isfinite(scale)
    )

"""Published reference fronts: one JSON file per instance, found by the instance's hash, never taken on faith.

A file holds points, objectives, and how they were made. It is used only when its content hash holds, it belongs to the
very instance, and the numpy twin calls every point feasible and gives it the stated objectives.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from optisolve.content import content_dir
from optisolve.core.arrays import FloatArray
from optisolve.core.documents import Json, JsonObject, digest
from optisolve.core.errors import OptisolveError, ProblemError, RecordError
from optisolve.core.problem import FEASIBILITY_TOLERANCE, Instance

__all__ = ["cached_front", "front_path", "read_front", "write_front"]

_FORMAT = 1
_RTOL = 1e-9
_ADVICE = "restore the published file, or delete it and run the script that made it (benchmarks/make_references*.py)"


def front_path(instance: Instance, folder: Path) -> Path:
    """Where the front of an instance is published: ``folder/<scenario>/<first 16 digits of the hash>.json``."""
    return folder / instance.origin.scenario.replace("/", "-") / f"{instance.sha256[:16]}.json"


def cached_front(instance: Instance, folder: Path | None = None) -> tuple[FloatArray, FloatArray] | None:
    """The published front of an instance, re-verified.

    Args:
        instance: Looked up by its hash; the scenario's name plays no part.
        folder: Root of the published fronts; None for the one of this installation.

    Returns:
        X float64 [n, d] and F float64 [n, m] by the numpy twin; None when nothing is published for this instance.

    Raises:
        RecordError: A file is there and cannot be trusted; the text says why.
    """
    if folder is None:
        try:
            folder = content_dir("references")
        except OptisolveError:
            return None  # an installation without published fronts computes its own
    found = sorted(folder.glob(f"*/{instance.sha256[:16]}.json"))
    return read_front(found[0], instance) if found else None


def read_front(path: Path, instance: Instance) -> tuple[FloatArray, FloatArray]:
    """Read one file; returns and raises as `cached_front`."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        stated, X, F = data["content_sha256"], _matrix(data["X"]), _matrix(data["F"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordError(f"{path} is not a reference front ({type(error).__name__}: {error}); {_ADVICE}.") from error
    if stated != _content_hash(data):
        raise RecordError(f"{path} was altered: its content does not match its content_sha256; {_ADVICE}.")
    if data.get("instance_sha256") != instance.sha256:
        raise RecordError(
            f"{path} belongs to another instance ({data.get('instance_sha256')}), not {instance.sha256}; {_ADVICE}."
        )
    if X.shape != (len(F), instance.space.dim) or F.shape != (len(X), len(instance.objectives)) or not len(X):
        expected = f"[n, {instance.space.dim}], [n, {len(instance.objectives)}]"
        raise RecordError(f"{path}: X has shape {X.shape} and F {F.shape}; expected {expected}; {_ADVICE}.")
    try:
        twin = instance.evaluate_twin(X)
    except ProblemError as error:
        raise RecordError(f"{path}: {error} {_ADVICE.capitalize()}.") from error
    if twin.max_violation.max() > FEASIBILITY_TOLERANCE:
        raise RecordError(f"{path}: a point violates a constraint by {twin.max_violation.max():.2e}; {_ADVICE}.")
    if not np.allclose(twin.F, F, rtol=_RTOL, atol=_RTOL):
        raise RecordError(
            f"{path}: the stated objectives differ from the equations by {np.abs(twin.F - F).max():.2e}; {_ADVICE}."
        )
    return X, twin.F


def write_front(
    instance: Instance, X: FloatArray, how: JsonObject, folder: Path, *, versions: Mapping[str, str], date: str
) -> Path:
    """Verify a front with the numpy twin and publish it.

    Args:
        instance: What it solves.
        X: float64 [n, d], feasible.
        how: How it was made, JSON-compatible.
        folder: Root of the published fronts.
        versions: Versions of what made it, by package.
        date: ISO date.

    Returns:
        The file, read back once.
    """
    data: dict[str, Json] = {
        "format": _FORMAT,
        "problem": instance.origin.problem,
        "problem_version": instance.origin.version,
        "scenario": instance.origin.scenario,
        "instance_seed": instance.origin.seed,
        "instance_sha256": instance.sha256,
        "evidence": "best_known",
        "variables": list(instance.space.names),
        "objectives": [{"name": o.name, "sense": o.sense.value, "unit": o.unit} for o in instance.objectives],
        "how": dict(how),
        "versions": dict(versions),
        "date": date,
        "X": X.tolist(),
        "F": instance.evaluate_twin(X).F.tolist(),
    }
    data["content_sha256"] = _content_hash(data)
    path = front_path(instance, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".tmp")
    scratch.write_text(json.dumps(data, allow_nan=False) + "\n", encoding="utf-8")
    read_front(scratch, instance)
    scratch.replace(path)
    return path


def _content_hash(data: JsonObject) -> str:
    """SHA-256 of everything but the hash itself, as canonical JSON."""
    content = {key: value for key, value in data.items() if key != "content_sha256"}
    return digest(content)


def _matrix(rows: Any) -> FloatArray:
    array = np.array(rows, dtype=np.float64)
    if array.ndim != 2 or not np.isfinite(array).all():
        raise ValueError(f"expected a matrix of finite numbers, got shape {array.shape}")
    return array

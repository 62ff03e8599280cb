"""Records: one JSON document per run, hashed, written atomically, readable as a table.

The layout is ``optisolve.record/2``. ``result_hash`` covers what the run was asked to do and what it found; clock
times, the machine and the code revision are outside it, so that the same seed gives the same hash. ``record_id``
covers everything.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.budget import Budget
from optisolve.core.errors import RecordError
from optisolve.core.json import canonical, plain
from optisolve.core.problem import Instance
from optisolve.core.reference import Reference
from optisolve.core.solver import Solver
from optisolve.core.text import Redactor, require_encodable, secrets_here
from optisolve.run.environment import code_revision, environment, peak_memory_mb
from optisolve.run.execution import Run
from optisolve.run.table import TABLE, Table
from optisolve.run.verify import Verification
from optisolve.version import __version__

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "SCHEMA",
    "build_record",
    "canonical",
    "describe_reference",
    "iter_records",
    "load_records",
    "publish",
    "read_all",
    "read_record",
    "record_bytes",
    "record_id_of",
    "result_hash_of",
    "run_id_of",
]

SCHEMA = "optisolve.record/2"

_VOLATILE_USED = ("wall_s", "cpu_s", "peak_mb")
_RELATIVE_SCORES = ("igd_plus", "gap", "bound_gap", "gap_scale", "tie")
"""Scores against a reference; better references appear later and must not change what a run found."""

_WHEN_GIVEN = ("warm_start",)
"""Fields of a run that was given something more than others; absent in all others, and hashed like what was asked."""

_HASHED = ("schema", "suite", "instance", "solver", "seed", "budget", "used", "termination", "solutions", "verified", "scores")


def result_hash_of(record: Mapping[str, Any]) -> str:
    """SHA-256 over the deterministic part of a record."""
    part = {key: record[key] for key in (*_HASHED, *_given(record))}
    part["solver"] = {key: value for key, value in record["solver"].items() if key != "code"}
    part["used"] = {key: value for key, value in record["used"].items() if key not in _VOLATILE_USED}
    part["verified"] = {key: value for key, value in record["verified"].items() if key != "by"}
    part["scores"] = {key: value for key, value in record["scores"].items() if key not in _RELATIVE_SCORES}
    part["trace"] = [[row[0], *row[2:]] for row in record["trace"]]  # without the seconds
    return hashlib.sha256(canonical(part)).hexdigest()


def run_id_of(record: Mapping[str, Any]) -> str:
    """SHA-256 (16 digits) over what the run was asked to do; equal for every repetition of the same run."""
    solver = {key: record["solver"][key] for key in ("name", "version", "options")}
    if record["solver"]["llm"] is not None:
        solver["llm"] = {key: record["solver"]["llm"][key] for key in ("provider", "model", "params")}
    part = {"instance": record["instance"], "solver": solver, "seed": record["seed"], "budget": record["budget"]}
    part |= {key: record[key] for key in _given(record)}
    return hashlib.sha256(canonical(part)).hexdigest()[:16]


def _given(record: Mapping[str, Any]) -> list[str]:
    return [key for key in _WHEN_GIVEN if key in record]


def record_id_of(record: Mapping[str, Any]) -> str:
    """Readable name plus SHA-256 (16 digits) over the whole record except the id itself."""
    digest = hashlib.sha256(canonical({k: v for k, v in record.items() if k != "record_id"})).hexdigest()[:16]
    problem = str(record["instance"]["scenario"]).replace("/", "-")
    return f"{problem}.{record['solver']['name']}.s{record['seed']}.{digest}"


def build_record(
    instance: Instance,
    solver: Solver,
    run: Run,
    *,
    verification: Verification,
    scores: Mapping[str, Any],
    trace: list[list[float | None]],
    sources: Mapping[str, Any],
    budget: Budget,
    seed: int,
    reference: Reference | None,
    warm_start: FloatArray | None = None,
    suite: Mapping[str, str] | None = None,
    tier: str = "verified",
    errors: Sequence[str] = (),
) -> dict[str, Any]:
    """Assemble the record of one run; see the module for what is hashed.

    Args:
        instance: What was solved.
        solver: Who solved it.
        run: Raw result.
        verification: Re-evaluated points.
        scores: From `optisolve.numerics.indicators.score`.
        trace: Rows (evaluations, seconds, best feasible objective or hypervolume, smallest violation).
        sources: Evaluations and hypervolume gain by source.
        budget: The limits.
        seed: The run's seed.
        reference: What the scores refer to.
        warm_start: float64 [n, d], points that the run started from; None for a run that started from nothing.
        suite: ``name``, ``version`` and ``sha256`` of the suite that the run belongs to; None for a run of its own.
        tier: A value of `optisolve.trust.audit.Tier`.
        errors: Errors of optisolve's own that the run has shown.

    Returns:
        A JSON-compatible mapping with ``record_id`` and ``result_hash`` set.
    """
    origin, meter, outcome = instance.origin, run.meter, run.outcome
    report: dict[str, Any] = dict(outcome.report)
    operator = dict(report.get("operator", {}))
    prompts = report.pop("prompts", None) or operator.pop("prompts", {})
    if "operator" in report:
        report["operator"] = operator
    box, failed = instance.hypervolume_box, run.evaluator.failed
    record: dict[str, Any] = {
        "schema": SCHEMA,
        "suite": {"name": "", "version": "", "sha256": "", **(suite or {})},
        "instance": {
            "problem": origin.problem,
            "version": origin.version,
            "scenario": origin.scenario,
            "params": plain(origin.params),
            "seed": origin.seed,
            "sha256": instance.sha256,
        },
        "solver": {
            "name": solver.info.name,
            "version": solver.info.version,
            "options": plain(solver.options()),
            "code": code_revision(),
            "prompts": prompts,
            "checkpoint": solver.checkpoint(instance),
            "llm": run.llm,
        },
        "seed": seed,
        **({} if warm_start is None else {"warm_start": warm_start.tolist()}),
        "budget": plain(budget.options()),
        "used": {
            "evaluations": meter.evaluations,
            "wall_s": round(run.wall_s, 4),
            "cpu_s": round(run.cpu_s, 4),
            "peak_mb": peak_memory_mb(),
            "llm_calls": meter.llm_calls,
            "tokens_in": meter.tokens_in,
            "tokens_out": meter.tokens_out,
            "tokens_cached": meter.tokens_cached,
            "usd": meter.usd,
            **({"failed": failed} if failed else {}),
            "by_source": plain(sources),
            "report": plain(report),
        },
        "termination": {
            "status": outcome.termination.value,
            "limit": None if outcome.limit is None else outcome.limit.value,
            "detail": outcome.detail,
        },
        "solutions": {
            "variables": list(instance.space.names),
            "x": verification.X.tolist(),
            "returned": int(np.atleast_2d(outcome.X).shape[0]) if np.size(outcome.X) else 0,
            "claimed": {"dual_bound": outcome.dual_bound},
        },
        "verified": {
            "point": verification.point.value,
            "counts": dict(verification.counts),
            "objectives": [{"name": o.name, "sense": o.sense.value, "unit": o.unit} for o in instance.objectives],
            "F": verification.F.tolist(),
            "feasible": verification.feasible.tolist(),
            "max_violation": verification.max_violation,
            "detail": verification.detail,
            "by": f"optisolve {__version__}",
        },
        "reference": describe_reference(reference),
        "scores": {
            **scores,
            "box": None if box is None else {"reference": list(box.reference), "ideal": list(box.ideal)},
        },
        "trace": trace,
        "env": environment(),
        "provenance": {
            "tier": tier,
            "run_id": "",
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "notice": run.notice,
            "llm_cache": run.llm_cache,
            **({"files": plain(origin.files)} if origin.files else {}),
            **({"failed": {"policy": run.evaluator.policy, "first": run.evaluator.first_failure}} if failed else {}),
            **({"errors": list(errors)} if errors else {}),
        },
    }
    return seal(Redactor(secrets_here()).value(record))  # whatever a plug-in or a file has put into it


def seal(record: dict[str, Any]) -> dict[str, Any]:
    """Set ``run_id``, ``result_hash`` and ``record_id`` of a complete record, in this order."""
    record["provenance"]["run_id"] = run_id_of(record)
    record["result_hash"] = result_hash_of(record)
    record["record_id"] = record_id_of(record)
    return record


def describe_reference(reference: Reference | None) -> dict[str, Any] | None:
    """A reference as it stands in a record: value, bound, evidence and a hash of its points."""
    if reference is None:
        return None
    points = b"" if reference.X is None else np.ascontiguousarray(reference.X).tobytes()
    front = b"" if reference.F is None else np.ascontiguousarray(reference.F).tobytes()
    return {
        "sha256": hashlib.sha256(points + front).hexdigest(),
        "evidence": reference.evidence.value,
        "value": reference.value,
        "dual_bound": reference.dual_bound,
        "ideal_bound": None if reference.ideal_bound is None else list(reference.ideal_bound),
        "tolerance": reference.tolerance,
        "slack": reference.slack,
        "solver": reference.solver,
        "solver_version": reference.solver_version,
        "detail": reference.detail,
        "note": reference.note,
    }


def record_bytes(record: Mapping[str, Any]) -> bytes:
    """A record as it stands in its file."""
    return json.dumps(record, indent=1, allow_nan=False, ensure_ascii=False).encode() + b"\n"


def publish(staging: Path, target: Path) -> Path:
    """Let a complete folder appear under its final name, all at once.

    A run that dies before leaves its staging folder, never half a record; two runs that publish into the same parent
    cannot disturb each other.

    Args:
        staging: Folder with everything in it, on the file system of `target`.
        target: Final name. When it is there already (the same record was saved before), its files are replaced.
    """
    staging.chmod(0o755)
    try:
        staging.rename(target)
    except OSError:
        if not target.is_dir():
            raise
        for item in staging.iterdir():
            item.replace(target / item.name)
        shutil.rmtree(staging, ignore_errors=True)
    return target


def read_record(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read one record from its file or its folder.

    Raises:
        RecordError: Missing, not JSON, or not a record.
    """
    file = Path(path)
    if file.is_dir():
        file = file / "record.json"
    try:
        text = file.read_text(encoding="utf-8")
        record = json.loads(text, parse_constant=_refuse_constant)
        if "\\u" in text:
            require_encodable(record)
    except OSError as error:
        raise RecordError(
            f"{file}: cannot be read ({error.strerror}). Give a record.json or the folder that holds it."
        ) from error
    except (ValueError, UnicodeDecodeError) as error:
        raise RecordError(f"{file}: not valid JSON ({error}).") from error
    if isinstance(record, dict) and record.get("schema") == "optisolve.record/1":
        raise RecordError(
            f"{file}: a record of the first layout, whose references state no slack; what it says about gaps and proofs no "
            f"longer holds. Run it again with this version ({SCHEMA})."
        )
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise RecordError(f"{file}: field 'schema' must be '{SCHEMA}'; this is not an optisolve record.")
    return record


def iter_records(path: str | os.PathLike[str]) -> Iterator[Path]:
    """All ``record.json`` files at or below a path, sorted; those of runs that are not finished are left out."""
    root = Path(path)
    if root.is_file():
        yield root
        return
    for file in sorted(root.rglob("record.json")):
        if not any(name.endswith(".running") or name.startswith(".") for name in file.relative_to(root).parts):
            yield file


def read_all(path: str | os.PathLike[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """All records at or below a path with their file, those of tables last; a row of a table lacks points and curve.

    Raises:
        RecordError: A file that is not a record, or not a table.
    """
    root = Path(path)
    if root.is_file() and root.name == TABLE:
        tables = [root]
    else:
        yield from ((str(file), read_record(file)) for file in iter_records(path))
        tables = sorted(root.rglob(TABLE)) if root.is_dir() else []
    for file in tables:
        yield from ((str(file), row.record.to_json()) for row in Table.read(file).rows)


def load_records(path: str | os.PathLike[str]) -> pd.DataFrame:
    """All records at or below a path as one table, a row per run.

    Args:
        path: A record, its folder, a folder of folders, or a published table.

    Returns:
        DataFrame with identifiers, settings, usage, status and scores; nested keys joined by dots. The columns
        ``record`` and ``path`` hold the whole document and its file.

    Raises:
        RecordError: Nothing there, or a file that is not a record.
    """
    import pandas as pd

    rows = []
    for file, record in read_all(path):
        row: dict[str, Any] = {"record_id": record["record_id"], "result_hash": record["result_hash"]}
        row.update(
            scenario=record["instance"]["scenario"],
            problem=record["instance"]["problem"],
            instance=record["instance"]["seed"],
            solver=record["solver"]["name"],
            seed=record["seed"],
            llm=(record["solver"]["llm"] or {}).get("provider"),
            termination=record["termination"]["status"],
            point=record["verified"]["point"],
            points=len(record["verified"]["F"]),
            tier=record["provenance"]["tier"],
        )
        row.update({f"scores.{key}": value for key, value in record["scores"].items() if key != "box"})
        row.update({f"used.{key}": value for key, value in record["used"].items() if key not in ("report", "by_source")})
        rows.append({**row, "path": file, "record": record})
    if not rows:
        raise RecordError(f"{path}: no record.json at or below this path, and no {TABLE}.")
    return pd.DataFrame(rows)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not allowed in a record")

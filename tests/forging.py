"""Hashes of a record as its documentation defines them, over parsed JSON: what a forger computes, and a second opinion."""

from __future__ import annotations

import hashlib
import json
from typing import Any

_VOLATILE_USED = ("wall_s", "cpu_s", "peak_mb", "seconds_by_source")
_RELATIVE_SCORES = ("igd_plus", "gap", "bound_gap", "gap_scale", "tie")
_HASHED = ("schema", "suite", "instance", "solver", "seed", "budget", "used", "termination", "solutions", "verified", "scores")

Document = dict[str, Any]


def result_hash_of(record: Document) -> str:
    """SHA-256 over the deterministic part of a record."""
    part = {key: record[key] for key in (*_HASHED, *_given(record))}
    part["solver"] = {key: value for key, value in record["solver"].items() if key != "code"}
    part["used"] = {key: value for key, value in record["used"].items() if key not in _VOLATILE_USED}
    part["verified"] = {key: value for key, value in record["verified"].items() if key not in ("by", "missed")}
    part["scores"] = {key: value for key, value in record["scores"].items() if key not in _RELATIVE_SCORES}
    part["trace"] = [[row[0], *row[2:]] for row in record["trace"]]  # without the seconds
    return _sha256(part)


def run_id_of(record: Document) -> str:
    """SHA-256 (16 digits) over what the run was asked to do."""
    solver = {key: record["solver"][key] for key in ("name", "version", "options")}
    if record["solver"]["llm"] is not None:
        solver["llm"] = {key: record["solver"]["llm"][key] for key in ("provider", "model", "params")}
    part = {"instance": record["instance"], "solver": solver, "seed": record["seed"], "budget": record["budget"]}
    return _sha256(part | {key: record[key] for key in _given(record)})[:16]


def record_id_of(record: Document) -> str:
    """Readable name plus SHA-256 (16 digits) over the whole record except the id itself."""
    digest = _sha256({key: value for key, value in record.items() if key != "record_id"})[:16]
    problem = str(record["instance"]["scenario"]).replace("/", "-")
    return f"{problem}.{record['solver']['name']}.s{record['seed']}.{digest}"


def seal(record: Document) -> Document:
    """Set ``run_id``, ``result_hash`` and ``record_id`` of a document, in this order, whatever else it holds."""
    record["provenance"]["run_id"] = run_id_of(record)
    record["result_hash"] = result_hash_of(record)
    record["record_id"] = record_id_of(record)
    return record


def record_bytes(record: Document) -> bytes:
    """A document as it stands in its file."""
    return json.dumps(record, indent=1, allow_nan=False, ensure_ascii=False).encode() + b"\n"


def _given(record: Document) -> list[str]:
    return ["warm_start"] if "warm_start" in record else []


def _sha256(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()

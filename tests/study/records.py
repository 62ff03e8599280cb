"""Hand-made records, as small as scoring needs them, so that expected scores can be worked out by hand."""

from __future__ import annotations

import hashlib
from typing import Any

import pandas as pd

from optisolve.run.schema import SCHEMA, Record


def made(
    solver: str = "a",
    *,
    scenario: str = "s",
    instance: int = 0,
    seed: int = 0,
    gap: float | None = None,
    hypervolume: float | None = None,
    reference_hypervolume: float | None = None,
    bound_gap: float | None = None,
    status: str = "limit",
    point: str = "feasible",
    detail: str = "",
    trace: list[list[Any]] | None = None,
    evaluations: int = 100,
    options: dict[str, Any] | None = None,
    params: dict[str, Any] | None = None,
    suite: dict[str, str] | None = None,
    reference: bool = True,
    value: float = 10.0,
    tokens: int = 0,
    usd: float = 0.0,
    tie: float = 0.0,
    scale: float | None = None,
    note: str = "",
    evidence: str = "",
    dual_bound: bool = True,
) -> Record:
    """A record of a maximization problem with reference value 10, or of two objectives when a hypervolume is given.

    Args: as the fields of a record; `gap` is what verification found, None for nothing feasible.
    """
    several = hypervolume is not None or reference_hypervolume is not None
    feasible = (hypervolume if several else gap) is not None
    names = ("f1", "f2") if several else ("rate",)
    objective = None if gap is None else value * (1 - gap)
    identity = f"{scenario}.{solver}.i{instance}.s{seed}.{gap}.{hypervolume}.{status}"
    single = reference and not several
    shown = gap if reference else None
    if several and reference_hypervolume is not None and hypervolume is not None:
        shown = (reference_hypervolume - hypervolume) / reference_hypervolume
    document = {
        "schema": SCHEMA,
        "suite": {"name": "", "version": "", "sha256": "", **(suite or {})},
        "instance": {
            "problem": "toy",
            "version": "1",
            "scenario": scenario,
            "params": params or {},
            "seed": instance,
            "sha256": instance_hash(scenario, instance),
        },
        "solver": {
            "name": solver,
            "version": "1",
            "options": options or {},
            "code": "c",
            "prompts": {},
            "checkpoint": None,
            "llm": None,
        },
        "seed": seed,
        "budget": {"evaluations": 100, "seconds": None, "llm_calls": None, "llm_tokens": None, "usd": None},
        "used": {
            "evaluations": evaluations,
            "wall_s": 1.0,
            "cpu_s": 1.0,
            "peak_mb": None,
            "llm_calls": 0,
            "tokens_in": tokens,
            "tokens_out": 0,
            "tokens_cached": 0,
            "usd": usd,
            "by_source": {},
            "report": {},
        },
        "termination": {"status": status, "limit": "evaluations" if status == "limit" else None, "detail": detail},
        "solutions": {
            "variables": ["x0", "x1", "x2"],
            "x": [[0.0, 0.0, 0.0]] if feasible else [],
            "returned": int(feasible),
            "claimed": {"dual_bound": None},
        },
        "verified": {
            "point": point if feasible or point != "feasible" else "none",
            "counts": {},
            "objectives": [{"name": name, "sense": "maximize", "unit": ""} for name in names],
            "F": [[objective or 0.0] * len(names)] if feasible else [],
            "feasible": [True] if feasible else [],
            "max_violation": 0.0 if feasible else 0.5,
            "detail": "",
            "by": "a test",
        },
        "reference": {
            "sha256": "0" * 64,
            "evidence": evidence or ("best_known" if several else "proven_optimal"),
            "value": None if several else value,
            "dual_bound": value if single and dual_bound else None,
            "ideal_bound": None,
            "tolerance": tie * value,
            "slack": 0.0,
            "solver": "by hand",
            "solver_version": "1",
            "detail": "",
            "note": note,
        }
        if reference
        else None,
        "scores": {
            "hypervolume": hypervolume,
            "igd_plus": None,
            "objective": objective,
            "gap": shown,
            "bound_gap": (shown if bound_gap is None else bound_gap) if single else None,
            "gap_scale": reference_hypervolume if several else (value if scale is None else scale) if single else None,
            "tie": tie if single else None,
            "box": {"reference": [1.0, 1.0], "ideal": [0.0, 0.0]} if several else None,
        },
        "trace": trace or [],
        "env": {
            "python": "3",
            "platform": "p",
            "cpu": "c",
            "kernels": {},
            "cores": 1,
            "threads": {},
            "packages": {},
            "git": "",
            "dirty": False,
        },
        "provenance": {"tier": "verified", "run_id": "", "started": "", "notice": "", "llm_cache": None},
        "result_hash": hashlib.sha256(identity.encode()).hexdigest(),
        "record_id": identity.replace("/", "-"),
    }
    return Record.from_json(document)


def instance_hash(scenario: str = "s", instance: int = 0) -> str:
    """Hash of an instance's data, as `made` has it."""
    return hashlib.sha256(f"{scenario}|{instance}".encode()).hexdigest()


def but(record: Record, part: str, **values: Any) -> Record:
    """The record with other fields in one of its parts."""
    return record.model_copy(update={part: getattr(record, part).model_copy(update=values)})


def table(*records: Record) -> pd.DataFrame:
    """Records as `optisolve.load_records` delivers them, as far as scoring looks at them."""
    return pd.DataFrame({"record": list(records)})

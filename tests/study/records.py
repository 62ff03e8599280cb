"""Hand-made records, as small as scoring needs them, so that expected scores can be worked out by hand."""

from __future__ import annotations

from typing import Any

import pandas as pd


def made(
    solver: str = "a",
    *,
    scenario: str = "s",
    instance: int = 0,
    seed: int = 0,
    gap: float | None = None,
    hypervolume: float | None = None,
    reference_hypervolume: float | None = None,
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
    note: str = "",
    evidence: str = "",
) -> dict[str, Any]:
    """A record of a maximization problem with reference value 10, or of two objectives when a hypervolume is given.

    Args: as the fields of a record; `gap` is what verification found, None for nothing feasible.
    """
    several = hypervolume is not None or reference_hypervolume is not None
    feasible = (hypervolume if several else gap) is not None
    names = ("f1", "f2") if several else ("rate",)
    shown = gap if reference else None
    if several and reference_hypervolume is not None and hypervolume is not None:
        shown = (reference_hypervolume - hypervolume) / reference_hypervolume
    objective = None if gap is None else value * (1 - gap)
    identity = f"{scenario}.{solver}.i{instance}.s{seed}.{gap}.{hypervolume}.{status}"
    return {
        "record_id": identity,
        "result_hash": identity,
        "suite": {"name": "", "version": "", "sha256": "", **(suite or {})},
        "instance": {
            "problem": "toy",
            "version": "1",
            "scenario": scenario,
            "params": params or {},
            "seed": instance,
            "sha256": f"{scenario}{instance}",
        },
        "solver": {"name": solver, "version": "1", "options": options or {}, "llm": None, "checkpoint": None, "code": "c"},
        "seed": seed,
        "budget": {"evaluations": 100, "seconds": None, "llm_calls": None, "llm_tokens": None, "usd": None},
        "used": {"evaluations": evaluations, "wall_s": 1.0, "llm_calls": 0, "tokens_in": tokens, "tokens_out": 0, "usd": usd},
        "termination": {"status": status, "limit": None, "detail": detail},
        "solutions": {"variables": ["x0", "x1", "x2"]},
        "verified": {
            "point": point if feasible or point != "feasible" else "none",
            "objectives": [{"name": name, "sense": "maximize", "unit": ""} for name in names],
            "feasible": [True] if feasible else [],
            "max_violation": 0.0 if feasible else 0.5,
            "detail": "",
        },
        "reference": {
            "evidence": evidence or ("best_known" if several else "proven_optimal"),
            "value": None if several else value,
            "dual_bound": None if several else value,
            "tolerance": tie * value,
            "slack": 0.0,
            "note": note,
        }
        if reference
        else None,
        "scores": {
            "gap": shown,
            "bound_gap": None if several else shown,
            "gap_scale": (reference_hypervolume if several else value) if reference else None,
            "tie": tie if reference and not several else None,
            "objective": objective,
            "hypervolume": hypervolume,
            "igd_plus": None,
        },
        "trace": trace or [],
    }


def table(*records: dict[str, Any]) -> pd.DataFrame:
    """Records as `optisolve.load_records` delivers them, as far as scoring looks at them."""
    return pd.DataFrame({"record": list(records)})

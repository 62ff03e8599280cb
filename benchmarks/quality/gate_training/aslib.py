"""Export of a run table as an ASlib scenario, the exchange format of algorithm selection.

Source: Bischl et al. 2016, ASlib: A benchmark library for algorithm selection, arXiv 1506.02465; performance type
``solution_quality``, to be minimized.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gate_training.runs import RunTable
from optisolve.core.documents import write_atomic
from optisolve.solvers.moe.features import feature_names
from optisolve.study.loss import LOSS_CAP

__all__ = ["write_aslib"]


def write_aslib(
    table: RunTable, folder: Path, *, name: str = "optisolve", folds: int = 10, evaluations: int | None = None
) -> Path:
    """Write ``description.txt``, ``algorithm_runs.arff``, ``feature_values.arff``, ``feature_runstatus.arff`` and ``cv.arff``.

    Args:
        table: The runs.
        folder: Where; made if needed.
        name: Name of the scenario.
        folds: Folds of the cross-validation; instances are dealt out in turn.
        evaluations: Budget of the runs, for the description.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ids = [f"{case.scenario.replace('/', '-')}.{case.seed}" for case in table.cases]
    names = [n.replace(":", "_") for n in feature_names(table.flags)]
    files = {
        "description.txt": _description(table, name, names, evaluations),
        "algorithm_runs.arff": _runs(table, ids, name),
        "feature_values.arff": _features(table, ids, names, name),
        "feature_runstatus.arff": _status(ids, name),
        "cv.arff": _folds(ids, folds, name),
    }
    for file, text in files.items():
        write_atomic(folder / file, text.encode())
    return folder


def _description(table: RunTable, name: str, features: list[str], evaluations: int | None) -> str:
    lines = [
        f"scenario_id: {name}",
        "performance_measures: loss",
        "maximize: false",
        "performance_type: solution_quality",
        "algorithm_cutoff_time: '?'",
        "algorithm_cutoff_memory: '?'",
        "features_cutoff_time: '?'",
        "features_cutoff_memory: '?'",
        f"number_of_feature_steps: 1  # evaluations per run: {'?' if evaluations is None else evaluations}",
        "default_steps: [description]",
        "feature_steps:",
        "  description:",
        "    provides: [" + ", ".join(features) + "]",
        "features_deterministic: [" + ", ".join(features) + "]",
        "features_stochastic: []",
        "metainfo_algorithms:",
    ]
    for expert in table.experts:
        lines += [f"  '{expert}':", f"    configuration: preset {expert}", "    deterministic: true"]
    return "\n".join(lines) + "\n"


def _head(relation: str, attributes: list[str]) -> list[str]:
    return [f"@RELATION {relation}", "", *(f"@ATTRIBUTE {a}" for a in attributes), "", "@DATA"]


def _runs(table: RunTable, ids: list[str], name: str) -> str:
    attributes = ["instance_id STRING", "repetition NUMERIC", "algorithm STRING", "loss NUMERIC"]
    lines = _head(f"ALGORITHM_RUNS_{name}", [*attributes, "runstatus {ok, timeout, memout, not_applicable, crash, other}"])
    for i, instance in enumerate(ids):
        for j, expert in enumerate(table.experts):
            ok = "ok" if table.losses[i, j] < LOSS_CAP else "other"
            status = ok if table.able[i, j] else "not_applicable"
            lines.append(f"{instance},1,{expert},{table.losses[i, j]:.9g},{status}")
    return "\n".join(lines) + "\n"


def _features(table: RunTable, ids: list[str], names: list[str], name: str) -> str:
    lines = _head(f"FEATURE_VALUES_{name}", ["instance_id STRING", "repetition NUMERIC", *(f"{n} NUMERIC" for n in names)])
    for instance, row in zip(ids, np.asarray(table.features), strict=True):
        lines.append(f"{instance},1," + ",".join(f"{v:.9g}" for v in row))
    return "\n".join(lines) + "\n"


def _status(ids: list[str], name: str) -> str:
    attributes = ["instance_id STRING", "repetition NUMERIC", "description {ok, timeout, memout, presolved, crash, other}"]
    return "\n".join([*_head(f"FEATURE_RUNSTATUS_{name}", attributes), *(f"{i},1,ok" for i in ids)]) + "\n"


def _folds(ids: list[str], folds: int, name: str) -> str:
    lines = _head(f"CV_{name}", ["instance_id STRING", "repetition NUMERIC", "fold NUMERIC"])
    return "\n".join([*lines, *(f"{instance},1,{1 + i % folds}" for i, instance in enumerate(ids))]) + "\n"

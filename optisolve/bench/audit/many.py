"""Audits of many records, several at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from optisolve.bench.audit.auditor import Auditor
from optisolve.bench.audit.findings import Audit

__all__ = ["audit_files"]

_CHUNKS_PER_WORKER = 8
"""Neighboring records share instances, hence references; larger chunks share more, smaller ones spread the work better."""


def audit_files(auditor: Auditor, files: Sequence[Path], *, workers: int = 1) -> list[Audit]:
    """Audit records in processes of their own.

    Args:
        auditor: How; every process works with a copy.
        files: Records, those of one instance side by side.
        workers: Processes; 1 works in this one. The answers do not depend on it.

    Returns:
        One audit per file, in the order of `files`.
    """
    if workers <= 1 or len(files) < 2:
        return [auditor.file(file) for file in files]
    from joblib import Parallel, delayed, parallel_config

    size = max(1, -(-len(files) // (workers * _CHUNKS_PER_WORKER)))
    chunks = [files[start : start + size] for start in range(0, len(files), size)]
    with parallel_config(backend="loky", inner_max_num_threads=1):
        found = Parallel(n_jobs=workers)(delayed(_audit_some)(auditor, chunk) for chunk in chunks)
    return [audit for some in found for audit in some]


def _audit_some(auditor: Auditor, files: Sequence[Path]) -> list[Audit]:
    return [auditor.file(file) for file in files]

"""The file of results, and the loop that fills it: it goes on where it was stopped, and measures changed solvers again."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pandas as pd

import optisolve
from budget_runs.cases import ENTRANTS, Run, instance_of, runs, settings, why_not
from optisolve.core.documents import write_atomic
from optisolve.core.status import Termination

__all__ = ["KEY", "RESULTS", "bring_up_to_date", "outdated", "read_results"]

RESULTS = Path(__file__).resolve().parents[2] / "budgets.parquet"
KEY = ["problem", "solver", "evaluations", "instance", "seed"]
_COLUMNS = [*KEY, "version", "settings", "hypervolume", "seconds"]
_SAVED_EVERY_S = 20.0
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def read_results(path: Path = RESULTS) -> pd.DataFrame:
    """All runs that were measured: `KEY`, the solver's version and settings, hypervolume, processor time in s."""
    if not path.is_file():
        return pd.DataFrame(columns=_COLUMNS)
    return pd.read_parquet(path)[_COLUMNS].astype(dict.fromkeys(("problem", "solver", "version", "settings"), str))


def bring_up_to_date(
    parts: Iterable[str],
    *,
    n_seeds: int,
    peer_pairs: int,
    workers: int,
    path: Path = RESULTS,
    practice: bool = False,
    only: Sequence[str] | None = None,
) -> list[str]:
    """Measure what is missing or was measured with other settings; what is measured stays when it is stopped.

    Args:
        parts: Keys of `cases.PARTS`.
        n_seeds: Run seeds per instance.
        peer_pairs: Pairs that slow peers get, see `cases.runs`.
        workers: Processes, one thread of linear algebra each.
        path: The file.
        practice: On the instances and seeds that settings may be tuned on.
        only: Labels of the solvers to measure; None for all.

    Returns:
        Runs that broke, in words; they are tried again at the next call.
    """
    known = read_results(path)
    at = {tuple(row[:5]): row[5] for row in known[[*KEY, "settings"]].itertuples(index=False)}
    digests = {}
    todo: list[tuple[Run, str, str]] = []
    for run in (run for part in parts for run in runs(part, n_seeds=n_seeds, peer_pairs=peer_pairs, practice=practice)):
        name = (run.problem, run.entrant.label)
        if only is not None and name[1] not in only:
            continue
        if name not in digests:
            reason = why_not(run.problem, run.entrant)
            digests[name] = None if reason else settings(run.problem, run.entrant)
            if reason:
                print(f"left out: {run.entrant.label} on {run.problem}: {reason}", flush=True)
        told = digests[name]
        if told is not None and at.get(_key(run)) != told[1]:
            todo.append((run, *told))
    print(f"{len(known):,} runs are measured; {len(todo):,} to go", flush=True)
    fresh, broken, saved = [], [], time.monotonic()
    os.environ |= dict.fromkeys(_THREADS, "1")
    # Not joblib's processes: those are ended as leaky once a solver has loaded torch, and every new one loads it again.
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    try:
        for row in pool.map(measured, *zip(*todo, strict=True)) if todo else ():
            (broken if isinstance(row, str) else fresh).append(row)
            if time.monotonic() - saved > _SAVED_EVERY_S:
                _save(known, fresh, path)
                saved = time.monotonic()
                print(f"{len(fresh):,} of {len(todo):,}", flush=True)
    finally:
        pool.shutdown(cancel_futures=True)
        _save(known, fresh, path)
    return broken


def outdated(frame: pd.DataFrame) -> dict[str, int]:
    """Rows by label that a run now would not repeat: of another version, of other options, of what is no longer compared."""
    by_label, counts = {entrant.label: entrant for entrant in ENTRANTS}, dict[str, int]()
    for (problem, label), own in frame.groupby(["problem", "solver"]):
        entrant = by_label.get(label)
        today = None if entrant is None or why_not(problem, entrant) else settings(problem, entrant)[1]
        if stale := int((own["settings"] != today).sum()):
            counts[str(label)] = counts.get(str(label), 0) + stale
    return counts


def measured(run: Run, version: str, digest: str) -> tuple[object, ...] | str:
    """One run as a row of the file, or what broke."""
    instance = instance_of(run.problem, run.instance)
    before = _processor_s()
    try:
        result = optisolve.solve(
            instance,
            optisolve.load_solver(run.entrant.solver, **run.entrant.options),
            budget=optisolve.Budget(evaluations=run.evaluations),
            seed=run.seed,
            llm=run.entrant.llm,
        )
    except optisolve.OptisolveError as error:
        return f"{_key(run)}: {error}"
    seconds = _processor_s() - before
    if result.termination is Termination.ERROR:
        return f"{_key(run)}: {result.record.termination.detail}"
    return (*_key(run), version, digest, round(float(result.hypervolume or 0.0), 6), round(seconds, 4))


def _processor_s() -> float:
    """Processor time of this process, all of its threads and its ended children, s."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(part.ru_utime + part.ru_stime for part in used)


def _key(run: Run) -> tuple[object, ...]:
    return run.problem, run.entrant.label, run.evaluations, run.instance, run.seed


def _save(known: pd.DataFrame, fresh: list[tuple[object, ...]], path: Path) -> None:
    """All rows, in one order whatever the processes did; a run that was measured again replaces its older row."""
    if not fresh:
        return
    rows = pd.concat([known, pd.DataFrame(fresh, columns=_COLUMNS)] if len(known) else [pd.DataFrame(fresh, columns=_COLUMNS)])
    rows = rows.drop_duplicates(KEY, keep="last")
    order = {entrant.label: k for k, entrant in enumerate(ENTRANTS)}
    rows = rows[rows["solver"].isin(order)]  # of a solver that is no longer compared nothing is kept
    rows = rows.sort_values(KEY, key=lambda column: column.map(order) if column.name == "solver" else column)
    small = {"evaluations": "int32", "instance": "int32", "seed": "int32", "hypervolume": "float32", "seconds": "float32"}
    rows = rows.astype({**small, **dict.fromkeys(("problem", "solver", "version", "settings"), "category")})
    write_atomic(path, rows.to_parquet(index=False, compression="zstd"))

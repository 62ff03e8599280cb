"""Locks: what a suite means today, as hashes, so that a run can refuse a suite that has moved under its name.

``NAME.lock.json`` stands beside ``NAME.yaml``. It covers the suite's settings, the versions and parameters of problems
and solvers, and the data of every instance. Its own hash is what records carry as ``suite.sha256``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optisolve.core.documents import canonical, write_atomic
from optisolve.core.errors import OptisolveError
from optisolve.core.problem import Instance
from optisolve.study.suite import Case, Suite

__all__ = ["SCHEMA", "Lock", "differences", "lock_path", "lock_suite", "plain", "read_lock", "require_lock", "write_lock"]

SCHEMA = "optisolve.suite-lock/1"


@dataclass(frozen=True, eq=False, slots=True)
class Lock:
    """A suite pinned to hashes, with its instances made.

    Attributes:
        document: What stands in the lock file.
        instances: Every instance by (label of the problem, instance seed).
    """

    document: Mapping[str, Any]
    instances: Mapping[tuple[str, int], Instance]

    @property
    def sha256(self) -> str:
        """Hash of the whole suite, "" for an open one, whose units alone say what was run."""
        return str(self.document["sha256"])

    @property
    def identity(self) -> dict[str, str]:
        """Name, version and hash, as records carry them."""
        return {"name": self.document["suite"], "version": self.document["version"], "sha256": self.sha256}


def lock_suite(suite: Suite) -> Lock:
    """Make every instance of a suite and hash all that a result can depend on.

    Args:
        suite: A checked suite.
    """
    instances = {(case.label, seed): case.problem.instance(seed) for case in suite.cases for seed in case.instances}
    pinned, pinned_cells = ((), ()) if suite.open else (suite.cases, suite.cells)
    solvers: dict[str, dict[str, Any]] = {}
    for cell in pinned_cells:
        entry = solvers.setdefault(cell.label, {"solver": cell.solver.info.name, "version": cell.solver.info.version, "on": {}})
        entry["on"][cell.case.label] = _digest(
            {
                "options": plain(cell.solver.options()),
                "llm": None if cell.llm is None else {"kind": cell.llm.kind, **plain(cell.llm.options())},
                "budget": plain(cell.budget.options()),
                "limits": plain(cell.limits.options()),
                "repetitions": cell.repetitions,
                "skip": cell.skip,
            }
        )
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "suite": suite.name,
        "version": suite.version,
        "seed": suite.seed,
        "repetitions": None if suite.open else suite.repetitions,
        "problems": {case.label: _describe(case, instances) for case in pinned},
        "solvers": solvers,
    }
    document["sha256"] = "" if suite.open else hashlib.sha256(canonical(document)).hexdigest()
    return Lock(document, instances)


def lock_path(suite: Suite) -> Path:
    """Where a suite's lock file stands."""
    return suite.path.with_name(f"{suite.name}.lock.json")


def read_lock(suite: Suite) -> dict[str, Any] | None:
    """The lock file's content; None when there is none.

    Raises:
        OptisolveError: The file is damaged or was edited by hand.
    """
    path = lock_path(suite)
    if not path.is_file():
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        told = document.pop("sha256")
        if document["schema"] != SCHEMA or hashlib.sha256(canonical(document)).hexdigest() != told:
            raise ValueError("its content does not fit its own hash")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise OptisolveError(f"{path}: not a lock file that optisolve wrote ({error}). Delete it and lock again.") from error
    return {**document, "sha256": told}


def require_lock(suite: Suite) -> Lock:
    """Pin a suite and compare with its lock file, when it has one.

    Raises:
        OptisolveError: The lock is stale; the text lists what differs and how to lock again.
    """
    lock, told = lock_suite(suite), read_lock(suite)
    if told is not None and told["sha256"] != lock.sha256:
        lines = "\n".join(f"  - {line}" for line in differences(told, lock.document))
        raise OptisolveError(
            f"suite {suite.name} {suite.version} is not what its lock {lock_path(suite)} says:\n{lines}\n"
            f"Run the version of optisolve that made the lock, or raise 'version' in {suite.path.name} and lock again: "
            f"optisolve bench suite={suite.argument} lock=true"
        )
    return lock


def write_lock(suite: Suite) -> tuple[Path, bool]:
    """Write the lock file of a suite.

    Returns:
        The file, and whether it changed.

    Raises:
        OptisolveError: Another lock of the same version exists, or the folder cannot be written.
    """
    if suite.open:
        raise OptisolveError(
            f"suite {suite.name} is open: it may grow, so there is nothing to lock. Remove 'open' from its file."
        )
    lock, told, path = lock_suite(suite), read_lock(suite), lock_path(suite)
    if told is not None and told["sha256"] == lock.sha256:
        return path, False
    if told is not None and told["version"] == suite.version:
        lines = "\n".join(f"  - {line}" for line in differences(told, lock.document))
        raise OptisolveError(
            f"suite {suite.name} has changed but is still version {suite.version}:\n{lines}\n"
            f"Raise 'version' in {suite.path.name}; "
            f"a version that was never published may be locked again after deleting {path}."
        )
    try:
        write_atomic(path, json.dumps(lock.document, indent=1, ensure_ascii=False).encode() + b"\n")
    except OSError as error:
        raise OptisolveError(
            f"{path}: cannot be written ({error.strerror}). Copy the suite's YAML file to a folder of yours and lock it there."
        ) from error
    return path, True


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs between two locks, one phrase each."""
    keys = ("version", "seed", "repetitions")
    found = [f"{key}: {old[key]} in the lock, {new[key]} now" for key in keys if old[key] != new[key]]
    for kind in ("problems", "solvers"):
        for label in sorted({*old[kind], *new[kind]}):
            before, now = old[kind].get(label), new[kind].get(label)
            if before is None or now is None:
                found.append(f"{kind[:-1]} {label}: {'new' if before is None else 'gone'}")
            elif before != now:
                found += [f"{kind[:-1]} {label}: {text}" for text in _changes(before, now)]
    return found


def plain(value: Any) -> Any:
    """Plain JSON types; what JSON does not know becomes text."""
    return json.loads(json.dumps(value, default=str))


def _describe(case: Case, instances: Mapping[tuple[str, int], Instance]) -> dict[str, Any]:
    origin = case.problem.origin(0)
    return {
        "problem": origin.problem,
        "version": origin.version,
        "scenario": origin.scenario,
        "parameters": _digest(plain(origin.params)),
        "reference": None if case.effort is None else case.effort.value,
        "budget": plain(case.budget.options()),
        "instances": {str(seed): instances[case.label, seed].sha256 for seed in case.instances},
    }


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    found = []
    for key in now:
        if before.get(key) == now[key]:
            continue
        if key == "on":
            cells = sorted(name for name in {*before[key], *now[key]} if before[key].get(name) != now[key].get(name))
            shown = ", ".join(cells[:4]) + (f" and {len(cells) - 4} more" if len(cells) > 4 else "")
            found.append(f"options, budget or limits on {shown}")
        elif key == "instances":
            found.append("the data of its instances")
        elif key == "parameters":
            found.append("its parameters")
        else:
            found.append(f"{key} {before.get(key)} in the lock, {now[key]} now")
    return found


def _digest(value: Any) -> str:
    return hashlib.sha256(canonical(value)).hexdigest()[:16]

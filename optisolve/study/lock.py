"""Locks: what a suite means today, as hashes, so that a run can refuse a suite that has moved under its name.

``NAME.lock.json`` stands beside ``NAME.yaml``. It covers the suite's settings, the versions and parameters of problems
and solvers, and the data of every instance. Its own hash is what records carry as ``suite.sha256``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, ValidationError

from optisolve.core.documents import digest, document, plain, write_atomic
from optisolve.core.errors import OptisolveError, RecordError
from optisolve.core.problem import Instance
from optisolve.run.fields import Object, Part, field_problems
from optisolve.run.untrusted import strict_json
from optisolve.study.suite import Case, Suite

__all__ = [
    "Identity",
    "Lock",
    "LockFile",
    "differences",
    "lock_path",
    "lock_suite",
    "parse_part",
    "read_lock",
    "require_lock",
    "write_lock",
]

_P = TypeVar("_P", bound=Part)


class Identity(Part):
    """A suite as records name it; ``sha256`` is "" for an open one."""

    name: str
    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.sha256[:12]})"


class LockedProblem(Part):
    """What a problem of the suite means; ``instances`` holds the hash of the data by seed."""

    problem: str
    version: str
    scenario: str
    parameters: str
    reference: str | None
    budget: Object
    instances: dict[str, str]


class LockedSolver(Part):
    """What a solver of the suite means; ``on`` holds the hash of its settings by problem."""

    solver: str
    version: str
    on: dict[str, str]


class LockFile(Part):
    """What stands in the lock file."""

    layout: Literal["optisolve.suite-lock/1"] = Field(alias="schema")
    suite: str
    version: str
    seed: int
    repetitions: int | None
    problems: dict[str, LockedProblem]
    solvers: dict[str, LockedSolver]
    sha256: str

    def own_hash(self) -> str:
        """Hash of everything else in it."""
        return digest({key: value for key, value in self.to_json().items() if key != "sha256"})


@dataclass(frozen=True, eq=False, slots=True)
class Lock:
    """A suite pinned to hashes, with its instances made.

    Attributes:
        file: What stands in the lock file.
        instances: Every instance by (label of the problem, instance seed).
    """

    file: LockFile
    instances: Mapping[tuple[str, int], Instance]

    @property
    def sha256(self) -> str:
        """Hash of the whole suite, "" for an open one, whose units alone say what was run."""
        return self.file.sha256

    @property
    def identity(self) -> Identity:
        """Name, version and hash, as records carry them."""
        return Identity(name=self.file.suite, version=self.file.version, sha256=self.sha256)


def lock_suite(suite: Suite) -> Lock:
    """Make every instance of a suite and hash all that a result can depend on.

    Args:
        suite: A checked suite.
    """
    instances = {(case.label, seed): case.instance(seed) for case in suite.cases for seed in case.instances}
    pinned, pinned_cells = ((), ()) if suite.open else (suite.cases, suite.cells)
    solvers: dict[str, LockedSolver] = {}
    for cell in pinned_cells:
        info = cell.solver.info
        entry = solvers.setdefault(cell.label, LockedSolver(solver=info.name, version=info.version, on={}))
        entry.on[cell.case.label] = _short_digest({**cell.settings(), "repetitions": cell.repetitions, "skip": cell.skip})
    file = LockFile(
        schema="optisolve.suite-lock/1",
        suite=suite.name,
        version=suite.version,
        seed=suite.seed,
        repetitions=None if suite.open else suite.repetitions,
        problems={case.label: _describe(case, instances) for case in pinned},
        solvers=solvers,
        sha256="",
    )
    return Lock(file if suite.open else file.model_copy(update={"sha256": file.own_hash()}), instances)


def lock_path(suite: Suite) -> Path:
    """Where a suite's lock file stands."""
    return suite.path.with_name(f"{suite.name}.lock.json")


def parse_part(kind: type[_P], data: bytes, where: str) -> _P:
    """A file of ours as its model.

    Args:
        kind: The model.
        data: What stands in the file.
        where: The file, for the error.

    Raises:
        RecordError: It is no JSON, or has wrong fields, all of them named.
    """
    try:
        return kind.model_validate(strict_json(data))
    except ValidationError as error:
        text = "; ".join(map(str, field_problems(error, kind)))
    except ValueError as error:
        text = str(error)
    raise RecordError(f"{where}: damaged ({text}).")


def read_lock(suite: Suite) -> LockFile | None:
    """The lock file's content; None when there is none.

    Raises:
        OptisolveError: The file is damaged or was edited by hand.
    """
    path = lock_path(suite)
    if not path.is_file():
        return None
    try:
        file = parse_part(LockFile, path.read_bytes(), path.name)
        if file.own_hash() != file.sha256:
            raise RecordError("its content does not fit its own hash")
    except (OSError, OptisolveError) as error:
        raise OptisolveError(f"{path}: not a lock file that optisolve wrote ({error}). Delete it and lock again.") from error
    return file


def require_lock(suite: Suite) -> Lock:
    """Pin a suite and compare with its lock file, when it has one.

    Raises:
        OptisolveError: The lock is stale; the text lists what differs and how to lock again.
    """
    lock, stored = lock_suite(suite), read_lock(suite)
    if stored is not None and stored.sha256 != lock.sha256:
        lines = "\n".join(f"  - {line}" for line in differences(stored, lock.file))
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
    lock, stored, path = lock_suite(suite), read_lock(suite), lock_path(suite)
    if stored is not None and stored.sha256 == lock.sha256:
        return path, False
    if stored is not None and stored.version == suite.version:
        lines = "\n".join(f"  - {line}" for line in differences(stored, lock.file))
        raise OptisolveError(
            f"suite {suite.name} has changed but is still version {suite.version}:\n{lines}\n"
            f"Raise 'version' in {suite.path.name}; "
            f"a version that was never published may be locked again after deleting {path}."
        )
    try:
        write_atomic(path, document(lock.file.to_json()))
    except OSError as error:
        raise OptisolveError(
            f"{path}: cannot be written ({error.strerror}). Copy the suite's YAML file to a folder of yours and lock it there."
        ) from error
    return path, True


def differences(old: LockFile, new: LockFile) -> list[str]:
    """What differs between two locks, one phrase each."""
    pairs = ((name, getattr(old, name), getattr(new, name)) for name in ("version", "seed", "repetitions"))
    phrases = [f"{name}: {before} in the lock, {now} now" for name, before, now in pairs if before != now]
    for kind in ("problems", "solvers"):
        before, now = getattr(old, kind), getattr(new, kind)
        for label in sorted({*before, *now}):
            if label not in before or label not in now:
                phrases.append(f"{kind[:-1]} {label}: {'gone' if label in before else 'new'}")
            else:
                changes = _changes(before[label], now[label])
                phrases += [f"{kind[:-1]} {label}: {text}" for text in changes]
    return phrases


def _describe(case: Case, instances: Mapping[tuple[str, int], Instance]) -> LockedProblem:
    origin = case.problem.origin(0)
    return LockedProblem(
        problem=origin.problem,
        version=origin.version,
        scenario=origin.scenario,
        parameters=_short_digest(plain(origin.params)),
        reference=None if case.effort is None else case.effort.value,
        budget=case.budget.options(),
        instances={str(seed): instances[case.label, seed].sha256 for seed in case.instances},
    )


def _changes(old: Part, new: Part) -> list[str]:
    phrases = []
    for name in type(new).model_fields:
        before, now = getattr(old, name), getattr(new, name)
        if before == now:
            continue
        if name == "on":
            cells = sorted(cell for cell in {*before, *now} if before.get(cell) != now.get(cell))
            shown = ", ".join(cells[:4]) + (f" and {len(cells) - 4} more" if len(cells) > 4 else "")
            phrases.append(f"options, budget or limits on {shown}")
        elif name in ("instances", "parameters"):
            phrases.append("the data of its instances" if name == "instances" else "its parameters")
        else:
            phrases.append(f"{name} {before} in the lock, {now} now")
    return phrases


def _short_digest(value: object) -> str:
    return digest(value)[:16]

"""Where the records of a suite go: ``OUT/SUITE/UNIT/``, in a folder or behind any URL that fsspec knows.

``suite.json`` beside the units says which suite they belong to and what was skipped, ``SUITE.yaml`` is the suite. A unit
is finished when its ``record.json`` is there; it appears after everything else of the unit, or together with it.
"""

from __future__ import annotations

import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optisolve.core.documents import document, staging_folder, write_atomic
from optisolve.core.errors import MissingDependency, OptisolveError, RecordError
from optisolve.run.records import publish
from optisolve.run.schema import Record
from optisolve.study.lock import differences, parse_part
from optisolve.study.manifest import MANIFEST, Manifest, SkippedCell
from optisolve.study.runner.plan import Plan
from optisolve.study.runner.worker import keep_transcript_only

__all__ = ["Store", "open_store"]


class Store(ABC):
    """The folder of one suite's records."""

    name: str
    """As the user sees it."""

    @abstractmethod
    def finished(self) -> set[str]:
        """Ids of the units that have a record."""

    @abstractmethod
    def write(self, unit_id: str, files: Mapping[str, bytes]) -> None:
        """Publish a unit; its record becomes visible last, or together with the rest."""

    @abstractmethod
    def read(self, unit_id: str) -> dict[str, bytes]:
        """The files of a finished unit."""

    @abstractmethod
    def remove(self, unit_id: str) -> None:
        """Withdraw a unit, so that it can be run again; replies of its language model are kept for that."""

    @abstractmethod
    def scratch(self, unit_id: str) -> Path:
        """A folder on this machine for a unit while it runs; not made yet."""

    @abstractmethod
    def exclusive(self) -> Any:
        """Context in which nobody else on this machine writes here.

        Raises:
            OptisolveError: Somebody does.
        """

    @abstractmethod
    def _read_beside(self, name: str) -> bytes | None:
        """A file beside the units, None when there is none."""

    @abstractmethod
    def _write_beside(self, name: str, data: bytes) -> None:
        """Write a file beside the units."""

    def record(self, unit_id: str) -> Record:
        """The record of a finished unit.

        Raises:
            RecordError: The file is damaged.
        """
        try:
            data = self.read(unit_id)["record.json"]
        except KeyError:
            raise RecordError(f"{self.name}/{unit_id}/record.json: missing.") from None
        return Record.parse(data, where=f"{self.name}/{unit_id}/record.json")

    def adopt(self, plan: Plan, *, resume: bool) -> set[str]:
        """Make sure that everything here belongs to the plan's suite.

        Args:
            plan: What is going to be run.
            resume: Records that are there already are welcome.

        Returns:
            Ids of units that are finished already.

        Raises:
            OptisolveError: Records of another suite are here, or any record although `resume` is false.
        """
        found, manifest, identity = self.finished(), self._manifest(), plan.lock.identity
        if found and not resume:
            raise OptisolveError(
                f"{self.name} holds {len(found)} record(s) already, and resume=false would mix two runs. "
                "Give another out=…, remove the folder, or go on with resume=true."
            )
        if found and (manifest is None or manifest.suite != identity):
            has = f"suite {manifest.suite}" if manifest else "records of no suite"
            moved = differences(manifest.lock, plan.lock.file) if manifest and manifest.lock else []
            raise OptisolveError(
                f"{self.name} holds {has}, but this is suite {identity}. Give another out=…, so that the two do not mix."
                + "".join(f"\n  - {line}" for line in moved[:8])
            )
        self._write_beside(MANIFEST, _manifest(plan, manifest if found else None))
        self._write_beside(f"{plan.suite.name}.yaml", plan.suite.path.read_bytes())
        return found

    def _manifest(self) -> Manifest | None:
        data = self._read_beside(MANIFEST)
        try:
            return None if data is None else parse_part(Manifest, data, f"{self.name}/{MANIFEST}")
        except RecordError as error:
            raise OptisolveError(f"{error} Give another out=….") from error


def open_store(out: str, suite: str) -> Store:
    """The store of a suite.

    Args:
        out: Folder or URL (``s3://bucket/runs``); every suite has a folder of its own inside.
        suite: Name of the suite.

    Raises:
        MissingDependency: A URL, and fsspec is not installed.
    """
    if "://" in out:
        return _UrlStore(f"{out.rstrip('/')}/{suite}")
    return _FolderStore(Path(out) / suite)


class _FolderStore(Store):
    def __init__(self, root: Path) -> None:
        self.root, self.name = root, str(root)

    def finished(self) -> set[str]:
        return {path.parent.name for path in self.root.glob("[!.]*/record.json")}

    def write(self, unit_id: str, files: Mapping[str, bytes]) -> None:
        with staging_folder(self.root, ".saving-") as staging:
            for name, data in files.items():
                write_atomic(staging / name, data)
            publish(staging, self.root / unit_id)

    def read(self, unit_id: str) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted((self.root / unit_id).glob("*")) if path.is_file()}

    def remove(self, unit_id: str) -> None:
        transcript = self.root / unit_id / "transcript.jsonl"
        if transcript.is_file():
            work = self.scratch(unit_id) / "work"
            work.mkdir(parents=True, exist_ok=True)
            transcript.replace(work / transcript.name)
        shutil.rmtree(self.root / unit_id)

    def scratch(self, unit_id: str) -> Path:
        return self.root / f".running-{unit_id}"

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        from filelock import FileLock, Timeout

        self.root.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.root / ".lock", timeout=0):
                for left in self.root.glob(".saving-*"):  # of a run that was killed while it wrote
                    shutil.rmtree(left, ignore_errors=True)
                for left in self.root.glob(".running-*"):  # of a run that was killed
                    keep_transcript_only(left)
                yield
        except Timeout:
            raise OptisolveError(f"Another run writes to {self.root} right now. Wait for it, or give another out=….") from None

    def _read_beside(self, name: str) -> bytes | None:
        path = self.root / name
        return path.read_bytes() if path.is_file() else None

    def _write_beside(self, name: str, data: bytes) -> None:
        write_atomic(self.root / name, data)


class _UrlStore(Store):
    """Object stores know no rename: a unit's record is written last."""

    def __init__(self, url: str) -> None:
        try:
            import fsspec
        except ImportError:
            raise MissingDependency("fsspec, which writes to a URL", extra="ray") from None
        self.name = url
        self._fs, self._root = fsspec.core.url_to_fs(url)
        self._local = Path(tempfile.mkdtemp(prefix="optisolve-units-"))

    def finished(self) -> set[str]:
        if not self._fs.exists(self._root):
            return set()
        self._fs.invalidate_cache()
        return {path.split("/")[-2] for path in self._fs.glob(f"{self._root}/*/record.json")}

    def write(self, unit_id: str, files: Mapping[str, bytes]) -> None:
        self._fs.makedirs(f"{self._root}/{unit_id}", exist_ok=True)
        for name in sorted(files, key=lambda name: name == "record.json"):
            self._fs.pipe_file(f"{self._root}/{unit_id}/{name}", files[name])

    def read(self, unit_id: str) -> dict[str, bytes]:
        paths = self._fs.ls(f"{self._root}/{unit_id}", detail=False)
        return {path.rsplit("/", 1)[-1]: self._fs.cat_file(path) for path in paths}

    def remove(self, unit_id: str) -> None:
        transcript = f"{self._root}/{unit_id}/transcript.jsonl"
        if self._fs.exists(transcript):
            work = self.scratch(unit_id) / "work"
            work.mkdir(parents=True, exist_ok=True)
            (work / "transcript.jsonl").write_bytes(self._fs.cat_file(transcript))
        self._fs.rm(f"{self._root}/{unit_id}", recursive=True)

    def scratch(self, unit_id: str) -> Path:
        return self._local / unit_id

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        try:
            yield
        finally:
            if not any(self._local.rglob("transcript.jsonl")):
                shutil.rmtree(self._local, ignore_errors=True)

    def _read_beside(self, name: str) -> bytes | None:
        path = f"{self._root}/{name}"
        data: bytes | None = self._fs.cat_file(path) if self._fs.exists(path) else None
        return data

    def _write_beside(self, name: str, data: bytes) -> None:
        self._fs.makedirs(self._root, exist_ok=True)
        self._fs.pipe_file(f"{self._root}/{name}", data)


def _manifest(plan: Plan, old: Manifest | None) -> bytes:
    """Which suite this is, every unit that was asked for so far, and what is skipped here."""
    skipped: dict[tuple[str, str, str], list[int]] = {}
    for skip in plan.skipped:
        skipped.setdefault((skip.case, skip.label, skip.reason), []).append(skip.index)
    cells = [
        SkippedCell(problem=case, solver=label, instances=instances, reason=reason)
        for (case, label, reason), instances in skipped.items()
    ]
    kept = [] if old is None else [cell for cell in old.skipped if cell not in cells]
    manifest = Manifest(
        schema="optisolve.suite-run/1",
        suite=plan.lock.identity,
        lock=plan.lock.file,
        units_of_the_suite=plan.total,
        units=list(dict.fromkeys([*(old.units if old else ()), *(unit.id for unit in plan.units)])),
        skipped=(*kept, *cells),
    )
    return document(manifest.to_json())

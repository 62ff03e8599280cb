"""Files that readers never see half written, and what is told of a file that was read."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["file_source", "naming", "staging_folder", "write_atomic"]


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file through a temporary one in the same folder and an atomic rename.

    Raises:
        OSError: With the file's name; nothing of it is left.
    """
    with naming(path):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an error of the file system name the file that was meant: a write to a full disk names none."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


@contextmanager
def staging_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A new folder in `parent` to be filled and renamed; it goes when that fails."""
    made = Path(tempfile.mkdtemp(dir=parent, prefix=prefix))
    try:
        yield made
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def file_source(path: str | Path) -> dict[str, str]:
    """A file's name without its folder, which belongs to one machine, and the SHA-256 of its content."""
    return {"name": Path(path).name, "sha256": hashlib.sha256(Path(path).read_bytes()).hexdigest()}

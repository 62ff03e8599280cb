"""Files that readers never see half written, and what is told of a file that was read."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

__all__ = ["file_source", "write_atomic"]


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file through a temporary one in the same folder and an atomic rename.

    Raises:
        OSError: With the file's name; nothing of it is left.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise _named(error, path) from error
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _named(error, path) from error
        raise


def _named(error: OSError, path: Path) -> OSError:
    """The same error about the file that was meant: a write that fails names none, else it would be the temporary one."""
    return OSError(error.errno, error.strerror or str(error), str(path))


def file_source(path: str | Path) -> dict[str, str]:
    """A file's name without its folder, which belongs to one machine, and the SHA-256 of its content."""
    return {"name": Path(path).name, "sha256": hashlib.sha256(Path(path).read_bytes()).hexdigest()}

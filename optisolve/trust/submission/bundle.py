"""What a table does not hold: transcripts of language models in one compressed file, full records in an archive.

Both are read with a limit on what they unpack to, and nothing in them names where it is written.
"""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from optisolve.core.documents import write_atomic
from optisolve.core.errors import RecordError
from optisolve.core.text import is_safe_name
from optisolve.run.table import Archive
from optisolve.run.untrusted import printable, read_bytes, strict_json
from optisolve.trust.submission.rules import LIMITS, TRANSCRIPTS

__all__ = ["archive_name", "read_archive", "read_transcripts", "transcripts_bytes", "write_archive"]

_PRESET: Final = 9
_MEMORY = 256 * 2**20
_LARGEST_ARCHIVE = 2**30
_CHUNK = 2**20
_FILES = ("record.json", "transcript.jsonl")


def transcripts_bytes(transcripts: Mapping[str, str]) -> bytes:
    """The file of some transcripts.

    Args:
        transcripts: Texts of ``transcript.jsonl`` by record id.
    """
    lines = [
        json.dumps({"record_id": name, "text": text}, ensure_ascii=False, separators=(",", ":"))
        for name, text in sorted(transcripts.items())
    ]
    return lzma.compress("".join(f"{line}\n" for line in lines).encode(), preset=_PRESET)


def read_transcripts(data: bytes, *, where: str = TRANSCRIPTS) -> dict[str, str]:
    """Texts of transcripts by record id.

    Raises:
        RecordError: Not such a file, or one that unpacks to more than a submission may hold.
    """
    found: dict[str, str] = {}
    try:
        for line in _unpacked(data, LIMITS.total, where).splitlines():
            told = strict_json(line)
            if set(told) != {"record_id", "text"} or not is_safe_name(told["record_id"]) or told["record_id"] in found:
                raise ValueError("a line must hold record_id and text, and every record_id once")
            found[told["record_id"]] = str(told["text"])
    except (lzma.LZMAError, ValueError, TypeError) as error:
        raise RecordError(f"{where}: not a file of transcripts ({printable(error)}).") from None
    return found


def archive_name(suite: str, archive: Archive) -> str:
    """Name of the file that holds the full records of a table."""
    return f"{suite}-{archive.sha256}.tar.xz"


def write_archive(records: Mapping[str, Mapping[str, bytes]], folder: Path, suite: str) -> Archive:
    """Write full records into one file, named after its own hash.

    Args:
        records: Files of every record by record id.
        folder: Where the archive is written.
        suite: Name of the suite.

    Returns:
        Its hash and size, as they stand in the table. The same records give the same bytes.
    """
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:xz", format=tarfile.USTAR_FORMAT, preset=_PRESET) as tar:
        for record_id, files in sorted(records.items()):
            for name, data in sorted(files.items()):
                member = tarfile.TarInfo(f"{hashlib.sha256(record_id.encode()).hexdigest()[:16]}/{name}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    data = stream.getvalue()
    archive = Archive(sha256=hashlib.sha256(data).hexdigest(), size=len(data))
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / archive_name(suite, archive), data)
    return archive


def read_archive(path: Path, archive: Archive) -> Iterator[dict[str, bytes]]:
    """The files of every record of an archive, once its hash was checked.

    Args:
        path: The archive.
        archive: What the table says about it.

    Raises:
        RecordError: Another file than the table names.
    """
    data = read_bytes(path, max_bytes=_LARGEST_ARCHIVE)
    told = hashlib.sha256(data).hexdigest()
    if told != archive.sha256:
        raise RecordError(f"{path}: its SHA-256 is {told}, and the table names {archive.sha256}; this is another archive.")
    files: dict[str, bytes] = {}
    last = ""
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:xz") as tar:
        for member in tar:
            folder, _, name = member.name.partition("/")
            content = tar.extractfile(member) if name in _FILES and member.size <= LIMITS.of(name) else None
            if content is None:
                raise RecordError(f"{path}: {printable(member.name)} is no file of a record.")
            if files and folder != last:
                yield files
                files = {}
            files[name], last = content.read(), folder
    if files:
        yield files


def _unpacked(data: bytes, most: int, where: str) -> bytes:
    """The content of an xz file that may not unpack to more than `most` bytes."""
    unpacker = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_MEMORY)
    parts, size, left = [], 0, data
    while not unpacker.eof:
        parts.append(unpacker.decompress(left, _CHUNK))
        left, size = b"", size + len(parts[-1])
        if size > most:
            raise RecordError(f"{where}: unpacks to more than {most:,} bytes.")
        if unpacker.needs_input and not unpacker.eof:
            raise ValueError("cut short")
    return b"".join(parts)

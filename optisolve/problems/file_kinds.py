"""What a file is by its first bytes, when it is something else than a file of numbers of the kind that its name says."""

from __future__ import annotations

import zipfile
from pathlib import Path

__all__ = ["HDF5", "MATLAB", "MATLAB_HDF5", "PICKLE", "quoted", "shown", "wrong_kind"]

MATLAB, MATLAB_HDF5, HDF5 = b"MATLAB 5.0", b"MATLAB 7.3", b"\x89HDF\r\n\x1a\n"

_KINDS = (
    (b"\x93NUMPY", "a NumPy array", (".npy",)),
    (MATLAB, "a MATLAB file", (".mat",)),
    (MATLAB_HDF5, "a MATLAB v7.3 file", (".mat", ".h5", ".hdf5")),
    (HDF5, "an HDF5 file", (".h5", ".hdf5", ".mat")),
)
"""Beginnings of files that are read, and the suffixes they go under."""

_NUMBERS = "np.savez('data.npz', gain=np.asarray(gain, dtype=float))"
PICKLE = f"a Python pickle, which can run code when it is opened and is never loaded; save numbers: {_NUMBERS}"
_FOREIGN = (
    (b"version https://git-lfs.github.com/spec/", "a Git LFS pointer and not the data; fetch them with: git lfs pull"),
    (b"\x1f\x8b", "compressed by gzip; unpack it first: gunzip FILE"),
    (b"BZh", "compressed by bzip2; unpack it first: bunzip2 FILE"),
    (b"\xfd7zXZ\x00", "compressed by xz; unpack it first: unxz FILE"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd; unpack it first: unzstd FILE"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive; unpack it first"),
    (b"Rar!", "a RAR archive; unpack it first"),
    (b"PAR1", "a Parquet file; write it as CSV or npz"),
    (b"%PDF", "a PDF; give the numbers behind it"),
    (b"\xd0\xcf\x11\xe0", "an old Office document; save the sheet as CSV"),
    *((bytes((0x80, protocol)), PICKLE) for protocol in range(2, 6)),
    (b"\xff\xfe", "text in UTF-16; save it as UTF-8"),
    (b"\xfe\xff", "text in UTF-16; save it as UTF-8"),
)
"""Beginnings of files that are often given in place of data, what they are, and what to do."""

_HTML = (b"<!doctype", b"<html", b"<head", b"<?xml")


def wrong_kind(file: Path, head: bytes) -> str | None:
    """What a file is, when it is something else than its name says."""
    suffix = file.suffix.lower()
    for magic, told in _FOREIGN:
        if head.startswith(magic):
            return told
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_HTML):
        return "a page of HTML or XML and not the data, as a download gives that needs a login or another address"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _wrong_archive(file, suffix)
    for magic, told, suffixes in _KINDS:
        if head.startswith(magic):
            return None if suffix in suffixes else f"{told} by its content; give it a name that ends in {suffixes[0]}"
    if suffix == ".npz":
        return "no npz archive by its content; write one with np.savez"
    if suffix == ".npy":
        return "no NumPy array by its content; write one with np.save"
    if suffix in (".h5", ".hdf5"):
        return "no HDF5 by its content"
    return None


def _wrong_archive(file: Path, suffix: str) -> str | None:
    try:
        with zipfile.ZipFile(file) as packed:
            names = packed.namelist()
    except Exception as error:  # zipfile raises very different things on damaged archives
        return f"a damaged archive ({shown(error)})"
    if any(name.startswith("xl/") for name in names):
        return "an Excel workbook; save the sheet as CSV"
    if not all(name.endswith(".npy") for name in names):
        return f"a zip archive with {', '.join(map(quoted, names[:4]))}{', …' if len(names) > 4 else ''}; unpack it first"
    return None if suffix == ".npz" else "an npz archive by its content; give it a name that ends in .npz"


def shown(error: Exception) -> str:
    """The text of an error in one line that a terminal can print."""
    text = " ".join(str(error).split())
    return text if text.isprintable() else ascii(text)


def quoted(name: str) -> str:
    """A name in quotation marks that a terminal can print."""
    return f"'{name}'" if name.isprintable() else ascii(name)

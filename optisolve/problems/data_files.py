"""Files of numbers from anywhere: npz, npy, JSON, MATLAB, HDF5 and CSV.

Nothing is unpickled, nothing is inflated that is too large, and no file is opened that another one names.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from optisolve.content import named_file
from optisolve.core.documents import Json, write_atomic
from optisolve.core.errors import MissingDependency, ProblemError
from optisolve.problems.file_kinds import HDF5, MATLAB, MATLAB_HDF5, PICKLE, quoted, shown, wrong_kind
from optisolve.problems.number_table import NumberTable, parse_table

if TYPE_CHECKING:
    import h5py

__all__ = ["SUFFIXES", "UNNAMED", "Arrays", "read_arrays", "require_data", "write_arrays"]

Arrays: TypeAlias = dict[str, npt.ArrayLike]
"""Arrays, or what a JSON file has in their place, by name."""

SUFFIXES = (".npz", ".npy", ".json", ".mat", ".h5", ".hdf5", ".csv", ".tsv", ".txt")

UNNAMED = ""
"""Name of the array of a file that holds one and names none."""

LARGEST_BYTES = 2**28
"""Largest file, and largest content that a compressed one may declare."""

_MATLAB_NUMBERS = ("double", "single", "logical", *(f"{u}int{bits}" for u in ("", "u") for bits in (8, 16, 32, 64)))
_MI_COMPRESSED, _MI_KNOWN = 15, frozenset({*range(1, 8), 9, 12, 13})


def read_arrays(path: str, setting: str = "instance_file") -> Arrays | NumberTable:
    """What is in a file.

    Args:
        path: Ends in one of `SUFFIXES`.
        setting: Who names the file, for the messages.

    Returns:
        A table where the file is a text of columns, else arrays by name, complex where they are; a single array without a
        name is called `UNNAMED`.

    Raises:
        ProblemError: The file is missing, of another kind than its name says, too large, or damaged.
        MissingDependency: HDF5 without the extra ``hdf5``.
    """
    file = require_data(path, setting)
    suffix = file.suffix.lower()
    if suffix not in SUFFIXES:
        raise ProblemError(f"{setting}: '{path}' must end in {', '.join(SUFFIXES)}.")
    try:
        return _READERS[suffix](file)
    except (ProblemError, MissingDependency):
        raise
    except OSError as error:
        if error.errno is not None:
            raise ProblemError(f"{setting}: '{path}' cannot be read ({error.strerror}).") from error
        raise ProblemError(f"{setting}: '{path}' cannot be read, it is damaged ({shown(error)}).") from error
    except Exception as error:  # readers of many formats raise very different things on damaged files
        raise ProblemError(f"{setting}: '{path}' cannot be read, it is damaged ({shown(error)}).") from error


def require_data(path: str, setting: str, *, xml: bool = False) -> Path:
    """The file that a setting names, when it may hold numbers by its size and its first bytes.

    Args:
        path: As the setting has it.
        setting: Who names the file, for the messages.
        xml: XML is a format of this setting.

    Raises:
        ProblemError: There is none, it is empty or too large, or something else than its name says; the text says what.
    """
    file = named_file(path, setting)
    try:
        if file.is_dir():
            raise ProblemError(f"{setting}: '{path}' is a folder; give one file.")
        if not file.is_file():
            raise ProblemError(f"{setting}: '{path}' does not exist.")
        _require_size(file, file.stat().st_size, "holds", setting)
        with file.open("rb") as stream:
            head = stream.read(1024)
    except OSError as error:
        raise ProblemError(f"{setting}: '{path}' cannot be read ({error.strerror}).") from error
    if not head:
        raise ProblemError(f"{setting}: '{path}' is empty (0 bytes).")
    if not (xml and head.startswith((b"<?xml", b"\xef\xbb\xbf<?xml"))) and (wrong := wrong_kind(file, head)):
        raise ProblemError(f"{setting}: '{path}' is {wrong}.")
    return file


def write_arrays(path: str, arrays: Mapping[str, npt.NDArray[Any]]) -> Path:
    """Write named arrays, all or nothing; the suffix decides the format.

    Args:
        path: Ends in one of `SUFFIXES`; CSV and npy take one array, HDF5 needs the extra ``hdf5``.
        arrays: By name.

    Raises:
        ProblemError: Another suffix, or more than the format holds.
        MissingDependency: HDF5 without its extra.
        OSError: The file cannot be written; nothing of it is left.
    """
    file, buffer = Path(path), io.BytesIO()
    named = {name: np.asarray(values) for name, values in arrays.items()}
    suffix = file.suffix.lower()
    if suffix == ".npz":
        np.savez(buffer, allow_pickle=False, **named)
    elif suffix == ".json":
        buffer.write(json.dumps({name: values.tolist() for name, values in named.items()}, indent=1).encode() + b"\n")
    elif suffix == ".mat":
        from scipy.io import savemat

        savemat(buffer, named)  # type: ignore[arg-type]  # the stubs know paths only
    elif suffix in (".h5", ".hdf5"):
        with _hdf5("writing HDF5").File(buffer, "w") as packed:
            for name, values in named.items():
                packed[name] = values
    elif suffix in SUFFIXES:
        _write_one(path, suffix, named, buffer)
    else:
        raise ProblemError(f"export: '{path}' must end in {', '.join(SUFFIXES)}.")
    write_atomic(file, buffer.getvalue())
    return file


def _write_one(path: str, suffix: str, named: Mapping[str, npt.NDArray[Any]], buffer: io.BytesIO) -> None:
    """The only array, as npy or as a table."""
    values = next(iter(named.values()))
    if len(named) > 1 or values.ndim > 2:
        raise ProblemError(
            f"export: '{path}' would hold one array of at most two axes, and there are {', '.join(named)}; "
            "write .npz, .json or .mat."
        )
    if suffix == ".npy":
        np.save(buffer, values, allow_pickle=False)
    else:
        delimiter = {".csv": ",", ".tsv": "\t"}.get(suffix, " ")
        np.savetxt(buffer, np.atleast_1d(values), fmt="%.17g", delimiter=delimiter)


def _require_size(file: Path, size: int, says: str, setting: str = "instance_file") -> None:
    if size > LARGEST_BYTES:
        given = f"{says} {size / 2**20:,.0f} MiB"
        raise ProblemError(f"{setting}: '{file}' {given}, at most {LARGEST_BYTES >> 20} MiB are read.")


def _require_header(file: Path, name: str, stream: io.IOBase | Any) -> None:
    """What an array claims to be is allocated before it is read; and objects are pickles."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    if dtype.hasobject:
        raise ProblemError(f"instance_file: '{file}': {quoted(name)} holds Python objects, that is {PICKLE}.")
    _require_size(file, math.prod(shape) * dtype.itemsize, f"declares in {quoted(name)}")


def _read_npz(file: Path) -> Arrays:
    with zipfile.ZipFile(file) as packed:
        _require_size(file, sum(item.file_size for item in packed.infolist()), "declares")
        for item in packed.infolist():
            with packed.open(item) as stream:
                _require_header(file, item.filename, stream)
    with np.load(file, allow_pickle=False) as data:
        return {name: data[name] for name in data.files}


def _read_npy(file: Path) -> Arrays:
    with file.open("rb") as stream:
        _require_header(file, file.name, stream)
    return {UNNAMED: np.load(file, allow_pickle=False)}


def _read_mat(file: Path) -> Arrays:
    with file.open("rb") as stream:
        head = stream.read(len(MATLAB_HDF5))
    if head == MATLAB_HDF5 or head.startswith(HDF5):
        return _read_hdf5(file)
    from scipy.io import loadmat, whosmat

    listed = whosmat(file)
    _require_size(file, sum(8 * math.prod(shape) for _, shape, _ in listed), "declares")
    for name, _, kind in listed:
        if kind not in _MATLAB_NUMBERS:
            raise _no_numbers(file, name, kind)
    if head == MATLAB:  # versions before it have another format
        _require_sound_matrices(file.read_bytes())
    return {name: values for name, values in loadmat(file).items() if not name.startswith("__")}


def _require_sound_matrices(data: bytes) -> None:
    """Refuse matrices whose parts are none of MATLAB's format: scipy believes them, and the process may die.

    Raises:
        ValueError: There is one.

    Source: MAT-File Format, MathWorks, Level 5: tags of four bytes for type and length each, or of two in small elements.
    """
    order: Literal["little", "big"] = "big" if data[126:128] == b"MI" else "little"

    def parts(block: bytes, start: int) -> Iterator[tuple[int, bytes]]:
        while start + 8 <= len(block):
            kind, size = (int.from_bytes(block[at : at + 4], order) for at in (start, start + 4))
            if kind >> 16:  # a small element: its length stands above its type
                yield kind & 0xFFFF, block[start + 4 : start + 4 + (kind >> 16)]
                start += 8
            else:
                yield kind, block[start + 8 : start + 8 + size]
                start += 8 + (size if kind == _MI_COMPRESSED else (size + 7) // 8 * 8)
        if start != len(block):
            raise ValueError("a length in it is wrong")

    for kind, content in parts(data, 128):
        unpacked = zlib.decompressobj().decompress(content, LARGEST_BYTES)[8:] if kind == _MI_COMPRESSED else content
        inside = list(parts(unpacked, 0))
        is_complex = bool(inside) and bool(int.from_bytes(inside[0][1][:4], order) & 0x0800)
        if len(inside) != (5 if is_complex else 4) or not {kind for kind, _ in inside} <= _MI_KNOWN:
            raise ValueError("a matrix in it has parts that MATLAB's format does not have")


def _no_numbers(file: Path, name: str, kind: str) -> ProblemError:
    what, advice = kind, {"struct": "; save its numbers under names of their own"}.get(kind, "")
    if kind == "sparse":
        what, advice = "sparse matrix", "; write full(x)"
    return ProblemError(f"instance_file: '{file}': {quoted(name)} is a {what}, expected an array of numbers{advice}.")


def _hdf5(what: str) -> Any:
    try:
        import h5py
    except ImportError:
        raise MissingDependency(f"h5py, for {what}", extra="hdf5") from None
    return h5py


def _read_hdf5(file: Path) -> Arrays:
    """Arrays of an HDF5 file; MATLAB's are turned round, since it writes columns first and HDF5 tells rows first."""
    with file.open("rb") as stream:
        by_matlab = stream.read(len(MATLAB_HDF5)) == MATLAB_HDF5
    h5py = _hdf5(f"{'MATLAB v7.3' if by_matlab else 'HDF5'} ('{file}'); in MATLAB save(name, '-v7') needs nothing")
    arrays: Arrays = {}
    try:
        opened = h5py.File(file, "r")
    except OSError as error:
        kind = "MATLAB v7.3" if by_matlab else "HDF5"
        raise ProblemError(f"instance_file: '{file}' is {kind}, but damaged or cut off ({shown(error)}).") from error
    with opened as packed:
        found = {}
        for name in packed:
            if not name.startswith("#"):  # MATLAB keeps what cells refer to under #refs#
                found[name] = _dataset(file, packed, name)
        _require_size(file, sum(item.size * item.dtype.itemsize for item in found.values()), "declares")
        for name, item in found.items():
            values = item[()]
            if values.dtype.names:
                values = values["real"] + 1j * values["imag"]
            arrays[name] = values.T if by_matlab else values
    return arrays


def _dataset(file: Path, packed: h5py.File, name: str) -> h5py.Dataset:
    """One array of numbers that lies in the file itself.

    Raises:
        ProblemError: It is something else; the text says what.
    """
    import h5py

    if not isinstance(packed.get(name, getlink=True), h5py.HardLink):
        raise ProblemError(f"instance_file: '{file}': {quoted(name)} is a link; only what lies in the file itself is read.")
    item = packed[name]
    kind = item.attrs.get("MATLAB_class", b"")
    kind = kind.decode(errors="replace") if isinstance(kind, bytes) else str(kind)
    if "MATLAB_sparse" in item.attrs:
        kind = "sparse"
    elif isinstance(item, h5py.Group):
        kind = "struct" if kind else "group"
    if isinstance(item, h5py.Dataset) and not (kind and kind not in _MATLAB_NUMBERS):
        if item.is_virtual or item.external:
            raise ProblemError(f"instance_file: '{file}': {quoted(name)} lies in another file; write it into this one.")
        if "MATLAB_empty" in item.attrs:  # its values would be its lengths
            raise ProblemError(f"instance_file: '{file}': {quoted(name)} is empty, expected an array of numbers.")
        if item.dtype.kind in "biufc" or set(item.dtype.names or ()) == {"real", "imag"}:
            return item
        kind = f"dataset of type {item.dtype}"
    raise _no_numbers(file, name, kind)


def _read_json(file: Path) -> Arrays:
    data = json.loads(file.read_text(encoding="utf-8-sig"), object_pairs_hook=_once)
    if not isinstance(data, dict):
        raise ValueError("the top level must be an object of named arrays")
    return data


def _read_csv(file: Path) -> NumberTable:
    return parse_table(file.read_bytes(), f"instance_file '{file}'")


def _once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """An object in which no name stands twice: which of the two would be meant?"""
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{quoted(twice)} stands twice in it")
    return made


_READERS: Mapping[str, Callable[[Path], Arrays | NumberTable]] = {
    ".npz": _read_npz,
    ".npy": _read_npy,
    ".json": _read_json,
    ".mat": _read_mat,
    ".h5": _read_hdf5,
    ".hdf5": _read_hdf5,
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".txt": _read_csv,
}

"""Instances from a user's own file: named arrays with units in npz, JSON or MATLAB .mat.

A family derives from `ArrayProblem`, declares its arrays once, and gets drawing by seed, reading from a file,
checking, and records that can be re-verified without the file.
"""

from __future__ import annotations

import dataclasses
import io
import json
import math
import zipfile
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from optisolve.content import named_file
from optisolve.core.arrays import FloatArray, frozen
from optisolve.core.documents import Json, file_source, write_atomic
from optisolve.core.errors import FieldProblem, OptionError, ProblemError, nearest
from optisolve.core.problem import Instance, Origin, Problem
from optisolve.core.seeds import generator

__all__ = ["ArrayProblem", "ArraySpec", "check_arrays", "read_arrays", "write_arrays"]

Arrays: TypeAlias = dict[str, npt.ArrayLike]
"""Arrays, or what a JSON file has in their place, by name."""
SUFFIXES = (".npz", ".json", ".mat")

LARGEST_BYTES = 2**28
"""Largest instance file, and largest content that a compressed one may declare."""

LARGEST, SMALLEST = 1e75, 1e-75
"""Magnitudes of values other than 0; the square of a quotient of two of them is still a number."""

_MATLAB_NUMBERS = ("double", "single", "logical", *(f"{u}int{bits}" for u in ("", "u") for bits in (8, 16, 32, 64)))
_MATLAB_HDF5 = b"MATLAB 7.3"


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """One named array of an instance file.

    Args:
        name: Name with unit suffix, e.g. ``"gain"`` or ``"noise_w"``.
        shape: One letter or number per axis; equal letters must have equal lengths, e.g. ``("K", "K")``.
        unit: Unit as printed in errors, ``""`` when dimensionless.
        lower: Smallest allowed value, None for no limit.
        strict: Values must be larger than `lower`, not equal.
        upper: Largest allowed value, None for no limit.
        integer: Values must be whole numbers.
        meaning: What it is, one phrase.
    """

    name: str
    shape: tuple[str | int, ...]
    unit: str = ""
    lower: float | None = None
    strict: bool = False
    upper: float | None = None
    integer: bool = False
    meaning: str = ""


@dataclass(frozen=True)
class ArrayProblem(Problem):
    """A family whose instances are fully described by a few named arrays.

    Subclasses set `ARRAYS` and implement `_draw` (arrays from a random stream) and `_build` (instance from arrays).

    Args:
        instance_file: Path of an npz, JSON or .mat file with the arrays of `ARRAYS`; None draws them by the seed.
        instance_data: The same arrays as nested lists; filled in from the file, so that a record can be re-verified
            when the file is gone.
    """

    ARRAYS: ClassVar[tuple[ArraySpec, ...]]

    instance_file: str | None = field(default=None, kw_only=True)
    instance_data: dict[str, Any] | None = field(default=None, kw_only=True)
    _source: dict[str, str] | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.instance_file is not None and self.instance_data is None:
            arrays = check_arrays(read_arrays(self.instance_file), self.ARRAYS, where=self.instance_file)
            object.__setattr__(self, "instance_data", {name: values.tolist() for name, values in arrays.items()})
            object.__setattr__(self, "_source", file_source(self.instance_file))

    def instance(self, seed: int = 0) -> Instance:
        """The instance drawn by a seed, or the one of the file, whatever the seed.

        Raises:
            ProblemError: An array is missing or has a wrong shape, sign or value; the text names it.
        """
        if self.instance_data is not None:
            arrays = check_arrays(self.instance_data, self.ARRAYS, where=self.instance_file or "instance_data")
        else:
            drawn = self._draw(generator(seed, problem=self.name, purpose="instance"))
            arrays = check_arrays(drawn, self.ARRAYS, where=self.scenario or self.name)
        return self._build(self.origin(seed), arrays)

    def origin(self, seed: int) -> Origin:
        """The origin with what was in the file; where the file was is told beside it."""
        origin = super().origin(seed)
        if self.instance_data is None:
            return origin
        files = dict(origin.files) if self._source is None else {**origin.files, "instance_file": self._source}
        return dataclasses.replace(origin, params={**origin.params, "instance_file": None}, files=files)

    @abstractmethod
    def _draw(self, rng: np.random.Generator) -> Mapping[str, npt.ArrayLike]:
        """Arrays of one random instance, named as in `ARRAYS`."""

    @abstractmethod
    def _build(self, origin: Origin, arrays: Mapping[str, FloatArray]) -> Instance:
        """The instance made of checked, read-only float64 arrays."""


def check_arrays(given: Mapping[str, npt.ArrayLike], specs: Sequence[ArraySpec], *, where: str) -> dict[str, FloatArray]:
    """Check named arrays against their declaration.

    Args:
        given: Arrays or nested lists by name.
        specs: What is expected.
        where: File or scenario, for the message.

    Returns:
        Read-only float64 arrays in the order of `specs`.

    Raises:
        OptionError: Everything that is wrong, one line per array.
    """
    names = [spec.name for spec in specs]
    found = []
    for name in given:
        if name not in names:
            guess = nearest(name, names)
            hint = f"; did you mean '{guess}'?" if guess else ""
            shown = name if name.isprintable() else ascii(name)  # it goes to the terminal
            found.append(FieldProblem(shown, "an array", f"one of {', '.join(names)}{hint}"))
    sizes: dict[str, int] = {}
    arrays = {}
    for spec in specs:
        if spec.name not in given:
            found.append(FieldProblem(spec.name, None, f"an array {_shape_text(spec)}: {spec.meaning}"))
            continue
        try:
            array = frozen(given[spec.name])
        except (TypeError, ValueError) as error:
            found.append(FieldProblem(spec.name, "values", f"real numbers {_shape_text(spec)} ({error})"))
            continue
        problem = _shape_problem(spec, array, sizes) or _value_problem(spec, array)
        if problem is not None:
            found.append(problem)
        arrays[spec.name] = array
    if found:
        raise OptionError(where, found)
    return arrays


def read_arrays(path: str) -> Arrays:
    """Read all arrays of an npz, JSON or .mat file; nothing is unpickled, and nothing inflated that is too large.

    A complex array ``h`` becomes ``h_re`` and ``h_im``.

    Raises:
        ProblemError: The file is missing, of another kind, too large, or damaged.
    """
    file = named_file(path, "instance_file")
    if file.suffix not in SUFFIXES:
        raise ProblemError(f"instance_file: '{path}' must end in {', '.join(SUFFIXES)}.")
    if not file.is_file():
        raise ProblemError(f"instance_file: '{path}' does not exist.")
    _require_size(file, file.stat().st_size, "holds")
    try:
        arrays = _READERS[file.suffix](file)
    except ProblemError:
        raise
    except Exception as error:  # readers of three formats raise very different things on damaged files
        raise ProblemError(f"instance_file: '{path}' cannot be read, it is damaged ({_shown(error)}).") from error
    return _split_complex(arrays)


def write_arrays(path: str, arrays: Mapping[str, npt.NDArray[Any]]) -> Path:
    """Write named arrays, all or nothing; the suffix decides the format.

    Args:
        path: Ends in .npz, .json or .mat.
        arrays: By name.

    Raises:
        ProblemError: Another suffix.
        OSError: The file cannot be written; nothing of it is left.
    """
    file, buffer = Path(path), io.BytesIO()
    named = {name: np.asarray(values) for name, values in arrays.items()}
    if file.suffix == ".npz":
        np.savez(buffer, allow_pickle=False, **named)
    elif file.suffix == ".json":
        buffer.write(json.dumps({name: values.tolist() for name, values in named.items()}, indent=1).encode() + b"\n")
    elif file.suffix == ".mat":
        from scipy.io import savemat

        savemat(buffer, named)  # type: ignore[arg-type]  # the stubs know paths only
    else:
        raise ProblemError(f"export: '{path}' must end in {', '.join(SUFFIXES)}.")
    write_atomic(file, buffer.getvalue())
    return file


def _require_size(file: Path, size: int, says: str) -> None:
    if size > LARGEST_BYTES:
        given = f"{says} {size / 2**20:,.0f} MiB"
        raise ProblemError(f"instance_file: '{file}' {given}, at most {LARGEST_BYTES >> 20} MiB are read.")


def _shown(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if text.isprintable() else ascii(text)


def _read_npz(file: Path) -> Arrays:
    with zipfile.ZipFile(file) as packed:
        _require_size(file, sum(item.file_size for item in packed.infolist()), "declares")
        for item in packed.infolist():  # what an array claims to be is allocated before it is read
            with packed.open(item) as stream:
                version = np.lib.format.read_magic(stream)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, _, dtype = read(stream)
            _require_size(file, math.prod(shape) * dtype.itemsize, f"declares in {_quoted(item.filename)}")
    with np.load(file, allow_pickle=False) as data:
        return {name: data[name] for name in data.files}


def _read_mat(file: Path) -> Arrays:
    with file.open("rb") as stream:
        if stream.read(len(_MATLAB_HDF5)) == _MATLAB_HDF5:
            raise ProblemError(
                f"instance_file: '{file}' is of MATLAB v7.3 (HDF5), which is not read; save it with: save(name, '-v7')."
            )
    from scipy.io import loadmat, whosmat

    listed = whosmat(file)
    _require_size(file, sum(8 * math.prod(shape) for _, shape, _ in listed), "declares")
    for name, _, kind in listed:
        if kind not in _MATLAB_NUMBERS:
            raise ProblemError(f"instance_file: '{file}': {_quoted(name)} is a {kind}, expected an array of numbers.")
    return {name: values for name, values in loadmat(file).items() if not name.startswith("__")}


def _read_json(file: Path) -> Arrays:
    data = json.loads(file.read_text(encoding="utf-8-sig"), object_pairs_hook=_once)
    if not isinstance(data, dict):
        raise ValueError("the top level must be an object of named arrays")
    return data


def _once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """An object in which no name stands twice: which of the two would be meant?"""
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{_quoted(twice)} stands twice in it")
    return made


def _quoted(name: str) -> str:
    return f"'{name}'" if name.isprintable() else ascii(name)


_READERS: Mapping[str, Callable[[Path], Arrays]] = {".npz": _read_npz, ".mat": _read_mat, ".json": _read_json}


def _split_complex(arrays: Arrays) -> Arrays:
    split: Arrays = {}
    for name, values in arrays.items():
        if isinstance(values, np.ndarray) and np.iscomplexobj(values):
            split[f"{name}_re"], split[f"{name}_im"] = values.real, values.imag
        else:
            split[name] = values
    return split


def _shape_text(spec: ArraySpec) -> str:
    return f"[{', '.join(str(axis) for axis in spec.shape)}]" + (f" in {spec.unit}" if spec.unit else "")


def _shape_problem(spec: ArraySpec, array: FloatArray, sizes: dict[str, int]) -> FieldProblem | None:
    shape = array.shape
    if len(shape) == 2 and len(spec.shape) == 1 and 1 in shape:  # MATLAB has no vectors
        array.shape = (array.size,)
        shape = array.shape
    if len(shape) == 2 and not spec.shape and array.size == 1:
        array.shape = ()
        shape = ()
    told = dict(sizes)
    fits = len(shape) == len(spec.shape) and all(
        size == (axis if isinstance(axis, int) else told.setdefault(axis, size))
        for axis, size in zip(spec.shape, shape, strict=True)
    )
    if not fits:
        known = ", ".join(f"{axis}={size}" for axis, size in told.items() if axis in spec.shape)
        return FieldProblem(spec.name, f"shape {shape}", f"shape {_shape_text(spec)}{f' with {known}' if known else ''}")
    sizes.update(told)
    return None


def _value_problem(spec: ArraySpec, array: FloatArray) -> FieldProblem | None:
    unit = f" {spec.unit}" if spec.unit else ""
    if array.size == 0:
        return FieldProblem(spec.name, "an empty array", f"at least one value {_shape_text(spec)}")
    checks = [(~np.isfinite(array), f"finite values{unit}")]
    if spec.lower is not None:
        low = array <= spec.lower if spec.strict else array < spec.lower
        checks.append((low, f"values {'>' if spec.strict else '>='} {spec.lower:g}{unit}"))
    size = np.abs(array)
    out_of_range = (size > LARGEST) | ((size < SMALLEST) & (size > 0.0))
    checks.append((out_of_range, f"values of magnitude {SMALLEST:g} to {LARGEST:g}{unit}, or 0"))
    if spec.upper is not None:
        checks.append((array > spec.upper, f"values <= {spec.upper:g}{unit}"))
    if spec.integer:
        checks.append((array != np.rint(array), "whole numbers"))
    for wrong, expected in checks:
        if wrong.any():
            index = tuple(int(i) for i in np.argwhere(wrong)[0])
            return FieldProblem(f"{spec.name}{list(index) if index else ''}", float(array[index]), expected)
    return None

"""Instances from a user's own numbers: named arrays with units, one case or a stack of many.

A family derives from `ArrayProblem`, declares its arrays once, and gets drawing by seed, reading from a file,
checking, and records that can be re-verified without the file. Files are read by `optisolve.problems.data_files`.
"""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import FloatArray
from optisolve.core.documents import file_source
from optisolve.core.errors import FieldProblem, OptionError
from optisolve.core.problem import Instance, Origin, Problem
from optisolve.core.seeds import generator
from optisolve.problems.array_spec import ArraySpec
from optisolve.problems.data_files import read_arrays, require_data, write_arrays
from optisolve.problems.fitting import Understood, check_arrays, filled, understand

__all__ = ["ArrayProblem", "ArraySpec", "check_arrays", "read_arrays", "write_arrays"]


@dataclass(frozen=True)
class ArrayProblem(Problem):
    """A family whose instances are fully described by a few named arrays.

    Subclasses set `ARRAYS` and implement `_draw` (arrays from a random stream) and `_build` (instance from arrays). Arrays
    that a file may leave out have a setting of the same name or a default in `ARRAYS`, or are worked out by `_fill`.

    Args:
        instance_file: Path of an npz, npy, JSON, MATLAB, HDF5 or CSV file with the arrays of `ARRAYS`; None draws them by the
            seed. Arrays with one more axis in front are a stack of instances, of which the seed is the index.
        instance_data: The same arrays, or nested lists, in place of a file; the origin of an instance carries its own, so that
            a record can be re-verified when the file is gone.
        complex: ``"power"`` reads complex channel coefficients h as power gains |h|^2; None refuses them.
    """

    ARRAYS: ClassVar[tuple[ArraySpec, ...]]

    instance_file: str | None = field(default=None, kw_only=True)
    instance_data: dict[str, Any] | None = field(default=None, kw_only=True)
    complex: Literal["power"] | None = field(default=None, kw_only=True)
    _given: Understood | None = field(default=None, init=False, repr=False, compare=False)
    _source: dict[str, str] | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        where, content = self.instance_file or "instance_data", self.instance_data
        if content is None and self.instance_file is None:
            return
        if content is None:
            object.__setattr__(self, "_source", file_source(require_data(where, "instance_file")))
        try:
            read = read_arrays(where) if content is None else content
            given = understand(read, self.ARRAYS, self._optional(), where=where, power=self.complex == "power")
            if content is None and self.complex == "power" and not given.converted:
                raise OptionError(where, [FieldProblem("complex", "power", "null: no power gain in the file is complex")])
            object.__setattr__(self, "_given", given)
            if given.count is None:
                self._arrays(0)  # what is wrong with it is told now
        except OptionError as error:
            if content is not None:
                raise
            inside = f"instance_file '{where}', "
            found = [FieldProblem(inside + fault.field, fault.given, fault.expected) for fault in error.problems]
            raise OptionError(self._title(), found) from None

    def instance(self, seed: int = 0) -> Instance:
        """The instance drawn by a seed; the one of the file, whatever the seed; or the one of a stack with that index.

        Raises:
            ProblemError: An array is missing or has a wrong shape, sign or value, or the stack has no such index; the text
                names it.
        """
        arrays, said = self._arrays(seed)
        return self._build(self._origin(seed, arrays, said), arrays)

    def origin(self, seed: int) -> Origin:
        """The origin with what was in the file; where the file was is told beside it."""
        return self._origin(seed, *(({}, "") if self._given is None else self._arrays(seed)))

    def _origin(self, seed: int, arrays: Mapping[str, FloatArray], said: str) -> Origin:
        origin = super().origin(seed)
        params = {name: value for name, value in origin.params.items() if name != "complex"}  # the numbers are real by now
        if self._given is not None:
            data = {name: values.tolist() for name, values in arrays.items()}
            params |= {"instance_file": None, "instance_data": data}
        files = dict(origin.files)
        if self._source is not None:
            files["instance_file"] = {**self._source, **({"read": said} if said else {})}
        return dataclasses.replace(origin, params=params, files=files)

    def _arrays(self, seed: int) -> tuple[dict[str, FloatArray], str]:
        """Checked arrays of one instance, and how they were come by."""
        if self._given is None:
            drawn = self._draw(generator(seed, problem=self.name, purpose="instance"))
            return check_arrays(drawn, self.ARRAYS, where=self.scenario or self.name), ""
        where = self.instance_file or "instance_data"
        given = self._given.at(seed, where)
        arrays = check_arrays({**self._fill(given), **given}, self.ARRAYS, where=where)
        return arrays, self._given.told(seed, {name: arrays[name] for name in arrays if name not in given}, self.ARRAYS)

    def _optional(self) -> frozenset[str]:
        """Arrays that a file may leave out."""
        return frozenset(spec.name for spec in self.ARRAYS if self._default(spec) is not None)

    def _default(self, spec: ArraySpec) -> float | None:
        setting = getattr(self, spec.name, None)
        return float(setting) if isinstance(setting, (bool, int, float)) else spec.default

    def _fill(self, given: Mapping[str, FloatArray]) -> Mapping[str, npt.ArrayLike]:
        """What stands in for arrays that a file leaves out: the setting of the same name, else the declared default.

        Args:
            given: Checked arrays of the file, those of one instance.
        """
        return filled(given, self.ARRAYS, {spec.name: self._default(spec) for spec in self.ARRAYS})

    @abstractmethod
    def _draw(self, rng: np.random.Generator) -> Mapping[str, npt.ArrayLike]:
        """Arrays of one random instance, named as in `ARRAYS`."""

    @abstractmethod
    def _build(self, origin: Origin, arrays: Mapping[str, FloatArray]) -> Instance:
        """The instance made of checked, read-only float64 arrays."""

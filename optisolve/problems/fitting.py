"""How a user's arrays are fitted to what a family needs: names, complex values, stacks, scalars, checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import FloatArray, frozen
from optisolve.core.errors import FieldProblem, OptionError, ProblemError, nearest
from optisolve.problems.array_spec import ArraySpec, axes, shape_text, span, value_problems
from optisolve.problems.data_files import UNNAMED
from optisolve.problems.number_table import NumberTable

__all__ = ["Understood", "check_arrays", "filled", "understand"]


@dataclass(frozen=True, slots=True)
class Understood:
    """Checked arrays of a file under a family's names.

    Attributes:
        arrays: Read-only float64; those of a stack have one more axis in front.
        stacked: Names of those.
        count: Length of the stack, None for one instance.
        said: What was done with them that the file does not say itself.
        converted: Complex values became powers.
    """

    arrays: Mapping[str, FloatArray]
    stacked: frozenset[str]
    count: int | None
    said: tuple[str, ...]
    converted: bool

    def at(self, index: int, where: str) -> dict[str, FloatArray]:
        """The arrays of one instance.

        Raises:
            ProblemError: The stack has no such index.
        """
        if self.count is not None and not 0 <= index < self.count:
            raise ProblemError(
                f"instance {index}: '{where}' is a stack of {self.count} instances; choose one of 0 to {self.count - 1}."
            )
        return {name: values[index] if name in self.stacked else values for name, values in self.arrays.items()}

    def told(self, index: int, standing_in: Mapping[str, FloatArray], specs: Sequence[ArraySpec]) -> str:
        """How an instance came about, one line; nothing where the file holds one instance in the family's own words."""
        parts = list(self.said)
        if self.count is not None:
            parts.append(f"instance {index} of a stack of {self.count} (0 to {self.count - 1})")
        units = {spec.name: f" {spec.unit}".rstrip() for spec in specs}
        values = [f"{name} = {span(array)}{units[name]}" for name, array in standing_in.items()]
        return "; ".join([*parts, *([f"not in the file, taken as {', '.join(values)}"] if values else [])])


def check_arrays(given: Mapping[str, npt.ArrayLike], specs: Sequence[ArraySpec], *, where: str) -> dict[str, FloatArray]:
    """Check named arrays of one instance against their declaration.

    Args:
        given: Arrays or nested lists by name.
        specs: What is expected.
        where: File or scenario, for the message.

    Returns:
        Read-only float64 arrays in the order of `specs`.

    Raises:
        OptionError: Everything that is wrong.
    """
    fitting = _Fitting(specs, frozenset(), stacks=False)
    fitting.names(given)
    fitting.place(given)
    fitting.require(where)
    return {spec.name: fitting.arrays[spec.name] for spec in specs}


def understand(
    content: Mapping[str, npt.ArrayLike] | NumberTable,
    specs: Sequence[ArraySpec],
    optional: frozenset[str],
    *,
    where: str,
    power: bool,
) -> Understood:
    """Fit what a file holds to what a family needs.

    A single array whose name is none of the family's stands for the only one that is required. Real and imaginary parts are
    put together or taken apart. A required array with one more axis in front is a stack, and others may have it too. One
    number stands for a vector of equal ones.

    Args:
        content: Arrays or nested lists by name, or a table of numbers.
        specs: What the family needs.
        optional: Names of arrays that may be absent.
        where: File, for the message.
        power: Read complex values as powers where a power gain is expected.

    Raises:
        OptionError: Everything that is wrong.
    """
    fitting = _Fitting(specs, optional, stacks=True)
    given = fitting.real(fitting.adopt(fitting.columns(content) if isinstance(content, NumberTable) else dict(content)), power)
    fitting.names(given)
    fitting.place(given)
    fitting.require(where)
    stacked = frozenset(fitting.stacked)
    return Understood(fitting.arrays, stacked, fitting.count, tuple(fitting.said), fitting.converted)


def filled(
    given: Mapping[str, FloatArray], specs: Sequence[ArraySpec], values: Mapping[str, float | None]
) -> dict[str, npt.NDArray[np.float64]]:
    """Constant arrays for those that are not given, of the lengths that the others tell.

    Args:
        given: Arrays of one instance.
        specs: What is expected.
        values: What to fill with, by name; None leaves it out.
    """
    sizes = {axis: size for spec in specs if spec.name in given for axis, size in axes(spec, given[spec.name].shape)}
    return {
        spec.name: np.full([axis if isinstance(axis, int) else sizes.get(axis, 1) for axis in spec.shape], value)
        for spec in specs
        if spec.name not in given and (value := values[spec.name]) is not None
    }


@dataclass(slots=True)
class _Fitting:
    """A user's arrays on their way to what a family needs; collects what is wrong with them."""

    specs: Sequence[ArraySpec]
    optional: frozenset[str]
    stacks: bool
    found: list[FieldProblem] = field(default_factory=list)
    arrays: dict[str, FloatArray] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    stacked: set[str] = field(default_factory=set)
    count: int | None = None
    said: list[str] = field(default_factory=list)
    converted: bool = False

    def require(self, where: str) -> None:
        """Raise what was found."""
        if self.found:
            raise OptionError(where, self.found)

    @property
    def _names(self) -> list[str]:
        return [spec.name for spec in self.specs]

    def _parts(self) -> dict[str, tuple[str, str]]:
        """Complex arrays that the family takes as two: their names, and those of the parts."""
        pairs = {name[:-3]: (name, f"{name[:-3]}_im") for name in self._names if name.endswith("_re")}
        return {whole: parts for whole, parts in pairs.items() if parts[1] in self._names}

    def columns(self, table: NumberTable) -> dict[str, npt.ArrayLike]:
        """Columns by name where the heading has names of the family's vectors, else the whole table without a name."""
        vectors = {spec.name for spec in self.specs if len(spec.shape) == 1}
        if table.header is None or not vectors.intersection(table.header):
            wanted = [spec for spec in self.specs if spec.columns and spec.name not in self.optional]
            if table.header is not None and wanted and tuple(map(str.lower, table.header)) != wanted[0].columns:
                self.found.append(FieldProblem("the first line", ",".join(table.header), f"'{','.join(wanted[0].columns)}'"))
            return {UNNAMED: table.values}
        twice = sorted({name for name in table.header if table.header.count(name) > 1})
        self.found += [FieldProblem("the first line", name, "every name once") for name in twice]
        return dict(zip(table.header, table.values.T, strict=True))

    def adopt(self, given: dict[str, npt.ArrayLike]) -> dict[str, npt.ArrayLike]:
        """The same, a single array of another name under that of the only one required."""
        parts = self._parts()
        halves = {half: whole for whole, pair in parts.items() for half in pair}
        required = list(dict.fromkeys(halves.get(name, name) for name in self._names if name not in self.optional))
        known = {*self._names, *parts, *(f"{s.name}{end}" for s in self.specs if s.power_gain for end in ("_re", "_im"))}
        if len(given) != 1 or known.intersection(given) or not next(iter(given)).isprintable():
            return given
        ((name, values),) = given.items()
        if len(required) != 1:
            if name == UNNAMED:
                one = f"arrays with names, {', '.join(required)}: write .npz, .json or .mat"
                self.found.append(FieldProblem("the file", "one array without a name", one))
                return {}
            return given
        if name != UNNAMED:
            self.said.append(f"{required[0]} is '{name}' of the file")
        return {required[0]: values}

    def real(self, given: Mapping[str, npt.ArrayLike], power: bool) -> dict[str, npt.ArrayLike]:
        """Arrays without complex values: taken apart, or powers where that is asked for and makes sense."""
        given, parts = dict(given), self._parts()
        for spec in self.specs:
            re, im = f"{spec.name}_re", f"{spec.name}_im"
            if spec.power_gain and spec.name not in given and re in given and im in given:
                try:
                    given[spec.name] = np.asarray(given.pop(re)) + 1j * np.asarray(given.pop(im))
                except (TypeError, ValueError) as error:
                    self.found.append(FieldProblem(f"{re}, {im}", "values", f"numbers of one shape ({error})"))
                    given[spec.name] = np.nan
        gains = {spec.name for spec in self.specs if spec.power_gain}
        for name, values in list(given.items()):
            try:
                is_complex = np.iscomplexobj(values)
            except ValueError:  # rows of unequal length; `place` says so
                continue
            if name in parts and not {*parts[name]} & {*given}:
                array = np.asarray(given.pop(name))
                given |= dict(zip(parts[name], (np.real(array), np.imag(array)), strict=True))
            elif is_complex:
                if name in gains and power:
                    given[name] = np.abs(np.asarray(values)) ** 2
                    self.converted = True
                    self.said.append(f"{name} is |h|^2 of complex values")
                    continue
                advice = (
                    "power gains |h|^2, real: set problem.complex=power, or write np.abs(h)**2 (MATLAB: abs(h).^2)"
                    if name in gains
                    else "real numbers"
                )
                self.found.append(FieldProblem(name, "complex values", advice))
                given[name] = np.abs(np.asarray(values)) ** 2  # so that its shape is checked all the same
        return given

    def names(self, given: Mapping[str, npt.ArrayLike]) -> None:
        """Find names that are none of the family's, and those that are missing."""
        names = self._names
        for name in given:
            if name not in names:
                guess = nearest(name, names)
                hint = f"; did you mean '{guess}'?" if guess else ""
                shown = name if name.isprintable() else ascii(name)  # it goes to the terminal
                self.found.append(FieldProblem(shown, "an array", f"one of {', '.join(names)}{hint}"))
        told = {problem.field for problem in self.found}
        for spec in self.specs:
            if spec.name not in given and spec.name not in self.optional and "the file" not in told:
                self.found.append(FieldProblem(spec.name, None, f"an array {shape_text(spec)}: {spec.meaning}"))

    def place(self, given: Mapping[str, npt.ArrayLike]) -> None:
        """Bring arrays to their shapes and check values; those that tell lengths first, single numbers last."""
        arrays = {}
        for spec in self.specs:
            if spec.name in given:
                try:
                    arrays[spec.name] = frozen(given[spec.name])
                except (TypeError, ValueError) as error:
                    self.found.append(FieldProblem(spec.name, "values", f"real numbers {shape_text(spec)} ({error})"))
        fine = []
        for spec in sorted((s for s in self.specs if s.name in arrays), key=lambda spec: self._turn(spec, arrays[spec.name])):
            placed = self._placed(spec, arrays[spec.name])
            if isinstance(placed, FieldProblem):
                self.found.append(placed)
            else:
                fine.append(spec.name)
                self.arrays[spec.name] = placed
        for spec in self.specs:
            if spec.name in fine:
                self.found += value_problems(spec, self.arrays[spec.name])

    def _turn(self, spec: ArraySpec, array: FloatArray) -> int:
        """Who comes first: arrays in their order, then numbers, then numbers in the place of vectors."""
        if len(spec.shape) == 1 and array.size == 1 and self.stacks:
            return 2
        return 1 if not spec.shape and self.stacks else 0

    def _placed(self, spec: ArraySpec, array: FloatArray) -> FloatArray | FieldProblem:
        """The array in its shape, of one instance or of a stack; or what is wrong with its shape."""
        rank, shape = len(spec.shape), array.shape
        forms = [shape]
        if rank == 1 and len(shape) == 2 and 1 in shape:  # MATLAB has no vectors
            forms.append((array.size,))
        if rank == 0 and array.size == 1:
            forms.append(())
        if rank == 1 and array.size == 1 and self.stacks:
            (axis,) = spec.shape
            size = axis if isinstance(axis, int) else self.sizes.setdefault(axis, 1)
            return frozen(np.full(size, array.reshape(())))
        for form in forms:
            if self._fits(spec, form):
                return array.reshape(form)
        if self.stacks and (stack := self._stack(spec, array)) is not None:
            return stack
        return FieldProblem(
            spec.name, f"shape {shape}", f"shape {shape_text(spec)}{self._with(spec, shape)}{self._advice(spec, shape)}"
        )

    def _stack(self, spec: ArraySpec, array: FloatArray) -> FloatArray | None:
        """The array as a stack of instances; only one that is required may begin it."""
        rank, shape = len(spec.shape), array.shape
        if rank == 0 and len(shape) == 2 and 1 in shape:
            shape = (array.size,)
        begins = self.count is None and rank > 0 and spec.name not in self.optional
        if len(shape) != rank + 1 or not (begins or shape[0] == self.count) or not self._fits(spec, shape[1:]):
            return None
        self.count = shape[0]
        self.stacked.add(spec.name)
        return array.reshape(shape)

    def _fits(self, spec: ArraySpec, shape: tuple[int, ...]) -> bool:
        """Whether a shape agrees with all that is known; its lengths are known from then on."""
        told = dict(self.sizes)
        fits = len(shape) == len(spec.shape) and all(
            size == (axis if isinstance(axis, int) else told.setdefault(axis, size))
            for axis, size in zip(spec.shape, shape, strict=True)
        )
        if fits:
            self.sizes.update(told)
        return fits

    def _with(self, spec: ArraySpec, shape: tuple[int, ...]) -> str:
        told: dict[str | int, int] = dict(self.sizes.items())
        if len(shape) == len(spec.shape):  # its first axis tells the others of the same letter
            own = zip(reversed(spec.shape), reversed(shape), strict=True)
            told = {**{axis: size for axis, size in own if spec.shape.count(axis) > 1}, **told}
        known = ", ".join(
            f"{axis}={told[axis]}" for axis in dict.fromkeys(spec.shape) if isinstance(axis, str) and axis in told
        )
        return f" with {known}" if known else ""

    def _advice(self, spec: ArraySpec, shape: tuple[int, ...]) -> str:
        """What may have happened to an array of a wrong shape."""
        rank = len(spec.shape)
        square = rank == 2 and spec.shape[0] == spec.shape[1]
        told = [axis if isinstance(axis, int) else self.sizes.get(axis) for axis in reversed(spec.shape)]
        if len(shape) == rank == 2 and not square and all(size in (None, own) for size, own in zip(told, shape, strict=True)):
            return "; it is transposed: write its transpose"
        if square and len(shape) == 3 and shape[0] == shape[1] != shape[2]:
            return "; a stack of instances has them in front: np.moveaxis(x, -1, 0) (MATLAB: permute(x, [3 1 2]))"
        if square and len(shape) == 2 and shape[0] == shape[1] + 1:
            return "; is its first row a heading of numbers? Leave it out"
        if len(shape) == rank + 1 and self.count is not None and shape[0] != self.count:
            return f"; the stack has {self.count} instances"
        return ""

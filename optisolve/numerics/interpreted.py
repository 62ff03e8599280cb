"""Kernels of small jobs: plain Python while there is little to do, compiled from then on, with the same bits.

Loading numba and reading compiled code takes 0.5 s of processor time and 80 MB; most jobs of a few points never earn that.
Only kernels whose every operation is one IEEE operation on scalars, or the same function of the C library, may be used so: no
sums of arrays, no fastmath, no inlined bits; a test compares both forms of each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from types import FunctionType
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

import numpy as np

if TYPE_CHECKING:
    from optisolve.numerics.compiled import Kernel

__all__ = ["PATIENCE", "SmallKernel", "compile_from_now_on", "njit_once_it_pays"]

_P = ParamSpec("_P")
_R = TypeVar("_R")

PATIENCE = 300_000
"""Steps that a process takes in Python before it compiles; 0.3 us each."""

_taken = [0.0]
"""Steps that this process has taken in Python, a single number."""


class SmallKernel(Generic[_P, _R]):
    """A function that is compiled when the steps of all small jobs of the process are `PATIENCE`.

    Args:
        function: What is called.
        steps: Passes of the innermost loop of a call, from its arguments; None for a part that only kernels call.
        options: As for `optisolve.numerics.compiled.njit`.
    """

    def __init__(self, function: Callable[_P, _R], steps: Callable[..., float] | None, options: dict[str, Any]) -> None:
        self.function, self._steps, self._options = function, steps, options
        self.__doc__, self.__name__ = function.__doc__, function.__name__

    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """What the function returns."""
        compiled: Kernel[_P, _R] | None = self.__dict__.get("compiled")
        if compiled is None:
            if self._steps is not None and _small(self._steps(*args, **kwargs)):
                with np.errstate(all="ignore"):  # as the compiled form
                    return self.plain(*args, **kwargs)
            compiled = self.compiled
        return compiled(*args, **kwargs)

    @property
    def signatures(self) -> Sequence[object]:
        """Types of arguments that it has been compiled for in this process."""
        return self.compiled.signatures if "compiled" in self.__dict__ else ()

    @cached_property
    def compiled(self) -> Kernel[_P, _R]:
        """The compiled form; asking for it loads numba."""
        from optisolve.numerics.compiled import njit

        return njit(**self._options)(self.function)

    @cached_property
    def plain(self) -> Callable[_P, _R]:
        """The function with its parts in Python too."""
        function: Any = self.function
        names = {*function.__code__.co_names} & {*function.__globals__}
        parts = {name: part.plain for name in names if isinstance(part := function.__globals__[name], SmallKernel)}
        code = function.__code__
        made: Any = FunctionType(code, {**function.__globals__, **parts}, code.co_name, function.__defaults__)
        return made  # type: ignore[no-any-return]

    @property
    def _numba_type_(self) -> Any:
        """How numba reads it where another kernel calls it."""
        dispatcher: Any = self.compiled
        return dispatcher._numba_type_


def njit_once_it_pays(
    steps: Callable[..., float] | None = None, **options: Any
) -> Callable[[Callable[_P, _R]], SmallKernel[_P, _R]]:
    """`optisolve.numerics.compiled.njit` for a kernel that small jobs run in Python; a decorator.

    Args:
        steps: Passes of the innermost loop of a call, from its arguments; None for a part that only kernels call.
        **options: As for `optisolve.numerics.compiled.njit`.
    """
    return lambda function: SmallKernel(function, steps, options)


def compile_from_now_on() -> None:
    """Compile every kernel at its next call: for a process that says beforehand that many calls follow."""
    _taken[0] = PATIENCE


def _small(steps: float) -> bool:
    """Whether Python may still take these steps; counts them."""
    fits = _taken[0] + steps <= PATIENCE
    _taken[0] += steps * fits
    return fits

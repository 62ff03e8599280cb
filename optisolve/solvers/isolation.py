"""Reproducible randomness for libraries that draw from process-wide or unseeded generators."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

import numpy as np

__all__ = ["IsolatedRandomness"]

_STREAM: ContextVar[np.random.Generator | None] = ContextVar("optisolve_unseeded_stream", default=None)


class IsolatedRandomness:
    """A private copy of the global random state, in force only inside `active`.

    Two leaks are closed. (1) ``cma`` draws from numpy's legacy global state: it is swapped for a private one on entry
    and restored on exit. (2) Where pymoo forgets to pass its ``random_state`` on (pymoo#794: NSGA-III ties on
    constraint violations), its functions ask for an unseeded ``numpy.random.default_rng()``: inside the block that
    name, as pymoo sees it, gives a seeded stream. Warning filters that a library changes are restored as well.

    Args:
        seed: Seeds both private streams.
    """

    def __init__(self, seed: int) -> None:
        self._legacy: Any = np.random.RandomState(np.random.MT19937(seed)).get_state()
        self._stream = np.random.default_rng(seed)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Run a block on the private streams; the process's own are untouched when it ends, also by an error."""
        _redirect_pymoo()
        outer = np.random.get_state()
        token = _STREAM.set(self._stream)
        np.random.set_state(self._legacy)
        try:
            with warnings.catch_warnings():
                yield
        finally:
            self._legacy = np.random.get_state()
            np.random.set_state(outer)
            _STREAM.reset(token)


class _RandomModule:
    """``numpy.random`` with a `default_rng` that prefers the stream of the active block to operating-system entropy."""

    def __getattr__(self, name: str) -> Any:
        return getattr(np.random, name)

    @staticmethod
    def default_rng(seed: Any = None) -> np.random.Generator:
        stream = _STREAM.get()
        return stream if seed is None and stream is not None else np.random.default_rng(seed)


class _NumpyModule:
    """``numpy`` with `_RandomModule` in place of ``numpy.random``."""

    random = _RandomModule()

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


@cache
def _redirect_pymoo() -> None:
    """Let pymoo's seeding decorator see `_NumpyModule`; outside of `IsolatedRandomness.active` nothing changes."""
    import pymoo.util

    pymoo.util.np = _NumpyModule()

"""The one place where kernels are compiled: numba's ``njit`` with a cache that never breaks a run nor outlives its sources.

Numba's own cache asks for a folder that can be written, dies of a damaged file, and looks at a kernel's own module only, so
that a kernel with another module's function in it survives a change of that function. Importing this module imports numba.
While a kernel is compiled, or read, the clocks of runs stand still, see `optisolve.core.clock`.
"""

from __future__ import annotations

import ast
import hashlib
import logging
import os
import pickle
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeVar

import numba
from numba.core import event
from numba.core.caching import FunctionCache, IndexDataCacheFile, _CacheLocator
from numba.misc.appdirs import AppDirs

from optisolve.core.clock import go_on, stand_still

__all__ = ["Kernel", "njit"]

_P = ParamSpec("_P")
_R_co = TypeVar("_R_co", covariant=True)

_ROOT = Path(__file__).resolve().parents[1]
_DIGEST_BYTES = 32
_log = logging.getLogger(__name__)


class Kernel(Protocol[_P, _R_co]):
    """A compiled function: called like the plain one.

    Attributes:
        signatures: Types of arguments that it has been compiled for in this process.
    """

    signatures: Sequence[object]

    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R_co:
        """What the plain function returns."""
        ...


def njit(*, cache: bool = True, **options: Any) -> Callable[[Callable[_P, _R_co]], Kernel[_P, _R_co]]:
    """Numba's ``njit`` with our cache; a decorator.

    Compiled code is kept in the first of these folders that can be written: ``NUMBA_CACHE_DIR``, ``__pycache__`` beside
    the source, the user's cache folder, a folder of the user's own among the temporary files; else nowhere.

    Args:
        cache: Keep what was compiled for the next process.
        **options: As for ``numba.njit``.
    """

    def decorate(function: Callable[_P, _R_co]) -> Kernel[_P, _R_co]:
        dispatcher = numba.njit(**options)(function)
        if cache and _folder(function.__code__.co_filename) is not None:
            dispatcher._cache = _KernelCache(function)
        made: Kernel[_P, _R_co] = dispatcher
        return made

    return decorate


class _Clocks(event.Listener):  # type: ignore[misc]
    """Compiling, reading compiled code, or waiting for a thread that does."""

    def on_start(self, _event: object) -> None:
        stand_still()

    def on_end(self, _event: object) -> None:
        go_on()


event.register("numba:compiler_lock", _Clocks())


# -- where ---------------------------------------------------------------------------------------------------------------


@cache
def _folder(py_file: str) -> Path | None:
    """The folder for what is compiled from a source file; None when there is none that can be written and trusted."""
    for folder in _candidates(Path(py_file)):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError:
            continue
        return folder
    _tell_without_cache()
    return None


def _candidates(py_file: Path) -> Iterator[Path]:
    beside = py_file.parent
    name = f"{beside.name}_{hashlib.sha256(str(beside).encode()).hexdigest()[:16]}"
    if numba.config.CACHE_DIR:
        yield Path(numba.config.CACHE_DIR) / name
    yield beside / "__pycache__"
    yield Path(AppDirs(appname="optisolve", appauthor=False).user_cache_dir) / "kernels" / name
    private = _private_folder()
    if private is not None:
        yield private / name


def _private_folder() -> Path | None:
    """A folder among the temporary files that nobody else can write, now or before: what lies in it is run as code."""
    if not hasattr(os, "geteuid"):  # temporary files of that system are the user's own
        return Path(tempfile.gettempdir()) / "optisolve-kernels"
    try:
        parent = Path(tempfile.gettempdir())
        folder = parent / f"optisolve-kernels-{os.geteuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        above, seen = parent.stat(), folder.lstat()
    except OSError:
        return None
    safe_above = not above.st_mode & stat.S_IWOTH or above.st_mode & stat.S_ISVTX
    ours = stat.S_ISDIR(seen.st_mode) and seen.st_uid == os.geteuid() and not seen.st_mode & 0o077
    return folder if safe_above and ours else None


@cache
def _tell_without_cache() -> None:
    _log.warning(
        "note: no folder for compiled kernels can be written, so every process compiles them anew; "
        "set NUMBA_CACHE_DIR to a folder of your own that can."
    )


# -- from what -----------------------------------------------------------------------------------------------------------


@cache
def _stamp(py_file: str) -> str:
    """Hash over a kernel's module and all of ours that it imports, however far: any of them may be compiled into it."""
    digests: dict[Path, bytes] = {}
    waiting = [Path(py_file)]
    while waiting:
        file = waiting.pop()
        if file not in digests:
            digests[file], imported = _module(file)
            waiting += imported
    return hashlib.sha256(b"".join(digests[file] for file in sorted(digests))).hexdigest()


@cache
def _module(file: Path) -> tuple[bytes, tuple[Path, ...]]:
    """Hash of a module's source, and the modules of this package that it imports."""
    source = file.read_bytes()
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module is not None and not node.level:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    inside = [_ROOT.joinpath(*name.split(".")[1:]) for name in names if name.startswith("optisolve.")]
    files = [file for path in inside for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()]
    return hashlib.sha256(source).digest(), tuple(files)


# -- how -----------------------------------------------------------------------------------------------------------------


class _Locator(_CacheLocator):  # type: ignore[misc]
    def __init__(self, py_func: Callable[..., Any], folder: Path) -> None:
        self._py_file = py_func.__code__.co_filename
        self._line, self._folder = py_func.__code__.co_firstlineno, folder

    def get_cache_path(self) -> str:
        return str(self._folder)

    def get_source_stamp(self) -> str:
        return _stamp(self._py_file)

    def get_disambiguator(self) -> str:
        return str(self._line)

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> _Locator | None:  # noqa: ARG003
        folder = _folder(py_func.__code__.co_filename)
        return None if folder is None else cls(py_func, folder)


class _Implementation(FunctionCache._impl_class):  # type: ignore[misc]
    _locator_classes = (_Locator,)


class _File(IndexDataCacheFile):  # type: ignore[misc]
    """Machine code with its hash before it: a damaged file must not be executed."""

    def _save_data(self, name: str, data: Any) -> None:
        body = self._dump(data)
        with self._open_for_write(self._data_path(name)) as stream:
            stream.write(hashlib.sha256(body).digest() + body)

    def _load_data(self, name: str) -> Any:
        body = Path(self._data_path(name)).read_bytes()
        if hashlib.sha256(body[_DIGEST_BYTES:]).digest() != body[:_DIGEST_BYTES]:
            raise ValueError("its hash is another one")
        return pickle.loads(body[_DIGEST_BYTES:])


class _KernelCache(FunctionCache):  # type: ignore[misc]
    _impl_class = _Implementation

    def __init__(self, py_func: Callable[..., Any]) -> None:
        super().__init__(py_func)
        locator = self._impl.locator
        self._cache_file: Any = _File(locator.get_cache_path(), self._impl.filename_base, locator.get_source_stamp())

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """As numba's; what cannot be read is thrown away and compiled again."""
        try:
            return super().load_overload(sig, target_context)
        except MemoryError:  # says nothing about the file
            raise
        except Exception as error:  # unpickling garbage raises anything
            _tell_damaged(self.cache_path, f"{type(error).__name__}: {error}")
            try:
                self.flush()
            except OSError:
                self.disable()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """As numba's; a full disk costs the next process its time and this one nothing."""
        try:
            super().save_overload(sig, data)
        except OSError as error:
            _tell_unsaved(self.cache_path, error.strerror or str(error))
            self.disable()


@cache
def _tell_damaged(folder: str, _why: str) -> None:
    _log.warning("note: compiled kernels in %s are damaged and are compiled again", folder)


@cache
def _tell_unsaved(folder: str, why: str) -> None:
    _log.warning("note: compiled kernels cannot be kept in %s (%s); the next process compiles them again", folder, why)

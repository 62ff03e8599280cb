"""Python files of a user's own: run once, known by the hash of their source, named as ``FILE.py:NAME``."""

from __future__ import annotations

import hashlib
import sys
import traceback
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

from optisolve.core.errors import OptisolveError, RegistryError, nearest
from optisolve.core.text import slug

__all__ = ["FILE_MODULES", "Home", "is_target", "load_object"]

FILE_MODULES = "optisolve_file_"
"""Beginning of the names of modules made of files, which nobody else can import."""

_LISTED_AT_MOST = 12


@dataclass(frozen=True, slots=True)
class Home:
    """Where an object stands.

    Attributes:
        target: ``FILE.py:NAME`` with the whole path, or ``module:NAME``; enough to load it again on this machine.
        name: The same with the file's name alone, since where the file lies belongs to one machine.
        sha256: SHA-256 of the file, hexadecimal.
    """

    target: str
    name: str
    sha256: str

    @property
    def source(self) -> dict[str, str]:
        """What a record says of it."""
        return {"name": self.name, "sha256": self.sha256}


def is_target(name: str) -> bool:
    """True for ``FILE.py:NAME`` and ``module:NAME``, and for a file that was named alone; installed names look like neither."""
    return ":" in name or name.endswith(".py")


def load_object(target: str) -> tuple[object, Home]:
    """The object behind ``FILE.py:NAME`` or ``module:NAME``, and where it stands. The file is run once, on this machine.

    Raises:
        RegistryError: No such file, module or name, or the file cannot be run; the text names the line.
    """
    where, _, attribute = target.rpartition(":")
    if not where:
        raise RegistryError(f"{target}: say which of its objects is the problem, {target}:NAME.")
    module = _module(where, attribute)
    if not hasattr(module, attribute):
        guess = nearest(attribute, _public(module))
        hint = f" Did you mean '{guess}'?" if guess else ""
        raise RegistryError(f"{target}: there is no '{attribute}' in {where}.{hint} {_told_names(module)}".strip())
    file = Path(getattr(module, "__file__", None) or where)
    content = file.read_bytes() if file.is_file() else b""
    absolute = f"{file.resolve()}:{attribute}" if where.endswith(".py") else target
    home = Home(absolute, f"{file.name}:{attribute}", getattr(module, _HASH, hashlib.sha256(content).hexdigest()))
    return getattr(module, attribute), home


_HASH = "__optisolve_sha256__"
"""In a module made of a file: the hash of the bytes that were run, which may have been edited since."""


def _module(where: str, attribute: str = "NAME") -> ModuleType:
    if where.endswith(".py"):
        return _run(Path(where))
    try:
        return import_module(where)
    except (ImportError, ValueError) as error:
        file = Path(f"{where}.py")
        hint = f" For the file in this folder write {file}:{attribute}." if file.is_file() else ""
        raise RegistryError(f"{where}: no such module ({error}).{hint}") from error


def _run(path: Path) -> ModuleType:
    """The file as a module under a name that nothing else has; the same bytes at the same place are run once."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RegistryError(
            f"{path}: cannot be read ({error.strerror}); expected FILE.py:NAME with a file of yours."
        ) from error
    place = hashlib.sha256(f"{path.resolve()}|".encode() + content).hexdigest()[:16]
    name = f"{FILE_MODULES}{place}_{slug(path.stem).replace('-', '_').replace('.', '_')}"
    if name in sys.modules:
        return sys.modules[name]
    module = ModuleType(name)
    module.__file__ = str(path)
    module.__dict__[_HASH] = hashlib.sha256(content).hexdigest()
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)  # modules beside the file; last, so that none of them hides an installed one
    sys.modules[name] = module  # dataclasses look their module up
    try:
        exec(compile(content, str(path), "exec"), module.__dict__)  # these very bytes: a cached .pyc may be of others
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, OptisolveError) or not isinstance(error, Exception | SystemExit):
            raise
        raise RegistryError(f"{path}{_line(error, path)}: {type(error).__name__}: {error}") from error
    return module


def _line(error: BaseException, path: Path) -> str:
    """Where in the file an error arose, e.g. ``, line 7``."""
    if isinstance(error, SyntaxError):
        return f", line {error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f", line {lines[-1]}" if lines else ""


def _public(module: ModuleType) -> list[str]:
    """Names that the module itself gives to something."""
    found = []
    for name, value in vars(module).items():
        foreign = getattr(value, "__module__", module.__name__) != module.__name__ and isinstance(value, type)
        if not name.startswith("_") and not isinstance(value, ModuleType) and not foreign:
            found.append(name)
    return found


def _told_names(module: ModuleType) -> str:
    names = _public(module)
    more = f" and {len(names) - _LISTED_AT_MOST} more" if len(names) > _LISTED_AT_MOST else ""
    return f"It has {', '.join(names[:_LISTED_AT_MOST])}{more}." if names else ""

"""Where the content lives that is not Python: scenarios, presets, prompts, cached reference fronts.

A checkout keeps it in folders outside the package, a wheel ships the same folders inside the package.
"""

from __future__ import annotations

import copy
import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

from optisolve.core.errors import OptisolveError, UnknownNameError

__all__ = [
    "content_dir",
    "digest",
    "header",
    "is_file",
    "load_yaml",
    "named_file",
    "names",
    "only_shipped",
    "parsed",
    "read_text",
    "shipped_only",
]

_IN_CHECKOUT = {"references": "benchmarks/references", "suites": "benchmarks/suites"}
"""Kinds whose folder in a checkout has another name."""

_SHIPPED_ONLY: ContextVar[bool] = ContextVar("shipped_only", default=False)


@cache
def content_dir(kind: str) -> Path:
    """The folder of one kind of content.

    Args:
        kind: ``"problems"``, ``"solvers"``, ``"prompts"``, ``"suites"``, ``"prices"`` or ``"references"``.

    Returns:
        The folder in the checkout when there is one, else the folder shipped in the wheel.

    Raises:
        OptisolveError: Neither exists, so the installation is incomplete.
    """
    package = Path(__file__).parent
    checkout = package.parent
    candidates = [checkout / _IN_CHECKOUT.get(kind, kind)] if (checkout / "pyproject.toml").is_file() else []
    candidates.append(package / "_content" / kind)
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise OptisolveError(f"The content folder '{kind}' is missing from this installation; reinstall optisolve.")


def names(kind: str, suffix: str = ".yaml") -> tuple[str, ...]:
    """Names of all files of one kind, without suffix, sub-folders joined by '/'; scanned anew when a folder has changed."""
    known = _NAMES.get((kind, suffix))
    if known is None or any(_changed_at(path) != changed for path, changed in known[0].items()):
        folder = content_dir(kind)
        folders = {str(path): _changed_at(path) for path in (folder, *folder.rglob("*/"))}
        found = sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob(f"*{suffix}"))
        known = (folders, tuple(found))
        if _settled(max(folders.values())):
            _NAMES[kind, suffix] = known
    return known[1]


_NAMES: dict[tuple[str, str], tuple[dict[str, int], tuple[str, ...]]] = {}
"""By kind and suffix: when its folders changed, ns, and the names in them."""
_PARSED: dict[tuple[str, str], tuple[str, int, dict[str, Any]]] = {}
"""By kind and name of a YAML file: its path, when it changed, ns, and what it holds."""
_TICK_NS = 100_000_000
"""Two changes within the clock tick of a file system look like one; what has changed so lately is not remembered."""


def _changed_at(path: str | Path) -> int:
    """When a file or a folder changed, ns; 0 for one that is gone."""
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116 (a Path costs as much as the call)
    except OSError:
        return 0


def _settled(changed_ns: int) -> bool:
    return time.time_ns() - changed_ns > _TICK_NS


def is_file(kind: str, name: str) -> bool:
    """Whether there is a YAML file of this name."""
    return parsed(kind, name) is not None or name in names(kind)


def load_yaml(kind: str, name: str) -> dict[str, Any]:
    """Parse one YAML file of content; one that has not changed is parsed once.

    Returns:
        What it holds, a copy of one's own.

    Raises:
        UnknownNameError: There is no such file; the nearest name is suggested.
    """
    if (held := parsed(kind, name)) is not None:
        return dict(copy.deepcopy(held))
    import yaml

    known = names(kind)
    if name not in known:
        raise UnknownNameError(kind.rstrip("s"), name, known)
    path = content_dir(kind) / f"{name}.yaml"
    changed = _changed_at(path)
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(data, dict):
        raise OptisolveError(f"{kind}/{name}.yaml must hold a mapping.")
    if _settled(changed):
        _PARSED[kind, name] = str(path), changed, copy.deepcopy(data)
    return data


def parsed(kind: str, name: str) -> Mapping[str, Any] | None:
    """What an unchanged file held when it was parsed, the same object each time; None for one that must be looked at."""
    path, changed, data = _PARSED.get((kind, name), ("", 0, None))
    return data if path and _changed_at(path) == changed else None


def header(kind: str, name: str) -> dict[str, str]:
    """What the comment at the top of a YAML file says, without parsing the file.

    The first line is the summary; further lines of the form ``# key: value`` follow until the first other line.

    Args:
        kind: ``"problems"`` or ``"solvers"``.
        name: E.g. ``"uav_isac/dense"``.

    Returns:
        ``{"summary": ..., key: value, ...}``; empty when the file does not begin with a comment.
    """
    told: dict[str, str] = {}
    with (content_dir(kind) / f"{name}.yaml").open(encoding="utf-8") as lines:
        for line in lines:
            if not line.startswith("#"):
                break
            text = line.lstrip("#").strip()
            key, separator, value = text.partition(": ")
            if "summary" not in told:
                told["summary"] = text
            elif separator and key.isidentifier():
                told[key] = value.strip()
            else:
                break
    return told


def read_text(kind: str, name: str) -> str:
    """Text of one content file, e.g. a prompt template; `name` includes the suffix."""
    return (content_dir(kind) / name).read_text(encoding="utf-8")


@contextmanager
def shipped_only() -> Iterator[None]:
    """While somebody else's record is audited: no file is opened, and no hub asked, because the record names it."""
    token = _SHIPPED_ONLY.set(True)
    try:
        yield
    finally:
        _SHIPPED_ONLY.reset(token)


def only_shipped() -> bool:
    """True inside `shipped_only`."""
    return _SHIPPED_ONLY.get()


def named_file(path: str | Path, what: str) -> Path:
    """The file or folder that a setting names; every reader of such a setting asks here before it opens anything.

    Args:
        path: As the setting has it.
        what: Name of the setting, for the error.

    Raises:
        OptisolveError: An audit is under way and this is no content of the installation.
    """
    given = Path(path)
    if _SHIPPED_ONLY.get() and not any(given.resolve().is_relative_to(folder.resolve()) for folder in _shipped_folders()):
        raise OptisolveError(f"{what} names '{path}', which does not come with optisolve; an audit opens shipped files only.")
    return given


@cache
def digest(path: Path) -> str:
    """SHA-256 of a shipped file, hexadecimal; read once, since shipped files do not change."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _shipped_folders() -> list[Path]:
    found = []
    for kind in ("problems", "solvers", "references"):
        try:
            found.append(content_dir(kind))
        except OptisolveError:  # an installation without published references
            continue
    return found

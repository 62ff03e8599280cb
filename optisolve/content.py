"""Where the content lives that is not Python: scenarios, presets, prompts, cached reference fronts.

A checkout keeps it in folders outside the package, a wheel ships the same folders inside the package.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
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
    "load_yaml",
    "named_file",
    "names",
    "only_shipped",
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
    """Names of all files of one kind, without suffix, sub-folders joined by '/'."""
    folder = content_dir(kind)
    return tuple(sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob(f"*{suffix}")))


def load_yaml(kind: str, name: str) -> dict[str, Any]:
    """Parse one YAML file of content.

    Raises:
        UnknownNameError: There is no such file; the nearest name is suggested.
    """
    import yaml

    known = names(kind)
    if name not in known:
        raise UnknownNameError(kind.rstrip("s"), name, known)
    data = yaml.safe_load((content_dir(kind) / f"{name}.yaml").read_text(encoding="utf-8"))
    if not isinstance(data, dict):
        raise OptisolveError(f"{kind}/{name}.yaml must hold a mapping.")
    return data


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

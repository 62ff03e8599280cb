"""Mappings that people write into files: read as data, with a limit on size, without references that multiply."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from optisolve.core.errors import OptisolveError

__all__ = ["MAX_BYTES", "read_typed"]

MAX_BYTES = 1_000_000


def _unique_loader() -> type:
    """A safe loader that refuses a key that stands twice, where YAML would silently keep the last."""
    import yaml

    class Unique(yaml.SafeLoader):
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            keys = [key.value for key, _ in node.value]
            twice = next((key for i, key in enumerate(keys) if key in keys[:i]), None)
            if twice is not None:
                raise yaml.constructor.ConstructorError(None, None, f"'{twice}' stands twice", node.start_mark)
            return super().construct_mapping(node, deep)

    return Unique


def read_typed(path: str, what: str, holds: str) -> dict[str, Any]:
    """The mapping of a YAML or JSON file.

    Args:
        path: The file.
        what: Name of the setting, for errors.
        holds: What the mapping should hold, for errors.

    Raises:
        OptisolveError: It cannot be read, is too large, repeats parts by reference, or is no mapping.
    """
    import yaml

    try:
        with Path(path).open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise OptisolveError(f"{what}={path}: the file is larger than {MAX_BYTES} bytes.")
        text = data.decode("utf-8")
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise OptisolveError(f"{what}={path}: references (*name) are not read; write the part again.")
        values = yaml.load(text, Loader=_unique_loader())
    except (OSError, yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        told = "it is nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())[:300]
        raise OptisolveError(f"{what}={path}: cannot be read ({told}).") from None
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise OptisolveError(f"{what}={path}: the file must hold a mapping with {holds}.")
    return values

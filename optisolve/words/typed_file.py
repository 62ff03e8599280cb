"""Mappings that people write into files: read as data, with a limit on size, without references that multiply."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from optisolve.core.documents import Json
from optisolve.core.errors import OptisolveError
from optisolve.core.text import require_encodable

__all__ = ["MAX_BYTES", "read_typed"]

MAX_BYTES, MAX_YAML_BYTES, MAX_DEPTH = 1_000_000, 200_000, 50


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"'{next(name for name in values if names.count(name) > 1)}' stands twice")
    return values


def _yaml(text: str) -> Any:
    """The value of a YAML text.

    Raises:
        YAMLError: It is no YAML, or a name stands twice.
        ValueError: It is too large or holds references.
        RecursionError: It is nested too deeply.
    """
    import yaml

    if len(text) > MAX_YAML_BYTES:
        raise ValueError(f"YAML with more than {MAX_YAML_BYTES} characters is slow to read; write JSON")
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("references (*name) are not read; write the part again")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise RecursionError
    return yaml.load(text, Loader=_unique_loader())


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


def read_typed(path: str, what: str, holds: str) -> dict[str, Json]:
    """The mapping of a YAML or JSON file.

    Args:
        path: The file.
        what: Name of the setting, for errors.
        holds: What the mapping should hold, for errors.

    Raises:
        OptisolveError: It cannot be read, is too large, repeats parts by reference, or is no mapping.
    """
    from yaml import YAMLError

    try:
        with Path(path).open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise OptisolveError(f"{what}={path}: the file is larger than {MAX_BYTES} bytes.")
        text = data.decode("utf-8-sig")
        values = json.loads(text, object_pairs_hook=_unique) if text.lstrip().startswith("{") else _yaml(text)
        require_encodable(values)
    except (OSError, YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        told = (
            f"it is nested deeper than {MAX_DEPTH}" if isinstance(error, RecursionError) else " ".join(str(error).split())[:300]
        )
        raise OptisolveError(f"{what}={path}: cannot be read ({told}).") from None
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise OptisolveError(f"{what}={path}: the file must hold a mapping with {holds}.")
    return values

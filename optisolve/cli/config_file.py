"""``config=FILE``: settings of any verb from a YAML file, under the names that they have on the command line, which wins."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from optisolve.cli.display import print_note
from optisolve.cli.settings import typed
from optisolve.core.errors import FieldProblem, OptionError, OptisolveError, nearest
from optisolve.core.text import override_text
from optisolve.registry import solver_options

if TYPE_CHECKING:
    from optisolve.cli.job import Asked

__all__ = ["Expanded", "expanded", "settings_file"]

_NAME = {"problem": "name", "solver": "name", "llm": "kind", "tracker": "name", "labels": "name"}
"""Where a group of settings says which one it is of."""

_OWN = {"trust": "names whom you trust", "tracker.uri": "sends your records to a host", "address": "names a cluster"}
"""Settings that a file may not have, since it may be a stranger's."""
_HARMLESS = (None, "", "local")
"""Values of those that name nobody; the last one is what a run is told about its cluster unless it is told something else."""

_JOB = "optisolve.job/"


class Expanded(NamedTuple):
    """Words with those of a file of settings before them.

    Attributes:
        words: All of them.
        from_file: Keys that the file has set.
    """

    words: list[str]
    from_file: frozenset[str]


def expanded(verb: str, words: Sequence[str]) -> Expanded:
    """The words of a verb with the settings of every ``config=FILE`` among them.

    Args:
        verb: Which verb.
        words: What stands behind it.

    Raises:
        OptisolveError: A file that cannot be read, holds no settings, or one that only the command line may have.
    """
    files, rest = _files(words)
    given = dict(_given(rest))
    settings: dict[str, object] = {}
    for file in files:
        settings |= _read(verb, file)
    kept = {key: value for key, value in settings.items() if key not in given}
    for group in _NAME:
        if group in settings and given.get(group, settings[group]) != settings[group]:
            left = [key for key in kept if key.startswith(f"{group}.")]
            kept = {key: value for key, value in kept.items() if key not in left}
            if left:
                print_note(f"{group}={given[group]} is not that of the file, so its {', '.join(left)} are left out")
    told = [f"{key}={override_text(value) if verb == 'run' else _as_yaml(key, value)}" for key, value in kept.items()]
    return Expanded([*told, *rest], frozenset(kept))


def settings_file(asked: Asked) -> str:
    """A composed run as the file that ``config=FILE`` reads again.

    Args:
        asked: The run.
    """
    import yaml

    uses_llm = solver_options(asked.solver.name)[0].info.uses_llm
    groups = {"problem": asked.problem, "solver": asked.solver, **({"llm": asked.llm} if uses_llm else {})}
    told: dict[str, object] = {group: {_NAME[group]: choice.name, **choice.options} for group, choice in groups.items()}
    rest = {key: value for key, value in asked.settings.items() if key not in ("print", "resume", "trust")}
    moving = {key: value for key, value in asked.motion.items() if value is not None}
    if asked.settings.get("episode") is not None:
        told["motion"] = moving
    text: str = yaml.safe_dump({**told, "budget": dict(asked.budget), **rest}, sort_keys=False, allow_unicode=True)
    return text


def _files(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Files of settings, and the other words."""
    files, rest, left = list[str](), list[str](), list(words)
    while left:
        word = left.pop(0)
        key, equals, value = word.partition("=")
        if key not in ("config", "--config"):
            rest.append(word)
        elif not equals and (key == "config" or not left):
            raise OptionError("The command line", [FieldProblem("config", None, "config=FILE, a YAML file of settings")])
        else:
            files.append(value if equals else left.pop(0))
    return files, rest


def _given(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Settings of the command line, by key."""
    for word, following in itertools.zip_longest(words, words[1:], fillvalue=""):
        key, equals, value = word.lstrip("+").partition("=")
        if equals or word.startswith("--"):
            yield key.removeprefix("--").replace("-", "_") if word.startswith("--") else key, value if equals else following


def _read(verb: str, name: str) -> dict[str, object]:
    """Settings of a file by their full names."""
    import yaml

    file = Path(name).expanduser()
    try:
        told = yaml.safe_load(file.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise OptisolveError(f"config={name}: cannot be read ({getattr(error, 'strerror', None) or error}).") from error
    except (yaml.YAMLError, ValueError) as error:
        raise OptisolveError(f"config={name}: no YAML ({' '.join(str(error).split())}).") from error
    if isinstance(told, dict) and str(told.get("schema", "")).startswith(_JOB):  # job.json beside a record
        told = told.get("settings")
    if not isinstance(told, dict) or not all(isinstance(key, str) for key in told):
        raise OptisolveError(f"config={name}: expected settings by name, as key: value, one per line.")
    flat = dict(_flat(told))
    problems = [
        FieldProblem(key, "(not shown)", f"none in a file, since it {why}; say it on the command line")
        for key, why in _OWN.items()
        if flat.get(key) not in _HARMLESS
    ]
    if verb != "run":  # which asks for trust=VARIABLE@URL
        hosts = [key for key in ("llm.base_url", "llm.api_key_env") if flat.get(key) not in (None, "")]
        expected = "none in a file, since it says where your key goes; say it on the command line"
        problems += [FieldProblem(key, flat[key], expected) for key in hosts]
    else:
        problems += _unknown(flat)
    if problems:
        raise OptionError(f"config={name}", problems)
    return flat


def _flat(told: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    for key, value in told.items():
        if key == "llm" and value is None:
            continue  # of a run without one
        if not isinstance(value, Mapping) or "." in key:
            yield key, value
            continue
        name = next((value[k] for k in (_NAME.get(key), "name", "kind") if k in value), None) if key in _NAME else None
        if name is not None:
            yield key, name
        own = {"name", "kind"} if name is not None else set()
        yield from ((f"{key}.{option}", item) for option, item in value.items() if option not in own)


def _unknown(flat: Mapping[str, object]) -> Iterator[FieldProblem]:
    """Keys that no run has; those below a problem, a solver or a language model are checked with it."""
    from optisolve.cli.run import Run
    from optisolve.cli.settings import settings_of
    from optisolve.core.budget import Budget
    from optisolve.core.motion import MOTION_SETTINGS

    known = [*settings_of(Run), "problem", "solver", "llm", *(f"budget.{name}" for name in settings_of(Budget))]
    known += ["motion.kind", *(f"motion.{name}" for name in MOTION_SETTINGS)]
    for key, value in flat.items():
        if key not in known and key.partition(".")[0] not in ("problem", "solver", "llm"):
            guess = nearest(key, known)
            hint = f"; did you mean '{guess}'?" if guess else ""
            yield FieldProblem(key, value, f"a setting of optisolve run{hint}")


def _as_yaml(key: str, value: object) -> str:
    """A value as a verb reads it again: YAML below a name; its own settings are text, or texts by comma."""
    if "." in key:
        return value if isinstance(value, str) and typed(value) == value else json.dumps(value, separators=(",", ":"))
    if isinstance(value, str):
        return value
    return ",".join(map(str, value)) if isinstance(value, list) else json.dumps(value)

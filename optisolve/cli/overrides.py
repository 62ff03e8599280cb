"""The words behind ``optisolve run``: brought into hydra's grammar, or refused with what to write instead."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from optisolve.cli.completion import MOVED
from optisolve.cli.run import Run
from optisolve.core.errors import OptisolveError, nearest
from optisolve.llm.config import LLM_KINDS
from optisolve.registry import PROBLEMS, SOLVERS

__all__ = ["NO_INTERPOLATION", "as_overrides", "flags_first", "require_plain", "swept"]

NO_INTERPOLATION = (
    "{what} holds an interpolation (${{…}}): settings are taken as they stand, nothing is filled in from the environment or "
    "elsewhere. Write the value itself; a key belongs into its environment variable only."
)

_CALL = re.compile(r"(?<![\w'\"])(fixed\([^()'\"]*\))")
_WITH_VALUE = ("--cfg", "-c", "--package", "-p", "--config-dir", "-cd", "--info", "-i")
_KNOWN = {
    **dict.fromkeys(("--cfg", "-c"), ("job", "hydra", "all")),
    **dict.fromkeys(("--info", "-i"), ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")),
}
_ALONE = ("-m", "--multirun", "--resolve", "--run", "-r", "--hydra-help", "--experimental-rerun")
_FILE = "write config=FILE; it is a YAML file of settings, and print=config writes one"
_REPLACED = {
    **dict.fromkeys(("--config-name", "-cn", "--config-path", "-cp"), _FILE),
    **dict.fromkeys(("--shell-completion", "-sc"), MOVED),
}
"""Flags of hydra's that have another form here."""


def swept(words: Sequence[str]) -> tuple[str, ...]:
    """Keys of which a sweep has several values; none without ``-m``."""
    flags, overrides = _split(words)
    if {"-m", "--multirun"}.isdisjoint(flags):
        return ()
    parsed = OverridesParser.create().parse_overrides([_quoted(word) for word in overrides])
    return tuple(str(o.key_or_group) for o in parsed if o.is_sweep_override())


def flags_first(arguments: Sequence[str]) -> list[str]:
    """Hydra's parser wants flags before overrides; people mix them.

    Args:
        arguments: E.g. ``["solver=moead", "-m", "seed=1,2"]``.
    """
    flags, overrides = _split(arguments)
    return [*flags, *map(_quoted, overrides)]


def as_overrides(arguments: Sequence[str]) -> list[str]:
    """The words with ``--key value`` as ``key=value``, and ``--cfg job`` as ``print=config``; hydra's own flags stay.

    Args:
        arguments: As they were typed.

    Raises:
        OptisolveError: A flag that does not exist here, with what to write instead.
    """
    found, rest = list[str](), list(arguments)
    while rest:
        word = rest.pop(0)
        flag, equals, value = word.partition("=")
        if flag in _REPLACED:
            raise OptisolveError(f"{flag}: {_REPLACED[flag]}")
        if flag in _WITH_VALUE:
            if not equals:
                value = rest.pop(0) if rest and "=" not in rest[0] else _KNOWN.get(flag, ("",))[0]
            if value not in _KNOWN.get(flag, (value,)):
                raise OptisolveError(f"{flag} {value}: expected one of {', '.join(_KNOWN[flag])}.")
            found += ["print=config"] if flag in ("--cfg", "-c") and value == "job" else [flag, value]
        elif flag in _ALONE or not word.startswith("-"):
            found.append(word)
        elif not word.startswith("--"):
            raise OptisolveError(f"'{word}' is no flag here. Flags of a run: -m, --help, --cfg job; settings are key=value.")
        else:
            key = flag[2:] if "." in flag else flag[2:].replace("-", "_")
            if not equals:
                value = "true" if _stands_alone(key, rest) else rest.pop(0)
            found.append(f"{key}={value}")
    return found


def _stands_alone(key: str, rest: Sequence[str]) -> bool:
    """A flag of something true or false, without its value."""
    switch = any(f.name == key and f.type == "bool" for f in dataclasses.fields(Run))
    return not rest or rest[0].startswith("--") or "=" in rest[0] or (switch and rest[0] not in ("true", "false"))


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Flags with their values, and overrides."""
    flags, overrides, rest = list[str](), list[str](), list(arguments)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            overrides.append(word)
            continue
        flags.append(word)
        if word in _WITH_VALUE and rest and "=" not in rest[0]:
            flags.append(rest.pop(0))
    return flags, overrides


def _quoted(word: str) -> str:
    """An override with names in quotes that hydra would take for something else.

    These are the solver ``null`` (no value) and a mix like ``fixed(0.3)`` (the call of a function).
    """
    key, equals, value = word.partition("=")
    if key == "solver.mix":
        return f"{key}=" + _CALL.sub(r"'\1'", value)
    if key != "solver" or not equals:
        return word
    names = ['"null"' if item.strip() == "null" else item for item in value.split(",")]
    return f"{key}={','.join(names)}"


def require_plain(arguments: Sequence[str]) -> None:
    """Refuse words that hydra would fill in from elsewhere, and explain how to write those that its grammar does not take.

    Raises:
        OptisolveError: The word, and its quoted form where that helps.
    """
    flags, overrides = _split(arguments)
    for word in arguments:
        if "${" in word:
            raise OptisolveError(NO_INTERPOLATION.format(what=f"'{word}'"))
    if bare := [word for word in overrides if "=" not in word and not word.startswith("~")]:
        raise OptisolveError(_meant(bare, overrides))
    parser, sweep = OverridesParser.create(), not {"-m", "--multirun"}.isdisjoint(flags)
    for word in overrides:
        if word.startswith("~"):
            raise OptisolveError(
                f"'{word}' would take a setting away; every run needs all of them. Give another value instead."
            )
        try:
            wrong = parser.parse_override(_quoted(word)).is_sweep_override() and not sweep
        except HydraException:
            wrong = True
        if wrong:
            raise OptisolveError(_in_quotes(parser, word))


def _meant(bare: Sequence[str], overrides: Sequence[str]) -> str:
    """What words without a key were probably meant to be."""
    kinds = {"problem": PROBLEMS.choices(), "solver": SOLVERS.choices(), "llm": tuple(LLM_KINDS)}
    guesses = {}
    for word in bare:
        key = next((kind for kind, names in kinds.items() if word in names), None)
        near = next(((kind, guess) for kind, names in kinds.items() if (guess := nearest(word, names))), None)
        if key is not None:
            guesses[word] = f"{key}={word}"
        elif ".py:" in word:
            guesses[word] = f"problem={word}"
        elif near is not None:
            guesses[word] = f"{near[0]}={near[1]}"
    told = f"{', '.join(repr(word) for word in bare)}: no setting; expected key=value, e.g. seed=1."
    if len(guesses) < len(bare):
        return told
    return f"{told} Did you mean: optisolve run {' '.join(guesses.get(word, word) for word in overrides)}"


def _in_quotes(parser: OverridesParser, word: str) -> str:
    """How to write a word whose value hydra takes for something else than text."""
    key, equals, value = word.partition("=")
    bare = value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value
    quoted = f'{key}="{bare.replace(chr(92), chr(92) * 2).replace(chr(34), chr(92) + chr(34))}"'
    try:
        parser.parse_override(quoted if equals else "")
    except HydraException:
        return f"'{word}' is no setting: expected key=value, e.g. seed=1."
    several = "For one run per value give -m; as one text, quote" if "," in value else "Quote"
    return (
        f"The value of '{key}' holds characters that have a meaning of their own here: {value}\n"
        f"{several} it for optisolve and for the shell: {shlex.quote(quoted)}"
    )

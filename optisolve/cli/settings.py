"""The words behind every verb, read in one way: settings as ``key=value`` or ``--key value``, typed by a frozen dataclass.

The dataclass is the verb: its fields are the settings, its docstring is the help, calling it does the work. Only ``run`` reads
its words otherwise, since hydra composes them; its settings and their help are a dataclass like all others.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, NamedTuple, Self, TypeAlias

from optisolve.core.errors import FieldProblem, OptionError, nearest
from optisolve.core.options import Collected, Options

__all__ = ["Choice", "Group", "Setting", "Verb", "Word", "meanings", "settings_of", "told_value", "typed"]

Group: TypeAlias = Mapping[str, object]
"""Settings below a name, as in ``budget.KEY=VALUE``."""

_SETTING = re.compile(r"[A-Za-z_][A-Za-z_.0-9]*=\S*")


@dataclass(frozen=True, slots=True)
class Choice:
    """What a name stands for, with settings of its own: ``solver=NAME solver.KEY=VALUE``.

    Args:
        name: The name.
        options: Values behind ``solver.KEY=``, by key.
    """

    name: str = ""
    options: Group = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Word:
    """Marks a setting that is given without its name, by where it stands: ``Annotated[Path, Word("RECORD")]``.

    Args:
        shown: How the help calls it.
    """

    shown: str


class Verb(Options):
    """A verb of the command line: a frozen dataclass of its settings, whose docstring is their help."""

    __slots__ = ()

    others: ClassVar[str] = ""
    """The group that takes settings which the verb does not know, as ``inspect problem=NAME n_users=5`` does."""

    moved: ClassVar[Mapping[str, str]] = {}
    """Settings that have another name now, by their old one."""

    def __call__(self) -> int:
        raise NotImplementedError

    @classmethod
    def more_help(cls) -> str:
        """What the help lists below the settings, beside what the docstring says."""
        return ""

    @classmethod
    def read(cls, verb: str, words: Sequence[str]) -> Self:
        """The settings that the words behind a verb give.

        Raises:
            OptionError: Words that are no settings, unknown names, bad values; all of them listed.
        """
        given, problems = _Reader(cls).read(words)
        collected = Collected(f"optisolve {verb}", problems)
        for setting in settings_of(cls).values():
            if setting.required and _is_nothing(given.get(setting.name)):
                collected.problems.append(FieldProblem(setting.name, None, f"{setting.written}: {setting.meaning}"))
                given[setting.name] = setting.stand_in
        made = collected("", lambda: cls.from_mapping(given))
        return collected.whole(made)

    def __post_init__(self) -> None:
        if not all(_fits(setting, getattr(self, name)) for name, setting in settings_of(type(self)).items()):
            Options.__post_init__(self)  # loads the library that checks
        elif problems := list(self._check()):
            raise OptionError(self._title(), problems)


def typed(text: str) -> object:
    """A value as YAML would type it; what is no YAML is text."""
    import yaml

    try:
        value: object = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):  # the latter for dates that do not exist
        return text
    return value


# -- what a verb takes -------------------------------------------------------------------------------------------------


class Setting(NamedTuple):
    """One field of a verb.

    Attributes:
        name: Its name.
        hint: Its type, without the mark of a word.
        word: How the help calls a setting that is given without its name, else None.
        default: Its value when nothing is said; `dataclasses.MISSING` when it must be said.
        meaning: Its help.
        marks: What its annotation says beside the type.
    """

    name: str
    hint: typing.Any
    word: str | None
    default: object
    meaning: str
    marks: tuple[object, ...] = ()

    @property
    def required(self) -> bool:
        return self.default is dataclasses.MISSING

    @property
    def many(self) -> bool:
        return typing.get_origin(self.hint) is tuple

    @property
    def grouped(self) -> bool:
        return self.hint in (Choice, Group)

    @property
    def is_file(self) -> bool:
        return self.hint in (Path, tuple[Path, ...])

    @property
    def kinds(self) -> tuple[object, ...]:
        """The types that its value may have, without marks."""
        union = typing.get_origin(self.hint) in (typing.Union, types.UnionType)
        return tuple(getattr(hint, "__origin__", hint) for hint in (typing.get_args(self.hint) if union else (self.hint,)))

    @property
    def choices(self) -> tuple[str, ...]:
        """All values that it may have, when they are few."""
        if self.hint is bool:
            return ("true", "false")
        hints = (self.hint, *typing.get_args(self.hint))
        told = (str(a) for hint in hints if typing.get_origin(hint) is typing.Literal for a in typing.get_args(hint))
        return tuple(filter(None, told))

    @property
    def limits(self) -> tuple[object, ...]:
        """Marks that limit its value, as ``Ge(1)``."""
        inner = (getattr(hint, "__metadata__", ()) for hint in typing.get_args(self.hint))
        return (*self.marks, *(mark for marks in inner for mark in marks))

    @property
    def written(self) -> str:
        """How it stands on the command line, with its default or with the kind of value that is meant."""
        if self.word is not None:
            return self.word
        kinds: dict[object, str] = {int: "N", float: "X", Path: "PATH", Choice: "NAME"}
        shown = next((shown for kind, shown in kinds.items() if kind in self.kinds), "TEXT")
        return f"{self.name}={told_value(self.default) or shown}"

    @property
    def stand_in(self) -> object:
        """A value of its type, so that all other settings can be checked although this one is missing."""
        return {int: 1, float: 1.0, Path: Path(), Choice: Choice()}.get(self.hint, ("",) if self.many else "")


def told_value(value: object) -> str:
    """A value as it may be written behind ``key=``; "" for nothing."""
    if isinstance(value, Choice):
        return value.name
    if isinstance(value, Mapping) or value in ("", None, (), dataclasses.MISSING):
        return ""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, list):
        return f"[{','.join(map(told_value, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def settings_of(cls: type) -> dict[str, Setting]:
    """The fields of a verb, or of any other dataclass of options, by name."""
    hints, texts = typing.get_type_hints(cls, include_extras=True), meanings(cls)[1]
    made = {}
    for f in (f for f in dataclasses.fields(typing.cast(typing.Any, cls)) if f.init):
        marks = getattr(hints[f.name], "__metadata__", ())
        word = next((mark.shown for mark in marks if isinstance(mark, Word)), None)
        hint = typing.get_args(hints[f.name])[0] if marks else hints[f.name]
        default = f.default if f.default_factory is dataclasses.MISSING else f.default_factory()
        limits = tuple(mark for mark in marks if not isinstance(mark, Word))
        made[f.name] = Setting(f.name, hint, word, default, texts.get(f.name, ""), limits)
    return made


def meanings(cls: type) -> tuple[str, Mapping[str, str], str]:
    """What a docstring says: the text before its ``Args``, the help of each of them, and what stands behind them.

    Fields that a class has from its bases are explained by the docstrings of those.
    """
    before, texts, after = _docstring(cls)
    for base in cls.__mro__[1:]:
        texts = {**_docstring(base)[1], **texts}
    return before, texts, after


def _docstring(cls: type) -> tuple[str, dict[str, str], str]:
    before, _, rest = f"{inspect.cleandoc(cls.__doc__ or '')}\n".partition("\nArgs:\n")
    args, after = list[str](), list[str]()
    for line in rest.splitlines():
        (after if after or (line and not line.startswith(" ")) else args).append(line)
    texts: dict[str, str] = {}
    names: list[str] = []
    for line in filter(str.strip, args):
        said = line.strip()
        if line.startswith("    ") and not line.startswith("     "):
            told, _, said = said.partition(":")
            names = told.split(", ")
        texts |= {name: f"{texts.get(name, '')} {said.strip()}".strip() for name in names}
    return before.strip(), texts, "\n".join(after).strip()


def _is_nothing(value: object) -> bool:
    return value in (None, "", ()) or (isinstance(value, Choice) and not value.name)


def _fits(setting: Setting, value: object) -> bool:
    """A default, or a text that may be anything or is one of those known; else a library has to look at it."""
    if typing.get_origin(setting.hint) is typing.Literal:
        return value in typing.get_args(setting.hint)
    return value is setting.default or (setting.hint is str and isinstance(value, str))


# -- reading -----------------------------------------------------------------------------------------------------------


class _Reader:
    """Tells settings from words, and reads both.

    Args:
        cls: The verb.
    """

    def __init__(self, cls: type[Verb]) -> None:
        self.others, self.moved, self.settings = cls.others, cls.moved, settings_of(cls)
        self.words = [s for s in self.settings.values() if s.word is not None]
        self.given: dict[str, object] = {}
        self.problems: list[FieldProblem] = []

    def read(self, words: Sequence[str]) -> tuple[dict[str, object], list[FieldProblem]]:
        """Values by setting, and what is wrong with the words."""
        rest, plain = list(words), list[str]()
        while rest:
            word = rest.pop(0)
            if word == "--":
                plain += rest
                break
            if word.startswith("-") and not any(map(str.isspace, word)) and word.strip("-"):
                self._flag(word, rest)
            elif self._is_setting(word):
                key, _, value = word.lstrip("+").partition("=")
                self._set(key, value)
            else:
                plain.append(word)
        self._place(plain)
        return self.given, self.problems

    def _is_setting(self, word: str) -> bool:
        """``key=value`` of a key that the verb has, or of one that it could mean; never what is a file or a sentence."""
        key, equals, _ = word.lstrip("+").partition("=")
        name, dot, _ = key.partition(".")
        if not equals or (any(s.is_file for s in self.words) and os.path.lexists(word)):
            return False
        known = self.settings.get(name)
        return (known is not None and (not dot or known.grouped)) or not self.words or bool(_SETTING.fullmatch(word))

    def _flag(self, word: str, rest: list[str]) -> None:
        """``--key value``, ``--key=value``, or ``--key`` alone for what is true or false; a unique beginning will do."""
        key, equals, value = word.lstrip("-").partition("=")
        key = key.replace("-", "_")
        near = [name for name in self.settings if name.startswith(key)]
        name = near[0] if len(near) == 1 and key not in self.settings else key
        setting = self.settings.get(name.partition(".")[0])
        if setting is not None and not equals:
            if setting.hint is not bool and not rest:
                self.problems.append(FieldProblem(word, None, f"a value behind it: {word} VALUE"))
                return
            value = "true" if setting.hint is bool else rest.pop(0)
        self._set(name, value, split=False)

    def _set(self, key: str, value: str, *, split: bool = True) -> None:
        name, dot, rest = key.partition(".")
        setting = self.settings.get(name)
        if setting is None and self.others:
            setting, rest = self.settings[self.others], key
        if setting is not None and setting.grouped and rest:
            self._add(setting, rest, typed(value))
        elif setting is None or dot or (setting.grouped and setting.hint is not Choice):
            self.problems.append(FieldProblem(key, value, self._known(key, value)))
        elif setting.hint is Choice:
            options = self.given[name].options if name in self.given else {}  # type: ignore[attr-defined]
            self.given[name] = Choice(value, options)
        elif setting.many:
            parts = [part.strip() for part in value.strip("[]").split(",") if part.strip()] if split else [value]
            self.given[name] = (*typing.cast(tuple[str, ...], self.given.get(name, ())), *parts)
        else:
            absent = value in ("null", "None") and types.NoneType in typing.get_args(setting.hint)
            self.given[name] = None if absent else value

    def _add(self, setting: Setting, key: str, value: object) -> None:
        if setting.hint is Choice:
            old = self.given.get(setting.name, setting.default)
            before = old if isinstance(old, Choice) else Choice()
            self.given[setting.name] = Choice(before.name, {**before.options, key: value})
        else:
            self.given[setting.name] = {**typing.cast(Group, self.given.get(setting.name, {})), key: value}

    def _known(self, key: str, value: str) -> str:
        shown = [f"{s.name}{'.KEY' * (s.hint == Group)}=" for s in self.settings.values() if s.word is None]
        name, dot, rest = key.partition(".")
        if key in self.moved:
            return f"{self.moved[key]}={value} in its place"
        guess = nearest(name, self.settings)
        hint = f"; did you mean '{guess}{dot}{rest}'?" if guess else ""
        quote = "; or quote the whole request" if any(s.many and not s.is_file for s in self.words) else ""
        return f"one of {', '.join(shown)}{hint}{quote}"

    def _place(self, plain: list[str]) -> None:
        """Words without a name go to the settings that are given by their place."""
        for setting in self.words:
            if setting.many and plain:
                self.given[setting.name] = (*typing.cast(tuple[str, ...], self.given.get(setting.name, ())), *plain)
                plain = []
            elif plain and setting.name not in self.given:
                self.given[setting.name] = plain.pop(0)
        example = next((s.name for s in self.settings.values() if s.word is None), "key")
        self.problems += [FieldProblem("setting", word, f"key=value, e.g. {example}=VALUE") for word in plain]

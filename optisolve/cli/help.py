"""What verbs, problems and solvers say of their settings: a sentence, the range or the choices, the value that holds."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Mapping, Sequence

from optisolve.cli.settings import Choice, Setting, Verb, meanings, settings_of, told_value
from optisolve.core.documents import JsonObject, plain

__all__ = [
    "about_settings",
    "entries",
    "first_sentence",
    "help_text",
    "options_of",
    "paragraph",
    "run_help",
    "settings_help",
]

_LONGEST = 40
"""Characters of a value that are shown."""


def _width() -> int:
    """Columns of the terminal, of which text takes 60 to 100; 80 where there is none."""
    return min(100, max(60, shutil.get_terminal_size((80, 24)).columns))


def paragraph(text: str, indent: int = 0) -> str:
    """A text in lines that fit the screen."""
    return textwrap.fill(
        text,
        _width(),
        initial_indent=" " * indent,
        subsequent_indent=" " * indent,
        break_on_hyphens=False,
        break_long_words=False,
    )


def entries(rows: Iterable[tuple[str, str]], *, most: int = 24) -> str:
    """Names with a text each; a name is never broken, so that it can be copied.

    Args:
        rows: Name and text.
        most: Characters of a name beside which its text begins; the text of a longer one begins on the next line.
    """
    rows = list(rows)
    column = min(most, max((len(name) for name, _ in rows), default=0)) + 4
    lines = []
    for name, text in rows:
        told = textwrap.wrap(text, _width() - column, break_on_hyphens=False, break_long_words=False) or [""]
        head = f"  {name:<{column - 2}}" if len(name) <= column - 4 else f"  {name}\n{'':{column}}"
        lines.append((head + f"\n{'':{column}}".join(told)).rstrip())
    return "\n".join(lines)


def settings_help(cls: type, *, prefix: str = "", values: Mapping[str, object] | None = None) -> str:
    """One entry per setting: how it is written with the value that holds, what it means, and what it may be.

    Args:
        cls: A dataclass of options.
        prefix: What stands before every name, e.g. ``"solver."``.
        values: Values that hold in place of the defaults, by name.
    """
    declared = [(_written(s, prefix, values or {}), _meaning(s)) for s in _shown(cls)]
    return entries(
        [*declared, *((f"{prefix}{name}={value}", _BUILT) for name, value in _undeclared(cls, values or {}).items())]
    )


_BUILT = "A parameter of the function that builds the problem."


def _undeclared(cls: type, values: Mapping[str, object]) -> dict[str, object]:
    """Values that the class does not declare: a function of the user's own builds the problem from them."""
    return {name: value for name, value in values.items() if name not in settings_of(cls)}


def about_settings(cls: type, values: Mapping[str, object]) -> list[JsonObject]:
    """The same for other programs.

    Args:
        cls: A dataclass of options.
        values: As for `settings_help`.
    """
    found: list[JsonObject] = []
    for setting in _shown(cls):
        default = None if setting.required or isinstance(setting.default, Choice) else setting.default
        told = {"value": plain(values.get(setting.name, default)), "meaning": _plain_words(setting.meaning)}
        found.append({"name": setting.name, **told, "allowed": _allowed(setting), "choices": list(setting.choices)})
    for name, value in _undeclared(cls, values).items():
        found.append({"name": name, "value": plain(value), "meaning": _BUILT, "allowed": "", "choices": []})
    return found


def help_text(verb: str, cls: type[Verb]) -> str:
    """What ``optisolve VERB --help`` prints."""
    before, _, after = meanings(cls)
    words = [
        f"{s.word}{'...' * s.many}" if s.required else f"[{s.word}{'...' * s.many}]"
        for s in settings_of(cls).values()
        if s.word is not None
    ]
    usage = " ".join(["usage: optisolve", verb, *words, "[key=value | --key value ...]"])
    parts = (usage, _wrapped(before), f"settings:\n{settings_help(cls)}", cls.more_help(), _wrapped(after))
    return "\n\n".join(filter(None, parts))


def run_help(words: Sequence[str]) -> str:
    """What ``optisolve run --help`` prints; ``run problem=NAME solver=NAME llm=KIND episode=N --help`` tells theirs as well.

    Args:
        words: What stands behind ``run``.

    Raises:
        UnknownNameError: No such problem, solver or kind of language model.
    """
    from optisolve.cli.run import Run
    from optisolve.core.budget import Budget
    from optisolve.llm.config import LLM_KINDS
    from optisolve.run.solve import DEFAULT_BUDGET

    chosen = {key: value for key, _, value in (word.lstrip("-").partition("=") for word in words)}
    sections = [
        "usage: optisolve run [problem=NAME] [solver=NAME] [key=value | --key value ...]",
        _wrapped(meanings(Run)[0]),
        entries(
            [
                ("problem=NAME", "A family or FAMILY/SCENARIO: optisolve list problems."),
                ("solver=NAME", "Left out, one that suits the problem. Which fit: optisolve list --for problem=NAME."),
                ("llm=KIND", f"The language model of a solver that asks one: {', '.join(LLM_KINDS)}."),
                ("config=FILE", "Settings from a YAML file; those of the command line win. print=config writes one."),
                ("-m", "A sweep: one run per combination of values, seed=0,1,2 solver=moead,moead_de; a table at its end."),
            ]
        ),
        f"settings:\n{settings_help(Run)}",
        f"budget:\n{settings_help(Budget, prefix='budget.', values=DEFAULT_BUDGET.options())}",
    ]
    if any(key == "episode" or key.startswith("motion.") for key in chosen):
        sections.append(f"motion, of an episode:\n{_motions_help()}")
    for group in ("problem", "solver", "llm"):
        if name := chosen.get(group):
            cls, values = options_of(group, name)
            sections.append(f"{group} {name}:\n{settings_help(cls, prefix=f'{group}.', values=values)}")
    more = [f"{group}.KEY" for group in ("problem", "solver", "llm") if not chosen.get(group)]
    if more:
        how = "name one, e.g. optisolve run problem=NAME solver=NAME --help, or: optisolve info NAME"
        sections.append(paragraph(f"The settings {', '.join(more)} are those of one problem, solver or language model: {how}"))
    return "\n\n".join(sections)


def _motions_help() -> str:
    from optisolve.core.motion import MOTIONS

    told = (", ".join(f"motion.{name}" for name in settings_of(cls)) for cls in MOTIONS.values())
    lines = zip((f"motion.kind={kind}" for kind in MOTIONS), told, strict=True)
    return entries([("motion.kind=auto", "The usual one of the family."), *lines])


def options_of(group: str, name: str) -> tuple[type, Mapping[str, object]]:
    """Class and values of a problem, a solver or a kind of language model.

    Raises:
        UnknownNameError: There is no such name.
    """
    from optisolve.core.errors import UnknownNameError
    from optisolve.llm.config import LLM_KINDS
    from optisolve.registry import problem_options, solver_options

    if group == "problem":
        return problem_options(name)
    if group == "solver":
        return solver_options(name)
    if name not in LLM_KINDS:
        raise UnknownNameError("kind of language model", name, LLM_KINDS)
    return LLM_KINDS[name], {}


def first_sentence(text: str) -> str:
    """The first sentence of a docstring, on one line."""
    return " ".join(text.partition("\n\n")[0].split())


def _shown(cls: type) -> list[Setting]:
    return [setting for setting in settings_of(cls).values() if setting.name != "scenario"]


def _written(setting: Setting, prefix: str, values: Mapping[str, object]) -> str:
    if setting.grouped:
        named = f"{setting.written} " if setting.hint is Choice else ""
        return f"{named}{setting.name}.KEY=VALUE"
    if setting.name not in values:
        return f"{prefix}{setting.written}"
    value = values[setting.name]
    told = "null" if value is None else told_value(value)
    return f"{prefix}{setting.name}={told if len(told) <= _LONGEST else told[: _LONGEST - 3] + '...'}"


def _meaning(setting: Setting) -> str:
    allowed = _allowed(setting)
    return " ".join(filter(None, (_plain_words(setting.meaning), allowed and f"{allowed[0].upper()}{allowed[1:]}.")))


def _plain_words(text: str) -> str:
    """A docstring's words for the command line, where nothing is called null."""
    return text.replace("``", "").replace("None", "null")


def _allowed(setting: Setting) -> str:
    """What it may be: choices that its meaning does not name, or a range."""
    if choices := [choice for choice in setting.choices if setting.hint is not bool]:
        told = "" if all(choice in setting.meaning for choice in choices) else f"one of {', '.join(choices)}"
    else:
        told = _range(setting)
    null = type(None) in setting.kinds and setting.default is not None and "None" not in setting.meaning
    return f"{told}{', or null' * null}" if told else ""


def _range(setting: Setting) -> str:
    bounds: dict[str, object] = {}
    for mark in setting.limits:
        told = {name: getattr(mark, name, None) for name in ("ge", "gt", "le", "lt")}
        bounds |= {name: value for name, value in told.items() if value is not None}
    least, above, most, below = (_number(bounds.get(name)) for name in ("ge", "gt", "le", "lt"))
    if least and most:
        return f"{least} to {most}"
    parts = (least and f"at least {least}", above and f"above {above}", most and f"at most {most}", below and f"below {below}")
    return ", ".join(filter(None, parts))


def _number(value: object) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else "" if value is None else str(value)


def _wrapped(text: str) -> str:
    """Paragraphs that fit the screen; those with an indent of their own stay as they are."""
    parts = [part if "\n " in part else paragraph(" ".join(part.split())) for part in text.split("\n\n")]
    return "\n\n".join(parts).strip()

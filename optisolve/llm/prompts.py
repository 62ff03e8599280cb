"""Prompts: versioned Jinja2 templates named ``NAME.vVERSION.jinja``, and their styles: a chat, or a text that is continued."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from optisolve.content import content_dir, read_text
from optisolve.core.errors import FieldProblem, LlmError, OptionError, OptisolveError, UnknownNameError
from optisolve.llm.session import LlmSession

__all__ = [
    "STYLE_NAMES",
    "Prompt",
    "StyleName",
    "load_prompt",
    "make_prompt",
    "named_prompt",
    "prompt_environment",
    "prompt_names",
    "refuse",
    "require_style",
    "style_name",
    "style_problems",
]

_REFERENCE = re.compile(r"(?P<name>.+)\.v(?P<version>\d+)")
_FILE = re.compile(_REFERENCE.pattern + r"\.jinja")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt template.

    Attributes:
        name: Name without version.
        version: Version of the wording.
        sha256: Hash of the template's text.
        variables: Variables that the template uses.
    """

    name: str
    version: int
    sha256: str
    variables: frozenset[str]
    _template: Any = field(repr=False, compare=False)

    def render(self, **variables: object) -> str:
        """The prompt's text; no blank at its ends.

        Raises:
            LlmError: A variable of the template is not given, or the template asks for something unsafe.
        """
        import jinja2

        try:
            return str(self._template.render(**variables)).strip()
        except jinja2.TemplateError as error:
            raise LlmError(f"Prompt '{self.name}' version {self.version} cannot be rendered: {error}") from None

    def describe(self) -> dict[str, str]:
        """``{"name@version": "sha256:..."}``, as it stands in records."""
        return {f"{self.name}@{self.version}": f"sha256:{self.sha256}"}


def prompt_names() -> dict[str, list[int]]:
    """All prompts with their versions, ascending."""
    found: dict[str, list[int]] = {}
    for path in sorted(content_dir("prompts").glob("*.jinja")):
        match = _FILE.fullmatch(path.name)
        if match:
            found.setdefault(match["name"], []).append(int(match["version"]))
    return {name: sorted(versions) for name, versions in found.items()}


@cache
def load_prompt(name: str, version: int | None = None) -> Prompt:
    """Load a prompt.

    Args:
        name: Name without version.
        version: Version; None means the newest.

    Raises:
        UnknownNameError: No such prompt; the nearest is suggested.
        LlmError: No such version, or the template is not valid Jinja2.
    """
    known = prompt_names()
    if name not in known:
        raise UnknownNameError("prompt", name, known)
    version = known[name][-1] if version is None else version
    if version not in known[name]:
        raise LlmError(f"Prompt '{name}' has no version {version}; it has {', '.join(map(str, known[name]))}.")
    return make_prompt(name, version, read_text("prompts", f"{name}.v{version}.jinja"))


def named_prompt(reference: str) -> Prompt:
    """Load a prompt by one word.

    Args:
        reference: ``"NAME.vVERSION"``, or ``"NAME"`` for the newest version.

    Raises:
        UnknownNameError: No such prompt.
        LlmError: No such version, or the template is not valid Jinja2.
    """
    match = _REFERENCE.fullmatch(reference)
    return load_prompt(match["name"], int(match["version"])) if match else load_prompt(reference)


def make_prompt(name: str, version: int, text: str) -> Prompt:
    """A prompt from its template's text.

    Raises:
        LlmError: The template is not valid Jinja2.
    """
    import jinja2
    from jinja2 import meta

    environment = prompt_environment()
    try:
        variables = meta.find_undeclared_variables(environment.parse(text))
        template = environment.from_string(text)
    except jinja2.TemplateSyntaxError as error:
        raise LlmError(f"Prompt '{name}' version {version}, line {error.lineno}: {error.message}") from None
    return Prompt(name, version, hashlib.sha256(text.encode()).hexdigest(), frozenset(variables), template)


def prompt_environment() -> Any:
    """The sandbox that prompts are rendered in; they are plain text for a model, never HTML."""
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined, autoescape=False)


StyleName = Literal["auto", "schema", "continuation"]
STYLE_NAMES = ("schema", "continuation")
"""Chat with the form of the answer, and text to continue."""


def style_name(wanted: StyleName, prompt: str | None, preferred: str = "auto") -> str:
    """Name of the style: the wanted one, else that of the prompt, else the one that the model prefers.

    Args:
        wanted: Option of the solver.
        prompt: Prompt named by the user, or None; its name ends with its style.
        preferred: What the model prefers; ``"auto"`` while that is unknown.
    """
    if wanted != "auto":
        return wanted
    return preferred if prompt is None else _style_of(prompt) or preferred


def style_problems(wanted: StyleName, prompt: str | None, preferred: str = "auto") -> Iterator[FieldProblem]:
    """What does not fit together between style and prompt; the arguments are those of `style_name`."""
    name = style_name(wanted, prompt, preferred)
    if prompt is None:
        return
    if _style_of(prompt) != name:
        yield FieldProblem(
            "prompt", prompt, f"a prompt whose name ends in _{'schema or _continuation' if name == 'auto' else name}"
        )
        return
    try:
        named_prompt(prompt)
    except OptisolveError as error:
        yield FieldProblem("prompt", prompt, f"a known prompt ({error})")


def require_style(session: LlmSession, solver: str, wanted: StyleName, prompt: str | None) -> str:
    """The style that a run uses, now that the model is known.

    Raises:
        OptionError: The prompt is none of that style.
    """
    refuse(session, solver, style_problems(wanted, prompt, session.preferred_style))
    return style_name(wanted, prompt, session.preferred_style)


def refuse(session: LlmSession, solver: str, problems: Iterable[FieldProblem]) -> None:
    """Refuse options that do not fit the model.

    Raises:
        OptionError: There is a problem.
    """
    found = list(problems)
    if found:  # what the options alone could not tell: the model decides the style
        raise OptionError(f"{solver} with the model '{session.model}'", found)


def _style_of(prompt: str) -> str:
    """The style that a prompt's name ends with, or ""."""
    stem = prompt.partition(".v")[0]
    return next((name for name in STYLE_NAMES if stem.endswith(f"_{name}")), "")

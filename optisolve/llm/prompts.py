"""Versioned prompt templates: Jinja2 files named ``NAME.vVERSION.jinja``."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from optisolve.content import content_dir, read_text
from optisolve.core.errors import LlmError, UnknownNameError

__all__ = ["Prompt", "load_prompt", "make_prompt", "named_prompt", "prompt_environment", "prompt_names"]

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

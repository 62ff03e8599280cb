"""Prompt styles: a chat for large models, a text that is continued for small ones, and which of them a run uses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from optisolve.core.errors import FieldProblem, OptionError, OptisolveError
from optisolve.llm.prompts import named_prompt
from optisolve.llm.session import LlmSession

__all__ = ["STYLE_NAMES", "StyleName", "refuse", "require_style", "style_name", "style_problems"]

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

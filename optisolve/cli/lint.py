"""``optisolve lint``: prompts checked before any model sees them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from optisolve.cli.display import console, new_table, styled
from optisolve.cli.settings import Verb, Word
from optisolve.content import content_dir
from optisolve.core.errors import LlmError

if TYPE_CHECKING:
    from optisolve.core.problem import Instance
    from optisolve.llm.prompt_lint import Lint

__all__ = ["LintPrompts", "lint_file"]


@dataclass(frozen=True, slots=True)
class LintPrompts(Verb):
    """Check prompt templates before any model sees them: variables, header, safety, size, stable prefix.

    Args:
        prompt: A file, NAME.vVERSION, or NAME for its newest version; all shipped ones when none is given.
        problem: Problem of the sample renderings.
        max_tokens: Largest size of a sample rendering, tokens, estimated.
    """

    prompt: Annotated[tuple[str, ...], Word("PROMPT")] = ()
    problem: str = "uav_isac"
    max_tokens: Annotated[int, Ge(1)] = 8000

    def __call__(self) -> int:
        from optisolve.llm.prompt_lint import Level
        from optisolve.registry import load_problem

        files = [_file(word) for word in self.prompt] or sorted(content_dir("prompts").glob("*.jinja"))
        instance = load_problem(self.problem).instance(0)
        lints = [lint_file(file, instance, max_tokens=self.max_tokens) for file in files]
        columns = (">characters", ">tokens", ">same prefix", ">errors", ">warnings")
        table = new_table("prompt", *columns, title=f"Sample: {instance.origin.scenario}")
        table.columns[0].min_width = max((len(lint.file.removesuffix(".jinja")) for lint in lints), default=0)
        for lint in lints:
            counts = (str(sum(finding.level is level for finding in lint.findings)) for level in (Level.ERROR, Level.WARNING))
            table.add_row(lint.file.removesuffix(".jinja"), *_sizes(lint), *counts)
        console.print(table)
        for lint in lints:
            for finding in lint.findings:
                style = "red" if finding.level is Level.ERROR else "yellow"
                console.print(styled(f"{lint.file},", style), str(finding), soft_wrap=True)
        shared = "'same prefix' is what two different questions share at their start, which endpoints cache"
        console.print(f"tokens are estimated; {shared}")
        return 0 if all(lint.ok for lint in lints) else 1


def lint_file(file: Path, instance: Instance, *, max_tokens: int = 8000) -> Lint:
    """Check one file; prompts of the language-model operator are rendered for a real problem, all others with stand-ins.

    Args:
        file: The template.
        instance: Sample problem.
        max_tokens: Largest size of a sample rendering, tokens, estimated.
    """
    from optisolve.llm.prompt_lint import lint_prompt
    from optisolve.llm.prompts import make_prompt, prompt_names
    from optisolve.solvers.ledma.samples import sample_variables

    text = file.read_text(encoding="utf-8")
    name = file.name.partition(".")[0]
    try:
        samples = sample_variables(make_prompt(name, 0, text), instance)
    except LlmError:  # no valid template: the linter says so
        samples = []
    known = prompt_names().get(name, ()) if file.parent == content_dir("prompts") else ()
    return lint_prompt(file.name, text, samples, max_tokens=max_tokens, known=known)


def _file(word: str) -> Path:
    """A prompt by path, by ``NAME.vVERSION``, or by name for its newest version."""
    from optisolve.llm.prompts import named_prompt

    if word.endswith(".jinja"):
        if not Path(word).is_file():
            raise LlmError(f"No prompt at {word}; give a file, or a name such as ledma_schema or ledma_schema.v1.")
        return Path(word)
    prompt = named_prompt(word)
    return content_dir("prompts") / f"{prompt.name}.v{prompt.version}.jinja"


def _sizes(lint: Lint) -> tuple[str, str, str]:
    """Characters, tokens, shared prefix; stand-ins say nothing about sizes."""
    if not lint.real or not lint.characters:
        return "", "", ""
    return f"{lint.characters:,}", f"{lint.tokens:,}", f"{lint.prefix_tokens / lint.tokens:.0%}"

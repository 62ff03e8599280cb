"""``optisolve ask "..." problem=NAME``: a request in words, a verified answer or a question."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge
from rich.markup import escape

from optisolve.cli.display import console, new_table, print_note
from optisolve.cli.request import split_request
from optisolve.cli.typed_file import read_typed
from optisolve.core.budget import Budget
from optisolve.core.errors import FieldProblem, OptionError
from optisolve.core.files import write_atomic
from optisolve.core.options import Options

if TYPE_CHECKING:
    from optisolve.words.ask.requests import Answer

__all__ = ["EXIT_OPEN", "ask_command"]

EXIT_OPEN = 3
"""Exit code when a question is open."""


@dataclass(frozen=True, slots=True)
class _Settings(Options):
    problem: str
    instance: Annotated[int, Ge(0)] = 0
    parser: Literal["model", "rules", "auto"] = "model"
    llm: str = "auto"
    solver: str = "moe"
    seed: Annotated[int, Ge(0)] = 0
    confirm: bool = False
    goal: str = ""
    out: str = "runs"
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)


def ask_command(options: argparse.Namespace) -> int:
    """0 for a verified answer, 2 when no point was found that meets everything, 3 when a question is open."""
    from optisolve.llm.config import llm_config
    from optisolve.registry import make_problem, make_solver
    from optisolve.words.ask.requests import ASK_BUDGET, AskStatus, ask

    text, settings = _settings(options.words)
    parts = settings.parts
    request: Any = read_typed(settings.goal, "goal", "'objective' and 'constraints'") if settings.goal else text
    problem = make_problem(settings.problem, parts.get("problem"))
    solver = make_solver(settings.solver, parts.get("solver"))
    budget = Budget.from_mapping({**ASK_BUDGET.options(), **parts.get("budget", {})}, title="budget")
    cold = {"temperature": 0.0} if settings.llm in ("local", "openai") else {}  # reading is no matter of luck
    llm = llm_config(settings.llm, **{**cold, **parts.get("llm", {})})
    out = Path(settings.out)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".asking-") as folder:
        conversation = Path(folder) / "ask_transcript.jsonl"
        answer = ask(
            request,
            problem,
            instance=settings.instance,
            parser=settings.parser,
            llm=llm,
            solver=solver,
            budget=budget,
            seed=settings.seed,
            confirm=settings.confirm,
            transcript=conversation,
            solver_llm=llm,
        )
        _print(answer, settings)
        if answer.result is not None:
            saved = answer.result.save(out)
            write_atomic(saved / "ask.json", json.dumps(told(request, answer), indent=1, sort_keys=True).encode() + b"\n")
            if conversation.is_file():
                write_atomic(saved / conversation.name, conversation.read_bytes())
            console.print(f"record:   {escape(str(saved))}", soft_wrap=True)
    if answer.status in (AskStatus.VERIFIED, AskStatus.CONFIRMED):
        return 0
    return 2 if answer.status is AskStatus.NOT_MET else EXIT_OPEN


def told(request: Any, answer: Answer) -> dict[str, Any]:
    """What was asked, understood and reached, JSON-compatible; it stands beside the record as ``ask.json``."""
    parsed = answer.parsed
    words = request if isinstance(request, str) else None
    return {
        "request": words,
        "status": answer.status.value,
        "parsed_by": parsed.by,
        "grounded": parsed.grounded,
        "goal": None if parsed.goal is None else parsed.goal.model_dump(mode="json"),
        "back_translation": list(answer.back_translation),
        "questions": list(answer.questions),
        "unknown_words": list(parsed.unknown),
        "satisfiability": None if answer.satisfiability is None else answer.satisfiability.verdict.proof,
        "certificate": answer.certificate,
        "clauses": [
            {"text": c.text, "value": c.value, "limit": c.limit, "unit": c.unit, "margin": c.margin, "source": c.source}
            for c in answer.clauses
        ],
        "language_model": None if parsed.llm is None else dict(parsed.llm),
        "model_answer": None if parsed.model is None else parsed.model.raw,
        "prompt": {} if parsed.model is None else dict(parsed.model.prompt),
    }


def _settings(words: Sequence[str]) -> tuple[str, _Settings]:
    """The request and its settings; bad ones in one message."""
    names = {name for name in _Settings.__dataclass_fields__ if name != "parts"}
    text, plain = split_request(words, names, ("problem", "solver", "budget", "llm"), command="ask")
    if plain.get("problem") in (None, "freeform"):
        expected = "problem=NAME, e.g. problem=power_game; when no family fits: optisolve formulate"
        raise OptionError("ask", [FieldProblem("problem", plain.get("problem"), expected)])
    settings = _Settings.from_mapping(plain, title="ask")
    if bool(text) == bool(settings.goal):
        expected = "either a request in words or goal=FILE"
        raise OptionError("ask", [FieldProblem("request", text or None, expected)])
    return text, settings


def _percent(margin: float) -> str:
    return f"{100.0 * (0.0 if abs(margin) < 1e-8 else margin):.3g} %"


_COLORS = {"verified": "green", "confirmed": "green", "not_met": "red"}


def _print(answer: Answer, settings: _Settings) -> None:
    from optisolve.goals.units import format_si

    parsed = answer.parsed
    if parsed.llm is not None:
        used = f"{parsed.llm['calls']} calls, {parsed.llm['tokens_in'] + parsed.llm['tokens_out']} tokens"
        console.print(f"read by {escape(parsed.llm['provider'])} {escape(parsed.llm['model'])} ({used})", soft_wrap=True)
    else:
        console.print(
            {"rules": "read by rules: no language model was called", "typed": "typed goal: nothing to read"}[parsed.by]
        )
    for line in answer.back_translation:
        console.print(f"  {escape(line)}", soft_wrap=True)
    if answer.satisfiability is not None and answer.satisfiability.verdict.proof:
        word = {True: "can be met", False: "cannot be met", None: "undecided"}[answer.satisfiability.verdict.answer]
        console.print(f"check: {word}: {escape(answer.satisfiability.verdict.proof)}", soft_wrap=True)
    color = _COLORS.get(answer.status.value, "yellow")
    console.print(f"[{color}]{answer.status.value.replace('_', ' ')}[/]", end="")
    console.print(f", certificate {answer.certificate}" if answer.result is not None else "")
    if answer.reference is not None and answer.reference.note:
        print_note(answer.reference.note)
    for question in answer.questions:
        console.print(f"  ? {escape(question)}", soft_wrap=True)
    if answer.result is not None and len(answer.result.X):
        objective = answer.result.instance.objectives[0]
        value = float(answer.result.F[0, 0])
        console.print(f"{objective.label}: {value:.6g} by {escape(settings.solver)}", soft_wrap=True)
        table = new_table("requirement", ">reached", ">margin", "from")
        for check in answer.clauses:
            table.add_row(escape(check.text), format_si(check.value, check.unit), _percent(check.margin), check.source)
        console.print(table)

"""``optisolve formulate "..."`` or ``file=model.yml``: a problem that no family covers, as a declarative model."""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge
from rich.markup import escape

from optisolve.cli.ask import EXIT_OPEN
from optisolve.cli.display import console, new_table
from optisolve.cli.request import split_request
from optisolve.cli.typed_file import read_typed
from optisolve.core.budget import Budget
from optisolve.core.errors import FieldProblem, OptionError
from optisolve.core.files import write_atomic
from optisolve.core.options import Options

if TYPE_CHECKING:
    from optisolve.words.formulate.drafts import Formulated

__all__ = ["formulate_command"]

_LONGEST = 20
"""Values of one variable that are printed; all of them stand in the file."""


@dataclass(frozen=True, slots=True)
class _Settings(Options):
    llm: str = "auto"
    file: str = ""
    seed: Annotated[int, Ge(0)] = 0
    out: str = "runs"
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)


def formulate_command(options: argparse.Namespace) -> int:
    """0 for the optimum of a typed model, 2 when there is provably none or no check succeeded, 3 when a question is open."""
    from optisolve.llm.config import llm_config
    from optisolve.words.formulate.drafts import FORMULATE_BUDGET, FormulateStatus, formulate, formulate_model

    text, settings = _settings(options.words)
    out = Path(settings.out)
    if settings.file:
        told = formulate_model(read_typed(settings.file, "file", "'variables', 'objective' and 'constraints'"))
        _print(told)
        _save(told, "", out, None)
    else:
        cold = {"temperature": 0.0} if settings.llm in ("local", "openai") else {}  # reading is no matter of luck
        llm = llm_config(settings.llm, **{**cold, **settings.parts.get("llm", {})})
        budget = Budget.from_mapping({**FORMULATE_BUDGET.options(), **settings.parts.get("budget", {})}, title="budget")
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out, prefix=".formulating-") as folder:
            conversation = Path(folder) / "formulate_transcript.jsonl"
            told = formulate(text, llm=llm, budget=budget, seed=settings.seed, transcript=conversation)
            _print(told)
            _save(told, text, out, conversation)
    if told.status is FormulateStatus.SOLVED:
        return 0
    return EXIT_OPEN if told.status in (FormulateStatus.UNCONFIRMED, FormulateStatus.ASKED) else 2


def _settings(words: Sequence[str]) -> tuple[str, _Settings]:
    """The problem and its settings; bad ones in one message."""
    names = {name for name in _Settings.__dataclass_fields__ if name != "parts"}
    text, plain = split_request(words, names, ("budget", "llm"), command="formulate")
    settings = _Settings.from_mapping(plain, title="formulate")
    if bool(text) == bool(settings.file):
        expected = "either a problem in words or file=model.yml"
        raise OptionError("formulate", [FieldProblem("problem", text or None, expected)])
    return text, settings


def _save(told: Formulated, text: str, out: Path, conversation: Path | None) -> None:
    """The model as a file that can be read again, with the answer and the conversation beside it."""
    import yaml

    plain = told.plain()
    body = json.dumps({"request": text or None, **plain}, indent=1, sort_keys=True).encode() + b"\n"
    key = hashlib.sha256(json.dumps([text, plain["model"]], sort_keys=True).encode()).hexdigest()[:12]
    folder = out / f"formulate-{key}"
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / "formulate.json", body)
    if conversation is not None and conversation.is_file():
        write_atomic(folder / conversation.name, conversation.read_bytes())
    if plain["model"] is None:
        console.print(f"written:  {escape(str(folder))}", soft_wrap=True)
        return
    path = folder / "model.yml"
    write_atomic(path, yaml.safe_dump(plain["model"], sort_keys=False, allow_unicode=True, width=120).encode())
    console.print(f"model:    {escape(str(path))}", soft_wrap=True)
    if told.llm is not None:
        console.print(f"to confirm it, or what you changed in it: optisolve formulate file={escape(str(path))}", soft_wrap=True)


def _print(told: Formulated) -> None:
    if told.llm is not None:
        used = f"{told.llm['calls']} calls, {told.llm['tokens_in'] + told.llm['tokens_out']} tokens"
        console.print(f"written by {escape(told.llm['provider'])} {escape(told.llm['model'])} ({used})", soft_wrap=True)
    else:
        console.print("typed model: no language model was called")
    for line in told.words:
        console.print(f"  {escape(line)}", soft_wrap=True)
    color = {"solved": "green", "unconfirmed": "yellow", "asked": "yellow"}.get(told.status.value, "red")
    solver = "" if told.answer is None else f", {escape(told.answer.status)}"
    console.print(f"[{color}]{told.status.value.replace('_', ' ')}[/]{solver}", soft_wrap=True)
    for question in told.questions:
        console.print(f"  ? {escape(question)}", soft_wrap=True)
    answer, model = told.answer, told.model
    if answer is None or model is None or told.status.value == "asked":  # a value of a doubtful model would be quoted
        return
    if answer.accepted and answer.objective is not None:
        unit = model.model.objective.unit
        console.print(f"objective: {answer.objective:.9g}{' ' + escape(unit) if unit else ''}", soft_wrap=True)
        table = new_table("variable", ">value", "unit")
        for name, value in _scalars(told):
            table.add_row(
                escape(name),
                f"{value + 0.0:.7g}",  # no -0; nothing is too small to be shown, as units differ
                escape(model.model.variables[name.partition("[")[0]].unit),
            )
        console.print(table)
    for check in answer.checks:
        console.print(f"check: {escape(check)}", soft_wrap=True)


def _scalars(told: Formulated) -> list[tuple[str, float]]:
    """Name and value of scalars, at most `_LONGEST` of each variable."""
    import numpy as np

    assert told.answer is not None
    assert told.model is not None
    rows = []
    for name, values in told.answer.values.items():
        array = np.asarray(values, dtype=np.float64)
        for index in list(np.ndindex(array.shape))[:_LONGEST]:
            rows.append((told.model.model.label(name, index), float(array[index])))
    return rows

"""Requests in words: ``ask`` about a problem of a family, ``formulate`` one that no family covers."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge

from optisolve.cli.display import console, new_table, print_note, styled
from optisolve.cli.settings import Choice, Group, Verb, Word
from optisolve.core.budget import Budget
from optisolve.core.documents import plain, write_atomic
from optisolve.core.errors import FieldProblem
from optisolve.words.typed_file import read_typed

if TYPE_CHECKING:
    from optisolve.core.documents import Json
    from optisolve.llm.config import LlmConfig
    from optisolve.words.ask.requests import Answer
    from optisolve.words.formulate.drafts import Formulated

__all__ = ["Ask", "Formulate", "told"]

EXIT_OPEN = 3
"""Exit code when a question is open."""

_LONGEST = 20
"""Values of one variable that are printed; all of them stand in the file."""


@dataclass(frozen=True, slots=True)
class Ask(Verb):
    """A request in words: a verified answer, or a question.

    Args:
        words: The request; it may stand in any order beside the settings, best in quotes.
        problem: What the request is about.
        instance: Instance seed.
        parser: model: a language model reads, the words must agree; rules: no language model; auto: rules where they account
            for every word, else the model.
        llm: The language model: auto, local, openai, replay.
        solver: Who solves it.
        budget: Limits, as for run.
        goal: A typed goal (YAML or JSON) in place of the words.
        confirm: Take the reading that was shown although some words are not known.
        seed: Of the solver.
        out: Folder of the record.

    exit codes: 0 verified, 1 error, 2 no point meets everything, 3 a question is open
    """

    words: Annotated[tuple[str, ...], Word("REQUEST")] = ()
    problem: Choice = Choice()
    instance: Annotated[int, Ge(0)] = 0
    parser: Literal["model", "rules", "auto"] = "model"
    llm: Choice = Choice("auto")
    solver: Choice = Choice("moe")
    budget: Group = field(default_factory=dict)
    goal: str = ""
    confirm: bool = False
    seed: Annotated[int, Ge(0)] = 0
    out: Path = Path("runs")

    def _check(self) -> Iterable[FieldProblem]:
        if self.problem.name in ("", "freeform"):
            expected = "problem=NAME, e.g. problem=power_game; when no family fits: optisolve formulate"
            yield FieldProblem("problem", self.problem.name or None, expected)
        elif bool(self.words) == bool(self.goal):
            yield FieldProblem("request", " ".join(self.words) or None, "either a request in words or goal=FILE")

    def __call__(self) -> int:
        from optisolve.registry import make_solver, named_problem
        from optisolve.words.ask.requests import ASK_BUDGET, AskStatus, ask

        typed_goal = read_typed(self.goal, "goal", "'objective' and 'constraints'") if self.goal else None
        request = " ".join(self.words) if typed_goal is None else typed_goal
        problem = named_problem(self.problem.name, self.problem.options)
        solver = make_solver(self.solver.name, self.solver.options)
        budget = Budget.from_mapping({**ASK_BUDGET.options(), **self.budget}, title="budget")
        llm = _reader(self.llm)
        with _conversation(self.out, "ask") as conversation:
            answer = ask(
                request,
                problem,
                instance=self.instance,
                parser=self.parser,
                llm=llm,
                solver=solver,
                budget=budget,
                seed=self.seed,
                confirm=self.confirm,
                transcript=conversation,
                solver_llm=llm,
            )
            _print_answer(answer, self.solver.name)
            if answer.result is not None:
                saved = answer.result.save(self.out)
                body = json.dumps(told(request, answer), indent=1, sort_keys=True).encode() + b"\n"
                write_atomic(saved / "ask.json", body)
                if conversation.is_file():
                    write_atomic(saved / conversation.name, conversation.read_bytes())
                console.print(f"record:   {saved}", soft_wrap=True)
        if answer.status in (AskStatus.VERIFIED, AskStatus.CONFIRMED):
            return 0
        return 2 if answer.status is AskStatus.NOT_MET else EXIT_OPEN


@dataclass(frozen=True, slots=True)
class Formulate(Verb):
    """A problem that no family covers: in words, or as a typed model file.

    A language model writes a declarative model of the problem (sets, parameters, variables, objective, constraints); it is
    data, nothing of it is executed. It is solved, checked again and shown in words, and waits for your confirmation: read
    model.yml, change it if need be, and run it with file=.

    Args:
        words: The problem; it may stand in any order beside the settings, best in quotes.
        llm: The language model: auto, local, openai, replay.
        file: A typed model (YAML or JSON) in place of the words: no language model is called.
        budget: Limits: llm_calls (3 unless said otherwise), llm_tokens, usd.
        seed: Of the language model.
        out: Folder of the model.

    exit codes: 0 solved and checked again, 1 error, 2 no optimum or a check failed, 3 to be confirmed, or a question is open
    """

    words: Annotated[tuple[str, ...], Word("PROBLEM")] = ()
    llm: Choice = Choice("auto")
    file: str = ""
    budget: Group = field(default_factory=dict)
    seed: Annotated[int, Ge(0)] = 0
    out: Path = Path("runs")

    def _check(self) -> Iterable[FieldProblem]:
        if bool(self.words) == bool(self.file):
            yield FieldProblem("problem", " ".join(self.words) or None, "either a problem in words or file=model.yml")

    def __call__(self) -> int:
        from optisolve.words.formulate.drafts import FORMULATE_BUDGET, FormulateStatus, formulate, formulate_model

        if self.file:
            done = formulate_model(read_typed(self.file, "file", "'variables', 'objective' and 'constraints'"))
            _print_model(done)
            _save(done, "", self.out, None)
        else:
            text, llm = " ".join(self.words), _reader(self.llm)
            budget = Budget.from_mapping({**FORMULATE_BUDGET.options(), **self.budget}, title="budget")
            with _conversation(self.out, "formulate") as conversation:
                done = formulate(text, llm=llm, budget=budget, seed=self.seed, transcript=conversation)
                _print_model(done)
                _save(done, text, self.out, conversation)
        if done.status is FormulateStatus.SOLVED:
            return 0
        return EXIT_OPEN if done.status in (FormulateStatus.UNCONFIRMED, FormulateStatus.ASKED) else 2


def _reader(llm: Choice) -> LlmConfig:
    """The language model that reads: cold, unless said otherwise, since reading is no matter of luck."""
    from optisolve.llm.config import llm_config

    cold = {"temperature": 0.0} if llm.name in ("local", "openai") else {}
    return llm_config(llm.name, **{**cold, **llm.options})


@contextmanager
def _conversation(out: Path, verb: str) -> Iterator[Path]:
    """A file for what is said, beside where the answer will be."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=f".{verb}-") as folder:
        yield Path(folder) / f"{verb}_transcript.jsonl"


def told(request: object, answer: Answer) -> dict[str, Json]:
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
        "language_model": plain(parsed.llm),
        "model_answer": None if parsed.model is None else parsed.model.raw,
        "prompt": {} if parsed.model is None else plain(parsed.model.dialogue.prompts),
        "dialogue": None if parsed.model is None else parsed.model.dialogue.plain(),
    }


def _percent(margin: float) -> str:
    return f"{100.0 * (0.0 if abs(margin) < 1e-8 else margin):.3g} %"


_COLORS = {"verified": "green", "confirmed": "green", "not_met": "red"}


def _print_answer(answer: Answer, solver: str) -> None:
    from optisolve.goals.units import format_si

    parsed = answer.parsed
    if parsed.llm is not None:
        used = f"{parsed.llm['calls']} calls, {parsed.llm['tokens_in'] + parsed.llm['tokens_out']} tokens"
        console.print(f"read by {parsed.llm['provider']} {parsed.llm['model']} ({used})", soft_wrap=True)
    else:
        console.print(
            {"rules": "read by rules: no language model was called", "typed": "typed goal: nothing to read"}[parsed.by]
        )
    for line in answer.back_translation:
        console.print(f"  {line}", soft_wrap=True)
    if answer.satisfiability is not None and answer.satisfiability.verdict.proof:
        word = {True: "can be met", False: "cannot be met", None: "undecided"}[answer.satisfiability.verdict.answer]
        console.print(f"check: {word}: {answer.satisfiability.verdict.proof}", soft_wrap=True)
    color = _COLORS.get(answer.status.value, "yellow")
    console.print(styled(answer.status.value.replace("_", " "), color), end="")
    console.print(f", certificate {answer.certificate}" if answer.result is not None else "")
    if answer.reference is not None and answer.reference.note:
        print_note(answer.reference.note)
    for question in answer.questions:
        console.print(f"  ? {question}", soft_wrap=True)
    if answer.result is not None and answer.result.feasible:
        objective = answer.result.instance.objectives[0]
        value = float(answer.result.F[0, 0])
        console.print(f"{objective.label}: {value:.6g} by {solver}", soft_wrap=True)
        table = new_table("requirement", ">reached", ">margin", "from")
        for check in answer.clauses:
            table.add_row(check.text, format_si(check.value, check.unit), _percent(check.margin), check.source)
        if answer.clauses:
            console.print(table)


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
        console.print(f"written:  {folder}", soft_wrap=True)
        return
    path = folder / "model.yml"
    write_atomic(path, yaml.safe_dump(plain["model"], sort_keys=False, allow_unicode=True, width=120).encode())
    console.print(f"model:    {path}", soft_wrap=True)
    if told.llm is not None:
        console.print(f"to confirm it, or what you changed in it: optisolve formulate file={path}", soft_wrap=True)


def _print_model(told: Formulated) -> None:
    if told.llm is not None:
        used = f"{told.llm['calls']} calls, {told.llm['tokens_in'] + told.llm['tokens_out']} tokens"
        console.print(f"written by {told.llm['provider']} {told.llm['model']} ({used})", soft_wrap=True)
    else:
        console.print("typed model: no language model was called")
    for line in told.words:
        console.print(f"  {line}", soft_wrap=True)
    color = {"solved": "green", "unconfirmed": "yellow", "asked": "yellow"}.get(told.status.value, "red")
    solver = "" if told.answer is None else f", {told.answer.status}"
    console.print(styled(told.status.value.replace("_", " "), color) + solver, soft_wrap=True)
    for question in told.questions:
        console.print(f"  ? {question}", soft_wrap=True)
    answer, model = told.answer, told.model
    if answer is None or model is None or told.status.value == "asked":  # a value of a doubtful model would be quoted
        return
    if answer.accepted and answer.objective is not None:
        unit = model.model.objective.unit
        console.print(f"objective: {answer.objective:.9g}{' ' + unit if unit else ''}", soft_wrap=True)
        table = new_table("variable", ">value", "unit")
        for name, value in _scalars(told):
            table.add_row(
                name,
                f"{value + 0.0:.7g}",  # no -0; nothing is too small to be shown, as units differ
                model.model.variables[name.partition("[")[0]].unit,
            )
        console.print(table)
    for check in answer.checks:
        console.print(f"check: {check}", soft_wrap=True)


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

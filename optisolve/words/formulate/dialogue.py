"""A language model fills the declarative schema for a problem that no family covers; what it writes is data and is checked.

Acceptance needs the solver's status, plain arithmetic and, for linear models, a second formulation
(`optisolve.words.freeform`), and here every number of the model must stand in the text. The model is translated back into
words, and nothing is called right before somebody has confirmed that this is what was meant.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optisolve.core.errors import FieldProblem, OptionError
from optisolve.core.seeds import derive
from optisolve.llm.prompts import Prompt, load_prompt
from optisolve.llm.session import LlmSession
from optisolve.llm.types import LlmRequest, Message
from optisolve.words.ask.quantities import IntentError, require_text
from optisolve.words.formulate.doubts import doubts, numbers_of_text
from optisolve.words.formulate.grammar import MAX_ANSWER_TOKENS, freeform_grammar
from optisolve.words.freeform import FreeAnswer, FreeModel, free_model, solve_free
from optisolve.words.freeform.expressions import MAX_NUMBER
from optisolve.words.freeform.schema import Checked

__all__ = ["Modelled", "ask_for_model", "model_in_words"]

_MAX_NUMBERS = 60
_SCHEMA_TOKENS = 1500


@dataclass(frozen=True, eq=False, slots=True)
class Modelled:
    """What came of a text.

    Attributes:
        answer: The answer; None when there is no usable model.
        words: The model translated back, for confirmation.
        problem: Why there is no answer; "" when there is one.
        attempts: Questions sent.
        doubts: What `doubts` asks about the model and the text.
        model: The model; None when none was usable.
        first_valid: The first reply was a model that is in order, whatever its answer.
        raw: The last reply.
        prompt: Name, version and hash of the prompt.
        unanswered: The last question got no reply, so that nothing can be said about the text.
    """

    answer: FreeAnswer | None
    words: tuple[str, ...]
    doubts: tuple[str, ...]
    problem: str
    attempts: int
    model: Checked | None = None
    first_valid: bool = False
    raw: str = ""
    prompt: Mapping[str, str] = field(default_factory=dict)
    unanswered: bool = False

    @property
    def to_confirm(self) -> bool:
        """Accepted by all checks, and no doubt from the text: worth showing for confirmation; never more than that."""
        return self.answer is not None and self.answer.accepted and not self.doubts


def ask_for_model(text: str, session: LlmSession, *, seed: int = 0, reasks: int = 2, tag: str = "freeform") -> Modelled:
    """Let a language model fill the schema; errors of the check go back to it, a bounded number of times.

    A model that continues texts is held to a grammar whose only numbers are those of the text; a chat model gets the JSON
    schema. What comes back is checked in the same way.

    Args:
        text: The problem in words.
        session: An open session.
        seed: Sampling seed.
        reasks: Further questions.
        tag: Place of the question in the session's transcript.

    Raises:
        IntentError: The text cannot be a request.
    """
    require_text(text)
    said = numbers_of_text(text)
    if any(value > MAX_NUMBER for value in said):
        raise IntentError(f"The problem holds a number above {MAX_NUMBER:g}; choose larger units.")
    if len(said) > _MAX_NUMBERS:
        raise IntentError(
            f"The problem holds {len(said)} numbers; at most {_MAX_NUMBERS} are read. Write a model file instead."
        )
    style = session.preferred_style
    prompt, errors, raw, first = load_prompt(f"freeform_{style}"), list[str](), "", False
    for attempt in range(reasks + 1):
        reply = session.ask([_request(text, said, prompt, style, errors, seed, attempt, tag)])[0]
        if reply.failure:
            errors = [f"{reply.failure.replace('_', ' ')}{': ' + reply.detail if reply.detail else ''}"]
            if reply.failure == "budget":
                break
            continue
        raw = reply.texts[0]
        try:
            values = _object(raw)
            checked = free_model(values)
            first = first or attempt == 0
            answer = solve_free(checked)
        except OptionError as error:
            errors = [f"{p.field}: {p.expected}" for p in error.problems][:8]
            continue
        if not answer.accepted and attempt < reasks:
            # what several solvers say holds digits that differ between machines, and a question must not
            errors = [answer.status.partition(":")[0], *(answer.checks if len(answer.checks) == 1 else ())]
            continue
        words, told = model_in_words(checked), prompt.describe()
        return Modelled(answer, words, doubts(checked, text), "", attempt + 1, checked, first, raw, told)
    told = prompt.describe()
    return Modelled(None, (), (), "; ".join(errors), attempt + 1, None, first, raw, told, unanswered=bool(reply.failure))


def _request(
    text: str, said: Sequence[float], prompt: Prompt, style: str, errors: list[str], seed: int, attempt: int, tag: str
) -> LlmRequest:
    body = prompt.render(request=" ".join(text.split()), errors=errors)
    number = int(derive(seed, purpose="freeform", attempt=attempt).generate_state(1)[0]) % 2**31
    if style == "continuation":
        grammar = freeform_grammar(said)
        return LlmRequest(tag, attempt=attempt, prompt=body, max_tokens=MAX_ANSWER_TOKENS, seed=number, grammar=grammar)
    schema = FreeModel.model_json_schema()
    messages = (Message("user", body),)
    return LlmRequest(tag, attempt=attempt, messages=messages, max_tokens=_SCHEMA_TOKENS, seed=number, schema=schema)


def model_in_words(checked: Checked) -> tuple[str, ...]:
    """The model translated back, one line each."""
    model = checked.model
    lines = [f"Elements of {name}: {', '.join(model.elements(name))}." for name in model.sets if model.elements(name)]
    for name, variable in model.variables.items():
        over = f" for every {', '.join(variable.over)}" if variable.over else ""
        bounds = f"from {variable.lower if variable.lower is not None else '-inf'}"
        bounds += f" to {variable.upper}" if variable.upper is not None else ""
        unit = f" {variable.unit}" if variable.unit else ""
        lines.append(
            f"Decide {name}{over}: {variable.kind}, {bounds}{unit}{'; ' + variable.meaning if variable.meaning else ''}."
        )
    for name, parameter in model.parameters.items():
        lines.append(f"Given {name} = {json.dumps(parameter.value)}{' ' + parameter.unit if parameter.unit else ''}.")
    aim = "Minimize" if model.objective.sense == "min" else "Maximize"
    lines.append(f"{aim} {model.objective.expression}{' in ' + model.objective.unit if model.objective.unit else ''}.")
    for constraint in model.constraints:
        each = "".join(f", for every {name} in {owner}" for name, owner in constraint.for_all.items())
        each += f", where {constraint.where}" if constraint.where else ""
        lines.append(f"Such that {constraint.relation}{each} ({constraint.name}).")
    return (*lines, *(f"Note: {note}." for note in checked.notes))


def _object(raw: str) -> Mapping[str, Any]:
    """The first JSON object of a reply.

    Raises:
        OptionError: There is none, or a name stands in it twice, so that one of two meanings would be lost.
    """
    start = raw.find("{")
    try:
        value, _ = json.JSONDecoder(object_pairs_hook=_unique).raw_decode(raw[:50_000], start) if start >= 0 else (None, 0)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise OptionError("model", [FieldProblem("answer", "a text", "one complete JSON object")])
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1] if len(names) <= 5000 else names[:1]
    if twice:
        raise OptionError("model", [FieldProblem(twice[0][:40], "a name that stands twice", "every name once")])
    return dict(pairs)

"""A language model fills the declarative schema for a problem that no family covers; what it writes is data and is checked.

Acceptance needs the solver's status, plain arithmetic and, for linear models, a second formulation
(`optisolve.words.freeform`), and here every number of the model must stand in the text. The model is translated back into
words, and nothing is called right before somebody has confirmed that this is what was meant.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from optisolve.core.errors import OptionError
from optisolve.core.seeds import derive
from optisolve.llm.dialogue import Dialogue, DialogueReport, Turn, Verdict, worded
from optisolve.llm.forms import Fate, Fault, first_object
from optisolve.llm.prompts import Prompt, load_prompt
from optisolve.llm.session import LlmSession
from optisolve.llm.types import LlmRequest
from optisolve.words.ask.quantities import IntentError, require_text
from optisolve.words.formulate.doubts import doubts, numbers_of_text
from optisolve.words.formulate.grammar import MAX_ANSWER_TOKENS, freeform_grammar
from optisolve.words.freeform import FreeAnswer, FreeModel, free_model, solve_free
from optisolve.words.freeform.expressions import MAX_NUMBER
from optisolve.words.freeform.schema import Checked

__all__ = ["Modelled", "ask_for_model", "model_in_words"]

_MAX_NUMBERS = 60
_SCHEMA_TOKENS = 1500
_MOST_ERRORS = 8
_NEEDED = tuple(name for name, told in FreeModel.model_fields.items() if told.is_required())

_Solved = tuple[Checked, FreeAnswer]


@dataclass(frozen=True, eq=False, slots=True)
class Modelled:
    """What came of a text.

    Attributes:
        turn: The question with the model and its answer, or why there is none.
        dialogue: What was asked and what came of it.
        doubts: What `doubts` asks about the model and the text.
        first_valid: The first reply was a model that is in order, whatever its answer.
    """

    turn: Turn[str, _Solved]
    dialogue: DialogueReport
    doubts: tuple[str, ...]
    first_valid: bool

    @property
    def to_confirm(self) -> bool:
        """Accepted by all checks, and no doubt from the text: worth showing for confirmation; never more than that."""
        return self.turn.answer is not None and self.turn.answer[1].accepted and not self.doubts


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
    style, dialogue = session.preferred_style, Dialogue(session, max_reasks=reasks)
    prompt, usable = load_prompt(f"freeform_{style}"), set[int]()

    def judge(turn: Turn[str, _Solved], raw: str) -> Verdict[_Solved]:
        values, fault = first_object(raw, FreeModel.model_fields)
        if fault is not None:
            return Verdict.rejected(fault)
        try:
            checked = free_model(values)
            usable.add(turn.asked)
            answer = solve_free(checked)
        except OptionError as error:
            reason = "bounds" if all(name in values for name in _NEEDED) else "length"
            told = [f"{p.field}: {p.expected}" for p in error.problems][:_MOST_ERRORS]
            return Verdict(None, ((Fate.REJECTED, reason),), tuple(told))
        if not answer.accepted and turn.asked <= reasks:
            # what several solvers say holds digits that differ between machines, and a question must not
            more = answer.checks if len(answer.checks) == 1 else ()
            return Verdict.rejected(Fault("not accepted", answer.status.partition(":")[0]), *more)
        return Verdict((checked, answer))

    turn = dialogue.ask_one(
        text, lambda turn, attempt: _request(text, said, prompt, style, turn.errors, seed, attempt, tag), judge
    )
    asked = () if turn.answer is None else doubts(turn.answer[0], text)
    return Modelled(turn, dialogue.report(style=style, prompts=prompt.describe()), asked, first_valid=1 in usable)


def _request(
    text: str, said: Sequence[float], prompt: Prompt, style: str, errors: Sequence[str], seed: int, attempt: int, tag: str
) -> LlmRequest:
    continued = style == "continuation"
    return worded(
        prompt.render(request=" ".join(text.split()), errors=list(errors)),
        style,
        tag=tag,
        attempt=attempt,
        seed=int(derive(seed, purpose="freeform", attempt=attempt).generate_state(1)[0]) % 2**31,
        max_tokens=MAX_ANSWER_TOKENS if continued else _SCHEMA_TOKENS,
        schema=FreeModel.model_json_schema(),
        grammar=freeform_grammar(said) if continued else None,
    )


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

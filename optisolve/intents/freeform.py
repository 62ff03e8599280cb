"""A language model fills the declarative schema for a problem that no family covers; what it writes is data and is checked.

Acceptance needs the solver's status, plain arithmetic and, for linear models, a second formulation
(`optisolve.modelling.freeform`), and here every number of the model must stand in the text. The model is translated back into
words, and nothing is called right before somebody has confirmed that this is what was meant.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from optisolve.core.errors import OptionError
from optisolve.core.seeds import derive
from optisolve.intents.quantities import require_text
from optisolve.llm.prompts import load_prompt
from optisolve.llm.session import LlmSession
from optisolve.llm.types import LlmRequest, Message
from optisolve.modelling.freeform import FreeAnswer, FreeModel, free_model, solve_free
from optisolve.modelling.freeform.expressions import numbers_in, parse_expression, parse_relation
from optisolve.modelling.freeform.schema import Checked

__all__ = ["Modelled", "ask_for_model", "model_in_words", "ungrounded_numbers"]

_STRUCTURAL = (0.0, 1.0, 2.0)
"""Constants that a model may hold without the text naming them: bounds at zero, unit coefficients, squares."""
_NUMBER = re.compile(r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?(?:[eE][-+]?\d{1,3})?")


@dataclass(frozen=True, eq=False, slots=True)
class Modelled:
    """What came of a text.

    Attributes:
        answer: The answer; None when there is no usable model.
        words: The model translated back, for confirmation.
        assumed: Numbers of the model that do not stand in the text.
        problem: Why there is no answer; "" when there is one.
        attempts: Questions sent.
    """

    answer: FreeAnswer | None
    words: tuple[str, ...]
    assumed: tuple[float, ...]
    problem: str
    attempts: int

    @property
    def to_confirm(self) -> bool:
        """Accepted by all checks, with every number grounded: worth showing for confirmation; never more than that."""
        return self.answer is not None and self.answer.accepted and not self.assumed


def ask_for_model(text: str, session: LlmSession, *, seed: int = 0, reasks: int = 2) -> Modelled:
    """Let a language model fill the schema; errors of the check go back to it, a bounded number of times.

    Args:
        text: The problem in words.
        session: An open session.
        seed: Sampling seed.
        reasks: Further questions.

    Raises:
        IntentError: The text cannot be a request.
    """
    require_text(text)
    prompt, errors = load_prompt("freeform_schema"), list[str]()
    for attempt in range(reasks + 1):
        body = prompt.render(request=" ".join(text.split()), errors=errors)
        request = LlmRequest(
            tag="freeform",
            attempt=attempt,
            messages=(Message("user", body),),
            max_tokens=1500,
            seed=int(derive(seed, purpose="freeform", attempt=attempt).generate_state(1)[0]) % 2**31,
            schema=FreeModel.model_json_schema(),
        )
        reply = session.ask([request])[0]
        if reply.failure:
            errors = [f"no answer ({reply.failure})"]
            continue
        values = _object(reply.texts[0])
        if values is None:
            errors = ["the answer is no JSON object"]
            continue
        try:
            checked = free_model(values)
        except OptionError as error:
            errors = [str(p) for p in error.problems][:8]
            continue
        answer = solve_free(checked)
        if not answer.accepted and attempt < reasks:
            errors = [answer.status, *answer.checks]
            continue
        return Modelled(answer, model_in_words(checked), ungrounded_numbers(checked, text), "", attempt + 1)
    return Modelled(None, (), (), "; ".join(errors), reasks + 1)


def ungrounded_numbers(checked: Checked, text: str) -> tuple[float, ...]:
    """Numbers of a model that the text does not hold; percentages count as written and as shares."""
    said = {float(m.group().replace(",", "")) for m in _NUMBER.finditer(text)}
    said |= {value / 100.0 for value in said} | set(_STRUCTURAL)
    used: list[float] = [float(v) for array in checked.data.values() for v in np.ravel(array)]
    used += numbers_in(parse_expression(checked.model.objective.expression))
    for constraint in checked.model.constraints:
        relation = parse_relation(constraint.relation)
        used += numbers_in(relation.left) + numbers_in(relation.right)
    for variable in checked.model.variables.values():
        used += [v for v in (variable.lower, variable.upper) if v is not None]
    used += [float(size) for size in checked.model.sets.values() if not _spelled_by_data(size, checked)]
    return tuple(dict.fromkeys(v for v in used if not any(abs(abs(v) - s) <= 1e-9 * max(1.0, s) for s in said)))


def model_in_words(checked: Checked) -> tuple[str, ...]:
    """The model translated back, one line each."""
    model = checked.model
    lines = []
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
        lines.append(f"Such that {constraint.relation}{each} ({constraint.name}).")
    return tuple(lines)


def _spelled_by_data(size: int, checked: Checked) -> bool:
    """A set whose size is the length of some list of data needs no number of its own in the text."""
    return any(size in array.shape for array in checked.data.values())


def _object(raw: str) -> Mapping[str, Any] | None:
    start = raw.find("{")
    try:
        value, _ = json.JSONDecoder().raw_decode(raw[:50_000], start) if start >= 0 else (None, 0)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None

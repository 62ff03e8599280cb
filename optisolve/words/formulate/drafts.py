"""Problems that no family covers: from words or from a typed model file to an optimum that was checked again.

A typed model needs no language model and can be `SOLVED`. A model that a language model wrote is shown with its answer and can
at most wait for confirmation: all checks compare the answer with the model, and nothing but a person compares the model with
what was meant.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from optisolve.core.budget import Budget, BudgetMeter
from optisolve.core.documents import Json, JsonObject, plain
from optisolve.llm.config import LlmConfig, real_llm
from optisolve.llm.session import LlmSession, SessionReport, open_session
from optisolve.words.formulate.dialogue import Modelled, ask_for_model, model_in_words
from optisolve.words.freeform import FreeAnswer, FreeModel, free_model, solve_free
from optisolve.words.freeform.schema import Checked

__all__ = ["FORMULATE_BUDGET", "FormulateStatus", "Formulated", "formulate", "formulate_in", "formulate_model"]

FORMULATE_BUDGET = Budget(llm_calls=3)
"""What writing a model may cost when nothing is said."""


class FormulateStatus(StrEnum):
    """What came of a problem."""

    SOLVED = "solved"
    """A typed model: the solver's status is optimal, constraints and objective were computed again, a second form agrees."""
    UNCONFIRMED = "unconfirmed"
    """A language model's model passed the same checks and holds the text's numbers; whether it is what was meant is open."""
    ASKED = "asked"
    """Text and model differ in numbers or in the sense of the aim, or the language model gave no model that can be used or none
    at all."""
    NO_OPTIMUM = "no_optimum"
    """Proven: the model has no feasible point, or its objective has no limit."""
    REFUSED = "refused"
    """Not convex, not solved within the time, or a check failed: nothing is claimed."""


@dataclass(frozen=True, eq=False, slots=True)
class Formulated:
    """The answer to a problem without a family.

    Attributes:
        status: What came of it.
        answer: Of the solver, with its checks; None without a model.
        words: The model in words, made from the model alone.
        questions: What the user should answer.
        model: The checked model; None when there is none.
        modelled: What the language model did; None for typed models.
        llm: Language model, parameters and counters; None for typed models.
    """

    status: FormulateStatus
    answer: FreeAnswer | None
    words: tuple[str, ...]
    questions: tuple[str, ...] = ()
    model: Checked | None = None
    modelled: Modelled | None = None
    llm: SessionReport | None = None

    def plain(self) -> dict[str, Json]:
        """JSON-compatible."""
        answer, dialogue = self.answer, None if self.modelled is None else self.modelled.dialogue
        accepted = answer is not None and answer.accepted
        return {
            "status": self.status.value,
            "model": None if self.model is None else self.model.model.model_dump(mode="json", exclude_defaults=True),
            "back_translation": list(self.words),
            "questions": list(self.questions),
            "solver_status": None if answer is None else answer.status,
            "objective": answer.objective if answer is not None and accepted else None,
            "values": None if answer is None else dict(answer.values) if accepted else {},
            "checks": [] if answer is None else list(answer.checks),
            "language_model": plain(self.llm),
            "model_answer": None if self.modelled is None else self.modelled.turn.text,
            "prompt": {} if dialogue is None else dialogue.prompts,
            "dialogue": None if dialogue is None else dialogue.plain(),
        }


def formulate(
    text: str,
    *,
    llm: LlmConfig | str = "auto",
    budget: Budget | None = None,
    seed: int = 0,
    transcript: Path | None = None,
) -> Formulated:
    """Let a language model formulate a problem, and solve what it wrote.

    Args:
        text: The problem in words.
        llm: Language model.
        budget: Limits of the conversation.
        seed: Seed of the model's sampling.
        transcript: Where the conversation is written.

    Raises:
        OptisolveError: The text is no request, or no language model can be had.
    """
    config = real_llm(llm, "Write the model yourself and give file=model.yml, which needs none")
    meter = BudgetMeter(FORMULATE_BUDGET if budget is None else budget)
    with open_session(config, meter, transcript=transcript, seed=seed) as session:
        return formulate_in(session, text, seed=seed)


def formulate_in(session: LlmSession, text: str, *, seed: int = 0, reasks: int = 2, tag: str = "freeform") -> Formulated:
    """`formulate` in an open session, which may serve many problems.

    Args:
        session: The session.
        text: The problem in words.
        seed: Seed of the model's sampling.
        reasks: Further questions after a model that cannot be used.
        tag: Place of the question in the session's transcript.
    """
    told = ask_for_model(text, session, seed=seed, reasks=reasks, tag=tag)
    if told.turn.answer is None:
        question = f"The language model gave no model that can be used ({told.turn.why}). Say it in other words?"
        if told.turn.unheard:
            question = f"The language model did not answer ({told.turn.why}). The words are not the cause; ask again?"
        return Formulated(FormulateStatus.ASKED, None, (), (question,), None, told, session.describe())
    model, answer = told.turn.answer
    questions, status = list(told.doubts), _status(answer)
    if status is FormulateStatus.SOLVED:
        status = FormulateStatus.UNCONFIRMED if told.to_confirm else FormulateStatus.ASKED
        questions.append("Is this the problem that you meant? Nothing but you can tell.")
    return Formulated(status, answer, model_in_words(model), tuple(questions), model, told, session.describe())


def formulate_model(model: JsonObject | FreeModel | Checked) -> Formulated:
    """Solve a typed model; no language model is called.

    Args:
        model: See `optisolve.words.freeform.FreeModel`.

    Raises:
        OptionError: The model is not in order; everything that is wrong is listed.
    """
    checked = model if isinstance(model, Checked) else free_model(model)
    answer = solve_free(checked)
    return Formulated(_status(answer), answer, model_in_words(checked), model=checked)


def _status(answer: FreeAnswer) -> FormulateStatus:
    if answer.accepted:
        return FormulateStatus.SOLVED
    proven = answer.status in ("infeasible", "unbounded")
    return FormulateStatus.NO_OPTIMUM if proven else FormulateStatus.REFUSED

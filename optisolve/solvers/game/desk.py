"""The desk where a language model plays: one question per agent and round, every answer with its fate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.documents import JsonObject
from optisolve.core.options import Options
from optisolve.core.seeds import generator
from optisolve.llm.candidates import judge, parse_points, parse_rows
from optisolve.llm.dialogue import BUDGET, Dialogue, Turn, Verdict, worded
from optisolve.llm.forms import Fate, grammar_of, line_grammar, schema_of
from optisolve.llm.notes import clean_note
from optisolve.llm.prompts import StyleName, load_prompt, named_prompt, require_style
from optisolve.llm.session import LlmSession
from optisolve.llm.types import LlmRequest, NoteBehind, PointsBehind
from optisolve.numerics.games import AgentGame
from optisolve.solvers.game import words
from optisolve.solvers.game.loop import REFUSED, Move, Rules
from optisolve.solvers.game.memory import Experience, Memory, Notebook
from optisolve.solvers.game.views import View
from optisolve.solvers.game.words import Question

__all__ = ["DeskOptions", "LlmDesk"]

_REFLECT = "game_reflect"
_MESSAGE_TOKENS, _LESSON_TOKENS = 40, 60
_LINE = line_grammar('" " [A-Z] [a-zA-Z0-9 ,%-]{10,160} "."')
"""GBNF of one sentence, for models that continue a text."""


@dataclass(frozen=True)  # without slots, so that a solver can have other options beside them
class DeskOptions(Options):
    """What the model's agents are asked and what they remember.

    Args:
        style: Prompt style: ``"schema"`` for chat models, ``"continuation"`` for small ones, ``"auto"`` asks the model.
        prompt: Prompt to use, ``"NAME.vVERSION"`` or ``"NAME"``; the name ends with its style. None means the style's own.
        memory: ``"none"``: the last round. ``"window"``: the last `window` rounds. ``"strategies"``: the rounds most like the
            present one beside the latest, and lessons that the model wrote about earlier rounds, found by likeness.
        window: Rounds shown at most.
        reflect_every: Rounds between lessons; one more call per agent.
        n_lessons: Lessons shown.
        talks: Chat agents may add words to the messages for their neighbors.
        max_reasks: Further questions after an answer without a level; then the agent stays where it is, recorded as fallback.
        warn_share: Share of fallbacks above which the report holds a warning.
        placebo: Shuffle the levels against what was measured in every question: the model is asked as often and told nothing.
    """

    style: StyleName = "auto"
    prompt: str | None = None
    memory: Memory = "window"
    window: Annotated[int, Ge(1), Le(100)] = 6
    reflect_every: Annotated[int, Ge(1)] = 5
    n_lessons: Annotated[int, Ge(1), Le(20)] = 2
    talks: bool = True
    max_reasks: Annotated[int, Ge(0), Le(10)] = 1
    warn_share: Annotated[float, Ge(0), Le(1)] = 0.2
    placebo: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class _Seat:
    """What one agent is asked in a turn, and the order in which a placebo shows its levels."""

    question: Question
    order: IntArray | None


@dataclass(frozen=True, slots=True)
class _Level:
    """What an agent answered: a level, who made it, and its words for the others."""

    level: float
    source: str
    said: str


_Turn = Turn[_Seat, _Level]


class LlmDesk:
    """Asks a language model for the next action of every agent that it plays; all questions of a turn are in flight together.

    An answer that holds no level is asked for again, with its error, at most `max_reasks` times; then the agent stays where it
    is, recorded as ``"fallback"``. What is drawn at random depends on the run's seed, the round and the agent alone.

    Args:
        session: The conversation with the model.
        game: The game.
        options: What is asked and remembered.
        rules: How the game is played.
        levels: Actions are whole numbers from 0 to this one.
        intent: What the operator of the network asks of everybody, "" for nothing.
        seed: The run's seed.
    """

    def __init__(
        self,
        session: LlmSession,
        game: AgentGame,
        options: DeskOptions,
        rules: Rules,
        *,
        levels: int,
        intent: str,
        seed: int,
    ) -> None:
        self._game, self._options, self._levels, self._intent, self._seed = game, options, levels, intent, seed
        self._style = require_style(session, "game", options.style, options.prompt)
        self._reach = None if rules.max_step is None else round(rules.max_step * levels)
        self._dialogue = Dialogue(session, max_reasks=options.max_reasks)
        self._prompt = named_prompt(options.prompt or f"game_{self._style}")
        self._talks = options.talks and rules.information == "neighbors" and self._style == "schema"
        self._books = [Notebook(options.memory, options.window, levels) for _ in range(game.n_agents)]
        self._lessons = self._empty_lessons = 0

    # -- playing ---------------------------------------------------------------------------------------------------

    def moves(self, views: Sequence[View]) -> list[Move]:
        """One move per view."""
        if self._options.memory == "strategies":
            self._reflect(views)
        turns = [_Turn(self._seat(view)) for view in views]
        self._dialogue.ask(
            turns,
            lambda group, attempt: self._request(group[0], attempt),
            lambda _, texts: [self._judge(texts[0])],
        )
        return [self._move(turn) for turn in turns]

    def learn(self, round_index: int, x: FloatArray, signal: FloatArray, utility: FloatArray) -> None:
        """What every agent measured after a round, float64 [K] each."""
        width = np.where(self._game.upper > self._game.lower, self._game.upper - self._game.lower, 1.0)
        level = np.rint(self._levels * (x - self._game.lower) / width).astype(np.int64)
        for k, book in enumerate(self._books):
            book.learn(Experience(round_index, int(level[k]), float(signal[k]), float(utility[k])))

    def report(self) -> JsonObject:
        """Deterministic figures so far: those of the dialogue, and of the lessons."""
        share = self._dialogue.fallback_share
        warning = (
            f"agents stood still in {share:.0%} of the language model's moves, since it gave no usable answer "
            f"({self._dialogue.failures})"
        )
        prompts = self._prompt.describe()
        if self._options.memory == "strategies":
            prompts |= load_prompt(_REFLECT).describe()
        warning = warning if share > self._options.warn_share else ""
        report = self._dialogue.report(style=self._style, prompts=prompts, warning=warning)
        return {**report.plain(), "lessons": self._lessons, "empty_lessons": self._empty_lessons}

    def _rng(self, view: View, purpose: str, attempt: int = 0) -> np.random.Generator:
        return generator(self._seed, operator="game", purpose=purpose, round=view.round, agent=view.agent, attempt=attempt)

    def _seat(self, view: View) -> _Seat:
        book, options = self._books[view.agent], self._options
        *earlier, latest = book.shown()
        # Who does not move first measures what others have just done; in simultaneous play this is the row as it was.
        rows = (*earlier, replace(latest, signal=view.signal, utility=view.utility))
        question = Question(view, rows, tuple(book.lessons(options.n_lessons)))
        if not options.placebo:
            return _Seat(question, None)
        # The table drops rows of equal level, so the permutation has the length of what will be shown.
        size = len(words.log_rows(self._game, rows)[0]) if self._style == "continuation" else len(rows)
        return _Seat(question, self._rng(view, "placebo").permutation(size))

    def _request(self, turn: _Turn, attempt: int) -> LlmRequest:
        seat = turn.question
        view, question = seat.question.view, replace(seat.question, errors=turn.errors)
        form = words.answer_form(self._levels, talks=self._talks)
        shown = [[row.level] for row in question.rows]
        if self._style == "continuation":
            told = words.table_variables(self._game, question, self._levels, seat.order)
            grammar, tokens = words.level_line(self._levels), 16
        else:
            told = self._chat(question, talks=self._talks, reach=self._reach, order=seat.order)
            grammar, tokens = grammar_of(form), 160 if self._talks else 48
        return worded(
            self._prompt.render(**told),
            self._style,
            tag=f"round={view.round + 1}/agent={view.agent}",
            attempt=attempt,
            seed=int(self._rng(view, "sampling", attempt).integers(2**31)),
            max_tokens=tokens,
            schema=schema_of(form),
            grammar=grammar,
            behind=PointsBehind(("level",), [self._levels], 1, [shown], [0] if self._style == "continuation" else None),
        )

    def _chat(
        self, question: Question, *, talks: bool, reach: int | None = None, order: IntArray | None = None
    ) -> dict[str, object]:
        return words.chat_variables(
            self._game, question, self._levels, talks=talks, intent=self._intent, reach=reach, order=order
        )

    def _judge(self, text: str) -> Verdict[_Level]:
        table = self._style == "continuation"
        rows = parse_rows(text, 1, 1) if table else parse_points(text, ["level"], 1)
        (candidate,) = judge(rows, 1, np.array([self._levels]), np.empty((0, 1), dtype=np.int64))
        fates = [(candidate.fate, candidate.reason)]
        if not candidate.fate.usable or candidate.numbers is None:
            return Verdict(None, fates, (candidate.detail,))
        said = clean_note(words.message_in(text), _MESSAGE_TOKENS) if self._talks else ""
        return Verdict(_Level(float(candidate.numbers[0]), "llm" if candidate.fate is Fate.OK else "repaired", said), fates)

    def _move(self, turn: _Turn) -> Move:
        view, answer = turn.question.question.view, turn.answer
        if answer is None:
            return Move(view.action, REFUSED if turn.failure == BUDGET else "fallback")
        share = answer.level / self._levels
        return Move(view.lower + share * (view.upper - view.lower), answer.source, answer.said)

    # -- lessons ---------------------------------------------------------------------------------------------------

    def _reflect(self, views: Sequence[View]) -> None:
        """Ask agents whose lesson is due; what the budget refuses is left out."""
        every = self._options.reflect_every
        due = [view for view in views if view.round > 0 and view.round % every == 0]
        if not due:
            return
        notes = self._dialogue.notes([self._lesson(view, self._books[view.agent].seen[-every - 1 :]) for view in due])
        for view, note in zip(due, notes, strict=True):
            if note is None:
                continue
            text, book = clean_note(note, _LESSON_TOKENS), self._books[view.agent]
            self._lessons += bool(text)
            self._empty_lessons += not text
            if text:
                book.keep(text)

    def _lesson(self, view: View, seen: Sequence[Experience]) -> LlmRequest:
        """The question for one lesson about some rounds."""
        prompt, told = load_prompt(_REFLECT), self._chat(Question(view, tuple(seen)), talks=False)
        gains = np.diff([row.utility for row in seen])
        return worded(
            prompt.render(**{name: told[name] for name in prompt.variables}),
            self._style,
            tag=f"round={view.round + 1}/agent={view.agent}/lesson",
            attempt=0,
            seed=int(self._rng(view, "lesson").integers(2**31)),
            max_tokens=80,
            grammar=_LINE if self._style == "continuation" else None,
            behind=NoteBehind(made=int(gains.size), kept=int((gains > 0.0).sum())),
        )

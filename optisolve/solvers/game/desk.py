"""The desk where a language model plays: one question per agent and round, every answer with its fate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.seeds import generator
from optisolve.llm.candidates import Candidate, Fate, Row, judge, parse_points, parse_rows
from optisolve.llm.notes import clean_note
from optisolve.llm.prompts import Prompt, load_prompt, named_prompt
from optisolve.llm.session import LlmSession
from optisolve.llm.types import LlmReply, LlmRequest, Message
from optisolve.numerics.games import AgentGame
from optisolve.solvers.game import words
from optisolve.solvers.game.loop import REFUSED, Move
from optisolve.solvers.game.memory import Experience, Memory, Notebook
from optisolve.solvers.game.views import View
from optisolve.solvers.game.words import Question

__all__ = ["LlmDesk"]

_REFLECT = "game_reflect"
_MESSAGE_TOKENS = 40
_LINE = 'root ::= " " [A-Z] [a-zA-Z0-9 ,%-]{10,160} "."\n'
"""GBNF of one sentence, for models that continue a text."""


@dataclass(slots=True)
class _Query:
    question: Question
    order: IntArray | None
    candidate: Candidate | None = None
    said: str = ""
    failure: str = ""
    errors: list[str] = field(default_factory=list)

    @property
    def usable(self) -> bool:
        return self.candidate is not None and self.candidate.fate.usable


class LlmDesk:
    """Asks a language model for the next action of every agent that it plays; all questions of a turn are in flight together.

    An answer that holds no level is asked for again, with its error, at most `max_reasks` times; then the agent stays where it
    is, recorded as ``"fallback"``. What is drawn at random depends on the run's seed, the round and the agent alone.

    Args:
        session: The conversation with the model.
        game: The game.
        seed: The run's seed.
        style: ``"schema"`` or ``"continuation"``.
        prompt: Prompt to use, or None for the style's own.
        levels: Actions are whole numbers from 0 to this one.
        memory: What agents remember.
        window: Rounds shown at most.
        reflect_every: Rounds between lessons, with memory ``"strategies"``.
        n_lessons: Lessons shown.
        max_reasks: Further questions after an answer without a level.
        talks: Agents may add words to their messages; schema style only.
        intent: What the operator of the network asks of everybody, "" for nothing.
        reach: Levels that an agent may move in one round, None for any number.
        placebo: Shuffle the levels against what was measured: a control that tells the model nothing.
        warn_share: Share of fallbacks above which the report holds a warning.
    """

    def __init__(
        self,
        session: LlmSession,
        game: AgentGame,
        *,
        seed: int,
        style: str,
        prompt: str | None = None,
        levels: int,
        memory: Memory,
        window: int,
        reflect_every: int,
        n_lessons: int,
        max_reasks: int,
        talks: bool,
        intent: str,
        reach: int | None,
        placebo: bool,
        warn_share: float,
    ) -> None:
        self._session, self._game, self._seed, self._style = session, game, seed, style
        self._prompt: Prompt = named_prompt(prompt or f"game_{style}")
        self._levels, self._memory, self._reflect_every, self._n_lessons = levels, memory, reflect_every, n_lessons
        self._max_reasks, self._talks = max_reasks, talks and style == "schema"
        self._intent, self._reach = intent, reach
        self._placebo, self._warn_share = placebo, warn_share
        self._books = [Notebook(memory, window, levels) for _ in range(game.n_agents)]
        self._played: set[int] = set()
        self._fates: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._fallbacks: Counter[str] = Counter()
        self._moves = self._refused = self._calls = self._reasks = self._lessons = self._empty_lessons = 0

    # -- playing ---------------------------------------------------------------------------------------------------

    def moves(self, views: Sequence[View]) -> list[Move]:
        """One move per view."""
        self._played.update(view.agent for view in views)
        if self._memory == "strategies":
            self._reflect(views)
        queries = [self._query(view) for view in views]
        pending = queries
        for attempt in range(self._max_reasks + 1):
            if not pending:
                break
            pending = self._ask(pending, attempt)
        return [self._move(query) for query in queries]

    def learn(self, round_index: int, x: FloatArray, signal: FloatArray, utility: FloatArray) -> None:
        """What every agent measured after a round, float64 [K] each."""
        width = np.where(self._game.upper > self._game.lower, self._game.upper - self._game.lower, 1.0)
        level = np.rint(self._levels * (x - self._game.lower) / width).astype(np.int64)
        for k, book in enumerate(self._books):
            book.learn(Experience(round_index, int(level[k]), float(signal[k]), float(utility[k])))

    def report(self) -> dict[str, Any]:
        """Deterministic figures so far: calls, fates, fallbacks, tokens, prompts, a warning or ""."""
        served = self._moves - self._refused
        share = sum(self._fallbacks.values()) / served if served else 0.0
        told = ", ".join(f"{count} {reason}" for reason, count in sorted(self._fallbacks.items()))
        warning = f"agents stood still in {share:.0%} of the language model's moves, since it gave no usable answer ({told})"
        prompts = self._prompt.describe()
        if self._memory == "strategies":
            prompts |= load_prompt(_REFLECT).describe()
        return {
            "style": self._style,
            "moves": self._moves,
            "calls": self._calls,
            "reasks": self._reasks,
            "refused_by_budget": self._refused,
            "fates": {fate.value: self._fates[fate.value] for fate in Fate},
            "reasons": dict(sorted(self._reasons.items())),
            "fallbacks": dict(sorted(self._fallbacks.items())),
            "lessons": self._lessons,
            "empty_lessons": self._empty_lessons,
            "tokens_in": self._session.tokens_in,
            "tokens_out": self._session.tokens_out,
            "usd": self._session.usd,
            "prompts": prompts,
            "warning": warning if share > self._warn_share else "",
        }

    def _rng(self, view: View, purpose: str, attempt: int = 0) -> np.random.Generator:
        return generator(self._seed, operator="game", purpose=purpose, round=view.round, agent=view.agent, attempt=attempt)

    def _query(self, view: View) -> _Query:
        book = self._books[view.agent]
        *earlier, latest = book.shown()
        # Who does not move first measures what others have just done; in simultaneous play this is the row as it was.
        rows = (*earlier, replace(latest, signal=view.signal, utility=view.utility))
        lessons = tuple(book.lessons(self._n_lessons))
        question = Question(view, rows, lessons)
        order = None
        if self._placebo:
            # The table drops rows of equal level, so the permutation has the length of what will be shown.
            size = len(words.log_rows(self._game, rows)[0]) if self._style == "continuation" else len(rows)
            order = self._rng(view, "placebo").permutation(size)
        return _Query(question, order)

    def _ask(self, queries: list[_Query], attempt: int) -> list[_Query]:
        """One round of questions; returns those that deserve another one."""
        replies = self._session.ask([self._request(query, attempt) for query in queries])
        again = []
        for query, reply in zip(queries, replies, strict=True):
            if reply.failure == "budget":
                query.failure = query.failure or "budget"
                continue
            self._calls += 1
            self._reasks += attempt > 0
            self._read(query, reply)
            if query.failure == "invalid":
                again.append(query)
        return again

    def _request(self, query: _Query, attempt: int) -> LlmRequest:
        view = query.question.view
        question = replace(query.question, errors=tuple(query.errors))
        known = [row.level for row in question.rows]
        common: dict[str, Any] = {
            "tag": f"round={view.round + 1}/agent={view.agent}",
            "attempt": attempt,
            "seed": int(self._rng(view, "sampling", attempt).integers(2**31)),
        }
        if self._style == "continuation":
            told = words.table_variables(self._game, question, self._levels, query.order)
            return LlmRequest(
                prompt=self._prompt.render(**told),
                max_tokens=16,
                grammar=words.table_grammar(self._levels),
                context=self._context(known),
                **common,
            )
        told = words.chat_variables(
            self._game, question, self._levels, talks=self._talks, intent=self._intent, reach=self._reach, order=query.order
        )
        return LlmRequest(
            messages=(Message("user", self._prompt.render(**told)),),
            max_tokens=160 if self._talks else 48,
            schema=words.answer_schema(self._levels, talks=self._talks),
            grammar=words.answer_grammar(self._levels, talks=self._talks),
            context=self._context(known),
            **common,
        )

    def _context(self, known: Sequence[int]) -> dict[str, Any]:
        """The numbers behind the question, for the surrogate: the levels seen stand in for an operator's parents."""
        return {
            "style": self._style,
            "batched": False,
            "names": ("level",),
            "levels": [self._levels],
            "count": 1,
            "tasks": [{"parents": [[level] for level in known], "targets": [0]}],
        }

    def _read(self, query: _Query, reply: LlmReply) -> None:
        if not reply.ok:
            query.failure = reply.failure
            return
        text = reply.texts[0] if reply.texts else ""
        rows: list[Row] = parse_rows(text, 1, 1) if self._style == "continuation" else parse_points(text, ["level"], 1)
        (candidate,) = judge(rows, 1, np.array([self._levels]), np.empty((0, 1), dtype=np.int64))
        self._fates[candidate.fate.value] += 1
        if candidate.reason:
            self._reasons[candidate.reason] += 1
        query.candidate, query.failure = candidate, "" if candidate.fate.usable else "invalid"
        query.said = clean_note(words.message_in(text), _MESSAGE_TOKENS) if self._talks else ""
        if candidate.detail:
            query.errors.append(candidate.detail)

    def _move(self, query: _Query) -> Move:
        view, candidate = query.question.view, query.candidate
        self._moves += 1
        if query.usable and candidate is not None and candidate.numbers is not None:
            share = float(candidate.numbers[0]) / self._levels
            source = "llm" if candidate.fate is Fate.OK else "repaired"
            return Move(view.lower + share * (view.upper - view.lower), source, query.said)
        if query.failure == "budget":
            self._refused += 1
            return Move(view.action, REFUSED)
        self._fallbacks[query.failure] += 1
        return Move(view.action, "fallback")

    # -- lessons ---------------------------------------------------------------------------------------------------

    def _reflect(self, views: Sequence[View]) -> None:
        """Ask agents whose lesson is due; what the budget refuses is left out."""
        due = [view for view in views if view.round > 0 and view.round % self._reflect_every == 0]
        if not due:
            return
        requests = []
        for view in due:
            told = words.chat_variables(
                self._game,
                Question(view, tuple(self._books[view.agent].seen[-self._reflect_every - 1 :]), ()),
                self._levels,
                talks=False,
                intent=self._intent,
            )
            text = load_prompt(_REFLECT).render(**{name: told[name] for name in load_prompt(_REFLECT).variables})
            form: dict[str, Any] = {"messages": (Message("user", text),)}
            if self._style == "continuation":
                form = {"prompt": text, "grammar": _LINE}
            gains = np.diff([row.utility for row in self._books[view.agent].seen[-self._reflect_every - 1 :]])
            requests.append(
                LlmRequest(
                    tag=f"round={view.round + 1}/agent={view.agent}/lesson",
                    seed=int(self._rng(view, "lesson").integers(2**31)),
                    max_tokens=80,
                    context={"reflection": {"kept": int((gains > 0.0).sum()), "made": int(gains.size)}},
                    **form,
                )
            )
        for view, reply in zip(due, self._session.ask(requests), strict=True):
            if reply.failure == "budget":
                continue
            self._calls += 1
            text = clean_note(reply.texts[0], 60) if reply.ok and reply.texts else ""
            self._lessons += bool(text)
            self._empty_lessons += not text
            if text:
                book = self._books[view.agent]
                book.library.add(book.situation(), text)

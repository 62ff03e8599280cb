"""Asking a language model until it answers: ask, judge, ask again with the reason, then the recorded fallback.

Everybody who needs a usable answer asks through a `Dialogue`, so that the same misbehaving reply has the same fate everywhere:
what cannot be used is asked for again at most `max_reasks` times and told what was wrong; a call that failed is not repeated
here, since the session has tried again already; what the budget refuses is not asked. Counts and their names are those of
`DialogueReport`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from optisolve.core.documents import Json, JsonObject, plain
from optisolve.llm.forms import Fate, Fault
from optisolve.llm.session import LlmSession
from optisolve.llm.types import LlmReply, LlmRequest, Message, NoteBehind, PointsBehind

__all__ = ["BUDGET", "Dialogue", "DialogueReport", "Turn", "Verdict", "worded"]

Q = TypeVar("Q")
A = TypeVar("A")

BUDGET = "budget"
"""Failure of a question that the budget did not allow."""
_INVALID = "invalid"
"""Failure of a question whose answers could not be used."""


@dataclass(slots=True, eq=False)
class Turn(Generic[Q, A]):
    """One question and what has come of it.

    Attributes:
        question: What is asked.
        answer: The usable answer; None while there is none.
        failure: Why there is none: `BUDGET`, ``"invalid"``, or `LlmReply.failure`; "" when there is one.
        errors: What was wrong with the last answer, for the next question.
        detail: What the session said about a call that failed.
        asked: Questions sent, those that the budget refused left out.
        text: The last reply.
    """

    question: Q
    answer: A | None = None
    failure: str = ""
    errors: tuple[str, ...] = ()
    detail: str = ""
    asked: int = 0
    text: str = ""

    @property
    def unheard(self) -> bool:
        """The last question got no reply, so nothing can be said about the answer."""
        return self.failure not in ("", _INVALID)

    @property
    def why(self) -> str:
        """Why there is no answer, in words; "" when there is one."""
        if not self.unheard:
            return "; ".join(self.errors) if self.failure else ""
        return f"{self.failure.replace('_', ' ')}{': ' + self.detail if self.detail else ''}"


@dataclass(frozen=True, slots=True, eq=False)
class Verdict(Generic[A]):
    """What the judge says about one question's answer.

    Attributes:
        answer: What can be used; None when the question shall be asked again.
        fates: Fate and reason of everything that was asked for, reason "" where it is used as given.
        errors: What was wrong, for the next question.
    """

    answer: A | None
    fates: Sequence[tuple[Fate, str]] = ((Fate.OK, ""),)
    errors: tuple[str, ...] = ()

    @classmethod
    def rejected(cls, fault: Fault, *more: str) -> Verdict[A]:
        """Nothing can be used."""
        return cls(None, ((Fate.REJECTED, fault.reason),), (fault.detail, *more))


@dataclass(frozen=True, slots=True)
class DialogueReport:
    """Deterministic figures of everything that was asked so far.

    Attributes:
        style: ``"schema"`` or ``"continuation"``; "" before the first question.
        targets: Questions that wanted an answer.
        calls: Requests that were sent; a request may hold several questions.
        reasks: Those of them that asked again.
        refused_by_budget: Questions that the budget did not allow.
        candidates: Answers that were judged.
        fates: How many had each fate.
        reasons: How many were changed or refused for each reason.
        fallbacks: Questions that the fallback served, by failure.
        tokens_in: Prompt tokens of the session.
        tokens_out: Completion tokens of the session.
        usd: Cost of the session, US dollars.
        prompts: Prompts by name and version, with their hashes.
        warning: What the user must see, or "".
    """

    style: str
    targets: int
    calls: int
    reasks: int
    refused_by_budget: int
    candidates: int
    fates: Mapping[str, int]
    reasons: Mapping[str, int]
    fallbacks: Mapping[str, int]
    tokens_in: int
    tokens_out: int
    usd: float
    prompts: Mapping[str, str] = field(default_factory=dict)
    warning: str = ""

    def plain(self) -> dict[str, Json]:
        """JSON-compatible."""
        return {name: plain(getattr(self, name)) for name in self.__slots__}


class Dialogue:
    """Asks questions in rounds; all questions of a round are in flight together, and their answers are judged in order.

    Args:
        session: The conversation with the model.
        max_reasks: Further questions after an answer that cannot be used.

    Attributes:
        targets: Questions so far.
    """

    def __init__(self, session: LlmSession, *, max_reasks: int = 1) -> None:
        self.session, self.max_reasks = session, max_reasks
        self._fates: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._fallbacks: Counter[str] = Counter()
        self.targets = self._calls = self._reasks = self._refused = 0

    def ask(
        self,
        turns: Sequence[Turn[Q, A]],
        request: Callable[[Sequence[Turn[Q, A]], int], LlmRequest],
        judge: Callable[[Sequence[Turn[Q, A]], tuple[str, ...]], Sequence[Verdict[A]]],
        *,
        batch: int = 1,
        heard: Callable[[Sequence[Turn[Q, A]], LlmReply], None] | None = None,
    ) -> None:
        """Ask until every question has an answer, or a reason why it has none.

        Args:
            turns: The questions; what comes of them is written into them.
            request: The request for some questions at an attempt (0 for the first); it may read their errors.
            judge: One verdict per question from the completions of a request; at least one completion is given.
            batch: Questions per request.
            heard: Told about every reply that the budget allowed, also when the call failed.
        """
        pending = list(turns)
        for attempt in range(self.max_reasks + 1):
            if not pending:
                break
            groups = [pending[i : i + batch] for i in range(0, len(pending), batch)]
            replies = self.session.ask([request(group, attempt) for group in groups])
            pending = [
                turn
                for group, reply in zip(groups, replies, strict=True)
                for turn in self._heard(group, reply, attempt, judge, heard)
            ]
        self.targets += len(turns)
        self._refused += sum(turn.failure == BUDGET for turn in turns)
        self._fallbacks.update(turn.failure for turn in turns if turn.failure not in ("", BUDGET))

    def ask_one(
        self,
        question: Q,
        request: Callable[[Turn[Q, A], int], LlmRequest],
        judge: Callable[[Turn[Q, A], str], Verdict[A]],
    ) -> Turn[Q, A]:
        """Ask a single question; see `ask`."""
        turn: Turn[Q, A] = Turn(question)
        self.ask([turn], lambda turns, attempt: request(turns[0], attempt), lambda turns, texts: [judge(turns[0], texts[0])])
        return turn

    def notes(self, requests: Sequence[LlmRequest]) -> list[str | None]:
        """Replies in free words, which need no judge: "" for a call that failed, None for one that the budget refused."""
        replies = self.session.ask(requests)
        self._calls += sum(reply.failure != BUDGET for reply in replies)
        return [None if reply.failure == BUDGET else " ".join(reply.texts) if reply.ok else "" for reply in replies]

    @property
    def fallback_share(self) -> float:
        """Share of the questions that the budget allowed and that the fallback served."""
        served = self.targets - self._refused
        return sum(self._fallbacks.values()) / served if served else 0.0

    @property
    def failures(self) -> str:
        """The fallbacks in words, by failure."""
        return ", ".join(f"{count} {reason}" for reason, count in sorted(self._fallbacks.items()))

    def report(self, *, style: str = "", prompts: Mapping[str, str] | None = None, warning: str = "") -> DialogueReport:
        """The figures so far, under the same names for everybody.

        Args:
            style: Prompt style in use.
            prompts: Prompts in use.
            warning: What the user must see, or "".
        """
        return DialogueReport(
            style=style,
            targets=self.targets,
            calls=self._calls,
            reasks=self._reasks,
            refused_by_budget=self._refused,
            candidates=sum(self._fates.values()),
            fates={fate.value: self._fates[fate.value] for fate in Fate},
            reasons=dict(sorted(self._reasons.items())),
            fallbacks=dict(sorted(self._fallbacks.items())),
            tokens_in=self.session.tokens_in,
            tokens_out=self.session.tokens_out,
            usd=self.session.usd,
            prompts={} if prompts is None else prompts,
            warning=warning,
        )

    def _heard(
        self,
        group: Sequence[Turn[Q, A]],
        reply: LlmReply,
        attempt: int,
        judge: Callable[[Sequence[Turn[Q, A]], tuple[str, ...]], Sequence[Verdict[A]]],
        heard: Callable[[Sequence[Turn[Q, A]], LlmReply], None] | None,
    ) -> list[Turn[Q, A]]:
        """Write into some questions what came of their request; returns those that deserve another one."""
        if reply.failure == BUDGET:
            for turn in group:
                turn.failure, turn.detail = turn.failure or BUDGET, reply.detail
            return []
        self._calls += 1
        self._reasks += attempt > 0
        if heard is not None:
            heard(group, reply)
        for turn in group:
            turn.asked, turn.failure, turn.detail = turn.asked + 1, reply.failure, reply.detail
        if not reply.ok:
            return []
        texts = reply.texts or ("",)
        for turn in group:
            turn.text = texts[0]
        for turn, verdict in zip(group, judge(group, texts), strict=True):
            turn.answer, turn.errors = verdict.answer, verdict.errors
            turn.failure = _INVALID if verdict.answer is None else ""
            for fate, reason in verdict.fates:
                self._fates[fate.value] += 1
                if reason:
                    self._reasons[reason] += 1
        return [turn for turn in group if turn.answer is None]


def worded(
    text: str,
    style: str,
    *,
    tag: str,
    attempt: int,
    seed: int,
    max_tokens: int,
    schema: JsonObject | None = None,
    grammar: str | None = None,
    behind: PointsBehind | NoteBehind | None = None,
) -> LlmRequest:
    """A request in a prompt style: a chat with the schema of its answer, or a text to continue under a grammar alone.

    Args:
        text: The prompt.
        style: ``"schema"`` or ``"continuation"``.
        tag: Place of the question in the run.
        attempt: 0 for the first question.
        seed: Sampling seed.
        max_tokens: Most tokens of the answer.
        schema: JSON schema of the answer; chats only.
        grammar: GBNF of the answer.
        behind: Numbers behind the prompt, for the surrogate.
    """
    chat = style != "continuation"
    return LlmRequest(
        tag=tag,
        attempt=attempt,
        seed=seed,
        max_tokens=max_tokens,
        messages=(Message("user", text),) if chat else (),
        prompt=None if chat else text,
        schema=schema if chat else None,
        grammar=grammar,
        behind=behind,
    )

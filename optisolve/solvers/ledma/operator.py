"""The variation operator that asks a language model, and says what became of every answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.documents import JsonObject
from optisolve.core.problem import Instance
from optisolve.core.seeds import generator
from optisolve.llm.candidates import Candidate, Grid, judge
from optisolve.llm.dialogue import BUDGET, Dialogue, Turn, Verdict
from optisolve.llm.forms import Fate
from optisolve.llm.prompts import StyleName, style_name
from optisolve.llm.session import LlmSession
from optisolve.llm.types import LlmReply, LlmRequest
from optisolve.solvers.ledma import words
from optisolve.solvers.ledma.distill import ranked_parents
from optisolve.solvers.ledma.portfolio import Notes
from optisolve.solvers.ledma.prompts import Question, prompt_style
from optisolve.solvers.ledma.reflect import Reflection, Shown
from optisolve.solvers.moead.variation import Feedback, Proposals, Variation, Wave

__all__ = ["LlmVariation", "Offspring", "Operation", "usable_points"]


@dataclass(frozen=True, slots=True)
class Operation:
    """What the operator asks, and how often.

    Attributes:
        style: Prompt style; ``"auto"`` takes the one that the model prefers.
        prompt: Prompt to use, ``"NAME.vVERSION"`` or ``"NAME"``; None means the style's own.
        n_parents: Parents shown per question, the best of the pool; None means 10, and 5 in continuation style.
        parent_tokens: Most tokens, estimated, of the parents shown per question; the worst are left out, two stay.
        n_offspring: Offspring asked for per question, all of them are used.
        batch: Questions per request.
        max_reasks: Further questions after an answer without a usable candidate.
        project: The instance's projection is applied, as the engine will do; otherwise points are only clipped.
        warn_share: Share of fallbacks among the served targets above which the report holds a warning.
        placebo: Show the parents in a random order while their values stay sorted, so that the table says nothing; one
            permutation per question, the same for all of its samples and re-asks.
    """

    style: StyleName = "auto"
    prompt: str | None = None
    n_parents: int | None = None
    parent_tokens: int = 3000
    n_offspring: int = 2
    batch: int = 1
    max_reasks: int = 1
    project: bool = True
    warn_share: float = 0.2
    placebo: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class _Target:
    """One sub-problem of a wave, and what is asked about it."""

    row: int
    index: int
    question: Question


@dataclass(frozen=True, slots=True, eq=False)
class Offspring:
    """Usable candidates of one answer: on the grid as given [k, d], as points [k, d], and who made each."""

    numbers: FloatArray
    X: FloatArray
    labels: list[str]


_Turn = Turn[_Target, Offspring]


class LlmVariation:
    """Asks a language model for the offspring of every target; all of a wave's questions are in flight together.

    A request holds the questions of up to `batch` targets. What an answer leaves without a usable candidate is asked
    again, with its errors, at most `max_reasks` times; then the recorded fallback operator serves the target. Whatever is
    drawn at random depends on the run's seed, the wave and the sub-problems alone, never on the order in which replies
    arrive.

    Sources of the proposals: ``"llm"`` used as given; ``"repaired"`` clipped, rounded or projected to be usable;
    ``"fallback"`` made by the fallback operator because the model failed; the fallback operator's own label where the
    budget allowed no call.

    Args:
        session: The conversation with the model.
        instance: What is optimized.
        fallback: Operator for targets that the model does not serve.
        operation: What is asked, and how often.
        seed: The run's seed.
        notes: Told about every call and every usable answer, or None.
        reflection: Writes notes that later questions quote, or None.
    """

    def __init__(
        self,
        session: LlmSession,
        instance: Instance,
        fallback: Variation,
        operation: Operation,
        *,
        seed: int,
        notes: Notes | None = None,
        reflection: Reflection | None = None,
    ) -> None:
        self._instance, self._fallback, self._operation, self._seed = instance, fallback, operation, seed
        self._notes, self._reflection = notes, reflection
        self._dialogue = Dialogue(session, max_reasks=operation.max_reasks)
        self._grid, self._shown = Grid(instance.space), dict[int, Shown]()
        name = style_name(operation.style, operation.prompt, session.preferred_style)
        self._style = prompt_style(name, operation.prompt, instance, self._grid, batched=operation.batch > 1)
        most = operation.n_parents or (5 if name == "continuation" else 10)
        self._n_parents = max(2, min(most, operation.parent_tokens // words.tokens_per_parent(self._grid.levels)))

    def propose(self, wave: Wave) -> Proposals:
        """Offspring of all targets; at least one per target."""
        self._reflect(wave)
        turns = [_Turn(self._target(wave, row)) for row in range(wave.targets.size)]
        self._shown = {turn.question.index: _shown(turn.question.question) for turn in turns}
        self._dialogue.ask(
            turns,
            lambda group, attempt: self._request(wave, group, attempt),
            self._judge,
            batch=self._operation.batch,
            heard=self._heard,
        )
        return self._proposals(wave, turns)

    def learn(self, feedback: Feedback) -> None:
        """Keep what became of the model's offspring for the next note."""
        if self._reflection is not None:
            self._reflection.ledger.learn(self._instance, self._grid, self._shown, feedback)
            self._shown = {}

    def report(self) -> JsonObject:
        """Deterministic figures of the run so far: those of the dialogue, and of the notes."""
        share, reflection, asked = self._dialogue.fallback_share, self._reflection, self._dialogue.targets > 0
        told = f"the fallback operator served {share:.0%} of the language model's targets ({self._dialogue.failures})"
        prompts = self._style.prompt.describe() if asked else {}
        report = self._dialogue.report(
            style=self._style.name if asked else "",
            prompts=prompts if reflection is None else {**prompts, **reflection.prompts()},
            warning=told if share > self._operation.warn_share else "",
        )
        return {**report.plain(), **({} if reflection is None else {"reflection": reflection.report()})}

    # -- asking ----------------------------------------------------------------------------------------------------

    def _rng(self, wave: Wave, target: int, purpose: str, attempt: int = 0) -> np.random.Generator:
        return generator(self._seed, operator="llm", purpose=purpose, wave=wave.index, sub=target, attempt=attempt)

    def _reflect(self, wave: Wave) -> None:
        """Ask for a note when one is due; its cost counts for this wave's questions, which quote it."""
        if self._reflection is None:
            return
        reply = self._reflection.ask(self._instance, self._grid, wave.index)
        if reply is not None and self._notes is not None:
            self._notes.asked(wave.targets.tolist(), reply)

    def _heard(self, group: Sequence[_Turn], reply: LlmReply) -> None:
        if self._notes is not None:
            self._notes.asked([turn.question.index for turn in group], reply)

    def _target(self, wave: Wave, row: int) -> _Target:
        """Take the best of the target's pool as parents, from worst to best, feasible ones last."""
        target = int(wave.targets[row])
        shown, chosen, values = ranked_parents(wave, row, self._n_parents, self._grid)
        if self._operation.placebo:  # uniform, identity included: a permutation that is never the true one would say something
            shown = shown[self._rng(wave, target, "placebo").permutation(chosen.size)]
        F, violation = wave.F[chosen] * wave.instance.signs, wave.violation[chosen]
        parents = words.Parents(shown, F, violation, values)
        gaps = words.gaps(wave.instance, parents, wave.ideal, wave.nadir)
        return _Target(row, target, Question(parents, wave.weights[target], self._operation.n_offspring, gaps))

    def _request(self, wave: Wave, group: Sequence[_Turn], attempt: int) -> LlmRequest:
        return self._style.request(
            [replace(turn.question.question, errors=turn.errors) for turn in group],
            tag=f"wave={wave.index}/sub={'+'.join(str(turn.question.index) for turn in group)}",
            attempt=attempt,
            seed=int(self._rng(wave, group[0].question.index, "sampling", attempt).integers(2**31)),
            note="" if self._reflection is None else self._reflection.note,
        )

    def _judge(self, group: Sequence[_Turn], texts: tuple[str, ...]) -> list[Verdict[Offspring]]:
        """Give every candidate of an answer its fate; it must differ from all parents that the prompt showed."""
        questions = [turn.question.question for turn in group]
        answers = [self._style.parse(text, questions) for text in texts]
        known = np.concatenate([question.parents.numbers for question in questions])
        siblings: list[Candidate] = []
        verdicts = []
        for i, question in enumerate(questions):
            rows = [row for answer in answers for row in answer[i]]
            candidates = judge(rows, question.count, self._grid.levels, known, siblings)
            siblings += candidates
            verdicts.append(usable_points(candidates, self._instance, self._grid, project=self._operation.project))
        return verdicts

    # -- proposing -------------------------------------------------------------------------------------------------

    def _proposals(self, wave: Wave, turns: list[_Turn]) -> Proposals:
        blocks: list[FloatArray] = []
        owner: list[int] = []
        source: list[str] = []
        for turn in turns:
            X, labels = self._offspring(wave, turn)
            blocks.append(X)
            owner.extend([turn.question.index] * X.shape[0])
            source.extend(labels)
        return Proposals(np.concatenate(blocks), np.array(owner, dtype=np.int64), source)

    def _offspring(self, wave: Wave, turn: _Turn) -> tuple[FloatArray, list[str]]:
        if turn.answer is not None:
            if self._notes is not None:
                self._notes.answered(turn.question.question.parents.numbers, turn.answer.numbers)
            return turn.answer.X, turn.answer.labels
        target = turn.question
        alone = wave.part(np.array([target.row]), self._rng(wave, target.index, "fallback"))
        made = self._fallback.propose(alone)
        return made.X, made.labels if turn.failure == BUDGET else ["fallback"] * made.owner.size


def usable_points(candidates: Sequence[Candidate], instance: Instance, grid: Grid, *, project: bool) -> Verdict[Offspring]:
    """The usable candidates as points; those that the projection moves count as repaired.

    Args:
        candidates: From `optisolve.llm.candidates.judge`.
        instance: What is optimized.
        grid: Its variables as integers.
        project: Points are projected as the engine will do; otherwise they are only clipped.
    """
    fates = [(candidate.fate, candidate.reason) for candidate in candidates]
    usable = [i for i, candidate in enumerate(candidates) if candidate.fate.usable]
    if not usable:
        return Verdict(None, fates, tuple(dict.fromkeys(c.detail for c in candidates if c.detail)))
    numbers = np.stack([numbers for i in usable if (numbers := candidates[i].numbers) is not None])
    X = grid.decode(numbers)
    fixed = instance.project(X) if project else X
    width = np.where(grid.levels > 0, instance.space.upper - instance.space.lower, 1.0)
    moved = np.any(np.abs(fixed - X) > 1e-9 * width, axis=1)
    for i, was_moved in zip(usable, moved.tolist(), strict=True):
        if was_moved and fates[i][0] is Fate.OK:
            fates[i] = (Fate.REPAIRED, "projected")
    labels = ["llm" if fates[i][0] is Fate.OK else "repaired" for i in usable]
    return Verdict(Offspring(numbers, fixed, labels), fates)


def _shown(question: Question) -> Shown:
    parents = question.parents
    return Shown(parents.numbers[-1], parents.F[-1], float(parents.violation[-1]), question.weight)

"""The variation operator that asks a language model, and says what became of every answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.problem import Instance
from optisolve.core.seeds import generator
from optisolve.llm.candidates import Candidate, Fate, judge
from optisolve.llm.scale import Grid
from optisolve.llm.session import LlmSession
from optisolve.llm.types import LlmReply, LlmRequest
from optisolve.solvers.ledma import words
from optisolve.solvers.ledma.account import Watch
from optisolve.solvers.ledma.prompts import Question, Style, StyleName, prompt_style, style_name
from optisolve.solvers.ledma.reflect import Reflection, Shown
from optisolve.solvers.moead.variation import Feedback, Proposals, Variation, Wave

__all__ = ["LlmVariation"]


@dataclass(slots=True)
class _Query:
    """One sub-problem's question and what has come of it."""

    row: int
    target: int
    question: Question
    candidates: list[Candidate] = field(default_factory=list)
    failure: str = ""

    @property
    def usable(self) -> list[Candidate]:
        return [candidate for candidate in self.candidates if candidate.fate.usable]


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
        fallback: Operator for targets that the model does not serve.
        seed: The run's seed.
        style: Prompt style; ``"auto"`` takes the one that the model prefers.
        prompt: Prompt to use, ``"NAME.vVERSION"`` or ``"NAME"``; None means the style's own.
        n_parents: Parents shown per question, the best of the pool; None means 10, and 5 in continuation style.
        parent_tokens: Most tokens, estimated, of the parents shown per question; the worst are left out, two stay.
        n_offspring: Offspring asked for per question, all of them are used.
        batch: Questions per request.
        max_reasks: Further questions after an answer without a usable candidate.
        project: The instance's projection is applied, as the engine will do; None when it only clips.
        warn_share: Share of fallbacks among the served targets above which the report holds a warning.
        placebo: Show the parents in a random order while their values stay sorted, so that the table says nothing; one
            permutation per question, the same for all of its samples and re-asks.
        watch: Told about every call and every usable answer, or None.
        reflection: Writes notes that later questions quote, or None.
    """

    def __init__(
        self,
        session: LlmSession,
        fallback: Variation,
        *,
        seed: int,
        style: StyleName = "auto",
        prompt: str | None = None,
        n_parents: int | None = None,
        parent_tokens: int = 3000,
        n_offspring: int = 2,
        batch: int = 1,
        max_reasks: int = 1,
        project: bool = True,
        warn_share: float = 0.2,
        placebo: bool = False,
        watch: Watch | None = None,
        reflection: Reflection | None = None,
    ) -> None:
        self._session, self._fallback, self._seed = session, fallback, seed
        self._style_name, self._prompt = style_name(style, prompt, session.preferred_style), prompt
        self._n_parents, self._parent_tokens = n_parents, parent_tokens
        self._n_offspring, self._batch = n_offspring, batch
        self._max_reasks, self._project, self._warn_share = max_reasks, project, warn_share
        self._placebo, self._watch, self._reflection = placebo, watch, reflection
        self._shown: dict[int, Shown] = {}
        self._instance: Instance | None = None
        self._style: Style | None = None
        self._grid: Grid | None = None
        self._fates: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._fallbacks: Counter[str] = Counter()
        self._targets = self._refused = self._calls = self._reasks = self._candidates = 0

    def propose(self, wave: Wave) -> Proposals:
        """Offspring of all targets; at least one per target."""
        style, grid = self._prepared(wave.instance)
        self._reflect(wave, grid)
        queries = [self._query(wave, row, grid) for row in range(wave.targets.size)]
        self._shown = {query.target: _shown(query.question) for query in queries}
        pending = queries
        for attempt in range(self._max_reasks + 1):
            if not pending:
                break
            pending = self._ask(wave, style, grid, pending, attempt)
        return self._proposals(wave, queries, grid)

    def learn(self, feedback: Feedback) -> None:
        """Keep what became of the model's offspring for the next note."""
        if self._reflection is not None and self._instance is not None and self._grid is not None:
            self._reflection.ledger.learn(self._instance, self._grid, self._shown, feedback)
            self._shown = {}

    def report(self) -> Mapping[str, Any]:
        """Deterministic figures of the run so far: calls, fates, reasons, fallbacks, tokens, prompts, a warning or ""."""
        served = self._targets - self._refused
        fallbacks = sum(self._fallbacks.values())
        share = fallbacks / served if served else 0.0
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(self._fallbacks.items()))
        warning = f"the fallback operator served {share:.0%} of the language model's targets ({reasons})"
        return {
            "style": "" if self._style is None else self._style.name,
            "targets": self._targets,
            "calls": self._calls,
            "reasks": self._reasks,
            "refused_by_budget": self._refused,
            "candidates": self._candidates,
            "fates": {fate.value: self._fates[fate.value] for fate in Fate},
            "reasons": dict(sorted(self._reasons.items())),
            "fallbacks": dict(sorted(self._fallbacks.items())),
            "tokens_in": self._session.tokens_in,
            "tokens_out": self._session.tokens_out,
            "usd": self._session.usd,
            "prompts": self._prompts(),
            "warning": warning if share > self._warn_share else "",
            **({} if self._reflection is None else {"reflection": dict(self._reflection.report())}),
        }

    def _prompts(self) -> dict[str, str]:
        told = {} if self._style is None else self._style.prompt.describe()
        return told if self._reflection is None else {**told, **self._reflection.prompts()}

    # -- asking ----------------------------------------------------------------------------------------------------

    def _prepared(self, instance: Instance) -> tuple[Style, Grid]:
        if self._style is None or self._grid is None:
            self._grid, self._instance = Grid(instance.space), instance
            self._style = prompt_style(self._style_name, self._prompt, instance, self._grid, batched=self._batch > 1)
            wanted = self._n_parents or (5 if self._style_name == "continuation" else 10)
            self._n_parents = max(2, min(wanted, self._parent_tokens // words.tokens_per_parent(self._grid.levels)))
        return self._style, self._grid

    def _rng(self, wave: Wave, target: int, purpose: str, attempt: int = 0) -> np.random.Generator:
        return generator(self._seed, operator="llm", purpose=purpose, wave=wave.index, sub=target, attempt=attempt)

    def _reflect(self, wave: Wave, grid: Grid) -> None:
        """Ask for a note when one is due; its cost counts for this wave's questions, which quote it."""
        if self._reflection is None:
            return
        reply = self._reflection.ask(wave.instance, grid, wave.index)
        if reply is not None and self._watch is not None:
            self._watch.asked(wave.targets.tolist(), reply)

    def _query(self, wave: Wave, row: int, grid: Grid) -> _Query:
        """Take the best of the target's pool as parents, from worst to best, feasible ones last."""
        target = int(wave.targets[row])
        pool, first = np.unique(wave.mates[row], return_index=True)
        values = wave.values[row][first]
        best_first = np.lexsort((pool, values, wave.violation[pool]))
        order = best_first[: self._n_parents][::-1]  # worst first
        numbers = grid.encode(wave.X[pool[order]])
        # Of points that are equal after rounding the best, which stands last, is kept.
        _, last = np.unique(numbers[::-1], axis=0, return_index=True)
        keep = np.sort(order.size - 1 - last)
        chosen = pool[order[keep]]
        shown = numbers[keep]
        if self._placebo:  # uniform, identity included: a permutation that is never the true one would say something
            shown = shown[self._rng(wave, target, "placebo").permutation(keep.size)]
        F, violation = wave.F[chosen] * wave.instance.signs, wave.violation[chosen]
        parents = words.Parents(shown, F, violation, values[order[keep]])
        gaps = words.gaps(wave.instance, parents, wave.ideal, wave.nadir)
        return _Query(row, target, Question(parents, wave.weights[target], self._n_offspring, gaps))

    def _ask(self, wave: Wave, style: Style, grid: Grid, queries: list[_Query], attempt: int) -> list[_Query]:
        """One round of questions; returns those that deserve another one."""
        batches = [queries[i : i + self._batch] for i in range(0, len(queries), self._batch)]
        replies = self._session.ask([self._request(wave, style, batch, attempt) for batch in batches])
        again: list[_Query] = []
        for batch, reply in zip(batches, replies, strict=True):
            if reply.failure == "budget":
                for query in batch:
                    query.failure = query.failure or "budget"
                continue
            self._calls += 1
            self._reasks += attempt > 0
            if self._watch is not None:
                self._watch.asked([query.target for query in batch], reply)
            self._read(batch, reply, style, grid)
            again += [query for query in batch if query.failure == "invalid"]
        return again

    def _request(self, wave: Wave, style: Style, batch: Sequence[_Query], attempt: int) -> LlmRequest:
        return style.request(
            [replace(query.question, errors=_errors(query.candidates)) for query in batch],
            tag=f"wave={wave.index}/sub={'+'.join(str(query.target) for query in batch)}",
            attempt=attempt,
            seed=int(self._rng(wave, batch[0].target, "sampling", attempt).integers(2**31)),
            note="" if self._reflection is None else self._reflection.note,
        )

    def _read(self, batch: Sequence[_Query], reply: LlmReply, style: Style, grid: Grid) -> None:
        """Give every candidate of an answer its fate; it must differ from all parents that the prompt showed."""
        if not reply.ok:
            for query in batch:
                query.failure = reply.failure
            return
        questions = [query.question for query in batch]
        answers = [style.parse(text, questions) for text in reply.texts]
        known = np.concatenate([question.parents.numbers for question in questions])
        siblings: list[Candidate] = []
        for i, query in enumerate(batch):
            rows = [row for answer in answers for row in answer[i]]
            query.candidates = judge(rows, query.question.count, grid.levels, known, siblings)
            siblings += query.candidates
            self._candidates += len(query.candidates)
            for candidate in query.candidates:
                if not candidate.fate.usable:
                    self._note(candidate)
            query.failure = "" if query.usable else "invalid"

    def _note(self, candidate: Candidate) -> None:
        self._fates[candidate.fate.value] += 1
        if candidate.reason:
            self._reasons[candidate.reason] += 1

    # -- proposing -------------------------------------------------------------------------------------------------

    def _proposals(self, wave: Wave, queries: list[_Query], grid: Grid) -> Proposals:
        blocks: list[FloatArray] = []
        owner: list[int] = []
        source: list[str] = []
        for query in queries:
            self._targets += 1
            X, labels = self._offspring(wave, query, grid)
            blocks.append(X)
            owner.extend([query.target] * X.shape[0])
            source.extend(labels)
        return Proposals(np.concatenate(blocks), np.array(owner, dtype=np.int64), source)

    def _offspring(self, wave: Wave, query: _Query, grid: Grid) -> tuple[FloatArray, list[str]]:
        usable = query.usable
        if usable:
            if self._watch is not None:
                given = [candidate.numbers for candidate in usable if candidate.numbers is not None]
                self._watch.answered(query.question.parents.numbers, np.stack(given))
            return self._usable(wave.instance, usable, grid)
        made = self._fallback.propose(self._alone(wave, query))
        if query.failure == "budget":
            self._refused += 1
            label: Callable[[str], str] = str
        else:
            self._fallbacks[query.failure] += 1
            label = _as_fallback
        labels = [made.source] * made.owner.size if isinstance(made.source, str) else made.source
        return made.X, [label(name) for name in labels]

    def _usable(self, instance: Instance, usable: list[Candidate], grid: Grid) -> tuple[FloatArray, list[str]]:
        """Candidates as points; those that the projection moves count as repaired."""
        X = grid.decode(np.stack([c.numbers for c in usable if c.numbers is not None]))
        fixed = instance.project(X) if self._project else X
        width = np.where(grid.levels > 0, instance.space.upper - instance.space.lower, 1.0)
        moved = np.any(np.abs(fixed - X) > 1e-9 * width, axis=1)
        labels = []
        for candidate, was_moved in zip(usable, [bool(m) for m in moved], strict=True):
            if was_moved and candidate.fate is Fate.OK:
                told = replace(candidate, fate=Fate.REPAIRED, reason="projected")
            else:
                told = candidate
            self._note(told)
            labels.append("llm" if told.fate is Fate.OK else "repaired")
        return fixed, labels

    def _alone(self, wave: Wave, query: _Query) -> Wave:
        """The wave reduced to one target, with a stream of its own."""
        rows = slice(query.row, query.row + 1)
        return replace(
            wave,
            targets=wave.targets[rows],
            mates=wave.mates[rows],
            values=wave.values[rows],
            rng=self._rng(wave, query.target, "fallback"),
        )


def _errors(candidates: list[Candidate]) -> tuple[str, ...]:
    """What was wrong with the previous answer, each error once."""
    return tuple(dict.fromkeys(candidate.detail for candidate in candidates if candidate.detail))


def _shown(question: Question) -> Shown:
    parents = question.parents
    return Shown(parents.numbers[-1], parents.F[-1], float(parents.violation[-1]), question.weight)


def _as_fallback(_: str) -> str:
    return "fallback"

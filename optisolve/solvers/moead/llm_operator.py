"""The variation operator that asks a language model, and says what became of every answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.problem import Instance
from optisolve.core.seeds import generator
from optisolve.llm.candidates import Candidate, Fate, judge
from optisolve.llm.scale import Grid
from optisolve.llm.session import LlmSession
from optisolve.llm.types import LlmReply
from optisolve.solvers.moead.account import Watch
from optisolve.solvers.moead.llm_prompts import Parents, Question, Style, prompt_style
from optisolve.solvers.moead.variation import Proposals, Variation, Wave

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

    An answer without a usable candidate is asked again, with its errors, at most `max_reasks` times; then the recorded
    fallback operator serves the target. Whatever is drawn at random depends on the run's seed, the wave and the
    sub-problem alone, never on the order in which replies arrive.

    Sources of the proposals: ``"llm"`` used as given; ``"repaired"`` clipped, rounded or projected to be usable;
    ``"fallback"`` made by the fallback operator because the model failed; the fallback operator's own label where the
    budget allowed no call.

    Args:
        session: The conversation with the model.
        fallback: Operator for targets that the model does not serve.
        seed: The run's seed.
        style: Prompt style; ``"auto"`` takes the one that the model prefers.
        n_parents: Parents shown per question, the best of the pool; None means 10, and 5 in continuation style.
        n_offspring: Offspring asked for per question, all of them are used.
        max_reasks: Further questions after an answer without a usable candidate.
        project: The instance's projection is applied, as the engine will do; None when it only clips.
        warn_share: Share of fallbacks among the served targets above which the report holds a warning.
        placebo: Show the parents in a random order while their values stay sorted, so that the table says nothing; one
            permutation per question, the same for all of its samples and re-asks.
        watch: Told about every call and every usable answer, or None.
    """

    def __init__(
        self,
        session: LlmSession,
        fallback: Variation,
        *,
        seed: int,
        style: Literal["auto", "schema", "continuation"] = "auto",
        n_parents: int | None = None,
        n_offspring: int = 2,
        max_reasks: int = 1,
        project: bool = True,
        warn_share: float = 0.2,
        placebo: bool = False,
        watch: Watch | None = None,
    ) -> None:
        self._session, self._fallback, self._seed = session, fallback, seed
        self._wanted_style, self._n_parents, self._n_offspring = style, n_parents, n_offspring
        self._max_reasks, self._project, self._warn_share = max_reasks, project, warn_share
        self._placebo, self._watch = placebo, watch
        self._style: Style | None = None
        self._grid: Grid | None = None
        self._fates: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._fallbacks: Counter[str] = Counter()
        self._targets = self._refused = self._calls = self._reasks = 0

    def propose(self, wave: Wave) -> Proposals:
        """Offspring of all targets; at least one per target."""
        style, grid = self._prepared(wave.instance)
        queries = [self._query(wave, row, grid) for row in range(wave.targets.size)]
        pending = queries
        for attempt in range(self._max_reasks + 1):
            if not pending:
                break
            pending = self._ask(wave, style, grid, pending, attempt)
        return self._proposals(wave, queries, grid)

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
            "fates": {fate.value: self._fates[fate.value] for fate in Fate},
            "reasons": dict(sorted(self._reasons.items())),
            "fallbacks": dict(sorted(self._fallbacks.items())),
            "tokens_in": self._session.tokens_in,
            "tokens_out": self._session.tokens_out,
            "usd": self._session.usd,
            "prompts": {} if self._style is None else self._style.prompt.describe(),
            "warning": warning if share > self._warn_share else "",
        }

    # -- asking ----------------------------------------------------------------------------------------------------

    def _prepared(self, instance: Instance) -> tuple[Style, Grid]:
        if self._style is None or self._grid is None:
            self._grid = Grid(instance.space)
            self._style = prompt_style(self._wanted_style, self._session.preferred_style, instance, self._grid)
            if self._n_parents is None:
                self._n_parents = 5 if self._style.name == "continuation" else 10
        return self._style, self._grid

    def _rng(self, wave: Wave, target: int, purpose: str, attempt: int = 0) -> np.random.Generator:
        return generator(self._seed, operator="llm", purpose=purpose, wave=wave.index, sub=target, attempt=attempt)

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
        parents = Parents(shown, wave.F[chosen] * wave.instance.signs, wave.violation[chosen], values[order[keep]])
        return _Query(row, target, Question(parents, wave.weights[target], self._n_offspring))

    def _ask(self, wave: Wave, style: Style, grid: Grid, queries: list[_Query], attempt: int) -> list[_Query]:
        """One round of questions; returns those that deserve another one."""
        requests = [
            style.request(
                query.question,
                tag=f"wave={wave.index}/sub={query.target}",
                attempt=attempt,
                seed=int(self._rng(wave, query.target, "sampling", attempt).integers(2**31)),
                errors=_errors(query.candidates),
            )
            for query in queries
        ]
        again = []
        for query, reply in zip(queries, self._session.ask(requests), strict=True):
            if reply.failure == "budget":
                query.failure = query.failure or "budget"
                continue
            self._calls += 1
            self._reasks += attempt > 0
            if self._watch is not None:
                self._watch.asked([query.target], reply)
            self._read(query, reply, style, grid)
            if query.failure == "invalid":
                again.append(query)
        return again

    def _read(self, query: _Query, reply: LlmReply, style: Style, grid: Grid) -> None:
        if not reply.ok:
            query.failure = reply.failure
            return
        rows = [row for text in reply.texts for row in style.parse(text, query.question.count)]
        query.candidates = judge(rows, query.question.count, grid.levels, query.question.parents.numbers)
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


def _errors(candidates: list[Candidate]) -> list[str]:
    """What was wrong with the previous answer, each error once."""
    return list(dict.fromkeys(candidate.detail for candidate in candidates if candidate.detail))


def _as_fallback(_: str) -> str:
    return "fallback"

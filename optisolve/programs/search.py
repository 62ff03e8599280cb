"""Search for programs: blind sampling, genetic programming over typed trees, and somebody who writes them.

All arms share what is counted (program evaluations; the same program is evaluated once), how constants are fitted at the end
(CMA-ES, the last fifth of the evaluations) and what is kept: the best programs of every size.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol

import numpy as np
from annotated_types import Ge, Gt, Le

from optisolve.core.options import Options
from optisolve.programs.breeding import Breeder, short_number
from optisolve.programs.check import kinds_of
from optisolve.programs.grow import grow
from optisolve.programs.language import Feature, Kind
from optisolve.programs.program import Program
from optisolve.programs.tree import Node, ProgramError, Tree

__all__ = ["ARMS", "Arm", "Candidate", "Search", "SearchOptions", "Writer"]

Arm = Literal["gp", "random", "llm", "best_of_n", "placebo", "wordless"]

ARMS: dict[Arm, str] = {
    "gp": "genetic programming over typed trees",
    "random": "blind sampling, the control",
    "llm": "a language model that sees the best programs and some failed ones, with their scores",
    "best_of_n": "the same model, shown only the random programs that the search began with: no evolution",
    "placebo": "the same model, shown the same programs with shuffled scores",
    "wordless": "the same model without a word about the problem: features have numbers instead of names",
}
"""How programs are made, in words; all but the first two ask a language model."""

_FITTED = 20
"""Programs whose numbers are fitted, the best one first; each until CMA-ES has settled or the budget is spent."""


@dataclass(frozen=True, slots=True)
class SearchOptions(Options):
    """Settings of a search.

    Args:
        population: Programs of one island.
        islands: Populations that exchange their best programs.
        migration: Generations between exchanges.
        tournament: Programs of which the best one becomes a parent.
        depth: Deepest nesting of random programs and of what is made of them.
        nodes: Most nodes of a program.
        crossover: Chance that an offspring is made of two parents, by exchange of subtrees of one kind.
        hoist: Chance that it is a subtree of its parent.
        constants: Chance that only the numbers of its parent change; what is left is mutation of a subtree.
        fit_share: Share of the evaluations with which the constants of the best program are fitted at the end.
        model_share: Where a language model writes: its share of the programs; genetic programming on all that was found makes
            the others.
        first: Where a language model writes: random programs that the search begins with.
        open_tries: Fillings that are tried of a program with open constants (``?``), the first one all 1.
    """

    population: Annotated[int, Ge(4)] = 40
    islands: Annotated[int, Ge(1)] = 3
    migration: Annotated[int, Ge(1)] = 4
    tournament: Annotated[int, Ge(2)] = 4
    depth: Annotated[int, Ge(2), Le(12)] = 6
    nodes: Annotated[int, Ge(3), Le(100)] = 30
    crossover: Annotated[float, Ge(0), Le(1)] = 0.55
    hoist: Annotated[float, Ge(0), Le(1)] = 0.05
    constants: Annotated[float, Ge(0), Le(1)] = 0.15
    fit_share: Annotated[float, Ge(0), Le(0.9)] = 0.2
    model_share: Annotated[float, Gt(0), Le(1)] = 1.0
    first: Annotated[int, Ge(2)] = 10
    open_tries: Annotated[int, Ge(1), Le(50)] = 4


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A program with its score.

    Args:
        program: The program.
        score: Larger is better.
        made_by: ``founder``, ``random``, ``crossover``, ``subtree``, ``hoist``, ``constants``, ``fit`` or ``llm``.
        evaluation: Its number, from 1.
    """

    program: Program
    score: float
    made_by: str
    evaluation: int

    @property
    def key(self) -> tuple[float, int, str]:
        """Order among candidates, best first: score, then size, then text."""
        return -self.score, self.program.codes.nodes, self.program.text


class Writer(Protocol):
    """Somebody who writes programs, e.g. a language model."""

    def write(self, found: Sequence[Candidate]) -> Sequence[Program] | None:
        """Some new programs, perhaps with open constants, perhaps none; None when nothing will come any more.

        Args:
            found: What was evaluated so far, best first.
        """
        ...


class Search:
    """One search.

    Args:
        features: What programs may read.
        score: Score of a program, larger is better; not finite counts as the worst.
        evaluations: Programs that are evaluated at most.
        seed: Decides every choice.
        seconds: Time on the clock after which no further program is evaluated; None for no limit.
        options: Settings.
        founders: Programs to begin with, scored first; every island has them.
        told: Called after every evaluation with the number of evaluations and the best candidate; says True to stop.
        note: Called with every candidate that was evaluated.
        clock: Seconds; processor time of this process unless said otherwise.
    """

    def __init__(
        self,
        features: Sequence[Feature],
        score: Callable[[Program], float],
        evaluations: int,
        seed: int,
        *,
        seconds: float | None = None,
        options: SearchOptions = SearchOptions(),
        founders: Sequence[Program] = (),
        told: Callable[[int, Candidate], bool] | None = None,
        note: Callable[[Candidate], None] | None = None,
        clock: Callable[[], float] = time.process_time,
    ) -> None:
        self._features, self._score, self._options = tuple(features), score, options
        self._kinds = kinds_of(features)
        self._limit, self._seconds, self._told = evaluations, seconds, told
        self._founders = tuple(founders)
        self._rng = np.random.default_rng(np.random.SeedSequence([seed, 20261130]))
        self._breeder = Breeder(self._rng, self._kinds)
        self._note, self._clock = note, clock
        self._seen: dict[str, Candidate] = {}
        self._begun, self._attempts, self._stopped = clock(), 0, False
        self.best: Candidate | None = None
        self.trace: list[Candidate] = []

    @property
    def evaluations(self) -> int:
        """Programs that were evaluated."""
        return len(self._seen)

    @property
    def over(self) -> bool:
        """Whether the budget is spent, somebody said stop, or nothing new is found any more."""
        late = self._seconds is not None and self._clock() - self._begun >= self._seconds
        return late or self._stopped or self.evaluations >= self._limit or self._attempts >= 50 * self._limit

    def run(self, arm: Arm, writer: Writer | None = None) -> list[Candidate]:
        """Search until the budget is spent.

        Args:
            arm: ``gp``, ``random``, or any other with a writer.
            writer: Who writes programs; what it does not write is left to the fit of constants.

        Returns:
            All candidates, best first.
        """
        whole = self._limit
        self._limit = whole - int(self._options.fit_share * whole)
        tried = [self._try(program.tree.value, "founder") for program in self._founders if not program.tree.sets]
        if arm == "gp":
            self._evolve([made for made in tried if made is not None])
        if writer is not None:
            self._written(writer)
        while writer is None and not self.over:
            self._try(self._random(), "random")
        self._limit = whole
        self._fit()
        return self.ranked

    @property
    def ranked(self) -> list[Candidate]:
        """What was evaluated so far, best first."""
        return sorted(self._seen.values(), key=lambda c: c.key)

    # -- candidates ------------------------------------------------------------------------------------------------------

    def _try(self, node: Node, made_by: str) -> Candidate | None:
        """Evaluate a program; None where it is too large, is known already, or the budget is spent."""
        self._attempts += 1
        if self.over or node.depth > self._options.depth or node.size > self._options.nodes:
            return None
        try:
            program = Program.of(Tree(node), self._features)
        except ProgramError:
            return None
        if program.sha256 in self._seen or not any(program.codes.vectors + program.codes.matrices):
            return None
        score = self._score(program)
        made = Candidate(program, score if np.isfinite(score) else -np.inf, made_by, self.evaluations + 1)
        self._seen[program.sha256] = made
        if self.best is None or made.key < self.best.key:
            self.best = made
            self.trace.append(made)
        if self._note is not None:
            self._note(made)
        self._stopped = self._told is not None and self._told(self.evaluations, self.best)
        return made

    def _random(self) -> Node:
        depth = int(self._rng.integers(2, self._options.depth + 1))
        return grow(self._rng, self._kinds, Kind.VECTOR, depth)

    # -- programs that somebody writes -----------------------------------------------------------------------------------

    def _written(self, writer: Writer) -> None:
        """Random programs, then what the writer makes of what was found, and its share of genetic programming beside it."""
        first = min(self._limit, self.evaluations + self._options.first)
        while not self.over and self.evaluations < first:
            self._try(self._random(), "random")
        owed = 0.0  # programs that genetic programming makes to keep the shares
        while not self.over and self._seen:
            programs = writer.write(self.ranked)
            if programs is None:
                return
            for program in programs:
                before = self.evaluations
                self._filled(program)
                owed += (self.evaluations - before) * (1.0 / self._options.model_share - 1.0)
            while owed >= 1.0 and not self.over:
                self._offspring(self.ranked[: self._options.population])
                owed -= 1.0

    def _filled(self, program: Program) -> None:
        """Evaluate a program; with open constants all 1 first, then with a few other ones."""
        for attempt in range(self._options.open_tries if program.holes else 1):
            drawn = self._rng.standard_normal(program.holes) if attempt else np.zeros(program.holes)
            values = [short_number(float(np.exp(z))).value for z in drawn]
            self._try(program.filled(values).tree.value, "llm")

    # -- genetic programming -----------------------------------------------------------------------------------------------

    def _evolve(self, founders: Sequence[Candidate]) -> None:
        """Islands in turn; each keeps the best of parents and offspring."""
        size, n = self._options.population, self._options.islands
        islands = [self._settled(founders, size) for _ in range(n)]
        generation = 0
        while not self.over and all(islands):
            generation += 1
            for island in islands:
                born = [made for made in (self._offspring(island) for _ in range(size)) if made is not None]
                island[:] = sorted([*island, *born], key=lambda c: c.key)[:size]
            if generation % self._options.migration == 0:
                leaders = [island[0] for island in islands]
                for place, island in enumerate(islands):
                    guest = leaders[place - 1]
                    if all(guest is not member for member in island):
                        island[-1] = guest
                        island.sort(key=lambda c: c.key)

    def _settled(self, founders: Sequence[Candidate], size: int) -> list[Candidate]:
        """A first population: founders, then random programs."""
        found = [*founders]
        while len(found) < size and not self.over:
            made = self._try(self._random(), "random")
            found += [made] if made is not None else []
        return sorted(found, key=lambda c: c.key)

    def _parent(self, island: Sequence[Candidate]) -> Node:
        drawn = self._rng.integers(len(island), size=self._options.tournament)
        return island[int(drawn.min())].program.tree.value  # islands are sorted

    def _offspring(self, island: Sequence[Candidate]) -> Candidate | None:
        """One new program; a handful of attempts where it is too large or known."""
        for _ in range(5):
            u, parent, o = self._rng.random(), self._parent(island), self._options
            if u < o.crossover:
                made, how = self._breeder.crossed(parent, self._parent(island)), "crossover"
            elif u < o.crossover + o.hoist:
                made, how = self._breeder.hoisted(parent), "hoist"
            elif u < o.crossover + o.hoist + o.constants:
                made, how = self._breeder.jittered(parent), "constants"
            else:
                made, how = self._breeder.mutated(parent), "subtree"
            tried = self._try(made, how)
            if tried is not None or self.over:
                return tried
        return self._try(self._random(), "random")

    # -- constants ---------------------------------------------------------------------------------------------------------

    def _fit(self) -> None:
        """CMA-ES over the numbers of the best programs, one after the other, with what is left of the budget."""
        for candidate in self.ranked[:_FITTED]:
            self._fit_one(candidate.program.tree.value)

    def _fit_one(self, tree: Node) -> None:
        import cma

        begin = np.array([node.value for node in tree.walk() if node.is_number])
        if self.over or not begin.size:
            return
        settings = {"seed": int(self._rng.integers(1, 2**31)), "verbose": -9, "maxfevals": 10 * self._limit}
        # In one dimension pycma has no covariance to adapt; a second variable without effect lets it run.
        padded = begin if begin.size > 1 else np.append(begin, 0.0)
        scale = np.maximum(np.abs(padded), 0.3)
        strategy = cma.CMAEvolutionStrategy(padded / scale, 0.3, settings)
        while not strategy.stop():
            asked = strategy.ask()
            found = [self._loss_of(tree, np.asarray(point) * scale) for point in asked]
            losses = [loss for loss in found if loss is not None]
            if len(losses) < len(asked):  # the budget is spent
                return
            strategy.tell(asked, losses)

    def _loss_of(self, tree: Node, numbers: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float | None:
        """What CMA-ES minimizes; None when the budget is spent."""
        rest = numbers.tolist()

        def filled(node: Node) -> Node:
            if node.is_number:
                return short_number(rest.pop(0))
            return Node(node.name, tuple(filled(argument) for argument in node.arguments))

        node = filled(tree)
        made = self._try(node, "fit")
        if made is None:
            known = self._seen.get(Program.of(Tree(node), self._features).sha256)
            if known is None:
                return None
            made = known
        return -made.score if np.isfinite(made.score) else 1e12

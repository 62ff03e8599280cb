"""Search for programs without a language model: blind sampling and genetic programming over typed trees.

All arms share what is counted (program evaluations; the same program is evaluated once), how constants are fitted at the end
(CMA-ES, the last fifth of the evaluations) and what is kept: the best programs of every size.

Sources: Koza 1992 (tree crossover, subtree mutation); Montana 1995 (typed trees); Kinnear 1994 (hoist mutation).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Le

from optisolve.core.options import Options
from optisolve.programs.check import kind_of, kinds_of
from optisolve.programs.grow import grow
from optisolve.programs.language import LARGEST_CONSTANT, Feature, Kind
from optisolve.programs.program import Program
from optisolve.programs.tree import Node, ProgramError, Tree

__all__ = ["Candidate", "Search", "SearchOptions"]

Arm = Literal["gp", "random"]

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


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A program with its score.

    Args:
        program: The program.
        score: Larger is better.
        made_by: ``founder``, ``random``, ``crossover``, ``subtree``, ``hoist``, ``constants`` or ``fit``.
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


class Search:
    """One search.

    Args:
        features: What programs may read.
        score: Score of a program, larger is better; not finite counts as the worst.
        evaluations: Programs that are evaluated at most.
        seed: Decides every choice.
        seconds: Processor time after which no further program is evaluated; None for no limit.
        options: Settings.
        founders: Programs to begin with, scored first; every island has them.
        told: Called after every evaluation with the number of evaluations and the best candidate; says True to stop.
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
    ) -> None:
        self._features, self._score, self._options = tuple(features), score, options
        self._kinds = kinds_of(features)
        self._limit, self._seconds, self._told = evaluations, seconds, told
        self._founders = tuple(founders)
        self._rng = np.random.default_rng(np.random.SeedSequence([seed, 20261130]))
        self._seen: dict[str, Candidate] = {}
        self._begun, self._attempts, self._stopped = time.process_time(), 0, False
        self.best: Candidate | None = None
        self.trace: list[Candidate] = []

    @property
    def evaluations(self) -> int:
        """Programs that were evaluated."""
        return len(self._seen)

    @property
    def over(self) -> bool:
        """Whether the budget is spent, somebody said stop, or nothing new is found any more."""
        late = self._seconds is not None and time.process_time() - self._begun >= self._seconds
        return late or self._stopped or self.evaluations >= self._limit or self._attempts >= 50 * self._limit

    def run(self, arm: Arm) -> list[Candidate]:
        """Search until the budget is spent.

        Returns:
            All candidates, best first.
        """
        whole = self._limit
        self._limit = whole - int(self._options.fit_share * whole)
        tried = [self._try(program.tree.value, "founder") for program in self._founders if not program.tree.sets]
        if arm == "gp":
            self._evolve([made for made in tried if made is not None])
        while not self.over:
            self._try(self._random(), "random")
        self._limit = whole
        self._fit()
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
        self._stopped = self._told is not None and self._told(self.evaluations, self.best)
        return made

    def _random(self) -> Node:
        depth = int(self._rng.integers(2, self._options.depth + 1))
        return grow(self._rng, self._kinds, Kind.VECTOR, depth)

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
                made, how = self._crossed(parent, self._parent(island)), "crossover"
            elif u < o.crossover + o.hoist:
                made, how = self._hoisted(parent), "hoist"
            elif u < o.crossover + o.hoist + o.constants:
                made, how = self._jittered(parent), "constants"
            else:
                made, how = self._mutated(parent), "subtree"
            tried = self._try(made, how)
            if tried is not None or self.over:
                return tried
        return self._try(self._random(), "random")

    def _nodes_of(self, node: Node, kind: Kind) -> list[Node]:
        return [part for part in node.walk() if kind_of(part, self._kinds) is kind]

    def _any(self, nodes: Sequence[Node]) -> Node:
        return nodes[int(self._rng.integers(len(nodes)))]

    def _crossed(self, parent: Node, other: Node) -> Node:
        """The parent with one subtree replaced by one of the other's, of the same kind."""
        parts = list(parent.walk())
        at = int(self._rng.integers(len(parts)))
        donors = self._nodes_of(other, kind_of(parts[at], self._kinds))
        return _replaced(parent, at, self._any(donors)) if donors else parent

    def _mutated(self, parent: Node) -> Node:
        """The parent with one subtree grown anew."""
        parts = list(parent.walk())
        at = int(self._rng.integers(len(parts)))
        return _replaced(
            parent, at, grow(self._rng, self._kinds, kind_of(parts[at], self._kinds), int(self._rng.integers(1, 4)))
        )

    def _hoisted(self, parent: Node) -> Node:
        return self._any(self._nodes_of(parent, Kind.VECTOR) or [parent])

    def _jittered(self, parent: Node) -> Node:
        """The parent with other numbers, by a factor and a little more."""

        def moved(node: Node) -> Node:
            if node.is_number:
                factor, more = 1.0 + 0.3 * self._rng.standard_normal(), 0.1 * self._rng.standard_normal()
                return _number(node.value * factor + more)
            return Node(node.name, tuple(moved(argument) for argument in node.arguments))

        return moved(parent)

    # -- constants ---------------------------------------------------------------------------------------------------------

    def _fit(self) -> None:
        """CMA-ES over the numbers of the best programs, one after the other, with what is left of the budget."""
        for candidate in sorted(self._seen.values(), key=lambda c: c.key)[:_FITTED]:
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
                return _number(rest.pop(0))
            return Node(node.name, tuple(filled(argument) for argument in node.arguments))

        node = filled(tree)
        made = self._try(node, "fit")
        if made is None:
            known = self._seen.get(Program.of(Tree(node), self._features).sha256)
            if known is None:
                return None
            made = known
        return -made.score if np.isfinite(made.score) else 1e12


def _number(value: float) -> Node:
    """A number with few digits, so that what is found can be read."""
    bounded = min(max(value, -LARGEST_CONSTANT), LARGEST_CONSTANT)
    return Node("#", (), float(f"{bounded:.4g}") + 0.0)


def _replaced(node: Node, at: int, by: Node) -> Node:
    """A tree whose node number `at`, in the order of the text, is another one."""
    if at == 0:
        return by
    at -= 1
    arguments = list[Node]()
    for argument in node.arguments:
        size = argument.size
        arguments.append(_replaced(argument, at, by) if 0 <= at < size else argument)
        at -= size
    return Node(node.name, tuple(arguments), node.value)

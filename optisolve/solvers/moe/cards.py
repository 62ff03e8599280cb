"""Experts: solvers of the registry with their machine-readable cards."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import yaml

from optisolve.content import content_dir
from optisolve.core.documents import Json
from optisolve.core.errors import OptisolveError, UnknownNameError
from optisolve.core.problem import Instance
from optisolve.core.solver import Solver
from optisolve.registry import SOLVERS, make_solver

__all__ = ["Card", "Expert", "card_of", "expert_names", "find_experts", "is_mixture", "made_experts"]

_OWN = ("moe", "moe_llm", "game")
"""Solvers that are no experts: a mixture within itself, and games, which are played and not called."""


@dataclass(frozen=True, slots=True)
class Card:
    """What is known about an expert before it runs; the fields are explained in ``solvers/cards/experts.yml``."""

    role: str
    guarantee: str
    spends: str
    single: int | None
    multi: int | None
    max_dim: int | None
    words: str
    named: bool = False
    made: bool = False
    options: Mapping[str, Json] = field(default_factory=dict)

    def order(self, instance: Instance) -> int | None:
        """Place in the rule gate's order for an instance, None when it passes the expert over."""
        place = self.single if len(instance.objectives) == 1 else self.multi
        return None if place is None or (self.max_dim is not None and instance.space.dim > self.max_dim) else place


@dataclass(frozen=True, slots=True)
class Expert:
    """A solver that can treat the instance.

    Attributes:
        name: Preset name.
        solver: The solver with its preset's options.
        card: Its card.
    """

    name: str
    solver: Solver
    card: Card


@cache
def _cards() -> Mapping[str, Card]:
    file = content_dir("solvers") / "cards" / "experts.yml"
    return {name: Card(**fields) for name, fields in yaml.safe_load(file.read_text(encoding="utf-8")).items()}


@cache
def _shipped(name: str) -> Solver:
    return make_solver(name, _cards()[name].options)


def _solver(name: str) -> Solver:
    """A preset's solver; those with a card are read once, with its options."""
    return _shipped(name) if name in _cards() else make_solver(name)


def card_of(name: str) -> Card:
    """The card of a solver; one without an entry gets a cautious card made from its own summary."""
    if name in _cards():
        return _cards()[name]
    return Card("search", "none", "all", 80, 80, None, SOLVERS.get(name).info.summary)


def expert_names() -> tuple[str, ...]:
    """Solvers that a mixture chooses from unless it is told others: those with a card in this installation's own table.

    Plug-ins and solvers that need an extra (``named`` on their card) are named on purpose, since a record must not depend on
    what else is installed. Methods that are made for one kind of problem (``made``) need no choice, see `made_experts`.
    """
    return tuple(sorted(n for n, card in _cards().items() if not (card.named or card.made) and n not in _OWN))


def made_experts(instance: Instance, without: Collection[str] = ()) -> tuple[Expert, ...]:
    """Experts made for just this kind of problem, in the order of their cards: whoever has one needs no gate.

    Args:
        instance: The instance.
        without: Names to leave out.
    """
    names = [name for name, card in _cards().items() if card.made and card.order(instance) is not None]
    found, _ = find_experts(instance, names, with_llm=False, without=without) if names else ((), {})
    return tuple(sorted(found, key=lambda e: (e.card.order(instance) or 0, e.name)))


def _hopeless(card: Card, instance: Instance) -> str | None:
    """Why a method that is there for its bound would only spend time, None where it would not."""
    if card.guarantee != "bound" or card.max_dim is None or instance.space.dim <= card.max_dim:
        return None
    return f"its bound says something up to {card.max_dim} variables, here are {instance.space.dim}"


def is_mixture(name: str) -> bool:
    """Whether a preset is a mixture itself, or a game, and so no expert of one."""
    return name.partition("/")[0] in _OWN or _solver(name).info.name in _OWN


def find_experts(
    instance: Instance, names: Sequence[str] = (), *, with_llm: bool, without: Collection[str] = ()
) -> tuple[tuple[Expert, ...], dict[str, str]]:
    """Experts that can treat an instance, and why the others cannot.

    Args:
        instance: The instance.
        names: Preset names to choose from; empty means those of `expert_names`.
        with_llm: Experts that ask a language model are allowed.
        without: Names to leave out.

    Returns:
        Experts in the order of their names, and a reason per name that is left out.

    Raises:
        UnknownNameError: A name does not exist.
    """
    known = SOLVERS.choices()
    for name in names:
        if name not in known:
            raise UnknownNameError("expert", name, known)
    found, left = [], {}
    for name in sorted(names or expert_names()):
        if name in without:
            left[name] = "excluded by an option"
            continue
        try:
            solver = _solver(name)
            reason = "a mixture is no expert of itself" if solver.info.name in _OWN else solver.skip(instance)
            reason = reason or (None if names else _hopeless(card_of(name), instance))
        except OptisolveError as error:  # a broken plug-in must not hide the others
            reason, solver = f"cannot be loaded: {error}", None
        if reason is None and solver is not None and solver.info.uses_llm and not with_llm:
            reason = "asks a language model, and this run has none to give"
        if reason is None and solver is not None:
            found.append(Expert(name, solver, card_of(name)))
        else:
            left[name] = str(reason)
    return tuple(found), left

"""Which solver treats an instance when nobody has named one: one rule, for the command line and for `optisolve.solve`.

It asks the solvers themselves what they can treat. No default spends money or minutes on a language model: `ledma` is the
default where one is named.
"""

from __future__ import annotations

from typing import NamedTuple

from optisolve.core.problem import Instance
from optisolve.core.solver import Feature, features_of
from optisolve.registry import make_solver

__all__ = ["AUTO", "WITH_MODEL", "Chosen", "default_solver"]

AUTO = "auto"
"""What stands for a solver that the rule chooses."""


class Chosen(NamedTuple):
    """A solver's preset name, and why it is the default.

    Attributes:
        name: Preset name.
        why: Half a sentence.
    """

    name: str
    why: str


WITH_MODEL = Chosen("ledma", "default where a language model is named")
"""What a named language model works for."""

_ONE = (
    Chosen("weight_search", "default for link weights: moves at the weights where paths change"),
    Chosen("moe", "default for one objective: exact and certified methods where they apply, else the best search"),
)
_TWO = (Chosen("nsga2", "default for two objectives: quick and good; solver=ledma llm=none reaches more"),)
_MORE = (Chosen("moead", "default for three and more objectives: quick and good; solver=ledma llm=none reaches more"),)
_ANY = (Chosen("moead_de", "default where no other one applies"), Chosen("random_search", "default where nothing else applies"))


def default_solver(instance: Instance, *, with_llm: bool = False) -> Chosen:
    """The solver that is used where none is named.

    One objective: `weight_search` for link weights, else the mixture `moe`, which takes an exact or certified method where one
    applies (docs/moe.md). Two objectives: `nsga2`, more: `moead`, by ``benchmarks/quality/default_solver.py``. A solver that
    says it cannot treat the instance is passed over.

    Args:
        instance: What is to be solved.
        with_llm: The user has named a language model.
    """
    several = len(instance.objectives)
    first = _ONE if Feature.SINGLE_OBJECTIVE in features_of(instance) else _TWO if several == 2 else _MORE
    candidates: tuple[Chosen, ...] = (*((WITH_MODEL,) if with_llm else ()), *first, *_ANY)
    return next((c for c in candidates if make_solver(c.name).skip(instance) is None), candidates[-1])

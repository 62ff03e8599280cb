"""Skeletons: algorithms in which a program is the missing piece."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from optisolve.core.arrays import FloatArray
from optisolve.core.problem import Instance
from optisolve.programs.language import Feature
from optisolve.programs.program import Program

__all__ = ["Answering", "HandRule", "Skeleton", "rules"]

_MOST_WORK = 2e10
"""Most element operations of one answer, some ten seconds."""
_MOST_BYTES = 2**30


@dataclass(frozen=True, slots=True)
class HandRule:
    """A program that people wrote.

    Args:
        program: Its text.
        meaning: In words, with its source.
    """

    program: str
    meaning: str


class Skeleton:
    """An algorithm with one program left open.

    Attributes:
        name: As it is typed.
        summary: What the program decides, one sentence.
        features: What the program may read, in the interpreter's order.
        hand: Rules that people wrote, by name; the first one is what is used where no program is given.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    features: ClassVar[tuple[Feature, ...]]
    hand: ClassVar[Mapping[str, HandRule]]

    @classmethod
    def read(cls, text: str) -> Program:
        """The program of a text or of the name of a rule that people wrote.

        Raises:
            ProgramError: It does not fit; the text says where.
        """
        return Program.read(cls.hand[text].program if text in cls.hand else text, cls.features)

    @classmethod
    def complete(cls, text: str) -> Program:
        """As `read`; a program whose constants are all numbers.

        Raises:
            ProgramError: A constant is left open as well.
        """
        program = cls.read(text)
        program.require_complete()
        return program


class Answering(Skeleton, ABC):
    """A skeleton that makes one answer of an instance.

    Attributes:
        looks: Whether each of its rounds is charged to a run as an evaluation.
    """

    looks: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def gap(cls, instance: Instance) -> str | None:
        """Why it cannot treat an instance, in one sentence; None when it can."""

    @classmethod
    @abstractmethod
    def n_items(cls, instance: Instance) -> int:
        """Number of items of an instance without a `gap`."""

    @classmethod
    def cost_gap(cls, program: Program, instance: Instance, rounds: int) -> str | None:
        """Why a program would take too long or too much memory, in one sentence; None where it does not."""
        n, codes = cls.n_items(instance), program.codes
        room, work = 8 * (codes.depth + 3) * codes.slot(n), codes.nodes * codes.slot(n) * (n + rounds)
        if room <= _MOST_BYTES and work <= _MOST_WORK:
            return None
        return (
            f"a program of {codes.nodes} nodes on {n} items takes up to {work:.1e} operations in {rounds} rounds and "
            f"{room / 2**20:.0f} MiB; at most {_MOST_WORK:.0e} and {_MOST_BYTES / 2**20:.0f} MiB are allowed: "
            "fewer rounds, or no matrices (rows, columns, cross)"
        )

    @classmethod
    @abstractmethod
    def answer(cls, program: Program, instance: Instance, rounds: int) -> FloatArray:
        """The answer that a program leads to.

        Args:
            program: Complete, of this skeleton.
            instance: One without a `gap`.
            rounds: Steps, or improvements after construction, at most.

        Returns:
            float64 [d], inside the bounds.
        """

    @classmethod
    def answers(cls, program: Program, instance: Instance, rounds: int) -> FloatArray:
        """All answers that a program leads to, float64 [n, d]; one where there is one objective."""
        return cls.answer(program, instance, rounds)[None, :]


def rules(**made: tuple[str, str]) -> dict[str, HandRule]:
    """Rules by name from pairs of text and meaning."""
    return {name: HandRule(*pair) for name, pair in made.items()}

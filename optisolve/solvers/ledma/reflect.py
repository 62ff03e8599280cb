"""Notes that a language model writes on what became of its own offspring."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.documents import JsonObject
from optisolve.core.problem import Instance
from optisolve.core.seeds import generator
from optisolve.llm.candidates import Grid
from optisolve.llm.notes import clean_note
from optisolve.llm.prompts import load_prompt
from optisolve.llm.session import LlmSession
from optisolve.llm.types import LlmReply, LlmRequest, Message, NoteBehind
from optisolve.solvers.ledma import words
from optisolve.solvers.moead.variation import Feedback

__all__ = ["Ledger", "Reflection", "Shown"]

_ROWS = 24
"""Offspring listed per question; of more, the kept ones with the largest gain and the latest of the others."""
_CHANGES = 4
"""Variables listed per offspring, those that changed most."""
_WORDS_PER_TOKEN = 0.7
_BY_MODEL = ("llm", "repaired")


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """What a question showed: the base that its offspring are compared with.

    Attributes:
        numbers: int64 [d], best parent on the grid.
        F: float64 [m], its objectives in their own senses.
        violation: Its total constraint violation.
        weight: float64 [m], the sub-problem's weight vector.
    """

    numbers: IntArray
    F: FloatArray
    violation: float
    weight: FloatArray


@dataclass(frozen=True, slots=True)
class _Row:
    """One offspring beside its base, in words."""

    text: Mapping[str, str]
    kept: bool
    gain: float


class Ledger:
    """The model's offspring since the last note, beside what their questions showed."""

    def __init__(self) -> None:
        self._rows: list[_Row] = []

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def kept(self) -> int:
        """How many of them were kept."""
        return sum(row.kept for row in self._rows)

    def learn(self, instance: Instance, grid: Grid, shown: Mapping[int, Shown], feedback: Feedback) -> None:
        """Put the model's offspring of a wave on record.

        Args:
            instance: What is optimized.
            grid: Its variables as integers.
            shown: What the questions of this wave showed, by sub-problem.
            feedback: What became of the wave's offspring.
        """
        numbers = grid.encode(feedback.X)  # [k, d]
        for i, (owner, source) in enumerate(zip(feedback.owner.tolist(), feedback.source, strict=True)):
            if source in _BY_MODEL and owner in shown:
                base, violation = shown[owner], float(feedback.violation[i])
                kept = bool(feedback.replaced[i] > 0)
                text = {
                    "preference": words.weights(instance, base.weight),
                    "changes": _changes(instance.space.names, numbers[i] - base.numbers),
                    "outcome": _outcome(instance, base.F, feedback.F[i] * instance.signs),
                    "fate": _fate(kept, violation, base.violation),
                }
                self._rows.append(_Row(text, kept, float(feedback.gain[i])))

    def variables(self, instance: Instance, grid: Grid, *, note: str, note_tokens: int) -> dict[str, object]:
        """Variables of the prompt.

        Args:
            instance: What is optimized.
            grid: Its variables as integers.
            note: The last note, or "".
            note_tokens: Most tokens of the note that is asked for.
        """
        groups, _ = words.variable_groups(instance, grid.levels.tolist())
        return {
            "problem": instance.describe(),
            "objectives": words.objectives(instance),
            "groups": groups,
            "n_words": max(10, int(_WORDS_PER_TOKEN * note_tokens)),
            "note": note,
            "made": len(self._rows),
            "kept": self.kept,
            "rows": [row.text for row in _listed(self._rows)],
        }

    def clear(self) -> None:
        """Forget everything."""
        self._rows.clear()


class Reflection:
    """Asks for a note every so many waves; the note is quoted in the questions that follow.

    A note that cannot be had leaves the last one in place; the report counts it.

    Args:
        session: The conversation with the model.
        seed: The run's seed.
        every: Waves from one note to the next.
        note_tokens: Most tokens of a note, estimated.

    Attributes:
        note: The note in use; "" before the first one.
        ledger: What the next note will be about.
    """

    def __init__(self, session: LlmSession, *, seed: int, every: int, note_tokens: int) -> None:
        self._session, self._seed, self._every, self._tokens = session, seed, every, note_tokens
        self._prompt = load_prompt("ledma_reflect")
        self._last = self._calls = self._notes = 0
        self._failures: Counter[str] = Counter()
        self.ledger, self.note = Ledger(), ""

    def ask(self, instance: Instance, grid: Grid, wave: int) -> LlmReply | None:
        """Ask for a note when one is due and there is something to say.

        Args:
            instance: What is optimized.
            grid: Its variables as integers.
            wave: Number of the wave that is about to be asked about.

        Returns:
            The reply; None when no call was made.
        """
        if wave - self._last < self._every or not len(self.ledger):
            return None
        (reply,) = self._session.ask([self._request(instance, grid, wave)])
        if reply.failure == "budget":
            self._failures["budget"] += 1
            return None
        self._calls += 1
        self._last = wave
        note = clean_note(" ".join(reply.texts), self._tokens) if reply.ok else ""
        if note:
            self.note = note
            self._notes += 1
            self.ledger.clear()
        else:
            self._failures[reply.failure or "empty"] += 1
        return reply

    def report(self) -> JsonObject:
        """Deterministic figures: calls, notes, failures, the note in use."""
        return {
            "calls": self._calls,
            "notes": self._notes,
            "failures": dict(sorted(self._failures.items())),
            "note": self.note,
        }

    def prompts(self) -> dict[str, str]:
        """Name and hash of the prompt, as it stands in records."""
        return self._prompt.describe()

    def _request(self, instance: Instance, grid: Grid, wave: int) -> LlmRequest:
        told = self.ledger.variables(instance, grid, note=self.note, note_tokens=self._tokens)
        rng = generator(self._seed, operator="llm", purpose="reflection", wave=wave)
        return LlmRequest(
            tag=f"wave={wave}/reflect",
            seed=int(rng.integers(2**31)),
            messages=(Message("user", self._prompt.render(**told)),),
            max_tokens=2 * self._tokens,
            behind=NoteBehind(made=len(self.ledger), kept=self.ledger.kept),
        )


def _listed(rows: list[_Row]) -> list[_Row]:
    """The rows to show, in the order in which they were made."""
    by_gain = sorted((i for i, row in enumerate(rows) if row.kept), key=lambda i: (-rows[i].gain, -i))[: _ROWS // 2]
    rest = [i for i in range(len(rows)) if i not in by_gain]
    return [rows[i] for i in sorted([*by_gain, *rest[-(_ROWS - len(by_gain)) :]])]


def _changes(names: tuple[str, ...], step: IntArray) -> str:
    """The largest changes, in integers of the grid."""
    order = np.argsort(-np.abs(step), kind="stable")
    moved = [i for i in order.tolist() if step[i]]
    told = ", ".join(f"{names[i]} {step[i]:+d}" for i in moved[:_CHANGES])
    more = f" and {len(moved) - _CHANGES} smaller" if len(moved) > _CHANGES else ""
    return f"{told}{more}" if moved else "no change"


def _outcome(instance: Instance, before: FloatArray, after: FloatArray) -> str:
    told = zip(instance.objectives, before.tolist(), after.tolist(), strict=True)
    return ", ".join(f"{o.name} {old:.4g} -> {new:.4g}" for o, old, new in told)


def _fate(kept: bool, violation: float, before: float) -> str:
    fate = "kept" if kept else "dropped"
    if violation > 0.0:
        return f"violates the constraints by {violation:.3g}, {fate}"
    return f"feasible, unlike the best known design, {fate}" if before > 0.0 else fate

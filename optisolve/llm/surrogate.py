"""An offline stand-in for a language model as variation operator; no language model is called.

It draws from the published statistics of 13,828 answers of a hosted model (the log behind MOEA/D-LO, Liu et al. 2023,
arXiv 2310.12541): rank weights of the parents, noise round their sum, share of copied coordinates, share outside the
parents' range. It answers in the form that the prompt asks for, from the numbers behind the prompt.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.llm.candidates import design_keys, task_keys
from optisolve.llm.config import SurrogateLlm
from optisolve.llm.types import LlmReply, LlmRequest, NoteBehind, PointsBehind, Profile, TransportError

__all__ = ["SurrogateClient", "draw_offspring"]

_RANK_CUBIC = (-0.111, 1.037, -1.291, 0.445)
"""Weight of a parent as a polynomial of its rank, 1 for the worst down to 1/l for the best."""
_BEST_AMONG_COPIES = 0.119 / 0.274
"""Share of the copied coordinates that come from the best parent."""
_PAST_BOUND = 33 / 13828
"""Share of coordinates outside the variable's bounds."""
_NOTE = "No language model wrote this note. {kept} of {made} designs were kept."
MODEL = "surrogate-of-published-statistics"


class SurrogateClient:
    """Client of ``llm=surrogate``.

    Args:
        config: The statistics.
    """

    def __init__(self, config: SurrogateLlm) -> None:
        self._config = config
        self.profile = Profile(provider="surrogate", model=MODEL, params=asdict(config), preferred_style="schema")
        self.concurrency, self.timeout_s, self.final = 1, 60.0, True
        self.secrets: tuple[str, ...] = ()
        self.notice, self.endpoint = "surrogate: no language model was called", ""

    async def start(self) -> None:
        """Nothing to start."""

    async def complete(self, request: LlmRequest, key: str) -> LlmReply:
        """An answer drawn from the statistics, the same for the same request; it costs no tokens.

        Raises:
            TransportError: The request is not one of a variation operator.
        """
        behind = request.behind
        if isinstance(behind, NoteBehind):
            return LlmReply(texts=(_NOTE.format(made=behind.made, kept=behind.kept),), model=MODEL, finish=("stop",))
        if behind is None:
            text = "the surrogate stands in for variation operators only; use llm=local or llm=openai here"
            raise TransportError("bad_request", text, retryable=False)
        rng = np.random.default_rng(int.from_bytes(hashlib.sha256(key.encode()).digest()[:16], "big"))
        texts = tuple(self._answer(behind, rng) for _ in range(request.n))
        return LlmReply(texts=texts, model=MODEL, finish=("stop",) * request.n)

    async def close(self) -> None:
        """Nothing to close."""

    def _answer(self, behind: PointsBehind, rng: np.random.Generator) -> str:
        if rng.random() < self._config.malformed_rate:
            return "I am sorry, but I cannot give further points."
        levels = np.asarray(behind.levels)
        drawn = [draw_offspring(np.asarray(shown), levels, behind.count, rng, self._config) for shown in behind.parents]
        if behind.targets is not None:
            lines = [",".join(str(v) for v in row) for row in drawn[0]]
            heads = ["", *(f"{target}: " for target in behind.targets[1:])]
            return "\n".join(head + line for head, line in zip(heads, lines, strict=True)) + "\n"
        answers = [_named_points(behind.names, rows) for rows in drawn]
        if not behind.batched:
            return json.dumps(answers[0])
        return json.dumps(dict(zip(task_keys(len(answers)), answers, strict=True)))


def _named_points(names: Sequence[str], rows: Sequence[Sequence[int]]) -> dict[str, dict[str, int]]:
    points = [dict(zip(names, row, strict=True)) for row in rows]
    return dict(zip(design_keys(len(points)), points, strict=True))


def draw_offspring(
    parents: IntArray, levels: IntArray, count: int, rng: np.random.Generator, config: SurrogateLlm
) -> list[list[int]]:
    """Offspring as the hosted model behind the published statistics would have given them.

    Args:
        parents: int64 [l, d], on the grid, worst to best.
        levels: int64 [d], largest integer of each variable.
        count: Number of offspring.
        rng: Where the draws come from.
        config: The statistics.

    Returns:
        `count` rows of d integers, which may lie past their bounds as those of the hosted model did.
    """
    U = parents.astype(np.float64) / np.maximum(levels.astype(np.float64), 1.0)
    size = (count, U.shape[1])
    center = _rank_weights(U.shape[0]) @ U  # [d]
    low, high = U.min(axis=0), U.max(axis=0)
    drawn = _folded(center + config.noise * rng.standard_normal(size), low, high)
    step = config.noise * np.abs(rng.standard_normal(size))
    beyond = np.clip(np.where(rng.random(size) < 0.5, low - step, high + step), 0.0, 1.0)
    outside_rate = min(1.0, config.outside_rate / max(1e-9, 1.0 - config.copy_rate))
    drawn = np.where(rng.random(size) < outside_rate, beyond, drawn)
    best = rng.random(size) < _BEST_AMONG_COPIES
    rows = np.where(best, U.shape[0] - 1, rng.integers(0, U.shape[0], size))
    drawn = np.where(rng.random(size) < config.copy_rate, np.take_along_axis(U, rows, axis=0), drawn)
    drawn = np.where(rng.random(size) < _PAST_BOUND, 1.0 + step, drawn)
    return [[int(v) for v in row] for row in np.rint(drawn * levels).tolist()]


def _folded(values: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    """Values reflected into [low, high]; clipping would pile them up on the parents' own extremes."""
    width = np.maximum(high - low, 1e-12)
    inside: FloatArray = low + width * (1.0 - np.abs(1.0 - np.mod((values - low) / width, 2.0)))
    return inside


def _rank_weights(n_parents: int) -> FloatArray:
    """Weights of the parents from worst to best, float64 [l], summing to one."""
    rank = np.arange(n_parents, 0, -1) / n_parents
    weights = np.asarray(np.polyval(_RANK_CUBIC, rank), dtype=np.float64)
    normalized: FloatArray = weights / weights.sum()
    return normalized

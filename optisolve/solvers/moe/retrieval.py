"""Retrieval for the planner: BM25 over cards, similar training runs by distance; no embedding model."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.solvers.moe.gate_model import GateModel

__all__ = ["Bm25", "similar_runs"]

_WORD = re.compile(r"[a-z0-9]+")
_STOP = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "by",
        "for",
        "from",
        "in",
        "is",
        "it",
        "its",
        "of",
        "on",
        "or",
        "that",
        "the",
        "their",
        "to",
        "under",
        "with",
    ]
)


def _words(text: str) -> list[str]:
    return [w.removesuffix("s") for w in _WORD.findall(text.lower()) if w not in _STOP]


class Bm25:
    """Okapi BM25 over a few short texts.

    Args:
        texts: Texts by name.
        k1: Saturation of repeated words.
        b: Weight of a text's length.

    Source: Robertson and Zaragoza 2009, doi 10.1561/1500000019.
    """

    def __init__(self, texts: Mapping[str, str], *, k1: float = 1.5, b: float = 0.75) -> None:
        self._counts = {name: Counter(_words(text)) for name, text in texts.items()}
        self._sizes = {name: sum(count.values()) for name, count in self._counts.items()}
        self._mean = sum(self._sizes.values()) / max(1, len(self._sizes)) or 1.0
        self._k1, self._b = k1, b

    def rank(self, query: str, count: int) -> list[tuple[str, float]]:
        """The best texts with positive scores, best first; ties by name."""
        n = len(self._counts)
        scores = dict.fromkeys(self._counts, 0.0)
        for word in set(_words(query)):
            having = [name for name, counts in self._counts.items() if word in counts]
            if not having:
                continue
            idf = math.log(1.0 + (n - len(having) + 0.5) / (len(having) + 0.5))
            for name in having:
                often = self._counts[name][word]
                length = 1.0 - self._b + self._b * self._sizes[name] / self._mean
                scores[name] += idf * often * (self._k1 + 1.0) / (often + self._k1 * length)
        found = sorted(((n, s) for n, s in scores.items() if s > 0.0), key=lambda item: (-item[1], item[0]))
        return found[:count]


def similar_runs(model: GateModel, z: FloatArray, able: Sequence[str], count: int) -> list[str]:
    """What the nearest training instances say about the experts that can treat this one, one line each."""
    columns = [j for j, name in enumerate(model.experts) if name in able]
    lines = []
    for i in np.argsort(model.distances(z), kind="stable")[:count]:
        order = sorted(columns, key=lambda j: (float(model.losses[i, j]), model.experts[j]))[:3]
        told = ", ".join(f"{model.experts[j]} (loss {model.losses[i, j]:.3g})" for j in order)
        if told:
            lines.append(f"a similar problem: {told}")
    return list(dict.fromkeys(lines))

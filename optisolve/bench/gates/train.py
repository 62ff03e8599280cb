"""Training a gate: a forest on losses by scikit-learn, kept as plain numbers; the hybrid's trust on validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt

from optisolve.bench.gates.runs import RunTable
from optisolve.core.arrays import FloatArray
from optisolve.core.errors import MissingDependency, OptisolveError
from optisolve.core.options import Options
from optisolve.solvers.moe.gate_model import GateModel, Tree
from optisolve.solvers.moe.llm_gate import posterior_of

__all__ = ["TrainOptions", "fit_trust", "train_gate"]

_TRUSTS = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Trusts in a language model that validation chooses among, in similar runs."""


@dataclass(frozen=True, slots=True)
class TrainOptions(Options):
    """Options of the forest.

    Args:
        trees: Number of trees.
        max_depth: Depth of a tree.
        min_leaf: Fewest training instances in a leaf.
        seed: Seed of the bootstrap.
        width: Kernel width of the neighbors, standard deviations of the features.
    """

    trees: Annotated[int, Ge(1)] = 24
    max_depth: Annotated[int, Ge(1)] = 8
    min_leaf: Annotated[int, Ge(1)] = 2
    seed: Annotated[int, Ge(0)] = 0
    width: Annotated[float, Gt(0)] = 1.0


def train_gate(
    table: RunTable, options: TrainOptions | None = None, *, trained_on: Mapping[str, Any] | None = None
) -> GateModel:
    """Fit a forest that predicts every expert's loss from an instance's features.

    Args:
        table: Training instances.
        options: Options of the forest.
        trained_on: Anything worth noting about the records.

    Raises:
        MissingDependency: scikit-learn is not installed; only training needs it.
        OptisolveError: Fewer than 8 instances.
    """
    try:
        from sklearn.ensemble import ExtraTreesRegressor
    except ImportError:
        raise MissingDependency("scikit-learn, which trains gates", extra="moe") from None
    options = TrainOptions() if options is None else options
    n = len(table.cases)
    if n < 8:
        raise OptisolveError(f"A gate needs at least 8 training instances, got {n}.")
    forest = ExtraTreesRegressor(
        n_estimators=options.trees,
        max_depth=options.max_depth,
        min_samples_leaf=options.min_leaf,
        random_state=options.seed,
        n_jobs=1,
    )
    forest.fit(table.features, table.losses)
    mean, scale = table.features.mean(axis=0), table.features.std(axis=0)
    scale = np.where(scale > 1e-9, scale, 1.0)
    best = int(np.argmin(table.losses.mean(axis=0)))
    return GateModel(
        experts=table.experts,
        trees=tuple(_tree(estimator.tree_, len(table.experts)) for estimator in forest.estimators_),
        mean=mean,
        scale=scale,
        points=(table.features - mean) / scale,
        losses=table.losses,
        width=options.width,
        trust=0.0,
        single_best=table.experts[best],
        trained_on={"instances": n, "scenarios": len({c.scenario for c in table.cases}), **(trained_on or {})},
    )


def fit_trust(
    model: GateModel, table: RunTable, opinions: Sequence[Mapping[str, float]], *, trusts: Sequence[float] = _TRUSTS
) -> tuple[float, dict[float, float]]:
    """The trust in a language model that minimizes the loss of the hybrid's first choice on validation instances.

    Args:
        model: The trained gate.
        table: Validation instances, none of which the gate was trained on.
        opinions: The language model's weights per instance; {} where it gave none.
        trusts: Candidates; ties go to the smallest.

    Returns:
        The trust, and the mean loss by candidate.
    """
    column = {name: j for j, name in enumerate(table.experts)}
    means: dict[float, float] = {}
    for trust in trusts:
        losses = []
        for i, opinion in enumerate(opinions):
            z = table.features[i]
            predicted = model.predict(z)
            able = {e: float(predicted[k]) for k, e in enumerate(model.experts) if e in column and table.able[i, column[e]]}
            posterior = posterior_of(able, opinion, trust, float(model.neighbors(z).sum()))
            usable = [name for name in posterior if name in column and table.able[i, column[name]]]
            chosen = min(usable, key=lambda name: (-round(posterior[name], 6), able.get(name, 1.0), name))
            losses.append(float(table.losses[i, column[chosen]]))
        means[trust] = float(np.mean(losses))
    best = min(means, key=lambda trust: (round(means[trust], 6), trust))
    return best, means


def _tree(tree: Any, n_experts: int) -> Tree:
    """A fitted tree of scikit-learn as plain arrays; leaves have feature -1."""
    inner = tree.children_left >= 0
    value: FloatArray = np.asarray(tree.value, dtype=np.float64).reshape(-1, n_experts)
    return Tree(
        feature=np.where(inner, tree.feature, -1).astype(np.int64),
        threshold=np.where(inner, tree.threshold, 0.0),
        left=np.where(inner, tree.children_left, -1).astype(np.int64),
        right=np.where(inner, tree.children_right, -1).astype(np.int64),
        value=value,
    )

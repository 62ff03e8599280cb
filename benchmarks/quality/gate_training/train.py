"""Training a gate: a forest of losses per expert by scikit-learn, kept as plain numbers; the hybrid's trust."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt

from gate_training.runs import RunTable
from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.errors import MissingDependency, OptisolveError
from optisolve.core.options import Options
from optisolve.solvers.moe.gate_model import GateModel, Tree
from optisolve.solvers.moe.llm_gate import posterior_of

__all__ = ["TrainOptions", "fit_trust", "learned_choice", "train_gate"]

_TRUSTS = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Trusts in a language model that validation chooses among, in similar runs."""
_FEWEST = 8
"""Training instances below which there is no gate."""


@dataclass(frozen=True, slots=True)
class TrainOptions(Options):
    """Options of the forest.

    Args:
        trees: Number of trees per expert.
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
    table: RunTable,
    options: TrainOptions | None = None,
    *,
    trained_on: Mapping[str, Any] | None = None,
) -> GateModel:
    """Fit a forest per expert that predicts its loss from an instance's features.

    A forest sees the instances that its expert can treat, and nothing of the other experts' losses.

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
    if n < _FEWEST:
        raise OptisolveError(f"A gate needs at least {_FEWEST} training instances, got {n}.")
    flagged = [j for j, name in enumerate(table.experts) if name in table.flags]
    forests = []
    for j in range(len(table.experts)):
        rows = np.flatnonzero(table.able[:, j])
        rows = rows if rows.size else np.arange(n)  # an expert that could treat none of them: its loss is 1 everywhere
        forest = ExtraTreesRegressor(
            n_estimators=options.trees,
            max_depth=options.max_depth,
            min_samples_leaf=options.min_leaf,
            random_state=options.seed,
            n_jobs=1,
        )
        forest.fit(table.features[rows], table.losses[rows, j])
        forests.append(tuple(_tree(estimator.tree_) for estimator in forest.estimators_))
    mean, scale = table.features.mean(axis=0), table.features.std(axis=0)
    scale = np.where(scale > 1e-9, scale, 1.0)
    points, means = (table.features - mean) / scale, table.losses.mean(axis=0)
    return GateModel(
        experts=table.experts,
        flags=table.flags,
        forests=tuple(forests),
        mean=mean,
        scale=scale,
        points=points,
        losses=table.losses,
        width=options.width,
        reach=_reach(table, points),
        trust=0.0,
        single_best=table.experts[min(flagged, key=lambda j: (means[j], j))],
        trained_on={"instances": n, "scenarios": len({c.scenario for c in table.cases}), **(trained_on or {})},
    )


def learned_choice(model: GateModel, table: RunTable) -> IntArray:
    """Column of the expert with the smallest predicted loss among those that can treat the instance, int64 [n]."""
    own = [table.experts.index(name) for name in model.experts]
    told = [np.where(table.able[i, own], model.predict(z), np.inf) for i, z in enumerate(table.features)]
    return np.array([own[int(np.argmin(values))] for values in told], dtype=np.int64)


def _reach(table: RunTable, points: FloatArray) -> float | None:
    """How far instances of one scenario lie apart: the largest distance from one to the nearest of another number."""
    seeds = np.array([c.seed for c in table.cases])
    told = []
    for i, point in enumerate(points):
        others = points[seeds != seeds[i]]
        if others.size:
            told.append(float(np.sqrt(((others - point) ** 2).sum(axis=1)).min()))
    return max(told, default=None)


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


def _tree(tree: Any) -> Tree:
    """A fitted tree of scikit-learn as plain arrays; leaves have feature -1."""
    inner = tree.children_left >= 0
    value: FloatArray = np.asarray(tree.value, dtype=np.float64).reshape(-1)
    return Tree(
        feature=np.where(inner, tree.feature, -1).astype(np.int64),
        threshold=np.where(inner, tree.threshold, 0.0),
        left=np.where(inner, tree.children_left, -1).astype(np.int64),
        right=np.where(inner, tree.children_right, -1).astype(np.int64),
        value=value,
    )

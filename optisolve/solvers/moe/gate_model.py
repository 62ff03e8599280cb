"""A trained gate as plain numbers: a regression forest per expert and the training points, evaluated in numpy.

Training needs scikit-learn; using the result needs none of it. The file is JSON: no pickle, nothing executable.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from optisolve.content import content_dir, named_file
from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.documents import JsonObject
from optisolve.core.errors import OptisolveError
from optisolve.solvers.moe.features import FEATURE_VERSION, feature_names

__all__ = ["FORMAT", "GateModel", "Tree", "gate_path", "is_shipped", "load_gate", "read_gate"]

FORMAT = "optisolve.gate/2"
SHIPPED = "moe_gate.json"


@dataclass(frozen=True, eq=False, slots=True)
class Tree:
    """One regression tree; node 0 is the root, a leaf has feature -1.

    Attributes:
        feature: int64 [nodes].
        threshold: float64 [nodes]; values <= threshold go left.
        left: int64 [nodes].
        right: int64 [nodes].
        value: float64 [nodes], mean loss.
    """

    feature: IntArray
    threshold: FloatArray
    left: IntArray
    right: IntArray
    value: FloatArray

    def predict(self, z: FloatArray) -> float:
        """Mean loss in the leaf of z float64 [features]."""
        node = 0
        while self.feature[node] >= 0:
            node = int(self.left[node] if z[self.feature[node]] <= self.threshold[node] else self.right[node])
        return float(self.value[node])


@dataclass(frozen=True, eq=False, slots=True)
class GateModel:
    """A trained gate.

    Every expert has a forest of its own, and features tell only of the experts in `flags`, so that what is predicted for one
    expert does not depend on which others were trained beside it.

    Attributes:
        experts: Names in the order of all columns.
        flags: Experts whose ability to treat an instance is a feature: those that need no extra.
        forests: One per expert.
        mean: float64 [features], subtracted before distances.
        scale: float64 [features], divided by.
        points: float64 [n, features], training points, scaled.
        losses: float64 [n, experts], in [0, 1].
        width: Kernel width of the neighbors, in scaled units.
        reach: Distance to the nearest training point up to which an instance counts as similar, in scaled units; None for any.
        trust: n0 of the hybrid gate, fitted on validation; 0 when the language model was uninformative.
        single_best: The expert of `flags` with the smallest mean loss on the training instances.
        trained_on: How it was made, for cards and logs.
    """

    experts: tuple[str, ...]
    flags: tuple[str, ...]
    forests: tuple[tuple[Tree, ...], ...]
    mean: FloatArray
    scale: FloatArray
    points: FloatArray
    losses: FloatArray
    width: float
    reach: float | None
    trust: float
    single_best: str
    trained_on: JsonObject

    def predict(self, z: FloatArray) -> FloatArray:
        """Predicted loss per expert, float64 [experts], for features z float64 [features]."""
        return np.array([np.mean([tree.predict(z) for tree in forest]) for forest in self.forests])

    def distances(self, z: FloatArray) -> FloatArray:
        """Distances of features z to the training points in scaled units, float64 [n]."""
        return np.asarray(np.sqrt((((z - self.mean) / self.scale - self.points) ** 2).sum(axis=1)))

    def outside(self, z: FloatArray) -> str:
        """That features z are far from all training points, in words; "" when they are not."""
        nearest = float(self.distances(z).min())
        if self.reach is None or nearest <= self.reach:
            return ""
        return f"nothing similar was seen in training: distance {nearest:.3g}, similar up to {self.reach:.3g}"

    def neighbors(self, z: FloatArray) -> FloatArray:
        """Kernel weights of the training points, float64 [n], at most 1 each."""
        weights: FloatArray = np.exp(-0.5 * (self.distances(z) / self.width) ** 2)
        return weights


def read_gate(path: Path) -> GateModel:
    """Read and check a gate.

    Raises:
        OptisolveError: The file is missing, of another format, or damaged; the text says what.
    """
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        if body.get("format") != FORMAT:
            raise ValueError(f"format is {body.get('format')!r}, expected {FORMAT!r}")
        experts, flags = tuple(map(str, body["experts"])), tuple(map(str, body["flags"]))
        told, reach = body["features"], body["reach"]
        if told["version"] != FEATURE_VERSION or tuple(told["names"]) != feature_names(flags):
            raise ValueError(f"it was trained on features of version {told['version']}, this is version {FEATURE_VERSION}")
        model = GateModel(
            experts=experts,
            flags=flags,
            forests=tuple(tuple(_tree(item, len(told["names"])) for item in forest) for forest in body["forests"]),
            mean=_array(body["mean"], (len(told["names"]),)),
            scale=_array(body["scale"], (len(told["names"]),)),
            points=_array(body["points"], (-1, len(told["names"]))),
            losses=_array(body["losses"], (-1, len(experts))),
            width=float(body["width"]),
            reach=None if reach is None else float(reach),
            trust=float(body["trust"]),
            single_best=str(body["single_best"]),
            trained_on=body.get("trained_on", {}),
        )
        if len(model.forests) != len(experts) or not all(model.forests):
            raise ValueError("an expert has no trees")
        if model.width <= 0.0 or model.trust < 0.0 or not (model.reach or 0.0) >= 0.0 or not (model.scale > 0.0).all():
            raise ValueError("a width, reach, trust or scale is out of range")
        if model.single_best not in experts or not model.points.size or model.points.shape[0] != model.losses.shape[0]:
            raise ValueError("single_best is no expert, or points and losses differ in number")
    except (OSError, KeyError, TypeError, ValueError, IndexError) as error:
        raise OptisolveError(f"{path.name}: no usable gate ({error}). Train one with benchmarks/quality/gates.py.") from None
    return model


def is_shipped(path: str) -> bool:
    """True for the gate that comes with optisolve."""
    return path == ""


def gate_path(path: str = "") -> Path:
    """The gate that comes with optisolve, or one by path.

    Raises:
        OptisolveError: A file that does not come with optisolve, while an audit is under way.
    """
    return named_file(path, "gate_file") if path else content_dir("solvers") / SHIPPED


def load_gate(path: str = "") -> GateModel:
    """The gate that comes with optisolve, or one by path; see `gate_path` and `read_gate` for errors."""
    return _loaded(gate_path(path))


@cache
def _loaded(path: Path) -> GateModel:
    return read_gate(path)


def _tree(item: Mapping[str, Sequence[float]], n_features: int) -> Tree:
    feature = np.asarray(item["feature"], dtype=np.int64)
    n = feature.size
    left, right = np.asarray(item["left"], dtype=np.int64), np.asarray(item["right"], dtype=np.int64)
    inner = feature >= 0
    index = np.arange(n)
    if n == 0 or (feature >= n_features).any() or left.shape != (n,) or right.shape != (n,):
        raise ValueError("a tree has wrong shapes")
    # Children lie behind their parent, so that walking down always ends.
    if not ((left > index)[inner].all() and (right > index)[inner].all() and (left < n).all() and (right < n).all()):
        raise ValueError("a tree is not in order")
    return Tree(feature, _array(item["threshold"], (n,)), left, right, _array(item["value"], (n,)))


def _array(values: Sequence[float], shape: tuple[int, ...]) -> FloatArray:
    array = np.asarray(values, dtype=np.float64).reshape(shape)
    if not np.isfinite(array).all():
        raise ValueError("a number is not finite")
    array.setflags(write=False)
    return array

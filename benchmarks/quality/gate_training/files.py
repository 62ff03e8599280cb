"""A trained gate's file as `optisolve.solvers.moe.gate_model` reads it, and the gate without an expert."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.documents import Json
from optisolve.core.errors import OptisolveError
from optisolve.solvers.moe.features import FEATURE_VERSION, feature_names
from optisolve.solvers.moe.gate_model import FORMAT, GateModel

__all__ = ["without", "write_gate"]


def write_gate(model: GateModel, path: Path) -> None:
    """Write a gate; numbers are rounded to 6 significant digits, which is what is then used."""

    def rounded(values: FloatArray) -> Json:
        numbers: Json = (np.vectorize(lambda v: float(f"{v:.6g}"), otypes=[float])(values) if values.size else values).tolist()
        return numbers

    body = {
        "format": FORMAT,
        "features": {"version": FEATURE_VERSION, "names": list(feature_names(model.flags))},
        "experts": list(model.experts),
        "flags": list(model.flags),
        "single_best": model.single_best,
        "trust": model.trust,
        "width": model.width,
        "reach": None if model.reach is None else float(f"{model.reach:.6g}"),
        "mean": rounded(model.mean),
        "scale": rounded(model.scale),
        "points": rounded(model.points),
        "losses": rounded(model.losses),
        "forests": [
            [
                {
                    "feature": t.feature.tolist(),
                    "threshold": [float(f"{v:.9g}") for v in t.threshold],
                    "left": t.left.tolist(),
                    "right": t.right.tolist(),
                    "value": rounded(t.value),
                }
                for t in forest
            ]
            for forest in model.forests
        ],
        "trained_on": dict(model.trained_on),
    }
    path.write_text(json.dumps(body, separators=(",", ":")) + "\n", encoding="utf-8")


def without(model: GateModel, expert: str) -> GateModel:
    """The same gate without an expert's column; one of `flags` cannot be left out."""
    keep = [j for j, name in enumerate(model.experts) if name != expert]
    if expert in model.flags or len(keep) == len(model.experts):
        raise OptisolveError(f"gate: {expert} is not an expert that can be left out; choose another one.")
    experts, forests = tuple(model.experts[j] for j in keep), tuple(model.forests[j] for j in keep)
    return replace(model, experts=experts, forests=forests, losses=model.losses[:, keep])

"""Training recipes: which instances, which network, how long. The numbers live in ``solvers/ddpm/recipes/NAME.toml``."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Lt, MinLen

from optisolve.content import content_dir
from optisolve.core.errors import FieldProblem, SolverError, UnknownNameError
from optisolve.core.options import Options

__all__ = ["Distil", "Labels", "Network", "Recipe", "Steps", "Vary", "load_recipe", "recipe_names"]

_POSITIVE = Annotated[int, Ge(1)]


@dataclass(frozen=True)
class Vary(Options):
    """How one parameter of the scenario is drawn, once per shard.

    Args:
        law: ``uniform``, ``log`` (uniform in the logarithm), ``integer`` (both ends included) or ``choice``.
        low: Lower end.
        high: Upper end.
        values: What ``choice`` picks from.
    """

    law: Literal["uniform", "log", "integer", "choice"]
    low: float = 0.0
    high: float = 0.0
    values: tuple[Any, ...] = ()

    def draw(self, rng: np.random.Generator) -> Any:
        """One value."""
        if self.law == "choice":
            return self.values[int(rng.integers(len(self.values)))]
        if self.law == "integer":
            return int(rng.integers(int(self.low), int(self.high), endpoint=True))
        if self.law == "log":
            return float(np.exp(rng.uniform(np.log(self.low), np.log(self.high))))
        return float(rng.uniform(self.low, self.high))

    def _check(self) -> Iterable[FieldProblem]:
        if self.law == "choice" and not self.values:
            yield FieldProblem("values", self.values, "at least one value, since law is 'choice'")
        if self.law == "log" and self.low <= 0.0:
            yield FieldProblem("low", self.low, "a number above 0, since law is 'log'")
        if self.high < self.low:
            yield FieldProblem("high", self.high, f"at least low = {self.low:g}")


@dataclass(frozen=True)
class Labels(Options):
    """The label factory.

    Args:
        shards: Shards of training instances.
        shard_size: Instances per shard; all of one shard have one size.
        validation_shards: Shards for early stopping; their instances occur nowhere else.
        per_instance: Near-optima kept per instance.
        temperature: A label's weight is exp(-relative gap / temperature).
    """

    shards: _POSITIVE
    shard_size: _POSITIVE
    validation_shards: _POSITIVE
    per_instance: _POSITIVE
    temperature: Annotated[float, Gt(0)]


@dataclass(frozen=True)
class Network(Options):
    """The denoiser.

    Args:
        kind: Class in `optisolve.solvers.ddpm.networks`.
        config: Its arguments.
    """

    kind: Literal["InterferenceDenoiser", "SetDenoiser", "FilmDenoiser", "PlacementDenoiser"]
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Steps(Options):
    """The optimization of the network.

    Args:
        imitation: Steps that learn from labels.
        label_free: Steps that raise the decoded objective itself, through the reverse chain.
        batch: Instances per step.
        samples: Samples per instance in label-free steps.
        chain_steps: Lengths of the reverse chain in label-free steps, taken in turns.
        sharpness: Label-free steps raise a soft maximum over the samples; larger is nearer to the best sample.
        front: Preferences per instance in label-free steps, for families with several objectives: raised is then the
            hypervolume of one sample for each; 0 to raise the scalar value of `samples` samples for one preference.
        keep_imitating: Weight of the imitation loss in label-free steps.
        learning_rate: Of AdamW, at the start; it falls along a cosine.
        ema: Decay of the averaged weights.
        drop_condition: Share of instances whose condition is replaced by the null token.
        check_every: Steps between two validations.
        patience: Validations without a better decoded objective after which training stops.
        check_samples: Samples per instance in validation.
        most_variables: Variables of a batch at most, all instances together, so that large instances take no longer than many
            small ones; 0 for no limit.
    """

    imitation: Annotated[int, Ge(0)]
    label_free: Annotated[int, Ge(0)]
    batch: _POSITIVE
    samples: _POSITIVE
    chain_steps: Annotated[tuple[_POSITIVE, ...], MinLen(1)]
    sharpness: Annotated[float, Gt(0)]
    keep_imitating: Annotated[float, Ge(0)]
    learning_rate: Annotated[float, Gt(0)]
    ema: Annotated[float, Ge(0), Lt(1)]
    drop_condition: Annotated[float, Ge(0), Lt(1)]
    check_every: _POSITIVE
    patience: _POSITIVE
    check_samples: _POSITIVE
    front: Annotated[int, Ge(0)] = 0
    most_variables: Annotated[int, Ge(0)] = 0

    @property
    def total(self) -> int:
        """All steps."""
        return self.imitation + self.label_free

    def _check(self) -> Iterable[FieldProblem]:
        if self.total == 0:
            yield FieldProblem("imitation", 0, "at least one step, here or in label_free")


@dataclass(frozen=True)
class Distil(Options):
    """A teacher whose chain of several network calls is learned in place of labels.

    Args:
        teacher: Name of shipped weights, a folder, or a hub id.
        steps: Network calls of the teacher's chain.
    """

    teacher: str = ""
    steps: _POSITIVE = 4

    def _check(self) -> Iterable[FieldProblem]:
        if not self.teacher:
            yield FieldProblem("teacher", self.teacher, "the name of shipped weights, a folder, or owner/name on the hub")


@dataclass(frozen=True)
class Recipe(Options):
    """Everything a training needs, except the seed and the machine.

    Args:
        problem: Scenario the instances come from.
        vary: Parameters of the scenario that change from shard to shard.
        labels: The label factory.
        network: The denoiser.
        steps: The optimization.
        start_from: Folder of weights to start from, or a shipped weight's name; empty for none.
        distil: The teacher whose samples are imitated, noise by noise; None to imitate labels.
    """

    problem: str
    labels: Labels
    network: Network
    steps: Steps
    vary: Mapping[str, Vary] = field(default_factory=dict)
    start_from: str = ""
    distil: Distil | None = None

    def digest(self) -> str:
        """Hash of the part that decides the instances and labels."""
        told = {"problem": self.problem, "vary": self.vary, "labels": self.labels}
        text = json.dumps(told, default=lambda value: value.options(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def recipe_names() -> tuple[str, ...]:
    """Names of the recipes that ship with optisolve."""
    return tuple(sorted(path.stem for path in (content_dir("solvers") / "ddpm" / "recipes").glob("*.toml")))


def load_recipe(name: str, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """A recipe by name or file, with some values changed.

    Args:
        name: Name of a shipped recipe, or the path of a TOML file.
        overrides: Dotted keys, e.g. ``{"steps.imitation": 100}``.

    Raises:
        UnknownNameError: No such recipe.
        OptionError: Unknown or bad values, all in one message.
    """
    path = Path(name)
    if path.suffix != ".toml":
        if name not in recipe_names():
            raise UnknownNameError("recipe", name, recipe_names())
        path = content_dir("solvers") / "ddpm" / "recipes" / f"{name}.toml"
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SolverError(f"recipe {path}: {error}") from error
    for key, value in (overrides or {}).items():
        _set(values, key.split("."), value)
    parts: dict[str, Any] = dict(values)
    for part, cls in (("labels", Labels), ("network", Network), ("steps", Steps), ("distil", Distil)):
        if part in parts:
            parts[part] = cls.from_mapping(parts[part], title=f"recipe {path.stem}: {part}")
    parts["vary"] = {
        key: Vary.from_mapping(law, title=f"recipe {path.stem}: vary.{key}") for key, law in parts.get("vary", {}).items()
    }
    return Recipe.from_mapping(parts, title=f"recipe {path.stem}")


def _set(values: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        values = values.setdefault(key, {})
    values[keys[-1]] = value

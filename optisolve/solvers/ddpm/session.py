"""One training from recipe to weights: labels, steps, learning curve, card."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from optisolve.core.documents import Json, plain, write_atomic
from optisolve.core.errors import SolverError
from optisolve.solvers.ddpm.factory import make_shards, recipe_bridge
from optisolve.solvers.ddpm.networks import parameter_count, pick_device
from optisolve.solvers.ddpm.recipe import Distil, Recipe
from optisolve.solvers.ddpm.training import Check, Trainer, write_history
from optisolve.solvers.ddpm.weights import Weights, load_weights, save_weights

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

__all__ = ["Listener", "Trained", "train"]


class Listener(Protocol):
    """Who is told what happens; every method may do nothing."""

    def shard(self, done: int, total: int) -> None:
        """A shard of labels is done."""

    def step(self, step: int, total: int, loss: float) -> None:
        """A step is done."""

    def check(self, check: Check) -> None:
        """A validation is done."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training left behind.

    Attributes:
        folder: Weights with their card; give it as ``solver.weights``.
        card: The card.
        finished: False when it stopped at its limit of seconds; run it again to go on.
    """

    folder: Path
    card: dict[str, Json]
    finished: bool


def train(
    recipe: Recipe,
    out: Path,
    *,
    labels: Path | None = None,
    seed: int = 0,
    device: str = "auto",
    workers: int = 1,
    resume: bool = True,
    seconds: float | None = None,
    tensorboard: bool = False,
    listener: Listener | None = None,
) -> Trained:
    """Train, or go on with a training that was interrupted.

    Args:
        recipe: What is learned and how.
        out: Folder for checkpoint, learning curve and ``weights/``.
        labels: Folder of the label shards; by default ``out/labels``.
        seed: Decides initial weights and every step.
        device: ``auto``, ``cpu`` or ``cuda``.
        workers: Processes of the label factory.
        resume: Go on from a checkpoint in `out`; else a checkpoint there is refused.
        seconds: Stop after about this much training.
        tensorboard: Write TensorBoard logs to ``out/tensorboard``.
        listener: Told about progress.

    Returns:
        The weights and their card.

    Raises:
        SolverError: The instances cannot be sampled, there is no such teacher, the folder holds another training, or labels
            leak.
    """
    bridge = recipe_bridge(recipe)
    family = bridge.family
    if recipe.steps.front and not bridge.preferences:
        raise SolverError(
            f"train: steps.front={recipe.steps.front} needs several objectives; {family} has one, use steps.front=0."
        )
    papers = None if recipe.distil is None else _teacher(recipe.distil, family)
    out.mkdir(parents=True, exist_ok=True)
    folder, label_seconds = labels or out / "labels", time.perf_counter()
    told = None if listener is None else listener.shard
    training, validation = make_shards(recipe, folder, workers=workers, on_shard=told)
    label_seconds = _label_seconds(folder, time.perf_counter() - label_seconds)
    where = pick_device(device)
    start = load_weights(recipe.start_from, family).denoiser(where) if recipe.start_from else None
    teacher = None if papers is None else papers.denoiser(where)
    trainer = Trainer(recipe, training, validation, seed=seed, device=where, network=start, teacher=teacher)
    if (out / "checkpoint.safetensors").is_file():
        if not resume:
            raise SolverError(f"{out}: holds a training already. Give another out=FOLDER, or resume=true to go on with it.")
        trainer.resume(out)
    writer = _tensorboard(out / "tensorboard") if tensorboard else None

    def on_step(step: int, loss: float) -> None:
        if listener is not None:
            listener.step(step, recipe.steps.total, loss)
        if writer is not None:
            writer.add_scalar("loss", loss, step)

    def on_check(check: Check) -> None:
        if listener is not None:
            listener.check(check)
        if writer is not None:
            writer.add_scalar("decoded", check.decoded, check.step)

    trainer.run(on_step=on_step, on_check=on_check, checkpoint=out, seconds=seconds)
    if writer is not None:
        writer.close()
    trainer.save(out)
    write_history(trainer.history, out / "learning_curve.csv")
    network = trainer.weights()
    card: dict[str, Json] = {
        "family": family,
        "problem": recipe.problem,
        "recipe": plain(recipe),
        "labels": {"digest": recipe.digest(), "instances": recipe.labels.shards * recipe.labels.shard_size},
        "modes_per_instance": _modes(training),
        "seed": seed,
        "steps": trainer.step,
        "skipped_steps": trainer.skipped,
        "stopped_early": trainer.stopped_early,
        "decoded": trainer.best if trainer.history else None,
        "parameters": parameter_count(network),
        **({} if papers is None else {"teacher": {"name": papers.name, "sha256": papers.sha256}}),
        "seconds": {"labels": round(label_seconds, 1), "training": round(trainer.seconds, 1), "device": where},
    }
    save_weights(network, out / "weights", card)
    return Trained(out / "weights", card, trainer.step >= recipe.steps.total or trainer.stopped_early)


def _teacher(distil: Distil, family: str) -> Weights:
    """The weights to learn from.

    Raises:
        SolverError: There are none, or they are of another family.
    """
    try:
        return load_weights(distil.teacher, family)
    except SolverError as error:
        raise SolverError(f"train: distil.teacher={distil.teacher}: {error}") from error


def _label_seconds(folder: Path, seconds: float) -> float:
    """Seconds spent on these labels in all runs; a resumed factory adds to what it spent before."""
    note = folder / "seconds.json"
    before: float = float(json.loads(note.read_text(encoding="utf-8"))["seconds"]) if note.is_file() else 0.0
    write_atomic(note, json.dumps({"seconds": before + seconds}).encode())
    return float(before + seconds)


def _modes(shards: list[Path]) -> float:
    """Mean number of distinct near-optima per instance, at most what the recipe keeps."""
    found = [json.loads((path / "shard.json").read_text(encoding="utf-8"))["modes_per_instance"] for path in shards]
    return float(round(sum(found) / len(found), 3))


def _tensorboard(folder: Path) -> SummaryWriter:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise SolverError("tensorboard=true needs the package tensorboard: pip install tensorboard") from error
    return SummaryWriter(str(folder))

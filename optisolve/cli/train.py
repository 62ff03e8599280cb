"""``optisolve train``: weights for a learned solver from a recipe."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge

from optisolve.cli.display import console, new_table
from optisolve.cli.progress import Bar, Show
from optisolve.cli.settings import Choice, Group, Verb
from optisolve.core.errors import MissingDependency

if TYPE_CHECKING:
    from optisolve.solvers.ddpm.training import Check

__all__ = ["Train"]


@dataclass(frozen=True, slots=True)
class Train(Verb):
    """Train a learned solver's weights from a recipe.

    Args:
        problem: Scenario whose instances are learned; a bare family means the recipe's own scenario.
        solver: The learned solver.
        recipe: A recipe of solvers/ddpm/recipes or the path of a TOML file; the family's own unless said otherwise.
        start_from: Changes the recipe: weights to begin with.
        distil: Changes the recipe: distil.teacher=WEIGHTS distil.steps=N learns the samples of a teacher in place of labels.
        labels: Folder of label shards (OUT/labels unless said otherwise), made once, used again; KEYs change the recipe.
        steps: Changes the recipe.
        network: Changes the recipe, e.g. network.config.KEY=.
        vary: Changes the recipe, e.g. vary.NAME.KEY=.
        out: Folder of checkpoint, learning curve and weights (runs/train-RECIPE unless said otherwise).
        seed: Decides initial weights and every step.
        device: Where it is trained.
        workers: Processes of the label factory.
        threads: Threads of torch.
        resume: Go on from the checkpoint in out, to the last bit.
        seconds: Stop after about so many seconds of training; the same command goes on.
        tensorboard: Write logs to OUT/tensorboard.
        progress: How far it is, on stderr. auto: a bar on a terminal, elsewhere a line every few seconds.
        dry_run: Read the recipe, train nothing.
    """

    problem: str
    solver: Literal["ddpm"] = "ddpm"
    recipe: str = ""
    start_from: str | None = None
    distil: Group = field(default_factory=dict)
    labels: Choice = Choice()
    steps: Group = field(default_factory=dict)
    network: Group = field(default_factory=dict)
    vary: Group = field(default_factory=dict)
    out: str = ""
    seed: Annotated[int, Ge(0)] = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    workers: Annotated[int, Ge(1)] = 1
    threads: Annotated[int, Ge(1)] | None = None
    resume: bool = True
    seconds: Annotated[float, Ge(0)] | None = None
    tensorboard: bool = False
    progress: Show = "auto"
    dry_run: bool = False

    def __call__(self) -> int:
        missing = [name for name in ("torch", "diffusers", "safetensors") if find_spec(name) is None]
        if missing:
            raise MissingDependency(", ".join(missing), extra="diffusion")
        return _train(self)


def _changes(settings: Train) -> Mapping[str, object]:
    """What is changed in the recipe, by dotted name."""
    scenario = {"problem": settings.problem} if "/" in settings.problem else {}
    start = {} if settings.start_from is None else {"start_from": settings.start_from}
    groups = {name: getattr(settings, name) for name in ("distil", "steps", "network", "vary")} | {
        "labels": settings.labels.options
    }
    return {**scenario, **start, **{f"{g}.{key}": value for g, group in groups.items() for key, value in group.items()}}


def _train(settings: Train) -> int:
    from optisolve.solvers.ddpm.recipe import load_recipe
    from optisolve.solvers.ddpm.session import train

    name = settings.recipe or settings.problem.split("/", maxsplit=1)[0]
    recipe = load_recipe(name, _changes(settings))
    out = Path(settings.out or f"runs/train-{name.split('/')[-1].removesuffix('.toml')}")
    console.print(f"recipe {name}: {recipe.problem}, {recipe.labels.shards} shards, {recipe.steps.total} steps")
    if settings.dry_run:
        return 0
    import torch

    torch.set_num_threads(settings.threads or len(os.sched_getaffinity(0)))
    with _Display(recipe.steps.total, settings.progress) as display:
        trained = train(
            recipe,
            out,
            labels=Path(settings.labels.name) if settings.labels.name else None,
            seed=settings.seed,
            device=settings.device,
            workers=settings.workers,
            resume=settings.resume,
            seconds=settings.seconds,
            tensorboard=settings.tensorboard,
            listener=display,
        )
    card = trained.card
    decoded = "none yet" if card["decoded"] is None else f"{card['decoded']:.4f}"
    state = "finished" if trained.finished else "stopped at its limit; the same command goes on"
    console.print(f"{state}: {card['steps']} steps, decoded objective {decoded} of the best label", soft_wrap=True)
    console.print(f"weights: {trained.folder}\nuse them with: solver.weights={trained.folder}")
    return 0


class _Display:
    """A bar over labels, then over steps, and a table of the last validations at the end.

    Args:
        total: Steps of training.
        show: How.
    """

    def __init__(self, total: int, show: Show) -> None:
        self._bar = Bar("labels", total=total, show=show)
        self._note = ""
        self._checks: list[Check] = []

    def __enter__(self) -> _Display:
        self._bar.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.__exit__()
        table = new_table(">step", ">loss", ">decoded", ">seconds", title="validation: best sample / best label")
        for check in self._checks[-8:]:
            table.add_row(str(check.step), f"{check.loss:.4f}", f"{check.decoded:.4f}", f"{check.seconds:.0f}")
        if self._checks:
            console.print(table)

    def shard(self, done: int, total: int) -> None:
        self._bar.update(done, total, line=f"labels: {done}/{total} shards")

    def step(self, step: int, total: int, loss: float) -> None:
        self._bar.update(step, total, name="training", note=self._note, line=f"training: step {step:,}/{total:,}")

    def check(self, check: Check) -> None:
        self._checks.append(check)
        self._note = f"decoded {check.decoded:.4f}"

"""``optisolve train``: weights for a learned solver from a recipe."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from optisolve.cli.commands import parse_overrides
from optisolve.cli.display import console, errors, new_table
from optisolve.core.errors import MissingDependency, OptisolveError
from optisolve.core.options import Options

if TYPE_CHECKING:
    from optisolve.solvers.ddpm.training import Check

__all__ = ["train_command"]


@dataclass(frozen=True, slots=True)
class _Settings(Options):
    problem: str
    solver: Literal["ddpm"] = "ddpm"
    recipe: str = ""
    out: str = ""
    labels: str = ""
    seed: Annotated[int, Ge(0)] = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    workers: Annotated[int, Ge(1)] = 1
    threads: Annotated[int, Ge(1)] | None = None
    resume: bool = True
    seconds: Annotated[float, Ge(0)] | None = None
    tensorboard: bool = False
    dry_run: bool = False


_PARTS = ("labels.", "steps.", "network.", "vary.", "start_from")


def train_command(options: argparse.Namespace) -> int:
    """``optisolve train key=value...``: 0 when the weights are written."""
    settings, changes = _parse(options.overrides)
    missing = [name for name in ("torch", "diffusers", "safetensors") if find_spec(name) is None]
    if missing:
        raise MissingDependency(", ".join(missing), extra="diffusion")
    from optisolve.solvers.ddpm.recipe import load_recipe
    from optisolve.solvers.ddpm.session import train

    name = settings.recipe or settings.problem.split("/", maxsplit=1)[0]
    scenario = {"problem": settings.problem} if "/" in settings.problem else {}  # a bare family means the recipe's own scenario
    recipe = load_recipe(name, {**scenario, **changes})
    out = Path(settings.out or f"runs/train-{name.split('/')[-1].removesuffix('.toml')}")
    console.print(f"recipe {escape(name)}: {escape(recipe.problem)}, {recipe.labels.shards} shards, {recipe.steps.total} steps")
    if settings.dry_run:
        return 0
    import torch

    torch.set_num_threads(settings.threads or len(os.sched_getaffinity(0)))
    with _Display(recipe.steps.total) as display:
        trained = train(
            recipe,
            out,
            labels=Path(settings.labels) if settings.labels else None,
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
    console.print(f"weights: {escape(str(trained.folder))}\nuse them with: solver.weights={escape(str(trained.folder))}")
    return 0


def _parse(words: Iterable[str]) -> tuple[_Settings, dict[str, Any]]:
    values = parse_overrides(words)
    if "problem" not in values:
        raise OptisolveError("Say which problem, e.g. optisolve train solver=ddpm problem=power_control.")
    changes = {key: values.pop(key) for key in list(values) if key.startswith(_PARTS) and key != "labels"}
    return _Settings.from_mapping(values, title="train"), changes


class _Display:
    """Two progress bars on the error stream, and a table of the last validations at the end."""

    def __init__(self, total: int) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Bar(*columns, TimeRemainingColumn(), TextColumn("{task.fields[told]}"), console=errors, transient=True)
        self._labels = self._bar.add_task("labels", total=None, told="")
        self._steps = self._bar.add_task("training", total=total, told="", start=False)
        self._checks: list[Check] = []

    def __enter__(self) -> _Display:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
        table = new_table(">step", ">loss", ">decoded", ">seconds", title="validation: best sample / best label")
        for check in self._checks[-8:]:
            table.add_row(str(check.step), f"{check.loss:.4f}", f"{check.decoded:.4f}", f"{check.seconds:.0f}")
        if self._checks:
            console.print(table)

    def shard(self, done: int, total: int) -> None:
        self._bar.update(self._labels, completed=done, total=total)

    def step(self, step: int, total: int, loss: float) -> None:
        self._bar.start_task(self._steps)
        self._bar.update(self._steps, completed=step, total=total)

    def check(self, check: Check) -> None:
        self._checks.append(check)
        self._bar.update(self._steps, told=f"decoded {check.decoded:.4f}")

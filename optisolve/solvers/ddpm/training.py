"""Training: imitate near-optima, then raise the decoded objective itself; stop, resume and repeat to the last bit.

Nothing random outlives a step: step k draws its shard, rows, noise and dropped conditions from a generator made of (seed, k).
A checkpoint is therefore the weights, their average, the optimizer's moments and a few numbers, all in safetensors and JSON.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TypedDict, cast

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from optisolve.core.bridge import Bridge, to_tensors
from optisolve.core.documents import Json, plain, write_atomic
from optisolve.core.errors import SolverError
from optisolve.core.seeds import generator
from optisolve.solvers.ddpm import networks
from optisolve.solvers.ddpm.factory import Shard, read_shard, recipe_bridge
from optisolve.solvers.ddpm.losses import Losses, cases_in, spread
from optisolve.solvers.ddpm.networks import Denoiser
from optisolve.solvers.ddpm.noise import case_keys
from optisolve.solvers.ddpm.recipe import Recipe
from optisolve.solvers.ddpm.sampler import Sampling, sample

__all__ = ["Check", "Trainer", "best_of", "front_of", "make_network"]


@dataclass(frozen=True, slots=True)
class Check:
    """One validation.

    Attributes:
        step: Steps done.
        loss: Mean loss since the last validation.
        decoded: Mean over the validation cases of best sample / best label, in the sense that larger is better; with
            ``front``, what the front is worth.
        seconds: Training time so far, s.
    """

    step: int
    loss: float
    decoded: float
    seconds: float


def make_network(recipe: Recipe) -> Denoiser:
    """The recipe's denoiser with fresh weights."""
    network: Denoiser = getattr(networks, recipe.network.kind)(**recipe.network.config)
    return network


@dataclass
class Trainer:
    """One training.

    Args:
        recipe: What is learned and how.
        training: Folders of the training shards.
        validation: Folders of the validation shards.
        seed: Decides initial weights and every step.
        device: ``cpu`` or ``cuda``.
        network: Denoiser to go on from; None for fresh weights.
        teacher: Denoiser whose chain is imitated in place of labels, where the recipe says `distil`.
        compiled: Compile the network with `torch.compile`; None does so on CUDA.
        mixed: Let the network compute in bfloat16 where that is safe (autocast); None does so on CUDA. Objectives are always
            computed in float32.
    """

    recipe: Recipe
    training: list[Path]
    validation: list[Path]
    seed: int = 0
    device: str = "cpu"
    network: Denoiser | None = None
    teacher: Denoiser | None = None
    compiled: bool | None = None
    mixed: bool | None = None
    step: int = 0
    history: list[Check] = field(default_factory=list)
    best: float = -math.inf
    stale: int = 0
    seconds: float = 0.0
    skipped: int = 0

    def __post_init__(self) -> None:
        from diffusers.training_utils import EMAModel

        if (self.teacher is None) != (self.recipe.distil is None):
            raise SolverError("Trainer: a teacher and the recipe's distil come together; one of them is missing.")
        torch.manual_seed(int(generator(self.seed, purpose="ddpm-weights").integers(2**31)))
        self.network = (self.network or make_network(self.recipe)).to(self.device)
        self.average = EMAModel(self.network.parameters(), decay=self.recipe.steps.ema, use_ema_warmup=True, foreach=False)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=self.recipe.steps.learning_rate, weight_decay=1e-4)
        self.bridge: Bridge = recipe_bridge(self.recipe)
        self.losses = Losses(self.recipe, self.network, self.bridge, self.device, self.teacher)
        self._shard = lru_cache(maxsize=64)(read_shard)
        self._recent: list[float] = []
        self._best_weights: dict[str, Tensor] | None = None
        if self.compiled if self.compiled is not None else self.device == "cuda":
            self.network.denoise = torch.compile(self.network.denoise, dynamic=True)  # type: ignore[method-assign]

    # -- the loop ------------------------------------------------------------------------------------------------

    def run(
        self,
        *,
        until: int | None = None,
        on_step: Callable[[int, float], None] | None = None,
        on_check: Callable[[Check], None] | None = None,
        checkpoint: Path | None = None,
        seconds: float | None = None,
    ) -> None:
        """Train.

        Args:
            until: Stop after this many steps in all; None for the recipe's.
            on_step: Called with the step and its loss.
            on_check: Called after every validation.
            checkpoint: Folder for checkpoints, written after every validation.
            seconds: Stop after about this many seconds of training in all; the point where it stops depends on the machine.
        """
        total = self.recipe.steps.total if until is None else min(until, self.recipe.steps.total)
        while self.step < total and not self.stopped_early and (seconds is None or self.seconds < seconds):
            start = time.perf_counter()
            loss = self._one_step()
            self._recent.append(loss)
            self.seconds += time.perf_counter() - start
            if on_step is not None:
                on_step(self.step, loss)
            if self.step % self.recipe.steps.check_every == 0 or self.step == self.recipe.steps.total:
                self._validate(on_check)
                if checkpoint is not None:
                    self.save(checkpoint)

    @property
    def stopped_early(self) -> bool:
        """The decoded objective stopped getting better."""
        return self.stale >= self.recipe.steps.patience

    def weights(self) -> Denoiser:
        """A copy of the network with the averaged weights of the best validation (of now, before the first one)."""
        assert self.network is not None
        copy = make_network(self.recipe)
        copy.load_state_dict(self._best_weights if self._best_weights is not None else self._averaged())
        return cast(Denoiser, copy.eval())

    def _one_step(self) -> float:
        assert self.network is not None
        steps, rng = self.recipe.steps, generator(self.seed, purpose="ddpm-step", step=self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = steps.learning_rate * (0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * self.step / steps.total)))
        shard = self._shard(self.training[int(rng.integers(len(self.training)))])
        rows = np.sort(rng.choice(len(shard["label_y"]), self._batch(shard), replace=False))
        batch = {name: np.asarray(values[rows]) for name, values in shard.items()}
        noise = torch.Generator().manual_seed(int(rng.integers(2**62)))
        mixed = self.mixed if self.mixed is not None else self.device == "cuda"
        with torch.autocast(self.device, dtype=torch.bfloat16, enabled=mixed):
            loss = self.losses.at(self.step, batch, rng, noise)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        if torch.isfinite(norm):
            self.optimizer.step()
            self.average.step(self.network.parameters())
        else:  # one bad batch must not end hours of training; the count is reported
            self.skipped += 1
        self.step += 1
        return float(loss.detach())

    def _batch(self, shard: Shard) -> int:
        """Instances of a step with a shard."""
        count, steps = min(self.recipe.steps.batch, len(shard["label_y"])), self.recipe.steps
        return min(count, max(1, steps.most_variables // shard["label_y"].shape[2])) if steps.most_variables else count

    # -- validation ----------------------------------------------------------------------------------------------

    def _validate(self, on_check: Callable[[Check], None] | None) -> None:
        now = self._averaged()
        network = make_network(self.recipe)
        network.load_state_dict(now)
        network = network.to(self.device).eval()
        measure = front_of if self.recipe.steps.front else best_of
        ratios = [
            measure(network, self.bridge, read_shard(path), self.recipe, seed=i) for i, path in enumerate(self.validation)
        ]
        check = Check(self.step, float(np.mean(self._recent)), float(np.mean(ratios)), self.seconds)
        self._recent.clear()
        self.history.append(check)
        if check.decoded > self.best:
            self.best, self.stale, self._best_weights = check.decoded, 0, now
        elif self.step > self.recipe.steps.imitation:  # imitation may wander; what counts comes after it
            self.stale += 1
        if on_check is not None:
            on_check(check)

    def _averaged(self) -> dict[str, Tensor]:
        assert self.network is not None
        self.average.store(self.network.parameters())
        self.average.copy_to(self.network.parameters())
        copy = {name: values.detach().cpu().clone() for name, values in self.network.state_dict().items()}
        self.average.restore(self.network.parameters())
        return copy

    # -- checkpoints ---------------------------------------------------------------------------------------------

    def save(self, folder: Path) -> None:
        """Write a checkpoint from which training goes on to the last bit."""
        assert self.network is not None
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {f"network.{name}": values for name, values in self.network.state_dict().items()}
        tensors |= {f"average.{i}": values for i, values in enumerate(self.average.shadow_params)}
        for i, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{i}.{name}": torch.as_tensor(value) for name, value in state.items()}
        if self._best_weights is not None:
            tensors |= {f"best.{name}": values for name, values in self._best_weights.items()}
        told: State = {
            "step": self.step,
            "seed": self.seed,
            "recipe": plain(self.recipe),
            "best": self.best if math.isfinite(self.best) else None,
            "stale": self.stale,
            "seconds": self.seconds,
            "skipped": self.skipped,
            "losses": self._recent,
            "average_step": self.average.optimization_step,
            "history": [(c.step, c.loss, c.decoded, c.seconds) for c in self.history],
        }
        data = {name: values.detach().cpu().contiguous().clone() for name, values in tensors.items()}
        draft = folder / ".checkpoint.safetensors"
        save_file(data, draft, metadata={"state": json.dumps(told)})
        draft.replace(folder / "checkpoint.safetensors")

    def resume(self, folder: Path) -> None:
        """Go on from a checkpoint.

        Raises:
            SolverError: There is none, or it belongs to another recipe or seed.
        """
        assert self.network is not None
        file = folder / "checkpoint.safetensors"
        if not file.is_file():
            raise SolverError(f"{folder}: there is no checkpoint.safetensors to resume from.")
        told = read_state(file)
        if told["recipe"] != plain(self.recipe) or told["seed"] != self.seed:
            raise SolverError(f"{folder}: the checkpoint was written with another recipe or seed; give another out=FOLDER.")
        tensors = load_file(file, device=self.device)

        def part(name: str) -> dict[str, Tensor]:
            return {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}

        self.network.load_state_dict(part("network"))
        self.average.shadow_params = [value for _, value in sorted(part("average").items(), key=lambda item: int(item[0]))]
        self.average.optimization_step = told["average_step"]
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in part("optimizer").items():
            index, _, name = key.partition(".")
            state.setdefault(int(index), {})[name] = value.cpu() if name == "step" else value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})
        self._best_weights = {name: value.cpu() for name, value in part("best").items()} or None
        self.step, self.stale, self.seconds, self.skipped = told["step"], told["stale"], told["seconds"], told["skipped"]
        self.best = -math.inf if told["best"] is None else told["best"]
        self._recent = list(told["losses"])
        self.history = [Check(*row) for row in told["history"]]


def best_of(network: Denoiser, bridge: Bridge, shard: Shard, recipe: Recipe, *, seed: int) -> float:
    """Mean over a shard's cases of the best decoded sample's score over the best label's, larger is better."""
    cases = cases_in(shard)
    keys = case_keys(seed, np.arange(len(shard["label_score"])))
    how = Sampling(steps=max(recipe.steps.chain_steps))
    y = sample(network, bridge, cases, keys, recipe.steps.check_samples, how)
    score = bridge.score(cases, bridge.decode(cases, y)).max(axis=1)  # [B]
    best = np.asarray(shard["label_score"]).max(axis=1)
    ratio = score / best if (best > 0.0).all() else 1.0 - (best - score) / np.maximum(np.abs(best), 1e-9)
    return float(ratio.mean())


def front_of(network: Denoiser, bridge: Bridge, shard: Shard, recipe: Recipe, *, seed: int) -> float:
    """Mean over a shard's cases of what the front of one sample for each preference is worth, see `Bridge.front_value`."""
    count, how = recipe.steps.front, Sampling(steps=max(recipe.steps.chain_steps))
    cases = spread(bridge, cases_in(shard), count)
    y = sample(network, bridge, cases, case_keys(seed, np.arange(len(shard["label_score"]) * count)), 1, how)
    with torch.inference_mode():
        condition = to_tensors(bridge.condition(cases), "cpu")
        samples = torch.as_tensor(y.astype(np.float32))
        value = bridge.front_value(condition, samples.view(-1, count, *y.shape[2:]))
    return float(value.mean())


class State(TypedDict):
    """The numbers of a checkpoint, beside its tensors; `history` has a row per `Check`."""

    step: int
    seed: int
    recipe: Json
    best: float | None
    stale: int
    seconds: float
    skipped: int
    losses: list[float]
    average_step: int
    history: list[tuple[int, float, float, float]]


def read_state(file: Path) -> State:
    """The numbers of a checkpoint."""
    from safetensors import safe_open

    with safe_open(file, framework="pt") as opened:
        state: State = json.loads(opened.metadata()["state"])
    return state


def write_history(history: list[Check], file: Path) -> None:
    """The learning curve as CSV: step, loss, decoded objective, seconds."""
    lines = ["step,loss,decoded,seconds", *(f"{c.step},{c.loss:.6g},{c.decoded:.6g},{c.seconds:.1f}" for c in history)]
    write_atomic(file, ("\n".join(lines) + "\n").encode())

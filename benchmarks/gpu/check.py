"""What a GPU is worth here: the same answer twice, samples and training steps of ``ddpm``, traced rays; in eight minutes.

    python benchmarks/gpu/check.py --out gpu.json
    python benchmarks/gpu/check.py --device cpu --size small           # no GPU: tries the script itself

Ratios are to one core of this machine's processor: to the sampler in numpy, and to training steps and rays on one thread.
Figures are medians of runs after those that warm up; compiling is never timed. What fails, differs or finds no time is a row
that says so, and the script ends with 1; the file is written anew with every row.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from rows import Row, Rows, gpu, median_s
from sizes import SIZES, Size, Steps

import optisolve
from optisolve.core.bridge import Bridge, stack, to_tensors
from optisolve.problems.radio_planning.tracing import can_trace
from optisolve.solvers.ddpm.bridges import bridge_of
from optisolve.solvers.ddpm.factory import make_shards
from optisolve.solvers.ddpm.networks import Denoiser, parameter_count
from optisolve.solvers.ddpm.noise import case_keys
from optisolve.solvers.ddpm.recipe import Recipe, load_recipe
from optisolve.solvers.ddpm.sampler import Network, Sampling, sample
from optisolve.solvers.ddpm.training import Trainer
from optisolve.solvers.ddpm.weights import load_weights

WAYS = ("float32", "bfloat16", "compiled")
SAMPLED = (("power_control", 16), ("uav_isac", 1))
"""Scenarios whose shipped networks are asked, and samples per case."""
GRID = 1.0 / 1024.0
TOGETHER = 1 << 24
"""Variables that walk together on a GPU: all of them."""
NEVER = 10**9
ON_CORE, ON_THREAD = "numpy, one core", "torch, one core"


@dataclass
class Check(Rows):
    """A check of a size.

    Args:
        size: How much is measured.
        ways: Some of `WAYS`.
    """

    size: Size
    ways: tuple[str, ...]


# -- sampling ----------------------------------------------------------------------------------------------------------


def cases_of(scenario: str, count: int) -> tuple[Bridge, dict[str, np.ndarray]]:
    """Some cases of a scenario: repeated instances, each with a preference where there are several objectives."""
    instances = [optisolve.load_problem(scenario).instance(seed) for seed in range(min(count, 16))]
    bridge = bridge_of(instances[0])
    read = [bridge.read(instance) for instance in instances]
    if bridge.preferences:
        each = [bridge.spread(case, -(-count // len(read))) for case in read]
        cases = {name: np.concatenate([case[name] for case in each]) for name in each[0]}
    else:
        cases = stack([read[i % len(read)] for i in range(count)])
    return bridge, {name: values[:count] for name, values in cases.items()}


def denoiser(family: str, device: str, way: str) -> Denoiser:
    """The shipped network on the device, computing in one of the `WAYS`."""
    network = load_weights("auto", family).denoiser(device)
    if way == "compiled":
        torch.compiler.reset()  # else a class that was compiled a few times before is left as it is
        network.denoise = torch.compile(network.denoise, dynamic=True)
    if way == "bfloat16":
        plain = network.clean

        def clean(*given: object) -> torch.Tensor:
            with torch.autocast(device, dtype=torch.bfloat16):
                return plain(*given).float()

        network.clean = clean
    return network


def sampling(check: Check, _: Path) -> None:
    """Samples per second, by the number of cases that are asked for together."""
    for scenario, count in SAMPLED:
        networks: dict[str, Denoiser] = {}
        for batch in check.size.batches:
            sampled(check, scenario, count, batch, networks)


def sampled(check: Check, scenario: str, count: int, batch: int, networks: dict[str, Denoiser]) -> None:
    """The rows of one batch; `networks` holds those that were made before, by their way."""
    what = f"{scenario}, {batch} x {count}"
    bridge, cases = cases_of(scenario, batch)
    keys, how = case_keys(0, np.arange(batch)), Sampling(steps=2)
    expected: list[np.ndarray] = []

    def timed(way: str, network: Network, **given: int) -> Row:
        def run() -> np.ndarray:
            return sample(network, bridge, cases, keys, count, how, **given)

        y = run()
        note = f"off by {np.abs(y - expected[0]).max():.1g} at most" if expected else ""
        if way == ON_CORE:
            expected.append(y)
        value = batch * count / median_s(run, check.size.seconds)
        return Row("sampling", what, way, value, "samples/s", over(value, base), note=note)

    def in_numpy() -> Row:
        return replace(timed(ON_CORE, load_weights("auto", scenario).forward()), ratio=1.0)

    def on_device(way: str) -> Row:
        networks[way] = networks.get(way) or denoiser(scenario, check.device, way)
        return timed(way, networks[way], block=TOGETHER)

    def by_itself() -> Row:
        value = batch * count / median_s(alone(networks["float32"], bridge, cases, count), check.size.seconds)
        return Row("sampling", what, "float32, network alone", value, "samples/s", over(value, base))

    base: Row | None = None
    base = check.measure("sampling", what, ON_CORE, in_numpy)
    for way in check.ways:
        check.measure("sampling", what, way, partial(on_device, way))
    if batch == max(check.size.batches):
        title = "float32, in blocks as shipped"
        check.measure("sampling", what, title, lambda: timed(title, networks["float32"]))
        check.measure("sampling", what, "float32, network alone", by_itself)


def over(value: float, base: Row | None) -> float | None:
    """How many times larger a figure is than the processor's, where there is one."""
    return None if base is None or base.value is None else value / base.value


def alone(network: Denoiser, bridge: Bridge, cases: dict[str, np.ndarray], count: int) -> Callable[[], None]:
    """One call of the network with all it needs on the device."""
    device = next(network.parameters()).device
    with torch.inference_mode():
        encoded = network.encode(to_tensors(bridge.condition(cases), str(device)))
        noisy = torch.zeros((len(next(iter(cases.values()))), count, *bridge.shape(cases)), device=device)
        level = torch.full((1,), 0.5, device=device)

    def run() -> None:
        with torch.inference_mode():
            network.clean(noisy, level, encoded)
        if device.type == "cuda":
            torch.cuda.synchronize()

    return run


# -- training ----------------------------------------------------------------------------------------------------------


def recipe_of(steps: Steps, batch: int, *, imitation: int, label_free: int) -> Recipe:
    """A recipe with one shard of labels that never validates."""
    few = {"labels.shards": 1, "labels.validation_shards": 1, "labels.shard_size": batch, "steps.batch": batch}
    lengths = {"steps.imitation": imitation, "steps.label_free": label_free, "steps.check_every": NEVER}
    return load_recipe(steps.recipe, {**few, **lengths, **steps.change})


def trainer(recipe: Recipe, folder: Path, device: str, way: str) -> Trainer:
    """A training in one of the `WAYS`; the compiled one computes in bfloat16 too, as a training on CUDA does by itself."""
    shards, _ = make_shards(recipe, folder / recipe.digest())
    if way == "compiled":
        torch.compiler.reset()
    return Trainer(recipe, shards, [], device=device, mixed=way != "float32", compiled=way == "compiled")


def training(check: Check, folder: Path) -> None:
    """Instances per second in a training step; losses of the first steps beside those of the processor."""
    for steps in check.size.training:
        trained(check, steps, folder)


def trained(check: Check, steps: Steps, folder: Path) -> None:
    """The rows of one kind of step."""
    phases = {"imitation": 0, "label_free": 0, steps.phase: NEVER}
    expected: list[float] = []
    base: Row | None = None

    def timed(device: str, way: str, batch: int, title: str) -> Row:
        training = trainer(recipe_of(steps, batch, **phases), folder, device, way)
        seconds, losses = step_s(training, check.size.seconds)
        note = f"{1e3 * seconds:.3g} ms, {parameter_count(training.network):,} weights"
        if expected and steps.many == steps.few:
            off = max(abs(a - b) / abs(b) for a, b in zip(losses, expected, strict=True))
            note += f", first losses off by {off:.1g} of theirs at most"
        if title == ON_THREAD:
            expected.extend(losses)
        value = batch / seconds
        return Row("training", f"{steps.title}, batch {batch}", title, value, "instances/s", over(value, base), note=note)

    what = f"{steps.title}, batch {steps.few}"
    base = check.measure("training", what, ON_THREAD, lambda: replace(timed("cpu", "float32", steps.few, ON_THREAD), ratio=1.0))
    for way in check.ways:
        what = f"{steps.title}, batch {steps.many}"
        check.measure("training", what, way, partial(timed, check.device, way, steps.many, way))


def step_s(training: Trainer, seconds: float) -> tuple[float, list[float]]:
    """Median time of a step after four that warm up, s, and the losses of those four."""
    losses: list[float] = []
    marks: list[float] = []
    training.run(until=4, on_step=lambda _, loss: losses.append(loss))
    marks.append(training.seconds)
    training.run(seconds=training.seconds + seconds, on_step=lambda *_: marks.append(training.seconds))
    return statistics.median(np.diff(marks)), losses


# -- the same answer twice ---------------------------------------------------------------------------------------------


def same_seed(check: Check, folder: Path) -> None:
    """Weights, samples and records under one seed, made twice on the device."""
    for steps in check.size.twice:
        recipe = recipe_of(steps, steps.many, imitation=check.size.steps, label_free=NEVER)
        for way in check.ways:
            twice(check, f"weights, {steps.title}", way, partial(weights, check, recipe, folder, way))
        what = f"weights of a training that was resumed, {steps.title}"
        whole, resumed = (partial(weights, check, recipe, folder, "float32", resumed=resumed) for resumed in (False, True))
        check.measure("same seed", what, "float32", partial(compared, what, "float32", whole, resumed))
    for scenario, count in SAMPLED:
        for way in check.ways:
            twice(check, f"samples, {scenario}", way, partial(samples, check, scenario, count, way, slice(None)))
        what = f"samples among others and alone, {scenario}"
        check.measure("same seed", what, "float32", partial(among_others, check, what, scenario, count))
        what = f"record, {scenario}"
        check.measure("same seed", what, "float32", partial(recorded, check, what, scenario))


def samples(check: Check, scenario: str, count: int, way: str, part: slice) -> np.ndarray:
    """Samples of some of eight cases."""
    bridge, cases = cases_of(scenario, 8)
    cases, keys = {name: values[part] for name, values in cases.items()}, case_keys(0, np.arange(8))[part]
    return sample(denoiser(scenario, check.device, way), bridge, cases, keys, count, Sampling(steps=2))


def among_others(check: Check, what: str, scenario: str, count: int) -> Row:
    """Whether a case's samples depend on the cases beside it, by more than one step of the grid they are rounded to."""
    beside, alone = (samples(check, scenario, count, "float32", part) for part in (slice(None), slice(3, 4)))
    off = float(np.abs(beside[3:4] - alone).max())
    return Row("same seed", what, "float32", ok=off <= GRID, note=f"off by {off:.1g} at most; the grid is 1/1024")


def recorded(check: Check, what: str, scenario: str) -> Row:
    """Whether two runs of the solver on the device have one hash."""
    instance = optisolve.load_problem(scenario).instance(0)
    first, again = (optisolve.solve(instance, "ddpm", seed=1, device=check.device).record.result_hash for _ in range(2))
    return Row("same seed", what, "float32", ok=first == again, note=first[:16])


def weights(check: Check, recipe: Recipe, folder: Path, way: str, *, resumed: bool = False) -> np.ndarray:
    """All weights after some steps in both phases, in one array."""
    training = trainer(recipe, folder, check.device, way)
    if resumed:
        training.run(until=check.size.steps)
        training.save(folder / "resumed")
        training = trainer(recipe, folder, check.device, way)
        training.resume(folder / "resumed")
    training.run(until=2 * check.size.steps)
    return np.concatenate([values.detach().cpu().numpy().ravel() for values in training.network.parameters()])


def twice(check: Check, what: str, way: str, make: Callable[[], np.ndarray]) -> None:
    """Whether something is the same when it is made again; if not, whether it is with torch's deterministic algorithms."""
    row = check.measure("same seed", what, way, partial(compared, what, way, make, make))
    if row is not None and not row.ok:
        torch.use_deterministic_algorithms(True, warn_only=True)  # warns of what has no deterministic form
        way += ", deterministic algorithms"
        check.measure("same seed", what, way, partial(compared, what, way, make, make))
        torch.use_deterministic_algorithms(False)


def compared(what: str, way: str, make: Callable[[], np.ndarray], other: Callable[[], np.ndarray]) -> Row:
    """Whether two arrays are equal to the last bit, and how far they are apart."""
    first, again = make(), other()
    note = "to the last bit" if np.array_equal(first, again) else f"off by {np.abs(first - again).max():.1g} at most"
    return Row("same seed", what, way, ok=np.array_equal(first, again), note=note)


# -- ray tracing -------------------------------------------------------------------------------------------------------


TRACED = """
import statistics, sys, time
import numpy as np
from optisolve.problems.radio_planning.antenna import SectorAntenna
from optisolve.problems.radio_planning.city import CellGrid
from optisolve.problems.radio_planning.tracing import Rays, tracer_of
device, rays, limit_s, file = sys.argv[1], Rays(int(sys.argv[2]), depth=3), float(sys.argv[3]), sys.argv[4]
tracer = tracer_of("munich", 3.5e9, SectorAntenna(), device)
x_m, y_m = np.array([-32.5, 192.5, 132.5, -182.5]), np.array([14.5, 94.5, -110.5, -145.5])
z_m = tracer.heights_m(x_m, y_m) + 5.0
sites = np.column_stack([x_m, y_m, z_m, [30.0, 230.0, 125.0, 35.0], np.full(4, 7.0)])
grid, maps, spent = CellGrid(-600.0, -600.0, 60, 60, 20.0), [], []
while len(spent) < 3 or sum(spent[2:]) < limit_s:
    begun = time.perf_counter()
    maps.append(tracer.cell_gains(sites, grid, rays))
    spent.append(time.perf_counter() - begun)
np.savez(file, maps=np.stack(maps[:2]), seconds=statistics.median(spent[2:]))
"""
"""Radio maps of four sites in Munich, in a process of its own, since a process traces on one device."""


def tracing(check: Check, folder: Path) -> None:
    """Radio maps per second, and how far apart the gains of two devices are, and of one when it is asked twice."""
    what = f"radio map of Munich, 4 sites, {check.size.rays:,} rays each"
    if not can_trace():
        check.add(Row("tracing", what, check.device, note="left out: needs the extra [rt], and LLVM or CUDA for it"))
        return
    expected: list[np.ndarray] = []
    base: Row | None = None

    def timed(device: str) -> Row:
        (first, again), seconds = traced(check, device, folder / f"{device}.npz")
        note = f"{seconds:.3g} s a map; asked twice: {apart(first, again)}"
        if expected:
            note += f"; beside the processor's: {apart(first, expected[0])}"
        if device == "cpu":
            expected.append(first)
        ok = bool(np.array_equal(first, again)) if device == "cpu" else None  # CUDA adds in any order
        return Row("tracing", what, device, 1.0 / seconds, "maps/s", over(1.0 / seconds, base), ok, note)

    base = check.measure("tracing", what, "cpu", lambda: replace(timed("cpu"), ratio=1.0))
    if check.device != "cpu":
        check.measure("tracing", what, check.device, lambda: timed(check.device))


def traced(check: Check, device: str, file: Path) -> tuple[np.ndarray, float]:
    """The same map twice, float64 [2, 4, rows, columns], and the median time of one, s."""
    words = [sys.executable, "-c", TRACED, device, str(check.size.rays), str(check.size.seconds), str(file)]
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(ran.stderr.strip().splitlines()[-1] if ran.stderr.strip() else f"exit code {ran.returncode}")
    with np.load(file) as told:
        return told["maps"], float(told["seconds"])


def apart(first: np.ndarray, again: np.ndarray) -> str:
    """How far two maps are apart in cells that both cover, dB."""
    if np.array_equal(first, again):
        return "the same to the last bit"
    both = (first > 0.0) & (again > 0.0)
    off = np.abs(10.0 * np.log10(first[both] / again[both]))
    return (
        f"{np.median(off):.2g} dB apart, {off.max():.2g} dB at most, {np.mean((first > 0.0) != (again > 0.0)):.2%} not in both"
    )


PARTS = {"same_seed": same_seed, "sampling": sampling, "tracing": tracing, "training": training}


def main(words: Sequence[str] | None = None) -> int:
    """Check; 0 when all is well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu tries the script where there is no GPU")
    parser.add_argument("--size", choices=tuple(SIZES), default="full")
    parser.add_argument("--ways", default=",".join(WAYS), help=f"some of {','.join(WAYS)}; float32 is among them always")
    parser.add_argument("--parts", default=",".join(PARTS), help=f"some of {','.join(PARTS)}")
    parser.add_argument("--limit", type=float, default=460.0, help="time for all of it, s")
    parser.add_argument("--out", type=Path, help="JSON file for the rows")
    options = parser.parse_args(words)
    ways, parts = options.ways.split(","), options.parts.split(",")
    for flag, given, known in (("--ways", ways, WAYS), ("--parts", parts, PARTS)):
        if strange := sorted({*given} - {*known}):
            parser.error(f"{flag}: {', '.join(strange)} is none of {', '.join(known)}")
    ways = tuple(way for way in WAYS if way == "float32" or way in ways)
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error(f"--device cuda: torch {torch.__version__} finds no CUDA device here; --device cpu tries the script.")
    check = Check(options.device, options.limit, options.out, SIZES[options.size], ways)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # one core is what everything is compared with
    print(f"{gpu() if check.device == 'cuda' else 'no GPU'}\n\n| part | what | way | value | ratio | as it should be | |")
    print("|---|---|---|---:|---:|---|---|", flush=True)
    try:
        with tempfile.TemporaryDirectory() as folder:
            for part in parts:
                PARTS[part](check, Path(folder))
    finally:
        torch.set_num_threads(threads)
    wrong = sum(row.ok is False for row in check.rows)
    print(f"\n{len(check.rows)} rows in {time.perf_counter() - check.begun:.0f} s, {wrong} of them not as they should be")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())

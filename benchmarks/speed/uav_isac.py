"""Speed of the `uav_isac` evaluation: kernel, numpy twin and C, in one run.

    python benchmarks/speed/uav_isac.py [--rounds 60]

Contenders are interleaved (one call of each per round), so that a change of the machine's load hits all alike;
medians are compared, and best times beside them, which other work on the machine disturbs least. The C code beside this
file is compiled with ``gcc -O3 -march=native -ffast-math -fopenmp`` into a temporary folder and must give the kernel's values.
"""

from __future__ import annotations

import argparse
import ctypes
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np

import optisolve
from optisolve.problems.uav_isac import kernels
from optisolve.problems.uav_isac.instance import UavIsacInstance

C_FLAGS = ["-O3", "-march=native", "-ffast-math", "-fopenmp"]
C_SOURCE = Path(__file__).with_name("uav_isac_loops.c")
Contender = Callable[[], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60, help="calls of every contender")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        library = compile_c(Path(folder))
        print(f"{numba.get_num_threads()} numba thread(s), medians of {rounds} interleaved calls, microseconds per batch")
        for name in ("uav_isac", "uav_isac/dense", "uav_isac/urban", "uav_isac/single"):
            throughput(name, 1024, rounds, library if name != "uav_isac/urban" else None)
        latency(rounds)
        with busy_core():
            print("\nwith another process busy on one core")
            throughput("uav_isac", 1024, rounds, library)
            latency(rounds)
            adaptive(rounds)


def throughput(name: str, n: int, rounds: int, library: ctypes.CDLL | None) -> None:
    """One line per contender on one batch size."""
    case = Case(optisolve.load_problem(name).instance(0), n)
    many = numba.get_num_threads()
    contenders: dict[str, Contender] = {"twin": case.twin, "kernel x1": case.serial}
    if many > 1:
        contenders[f"kernel x{many}"] = case.parallel
    if library is not None:
        for count in sorted({1, many}):
            for style in ("direct", "blocked"):
                contenders[f"C {style} x{count}"] = case.in_c(library, style, count)
    # two races, because OpenMP's threads go on spinning after their work and would slow the others down
    alone = {label: call for label, call in contenders.items() if label == "twin" or label.endswith("x1")}
    times = {**race(alone, rounds), **race({k: v for k, v in contenders.items() if k not in alone}, rounds)}
    median = {label: statistics.median(values) for label, values in times.items()}
    best = {label: min(values) for label, values in times.items()}
    print(f"\n{name}, batch {n} (x1, x{many}: threads)            median     best")
    for label in contenders:
        speedup = f"{median['twin'] / median[label]:.1f}x the twin (best times: {best['twin'] / best[label]:.1f}x)"
        print(f"  {label:<14}{median[label] / n * 1e9:>9.0f}{best[label] / n * 1e9:>9.0f} ns/point   {speedup}")
    for label in contenders:
        if label.startswith("C "):
            own = f"kernel x{label.rpartition('x')[2]}"
            shares = f"{median[label] / median[own]:.2f} (best times: {best[label] / best[own]:.2f})"
            print(f"  {own} reaches {shares} of the speed of {label}")


def latency(rounds: int) -> None:
    """Small batches through the kernels and through the whole `evaluate`."""
    print("\nsmall batches, uav_isac, us per call, median (mean); evaluate is the whole call")
    for n in (1, 16, 100, 400):
        case = Case(optisolve.load_problem("uav_isac").instance(0), n)
        times = race({"1 thread": case.serial, "threads": case.parallel, "evaluate": case.evaluate}, rounds * 5)
        shown = (f"{k} {statistics.median(v) * 1e6:.1f} ({statistics.fmean(v) * 1e6:.1f})" for k, v in times.items())
        print(f"  batch {n:>4}: " + "   ".join(shown))


def adaptive(rounds: int) -> None:
    """Mean (not median: stalls count) time of batch 1024 when threads are always, never and adaptively used."""
    case = Case(optisolve.load_problem("uav_isac").instance(0), 1024)
    earned = time.perf_counter() + 1.0  # threads are tried after half a second of work
    while time.perf_counter() < earned:
        case.chosen()
    times = race({"never": case.serial, "as evaluate does": case.chosen}, rounds * 20) | race({"always": case.parallel}, rounds)
    shown = (f"{k} {statistics.fmean(v) * 1e6:.0f}" for k, v in times.items())
    print("\nbatch 1024, mean us per call when threads are used: " + ",  ".join(shown))


class Case:
    """One instance and one batch, with the output arrays."""

    def __init__(self, instance: UavIsacInstance, n: int) -> None:
        self.instance = instance
        self.X = instance.space.sample(np.random.default_rng(0), n)
        self.F, self.G = np.empty((n, 2)), np.empty((n, len(instance.constraint_names)))
        self.args = (self.X, instance.users_m, instance.packed, self.F, self.G)

    def twin(self) -> object:
        return self.instance._evaluate_twin(self.X)

    def serial(self) -> None:
        kernels.evaluate_serial(*self.args)

    def parallel(self) -> None:
        kernels.evaluate_parallel(*self.args)

    def chosen(self) -> None:
        kernels.evaluate(*self.args)

    def evaluate(self) -> object:
        return self.instance.evaluate(self.X)

    def in_c(self, library: ctypes.CDLL, style: str, n_threads: int) -> Contender:
        function = getattr(library, style)
        function.restype = None
        F, G = np.empty_like(self.F), np.empty_like(self.G)
        n, n_uavs, n_users = len(self.X), self.X.shape[1] // 3, len(self.instance.users_m)
        arrays = [a.ctypes.data_as(ctypes.c_void_p) for a in (self.X, self.instance.users_m, self.instance.packed)]
        sizes = [ctypes.c_long(v) for v in (n, n_uavs, n_users)]
        outputs = [a.ctypes.data_as(ctypes.c_void_p) for a in (F, G)]

        def call() -> None:
            library.omp_set_num_threads(n_threads)
            function(*arrays, *sizes, *outputs)

        call()
        self.serial()
        np.testing.assert_allclose(F, self.F, rtol=1e-11, atol=1e-11 * n_users)
        np.testing.assert_allclose(G, self.G, rtol=1e-11, atol=1e-13)
        return call


def race(contenders: dict[str, Contender], rounds: int) -> dict[str, list[float]]:
    """Seconds of every call, after a warm-up, one call of each per round."""
    times: dict[str, list[float]] = {label: [] for label in contenders}
    for contender in contenders.values():
        for _ in range(3):
            contender()
    for _ in range(rounds):
        for label, contender in contenders.items():
            start = time.perf_counter()
            contender()
            times[label].append(time.perf_counter() - start)
    return times


def compile_c(folder: Path) -> ctypes.CDLL | None:
    """The C code as a library, or None when there is no gcc."""
    if shutil.which("gcc") is None:
        print("no gcc on this machine: C is left out")
        return None
    target = folder / "uav_isac_loops.so"
    subprocess.run(["gcc", *C_FLAGS, "-shared", "-fPIC", str(C_SOURCE), "-o", str(target), "-lm"], check=True)
    return ctypes.CDLL(str(target))


class busy_core:  # noqa: N801 - used like a function
    """Context with a process that spins on one core."""

    def __enter__(self) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        time.sleep(0.3)

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.wait()


if __name__ == "__main__":
    main()

"""Start-up: times of ``import optisolve`` and ``optisolve list``, processor time and memory of runs of a millisecond.

    python benchmarks/speed/startup.py

Modules are compiled before, as pip compiles them at installation; PYTHONDONTWRITEBYTECODE is not handed on, which would have
them compiled anew in every process (0.15 s of a run).
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

WALL = {"import optisolve": 0.15, "optisolve list": 0.5}
CPU = {"run, pictures=false": 1.0, "run": 1.5}
MB = {"run, pictures=false": 180.0}
_ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
_RUN = ("problem=power_control", "problem.n_links=3", "solver=wmmse", "reference=none")


def measure(command: list[str]) -> tuple[float, float, float]:
    """Wall time, s, processor time, s, and largest memory, MB, of a process."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=_ENVIRONMENT)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command} failed")
    return time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1e3


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = [sys.executable, "-m", "optisolve", "run", *_RUN, f"out={folder}"]
        commands = {
            "bare interpreter": [sys.executable, "-c", "pass"],
            "import optisolve": [sys.executable, "-c", "import optisolve"],
            "optisolve list": [sys.executable, "-m", "optisolve", "list"],
            "run, pictures=false": [*run, "pictures=false"],
            "run": run,
        }
        for command in commands.values():
            measure(command)
        told: dict[str, list[tuple[float, float, float]]] = {name: [] for name in commands}
        for _ in range(9):  # interleaved, so that a slow phase of the machine hits all of them
            for name, command in commands.items():
                told[name].append(measure(command))
    for name, values in told.items():
        wall, cpu, memory = (statistics.median(column) for column in zip(*values, strict=True))
        limits = [f"{table[name]:g} {unit}" for table, unit in ((WALL, "s"), (CPU, "s cpu"), (MB, "MB")) if name in table]
        shown = f"   target {', '.join(limits)}" if limits else ""
        print(f"{name:20s} median {wall:.3f} s, {cpu:.2f} s cpu, {memory:.0f} MB{shown}")


if __name__ == "__main__":
    main()

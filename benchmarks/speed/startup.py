"""Start-up times: ``import optisolve`` (limit 0.15 s) and ``optisolve list`` (limit 0.5 s), medians of fresh processes.

python benchmarks/speed/startup.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

LIMITS = {"import optisolve": 0.15, "optisolve list": 0.5}


def main() -> None:
    commands = {
        "bare interpreter": [sys.executable, "-c", "pass"],
        "import optisolve": [sys.executable, "-c", "import optisolve"],
        "optisolve list": [sys.executable, "-m", "optisolve", "list"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(9):  # interleaved, so that a slow phase of the machine hits all of them
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            times[name].append(time.perf_counter() - start)
    for name, values in times.items():
        limit = f"   limit {LIMITS[name]} s" if name in LIMITS else ""
        print(f"{name:20s} median {statistics.median(values):.3f} s, fastest {min(values):.3f} s{limit}")


if __name__ == "__main__":
    main()

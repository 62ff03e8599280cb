"""The wheel without extras, then with each extra alone: what an extra brings works, what is missing is said in one line.

    python benchmarks/quality/extras.py VENV FOLDER [EXTRA ...]

VENV is a virtual environment with the wheel and no extra; that of an extra, in FOLDER, sees it and holds only what the extra
adds. Every extra of pyproject.toml has to stand in `USES`. Runs on the standard library and the Python of VENV.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import time
import tomllib
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUN = ["-m", "optisolve", "run", "problem=power_control", "problem.n_links=3", "reference=none", "pictures=false"]
TOPOLOGY = ["problem.demands=gravity", "problem.capacities=uniform", "solver=null"]
BENCH = ["-m", "optisolve", "bench", "suite=tiny.yaml"]
GATE = """
import sys
sys.path.insert(0, {quality!r})
import numpy as np
from gate_training import RunTable, train_gate
from gate_training.runs import Case
from optisolve.core.errors import OptisolveError
losses = np.tile([0.1, 0.5], (9, 1))
cases = tuple(Case("f", "f", dict(), i, 3) for i in range(9))
table = RunTable(cases, ("a", "b"), ("a", "b"), losses, losses < 1, losses, np.zeros(9, int), np.arange(18.0).reshape(9, 2))
try:
    train_gate(table)
except OptisolveError as error:
    sys.exit(f"error: {{error}}")
"""
USES: dict[str, list[str]] = {
    "bo": [*RUN, "solver=botorch", "budget.evaluations=20"],
    "diffusion": [*RUN[:3], "problem=parallel_channels/msr80", *RUN[5:], "solver=legacy_diffsg", "budget.evaluations=50"],
    "drl": [str(ROOT / "benchmarks/training/nsp_experts.py"), "rate", "--steps", "300", "--out", "experts"],
    "hdf5": ["-m", "optisolve", "export", "problem=power_control", "--to", "case.h5"],
    "local-llm": [*RUN, "solver=opro", "llm=local", "budget.llm_calls=1"],
    "mlflow": [*BENCH, "out=tracked", "tracker=mlflow", "tracker.uri=sqlite:///runs.db"],
    "moe": ["-c", GATE.format(quality=str(ROOT / "benchmarks/quality"))],
    "ray": [*BENCH, "out=far", "executor=ray"],
    "report": ["-m", "optisolve", "leaderboard", "runs"],
    "rt": [*RUN[:3], "problem=radio_planning/munich", *RUN[5:], "solver=null", "budget.evaluations=1"],
    "sweep": ["-m", "optisolve", *RUN[2:3], "-m", *RUN[3:], "solver=null,random_search", "hydra/launcher=joblib"],
    "topologies": [*RUN[:3], "problem=traffic_engineering", "problem.network=topohub/topozoo/Abilene", *TOPOLOGY, *RUN[5:]],
}
"""What needs an extra: arguments of Python in a folder that holds a run and a tiny suite."""

ALIKE = {"bo": "drl", "diffusion": "drl", "drl": "diffusion"}
"""Extras that share a package: what needs the second must not run into a half of itself where only the first is."""

ELSE = {"local-llm": "optisolve models fetch", "rt": "needs LLVM"}
"""What is still missing with the extra alone, and what the message says to do."""

SUITE = """# A tiny suite.
version: "1"
seed: 0
instances: 1
repetitions: 1
reference: none
budget: {evaluations: 30}
limits: {seconds: 300, memory_mb: 3000}
llm: surrogate
problems: [{problem: parallel_channels}]
solvers: [random_search]
"""


class Environment:
    """A virtual environment; with another one below it, what is installed there is seen."""

    def __init__(self, folder: Path, below: Environment | None = None) -> None:
        if below is not None:
            venv.create(folder)
        names = {"base": str(folder), "platbase": str(folder)}
        self.python = folder / "bin" / "python"
        self.packages = Path(sysconfig.get_path("purelib", "venv", names))
        self.below = below
        if below is not None:
            (self.packages / "below.pth").write_text(f"{below.packages}\n", encoding="utf-8")

    def install(self, what: str) -> None:
        """Install by the pip of the environment below."""
        assert self.below is not None
        pip = [self.below.python, "-m", "pip", "--disable-pip-version-check", "-q", "--python", self.python]
        subprocess.run([*pip, "install", "--no-compile", "-c", ROOT / "constraints.txt", what], check=True)

    def run(self, words: list[str], where: Path) -> subprocess.CompletedProcess[str]:
        """Run Python with arguments in a folder."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        clean["RAY_AUTH_MODE"] = "disabled"
        command = [str(self.python), *words]
        return subprocess.run(command, check=False, cwd=where, capture_output=True, text=True, timeout=600, env=clean)


def works(extra: str, done: subprocess.CompletedProcess[str]) -> bool:
    """Whether something ran, or said what else than the extra it needs."""
    if extra in ELSE:
        return "optisolve[" not in done.stderr.partition("&&")[0] or ELSE[extra] in done.stderr
    return done.returncode == 0


def says_so(extra: str, done: subprocess.CompletedProcess[str]) -> bool:
    """Whether something failed with one line that names the extra."""
    told = [line for line in done.stderr.splitlines() if "error: " in line]
    return done.returncode == 1 and len(told) == 1 and f"optisolve[{extra}]" in told[0] and "Traceback" not in done.stderr


def main(installed: str, folder: str, *wanted: str) -> None:
    """Try everything; the exit code is 1 when something failed."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    extras = set(declared) - {"dev", "docs"}
    if extras != set(USES):
        sys.exit(f"extras of pyproject.toml and of USES differ: {', '.join(sorted(extras ^ set(USES)))}")
    scratch, start = Path(folder).resolve(), time.monotonic()
    scratch.mkdir(parents=True, exist_ok=True)
    bare = Environment(Path(installed).resolve())
    (scratch / "tiny.yaml").write_text(SUITE, encoding="utf-8")
    faults = []

    def check(good: bool, where: str, what: str, done: subprocess.CompletedProcess[str]) -> None:
        print(f"{'ok' if good else 'FAILED':6} {time.monotonic() - start:5.0f} s  {where}: {what}", flush=True)
        if not good:
            faults.append(f"== {where}: {what}: exit code {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")

    for words in (["-m", "optisolve", "list"], [*RUN, "solver=wmmse"]):
        done = bare.run(words, scratch)
        check(done.returncode == 0, "without extras", " ".join(words[2:4]), done)
    for extra, words in USES.items():
        done = bare.run(words, scratch)
        check(says_so(extra, done), "without extras", f"what needs [{extra}] says so", done)

    def alone(extra: str) -> None:
        where = scratch / f"in-{extra}"
        where.mkdir()
        shutil.copytree(scratch / "runs", where / "runs")
        shutil.copy(scratch / "tiny.yaml", where)
        environment = Environment(scratch / extra, bare)
        environment.install(f"optisolve[{extra}]")
        done = environment.run(USES[extra], where)
        check(works(extra, done), f"[{extra}]", "what needs it works", done)
        if other := ALIKE.get(extra):
            done = environment.run(USES[other], where)
            check(says_so(other, done), f"[{extra}]", f"what needs [{other}] says so", done)
        done = environment.run(["-m", "optisolve", "list"], where)
        check(done.returncode == 0, f"[{extra}]", "list", done)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(alone, wanted or USES))
    sys.exit("\n".join(faults) or 0)  # an empty text would be a failure too


if __name__ == "__main__":
    main(*sys.argv[1:])

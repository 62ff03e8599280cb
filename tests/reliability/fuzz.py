"""Command lines and files that nobody should write, drawn from a seed."""

import io
import json
import random
import shutil
from contextlib import redirect_stdout
from pathlib import Path

from optisolve.cli.main import main
from optisolve.core.budget import Budget
from optisolve.registry import list_problems, list_solvers, load_problem, load_solver
from optisolve.run.solve import solve

PROBLEMS = ("uav_isac", "power_control", "parallel_channels", "resource_allocation", "offloading", "pymoo/zdt1", "power_game")
SOLVERS = ("ledma", "opro", "moead", "moead_de", "ledma_control", "nsga2", "cma_es", "random_search", "null", "wmmse", "cvxpy")
VALUES = (
    *("0", "1", "2", "3", "7", "-1", "0.5", "1.5", "-0.0", "1e-300", "1e300", "nan", "inf", "-inf", "1_000", "0x10", "1e3"),
    *("1000000000000", "9223372036854775808", "1" + "0" * 40, "true", "false", "null", "None", "", "''", '""', "auto", "none"),
    *("[1,2]", "[]", "{}", "{a:1}", "[[1],[2,3]]", "a,b", "1,2", "{a:{b:[1,{}]}}", "[1,", "{a", "'open", '"open', "\\", "\\,"),
    *(
        "${seed}",
        "${nothing}",
        "${oc.env:HOME}",
        "${",
        "$",
        "@",
        "%",
        "#",
        "~",
        "*",
        "?",
        "!x",
        "&a",
        "|",
        ">",
        "a=b",
        "=",
        "a:b",
    ),
    *("ümlaut", "日本語", "🛰", "\u202e", "a b", " ", "\t", "line\nbreak", "../../etc", "/dev/null", "/nowhere/at/all", "."),
    *("x" * 300, "x" * 5000, "choice(1,2)", "range(0,3)", "fixed(0.5)", "fixed(", "interval(0,1)", "sort(a)", "glob(*)"),
    *(
        "schema",
        "continuation",
        "adaptive",
        "llm_only",
        "surrogate",
        "openai",
        "local",
        "replay",
        "quick",
        "thorough",
        "http://",
    ),
)
NAMES = (
    *(
        "seed",
        "instance",
        "out",
        "reference",
        "controls",
        "print",
        "pictures",
        "resume",
        "dry_run",
        "budget",
        "problem",
        "solver",
    ),
    *(
        "solver",
        "llm",
        "hydra",
        "nothing",
        "budget.nothing",
        "hydra.run.dir",
        "hydra.job.chdir",
        "solver.nothing.deep",
        "",
        ".",
        "a..b",
    ),
    *("budget.evaluations", "budget.llm_calls", "budget.llm_tokens", "budget.usd", "budget.seconds"),
    *("llm.model", "llm.base_url", "llm.api_key_env", "llm.temperature", "llm.cache", "llm.noise", "llm.transcript"),
)
FLAGS = (
    "--help",
    "-h",
    "--cfg",
    "job",
    "--cfg=job",
    "--info",
    "-x",
    "--",
    "-m",
    "--multirun",
    "--version",
    "--resolve",
    "-p",
    "-cn",
)
CALM = ["pictures=false", "reference=none", "budget.evaluations=60", "budget.seconds=2", "budget.llm_calls=4", "llm=surrogate"]


SUITE = """# A small case.
version: "1"
seed: 0
instances: 1
repetitions: 1
budget: {evaluations: 60, llm_calls: 10}
problems: [uav_isac, {problem: power_control, instances: [1, 2]}]
solvers: [moead_de, {solver: random_search, repetitions: 2}]
"""


class World:
    """A folder with good and bad files for command lines to name.

    Args:
        folder: Where; also the working folder of the command lines.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        problem, budget = load_problem("uav_isac", n_uavs=1, n_users=3), Budget(evaluations=40, llm_calls=3)
        for name in ("moead_de", "ledma"):
            solver = load_solver(name, pop_size=8, n_neighbors=4)
            made = solve(problem, solver, budget=budget, llm="surrogate", scratch=folder / "records" / name)
            shutil.copytree(made.save(folder / "records"), folder / name)
        (folder / "empty").mkdir()
        (folder / "binary").write_bytes(bytes(range(256)) * 8)
        (folder / "record.json").write_text("{}")
        job = {"schema": "optisolve.job/1", "settings": {"problem": {"name": "uav_isac"}, "seed": 0}}
        with redirect_stdout(io.StringIO()):
            self._run_and_export()
        (folder / "left.running").mkdir()
        (folder / "left.running" / "job.json").write_text(json.dumps(job))
        (folder / "tiny.yaml").write_text(SUITE)
        (folder / "prompt.jinja").write_text("{# a prompt #}\n{{ nothing }} {% for x in y %}")

    def _run_and_export(self) -> None:
        """An unfinished run, and instance files of all kinds."""
        done = self.folder / "done"
        main(["run", "problem=uav_isac", "solver=ledma", *CALM, "solver.mix=llm_only", "solver.pop_size=8", f"out={done}"])
        shutil.copytree(next(done.iterdir()), self.folder / "unfinished.running")
        for name in ("record.json", "front.parquet", "trace.parquet"):
            (self.folder / "unfinished.running" / name).unlink()
        for suffix in ("json", "npz", "mat"):
            main(["export", "problem=power_control", "--to", str(self.folder / f"arrays.{suffix}")])

    def path(self, rng: random.Random) -> str:
        """Some path, good or bad."""
        names = ("moead_de", "ledma", "records", "empty", "binary", "record.json", "left.running", "tiny.yaml", "prompt.jinja")
        return rng.choice(
            [*names, "nowhere", "", ".", "empty/..", "/dev/null", "moead_de/record.json", "ledma/transcript.jsonl"]
        )

    def damaged_arrays(self, rng: random.Random, number: int) -> str:
        """A damaged instance file; its path."""
        source = self.folder / rng.choice(["arrays.json", "arrays.npz", "arrays.mat"])
        data = source.read_bytes()
        wrong = _restructured(data, rng) if source.suffix == ".json" and rng.random() < 0.6 else _damaged(data, rng)
        (self.folder / f"damaged{number}{source.suffix}").write_bytes(wrong)
        return f"damaged{number}{source.suffix}"

    def damaged_job(self, rng: random.Random, number: int) -> str:
        """The folder of an unfinished run whose settings or replies are damaged; its path."""
        source, target = self.folder / "unfinished.running", self.folder / f"damaged{number}.running"
        shutil.copytree(source, target)
        name = rng.choice(["job.json", "transcript.jsonl"])
        data = (source / name).read_bytes()
        (target / name).write_bytes(
            _restructured(data, rng) if name == "job.json" and rng.random() < 0.6 else _damaged(data, rng)
        )
        return target.name

    def damaged(self, rng: random.Random, number: int) -> str:
        """A copy of a good file with a few things changed; its path."""
        source = self.folder / rng.choice(["moead_de/record.json", "ledma/record.json", "ledma/transcript.jsonl", "tiny.yaml"])
        if source.name == "transcript.jsonl":
            target = self.folder / f"damaged{number}"
            shutil.copytree(source.parent, target)
            (target / source.name).write_bytes(_damaged(source.read_bytes(), rng))
            return target.name
        target = self.folder / f"damaged{number}{source.suffix}"
        data = source.read_bytes()
        target.write_bytes(_restructured(data, rng) if source.suffix == ".json" and rng.random() < 0.6 else _damaged(data, rng))
        return target.name


def _damaged(data: bytes, rng: random.Random) -> bytes:
    """Bytes lost, doubled, changed, or put in."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(out) or 1)
        end = min(len(out), at + rng.choice([1, 1, 5, 200]))
        kind = rng.randrange(4)
        piece = bytes(out[at:end]) * 2 if kind == 1 else rng.choice([b"", b"\xff", b"}", b'"', b"\n", b"null", b"1e999", b": "])
        out[at : (at if kind == 3 else end)] = piece
    return bytes(out)


def _restructured(data: bytes, rng: random.Random) -> bytes:
    """A JSON document with values of another kind here and there."""
    document = json.loads(data)
    for _ in range(rng.randint(1, 3)):
        place = document
        while True:
            key = rng.choice(sorted(place) if isinstance(place, dict) else range(len(place)))
            if isinstance(place[key], dict | list) and place[key] and rng.random() < 0.7:
                place = place[key]
                continue
            place[key] = rng.choice([None, True, -1, 0.5, 10**30, "", "text", [], {}, [[]], {"a": None}, "../x", [1, "a"]])
            break
    return json.dumps(document).encode()


def command_line(rng: random.Random, world: World, number: int) -> list[str]:
    """A command line; whatever it asks for is over in seconds."""
    verb = rng.choice(["run"] * 8 + ["bench", "ablate"] * 2 + ["verify", "replay"] * 3 + ["report"] + list(_OTHERS))
    if verb == "run":
        return _run(rng, world, number)
    if verb == "bench":
        suite = world.damaged(rng, number) if rng.random() < 0.5 else rng.choice(["smoke", "tiny.yaml", *VALUES])
        return [
            "bench",
            f"suite={suite}",
            *_settings(rng, ("only", "solvers", "out", "workers", "llm", "llm.model")),
            "dry_run=true",
        ]
    if verb == "ablate":
        names = ("problem", "solver", "arms", "mix", "seeds", "budget.evaluations", "solver.pop_size", "problem.n_uavs", "llm")
        return ["ablate", "problem=uav_isac", "llm=surrogate", *_settings(rng, names), "dry_run=true"]
    if verb in ("verify", "replay", "report"):
        path = world.damaged(rng, number) if rng.random() < 0.6 else world.path(rng)
        extra = {
            "verify": ["--effort", rng.choice(["none", "quick", "x"])],
            "report": ["--out", f"report{number}"],
            "replay": [],
        }
        return [verb, path, *(extra[verb] if rng.random() < 0.7 else [rng.choice(FLAGS)])]
    return [word if word is not None else _word(rng, world, number) for word in _OTHERS[verb]]


_OTHERS: dict[str, list[str | None]] = {
    "list": ["list", None],
    "info": ["info", None],
    "check": ["check", None],
    "inspect": ["inspect", None, None, "--instances", "1", "--samples", "8", "--starts", "0"],
    "export": ["export", None, None, "--to", None],
    "lint": ["lint", None],
    "leaderboard": ["leaderboard", None, "--out", "site"],
    "compare": ["compare", None, None],
    "submit": ["submit", None, None],
    "heldout": ["heldout", None, None],
    "models": ["models", "list", None],
    "nothing": ["", None],
    "unknown": [None, None],
}


def _word(rng: random.Random, world: World, number: int) -> str:
    kind = rng.randrange(6)
    if kind == 0:
        return rng.choice(VALUES)
    if kind == 1:
        return rng.choice([*list_problems(), *list_solvers()][:60])
    if kind == 2:
        return f"problem={rng.choice(PROBLEMS)}" if rng.random() < 0.7 else _settings(rng, NAMES)[0]
    if kind == 3:
        return world.damaged(rng, number)
    return world.path(rng) if kind == 4 else rng.choice(FLAGS)


def _run(rng: random.Random, world: World, number: int) -> list[str]:
    problem, solver = rng.choice(PROBLEMS), rng.choice(SOLVERS)
    own = [f"problem.{key}" for key in load_problem(problem).options()] + [
        f"solver.{key}" for key in load_solver(solver).options()
    ]
    asked = [f"problem={problem}", f"solver={solver}", *CALM]
    if solver not in ("ledma", "opro"):
        asked.remove("llm=surrogate")
    if rng.random() < 0.1:
        return ["run", "pictures=false", "reference=none", f"resume={world.damaged_job(rng, number)}"]
    if rng.random() < 0.1:
        file = world.damaged_arrays(rng, number)
        return ["run", "problem=power_control", "solver=random_search", *CALM[:4], f"problem.instance_file={file}"]
    asked += _settings(rng, (*NAMES, *own, *own))
    if rng.random() < 0.15:
        asked.append(f"resume={world.path(rng)}")
    if rng.random() < 0.1:
        asked.insert(0, rng.choice(FLAGS))
    if rng.random() < 0.1:
        asked.append(rng.choice(VALUES))
    return ["run", *asked]


def _settings(rng: random.Random, names: tuple[str, ...]) -> list[str]:
    made = []
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        name = rng.choice(names)
        if rng.random() < 0.1:  # a slip of the finger
            at = rng.randrange(len(name) + 1)
            name = name[:at] + rng.choice("abx._-1") + name[at + rng.randrange(2) :]
        mark = rng.choice([""] * 8 + ["+", "++", "~"])
        made.append(f"{mark}{name}={rng.choice(VALUES)}" if rng.random() < 0.95 else f"{mark}{name}")
    return made

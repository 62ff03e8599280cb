"""The house: imports point one way in every file, and one run loads nothing that is about many."""

from __future__ import annotations

import ast
import graphlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import grimp
from extras import USES

from optisolve.registry import SOLVERS

ROOT = Path(__file__).parents[1]

RUN = """
import sys
import tomllib
from optisolve.cli.main import main
code = main(["run", "problem=uav_isac/dense", "solver=random_search", "budget.evaluations=64", "out={out}"])
strangers = sorted(name for name in sys.modules if name.startswith(("optisolve.study", "optisolve.trust")))
sys.exit(f"code {{code}}, loaded {{strangers}}" if code or strangers else 0)
"""


def test_no_file_imports_itself_by_a_detour():
    """Imports inside functions, those for type checkers only and those between siblings count like all others."""
    graph = grimp.build_graph("optisolve", exclude_type_checking_imports=False, cache_dir=None)
    graphlib.TopologicalSorter({name: graph.find_modules_directly_imported_by(name) for name in graph.modules}).prepare()


def test_one_run_loads_neither_studies_nor_trust(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", RUN.format(out=tmp_path / "out")], check=False, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr


def test_solvers_ask_instances_by_capability_and_not_by_name():
    """No ``getattr(instance, "...")`` and no ``hasattr``: what a solver may ask stands in `optisolve.core.capabilities`."""
    probes = []
    for file in (ROOT / "optisolve" / "solvers").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("getattr", "hasattr"):
                asked = ast.unparse(node.args[0])
                probes += [f"{file.name}:{node.lineno} {asked}"] if asked.endswith(("instance", "case")) else []
    assert not probes


def test_editors_see_the_solvers_that_entry_points_declare():
    """`optisolve.solvers` names every class twice: for editors, and by entry points at run time; both say the same."""
    tree = ast.parse((ROOT / "optisolve" / "solvers" / "__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {f"{line.module}:{name.name}" for line in block.body if isinstance(line, ast.ImportFrom) for name in line.names}
    assert seen == {target for target in SOLVERS.targets().values() if target.startswith("optisolve.solvers.")}


def test_who_follows_a_run_reads_few_files():
    """Files of the library that a run enters, `benchmarks/quality/path.py`; a number that grows wants a reason.

    The last ones: a run's words are read, its progress and what its sources added are told, in files of their own; who
    evaluates is a setting, the best of what was evaluated has a file, and clocks stand still while kernels are compiled.
    """
    ran = [sys.executable, str(ROOT / "benchmarks" / "quality" / "path.py")]
    done = subprocess.run(ran, check=True, capture_output=True, text=True, timeout=480)
    files = {line.partition(":")[0]: int(line.split()[1]) for line in done.stdout.splitlines()}
    # nine of them for pictures: style, legend, words, fronts, three objectives, curves, maps, kinds, records as figures
    assert files["random_search"] <= 53
    # two for starting points, thirteen for the sampler that makes them, one for what it asks of an instance (`capability_gap`,
    # where `isinstance` on a protocol took longer than a sample), two for operators that learn
    assert files["ledma"] <= 93


def test_a_skipped_test_names_the_extra_that_it_needs():
    """Every ``importorskip``, and every ``skipif`` on what is installed, says ``needs the extra [NAME]`` of pyproject.toml."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    silent = []
    for file in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            condition = ast.unparse(node.args[0]).lower() if node.args else ""
            installed = any(word in condition for word in ("find_spec", "has_", "lacking"))
            if node.func.attr == "importorskip" or (node.func.attr == "skipif" and installed):
                reason = "".join(ast.unparse(keyword.value) for keyword in node.keywords if keyword.arg == "reason")
                named = re.search(r"needs the extra \[([\w-]+)\]", reason)
                if not ("no extra brings" in reason or (named and named[1] in declared)):
                    silent.append(f"{file.relative_to(ROOT)}:{node.lineno} {reason or 'no reason'}")
    assert not silent


def test_every_extra_is_tried_alone():
    """`benchmarks/quality/extras.py`, which `.ci/run` calls, knows a use of each extra but those for working on optisolve."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert set(USES) == {*declared} - {"dev", "docs"}

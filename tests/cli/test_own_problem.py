"""A problem of one's own on the command line: FILE.py:NAME is run, checked, ablated, verified and replayed like any other."""

from __future__ import annotations

import json
import pickle
import sys

import pytest

import optisolve
from optisolve.cli.main import main
from optisolve.core.errors import OptionError, OptisolveError, RegistryError
from optisolve.registry import make_problem
from optisolve.run.records import read_record
from optisolve.study.report.commands import command_of

FILE = '''
"""A relay for six users."""
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

import optisolve
from optisolve.core import Description, Evaluation, Instance, Objective, Problem, Sense, Space, Variable

users_m = np.random.default_rng(3).uniform(0, 1000, (6, 2))


def distance(x):
    """Distance of the farthest of six users from a relay at x, m."""
    return np.linalg.norm(users_m - x, axis=1).max()


relay = optisolve.problem(distance, 0, 1000, names=["x_m", "y_m"], name="relay")


def relays(n_users: int = 6, side_m: float = 1000.0):
    users = np.random.default_rng(3).uniform(0, side_m, (n_users, 2))
    return optisolve.problem(lambda x: np.linalg.norm(users - x, axis=1).max(), 0, side_m, names=["x_m", "y_m"], name="relays")


@dataclass(frozen=True)
class Relay(Problem):
    """Place one relay.

    Args:
        n_users: Number of users.
    """

    name: ClassVar[str] = "relay_class"
    version: ClassVar[str] = "1"
    summary: ClassVar[str] = "Place one relay for the worst user."
    n_users: int = 6

    def instance(self, seed: int = 0) -> Instance:
        return RelayInstance(self, np.random.default_rng(seed).uniform(0, 1000, (self.n_users, 2)), seed)


class RelayInstance(Instance):
    def __init__(self, problem, users_m, seed):
        self.users_m = users_m
        super().__init__(
            origin=problem.origin(seed),
            space=Space.of(Variable(n, 0, 1000, "m") for n in ("x", "y")),
            objectives=(Objective("distance", Sense.MINIMIZE, "m", "distance of the farthest user"),),
        )

    def arrays(self):
        return {"users_m": self.users_m}

    def describe(self):
        return Description("Place one relay so that the farthest user is as near as possible.")

    def _evaluate(self, X):
        far = np.linalg.norm(X[:, None, :] - self.users_m, axis=2).max(axis=1, keepdims=True)
        return Evaluation(far, np.empty((len(X), 0)), np.empty((len(X), 0)))


class Maze(Relay):
    name = "maze"


case = Relay(n_users=4)
not_a_problem = 3


def broken(n_users: int = 6):
    raise ValueError("no users today")


def nothing():
    return None
'''
SMALL = ["solver=moead_de", "budget.evaluations=200", "pictures=false"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place not in ("", ".")])
    return tmp_path


def record_in(capsys):
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("name", ["relay", "relays", "Relay", "case"])
def test_an_object_a_function_that_builds_one_and_a_class_are_checked_and_run(name, folder, capsys):
    assert main(["check", f"mine.py:{name}"]) == 0
    assert " 0 failed" in capsys.readouterr().out
    assert main(["run", f"problem=mine.py:{name}", *SMALL, "print=json"]) == 0
    record = record_in(capsys)
    assert record["provenance"]["tier"] == "self_reported"
    assert record["provenance"]["files"]["problem"]["name"] == f"mine.py:{name}"
    assert str(folder) not in json.dumps(record)
    (made,) = (folder / "runs").iterdir()
    command = command_of(read_record(made))
    assert f"problem=mine.py:{name} " in command
    assert "definition" not in command
    assert optisolve.verify(made, problem=f"mine.py:{name}").tier == "verified"
    assert optisolve.replay(made, problem=f"mine.py:{name}").same


def test_who_verifies_and_replays_names_the_file(folder, capsys):
    assert main(["run", "problem=mine.py:relay", *SMALL, "print=json"]) == 0
    told = record_in(capsys)
    (made,) = (folder / "runs").iterdir()
    assert main(["verify", "runs", "json=true"]) == 0
    audit = record_in(capsys)
    assert audit["tier"] == "self_reported"
    assert "problem=mine.py:relay" in audit["notes"][0]
    assert main(["verify", "runs", "problem=mine.py:relay", "json=true"]) == 0
    assert record_in(capsys)["tier"] == "verified"
    assert main(["replay", str(made), "problem=mine.py:relay"]) == 0
    assert told["result_hash"] in capsys.readouterr().out
    (folder / "mine.py").write_text(FILE.replace("default_rng(3)", "default_rng(4)"))
    assert main(["verify", "runs", "problem=mine.py:relay", "json=true"]) == 0
    assert record_in(capsys)["tier"] == "self_reported"  # another text says other values


def test_file_and_python_are_one_problem(folder, capsys):
    assert main(["run", "problem=mine.py:relay", *SMALL, "print=json"]) == 0
    told = record_in(capsys)
    scope = {"__name__": "here"}
    exec(compile(FILE.partition("def relays")[0], "here.py", "exec"), scope)
    result = optisolve.solve(scope["relay"], "moead_de", budget=optisolve.Budget(evaluations=200, llm_calls=40))
    assert result.record.instance.sha256 == told["instance"]["sha256"]
    assert result.result_hash == told["result_hash"]


def test_parameters_of_a_function_that_builds_one_are_settings_and_stand_in_the_record(folder, capsys):
    assert main(["run", "problem=mine.py:relays", "problem.n_users=3", *SMALL, "print=json"]) == 0
    record = record_in(capsys)
    assert record["instance"]["params"]["n_users"] == 3
    assert optisolve.load_problem("mine.py:relays", n_users=3).instance().sha256 == record["instance"]["sha256"]
    (made,) = (folder / "runs").iterdir()
    assert optisolve.verify(made, problem="mine.py:relays").tier == "verified"
    assert main(["info", "mine.py:relays"]) == 0
    assert "problem.n_users=6" in capsys.readouterr().out


def test_the_class_of_a_file_has_its_parameters(folder, capsys):
    assert main(["run", "problem=mine.py:Relay", "problem.n_users=3", "instance=5", *SMALL, "print=json"]) == 0
    record = record_in(capsys)
    assert (record["instance"]["problem"], record["instance"]["params"], record["instance"]["seed"]) == (
        *("relay_class", {"n_users": 3}, 5),
    )
    assert main(["info", "mine.py:Relay"]) == 0
    assert "Number of users." in capsys.readouterr().out


def test_an_ablation_runs_in_processes_that_load_the_file_themselves(folder, capsys):
    words = ["llm=surrogate", "instances=1", "seeds=1", "arms=de", "budget.evaluations=40"]
    assert main(["ablate", "problem=mine.py:relays", "problem.n_users=3", *words]) == 0
    out = folder / "runs" / "ablation-relays-surrogate"
    assert "problem: mine.py:relays" in (out / "ablation.yaml").read_text()
    table = optisolve.load_records(out)
    assert len(table) == 2
    assert not table["record"].map(lambda record: record.used.report.get("failure")).any()


def test_a_suite_may_name_a_file_and_runs_anew_what_was_edited(folder, capsys):
    (folder / "own.yaml").write_text(
        "version: '1'\nseed: 1\nreference: none\nopen: true\nproblems: [mine.py:Relay]\nsolvers: [random_search]\n"
        "budget: {evaluations: 30}\n"
    )
    assert main(["bench", "suite=own.yaml", "executor=serial"]) == 0
    assert main(["bench", "suite=own.yaml", "executor=serial"]) == 0
    assert len(optisolve.load_records(folder / "runs")) == 1
    (folder / "mine.py").write_text(FILE + "\n# another text\n")
    assert main(["bench", "suite=own.yaml", "executor=serial"]) == 0
    assert len(optisolve.load_records(folder / "runs")) == 2


def test_resume_runs_code_only_where_its_file_is_named(folder, capsys):
    assert main(["run", "problem=mine.py:relay", *SMALL]) == 0
    (made,) = (folder / "runs").iterdir()
    assert main(["run", f"resume={made}"]) == 0
    assert "already finished" in capsys.readouterr().out
    assert main(["run", f"resume={made}", "budget.evaluations=300", "pictures=false"]) == 1
    told = capsys.readouterr().err
    assert "mine.py:relay; name it too" in told
    assert main(["run", f"resume={made}", "problem=mine.py:relay", "budget.evaluations=300", "pictures=false"]) == 0
    assert len(list((folder / "runs").glob("*/record.json"))) == 2
    (folder / "mine.py").write_text(FILE.replace("default_rng(3)", "default_rng(4)"))
    assert main(["run", f"resume={made}", "problem=mine.py:relay", "budget.evaluations=400", "pictures=false"]) == 1
    assert "another problem" in capsys.readouterr().err


def test_a_problem_of_a_file_travels_to_another_process(folder):
    problem = optisolve.load_problem("mine.py:relays", n_users=3)
    again = pickle.loads(pickle.dumps(problem.instance(2)))
    assert again.sha256 == problem.instance(2).sha256
    (folder / "mine.py").write_text(FILE.replace("default_rng(3)", "default_rng(4)"))
    with pytest.raises(RegistryError, match="it was changed"):
        pickle.loads(pickle.dumps(problem))


def test_files_elsewhere_and_modules_beside_them_are_found(tmp_path, monkeypatch, capsys):
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "beside_the_relay.py").write_text("SIDE_M = 500.0\n")
    text = "from beside_the_relay import SIDE_M\nimport optisolve\nnear = optisolve.problem(sum, [0], SIDE_M, name='near')\n"
    (tmp_path / "lab" / "near.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    for target in ("lab/near.py:near", f"{tmp_path}/lab/near.py:near"):
        assert main(["run", f"problem={target}", *SMALL, "print=json"]) == 0
        record = record_in(capsys)
        assert record["instance"]["scenario"] == "near"
        assert str(tmp_path) not in json.dumps(record)


WRONG = {
    "no file": ("nowhere.py:x", "nowhere.py: cannot be read (No such file or directory); expected FILE.py:NAME"),
    "a file alone": ("mine.py", "say which of its objects is the problem, mine.py:NAME"),
    "a typing mistake": ("mine.py:rely", "there is no 'rely' in mine.py. Did you mean 'relay'?"),
    "no problem": ("mine.py:not_a_problem", "mine.py:not_a_problem is a int; expected a problem"),
    "an objective": ("mine.py:distance", "is a function that needs x; expected a problem (optisolve.problem("),
    "a builder that raises": ("mine.py:broken", "broken() raised ValueError: no users today"),
    "a builder of nothing": ("mine.py:nothing", "the function returned a NoneType; expected a Problem"),
    "the name of an installed family": ("mine.py:Maze", "'maze' is the name of an installed problem"),
    "a module that is a file": ("mine_too:Relay", "For the file in this folder write mine_too.py:Relay."),
    "a mistake in the file": ("wrong.py:x", "wrong.py, line 2: NameError: name 'numpy' is not defined"),
    "no Python": ("nopython.py:x", "nopython.py, line 1: SyntaxError"),
    "bad arguments in the file": ("bounds.py:x", "bounds of x0: got [2.0, 1.0]"),
}


@pytest.mark.parametrize(("target", "told"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("verb", ["run", "check"])
def test_what_is_wrong_is_said_in_one_line_and_never_as_a_traceback(verb, target, told, folder, capsys):
    (folder / "mine_too.py").write_text(FILE)
    (folder / "wrong.py").write_text("\nx = numpy.ones(3)\n")
    (folder / "nopython.py").write_text("x = = 3\n")
    (folder / "bounds.py").write_text("import optisolve\nx = optisolve.problem(sum, 2, 1)\n")
    assert main([verb, *([f"problem={target}", *SMALL] if verb == "run" else [target])]) == 1
    error = capsys.readouterr().err
    assert told in " ".join(error.split()), error
    assert "Traceback" not in error


def test_a_setting_that_the_function_does_not_know_is_named(folder, capsys):
    assert main(["run", "problem=mine.py:relays", "problem.n_user=3", *SMALL]) == 1
    assert "Did you mean 'problem.n_users'?" in capsys.readouterr().err
    with pytest.raises(OptionError, match=r"n_user: got 3.*did you mean 'n_users'"):
        optisolve.load_problem("mine.py:relays", n_user=3)


def test_no_record_and_no_goal_has_a_file_run(folder):
    """What anybody may have written names installed problems only."""
    (folder / "evil.py").write_text("from pathlib import Path\nPath('ran').touch()\nx = None\n")
    for name in ("evil.py:x", "evil.py", "evil:x"):
        with pytest.raises(OptisolveError):
            make_problem(name)
        with pytest.raises(OptisolveError):
            make_problem("goal", {"problem": name, "goal": {}})
    assert not (folder / "ran").exists()

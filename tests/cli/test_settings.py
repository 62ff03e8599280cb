"""One way to write settings for every verb, help from where the settings are declared, and a process that is left as it was."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import pytest
from annotated_types import Ge

from optisolve.cli.help import help_text
from optisolve.cli.main import _VERBS, _class_of, main
from optisolve.cli.settings import Choice, Group, Verb, Word, meanings
from optisolve.core.errors import OptionError


@dataclass(frozen=True, slots=True)
class Toy(Verb):
    """Plays.

    More about it.

    Args:
        path: Where it
            plays.
        problem: What.
        budget: How long.
        effort: How hard.
        count: How often.
        names: With whom.
        loud: Aloud.
        max_tokens: No more.

    exit codes: 0 always
    """

    path: Annotated[tuple[Path, ...], Word("PATH")]
    problem: Choice = Choice("uav_isac")
    budget: Group = field(default_factory=dict)
    effort: Literal["low", "high"] = "low"
    count: Annotated[int, Ge(1)] | None = None
    names: tuple[str, ...] = ()
    loud: bool = False
    max_tokens: int = 8


@dataclass(frozen=True, slots=True)
class Loose(Verb):
    """Takes parameters of its problem without their group.

    Args:
        problem: What.
        out: Where to.
    """

    others: ClassVar = "problem"
    problem: Choice
    out: str = "runs"


def test_a_setting_is_written_as_key_and_value_or_as_a_flag():
    words = ["a", "effort=high", "count=3", "names=x,y", "loud=true", "max_tokens=9", "problem=p", "problem.n=[1, 2]"]
    flags = ["--effort", "high", "--count=3", "--names", "x", "--loud", "--max-tokens", "9", "--names=y", "--problem", "p"]
    both = Toy.read("toy", words)
    assert both == Toy.read("toy", [*flags, "--problem.n", "[1, 2]", "a"]) == Toy.read("toy", ["--max", "9", *words])
    assert both.problem == Choice("p", {"n": [1, 2]})
    assert (both.path, both.names, both.count, both.max_tokens) == ((Path("a"),), ("x", "y"), 3, 9)


def test_what_is_not_said_has_its_default_and_groups_keep_their_name():
    toy = Toy.read("toy", ["a", "b", "problem.n_users=5", "budget.usd=0.5", "count=null"])
    assert toy.problem == Choice("uav_isac", {"n_users": 5})
    assert toy.budget == {"usd": 0.5}
    assert toy.path == (Path("a"), Path("b"))
    assert toy.count is None


def test_a_file_that_is_called_like_a_setting_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("effort=high").touch()
    assert Toy.read("toy", ["effort=high"]).path == (Path("effort=high"),)
    assert Toy.read("toy", ["--", "count=2"]).path == (Path("count=2"),)


def test_all_that_is_wrong_is_told_at_once_with_the_nearest_name():
    with pytest.raises(OptionError) as raised:
        Toy.read("toy", ["effort=mid", "cuont=2", "count=0", "budgt.usd=1", "--lod", "budget=3"])
    told = str(raised.value)
    for needle in (
        "optisolve toy has",
        "effort: got 'mid', expected 'low' or 'high'",
        "count: got '0'",
        "did you mean 'count'",
        "did you mean 'budget.usd'",
        "did you mean 'loud'",
        "budget: got '3'",
        "path: got None, expected PATH: Where it plays.",
    ):
        assert needle in told, needle
    with pytest.raises(OptionError, match="a value behind it: --count VALUE"):
        Toy.read("toy", ["a", "--count"])


def test_parameters_without_their_group_are_those_of_the_problem():
    assert Loose.read("loose", ["problem=p", "n=3", "problem.m=x", "out=o"]) == Loose(Choice("p", {"n": 3, "m": "x"}), "o")
    with pytest.raises(OptionError, match=r"problem: got None, expected problem=NAME: What\."):
        Loose.read("loose", ["n=3"])
    with pytest.raises(OptionError, match="key=value"):
        Loose.read("loose", ["problem=p", "uav_isac"])


def test_the_help_is_what_the_class_says():
    assert meanings(Toy)[1]["path"] == "Where it plays."
    told = help_text("toy", Toy)
    assert told.startswith("usage: optisolve toy PATH... [key=value | --key value ...]\n\nPlays.\n\nMore about it.")
    for needle in (
        "effort=low ",
        "How hard. One of low, high.",
        "count=N ",
        "loud=false",
        "budget.KEY=VALUE",
        "exit codes: 0 always",
    ):
        assert needle in told, needle


@pytest.mark.parametrize("verb", _VERBS)
def test_every_verb_explains_itself_and_all_of_its_settings(verb, capsys):
    assert main([*verb.split(), "--help"]) == 0
    shown, cls = capsys.readouterr().out, _class_of(verb)
    summary, texts, _ = meanings(cls)
    assert verb in shown
    for f in (f for f in dataclasses.fields(cls) if f.init):
        assert texts[f.name].endswith("."), f.name
        assert texts[f.name].split()[0].strip("`,") in shown, f.name
    assert max(map(len, shown.splitlines())) <= 80
    assert main(["--help"]) == 0
    overview = capsys.readouterr().out
    assert " ".join(summary.partition("\n\n")[0].split()) in " ".join(overview.split())
    assert max(map(len, overview.splitlines())) <= 80


def test_optisolve_alone_prints_its_help(capsys):
    assert main([]) == 0
    alone = capsys.readouterr().out
    assert main(["--help"]) == 0
    assert capsys.readouterr().out == alone
    assert "optisolve run problem=" in alone


@pytest.mark.parametrize(
    ("words", "told"), [(["--lits"], "Say what to do"), (["lits"], "'list'"), (["submit", "pakc"], "'submit pack'")]
)
def test_a_verb_that_does_not_exist_is_an_error_with_the_nearest(words, told, capsys):
    assert main(words) == 1
    assert told in capsys.readouterr().err


def test_help_and_listing_load_no_library_that_checks_or_solves():
    heavy = ("torch", "cvxpy", "ortools", "pymoo", "numba", "pandas", "matplotlib", "hydra")
    for words, also in ((["--help"], ()), (["list", "prompts"], ("pydantic",))):
        probe = f"print([m for m in {(*heavy, *also)!r} if m in sys.modules])"
        code = f"import sys; from optisolve.cli.main import main; main({words!r}); {probe}"
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert ran.stdout.splitlines()[-1] == "[]", words


def test_the_handler_of_sigterm_is_given_back(tmp_path, capsys):
    def mine(_number, _frame):
        pass

    before = signal.signal(signal.SIGTERM, mine)
    try:
        assert main(["list", "prompts"]) == 0
        assert main(["info", "nothing"]) == 1
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)


def test_the_command_line_works_off_the_main_thread(tmp_path, capsys):
    codes = []
    words = [
        "run",
        "problem=power_control",
        "solver=random_search",
        "budget.evaluations=20",
        "pictures=false",
        f"out={tmp_path}",
    ]
    thread = threading.Thread(target=lambda: codes.extend([main(["list", "prompts"]), main(words)]))
    thread.start()
    thread.join()
    assert codes == [0, 0], capsys.readouterr().err
    assert list(tmp_path.glob("*/record.json"))

"""What a stranger reads first: lists, help and errors say what there is, what fits, and what every setting means."""

from __future__ import annotations

import ast
import dataclasses
import json
import re
from pathlib import Path

import pytest

import optisolve
from optisolve import content
from optisolve.cli.display import console, new_table, print_error, print_notice, styled
from optisolve.cli.help import settings_help
from optisolve.cli.main import main
from optisolve.cli.settings import meanings, settings_of
from optisolve.core.errors import SolverError
from optisolve.llm.config import LLM_KINDS
from optisolve.registry import PROBLEMS, SOLVERS, fits, make_problem

OPTIONS = {
    **{f"problem {name}": PROBLEMS.get(name) for name in PROBLEMS.targets()},
    **{f"solver {name}": SOLVERS.get(name) for name in SOLVERS.targets()},
    **{f"llm {name}": cls for name, cls in LLM_KINDS.items()},
}

UNITS = {
    "m": "m|meter",
    "w": "W",
    "db": "dB",
    "dbm": "dBm",
    "hz": "Hz",
    "s": "s",
    "bps": "bit/s",
    "deg": "degrees?",
    "mb": "MB",
}
"""What stands in the help of a setting whose name ends so."""


@pytest.mark.parametrize("of", OPTIONS)
def test_every_setting_has_a_sentence_with_its_unit(of):
    cls = OPTIONS[of]
    texts = meanings(cls)[1]
    for f in (f for f in dataclasses.fields(cls) if f.init and f.name != "scenario"):
        told = texts.get(f.name, "")
        assert told.endswith("."), f"{f.name}: {told!r}"
        unit = UNITS.get(f.name.rpartition("_")[2]) if "_" in f.name else None
        if unit is not None and "bool" not in str(f.type):
            assert re.search(rf"(?<![A-Za-z])({unit})(?![a-z])|ikewise|as above", told), f"{f.name}: {told}"


def test_help_names_range_and_choices_once():
    shown = " ".join(settings_help(OPTIONS["solver ledma"], prefix="solver.").split())
    assert "solver.n_offspring=2 Offspring s asked for per question, all of which are evaluated. 1 to 16." in shown
    assert "solver.n_parents=N" in shown
    assert "None" not in shown
    shown = " ".join(settings_help(LLM_KINDS["openai"]).split())
    assert "One of max_tokens, max_completion_tokens." in shown
    assert "inherited" not in shown
    assert "solver.pop_size=" in settings_help(OPTIONS["solver ledma"], prefix="solver."), "a base's setting has no help"


def test_run_help_is_short_and_tells_more_about_what_is_named(capsys):
    assert main(["run", "--help"]) == 0
    shown = capsys.readouterr().out
    assert len(shown.splitlines()) < 70
    assert "uav_isac/dense" not in shown, "a wall of names"
    assert main(["run", "episode=3", "--help"]) == 0
    assert "motion.kind=random_waypoint" in capsys.readouterr().out
    assert main(["run", "solver=cma_es", "problem=maze", "--help"]) == 0
    more = capsys.readouterr().out
    assert "solver.sigma=0.25" in more
    assert "problem.n_" in more
    assert max(map(len, more.splitlines())) <= 80
    assert main(["run", "solver=cma_ess", "--help"]) == 1
    assert "Did you mean 'cma_es'" in capsys.readouterr().err


def test_the_list_is_short_and_every_name_can_be_copied(capsys):
    assert main(["list"]) == 0
    short = capsys.readouterr().out
    assert max(map(len, short.splitlines())) <= 80
    words = short.split()
    assert all(name in words for name in (*PROBLEMS.targets(), *SOLVERS.choices()))
    assert "uav_isac/dense" not in short
    assert main(["list", "--all"]) == 0
    everything = capsys.readouterr().out.split()
    assert all(name in everything for name in (*PROBLEMS.choices(), *SOLVERS.choices()))
    assert main(["list", "problems", "maze"]) == 0
    assert set(capsys.readouterr().out.split()) & set(PROBLEMS.choices()) == {
        name for name in PROBLEMS.choices() if name.partition("/")[0] == "maze"
    }
    assert main(["list", "problems", "mase"]) == 1
    assert "'maze'" in capsys.readouterr().err


def test_families_say_in_their_file_what_their_class_says():
    for name in content.names("problems"):
        if "/" not in name:
            assert content.header("problems", name)["family"] == PROBLEMS.get(name).summary.rstrip(".") + "."


def test_which_solvers_fit_and_why_not_the_others(capsys):
    told = fits(make_problem("power_control").instance(0))
    for words in (["--for", "problem=power_control"], ["--for=problem=power_control"], ["solvers", "power_control"]):
        assert main(["list", *words]) == 0
        out = capsys.readouterr().out
        shown, fit = " ".join(out.split()), out.partition("Solvers that do not")[0].splitlines()
        for solver, reason in told.items():
            assert (reason is None) == any(line.startswith(f"  {solver} ") for line in fit), solver
            assert reason is None or " ".join(reason.split()) in shown, solver
    assert main(["list", "--for"]) == 1
    assert "list --for problem=NAME" in capsys.readouterr().err
    assert main(["list", "--for", "problem=power_control", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [item["name"] for item in found["fit"]] == [solver for solver, reason in told.items() if reason is None]
    assert found["others"]["hungarian"] == told["hungarian"]


def test_a_solver_that_cannot_says_which_can():
    instance = make_problem("uav_isac").instance(0)
    with pytest.raises(SolverError, match=r"several objectives\. Solvers that can: .*moead_de.*list --for problem=uav_isac"):
        optisolve.solve(instance, "wmmse")


@pytest.mark.parametrize("name", ["uav_isac", "maze/random", "ledma", "ddpm", "openai"])
def test_info_for_people_and_for_programs(name, capsys):
    assert main(["info", name]) == 0
    shown = capsys.readouterr().out
    assert main(["info", name, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["name"] == name
    assert told["settings"]
    for setting in told["settings"]:
        assert f".{setting['name']}=" in shown
        assert setting["meaning"]


def test_list_for_programs_has_what_the_list_for_people_has(capsys):
    assert main(["list", "--json", "--all"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {item["name"] for item in told["problems"]} == set(PROBLEMS.choices())
    assert {item["name"] for item in told["solvers"]} == set(SOLVERS.choices())


BRACKETS = "extra [diffusion] [bold]x[/] [/] \\[y]"


def test_brackets_are_printed_as_they_are(capsys):
    """Names and reasons come from files, plug-ins and records; none of them is markup."""
    table = new_table(BRACKETS, title=BRACKETS)
    table.columns[0].min_width = len(BRACKETS)
    table.add_row(BRACKETS)
    console.print(table)
    console.print(BRACKETS, soft_wrap=True)
    console.print(styled(BRACKETS, "red"), soft_wrap=True)
    print_notice(BRACKETS)
    print_error(BRACKETS)
    told = capsys.readouterr()
    assert (told.out + told.err).count(BRACKETS) == 7
    assert main(["list", "solvers"]) == 0
    assert "extra [diffusion]" in " ".join(capsys.readouterr().out.split())


def test_nothing_on_the_command_line_is_written_as_markup():
    """Markup in a text would be shown as it stands, since the consoles read none; `styled` has colors."""
    for file in (Path(optisolve.__file__).parent / "cli").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert "[/" not in node.value, f"{file.name}:{node.lineno}"
        assert "markup import escape" not in file.read_text(encoding="utf-8"), file.name


def test_all_kinds_of_setting_say_what_they_may_be():
    settings = settings_of(OPTIONS["problem uav_isac"])
    assert settings["channel"].choices == ("los", "al_hourani")
    assert settings["users_file"].kinds == (str, type(None))
    assert [type(mark).__name__ for mark in settings["los_a_deg"].limits] == ["Interval"]


def test_every_summary_of_a_file_is_a_whole_sentence():
    for kind in ("problems", "solvers", "suites"):
        for name in content.names(kind):
            if not name.endswith(".lock"):
                assert content.header(kind, name)["summary"].endswith("."), f"{kind}/{name}"

"""``optisolve plot``: files, formats, widths, choices, errors."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PIL import Image

from optisolve.cli.main import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind", ["front", "convergence", "attainment", "parallel"])
def test_a_figure_is_called_by_its_kind(records, here, kind, capsys):
    assert main(["plot", str(records), f"kind={kind}"]) == 0
    assert (here / f"{kind}.pdf").read_bytes().startswith(b"%PDF")
    assert f"figure: {kind}.pdf ({kind} of 9 record(s), 3.5 x " in capsys.readouterr().out


@pytest.mark.parametrize(("words", "name"), [(["format=svg"], "front.svg"), (["out=a/b.png"], "a/b.png"), (["out=c"], "c.pdf")])
def test_format_and_name_follow_what_was_asked(records, here, words, name):
    assert main(["plot", str(records), *words]) == 0
    assert (here / name).is_file()


@pytest.mark.parametrize("width", [3.5, 7.0])
def test_a_figure_is_as_wide_as_asked(records, here, width):
    assert main(["plot", str(records), f"width={width}", "out=f.png"]) == 0
    assert Image.open("f.png").width == pytest.approx(300 * width, abs=1)


def test_folders_of_runs_are_the_default(records, here):
    (here / "runs").symlink_to(records)
    assert main(["plot"]) == 0
    assert (here / "front.pdf").is_file()


def test_solvers_and_instances_can_be_chosen(records, here, capsys):
    assert main(["plot", str(records), "solver=nsga2,moead_de", "problem=uav_isac", "problem.n_users=12", "instance=0"]) == 0
    assert "front of 6 record(s)" in capsys.readouterr().out
    assert main(["plot", str(records), "solver=nsga2", "kind=map", "format=png"]) == 0
    told = capsys.readouterr()
    assert "the best of 3" in told.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["kind=frnt"], "kind"),
        (["out=f.gif"], "a file that ends in .pdf, .svg or .png"),
        (["out=f.png", "format=pdf"], "as out=f.png says"),
        (["solver=nsga"], "there are: uav_isac by moead_de"),
        (["solver=nsga2,nobody"], "one of moead_de, nsga2, random_search"),
        (["problem=maze"], "none of 9 record(s)"),
        (["width=0.1"], "width"),
    ],
)
def test_errors_are_one_message(records, here, words, told, capsys):
    assert main(["plot", str(records), *words]) == 1
    said = capsys.readouterr().err
    assert told in said
    assert "Traceback" not in said
    assert not list(here.glob("*.p*"))


def test_records_of_several_instances_are_listed(records, here, capsys):
    assert main(["run", "problem=power_control", "solver=null", "reference=none", "pictures=false", "out=runs"]) == 0
    capsys.readouterr()
    assert main(["plot", str(records), "runs"]) == 1
    told = capsys.readouterr().err
    assert "records of 2 different instances" in told
    assert "power_control, instance 0: 1 record(s)" in told
    assert main(["plot", str(records), "runs", "problem=power_control"]) == 0


def test_a_run_of_a_family_without_geography_draws_no_map(here, capsys):
    assert main(["run", "problem=power_control", "solver=wmmse", "reference=none"]) == 0
    (folder,) = (here / "runs").iterdir()
    drawn = {path.name for path in folder.glob("*.png")}
    assert "map.png" not in drawn
    assert {"powers.png", "convergence.png"} <= drawn
    listed = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("pictures:"))
    assert {name.strip() for name in listed.removeprefix("pictures:").split(",")} == drawn


def test_the_front_in_readme_says_what_a_run_says(capsys):
    """Scores beside ``docs/front.png`` against runs made now."""
    import figures

    assert "front" in figures.PICTURES
    assert figures.main(["--check", "front", "powers"]) == 0, capsys.readouterr().out


def test_a_figure_that_is_out_of_date_is_found():
    import figures

    old = {"moead": [0.5904], "null": [0.4906]}
    assert figures.differences("front", old, {"moead": [0.5687], "null": [0.4906]}) == [
        "front: moead has [0.5904] in the figure and [0.5687] now"
    ]
    assert figures.differences("front", old, {"moead": [0.5904]})


def test_drawing_loads_no_pyplot():
    import subprocess

    code = "import sys, optisolve.plotting; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0


def test_a_problem_of_ones_own_is_drawn_and_its_file_brings_descriptions(here, capsys):
    (here / "mine.py").write_text(
        "import optisolve\nbox = optisolve.problem(lambda x: [(x**2).sum(), ((x - 1) ** 2).sum()], [0] * 2, [1] * 2)\n"
    )
    asked = ["solver=nsga2", "budget.evaluations=60", "pictures=false", "reference=none"]
    assert main(["run", "problem=mine.py:box", *asked]) == 0
    assert main(["plot", "problem=mine.py:box"]) == 0
    assert "axes carry names" not in capsys.readouterr().err
    assert (here / "front.pdf").is_file()

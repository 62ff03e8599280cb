"""Settings from a file: the names of the command line, which wins; what a stranger's file may not say is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

import optisolve
from optisolve.cli.ablate import Ablate
from optisolve.cli.config_file import expanded
from optisolve.cli.main import main
from optisolve.cli.settings import Choice

SMALL = ["solver=random_search", "problem=parallel_channels", "budget.evaluations=20", "pictures=false", "reference=none"]
LLM = ["problem=uav_isac", "solver=ledma", "llm=surrogate", "solver.mix=fixed(0.3)", "budget.usd=0.5", "problem.n_users=5"]


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(text, name="my.yaml"):
    Path(name).write_text(text, encoding="utf-8")


@pytest.mark.parametrize("how", [["print=config"], ["--cfg", "job"]])
@pytest.mark.parametrize("words", [[], LLM, ["solver=null", "seed=3", "problem=maze/random"]], ids=str)
def test_what_is_printed_is_read_again(how, words, capsys):
    assert main(["run", *words, *how]) == 0
    printed = capsys.readouterr().out
    write(printed)
    assert main(["run", "config=my.yaml", *how]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == yaml.safe_load(printed)


def test_a_file_gives_the_settings_and_the_command_line_wins(capsys):
    write(
        "problem: parallel_channels\nproblem.p_total_w: 8\nsolver: {name: random_search}\nseed: 4\nbudget: {evaluations: 20}\n"
    )
    assert main(["run", "config=my.yaml", "seed=5", "--pictures", "false", "reference=none", "print=json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["instance"]["params"]["p_total_w"] == 8
    assert (record["solver"]["name"], record["seed"], record["used"]["evaluations"]) == ("random_search", 5, 20)
    assert expanded("bench", ["config=my.yaml", "--seed", "7", "problem=parallel_channels"]).words[-3:] == [
        "--seed",
        "7",
        "problem=parallel_channels",
    ]
    assert "seed=4" not in expanded("bench", ["config=my.yaml", "--seed", "7"]).words


def test_the_options_of_another_choice_are_left_out_with_a_word(capsys):
    write("problem: {name: parallel_channels, p_total_w: 8}\nsolver: random_search\nbudget: {evaluations: 20}\n")
    assert main(["run", "config=my.yaml", "problem=maze", "pictures=false", "reference=none"]) in (0, 2)
    assert "problem=maze is not that of the file, so its problem.p_total_w are left out" in capsys.readouterr().err


def test_a_run_is_repeated_from_what_stands_beside_its_record(capsys):
    assert main(["run", *SMALL, "seed=3"]) == 0
    (first,) = optisolve.load_records("runs").result_hash
    (job,) = Path("runs").glob("*/job.json")
    assert main(["run", f"config={job}", "out=again", "pictures=false", "reference=none"]) == 0
    assert list(optisolve.load_records("again").result_hash) == [first]


def test_all_unknown_keys_are_one_error_with_the_nearest(capsys):
    write("sead: 3\nbudget: {evals: 4}\nsolver: null\n")
    assert main(["run", "config=my.yaml"]) == 1
    told = capsys.readouterr().err
    assert "config=my.yaml has 2 bad field(s)" in told
    assert "sead: got 3, expected a setting of optisolve run; did you mean 'seed'?" in told
    assert "budget.evals" in told
    write("solver: {name: nsga2, pop_sise: 4}\n")
    assert main(["run", "config=my.yaml"]) == 1
    assert "Did you mean 'solver.pop_size'" in capsys.readouterr().err
    write("suite: smoke\nexecuter: serial\n")
    assert main(["bench", "config=my.yaml"]) == 1
    assert "did you mean 'executor'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "No such file"),
        ("a: [", "no YAML"),
        ("- a\n", "expected settings by name"),
        ("just words", "expected settings by name"),
        ("3: 4\n", "expected settings by name"),
        ("\x00\xff", "no YAML"),
        ("seed: ${oc.env:HOME}\n", "interpolation"),
        ("trust: OPENAI_API_KEY@https://evil\n", "trust: got '(not shown)', expected none in a file"),
    ],
)
def test_a_bad_file_is_one_clear_error(text, told, capsys):
    if text is not None:
        write(text)
    assert main(["run", *SMALL, "config=my.yaml"]) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("error: ")
    assert told in shown
    assert "Traceback" not in shown


def test_other_verbs_read_settings_too(capsys):
    write("problem: {name: parallel_channels, p_total_w: 3}\nto: a.npz\ninstance: 2\n")
    assert main(["export", "config=my.yaml"]) == 0
    assert "a.npz" in capsys.readouterr().out
    write("what: problems\nname: maze\njson: true\n")
    assert main(["list", "--config", "my.yaml"]) == 0
    assert "maze/random" in {item["name"] for item in json.loads(capsys.readouterr().out)["problems"]}


def test_lists_and_texts_below_a_name_are_read_again_as_they_stand_in_the_file():
    options = {"init": ["null", "sobol"], "prompt": "3", "n_initial": 25, "repair": True, "style": None}
    write(yaml.safe_dump({"problem": "uav_isac", "solver": {"name": "hybrid", **options}, "arms": ["null", "uniform"]}))
    made = Ablate.read("ablate", expanded("ablate", ["config=my.yaml"]).words)
    assert made.solver == Choice("hybrid", options)
    assert made.arms == ("null", "uniform")


HOST = {"kind": "openai", "base_url": "http://127.0.0.1:9/v1", "model": "m"}


def test_a_file_sends_no_key_to_a_host_of_its_own(monkeypatch, capsys):
    monkeypatch.setenv("OPENAI_API_KEY", "canary7c1f6b52e9d34a08b1e4")
    run = {"problem": "uav_isac", "solver": {"name": "opro", "n_initial": 6}, "llm": HOST, "pictures": False}
    write(json.dumps(run))
    assert main(["run", "config=my.yaml", "reference=none"]) == 1
    told = capsys.readouterr()
    assert "trust=OPENAI_API_KEY@http://127.0.0.1:9/v1" in told.err
    for verb in ("ask", "bench", "ablate", "formulate"):
        write(json.dumps({"llm": HOST}))
        assert main([verb, "config=my.yaml", "save power"]) == 1
        assert "llm.base_url: got 'http://127.0.0.1:9/v1', expected none in a file" in capsys.readouterr().err
    write(json.dumps({"llm": {"kind": "openai", "model": "canary7c1f6b52e9d34a08b1e4"}}))
    assert main(["ask", "config=my.yaml", "save power"]) == 1
    told = capsys.readouterr().err
    assert "holds a key" in told
    assert "canary" not in told

"""The command line: one clear error for bad input, a verified record for good input."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from optisolve.cli.bench import _table as summary_table
from optisolve.cli.display import console
from optisolve.cli.main import main
from optisolve.cli.overrides import as_overrides, flags_first
from optisolve.words.typed_file import read_typed
from tests.study.records import made

SMALL = ["solver=moead_de", "budget.evaluations=300", "pictures=false"]


def cli(*arguments, out=None):
    return main([*arguments, *([f"out={out}"] if out else [])])


def test_a_run_writes_one_verified_record_and_its_pictures(tmp_path, capsys):
    assert cli("run", "solver=moead_de", "budget.evaluations=300", out=tmp_path) == 0
    (folder,) = tmp_path.iterdir()
    assert {path.name for path in folder.iterdir()} == {
        "record.json",
        "job.json",
        "front.parquet",
        "trace.parquet",
        "front.png",
        "map.png",
        "convergence.png",
    }
    record = json.loads((folder / "record.json").read_text())
    assert folder.name == record["record_id"]
    assert "hypervolume" in capsys.readouterr().out
    assert cli("verify", str(tmp_path)) == 0


def test_a_run_of_several_sources_gets_a_picture_of_their_credit(tmp_path, capsys):
    settings = ("solver=ledma", "llm=surrogate", "budget.evaluations=200", "budget.llm_calls=8", "reference=none")
    assert cli("run", *settings, out=tmp_path) == 0
    (folder,) = tmp_path.iterdir()
    assert (folder / "credit.png").stat().st_size > 10_000
    assert cli("verify", str(tmp_path)) == 0


def test_json_output_is_the_record_and_nothing_else(tmp_path, capsys):
    assert cli("run", *SMALL, "print=json", "seed=4", out=tmp_path) == 0
    record = json.loads(capsys.readouterr().out)
    assert record == json.loads((tmp_path / record["record_id"] / "record.json").read_text())
    assert record["seed"] == 4
    assert record["used"]["evaluations"] == 300


def test_controls_are_printed_beside_the_solver_and_recorded(tmp_path, capsys):
    assert cli("run", *SMALL, "controls=true", out=tmp_path) == 0
    printed = capsys.readouterr().out
    for name in ("moead_de", "null", "random_search", "moead", "moead_lo"):
        assert name in printed
    solvers = {json.loads(p.read_text())["solver"]["name"] for p in tmp_path.rglob("record.json")}
    assert solvers == {"moead_de", "null", "random_search", "moead", "moead_lo"}


def test_a_sweep_runs_every_combination(tmp_path, capsys):
    assert cli("run", *SMALL, "-m", "seed=0,1", "instance=0,1", out=tmp_path) == 0
    assert len(list(tmp_path.rglob("record.json"))) == 4


def test_the_composed_configuration_can_be_shown_without_running(tmp_path, capsys):
    assert cli("run", "--cfg", "job", "problem.n_users=5") == 0
    assert "n_users: 5" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("override", "needle"),
    [
        ("problem=uav_isak", "Did you mean 'uav_isac'"),
        ("solver=moaed_de", "Did you mean 'moead_de'"),
        ("solver.pop_sise=3", "Did you mean 'solver.pop_size'"),
        ("budget.evals=3", "Did you mean 'budget.evaluations'"),
        ("sead=3", "Did you mean 'seed'"),
        ("solver.pop_size=abc", "solver.pop_size: got 'abc'"),
        ("solver.delta=7", "solver.delta: got 7"),
        ("seed=one", "seed: got 'one'"),
        ("budget.evaluations=0", "budget.evaluations: got 0"),
        ("print=xml", "print: got 'xml'"),
        ("problem.d_min_m=5000", "problem.d_min_m"),
        ("problem.users_file=nowhere.csv", "nowhere.csv"),
        ("llm=surrogate", "asks no language model"),
        ("seed", "seed"),
        ("problem.area_m=.nan", "problem.area_m"),
    ],
)
def test_bad_input_is_one_error_that_names_the_setting(tmp_path, capsys, override, needle):
    assert cli("run", *SMALL, override, out=tmp_path / "out") == 1
    shown = capsys.readouterr()
    assert shown.err.startswith("error:")
    assert needle in shown.err.replace("\n", " ")
    assert "Traceback" not in shown.err
    assert shown.out == ""
    assert not list(tmp_path.rglob("record.json"))


def test_all_bad_settings_are_listed_at_once(tmp_path, capsys):
    assert cli("run", *SMALL, "problem.n_uavs=x", "problem.d_min_m=-5", "solver.delta=2", "seed=y", out=tmp_path) == 1
    shown = capsys.readouterr().err
    assert all(field in shown for field in ("problem.n_uavs", "problem.d_min_m", "solver.delta", "seed"))


def test_an_altered_record_fails_verification_with_code_2(tmp_path, capsys):
    assert cli("run", *SMALL, out=tmp_path) == 0
    (file,) = tmp_path.rglob("record.json")
    record = json.loads(file.read_text())
    record["scores"]["hypervolume"] = 0.99
    file.write_text(json.dumps(record))
    assert cli("verify", str(file)) == 2
    assert "scores.hypervolume" in capsys.readouterr().out


def test_a_missing_path_is_an_error_not_a_success(tmp_path, capsys):
    assert cli("verify", str(tmp_path)) == 1
    assert "no record.json" in capsys.readouterr().err


def test_replay_of_a_classical_run_gives_the_same_hash(tmp_path, capsys):
    assert cli("run", *SMALL, out=tmp_path) == 0
    (file,) = tmp_path.rglob("record.json")
    assert cli("replay", str(file)) == 0
    assert json.loads(file.read_text())["result_hash"] in capsys.readouterr().out.replace("\n", "")


def test_replay_refuses_a_record_of_other_equations(tmp_path, capsys):
    assert cli("run", *SMALL, out=tmp_path) == 0
    (file,) = tmp_path.rglob("record.json")
    record = json.loads(file.read_text())
    record["instance"]["version"] = "0"
    file.write_text(json.dumps(record))
    assert cli("replay", str(file)) == 1
    assert "problem version 0" in capsys.readouterr().err


def test_list_and_info_name_what_there_is(capsys):
    assert cli("list") == 0
    listed = capsys.readouterr().out
    assert "uav_isac" in listed
    assert "moead_de" in listed
    assert cli("info", "uav_isac") == 0
    assert "d_min_m" in capsys.readouterr().out
    assert cli("info", "moead_de") == 0
    assert "10.1109/TEVC" in capsys.readouterr().out
    assert cli("info", "power_control") == 0
    shown = capsys.readouterr().out
    assert "offers: InterferenceChannel, WeightedChannel" in shown
    assert "verification runs on other code" in shown
    assert cli("info", "parallel_channels") == 0
    assert "one implementation, which verification runs again" in capsys.readouterr().out
    assert cli("info", "wmmse") == 0
    assert "requires: WeightedChannel" in capsys.readouterr().out
    assert cli("info", "nothing") == 1


def test_flags_may_stand_anywhere():
    assert flags_first(["a=1", "-m", "b=1,2"]) == ["-m", "a=1", "b=1,2"]
    assert flags_first(["a=1", "--cfg", "job", "b=2"]) == ["--cfg", "job", "a=1", "b=2"]


def test_settings_of_a_run_are_written_either_way(tmp_path, capsys):
    flags = ["--problem", "parallel_channels", "--solver=null", "--no-such", "3"]
    assert as_overrides(flags) == ["problem=parallel_channels", "solver=null", "no_such=3"]
    assert as_overrides(["--controls", "--dry-run", "--solver.pop_size", "5"]) == [
        "controls=true",
        "dry_run=true",
        "solver.pop_size=5",
    ]
    assert as_overrides(["-m", "--cfg", "job", "seed=1,2"]) == ["-m", "print=config", "seed=1,2"]
    words = ["--problem", "parallel_channels", "--solver", "null", "--pictures", "false", "--seed=3", "--print", "json"]
    assert cli("run", *words, "--out", str(tmp_path)) == 0
    assert json.loads(capsys.readouterr().out)["seed"] == 3


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["uav_isac", "ledma"], "problem=uav_isac solver=ledma"),
        (["uav_isak", "seed=2"], "problem=uav_isac seed=2"),
        (["surrogate", "solver=ledma"], "llm=surrogate solver=ledma"),
        (["mine.py:relay", "null"], "problem=mine.py:relay solver=null"),
    ],
)
def test_words_without_a_key_are_answered_by_what_was_meant(words, meant, capsys):
    assert cli("run", *words) == 1
    assert f"Did you mean: optisolve run {meant}\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--config-name", "my"], "config=FILE"),
        (["--config-path=."], "config=FILE"),
        (["-x"], "'-x' is no flag here"),
        (["--cfg", "everything"], "expected one of job,"),
        (["--info", "nothing"], "expected one of all,"),
        (["--sead", "3"], "Did you mean 'seed'"),
        (["nothing_like_it"], "expected key=value"),
        (["seed"], "expected key=value"),
    ],
)
def test_no_word_of_hydra_is_shown(words, told, capsys):
    assert cli("run", *words) == 1
    shown = capsys.readouterr()
    assert told in shown.err
    assert "hydra.cc" not in shown.out + shown.err
    assert "usage:" not in shown.out + shown.err
    assert shown.err.startswith("error: ")


def test_a_fixed_mix_is_no_function_call_to_hydra(tmp_path, capsys):
    small = ("solver=ledma", "llm=surrogate", "budget.evaluations=130", "budget.llm_calls=8", "pictures=false")
    assert cli("run", *small, "solver.mix=fixed(0.3)", "print=json", out=tmp_path) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["solver"]["options"]["mix"] == 0.3
    assert cli("run", *small, "-m", "solver.mix=auto,fixed(0.5),adaptive", out=tmp_path / "sweep") == 0
    mixes = {json.loads(p.read_text())["solver"]["options"]["mix"] for p in (tmp_path / "sweep").rglob("record.json")}
    assert mixes == {"auto", 0.5, "adaptive"}
    assert cli("run", *small, "solver.mix=fixed(7)", out=tmp_path) == 1
    assert "solver.mix: got 'fixed(7)', expected auto, adaptive, llm_only" in capsys.readouterr().err.replace("\n", " ")


def test_the_solver_null_is_a_name_and_not_no_value(tmp_path, capsys):
    assert cli("run", "solver=null", "problem=parallel_channels", "pictures=false", "print=json", out=tmp_path) == 0
    assert json.loads(capsys.readouterr().out)["solver"]["name"] == "null"


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_stopping_a_run_writes_a_valid_record(tmp_path, stop):
    command = [sys.executable, "-m", "optisolve", "run", "solver=ledma", "llm=surrogate", "pictures=false", f"out={tmp_path}"]
    budget = ["budget.evaluations=2000000000", "budget.llm_calls=1000000000"]
    with subprocess.Popen([*command, *budget], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            deadline = time.monotonic() + 120
            while not any('"call"' in path.read_text() for path in tmp_path.glob("*.running/transcript.jsonl")):
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < deadline, "the run did not begin"
                time.sleep(0.2)
            process.send_signal(stop)
            _, errors = process.communicate(timeout=120)
        finally:
            process.kill()
    assert process.returncode == 130, errors
    (file,) = tmp_path.rglob("record.json")
    record = json.loads(file.read_text())
    assert record["termination"]["status"] == "interrupted"
    assert record["verified"]["point"] == "feasible"
    assert record["used"]["llm_calls"] > 0
    assert "operator" in record["used"]["report"]
    assert (file.parent / "transcript.jsonl").is_file()
    assert main(["verify", str(file)]) == 0


HEAVY = ("torch", "cvxpy", "ortools", "pymoo", "numba")


@pytest.mark.parametrize("code", ["import optisolve", "from optisolve.cli.main import main; main(['list'])"])
def test_importing_and_listing_load_nothing_heavy(code):
    probe = f"import sys\n{code}\nprint('LOADED', [m for m in {HEAVY} if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert "LOADED []" in ran.stdout


UNASKED = ("numba", "pandas", "matplotlib", "scipy.linalg", "torch", "cvxpy", "ortools", "pymoo", "moocore", "jinja2", "openai")


def test_a_small_run_loads_nothing_that_it_does_not_need(tmp_path):
    """A millisecond of work is not worth a second of imports; measured by benchmarks/speed/startup.py."""
    words = ["run", "problem=power_control", "problem.n_links=3", "solver=wmmse", "reference=none", "pictures=false"]
    code = f"from optisolve.cli.main import main; assert main({[*words, f'out={tmp_path}']!r}) == 0"
    probe = f"import sys\n{code}\nprint('LOADED', [m for m in {UNASKED} if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert "LOADED []" in ran.stdout
    (folder,) = tmp_path.glob("power_control.wmmse.*")
    front, trace = (pd.read_parquet(folder / f"{name}.parquet") for name in ("front", "trace"))
    record = json.loads((folder / "record.json").read_text())
    assert front.to_numpy().tolist() == [[*record["verified"]["F"][0], *record["solutions"]["x"][0]]]
    assert [*map(list, trace.itertuples(index=False))] == record["trace"]


def test_the_wheel_s_content_is_where_the_locator_looks():
    import optisolve.content as content

    assert (content.content_dir("problems") / "uav_isac.yaml").is_file()
    assert "uav_isac/dense" in content.names("problems")
    root = Path(content.__file__).parents[1]
    packaged = (root / "pyproject.toml").read_text()
    assert all(f'"{kind}" = "optisolve/_content/{kind}"' in packaged for kind in ("problems", "solvers", "prompts"))


def test_no_ignore_rule_hides_a_part_of_the_package():
    """The build leaves out what git ignores, so a rule such as ``site/`` would drop the package of that name."""
    root = Path(__file__).parents[2]
    if shutil.which("git") is None or not (root / ".git").exists():
        pytest.skip("not a git checkout")
    shown = subprocess.run(
        ["git", "check-ignore", "--no-index", "-v", "--stdin"],
        check=False,  # 1 means that nothing is ignored
        cwd=root,
        text=True,
        capture_output=True,
        input="\n".join(
            str(p.relative_to(root))
            for p in (root / "optisolve").rglob("*")
            if p.is_file() and "__pycache__" not in p.parts and p.suffix not in (".nbi", ".nbc")
        ),
    )
    assert shown.stdout == ""


@pytest.mark.parametrize("kind", ["problems", "solvers"])
def test_every_content_file_begins_with_a_summary_and_names_a_plug_in(kind):
    import optisolve.content as content
    from optisolve.registry import PROBLEMS, SOLVERS

    registry = {"problems": PROBLEMS, "solvers": SOLVERS}[kind]
    for name in content.names(kind):
        told = content.header(kind, name)
        assert told["summary"].endswith("."), name
        assert content.load_yaml(kind, name)["name"] in registry.targets(), name
        if kind == "problems" and "/" not in name:
            assert "reference" in told, name


def test_errors_of_a_closed_pipe_are_quiet():
    ran = subprocess.run(
        f"{sys.executable} -m optisolve list | head -1", shell=True, capture_output=True, text=True, check=True, env=os.environ
    )
    assert "Traceback" not in ran.stderr


def test_a_library_that_cannot_be_loaded_is_one_line_with_a_cure(monkeypatch, capsys):
    """As under a tight limit on memory, where shared libraries cannot be mapped."""

    def no_memory(_name):
        raise ImportError("libarrow.so: failed to map segment from shared object")

    monkeypatch.setattr("optisolve.cli.main.import_module", no_memory)
    assert main(["list"]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    (line,) = shown.err.splitlines()
    assert line.startswith("error: there is too little memory, or the installation is damaged (ImportError libarrow.so")
    assert "ulimit -v" in line


@pytest.mark.parametrize("verb", ["report", "replay"])
def test_a_setting_may_be_written_as_for_bench_and_is_never_taken_for_a_path(verb, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([verb, "out=somewhere"]) == 1
    told = capsys.readouterr().err
    assert ("path: got None, expected PATH" if verb == "replay" else "runs: no such folder here") in told
    assert "somewhere" not in told


@pytest.mark.parametrize("verb", ["report", "leaderboard", "verify"])
def test_records_are_looked_for_where_runs_write_them(verb, tmp_path, monkeypatch, capsys):
    if verb == "leaderboard":
        pytest.importorskip("plotly", reason="needs the extra [report]")
    monkeypatch.chdir(tmp_path)
    assert main([verb]) == 1
    assert "runs: no such folder here. Give a path with records, or write some first" in capsys.readouterr().err
    assert main(["run", "problem=parallel_channels", "solver=null", "pictures=false"]) == 0
    assert main([verb]) == 0
    assert {"report": "report: report/index.html", "leaderboard": "leaderboard: site/", "verify": "1 record(s)"}[
        verb
    ] in capsys.readouterr().out


def test_a_suite_s_summary_counts_feasible_runs_only_and_shows_losses(capsys):
    runs = [made(gap=-1e-8, tie=1e-7), made(gap=-2e-8, tie=1e-7, seed=1), made(point="nearly_feasible", seed=2)]
    console.print(summary_table("case", {"a": runs}))
    header, *_, row = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()][1:]
    assert header[:3] == ["solver", "median", "loss"]
    assert row[:4] == ["a", "0.0000", "3", "2"]


def test_a_byte_order_mark_in_a_typed_file_is_no_damage(tmp_path):
    for name, text in (("goal.json", '{"a": 1}'), ("goal.yml", "a: 1\n")):
        (tmp_path / name).write_text(text, encoding="utf-8-sig")
        assert read_typed(str(tmp_path / name), "goal", "a") == {"a": 1}


@pytest.mark.parametrize("word", ["budget=1_000", "budget=inf", "budget=[1,2]", "budget=null"])
def test_a_value_in_place_of_a_budget_says_what_the_budget_has(word, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "problem=power_game", "solver=null", word]) == 1
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert "budget" in told

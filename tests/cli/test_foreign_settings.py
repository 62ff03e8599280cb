"""Settings that stand in somebody else's file or in a pasted command: no host, no variable, no key, no escape gets through."""

import asyncio
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optisolve.cli.main import main
from optisolve.core.errors import LlmError
from optisolve.study.runner import run_suite
from optisolve.testing.llm_server import LlmServer

KEY = "canary7c1f6b52e9d34a08b1e4"
AWS = "AWSCANARYsecret123"
SMALL = ["problem=uav_isac", "solver=opro", "solver.n_initial=6", "budget.evaluations=10", "budget.llm_calls=2"]
QUIET = ["reference=none", "pictures=false"]


@pytest.fixture(autouse=True)
def _environment(monkeypatch, tmp_path):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", AWS)
    monkeypatch.chdir(tmp_path)


class Recorder(LlmServer):
    """Remembers every key it was sent."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.keys: set[str] = set()

    async def _exchange(self, reader: Any, writer: Any) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        self.keys |= set(re.findall(rb"(?im)^authorization: *(.*?)\r$", head))
        self.heads = head
        length = int((re.search(rb"(?im)^content-length: *(\d+)", head) or [0, 0])[1])
        body = await reader.readexactly(length)
        again = asyncio.StreamReader()
        again.feed_data(head + body)
        return await super()._exchange(again, writer)


def said(capsys: Any) -> str:
    told = capsys.readouterr()
    text = str(told.out + told.err)
    assert KEY not in text
    assert AWS not in text
    return " ".join(text.split())


def unfinished(server: LlmServer, variable: str) -> str:
    """A folder of a run that asks `server` with the content of a variable."""
    given = {"kind": "openai", "base_url": server.base_url, "api_key_env": variable, "model": server.model}
    settings = {
        "problem": {"name": "uav_isac"},
        "instance": 0,
        "solver": {"name": "opro", "n_initial": 6},
        "llm": given,
        "budget": {"evaluations": 10, "llm_calls": 2},
        "seed": 0,
    }
    folder = Path("theirs.running")
    folder.mkdir()
    (folder / "job.json").write_text(json.dumps({"schema": "optisolve.job/1", "settings": settings}))
    return str(folder)


@pytest.mark.parametrize("variable", ["AWS_SECRET_ACCESS_KEY", "OPENAI_API_KEY"])
def test_a_folder_that_is_resumed_sends_no_variable_to_its_host_unless_it_is_trusted(variable, capsys):
    with Recorder() as server:
        folder = unfinished(server, variable)
        assert main(["run", f"resume={folder}", *QUIET]) == 1
        told = said(capsys)
        assert not server.keys
        assert server.calls == 0
        assert server.base_url in told
        assert f"trust={variable}@{server.base_url}" in told
        assert ("no name of an API key" in told) == (variable != "OPENAI_API_KEY")
        assert main(["run", f"resume={folder}", f"trust={variable}@{server.base_url}x", *QUIET]) == 1
        assert not server.keys
        assert main(["run", f"resume={folder}", f"trust={variable}@{server.base_url}", *QUIET]) in (0, 2)
        assert server.keys == {b"Bearer " + (AWS if variable.startswith("AWS") else KEY).encode()}
        assert server.calls
    said(capsys)


def test_the_same_command_with_resume_needs_no_further_word(capsys):
    with Recorder() as server:
        command = ["run", *SMALL, *QUIET, "llm=openai", f"llm.base_url={server.base_url}", f"llm.model={server.model}"]
        assert main([*command, "resume=true"]) in (0, 2)
        assert main([*command, "resume=true"]) in (0, 2)
    assert "already finished" in said(capsys)


def test_a_loopback_host_without_a_key_needs_no_trust(monkeypatch, capsys):
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with Recorder() as server:
        folder = unfinished(server, "AWS_SECRET_ACCESS_KEY")
        assert main(["run", f"resume={folder}", *QUIET]) in (0, 2)
        assert server.calls
        assert not server.keys
    said(capsys)


SUITE = """# Theirs.
version: "1"
seed: 0
instances: 1
repetitions: 1
budget: {{evaluations: 10, llm_calls: 2}}
reference: none
problems: [uav_isac]
solvers: [{{solver: opro, options: {{n_initial: 6}}, llm: {llm}}}]
"""


def test_a_suite_sends_no_variable_to_its_host_unless_it_is_trusted(capsys):
    with Recorder() as server:
        llm = {"kind": "openai", "model": server.model, "base_url": server.base_url, "api_key_env": "AWS_SECRET_ACCESS_KEY"}
        Path("theirs.yaml").write_text(SUITE.format(llm=json.dumps(llm)))
        command = ["bench", "suite=theirs.yaml", "executor=serial"]
        assert main([*command, "dry_run=true"]) == 0
        assert main(command) == 1
        assert f"trust=AWS_SECRET_ACCESS_KEY@{server.base_url}" in said(capsys)
        with pytest.raises(LlmError, match="AWS_SECRET_ACCESS_KEY"):
            run_suite("theirs.yaml", executor="serial")
        assert not server.keys
        assert server.calls == 0
        assert main([*command, f"trust=AWS_SECRET_ACCESS_KEY@{server.base_url}"]) == 0
        assert server.keys == {f"Bearer {AWS}".encode()}
    said(capsys)


def test_a_file_of_settings_names_no_host_either(capsys):
    with Recorder() as server:
        folder = Path("conf/llm")
        folder.mkdir(parents=True)
        told = {"kind": "openai", "model": server.model, "base_url": server.base_url}
        (folder / "mine.yaml").write_text(json.dumps(told))
        assert main(["run", "--config-dir", "conf", "llm=mine", *SMALL, *QUIET]) == 1
        assert f"trust=OPENAI_API_KEY@{server.base_url}" in said(capsys)
        assert not server.keys
        (folder / "mine.yaml").write_text(json.dumps({**told, "model": "${oc.env:OPENAI_API_KEY}"}))
        assert main(["run", "--config-dir", "conf", "llm=mine", *SMALL, *QUIET]) == 1
        assert "interpolation" in said(capsys)
        (folder / "mine.yaml").write_text(json.dumps({"kind": "openai", "model": KEY}))
        assert main(["run", "--config-dir", "conf", "llm=mine", *SMALL, *QUIET]) == 1
        assert "llm.model: got '(not shown)', expected no key" in said(capsys)


def test_only_the_named_variable_leaves_the_process(monkeypatch, capsys):
    others = {
        "OPENAI_ORG_ID": "org-canary",
        "OPENAI_PROJECT_ID": "proj-canary",
        "OPENAI_ADMIN_KEY": "admin-canary",
        "OPENAI_CUSTOM_HEADERS": "X-Canary: custom-canary\nAuthorization: Bearer custom-canary",
        "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
    }
    for name, value in others.items():
        monkeypatch.setenv(name, value)
    with Recorder() as server:
        model = [f"llm.base_url={server.base_url}", f"llm.model={server.model}", "llm=openai"]
        assert main(["run", *SMALL, *QUIET, *model]) in (0, 2)
        assert server.keys == {f"Bearer {KEY}".encode()}
        assert b"canary" not in server.heads.replace(KEY.encode(), b"")
    said(capsys)


@pytest.mark.parametrize(
    "word",
    [
        "llm.model=${oc.env:OPENAI_API_KEY}",
        "llm.cache=${oc.env:OPENAI_API_KEY}",
        "solver.prompt=${oc.env:OPENAI_API_KEY}",
        "out=${oc.env:OPENAI_API_KEY}",
        "seed=${oc.env:OPENAI_API_KEY}",
        "hydra.run.dir=${oc.env:OPENAI_API_KEY}",
        "llm.model=${hydra:runtime.cwd}",
        "+x=${oc.decode:${oc.env:OPENAI_API_KEY}}",
    ],
)
def test_no_setting_is_filled_in_from_the_environment(word, tmp_path, capsys):
    for flags in ([], ["-m"]):
        assert main(["run", *flags, *SMALL, *QUIET, "llm=openai", "llm.base_url=http://127.0.0.1:9/v1", word]) == 1
    assert "interpolation" in said(capsys)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "words",
    [
        ["run", f"solver={KEY}"],
        ["run", "llm=openai", f"llm.model={KEY}"],
        ["run", f"out={KEY}"],
        ["run", "llm=openai", f"llm.base_url=https://gateway/{KEY}/v1"],
        ["run", "llm=openai", "llm.model=sk-proj-51e6a0c2b9d84f73"],
        ["bench", f"suite={KEY}"],
        ["ask", f"save power, my key is {KEY}", "problem=power_game"],
        ["list", KEY],
        ["verify", f"runs/{KEY}"],
        ["run", "llm=openai", "llm.api_key_env=AWS_SECRET_ACCESS_KEY", f"llm.model={AWS}"],
    ],
)
def test_a_key_among_the_words_is_refused_and_masked(words, tmp_path, capsys):
    assert main(words) == 1
    told = said(capsys)
    assert "holds a key" in told
    assert "51e6a0c2b9d84f73" not in told
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["日本/f.npz", "a=b.npz", "a,b.npz", "(a).npz", "a#b.npz", "o'x.npz", 'q"q.npz'])
def test_a_path_that_the_grammar_of_settings_does_not_take_is_shown_in_quotes(name, capsys):
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    assert main(["export", "problem=power_control", "--to", "plain.npz"]) == 0
    Path("plain.npz").rename(path)
    command = ["run", "problem=power_control", "solver=random_search", "budget.evaluations=10", *QUIET]
    assert main([*command, f"problem.instance_file={name}"]) == 1
    told = said(capsys)
    assert "hydra" not in told.lower()
    quoted = shlex.split(told[told.index("for the shell: ") + len("for the shell: ") :])[0]
    assert quoted.startswith("problem.instance_file=")
    assert main([*command, quoted]) in (0, 2), said(capsys)


@pytest.mark.parametrize("word", ['a"b', "~seed", "seed=1,2", "+nothing=3", "key"])
def test_words_that_are_no_settings_are_one_clear_error(word, capsys):
    assert main(["run", "problem=power_control", "solver=null", *QUIET, word]) == 1
    told = said(capsys)
    assert told.startswith("error: ")
    assert "hydra.cc" not in told


def test_escapes_in_names_of_arrays_and_columns_reach_no_terminal(capsys):
    evil = "\x1b]0;PWNED\x07gain"
    np.savez("evil.npz", **{evil: np.ones((2, 2))})
    Path("evil.csv").write_text(f"x,{evil}\n1,2\n")
    Path("evil.json").write_text(json.dumps({evil: [1.0]}))
    for family, setting in (
        ("power_control", "problem.instance_file=evil.npz"),
        ("power_control", "problem.instance_file=evil.json"),
        ("uav_isac", "problem.users_file=evil.csv"),
    ):
        main(["run", f"problem={family}", "solver=random_search", "budget.evaluations=10", *QUIET, setting])
        told = capsys.readouterr()
        assert "\x1b" not in told.out + told.err
        assert "\x07" not in told.out + told.err
        assert told.err.startswith("error: ")
        assert "PWNED" in told.err, "the name that was meant is not told"


def test_records_of_strangers_steer_no_terminal(capsys):
    assert main(["run", "problem=power_control", "solver=random_search", "budget.evaluations=10", *QUIET]) in (0, 2)
    (file,) = Path("runs").rglob("record.json")
    record, evil = json.loads(file.read_text()), "\x1b]0;PWNED\x07\u202e"
    places: list[tuple[str, ...]] = [
        ("termination", "detail"),
        ("solver", "name"),
        ("instance", "scenario"),
        ("reference",),
        ("provenance", "notice"),
        ("record_id",),
    ]
    for number, place in enumerate(places):
        forged = json.loads(json.dumps(record))
        target = forged
        for name in place[:-1]:
            target = target[name]
        target[place[-1]] = evil
        folder = Path(f"forged{number}")
        folder.mkdir()
        (folder / "record.json").write_text(json.dumps(forged))
        for verb in ("verify", "explain", "replay", "report"):
            main([verb, str(folder)])
            told = capsys.readouterr()
            assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", told.out + told.err), (place, verb)


@pytest.mark.parametrize("form", ["print=json", "print=table"])
def test_a_closed_stdout_is_no_reason_to_break(form, tmp_path):
    words = ["run", "problem=power_control", "solver=null", *QUIET, form]
    code = f"import sys; from optisolve.cli.main import main; sys.exit(main({words!r}))"
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" -c "$1" >&-', sys.executable, code], stderr=subprocess.PIPE, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert list((tmp_path / "runs").rglob("record.json"))


def test_a_broken_job_is_told_without_words_of_the_framework(capfd, monkeypatch):
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device", "out/record.json")

    monkeypatch.setattr("optisolve.run.solve.write_atomic", full)
    assert main(["run", "problem=power_control", "solver=null", *QUIET]) == 1
    told = capfd.readouterr().err
    assert told == "error: No space left on device: out/record.json; no record was written\n"


@pytest.mark.parametrize("verb", ["resume", "suite", "formulate", "goal", "replay", "explain", "words", "setting"])
def test_a_lone_surrogate_in_a_file_or_a_word_is_one_clear_error(verb, tmp_path, capfd):
    odd, folder = '{"a": "\\ud800"}', tmp_path / "theirs.running"
    folder.mkdir()
    (folder / "job.json").write_text('{"schema": "optisolve.job/1", "settings": {"llm": "\\ud800"}}')
    (folder / "record.json").write_text('{"schema": "optisolve.record/1", "solver": {"name": "\\ud800"}}')
    Path("odd.json").write_text(odd)
    Path("odd.yaml").write_text('problems: ["\\ud800"]\n')
    words = {
        "resume": ["run", f"resume={folder}"],
        "suite": ["bench", "suite=odd.yaml"],
        "formulate": ["formulate", "file=odd.json"],
        "goal": ["ask", "goal=odd.json", "problem=power_game"],
        "replay": ["replay", str(folder)],
        "explain": ["explain", str(folder)],
        "words": ["ask", "save \udcff power", "problem=power_game"],
        "setting": ["run", "out=\udcff"],
    }
    assert main(words[verb]) == 1
    told = capfd.readouterr().err
    assert told.startswith("error: ")
    assert "surrogate" in told or "not valid UTF-8" in told

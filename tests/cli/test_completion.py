"""Tab completion: the shell's own function is driven as the shell drives it."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
import time

import pytest

from optisolve.cli.completion import SCRIPTS, completions
from optisolve.cli.main import _VERBS, _class_of, main
from optisolve.cli.settings import settings_of
from optisolve.llm.config import LLM_KINDS
from optisolve.registry import PROBLEMS, SOLVERS

BASH = """
eval "$(optisolve completion bash)"
COMP_LINE="$1"; COMP_POINT=${#1}
spaced="${1//=/ = }"; read -ra COMP_WORDS <<< "$spaced"
[[ "$1" == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
_optisolve
printf '%s\\n' "${COMPREPLY[@]}"
"""
"""What readline does before it calls the function of ``complete -F``: words are split at every = as well."""


def asked(line: str) -> list[str]:
    return completions(line, _VERBS)


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """An ``optisolve`` on the path, wherever the tests run."""
    folder = tmp_path_factory.mktemp("bin")
    script = folder / "optisolve"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m optisolve "$@"\n')
    script.chmod(0o755)
    return {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("line", "replies"),
    [
        ("optisolve ver", {"verify"}),
        ("optisolve submit ", {"pack", "check", "table", "records"}),
        ("optisolve run problem=maz", {"maze", "maze/ordered", "maze/random", "maze/unordered"}),
        ("optisolve run problem=maze/u", {"maze/unordered"}),
        ("optisolve run problem=maze sol", {"solver=", "solver."}),
        ("optisolve run reference=", {"none", "quick", "normal", "thorough"}),
        ("optisolve run -m solver=moead,moead_d", {"moead,moead_de"}),
        ("optisolve run solver=cma_es solver.si", {"solver.sigma="}),
        ("optisolve verify --effort t", {"thorough"}),
        ("optisolve info moead", {"moead", "moead_de", "moead_lo", "moead_rule"}),
    ],
)
def test_bash_gets_what_may_stand_there(line, replies, environment):
    ran = subprocess.run(
        ["bash", "--norc", "-c", BASH, "bash", line], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert set(ran.stdout.split()) == replies
    assert ran.stderr == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_script_is_valid_in_its_shell(shell, capsys):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert script == SCRIPTS[shell]
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    subprocess.run([shell, "-n"], input=script, text=True, check=True, timeout=60)


@pytest.mark.parametrize("verb", _VERBS)
def test_all_settings_of_every_verb_are_offered_and_no_others(verb):
    named = {name for name, setting in settings_of(_class_of(verb)).items() if setting.word is None}
    offered = {word.rstrip("=").rstrip(".") for word in asked(f"optisolve {verb} ") if word.endswith(("=", "."))}
    extra = {"config", *(("problem", "solver", "llm", "budget", "motion") if verb == "run" else ())}
    assert offered - extra == named - extra
    for name, setting in settings_of(_class_of(verb)).items():
        if setting.choices and setting.word is None:
            assert set(asked(f"optisolve {verb} {name}=")) == {f"{name}={choice}" for choice in setting.choices}, name


@pytest.mark.parametrize(("group", "registry"), [("problem", PROBLEMS), ("solver", SOLVERS)], ids=["problems", "solvers"])
def test_all_options_of_every_plug_in_are_offered_although_it_is_not_imported(group, registry):
    for name in registry.targets():
        cls = registry.get(name)
        options = {f.name for f in dataclasses.fields(cls) if f.init and f.name != "scenario"}
        offered = {word.rpartition(".")[2].rstrip("=") for word in asked(f"optisolve run {group}={name} {group}.")}
        assert offered == options, name


def test_options_of_language_models_are_offered():
    for kind, cls in LLM_KINDS.items():
        options = {f.name for f in dataclasses.fields(cls) if f.init}
        assert {w.rpartition(".")[2].rstrip("=") for w in asked(f"optisolve run llm={kind} llm.")} == options, kind
    assert set(asked("optisolve run llm=")) == {f"llm={kind}" for kind in LLM_KINDS}


def test_what_does_not_exist_is_answered_by_silence(capsys):
    assert asked("optisolve nothing ") == []
    assert asked("optisolve run problem=nothing problem.") == []
    assert main(["completion", "query", "optisolve run problem=nothing "]) == 0


def test_an_answer_comes_in_a_moment_and_loads_no_plug_in():
    line = "optisolve run problem=uav_isac solver=ledma solver."
    code = f"import sys; from optisolve.cli.main import main; main(['completion', 'query', {line!r}]); " + (
        "print(sorted({'rich', 'pydantic', 'hydra', 'optisolve.solvers.ledma'} & {*sys.modules}), file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert "solver.pop_size=" in ran.stdout
    assert ran.stderr.strip() == "[]"
    start = time.process_time()
    asked(line)
    assert time.process_time() - start < 0.3


def test_hydras_own_completion_is_refused_with_the_new_form(capsys):
    for words in (["run", "--shell-completion", "install=bash"], ["-sc", "query=bash"], ["run", "-sc", "query=bash"]):
        assert main(words) == 1
        assert "optisolve completion bash" in capsys.readouterr().err

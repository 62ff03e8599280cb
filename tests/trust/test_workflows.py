"""The leaderboard's workflows: a stranger's pull request is data, gets no rights, and cannot smuggle text into a shell."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import pytest
import yaml

import optisolve

FOLDER = Path(__file__).parents[2] / ".github" / "workflows"
FILES = [FOLDER / "leaderboard.yml", FOLDER / "leaderboard_comment.yml"]
EVERY = [*FILES, FOLDER / "ci.yml"]


def steps(document):
    return [step for job in document["jobs"].values() for step in job["steps"]]


@pytest.fixture(params=EVERY, ids=lambda path: path.name)
def document(request):
    return yaml.safe_load(request.param.read_text())


def test_no_workflow_runs_with_the_rights_of_the_base_on_a_stranger_s_code(document):
    triggers = document[True]  # YAML reads the key 'on' as a truth value
    assert "pull_request_target" not in triggers
    if "workflow_run" in triggers:  # this one may write, so it takes no code from anywhere
        assert not any("checkout" in step.get("uses", "") or "run" in step for step in steps(document))


def test_rights_are_the_least_that_work():
    check, comment = (yaml.safe_load(path.read_text()) for path in FILES)
    assert check["permissions"] == {"contents": "read"}
    assert comment["permissions"] == {"actions": "read", "pull-requests": "write"}
    assert not any("permissions" in job for job in (*check["jobs"].values(), *comment["jobs"].values()))


def test_actions_are_pinned_and_no_expression_reaches_a_shell(document):
    for step in steps(document):
        if "uses" in step:
            assert re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"])
        assert "${{" not in step.get("run", "")
        assert "${{" not in step.get("with", {}).get("script", "")


def test_every_job_has_a_time_limit_and_checkouts_keep_no_token(document):
    assert all("timeout-minutes" in job for job in document["jobs"].values())
    for step in steps(document):
        if "checkout" in step.get("uses", ""):
            assert step["with"]["persist-credentials"] is False


def test_continuous_integration_and_make_run_the_same_command():
    text = FILES[0].read_text()
    makefile = (FOLDER.parents[1] / "Makefile").read_text()
    assert "optisolve submit check" in text
    assert re.search(r"^leaderboard:.*\n\t\$\(BIN\)/optisolve submit check", makefile, re.MULTILINE)
    assert "make leaderboard" in text


def test_every_pull_request_runs_the_script_that_a_laptop_runs():
    """On the oldest and the newest Python; other systems install the wheel, run and verify."""
    document = yaml.safe_load((FOLDER / "ci.yml").read_text())
    everything, smoke = document["jobs"]["everything"], document["jobs"]["smoke"]
    script = FOLDER.parents[1] / ".ci" / "run"
    assert "pull_request" in document[True]
    assert everything["strategy"]["matrix"]["python"] == ["3.11", "3.14"]
    assert [step["run"] for step in everything["steps"] if "run" in step] == [".ci/run"]
    assert script.is_file()
    assert os.access(script, os.X_OK)
    assert {name.partition("-")[0] for name in smoke["strategy"]["matrix"]["system"]} == {"macos", "windows"}
    assert all(verb in smoke["steps"][-1]["run"] for verb in ("optisolve run problem=uav_isac", "optisolve verify"))


def test_the_citation_and_the_package_agree():
    root = FOLDER.parents[1]
    told = yaml.safe_load((root / "CITATION.cff").read_text())
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    assert told["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(told)
    assert (told["version"], told["license"]) == (optisolve.__version__, project["license"])
    assert told["repository-code"] == project["urls"]["Source"]


def test_the_changelog_names_every_change_once_and_the_version_of_the_package():
    text = (FOLDER.parents[1] / "CHANGELOG.md").read_text()
    entries = re.findall(r"^- .+(?:\n  .+)*", text, re.MULTILINE)
    assert len(entries) == len(set(entries))
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert re.fullmatch(rf"{re.escape(optisolve.__version__)} \(\d{{4}}-\d\d-\d\d\)", headings[1])

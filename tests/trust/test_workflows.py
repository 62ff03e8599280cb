"""The leaderboard's workflows: a stranger's pull request is data, gets no rights, and cannot smuggle text into a shell."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / ".github" / "workflows"
FILES = [FOLDER / "leaderboard.yml", FOLDER / "leaderboard_comment.yml"]


def steps(document):
    return [step for job in document["jobs"].values() for step in job["steps"]]


@pytest.fixture(params=FILES, ids=lambda path: path.name)
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

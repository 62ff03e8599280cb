"""Work that takes long says how far it is: a line every few seconds where there is no terminal, and nothing in JSON."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import time

import pytest
from rich.console import Console

from optisolve.cli import progress
from optisolve.cli.display import console
from optisolve.cli.main import main
from optisolve.cli.progress import Bar, duration, quiet_for
from optisolve.testing.llm_server import LlmServer

QUICK = "from optisolve.cli import progress; progress._FIRST_S = 0.1; "


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(progress, "_FIRST_S", 0.05)


def test_a_line_says_what_is_done_and_how_long_the_rest_takes():
    bar = Bar("fetch", "MB", 400)
    assert bar.told(12.0) == "fetch: 0/400 MB, 12 s so far"
    bar.update(100)
    assert bar.told(12.0) == "fetch: 100/400 MB, about 36 s left"
    bar.update(100, name="unpack", note="slow")
    assert bar.told(600.0) == "unpack: 100/400 MB, slow, about 30 min left"
    bar.update(0, line="ledma: llm 12/40 calls", share=0.3)
    assert bar.told(17.2) == "ledma: llm 12/40 calls, about 40 s left"
    bar.update(1, 5000)
    assert bar.told(5.0) == "fetch: 1/5,000 MB, 5 s so far"  # a pace of one point while the first is compiled is none
    assert Bar("reference").told(7.0) == "reference, 7 s so far"
    assert duration(4 * 3600) == "4.0 h"


def test_lines_come_by_themselves_while_the_work_says_nothing(quick, capsys):
    with Bar("thinking"):
        time.sleep(0.3)
    told = capsys.readouterr()
    assert told.out == ""
    lines = told.err.splitlines()
    assert 2 <= len(lines) <= 6
    assert all(re.fullmatch(r"thinking, \d+ s so far", line) for line in lines)
    with Bar("thinking", show="off"):
        time.sleep(0.15)
    assert capsys.readouterr().err == ""


def test_short_work_says_nothing(capsys):
    with Bar("thinking"):
        pass
    assert capsys.readouterr().err == ""


def test_long_work_fills_no_log(quick, monkeypatch):
    """After an hour the next line comes a minute later."""
    waited = []
    bar = Bar("night")
    bar._start = time.monotonic() - 3600

    class Once:
        def wait(self, seconds):
            waited.append(seconds)
            return True

    monkeypatch.setattr(bar, "_over", Once())
    bar._tell_now_and_then()
    assert waited == [pytest.approx(60.0, abs=1.0)]


def test_a_closed_stderr_ends_the_lines_and_not_the_work(quick, monkeypatch):
    class Closed(io.StringIO):
        def write(self, _text):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Closed())
    with Bar("thinking"):
        time.sleep(0.15)


def test_results_go_where_stdout_goes_while_a_bar_is_drawn(monkeypatch, capsys):
    """As in ``optisolve verify > audits.txt`` on a terminal; rich would draw them above the bar, on stderr."""
    drawn = io.StringIO()
    monkeypatch.setattr(progress, "errors", Console(file=drawn, force_terminal=True))
    with Bar("verify", "records", 2) as bar:
        bar.update(1)
        console.print("a result")
    assert capsys.readouterr().out == "a result\n"
    assert "verify" in drawn.getvalue()
    assert "a result" not in drawn.getvalue()


@pytest.mark.parametrize("show", ["auto", "lines", "off"])
def test_json_is_never_mixed_with_progress_unless_lines_are_asked_for(show):
    assert quiet_for(show, json=True) == ("off" if show == "auto" else show)
    assert quiet_for(show, json=False) == show


def test_a_run_tells_its_calls_while_a_slow_model_thinks(tmp_path, capsys, quick):
    """As in a log: no terminal anywhere; with a result for another program nothing is told."""
    run = ["run", "problem=parallel_channels", "solver=opro", "solver.n_initial=6", "reference=none", "pictures=false"]
    with LlmServer(latency_s=0.4) as server:
        model = ["llm=openai", f"llm.base_url={server.base_url}", f"llm.model={server.model}", "llm.api_key_env="]
        words = [*run, *model, "llm.max_concurrency=1", "budget.llm_calls=4", "budget.evaluations=40"]
        code = f"import sys; {QUICK}from optisolve.cli.main import main; sys.exit(main({[*words, f'out={tmp_path}']!r}))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=False)
        assert main([*words, "budget.llm_calls=2", "print=json", f"out={tmp_path}"]) in (0, 2)
    assert done.returncode in (0, 2), done.stderr
    counts = re.findall(r"^opro: llm (\d)/4 calls, evaluations \d+/40, (?:about \d+ s left|\d+ s so far)$", done.stderr, re.M)
    assert len(set(counts)) > 1, done.stderr
    assert "opro: llm" not in done.stdout
    quiet = capsys.readouterr()
    assert quiet.err == ""
    assert json.loads(quiet.out)["solver"]["name"] == "opro"


@pytest.mark.parametrize("verb", ["run", "bench", "ablate", "verify", "submit check", "train", "models"])
def test_every_verb_that_takes_long_has_the_setting(verb, capsys):
    assert main([*verb.split(), "--help"]) == 0
    assert "progress=auto" in capsys.readouterr().out


def test_verification_counts_records(tmp_path, capsys, quick):
    assert main(["run", "problem=parallel_channels", "solver=null", "pictures=false", "reference=none", f"out={tmp_path}"]) == 0
    capsys.readouterr()
    assert main(["verify", str(tmp_path), "--progress", "lines", "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["holds"]
    assert re.search(r"^verify: 0/1 records, \d+ s so far$", told.err, re.M)
    assert main(["verify", str(tmp_path), "--json"]) == 0
    assert capsys.readouterr().err == ""

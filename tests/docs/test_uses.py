"""The table of docs/worth_a_call.md: it is what the published reports say, and a new report enters it by itself."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys

import pytest

from tests.docs.blocks import ROOT

REPORT = "hybrid-radio_planning-munich_table-local"


@pytest.fixture
def script(monkeypatch):
    """benchmarks/quality/ablation.py as a module."""
    spec = importlib.util.spec_from_file_location("ablation_script", ROOT / "benchmarks" / "quality" / "ablation.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folder(script, tmp_path, monkeypatch):
    """A folder of reports in which one stands, to which a test adds others."""
    shutil.copytree(script.DOCS / REPORT, tmp_path / REPORT)
    monkeypatch.setattr(script, "DOCS", tmp_path)
    monkeypatch.setattr(script, "HOSTED", tmp_path / "hosted.csv")
    return tmp_path


def _rows(script) -> list[dict[str, str]]:
    lines = [line.strip("| ").split(" | ") for line in script.uses().splitlines()]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]


def test_page_readme_and_menu_say_what_the_reports_say(script):
    page = script.PAGE.read_text("utf-8")
    again = "python benchmarks/quality/ablation.py --page makes it again"
    assert script.filled(page, script.USED, script.uses(), script.USED_END) == page, again
    assert script.filled(page, script.BEGIN, script.results() or script.NOTHING, script.END) == page, again
    readme, menu = script.README.read_text("utf-8"), script.MENU.read_text("utf-8")
    assert script.filled(readme, script.SAID, script.brief() or script.SAID_NOTHING, script.SAID_END) == readme, again
    assert script.listed(menu) == menu, again


def test_every_use_has_a_row_and_every_plan_a_use(script):
    words = {row["use"] for row in _rows(script)}
    assert words == set(script.USES.values())
    assert {plan.name.partition("-")[0] for plan in script.plans(None)} <= set(script.USES)


def test_figures_and_verdict_are_those_of_the_report_itself(script, folder):
    (row,) = (
        row for row in _rows(script) if row["pairs"] == "30" and "radio" in row["problem"] and "dry_run" not in row["command"]
    )
    text = (folder / REPORT / "ablation.md").read_text("utf-8")
    assert "| llm | the language model | " + row["model's loss"] in text
    assert row["best without a model"].partition(",")[0] in text
    control, placebo = row["Holm p: that; placebo"].split("; ")
    assert f"(Holm p = {control}, " in text  # of the verdict's sentence
    assert f"| {placebo} |" in text
    assert "The language model was not needed" in text
    assert row["verdict"] == f"[not needed](ablation/{REPORT}/ablation.md)"


def test_a_use_without_a_report_is_not_measured_until_one_arrives(script, folder):
    assert {row["verdict"] for row in _rows(script) if row["use"] == script.USES["gate"]} == {"not measured"}
    shutil.copytree(folder / REPORT, folder / "gate-uav_isac-local")
    (row,) = (row for row in _rows(script) if row["use"] == script.USES["gate"])
    assert row["verdict"] == "[not needed](ablation/gate-uav_isac-local/ablation.md)"
    assert row["command"] == "`optisolve ablate config=benchmarks/plans/gate-uav_isac-local.yaml`"


def test_searches_for_rules_enter_with_gains_and_the_rules_of_people_among_the_controls(script, folder, tmp_path):
    def search(arm: str, seed: int, gain: float) -> dict[str, object]:
        llm = {"provider": "local", "model": "other-1b", "calls": 16, "tokens_in": 900, "tokens_out": 100, "usd": 0.0}
        return {
            "problem": "power_control/gaussian_k20_0db",
            "skeleton": "insertion",
            "seed": seed,
            "gain_percent": {"test": gain},
            "hand_rules_test_gain_percent": {"balanced": 0.0, "steepest": 0.2},
            "trace": [{"program": "g"}],
            "llm": llm if arm in ("llm", "placebo") else None,
        }

    gains = {"llm": -3.0, "placebo": -2.0, "gp": -1.0}
    searches = {arm: [search(arm, seed, gain - 0.1 * seed) for seed in range(10)] for arm, gain in gains.items()}
    searched = tmp_path / "searched"
    searched.mkdir()
    (searched / "ablation.json").write_text(json.dumps({"arms": [], "verdict": "", "searches": searches}))
    script.publish(searched, folder / "writer-insertion-local")
    assert "trace" not in (folder / "writer-insertion-local" / "ablation.json").read_text()
    shutil.rmtree(searched)
    row = next(row for row in _rows(script) if row["use"] == script.USES["writer"] and row["pairs"] == "10")
    assert row["model"] == "other-1b, local, **unaudited**"
    assert (row["model's loss"], row["its placebo's"]) == ("-3.45 % gain", "-2.45 % gain")
    assert row["best without a model"] == "+0.20 % gain, `hand: steepest`"
    assert row["verdict"].startswith("[not needed]")
    assert (row["calls a run"], row["tokens a run"]) == ("16", "1,000")


def test_a_partial_report_or_a_stand_in_is_no_row(script, folder):
    runs = (folder / REPORT / "ablation.csv").read_text()
    (folder / REPORT / "ablation.csv").write_text(runs.replace("False,False\n", "False,True\n"))
    with pytest.raises(SystemExit, match="a real language model"):
        script.uses()


def test_a_dry_run_of_a_hosted_model_is_told_as_what_it_would_cost(script, folder):
    told = "plan,model,runs,calls,tokens,usd\ngate-uav_isac-local.yaml,big,60,60,48000,1.5\n"
    (folder / "hosted.csv").write_text(told)
    row = next(row for row in _rows(script) if row["model"] == "big, hosted")
    assert (row["verdict"], row["calls a run"], row["tokens a run"]) == ("not run", "1", "800")
    assert row["US dollars in all"] == "would cost 1.50"
    assert row["command"].endswith("llm=openai llm.model=big`")

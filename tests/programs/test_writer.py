"""A language model that writes programs: everything it says has a fate, and what it found can be gone on with and replayed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from optisolve.cli.main import main
from optisolve.content import read_text
from optisolve.core.budget import Budget
from optisolve.core.errors import OptisolveError
from optisolve.llm.prompt_lint import lint_prompt
from optisolve.programs.catalog import ANSWERING, SKELETONS
from optisolve.programs.grammar import program_rules
from optisolve.programs.search import SearchOptions
from optisolve.registry import make_problem
from optisolve.study.evolve import Evolution, EvolveOptions, evolve
from optisolve.study.evolve.journal import Journal
from optisolve.study.evolve.writer import AskOptions
from optisolve.testing.llm_server import LlmServer
from tests.llm.helpers import FAKE_KEY, session_for

PROBLEM = make_problem("power_control", {"n_links": 4})
SMALL = EvolveOptions(train=2, validation=2, test=2)
SEARCH = SearchOptions(first=3, fit_share=0.2)
ASK = AskOptions(calls_per_step=2)

WRITTEN = (
    "(/ g (+ 1 heard))",
    "def rule(g): return g",
    "(+ g total",
    "(sum total)",
    "(* g gains)",
    "(/ g (+ ? caused))",
    "(/ g (+ heard 1))",
    "(do (set r1 g) r1)",
    "(+ 1 2)",
    "(+ " * 9 + "g" + " 1)" * 9,
    "weight and g",
    '__import__("os")._exit(99)',
)
"""What the model says in turn: good programs, one with an open number, one said twice, and what is no program."""


def scripted(texts: tuple[str, ...] = WRITTEN) -> Callable[[Any], str]:
    """Answers that depend on nothing but the sampling seed, so that they are the same in any order."""
    return lambda body: json.dumps({"sketch": "an idea", "program": texts[int(body["seed"]) % len(texts)]})


def searched(server: LlmServer, arm: Any = "llm", journal: Journal | None = None, calls: int = 16, **more: Any) -> Evolution:
    session, _ = session_for(server, Budget(llm_calls=calls))
    with session:
        given = {"evaluations": 20, "seed": 1, "settings": SMALL, "search": SEARCH, "ask": ASK, **more}
        return evolve(PROBLEM, ANSWERING["insertion"], arm, session=session, journal=journal, **given)


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", FAKE_KEY)


def test_everything_that_a_model_writes_has_a_fate() -> None:
    journal = Journal()
    with LlmServer(answer=scripted()) as server:
        found = searched(server, journal=journal, calls=40, evaluations=40)
    by_text = {str(row["program"]): row for row in journal.rows if row["by"] == "llm"}
    reasons = {text: by_text[text]["reason"] for text in by_text if "reason" in by_text[text]}
    assert reasons["(sum total)"] == "type"
    assert by_text["(sum total)"]["position"] == 1
    assert reasons["(* g gains)"] == "name"
    assert by_text["(* g gains)"]["position"] == 5
    assert reasons["(+ 1 2)"] == "constant"
    assert reasons["(+ " * 9 + "g" + " 1)" * 9] == "too large"
    assert reasons["(do (set r1 g) r1)"] == "registers"
    assert {reasons[text] for text in ("(+ g total", "def rule(g): return g", "weight and g")} == {"syntax"}
    assert reasons["(/ g (+ heard 1))"] == "known" or reasons["(/ g (+ 1 heard))"] == "known"
    filled = [row for row in journal.rows if row["by"] == "llm" and re.search(r"caused \S", str(row["program"]))]
    assert "(/ g (+ caused 1))" in {row["program"] for row in filled}, "the first filling is all 1"
    assert sum(found.fates.values()) == sum(row["by"] == "llm" for row in journal.rows)
    assert found.dialogue is not None
    assert found.dialogue.calls <= 40


def test_a_search_replays_and_goes_on_to_the_same_hash(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whole; cut off behind a few candidates and gone on with; replayed from its transcript: one hash."""
    words = (
        "evolve problem=power_control problem.n_links=4 skeleton=insertion seed=1 evaluations=14 sets.train=2 sets.validation=2"
    )
    words += " sets.test=2 search.first=3 ask.calls_per_step=2 budget.llm_calls=8 progress=off"

    def hash_of(folder: Path, *llm: str) -> str:
        assert main([*words.split(), "by=llm", *llm, f"out={folder}"]) == 0, capsys.readouterr().err
        return str(json.loads((folder / "rule.json").read_text())["result_sha256"])

    with LlmServer(answer=scripted()) as server:
        asked = ("llm=openai", f"llm.base_url={server.base_url}", f"llm.model={server.model}")
        first = hash_of(tmp_path / "a", *asked)
        calls = server.calls
        transcript = tmp_path / "a" / "transcript.jsonl"
        lines = (tmp_path / "a" / "candidates.jsonl").read_text().splitlines(keepends=True)
        (tmp_path / "b").mkdir()
        (tmp_path / "b" / "candidates.jsonl").write_text("".join(lines[:6]) + lines[6][:20])  # a line was cut off
        (tmp_path / "b" / "transcript.jsonl").write_bytes(transcript.read_bytes())
        assert hash_of(tmp_path / "b", *asked) == first
        assert server.calls == calls, "nothing that was answered is asked again"
    assert hash_of(tmp_path / "c", "llm=replay", f"llm.transcript={transcript}") == first
    assert FAKE_KEY not in "".join(f.read_text() for f in (tmp_path / "a").glob("*.json*"))
    capsys.readouterr()
    assert main([*words.split(), "by=gp", f"out={tmp_path / 'a'}"]) == 1
    assert "another search" in capsys.readouterr().err


def test_a_journal_of_another_search_is_refused(tmp_path: Path) -> None:
    with LlmServer(answer=scripted()) as server, Journal(tmp_path / "candidates.jsonl") as journal:
        searched(server, journal=journal, calls=2)
    server, again = LlmServer(answer=scripted()), Journal(tmp_path / "candidates.jsonl")
    with server, again, pytest.raises(OptisolveError, match="line 1, holds"):
        searched(server, journal=again, seed=2)


@pytest.mark.parametrize("style", ["schema", "continuation"])
def test_arms_differ_in_what_the_model_is_shown(style: Any) -> None:
    """The same random programs come first in every arm; then the prompts differ as the arms' names say."""
    prompts = dict[str, list[str]]()
    for arm in ("llm", "best_of_n", "placebo", "wordless"):
        asked = prompts[arm] = list[str]()

        def answer(body: Any, asked: list[str] = asked) -> str:
            asked.append(body["prompt"] if "prompt" in body else body["messages"][0]["content"])
            return " x\nprogram: (+ g loss)\n" if "prompt" in body else scripted()(body)

        with LlmServer(answer=answer) as server:
            searched(server, arm, calls=6, ask=AskOptions(calls_per_step=1, max_reasks=0, failed=0, style=style))
    assert "interference" in prompts["llm"][0]
    assert "interference" not in "".join(prompts["wordless"])
    assert re.search(r"\bv1\b", prompts["wordless"][0])
    assert prompts["llm"][0] == prompts["best_of_n"][0], "the same beginning"
    assert len(set(prompts["best_of_n"])) == 1
    assert len(set(prompts["llm"])) > 1
    gains = [re.findall(r"[+-]\d+\.\d\d(?= %|, rule \S)", prompts[arm][0]) for arm in ("llm", "placebo")]
    assert sorted(gains[0]) == sorted(gains[1])
    assert prompts["llm"] != prompts["placebo"]


def test_a_share_of_the_programs_may_be_bred(tmp_path: Path) -> None:
    journal = Journal()
    with LlmServer(answer=lambda body: json.dumps({"sketch": "", "program": f"(+ g {body['seed'] % 900})"})) as server:
        searched(
            server, journal=journal, evaluations=40, calls=40, search=SearchOptions(first=5, model_share=0.5, fit_share=0.0)
        )
    makers = [row["by"] for row in journal.rows if row["fate"] == "evaluated"]
    written = makers.count("llm")
    assert abs(written - (len(makers) - 5 - written)) <= 3


def test_a_search_that_asks_says_what_it_lacks(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["evolve", "problem=power_control", "skeleton=insertion", "by=llm"]
    assert main([*words, "llm=none"]) == 1
    assert "by=gp" in capsys.readouterr().err
    assert main([*words, "llm=openai", "budget.evaluations=5"]) == 1
    assert "evaluations=5" in capsys.readouterr().err
    with pytest.raises(OptisolveError, match="asks a language model"):
        evolve(PROBLEM, ANSWERING["insertion"], "llm", evaluations=5, settings=SMALL)


def test_ablate_answers_in_pairs_whether_the_model_was_needed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = "ablate problem=power_control problem.n_links=4 skeleton=insertion seeds=2 budget.evaluations=8 budget.llm_calls=6"
    words += " sets.train=2 sets.validation=2 sets.test=4 search.first=3 arms=[llm,placebo,gp,random_time] progress=off"
    with LlmServer(answer=scripted()) as server:
        asked = ["llm=openai", f"llm.base_url={server.base_url}", f"llm.model={server.model}", f"out={tmp_path}"]
        assert main([*words.split(), *asked]) == 0, capsys.readouterr().err
        printed, calls = capsys.readouterr().out, server.calls
        prices = ["llm.usd_per_million_in=1", "llm.usd_per_million_out=1", "dry_run=true"]
        assert main([*words.split(), *asked, *prices]) == 0
        assert "planned: 4 runs x 6 calls = 24 calls, about" in (planned := " ".join(capsys.readouterr().out.split()))
        assert "USD; re-asks come on top" in planned
        assert server.calls == calls, "a dry run sends nothing"
        assert main([*words.split(), *asked]) == 0, capsys.readouterr().err
        assert server.calls == calls, "finished searches are found again"
    assert "the language model" in printed
    assert "hand: steepest" in printed
    document = json.loads((tmp_path / "ablation.json").read_text())
    arms = {standing["name"]: standing for standing in document["arms"]}
    assert list(arms)[:4] == ["llm", "placebo", "gp", "random_time"]
    searches = document["searches"]
    assert [found["seed"] for found in searches["gp"]] == [0, 1]
    gains = {arm: [found["gain_percent"]["test"] for found in several] for arm, several in searches.items()}
    for arm in ("placebo", "gp", "random_time"):
        won = sum(ours > theirs for ours, theirs in zip(gains["llm"], gains[arm], strict=True))
        assert arms[arm]["against"]["wins"] == won
    capsys.readouterr()
    assert main(["ablate", "problem=power_control", "skeleton=insertion", "arms=[gp]"]) == 1
    assert "llm among them" in capsys.readouterr().err
    assert main(["ablate", "problem=power_control", "sets.train=3"]) == 1
    assert "skeleton=NAME" in capsys.readouterr().err


def test_what_the_search_for_rules_has_not_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["solver=opro", "instances=3", "limits.seconds=9", "executor=ray", "workers=2", "threads=2", "budget.seconds=9"]
    assert main(["ablate", "problem=power_control", "skeleton=insertion", *given]) == 1
    printed = " ".join(capsys.readouterr().err.split())
    assert "7 bad field(s)" in printed
    for name in ("solver", "instances", "limits", "executor", "workers", "threads", "budget.seconds"):
        assert f"- {name}: got" in printed
    assert "sets.train" in printed


@pytest.mark.parametrize("name", ["evolve_schema", "evolve_continuation"])
def test_the_prompts_are_in_order(name: str) -> None:
    skeleton = ANSWERING["insertion"]
    row = {"gain": "-1.20", "nodes": 3, "formula": "g + 1", "program": "(+ g 1)"}
    constant = {
        "problem": "p",
        "skeleton": "s",
        "features": [{"name": f.name, "kind": f.kind.word, "unit": f.unit, "meaning": f.meaning} for f in skeleton.features],
        "operators": [{"name": "+", "arity": 2, "meaning": "sum"}],
        "depth": 6,
        "nodes": 30,
    }
    changing = {"shown": [row], "failed": [{"program": "(+ g", "why": "never closed"}], "errors": ()}
    target = {"target": "+1.00"} if name.endswith("continuation") else {}
    samples = [{**constant, **changing, **target}, {**constant, **changing, "shown": [row, row], **target}]
    found = lint_prompt(f"{name}.v1.jinja", read_text("prompts", f"{name}.v1.jinja"), samples, max_tokens=2500)
    assert found.ok, [str(finding) for finding in found.findings]


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
def test_a_grammar_names_every_feature_and_no_rule_that_is_missing(skeleton: Any) -> None:
    rules = program_rules(skeleton.features, 6)
    told = " ".join(rules.values())
    assert all(f'"{feature.name}"' in told for feature in skeleton.features)
    used = {word for body in rules.values() for word in re.findall(r"[a-z]+\d*", re.sub(r'"[^"]*"|\[[^\]]*\]', " ", body))}
    assert used <= set(rules)

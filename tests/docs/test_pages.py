"""What README and the pages say is so: names, tables, links, files; and they stay short where people begin."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from itertools import pairwise

import pytest
from markdown_it import MarkdownIt

import optisolve
from optisolve import solvers
from optisolve.cli.main import main
from optisolve.registry import PROBLEMS, SOLVERS
from tests.docs.blocks import PAGES, ROOT, blocks_of

README = (ROOT / "README.md").read_text(encoding="utf-8")
MARKDOWN = (*(page for page in PAGES if page.endswith(".md")), "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
FIRST = ("README.md", "docs/index.md", "docs/install.md", "docs/quickstart.md", "docs/tutorials/index.md")
"""Pages that somebody who knows nothing of optisolve reads."""


def test_readme_and_the_page_for_agents_are_short():
    assert len(README.splitlines()) <= 150
    assert len((ROOT / "AGENTS.md").read_text(encoding="utf-8").splitlines()) <= 80
    assert all(len(block.text.splitlines()) <= 16 for block in blocks_of("README.md"))


def test_the_own_problem_passes_the_kit_that_is_recommended_beside_it(tmp_path, monkeypatch, capsys):
    (block,) = (block for block in blocks_of("README.md") if "optisolve.problem(" in block.text)
    (tmp_path / "relay.py").write_text(block.text)
    monkeypatch.chdir(tmp_path)
    assert main(["check", "relay.py:relay"]) == 0
    assert " 0 failed" in capsys.readouterr().out


def test_every_family_and_solver_is_in_its_table():
    for name in (*PROBLEMS.targets(), *SOLVERS.targets()):
        assert f"`{name}`" in README, name


def test_every_extra_is_on_the_page_about_installing():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    assert [name for name in extras if f"| `{name}` |" not in page] == []


@pytest.mark.parametrize("page", MARKDOWN)
def test_links_lead_to_files_and_headings_that_exist(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in _links(text):
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), f"{page} links to {target}"
        if anchor and file.suffix == ".md":
            assert anchor in _anchors(file.read_text(encoding="utf-8")), f"{page} links to {target}"


@pytest.mark.parametrize("page", FIRST)
def test_first_pages_speak_plainly(page):
    """No path of a machine, no inner name, American spelling, every picture with words for those who do not see it."""
    text = (ROOT / page).read_text(encoding="utf-8")
    assert not re.search(r"/(?:home|work|tmp|root|Users)/", text)
    assert not re.search(r"\b(?:DTO|hydra|pydantic|twin|skips|colour|licence|behaviour|optimis\w+|normalis\w+)\b", text)
    assert not re.search(r"!\[\W*\]\(", text)


def test_every_page_is_on_the_site():
    """A page that the menu lacks is read by nobody."""
    menu = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    lost = [page for path in (ROOT / "docs").rglob("*.md") if (page := path.relative_to(ROOT / "docs").as_posix()) not in menu]
    assert not lost
    notebooks = {f"tutorials/{path.stem}.md" for path in (ROOT / "docs" / "tutorials").glob("*.ipynb")}
    assert all(page in menu for page in notebooks)


def test_the_gallery_shows_every_figure_that_its_script_draws():
    shown = set(_links((ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")))
    assert {f"gallery/{path.name}" for path in (ROOT / "docs" / "gallery").glob("*.png")} < shown


def test_notebooks_hold_no_outputs_and_no_machine():
    for path in (ROOT / "docs").rglob("*.ipynb"):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        assert notebook["metadata"]["kernelspec"]["name"] == "python3"
        assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in notebook["cells"]), path.name


def _links(text: str) -> list[str]:
    found = []
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        for child in token.children or ():
            target = child.attrGet("href") or child.attrGet("src")
            if target and not re.match(r"[a-z]+:", str(target)):
                found.append(str(target))
    return found


def _anchors(text: str) -> set[str]:
    """Anchors of headings, as GitHub and the site make them."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    heads = [after.content for head, after in pairwise(tokens) if head.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


def test_the_tables_of_results_are_those_of_the_published_records():
    ran = [sys.executable, str(ROOT / "benchmarks" / "readme_table.py"), "--check"]
    done = subprocess.run(ran, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_a_page_whose_records_are_not_published_says_so_and_gets_its_tables_back():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import readme_table
    finally:
        sys.path.pop(0)
    board = {"suites": [_suite("core"), {**_suite("game"), "entries": []}]}
    page = "before <!-- game results: written by benchmarks/readme_table.py -->old<!-- end of game results --> after"
    empty = readme_table.renewed(page, board, "game")
    assert "No records of suite `game` are published at present" in empty
    assert "old" not in empty
    assert readme_table.renewed(empty, {"suites": []}, "game") == empty
    full = readme_table.renewed(empty, {"suites": [_suite("game")]}, "game")
    assert "| 1 | `game_local` | 0.250 | 1 of 1 |" in full
    assert "| `a` | dual bound | `game_local` | 0.25 |" in full
    assert full.startswith("before ")
    assert full.endswith(" after")
    assert "| `b` | – |" in readme_table.tables({"suites": [{**_suite("game"), "problems": ["a", "b"]}]}, "game")


def test_readme_has_a_line_per_published_track_of_a_regime_and_room_for_all_of_them():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import readme_table
    finally:
        sys.path.pop(0)
    told = json.loads((ROOT / "benchmarks" / "leaderboard" / "table.json").read_text("utf-8"))
    (expensive,) = (suite for suite in told["suites"] if suite["name"] == "expensive")
    lines = readme_table.by_regime({**told, "suites": [expensive, {**expensive, "name": "wired"}]}).splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["few evaluations (`expensive`)", "wired networks (`wired`)"]
    null = next(entry for entry in expensive["entries"] if entry["solver"] == "null")
    assert f"| `null` {float(null['loss']):.3f} |".replace(" 0.", " .") in lines[2]
    assert "No track" in readme_table.by_regime({"suites": []})
    written = sum(f"(`{name}`" in README for name in readme_table.REGIMES)
    assert len(README.splitlines()) + len(readme_table.REGIMES) - written <= 150


def _suite(name: str) -> dict[str, object]:
    entry = {
        "tier": "reproduced",
        "rank": 1,
        "solver": "game_local",
        "loss": "0.25",
        "llm": None,
        "llm_calls": "0",
        "records": 3,
    }
    entry |= {"evaluations": "10", "problems": {"a": {"rank": 1, "loss": "0.25", "measured_to": "dual bound"}}}
    return {"name": name, "problems": ["a"], "entries": [entry]}


@pytest.mark.parametrize("page", MARKDOWN)
def test_every_named_script_and_page_exists(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    scripts = r"(?<![\w/.])(?:benchmarks|docs|examples|tests)/[a-z0-9_/-]+\.(?:py|md|png|ipynb|c)\b"
    for path in {*re.findall(scripts, text), *re.findall(r"(?<![\w/.])tests/[a-z_]+(?=[/` ])", text)}:
        assert (ROOT / path).exists() or path == "tests/test_lanterns.py", path  # of the recipe's own package


@pytest.mark.parametrize("folder", [".", "gpu", "quality", "speed"])
def test_no_script_hides_a_package_from_those_beside_it(folder):
    """Python looks into a script's own folder first: one called ``coverage.py`` broke numba in every script beside it."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); import cvxpy, numba, optisolve, pandas, scipy.optimize"
    command = [sys.executable, "-c", code, str(ROOT / "benchmarks" / folder)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_solver_classes_are_exported_under_their_names():
    exported = {getattr(solvers, name) for name in dir(solvers)}
    assert {SOLVERS.get(name) for name in SOLVERS.targets()} <= exported
    assert optisolve.load_solver("ledma") == solvers.Ledma()

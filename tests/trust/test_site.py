"""The leaderboard's site: the same records give the same bytes, and a browser sorts, filters, draws and follows links."""

import json
import re
import shlex
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

import optisolve
from optisolve.cli.main import main
from optisolve.core.errors import OptisolveError, RecordError
from optisolve.core.reference import Effort
from optisolve.run.records import read_record
from optisolve.run.table import TABLE, Row, Table
from optisolve.study.loss import loss_of
from optisolve.study.suite import load_suite
from optisolve.trust.audit import SuiteBook, Tier
from optisolve.trust.audit.suites import LockedSuite
from optisolve.trust.board import Located, build_board
from optisolve.trust.site import build_site, write_site
from optisolve.trust.site.pages import ModelRow
from optisolve.trust.site.questions import _about_models, questions
from tests.forging import record_bytes, seal

CHROMIUM = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)


def in_suite(runs, folder, name):
    """The same runs as units of a suite."""
    for file in runs.rglob("record.json"):
        record = json.loads(file.read_bytes())
        instance, solver = record["instance"], record["solver"]["name"]
        told = {"name": name, "version": "1", "sha256": "5" * 64, "unit": file.parent.name, "problem": instance["scenario"]}
        told |= {"solver": solver, "instance": str(instance["seed"]), "repetition": "0"}
        (folder / file.parent.name).mkdir(parents=True)
        (folder / file.parent.name / "record.json").write_bytes(record_bytes(seal({**record, "suite": told})))
    return folder


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Runs of a suite that asks about few evaluations."""
    folder = tmp_path_factory.mktemp("runs")
    budget = optisolve.Budget(evaluations=120)
    for name, solvers in (
        ("uav_isac", ("moead", "nsga2", "null")),
        ("parallel_channels", ("water_filling", "random_search", "null")),
    ):
        problem = optisolve.load_problem(name)
        for number in (0, 1):
            instance = problem.instance(number)
            reference = problem.reference(instance, Effort.QUICK)
            for solver in solvers:
                optisolve.solve(instance, solver, budget=budget, seed=number, reference=reference).save(folder)
    return in_suite(folder, tmp_path_factory.mktemp("records"), "expensive")


@pytest.fixture(scope="module")
def content(records):
    return build_site([records])


@pytest.fixture(scope="module")
def site(records, tmp_path_factory):
    pytest.importorskip("plotly", reason="needs the extra [report]")
    folder = tmp_path_factory.mktemp("site") / "board"
    assert main(["leaderboard", str(records), "--out", str(folder)]) == 0
    return folder


def files_of(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_same_records_give_the_same_bytes(content, site, tmp_path):
    write_site(content, tmp_path / "again")
    assert files_of(tmp_path / "again") == files_of(site)


def test_every_record_problem_and_solver_has_a_page_and_every_link_leads_somewhere(records, site):
    for file in records.rglob("record.json"):
        record_id = json.loads(file.read_text())["record_id"]
        assert record_id in (site / "records" / f"{record_id}.html").read_text()
    assert {path.stem for path in (site / "problems").iterdir()} == {"uav_isac", "parallel_channels"}
    assert {path.stem for path in (site / "solvers").iterdir()} == {"moead", "nsga2", "null", "water_filling", "random_search"}
    for page in site.rglob("*.html"):
        for link in re.findall(r'(?:href|src)="([^"#]+)', page.read_text()):
            if not link.startswith(("http", "data:")):
                assert (page.parent / link).resolve().is_file(), (page.name, link)


def test_no_page_asks_the_network(site):
    for page in [*site.rglob("*.html"), site / "assets" / "site.css", site / "assets" / "site.js"]:
        text = page.read_text()
        assert 'src="http' not in text
        assert "@import" not in text
        assert "url(http" not in text


def test_an_altered_record_and_a_folder_that_holds_something_else_are_refused(records, tmp_path):
    pytest.importorskip("plotly", reason="needs the extra [report]")
    shutil.copytree(records, tmp_path / "records")
    file = next((tmp_path / "records").rglob("record.json"))
    file.write_text(json.dumps({**json.loads(file.read_text()), "seed": 99}))
    with pytest.raises(RecordError, match="altered"):
        build_site([tmp_path / "records"])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(OptisolveError, match="something else"):
        write_site(build_site([records]), tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.tex").is_file()


def test_text_from_records_cannot_inject_markup(records, tmp_path):
    pytest.importorskip("plotly", reason="needs the extra [report]")
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    record = json.loads(next(records.rglob("record.json")).read_bytes())
    record["termination"]["detail"] = record["provenance"]["notice"] = evil
    record["solver"]["options"] = {**record["solver"]["options"], "note": evil}
    (tmp_path / "r" / "x").mkdir(parents=True)
    (tmp_path / "r" / "x" / "record.json").write_bytes(record_bytes(seal(record)))
    write_site(build_site([tmp_path / "r"]), tmp_path / "site")
    for page in (tmp_path / "site").rglob("*.html"):
        text = page.read_text()
        assert "<script>alert" not in text
        assert "<img src=x" not in text


def test_a_question_is_answered_from_the_records_of_its_track(records, content):
    pages = {page.name: page for page in content.questions}
    page = pages["hundred-evaluations"]
    losses = {}
    for file in records.rglob("record.json"):
        record = read_record(file)
        losses.setdefault(record.solver.name, {}).setdefault(record.instance.scenario, []).append(loss_of(record).value)
    means = {name: sum(sum(own) / len(own) for own in of.values()) / 2 + 0.5 * (2 - len(of)) for name, of in losses.items()}
    assert page.track == "expensive"
    assert {item.solver: item.loss for item in page.standings} == pytest.approx(means)
    assert page.standings[0].solver == min(means, key=means.get)
    assert page.answer[0].startswith(page.standings[0].solver)
    best = {row.scenario: row.best for row in page.winners}
    assert best == {name: (min(losses, key=lambda s: sum(losses[s].get(name, [9.0]))),) for name in best}
    assert {row.scenario: row.peer for row in page.winners} == {"uav_isac": "nsga2", "parallel_channels": ""}


def test_who_proves_an_optimum_is_asked_of_runs_that_ended_with_a_proof(records, tmp_path):
    exact = build_site([in_suite(records, tmp_path, "exact")])
    (page,) = (page for page in exact.questions if page.track)
    assert page.name == "proven-optimum"
    assert [row.best for row in page.winners] == [("water_filling",)]
    assert [item.solver for item in page.standings] == ["water_filling"]
    assert "water_filling on parallel_channels" in page.answer[0]


def test_a_question_is_shown_once_its_track_has_records(site):
    assert [page.stem for page in (site / "questions").glob("*.html")] == ["hundred-evaluations"]
    assert "It moves." not in (site / "index.html").read_text()


def test_every_track_of_a_regime_has_a_question():
    asked = {name for question in questions() for name in question.tracks}
    assert asked >= {"expensive", "evolutionary", "real_time", "large", "exact", "wired", "dynamic", "llm"}


def timed(records, home):
    """The same records as a track about time, whose clocks say 3 ms per row of the curve, and its table."""
    runs = in_suite(records, home / "runs", "real_time")
    located = []
    for file in sorted(runs.rglob("record.json")):
        record = read_record(file)
        trace = [(row[0], 3e-3 * i, *row[2:]) for i, row in enumerate(record.trace)]
        record = record.model_copy(update={"trace": trace}).with_provenance(tier=Tier.REPRODUCED)
        file.write_bytes(record.to_bytes())
        located.append(Located(str(file), "real_time", "ada", read_record(file)))
    said = {"version": "1", "instances": 2, "budget": {"evaluations": 120}, "solvers": ["random_search"]}
    said |= {"problems": sorted({item.record.suite.problem for item in located}), "columns": {"loss_at_ms": [1, 10]}}
    (home / "real_time.yaml").write_text(json.dumps(said))
    locked = LockedSuite(load_suite(home / "real_time.yaml"), "5" * 64, {})
    return runs, build_board(located, SuiteBook(_read={"real_time": locked}))


def test_a_track_about_time_shows_losses_by_time_the_machine_and_who_is_first(records, tmp_path):
    pytest.importorskip("plotly", reason="needs the extra [report]")
    runs, told = timed(records, tmp_path)
    content = build_site([runs], board=told)
    write_site(content, tmp_path / "site")
    page = (tmp_path / "site" / "tracks" / "real_time.html").read_text()
    (machine,) = {row.columns.machine for row in told.suites[0].entries}
    assert "loss after 1 ms" in page
    assert "rank after 10 ms" in page
    assert machine in page
    assert "nobody can show them" in page
    (question,) = (page for page in content.questions if page.name == "one-millisecond")
    first = min(told.suites[0].entries, key=lambda row: float(row.columns.at_ms["1"].loss))
    assert question.standings[0].loss == float(first.columns.at_ms["1"].loss)
    assert question.answer[0].startswith("After 1 ms ")
    assert first.solver in question.answer[0]
    tables = _Tables(tmp_path / "site" / "tracks" / "real_time.html").tables
    assert all(len(row) == len(table[0]) for table in tables for row in table)


def test_every_row_s_command_makes_the_run_behind_it(content, tmp_path):
    """The same points, values and curve; the hash names a suite and cannot be the same."""
    for row in next(page for page in content.questions if page.track).winners:
        words = shlex.split(row.command)
        assert words[:2] == ["optisolve", "run"]
        assert main([*words[1:], "pictures=false", f"out={tmp_path / row.scenario}"]) == 0
        (made,) = optisolve.load_records(tmp_path / row.scenario)["record"]
        (told,) = [item.record for item in content.records if item.record.record_id == row.record_id]
        assert (made.solutions, made.verified, made.budget) == (told.solutions, told.verified, told.budget)
        assert [[at, *values] for at, _, *values in made.trace] == [[at, *values] for at, _, *values in told.trace]


def test_a_track_draws_curves_surfaces_and_maps_of_full_records_and_nothing_of_rows(content, site, tmp_path):
    (track,) = content.tracks
    drawn = {picture.scenario: picture for picture in track.pictures}
    assert [chart.id for chart in drawn["uav_isac"].charts] == ["anytime-uav_isac", "attained-uav_isac"]
    assert [chart.id for chart in drawn["parallel_channels"].charts] == ["anytime-parallel_channels"]
    anytime, attained = (chart.plain()["traces"] for chart in drawn["uav_isac"].charts)
    assert {trace["name"] for trace in anytime} == {trace["name"] for trace in attained} == {"moead", "nsga2", "null"}
    for trace in anytime:  # the median loss of what is known so far never gets worse, and ends where the runs do
        losses = [row.loss for row in track.lines if (row.scenario, row.solver) == ("uav_isac", trace["name"])]
        assert trace["y"] == sorted(trace["y"], reverse=True)
        assert trace["y"][-1] == pytest.approx(losses[0], rel=1e-4)
    assert all(picture.map.svg.startswith("<svg") for picture in drawn.values())
    page = (site / "tracks" / "expensive.html").read_text()
    assert page.count('data-plot="plot-a') == 3
    folder = tmp_path / "expensive" / "ada"
    folder.mkdir(parents=True)
    rows = [Row.of(item.record) for item in content.records]
    (folder / TABLE).write_bytes(Table.of(rows).to_bytes())
    (bare,) = build_site([folder]).tracks
    assert bare.pictures == ()
    assert [row.best for row in bare.winners] == [row.best for row in track.winners]


def test_whether_a_model_was_needed_is_asked_beside_the_best_solver_without_one():
    row = ModelRow("with", "local m", False, 2, 0.2, "without", 0.3, 8.0, 100.0, 0.0, "optisolve run", "r")
    behind = replace(row, loss=0.4)
    (told,) = _about_models([row, behind])
    assert told.startswith("1 of 2 solvers with a language model have a smaller mean loss")
    (told,) = _about_models([replace(row, surrogate=True)])
    assert "no language model was called" in told


@pytest.mark.slow
def test_the_published_records_answer_what_they_can_and_their_commands_hold(tmp_path):
    """Every row about proofs is made again by its command, with the value that its table states."""
    pytest.importorskip("plotly", reason="needs the extra [report]")
    published = Path(__file__).parents[2] / "benchmarks" / "records"
    told = build_site([published])
    pages = {page.name: page for page in told.questions}
    assert pages["hundred-evaluations"].track == "expensive"
    assert all(row.command.startswith("optisolve run ") for page in pages.values() for row in (*page.winners, *page.models))
    assert pages["proven-optimum"].winners
    for row in pages["proven-optimum"].winners:
        assert main([*shlex.split(row.command)[1:], "pictures=false", f"out={tmp_path / row.scenario}"]) == 0
        (made,) = optisolve.load_records(tmp_path / row.scenario)["record"]
        (record,) = [item.record for item in told.records if item.record.record_id == row.record_id]
        assert made.scores.objective == pytest.approx(record.scores.objective, rel=1e-9)
        assert made.used.evaluations == record.used.evaluations


class _Tables(HTMLParser):
    """Tables of a page: for each its headings and its rows of texts."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self._inside = False
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag, attrs):
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        self._inside = tag in ("td", "th") or (self._inside and tag not in ("table", "caption", "tr"))

    def handle_endtag(self, tag):
        self._inside = self._inside and tag not in ("td", "th")

    def handle_data(self, data):
        if self._inside:
            self.tables[-1][-1][-1] += data.strip()


def test_every_cell_stands_under_its_own_heading(site, records, tmp_path):
    """On all pages; and where sources of a record tell different things, as a language model's tokens."""
    record = json.loads(next(file for file in records.rglob("record.json") if b'"uav_isac"' in file.read_bytes()).read_bytes())
    record["used"]["by_source"] = {
        "initial": {"evaluations": 88, "hypervolume_gain": 0.25},
        "llm": {"evaluations": 32, "hypervolume_gain": 0.0, "tokens_out": 1582, "tokens_in": 2960, "survivors": 7},
        "repaired": {"evaluations": 3, "hypervolume_gain": 0.125, "usd": 0.5},
    }
    (tmp_path / "r" / "x").mkdir(parents=True)
    (tmp_path / "r" / "x" / "record.json").write_bytes(record_bytes(seal(record)))
    write_site(build_site([tmp_path / "r"]), tmp_path / "site")
    (page,) = (tmp_path / "site" / "records").iterdir()
    sources = next(table for table in _Tables(page).tables if table[0][0] == "source")
    assert sources == [
        ["source", "evaluations", "hypervolume gain", "survivors", "tokens in", "tokens out", "USD"],
        ["initial", "88", "0.250", "–", "0", "0", "0"],
        ["llm", "32", "0", "7", "2960", "1582", "0"],
        ["repaired", "3", "0.125", "–", "0", "0", "0.500"],
    ]
    counted = 0
    for file in [*site.rglob("*.html"), *(tmp_path / "site").rglob("*.html")]:
        for headings, *rows in _Tables(file).tables:
            assert all(len(row) == len(headings) for row in rows), (file.name, headings)
            for heading, *cells in zip(headings, *rows, strict=True):
                if heading in ("evaluations", "model calls", "tokens", "USD", "rank", "failed"):
                    assert all(re.match(r"[\d–∞−]", cell) for cell in cells), (file.name, heading, cells)
                    counted += len(cells)
    assert counted > 50


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the extra [dev]")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (Debian: apt install chromium), so the site is not tried in a browser")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser, request):
    options = getattr(request, "param", {})
    context = browser.new_context(
        viewport={"width": options.get("width", 1280), "height": 900}, color_scheme=options.get("scheme", "light")
    )
    page = context.new_page()
    page.problems = []
    page.on("console", lambda message: page.problems.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("requestfailed", lambda asked: page.problems.append(f"{asked.url} failed"))
    yield page
    context.close()


def opened(page, path: Path):
    page.goto(path.as_uri())
    return page


def column_of(page, column):
    return page.locator("table.board").first.evaluate(
        "(t, c) => [...t.tBodies[0].rows].filter(r => !r.hidden).map(r => r.cells[c].dataset.sort ?? r.cells[c].textContent)",
        column,
    )


def test_headings_sort_and_filters_combine(page, site):
    opened(page, site / "tracks" / "expensive.html")
    board = page.locator("table.board")
    board.get_by_role("button", name="evaluations").click()
    rising = [float(v) for v in column_of(page, 6)]
    assert rising == sorted(rising)
    board.get_by_role("button", name="evaluations").click()
    falling = [float(v) for v in column_of(page, 6)]
    assert falling == sorted(rising, reverse=True)
    assert page.locator("th[aria-sort='descending']").count() == 1
    assert len(falling) == 6
    page.get_by_label("Family").first.select_option("uav_isac")
    assert set(column_of(page, 1)) == {"uav_isac"}
    page.get_by_label("Search").first.fill("null")
    assert column_of(page, 2) == ["null"]
    assert "1 of 6 lines" in page.locator("output").first.inner_text()
    page.get_by_label("Search").first.fill("nothing like it")
    assert column_of(page, 2) == []
    assert page.problems == []


def test_links_lead_to_problem_solver_and_record_and_plots_are_drawn(page, site):
    opened(page, site / "index.html")
    page.get_by_role("link", name="uav_isac").first.click()
    page.locator(".plot").last.scroll_into_view_if_needed()
    page.locator(".plot .main-svg").first.wait_for()
    page.locator(".plot .scatterlayer .trace").first.wait_for()
    assert page.locator(".plot .boxlayer .trace").count() == 3
    assert page.locator(".plot .scatterlayer .trace").count() >= 2
    page.get_by_text("6 records").click()
    page.locator("details table a").nth(1).click()
    page.locator(".plot .main-svg").first.wait_for()
    assert page.locator(".plot .point").count() > 0
    assert "optisolve bench suite=expensive only=problem:uav_isac" in page.locator("pre").first.inner_text()
    page.locator("header a").first.click()
    assert page.url.endswith("index.html")
    assert page.problems == []


PAGES = (
    "index.html",
    "how-to-read.html",
    "tracks/expensive.html",
    "questions/hundred-evaluations.html",
    "statistics/expensive.html",
    "problems/uav_isac.html",
    "solvers/moead.html",
)


@pytest.mark.parametrize("page", [{"width": 390}, {"width": 1280, "scheme": "dark"}], indirect=True)
def test_no_page_scrolls_sideways(page, site):
    width = page.viewport_size["width"]
    for name in PAGES:
        opened(page, site / name)
        page.wait_for_timeout(100)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
    assert [told for told in page.problems if "plotly" not in told] == []  # which may be on its way when the page is left


@pytest.mark.parametrize("page", [{}, {"scheme": "dark"}], indirect=True)
def test_axe_finds_nothing_serious(page, site):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs the extra [dev]").Axe()
    dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    shown = PAGES[2:4] if dark else PAGES  # the colors of all pages are the same
    for path in [*(site / name for name in shown), next((site / "records").glob("uav_isac*"))]:
        opened(page, path)
        page.wait_for_timeout(200)
        found = [
            (v["id"], v["impact"], [n["html"][:120] for n in v["nodes"][:2]]) for v in axe.run(page).response["violations"]
        ]
        assert [item for item in found if item[1] in ("serious", "critical")] == [], path.name


def test_plots_load_when_they_come_near_and_a_page_is_light_until_then(page, site):
    """Nobody waits for the library who reads tables only."""
    opened(page, site / "index.html")
    page.wait_for_timeout(100)
    assert page.locator("script[src*='plotly']").count() == 0
    for path in site.rglob("*.html"):
        assert "plotly.min.js" not in path.read_text()
    opened(page, site / "tracks" / "expensive.html")
    page.locator(".plot").last.scroll_into_view_if_needed()
    page.locator(".plot").last.locator(".main-svg").first.wait_for()
    assert page.locator("script[src*='plotly']").count() == 1
    assert page.problems == []

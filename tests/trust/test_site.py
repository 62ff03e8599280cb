"""The leaderboard's site: the same records give the same bytes, and a browser sorts, filters, draws and follows links."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

import optisolve
from optisolve.cli.main import main
from optisolve.core.errors import OptisolveError, RecordError
from optisolve.core.reference import Effort
from optisolve.trust.site import build_site, write_site
from tests.forging import record_bytes, seal

CHROMIUM = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
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
    return folder


@pytest.fixture(scope="module")
def site(records, tmp_path_factory):
    pytest.importorskip("plotly", reason="needs the extra [report]")
    folder = tmp_path_factory.mktemp("site") / "board"
    assert main(["leaderboard", str(records), "--out", str(folder)]) == 0
    return folder


def files_of(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_same_records_give_the_same_bytes(records, site, tmp_path):
    write_site(build_site([records]), tmp_path / "again")
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
    opened(page, site / "index.html")
    page.get_by_role("button", name="evaluations").first.click()
    rising = [float(v) for v in column_of(page, 6)]
    assert rising == sorted(rising)
    page.get_by_role("button", name="evaluations").first.click()
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
    page.locator(".plot .main-svg").first.wait_for()
    assert page.locator(".plot .boxlayer .trace").count() == 3
    assert page.locator(".plot .scatterlayer .trace").count() >= 2
    page.get_by_text("6 records").click()
    page.locator("details table a").nth(1).click()
    page.locator(".plot .main-svg").first.wait_for()
    assert page.locator(".plot .point").count() > 0
    assert "optisolve run" in page.locator("pre").first.inner_text()
    page.locator("header a").first.click()
    assert page.url.endswith("index.html")
    assert page.problems == []


@pytest.mark.parametrize("page", [{"width": 390}, {"width": 390, "scheme": "dark"}], indirect=True)
@pytest.mark.parametrize("name", ["index.html", "problems/uav_isac.html", "solvers/moead.html"])
def test_a_phone_needs_no_sideways_scrolling(page, site, name):
    opened(page, site / name)
    page.wait_for_timeout(200)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.problems == []


@pytest.mark.parametrize("page", [{}, {"scheme": "dark"}], indirect=True)
@pytest.mark.parametrize("name", ["index.html", "problems/uav_isac.html", "solvers/moead.html", "record"])
def test_axe_finds_nothing_serious(page, site, name):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs the extra [dev]").Axe()
    path = next((site / "records").glob("uav_isac*")) if name == "record" else site / name
    opened(page, path)
    page.wait_for_timeout(300)
    found = [(v["id"], v["impact"], [n["html"][:120] for n in v["nodes"][:2]]) for v in axe.run(page).response["violations"]]
    assert [item for item in found if item[1] in ("serious", "critical")] == []

"""The documentation site of `make docs` in a browser: nothing comes from elsewhere, nothing sticks out, all can read it."""

from __future__ import annotations

import functools
import http.server
import threading

import pytest

from tests.docs.blocks import ROOT
from tests.trust.test_site import browser  # noqa: F401  # Chromium, or the reason why not

SITE = ROOT / "site" / "docs"
OPENED = (
    "",
    "quickstart/",
    "tutorials/own_problem/",
    "problems/power_control/",
    "solvers/ddpm/",
    "api/optisolve/",
    "diffusion/",
)
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address():
    if not (SITE / "index.html").is_file():
        pytest.skip("there is no site yet: make docs")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(SITE))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.parametrize("width", [1200, 390])
def test_pages_fit_ask_nobody_and_report_no_error(browser, address, width):  # noqa: F811
    page = browser.new_page(viewport={"width": width, "height": 900})
    asked, errors = list[str](), list[str]()
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    for path in OPENED:
        page.goto(address + path)
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), path
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
    assert errors == []
    page.close()


def test_the_search_finds_a_solver(browser, address):  # noqa: F811
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(address, wait_until="networkidle")  # words that are typed before the index is there are lost
    page.locator("input[name=query]").click()
    page.locator("input[name=query]").press_sequentially("wmmse", delay=50)
    page.wait_for_selector(".md-search-result__item", timeout=30_000)
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_accessible(browser, address, scheme):  # noqa: F811
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs the extra [dev]").Axe()
    page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme=scheme)
    for path in ("", "tutorials/own_problem/"):
        page.goto(address + path)
        found = axe.run(page, options={"runOnly": ["wcag2a", "wcag2aa"]})
        serious = [
            (v["id"], n["html"][:120])
            for v in found.response["violations"]
            for n in v["nodes"]
            if v["impact"] in ("serious", "critical")
        ]
        assert serious == [], path
    page.close()

"""Write the site's pages."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optisolve.core.errors import MissingDependency, OptisolveError
from optisolve.core.text import slug
from optisolve.study.report import render_html
from optisolve.study.report.commands import override_text
from optisolve.study.report.html import templates
from optisolve.study.report.tables import number
from optisolve.trust.board import RANKED, BoardRow
from optisolve.trust.site.pages import Site

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["write_site"]

_MARKER = ".optisolve-site"
"""File that says that a folder may be replaced as a whole."""


def write_site(site: Site, folder: str | os.PathLike[str]) -> Path:
    """Write all pages; the old site is replaced only when the new one is complete.

    Args:
        site: From `build_site`.
        folder: Made when absent; an older site in it is removed.

    Returns:
        ``folder/index.html``.

    Raises:
        MissingDependency: plotly is not installed.
        OptisolveError: The folder holds something else.
    """
    target = Path(folder)
    if target.exists() and (not target.is_dir() or (any(target.iterdir()) and not (target / _MARKER).is_file())):
        raise OptisolveError(f"{target} holds something else than a leaderboard; give a new or empty folder with out=DIR.")
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=target.parent, prefix=".site-"))
    try:
        _fill(site, staging)
        staging.chmod(0o755)
        shutil.rmtree(target, ignore_errors=True)
        staging.rename(target)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return target / "index.html"


def _fill(site: Site, root: Path) -> None:
    (root / _MARKER).write_text("made by optisolve leaderboard; the whole folder is replaced when it is made again\n")
    (root / ".nojekyll").write_text("")  # GitHub Pages serves the folder as it is
    assets = root / "assets"
    _write(assets / "site.css", _text("report.css") + _text("site.css"))
    _write(assets / "site.js", _text("site.js"))
    _write(assets / "plotly.min.js", _plotly())
    _page(root / "index.html", "index.html.jinja", site=site, here="", tracks=site.tracks)
    _page(root / "how-to-read.html", "how_to_read.html.jinja", site=site, here="")
    for track in site.tracks:
        name = f"{slug(track.name)}.html"
        _page(root / "tracks" / name, "track.html.jinja", site=site, here="../", track=track)
        _write(root / "statistics" / name, render_html(track.report))
    for question in site.questions:
        path = root / "questions" / f"{slug(question.name)}.html"
        _page(path, "question.html.jinja", site=site, here="../", page=question)
    for problem in site.problems:
        path = root / "problems" / f"{slug(problem.name)}.html"
        _page(path, "problem.html.jinja", site=site, here="../", problem=problem)
    for solver in site.solvers:
        _page(root / "solvers" / f"{slug(solver.name)}.html", "solver.html.jinja", site=site, here="../", solver=solver)
    for record in site.records:
        path = root / "records" / f"{slug(record.record.record_id)}.html"
        _page(path, "record.html.jinja", site=site, here="../", page=record, record=record.record)


def _page(path: Path, template: str, **values: Any) -> None:
    _write(path, _environment().get_template(template).render(**values) + "\n")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@cache
def _environment() -> Environment:
    environment = templates("optisolve.trust.site", "optisolve.study.report").overlay()
    environment.filters = {**environment.filters, "groupby_tier": _by_tier, "markdown": _markdown, "setting": override_text}
    environment.filters |= {"number": _amount, "embedded": _embedded}
    return environment


def _amount(value: float) -> str:
    """A mean of counts: a whole one without decimals."""
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e6 else number(value)


def _text(name: str) -> str:
    """A file as it is, whatever stands in it."""
    environment = _environment()
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _by_tier(standings: Sequence[BoardRow]) -> list[tuple[str, list[BoardRow]]]:
    """Entries in tables of their own: what is ranked among each other stands together."""
    groups: dict[str, list[BoardRow]] = {}
    for entry in standings:
        groups.setdefault(entry.tier.value if entry.tier in RANKED else "other", []).append(entry)
    return [(tier, groups[tier]) for tier in (*(tier.value for tier in RANKED), "other") if tier in groups]


def _markdown(text: str) -> str:
    """A model card as HTML; raw HTML in it stays text, its heading levels go two down."""
    from markdown_it import MarkdownIt

    tokens = (parser := MarkdownIt("commonmark", {"html": False}).enable("table")).parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"
    return str(parser.renderer.render(tokens, parser.options, {}))


def _embedded(value: Any) -> str:
    """JSON that may stand inside a script element."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True).replace("<", "\\u003c").replace("&", "\\u0026")


def _plotly() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise MissingDependency("plotly, which draws the leaderboard's plots", extra="report") from None
    return str(get_plotlyjs())

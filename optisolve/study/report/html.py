"""The report as one HTML page: no network, no script, pictures inside."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from optisolve.study.report.svg import svg_text

if TYPE_CHECKING:
    from jinja2 import Environment

    from optisolve.study.report.build import Report
    from optisolve.study.report.pictures import Picture

__all__ = ["render_html"]


def render_html(report: Report) -> str:
    """The page; the same report gives the same text.

    Args:
        report: From `optisolve.study.report.build_report`.
    """
    page = _environment().get_template("report.html.jinja")
    return page.render(report=report, css=_read("report.css"), svg=_svg, anchor=_anchor) + "\n"


def _svg(picture: Picture) -> str:
    return svg_text(picture.figure, name=_anchor(picture.name), alt=picture.alt)


def _anchor(text: str) -> str:
    """Text as the id of an element."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    return Environment(
        loader=FunctionLoader(_read), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def _read(name: str) -> str:
    return (files("optisolve.study.report") / "templates" / name).read_text(encoding="utf-8")

"""The report as one HTML page: no network, no script, pictures inside."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from optisolve.core.text import slug
from optisolve.study.report.svg import svg_text

if TYPE_CHECKING:
    from jinja2 import Environment

    from optisolve.study.report.build import Report
    from optisolve.study.report.pictures import Picture

__all__ = ["render_html", "templates"]


def render_html(report: Report) -> str:
    """The page; the same report gives the same text.

    Args:
        report: From `optisolve.study.report.build_report`.
    """
    return templates("optisolve.study.report").get_template("report.html.jinja").render(report=report) + "\n"


@cache
def templates(*packages: str) -> Environment:
    """The templates of some packages; what comes from records is escaped.

    Args:
        packages: Whose folder ``templates`` is searched, in this order.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    loader = ChoiceLoader([PackageLoader(package) for package in packages])
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters.update(slug=slug, svg=_svg)
    return made


def _svg(picture: Picture) -> str:
    return svg_text(picture.figure, name=slug(picture.name), alt=picture.alt)

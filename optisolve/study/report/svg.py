"""Figures as inline SVG that follows the page's colors, byte for byte the same every time."""

from __future__ import annotations

import io
import re
from html import escape
from typing import TYPE_CHECKING

from optisolve.plotting.style import ACCENT, GRID, INK, MUTED, PALETTE, figure_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["COLORS", "pdf_bytes", "svg_text"]

COLORS = {
    **{color.lower(): f"var(--c{i})" for i, color in enumerate(PALETTE)},
    INK.lower(): "var(--ink)",
    MUTED.lower(): "var(--muted)",
    GRID.lower(): "var(--grid)",
    "#ffffff": "var(--paper)",
    "white": "var(--paper)",
}
"""Colors of the figures' style and the custom properties of the page that stand for them."""

assert ACCENT in PALETTE  # it has no custom property of its own

_SALT = "optisolve"


def svg_text(figure: Figure, *, name: str, alt: str) -> str:
    """One ``<svg>`` element without fixed size, text kept as text.

    Args:
        figure: Drawn in the style of `optisolve.plotting`.
        name: Prefix of all ids, unique on the page.
        alt: What the picture shows, for those who do not see it.
    """
    import matplotlib as mpl

    stream = io.StringIO()
    _settle(figure)
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": _SALT}):
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'(xlink:href|href)="#([^"]+)"', rf'\1="#{name}-\2"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", text)
    text = re.sub(r"#[0-9a-f]{6}\b", lambda found: COLORS.get(found.group(), found.group()), text)
    head, _, body = text.partition(">")
    box = re.search(r'viewBox="([^"]+)"', head)
    assert box is not None  # matplotlib always writes one
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="{box.group(1)}" '
        f'role="img" aria-labelledby="{name}-alt">\n <title id="{name}-alt">{escape(alt)}</title>'
    )
    return opening + body.rstrip()


def pdf_bytes(figure: Figure) -> bytes:
    """The figure as PDF with embedded outlines, for papers."""
    _settle(figure)
    return figure_bytes(figure, "pdf")


def _settle(figure: Figure) -> None:
    """Lay a figure out once; with any engine, even one that does nothing, every file would draw it once more to lay it out."""
    import matplotlib as mpl

    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()
        with mpl.rc_context({"figure.autolayout": False, "figure.constrained_layout.use": False}):
            figure.set_layout_engine(None)

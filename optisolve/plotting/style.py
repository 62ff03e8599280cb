"""The look of all figures: colors, markers, dashes, sizes of text, and files that are the same byte for byte.

No pyplot and no global state: a figure is an object that nobody has to close. Importing this file does not load matplotlib's
back ends; problems that draw themselves take their colors from here.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, TypeAlias, cast

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure, SubFigure
from matplotlib.transforms import ScaledTranslation, Transform

from optisolve.core.documents import write_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

__all__ = [
    "ACCENT",
    "DASHES",
    "FORMATS",
    "GRID",
    "INK",
    "MARKERS",
    "MUTED",
    "PALETTE",
    "Dashes",
    "Drawing",
    "Format",
    "Look",
    "add_title",
    "blank_figure",
    "characters",
    "dress",
    "figure_bytes",
    "figure_of",
    "ink_of",
    "is_ours",
    "label_axes",
    "looks_of",
    "new_figure",
    "no_offset",
    "room_for_words",
    "save_figure",
    "text_size",
]

PALETTE = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#7F7F7F",
    "#332288",
    "#882255",
    "#999933",
    "#000000",
    "#A0522D",
)
"""Okabe and Ito's colors (without yellow, which white paper swallows) and grey; then indigo, wine and olive of Paul Tol's,
black, sienna."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", "p", ">", "h", "*")
"""One per color, so that a grey print tells them apart."""

Dashes: TypeAlias = Literal["-"] | tuple[float, tuple[float, ...]]
DASHES: tuple[Dashes, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))
INK, MUTED, GRID, ACCENT = "#222222", "#666666", "#E3E3E3", "#D55E00"

Format: TypeAlias = Literal["pdf", "svg", "png"]
FORMATS: tuple[Format, ...] = ("pdf", "svg", "png")

_SAVED: Any = {"pdf.fonttype": 42, "ps.fonttype": 42, "svg.fonttype": "path", "svg.hashsalt": "optisolve"}
"""Outlines go into the file, so that it looks the same everywhere; 42 is TrueType, which publishers ask for."""

_NAMELESS: Mapping[str, Mapping[str, None]] = {
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "svg": {"Date": None, "Creator": None},
    "png": {"Software": None},
}
"""No date and no version in a file, so that the same numbers give the same bytes."""

_DOTS = 150
_NARROW = 5.0
"""Inches below which a figure is for one column."""


@dataclass(frozen=True, slots=True)
class Look:
    """How one series is drawn.

    Attributes:
        color: Hexadecimal.
        marker: Of matplotlib.
        dashes: A line style of matplotlib.
        hollow: Markers are outlines.
    """

    color: str
    marker: str
    dashes: Dashes
    hollow: bool = False

    def marks(self, size: float) -> dict[str, Any]:
        """Keywords of `Axes.plot` for points.

        Args:
            size: Of a marker, points.
        """
        face = "none" if self.hollow else self.color
        return {
            "marker": self.marker,
            "markersize": size,
            "color": self.color,
            "markerfacecolor": face,
            "markeredgewidth": 0.8 if self.hollow else 0.0,
        }


def looks_of(names: Iterable[str]) -> dict[str, Look]:
    """One look per series of a plot: no two of twelve share a color or a marker, neighbors have other dashes.

    Args:
        names: The series, in the order of the legend.
    """
    n = len(PALETTE)
    return {
        name: Look(PALETTE[i % n], MARKERS[(i + i // n) % n], DASHES[(i + i // n) % len(DASHES)], hollow=i % 2 == 1)
        for i, name in enumerate(dict.fromkeys(names))
    }


class Drawing(Figure):
    """A figure of ours: notebooks show it, and the same numbers give the same file."""

    def savefig(self, fname: str | os.PathLike[str] | IO[Any], *, transparent: bool | None = None, **options: Any) -> None:
        """As matplotlib's, with embedded TrueType outlines and without a date.

        Args:
            fname: File or stream.
            transparent: No white behind the axes.
            **options: Further ones of `matplotlib.figure.Figure.savefig`.
        """
        suffix = Path(fname).suffix[1:] if isinstance(fname, str | os.PathLike) else ""
        kind = str(options.get("format") or suffix or "png").lower()
        options.setdefault("metadata", _NAMELESS.get(kind))
        with _reproducible():
            super().savefig(fname, transparent=transparent, **options)

    def _repr_png_(self) -> bytes:
        return figure_bytes(self, "png", dots=100)


def _reproducible() -> AbstractContextManager[None]:
    import matplotlib as mpl

    return mpl.rc_context(_SAVED)


def blank_figure(width: float, height: float) -> Drawing:
    """A white figure without axes.

    Args:
        width: inches.
        height: inches.
    """
    figure = Drawing(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def new_figure(title: str = "", subtitle: str = "", *, width: float = 7.0, height: float = 5.0) -> tuple[Drawing, Axes]:
    """A figure with one pair of styled axes.

    Args:
        title: What is shown, left-aligned; "" for figures that get a caption elsewhere.
        subtitle: Scenario, seed and the like, smaller.
        width: inches.
        height: inches.
    """
    figure = blank_figure(width, height)
    axes = figure.add_subplot()
    dress(axes)
    add_title(axes, title, subtitle)
    return figure, axes


def add_title(axes: Axes, title: str, subtitle: str = "") -> None:
    """A heading above the axes, on their left; nothing for no words."""
    large, small = text_size(axes, 3), text_size(axes)
    if title:
        axes.set_title(title, loc="left", fontsize=large, color=ink_of(axes), pad=2 * small + 4 if subtitle else 8)
    if subtitle:
        axes.text(0.0, 1.0, subtitle, transform=axes.transAxes + _up(axes), fontsize=small, color=MUTED, va="bottom")


def _up(axes: Axes) -> Transform:
    """Six points above the axes, where the subtitle stands."""
    return ScaledTranslation(0.0, 6.0 / 72.0, figure_of(axes).dpi_scale_trans)


def figure_of(axes: Axes) -> Figure:
    """The whole figure that axes stand in."""
    inner = axes.figure
    root = inner.figure if isinstance(inner, SubFigure) else inner
    assert isinstance(root, Figure)  # axes without a figure cannot be drawn on
    return root


def is_ours(axes: Axes) -> bool:
    """The axes stand in a figure that was made here, and not in one whose style is somebody else's."""
    return isinstance(figure_of(axes), Drawing)


def text_size(axes: Axes, larger: int = 0) -> int:
    """Points of small text: 7 in a narrow figure, 8 in a wide one.

    Args:
        axes: Where the text stands.
        larger: Points more.
    """
    return (7 if figure_of(axes).get_figwidth() < _NARROW else 8) + larger


def characters(axes: Axes, length: float) -> int:
    """How many characters of an axis' words fit into a length, inches."""
    size = text_size(axes, 1) if is_ours(axes) else float(axes.xaxis.label.get_fontsize())
    return max(8, int(72.0 * length / (0.56 * size)))


def room_for_words(axes: Axes) -> tuple[int, int]:
    """Characters that fit along the x axis and along the y axis of single axes."""
    width, height = figure_of(axes).get_size_inches()
    place = axes.get_position()
    across, up = (0.8, 0.74) if is_ours(axes) else (place.width, place.height)  # ours have a legend below, which adds height
    return characters(axes, across * width), characters(axes, up * height)


def ink_of(axes: Axes) -> str:
    """The color of words, and of lines for what is known: ours, or that of somebody else's style, which may be dark."""
    return INK if is_ours(axes) else str(to_hex(axes.xaxis.label.get_color()))


def dress(axes: Axes, label_size: int | None = None) -> None:
    """A light grid behind what is drawn, no box around it, small numbers."""
    axes.set_axisbelow(True)
    axes.grid(color=GRID, linewidth=0.6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(MUTED)
    axes.tick_params(colors=MUTED, labelsize=text_size(axes) if label_size is None else label_size, labelcolor=INK)


def label_axes(axes: Axes, *, x: str | None = None, y: str | None = None) -> None:
    """Name the axes; in a figure of somebody else's in her own style."""
    style: dict[str, Any] = {"fontsize": text_size(axes, 1), "color": INK} if is_ours(axes) else {}
    if x is not None:
        axes.set_xlabel(x, **style)
    if y is not None:
        axes.set_ylabel(y, **style)


def no_offset(*wanted: Axis) -> None:
    """Ticks say whole numbers: no ``1e-7 + 2.037`` in a corner, and few of them where they are long."""
    from matplotlib.ticker import MaxNLocator, ScalarFormatter

    for axis in wanted:
        formatter = axis.get_major_formatter()
        if isinstance(formatter, ScalarFormatter) and axis.get_scale() == "linear":
            formatter.set_useOffset(False)
            axis.set_major_locator(MaxNLocator(nbins=5 if text_size(axis.axes) == 7 else 7, steps=[1, 2, 2.5, 5, 10]))


def figure_bytes(figure: Figure, kind: Format, *, dots: int = _DOTS) -> bytes:
    """A figure as the content of a file, the same for the same numbers.

    Args:
        figure: Any.
        kind: ``"pdf"``, ``"svg"`` or ``"png"``.
        dots: Per inch, for PNG.
    """
    drawn = io.BytesIO()
    with _reproducible():
        figure.savefig(drawn, format=kind, dpi=dots, metadata=dict(_NAMELESS[kind]))
    return drawn.getvalue()


def save_figure(figure: Figure, path: Path, *, dots: int = _DOTS) -> Path:
    """Write a figure, PDF, SVG or PNG by the name of the file, all or nothing.

    Args:
        figure: Any.
        path: The file.
        dots: Per inch, for PNG.
    """
    kind = cast(Format, path.suffix[1:].lower())
    write_atomic(path, figure_bytes(figure, kind if kind in FORMATS else "png", dots=dots))
    return path

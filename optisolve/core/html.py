"""Tables for notebooks: small, escaped, without anything from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["html_table"]


def html_table(title: str, rows: Iterable[Sequence[object]], *, heads: Sequence[str] = ()) -> str:
    """A titled table.

    Args:
        title: Above it.
        rows: Cells, text or numbers; whatever stands in them is escaped.
        heads: Of the columns; without them the first cell of a row is its head.
    """
    top = "".join(f'<th scope="col" style="text-align:left">{escape(head)}</th>' for head in heads)
    body = "".join(f"<tr>{''.join(_cells(row, headed=not heads))}</tr>" for row in rows)
    head = f"<thead><tr>{top}</tr></thead>" if top else ""
    return f'<table><caption style="text-align:left"><b>{escape(title)}</b></caption>{head}<tbody>{body}</tbody></table>'


def _cells(row: Sequence[object], *, headed: bool) -> Iterable[str]:
    for i, cell in enumerate(row):
        text = escape(f"{cell:.6g}" if isinstance(cell, float) else str(cell))
        yield (
            f'<th scope="row" style="text-align:left">{text}</th>'
            if headed and not i
            else f'<td style="text-align:left">{text}</td>'
        )

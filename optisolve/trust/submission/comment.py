"""The verdict as a comment on a pull request; a stranger's words cannot become markup, links or mentions."""

from __future__ import annotations

from collections.abc import Iterable

from optisolve.run.untrusted import printable, shortened
from optisolve.trust.board import Board, BoardRow
from optisolve.trust.submission.gate import Verdict

__all__ = ["comment_text"]

_MOST_PROBLEMS = 40
_MOST_MOVED = 15


def comment_text(verdict: Verdict) -> str:
    """Markdown for people: accepted or refused, why, and what it does to the ranking."""
    who = f" from {_code(', '.join(verdict.submitters))}" if verdict.submitters else ""
    head = "accepted" if verdict.accepted else "refused"
    lines = [f"## Leaderboard: {head}", "", f"{verdict.checked} new record(s){who} audited by independent code."]
    if verdict.elsewhere:
        lines[-1] += f" {verdict.elsewhere} of them come from another platform and hold."
    if verdict.problems:
        lines += ["", f"{len(verdict.problems)} problem(s); every one names its file and field:", ""]
        lines += [
            f"- {_code(p.field)}: got {_code(repr(shortened(p.given)))}, expected {_code(p.expected)}"
            for p in verdict.problems[:_MOST_PROBLEMS]
        ]
        if len(verdict.problems) > _MOST_PROBLEMS:
            lines.append(f"- and {len(verdict.problems) - _MOST_PROBLEMS} more")
        lines += ["", "How to submit: `docs/submission.md`. Check it yourself: `optisolve submit check origin/main HEAD`."]
    if verdict.notes:
        lines += ["", "Notes:", "", *(f"- {_code(note)}" for note in verdict.notes[:_MOST_PROBLEMS])]
    if verdict.accepted:
        lines += ["", *_changes(verdict)]
    return "\n".join(lines) + "\n"


def _changes(verdict: Verdict) -> Iterable[str]:
    """The rows that are new or stand elsewhere now."""
    before = dict(_rows(verdict.before))
    rows = [(key, row, before.get(key)) for key, row in _rows(verdict.after)]
    moved = [(key, row, old) for key, row, old in rows if old is None or (old.rank, old.loss) != (row.rank, row.loss)]
    if not moved:
        yield "The ranking does not change."
        return
    yield "| suite | submitter | solver | tier | loss | rank before | rank now |"
    yield "|---|---|---|---|---|---|---|"
    for (suite, submitter, solver), row, old in moved[:_MOST_MOVED]:
        was = "–" if old is None or old.rank is None else str(old.rank)
        now = "unranked" if row.rank is None else str(row.rank)
        yield (
            f"| {_code(suite)} | {_code(submitter)} | {_code(solver)} | {row.tier.replace('_', '-')} | "
            f"{row.loss or '–'} | {was} | {now} |"
        )
    if len(moved) > _MOST_MOVED:
        yield f"\n{len(moved) - _MOST_MOVED} more row(s) change."


def _rows(board: Board | None) -> Iterable[tuple[tuple[str, str, str], BoardRow]]:
    for suite in board.suites if board else ():
        for row in suite.entries:
            yield (suite.name, row.submitter, row.solver), row


def _code(text: object) -> str:
    """Text as code: nothing in it is markup; a pipe would end a table's cell."""
    told = printable(text).replace("`", "'").replace("|", "/")
    return f"`{told[:400]}`" if told else "–"

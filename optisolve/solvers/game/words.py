"""Numbers of an agent's view put into words: what the prompts of the game are filled with, and the form of the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import IntArray
from optisolve.llm.forms import Integer, Object, Text, first_object, integer_rule, line_grammar
from optisolve.numerics.games import AgentGame
from optisolve.solvers.game.memory import Experience
from optisolve.solvers.game.views import Report, View

__all__ = [
    "Question",
    "answer_form",
    "chat_variables",
    "level_line",
    "log_rows",
    "message_in",
    "table_variables",
]

PERCENT = 100
"""A signal that has a target is shown as a whole number of these parts of the target."""
_BEST, _WORST = 100, 1000
"""Costs in a table without a target: the best row has the first value, the worst one the second."""
_WANTED = 0.9
"""Share of the best row's cost that the continued row is promised."""
_MOST_WORDS = 120
"""Characters of a message between agents."""


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What one agent is asked.

    Attributes:
        view: Its information set.
        rows: Rounds that its memory shows, oldest first.
        lessons: Lessons that its memory shows.
        errors: What was wrong with its previous answer.
    """

    view: View
    rows: tuple[Experience, ...]
    lessons: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()


def log_rows(game: AgentGame, rows: Sequence[Experience]) -> tuple[list[tuple[int, int]], int]:
    """A table for continuation: (value, level) from worst to best, and the value that the next row shall have.

    With a target the value is the signal in percent of it, rows stand with the nearest one last, and the next row is promised
    the target itself. Without one it is a cost between 100 and 1000, and the next row is promised a lower one. Of rows with
    the same level the newest is kept, since the others may have moved meanwhile.
    """
    newest = list({row.level: row for row in rows}.values())
    if game.target is not None:
        goal = round(PERCENT * game.target)
        # Rounded down, so that a row that shows the target has reached it.
        told = [(int(np.floor(PERCENT * row.signal + 1e-9)), row.level) for row in newest]
        return sorted(told, key=lambda row: (-abs(row[0] - goal), -row[0], row[1])), goal
    utility = np.array([row.utility for row in newest])
    spread = float(utility.max() - utility.min())
    cost = _BEST + (_WORST - _BEST) * (utility.max() - utility) / (spread if spread > 0.0 else 1.0)
    told = sorted(
        ((round(float(c)), row.level) for c, row in zip(cost, newest, strict=True)), key=lambda row: (-row[0], row[1])
    )
    return told, round(_WANTED * _BEST)


def table_variables(game: AgentGame, question: Question, levels: int, order: IntArray | None = None) -> dict[str, object]:
    """Variables of the continuation prompt.

    Args:
        game: The game.
        question: The question.
        levels: Largest level.
        order: int64 [rows], shuffles the levels against the values; None leaves them where they belong.
    """
    rows, target = log_rows(game, question.rows)
    shown = [level for _, level in rows]
    if order is not None:
        shown = [shown[i] for i in order]
    return {
        "action": game.action_name,
        "unit": "percent of the rate that is needed" if game.target is not None else "cost, lower is better",
        "levels": levels,
        "lessons": list(question.lessons),
        "reports": [_told(game, report) for report in question.view.reports],
        "world": list(question.view.world),
        "log": [{"value": value, "level": padded(level, levels)} for (value, _), level in zip(rows, shown, strict=True)],
        "target": target,
    }


def chat_variables(
    game: AgentGame,
    question: Question,
    levels: int,
    *,
    talks: bool,
    intent: str,
    reach: int | None = None,
    order: IntArray | None = None,
) -> dict[str, object]:
    """Variables of the chat prompt; the arguments are those of `table_variables`.

    Args:
        game: The game.
        question: The question.
        levels: Largest level.
        talks: The agent may add a message to its neighbors.
        intent: What the operator of the network asks of everybody, "" for nothing.
        reach: Levels that the agent may move in one round, None for any number.
        order: Shuffles the levels against what was measured, or None.
    """
    view, rows = question.view, question.rows
    shown = [row.level for row in rows]
    if order is not None:
        shown = [shown[i] for i in order]
    width = (view.upper - view.lower) / levels
    return {
        "agent": view.agent,
        "n_agents": game.n_agents,
        "role": game.role,
        "aim": game.aim,
        "facts": game.facts(view.agent),
        "action": game.action_name,
        "step": f"{width:.4g} {game.action_unit}".strip(),
        "levels": levels,
        "signal": game.signal_name,
        "intent": intent,
        "reach": reach,
        "form": '{"level": n, "message": "..."}' if talks else '{"level": n}',
        "talks": talks,
        "world": list(view.world),
        "lessons": list(question.lessons),
        "reports": [_told(game, report) for report in view.reports],
        "log": [
            {"round": row.round, "level": level, "signal": f"{row.signal:.4g}", "utility": f"{row.utility:.4g}"}
            for row, level in zip(rows, shown, strict=True)
        ],
        "errors": list(question.errors),
    }


def padded(level: int, levels: int) -> str:
    """A level with leading zeros: with a fixed number of digits a small model cannot stop too early."""
    return f"{level:0{len(str(levels))}d}"


def level_line(levels: int) -> str:
    """GBNF of one padded level on the line that the prompt leaves open."""
    return line_grammar('" " n "\\n"', n=integer_rule(levels, padded=True))


def answer_form(levels: int, *, talks: bool) -> Object:
    """The form of a chat agent's answer."""
    level = Integer(levels)
    return Object({"level": level, "message": Text(_MOST_WORDS)} if talks else {"level": level})


def message_in(text: str) -> str:
    """The message of an answer, "" when there is none; it is cleaned before anybody quotes it."""
    said = first_object(text, ["message"])[0].get("message", "")
    return said[:_MOST_WORDS] if isinstance(said, str) else ""


def _told(game: AgentGame, report: Report) -> str:
    signal = f"{100 * report.signal / game.target:.0f} %" if game.target else f"{report.signal:g}"
    words = f', says "{report.words}"' if report.words else ""
    return f"agent {report.agent}: {report.level} % of its range, {game.signal_name} {signal}{words}"

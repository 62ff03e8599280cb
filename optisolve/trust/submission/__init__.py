"""Submissions to the leaderboard: packed by whoever runs a suite, checked by the gate, ranked by `optisolve.trust.board`."""

from optisolve.trust.submission.comment import comment_text
from optisolve.trust.submission.gate import Verdict, check_submission
from optisolve.trust.submission.pack import Packed, pack
from optisolve.trust.submission.rules import DESCRIPTION, LIMITS, RECORDS, ROWS, TABLE, TRANSCRIPTS, Limits
from optisolve.trust.submission.tree import Tree

__all__ = [
    "DESCRIPTION",
    "LIMITS",
    "RECORDS",
    "ROWS",
    "TABLE",
    "TRANSCRIPTS",
    "Limits",
    "Packed",
    "Tree",
    "Verdict",
    "check_submission",
    "comment_text",
    "pack",
]

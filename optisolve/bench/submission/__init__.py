"""Submissions to the leaderboard: packed by whoever runs a suite, checked by the gate, ranked by `optisolve.bench.board`."""

from optisolve.bench.submission.comment import comment_text
from optisolve.bench.submission.gate import Verdict, check_submission
from optisolve.bench.submission.pack import Packed, pack
from optisolve.bench.submission.rules import DESCRIPTION, LIMITS, RECORDS, TABLE, Limits
from optisolve.bench.submission.tree import Tree

__all__ = [
    "DESCRIPTION",
    "LIMITS",
    "RECORDS",
    "TABLE",
    "Limits",
    "Packed",
    "Tree",
    "Verdict",
    "check_submission",
    "comment_text",
    "pack",
]

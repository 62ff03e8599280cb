"""Names of all scenarios for tests that go through them, apart from those whose evaluation costs a second and an extra."""

import pytest

from optisolve.problems.radio_planning.tracing import can_trace
from optisolve.registry import PROBLEMS

TRACED = ("radio_planning/munich",)
"""What traces rays at every evaluation; `tests/problems/test_radio_planning_live.py` does with few rays what other tests do."""


def untraced():
    """All other names."""
    return [name for name in PROBLEMS.choices() if name not in TRACED]


def for_words():
    """All names, for tests that evaluate a few points at most: where rays are traced for each of them, that is slow."""
    lacking = pytest.mark.skipif(not can_trace(), reason="needs the extra [rt], and LLVM for it")
    return [*untraced(), *(pytest.param(name, marks=(lacking, pytest.mark.slow)) for name in TRACED)]

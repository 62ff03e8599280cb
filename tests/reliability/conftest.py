"""The reliability suite: its counts are printed at the end; the long versions run with ``pytest -m slow``."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

_NAME = "reliability"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [report for kind in terminalreporter.stats.values() for report in kind if getattr(report, "when", "") == "call"]
    lines = [line for report in reports for name, line in report.user_properties if name == _NAME]
    if lines:
        terminalreporter.section(_NAME)
        for line in lines:
            terminalreporter.write_line(line)


@pytest.fixture
def tell(request):
    """Takes lines for the report at the end; they travel with the test's report, also from another process."""
    return lambda line: request.node.user_properties.append((_NAME, line))


class HangError(BaseException):
    """A run took longer than its hard limit; no handler of the product can swallow it."""


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    assert threading.current_thread() is threading.main_thread()

    def give_up(_number: int, _frame: Any) -> None:
        raise HangError(f"still at work after {seconds:g} s")

    previous = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, previous)


@pytest.fixture
def limited():
    """A context manager that fails what hangs: ``with limited(30.0): ...``."""
    return _limited


@pytest.fixture(autouse=True)
def _no_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

"""Holding a server's replies back, so that a test need not hope to be quick enough."""

import math
import threading


class Gate:
    """Lets so many calls through and holds the rest, so that a test can act while they are in flight."""

    def __init__(self) -> None:
        self.answers, self.answered, self.held = 10**9, 0, threading.Event()

    def __call__(self, _number: int) -> float:
        if self.answered >= self.answers:
            self.held.set()
            return math.inf
        self.answered += 1
        return 0.0

    def close_after(self, answers: int) -> None:
        self.answers, self.answered = answers, 0
        self.held.clear()

    def open(self) -> None:
        self.close_after(10**9)

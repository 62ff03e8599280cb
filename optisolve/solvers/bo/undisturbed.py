"""Other libraries at work without a trace: threads, random numbers, warnings and log lines of the process stay as they are."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

__all__ = ["one_torch_thread", "quiet"]


@contextmanager
def quiet(*loggers: str) -> Iterator[None]:
    """On one thread, since sums and with them every later point would depend on their number; no warnings, no log lines.

    Args:
        loggers: Names of loggers that are silent for so long.
    """
    levels = {name: logging.getLogger(name).level for name in loggers}
    with warnings.catch_warnings(), threadpool_limits(limits=1, user_api="blas"):
        warnings.simplefilter("ignore")
        for name in loggers:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)


@contextmanager
def one_torch_thread(seed: int) -> Iterator[None]:
    """torch on one thread and with a seed; thread numbers and its generator are as before when the block ends.

    Args:
        seed: For torch's own generator.
    """
    import torch

    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)

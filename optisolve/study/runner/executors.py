"""Executors: who carries out the units. Each takes units and yields deliveries in the order in which they finish.

A unit's result does not depend on the executor, on the number of workers or on the order.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

from optisolve.study.runner.plan import Unit
from optisolve.study.runner.worker import Delivery, Stopped, Worker

__all__ = ["cores", "joblib_executor", "serial_executor"]

_GOODBYE_S = 30.0


def cores() -> int:
    """Cores that this process may use (affinity and container limits counted)."""
    from joblib import cpu_count

    return int(cpu_count())


def serial_executor(units: Sequence[Unit], scratch: Callable[[str], Path], *, threads: int) -> Generator[Delivery]:
    """One worker, one unit after another.

    Args:
        units: What to run.
        scratch: Folder of a unit while it runs.
        threads: Threads of the numerical libraries in the worker.
    """
    worker = Worker(threads)
    try:
        for unit in units:
            yield worker.run(unit, scratch(unit.id))
    finally:
        worker.close()


def joblib_executor(
    units: Sequence[Unit], scratch: Callable[[str], Path], *, workers: int, threads: int
) -> Generator[Delivery]:
    """Several workers on this machine; joblib hands out the units.

    Joblib's threads only wait: each holds one child process, which does the work and can be killed by itself.

    Args:
        units: What to run.
        scratch: Folder of a unit while it runs.
        workers: Child processes.
        threads: Threads of the numerical libraries in each.
    """
    from joblib import Parallel, delayed

    stop = threading.Event()
    idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
    for _ in range(workers):
        idle.put(Worker(threads, stop))

    def run(unit: Unit) -> Delivery | None:
        worker = idle.get()
        try:
            return worker.run(unit, scratch(unit.id))
        except Stopped:
            return None
        finally:
            idle.put(worker)

    parallel = Parallel(
        n_jobs=workers, backend="threading", batch_size=1, pre_dispatch=2 * workers, return_as="generator_unordered"
    )
    deliveries = parallel(delayed(run)(unit) for unit in units)
    try:
        yield from deliveries
    finally:
        stop.set()
        deliveries.close()
        with contextlib.suppress(queue.Empty):  # its process ends with ours at the latest
            for _ in range(workers):  # a worker that still runs comes back as soon as it sees `stop`
                idle.get(timeout=_GOODBYE_S).close()

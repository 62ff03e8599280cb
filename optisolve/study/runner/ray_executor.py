"""Past one machine: units as Ray tasks, deliveries streamed back to the driver, which alone writes records.

A task that was lost with its machine is run again elsewhere; since only the driver publishes, and each unit once, nothing
is lost and nothing is doubled. Every machine needs the same version of optisolve.
"""

from __future__ import annotations

import atexit
import tempfile
from collections.abc import Generator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from optisolve.core.errors import OptisolveError
from optisolve.run.cluster import connect, load_ray
from optisolve.study.runner.plan import StaleWorker, Unit
from optisolve.study.runner.worker import Delivery, Failure, Worker

__all__ = ["ray_executor"]

_ATTEMPTS = 4
_AHEAD = 2
"""Units per core that wait in Ray's queue, so that no core waits for the driver."""


def ray_executor(units: Sequence[Unit], *, address: str, workers: int | None, threads: int) -> Generator[Delivery]:
    """Run units on a Ray cluster.

    Args:
        units: What to run.
        address: ``local`` starts a cluster on this machine, ``auto`` finds the running one, else its address.
        workers: Units at a time; None means as many as the cluster has cores, also those that join later.
        threads: Threads of the numerical libraries in each worker, and cores that a unit asks Ray for.

    Raises:
        MissingDependency: Ray is not installed.
        OptisolveError: The cluster cannot be reached.
        StaleWorker: A machine has other versions than the suite was planned with.
    """
    ray = load_ray()
    ours = connect(ray, address, None if workers is None else workers * threads)
    task = ray.remote(num_cpus=threads, max_retries=_ATTEMPTS - 1)(_carry_out)
    waiting = list(reversed(units))
    running: dict[Any, Unit] = {}
    try:
        while waiting or running:
            while waiting and len(running) < _window(ray, workers, threads):
                unit = waiting.pop()
                running[task.remote(unit, threads)] = unit
            done, _ = ray.wait(list(running), num_returns=1, timeout=1.0)
            for reference in done:
                yield _delivery(ray, reference, running.pop(reference))
    finally:
        for reference in running:
            ray.cancel(reference, force=True)
        if ours:
            ray.shutdown()


def _window(ray: Any, workers: int | None, threads: int) -> int:
    if workers is not None:
        return workers
    return _AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)) // threads)


def _delivery(ray: Any, reference: Any, unit: Unit) -> Delivery:
    """What a task brought back, or that its machine was lost too often."""
    try:
        delivery: Delivery = ray.get(reference)
    except ray.exceptions.RayTaskError as error:  # raised by our own code on the worker
        cause = error.cause
        if isinstance(cause, StaleWorker):
            raise StaleWorker(str(cause)) from None
        raise OptisolveError(f"A Ray worker cannot run units: {cause}") from error
    except ray.exceptions.RayError as error:
        detail = f"its worker was lost {_ATTEMPTS} times ({type(error).__name__})"
        return Delivery(unit.id, {}, Failure("lost", detail))
    return delivery


def _carry_out(unit: Unit, threads: int) -> Delivery:
    """Runs on the cluster; one child process per Ray worker, used again by the next unit."""
    return _worker(threads).run(unit, Path(tempfile.mkdtemp(prefix=f"optisolve-{unit.id}-")))


@cache
def _worker(threads: int) -> Worker:
    worker = Worker(threads)
    atexit.register(worker.close)
    return worker

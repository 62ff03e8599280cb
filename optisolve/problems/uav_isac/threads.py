"""Which kernel treats a batch: one thread or all of numba's.

Both kernels give the same bits, so the choice may depend on the clock. Threads pay from some ten microseconds of work, but
on a busy machine a thread that has lost its core stalls the others for milliseconds. Every threaded call is therefore
compared with what one thread would have needed, and after a loss threads rest until one thread has worked fifty times as
long as was lost: whatever the machine does, threads cost little more than two percent of the evaluation time. They are
first tried after half a second of such work; a shorter run would not even earn the start of the thread pool.

No fixed rule does as well. Batches of 1,024 with another process on one of two cores (`benchmarks/speed/uav_isac.py`), mean
microseconds a call: 671 on one thread, 775 by this rule, 36,526 with threads for every batch of that size; on an idle machine
threads halve the time, which one thread alone would never see.
"""

from __future__ import annotations

import os
import threading
import time

import numba

from optisolve.core.arrays import FloatArray
from optisolve.problems.uav_isac.kernel_data import A_DEG
from optisolve.problems.uav_isac.kernels import evaluate_parallel, evaluate_serial

__all__ = ["evaluate"]

_WORTH_S = 4e-5  # work below this stays on one thread; measured break-even of two threads is near 1e-5 s
_FIRST_REST_S = 0.5
_REST_PER_LOSS = 50.0
_LONGEST_REST_S = 5.0
_MEASURED_ROWS = 8  # smaller batches say little about the speed
_DRIFT = 1.02  # lets the estimate of one thread's speed forget a lucky measurement


class _Pace:
    """Speed of one thread, and how much it has to work before threads are tried again."""

    def __init__(self) -> None:
        self.lock = threading.Lock()  # numba's plain thread pool must not be entered twice
        self.seconds_per_row: dict[tuple[int, int, bool], float] = {}
        self.rest_s = _FIRST_REST_S
        self.usable = True

    def ban(self) -> None:
        """No threads in this process any more; a forked child would hang or abort in the parent's thread pool."""
        self.usable = False


_pace = _Pace()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pace.ban)


def evaluate(X: FloatArray, users: FloatArray, constants: FloatArray, F: FloatArray, G: FloatArray) -> None:
    """Evaluate a batch; arguments as in `kernels.evaluate_serial`."""
    n = X.shape[0]
    kind = (X.shape[1], users.shape[0], constants[A_DEG] > 0.0)
    estimate = _pace.seconds_per_row.get(kind)
    worth = estimate is not None and n * estimate > _WORTH_S
    if worth and _pace.usable and _pace.rest_s <= 0.0 and numba.get_num_threads() > 1 and _pace.lock.acquire(blocking=False):
        try:
            _threaded(X, users, constants, F, G, n * estimate)
        finally:
            _pace.lock.release()
        return
    compiled = bool(evaluate_serial.signatures)
    start = time.perf_counter()
    evaluate_serial(X, users, constants, F, G)
    took = time.perf_counter() - start
    if worth:
        _pace.rest_s -= took
    if compiled and n >= _MEASURED_ROWS:
        _pace.seconds_per_row[kind] = took / n if estimate is None else min(took / n, estimate * _DRIFT)


def _threaded(X: FloatArray, users: FloatArray, constants: FloatArray, F: FloatArray, G: FloatArray, alone_s: float) -> None:
    compiled = bool(evaluate_parallel.signatures)
    start = time.perf_counter()
    evaluate_parallel(X, users, constants, F, G)
    lost = time.perf_counter() - start - alone_s
    if not compiled:
        # numba's own pool starts too slowly to pay here, and two Python threads must never be in it at once
        _pace.usable = numba.threading_layer() != "workqueue"
    else:
        _pace.rest_s = min(_REST_PER_LOSS * lost, _LONGEST_REST_S)  # negative after a gain: no rest

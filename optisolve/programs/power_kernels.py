"""Hot loops of the skeletons for an interference channel; `power` holds the documentation.

Powers are shares of their caps and noise is 1; ``cross_t[j, i]`` is what receiver i hears of transmitter j at full power.
"""

from __future__ import annotations

import numpy as np

from optisolve.numerics.compiled import njit
from optisolve.numerics.elementary import log1p_inline
from optisolve.programs.interpreter import ascending, execute

__all__ = ["iterate_powers", "order_links"]

_MORE = 1.0 + 1e-12
"""Factor by which a move must raise the rate: less is rounding."""
_SETTLED = 1e-9

_kernel = njit(cache=True, nogil=True, error_model="numpy")


@_kernel
def _rate_if(own, cross_t, weight, on, heard, leaves, enters):  # type: ignore[no-untyped-def]
    """Sum rate, nat, when one link leaves those that are on and another one enters; -1 for none."""
    total = 0.0
    for i in range(own.size):
        if (on[i] > 0.0 and i != leaves) or i == enters:
            level = 1.0 + heard[i]
            if leaves >= 0:
                level -= cross_t[leaves, i]
            if enters >= 0:
                level += cross_t[enters, i]
            total += weight[i] * log1p_inline(own[i] / max(level, 1.0))
    return total


@_kernel
def _switch(cross_t, on, heard, leaves, enters):  # type: ignore[no-untyped-def]
    """Make the move; what is heard is added anew, so that no rounding piles up."""
    if leaves >= 0:
        on[leaves] = 0.0
    if enters >= 0:
        on[enters] = 1.0
    heard[:] = 0.0
    for j in range(on.size):
        if on[j] > 0.0:
            for i in range(on.size):
                heard[i] += cross_t[j, i]


@_kernel
def _tell_order(own, cross_t, weight, on, heard, rate, told, vectors, scalars):  # type: ignore[no-untyped-def]
    """Features of the order skeletons, those that are read; `heard` and `on` stand in `vectors` already."""
    n_links = own.size
    scalars[0] = on.sum()
    scalars[1] = n_links
    scalars[2] = rate
    if told[3]:
        for i in range(n_links):
            vectors[3, i] = 0.0
            for j in range(n_links):
                vectors[3, i] += cross_t[i, j] * on[j]
    if told[6]:
        for i in range(n_links):
            vectors[6, i] = 0.0
        for j in range(n_links):
            if on[j] > 0.0:
                level = 1.0 + heard[j]
                price = weight[j] * own[j] / (level * (level + own[j]))
                for i in range(n_links):
                    vectors[6, i] += price * cross_t[i, j]
    if told[7]:
        for i in range(n_links):
            if on[i] > 0.0:
                vectors[7, i] = _rate_if(own, cross_t, weight, on, heard, i, -1) - rate
            else:
                vectors[7, i] = _rate_if(own, cross_t, weight, on, heard, -1, i) - rate


@_kernel
def _insertion(own, cross_t, weight, on, heard, order, refused, best, refuses):  # type: ignore[no-untyped-def]
    """The best-scored link that raises the rate when it goes on, -1 for none; better-scored ones are refused from then on."""
    for place in range(own.size - 1, -1, -1):
        i = order[place]
        if on[i] == 0.0 and refused[i] == 0.0:
            if _rate_if(own, cross_t, weight, on, heard, -1, i) > best:
                return i
            if refuses:
                refused[i] = 1.0
    return -1


@_kernel
def _exchange(own, cross_t, weight, on, heard, order, best):  # type: ignore[no-untyped-def]
    """The worst-scored link that had better leave, and the best-scored one that enters for it; -1 for none."""
    n_links = own.size
    for place in range(n_links):
        i = order[place]
        if on[i] == 0.0:
            continue
        if _rate_if(own, cross_t, weight, on, heard, i, -1) > best:
            return i, -1
        for other in range(n_links - 1, -1, -1):
            j = order[other]
            if on[j] == 0.0 and _rate_if(own, cross_t, weight, on, heard, i, j) > best:
                return i, j
    return -1, -1


@_kernel
def _prepare(gain, weight, own, cross_t, matrix, vectors):  # type: ignore[no-untyped-def]
    """What does not change: gains, weights, interference with all links on; no link is on."""
    n_links = weight.size
    for i in range(n_links):
        own[i] = gain[i, i]
        vectors[0, i], vectors[1, i] = gain[i, i], weight[i]
        for j in range(n_links):
            through = 0.0 if i == j else gain[i, j]
            cross_t[j, i], matrix[i, j] = through, through
            vectors[4, i] += through
            vectors[5, j] += through


@_kernel
def order_links(gain, weight, instructions, numbers, told, exchange, rounds, registers, stack):  # type: ignore[no-untyped-def]
    """Switch links on in the order of a program's scores, then exchange some; see `power.Insertion` and `power.Exchange`.

    Args:
        gain: float64 [K, K], see `optisolve.numerics.wmmse.normalized_gain`.
        weight: float64 [K].
        instructions: int64 [n, 5].
        numbers: float64 [c].
        told: bool [9], vector features that the program reads.
        exchange: Whether links are removed and exchanged after the insertion.
        rounds: Removals and exchanges at most.
        registers: float64 [3, slot], zero, overwritten.
        stack: float64 [depth, slot], overwritten.

    Returns:
        float64 [K] in {0, 1}.
    """
    n_links = weight.size
    own, cross_t, refused = np.empty(n_links), np.empty((n_links, n_links)), np.zeros(n_links)
    matrices, vectors, scalars = np.empty((1, n_links, n_links)), np.zeros((9, n_links)), np.zeros(3)
    order, spare = np.empty(n_links, dtype=np.int64), np.empty(n_links, dtype=np.int64)
    on, heard = vectors[8], vectors[2]
    _prepare(gain, weight, own, cross_t, matrices[0], vectors)
    rate, inserting, left = 0.0, True, rounds if exchange else 0
    while inserting or left > 0:
        _tell_order(own, cross_t, weight, on, heard, rate, told, vectors, scalars)
        execute(instructions, numbers, scalars, vectors, matrices, registers, stack, n_links)
        ascending(stack[0], n_links, order, spare)
        leaves = -1
        enters = _insertion(own, cross_t, weight, on, heard, order, refused, rate * _MORE, inserting)
        if enters < 0 and inserting:
            inserting = False
            refused[:] = 0.0
            continue
        if enters < 0:
            leaves, enters = _exchange(own, cross_t, weight, on, heard, order, rate * _MORE)
            if leaves < 0:
                break
        left -= 0 if inserting else 1
        _switch(cross_t, on, heard, leaves, enters)
        rate = _rate_if(own, cross_t, weight, on, heard, -1, -1)
    return on.copy()


@_kernel
def iterate_powers(gain, weight, instructions, numbers, rounds, registers, stack):  # type: ignore[no-untyped-def]
    """Powers by repeated use of a program, from full power; the best of all steps; see `power.Update`.

    Args:
        gain: float64 [K, K], see `optisolve.numerics.wmmse.normalized_gain`.
        weight: float64 [K].
        instructions: int64 [n, 5].
        numbers: float64 [c].
        rounds: Steps at most.
        registers: float64 [3, slot], zero, overwritten.
        stack: float64 [depth, slot], overwritten.

    Returns:
        float64 [K] in [0, 1].
    """
    n_links = weight.size
    matrices, vectors, scalars = np.empty((1, n_links, n_links)), np.zeros((11, n_links)), np.zeros(3)
    power, own, signal, heard, sinr = vectors[0], vectors[1], vectors[3], vectors[4], vectors[5]
    each, price, pressure, slope, kept = vectors[6], vectors[7], vectors[8], vectors[9], vectors[10]
    for i in range(n_links):
        own[i], vectors[2, i], power[i], kept[i] = gain[i, i], weight[i], 1.0, 1.0
        for j in range(n_links):
            matrices[0, i, j] = 0.0 if i == j else gain[i, j]
    cross = matrices[0]
    best = -1.0
    for step in range(rounds + 1):
        rate = 0.0
        for i in range(n_links):
            heard[i] = 0.0
            for j in range(n_links):
                heard[i] += cross[i, j] * power[j]
            level = 1.0 + heard[i]
            signal[i] = own[i] * power[i]
            sinr[i] = signal[i] / level
            each[i] = log1p_inline(sinr[i])
            price[i] = weight[i] * signal[i] / (level * (level + signal[i]))
            rate += weight[i] * each[i]
            pressure[i] = 0.0
        if rate > best:
            best = rate
            kept[:] = power
        if step == rounds:
            break
        for j in range(n_links):
            for i in range(n_links):
                pressure[i] += price[j] * cross[j, i]
        for i in range(n_links):
            slope[i] = weight[i] * own[i] / (1.0 + heard[i] + signal[i]) - pressure[i]
        scalars[0], scalars[1], scalars[2] = step / rounds, n_links, rate
        execute(instructions, numbers, scalars, vectors, matrices, registers, stack, n_links)
        moved = 0.0
        for i in range(n_links):
            new = min(max(stack[0, i], 0.0), 1.0)
            moved = max(moved, abs(new - power[i]))
            power[i] = new
        if moved < _SETTLED and step > 2:
            break
    return kept.copy()

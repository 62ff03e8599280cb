"""Equations of computation offloading in readable numpy; verification runs on these.

Task i has s_i bits and c_i cycles. Locally it costs time c/f and energy kappa f^2 c; on server s it costs time and
energy of the upload, s_i/r_is and P_t s_i/r_is, and of waiting while a share y of the server's F_s cycles per second
works on it, c/(F_s y) with idle power P_I:

    L_i    = alpha_i c_i/f_i + beta_i kappa f_i^2 c_i,              beta_i = 1 - alpha_i
    A_is   = (alpha_i + beta_i P_t) s_i / r_is
    b_is^2 = (alpha_i + beta_i P_I) c_i / F_s
    cost   = sum_local L_i + sum_offloaded (A_is + b_is^2 / y_i),   sum of the shares on one server <= 1

Source: the generator of DiffSG (arXiv 2408.06701), where L, A, b^2 are called local, transmission and execution cost.
For a fixed offload set the best shares are y_i = b_i / sum b, hence cost = sum L + sum A + (sum b)^2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import BoolArray, FloatArray, IntArray
from optisolve.numerics.server_sharing import Tasks

__all__ = ["Costs", "cost_and_violation", "costs", "repair_shares", "shares_of_set", "user_costs"]


@dataclass(frozen=True, eq=False, slots=True)
class Costs(Tasks):
    """Everything the equations need, derived once from the arrays; floors are above 1 where a deadline cannot be kept.

    Attributes:
        local_delay_s: float64 [N], c/f.
        upload_s: float64 [N, S], s/r.
        compute_s: float64 [N, S], c/F, at the full server.
        deadline_s: float64 [N].
    """

    local_delay_s: FloatArray
    upload_s: FloatArray
    compute_s: FloatArray
    deadline_s: FloatArray


def costs(arrays: Mapping[str, FloatArray], *, share_min: float, hard_deadlines: bool, slack: float = 0.0) -> Costs:
    """Derive the cost terms; see the module's equations.

    With a slack they are those of the relaxed problem, whose servers have 1 + slack to share and whose deadlines are longer
    by that factor, written in shares of the whole: y / (1 + slack).

    Args:
        arrays: The instance's arrays, by name.
        share_min: Smallest share of a server that an offloaded task may get, dimensionless.
        hard_deadlines: Deadlines are constraints; they raise the floors of the shares.
        slack: Violation of every constraint that is allowed for, dimensionless.
    """
    a = arrays
    deadline, whole = a["deadline_s"] * (1.0 + slack), 1.0 + slack
    alpha = a["time_weight"]  # [N]
    beta = 1.0 - alpha
    local_delay = a["cycles"] / a["local_hz"]  # [N], s
    local = alpha * local_delay + beta * a["kappa"] * a["local_hz"] ** 2 * a["cycles"]
    upload = a["task_bits"][:, None] / a["rate_bps"]  # [N, S], s
    compute = a["cycles"][:, None] / a["server_hz"][None, :]  # [N, S], s
    floor = np.full(upload.shape, share_min)
    if hard_deadlines:
        left = deadline[:, None] - upload
        needed = np.where(left > 0.0, compute / np.where(left > 0.0, left, 1.0), np.inf)
        floor = np.maximum(floor, needed)
    return Costs(
        local=local,
        transmit=(alpha + beta * a["tx_power_w"])[:, None] * upload,
        root=np.sqrt((alpha + beta * a["idle_power_w"])[:, None] * compute / whole),
        local_delay_s=local_delay,
        upload_s=upload,
        compute_s=compute,
        deadline_s=deadline,
        share_floor=floor / whole,
        local_allowed=(local_delay <= deadline) if hard_deadlines else np.ones(local.size, dtype=bool),
    )


def user_costs(c: Costs, server: IntArray, share: FloatArray) -> FloatArray:
    """Cost of every user.

    Args:
        c: Cost terms.
        server: int64 [n, N], 0 = local, s = server s.
        share: float64 [n, N], share of that server's processor.

    Returns:
        float64 [n, N].
    """
    users = np.arange(c.local.size)
    s = np.maximum(server - 1, 0)  # [n, N]
    offloaded = c.transmit[users, s] + c.root[users, s] ** 2 / share
    return np.where(server > 0, offloaded, c.local)


def cost_and_violation(c: Costs, server: IntArray, share: FloatArray, hard_deadlines: bool) -> tuple[FloatArray, FloatArray]:
    """Total cost and constraints.

    Args:
        c: Cost terms.
        server: int64 [n, N], 0 = local.
        share: float64 [n, N].
        hard_deadlines: Append one column per user.

    Returns:
        Cost float64 [n] and G float64 [n, S (+ N)]: used share of each server less 1, then delay / deadline - 1.
    """
    used = np.stack([np.where(server == s + 1, share, 0.0).sum(axis=1) for s in range(c.transmit.shape[1])], axis=1)
    G = used - 1.0
    if hard_deadlines:
        users = np.arange(c.local.size)
        s = np.maximum(server - 1, 0)
        delay = np.where(server > 0, c.upload_s[users, s] + c.compute_s[users, s] / share, c.local_delay_s)  # [n, N], s
        G = np.concatenate([G, delay / c.deadline_s - 1.0], axis=1)
    return user_costs(c, server, share).sum(axis=1), G


def shares_of_set(root: FloatArray, floor: FloatArray) -> FloatArray | None:
    """The best shares of the users on one server: min sum b_i^2 / y_i, sum y <= 1, y_i >= floor_i.

    Without active floors y_i = b_i / sum b (Cauchy-Schwarz). A user below its floor is fixed there and the rest is
    shared again; fixing only shrinks what the others get, so nobody has to be released (KKT).

    Args:
        root: float64 [k], b.
        floor: float64 [k].

    Returns:
        float64 [k] adding up to 1 (to less when no cost depends on them), or None when the floors alone need more than
        the server.
    """
    if floor.sum() > 1.0:
        return None
    fixed = np.zeros(root.size, dtype=bool)
    share = np.zeros(root.size)
    while True:
        share[fixed] = floor[fixed]
        rest = 1.0 - floor[fixed].sum()
        total = root[~fixed].sum()
        if total > 0.0:
            share[~fixed] = rest * root[~fixed] / total
        else:  # nobody left whose cost depends on the share
            share[~fixed] = floor[~fixed]
        below = ~fixed & (share < floor)
        if not below.any():
            return share
        fixed |= below


def repair_shares(share: FloatArray, floor: FloatArray, member: BoolArray) -> FloatArray:
    """Euclidean projection of every row onto {y >= floor, sum of the members' y <= 1}, for floors that fit.

    Args:
        share: float64 [n, N].
        floor: float64 [n, N].
        member: bool [n, N], users on the server at hand; the others keep their value.

    Returns:
        float64 [n, N]. Rows whose members' floors add up to more than 1 end at their floors.
    """
    raised = np.where(member, np.maximum(share, floor), 0.0)
    over = raised.sum(axis=1) > 1.0  # [n]
    above = np.where(member, share - floor, -np.inf)  # project onto the simplex {z >= 0, sum z = budget}
    budget = np.maximum(0.0, 1.0 - np.where(member, floor, 0.0).sum(axis=1))[:, None]  # [n, 1]
    ordered = -np.sort(-above, axis=1)
    finite = np.isfinite(ordered)
    excess = np.cumsum(np.where(finite, ordered, 0.0), axis=1) - budget  # [n, N]
    rank = np.arange(1, share.shape[1] + 1)
    kept = (finite & (np.where(finite, ordered, 0.0) * rank > excess)).sum(axis=1)  # [n], size of the support
    last = np.maximum(kept, 1) - 1
    cut = excess[np.arange(last.size), last] / (last + 1)
    lowered = floor + np.maximum(np.where(member, share - floor, 0.0) - cut[:, None], 0.0)
    return np.where(member, np.where(over[:, None], lowered, raised), share)

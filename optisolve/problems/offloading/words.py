"""What people and language models are told about an `offloading` instance."""

from __future__ import annotations

import numpy as np

from optisolve.core.problem import Description
from optisolve.problems.offloading.model import Costs

__all__ = ["describe"]

_SERVERS = 3
"""Servers listed per user; of more, the cheapest ones for that user are."""
_USERS = 60


def describe(costs: Costs, *, hard_deadlines: bool) -> Description:
    """The tasks in words.

    Args:
        costs: Cost terms of the instance.
        hard_deadlines: Deadlines are constraints.
    """
    n_users, n_servers = costs.transmit.shape
    constraints = ["The shares of the tasks on one server add up to at most 1."]
    facts = [_user(costs, i, hard_deadlines) for i in range(min(n_users, _USERS))]
    if n_servers > _SERVERS:
        facts.append(f"Only the {_SERVERS} cheapest of {n_servers} servers are listed for every user.")
    if n_users > _USERS:
        facts.append(f"Users {_USERS} to {n_users - 1} are not listed.")
    hints = [
        "A user's cost is its local cost, or upload + execution / share on a server; the share of a local user has no effect.",
        "For given choices the best share of a task is proportional to the square root of its execution cost, and shares on "
        "a used server add up to 1.",
        "Offload first where local cost less upload cost is large against that root. Every further task on a server takes "
        "share from the others there, so tasks with little to gain should stay local.",
    ]
    if n_servers > 1:
        hints.append("Moving a task from a crowded server to an empty one helps unless its upload there is much dearer.")
    if hard_deadlines:
        constraints.append("Every task ends before its deadline, wherever it runs.")
        hints.append("A deadline sets a smallest share on every server; where that exceeds 1 the server is no choice.")
    return Description(
        "Each user's task runs on its own device (server 0) or on an edge server, where it gets a share of the "
        "processor. Every offloaded task slows the others on that server, so the choice is combinatorial.",
        tuple(constraints),
        tuple(facts),
        tuple(hints),
    )


def _user(costs: Costs, i: int, hard_deadlines: bool) -> str:
    best = np.sort(np.argsort(costs.transmit[i] + costs.root[i] ** 2, kind="stable")[:_SERVERS])
    told = []
    for s in best.tolist():
        text = f"server{s + 1}: upload {costs.transmit[i, s]:.4g}, execution {costs.root[i, s] ** 2:.4g} / share"
        if hard_deadlines:
            floor = costs.share_floor[i, s]
            text += f", smallest share {floor:.3g}" if floor <= 1.0 else ", misses its deadline"
        told.append(text)
    local = f"local cost {costs.local[i]:.4g}"
    if hard_deadlines and not costs.local_allowed[i]:
        local += " (misses its deadline)"
    return f"user{i}: {local}; " + "; ".join(told)

"""One concrete offloading case."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import BoolArray, FloatArray, IntArray
from optisolve.core.bridge import Bridge
from optisolve.core.problem import Description, Evaluation, Instance, Objective, Origin, Sense
from optisolve.core.space import Kind, Space, Variable
from optisolve.problems.offloading import model
from optisolve.problems.offloading.model import Costs

if TYPE_CHECKING:
    import torch

__all__ = ["OffloadingInstance"]

_NEGLIGIBLE = 1e-3
"""Share of the users' cheapest places together below which differences count little: smallest scale of gaps."""


class OffloadingInstance(Instance):
    """Tasks, servers and rates; the decision is a server (0 = local) and a processor share per user.

    The point is float64 [2N]: ``user0.server ...`` first, then ``user0.share ...``. The share of a local user has no
    effect. Solvers may use the attributes below.

    Args:
        origin: How to make this instance again.
        arrays: Checked arrays, see `Offloading.ARRAYS`.
        share_min: Smallest share of an offloaded task.
        hard_deadlines: Deadlines are constraints.

    Attributes:
        costs: Cost terms, see `model.Costs`.
        n_users: N.
        n_servers: S.
    """

    def __init__(self, origin: Origin, arrays: Mapping[str, FloatArray], *, share_min: float, hard_deadlines: bool) -> None:
        self._arrays = dict(arrays)
        self.hard_deadlines = hard_deadlines
        self.share_min = share_min
        self.costs = model.costs(arrays, share_min=share_min, hard_deadlines=hard_deadlines)
        self.n_users, self.n_servers = arrays["rate_bps"].shape
        kind = Kind.BINARY if self.n_servers == 1 else Kind.INTEGER
        users = range(self.n_users)
        super().__init__(
            origin=origin,
            space=Space.of(
                [
                    *(Variable(f"user{i}.server", 0.0, float(self.n_servers), kind=kind) for i in users),
                    *(Variable(f"user{i}.share", share_min, 1.0) for i in users),
                ]
            ),
            objectives=(
                Objective(
                    "cost",
                    Sense.MINIMIZE,
                    "s+J",
                    meaning="weighted time and energy summed over all users",
                    axis="Weighted time and energy",
                    scale=_NEGLIGIBLE * self._least_cost(),
                ),
            ),
            constraint_names=(
                *(f"server{s + 1}.share" for s in range(self.n_servers)),
                *((f"user{i}.deadline" for i in users) if hard_deadlines else ()),
            ),
        )

    @property
    def local_cost(self) -> FloatArray:
        """Of every user at home, float64 [N], s+J."""
        return self.costs.local

    @property
    def transmit_cost(self) -> FloatArray:
        """Of sending every task to every server, float64 [N, S], s+J."""
        return self.costs.transmit

    @property
    def root_cost(self) -> FloatArray:
        """Root of the cost of running every task alone on every server, float64 [N, S]."""
        return self.costs.root

    @property
    def share_floor(self) -> FloatArray:
        """Smallest share of every task on every server, float64 [N, S]; above 1 where its deadline cannot be kept."""
        return self.costs.share_floor

    @property
    def local_allowed(self) -> BoolArray:
        """Whether a task keeps its deadline at home, bool [N]."""
        return self.costs.local_allowed

    def _least_cost(self) -> float:
        """What no point can be below, every user alone at its cheapest place; where that costs nothing, the dearest place."""
        alone = np.column_stack([self.costs.local, self.costs.transmit + self.costs.root**2])  # [N, S + 1]
        return float(alone.min(axis=1).sum() or alone.max() or 1.0)

    def relaxed_costs(self, slack: float) -> model.Costs:
        """Cost terms with every constraint relaxed, see `model.costs`; for bounds that hold for all verified points."""
        return model.costs(self._arrays, share_min=self.share_min, hard_deadlines=self.hard_deadlines, slack=slack)

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """The arrays of `Offloading.ARRAYS`."""
        return self._arrays

    def features(self) -> Mapping[str, npt.NDArray[Any]]:
        """The cost terms: ``local`` [N], ``transmit`` [N, S], ``execute`` = b^2 [N, S]; for n = 3 the 9 numbers of DiffSG."""
        found = {"local": self.costs.local, "transmit": self.costs.transmit, "execute": self.costs.root**2}
        if self.hard_deadlines:
            found["local_delay_ratio"] = self.costs.local_delay_s / self.costs.deadline_s
            found["upload_ratio"] = self.costs.upload_s / self.costs.deadline_s[:, None]
            found["compute_ratio"] = self.costs.compute_s / self.costs.deadline_s[:, None]
        return found

    def complete(self, servers: npt.ArrayLike) -> FloatArray:
        """The point with given servers and the best shares for them.

        Args:
            servers: [N], 0 = local.

        Returns:
            float64 [2N]. Where the floors of a server's users do not fit, its shares are the floors scaled down.
        """
        choice = np.asarray(servers, dtype=np.int64)
        share = np.full(self.n_users, self.share_min)
        for s in range(self.n_servers):
            on = np.flatnonzero(choice == s + 1)
            if on.size:
                floor = self.costs.share_floor[on, s]
                best = model.shares_of_set(self.costs.root[on, s], floor)
                share[on] = np.minimum(floor, 1.0) / max(1.0, np.minimum(floor, 1.0).sum()) if best is None else best
        point: FloatArray = self.space.clip(np.concatenate([choice.astype(np.float64), share])[None, :])[0]
        return point

    def describe(self) -> Description:
        """The instance in words."""
        return _in_words(self.costs, hard_deadlines=self.hard_deadlines)

    def null_policies(self) -> Mapping[str, FloatArray]:
        """``all_local``, ``all_offload_equal``, ``best_single`` and, under deadlines, ``only_who_must``."""
        n = self.n_users
        nearest = 1 + np.argmax(self._arrays["rate_bps"], axis=1)  # [N]
        crowd = np.bincount(nearest, minlength=self.n_servers + 1)
        policies = {
            "all_local": self.complete(np.zeros(n)),
            "all_offload_equal": self.space.clip(np.concatenate([nearest, 1.0 / crowd[nearest]])[None, :])[0],
            "best_single": self.complete(self._best_single()),
        }
        if self.hard_deadlines:
            must = np.where(self.costs.local_allowed, 0, 1 + np.argmin(self.costs.share_floor, axis=1))
            policies["only_who_must"] = self.project(np.concatenate([must, np.full(n, 1.0 / n)]))[0]
        return {name: x[None, :] for name, x in policies.items()}

    def _best_single(self) -> IntArray:
        """Nobody or the one user who gains most alone, int64 [N]."""
        choice = np.zeros(self.n_users, dtype=np.int64)
        gain = self.costs.local[:, None] - self.costs.transmit - self.costs.root**2  # [N, S]
        i, s = np.unravel_index(int(np.argmax(gain)), gain.shape)
        if gain[i, s] > 0.0:
            choice[i] = s + 1
        return choice

    def model(self, dialect: str) -> Any:
        """A CP-SAT model for ``"cpsat"``; None for the others (the cost is quadratic in binary variables)."""
        if dialect != "cpsat":
            return None
        from optisolve.problems.offloading.forms import VERIFIED, cpsat_form

        trivial = self.evaluate_twin(np.concatenate(list(self.null_policies().values())))
        known = float(np.where(trivial.violation <= 0.0, trivial.F[:, 0], np.inf).min())
        return cpsat_form(self.relaxed_costs(VERIFIED), known, self.complete, hard_deadlines=self.hard_deadlines)

    def bridge(self) -> Bridge:
        """What a sampler must know about this family."""
        from optisolve.problems.offloading.sampling import OffloadingBridge

        return OffloadingBridge()

    def objective_torch(self, x: torch.Tensor) -> torch.Tensor:
        """Cost of a batch as a differentiable torch expression.

        Args:
            x: [n, 2N]. Servers may be fractions for one server: cost is linear in the choice then; with several servers
                they are rounded and only the shares carry a gradient.

        Returns:
            [n, 1], the same values as the numpy twin at whole choices.
        """
        from optisolve.problems.offloading.sampling import cost_of

        return cost_of(self.costs, x)

    # -- evaluation ----------------------------------------------------------------------------------------------

    def _evaluate(self, X: FloatArray) -> Evaluation:
        from optisolve.problems.offloading.kernels import evaluate

        c, n = self.costs, X.shape[0]
        F, G = np.empty((n, 1)), np.empty((n, len(self.constraint_names)))
        evaluate(
            X, c.local, c.transmit, c.root, c.local_delay_s, c.upload_s, c.compute_s, c.deadline_s, self.hard_deadlines, F, G
        )
        return Evaluation(F, G, np.empty((n, 0)))

    def _evaluate_twin(self, X: FloatArray) -> Evaluation:
        server, share = X[:, : self.n_users].astype(np.int64), X[:, self.n_users :]
        cost, G = model.cost_and_violation(self.costs, server, share, self.hard_deadlines)
        return Evaluation(cost[:, None], G, np.empty((X.shape[0], 0)))

    def _project(self, X: FloatArray) -> FloatArray:
        """Keep the choices where possible, then project the shares of every server onto what is allowed."""
        n = self.n_users
        if self.hard_deadlines:
            for row in X:
                row[:n] = self._repair_choice(row[:n].astype(np.int64))
        choice = X[:, :n].astype(np.int64)
        share = np.where(choice > 0, X[:, n:], self.share_min)
        for s in range(self.n_servers):
            floor = np.broadcast_to(np.minimum(self.costs.share_floor[:, s], 1.0), share.shape)
            share = model.repair_shares(share, floor, choice == s + 1)
        X[:, n:] = share
        return self.space.clip(X)

    def _repair_choice(self, choice: IntArray) -> IntArray:
        """Move users whose deadline cannot hold where they are; exact for one server, greedy for several."""
        floor, local_ok = self.costs.share_floor, self.costs.local_allowed
        users = np.arange(self.n_users)
        here = np.where(choice > 0, floor[users, np.maximum(choice - 1, 0)], 0.0)
        lost = (choice == 0) & ~local_ok | (here > 1.0)
        choice[lost] = np.where(local_ok, 0, 1 + np.argmin(floor, axis=1))[lost]
        for s in range(self.n_servers):
            while floor[choice == s + 1, s].sum() > 1.0:
                on = np.flatnonzero(choice == s + 1)
                movable = on[local_ok[on]]
                if movable.size:
                    choice[movable[np.argmax(floor[movable, s])]] = 0
                    continue
                room = np.array([1.0 - floor[choice == t + 1, t].sum() for t in range(self.n_servers)])
                fits = floor[on] <= room  # [k, S]; the own server has no room
                fits[:, s] = False
                if not fits.any():
                    break  # the verifier will call the point infeasible
                k, t = (int(v) for v in np.argwhere(fits)[0])
                choice[on[k]] = t + 1
        return choice


_SERVERS = 3
"""Servers listed per user; of more, the cheapest ones for that user are."""
_USERS = 60


def _in_words(costs: Costs, *, hard_deadlines: bool) -> Description:
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

"""Hot loop of computation offloading in numba; `model` holds the same equations as readable numpy."""

from __future__ import annotations

from optisolve.numerics.interpreted import njit_once_it_pays

__all__ = ["evaluate"]


@njit_once_it_pays(lambda X, *_: 2.0 * X.size, error_model="numpy")
def evaluate(X, local, transmit, root, local_delay_s, upload_s, compute_s, deadline_s, hard, F, G):  # type: ignore[no-untyped-def]
    """Cost and constraints of a batch, see `model.cost_and_violation`.

    Args:
        X: float64 [n, 2N], servers then shares.
        local: float64 [N]; the following arrays as in `model.Costs`.
        hard: bool, append the deadline columns.
        F: float64 [n, 1], written.
        G: float64 [n, S (+ N)], written.
    """
    n_users, n_servers = transmit.shape
    for row in range(X.shape[0]):
        total = 0.0
        for s in range(n_servers):
            G[row, s] = -1.0
        for i in range(n_users):
            choice = int(X[row, i])
            if choice == 0:
                total += local[i]
                if hard:
                    G[row, n_servers + i] = local_delay_s[i] / deadline_s[i] - 1.0
                continue
            s = choice - 1
            share = X[row, n_users + i]
            total += transmit[i, s] + root[i, s] * root[i, s] / share
            G[row, s] += share
            if hard:
                G[row, n_servers + i] = (upload_s[i, s] + compute_s[i, s] / share) / deadline_s[i] - 1.0
        F[row, 0] = total

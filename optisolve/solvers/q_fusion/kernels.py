"""Q-learning on a table in numba."""

from __future__ import annotations

from typing import Any

from optisolve.numerics.compiled import njit

__all__ = ["learn"]


@njit(cache=True, nogil=True)
def learn(
    reward: Any, ends: Any, table: Any, starts: Any, U: Any, learning_rate: float, exploration: float, discount: float, Q: Any
) -> int:
    """Some episodes of Q-learning; ties among best moves are broken at random.

    Args:
        reward: float64 [cells, moves].
        ends: bool [cells], where an episode ends.
        table: int64 [cells, moves], where moves lead.
        starts: int64 [episodes].
        U: float64 [episodes, steps, 2], uniform: explore or not, which move.
        learning_rate: Step size.
        exploration: Chance of a random move.
        discount: Of later rewards.
        Q: float64 [cells, moves], updated.

    Returns:
        Moves made.
    """
    n_moves, count = Q.shape[1], 0
    for e in range(starts.size):
        cell = starts[e]
        for t in range(U.shape[1]):
            move = int(U[e, t, 1] * n_moves)
            if U[e, t, 0] >= exploration:
                best, ties = Q[cell].max(), 0
                for a in range(n_moves):
                    ties += Q[cell, a] == best
                wanted = int(U[e, t, 1] * ties)
                for a in range(n_moves):
                    if Q[cell, a] == best:
                        if wanted == 0:
                            move = a
                            break
                        wanted -= 1
            following = table[cell, move]
            ahead = 0.0 if ends[following] else Q[following].max()
            Q[cell, move] += learning_rate * (reward[cell, move] + discount * ahead - Q[cell, move])
            count += 1
            cell = following
            if ends[cell]:
                break
    return count

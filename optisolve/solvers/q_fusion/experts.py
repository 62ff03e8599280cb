"""Tabular experts of a grid world, one per primitive intent: trained by Q-learning or computed by value iteration.

An expert knows its own reward only. Its task ends where its intent is fulfilled, and ``avoid_trap`` never ends but in a trap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import BoolArray, FloatArray, IntArray
from optisolve.numerics.grid_world import GridWorld

__all__ = ["Expert", "expert_names", "joint_values", "make_experts", "successor_values"]

DISCOUNT = 0.95
TRAP_REWARD = -20.0
"""Reward for stepping on a trap, in moves."""
_BLOCK = 100
"""Episodes whose random numbers are drawn at once."""


@dataclass(frozen=True, eq=False, slots=True)
class Expert:
    """One expert.

    Attributes:
        name: Its intent, e.g. ``"get_prize_1"``.
        Q: float64 [cells, 5], action values.
        transitions: Moves that it was trained on; 0 when it was computed.
    """

    name: str
    Q: FloatArray
    transitions: int


def expert_names(world: GridWorld) -> list[str]:
    """Names of the experts of a grid: ``avoid_trap``, one per prize, ``go_goal``."""
    return ["avoid_trap", *(f"get_prize_{i + 1}" for i in range(world.prizes.size)), "go_goal"]


def target_of(name: str, world: GridWorld) -> int | None:
    """Cell that fulfils an expert's intent; None for ``avoid_trap``."""
    if name == "avoid_trap":
        return None
    return world.goal if name == "go_goal" else int(world.prizes[int(name.rpartition("_")[2]) - 1])


def _rewards(name: str, world: GridWorld, table: IntArray) -> tuple[FloatArray, BoolArray]:
    """Reward of every move, float64 [cells, 5], and where an expert's task ends, bool [cells]."""
    target = target_of(name, world)
    if target is None:
        return np.where(world.traps[table], TRAP_REWARD, 0.0), world.traps
    ends = np.zeros(world.size, dtype=bool)
    ends[target] = True
    return np.full(table.shape, -1.0), ends


def make_experts(
    world: GridWorld, *, training: str, episodes: int, learning_rate: float, exploration: float, rng: np.random.Generator
) -> list[Expert]:
    """Experts of a grid in the order of `expert_names`.

    Args:
        world: The grid.
        training: ``"q_learning"`` or ``"value_iteration"``.
        episodes: Episodes per expert; each starts in a random cell and takes at most twice as many moves as there are cells.
        learning_rate: Of Q-learning.
        exploration: Chance of a random move.
        rng: Where the draws come from.
    """
    table = world.next_cells()
    made = []
    for name in expert_names(world):
        reward, ends = _rewards(name, world, table)
        if training == "value_iteration":
            made.append(Expert(name, _iterated(reward, ends, table), 0))
        else:
            made.append(Expert(name, *_learned(reward, ends, table, episodes, learning_rate, exploration, rng)))
    return made


def _iterated(reward: FloatArray, ends: BoolArray, table: IntArray) -> FloatArray:
    Q = np.zeros(table.shape)
    for _ in range(10_000):
        value = np.where(ends, 0.0, Q.max(axis=1))
        following = reward + DISCOUNT * value[table]
        if np.abs(following - Q).max() < 1e-12:
            break
        Q = following
    return Q


def _learned(
    reward: FloatArray,
    ends: BoolArray,
    table: IntArray,
    episodes: int,
    learning_rate: float,
    exploration: float,
    rng: np.random.Generator,
) -> tuple[FloatArray, int]:
    """Q-learning; optimistic zeros make it explore by itself."""
    from optisolve.solvers.q_fusion.kernels import learn

    Q, count, starts = np.zeros(table.shape), 0, np.flatnonzero(~ends)
    while episodes > 0:
        size = min(_BLOCK, episodes)
        first = starts[rng.integers(starts.size, size=size)]
        U = rng.random((size, 2 * table.shape[0], 2))
        count += int(learn(reward, ends, table, first, U, learning_rate, exploration, DISCOUNT, Q))
        episodes -= size
    return Q, count


def joint_values(world: GridWorld, stage: Sequence[str]) -> FloatArray:
    """Action values of one new expert for a whole stage, by value iteration: the control that needs no fusion.

    Its reward is -1 per move and the trap's reward beside it where the stage wants traps avoided; it ends at a target of the
    stage or in a trap that counts.

    Args:
        world: The grid.
        stage: Names of the experts that the stage employs.

    Returns:
        float64 [cells, 5].
    """
    table, careful = world.next_cells(), "avoid_trap" in stage
    ends = world.traps & careful
    ends[[target for name in stage if (target := target_of(name, world)) is not None]] = True
    reward = -1.0 + np.where(world.traps[table] & careful, TRAP_REWARD, 0.0)
    return _iterated(reward, ends, table)


def successor_values(experts: Sequence[Expert], world: GridWorld, stage: Sequence[str]) -> FloatArray:
    """Values of the experts' own policies under the compound reward of a stage: ``Q_i = psi_i . w``.

    Features of a move are (1 per move, stepping on a trap, arriving at each target of the stage); psi_i is their expected
    discounted sum when expert i goes on after the move. The stage's reward weighs them with (-1, the trap's reward, 0), and a
    walk ends at a target of the stage or in a trap.

    Args:
        experts: All experts.
        world: The grid.
        stage: Names of the experts that the stage employs.

    Returns:
        float64 [n, cells, 5], one block per expert of the stage.

    Source:
        Barreto et al. 2017, arXiv 1606.05312.
    """
    table, traps = world.next_cells(), world.traps
    named = {expert.name: expert for expert in experts}
    targets = [target for name in stage if (target := target_of(name, world)) is not None]
    ends = traps.copy()
    ends[targets] = True
    features = np.stack([np.ones(table.shape), traps[table].astype(np.float64)], axis=-1)  # [cells, 5, 2]
    preference = np.array([-1.0, TRAP_REWARD if "avoid_trap" in stage else 0.0])
    values = []
    for name in stage:
        policy = named[name].Q.argmax(axis=1)  # [cells]
        psi = np.zeros(features.shape)
        for _ in range(2 * world.size):
            ahead = psi[np.arange(world.size), policy] * ~ends[:, None]  # [cells, 2]
            psi = features + DISCOUNT * ahead[table]
        values.append(psi @ preference)
    return np.stack(values)

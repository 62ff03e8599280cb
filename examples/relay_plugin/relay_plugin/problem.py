"""Where to put one relay so that the worst user hears it best."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt

from optisolve.core import Description, Evaluation, Instance, Objective, Problem, Sense, Space, Variable
from optisolve.core.arrays import frozen
from optisolve.core.bridge import Bridge
from optisolve.core.seeds import generator


@dataclass(frozen=True)
class Relay(Problem):
    """One relay in a square, K users, free-space path loss.

    Args:
        n_users: Number of users K.
        area_m: Side of the square, m.
        height_m: Height of the relay, m.
    """

    name: ClassVar[str] = "relay"
    version: ClassVar[str] = "1"
    summary: ClassVar[str] = "Place one relay so that the worst user's path loss is smallest."

    n_users: Annotated[int, Ge(1)] = 6
    area_m: Annotated[float, Gt(0)] = 1000.0
    height_m: Annotated[float, Gt(0)] = 50.0

    def instance(self, seed: int = 0) -> "RelayInstance":
        """Users drawn uniformly by the seed."""
        users = generator(seed, problem=self.name, purpose="users").uniform(0, self.area_m, (self.n_users, 2))
        return RelayInstance(self, users, seed)


class RelayInstance(Instance):
    """One layout of users."""

    def __init__(self, problem: Relay, users_m: np.ndarray, seed: int) -> None:
        self.users_m, self.height_m, self.area_m = frozen(users_m), problem.height_m, problem.area_m
        super().__init__(
            origin=problem.origin(seed),
            space=Space.of(Variable(f"relay.{axis}_m", 0.0, problem.area_m, "m") for axis in "xy"),
            objectives=(Objective("worst_gain", Sense.MAXIMIZE, "dB", "channel gain of the user that hears the relay worst"),),
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """What defines this instance."""
        return {"users_m": self.users_m}

    def describe(self) -> Description:
        """For people and language models."""
        return Description(
            f"Place one relay in a square of {self.area_m:g} m so that the farthest user is as near as possible."
        )

    def null_policies(self) -> dict[str, np.ndarray]:
        """The obvious answer to beat: the centroid."""
        return {"centroid": self.users_m.mean(axis=0, keepdims=True)}

    def bridge(self) -> Bridge:
        """The capability `Samplable`: a diffusion sampler can be trained on relays."""
        from relay_plugin.sampling import RelayBridge

        return RelayBridge()

    def _evaluate(self, X: np.ndarray) -> Evaluation:
        distance2 = ((X[:, None, :] - self.users_m) ** 2).sum(axis=2) + self.height_m**2  # [n, K]
        F = -10.0 * np.log10(distance2.max(axis=1, keepdims=True))
        return Evaluation(F, np.empty((X.shape[0], 0)), np.empty((X.shape[0], 0)))

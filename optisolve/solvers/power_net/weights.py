"""The weights of `power_net`: where they are, and the network that they make."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

from optisolve.content import content_dir, named_file
from optisolve.core.errors import SolverError
from optisolve.solvers.ddpm.weights import WEIGHTS_FILE, Weights, load_weights
from optisolve.solvers.power_net.forward import Network, network_of

__all__ = ["KIND", "Trained", "is_shipped", "trained"]

KIND = "PowerNetwork"
"""Class of the network, as ``config.json`` names it."""
FAMILY = "power_control"


class Trained(NamedTuple):
    """A network with its papers.

    Attributes:
        network: It.
        papers: Name, hash and card of its weights.
    """

    network: Network
    papers: Weights


def is_shipped(name: str) -> bool:
    """True for the name of the weights that come with optisolve."""
    return name == "auto"


def trained(name: str) -> Trained:
    """The network of some weights; read anew when the file has changed.

    Args:
        name: ``auto`` for the shipped weights, or a folder.

    Raises:
        SolverError: There are no such weights, or they are of another network.
    """
    if is_shipped(name):
        return _shipped()
    file = named_file(name, "power_net.weights") / WEIGHTS_FILE
    if not file.is_file():
        raise SolverError(
            f"power_net.weights = '{name}', which holds no {WEIGHTS_FILE}; expected 'auto' or a folder that "
            "benchmarks/training/power_net.py wrote."
        )
    return _read(file.parent, file.parent.name, file.stat().st_mtime_ns)


@cache
def _shipped() -> Trained:
    return _read(content_dir("solvers") / "power_net" / "weights", "power_net", 0)


@lru_cache(maxsize=8)
def _read(folder: Path, name: str, _age_ns: int) -> Trained:
    papers = replace(load_weights(str(folder), FAMILY, kinds=(KIND,)), name=name)
    return Trained(network_of(papers.parts()), papers)

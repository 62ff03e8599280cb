"""Random streams derived by hashing named axes, so that adding a solver never shifts another one's stream."""

from __future__ import annotations

import hashlib

import numpy as np

__all__ = ["derive", "generator"]


def derive(master: int, **axes: str | int) -> np.random.SeedSequence:
    """Hash a master seed with named axes into a `numpy.random.SeedSequence`.

    Args:
        master: The user's seed.
        **axes: What distinguishes this stream, e.g. ``problem="uav_isac", purpose="users"``. The order of the
            keywords does not matter. The instance's stream must never contain the solver, so that solvers are
            compared on the same instances.

    Returns:
        A seed sequence that depends on every axis and on nothing else.
    """
    text = "|".join([f"master={int(master)}", *(f"{key}={axes[key]}" for key in sorted(axes))])
    digest = hashlib.sha256(text.encode()).digest()
    # Words of the 256-bit big-endian number, least significant first: as from the integer, without its slow conversion.
    return np.random.SeedSequence(np.frombuffer(digest[::-1], dtype="<u4"))


def generator(master: int, **axes: str | int) -> np.random.Generator:
    """A PCG64 generator on the stream of `derive`."""
    return np.random.Generator(np.random.PCG64(derive(master, **axes)))

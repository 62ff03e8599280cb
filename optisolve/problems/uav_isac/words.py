"""What a person or a language model is told about a case of `uav_isac`."""

from __future__ import annotations

import math

from optisolve.core import Description
from optisolve.core.arrays import FloatArray
from optisolve.problems.uav_isac.model import Constants

__all__ = ["describe"]

_LISTED_USERS = 60


def describe(c: Constants, users_m: FloatArray) -> Description:
    """The case in words.

    Args:
        c: Constants of the scenario.
        users_m: float64 [K, 2], m.
    """
    return Description(
        summary=_summary(c, len(users_m)), constraints=_constraints(c), facts=_facts(c, users_m), hints=_hints(c)
    )


def _summary(c: Constants, n_users: int) -> str:
    fleet = "A UAV flies" if c.n_uavs == 1 else f"{c.n_uavs} UAVs fly"
    they, its = ("It serves", "its") if c.n_uavs == 1 else ("They serve", "each UAV's")
    told = (
        f"{fleet} at {c.altitude_m:g} m over a square of {c.area_m:g} m. {they} {n_users} ground users with data and "
        f"{'locates' if c.n_uavs == 1 else 'locate'} them by radar at the same time. Choose {its} position x_m, y_m (m) and "
        "transmit power p_w (W)."
    )
    if c.n_uavs == 1:
        return f"{told} The users share its bandwidth."
    return (
        f"{told} All UAVs share one band, so the power of one is interference to the users of the others; the users of one "
        "UAV share its bandwidth."
    )


def _hints(c: Constants) -> tuple[str, ...]:
    ring_m = c.altitude_m / math.sqrt(2.0)
    utility = "Utility is a sum of logarithms: lifting the slowest user counts more than speeding up a fast one."
    if c.n_uavs == 1:
        return (
            "A user's rate grows when the UAV comes closer; moving towards one user moves away from those behind it.",
            utility,
            f"Locating a user works best from a horizontal distance near {ring_m:.0f} m (altitude / sqrt 2); from straight "
            "overhead or from far away it fails.",
            "So the objectives conflict: for data the UAV wants to be above its users, for sensing it wants to stand off.",
            "More power helps both objectives; nothing else uses it.",
        )
    return (
        "A user is served by the UAV it hears loudest. Its rate grows when that UAV comes closer, serves fewer users, or "
        "the others move away or lower their power.",
        utility,
        f"Locating a user works best from UAVs at a horizontal distance near {ring_m:.0f} m (altitude / sqrt 2) on "
        "different sides, at right angles as seen from the user; from straight overhead or along one line it fails.",
        "So the objectives conflict: for data a UAV wants to be above its users, for sensing it wants to stand off, and "
        "several UAVs should surround the same users.",
        "More power always helps sensing, but it raises interference and uses up the common power cap. For data, power "
        "belongs to UAVs whose users are far from all others; a UAV amid the users of others should lower its power.",
        "UAVs close together serve the same users with interference and see them from the same side: spread them.",
    )


def _constraints(c: Constants) -> tuple[str, ...]:
    if c.n_uavs == 1:
        return (f"The power must not exceed {c.p_total_w:g} W.",)
    total = f"The powers of all UAVs together must not exceed {c.p_total_w:g} W."
    return (f"Any two UAVs must be at least {c.d_min_m:g} m apart.", total)


def _facts(c: Constants, users_m: FloatArray) -> tuple[str, ...]:
    listed = ", ".join(f"({x / 1000:.2f}, {y / 1000:.2f})" for x, y in users_m[:_LISTED_USERS])
    more = f" and {len(users_m) - _LISTED_USERS} more" if len(users_m) > _LISTED_USERS else ""
    cx, cy = users_m.mean(axis=0) / 1000.0
    channel = (
        "Line of sight to every user; path gain falls with the squared distance."
        if c.channel is None
        else "Buildings block the view at low elevation angles: a user seen from far away suffers up to "
        f"{c.channel.eta_nlos_db:g} dB extra loss, one below the UAV only {c.channel.eta_los_db:g} dB."
    )
    return (
        f"User positions (x, y) in km: {listed}{more}.",
        f"Centroid of the users: ({cx:.2f}, {cy:.2f}) km.",
        f"Power of one UAV: {c.p_min_w:g} W to {c.p_max_w:g} W; equal shares of the cap are "
        f"{min(c.p_total_w / c.n_uavs, c.p_max_w):g} W.",
        channel,
    )

"""Every family at its usual size, at ten times and at a hundred times that: the one place for these sizes.

`limits.py` takes those of ten times, `by_size.py` all three.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FACTORS = (1, 10, 100)


@dataclass(frozen=True)
class Family:
    """How a family grows.

    Attributes:
        scenario: Its name.
        solvers: Methods made for it, beside `moe`; where there is none, who does well on it.
        settings: Fields that are set, for each of `FACTORS`.
        why: Why the largest size is not a hundred times the usual one; "" where it is.
    """

    scenario: str
    solvers: tuple[str, ...]
    settings: tuple[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]]
    why: str = ""


def _links(n: int) -> dict[str, Any]:
    return {"n_links": n}


def _agents(n: int) -> dict[str, Any]:
    """Thresholds fall as agents become more, since all of them meet at one receiver; by 0.75 / n, or nobody could keep them."""
    share = 1.0 if n == 1 else 0.75 / n
    return {
        "link_gain": [1.21, 2.01, 0.58, 0.13] * n,
        "initial_power_w": [2.0, 4.0, 5.0, 6.0] * n,
        "rate_threshold_bit_s": [rate * share for rate in (3500.0, 15800.0, 4400.0, 1000.0)] * n,
    }


def _goal(n: int) -> dict[str, Any]:
    goal = {"objective": {"sense": "max", "terms": [{"metric": "sum_rate"}]}, "constraints": []}
    return {"problem": "power_control", "params": _links(n), "goal": goal}


def _maze(side: int) -> dict[str, Any]:
    told = {"n_traps": 12 * side**2 // 100, "n_walls": 12 * side**2 // 100, "horizon": min(2000, 6 * side**2 // 10)}
    return {"width": side, "height": side, **told}


def _crowd(n: int) -> dict[str, Any]:
    """Minimum rates fall as users become more, since all of them share one channel."""
    return {"n_users": n, "min_rate_bps_hz": 2.4 / n}


def _thrice(make: Any, *sizes: int) -> tuple[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]]:
    one, ten, hundred = sizes
    return make(one), make(ten), make(hundred)


def _grid(links: str) -> dict[str, Any]:
    return {"network": links, "demands": "gravity", "capacities": "two_tier"}


FAMILIES: Mapping[str, Family] = {
    "beamforming": Family(
        "beamforming", ("uplink_duality",), _thrice(lambda n: {"n_antennas": 2 * n, "n_users": n}, 4, 40, 400)
    ),
    "cell_free": Family(
        "cell_free",
        ("cvxpy",),
        _thrice(lambda n: {"n_access_points": 4 * n, "n_users": n, "pilot_symbols": max(20, n)}, 4, 40, 400),
    ),
    "goal": Family("goal", ("wmmse",), _thrice(_goal, 10, 100, 1000)),
    "market_game": Family("market_game", ("equimarginal",), _thrice(lambda n: {"n_agents": n}, 5, 50, 500)),
    "maze": Family(
        "maze/random", ("breadth_first",), _thrice(_maze, 10, 32, 64), "64 is the longest side, 2,000 the longest horizon"
    ),
    "noma_uav": Family("noma_uav/crowd", ("big_square_small_square",), _thrice(_crowd, 8, 80, 800)),
    "nsp_utility": Family(
        "nsp_utility", ("cvxpy",), _thrice(lambda n: {"gain_groups": [[n, 0.5, 2.5]], "p_total_w": 1.25 * n}, 8, 80, 800)
    ),
    "offloading": Family("offloading/n20", ("dual_decomposition",), _thrice(lambda n: {"n_users": n}, 20, 200, 2000)),
    "parallel_channels": Family("parallel_channels", ("water_filling",), _thrice(lambda n: {"n_channels": [n, n]}, 8, 80, 800)),
    "power_control": Family("power_control", ("branch_and_bound", "wmmse"), _thrice(_links, 10, 100, 1000)),
    "power_game": Family("power_game", ("matrix_inversion",), _thrice(_agents, 1, 10, 100)),
    "pricing_game": Family("pricing_game", ("interval_branch_and_bound",), _thrice(_links, 9, 90, 900)),
    "pymoo": Family("pymoo", ("nsga2",), _thrice(lambda n: {"n_variables": n}, 30, 300, 3000)),
    "radio_planning": Family("radio_planning", ("nsga2",), _thrice(lambda n: {"n_users": n}, 200, 2000, 20_000)),
    "resource_allocation": Family(
        "resource_allocation", ("dual_decomposition",), _thrice(lambda n: {"n_users": n, "n_tones": 4 * n}, 8, 80, 800)
    ),
    "traffic_engineering": Family(
        "traffic_engineering",
        ("weight_search",),
        ({}, _grid("gabriel_100"), _grid("topohub/gabriel/500/0")),
        "17, 100 and 500 nodes, the largest of topohub (extra `topologies`)",
    ),
    "uav_isac": Family(
        "uav_isac",
        ("front_descent",),
        ({"n_uavs": 4, "n_users": 12}, {"n_uavs": 40, "n_users": 120}, {"n_uavs": 64, "n_users": 1200}),
        "64 UAVs are the most",
    ),
    "user_association": Family(
        "user_association", ("hungarian",), _thrice(lambda n: {"n_users": n, "n_small": 4 * n // 30}, 30, 300, 3000)
    ),
}

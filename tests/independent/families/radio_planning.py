"""Radio planning again, from `problems/radio_planning/README.md` alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tests.independent.protocol import Scaling

FIELDS = {"azimuth": "azimuth_deg", "tilt": "tilt_deg", "power": "power_dbm"}


def nearest(value: float, values: list[float]) -> int:
    """The first of the nearest."""
    return min(range(len(values)), key=lambda i: (abs(values[i] - value), i))


def evaluate(
    params: Mapping[str, Any], arrays: Mapping[str, np.ndarray], x: Sequence[float]
) -> tuple[list[float], list[float], list[float]]:
    """A position means the nearest site, an angle the nearest entry; the loudest transmitter serves."""
    m_all, users = range(params["n_transmitters"]), range(arrays["level"].shape[1])
    sites, tilts, azimuths = (arrays[name].tolist() for name in ("sites_m", "tilt_deg", "azimuth_deg"))
    peak, (floor, step) = float(arrays["peak_dbi"]), arrays["level_db"].tolist()
    own = ["x_m", "y_m", *(FIELDS[c] for c in ("azimuth", "tilt", "power") if c in params["decide"])]
    plans = [dict(zip(own, x[m * len(own) : (m + 1) * len(own)], strict=True)) for m in m_all]
    places, watts, excess, rows = [], [], [], []
    for plan in plans:
        away = [(plan["x_m"] - sx) ** 2 + (plan["y_m"] - sy) ** 2 for sx, sy, _ in sites]
        s = away.index(min(away))
        tilt, azimuth = (int(v) for v in arrays["best_alone"][s])
        if "tilt_deg" in plan:
            tilt = nearest(plan["tilt_deg"], tilts)
        if "azimuth_deg" in plan:
            azimuth = nearest(plan["azimuth_deg"], [*azimuths, 360.0]) % len(azimuths)
        dbm = plan.get("power_dbm", min(params["power_max_dbm"], params["eirp_max_dbm"] - peak))
        rows.append(arrays["level"][(s * len(tilts) + tilt) * len(azimuths) + azimuth].tolist())
        places.append(sites[s][:2])
        watts.append(10.0 ** ((dbm - 30.0) / 10.0))
        excess.append((dbm + peak - params["eirp_max_dbm"]) / 10.0)
    noise = 10.0 ** ((params["noise_dbm_hz"] + params["noise_figure_db"] - 30.0) / 10.0) * params["bandwidth_hz"]
    sinr, served_by = [], []
    for k in users:
        gains = [10.0 ** ((floor + step * (row[k] + 127)) / 10.0) if row[k] != -128 else 0.0 for row in rows]
        heard = [w * gain for w, gain in zip(watts, gains, strict=True)]
        s = heard.index(max(heard))
        others = math.fsum(h for m, h in enumerate(heard) if m != s) if params["carriers"] == "shared" else 0.0
        sinr.append(heard[s] / (noise + others))
        served_by.append(s if heard[s] > 0.0 else -1)
    rates = [
        0.0 if s < 0 else params["bandwidth_hz"] / served_by.count(s) * math.log2(1.0 + q) / 1e6
        for s, q in zip(served_by, sinr, strict=True)
    ]
    target = 10.0 ** (params["sinr_target_db"] / 10.0)
    told = {
        "coverage": 100.0 * sum(q >= target for q in sinr) / len(sinr),
        "edge_rate": sorted(rates)[len(rates) // 20],
        "power": math.fsum(watts),
    }
    G = [1.0 - math.dist(places[i], places[j]) / params["distance_min_m"] for i in m_all for j in m_all if i < j]
    return [told[goal] for goal in params["goals"]], G + (excess if "power" in params["decide"] else []), []


def fuzz(rng: np.random.Generator) -> tuple[str, dict[str, Any]]:
    """Cities of 100 m to 100 km, one to five transmitters, every goal and choice, noise from -250 to -100 dBm/Hz."""
    area, m = 10.0 ** rng.uniform(2.0, 5.0), int(rng.integers(1, 6))
    choices = [c for c in ("azimuth", "tilt", "power") if rng.random() < 0.5]
    goals = [g for g in ("coverage", "edge_rate", "power") if rng.random() < 0.6 and (g != "power" or "power" in choices)]
    return "radio_planning", {
        "n_transmitters": m,
        "decide": choices,
        "goals": goals or ["coverage"],
        "carriers": "own" if rng.random() < 0.4 else "shared",
        "n_users": int(rng.integers(1, 60)),
        "n_hotspots": int(rng.integers(0, 4)),
        "hotspot_radius_m": area * rng.uniform(0.01, 0.3),
        "hotspot_share": rng.uniform(0.0, 1.0),
        "sinr_target_db": rng.uniform(-20.0, 30.0),
        "bandwidth_hz": 10.0 ** rng.uniform(4.0, 9.0),
        "noise_dbm_hz": rng.uniform(-250.0, -100.0),
        "eirp_max_dbm": rng.uniform(45.0, 70.0),
        "distance_min_m": area * rng.uniform(0.001, 0.1),
        "environment": "uma" if rng.random() < 0.5 else "umi",
        "area_m": area,
        "n_candidates": int(rng.integers(2 * m, 40)),
        "station_m": rng.uniform(5.0, 60.0),
        "carrier_hz": 10.0 ** rng.uniform(8.8, 10.5),
        "tilts_deg": sorted(rng.uniform(-5.0, 20.0, int(rng.integers(1, 4))).tolist()),
        "n_azimuths": int(rng.integers(1, 13)),
        "hypervolume_reference": None,
        "hypervolume_ideal": None,
    }


def _band(params: Mapping[str, Any], arrays: Mapping[str, np.ndarray], c: float) -> dict[str, Any]:
    """The same SINRs in c times the band."""
    return {**params, "bandwidth_hz": params["bandwidth_hz"] * c, "noise_dbm_hz": params["noise_dbm_hz"] - 10.0 * math.log10(c)}


def _rates(params: Mapping[str, Any], F: np.ndarray, c: float) -> np.ndarray:
    return F * np.array([c if goal == "edge_rate" else 1.0 for goal in params["goals"]])


SCALINGS = {"rate": Scaling(_band, lambda X, c: X, lambda F, c: F, ks=(-3, -2, -1, 1, 2), F_of=_rates)}


def attack(instance: Any, reference: Any, rng: np.random.Generator) -> np.ndarray:
    """Moves of one transmitter of the reference's points to every site, and random plans, repaired."""
    sites = instance.arrays()["sites_m"][:, :2]
    tries = [instance.space.sample(rng, 500)]
    names = list(instance.space.names)
    for x in [] if reference.X is None else reference.X[:3]:
        for m in range(instance.origin.params["n_transmitters"]):
            moved = np.tile(x, (len(sites), 1))
            moved[:, names.index(f"site{m}.x_m")], moved[:, names.index(f"site{m}.y_m")] = sites.T
            tries.append(moved)
    return instance.project(np.concatenate(tries))

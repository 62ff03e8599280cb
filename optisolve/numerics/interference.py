"""Powers on an interference channel: SINR, least powers, balanced SINR, repair.

``gain[i, j]`` leads from transmitter j to receiver i throughout. Sources: Foschini and Miljanic 1993; Yates 1995 (standard
interference functions); Tan, Chiang and Srikant 2011 (balanced SINR as a Perron root).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import FloatArray

__all__ = [
    "LeastPowers",
    "balanced_sinr",
    "bisect_balanced_sinr",
    "coupling",
    "fixed_point",
    "foschini_miljanic",
    "least_powers",
    "lift_to_floors",
    "required_powers",
    "sinr",
    "spectral_radius",
]

_ROUNDING = 1e-12


def sinr(P: FloatArray, gain: FloatArray, noise_w: FloatArray) -> FloatArray:
    """Signal to interference and noise of every link.

    .. math:: SINR_i = G_{ii} p_i / (\\sigma_i^2 + \\sum_{j \\ne i} G_{ij} p_j)

    Args:
        P: float64 [n, K], W.
        gain: float64 [K, K], linear.
        noise_w: float64 [K], W.

    Returns:
        float64 [n, K], linear.
    """
    own = np.diag(gain)  # [K]
    cross = gain - np.diag(own)  # [K, K]; signal is never subtracted from a sum, which would cancel digits
    ratio: FloatArray = P * own / (P @ cross.T + noise_w)
    return ratio


def required_powers(P: FloatArray, gain: FloatArray, noise_w: FloatArray, floor: FloatArray) -> FloatArray:
    """Power with which each link would meet its floor if the others stayed: Yates' interference function, float64 [n, K]."""
    own = np.diag(gain)
    needed: FloatArray = floor * (P @ (gain - np.diag(own)).T + noise_w) / own
    return needed


def coupling(gain: FloatArray, noise_w: FloatArray, floor: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Matrix and vector of the affine map ``I(p) = M p + v`` behind `required_powers`.

    Returns:
        float64 [K, K] ``M_ij = floor_i G_ij / G_ii`` off the diagonal, and float64 [K] ``v_i = floor_i noise_i / G_ii``, W.
    """
    own = np.diag(gain)
    matrix = (floor / own)[:, None] * (gain - np.diag(own))
    return matrix, floor * noise_w / own


def spectral_radius(matrix: FloatArray) -> float:
    """Largest magnitude of an eigenvalue."""
    return float(np.abs(np.linalg.eigvals(matrix)).max())


@dataclass(frozen=True, eq=False, slots=True)
class LeastPowers:
    """The componentwise smallest powers that meet all SINR floors, or why there are none.

    Attributes:
        powers_w: float64 [K], W; None when no finite powers meet the floors.
        radius: Spectral radius of the coupling matrix; floors can be met without caps exactly when it is below 1.
        reason: "" when the powers also respect the caps, else the proof that no feasible powers exist.
    """

    powers_w: FloatArray | None
    radius: float
    reason: str = ""


def least_powers(gain: FloatArray, noise_w: FloatArray, floor: FloatArray, p_max_w: FloatArray) -> LeastPowers:
    """Solve ``p = I(p)``; every feasible vector is componentwise at least this one, so a broken cap is a proof too.

    Args:
        gain: float64 [K, K], linear.
        noise_w: float64 [K], W.
        floor: float64 [K], SINR floors, linear, 0 for none.
        p_max_w: float64 [K], W.
    """
    matrix, constant = coupling(gain, noise_w, floor)
    radius = spectral_radius(matrix)
    if radius >= 1.0:
        return LeastPowers(None, radius, f"spectral radius {radius:.6g} >= 1")
    powers = np.asarray(np.linalg.solve(np.eye(floor.size) - matrix, constant), dtype=np.float64)
    over = powers > p_max_w * (1.0 + _ROUNDING)
    if over.any():
        i = int(np.argmax(powers / p_max_w))
        reason = f"link {i} needs at least {powers[i]:.6g} W, its cap is {p_max_w[i]:.6g} W"
        return LeastPowers(powers, radius, reason)
    return LeastPowers(np.minimum(powers, p_max_w), radius)


def foschini_miljanic(
    start_w: FloatArray, gain: FloatArray, noise_w: FloatArray, floor: FloatArray, p_max_w: FloatArray, n_rounds: int
) -> FloatArray:
    """The distributed iteration ``p <- min(p_max, I(p))``, all links at once.

    Args:
        start_w: float64 [K], W.
        gain: float64 [K, K], linear.
        noise_w: float64 [K], W.
        floor: float64 [K], linear.
        p_max_w: float64 [K], W.
        n_rounds: Rounds.

    Returns:
        float64 [n_rounds + 1, K], the start and the powers after each round, W.
    """
    matrix, constant = coupling(gain, noise_w, floor)
    trace = np.empty((n_rounds + 1, start_w.size))
    trace[0] = start_w
    for t in range(n_rounds):
        trace[t + 1] = np.minimum(p_max_w, matrix @ trace[t] + constant)
    return trace


def fixed_point(
    gain: FloatArray, noise_w: FloatArray, floor: FloatArray, *, rtol: float = 1e-13, max_rounds: int = 100_000
) -> FloatArray | None:
    """Iterate ``p <- I(p)`` from zero until nothing moves; None when it does not settle, as when floors cannot be met.

    From zero the iterates only rise, hence a second, independent way to the least powers.
    """
    matrix, constant = coupling(gain, noise_w, floor)
    powers = np.zeros(floor.size)
    for _ in range(max_rounds):
        following = matrix @ powers + constant
        if following.max() > 1e100 * constant.max():  # runs away
            return None
        if (np.abs(following - powers) <= rtol * following).all():
            return following
        powers = following
    return None


def balanced_sinr(gain: FloatArray, noise_w: FloatArray, p_max_w: FloatArray) -> tuple[float, FloatArray]:
    """Largest SINR that all links can have at once, each under its own cap.

    With ``F_ij = G_ij / G_ii`` and ``v_i = noise_i / G_ii`` the answer is ``min_k 1 / rho(F + v e_k^T / p_max_k)``; the powers
    are the Perron vector of the minimizing matrix, scaled until link k is at its cap.

    Returns:
        The SINR, linear, and float64 [K], W.

    Source: Tan, Chiang and Srikant 2011.
    """
    n_links = noise_w.size
    matrix, constant = coupling(gain, noise_w, np.ones(n_links))
    best, powers = np.inf, p_max_w
    for k in range(n_links):
        tight = matrix.copy()
        tight[:, k] += constant / p_max_w[k]
        roots, vectors = np.linalg.eig(tight)
        perron = int(np.argmax(roots.real))
        if 1.0 / roots[perron].real < best:
            vector = np.abs(vectors[:, perron].real)
            best, powers = 1.0 / roots[perron].real, vector * (p_max_w[k] / vector[k])
    return float(best), np.minimum(powers, p_max_w)


def bisect_balanced_sinr(
    gain: FloatArray, noise_w: FloatArray, p_max_w: FloatArray, *, rtol: float = 1e-10, max_rounds: int = 200
) -> tuple[float, float]:
    """Bracket the largest common SINR by feasibility tests.

    Returns:
        A common SINR that powers under the caps reach, and one that provably none reach.
    """
    low = float(sinr(p_max_w[None, :], gain, noise_w).min())
    high = float((np.diag(gain) * p_max_w / noise_w).min()) * (1.0 + 1e-9)
    for _ in range(max_rounds):
        if high - low <= rtol * high:
            break
        middle = 0.5 * (low + high)
        if least_powers(gain, noise_w, np.full(noise_w.size, middle), p_max_w).reason:
            high = middle
        else:
            low = middle
    return low, high


def lift_to_floors(
    P: FloatArray, gain: FloatArray, noise_w: FloatArray, floor: FloatArray, p_max_w: FloatArray, least_w: FloatArray
) -> FloatArray:
    """Repair powers so that every SINR floor holds; points that already meet the floors stay as they are.

    Powers rise to the smallest vector above the given one that meets the floors. Where that breaks a cap, the vector is
    drawn towards the least feasible powers until it fits, which keeps the floors because they are linear in the powers.

    Args:
        P: float64 [n, K], W, within [0, p_max_w].
        gain: float64 [K, K], linear.
        noise_w: float64 [K], W.
        floor: float64 [K], linear.
        p_max_w: float64 [K], W.
        least_w: float64 [K], the least feasible powers, W.

    Returns:
        float64 [n, K], W, feasible.
    """
    repaired = P.copy()
    short = (required_powers(P, gain, noise_w, floor) > P * (1.0 + _ROUNDING)).any(axis=1)
    matrix, constant = coupling(gain, noise_w, floor)
    for row in np.flatnonzero(short):
        lifted = _least_above(P[row], matrix, constant)
        room = lifted - least_w  # > 0 wherever a cap is broken, since the least powers respect it
        over = lifted > p_max_w
        share = float(((lifted - p_max_w)[over] / room[over]).max()) if over.any() else 0.0
        repaired[row] = np.clip(least_w + (1.0 - share) * room, least_w, p_max_w)
    return repaired


def _least_above(p: FloatArray, matrix: FloatArray, constant: FloatArray) -> FloatArray:
    """Smallest vector >= p with ``q >= M q + v``; the set of lifted links only grows, so K rounds suffice."""
    lifted = np.zeros(p.size, dtype=bool)
    q = p
    while True:
        short = ~lifted & (matrix @ q + constant > q * (1.0 + _ROUNDING))
        if not short.any():
            return q
        lifted |= short
        inner = np.eye(int(lifted.sum())) - matrix[np.ix_(lifted, lifted)]
        q = p.copy()
        q[lifted] = np.linalg.solve(inner, constant[lifted] + matrix[np.ix_(lifted, ~lifted)] @ p[~lifted])

"""Powers on an interference channel: SINR, least powers, balanced SINR, repair.

``gain[i, j]`` leads from transmitter j to receiver i throughout. Sources: Foschini and Miljanic 1993; Yates 1995 (standard
interference functions); Tan, Chiang and Srikant 2011 (balanced SINR as a Perron root).

What is proven here is proven in floating point: powers p >= M p + v with M, v >= 0 are componentwise at least every w with
w <= M w + v, and that inequality is checked with room for the rounding of both sides, whatever linear algebra proposed w.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import FloatArray, product
from optisolve.core.problem import FEASIBILITY_TOLERANCE

__all__ = [
    "LARGEST_SNR",
    "MOST_BITS",
    "LeastPowers",
    "LeastTotal",
    "balanced_rate_bound",
    "balanced_sinr",
    "balanced_sinr_bound",
    "candidate_powers",
    "coupling",
    "fixed_point",
    "foschini_miljanic",
    "least_powers",
    "least_total_power",
    "lift_to_floors",
    "lower_powers",
    "relaxed_floor",
    "required_powers",
    "rounding",
    "sinr",
    "spectral_radius",
]

MOST_BITS = 200.0
"""Largest rate that may be asked of a link, bit/s/Hz; it takes an SNR of 600 dB. More is refused where it is read."""

LARGEST_SNR = 1e60
"""Largest ratio of received power to noise that is computed with, and the inverse of the smallest for direct links."""

_FRACTION = 1e-200
"""Share of its cap below which a link counts as not even silent where a bound divides by powers."""

_ROUNDING = 1e-12
"""Relative distance from a floor at which the repair of a point stops."""


def rounding(n_links: int) -> float:
    """Relative error of one evaluation of ``M p + v``, of an SINR or of a rate with that many links, with room.

    Sums of n terms of one sign lose n units in the last place; a floor of `MOST_BITS` loses 140 more on its way through
    exp and log.
    """
    return (n_links + 200) * 2.0**-52


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
    # [K, K] without its diagonal: signal is never subtracted from a sum, which would cancel digits
    ratio: FloatArray = P * gain.diagonal() / (product(P, _cross(gain).T) + noise_w)
    return ratio


def required_powers(P: FloatArray, gain: FloatArray, noise_w: FloatArray, floor: FloatArray) -> FloatArray:
    """Power with which each link would meet its floor if the others stayed: Yates' interference function, float64 [n, K]."""
    needed: FloatArray = floor * (product(P, _cross(gain).T) + noise_w) / gain.diagonal()
    return needed


def _cross(gain: FloatArray) -> FloatArray:
    """Gains between links, float64 [K, K], 0 on the diagonal."""
    cross = gain.copy()
    cross.flat[:: gain.shape[0] + 1] = 0.0
    return cross


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


def relaxed_floor(floor: FloatArray) -> FloatArray:
    """SINR that a verified point has at least: its rate may be short of the floor by the feasibility tolerance.

    Args:
        floor: float64 [K], SINR floors, linear, 0 for none.
    """
    return np.asarray(np.expm1((1.0 - FEASIBILITY_TOLERANCE - rounding(floor.size)) * np.log1p(floor)))


def lower_powers(matrix: FloatArray, constant: FloatArray) -> FloatArray:
    """Componentwise lower bound on all p >= M p + v, float64 [K]; infinite where no finite powers do.

    The solution of ``p = M p + v`` less its rounding error, and multiples of the Perron vector for a spectral radius near
    or above 1, are candidates; each is kept only if ``w <= M w + v`` holds beyond rounding.

    Args:
        matrix: float64 [K, K], see `coupling`.
        constant: float64 [K], W.
    """
    g = rounding(constant.size)
    best = (1.0 - 3.0 * g) * constant
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        for guess in _guesses(matrix, constant):
            best = np.maximum(best, _multiple_below(guess, matrix, constant, g))
            nearer = _corrected_below(guess, matrix, constant, g)
            best = best if nearer is None else np.maximum(best, nearer)
    return best


def _guesses(matrix: FloatArray, constant: FloatArray) -> list[FloatArray]:
    """Candidates for a lower bound, float64 [K] each: the solution where it is one, Perron vectors where it nearly is none."""
    guesses = []
    powers = _solution(matrix, constant)
    if powers is not None:
        guesses.append(powers)
    if powers is None or powers.max() > 1e3 * constant.max():
        roots, vectors = np.linalg.eig(matrix)
        vector = np.where(constant > 0.0, np.abs(vectors[:, int(np.argmax(roots.real))]), 0.0)
        for _ in range(50):
            if not vector.max() > 0.0:
                return guesses
            guesses.append(vector)
            vector = matrix @ vector
            vector = vector / max(vector.max(), np.finfo(np.float64).tiny)
    return guesses


def _solution(matrix: FloatArray, constant: FloatArray) -> FloatArray | None:
    """Solution of ``p = M p + v``, float64 [K]; None when it is not finite or not positive, so that nothing solves it."""
    try:
        powers = np.asarray(np.linalg.solve(np.eye(constant.size) - matrix, constant), dtype=np.float64)
    except np.linalg.LinAlgError:
        return None
    return powers if np.isfinite(powers).all() and (powers >= constant * 0.5).all() else None


def _multiple_below(guess: FloatArray, matrix: FloatArray, constant: FloatArray, g: float) -> FloatArray:
    """Largest multiple w of a vector >= 0 with ``w <= M w + v`` beyond rounding g; infinite when all multiples do."""
    short = guess * (1.0 + 2.0 * g) - (matrix @ guess) * (1.0 - 2.0 * g)
    rows = short > 0.0
    factor = float((constant[rows] / short[rows]).min()) * (1.0 - 4.0 * g) if rows.any() else np.inf
    return np.where(guess > 0.0, factor * guess, 0.0)


def _corrected_below(guess: FloatArray, matrix: FloatArray, constant: FloatArray, g: float) -> FloatArray | None:
    """The guess less a few times its own error, if then ``w <= M w + v`` beyond rounding g."""
    heard = matrix @ guess + constant
    error = _solution(matrix, np.abs(guess - heard) + g * (guess + heard))
    if error is None:
        return None
    for factor in (2.0, 8.0, 32.0):
        w = np.maximum(guess - factor * error, 0.0)
        if (w * (1.0 + g) <= (matrix @ w + constant) * (1.0 - g)).all():
            return w
    return None


@dataclass(frozen=True, eq=False, slots=True)
class LeastPowers:
    """The componentwise smallest powers that meet all SINR floors, or why there are none.

    Attributes:
        powers_w: float64 [K], W, within the caps unless the floors are proven to break them; None when elimination finds
            no positive solution. Near the edge of feasibility they are a candidate that has to be verified.
        radius: Spectral radius of the coupling matrix; floors can be met without caps exactly when it is below 1.
        lower_w: float64 [K], proven: powers that meet all floors exactly are componentwise at least these, W.
        verified_lower_w: The same for powers that miss the floors by no more than verification allows, W.
        reason: The proof that not even such powers respect the caps; "" when there is no such proof.
    """

    powers_w: FloatArray | None
    radius: float
    lower_w: FloatArray
    verified_lower_w: FloatArray
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
    radius, powers = spectral_radius(matrix), _solution(matrix, constant)
    needed = lower_powers(*coupling(gain, noise_w, relaxed_floor(floor)))
    lower = np.maximum(lower_powers(matrix, constant), needed)
    over = np.flatnonzero(needed > p_max_w)
    if over.size:
        with np.errstate(divide="ignore"):
            i = int(over[np.argmax(needed[over] / p_max_w[over])])
        reason = f"link {i} needs at least {needed[i]:.6g} W, its cap is {p_max_w[i]:.6g} W"
        if not np.isfinite(needed[i]):
            reason = f"spectral radius {radius:.6g} >= 1"
        return LeastPowers(powers, radius, lower, needed, reason)
    return LeastPowers(None if powers is None else np.minimum(powers, p_max_w), radius, lower, needed)


def candidate_powers(gain: FloatArray, noise_w: FloatArray, floor: FloatArray, p_max_w: FloatArray) -> FloatArray:
    """Points that may be the least powers, the exact one first, float64 [n, K], W, within the caps.

    At the edge of feasibility elimination loses its digits; powers for floors within the feasibility tolerance, and full
    power, may still be verified.
    """
    exact = np.log1p(floor)
    shares = (1.0, 1.0 - 0.1 * FEASIBILITY_TOLERANCE, 1.0 - 0.5 * FEASIBILITY_TOLERANCE, 1.0 - 0.9 * FEASIBILITY_TOLERANCE)
    found = [_solution(*coupling(gain, noise_w, floor if s == 1.0 else np.expm1(s * exact))) for s in shares]
    return np.minimum(np.vstack([*(p for p in found if p is not None), p_max_w]), p_max_w)


@dataclass(frozen=True, eq=False, slots=True)
class LeastTotal:
    """Powers of the least total, and what proves it.

    Attributes:
        points_w: float64 [n, K], see `candidate_powers`, W; none where the floors are proven out of reach.
        bound_w: Powers that meet all floors exactly add up to no less, W.
        verified_bound_w: The same for powers that miss floors by no more than verification allows, W.
        reason: The proof that not even such powers respect the caps; "" when there is no such proof.
    """

    points_w: FloatArray
    bound_w: float
    verified_bound_w: float
    reason: str


def least_total_power(gain: FloatArray, noise_w: FloatArray, floor: FloatArray, p_max_w: FloatArray) -> LeastTotal:
    """Least total power under SINR floors and caps: the powers that are least in every component.

    Args:
        gain: float64 [K, K], linear.
        noise_w: float64 [K], W.
        floor: float64 [K], SINR floors, linear, 0 for none.
        p_max_w: float64 [K], W.
    """
    least = least_powers(gain, noise_w, floor, p_max_w)
    room = 1.0 - rounding(floor.size)
    bound, verified = float(least.lower_w.sum()) * room, float(least.verified_lower_w.sum()) * room
    if not np.isfinite(bound):  # nothing meets the floors exactly, yet something may within the tolerance
        bound = verified
    points = np.empty((0, floor.size)) if least.reason else candidate_powers(gain, noise_w, floor, p_max_w)
    return LeastTotal(points, bound, verified, least.reason)


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
    are the Perron vector of the minimizing matrix, scaled until a link is at its cap. A few power steps after the eigensolver
    make small components as accurate as large ones.

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
            for _ in range(100):
                vector = tight @ (vector / vector.max())
            used = vector > 0.0
            best, powers = 1.0 / roots[perron].real, vector * float((p_max_w[used] / vector[used]).min())
    return float(best), np.minimum(powers, p_max_w)


def balanced_sinr_bound(powers_w: FloatArray, gain: FloatArray, noise_w: FloatArray, p_max_w: FloatArray) -> float:
    """An SINR that not all links can exceed at once under their caps, from any positive powers.

    Scale p until it touches a cap and compare it with any q under the caps: some ``S = max_i p_i / q_i`` is at least 1, and
    for the i that attains it ``SINR_i(p) >= S q_i / (S (F q)_i + v_i) >= SINR_i(q)``. So the worst SINR of q is at most the
    best one of p; both meet at the balanced powers.

    Args:
        powers_w: float64 [K], > 0, W; the nearer to balanced, the better the bound.
        gain: float64 [K, K], linear.
        noise_w: float64 [K], W.
        p_max_w: float64 [K], W.
    """
    matrix, constant = coupling(gain, noise_w, np.ones(noise_w.size))
    touching = powers_w * float((p_max_w / powers_w).min())
    return float((touching / (matrix @ touching + constant)).max()) * (1.0 + rounding(noise_w.size))


def balanced_rate_bound(powers_w: FloatArray, gain: FloatArray, noise_w: FloatArray, p_max_w: FloatArray) -> float:
    """The rate of `balanced_sinr_bound`, bit/s/Hz, with its rounding; powers may be 0.

    Args:
        powers_w: float64 [K], W.
        gain: float64 [K, K], linear.
        noise_w: float64 [K], W.
        p_max_w: float64 [K], W.
    """
    bound = balanced_sinr_bound(np.maximum(powers_w, _FRACTION * p_max_w), gain, noise_w, p_max_w)
    return float(np.log1p(bound) / np.log(2.0)) * (1.0 + rounding(powers_w.size))


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
        if lifted is None:
            repaired[row] = least_w
            continue
        room = lifted - least_w  # > 0 wherever a cap is broken, since the least powers respect it
        over = (lifted > p_max_w) & (room > 0.0)
        share = min(1.0, float(((lifted - p_max_w)[over] / room[over]).max())) if over.any() else 0.0
        repaired[row] = np.clip(least_w + (1.0 - share) * room, least_w, p_max_w)
    return repaired


def _least_above(p: FloatArray, matrix: FloatArray, constant: FloatArray) -> FloatArray | None:
    """Smallest vector >= p with ``q >= M q + v``; the set of lifted links only grows, so K rounds suffice.

    None when elimination finds no such vector, as at the edge of feasibility.
    """
    lifted = np.zeros(p.size, dtype=bool)
    q = p
    while True:
        short = ~lifted & (matrix @ q + constant > q * (1.0 + _ROUNDING))
        if not short.any():
            return q
        lifted |= short
        needed = constant[lifted] + matrix[np.ix_(lifted, ~lifted)] @ p[~lifted]
        solved = _solution(matrix[np.ix_(lifted, lifted)], needed)
        if solved is None:
            return None
        q = p.copy()
        q[lifted] = solved

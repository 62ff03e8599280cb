r"""The equations of `pricing_game` and the data of one game; `optisolve.numerics.priced_links_kernels` plays it.

K links transmit to one receiver with processing gain G. Every link maximizes bits per joule less a price on its power:

.. math::

    \gamma_i = \frac{G g_i p_i}{\sigma^2 + \sum_{j \ne i} g_j p_j}, \qquad
    u_i = \frac{R f(\gamma_i)}{p_i} - c p_i, \qquad f(\gamma) = (1 - e^{-\gamma})^M

With ``h_i`` the SINR of one watt the best response solves ``R (g f'(g) - f(g)) = c g^2 / h_i^2`` between ln M, the inflection
of f, and the SINR where the left side vanishes, the equilibrium without a price. The links respond all at once, again and
again, from zero powers; a link for which it does not pay to transmit leaves for good. While nobody leaves, powers rise to the
smallest Nash equilibrium (the game is supermodular). The decision is the decimal logarithm of c; the objective is what the
links deliver per joule in total where they settle, the price itself being paid to the network.

Sources: Goodman and Mandayam 2000, doi 10.1109/98.839331; pricing: Saraydar, Mandayam and Goodman 2002, doi 10.1109/26.983324.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import FloatArray

__all__ = ["Uplink", "alone"]


@dataclass(frozen=True, eq=False, slots=True)
class Uplink:
    """The data of one game.

    Args:
        gain: float64 [K], linear.
        noise_w: W.
        processing_gain: G, linear.
        p_max_w: Cap of every link, W.
        rate_bit_s: R, bit/s.
        frame_bits: M.
        balanced_sinr: SINR of the equilibrium without a price.
    """

    gain: FloatArray
    noise_w: float
    processing_gain: float
    p_max_w: float
    rate_bit_s: float
    frame_bits: int
    balanced_sinr: float


def alone(up: Uplink) -> FloatArray:
    """What each link would deliver per joule if it were alone and paid nothing, float64 [K], kbit/J, > 0.

    f(g) / g rises up to the balanced SINR. Below the cap's SINR of 1e-3 or so f underflows; then its power of ten is lost, and
    the value at the balanced SINR stands in.
    """
    per_watt = up.processing_gain * up.gain / up.noise_w
    reached = np.minimum(up.balanced_sinr, per_watt * up.p_max_w)
    f = (-np.expm1(-reached)) ** up.frame_bits
    f = np.where(f > 0.0, f, (-np.expm1(-up.balanced_sinr)) ** up.frame_bits)
    return np.asarray(1e-3 * up.rate_bit_s * f * per_watt / reached)

"""The energy-efficiency power game: every link maximizes delivered bits per joule."""

from __future__ import annotations

import math

__all__ = ["equilibrium_sinr"]


def equilibrium_sinr(frame_bits: int, *, slope: float = 1.0) -> float:
    """SINR at which every link of the game plays its best response.

    With the efficiency function f(g) = (1 - exp(-slope g))^M the utility f(g)/p is largest where f'(g) g = f(g), that is
    M slope g = exp(slope g) - 1, independent of the channel. That point is the Nash equilibrium (SINR balancing).

    Args:
        frame_bits: Bits per frame M >= 2.
        slope: Decay of the bit error probability per unit of SINR, > 0.

    Returns:
        The equilibrium SINR, linear.

    Source:
        Goodman and Mandayam 2000, doi 10.1109/98.839331.
    """
    from scipy.optimize import brentq

    def excess(x: float) -> float:  # in logarithms, since exp(x) overflows for long frames
        return x - math.log1p(frame_bits * x)

    # The root at 0 is trivial; excess is negative at ln M and positive beyond 2 ln M + 2.
    low = math.log(frame_bits)
    return float(brentq(excess, low, 2.0 * low + 2.0, xtol=1e-13)) / slope

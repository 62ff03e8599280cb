"""The forward pass without torch: compiled loops in double precision, one thread, the same sums in the same order everywhere.

Links that are silent tell others nothing, so a round costs the links that are on times all links, not their square. Importing
this module imports numba.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.numerics.compiled import njit
from optisolve.numerics.logarithm import log_one_plus
from optisolve.solvers.ddpm.forward import Parts
from optisolve.solvers.power_net.shape import LINK_FEATURES, PHYSICS, STRETCH, Shape

__all__ = ["Network", "network_of"]

_kernel = njit(cache=True, nogil=True, error_model="numpy")
_GRID = 1024.0
"""Powers are rounded to 1 / 1024 of the cap, so that the last bits of different processors do not show."""
_TINY = 1e-12


@dataclass(frozen=True, eq=False, slots=True)
class Network:
    """Weights in the layout of the kernel: a row per output, layers stacked.

    Attributes:
        embed: float64 [width, LINK_FEATURES + 1], the bias last, as everywhere below.
        noise: float64 [width], what a unit of noise adds to a link's state.
        heads: float64 [layers + 1, width + 1], from a state to a power; the first one before any round.
        say: float64 [layers, messages, width + 1].
        mix: float64 [layers, hidden, width + 2 messages + PHYSICS + 1].
        out: float64 [layers, width, hidden + 1].
    """

    embed: FloatArray
    noise: FloatArray
    heads: FloatArray
    say: FloatArray
    mix: FloatArray
    out: FloatArray

    def __call__(self, gain: FloatArray, weight: FloatArray, noise: FloatArray) -> FloatArray:
        """Powers of S candidates for each of B instances.

        Args:
            gain: float64 [B, K, K], receiver i from transmitter j at full power over noise.
            weight: float64 [B, K], largest weight 1.
            noise: float64 [S, K], what tells candidates apart; 0 for the plain answer.

        Returns:
            float64 [B, S, K], shares of the caps, multiples of 1 / 1024.
        """
        powers: FloatArray = _forward(
            np.ascontiguousarray(gain),
            np.ascontiguousarray(weight),
            np.ascontiguousarray(noise),
            self.embed,
            self.noise,
            self.heads,
            self.say,
            self.mix,
            self.out,
        )
        return powers


def network_of(parts: Parts) -> Network:
    """The network of some weights.

    Raises:
        SolverError: Weights and configuration do not fit each other.
    """
    default = Shape()
    width, hidden = parts.size("width", default.width), parts.size("hidden", default.hidden)
    messages, layers = parts.size("messages", default.messages), range(parts.size("layers", default.layers))

    def rows(name: str, inputs: int, outputs: int) -> FloatArray:
        weight, bias = parts.array(f"{name}.weight", outputs, inputs), parts.array(f"{name}.bias", outputs)
        return np.ascontiguousarray(np.column_stack([weight, bias]))

    def stacked(name: str, inputs: int, outputs: int) -> FloatArray:
        return np.stack([rows(f"layers.{i}.{name}", inputs, outputs) for i in layers])

    made = Network(
        embed=rows("embed", LINK_FEATURES, width),
        noise=parts.array("noise", width),
        heads=np.concatenate([rows("first", width, 1), stacked("head", width, 1)[:, 0]]),
        say=stacked("say", width, messages),
        mix=stacked("mix", width + 2 * messages + PHYSICS, hidden),
        out=stacked("out", hidden, width),
    )
    parts.require_all_taken()
    return made


@_kernel
def _linear(rows, inputs, outputs):  # type: ignore[no-untyped-def]
    """outputs [O, K] = rows [O, I + 1] applied to inputs [I, K]; four inputs at a time, the loop along the links vectorizes."""
    n_out, n_in, n_links = rows.shape[0], rows.shape[1] - 1, inputs.shape[1]
    fours = n_in - n_in % 4
    for o in range(n_out):
        row, result = rows[o], outputs[o]
        result[:] = row[n_in]
        for c in range(0, fours, 4):
            w0, w1, w2, w3 = row[c], row[c + 1], row[c + 2], row[c + 3]
            x0, x1, x2, x3 = inputs[c], inputs[c + 1], inputs[c + 2], inputs[c + 3]
            for i in range(n_links):
                result[i] += (w0 * x0[i] + w1 * x1[i]) + (w2 * x2[i] + w3 * x3[i])
        for c in range(fours, n_in):
            w0, x0 = row[c], inputs[c]
            for i in range(n_links):
                result[i] += w0 * x0[i]


@_kernel
def _powers(head, state, power):  # type: ignore[no-untyped-def]
    """Shares of the caps from states [width, K], with exact zeros and ones."""
    width = state.shape[0]
    power[:] = head[width]
    for c in range(width):
        w, x = head[c], state[c]
        for i in range(power.size):
            power[i] += w * x[i]
    for i in range(power.size):
        soft = 1.0 / (1.0 + math.exp(-power[i]))
        power[i] = min(1.0, max(0.0, soft * (1.0 + 2.0 * STRETCH) - STRETCH))


@_kernel
def _channel(gain, weight, own, cross, cross_t, hurt, hurt_t, features):  # type: ignore[no-untyped-def]
    """Cross gains and the share of a signal that they drown, by receiver and by transmitter, and what a link knows of them."""
    n_links = own.size
    most = _TINY
    for i in range(n_links):
        own[i] = gain[i, i]
        features[0, i] = log_one_plus(own[i])
        most = max(most, weight[i] * features[0, i])
    features[1:] = 0.0
    for i in range(n_links):
        for j in range(n_links):
            cross[i, j] = gain[i, j]
            cross_t[j, i] = gain[i, j]
        cross[i, i] = 0.0
        cross_t[i, i] = 0.0
    for i in range(n_links):
        base, w = 1.0 + own[i], weight[i]
        for j in range(n_links):  # by receiver i
            hurt[i, j] = cross[i, j] / (base + cross[i, j])
            features[2, j] += w * cross[i, j]
            features[6, j] += w * hurt[i, j]
        for j in range(n_links):  # by transmitter i
            hurt_t[i, j] = cross_t[i, j] / (1.0 + own[j] + cross_t[i, j])
            features[1, j] += cross_t[i, j]
            features[5, j] += hurt_t[i, j]
    size = math.log(n_links) / 3.0
    for i in range(n_links):
        for row in (1, 2, 5, 6):
            features[row, i] = log_one_plus(features[row, i])
        features[3, i] = weight[i]
        features[4, i] = size
        features[7, i] = weight[i] * features[0, i] / most


@_kernel
def _physics(power, own, cross, cross_t, weight, heard, harm, told):  # type: ignore[no-untyped-def]
    """What powers mean on the channel, written to `told` [PHYSICS, K]; `heard` and `harm` are room to work in."""
    n_links = own.size
    heard[:] = 1.0
    for j in range(n_links):
        p = power[j]
        if p > 0.0:
            for i in range(n_links):
                heard[i] += cross_t[j, i] * p
    rate, loss = told[0], told[3]
    harm[:] = 0.0
    loss[:] = 0.0
    for i in range(n_links):
        signal = own[i] * power[i]
        total = heard[i] + signal
        rate[i] = log_one_plus(signal / heard[i])
        if power[i] > 0.0:
            s, scale = weight[i] * signal / (heard[i] * total), weight[i] * rate[i]
            q = rate[i] * (heard[i] * total) / max(signal, _TINY)
            for k in range(n_links):
                harm[k] += cross[i, k] * s
                loss[k] += scale * (cross[i, k] / (cross[i, k] + q))
    for i in range(n_links):
        free = log_one_plus(own[i] / heard[i])
        told[1, i] = free
        told[2, i] = log_one_plus(harm[i])
        told[4, i] = weight[i] * free - loss[i]
        told[5, i] = log_one_plus(weight[i] * own[i] / (heard[i] + own[i] * power[i]))
        told[6, i] = power[i]
        loss[i] = log_one_plus(loss[i])


@_kernel
def _forward(gain, weight, noise, embed, noise_row, heads, say, mix, out):  # type: ignore[no-untyped-def]
    """See `Network`."""
    n_cases, n_links = weight.shape
    n_candidates, width, messages, n_layers = noise.shape[0], noise_row.size, say.shape[1], say.shape[0]
    square = (n_links, n_links)
    cross, cross_t, hurt, hurt_t = np.empty(square), np.empty(square), np.empty(square), np.empty(square)
    own, heard, harm = np.empty(n_links), np.empty(n_links), np.empty(n_links)
    features, plain = np.empty((LINK_FEATURES, n_links)), np.empty((width, n_links))
    inputs, change = np.empty((width + 2 * messages + PHYSICS, n_links)), np.empty((width, n_links))
    hidden, said = np.empty((mix.shape[1], n_links)), np.empty((messages, n_links))
    state = inputs[:width]
    heard_of, told_to = inputs[width : width + messages], inputs[width + messages : width + 2 * messages]
    physics = inputs[width + 2 * messages :]
    powers = np.empty((n_cases, n_candidates, n_links))
    for b in range(n_cases):
        _channel(gain[b], weight[b], own, cross, cross_t, hurt, hurt_t, features)
        _linear(embed, features, plain)
        for s in range(n_candidates):
            power = powers[b, s]
            for c in range(width):
                for i in range(n_links):
                    state[c, i] = plain[c, i] + noise_row[c] * noise[s, i]
            _powers(heads[0], state, power)
            for layer in range(n_layers):
                _physics(power, own, cross, cross_t, weight[b], heard, harm, physics)
                _linear(say[layer], state, said)
                inputs[width : width + 2 * messages] = 0.0
                for j in range(n_links):
                    if power[j] > 0.0:
                        for c in range(messages):
                            value, to, of = said[c, j] * power[j], told_to[c], heard_of[c]
                            for i in range(n_links):
                                of[i] += hurt_t[j, i] * value
                                to[i] += hurt[j, i] * value
                _linear(mix[layer], inputs, hidden)
                for h in range(hidden.shape[0]):
                    for i in range(n_links):
                        hidden[h, i] = max(0.0, hidden[h, i])
                _linear(out[layer], hidden, change)
                for c in range(width):
                    for i in range(n_links):
                        state[c, i] += change[c, i]
                _powers(heads[layer + 1], state, power)
            for i in range(n_links):
                power[i] = math.floor(power[i] * _GRID + 0.5) / _GRID
    return powers

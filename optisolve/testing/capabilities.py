"""What an instance that claims a capability must be true to: its shapes, its units, and its own evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.bridge import stack, to_tensors
from optisolve.core.capabilities import (
    CAPABILITIES,
    AgentsGame,
    ConstraintGradients,
    Differentiable,
    EnergyChannel,
    FlooredServers,
    GridWalk,
    HoveringTransmitter,
    InterferenceChannel,
    Jacobian,
    MultiuserDownlink,
    ParallelChannels,
    PlacedStations,
    PricedLinks,
    RoutingWeights,
    Samplable,
    ShadowPrices,
    SharedServers,
    SharedStations,
    SharedTones,
    WeightedChannel,
    capability_gap,
)
from optisolve.core.problem import Instance
from optisolve.numerics.interference import sinr
from optisolve.numerics.priced_links import enclosed_value
from optisolve.testing.kit import NotApplicable, require

__all__ = ["require_capabilities"]

_RTOL = 1e-9
"""Agreement asked of what a capability says and what the instance evaluates, relative to the largest value."""
_STEP = 1e-6
"""Step of differences, as a share of each variable's range."""


def require_capabilities(instance: Instance, X: FloatArray) -> None:
    """Check every capability that an instance claims by the names of its members.

    Args:
        instance: Any instance.
        X: float64 [n, d], valid points.

    Raises:
        AssertionError: A member has another shape or another meaning.
        NotApplicable: It claims none.
    """
    claimed = [c for c in CAPABILITIES if isinstance(instance, c)]
    for capability in claimed:
        reason = capability_gap(instance, capability)
        require(reason is None, f"claims {capability.__name__} by its names, but {reason}")
        check = _MEANINGS.get(capability)
        if check is not None:
            check(instance, X)
    if not claimed:
        raise NotApplicable("the instance claims no capability")


def _interference(instance: Instance, X: FloatArray) -> None:
    assert isinstance(instance, InterferenceChannel)
    _powers(instance, instance.p_max_w)
    require(bool((instance.noise_w > 0.0).all() and (instance.sinr_floor >= 0.0).all()), "noise_w > 0 and sinr_floor >= 0")
    if instance.goal == "min_power":
        _same(instance, X, X.sum(axis=1), "the sum of the powers")


def _weighted(instance: Instance, X: FloatArray) -> None:
    assert isinstance(instance, WeightedChannel)
    if instance.goal in ("sum_rate", "weighted_sum_rate"):
        _same(instance, X, _rate(instance, X), "the weighted sum of log2(1 + SINR)")


def _energy(instance: Instance, X: FloatArray) -> None:
    assert isinstance(instance, EnergyChannel)
    if instance.goal == "energy_efficiency":
        consumed = instance.circuit_power_w + instance.power_slope * X.sum(axis=1)
        _same(instance, X, _rate(instance, X) / consumed, "the sum rate over the consumed power")


def _rate(channel: WeightedChannel, X: FloatArray) -> FloatArray:
    rate: FloatArray = np.log1p(sinr(X, channel.gain, channel.noise_w)) @ channel.weight / np.log(2.0)
    return rate


def _parallel(instance: Instance, X: FloatArray) -> None:
    assert isinstance(instance, ParallelChannels)
    _powers(instance, np.full(instance.space.dim, instance.p_total_w))
    rate = np.log1p(X * instance.gain / instance.noise_w) @ instance.weight / np.log(2.0)
    _same(instance, X, rate, "the weighted sum of log2(1 + SNR)")


def _powers(instance: Instance, caps: FloatArray) -> None:
    space = instance.space
    require(all(unit == "W" for unit in space.units), "the variables must be powers in W")
    require(not space.lower.any() and np.array_equal(space.upper, caps), "the variables must go from 0 to the caps, W")


def _placements(instance: Instance, _X: FloatArray) -> None:
    """Places inside the square give valid points, the same every time."""
    assert isinstance(instance, PlacedStations)
    users = instance.users_m
    require(users.ndim == 2 and users.shape[1] == 2, "users_m needs two coordinates per user")
    require(bool((users >= 0.0).all() and (users <= instance.side_m).all()), "users_m must lie in the square of side_m")
    places = np.random.default_rng(0).random((instance.n_stations, 2)) * instance.side_m
    point = instance.placed(places)
    require(point.shape == (instance.space.dim,), "placed must give a whole point")
    instance.space.require(point, what="placed")
    require(bool(np.array_equal(point, instance.placed(places))), "placed must give the same point for the same places")


def _hovering(instance: Instance, X: FloatArray) -> None:
    """Rates after cancellation, and splits that no point beats at its own place."""
    assert isinstance(instance, HoveringTransmitter)
    c, users, power = instance.constants, instance.users_m, X[:, 2:]
    require(instance.space.dim == 2 + len(users), "the variables must be a place and one power per user")
    noise = c.noise_over_gain_1m_w * (c.altitude_m**2 + ((users - X[:, None, :2]) ** 2).sum(axis=2))  # [n, K]
    nearer = noise[:, :, None] > noise[:, None, :]  # [n, K, K], user by those it hears
    heard = noise + (nearer * power[:, None, :]).sum(axis=2)
    apart = (np.diff(np.sort(noise, axis=1), axis=1) > 0.0).all(axis=1)  # at equal distances the order is the family's
    rate = np.log1p(power / heard).sum(axis=1) / np.log(2.0)
    _close(instance.evaluate_twin(X[apart]).F[:, 0], rate[apart], "the objective must be the sum of the rates")
    evaluation = instance.evaluate_twin(X)
    for x, value, violation in zip(X, evaluation.F[:, 0], evaluation.max_violation, strict=True):
        best = instance.hovering(x[:2])
        require(violation > 0.0 or best is not None, "hovering must find a split where there is one")
        if best is not None and violation <= 0.0:
            own = float(instance.evaluate_twin(best[None]).F[0, 0])
            require(own >= value * (1.0 - _RTOL), "a point has a better split than the one that hovering gives")


def _priced(instance: Instance, X: FloatArray) -> None:
    """What the links deliver is what the enclosure of one price says, and no more than that of an interval around it."""
    assert isinstance(instance, PricedLinks)
    require(instance.space.dim == 1, "the only variable must be the logarithm of the price")
    told = np.array([enclosed_value(instance.uplink, x, x) for x in X[:, 0]])
    _close(instance.evaluate(X).F[:, 0], told, "the objective must be kbit/J of all links where they settle", rtol=1e-6)
    wide = np.array([enclosed_value(instance.uplink, x - 1e-3, x + 1e-3) for x in X[:, 0]])
    require(bool((instance.evaluate(X).F[:, 0] <= wide * (1.0 + _RTOL)).all()), "a price is worth more than its enclosure says")


def _servers(instance: Instance, _X: FloatArray) -> None:
    """Costs of completed choices."""
    assert isinstance(instance, SharedServers)
    n, servers = instance.transmit_cost.shape
    require(instance.local_cost.shape == (n,), "local_cost needs one number per user")
    require(instance.root_cost.shape == (n, servers), "root_cost needs one number per user and server")
    users, rng = np.arange(n), np.random.default_rng(0)
    for _ in range(3):
        choice = rng.integers(0, servers + 1, n)
        at = np.maximum(choice - 1, 0)
        sent = float(np.where(choice > 0, instance.transmit_cost[users, at], instance.local_cost).sum())
        roots = [instance.root_cost[choice == s + 1, s].sum() for s in range(servers)]
        least = sent + float(np.square(roots).sum())
        value = float(instance.evaluate(instance.complete(choice)[None, :]).F[0, 0])
        require(value >= least * (1.0 - _RTOL), "a completed choice costs less than SharedServers says")
        if not instance.hard_deadlines:
            require(value <= least * 1.01, "a completed choice costs much more than SharedServers says")


def _floors(instance: Instance, _X: FloatArray) -> None:
    assert isinstance(instance, FlooredServers)
    n, servers = instance.transmit_cost.shape
    require(instance.share_floor.shape == (n, servers), "share_floor needs one number per user and server")
    require(bool((instance.share_floor >= 0.0).all()), "a smallest share cannot be negative")
    require(instance.local_allowed.shape == (n,), "local_allowed needs one answer per user")


def _tones(instance: Instance, _X: FloatArray) -> None:
    """Values of random owners and powers."""
    assert isinstance(instance, SharedTones)
    users, tones = instance.snr_per_w.shape
    require(instance.weight.shape == (users,), "weight needs one number per user")
    if instance.goal not in ("sum_rate", "weighted_sum_rate") or instance.power_levels:
        return
    rng = np.random.default_rng(0)
    owner, power = rng.integers(0, users, (8, tones)), rng.random((8, tones)) * instance.tone_power_max_w
    X = np.stack([instance.point(o, p) for o, p in zip(owner, power, strict=True)])
    snr = instance.snr_per_w[owner, np.arange(tones)] * power
    rate = (instance.weight[owner] * instance.tone_mbps * np.log1p(snr)).sum(axis=1) / np.log(2.0)
    _same(instance, X, rate, "the weighted rate")


def _downlink(instance: Instance, _X: FloatArray) -> None:
    """Values of random precoders."""
    assert isinstance(instance, MultiuserDownlink)
    h, rng = instance.channel, np.random.default_rng(0)
    require(instance.sinr_target.shape == instance.weight.shape == h.shape[:1], "sinr_target and weight: one number per user")
    W = rng.standard_normal((8, *h.shape)) + 1j * rng.standard_normal((8, *h.shape))
    W *= np.sqrt(0.5 * instance.p_total_w) / np.linalg.norm(W, axis=(1, 2))[:, None, None]
    received = np.abs(np.einsum("km,njm->nkj", h.conj(), W)) ** 2
    own = np.einsum("nkk->nk", received).copy()
    np.einsum("nkk->nk", received)[...] = 0.0
    sinr = own / (received.sum(axis=2) + instance.noise_w)
    told = {
        "min_power": (np.abs(W) ** 2).sum(axis=(1, 2)),
        "max_min": (sinr / instance.sinr_target).min(axis=1),
        "weighted_sum_rate": np.log1p(sinr) @ instance.weight / np.log(2.0),
    }
    if instance.goal in told:
        _same(instance, np.stack([instance.precoded(w) for w in W]), told[instance.goal], f"what {instance.goal} says")


def _stations(instance: Instance, X: FloatArray) -> None:
    assert isinstance(instance, SharedStations)
    peak, space = instance.rate_mbps, instance.space
    whole = bool(space.integer.all()) and not space.lower.any() and bool((space.upper == peak.shape[1] - 1).all())
    require(whole, f"the variables must be stations 0 to {peak.shape[1] - 1}")
    station = X.astype(np.int64)
    own = peak[np.arange(station.shape[1]), station]  # [n, I]
    rate = own / (station[:, :, None] == station[:, None, :]).sum(axis=2)
    reached = (own > 0.0).all(axis=1)
    told = {"proportional_fair": np.log(np.where(own > 0.0, rate, 1.0)).sum, "max_min": rate.min, "sum_rate": rate.sum}
    if instance.goal in told and reached.any():
        _same(instance, X[reached], told[instance.goal](axis=1)[reached], "peak rates over the stations' numbers of users")


def _game(instance: Instance, X: FloatArray) -> None:
    assert isinstance(instance, AgentsGame)
    game, x = instance.game, X[0]
    bounds = np.array_equal(game.lower, instance.space.lower) and np.array_equal(game.upper, instance.space.upper)
    require(bounds, "the game's bounds must be those of the decision variables")
    best = game.best_response(x)
    require(bool(((best >= game.lower) & (best <= game.upper)).all()), "a best response leaves the bounds")
    for agent in range(game.n_agents):
        actions = np.array([*np.linspace(game.lower[agent], game.upper[agent], 9), best[agent]])
        gained = game.own_utilities(agent, actions, x)
        require(bool(gained[-1] >= gained.max() - 1e-6 * (1.0 + abs(gained.max()))), f"agent {agent}: a better response exists")


def _grid(instance: Instance, _: FloatArray) -> None:
    assert isinstance(instance, GridWalk)
    table, space = instance.world.next_cells(), instance.space
    whole = bool(space.integer.all()) and not space.lower.any() and bool((space.upper == table.shape[1] - 1).all())
    require(whole, f"the variables must be moves 0 to {table.shape[1] - 1}")


def _routing(instance: Instance, X: FloatArray) -> None:
    assert isinstance(instance, RoutingWeights)
    space, n = instance.space, len(instance.demand_matrix())
    require(bool(space.integer.all() and (space.lower >= 1.0).all()), "the variables must be whole weights of at least 1")
    ends = np.concatenate([instance.link_tail, instance.link_head])
    require(bool((ends >= 0).all() and (ends < n).all()), f"links must end at nodes 0 to {n - 1} of the demand matrix")
    busiest = (instance.link_loads(X) / instance.link_capacity).max(axis=1)
    _same(instance, X, busiest, "the largest load over capacity")


def _prices(instance: Instance, X: FloatArray) -> None:
    assert isinstance(instance, ShadowPrices)
    names = {*instance.constraint_names, *instance.equality_names}
    strangers = sorted(set(instance.shadow_prices(instance.project(X[0])[0])) - names)
    require(not strangers, f"shadow prices of {strangers}, which are no constraints of the instance")


def _jacobian(instance: Instance, X: FloatArray) -> None:
    """Slopes along random directions are those of differences, where the objectives have no kink within the step."""
    assert isinstance(instance, Jacobian)
    space, rng = instance.space, np.random.default_rng(0)
    step = np.where(space.integer, 0.0, _STEP * (space.upper - space.lower))
    inside = np.where(space.integer, X, np.clip(X, space.lower + step, space.upper - step))
    J = instance.jacobian(inside)
    require(J.shape == (len(X), len(instance.objectives), space.dim), "jacobian must return [n, m, d] slopes")
    along = rng.choice((-1.0, 1.0), X.shape) * step
    here, ahead, back = (instance.evaluate_twin(inside + sign * along).F for sign in (0.0, 1.0, -1.0))
    told, found = np.einsum("nmd,nd->nm", J, along), 0.5 * (ahead - back)
    size = np.abs(found) + np.median(np.abs(found), axis=0) + 1e-10 * np.abs(here)
    smooth = np.abs(ahead + back - 2.0 * here) <= 1e-3 * size
    require(bool((smooth.mean(axis=0) > 0.5).all()), "at most points an objective has a kink; it cannot offer slopes")
    off = np.where(smooth, np.abs(told - found) / size, 0.0).max()
    require(bool(off <= 1e-3), f"jacobian differs from differences of evaluate_twin (by {off:.1e})")


def _differentiable(instance: Instance, X: FloatArray) -> None:
    assert isinstance(instance, Differentiable)
    _torch_agrees(instance.objective_torch, X, instance.evaluate_twin(X).F, "objective_torch")


def _constraints(instance: Instance, X: FloatArray) -> None:
    assert isinstance(instance, ConstraintGradients)
    _torch_agrees(instance.constraints_torch, X, instance.evaluate_twin(X).G, "constraints_torch")


def _torch_agrees(function: Callable[..., object], X: FloatArray, expected: FloatArray, name: str) -> None:
    if find_spec("torch") is None:
        return
    import torch

    values = function(torch.tensor(X, dtype=torch.float64))
    require(isinstance(values, torch.Tensor) and tuple(values.shape) == expected.shape, f"{name} must return [n, k] values")
    _close(np.asarray(values), expected, f"{name} differs from evaluate_twin")


def _samplable(instance: Instance, _: FloatArray) -> None:
    """Uninformed samples of the instance's bridge decode to valid points; single objectives rank as evaluated."""
    assert isinstance(instance, Samplable)
    bridge = instance.bridge()
    if bridge.gap(instance) is not None:
        return
    rng = np.random.default_rng(0)
    case = bridge.read(instance)
    cases: Mapping[str, FloatArray] = bridge.spread(case, 8) if bridge.preferences else stack([case])
    n_cases, n_samples = (8, 1) if bridge.preferences else (1, 8)
    size, channels = bridge.shape(cases)
    y = bridge.null(cases, rng.random((n_cases, n_samples, size, channels)))
    require(y.shape == (n_cases, n_samples, size, channels) and bool((np.abs(y) <= 1.0).all()), "null must return y in [-1, 1]")
    points = bridge.decode(cases, y)
    found = bridge.points(instance, points.reshape(8, -1))
    instance.space.require(found)
    projected = bridge.project(bridge.condition(cases), y)
    require(np.shape(projected) == y.shape, "project must return an array in the shape of y")
    if find_spec("torch") is None:
        return  # what follows is for training, and a bridge may ask for torch anywhere in it
    import torch

    score = bridge.score(cases, points)
    require(score.shape == (n_cases, n_samples), "score must have one value per sample")
    if not bridge.preferences:
        evaluation = instance.evaluate(found)
        met = evaluation.violation <= 0.0
        value = -evaluation.F[:, 0] * instance.signs[0]
        best = bool(met.any()) and value[met].max() - value[met][np.argmax(score[0][met])]
        spread = float(np.ptp(value[met])) if met.any() else 0.0
        require(not met.any() or best <= 0.05 * spread, "score ranks another sample first than evaluation does")
    condition = to_tensors(bridge.condition(cases), "cpu")
    tensors = bridge.project_torch(condition, torch.as_tensor(y, dtype=torch.float32))
    apart = float(np.abs(projected - tensors.numpy()).max(initial=0.0))
    require(apart <= 1e-4, f"project_torch differs from project (by {apart:.1e} of the half range)")
    worth = bridge.value(condition, tensors)
    require(tuple(worth.shape) == (n_cases, n_samples), "value must have one number per sample")


def _same(instance: Instance, X: FloatArray, expected: FloatArray, what: str) -> None:
    _close(instance.evaluate_twin(X).F[:, 0], expected, f"with its goal the objective must be {what}")


def _close(values: FloatArray, expected: FloatArray, message: str, rtol: float = _RTOL) -> None:
    scale = float(np.abs(expected).max(initial=0.0)) or 1.0
    worst = float(np.abs(values - expected).max(initial=0.0)) / scale
    require(worst <= rtol, f"{message} (by {worst:.1e} of the largest value)")


_MEANINGS: Mapping[type, Callable[[Instance, FloatArray], None]] = {
    InterferenceChannel: _interference,
    WeightedChannel: _weighted,
    EnergyChannel: _energy,
    ParallelChannels: _parallel,
    AgentsGame: _game,
    GridWalk: _grid,
    SharedStations: _stations,
    SharedServers: _servers,
    FlooredServers: _floors,
    SharedTones: _tones,
    MultiuserDownlink: _downlink,
    PlacedStations: _placements,
    HoveringTransmitter: _hovering,
    PricedLinks: _priced,
    RoutingWeights: _routing,
    ShadowPrices: _prices,
    Jacobian: _jacobian,
    Differentiable: _differentiable,
    ConstraintGradients: _constraints,
    Samplable: _samplable,
}

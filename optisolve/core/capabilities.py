"""Capabilities: what an instance may offer beyond evaluation, and what solvers ask for.

A capability is a protocol. A family offers it by having its members under these names, with these shapes; it registers
nothing and derives from nothing. `isinstance` looks at the names, `capability_gap` at shapes too and says what is missing. The
conformance kit checks every capability that an instance claims against the instance's own evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Protocol, get_args, get_type_hints, runtime_checkable

import numpy as np
import numpy.typing as npt

from optisolve.core.agent_game import AgentGame
from optisolve.core.arrays import BoolArray, ComplexArray, FloatArray, IntArray
from optisolve.core.bridge import Bridge
from optisolve.core.grid_world import GridWorld
from optisolve.core.problem import Instance

if TYPE_CHECKING:
    import torch

__all__ = [
    "CAPABILITIES",
    "AgentsGame",
    "ConstraintGradients",
    "Differentiable",
    "EnergyChannel",
    "FlooredServers",
    "GridWalk",
    "HoveringTransmitter",
    "IntentBranches",
    "InterferenceChannel",
    "Jacobian",
    "MultiuserDownlink",
    "ParallelChannels",
    "PlacedStations",
    "PowerSaving",
    "PricedLinks",
    "Requested",
    "RoutingWeights",
    "Samplable",
    "SelfishLinks",
    "ShadowPrices",
    "Shape",
    "SharedServers",
    "SharedStations",
    "SharedTones",
    "StartingPowers",
    "WeightedChannel",
    "capability_gap",
    "capability_members",
    "offers",
]


@dataclass(frozen=True, slots=True)
class Shape:
    """Axes of an array member; ``"d"`` is the number of decision variables, ``"*"`` any number."""

    axes: tuple[str, ...]


_Vector = Annotated[FloatArray, Shape(("d",))]
_Matrix = Annotated[FloatArray, Shape(("d", "d"))]


@runtime_checkable
class InterferenceChannel(Protocol):
    """The variables are the powers of K links that disturb each other.

    Attributes:
        goal: What is optimized: ``"min_power"``, ``"sum_rate"``, ``"weighted_sum_rate"``, ``"energy_efficiency"`` or another.
        gain: float64 [K, K], linear, receiver i from transmitter j.
        noise_w: float64 [K], W.
        p_max_w: float64 [K], W.
        sinr_floor: float64 [K], linear, 0 for none.
    """

    goal: str
    gain: _Matrix
    noise_w: _Vector
    p_max_w: _Vector
    sinr_floor: _Vector


@runtime_checkable
class WeightedChannel(InterferenceChannel, Protocol):
    """An interference channel whose rates have weights.

    Attributes:
        weight: float64 [K].
    """

    weight: _Vector


@runtime_checkable
class EnergyChannel(WeightedChannel, Protocol):
    """An interference channel whose consumed power is known.

    Attributes:
        circuit_power_w: W.
        power_slope: Consumed per radiated power.
    """

    circuit_power_w: float
    power_slope: float


@runtime_checkable
class ParallelChannels(Protocol):
    """The variables are the powers of M channels that do not disturb each other, under one budget.

    Attributes:
        goal: ``"sum_rate"`` or ``"weighted_sum_rate"``.
        gain: float64 [M], linear.
        noise_w: float64 [M], W.
        weight: float64 [M].
        p_total_w: Budget, W.
    """

    goal: str
    gain: _Vector
    noise_w: _Vector
    weight: _Vector
    p_total_w: float


@runtime_checkable
class BranchTargets(Protocol):
    """Goal, noise and cap of parallel branches, and their floors; None for no floor."""

    goal: str
    noise_w: float
    p_total_w: float
    outage_max: float | None
    bep_max: float | None
    rate_min_mbps: float | None


@runtime_checkable
class IntentBranches(Protocol):
    """The variables are the powers of M parallel branches; the goal and the floors are primitive intents.

    Attributes:
        gain: float64 [M], linear.
        constants: Goal, noise and cap on the total power, floors.
    """

    gain: _Vector
    constants: BranchTargets


@runtime_checkable
class StartingPowers(Protocol):
    """Powers in use before anything is decided.

    Attributes:
        initial_power_w: float64 [K], W.
    """

    initial_power_w: _Vector


@runtime_checkable
class SharedStations(Protocol):
    """The variables are the stations, 0 to J - 1, that serve I users; a station's users share its time equally.

    Attributes:
        goal: ``"proportional_fair"``, ``"max_min"`` or ``"sum_rate"``.
        rate_mbps: float64 [I, J], peak rates, Mbit/s; 0 where a user cannot reach a station.
    """

    goal: str
    rate_mbps: Annotated[FloatArray, Shape(("d", "*"))]


@runtime_checkable
class SharedServers(Protocol):
    """Tasks run where they are or on servers whose processors those on them share.

    With the best shares the cost is the sum of the local costs of those at home, plus the transmission costs of the others,
    plus the square of the sum of roots on every server; no less where deadlines or least shares bind.

    Attributes:
        local_cost: float64 [N], at home.
        transmit_cost: float64 [N, S], of sending the task to a server.
        root_cost: float64 [N, S], root of the cost of running there alone.
        hard_deadlines: Deadlines are constraints.
    """

    local_cost: Annotated[FloatArray, Shape(("*",))]
    transmit_cost: Annotated[FloatArray, Shape(("*", "*"))]
    root_cost: Annotated[FloatArray, Shape(("*", "*"))]
    hard_deadlines: bool

    def complete(self, servers: npt.ArrayLike, /) -> FloatArray:
        """The point with given servers, 0 = local, and the best shares for them, float64 [d]."""
        ...


@runtime_checkable
class FlooredServers(SharedServers, Protocol):
    """Shared servers on which no share may be smaller than a floor.

    Attributes:
        share_floor: float64 [N, S], smallest share of every task on every server; above 1 where it is no choice at all.
        local_allowed: bool [N], whether the task may stay at home.
    """

    share_floor: Annotated[FloatArray, Shape(("*", "*"))]
    local_allowed: Annotated[BoolArray, Shape(("*",))]


@runtime_checkable
class SharedTones(Protocol):
    """M tones go to one of K users each and share one budget of power.

    Attributes:
        goal: ``"sum_rate"``, ``"weighted_sum_rate"`` or another.
        snr_per_w: float64 [K, M], 1/W.
        tone_mbps: Rate of a tone per bit/s/Hz, Mbit/s.
        weight: float64 [K].
        power_total_w: Budget, W.
        tone_power_max_w: Largest power of a tone, W.
        power_levels: Levels of a tone's power, 0 for continuous powers.
    """

    goal: str
    snr_per_w: Annotated[FloatArray, Shape(("*", "*"))]
    tone_mbps: float
    weight: Annotated[FloatArray, Shape(("*",))]
    power_total_w: float
    tone_power_max_w: float
    power_levels: int

    def point(self, owner: npt.ArrayLike, power: npt.ArrayLike | None = None, /) -> FloatArray:
        """The point of owners [M] and powers [M], W, float64 [d]."""
        ...


@runtime_checkable
class MultiuserDownlink(Protocol):
    """The variables are the precoders of an array of M antennas for K users with one antenna each.

    Attributes:
        goal: ``"min_power"``, ``"max_min"`` (of SINR over target), ``"weighted_sum_rate"`` or another.
        channel: complex128 [K, M], h_k as row k; user k hears precoder w_j with power |h_k^H w_j|^2.
        weight: float64 [K], of the rates.
        sinr_target: float64 [K], linear.
        noise_w: Noise of every user, W.
        p_total_w: Cap on the power of all precoders, W.
    """

    goal: str
    channel: Annotated[ComplexArray, Shape(("*", "*"))]
    weight: Annotated[FloatArray, Shape(("*",))]
    sinr_target: Annotated[FloatArray, Shape(("*",))]
    noise_w: float
    p_total_w: float

    def precoded(self, W: ComplexArray, /) -> FloatArray:
        """The point of precoders complex128 [K, M], sqrt(W); float64 [d]."""
        ...


@runtime_checkable
class PlacedStations(Protocol):
    """Stations are placed over a square in which users stand.

    Attributes:
        users_m: float64 [K, 2], m.
        n_stations: Number of stations M.
        side_m: Side of the square, m.
        height_m: Height of the stations above the users, m.
    """

    users_m: Annotated[FloatArray, Shape(("*", "*"))]
    n_stations: int
    side_m: float
    height_m: float

    def placed(self, positions_m: FloatArray, /) -> FloatArray:
        """The point with stations at given places, float64 [M, 2] in m, and equal powers, repaired; float64 [d]."""
        ...


@runtime_checkable
class HoveringRadio(Protocol):
    """Height H in m, noise over the gain at 1 m in W per m^2, power in W, and whether weaker users get no less power."""

    altitude_m: float
    noise_over_gain_1m_w: float
    p_total_w: float
    power_order: bool


@runtime_checkable
class HoveringTransmitter(Protocol):
    """The variables are the place of one transmitter over a square and its powers for K users on one channel.

    A user cancels the signals of those who are further away and hears those of the nearer ones as noise; gain falls with the
    square of the distance. The objective is the sum of the rates, bit/s/Hz.

    Attributes:
        users_m: float64 [K, 2], m.
        min_rate: float64 [K], bit/s/Hz, 0 for none.
        area_m: Side of the square, m.
        constants: Height, noise and power.
    """

    users_m: Annotated[FloatArray, Shape(("*", "2"))]
    min_rate: Annotated[FloatArray, Shape(("*",))]
    area_m: float
    constants: HoveringRadio

    def hovering(self, place_m: FloatArray, /) -> FloatArray | None:
        """The point at a place, float64 [2] in m, with the best split of the power; float64 [d], None where there is none."""
        ...


@runtime_checkable
class SelfishLinks(Protocol):
    """Links that each maximize bits per joule at one receiver less a price on their power.

    Attributes:
        gain: float64 [K], linear.
        noise_w: W.
        processing_gain: Linear.
        p_max_w: Cap of every link, W.
        rate_bit_s: bit/s.
        frame_bits: Bits of a frame, M of (1 - exp(-SINR))^M.
        balanced_sinr: SINR of the equilibrium without a price, linear.
    """

    gain: Annotated[FloatArray, Shape(("*",))]
    noise_w: float
    processing_gain: float
    p_max_w: float
    rate_bit_s: float
    frame_bits: int
    balanced_sinr: float


@runtime_checkable
class PricedLinks(Protocol):
    """The variable is the decimal logarithm of the price per watt that selfish links pay; the objective is kbit/J of them all.

    They respond all at once, again and again, from zero powers; one for which it does not pay to transmit leaves for good.

    Attributes:
        uplink: The links.
    """

    uplink: SelfishLinks


@runtime_checkable
class PowerSaving(Protocol):
    """An intended fall of the total power.

    Attributes:
        power_saving_w: W; 0 for none.
    """

    power_saving_w: float


@runtime_checkable
class AgentsGame(Protocol):
    """Every variable is the action of one agent with a utility of its own.

    Attributes:
        game: Its bounds are those of the decision variables.
    """

    game: AgentGame


@runtime_checkable
class GridWalk(Protocol):
    """The variables are the moves of a walk on a grid.

    Attributes:
        world: The grid.
    """

    world: GridWorld


@runtime_checkable
class RoutingWeights(Protocol):
    """The variables are the weights of directed links; traffic takes shortest paths, in equal parts where several are shortest.

    Attributes:
        link_tail: int64 [E], nodes where links begin.
        link_head: int64 [E], nodes where they end.
        link_capacity: float64 [E].
        weight_today: float64 [E], the weights in use.
        failures: int64 [L, 2], links that fail together, -1 for none; loads are those of the worst failure or none, L may be 0.
    """

    link_tail: Annotated[IntArray, Shape(("d",))]
    link_head: Annotated[IntArray, Shape(("d",))]
    link_capacity: _Vector
    weight_today: _Vector
    failures: Annotated[IntArray, Shape(("*", "*"))]

    def demand_matrix(self) -> FloatArray:
        """What is to be carried from row to column, float64 [N, N], in the unit of the capacities."""
        ...

    def link_loads(self, X: FloatArray) -> FloatArray:
        """Loads of the links, float64 [n, E], for weights float64 [n, E]; every look is charged to a run as one evaluation.

        The first objective is the largest load over capacity.
        """
        ...


@runtime_checkable
class Requested(Protocol):
    """What is asked for stands in somebody's words.

    Attributes:
        request: One or a few sentences.
    """

    request: str


@runtime_checkable
class ShadowPrices(Protocol):
    """Multipliers known in closed form."""

    def shadow_prices(self, x: FloatArray) -> Mapping[str, float]:
        """What the optimum gains, in the objective's unit, when a constraint is relaxed by 1 %; by constraint name.

        Args:
            x: float64 [d], an optimum.
        """
        ...


@runtime_checkable
class Differentiable(Protocol):
    """The objectives as differentiable functions; needs torch when called."""

    def objective_torch(self, x: torch.Tensor) -> torch.Tensor:
        """Tensor [n, d] to tensor [n, m]: the values of `evaluate_twin`."""
        ...


@runtime_checkable
class Jacobian(Protocol):
    """The slopes of the objectives in closed form. A look at those of a point is charged to a run as one evaluation."""

    def jacobian(self, X: FloatArray) -> FloatArray:
        """Points inside the bounds, float64 [n, d], to float64 [n, m, d]: objectives' units per unit of a variable.

        Where an objective has a kink, the slope of one side.
        """
        ...


@runtime_checkable
class ConstraintGradients(Protocol):
    """The inequality constraints as differentiable functions; needs torch when called."""

    def constraints_torch(self, x: torch.Tensor) -> torch.Tensor:
        """Tensor [n, d] to tensor [n, k]: the values of G of `evaluate_twin`."""
        ...


@runtime_checkable
class Samplable(Protocol):
    """A conditional sampler can be trained and used on instances like this one."""

    def bridge(self) -> Bridge:
        """What a sampler must know about the family."""
        ...


CAPABILITIES: tuple[type, ...] = (
    InterferenceChannel,
    WeightedChannel,
    EnergyChannel,
    ParallelChannels,
    IntentBranches,
    SharedStations,
    SharedServers,
    FlooredServers,
    SharedTones,
    MultiuserDownlink,
    PlacedStations,
    HoveringTransmitter,
    PricedLinks,
    StartingPowers,
    PowerSaving,
    AgentsGame,
    GridWalk,
    RoutingWeights,
    Requested,
    ShadowPrices,
    Jacobian,
    Differentiable,
    ConstraintGradients,
    Samplable,
)
"""Those that solvers of this package ask for; a plug-in may bring its own."""


def offers(instance: Instance) -> tuple[type, ...]:
    """The capabilities that an instance offers."""
    return tuple(c for c in CAPABILITIES if isinstance(instance, c) and capability_gap(instance, c) is None)


def capability_gap(instance: Instance, capability: type) -> str | None:
    """What an instance lacks to offer a capability, in one sentence; None when it lacks nothing.

    Args:
        instance: Any instance.
        capability: A protocol; arrays are annotated with their `Shape`.
    """
    lacking = _lacking(instance, capability, instance.space.dim)
    if lacking is None:
        return None
    meaning = (capability.__doc__ or "").partition(".")[0].replace("\n", " ")
    where = f"this instance of {instance.origin.problem}"
    return f"needs the capability {capability.__name__} ({meaning}); {where}: {lacking}"


@cache
def capability_members(capability: type) -> Mapping[str, object]:
    """Members of a protocol by name: their annotation, or None for a method."""
    found: dict[str, object] = {}
    for base in reversed(capability.__mro__):
        if getattr(base, "_is_protocol", False) and base is not Protocol:
            found |= {name: None for name, value in vars(base).items() if callable(value) and not name.startswith("_")}
            found |= dict.fromkeys(vars(base).get("__annotations__", {}))
    hints = get_type_hints(capability, include_extras=True)
    return {name: hints.get(name) for name in found}


@dataclass(frozen=True, slots=True)
class _Demand:
    """What a member must be: a method (no field set), what offers another capability, an array, or of some kinds."""

    capability: type | None = None
    axes: tuple[str, ...] | None = None
    kinds: tuple[type, ...] = ()

    def unlike(self, value: Any, dim: int) -> str | None:
        """What a value should be, in words; None when it is that."""
        if self.axes is not None:
            actual = value.shape if isinstance(value, np.ndarray) else np.shape(value)
            if len(actual) == len(self.axes):
                for axis, size in zip(self.axes, actual, strict=True):  # as a loop: every call of a solver asks
                    if axis != "*" and size != (dim if axis == "d" else int(axis)):
                        break
                else:
                    return None
            wanted = ", ".join(str(dim) if axis == "d" else axis for axis in self.axes)
            return f"an array with shape [{wanted}], found {list(actual)}"
        if self.kinds:
            told = " or ".join(kind.__name__ for kind in self.kinds)
            return None if isinstance(value, self.kinds) else f"{told}, found {type(value).__name__}"
        if self.capability is None:
            return None if callable(value) else "a method"
        inner = _lacking(value, self.capability, dim)
        return None if inner is None else f"{self.capability.__name__}: {inner}"


@cache
def _demands(capability: type) -> Mapping[str, _Demand]:
    """What the members of a protocol must be; read from the annotations once, since every call of a solver asks."""
    return {name: _demand(hint) for name, hint in capability_members(capability).items()}


def _demand(hint: object) -> _Demand:
    if hint is None:
        return _Demand()
    if isinstance(hint, type) and getattr(hint, "_is_protocol", False):
        return _Demand(capability=hint)
    for shape in (extra for extra in get_args(hint)[1:] if isinstance(extra, Shape)):
        return _Demand(axes=shape.axes)
    kinds = tuple(kind for kind in get_args(hint) or (hint,) if isinstance(kind, type))
    return _Demand(kinds=(*kinds, int) if float in kinds else kinds)


_ABSENT = object()


def _lacking(holder: object, capability: type, dim: int) -> str | None:
    absent, wrong = list[str](), ""
    for name, demand in _demands(capability).items():
        value = getattr(holder, name, _ABSENT)
        if value is _ABSENT:
            absent.append(name)
        elif not wrong and (told := demand.unlike(value, dim)) is not None:
            wrong = f"'{name}' must be {told}"
    return f"has no {', '.join(absent)}" if absent else wrong or None

"""Skeletons for an interference channel: in which order links go on, and how powers are moved.

Inside, powers are shares of their caps, noise is 1 and rates are in nat/s/Hz, so that a rule carries over to other channels.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.capabilities import WeightedChannel, capability_gap
from optisolve.core.problem import Instance
from optisolve.numerics.wmmse import normalized_gain
from optisolve.programs.language import Feature, Kind
from optisolve.programs.program import Machine, Program
from optisolve.programs.skeleton import Answering, rules

__all__ = ["Exchange", "Insertion", "Update"]

_GOALS = ("sum_rate", "weighted_sum_rate")
_S, _V, _M = Kind.SCALAR, Kind.VECTOR, Kind.MATRIX

_CROSS = Feature("cross", _M, "1", "what receiver i hears of transmitter j at full power, over noise; 0 for its own")
_LINKS = Feature("n_links", _S, "1", "number of links K")
_RATE = Feature("total", _S, "nat/s/Hz", "weighted sum rate now")


class _Channel(Answering):
    """What the three have in common."""

    @classmethod
    def gap(cls, instance: Instance) -> str | None:
        """Needs a sum rate or weighted sum rate on an interference channel, without minimum rates."""
        reason = capability_gap(instance, WeightedChannel)
        if reason is not None or not isinstance(instance, WeightedChannel):
            return reason
        if instance.goal not in _GOALS:
            return f"the skeleton {cls.name} needs the goal {' or '.join(_GOALS)}, this one has {instance.goal}"
        return f"the skeleton {cls.name} knows no minimum rates" if instance.sinr_floor.any() else None

    @classmethod
    def n_items(cls, instance: Instance) -> int:
        """Number of links."""
        return instance.space.dim

    @staticmethod
    def channel(instance: Instance) -> tuple[FloatArray, FloatArray]:
        """Normalized gain [K, K] and weights [K]."""
        assert isinstance(instance, WeightedChannel)
        gain = normalized_gain(instance.gain, instance.noise_w, instance.p_max_w)
        return gain, np.array(instance.weight)  # a copy: what may not be written would be compiled for once more

    @staticmethod
    def powers(instance: Instance, shares: FloatArray) -> FloatArray:
        """Shares of the caps as powers, W, float64 [K]."""
        assert isinstance(instance, WeightedChannel)
        return np.asarray(shares * instance.p_max_w)


class Insertion(_Channel):
    """Links go on one after the other, the best-scored one first, each if the sum rate rises.

    The program scores all links anew after every link that went on; a link that did not help is not tried again.
    """

    name: ClassVar = "insertion"
    summary: ClassVar = "power_control: which link goes on next; a link stays on if the weighted sum rate rises"
    exchanges: ClassVar[bool] = False
    features: ClassVar = (
        Feature("g", _V, "1", "own gain at full power over noise"),
        Feature("weight", _V, "1", "weight of the link's rate"),
        Feature("heard", _V, "1", "interference at the link's receiver from links that are on, over noise"),
        Feature("caused", _V, "1", "interference that the link's transmitter would cause at receivers of links that are on"),
        Feature("heard_all", _V, "1", "the same with all links on"),
        Feature("caused_all", _V, "1", "the same at all other receivers"),
        Feature("loss", _V, "nat/s/Hz", "what links that are on would lose, to first order"),
        Feature("change", _V, "nat/s/Hz", "exact change of the weighted sum rate if the link is switched; costs K times more"),
        Feature("on", _V, "1", "1 where the link is on, else 0"),
        Feature("n_on", _S, "1", "number of links that are on"),
        _LINKS,
        _RATE,
        _CROSS,
    )
    hand: ClassVar = rules(
        balanced=(
            "(/ (* weight g) (* (+ 1 heard) (+ 1 caused)))",
            "own gain over the interference that it meets and makes; ours",
        ),
        strongest=("(* weight g)", "strongest own channel first; the usual greedy order"),
        first_order=("(- (* weight (log1p (/ g (+ 1 heard)))) loss)", "own rate less what others lose, to first order; ours"),
        steepest=("change", "steepest ascent: the link that raises the sum rate most"),
    )

    @classmethod
    def answer(cls, program: Program, instance: Instance, rounds: int) -> FloatArray:
        """Powers of 0 or the cap, W, float64 [K]."""
        from optisolve.programs.power_kernels import order_links

        gain, weight = cls.channel(instance)
        machine, codes = Machine(program, weight.size), program.codes
        room = (machine.registers, machine.stack)
        told = np.array(codes.vectors)
        on = order_links(gain, weight, codes.instructions, codes.numbers, told, cls.exchanges, rounds, *room)
        return cls.powers(instance, on)


class Exchange(Insertion):
    """Insertion, then removals and exchanges of one link for another, each if the sum rate rises, until none helps.

    The program's scores say in which order moves are tried: the link with the worst score leaves, the one with the best enters.
    """

    name: ClassVar = "exchange"
    summary: ClassVar = "power_control: which link goes on next, then which leaves for which, while the weighted sum rate rises"
    hand: ClassVar = {
        **Insertion.hand,
        **rules(
            weakest=(
                "(- (* weight g))",
                "weakest own channel first, which leaves most to exchanges; ours, after a rule that was found",
            )
        ),
    }
    exchanges: ClassVar[bool] = True


class Update(_Channel):
    """Powers are replaced by what the program says, step after step, from full power; the best of all steps is the answer."""

    name: ClassVar = "update"
    summary: ClassVar = "power_control: the next powers from the present ones, as shares of their caps"
    features: ClassVar = (
        Feature("p", _V, "1", "power now, share of its cap"),
        Feature("g", _V, "1", "own gain at full power over noise"),
        Feature("weight", _V, "1", "weight of the link's rate"),
        Feature("signal", _V, "1", "received signal now over noise, g p"),
        Feature("heard", _V, "1", "interference now at the link's receiver over noise"),
        Feature("sinr", _V, "1", "signal / (1 + heard)"),
        Feature("rate", _V, "nat/s/Hz", "ln(1 + sinr)"),
        Feature("price", _V, "nat/s/Hz", "what the link's weighted rate loses per unit of interference over noise"),
        Feature("pressure", _V, "nat/s/Hz", "what all others lose per share of this link's cap, to first order"),
        Feature("slope", _V, "nat/s/Hz", "slope of the weighted sum rate along the link's power, per share of its cap"),
        Feature("best", _V, "1", "powers of the best step so far"),
        Feature("step", _S, "1", "share of the steps that are done, 0 to 1"),
        _LINKS,
        _RATE,
        _CROSS,
    )
    hand: ClassVar = rules(
        wmmse=(
            "(do (set r1 (/ (* price (+ 1 heard signal)) (* (sqrt p) (+ pressure (* price g))))) (* r1 r1))",
            "one step of WMMSE; Shi, Razaviyayn, Luo and He 2011",
        ),
        pricing=(
            "(- (/ weight pressure) (/ (+ 1 heard) g))",
            "best response to prices of interference; Huang, Berry and Honig 2006",
        ),
        on_off=("(< 0 slope)", "full power where the slope is up, else off"),
        gradient=("(+ p (* 0.2 (sign slope)))", "a fifth of the cap along the slope's sign; ours"),
    )

    @classmethod
    def answer(cls, program: Program, instance: Instance, rounds: int) -> FloatArray:
        """Powers, W, float64 [K]."""
        from optisolve.programs.power_kernels import iterate_powers

        gain, weight = cls.channel(instance)
        machine, codes = Machine(program, weight.size), program.codes
        shares = iterate_powers(gain, weight, codes.instructions, codes.numbers, rounds, machine.registers, machine.stack)
        return cls.powers(instance, shares)

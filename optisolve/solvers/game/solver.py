"""`game` and `game_control`: agents choose their own actions, round after round."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, ClassVar, Literal, get_args

import numpy as np
from annotated_types import Ge, Le

from optisolve.core.arrays import FloatArray
from optisolve.core.budget import Budget, spent_on_the_model
from optisolve.core.capabilities import PowerSaving, StartingPowers
from optisolve.core.controls import PLACEBO, SUBJECT, Arm
from optisolve.core.documents import Json
from optisolve.core.errors import FieldProblem
from optisolve.core.problem import Instance
from optisolve.core.solver import Feature, Outcome, Solver, SolverInfo, Task
from optisolve.core.status import Termination
from optisolve.llm.prompts import style_problems
from optisolve.llm.session import session_of
from optisolve.numerics.games import AgentGame
from optisolve.solvers.game.agents import ControlKind, agent_gap, make_agent
from optisolve.solvers.game.desk import DeskOptions, LlmDesk
from optisolve.solvers.game.forms import WELCOMES, game_gap, game_of
from optisolve.solvers.game.loop import Play, Rules

__all__ = ["Game", "GameControl"]

_SUPPORTS = frozenset({Feature.SINGLE_OBJECTIVE, Feature.REAL, Feature.INEQUALITY})


@dataclass(frozen=True, slots=True)
class _AgentSolver(Rules, Solver):
    """What both solvers share, beside the rules of the game.

    Args:
        levels: Actions are whole numbers from 0 to this one, over the agent's range.
        regret_levels: Steps of the grid on which ``regret_matching`` keeps its regret.
        cut_share: What the cuts save of the total at the start, and the intent that chat models are told; None takes it from
            the instance's intent, else 0.05.
        answer: ``"last"``: the joint action that the agents ended with. ``"best"``: the best that they passed through.
    """

    levels: Annotated[int, Ge(1), Le(100_000)] = 1000
    regret_levels: Annotated[int, Ge(1), Le(1000)] = 200
    cut_share: Annotated[float, Ge(0), Le(1)] | None = None
    answer: Literal["last", "best"] = "last"

    def skip(self, instance: Instance) -> str | None:
        """Needs a game: an interference channel with a known goal, or an instance that brings one."""
        reason = Solver.skip(self, instance) or game_gap(instance)
        if reason is None:
            game = game_of(instance)
            kinds = self._kinds(game)
            reason = next((told for kind in kinds if (told := agent_gap(kind, game))), None)
            if reason is None and len(self._named()) not in (1, game.n_agents):
                reason = f"option 'agents' names {len(self._named())} agents, the game has {game.n_agents}; name one or all"
        return reason

    def takes_start(self, instance: Instance) -> bool:
        """The agents begin at the powers that are given."""
        return True

    def _named(self) -> Sequence[str]:
        raise NotImplementedError

    def _kinds(self, game: AgentGame) -> list[str]:
        named = list(self._named())
        return named * game.n_agents if len(named) == 1 else named

    def _desk(self, task: Task, game: AgentGame, intent: str) -> LlmDesk | None:
        return None

    def _solve(self, task: Task) -> Outcome:
        game, kinds = game_of(task.instance), self._kinds(game_of(task.instance))
        start = _start(task, game)
        share, intent = _intent(task.instance, start, self.cut_share)
        agents = {
            k: make_agent(
                kind,
                game,
                k,
                levels=self.regret_levels if kind == "regret_matching" else self.levels,
                cut_share=share,
                total_start=float(start.sum()),
                rng=task.rng(purpose="agent", agent=k),
            )
            for k, kind in enumerate(kinds)
            if kind != "llm"
        }
        desk = self._desk(task, game, intent) if len(agents) < game.n_agents else None
        play = Play(task, game, self, start, agents, desk, kinds)

        def report() -> dict[str, Json]:
            return {**play.report(), **({} if desk is None else {"operator": desk.report()})}

        task.reporter = report
        termination, limit = play.run()
        if termination is Termination.LIMIT and limit is None:
            limit = spent_on_the_model(task.meter)
        outcome = task.outcome(termination, limit, report=report())
        if self.answer == "best":
            return outcome
        return Outcome(play.x[None, :].copy(), termination, limit, report=outcome.report)


@dataclass(frozen=True, slots=True)
class GameControl(_AgentSolver):
    """Agents without a language model in the loop of `game`: its controls. None needs more than ``"local"`` information.

    Args:
        agents: Kind of every agent, one for all or one each. ``best_response``: exact; ``grid_best_response``: among the
            levels that a language model may name; ``foschini_miljanic``: the rule of 1993, from the own SINR;
            ``regret_matching``: mixed actions in proportion to regret; ``proportional_cut``, ``equal_cut``: one cut of the
            intended amount, then nothing; ``random``.
    """

    info: ClassVar[SolverInfo] = SolverInfo(
        name="game_control",
        version="1",
        summary="Agents without a language model, round after round: best response, Foschini-Miljanic, regret matching, cuts.",
        supports=_SUPPORTS,
        welcomes=WELCOMES,
        keeps_best=False,
        citation="Foschini and Miljanic 1993; Hart and Mas-Colell 2000 (regret matching)",
    )
    rounds: Annotated[int, Ge(1), Le(100_000)] = 1000
    agents: tuple[ControlKind, ...] = ("best_response",)

    def _check(self) -> Iterable[FieldProblem]:
        if not self.agents:
            yield FieldProblem("agents", self.agents, "one kind for all agents, or one for each")

    def _named(self) -> Sequence[str]:
        return self.agents


@dataclass(frozen=True, slots=True)
class Game(_AgentSolver, DeskOptions):
    """Agents of which a language model plays some or all: each sees its own information set and names its next action.

    Args:
        agents: Kind of every agent, one for all or one each: ``"llm"`` or a kind of `GameControl`; at least one ``"llm"``.
    """

    info: ClassVar[SolverInfo] = SolverInfo(
        name="game",
        version="3",
        summary="Language-model agents in a game: each names its own action, with memory and messages.",
        supports=_SUPPORTS,
        welcomes=WELCOMES,
        uses_llm=True,
        keeps_best=False,
        citation="Setting after Zou et al. 2023, arXiv 2307.02757; prompts, memory and scoring are ours",
    )
    agents: tuple[ControlKind | Literal["llm"], ...] = ("llm",)

    def _check(self) -> Iterable[FieldProblem]:
        if "llm" not in self.agents:
            yield FieldProblem(
                "agents", self.agents, "at least one 'llm'; the solver game_control plays without a language model"
            )
        yield from style_problems(self.style, self.prompt)

    def controls(self, *, budget: Budget, model: str) -> Sequence[Arm]:
        """The same game with other agents in the seats that the language model has."""
        subject = {**self.options(), "placebo": False}
        shared = {f.name: subject[f.name] for f in fields(_AgentSolver)}
        return [
            Arm(SUBJECT, "the language model", self.info.name, subject),
            Arm(PLACEBO, "same model, measurements shuffled (placebo)", self.info.name, {**subject, "placebo": True}),
            *(
                Arm(
                    kind,
                    f"{kind.replace('_', ' ')} agents",
                    "game_control",
                    {**shared, "agents": [kind if agent == "llm" else agent for agent in self.agents]},
                )
                for kind in get_args(ControlKind)
            ),
        ]

    def _named(self) -> Sequence[str]:
        return self.agents

    def _desk(self, task: Task, game: AgentGame, intent: str) -> LlmDesk:
        return LlmDesk(session_of(task), game, self, self, levels=self.levels, intent=intent, seed=task.seed)


def _start(task: Task, game: AgentGame) -> FloatArray:
    """The warm start, the instance's own start, or the game's default."""
    if task.warm_start is not None:
        start = np.asarray(task.instance.space.require(np.atleast_2d(task.warm_start)[:1], what="warm_start")[0])
    elif isinstance(task.instance, StartingPowers):
        start = np.asarray(task.instance.initial_power_w, dtype=np.float64)
    else:
        start = game.lower + game.default_start * (game.upper - game.lower)
    return np.asarray(np.clip(start, game.lower, game.upper))


def _intent(instance: Instance, start: FloatArray, cut_share: float | None) -> tuple[float, str]:
    """Share of the total that is to be saved, and the wish in words; from the instance where it has one."""
    saving = instance.power_saving_w if isinstance(instance, PowerSaving) else 0.0
    total = float(start.sum())
    if cut_share is None and saving > 0.0 and total > 0.0:
        return min(1.0, saving / total), f"Together you should save at least {saving:g} W of the {total:g} W used at the start."
    share = 0.05 if cut_share is None else cut_share
    return share, ""

"""`q_fusion` and `q_fusion_control`: experts for primitive intents, fused stage by stage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt, Le

from optisolve.core.arrays import FloatArray
from optisolve.core.budget import Budget
from optisolve.core.capabilities import GridWalk, Requested
from optisolve.core.controls import SUBJECT, Arm
from optisolve.core.documents import Json
from optisolve.core.errors import FieldProblem
from optisolve.core.seeds import generator
from optisolve.core.solver import Feature, Outcome, Solver, SolverInfo, Task
from optisolve.core.status import Termination
from optisolve.llm.dialogue import Dialogue, Turn, Verdict, worded
from optisolve.llm.forms import grammar_of, schema_of
from optisolve.llm.prompts import Prompt, StyleName, named_prompt, require_style, style_problems
from optisolve.llm.session import session_of
from optisolve.llm.types import LlmRequest
from optisolve.numerics.grid_world import GridWorld
from optisolve.solvers.q_fusion.experts import Expert, expert_names, joint_values, make_experts, successor_values
from optisolve.solvers.q_fusion.fusion import Rule, fuse_q
from optisolve.solvers.q_fusion.plan import Plan, blind_plan, plan_form, plan_line, read_plan, rule_plan, stage_ends, stage_keys

__all__ = ["QFusion", "QFusionControl"]

_SUPPORTS = frozenset({Feature.SINGLE_OBJECTIVE, Feature.INTEGER, Feature.INEQUALITY})


@dataclass(frozen=True, slots=True)
class _Fused(Solver):
    """What both solvers share.

    Args:
        fusion: ``"normalized"``: weighted mean of scale-free action values. ``"average"``: of the values as they are.
            ``"gpi"``: per action the largest value of any expert of the stage. ``"successor"``: generalized policy improvement
            over successor features. ``"product"``: product of soft policies. ``"joint"``: no fusion but a new expert, computed
            exactly for each stage: what fusing is meant to save.
        training: ``"q_learning"``, or ``"value_iteration"`` for exact experts.
        episodes: Q-learning episodes per expert.
        learning_rate: Of Q-learning.
        exploration: Chance of a random move in training.
        temperature: Of the soft policies of ``"product"``.
        revisit_penalty: Taken off a move's score for every earlier visit of the stage to the cell that it leads to, in units of
            the spread of the scores in that cell; 0 follows the fused values alone, which may walk in circles.
    """

    fusion: Rule | Literal["joint"] = "normalized"
    training: Literal["q_learning", "value_iteration"] = "q_learning"
    episodes: Annotated[int, Ge(1), Le(1_000_000)] = 2000
    learning_rate: Annotated[float, Gt(0), Le(1)] = 1.0
    exploration: Annotated[float, Ge(0), Le(1)] = 0.2
    temperature: Annotated[float, Gt(0)] = 0.1
    revisit_penalty: Annotated[float, Ge(0)] = 0.0

    def _plan(self, task: Task, world: GridWorld) -> tuple[Plan, dict[str, Json]]:
        raise NotImplementedError

    def _solve(self, task: Task) -> Outcome:
        assert isinstance(task.instance, GridWalk)
        world = task.instance.world
        experts = make_experts(
            world,
            training=self.training,
            episodes=self.episodes,
            learning_rate=self.learning_rate,
            exploration=self.exploration,
            rng=task.rng(purpose="experts"),
        )
        plan, told = self._plan(task, world)
        moves, reached = self._walk(world, experts, plan, task.instance.space.dim)
        task.evaluate(moves[None, :], source=plan.source)
        report = {
            "plan": plan.told(),
            "plan_source": plan.source,
            "stages_reached": reached,
            "transitions": sum(expert.transitions for expert in experts),
            **told,
        }
        return task.outcome(Termination.CONVERGED, report=report)

    def _walk(self, world: GridWorld, experts: list[Expert], plan: Plan, horizon: int) -> tuple[FloatArray, int]:
        """Follow the fused values stage by stage; returns the moves and how many stages were completed."""
        table, scores = world.next_cells(), [self._scores(world, experts, stage.weights) for stage in plan.stages]
        prizes = world.prizes.tolist()
        moves, cell, mask, stage = np.zeros(horizon), world.start, 0, 0
        visits = np.zeros(world.size)
        for t in range(horizon):
            if stage == len(plan.stages):
                break
            here = scores[stage][cell]
            visits[cell] += 1.0
            move = int(np.argmax(here - self.revisit_penalty * float(np.ptp(here)) * visits[table[cell]]))
            moves[t] = move
            cell = int(table[cell, move])
            mask = world.collected(mask, cell)
            if world.traps[cell]:
                break
            while stage < len(plan.stages) and _over(plan.stages[stage].until, cell, mask, world.goal, len(prizes)):
                stage += 1
                visits[:] = 0.0
        return moves, stage

    def _scores(self, world: GridWorld, experts: list[Expert], weights: Mapping[str, float]) -> FloatArray:
        """Fused scores of every move in every cell, float64 [cells, 5]."""
        if self.fusion == "joint":
            return joint_values(world, [name for name, weight in weights.items() if weight > 0.0])
        chosen = [expert for expert in experts if weights.get(expert.name, 0.0) > 0.0]
        weight = np.array([weights[expert.name] for expert in chosen])
        if self.fusion == "successor":
            Q = successor_values(experts, world, [expert.name for expert in chosen])
        else:
            Q = np.stack([expert.Q for expert in chosen])
        return fuse_q(self.fusion, Q, weight, temperature=self.temperature)


@dataclass(frozen=True, slots=True)
class QFusionControl(_Fused):
    """The same experts and fusion with a plan written by rule: no language model is called."""

    info: ClassVar[SolverInfo] = SolverInfo(
        name="q_fusion_control",
        version="1",
        summary="Tabular experts fused along a plan by rule: prizes in order, then the goal, always avoiding traps.",
        supports=_SUPPORTS,
        requires=(GridWalk,),
        citation="Setting after Du et al. 2024, arXiv 2402.09756; the plan by rule is ours",
    )

    def _plan(self, task: Task, world: GridWorld) -> tuple[Plan, dict[str, Json]]:
        return rule_plan(world), {}


@dataclass(frozen=True, slots=True)
class QFusion(_Fused):
    """A language model plans stages of a task; in each stage tabular experts of primitive intents are fused.

    Args:
        style: Prompt style: ``"schema"`` for chat models, ``"continuation"`` for small ones, ``"auto"`` asks the model.
        prompt: Prompt to use, ``"NAME.vVERSION"`` or ``"NAME"``; the name ends with its style. None means the style's own.
        max_reasks: Further questions after an answer without a plan; then all experts alike until the goal (``"fallback"``).
    """

    info: ClassVar[SolverInfo] = SolverInfo(
        name="q_fusion",
        version="2",
        summary="A language model plans stages; tabular experts of primitive intents are fused in each.",
        supports=_SUPPORTS,
        requires=(GridWalk,),
        welcomes=(Requested,),
        uses_llm=True,
        citation="Setting after Du et al. 2024, arXiv 2402.09756; prompts, experts and fusion rules are ours",
    )
    style: StyleName = "auto"
    prompt: str | None = None
    max_reasks: Annotated[int, Ge(0), Le(10)] = 1

    def _check(self) -> Iterable[FieldProblem]:
        yield from style_problems(self.style, self.prompt)

    def controls(self, *, budget: Budget, model: str) -> Sequence[Arm]:
        """The same experts and fusion along a plan by rule."""
        shared = {f.name: getattr(self, f.name) for f in fields(_Fused)}
        return [
            Arm(SUBJECT, "the language model", self.info.name, self.options()),
            Arm("rule", "a plan by rule", "q_fusion_control", shared),
        ]

    def _plan(self, task: Task, world: GridWorld) -> tuple[Plan, dict[str, Json]]:
        session = session_of(task)
        style = require_style(session, self.info.name, self.style, self.prompt)
        prompt, dialogue = named_prompt(self.prompt or f"maze_plan_{style}"), Dialogue(session, max_reasks=self.max_reasks)

        def request(turn: Turn[GridWorld, Plan], attempt: int) -> LlmRequest:
            return self._request(task, world, prompt, style, attempt, "; ".join(turn.errors))

        turn = dialogue.ask_one(world, request, lambda _, text: _judge(text, world))
        warning = f"the language model gave no plan ({turn.why}); all experts alike until the goal" if turn.failure else ""
        report = dialogue.report(style=style, prompts=prompt.describe(), warning=warning)
        return turn.answer or blind_plan(world), {"operator": {**report.plain(), "rejected": turn.why}}

    def _request(self, task: Task, world: GridWorld, prompt: Prompt, style: str, attempt: int, error: str) -> LlmRequest:
        wish = task.instance.request if isinstance(task.instance, Requested) else ""
        variables = {
            "request": wish or task.instance.describe().summary,
            "experts": [{"name": name, "meaning": _MEANING[name.rstrip("_0123456789")]} for name in expert_names(world)],
            "ends": stage_ends(world),
            "stages": stage_keys(world),
            "error": error,
        }
        form = plan_form(world)
        return worded(
            prompt.render(**{key: value for key, value in variables.items() if key in prompt.variables}),
            style,
            tag="plan",
            attempt=attempt,
            seed=int(generator(task.seed, operator="q_fusion", purpose="plan", attempt=attempt).integers(2**31)),
            max_tokens=400,
            schema=schema_of(form),
            grammar=plan_line(world) if style == "continuation" else grammar_of(form),
        )


def _judge(text: str, world: GridWorld) -> Verdict[Plan]:
    plan, fault = read_plan(text, world)
    return Verdict.rejected(fault) if plan is None else Verdict(plan)


_MEANING = {
    "avoid_trap": "knows how to stay clear of traps, and nothing else",
    "get_prize": "knows the shortest way to that prize, and nothing of traps",
    "go_goal": "knows the shortest way to the goal, and nothing of traps",
}


def _over(until: str, cell: int, mask: int, goal: int, n_prizes: int) -> bool:
    if until == "goal":
        return cell == goal
    number = int(until.rpartition("_")[2])
    return number <= n_prizes and bool(mask >> (number - 1) & 1)

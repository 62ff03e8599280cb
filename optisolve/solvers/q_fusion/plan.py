"""Plans in stages: which experts act, with which weight, until what. By rule, or by a language model under a form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from optisolve.core.documents import Json
from optisolve.llm.forms import Choice, Fault, Integer, Object, first_object, line_grammar
from optisolve.numerics.grid_world import GridWorld
from optisolve.solvers.q_fusion.experts import expert_names

__all__ = ["Plan", "Stage", "blind_plan", "plan_form", "plan_line", "read_plan", "rule_plan", "stage_ends", "stage_keys"]


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a plan.

    Attributes:
        until: What ends it: ``"prize_1"``, ..., or ``"goal"``.
        weights: Weight of each expert by name, at least one above 0.
    """

    until: str
    weights: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Plan:
    """Stages in order.

    Attributes:
        stages: At least one.
        source: Who made it: ``"rule"``, ``"llm"``, ``"fallback"``.
    """

    stages: tuple[Stage, ...]
    source: str

    def told(self) -> list[dict[str, Json]]:
        """JSON-compatible."""
        return [{"until": stage.until, "experts": dict(stage.weights)} for stage in self.stages]


def rule_plan(world: GridWorld) -> Plan:
    """The plan that follows from typed sub-goals without any language: every prize in the order of its number, then the goal,
    always together with ``avoid_trap``. Written by us; no language model is called."""
    stages = [Stage(f"prize_{i + 1}", {"avoid_trap": 0.5, f"get_prize_{i + 1}": 0.5}) for i in range(int(world.prizes.size))]
    return Plan((*stages, Stage("goal", {"avoid_trap": 0.5, "go_goal": 0.5})), "rule")


def blind_plan(world: GridWorld) -> Plan:
    """All experts alike until the goal: what is left when a model gives no plan. Deliberately knows nothing of the task."""
    names = expert_names(world)
    return Plan((Stage("goal", dict.fromkeys(names, 1.0 / len(names))),), "fallback")


def stage_keys(world: GridWorld) -> list[str]:
    """Names of the stages of an answer: one per prize and one for the goal."""
    return [f"stage_{i + 1}" for i in range(int(world.prizes.size) + 1)]


def stage_ends(world: GridWorld) -> tuple[str, ...]:
    """What may end a stage."""
    return (*(f"prize_{i + 1}" for i in range(int(world.prizes.size))), "goal")


def plan_form(world: GridWorld) -> Object:
    """The form of a plan: named stages, each with its end and a weight from 0 to 100 for every expert."""
    stage = Object({"until": Choice(stage_ends(world)), **dict.fromkeys(expert_names(world), Integer(100))}, "stage")
    return Object(dict.fromkeys(stage_keys(world), stage))


def plan_line(world: GridWorld) -> str:
    """GBNF of a plan on one line, ``experts until end; ...``, for continuation."""
    return line_grammar(
        f'" " stage ("; " stage){{0,{int(world.prizes.size)}}} "\\n"',
        stage='expert (" and " expert){0,2} " until " end',
        expert=" | ".join(f'"{name}"' for name in expert_names(world)),
        end=" | ".join(f'"{name}"' for name in stage_ends(world)),
    )


def read_plan(text: str, world: GridWorld) -> tuple[Plan | None, Fault]:
    """A plan out of an answer, in either form; it may have fewer stages than could be.

    Returns:
        The plan and a fault without a reason, or None and what is wrong with the answer.
    """
    names, ends = set(expert_names(world)), stage_ends(world)
    value, fault = first_object(text, stage_keys(world))
    if fault is not None and fault.reason != "count":
        return None, fault
    rows = [stage for key in stage_keys(world) if isinstance(stage := value.get(key), Mapping)] or _line_stages(text)
    if not rows:
        return None, Fault("count", "no stages found")
    stages = []
    for row in rows:
        until = row.get("until")
        numbers = {k: v for k, v in row.items() if k in names and isinstance(v, int | float) and not isinstance(v, bool)}
        weights = {name: float(value) for name, value in numbers.items() if value > 0}
        if until not in ends:
            told = f"a stage ends with '{str(until)[:40]}'; expected one of {', '.join(sorted(ends))}"
            return None, Fault("length" if until is None else "bounds", told)
        if not weights:
            return None, Fault("length", f"no expert has a weight in the stage until {until}")
        total = sum(weights.values())
        stages.append(Stage(str(until), {name: weight / total for name, weight in weights.items()}))
    return Plan(tuple(stages), "llm"), Fault("", "")


def _line_stages(text: str) -> list[Mapping[str, Json]]:
    lines = text.strip().splitlines()
    rows: list[Mapping[str, Json]] = []
    for part in (lines[0] if lines else "").split(";"):
        match = re.fullmatch(r"\s*(\w+(?: and \w+)*) until (\w+)\s*", part)
        if match:
            rows.append({"until": match[2], **dict.fromkeys(match[1].split(" and "), 1.0)})
    return rows

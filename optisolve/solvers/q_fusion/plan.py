"""Plans in stages: which experts act, with which weight, until what. By rule, or by a language model under a form."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optisolve.llm.schema import integer_rule
from optisolve.numerics.grid_world import GridWorld
from optisolve.solvers.q_fusion.experts import expert_names

__all__ = ["Plan", "Stage", "blind_plan", "plan_grammar", "plan_schema", "read_plan", "rule_plan", "stage_keys"]


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

    def told(self) -> list[dict[str, Any]]:
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


def plan_schema(world: GridWorld) -> dict[str, Any]:
    """JSON schema of a plan: named stages, each with its end and a weight from 0 to 100 for every expert."""
    ends = [*(f"prize_{i + 1}" for i in range(int(world.prizes.size))), "goal"]
    weight = {"type": "integer", "minimum": 0, "maximum": 100}
    stage = _object({"until": {"type": "string", "enum": ends}, **dict.fromkeys(expert_names(world), weight)})
    return _object(dict.fromkeys(stage_keys(world), stage))


def plan_grammar(world: GridWorld, *, table: bool) -> str:
    """GBNF of a plan: the JSON of `plan_schema` without blanks, or one line ``experts until end; ...`` for continuation."""
    ends = " | ".join(f'"{name}"' for name in [*(f"prize_{i + 1}" for i in range(int(world.prizes.size))), "goal"])
    names = expert_names(world)
    if table:
        n_more = int(world.prizes.size)
        some = " | ".join(f'"{name}"' for name in names)
        return (
            f'root ::= " " stage ("; " stage){{0,{n_more}}} "\\n"\nstage ::= expert (" and " expert){{0,2}} " until " end\n'
            f"expert ::= {some}\nend ::= {ends}\n"
        )
    members = ' "," '.join(f'"\\"{name}\\":" n' for name in names)
    stages = ' "," '.join(f'"\\"{key}\\":" stage' for key in stage_keys(world))
    return (
        f'root ::= "{{" {stages} "}}"\nstage ::= "{{\\"until\\":\\"" end "\\"," {members} "}}"\n'
        f"end ::= {ends}\nn ::= {integer_rule(100)}\n"
    )


def read_plan(text: str, world: GridWorld) -> tuple[Plan | None, str]:
    """A plan out of an answer, in either form.

    Returns:
        The plan and "", or None and what is wrong with the answer.
    """
    names = set(expert_names(world))
    ends = {*(f"prize_{i + 1}" for i in range(int(world.prizes.size))), "goal"}
    rows = _json_stages(text, stage_keys(world)) or _line_stages(text)
    if not rows:
        return None, "no stages found"
    stages = []
    for until, weights in rows:
        kept = {name: float(weight) for name, weight in weights.items() if name in names and weight > 0.0}
        if until not in ends:
            return None, f"a stage ends with '{str(until)[:40]}'; expected one of {', '.join(sorted(ends))}"
        if not kept:
            return None, f"no expert has a weight in the stage until {until}"
        total = sum(kept.values())
        stages.append(Stage(str(until), {name: weight / total for name, weight in kept.items()}))
    return Plan(tuple(stages), "llm"), ""


def _json_stages(text: str, keys: Sequence[str]) -> list[tuple[Any, dict[str, float]]]:
    start = text.find("{")
    if start < 0:
        return []
    try:
        value, _ = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        return []
    found = [value[key] for key in keys if isinstance(value, dict) and isinstance(value.get(key), dict)]
    return [
        (item.get("until"), {k: v for k, v in item.items() if isinstance(v, int | float) and not isinstance(v, bool)})
        for item in found
    ]


def _line_stages(text: str) -> list[tuple[Any, dict[str, float]]]:
    lines = text.strip().splitlines()
    rows = []
    for part in (lines[0] if lines else "").split(";"):
        match = re.fullmatch(r"\s*(\w+(?: and \w+)*) until (\w+)\s*", part)
        if match:
            rows.append((match[2], dict.fromkeys(match[1].split(" and "), 1.0)))
    return rows


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}

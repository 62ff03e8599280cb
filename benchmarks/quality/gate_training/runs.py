"""What gates learn from: losses of every expert on every instance, and the instances' features."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from optisolve.core.arrays import BoolArray, FloatArray, IntArray
from optisolve.core.errors import RecordError
from optisolve.core.problem import Instance
from optisolve.registry import SOLVERS, make_problem, make_solver
from optisolve.solvers.moe.cards import expert_names, find_experts, is_mixture
from optisolve.solvers.moe.features import instance_features
from optisolve.solvers.moe.gates import RuleGate
from optisolve.study.loss import LOSS_CAP
from optisolve.study.scored import score_units

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Case", "RunTable", "run_table"]


@dataclass(frozen=True, slots=True)
class Case:
    """One instance of the table.

    Attributes:
        scenario: Its scenario.
        family: Its family.
        problem: Registry name and parameters, enough to make it again.
        seed: Instance seed.
        variables: Number of variables.
    """

    scenario: str
    family: str
    problem: Mapping[str, Any]
    seed: int
    variables: int

    def instance(self) -> Instance:
        """The instance, made again."""
        return make_problem(self.family, dict(self.problem)).instance(self.seed)


@dataclass(frozen=True, eq=False, slots=True)
class RunTable:
    """Losses and features.

    Attributes:
        cases: n instances.
        experts: k names.
        flags: Those of them that are experts by default and need no extra; features tell which of them can treat an instance.
        losses: float64 [n, k], in [0, 1]; an expert that cannot treat an instance, failed, or found nothing feasible has 1.
        able: bool [n, k]; experts that can treat the instance.
        evaluations: float64 [n, k], evaluations used; 0 where an expert did not run.
        rule: int64 [n], column of the rule gate's first choice among `flags`; -1 where none of them can treat the instance.
        features: float64 [n, f].
        notices: What a reader must know about the records.
    """

    cases: tuple[Case, ...]
    experts: tuple[str, ...]
    flags: tuple[str, ...]
    losses: FloatArray
    able: BoolArray
    evaluations: FloatArray
    rule: IntArray
    features: FloatArray
    notices: tuple[str, ...] = ()

    def rows(self, keep: Iterable[int]) -> RunTable:
        """The table of some instances."""
        index = np.array(list(keep), dtype=np.int64)
        by_instance = ("losses", "able", "evaluations", "rule", "features")
        parts = {name: getattr(self, name)[index] for name in by_instance}
        return replace(self, cases=tuple(self.cases[i] for i in index), **parts)

    def without(self, expert: str) -> RunTable:
        """The table without an expert that needs an extra."""
        keep = [j for j, name in enumerate(self.experts) if name != expert]
        moved = np.array([keep.index(j) if j in keep else -1 for j in range(len(self.experts))] + [-1], dtype=np.int64)
        parts = {name: getattr(self, name)[:, keep] for name in ("losses", "able", "evaluations")}
        experts = tuple(self.experts[j] for j in keep)
        return replace(self, experts=experts, rule=moved[self.rule], **parts)

    def frame(self) -> pd.DataFrame:
        """Losses as a table, a column per expert."""
        import pandas as pd

        return pd.DataFrame(self.losses, columns=list(self.experts))


def run_table(records: pd.DataFrame, *, only: Collection[str] = ()) -> RunTable:
    """Losses and features from records of single experts.

    Mixtures, solvers that ask a language model, and labels that name no preset are left out, with a notice.

    Args:
        records: From `optisolve.load_records`.
        only: Solver labels to use; empty means all.

    Raises:
        RecordError: No record has a loss.
    """
    units = score_units(records)
    labels = sorted(units.frame["solver"].unique())
    usable = [name for name in labels if _is_expert(name) and (not only or name in only)]
    frame = units.frame[units.frame["solver"].isin(usable)]
    scored = frame[frame["loss"].notna()]
    if scored.empty:
        raise RecordError("No record has a loss; gates learn from records with references (reference=quick).")
    experts = tuple(sorted(scored["solver"].unique()))
    flags = tuple(name for name in experts if name in expert_names()) or experts
    keys = list(dict.fromkeys(zip(scored["scenario"], scored["instance"], strict=True)))
    mean_loss = scored.groupby(["scenario", "instance", "solver"])["loss"].mean().to_dict()
    used = scored.groupby(["scenario", "instance", "solver"])["evaluations"].mean().to_dict()
    losses = np.full((len(keys), len(experts)), LOSS_CAP)
    evaluations, able = np.zeros_like(losses), np.zeros(losses.shape, dtype=bool)
    cases, features, rule = [], [], np.full(len(keys), -1, dtype=np.int64)
    for i, (scenario, number) in enumerate(keys):
        case = _case(scored[(scored["scenario"] == scenario) & (scored["instance"] == number)])
        instance = case.instance()
        found = {e.name: e for e in find_experts(instance, experts, with_llm=False)[0]}
        for j, name in enumerate(experts):
            able[i, j] = name in found
            if name in found:
                losses[i, j] = mean_loss.get((scenario, number, name), LOSS_CAP)
                evaluations[i, j] = used.get((scenario, number, name), 0.0)
        plain = [found[name] for name in flags if name in found]
        if plain:
            rule[i] = experts.index(RuleGate().decide(instance, plain, 1).ranking[0])
        cases.append(case)
        features.append(instance_features(instance, flags, found))
    left_out = sorted(set(labels) - set(usable))
    notices = (*units.notices, f"left out, since they are no experts: {', '.join(left_out)}") if left_out else units.notices
    return RunTable(tuple(cases), experts, flags, losses, able, evaluations, rule, np.array(features), notices)


def _is_expert(label: str) -> bool:
    """Whether a suite's label names a solver that a mixture without a language model can choose."""
    return label in SOLVERS.choices() and not is_mixture(label) and not make_solver(label).info.uses_llm


def _case(own: pd.DataFrame) -> Case:
    record = next(r for r in own["record"] if r is not None)
    told = record.instance
    return Case(str(own["scenario"].iloc[0]), told.problem, dict(told.params), told.seed, len(record.solutions.variables))

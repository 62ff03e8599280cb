"""What gates learn from: losses of every expert on every instance, and the instances' features."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from optisolve.core.arrays import BoolArray, FloatArray
from optisolve.core.errors import RecordError
from optisolve.core.problem import Instance
from optisolve.registry import make_problem
from optisolve.scoring.units import LOSS_CAP, Outcome, units_of
from optisolve.solvers.moe.cards import find_experts
from optisolve.solvers.moe.features import instance_features

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
        losses: float64 [n, k], in [0, 1]; an expert that cannot treat an instance, failed, or found nothing feasible has 1.
        able: bool [n, k]; experts that can treat the instance.
        evaluations: float64 [n, k], evaluations used; 0 where an expert did not run.
        features: float64 [n, f].
        notices: What a reader must know about the records.
    """

    cases: tuple[Case, ...]
    experts: tuple[str, ...]
    losses: FloatArray
    able: BoolArray
    evaluations: FloatArray
    features: FloatArray
    notices: tuple[str, ...] = ()

    def rows(self, keep: Iterable[int]) -> RunTable:
        """The table of some instances."""
        index = np.array(list(keep), dtype=np.int64)
        return RunTable(
            tuple(self.cases[i] for i in index),
            self.experts,
            self.losses[index],
            self.able[index],
            self.evaluations[index],
            self.features[index],
            self.notices,
        )

    def frame(self) -> pd.DataFrame:
        """Losses as a table, a column per expert."""
        import pandas as pd

        return pd.DataFrame(self.losses, columns=list(self.experts))


def run_table(
    records: pd.DataFrame, *, only: Collection[str] = (), reference_hypervolumes: Mapping[str, float] | None = None
) -> RunTable:
    """Losses and features from records of single experts.

    Args:
        records: From `optisolve.load_records`.
        only: Solver labels to use; empty means all.
        reference_hypervolumes: As for `optisolve.scoring.units.units_of`.

    Raises:
        RecordError: No record has a loss.
    """
    units = units_of(records, reference_hypervolumes=reference_hypervolumes)
    frame = units.frame[units.frame["loss"].notna() | (units.frame["outcome"] == Outcome.SKIPPED)]
    if only:
        frame = frame[frame["solver"].isin(list(only))]
    scored = frame[frame["loss"].notna()]
    if scored.empty:
        raise RecordError("No record has a loss; gates learn from records with references (reference=quick).")
    experts = tuple(sorted(scored["solver"].unique()))
    keys = list(dict.fromkeys(zip(scored["scenario"], scored["instance"], strict=True)))
    mean_loss = scored.groupby(["scenario", "instance", "solver"])["loss"].mean().to_dict()
    used = scored.groupby(["scenario", "instance", "solver"])["evaluations"].mean().to_dict()
    losses = np.full((len(keys), len(experts)), LOSS_CAP)
    evaluations = np.zeros_like(losses)
    cases, features, able = [], [], np.zeros(losses.shape, dtype=bool)
    for i, (scenario, number) in enumerate(keys):
        own = scored[(scored["scenario"] == scenario) & (scored["instance"] == number)]
        case = _case(own)
        instance = case.instance()
        found = {e.name for e in find_experts(instance, experts, with_llm=False)[0]}
        for j, name in enumerate(experts):
            able[i, j] = name in found
            if name in found:
                losses[i, j] = min(LOSS_CAP, max(0.0, mean_loss.get((scenario, number, name), LOSS_CAP)))
                evaluations[i, j] = used.get((scenario, number, name), 0.0)
        cases.append(case)
        features.append(instance_features(instance, experts, found))
    return RunTable(tuple(cases), experts, losses, able, evaluations, np.array(features), units.notices)


def _case(own: pd.DataFrame) -> Case:
    record = next(r for r in own["record"] if r is not None)
    told = record["instance"]
    return Case(
        str(own["scenario"].iloc[0]), told["problem"], told["params"], int(told["seed"]), len(record["solutions"]["variables"])
    )

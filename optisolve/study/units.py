"""Units: one row per run that a comparison expects, with what came out of it; nothing is ever missing from the table.

A unit is one solver on one instance in one repetition. A run that failed, was stopped, returned nothing feasible, or was
never recorded although the comparison expects it, has the worst score. Only a solver that declared beforehand that it
cannot treat an instance is `SKIPPED`, and it is then left out of rankings that hold such an instance.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import FloatArray
from optisolve.core.errors import RecordError
from optisolve.core.status import PointStatus, Termination
from optisolve.run.schema import Record
from optisolve.study.labels import label_records

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "GAP_NOISE",
    "KEYS",
    "LOSS_CAP",
    "Expected",
    "Measure",
    "Outcome",
    "Units",
    "loss_of_gap",
    "losses_of_gaps",
    "quiet",
    "units_of",
]

LOSS_CAP = 1.0
"""The worst loss, which every failure gets: an answer 100 % off its reference, or a front that dominates nothing."""

GAP_NOISE = 1e-9
"""Gaps of at most this size count as zero even where a reference states no tolerance, so that rounding decides nothing."""

_INTERNAL = ("several", "maximize", "reference_value", "reference_hypervolume", "result_hash", "suite")
"""Columns that are needed while the table is made."""

KEYS = ("scenario", "solver", "instance", "repetition")
"""Columns that name a unit."""


class Outcome(StrEnum):
    """What became of a unit."""

    OK = "ok"
    """A feasible answer by verification, from a run that ended by itself."""
    INFEASIBLE = "infeasible"
    """An answer that verification does not call feasible, or none; worst score."""
    FAILED = "failed"
    """The run broke or was stopped; worst score, whatever it had found before."""
    MISSING = "missing"
    """The comparison expects the unit and there is no record of it; worst score."""
    SKIPPED = "skipped"
    """The solver declared that it cannot treat the instance; not scored."""


@dataclass(frozen=True, slots=True)
class Measure:
    """What a scenario is scored by.

    Attributes:
        name: ``gap``, ``bound_gap``, ``hypervolume_share``, ``hypervolume`` or ``objective``.
        label: In words, for captions.
        maximize: True when larger values are better.
        has_loss: The scenario has losses, numbers up to 1 that are comparable between instances; ``objective`` has none.
    """

    name: str
    label: str
    maximize: bool
    has_loss: bool = True


@dataclass(frozen=True, slots=True)
class Expected:
    """A unit that a suite plans.

    Attributes:
        suite: SHA-256 of the suite, as in its records.
        problem: The problem's label within the suite.
        solver: The solver's label within the suite.
        instance: Number of the instance within the suite.
        repetition: Number of the run on this instance; 0 for a skip.
        skip: Why it is not run, "" when it is.
    """

    suite: str
    problem: str
    solver: str
    instance: int
    repetition: int
    skip: str = ""


@dataclass(frozen=True, eq=False, slots=True)
class Units:
    """A complete table of units.

    Attributes:
        frame: A row per unit, sorted by `KEYS`, with ``family``, ``outcome``, ``reason``, ``value`` (of the scenario's
            measure), ``loss`` (in [0, 1], smaller is better, NaN without a reference), ``standing`` (what rankings compare,
            smaller is better: the loss, but below 0 where a reference that is only best known is beaten; without losses the
            objective), ``quiet`` (differences of standings up to this size are ties), ``gap``, ``bound_gap``, ``tie``,
            ``hypervolume``, ``igd_plus``, ``objective``, ``evaluations``, ``evaluation_limit``, ``seconds``, ``llm_calls``,
            ``tokens``, ``usd``, ``dimension``, ``record_id`` and ``record`` (the document; None for a missing unit).
        measures: What each scenario is scored by.
        notices: What a reader must know about the table, in words.
    """

    frame: pd.DataFrame
    measures: Mapping[str, Measure]
    notices: tuple[str, ...]

    @property
    def families(self) -> tuple[str, ...]:
        """Problem families, sorted."""
        return tuple(sorted(self.frame["family"].unique()))

    def scenarios(self, family: str | None = None) -> tuple[str, ...]:
        """Scenarios of one family, or of all, sorted."""
        frame = self.frame if family is None else self.frame[self.frame["family"] == family]
        return tuple(sorted(frame["scenario"].unique()))


def units_of(
    records: pd.DataFrame,
    /,
    *,
    expected: Iterable[Expected] = (),
    reference_hypervolumes: Mapping[str, float] | None = None,
) -> Units:
    """Turn records into a complete, scored table of units.

    Args:
        records: From `optisolve.load_records`.
        expected: All units that the records' suites plan. Without any, a solver is expected on every instance that some
            solver has in the scenario, in each of the repetitions that it has anywhere in it.
        reference_hypervolumes: Hypervolume of the reference front by the instance's SHA-256, in the scenario's own box.

    Returns:
        The units. Several records of one unit count once when they agree, else the worst of them counts.

    Raises:
        RecordError: No record.
    """
    import pandas as pd

    if records.empty:
        raise RecordError("No record to score: the table is empty. Give a folder with at least one record.json.")
    labels = label_records(records["record"].tolist())
    known = reference_hypervolumes or {}
    rows = [_row(record, *label, known) for record, label in zip(records["record"], labels, strict=True)]
    notices: list[str] = []
    rows += _absent(rows, tuple(expected), notices)
    groups = pd.DataFrame(rows).groupby("scenario", sort=True)
    measures = {str(name): _measure(str(name), group, notices) for name, group in groups}
    scored = [_scored(row, measures[row["scenario"]]) for row in rows]
    notices += _withdrawals(rows)
    frame = _one_per_unit(pd.DataFrame(scored), notices)
    return Units(frame.drop(columns=list(_INTERNAL)), measures, tuple(notices))


def _row(record: Record, scenario: str, solver: str, known: Mapping[str, float]) -> dict[str, Any]:
    used, suite, reference = record.used, record.suite, record.reference
    outcome, reason = _outcome(record)
    objectives, scores = record.verified.objectives, record.scores.values()
    return {
        "scenario": scenario,
        "solver": solver,
        "instance": int(suite.instance or record.instance.seed),
        "repetition": int(suite.repetition or record.seed),
        "family": record.instance.problem,
        "outcome": outcome,
        "reason": reason,
        **{key: _number(scores[key]) for key in ("gap", "bound_gap", "tie", "hypervolume", "igd_plus", "objective")},
        "several": len(objectives) > 1,
        "maximize": bool(objectives) and objectives[0].sense == "maximize",
        "reference_value": _number(None if reference is None else reference.value),
        "reference_hypervolume": _number(known.get(record.instance.sha256)),
        "evaluations": float(used.evaluations),
        "evaluation_limit": _number(record.budget.evaluations),
        "seconds": used.wall_s,
        "llm_calls": float(used.llm_calls),
        "tokens": float(used.tokens_in + used.tokens_out),
        "usd": float(used.usd),
        "dimension": len(record.solutions.variables),
        "record_id": record.record_id,
        "result_hash": record.result_hash,
        "suite": suite.sha256,
        "record": record,
    }


def _outcome(record: Record) -> tuple[Outcome, str]:
    """What became of a run and why, in words."""
    stop, verified = record.termination, record.verified
    if stop.status is Termination.SKIPPED:
        return Outcome.SKIPPED, stop.detail or "no reason given"
    if stop.status is Termination.ERROR:
        return Outcome.FAILED, stop.detail or "broke without a message"
    if stop.status is Termination.INTERRUPTED:
        return Outcome.FAILED, "interrupted before its budget was used"
    if any(verified.feasible):
        return Outcome.OK, ""
    if verified.point is PointStatus.NONE:
        return Outcome.INFEASIBLE, f"no point returned ({stop.status}{f': {stop.detail}' if stop.detail else ''})"
    if verified.point is PointStatus.INVALID:
        return Outcome.INFEASIBLE, f"invalid point: {verified.detail or 'it could not be evaluated'}"
    return Outcome.INFEASIBLE, f"{verified.point.replace('_', ' ')}: largest violation {verified.max_violation:.2e}"


_Unit = tuple[str, str, int, int]
"""Scenario, solver, instance, repetition."""


def _absent(rows: list[dict[str, Any]], expected: Sequence[Expected], notices: list[str]) -> list[dict[str, Any]]:
    """Rows for units that are expected and have no record."""
    patterns = {row["scenario"]: row for row in rows}
    planned = {unit.suite for unit in expected}
    wanted = _planned(rows, expected, notices)
    wanted |= dict.fromkeys(_grid([row for row in rows if row["suite"] not in planned]), "")
    seen = {tuple(row[key] for key in KEYS) for row in rows}
    return [_absent_row(unit, skip, patterns[unit[0]]) for unit, skip in wanted.items() if unit not in seen]


def _planned(rows: list[dict[str, Any]], expected: Sequence[Expected], notices: list[str]) -> dict[_Unit, str]:
    """Units of the suites' plans under the names that this table gives them, with the reason of those that are skipped."""
    members = [(row, row["record"].suite) for row in rows if row["suite"]]
    scenarios = {(row["suite"], suite.problem): row["scenario"] for row, suite in members}
    solvers = {(row["suite"], suite.solver): row["solver"] for row, suite in members}
    unknown = sorted({unit.problem for unit in expected if (unit.suite, unit.problem) not in scenarios})
    if unknown:
        notices.append(f"No solver has a record on {', '.join(unknown)}, which the suite holds; these problems are left out.")
    return {
        (
            scenarios[unit.suite, unit.problem],
            solvers.get((unit.suite, unit.solver), unit.solver),
            unit.instance,
            unit.repetition,
        ): unit.skip
        for unit in expected
        if (unit.suite, unit.problem) in scenarios
    }


def _grid(rows: list[dict[str, Any]]) -> Iterable[_Unit]:
    """Every instance of a scenario for every solver in it, in each repetition that the solver has in the scenario."""
    instances: dict[str, set[int]] = {}
    repetitions: dict[tuple[str, str], set[int]] = {}
    for row in rows:
        instances.setdefault(row["scenario"], set()).add(row["instance"])
        if row["outcome"] is not Outcome.SKIPPED:
            repetitions.setdefault((row["scenario"], row["solver"]), set()).add(row["repetition"])
    skipped = {(r["scenario"], r["solver"], r["instance"]) for r in rows if r["outcome"] is Outcome.SKIPPED}
    for (scenario, solver), numbers in repetitions.items():
        for instance in instances[scenario]:
            if (scenario, solver, instance) not in skipped:
                yield from ((scenario, solver, instance, number) for number in numbers)


def _absent_row(unit: _Unit, skip: str, pattern: Mapping[str, Any]) -> dict[str, Any]:
    keep = ("family", "several", "maximize", "evaluation_limit", "dimension", "suite")
    nothing = dict.fromkeys(pattern, float("nan"))
    outcome, reason = (Outcome.SKIPPED, skip) if skip else (Outcome.MISSING, "no record of this unit")
    return {
        **nothing,
        **{key: pattern[key] for key in keep},
        **dict(zip(KEYS, unit, strict=True)),
        "outcome": outcome,
        "reason": reason,
        "llm_calls": 0.0,
        "tokens": 0.0,
        "usd": 0.0,
        "record_id": "",
        "result_hash": "",
        "record": None,
    }


def _measure(scenario: str, group: pd.DataFrame, notices: list[str]) -> Measure:
    """The best measure that every feasible answer of a scenario has."""
    answers = group[group["outcome"] == Outcome.OK]
    if bool(group["several"].iloc[0]):
        share = answers["reference_hypervolume"]
        if len(answers) and share.notna().all() and (share > 0).all() and _agree(answers, "reference_hypervolume"):
            return Measure("hypervolume_share", "share of the reference hypervolume", maximize=True)
        return Measure("hypervolume", "hypervolume, share of the box", maximize=True)
    measured = {name: bool(len(answers)) and bool(answers[name].notna().all()) for name in ("gap", "bound_gap")}
    if measured["gap"] and _agree(answers, "reference_value"):
        return Measure("gap", "gap to the reference", maximize=False)
    if measured["bound_gap"] and not measured["gap"]:
        return Measure("bound_gap", "gap to the dual bound", maximize=False)
    if answers["gap"].notna().any():
        why = "its records were scored against different references" if measured["gap"] else "some records have no reference"
        notices.append(f"{scenario}: {why}, so it is ranked by objective value and left out of everything that needs gaps.")
    elif len(answers):
        notices.append(f"{scenario}: no record has a reference, so it is ranked by objective value; gaps need reference=quick.")
    else:
        return Measure("gap", "gap to the reference", maximize=False)  # no answer at all: every loss is the worst one
    maximize = bool(group["maximize"].iloc[0])
    return Measure("objective", "objective value", maximize=maximize, has_loss=False)


def _agree(answers: pd.DataFrame, column: str) -> bool:
    """Whether the records of every instance state the same number, to twelve digits."""
    spread = answers.groupby("instance")[column].agg(["min", "max"])
    return bool(np.allclose(spread["min"], spread["max"], rtol=1e-12, atol=0.0))


def _withdrawals(rows: list[dict[str, Any]]) -> list[str]:
    """What must be told about references that were refuted or could not be computed, once each."""
    told: dict[str, list[str]] = {}
    for row in rows:
        reference = None if row["record"] is None else row["record"].reference
        if reference is not None and (note := reference.note):
            told.setdefault(f"{row['scenario']}, instance {row['instance']}: {note}", []).append(row["solver"])
    return [f"{note} (records of {', '.join(sorted(set(solvers)))})" for note, solvers in told.items()]


def _scored(row: dict[str, Any], measure: Measure) -> dict[str, Any]:
    """A row with its value, its loss, and the standing that orders it among others."""
    ok, ties = row["outcome"] is Outcome.OK, quiet(row["tie"])
    if row["outcome"] is Outcome.SKIPPED:
        value = loss = standing = float("nan")
        ties = 0.0
    elif not measure.has_loss:
        sign = -1.0 if measure.maximize else 1.0
        value, loss = row["objective"] if ok else sign * float("inf"), float("nan")
        standing, ties = sign * value, GAP_NOISE * abs(value) if ok else 0.0
    elif measure.maximize:
        scale = row["reference_hypervolume"] if measure.name == "hypervolume_share" else 1.0
        value = row["hypervolume"] / scale if ok else 0.0
        loss = standing = loss_of_gap(LOSS_CAP - value, None)
    else:
        value = row[measure.name] if ok else float("inf")
        loss = loss_of_gap(value, row["tie"])
        standing = value if value < -ties else loss
    return {**row, "value": value, "loss": loss, "standing": standing, "quiet": ties}


def _one_per_unit(frame: pd.DataFrame, notices: list[str]) -> pd.DataFrame:
    """One row per unit: repeated runs count once when they agree, else the worst counts; a run outweighs a skip."""
    keys = list(KEYS)
    severity = frame["outcome"].map({Outcome.SKIPPED: 0, Outcome.OK: 1}).fillna(2)
    ordered = frame.assign(_severity=severity)
    ordered = ordered.sort_values([*keys, "_severity", "standing", "record_id"], ascending=[True] * 4 + [False, False, True])
    repeated = frame[frame.duplicated(keys, keep=False)].groupby(keys)
    if repeated.ngroups:
        differing = int((repeated["result_hash"].nunique() > 1).sum())
        told = f"Units with more than one record: {repeated.ngroups}"
        notices.append(f"{told}; in {differing} of them the records differ, and the worst one counts.")
    return ordered.drop_duplicates(keys, keep="first").drop(columns="_severity").reset_index(drop=True)


def quiet(tie: float | None) -> float:
    """Relative difference that says nothing: the reference's tie, or rounding where it states none (None or NaN)."""
    return float(np.fmax(np.nan if tie is None else tie, GAP_NOISE))


def losses_of_gaps(gaps: npt.ArrayLike, tie: npt.ArrayLike | None, *, cap: float = LOSS_CAP) -> FloatArray:
    """Losses in [0, cap] of signed relative gaps: what a reference cannot tell from zero is zero, nothing is below.

    Args:
        gaps: float64 [n], relative, > 0 when worse; NaN, where nothing is feasible yet, gives the worst loss.
        tie: Relative tolerance plus slack of the reference, one number or float64 [n]; None or NaN where it states none.
        cap: The worst loss.
    """
    values = np.asarray(gaps, dtype=np.float64)
    ties = np.fmax(np.nan if tie is None else tie, GAP_NOISE)
    losses: FloatArray = np.where(values <= ties, 0.0, np.fmin(values, cap))
    return losses


def loss_of_gap(gap: float, tie: float | None) -> float:
    """The loss of one gap, see `losses_of_gaps`."""
    return float(losses_of_gaps(gap, tie))


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)

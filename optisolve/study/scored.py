"""Scored units: one row per run that a comparison expects, with what came out of it; nothing is ever missing from the table.

A unit is one solver on one instance in one repetition. A run that failed, was stopped, returned nothing feasible, or was
never recorded although the comparison expects it, has the worst score. Only a solver that declared beforehand that it
cannot treat an instance is `SKIPPED`, and it is then left out of rankings that hold such an instance.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from optisolve.core.errors import RecordError
from optisolve.core.status import PointStatus, Termination
from optisolve.run.schema import Record
from optisolve.study.labels import label_records
from optisolve.study.loss import GAP_NOISE, LOSS_CAP, Yardstick, aim_of, describe_loss, loss_of
from optisolve.study.standing import share_references

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["KEYS", "Expected", "Measure", "Outcome", "ScoredUnits", "score_units"]

KEYS = ("scenario", "solver", "instance", "repetition")
"""Columns that name a unit."""

_INTERNAL = ("several", "maximize", "aim", "result_hash", "suite")
"""Columns that are needed while the table is made."""

_NAN = float("nan")


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
        name: ``loss``; ``objective`` or, for several objectives, ``hypervolume`` where not all answers have a loss.
        label: In words, with what it is measured to.
        several: The scenario has several objectives.
        maximize: True when larger values are better; losses never.
    """

    name: str
    label: str
    several: bool = False
    maximize: bool = False

    @property
    def has_loss(self) -> bool:
        """The scenario has losses, numbers up to 1 that are comparable between instances."""
        return self.name == "loss"


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
class ScoredUnits:
    """A complete table of units.

    Attributes:
        frame: A row per unit, sorted by `KEYS`, with ``family``, ``outcome``, ``reason``, ``loss`` (see
            `optisolve.study.loss`; NaN in a scenario without), ``measured_to``, ``value`` (the signed gap behind the loss,
            infinite for a failure; without losses what the scenario is scored by), ``standing`` (what rankings compare,
            smaller is better: the loss, but below 0 where a best known reference is beaten; without losses the value),
            ``quiet`` (differences of standings up to this size are ties), ``gap``, ``bound_gap``, ``tie``,
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


def score_units(records: pd.DataFrame, /, *, expected: Iterable[Expected] = ()) -> ScoredUnits:
    """Turn records into a complete, scored table of units.

    Args:
        records: From `optisolve.load_records`. All records of an instance are measured from one reference, see
            `optisolve.study.standing`.
        expected: All units that the records' suites plan. Without any, a solver is expected on every instance that some
            solver has in the scenario, in each of the repetitions that it has anywhere in it.

    Returns:
        The units. Several records of one unit count once when they agree, else the worst of them counts.

    Raises:
        RecordError: No record.
    """
    import pandas as pd

    if records.empty:
        raise RecordError("No record to score: the table is empty. Give a folder with at least one record.json.")
    originals: list[Record] = records["record"].tolist()
    documents = share_references(originals)
    rows = [_row(record, *label) for record, label in zip(documents, label_records(documents), strict=True)]
    notices: list[str] = _borrowed(originals, rows)
    rows += _absent(rows, tuple(expected), notices)
    groups: dict[str, list[_Row]] = {}
    for row in rows:
        groups.setdefault(row.scenario, []).append(row)
    measures = {name: _measure(name, groups[name], notices) for name in sorted(groups)}
    notices += _withdrawals(rows)
    scored = pd.DataFrame([_scored(row, measures[row.scenario]) for row in rows])
    return ScoredUnits(_one_per_unit(scored, notices).drop(columns=list(_INTERNAL)), measures, tuple(notices))


class _Row(NamedTuple):
    """One unit on its way into the table, see `ScoredUnits.frame`."""

    scenario: str
    solver: str
    instance: int
    repetition: int
    family: str
    outcome: Outcome
    reason: str
    several: bool
    maximize: bool
    suite: str
    dimension: int
    evaluation_limit: float
    measured_to: str = ""
    aim: float = _NAN
    loss: float = _NAN
    value: float = _NAN
    standing: float = _NAN
    quiet: float = GAP_NOISE
    gap: float = _NAN
    bound_gap: float = _NAN
    tie: float = _NAN
    hypervolume: float = _NAN
    igd_plus: float = _NAN
    objective: float = _NAN
    evaluations: float = _NAN
    seconds: float = _NAN
    llm_calls: float = 0.0
    tokens: float = 0.0
    usd: float = 0.0
    record_id: str = ""
    result_hash: str = ""
    record: Record | None = None

    @property
    def unit(self) -> _Unit:
        return self.scenario, self.solver, self.instance, self.repetition


_Unit = tuple[str, str, int, int]
"""Scenario, solver, instance, repetition."""

_SCORES = ("gap", "bound_gap", "tie", "hypervolume", "igd_plus", "objective")


def _row(record: Record, scenario: str, solver: str) -> _Row:
    used, suite, scores, objectives = record.used, record.suite, record.scores.values(), record.verified.objectives
    outcome, reason = _outcome(record)
    loss = loss_of(record)
    return _Row(
        scenario=scenario,
        solver=solver,
        instance=int(suite.instance or record.instance.seed),
        repetition=int(suite.repetition or record.seed),
        family=record.instance.problem,
        outcome=outcome,
        reason=reason,
        several=len(objectives) > 1,
        maximize=bool(objectives) and objectives[0].sense == "maximize",
        suite=suite.sha256,
        dimension=len(record.solutions.variables),
        evaluation_limit=_number(record.budget.evaluations),
        measured_to=loss.yardstick.value,
        aim=aim_of(record),
        loss=_number(loss.value),
        value=float("inf") if loss.gap is None else loss.gap,
        standing=loss.standing,
        quiet=loss.tie,
        evaluations=float(used.evaluations),
        seconds=used.wall_s,
        llm_calls=float(used.llm_calls),
        tokens=float(used.tokens_in + used.tokens_out),
        usd=used.usd,
        record_id=record.record_id,
        result_hash=record.result_hash,
        record=record,
        **{name: _number(scores[name]) for name in _SCORES},
    )


def _outcome(record: Record) -> tuple[Outcome, str]:
    """What became of a run and why, in words."""
    stop, verified = record.termination, record.verified
    if stop.status is Termination.SKIPPED:
        return Outcome.SKIPPED, stop.detail or "no reason given"
    if stop.status is Termination.ERROR:
        return Outcome.FAILED, stop.detail or "broke without a message"
    if stop.status is Termination.INTERRUPTED:
        return Outcome.FAILED, "interrupted before its budget was used"
    if stop.status is Termination.STOPPED:
        return Outcome.FAILED, "stopped by a callback before its budget was used"
    if any(verified.feasible):
        return Outcome.OK, ""
    if verified.point is PointStatus.NONE:
        return Outcome.INFEASIBLE, f"no point returned ({stop.status}{f': {stop.detail}' if stop.detail else ''})"
    if verified.point is PointStatus.INVALID:
        return Outcome.INFEASIBLE, f"invalid point: {verified.detail or 'it could not be evaluated'}"
    return Outcome.INFEASIBLE, f"{verified.point.replace('_', ' ')}: largest violation {verified.max_violation:.2e}"


def _absent(rows: Sequence[_Row], expected: Sequence[Expected], notices: list[str]) -> list[_Row]:
    """Rows for units that are expected and have no record."""
    patterns = {row.scenario: row for row in rows}
    planned = {unit.suite for unit in expected}
    wanted = _planned(rows, expected, notices)
    wanted |= dict.fromkeys(_grid([row for row in rows if row.suite not in planned]), "")
    seen = {row.unit for row in rows}
    return [_absent_row(unit, skip, patterns[unit[0]]) for unit, skip in wanted.items() if unit not in seen]


def _absent_row(unit: _Unit, skip: str, pattern: _Row) -> _Row:
    outcome, reason = (Outcome.SKIPPED, skip) if skip else (Outcome.MISSING, "no record of this unit")
    size, limit = pattern.dimension, pattern.evaluation_limit
    row = _Row(*unit, pattern.family, outcome, reason, pattern.several, pattern.maximize, pattern.suite, size, limit)
    return row._replace(loss=LOSS_CAP, standing=LOSS_CAP, value=float("inf"))


def _planned(rows: Sequence[_Row], expected: Sequence[Expected], notices: list[str]) -> dict[_Unit, str]:
    """Units of the suites' plans under the names that this table gives them, with the reason of those that are skipped."""
    members = [(row, row.record.suite) for row in rows if row.record is not None and row.record.suite.problem]
    scenarios = {(row.suite, suite.problem): row.scenario for row, suite in members}
    solvers = {(row.suite, suite.solver): row.solver for row, suite in members}
    unknown = sorted({unit.problem for unit in expected if (unit.suite, unit.problem) not in scenarios})
    if unknown:
        notices.append(f"No solver has a record on {', '.join(unknown)}, which the suite holds; these problems are left out.")
    found: dict[_Unit, str] = {}
    for unit in expected:
        if (scenario := scenarios.get((unit.suite, unit.problem))) is not None:
            solver = solvers.get((unit.suite, unit.solver), unit.solver)
            found[scenario, solver, unit.instance, unit.repetition] = unit.skip
    return found


def _grid(rows: Sequence[_Row]) -> Iterator[_Unit]:
    """Every instance of a scenario for every solver in it, in each repetition that the solver has in the scenario."""
    instances: dict[str, set[int]] = {}
    repetitions: dict[tuple[str, str], set[int]] = {}
    for row in rows:
        instances.setdefault(row.scenario, set()).add(row.instance)
        if row.outcome is not Outcome.SKIPPED:
            repetitions.setdefault((row.scenario, row.solver), set()).add(row.repetition)
    skipped = {row.unit[:3] for row in rows if row.outcome is Outcome.SKIPPED}
    for (scenario, solver), numbers in repetitions.items():
        for instance in instances[scenario]:
            if (scenario, solver, instance) not in skipped:
                yield from ((scenario, solver, instance, number) for number in numbers)


def _measure(scenario: str, rows: Sequence[_Row], notices: list[str]) -> Measure:
    """Losses where every feasible answer has one, measured to the same; else what verification found."""
    answers = [row for row in rows if row.outcome is Outcome.OK]
    several, measured = rows[0].several, [not np.isnan(row.loss) for row in answers]
    if all(measured) and _agree(answers):
        told = {row.measured_to for row in answers or rows if row.measured_to} - {Yardstick.NOTHING.value}
        return Measure("loss", describe_loss(told, several=several), several)
    name, words = ("hypervolume", "hypervolume") if several else ("objective", "objective value")
    bare = sorted({f"{row.solver}, instance {row.instance}" for row in answers if np.isnan(row.loss)})
    if all(measured):
        why = "its records were scored against different references"
    elif any(measured):
        why = f"some records have no reference ({'; '.join(bare[:3])}{'; ...' if len(bare) > 3 else ''})"
    else:
        why = "no record has a reference"
    more = "" if all(measured) else "; losses need reference=quick"
    notices.append(f"{scenario}: {why}, so it is ranked by {words} and left out of everything that needs losses{more}.")
    label = f"{words}, share of the scoring box" if several else words
    return Measure(name, label, several, several or rows[0].maximize)


def _borrowed(originals: Sequence[Record], rows: Sequence[_Row]) -> list[str]:
    """Records without a reference that are measured from that of others."""
    found: dict[str, list[str]] = {}
    for original, row in zip(originals, rows, strict=True):
        if original.reference is None and row.record is not None and row.record.reference is not None:
            found.setdefault(row.scenario, []).append(row.solver)
    return [
        f"{scenario}: {len(solvers)} record(s) of {', '.join(sorted(set(solvers)))} have no reference of their own "
        "(reference=none); they are measured to that of the other records."
        for scenario, solvers in found.items()
    ]


def _agree(answers: Sequence[_Row]) -> bool:
    """Whether the records of every instance are measured to the same number, to twelve digits."""
    first = {row.instance: row for row in reversed(answers)}
    return all(
        row.measured_to == first[row.instance].measured_to and bool(np.isclose(row.aim, first[row.instance].aim, 1e-12, 0.0))
        for row in answers
    )


def _withdrawals(rows: Sequence[_Row]) -> list[str]:
    """What must be told about references that were refuted or could not be computed, once each."""
    told: dict[str, set[str]] = {}
    for row in rows:
        if row.record is not None and row.record.reference is not None and (note := row.record.reference.note):
            told.setdefault(f"{row.scenario}, instance {row.instance}: {note}", set()).add(row.solver)
    return [f"{note} (records of {', '.join(sorted(solvers))})" for note, solvers in told.items()]


def _scored(row: _Row, measure: Measure) -> _Row:
    """A row with its value, and the standing that orders it among others."""
    if row.outcome is Outcome.SKIPPED:
        return row._replace(loss=_NAN, value=_NAN, standing=_NAN, quiet=0.0)
    if measure.has_loss:
        return row
    sign, ok = (-1.0 if measure.maximize else 1.0), row.outcome is Outcome.OK
    value = getattr(row, measure.name) if ok else 0.0 if measure.several else sign * float("inf")
    return row._replace(loss=_NAN, value=value, standing=sign * value, quiet=GAP_NOISE * abs(value) if ok else 0.0)


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


def _number(value: float | None) -> float:
    return _NAN if value is None else float(value)

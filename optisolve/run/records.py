"""Records: one JSON document per run, built from a run, written atomically, readable as a table."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import ValidationError

from optisolve.core.documents import canonical, plain
from optisolve.core.errors import RecordError
from optisolve.core.problem import Instance
from optisolve.core.reference import Reference
from optisolve.core.solver import Solver
from optisolve.core.status import PointStatus
from optisolve.core.text import Redactor, secrets_here
from optisolve.numerics.indicators import outside, score
from optisolve.run.environment import code_revision, environment, peak_memory_mb, reproduction_of
from optisolve.run.evaluator import credit, trace_rows
from optisolve.run.execution import Run
from optisolve.run.fields import field_problems
from optisolve.run.history import HISTORY_FILE
from optisolve.run.schema import (
    SCHEMA,
    BoxPart,
    BudgetPart,
    CheckpointPart,
    ClaimPart,
    FailedPart,
    FilePart,
    InstancePart,
    LayoutError,
    MissPart,
    ObjectivePart,
    ProvenancePart,
    Record,
    ReferencePart,
    ScoresPart,
    SolutionsPart,
    SolverPart,
    SuitePart,
    TerminationPart,
    Tier,
    UsedPart,
    VerifiedPart,
)
from optisolve.run.table import TABLE, Table
from optisolve.run.verify import Verification
from optisolve.version import __version__

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Closing",
    "box_note",
    "build_record",
    "describe_box",
    "describe_misses",
    "describe_objectives",
    "describe_reference",
    "describe_tolerance",
    "iter_records",
    "load_records",
    "publish",
    "read_all",
    "read_record",
]


@dataclass(frozen=True, slots=True)
class Closing:
    """What a record says of the moment at which its run ended, which need not be that at which it is made.

    Attributes:
        seconds: Clock time, s since 1970.
        peak_mb: Largest resident memory of the process until then, MB; None where the system does not tell.
    """

    seconds: float
    peak_mb: float | None

    @classmethod
    def now(cls) -> Closing:
        """This moment."""
        return cls(time.time(), peak_memory_mb())


_UNSEALED: dict[str, Any] = {"result_hash": "0" * 64, "record_id": "unsealed"}


def build_record(
    instance: Instance,
    solver: Solver,
    run: Run,
    verification: Verification,
    *,
    reference: Reference | None = None,
    suite: Mapping[str, str] | None = None,
    tier: Tier = Tier.VERIFIED,
    errors: Sequence[str] = (),
    history: bytes | None = None,
    ended: Closing | None = None,
) -> Record:
    """The record of one run.

    Args:
        instance: What was solved.
        solver: Who solved it.
        run: Raw result.
        verification: Its points, re-evaluated.
        reference: What the scores refer to.
        suite: ``name``, ``version`` and ``sha256`` of the suite that the run belongs to; None for a run of its own.
        tier: What the record claims.
        errors: Errors of optisolve's own that the run has shown.
        history: The file of all evaluated points, for its hash; None without one.
        ended: When the run ended; None for now.

    Raises:
        RecordError: The run, its solver or its problem has put something into a field that no record may hold.
    """
    try:
        record = _record(instance, solver, run, verification, reference, suite, tier, errors, ended or Closing.now())
    except ValidationError as error:
        part = error.title.removesuffix("Part").lower()
        problems = (replace(problem, field=f"{part}.{problem.field}") for problem in field_problems(error, Record))
        raise LayoutError(f"{solver.info.name} on {instance.origin.scenario}: ", problems) from None
    cleared = Redactor(secrets_here()).value(record.to_json())  # whatever a plug-in or a file has put into it
    made = Record.read(cleared)
    files = {}
    if history is not None:
        files["history"] = FilePart(name=HISTORY_FILE, sha256=hashlib.sha256(history).hexdigest())
    return made.with_provenance(reproduction=reproduction_of(made.solver, made.instance.problem), **files)


def _record(
    instance: Instance,
    solver: Solver,
    run: Run,
    verification: Verification,
    reference: Reference | None,
    suite: Mapping[str, str] | None,
    tier: Tier,
    errors: Sequence[str],
    ended: Closing,
) -> Record:
    report: dict[str, Any] = dict(run.outcome.report)
    prompts = report.pop("prompts", None)
    if "operator" in report:
        report["operator"] = operator = dict(report["operator"])
        prompts = prompts or operator.pop("prompts", None)
    origin, history = instance.origin, run.evaluator.history
    return Record(
        schema=SCHEMA,
        suite=SuitePart(**{"name": "", "version": "", "sha256": "", **(suite or {})}),
        instance=InstancePart(
            problem=origin.problem,
            version=origin.version,
            scenario=origin.scenario,
            params=_object(origin.params),
            seed=origin.seed,
            sha256=instance.sha256,
        ),
        solver=SolverPart(
            name=solver.info.name,
            version=solver.info.version,
            options=_object(solver.options()),
            code=code_revision(),
            prompts=prompts or {},
            checkpoint=_optional(CheckpointPart, solver.checkpoint(instance)),
            llm=run.llm,
        ),
        seed=run.seed,
        **_given(warm_start=None if run.warm_start is None else run.warm_start.tolist(), notes=list(run.notes)),
        budget=BudgetPart.model_validate(plain(run.meter.budget.options())),
        used=_used(instance, run, report, ended.peak_mb),
        termination=TerminationPart(status=run.outcome.termination, limit=run.outcome.limit, detail=run.outcome.detail),
        solutions=_solutions(instance, run, verification),
        verified=_verified(instance, verification),
        reference=None if reference is None else describe_reference(reference),
        scores=_scores(instance, verification, reference),
        trace=trace_rows(instance, history),
        env=environment(),
        provenance=_provenance(instance, run, tier, errors, ended.seconds),
        **_UNSEALED,
    )


def _object(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key: plain(item) for key, item in value.items()}


def _optional(model: type[FilePart], value: Mapping[str, str] | None) -> FilePart | None:
    return None if value is None else model(**value)


def _given(**values: Any) -> dict[str, Any]:
    """Fields of a run that was given something more than others; absent in all others."""
    return {name: value for name, value in values.items() if value}


def _used(instance: Instance, run: Run, report: Mapping[str, Any], peak_mb: float | None) -> UsedPart:
    meter = run.meter
    return UsedPart(
        evaluations=meter.evaluations,
        wall_s=round(run.wall_s, 4),
        cpu_s=round(run.cpu_s, 4),
        peak_mb=peak_mb,
        llm_calls=meter.llm_calls,
        tokens_in=meter.tokens_in,
        tokens_out=meter.tokens_out,
        tokens_cached=meter.tokens_cached,
        usd=meter.usd,
        **_given(failed=run.evaluator.failed),
        by_source=credit(instance, run.evaluator.history, run.outcome.report),
        **_given(seconds_by_source=_seconds(run)),
        report=_object(report),
    )


def _seconds(run: Run) -> dict[str, float]:
    """Time by source, s, where there are several."""
    told = run.evaluator.history.seconds_by_source()
    return {source: round(seconds, 4) for source, seconds in told.items()} if len(told) > 1 else {}


def _solutions(instance: Instance, run: Run, verification: Verification) -> SolutionsPart:
    X = run.outcome.X
    return SolutionsPart(
        variables=list(instance.space.names),
        x=verification.X.tolist(),
        returned=int(np.atleast_2d(X).shape[0]) if np.size(X) else 0,
        claimed=ClaimPart(dual_bound=run.outcome.dual_bound),
    )


def _verified(instance: Instance, verification: Verification) -> VerifiedPart:
    return VerifiedPart(
        point=verification.point,
        counts=dict(verification.counts),
        objectives=describe_objectives(instance),
        F=verification.F.tolist(),
        feasible=verification.feasible.tolist(),
        max_violation=verification.max_violation,
        **_given(tolerance=describe_tolerance(instance), missed=describe_misses(verification)),
        detail=verification.detail,
        by=f"optisolve {__version__}",
    )


def describe_objectives(instance: Instance) -> list[ObjectivePart]:
    """The objectives as they stand in a record."""
    return [ObjectivePart(name=o.name, sense=o.sense.value, unit=o.unit) for o in instance.objectives]


def describe_tolerance(instance: Instance) -> dict[str, float] | None:
    """Feasibility tolerances by constraint as they stand in a record; None where all are the usual one."""
    names = (*instance.constraint_names, *instance.equality_names)
    return None if instance.usual_tolerance else dict(zip(names, instance.tolerance.tolist(), strict=True))


def describe_misses(verification: Verification) -> list[MissPart] | None:
    """What the least violating point violates as it stands in a record; None where a point is feasible."""
    return [MissPart(**asdict(miss)) for miss in verification.misses] or None


def describe_box(instance: Instance) -> BoxPart | None:
    """The scoring box as it stands in a record."""
    box = instance.hypervolume_box
    return None if box is None else BoxPart(reference=list(box.reference), ideal=list(box.ideal))


def _scores(instance: Instance, verification: Verification, reference: Reference | None) -> ScoresPart:
    feasible = np.ascontiguousarray(verification.F[verification.feasible])
    box = instance.hypervolume_box
    lost = 0 if box is None else outside(feasible, box)
    scores = {**score(instance, feasible, reference), "box": describe_box(instance), **_given(outside=lost)}
    return ScoresPart.model_validate(scores)


_WIDE = 0.98
"""Share of the box from which on a hypervolume hardly tells fronts apart."""


def box_note(record: Record) -> str:
    """What a reader of a hypervolume must know about its box, in one sentence; "" when there is nothing.

    Args:
        record: Any record; its points are not read, so a row of a table will do.
    """
    box, lost, filled = record.scores.box, record.scores.outside or 0, record.scores.hypervolume or 0.0
    if box is None:
        return ""
    corners = zip(record.verified.objectives, box.reference, box.ideal, strict=True)
    where = f"the scoring box ({', '.join(f'{o.name} {bad:g} to {good:g}' for o, bad, good in corners)})"
    n = record.verified.counts.get(PointStatus.FEASIBLE.value, 0)
    if lost and lost >= n:
        return f"all {n} points of the front lie outside {where}: the hypervolume says nothing about them; {_cure(record)}"
    if lost:
        return f"{lost} of {n} points of the front lie outside {where}: they do not count"
    if filled > _WIDE:
        return f"the front fills {filled:.2%} of {where}, so differences hardly show; {_cure(record)}"
    return ""


def _cure(record: Record) -> str:
    """How to get another box."""
    params = record.instance.params
    if "hypervolume_reference" not in params:
        return "give the instance a hypervolume_box of your own"
    settings = "problem.hypervolume_reference and problem.hypervolume_ideal"
    follows = "" if params["hypervolume_reference"] is None else ", or leave both away: then the box follows the parameters"
    return f"set {settings}{follows}"


def _provenance(instance: Instance, run: Run, tier: Tier, errors: Sequence[str], ended_s: float) -> ProvenancePart:
    evaluator = run.evaluator
    failed = FailedPart(policy=evaluator.policy, first=evaluator.first_failure) if evaluator.failed else None
    files = {name: FilePart(**file) for name, file in instance.origin.files.items()}
    return ProvenancePart(
        tier=tier,
        run_id="",
        started=datetime.fromtimestamp(ended_s, UTC).isoformat(timespec="seconds"),
        notice=run.notice,
        llm_cache=run.llm_cache,
        **_given(files=files, failed=failed, workers=run.workers, errors=list(errors)),
    )


def describe_reference(reference: Reference) -> ReferencePart:
    """A reference as it stands in a record: value, bound, evidence and a hash of its points."""
    points = b"" if reference.X is None else np.ascontiguousarray(reference.X).tobytes()
    front = b"" if reference.F is None else np.ascontiguousarray(reference.F).tobytes()
    return ReferencePart(
        sha256=hashlib.sha256(points + front).hexdigest(),
        evidence=reference.evidence,
        value=reference.value,
        dual_bound=reference.dual_bound,
        ideal_bound=None if reference.ideal_bound is None else list(reference.ideal_bound),
        tolerance=reference.tolerance,
        slack=reference.slack,
        solver=reference.solver,
        solver_version=reference.solver_version,
        detail=reference.detail,
        note=reference.note,
    )


def publish(staging: Path, target: Path) -> Path:
    """Let a complete folder appear under its final name, all at once.

    A run that dies before leaves its staging folder, never half a record; two runs that publish into the same parent
    cannot disturb each other.

    Args:
        staging: Folder with everything in it, on the file system of `target`.
        target: Final name. When it is there already (the same record was saved before), its files are replaced.
    """
    staging.chmod(0o755)
    try:
        staging.rename(target)
    except OSError:
        if not target.is_dir():
            raise
        for item in staging.iterdir():
            item.replace(target / item.name)
        shutil.rmtree(staging, ignore_errors=True)
    return target


def read_record(path: str | os.PathLike[str]) -> Record:
    """Read one record from its file or its folder.

    Raises:
        RecordError: Missing, not JSON, or not a record; every bad field is named.
    """
    file = Path(path)
    if file.is_dir():
        file = file / "record.json"
    try:
        data = file.read_bytes()
    except OSError as error:
        raise RecordError(
            f"{file}: cannot be read ({error.strerror}). Give a record.json or the folder that holds it."
        ) from error
    return Record.parse(data, where=str(file))


def iter_records(path: str | os.PathLike[str]) -> Iterator[Path]:
    """All ``record.json`` files at or below a path, sorted; those of runs that are not finished are left out."""
    root = Path(path)
    if root.is_file():
        yield root
        return
    for file in sorted(root.rglob("record.json")):
        if not any(name.endswith(".running") or name.startswith(".") for name in file.relative_to(root).parts):
            yield file


def read_all(path: str | os.PathLike[str]) -> Iterator[tuple[str, Record]]:
    """All records at or below a path with their file, those of tables last; a row of a table lacks points and curve.

    Raises:
        RecordError: A file that is not a record, or not a table.
    """
    root = Path(path)
    if root.is_file() and root.name == TABLE:
        tables = [root]
    else:
        yield from ((str(file), read_record(file)) for file in iter_records(path))
        tables = sorted(root.rglob(TABLE)) if root.is_dir() else []
    for file in tables:
        yield from ((str(file), row.record) for row in Table.read(file).rows)


def load_records(path: str | os.PathLike[str], *, columns: Literal["differing", "all"] = "differing") -> pd.DataFrame:
    """All records at or below a path as one table, a row per run.

    Args:
        path: A record, its folder, a folder of folders, or a published table.
        columns: Which problem parameters and solver options get a column, named ``param.NAME`` and ``option.NAME``, those
            inside others joined by dots: ``"differing"``, those of which the records hold more than one value, or ``"all"``.

    Returns:
        DataFrame with identifiers, settings, usage, status and scores. Lists are told as JSON text. The columns ``record``
        and ``path`` hold the whole document, a `Record`, and its file.

    Raises:
        RecordError: Nothing there, or a file that is not a record.
    """
    import pandas as pd

    if columns not in ("differing", "all"):
        raise RecordError(f"load_records: columns is {columns!r}, expected 'differing' or 'all'.")
    records = list(read_all(path))
    if not records:
        raise RecordError(f"{path}: no record.json at or below this path, and no {TABLE}.")
    keep = _differing if columns == "differing" else list
    settings = keep([_flat(own) for own in keep([_settings(record) for _, record in records])])
    found = zip(records, settings, strict=True)
    return pd.DataFrame([{**_row(record), **own, "path": file, "record": record} for (file, record), own in found])


def _row(record: Record) -> dict[str, Any]:
    return {
        "record_id": record.record_id,
        "result_hash": record.result_hash,
        "scenario": record.instance.scenario,
        "problem": record.instance.problem,
        "instance": record.instance.seed,
        "solver": record.solver.name,
        "seed": record.seed,
        "llm": None if record.solver.llm is None else record.solver.llm.provider,
        "termination": record.termination.status.value,
        "point": record.verified.point.value,
        "points": len(record.verified.F),
        "tier": record.provenance.tier.value,
        **{f"scores.{name}": value for name, value in record.scores.values().items()},
        **{f"used.{name}": value for name, value in record.used if name not in ("report", "by_source", "seconds_by_source")},
    }


def _settings(record: Record) -> dict[str, Any]:
    """Parameters and options by column."""
    columns: dict[str, Any] = {f"param.{name}": value for name, value in record.instance.params.items()}
    return columns | {f"option.{name}": value for name, value in record.solver.options.items()}


def _flat(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of settings in columns of their own, lists as text."""
    flat: dict[str, Any] = {}
    for name, value in columns.items():
        if isinstance(value, dict):
            flat |= _flat({f"{name}.{key}": item for key, item in value.items()})
        else:
            flat[name] = canonical(value).decode() if isinstance(value, list) else value
    return flat


def _differing(settings: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The columns of which there is more than one value."""
    first: dict[str, Any] = {}
    kept: set[str] = set()
    for name, value in (item for own in settings for item in own.items()):
        if first.setdefault(name, value) != value:
            kept.add(name)
    return [{name: value for name, value in own.items() if name in kept} for own in settings]

"""The record ``optisolve.record/2``: what one run was asked to do, what it found, and what that is worth.

The models here are the layout: they build, check, hash and write it. ``result_hash`` covers what the run was asked to do and
what it found; clock times, the machine and the code revision are outside it, so that the same seed gives the same hash.
``record_id`` covers everything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from enum import StrEnum
from itertools import islice
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError, from_json

from optisolve.core.budget import Budget
from optisolve.core.documents import canonical, digest, document, joined
from optisolve.core.errors import FieldProblem, RecordError
from optisolve.core.failures import OnFailure
from optisolve.core.html import html_table
from optisolve.core.status import Evidence, Limit, PointStatus, Termination
from optisolve.run.fields import (
    Amount,
    Count,
    Digest,
    Given,
    Integer,
    Name,
    Number,
    Object,
    Part,
    PlainNumber,
    Positive,
    Report,
    Rows,
    Scenario,
    SuiteName,
    field_problems,
)
from optisolve.run.untrusted import shortened, unusable

__all__ = [
    "SCHEMA",
    "BoxPart",
    "BudgetPart",
    "CachePart",
    "CheckpointPart",
    "ContinuedPart",
    "EnvironmentPart",
    "FailedPart",
    "FilePart",
    "InstancePart",
    "LayoutError",
    "MissPart",
    "ModelPart",
    "ObjectivePart",
    "ProvenancePart",
    "Record",
    "ReferencePart",
    "Reproduction",
    "ScoresPart",
    "SolutionsPart",
    "SolverPart",
    "SourcePart",
    "SuitePart",
    "TerminationPart",
    "Tier",
    "TraceRow",
    "UsedPart",
    "VerifiedPart",
    "WorkersPart",
]

SCHEMA: Literal["optisolve.record/2"] = "optisolve.record/2"
_FIRST = "optisolve.record/1"
_MOST_KEPT = 100
_MOST_SHOWN = 10
_MOST_ENTRIES = 10_000
"""Entries of one object; a file of millions of bad fields must not fill memory, a terminal or a log."""


class Tier(StrEnum):
    """How much of a record was shown to be true, by whoever audits it and never by the record itself."""

    SELF_REPORTED = "self_reported"
    """Nothing contradicts it, but a part could not be checked; the audit says which."""
    VERIFIED = "verified"
    """Everything that can be checked without a second run holds: layout, hashes, instance, points, scores, usage.

    A record from another platform whose second run ends elsewhere here counts as this, whatever it claims."""
    REPLAYED = "replayed"
    """A second run gave the same from the replies in the transcript; who wrote those nobody can show."""
    REPRODUCED = "reproduced"
    """A second run gave the same ``result_hash``, or the same answer up to the rounding of another processor."""

    @property
    def rank(self) -> int:
        """0 for the weakest tier."""
        return list(Tier).index(self)


class Reproduction(StrEnum):
    """What a second run of a record gives where BLAS chooses other kernels or has more threads."""

    BIT_FOR_BIT = "bit for bit"
    """The same ``result_hash``: solver and problem are declared portable, and a test holds them to it."""
    STATISTICAL = "statistical"
    """The same hash on the same kernels; on others the same loss, or losses that do not differ over the repetitions."""


class LayoutError(RecordError):
    """A file is no record of this layout.

    Attributes:
        problems: The bad fields, a hundred of them at most.
    """

    def __init__(self, where: str, problems: Iterable[FieldProblem]) -> None:
        self.problems = tuple(islice(problems, _MOST_KEPT))
        lines = [f"  - {problem}" for problem in self.problems[:_MOST_SHOWN]]
        left = [f"  - and {len(self.problems) - _MOST_SHOWN} more"] if len(self.problems) > _MOST_SHOWN else []
        super().__init__("\n".join([f"{where}not a record of the layout {SCHEMA}:", *lines, *left]))


class SuitePart(Part):
    """The suite that the run belongs to, and which of its units it is; all empty for a run of its own."""

    name: SuiteName
    version: str
    sha256: str
    unit: Name = ""
    problem: Scenario = ""
    solver: Name = ""
    instance: PlainNumber = ""
    repetition: PlainNumber = ""


class InstancePart(Part):
    """What was solved: enough to make it again."""

    problem: Name
    version: str
    scenario: Scenario
    params: Object
    seed: Integer
    sha256: Digest


class FilePart(Part):
    """A file that the run read, and how it was read where the file does not say that itself."""

    name: str
    sha256: Digest
    read: Given[str | None] = None


CheckpointPart: TypeAlias = FilePart
"""What was learned before."""


class ModelPart(Part):
    """The language model; a unit that was killed before its session could describe itself has the first three fields only."""

    provider: Name
    model: str
    models_reported: list[str] = Field(default_factory=list)
    params: Object
    calls: Count = 0
    tokens_in: Count = 0
    tokens_out: Count = 0
    usd: Amount = 0.0
    failures: dict[str, Count] = Field(default_factory=dict)
    transcript: str = ""


class SolverPart(Part):
    """Who solved it, with all options."""

    name: Name
    version: str
    options: Object
    code: str
    prompts: dict[str, str]
    checkpoint: CheckpointPart | None
    llm: ModelPart | None


class BudgetPart(Part):
    """The limits; None for none. ``points`` stands only where not all points of the front are kept."""

    evaluations: Count | None
    seconds: Amount | None
    llm_calls: Count | None
    llm_tokens: Count | None
    usd: Amount | None
    points: Given[Positive | None] = None

    def limits(self) -> Budget:
        """The budget itself.

        Raises:
            OptionError: Limits that no budget may have.
        """
        return Budget.from_mapping(self.to_json())


class SourcePart(Part):
    """What one source of candidates made, gained and cost."""

    evaluations: Count
    hypervolume_gain: Given[Amount | None] = None
    objective_gain: Given[Amount | None] = None
    survivors: Given[Count | None] = None
    tokens_in: Count = 0
    tokens_out: Count = 0
    usd: Amount = 0.0

    @property
    def gain(self) -> float:
        """Hypervolume for several objectives, the improvement of the best value for one."""
        return self.hypervolume_gain if self.hypervolume_gain is not None else self.objective_gain or 0.0

    @model_validator(mode="after")
    def _one_gain(self) -> SourcePart:
        if (self.hypervolume_gain is None) == (self.objective_gain is None):
            raise PydanticCustomError("expected", "either hypervolume_gain or objective_gain")
        return self


class UsedPart(Part):
    """What the run spent; ``failed``: points that the model could not evaluate.

    ``seconds_by_source`` stands where several sources made points: the time that each took to propose and evaluate its own.
    """

    evaluations: Count
    wall_s: Amount
    cpu_s: Amount
    peak_mb: Amount | None
    llm_calls: Count
    tokens_in: Count
    tokens_out: Count
    tokens_cached: Count
    usd: Amount
    failed: Positive = 0
    by_source: dict[str, SourcePart]
    seconds_by_source: Given[dict[str, Amount] | None] = None
    report: Report


class TerminationPart(Part):
    """Why the solver stopped."""

    status: Annotated[Termination, Field(strict=False)]
    limit: Annotated[Limit, Field(strict=False)] | None
    detail: str


class ClaimPart(Part):
    """What the solver claims and nobody here has shown."""

    dual_bound: Number | None


class SolutionsPart(Part):
    """The points; ``x`` has a row for each that could be evaluated again, ``returned`` counts all."""

    variables: list[str]
    x: Rows
    returned: Count
    claimed: ClaimPart


class ObjectivePart(Part):
    """An objective by name, sense and unit."""

    name: str
    sense: str
    unit: str


class MissPart(Part):
    """A constraint that the least violating point violates, by how much, and how much would have counted as feasible."""

    name: str
    violation: Amount
    tolerance: Amount


class VerifiedPart(Part):
    """The points, evaluated again by the numpy twin.

    ``tolerance`` stands where the problem sets feasibility tolerances, by name of constraint; ``missed`` where no point is
    feasible, for the least violating one.
    """

    point: Annotated[PointStatus, Field(strict=False)]
    counts: dict[str, Count]
    objectives: list[ObjectivePart]
    F: Rows
    feasible: list[bool]
    max_violation: Amount
    tolerance: Given[dict[str, Amount] | None] = None
    missed: Given[list[MissPart] | None] = None
    detail: str
    by: str


class ReferencePart(Part):
    """What the scores refer to: value, bound, evidence and a hash of its points."""

    sha256: Digest
    evidence: Annotated[Evidence, Field(strict=False)]
    value: Number | None
    dual_bound: Number | None
    ideal_bound: list[Number] | None
    tolerance: Amount
    slack: Amount
    solver: str
    solver_version: str
    detail: str
    note: str


class BoxPart(Part):
    """The corners of the box that a hypervolume is measured in."""

    reference: list[Number]
    ideal: list[Number]


class ScoresPart(Part):
    """Scores of the verified points; see `optisolve.numerics.indicators.score`."""

    hypervolume: Amount | None
    igd_plus: Amount | None
    objective: Number | None
    gap: Number | None
    bound_gap: Number | None
    gap_scale: Number | None
    tie: Amount | None
    box: BoxPart | None
    outside: Given[Count | None] = None

    def values(self) -> dict[str, float | None]:
        """The scores alone, by name; neither the box nor how many points lie outside it."""
        return {name: value for name, value in self if name not in ("box", "outside")}


class EnvironmentPart(Part):
    """Where the run happened."""

    python: str
    platform: str
    cpu: str
    kernels: dict[str, str]
    cores: Count | None
    threads: dict[str, str]
    packages: dict[str, str]
    git: str
    dirty: bool


class CachePart(Part):
    """Calls answered by the response cache, and what they would have cost, US dollars."""

    calls: Count
    usd: Amount


class ContinuedPart(Part):
    """The shorter run that this one prolongs, and for how many evaluations the two agree."""

    record_id: Name
    result_hash: Digest
    evaluations: Count
    agree: Count


class FailedPart(Part):
    """What was done with points that the model could not evaluate, and the first failure."""

    policy: OnFailure
    first: str


class WorkersPart(Part):
    """Who evaluated point by point; absent where whole batches went to the instance.

    ``redone``: points done again after a process had died or a machine was lost. No seed repeats an asynchronous run.
    """

    executor: Name
    workers: Positive
    evaluation_limit_s: Given[Amount | None] = None
    evaluation_limit_mb: Given[Amount | None] = None
    asynchronous: Given[bool | None] = None
    redone: Positive = 0


class ProvenancePart(Part):
    """Where the record comes from and what it claims to be; older records do not say what a second run gives elsewhere."""

    tier: Annotated[Tier, Field(strict=False)]
    reproduction: Given[Annotated[Reproduction, Field(strict=False)] | None] = None
    run_id: str
    started: str
    notice: str
    llm_cache: CachePart | None
    continues: Given[ContinuedPart | None] = None
    files: dict[str, FilePart] = Field(default_factory=dict)
    failed: Given[FailedPart | None] = None
    workers: Given[WorkersPart | None] = None
    history: Given[FilePart | None] = None
    errors: list[str] = Field(default_factory=list)


TraceRow: TypeAlias = Annotated[tuple[Count, Amount, Number | None, Amount], Field(strict=False)]
"""Evaluations, seconds, best feasible objective or hypervolume, smallest violation."""

_VOLATILE: dict[str, Any] = {
    "solver": {"code"},
    "used": {"wall_s", "cpu_s", "peak_mb", "seconds_by_source"},
    "verified": {"by", "missed"},  # what is missed follows from the points, and older records do not say it
    # Scores against a reference; better references appear later and must not change what a run found.
    "scores": {"igd_plus", "gap", "bound_gap", "gap_scale", "tie", "outside"},
    **dict.fromkeys(("reference", "trace", "env", "provenance", "result_hash", "record_id"), True),
}
"""What ``result_hash`` does not cover; of the trace it covers all but the seconds."""

_IN_PARTS = [name for name, parts in _VOLATILE.items() if parts is not True]


class Record(Part):
    """The record of one run; what is wrong with a file is told field by field, as a `LayoutError`."""

    layout: Literal["optisolve.record/2"] = Field(alias="schema")
    suite: SuitePart
    instance: InstancePart
    solver: SolverPart
    seed: Integer
    warm_start: Given[Rows | None] = None
    notes: Given[list[str]] = Field(default=[])
    budget: BudgetPart
    used: UsedPart
    termination: TerminationPart
    solutions: SolutionsPart
    verified: VerifiedPart
    reference: ReferencePart | None
    scores: ScoresPart
    trace: list[TraceRow]
    env: EnvironmentPart
    provenance: ProvenancePart
    result_hash: Digest
    record_id: Name

    @classmethod
    def from_json(cls, value: object, *, where: str = "") -> Record:
        """A record from parsed JSON of unknown origin.

        Args:
            value: Anything that JSON can hold.
            where: The file, for the message.

        Raises:
            LayoutError: It is none; every bad field is named with what was given and what was expected.
        """
        start = f"{where}: " if where else ""
        if bad := list(islice(unusable(value, _MOST_ENTRIES), _MOST_SHOWN)):
            raise LayoutError(start, (FieldProblem(field, shortened(given), expected) for field, given, expected in bad))
        return cls.read(value, where=where)

    @classmethod
    def parse(cls, data: bytes, *, where: str) -> Record:
        """The record in a file that optisolve wrote, fast; a stranger's goes through `from_json`.

        Raises:
            RecordError: Not JSON, or no record.
        """
        try:
            value = from_json(data, allow_inf_nan=False)
        except ValueError as error:
            raise RecordError(f"{where}: not valid JSON ({error}).") from error
        return cls.read(value, where=where)

    @classmethod
    def read(cls, value: object, *, where: str = "") -> Record:
        """The same for JSON whose numbers are known to be finite and whose texts can be written.

        Raises:
            LayoutError: It is no record.
        """
        start = f"{where}: " if where else ""
        schema = value.get("schema") if isinstance(value, Mapping) else None
        if schema == _FIRST:
            raise RecordError(
                f"{start}a record of the first layout, whose references state no slack; what it says about gaps and proofs "
                f"no longer holds. Run it again with this version ({SCHEMA})."
            )
        if isinstance(value, Mapping) and schema != SCHEMA:
            raise LayoutError(start, [FieldProblem("schema", shortened(schema), SCHEMA)])
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            raise LayoutError(start, field_problems(error, cls)) from None

    def __repr__(self) -> str:
        return f"<Record {self.record_id}: {self.verified.point.value}, {len(self.verified.F)} points>"

    def _repr_html_(self) -> str:
        scores = ", ".join(f"{name} {value:.6g}" for name, value in self.scores.values().items() if value is not None)
        told = self.reference
        values = {} if told is None else {"value": told.value, "dual bound": told.dual_bound}
        known = ", ".join(f"{name} {value:.6g}" for name, value in values.items() if value is not None)
        used, llm = self.used, self.solver.llm
        calls = "" if llm is None else f"; {used.llm_calls} calls of {llm.provider} {llm.model}".rstrip()
        limit = f" ({self.termination.limit.value})" if self.termination.limit else ""
        rows = [
            ("solver", f"{self.solver.name}, seed {self.seed}"),
            ("scores", scores or "none"),
            ("points", f"{sum(self.verified.feasible)} feasible of {len(self.verified.F)}, {self.verified.point.value}"),
            (
                "reference",
                "none" if told is None else f"{told.evidence.value.replace('_', ' ')}{f': {known}' if known else ''}",
            ),
            ("spent", f"{used.evaluations:,} evaluations, {used.wall_s:.3g} s{calls}"),
            ("stopped", f"{self.termination.status.value}{limit}"),
            ("result hash", self.result_hash[:16]),
        ]
        return html_table(f"{self.instance.scenario}, instance {self.instance.seed}", rows)

    def to_bytes(self) -> bytes:
        """The record as it stands in its file."""
        return document(self.to_json())

    def sealed(self) -> Record:
        """The same record with ``run_id``, ``result_hash`` and ``record_id`` of its content."""
        texts = self._texts()
        provenance = self.provenance.model_copy(update={"run_id": self._run_id()})
        named = self.model_copy(update={"provenance": provenance, "result_hash": self._result_hash(texts)})
        texts["provenance"] = canonical(provenance.model_dump(by_alias=True, exclude_unset=True))
        texts["result_hash"] = canonical(named.result_hash)
        return named.model_copy(update={"record_id": named._record_id(texts)})

    def with_provenance(self, **changes: object) -> Record:
        """The record with other fields under ``provenance``, sealed again."""
        return self.model_copy(update={"provenance": self.provenance.model_copy(update=changes)}).sealed()

    def _texts(self) -> dict[str, bytes | dict[str, bytes]]:
        """Canonical JSON of every field, and of every part of those that ``result_hash`` covers in part: both hashes are
        made of them, for thousands of points take longer to write than to find."""
        rows = {"solutions": {"x"}, "verified": {"F"}}
        part = self.model_dump(by_alias=True, exclude_unset=True, exclude=rows)
        part["solutions"]["x"], part["verified"]["F"] = self.solutions.x, self.verified.F
        return {
            name: {key: canonical(own) for key, own in value.items()} if name in _IN_PARTS else canonical(value)
            for name, value in part.items()
        }

    def _result_hash(self, texts: Mapping[str, bytes | dict[str, bytes]]) -> str:
        """SHA-256 over the deterministic part."""
        kept = {name: text for name, text in texts.items() if _VOLATILE.get(name) is not True}
        for name in _IN_PARTS:
            parts = kept[name]
            assert isinstance(parts, dict)  # as `_texts` makes them
            kept[name] = {key: text for key, text in parts.items() if key not in _VOLATILE[name]}
        kept["trace"] = canonical([[row[0], *row[2:]] for row in self.trace])
        return hashlib.sha256(joined(kept)).hexdigest()

    def _run_id(self) -> str:
        """SHA-256 (16 digits) over what the run was asked to do; equal for every repetition of the same run."""
        solver = {"name", "version", "options"}
        asked: dict[str, Any] = {
            "instance": True,
            "solver": solver,
            "seed": True,
            "budget": True,
            "warm_start": True,
            "notes": True,
        }
        part = self.model_dump(exclude_unset=True, include=asked)
        if self.solver.llm is not None:
            part["solver"]["llm"] = self.solver.llm.model_dump(include={"provider", "model", "params"})
        return digest(part)[:16]

    def _record_id(self, texts: Mapping[str, bytes | dict[str, bytes]]) -> str:
        """Readable name plus SHA-256 (16 digits) over the whole record except the id itself."""
        whole = joined({name: text for name, text in texts.items() if name != "record_id"})
        problem = self.instance.scenario.replace("/", "-")
        return f"{problem}.{self.solver.name}.s{self.seed}.{hashlib.sha256(whole).hexdigest()[:16]}"

"""What the leaderboard's table says: suites, entries, places; see `optisolve.trust.board` for how it comes about."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from optisolve.core.documents import document
from optisolve.run.fields import Given, Part
from optisolve.run.schema import Reproduction, Tier

__all__ = ["Board", "BoardRow", "BoardSuite", "MarkPlace", "OwnColumns", "Place"]


class Place(Part):
    """How an entry does on one problem; fractions are text of six decimals, as everywhere in the table."""

    rank: int | None
    loss: str | None
    measured_to: str
    success: str


class MarkPlace(Part):
    """How an entry does with what it knew after some time: mean loss over the suite's problems, and its rank by that."""

    rank: int | None
    loss: str | None


class OwnColumns(Part):
    """Figures of a suite that states columns of its own; seconds are told by whoever ran it.

    ``machine`` is where, as the records name it; ``seconds`` the median of a run; ``solved`` the share of the suite's runs
    whose loss is 0, absent ones included as not solved; ``at_ms`` the places by time, ms.
    """

    machine: str
    seconds: str
    solved: Given[str | None] = None
    at_ms: Given[dict[str, MarkPlace]] = Field(default={})


class BoardRow(Part):
    """One entry of a suite: who, with what, how it does and what it spends in the mean.

    ``reproduction`` says what second runs of a ranked entry give where BLAS chooses other kernels; ``columns`` stands where the
    suite states some.
    """

    rank: int | None
    submitter: str
    solver: str
    method: str
    llm: str | None
    tier: Annotated[Tier, Field(strict=False)]
    reproduction: Annotated[Reproduction, Field(strict=False)] | None = None
    loss: str | None
    records: int
    failed: int
    missing: int
    evaluations: str
    llm_calls: str
    tokens: str
    usd: str
    columns: Given[OwnColumns | None] = None
    problems: dict[str, Place]


class BoardSuite(Part):
    """A suite's rows, best first.

    ``ties`` has the difference of losses up to which nobody is ahead, by problem; ``tie`` their mean, for the suite's losses.
    """

    name: str
    version: str
    sha256: str
    problems: list[str]
    tie: str
    ties: dict[str, str]
    stale_records: int
    entries: list[BoardRow]


class Board(Part):
    """The table of all suites."""

    layout: Literal["optisolve.leaderboard/3"] = Field(alias="schema")
    suites: list[BoardSuite]

    def to_bytes(self) -> bytes:
        """The table as it stands in its file."""
        return document(self.to_json())

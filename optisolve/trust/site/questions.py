"""Questions of users, answered from the published records of a track."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Literal

import numpy as np
import yaml
from pydantic import Field

from optisolve.core.status import Evidence, Termination
from optisolve.run.fields import Part
from optisolve.run.schema import Record
from optisolve.study.loss import GAP_NOISE, LOSS_CAP
from optisolve.study.report.commands import run_command_of
from optisolve.study.report.tables import number, plural
from optisolve.study.scored import Outcome, ScoredUnits
from optisolve.trust.board_parts import BoardRow, OwnColumns
from optisolve.trust.site.pages import ModelRow, QuestionPage, Standing, Track, Winner
from optisolve.trust.site.tracks import first_record, methods_of, winners_of
from optisolve.trust.summary import NULL, is_peer

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Question", "answered", "questions"]


class Question(Part):
    """A question as ``questions.yaml`` has it.

    Attributes:
        name: Of its page.
        question: In the words of whoever asks.
        words: Paragraphs that say how the answer is found.
        tracks: Suites that can answer it, best first.
        about: ``solver`` asks which one to use, ``time`` which one after the first of the times that the track's columns name,
            ``model`` whether a language model was needed.
        evaluations: Only problems whose budget lies between these, both included; empty for all.
        proven: Only problems whose references are proven optima, and on them only solvers that ended with a proof in every run.
    """

    name: str
    question: str
    words: list[str]
    tracks: list[str]
    about: Literal["solver", "time", "model"] = "solver"
    evaluations: list[int] = Field(default=[], max_length=2)
    proven: bool = False


@cache
def questions() -> tuple[Question, ...]:
    """All questions, in the order of their file."""
    text = files("optisolve.trust.site").joinpath("questions.yaml").read_text(encoding="utf-8")
    return tuple(Question.model_validate(item) for item in yaml.safe_load(text))


def answered(asked: Question, tracks: Sequence[Track], lines: pd.DataFrame, units: ScoredUnits) -> QuestionPage | None:
    """A question's page: from the first of its tracks whose records answer it; None while none does.

    Args:
        asked: The question.
        tracks: Of the site.
        lines: Of all tracks, from `optisolve.trust.site.build.lines_of`.
        units: All units.
    """
    page = QuestionPage(asked.name, asked.question, tuple(asked.words))
    named = {track.name: track for track in tracks}
    for track in (named[name] for name in asked.tracks if name in named):
        winners = [winner for winner in track.winners if _fits(asked, winner, units)]
        own = lines[lines["scenario"].isin([winner.scenario for winner in winners]) & lines["loss"].notna()]
        if asked.proven:
            own = own[[_proves(units.frame, *cell) for cell in zip(own["scenario"], own["solver"], strict=True)]]
            winners = list(winners_of(own.assign(rank=1), units))
        if own.empty:
            continue
        frame = units.frame[units.frame["scenario"].isin(own["scenario"])]
        told = replace(page, track=track.name, winners=tuple(winners), standings=tuple(_standings(own, frame)))
        if asked.proven:
            return replace(told, answer=tuple(_about_proofs(own)))
        if asked.about == "time" and (timed := _after_times(track)):
            return replace(told, after=timed[0], standings=timed[1], answer=tuple(_about_times(track)))
        if asked.about != "model":
            return replace(told, answer=tuple(_about_solvers(told.standings, frame)))
        if models := tuple(_models(own, frame)):
            return replace(told, models=models, answer=tuple(_about_models(models)))
    return None


def _fits(asked: Question, winner: Winner, units: ScoredUnits) -> bool:
    """Whether a problem is what a question is about."""
    if asked.evaluations:
        low, high = asked.evaluations
        limit = winner.allowed.replace(",", "")
        if not (limit.isdigit() and low <= int(limit) <= high):
            return False
    if asked.proven:
        own = units.frame[units.frame["scenario"] == winner.scenario]["record"]
        told = [record.reference for record in own if record is not None and record.reference is not None]
        return bool(told) and all(part.evidence is Evidence.PROVEN_OPTIMAL for part in told)
    return True


def _proves(frame: pd.DataFrame, scenario: str, solver: str) -> bool:
    """Whether a solver ended with a proof of its answer in every run on a problem, and verification agrees."""
    own = frame[(frame["scenario"] == scenario) & (frame["solver"] == solver)]
    return all(record is not None and record.termination.status is Termination.OPTIMAL for record in own["record"]) and bool(
        (own["loss"] <= GAP_NOISE).all()
    )


def _about_proofs(lines: pd.DataFrame) -> Iterator[str]:
    """Who proves what; a specialist is no worse for being one."""
    treated = lines.groupby("solver", sort=True)["scenario"].agg(list)
    order = sorted(treated.index, key=lambda solver: (-len(treated[solver]), solver))
    problems = lines["scenario"].nunique()
    told = "; ".join(f"{solver} on {', '.join(treated[solver])}" for solver in order)
    yield f"It depends on the problem. Every run ended with a proof, on {problems} {plural('problem', problems)}: {told}."
    yield "The proof is the solver's claim; that the value meets a bound was computed by independent code."


def _standings(lines: pd.DataFrame, frame: pd.DataFrame) -> list[Standing]:
    """Solvers by mean loss over all problems of a question."""
    scenarios, seconds = lines["scenario"].nunique(), frame.groupby("solver")["seconds"].mean()
    found = []
    for solver, own in lines.groupby("solver", sort=True):
        loss = (float(own["loss"].sum()) + LOSS_CAP * (scenarios - len(own))) / scenarios
        found.append(Standing(str(solver), loss, len(own), float(seconds[solver]), min(own["tier"], key=_trust)))
    return sorted(found, key=lambda item: (item.loss, item.solver))


def _clocked(track: Track) -> list[tuple[BoardRow, OwnColumns]]:
    """Ranked entries of a track whose columns name times."""
    return [(row, own) for row in track.standings if row.rank is not None and (own := row.columns) is not None and own.at_ms]


def _after_times(track: Track) -> tuple[str, tuple[Standing, ...]] | None:
    """The first time of a track, ms, and its solvers by the loss that they have then; None where it names none."""
    found, mark = [], ""
    for row, own in _clocked(track):
        mark, place = next(iter(own.at_ms.items()))
        if place.loss is not None:
            tier = row.tier.value.replace("_", "-")
            found.append(Standing(row.solver, float(place.loss), len(row.problems), float(own.seconds), tier))
    return (mark, tuple(sorted(found, key=lambda item: (item.loss, item.solver)))) if found else None


def _about_times(track: Track) -> Iterator[str]:
    """Who is first after every time of a track, what the trivial answers lose by then, and where the clock stood."""
    rows = _clocked(track)
    for mark in rows[0][1].at_ms:
        losses = {row.solver: float(loss) for row, own in rows if (loss := own.at_ms[mark].loss) is not None}
        first = sorted(row.solver for row, own in rows if own.at_ms[mark].rank == 1)
        trivial = f"; trivial answers lose {number(losses[NULL])}" if NULL in losses and NULL not in first else ""
        have, least = "have" if len(first) > 1 else "has", min(losses.values(), default=LOSS_CAP)
        yield f"After {mark} ms {', '.join(first)} {have} the least mean loss, {number(least)}{trivial}."
    yield f"Times as reported, on {'; '.join(sorted({own.machine for _, own in rows}))}."


def _trust(tier: str) -> int:
    from optisolve.trust.audit import Tier

    return Tier(tier.replace("-", "_")).rank if tier != "none" else -1


def _about_solvers(standings: Sequence[Standing], frame: pd.DataFrame) -> Iterator[str]:
    """Who is first, what the trivial answers lose, and how the best solver of another project does."""
    problems, least = frame["scenario"].nunique(), standings[0].loss
    first = [item.solver for item in standings if item.loss == least]
    have = "have" if len(first) > 1 else "has"
    yield f"{', '.join(first)} {have} the least mean loss, {number(least)}, over {problems} {plural('problem', problems)}."
    methods = methods_of(frame)
    peers = [item for item in standings if is_peer(methods.get(item.solver, "")) and item.solver not in first]
    beside = [(item, "trivial answers") for item in standings if item.solver == NULL and NULL not in first]
    beside += [(item, "the best solver that another project wrote") for item in peers[:1]]
    for item, what in beside:
        yield f"{item.solver} ({what}) loses {number(item.loss)}."
    instances = int(frame.groupby("scenario")["instance"].nunique().min())
    counted = f"at least {instances} {plural('instance', instances)}"
    yield f"Every problem has {counted}; a problem that a solver has no record on counts 1."


def _models(lines: pd.DataFrame, frame: pd.DataFrame) -> Iterator[ModelRow]:
    """Every solver that asked a language model, beside the best one that asked none."""
    asked = {str(solver) for solver, own in frame.groupby("solver") if any(map(_asks, own["record"]))}
    losses = lines.pivot(index="scenario", columns="solver", values="loss")
    for solver in sorted(asked):
        treated = losses[losses[solver].notna()]
        rivals = treated.drop(columns=list(asked)).dropna(axis="columns").mean().sort_values(kind="stable")
        record = first_record(frame, solver)
        if rivals.empty or record is None or record.solver.llm is None:
            continue
        own, llm = frame[(frame["solver"] == solver) & (frame["outcome"] != Outcome.SKIPPED)], record.solver.llm
        yield ModelRow(
            solver=solver,
            model=f"{llm.provider} {llm.model}".strip(),
            surrogate=llm.provider == "surrogate",
            problems=len(treated),
            loss=float(treated[solver].mean()),
            without=str(rivals.index[0]),
            without_loss=float(rivals.iloc[0]),
            llm_calls=float(np.mean(own["llm_calls"])),
            tokens=float(np.mean(own["tokens"])),
            usd=float(own["usd"].sum()),
            command=run_command_of(record),
            record_id=record.record_id,
        )


def _asks(record: Record | None) -> bool:
    return record is not None and record.solver.llm is not None


def _about_models(rows: Sequence[ModelRow]) -> Iterator[str]:
    """What the table says together, without calling a difference of means more than that."""
    real = [row for row in rows if not row.surrogate]
    if not real:
        yield (
            "These records cannot say: in all of them a labelled surrogate stood in, and no language model was called. What "
            "they show is what the machinery around a model reaches without one."
        )
        return
    ahead = [row for row in real if row.loss < row.without_loss]
    yield (
        f"{len(ahead)} of {len(real)} solvers with a language model have a smaller mean loss than the best solver without one "
        "on the same problems. A difference of means is no proof; the track's statistics say what can be told apart."
    )

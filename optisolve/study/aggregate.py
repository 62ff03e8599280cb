"""From units to the tables of a comparison: blocks, rankings, success at targets, costs, failures, controls.

Instances are the independent observations ("blocks"); repetitions on one instance are averaged before anything is ranked or
tested, since they say how a solver varies, not how problems vary. Every function is pure: a table in, a table out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.study.intervals import Estimate, estimate
from optisolve.study.loss import GAP_NOISE, LOSS_CAP, losses_of_gaps
from optisolve.study.scored import Measure, Outcome, ScoredUnits
from optisolve.study.statistics import (
    FriedmanResult,
    cliques,
    friedman,
    paired_comparison,
    pairwise_comparisons,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "GAP_TARGETS",
    "SHARE_TARGETS",
    "Blocks",
    "Ranking",
    "blocks_of",
    "control_table",
    "cost_table",
    "failure_table",
    "indicator_table",
    "ranking",
    "scenario_table",
    "success_table",
    "targets_of",
]

GAP_TARGETS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
"""Losses at which success is counted for one objective; fixed, so that no set of records can move them."""

SHARE_TARGETS = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
"""The same for several objectives."""


@dataclass(frozen=True, eq=False, slots=True)
class Blocks:
    """What rankings and tests look at.

    Attributes:
        table: float64 [n blocks, k solvers], mean standings, smaller is better, complete; rows are (scenario, instance).
        tolerance: float64 [n blocks], differences up to this size are ties: nothing tells them apart.
        left_out: Solvers that are not in it, and why.
        scenarios: Scenarios in it.
    """

    table: pd.DataFrame
    tolerance: FloatArray
    left_out: Mapping[str, str]
    scenarios: tuple[str, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Ranking:
    """Solvers by average rank, with what can be said about the order.

    Attributes:
        table: A row per solver, best first: ``solver``, ``average_rank``, ``mean``, ``low``, ``high``, ``least``, ``most``,
            ``blocks``, ``over`` (mean loss, see `scenario_table`; NaN without losses), ``runs``, ``failures``, ``p_holm``
            (against the first solver; NaN for itself) and ``worse`` (significantly worse than the first).
        blocks: What was ranked.
        friedman: Test that all are equal; None for fewer than two solvers.
        pairs: From `pairwise_comparisons`.
        cliques: Groups without a significant difference.
        alpha: Family-wise error rate.
    """

    table: pd.DataFrame
    blocks: Blocks
    friedman: FriedmanResult | None
    pairs: pd.DataFrame
    cliques: tuple[tuple[str, ...], ...]
    alpha: float


def blocks_of(units: ScoredUnits, scenarios: Sequence[str] | None = None) -> Blocks:
    """Average the repetitions of every solver on every instance.

    Args:
        units: All units.
        scenarios: Which ones; None for all. A scenario without losses can only stand alone: its values are compared within
            an instance, never averaged with others.

    Returns:
        Mean standings (see `ScoredUnits`), with what may be told apart. A solver that skips a block, or has no unit in one
        of the scenarios, is left out.
    """

    wanted = units.scenarios() if scenarios is None else tuple(scenarios)
    kept = tuple(name for name in wanted if units.measures[name].has_loss) or wanted[:1]
    frame = units.frame[units.frame["scenario"].isin(kept)]
    blocks = frame.groupby(["scenario", "instance"])
    means = frame.groupby(["scenario", "instance", "solver"])["standing"]
    table = means.agg(lambda values: values.to_numpy().mean()).unstack("solver")  # NaN where a repetition was skipped
    tolerance = blocks["quiet"].max().reindex(table.index).to_numpy(dtype=np.float64)
    complete = table.notna().all(axis=0)
    left_out = {str(name): _why_left_out(frame, str(name)) for name in table.columns[~complete]}
    return Blocks(table.loc[:, complete], tolerance, left_out, kept)


def _why_left_out(frame: pd.DataFrame, solver: str) -> str:
    own = frame[frame["solver"] == solver]
    skips = own[own["outcome"] == Outcome.SKIPPED]
    if len(skips):
        return f"cannot be run on {skips['scenario'].iloc[0]}: {skips['reason'].iloc[0]}"
    absent = sorted(set(frame["scenario"]) - set(own["scenario"]))
    return f"no run on {', '.join(absent)}"


def ranking(units: ScoredUnits, scenarios: Sequence[str] | None = None, *, alpha: float = 0.05) -> Ranking:
    """Rank the solvers over all instances of some scenarios and test what the order is worth.

    Args:
        units: All units.
        scenarios: Which ones; None for all.
        alpha: Family-wise error rate of the pairwise tests.

    Returns:
        The ranking; solvers that skip a block or lack a scenario are not in it, and `Blocks.left_out` says why.

    Source:
        Average ranks, Friedman test and diagram: Demšar 2006, JMLR 7; pairwise Wilcoxon tests with Holm's correction:
        Benavoli, Corani and Mangili 2016, JMLR 17(5).
    """
    import pandas as pd

    blocks = blocks_of(units, scenarios)
    if blocks.table.shape[1] == 0:
        empty = pd.DataFrame(columns=["solver", "average_rank", *_ESTIMATED, "runs", "failures", "p_holm", "worse"])
        return Ranking(empty, blocks, None, pd.DataFrame(), (), alpha)
    pairs = pairwise_comparisons(blocks.table, maximize=False, tolerance=blocks.tolerance)
    test = friedman(blocks.table, maximize=False, tolerance=blocks.tolerance) if blocks.table.shape[1] > 1 else None
    averages = test.average_ranks if test is not None else {str(blocks.table.columns[0]): 1.0}
    frame = units.frame[units.frame["scenario"].isin(blocks.scenarios)]
    has_loss = all(units.measures[name].has_loss for name in blocks.scenarios)
    rows = []
    for name in sorted(averages, key=lambda solver: (averages[solver], solver)):
        own = frame[frame["solver"] == name]
        found = _estimated(own, "loss", (0.0, LOSS_CAP)) if has_loss else _NOTHING
        failures = int((own["outcome"] != Outcome.OK).sum())
        rows.append({"solver": name, "average_rank": averages[name], **found, "runs": len(own), "failures": failures})
    table = _against_first(pd.DataFrame(rows), pairs, alpha)
    return Ranking(table, blocks, test, pairs, tuple(cliques(averages, pairs, alpha=alpha)), alpha)


def _against_first(table: pd.DataFrame, pairs: pd.DataFrame, alpha: float) -> pd.DataFrame:
    """Add the adjusted p-value of every solver against the first one."""
    p = {frozenset((a, b)): float(value) for a, b, value in zip(pairs["a"], pairs["b"], pairs["p_holm"], strict=True)}
    first = table["solver"].iloc[0]
    values = [p.get(frozenset((first, name)), float("nan")) for name in table["solver"]]
    return table.assign(p_holm=values, worse=[value < alpha for value in values])


_ESTIMATED = ("mean", "low", "high", "least", "most", "blocks", "over")
"""Columns that say what a mean is worth."""

_NOTHING: Mapping[str, Any] = {**dict.fromkeys(_ESTIMATED[:-2], float("nan")), "blocks": 0, "over": ""}


def _estimated(own: pd.DataFrame, column: str, within: tuple[float, float]) -> dict[str, Any]:
    """A mean over instances; where there is one instance only, over its runs, and ``over`` says so."""
    blocks = own.groupby(["scenario", "instance"])[column].agg(lambda values: values.to_numpy().mean())
    alone = len(blocks) == 1 and len(own) > 1
    found: Estimate = estimate(own[column] if alone else blocks, within=within)
    values = (found.mean, found.low, found.high, found.least, found.most, found.n)
    return dict(zip(_ESTIMATED, (*values, "runs" if alone else "instances"), strict=True))


def scenario_table(units: ScoredUnits, scenarios: Sequence[str] | None = None, *, alpha: float = 0.05) -> pd.DataFrame:
    """What every solver reaches on every scenario, in the scenario's own measure.

    Args:
        units: All units.
        scenarios: Which ones; None for all.
        alpha: Family-wise error rate of the tests against the best solver.

    Returns:
        A row per scenario and solver: ``family``, ``scenario``, ``solver``, ``measure``, ``instances``, ``runs``, ``failures``,
        ``skipped`` (reason, "" when it ran), ``mean`` (loss; in a scenario without losses the value, and then an objective has
        no mean once a run failed) with ``low``, ``high`` (its 95 % interval, NaN below ten blocks, see
        `optisolve.study.intervals`), ``least``, ``most`` (range of the blocks), ``blocks`` (how many) and ``over`` (what
        they are: ``instances``, or ``runs`` of the only instance, which say nothing about other instances), ``best``
        (nothing tells its mean from the best one), ``average_rank``, ``p_holm`` (against the solver ranked first) and
        ``worse``.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for scenario in units.scenarios() if scenarios is None else scenarios:
        measure, frame = units.measures[scenario], units.frame[units.frame["scenario"] == scenario]
        ranked = ranking(units, [scenario], alpha=alpha)
        known = ranked.table.set_index("solver")
        for solver, own in frame.groupby("solver", sort=True):
            skips = own.loc[own["outcome"] == Outcome.SKIPPED, "reason"]
            rows.append(
                {
                    "family": own["family"].iloc[0],
                    "scenario": scenario,
                    "solver": solver,
                    "measure": measure.name,
                    "instances": int(own["instance"].nunique()),
                    "runs": int((own["outcome"] != Outcome.SKIPPED).sum()),
                    "failures": int((~own["outcome"].isin([Outcome.OK, Outcome.SKIPPED])).sum()),
                    "skipped": skips.iloc[0] if len(skips) else "",
                    **_in_measure(own, measure),
                    "quiet": float(ranked.blocks.tolerance.mean()),
                    "average_rank": known["average_rank"].get(solver, float("nan")),
                    "p_holm": known["p_holm"].get(solver, float("nan")),
                    "worse": bool(known["worse"].get(solver, False)),
                }
            )
    table = pd.DataFrame(rows)
    toward = table["mean"] * [-1.0 if units.measures[name].maximize else 1.0 for name in table["scenario"]]
    best = toward.groupby(table["scenario"]).transform("min") + table["quiet"]
    return table.drop(columns="quiet").assign(best=toward <= best)


def _in_measure(own: pd.DataFrame, measure: Measure) -> Mapping[str, Any]:
    """Mean of what the scenario is scored by, with its interval."""
    ran = own[own["outcome"] != Outcome.SKIPPED]
    if ran.empty:
        return _NOTHING
    return _estimated(ran, "loss", (0.0, LOSS_CAP)) if measure.has_loss else _estimated(ran, "value", (-np.inf, np.inf))


def indicator_table(units: ScoredUnits, scenarios: Sequence[str] | None = None) -> pd.DataFrame:
    """Every indicator side by side, failures as the worst value of each.

    Args:
        units: All units.
        scenarios: Which ones; None for all.

    Returns:
        A row per scenario and solver that ran: ``feasible`` (share of runs), means over instances of ``gap`` and ``bound_gap``
        (read as losses: 0 within the reference's tie, capped at 1, failures 1), ``hypervolume`` (share of the box, failures 0),
        ``igd_plus`` (in units of the box, infinite once a run failed) and ``objective`` (NaN once a run failed). NaN where
        the scenario has no such indicator, or where the records of an instance refer to different references.
    """
    import pandas as pd

    worst = {"gap": LOSS_CAP, "bound_gap": LOSS_CAP, "hypervolume": 0.0, "igd_plus": float("inf"), "objective": float("nan")}
    ran = _of(units.frame[units.frame["outcome"] != Outcome.SKIPPED], scenarios)
    good = ran["outcome"] == Outcome.OK
    rows = []
    for scenario, frame in ran.groupby("scenario", sort=True):
        answers = frame[good.loc[frame.index]]
        known = {name: bool(answers[name].notna().all()) and len(answers) > 0 for name in worst}
        if not _same_references(answers):
            known |= dict.fromkeys(("gap", "bound_gap", "igd_plus"), False)
        for solver, own in frame.groupby("solver", sort=True):
            ok = good.loc[own.index]
            row: dict[str, Any] = {"scenario": scenario, "solver": solver, "feasible": float(ok.mean())}
            for name, bad in worst.items():
                capped = own[name]
                if name in ("gap", "bound_gap"):
                    capped = pd.Series(losses_of_gaps(own[name].to_numpy(), own["tie"].to_numpy()), own.index)
                means = capped.where(ok, bad).groupby(own["instance"]).agg(lambda values: values.to_numpy().mean())
                row[name] = float(means.to_numpy().mean()) if known[name] else float("nan")
            rows.append(row)
    return pd.DataFrame(rows, columns=["scenario", "solver", "feasible", *worst])


def _of(frame: pd.DataFrame, scenarios: Sequence[str] | None) -> pd.DataFrame:
    return frame if scenarios is None else frame[frame["scenario"].isin(scenarios)]


def _same_references(answers: pd.DataFrame) -> bool:
    hashes = answers["record"].map(lambda record: None if record.reference is None else record.reference.sha256)
    return bool((hashes.groupby(answers["instance"]).nunique() <= 1).all())


def targets_of(measure: Measure) -> tuple[float, ...]:
    """The fixed losses at which success is counted under a measure; fronts come less close than single values."""
    return SHARE_TARGETS if measure.several else GAP_TARGETS


def success_table(
    units: ScoredUnits, targets: Sequence[float] | None = None, *, scenarios: Sequence[str] | None = None
) -> pd.DataFrame:
    """How often each solver's verified answer is within each target.

    Args:
        units: All units.
        targets: Losses; None for the measure's own (`GAP_TARGETS`, `SHARE_TARGETS`).
        scenarios: Which ones; None for all.

    Returns:
        A row per scenario with losses, solver and target: ``scenario``, ``solver``, ``target``, ``runs``, ``reached``,
        ``share``. Failures count among the runs; skipped units do not.
    """
    import pandas as pd

    rows = []
    ran = _of(units.frame[units.frame["loss"].notna()], scenarios)
    for (scenario, solver), own in ran.groupby(["scenario", "solver"], sort=True):
        for target in targets_of(units.measures[str(scenario)]) if targets is None else targets:
            reached = int((own["loss"] <= target + GAP_NOISE).sum())
            row = {"scenario": scenario, "solver": solver, "target": float(target), "runs": len(own), "reached": reached}
            rows.append({**row, "share": reached / len(own)})
    return pd.DataFrame(rows, columns=["scenario", "solver", "target", "runs", "reached", "share"])


def cost_table(units: ScoredUnits) -> pd.DataFrame:
    """What the runs of every solver in every family cost.

    Returns:
        A row per family and solver: ``runs`` with a record, means of ``evaluations``, ``llm_calls``, ``tokens`` and
        ``seconds`` per run, and ``usd``, the sum of all runs. Rankings never look at seconds.
    """
    ran = units.frame[(units.frame["outcome"] != Outcome.SKIPPED) & (units.frame["record_id"] != "")]
    return ran.groupby(["family", "solver"], sort=True, as_index=False).agg(
        runs=("record_id", "size"),
        evaluations=("evaluations", "mean"),
        llm_calls=("llm_calls", "mean"),
        tokens=("tokens", "mean"),
        usd=("usd", "sum"),
        seconds=("seconds", "mean"),
    )


def failure_table(units: ScoredUnits) -> pd.DataFrame:
    """Every unit that did not end well, or was not run, grouped by reason.

    Returns:
        A row per scenario, solver, outcome and reason: ``units`` (how many) and ``example`` (a record, "" without one).
    """
    bad = units.frame[units.frame["outcome"] != Outcome.OK].assign(outcome=lambda f: f["outcome"].map(str))
    keys = ["scenario", "solver", "outcome", "reason"]
    return bad.groupby(keys, sort=True, as_index=False).agg(units=("record_id", "size"), example=("record_id", "max"))


def control_table(units: ScoredUnits, control: str = "null") -> pd.DataFrame:
    """Every solver against a control, instance by instance: what does it add to a trivial answer?

    Args:
        units: All units.
        control: Label of the control, e.g. ``null`` (the best of the problem's trivial policies) or ``random_search``.

    Returns:
        A row per scenario and other solver: ``instances``, ``wins``, ``ties``, ``losses``, ``a12``, ``p_value`` (not adjusted);
        empty where the control has no record.
    """
    import pandas as pd

    rows = []
    for scenario in units.scenarios():
        blocks = blocks_of(units, [scenario])
        table = blocks.table
        for solver in table.columns.drop(control) if control in table else ():
            compared = paired_comparison(table[solver], table[control], maximize=False, tolerance=blocks.tolerance)
            rows.append({"scenario": scenario, "solver": solver, "instances": compared.n, **asdict(compared)})
    return pd.DataFrame(rows, columns=["scenario", "solver", "instances", "wins", "ties", "losses", "a12", "p_value"])

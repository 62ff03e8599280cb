"""The ranking from hand-made records: what is a tie, what a loss may be, and a suite's own columns."""

from __future__ import annotations

from pathlib import Path

import pytest

from optisolve.core.errors import OptionError
from optisolve.run.schema import Record, Tier
from optisolve.study.lock import lock_suite
from optisolve.study.suite import load_suite
from optisolve.trust.audit import SuiteBook
from optisolve.trust.board import Located, build_board
from optisolve.trust.board_parts import BoardRow, BoardSuite
from optisolve.trust.summary import COLD, summary_of
from tests.study.records import but, made

SUITE = """# Two problems of one instance each.
version: "1"
repetitions: 1
budget: {evaluations: 100}
problems: [parallel_channels, {problem: parallel_channels, label: other, reference: quick}]
solvers: [random_search]
"""


def suite_of(folder: Path, more: str = ""):
    (folder / "tiny.yaml").write_text(SUITE + more)
    return load_suite(folder / "tiny.yaml")


def board_of(suite, *records: tuple[str, str, Record]) -> BoardSuite:
    """The table of records, each with its solver's label and its problem."""
    sha256 = lock_suite(suite).sha256
    located = []
    for solver, problem, record in records:
        told = {"name": "tiny", "version": "1", "sha256": sha256, "problem": problem, "solver": solver}
        told |= {"instance": "0", "repetition": "0"}
        whole = but(but(record, "suite", **told), "provenance", tier=Tier.REPRODUCED)
        located.append(Located(f"tiny/ada/{record.record_id}/record.json", "tiny", "ada", whole))
    (found,) = build_board(located, SuiteBook({"tiny": suite})).suites
    return found


def rows_of(found: BoardSuite) -> dict[str, BoardRow]:
    return {row.solver: row for row in found.entries}


def on_both(solver: str, gap: float, **options) -> list[tuple[str, str, Record]]:
    return [(solver, name, made(solver, scenario=name, gap=gap, **options)) for name in ("parallel_channels", "other")]


def test_losses_that_the_tolerance_cannot_tell_apart_share_the_rank(tmp_path):
    """The tie is 1e-3: 0.1004 is no worse than 0.1, 0.1012 is worse than 0.1 and no worse than 0.1004."""
    gaps = {"a": 0.1, "b": 0.1004, "c": 0.1012, "d": 0.3}
    found = board_of(suite_of(tmp_path), *(item for name, gap in gaps.items() for item in on_both(name, gap, tie=1e-3)))
    assert (found.tie, found.ties) == ("0.001000", {"parallel_channels": "0.001000", "other": "0.001000"})
    rows = rows_of(found)
    assert {name: row.rank for name, row in rows.items()} == {"a": 1, "b": 1, "c": 2, "d": 4}
    assert {name: row.problems["other"].rank for name, row in rows.items()} == {"a": 1, "b": 1, "c": 2, "d": 4}
    assert [row.solver for row in found.entries] == ["a", "b", "c", "d"]


def test_the_last_printed_digit_decides_no_rank(tmp_path):
    """References without a tolerance: 1e-6 apart is a tie all the same, 3e-6 is not."""
    gaps = {"a": 0.1, "b": 0.100001, "c": 0.100003}
    rows = rows_of(board_of(suite_of(tmp_path), *(item for name, gap in gaps.items() for item in on_both(name, gap))))
    assert {name: row.rank for name, row in rows.items()} == {"a": 1, "b": 1, "c": 3}


def test_a_stated_tie_of_a_record_that_nobody_has_shown_makes_no_ties(tmp_path):
    suite = suite_of(tmp_path)
    records = [*on_both("a", 0.1), *on_both("b", 0.2)]
    wide = but(made("c", scenario="other", gap=0.3, tie=0.5), "provenance", tier=Tier.SELF_REPORTED)
    told = {"name": "tiny", "version": "1", "sha256": lock_suite(suite).sha256, "problem": "other", "solver": "c"}
    located = [
        Located("tiny/eve/c/record.json", "tiny", "eve", but(wide, "suite", **told, instance="0", repetition="0")),
    ]
    for solver, problem, record in records:
        own = but(
            but(record, "suite", **{**told, "problem": problem, "solver": solver}, instance="0", repetition="0"),
            "provenance",
            tier=Tier.REPRODUCED,
        )
        located.append(Located(f"tiny/ada/{record.record_id}/record.json", "tiny", "ada", own))
    (found,) = build_board(located, SuiteBook({"tiny": suite})).suites
    assert {name: row.rank for name, row in rows_of(found).items()} == {"a": 1, "b": 2, "c": None}


def test_who_beats_a_best_known_reference_has_loss_zero_and_the_better_rank_on_the_problem(tmp_path):
    """Measured to a front of 0.5: 0.55 is better, 0.5 as good. No loss in the table is negative."""
    found = board_of(
        suite_of(tmp_path),
        *(
            (name, problem, made(name, scenario=problem, hypervolume=volume, reference_hypervolume=0.5))
            for problem in ("parallel_channels", "other")
            for name, volume in (("beats", 0.55), ("meets", 0.5), ("misses", 0.4))
        ),
    )
    rows = rows_of(found)
    assert {name: row.loss for name, row in rows.items()} == {"beats": "0.000000", "meets": "0.000000", "misses": "0.200000"}
    assert {name: row.problems["other"].loss for name, row in rows.items()}["beats"] == "0.000000"
    assert {name: row.problems["other"].rank for name, row in rows.items()} == {"beats": 1, "meets": 2, "misses": 3}
    assert {name: row.rank for name, row in rows.items()} == {"beats": 1, "meets": 1, "misses": 3}


def test_a_problem_without_references_counts_in_no_mean(tmp_path):
    suite = suite_of(tmp_path)
    (tmp_path / "tiny.yaml").write_text(SUITE.replace("reference: quick", "reference: none"))
    suite = load_suite(tmp_path / "tiny.yaml")
    first = made("a", scenario="parallel_channels", gap=0.2)
    bare = made("a", scenario="other", gap=0.4, reference=False)
    row = rows_of(board_of(suite, ("a", "parallel_channels", first), ("a", "other", bare)))["a"]
    assert (row.loss, row.rank, row.problems["other"].loss) == ("0.200000", 1, None)


# -- columns of a suite ------------------------------------------------------------------------------------------------

COLUMNS = "columns: {loss_at_ms: [1, 10, 100], solved: true}\n"


def curve(*rows: tuple[float, float | None]) -> list[list[float | None]]:
    """Rows of a curve from seconds and values; the reference value is 10, and more is better."""
    return [[i + 1, seconds, value, 0.0 if value is not None else 1.0] for i, (seconds, value) in enumerate(rows)]


def test_the_loss_by_time_is_that_of_the_best_value_known_by_then(tmp_path):
    """Quick knows 8 of 10 after 0.5 ms and 9 after 50 ms; slow knows nothing feasible before 20 ms and then 10."""
    quick = curve((0.0005, 8.0), (0.05, 9.0))
    slow = curve((0.0005, None), (0.02, 10.0))
    found = board_of(suite_of(tmp_path, COLUMNS), *on_both("quick", 0.1, trace=quick), *on_both("slow", 0.0, trace=slow))
    rows = rows_of(found)
    losses = {name: [place.loss for place in row.columns.at_ms.values()] for name, row in rows.items()}
    assert losses == {"quick": ["0.200000", "0.200000", "0.100000"], "slow": ["1.000000", "1.000000", "0.000000"]}
    ranks = {name: [place.rank for place in row.columns.at_ms.values()] for name, row in rows.items()}
    assert ranks == {"quick": [1, 1, 2], "slow": [2, 2, 1]}
    assert list(rows["quick"].columns.at_ms) == ["1", "10", "100"]
    assert {name: row.columns.solved for name, row in rows.items()} == {"quick": "0.000000", "slow": "1.000000"}
    assert (rows["slow"].columns.seconds, rows["slow"].columns.machine) == ("1.000000", "c, 1 cores")


def test_runs_that_failed_or_are_absent_are_lost_at_every_time(tmp_path):
    """One problem without a record; on the other the run broke although its curve was good."""
    broken = made("a", scenario="other", gap=0.0, status="error", trace=curve((0.0001, 10.0)))
    row = rows_of(board_of(suite_of(tmp_path, COLUMNS), ("a", "other", broken)))["a"]
    assert {place.loss for place in row.columns.at_ms.values()} == {"1.000000"}
    assert row.columns.solved == "0.000000"


def test_no_loss_by_time_is_below_the_loss_at_the_end(tmp_path):
    """A curve that claims the optimum, of a run whose verified answer is 30 % off."""
    row = rows_of(board_of(suite_of(tmp_path, COLUMNS), *on_both("a", 0.3, trace=curve((0.0001, 10.0)))))["a"]
    assert {place.loss for place in row.columns.at_ms.values()} == {"0.300000"}


def test_a_suite_without_columns_has_none_and_columns_change_no_lock(tmp_path):
    plain = suite_of(tmp_path)
    assert "columns" not in rows_of(board_of(plain, *on_both("a", 0.1)))["a"].to_json()
    assert lock_suite(suite_of(tmp_path, COLUMNS)).sha256 == lock_suite(plain).sha256


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("columns: {loss_at_ms: [10, 1]}\n", "columns.loss_at_ms"),
        ("columns: {loss_at_ms: [0]}\n", "columns.loss_at_ms"),
        ("columns: {loss_at: [1]}\n", "loss_at_ms"),
        ("columns: {solved: often}\n", "columns.solved"),
    ],
)
def test_wrong_columns_are_named(tmp_path, text, named):
    with pytest.raises(OptionError, match=named):
        suite_of(tmp_path, text)


# -- a track in one line -----------------------------------------------------------------------------------------------


def entry(solver: str, loss: float, problems: dict[str, float | None], **more) -> BoardRow:
    """A reproduced entry with its loss in the suite, and on problems."""
    said = {"rank": 1, "submitter": "ada", "solver": solver, "method": f"{solver} 1", "llm": None, "tier": "reproduced"}
    said |= dict.fromkeys(("evaluations", "llm_calls", "tokens", "usd"), "0")
    said |= dict.fromkeys(("records", "failed", "missing"), 0)
    places = {
        name: {"rank": 1, "loss": None if own is None else f"{own:.6f}", "measured_to": "x", "success": "1.000000"}
        for name, own in problems.items()
    }
    return BoardRow.model_validate(said | {"loss": f"{loss:.6f}", "problems": places} | more)


def track(name: str, *entries: BoardRow) -> BoardSuite:
    said = {"name": name, "version": "1", "sha256": "0" * 64, "problems": ["p", "q"], "tie": "0.001000", "ties": {}}
    return BoardSuite.model_validate(said | {"stale_records": 0, "entries": [row.to_json() for row in entries]})


def test_a_track_in_one_line_has_the_best_the_trivial_answer_and_the_best_peer():
    rows = [entry("moe", 0.1, {}), entry("parego", 0.1004, {}), entry("nsga2", 0.2, {}, rank=3), entry("null", 0.5, {}, rank=4)]
    told = summary_of(track("core", *rows))
    assert (told.best, told.loss) == (("moe", "parego"), 0.1)
    assert (told.trivial, told.null, told.peer, told.peer_loss) == ("null", 0.5, "nsga2", 0.2)


def test_a_track_about_time_is_summed_up_by_the_mean_over_its_times():
    """Slow is better at the end and worse in the mean over the times: (0.9 + 0.3) / 2 against (0.5 + 0.4) / 2."""

    def timed(solver: str, end: float, *losses: float) -> BoardRow:
        places = {str(10**i): {"rank": 1, "loss": f"{loss:.6f}"} for i, loss in enumerate(losses)}
        return entry(solver, end, {}, columns={"machine": "c", "seconds": "1.000000", "at_ms": places})

    told = summary_of(track("core", timed("slow", 0.1, 0.9, 0.3), timed("quick", 0.4, 0.5, 0.4)))
    assert (told.best, told.loss, told.times) == (("quick",), pytest.approx(0.45), ("1", "10"))


def test_where_instances_move_memories_are_compared_and_cold_starts_are_the_trivial_answer():
    """The published suite: the least loss of a memory on every problem; who may spend more is left out, so is what has none."""
    rows = [
        entry("moead_de_cold", 0.9, {"power_control/fading": 0.4, "uav_isac/walking": None}),
        entry("moead_de_warm", 0.8, {"power_control/fading": 0.2, "uav_isac/walking": None}),
        entry("moead_de_oracle", 0.6, {"power_control/fading": 0.0}),
        entry("weight_search_cold", 0.9, {"traffic_engineering/day": 0.3}),
        entry("weight_search_warm", 0.9, {"traffic_engineering/day": 0.1}),
        entry("weight_search_retrieve", 0.9, {"traffic_engineering/day": 0.05}),
    ]
    told = summary_of(track("dynamic", *rows))
    assert (told.best, told.loss) == (("warm",), pytest.approx(0.15))
    assert (told.trivial, told.null) == (COLD, pytest.approx(0.35))

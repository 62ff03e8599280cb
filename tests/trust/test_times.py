"""What a run knew after the times that its suite names: kept in rows, held against a second run, shown by the table."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from optisolve.run.schema import Record
from optisolve.run.table import Table, known_at, light
from optisolve.run.untrusted import read_json
from optisolve.trust.board import build_board, read_located
from optisolve.trust.remake import Match
from optisolve.trust.submission.restore import restore
from tests.trust.conftest import Board
from tests.trust.test_tables import full, publish

MARKS_MS = [1e-6, 2.0, 60_000.0]


@pytest.fixture
def timed(board, tmp_path):
    """The same suite, whose lock stays as it is, with columns; clocks such that 2 ms lie within every run."""
    (tmp_path / "tiny.yaml").write_text(board.suite.read_text() + f"columns: {{loss_at_ms: {MARKS_MS}, solved: true}}\n")
    shutil.copy(board.suite.with_name("tiny.lock.json"), tmp_path)
    runs = shutil.copytree(board.runs, tmp_path / "runs", ignore=shutil.ignore_patterns("*.parquet"))
    for file in runs.glob("*/record.json"):
        record = Record.from_json(read_json(file))
        trace = [(row[0], i * 1e-3, *row[2:]) for i, row in enumerate(record.trace)]
        file.write_bytes(record.model_copy(update={"trace": trace}).sealed().to_bytes())
    return Board(board.root, runs, tmp_path / "tiny.yaml")


def test_a_row_keeps_what_was_known_at_the_suite_s_times_and_the_table_shows_it(timed):
    rows = Table.read(publish(timed)).rows
    wholes = {record.result_hash: record for record in full(timed)}
    for row in rows:
        whole = wholes[row.record.result_hash].trace
        assert row.record.trace == [whole[0], whole[2], whole[-1]]  # at 0 and 2 ms, and the end
    assert timed.check().problems == []
    (suite,) = build_board(read_located(timed.records), timed.book).suites
    places = next(entry for entry in suite.entries if entry.solver == "mine").columns.at_ms
    losses = [float(place.loss) for place in places.values()]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] == pytest.approx(float(next(e for e in suite.entries if e.solver == "mine").loss), abs=1e-6)


def test_full_records_of_rows_with_times_come_out_of_the_archive_or_are_made_again(timed, tmp_path):
    path = publish(timed, archive=tmp_path / "archives")
    kept = list(restore(path, tmp_path / "kept", archives=[tmp_path / "archives"]))
    assert all(item.archived for item in kept)
    rows = {row.record.record_id: row.record.trace for row in Table.read(path).rows}
    for file in (tmp_path / "kept").glob("*/record.json"):
        record = Record.from_json(read_json(file))
        assert light(record, known_at(record, MARKS_MS)).trace == rows[record.record_id]
    assert {item.match for item in restore(path, tmp_path / "made")} == {Match.SAME}


def better_before(trace):
    """The end's value two milliseconds after the start."""
    return [trace[0], (*trace[1][:2], *trace[-1][2:]), trace[-1]]


def gets_worse(trace):
    return [(*trace[0][:2], *trace[-1][2:]), *trace[1:]]


def of_another_evaluation(trace):
    """The end's value one evaluation before the end, where the curve of the run has no row."""
    return [trace[0], (trace[-1][0] - 1, trace[1][1], *trace[-1][2:]), trace[-1]]


def clock_runs_back(trace):
    return [(trace[0][0], 0.1, *trace[0][2:]), *trace[1:]]


def end_left_out(trace):
    return trace[:-1]


def more_than_was_asked(trace):
    """Two rows of the curve by one time."""
    return [trace[0], (trace[0][0] + 1, *trace[0][1:]), *trace[1:]]


@pytest.mark.parametrize(
    "forge", [better_before, gets_worse, of_another_evaluation, clock_runs_back, end_left_out, more_than_was_asked]
)
def test_a_forged_course_is_refused(timed, forge):
    path = publish(timed)
    rows = list(Table.read(path).rows)
    at = next(i for i, row in enumerate(rows) if row.record.trace[1][2] != row.record.trace[-1][2])
    record = rows[at].record
    rows[at] = replace(rows[at], record=record.model_copy(update={"trace": forge(record.trace)}))
    path.write_bytes(Table.of(rows).to_bytes())
    timed.table()
    timed.commit()
    problems = [str(problem) for problem in timed.check().problems]
    assert problems
    assert all("trace" in told or "(row)" in told for told in problems)


def test_a_row_of_a_suite_without_times_has_the_end_of_its_curve_only(board):
    path = publish(board)
    rows = list(Table.read(path).rows)
    first, last = rows[0].record.trace[-1], rows[0].record.trace[-1]
    longer = [(1, 0.0, first[2], first[3]), last]
    rows[0] = replace(rows[0], record=rows[0].record.model_copy(update={"trace": longer}))
    path.write_bytes(Table.of(rows).to_bytes())
    board.table()
    board.commit()
    assert any("trace" in str(problem) for problem in board.check().problems)

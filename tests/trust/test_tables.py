"""Published tables: small, exact, made again row by row, and worth no more than what a second run gives."""

from __future__ import annotations

import hashlib
import json
import lzma
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import optisolve
from optisolve.cli.main import main
from optisolve.core.errors import RecordError
from optisolve.registry import PROBLEMS, SOLVERS
from optisolve.run.schema import Record, Tier
from optisolve.run.table import Row, Table, light
from optisolve.run.untrusted import read_json
from optisolve.study.loss import loss_of
from optisolve.trust import audit, remake
from optisolve.trust.board import build_board, read_located
from optisolve.trust.remake import Match
from optisolve.trust.submission import RECORDS, ROWS, TABLE, TRANSCRIPTS, Tree, check_submission
from optisolve.trust.submission.bundle import archive_name, read_transcripts, transcripts_bytes
from optisolve.trust.submission.export import export_records
from optisolve.trust.submission.restore import restore
from optisolve.trust.submission.rows import ELSEWHERE
from tests.trust.conftest import Board

REPRODUCED = audit.Tier.REPRODUCED
FIELDS = {
    "loss": lambda record: changed(record, "scores", gap=0.0, bound_gap=0.0),
    "objective": lambda record: changed(record, "scores", objective=record.scores.objective * 0.5),
    "evaluations": lambda record: changed(record, "used", evaluations=record.used.evaluations - 1),
    "tie": lambda record: changed(record, "scores", tie=1.0),
    "bound": lambda record: changed(record, "reference", dual_bound=record.reference.dual_bound * 1.5),
    "seed": lambda record: record.model_copy(update={"seed": record.seed + 1}),
    "status": lambda record: changed(record, "termination", status="optimal", limit=None),
    "options": lambda record: changed(record, "solver", options={**record.solver.options, "popsize": 7}),
    "instance": lambda record: changed(record, "instance", sha256="0" * 64),
}
"""What somebody might like to look better in a row, or other than it was."""


def changed(record: Record, part: str, **values) -> Record:
    told = record.to_json()
    told[part] |= values
    return Record.read(json.loads(json.dumps(told)))


def full(board: Board) -> list[Record]:
    return [Record.from_json(read_json(file)) for file in sorted(board.runs.glob("*/record.json"))]


def table_of(board: Board, submitter: str) -> Path:
    return board.records / "tiny" / submitter / ROWS


def publish(board: Board, submitter: str = "ada", solver: str = "mine", **options) -> Path:
    board.pack(submitter, solver, tier=REPRODUCED, full=False, **options)
    board.table()
    board.commit()
    return table_of(board, submitter)


def forged(board: Board, change) -> list[str]:
    """What the gate says when the first row of a table of its own is changed; the row's hashes are left as they are."""
    path = publish(board)
    told = Table.read(path)
    rows = [replace(told.rows[0], record=change(told.rows[0].record)), *told.rows[1:]]
    path.write_bytes(Table.of(rows).to_bytes())
    board.table()
    board.commit()
    return [str(problem) for problem in board.check().problems]


def elsewhere(real):
    """A second run that goes another way, as on another processor: with other random numbers."""

    def replayed(record, *arguments, **options):
        again = real(record.model_copy(update={"seed": record.seed + 1}), *arguments, **options)
        found = again.result.record.model_copy(update={"seed": record.seed}).sealed()
        return replace(again, result=again.result.with_record(found))

    return replayed


def named(record: Record, **packages: str) -> Record:
    """The record as if it came from a machine with other packages."""
    env = record.env.model_copy(update={"packages": {**record.env.packages, **packages}})
    return record.model_copy(update={"env": env}).sealed()


# -- the file ----------------------------------------------------------------------------------------------------------


def test_a_table_holds_every_record_but_for_points_and_curves(board):
    records = full(board)
    table = Table.of(map(Row.of, records))
    again = Table.from_json(json.loads(table.to_bytes()))
    assert [row.record for row in again.rows] == [row.record for row in table.rows]
    assert {row.record.record_id: row.record for row in again.rows} == {r.record_id: light(r) for r in records}
    assert len(table.to_bytes()) < 0.25 * sum(len(record.to_bytes()) for record in records)


def test_the_same_records_give_the_same_bytes_in_whatever_order(board):
    records = full(board)
    assert Table.of(map(Row.of, records)).to_bytes() == Table.of(map(Row.of, records[::-1])).to_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda told: told["rows"][0].append(1), "more cells"),
        (lambda told: told["rows"][0].pop(), "damaged"),
        (lambda told: told["rows"].append(told["rows"][0]), "each once"),
        (lambda told: told["rows"][0].__setitem__(0, -1), "no number of a shape"),
        (lambda told: told["shared"]["instance"].clear(), "damaged"),
        (lambda told: told.update(more=1), "no such field"),
        (lambda told: told["constants"].pop("schema"), "damaged"),
        (lambda told: told["rows"].extend([told["rows"][0]] * 70_000), "stand for more than"),
    ],
)
def test_a_damaged_table_is_refused_with_its_name(board, tmp_path, change, message):
    told = json.loads(Table.of(map(Row.of, full(board))).to_bytes())
    change(told)
    path = tmp_path / ROWS
    path.write_text(json.dumps(told))
    with pytest.raises(RecordError, match=message) as error:
        Table.read(path)
    assert str(path) in str(error.value)


def test_tables_and_records_give_the_same_ranking_and_frame(board):
    board.pack("ada", "mine", tier=REPRODUCED)
    from_files = build_board(read_located(board.records), board.book)
    told = optisolve.load_records(board.records / "tiny" / "ada")
    shutil.rmtree(board.records / "tiny" / "ada")
    publish(board)
    assert build_board(read_located(board.records), board.book) == from_files
    row = optisolve.load_records(table_of(board, "ada"))
    columns = [name for name in told if name.startswith(("scores.", "used.evaluations")) or name in ("result_hash", "solver")]
    assert (
        told.set_index("result_hash")[columns[1:]].sort_index().equals(row.set_index("result_hash")[columns[1:]].sort_index())
    )


# -- the gate ----------------------------------------------------------------------------------------------------------


def test_a_table_is_accepted_once_every_row_was_made_again_and_the_site_gets_full_records(board, tmp_path):
    rows = {row.record.record_id: row.record for row in Table.read(publish(board)).rows}
    verdict = board.check(author="ada", export=tmp_path)
    assert verdict.problems == []
    assert verdict.checked == 8
    assert {told.tier for told in verdict.audits.values()} == {REPRODUCED}
    assert [path for path in (board.records / "tiny" / "ada").iterdir() if path.is_dir()] == []
    made = {file.parent.name: Record.from_json(read_json(file)) for file in (tmp_path / "tiny" / "ada").glob("*/record.json")}
    assert made.keys() == rows.keys()
    assert not (tmp_path / "tiny" / "ada" / ROWS).exists()
    for name, record in made.items():
        assert record == record.sealed()
        assert (record.result_hash, record.used.wall_s) == (rows[name].result_hash, rows[name].used.wall_s)
        assert record.solutions.x
        assert len(record.trace) > 1
        assert light(record).scores == rows[name].scores


@pytest.mark.parametrize("field", FIELDS)
def test_a_row_that_says_anything_else_than_a_second_run_is_refused(board, field):
    problems = forged(board, FIELDS[field])
    assert problems
    assert all(ROWS.removesuffix(".json") in told or "row.json" in told or "solvers" in told for told in problems)


def test_a_copied_run_is_refused_under_another_name_even_as_a_row(board):
    publish(board)
    rows = Table.read(table_of(board, "ada")).rows
    target = table_of(board, "eve")
    target.parent.mkdir(parents=True)
    target.write_bytes(Table.of(rows).to_bytes())
    (target.parent / "submission.json").write_text(
        json.dumps({"schema": "optisolve.submission/1", "submitter": "eve", "title": "mine"})
    )
    board.table()
    board.commit()
    base = Tree.at(board.root, "HEAD~1")
    problems = check_submission(Tree.at(board.root, "HEAD"), base, book=board.book, guard=None).problems
    assert any("duplicate" in str(problem) for problem in problems)


def test_published_rows_neither_change_nor_vanish_and_new_ones_may_come(board):
    path = publish(board)
    base = Tree.at(board.root, "HEAD")
    whole = Table.read(path)
    path.write_bytes(Table.of(whole.rows[1:]).to_bytes())
    board.table()
    board.commit()
    problems = check_submission(Tree.at(board.root, "HEAD"), base, book=board.book, guard=None).problems
    assert any("a removal" in str(problem) for problem in problems)
    shorter = Tree.at(board.root, "HEAD")
    path.write_bytes(whole.to_bytes())
    board.table()
    board.commit()
    verdict = check_submission(Tree.at(board.root, "HEAD"), shorter, book=board.book, guard=None)
    assert verdict.problems == []
    assert verdict.checked == 1


def test_a_row_of_another_platform_is_neither_believed_nor_refuted(board, monkeypatch):
    """A stranger's claim is refused as not shown; published ones, which were shown when they came, get a note."""
    publish(board)
    monkeypatch.setattr(remake, "replay_record", elsewhere(remake.replay_record))
    assert any("result_hash" in str(problem) for problem in board.check().problems)
    monkeypatch.setattr(remake, "other_platform", lambda record, **registries: "blas: OpenBLAS there, MKL here")
    problems = board.check().problems
    assert problems
    assert all("provenance.tier" in str(problem) and "another platform" in str(problem) for problem in problems)
    whole = check_submission(Tree.at(board.root, "HEAD"), book=board.book, guard=None)
    assert whole.problems == []  # what chance makes of these runs is what it has made of the published ones
    assert sum(ELSEWHERE in note for note in whole.notes if "/ada/" in note) == 8


def test_a_better_score_is_refused_in_a_published_row_too_whatever_platform_it_names(board, monkeypatch):
    """The proven optimum in place of what was reached; the rows around it are genuine, all from another platform."""
    path = publish(board)
    monkeypatch.setattr(remake, "replay_record", elsewhere(remake.replay_record))
    monkeypatch.setattr(remake, "other_platform", lambda record, **registries: "blas: OpenBLAS there, MKL here")
    rows = list(Table.read(path).rows)
    at = max(range(8), key=lambda i: loss_of(rows[i].record).value)
    record = rows[at].record
    better = changed(record, "scores", objective=record.reference.value, gap=0.0, bound_gap=0.0)
    rows[at] = replace(rows[at], record=better.sealed())
    path.write_bytes(Table.of(rows).to_bytes())
    board.table()
    board.commit()
    problems = check_submission(Tree.at(board.root, "HEAD"), book=board.book, guard=None).problems
    assert any("solver mine" in str(problem) and "a loss of 0.000000" in str(problem) for problem in problems)


def test_the_same_loss_with_another_hash_is_a_statistical_reproduction_on_another_platform_only(board, monkeypatch):
    """A row whose last digits differ by more than rounding and less than a table prints."""
    path = publish(board)
    row = Table.read(path).rows[0]
    record = row.record
    step, sign = 3e-7 * record.scores.gap_scale, 1.0 if record.verified.objectives[0].sense == "maximize" else -1.0
    gaps = {name: getattr(record.scores, name) - 3e-7 for name in ("gap", "bound_gap")}
    near = changed(record, "scores", objective=record.scores.objective + sign * step, **gaps)
    last = near.trace[-1]
    near = near.model_copy(update={"trace": [(*last[:2], last[2] + sign * step, last[3])]}).sealed()
    assert remake.remake(near, None).match is Match.DIFFERENT
    assert remake.remake(named(near, numpy="1.0"), None).match is Match.AGREES
    far = changed(near, "scores", objective=near.scores.objective + 1e2 * sign * step).sealed()
    assert remake.remake(named(far, numpy="1.0"), None).match is Match.PLATFORM


def test_gaps_of_a_row_that_is_apart_by_rounding_are_held_against_its_own_value(board):
    """Where an objective is large beside its scale of gaps, rounding of the one is more than rounding of the other."""
    record = Table.read(publish(board)).rows[0].record
    step, worse = 5e-10 * abs(record.scores.objective), -1.0 if record.verified.objectives[0].sense == "maximize" else 1.0
    gaps = {name: getattr(record.scores, name) + step / record.scores.gap_scale for name in ("gap", "bound_gap")}
    near = changed(record, "scores", objective=record.scores.objective + worse * step, **gaps).sealed()
    made = remake.remake(near, None)
    assert made.match is Match.ROUNDING
    assert made.record.scores.gap == pytest.approx(record.scores.gap, abs=1e-13)
    free = changed(near, "scores", gap=0.0).sealed()  # a better gap moves with its value, and stays too good
    assert remake.remake(free, None).record.scores.gap == pytest.approx(-step / record.scores.gap_scale, rel=1e-6)


def test_a_sample_is_drawn_by_the_commit_and_every_row_keeps_its_place(board, tmp_path):
    publish(board)
    verdict = check_submission(Tree.at(board.root, "HEAD"), book=board.book, guard=None, sample=3, export=tmp_path)
    assert len(list((tmp_path / "tiny" / "ada").glob("*/record.json"))) == 3
    assert len(Table.read(tmp_path / "tiny" / "ada" / ROWS).rows) == 5
    assert verdict.problems == []
    assert sum(path.endswith("row.json") for path in verdict.audits) == 3
    (suite,) = verdict.after.suites
    assert {row.submitter: row.records for row in suite.entries}["ada"] == 8


# -- language models ---------------------------------------------------------------------------------------------------


def test_rows_of_a_language_model_are_replayed_from_the_transcripts_beside_the_table(board):
    path = publish(board, solver="ledma")
    assert {row.record.provenance.tier for row in Table.read(path).rows} == {Tier.REPLAYED}
    assert board.check().problems == []
    transcripts = read_transcripts((path.parent / TRANSCRIPTS).read_bytes())
    assert set(transcripts) == {row.record.record_id for row in Table.read(path).rows}
    name = min(transcripts)
    altered = {**transcripts, name: transcripts[name].replace("0.", "0.9", 1)}
    (path.parent / TRANSCRIPTS).write_bytes(transcripts_bytes(altered))
    board.commit()
    assert any(name in str(problem) for problem in board.check().problems)


def test_without_its_transcript_a_row_of_a_language_model_shows_nothing(board):
    path = publish(board, solver="ledma")
    (path.parent / TRANSCRIPTS).unlink()
    board.commit()
    problems = board.check().problems
    assert problems
    assert all("self_reported" in str(problem) for problem in problems)


def test_a_small_file_cannot_unpack_to_more_than_a_submission_may_hold():
    with pytest.raises(RecordError, match="unpacks to more than"):
        read_transcripts(lzma.compress(b"0" * (201 * 2**20), preset=0))


# -- the full records --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_full_records_are_made_again_with_the_hashes_of_the_table(board, tmp_path, workers):
    path = publish(board)
    restored = list(restore(path, tmp_path / "again", workers=workers))
    assert {item.match for item in restored} == {Match.SAME}
    published = {row.record.result_hash: row.record for row in Table.read(path).rows}
    files = list((tmp_path / "again").glob("*/record.json"))
    again = [Record.from_json(read_json(file)) for file in files]
    assert {record.result_hash for record in again} == set(published)
    assert all(record.scores == published[record.result_hash].scores for record in again)
    auditor = audit.Auditor(PROBLEMS, SOLVERS, suites=board.book)
    assert {auditor.file(file).tier for file in files if auditor.file(file)} == {REPRODUCED}


def test_the_archive_is_taken_where_it_lies_if_it_is_the_one_that_the_table_names(board, tmp_path):
    path = publish(board, archive=tmp_path / "archives")
    told = Table.read(path).archive
    (archive,) = (tmp_path / "archives").iterdir()
    assert archive.name == archive_name("tiny", told) == f"tiny-{hashlib.sha256(archive.read_bytes()).hexdigest()}.tar.xz"
    restored = list(restore(path, tmp_path / "again", archives=[tmp_path / "archives"]))
    assert all(item.archived for item in restored)
    rows = {row.record.record_id: row.record for row in Table.read(path).rows}
    again = [Record.from_json(read_json(file)) for file in (tmp_path / "again").glob("*/record.json")]
    assert {record.record_id: light(record) for record in again} == rows
    export_records(board.records, tmp_path / "site", [tmp_path / "archives"])
    taken = {file.parent.name: file for file in (tmp_path / "site" / "tiny" / "ada").glob("*/record.json")}
    assert {name: light(Record.from_json(read_json(file))) for name, file in taken.items()} == rows
    archive.write_bytes(archive.read_bytes() + b"x")
    with pytest.raises(RecordError, match="SHA-256"):
        list(restore(path, tmp_path / "other", archives=[archive]))


def test_the_command_makes_records_and_refutes_a_row_with_code_2(board, tmp_path, capsys):
    path = publish(board)
    words = ["submit", "records", "tiny", "--submitter", "ada", "--repository", str(board.root), "--out", str(tmp_path)]
    assert main(words) == 0
    assert "8  made again, with the hash that the table states" in capsys.readouterr().out
    told = Table.read(path)
    wrong = replace(told.rows[0], record=changed(told.rows[0].record, "used", evaluations=1))
    path.write_bytes(Table.of([replace(wrong, record=wrong.record.model_copy(update={"result_hash": "0" * 64}))]).to_bytes())
    assert main(words) == 2
    assert "REFUTED" in capsys.readouterr().out
    assert main(["submit", "records", "nothing", "--repository", str(board.root)]) == 1
    assert RECORDS in capsys.readouterr().err


def test_the_ranking_is_rebuilt_from_tables(board):
    publish(board)
    told = json.loads((board.root / TABLE).read_text())
    assert {row["submitter"] for suite in told["suites"] for row in suite["entries"]} == {"ada", "baseline"}

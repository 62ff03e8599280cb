"""The gate of the leaderboard, in a real repository: a good submission passes, every kind of bad one is refused readably."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from optisolve.cli.main import main
from optisolve.core.errors import OptionError, OptisolveError, RecordError
from optisolve.core.status import Termination
from optisolve.run.records import read_record
from optisolve.study.lock import write_lock
from optisolve.study.loss import loss_of
from optisolve.study.suite import load_suite
from optisolve.trust.audit import AUDIT_LIMITS, Audit, Auditor, Tier
from optisolve.trust.board import Located, build_board, read_located
from optisolve.trust.submission import RECORDS, TABLE, Tree, check_submission, comment_text
from optisolve.trust.submission.duplicates import duplicates, identities
from tests.forging import record_bytes, seal
from tests.study.records import made
from tests.trust.conftest import Board, git


def test_a_good_submission_is_accepted_and_the_comment_tells_the_ranks(board):
    packed = board.pack("ada", "mine", tier=Tier.REPRODUCED)
    assert (packed.written, packed.known) == (8, 0)
    board.table()
    board.commit()
    verdict = board.check(author="Ada")
    assert verdict.problems == []
    assert verdict.checked == 8
    assert {audit.tier for audit in verdict.audits.values()} == {Tier.REPRODUCED}
    text = comment_text(verdict)
    assert text.startswith("## Leaderboard: accepted")
    assert "| `tiny` | `ada` | `mine` | reproduced |" in text
    (suite,) = verdict.after.suites
    assert {(row.submitter, row.rank) for row in suite.entries} == {("baseline", 2), ("ada", 1)}
    assert "| `tiny` | `baseline` | `random_search` | reproduced |" in text  # it moved from 1 to 2


def test_the_table_is_the_same_bytes_whoever_builds_it_and_in_whatever_order(board):
    board.pack("ada", "mine")
    board.pack("bob", "null")
    located = read_located(board.records)
    assert build_board(located, board.book).to_bytes() == build_board(located[::-1], board.book).to_bytes()
    board.table()
    first = (board.root / TABLE).read_bytes()
    (board.root / TABLE).unlink()
    board.table()
    assert (board.root / TABLE).read_bytes() == first
    assert first.endswith(b"\n")


def test_only_reproduced_entries_are_ranked_and_absent_units_count_as_lost(board):
    board.pack("ada", "mine")
    board.pack("eve", "scipy_local", tier=Tier.REPRODUCED)  # nothing on the second problem
    (suite,) = build_board(read_located(board.records), board.book).suites
    rows = {row.submitter: row for row in suite.entries}
    assert rows["ada"].rank is None
    assert rows["eve"].missing == 4
    own = rows["eve"].problems["parallel_channels"]
    assert float(rows["eve"].loss) == pytest.approx(0.5 * (1.0 + float(own.loss)))
    assert own.rank == 1
    assert [row.submitter for row in suite.entries][-1] == "ada"  # unranked rows stand last


def test_a_failed_run_has_the_worst_loss(board):
    record = read_record(board.files("baseline")[0])
    assert 0.0 <= loss_of(record).value < 1.0
    stopped = record.termination.model_copy(update={"status": Termination.ERROR})
    assert loss_of(record.model_copy(update={"termination": stopped})).value == 1.0


# -- refusals ----------------------------------------------------------------------------------------------------------


def edit(board: Board, change: Callable[[dict[str, Any]], object], *, table: bool = True) -> None:
    """Pack a good submission, alter its first record and seal it again, and let everything else follow."""
    board.pack("ada", "mine")
    file = board.files("ada")[0]
    record = json.loads(file.read_text())
    change(record)
    record = seal(record)
    target = file.parent.with_name(record["record_id"])
    file.parent.rename(target)
    (target / "record.json").write_bytes(record_bytes(record))
    if table:
        board.table()


def good(board: Board) -> Path:
    board.pack("ada", "mine")
    board.table()
    return board.files("ada")[0]


def forged_score(board):
    edit(board, lambda r: r["scores"].update(objective=r["scores"]["objective"] * 1.01))


def forged_point(board):
    edit(board, lambda r: r["solutions"]["x"][0].__setitem__(0, 0.5 * r["solutions"]["x"][0][0]))


def over_budget(board):
    edit(board, lambda r: r["budget"].update(evaluations=6000))


def stale_suite(board):
    edit(board, lambda r: r["suite"].update(sha256="0" * 64))


def chosen_seed(board):
    edit(board, lambda r: r.update(seed=r["seed"] + 1))


def claims_more(board):
    """The claim to be reproduced makes the gate repeat the run, which gives another curve."""

    def change(record):
        record["provenance"]["tier"] = "reproduced"
        for row in record["trace"][len(record["trace"]) // 2 :]:
            row[2] = record["trace"][-1][2]

    edit(board, change)


def no_reference(board):
    def change(record):
        record["reference"] = None
        record["scores"].update(gap=None, bound_gap=None, gap_scale=None, tie=None)

    edit(board, change)


def two_solvers_under_one_name(board):
    edit(board, lambda r: r["solver"]["options"].update(pop_size=12))


def duplicate_of_another(board):
    shutil.copytree(board.records / "tiny" / "baseline", board.records / "tiny" / "ada")
    description = board.records / "tiny" / "ada" / "submission.json"
    description.write_text(description.read_text().replace("baseline", "ada"))
    board.table()


def copied_under_another_name(board):
    """Somebody else's runs with a solver's label of one's own; every hash is new."""
    board.pack("ada", "mine")
    for file in board.files("ada")[1:]:
        shutil.rmtree(file.parent)
    file = board.files("ada")[0]
    theirs = json.loads(board.files("baseline")[0].read_text())
    theirs["suite"].update(solver="mine", unit=theirs["suite"]["unit"].replace("random_search", "mine"))
    theirs["provenance"]["tier"] = "verified"
    shutil.rmtree(file.parent)
    theirs = seal(theirs)
    target = file.parent.with_name(theirs["record_id"])
    target.mkdir()
    (target / "record.json").write_bytes(record_bytes(theirs))
    board.table()


def same_unit_twice(board):
    """The second run of a unit, in the hope that the better one counts."""
    file = good(board)
    record = json.loads(file.read_text())
    record["used"]["wall_s"] += 1.0
    record = seal(record)
    target = file.parent.with_name(record["record_id"])
    target.mkdir()
    (target / "record.json").write_bytes(record_bytes(record))
    board.table()


def truncated(board):
    file = good(board)
    file.write_bytes(file.read_bytes()[:-100])


def other_folder_name(board):
    file = good(board)
    file.parent.rename(file.parent.with_name("the-best-record"))


def other_suite_folder(board):
    good(board)
    (board.records / "exact").mkdir()
    (board.records / "tiny" / "ada").rename(board.records / "exact" / "ada")


def unknown_suite(board):
    """Nothing of it can be compared with a lock, and its fields could be anything."""
    edit(board, lambda r: r["suite"].update(name="foo", instance="not-a-number"), table=False)
    (board.records / "foo").mkdir()
    shutil.move(board.records / "tiny" / "ada", board.records / "foo" / "ada")


def odd_instance(board):
    edit(board, lambda r: r["suite"].update(instance="not-a-number"), table=False)


def relabel(board: Board, label: str, *, table: bool = True) -> None:
    """All records of a solver under another label, sealed again."""
    board.pack("ada", "mine")
    for file in board.files("ada"):
        record = json.loads(file.read_text())
        record["suite"].update(solver=label, unit=record["suite"]["unit"].replace(".mine.", f".{label}."))
        record = seal(record)
        target = file.parent.with_name(record["record_id"])
        file.parent.rename(target)
        (target / "record.json").write_bytes(record_bytes(record))
    if table:
        board.table()


def invisible_label(board):
    relabel(board, "random_search\u200b", table=False)


def label_with_a_link(board):
    relabel(board, '<a href="https://evil.example/login">random_search</a>', table=False)


def label_of_the_same_page(board):
    """Another text and the same file name: its page would replace the other one's."""
    relabel(board, "random_search-")


def label_that_looks_the_same(board):
    relabel(board, "Random-Search")


def moved_reference(board):
    """A little within the reference's tolerance, value and bound together, so that the gap is what is wanted."""

    def change(record):
        told, scores = record["reference"], record["scores"]
        shift = 1e-6 * scores["gap_scale"]
        sign = -1.0 if record["verified"]["objectives"][0]["sense"] == "maximize" else 1.0
        for key, name in (("value", "gap"), ("dual_bound", "bound_gap")):
            told[key] += sign * shift
            scores[name] = sign * (scores["objective"] - told[key]) / scores["gap_scale"]

    edit(board, change)


def another_platform(board):
    """A run that ends elsewhere here and names another platform is no forgery, and no reproduced one either."""

    def change(record):
        rows = record["trace"]
        step = next(i for i in range(2, len(rows) - 1) if rows[i][2] is not None and rows[i][2] != rows[i + 1][2])
        rows[step][2] += 0.01 * (rows[step + 1][2] - rows[step][2])
        record["env"]["kernels"] = {"blas.numpy": "another"}
        record["provenance"]["tier"] = "reproduced"

    edit(board, change)


def symbolic_link(board):
    file = good(board)
    file.unlink()
    file.symlink_to("/etc/passwd")


def executable(board):
    good(board).chmod(0o755)


def submodule(board):
    good(board)
    inner = board.records / "tiny" / "ada" / "inner"
    inner.mkdir()
    git(inner, "init", "-q")
    (inner / "x").write_text("x")
    git(inner, "add", "x")
    git(inner, "commit", "-q", "-m", "x")


def unknown_file(board):
    (good(board).parent / "model.pkl").write_bytes(b"x")


def file_with_odd_name(board):
    (good(board).parent / "record.json\n`@everyone`").write_text("x")


def upper_case_submitter(board):
    good(board)
    (board.records / "tiny" / "ada").rename(board.records / "tiny" / "Ada")


def transcript_without_model(board):
    (good(board).parent / "transcript.jsonl").write_text("{}\n")


def code_beside_records(board):
    good(board)
    (board.root / "README.md").write_text("other code\n")


def changed_record(board):
    file = board.files("baseline")[0]
    file.write_text(file.read_text() + " ")


def removed_record(board):
    shutil.rmtree(board.files("baseline")[0].parent)
    board.table()


def two_submitters(board):
    good(board)
    board.pack("bob", "null")
    board.table()


def no_description(board):
    (good(board).parent.parent / "submission.json").unlink()


def bad_description(board):
    file = good(board).parent.parent / "submission.json"
    told = json.loads(file.read_text())
    file.write_text(json.dumps({**told, "url": "javascript:alert(1)", "rank": 1}))


def transcript_edited(board):
    board.pack("ada", "ledma")
    file = board.files("ada")[0].parent / "transcript.jsonl"
    file.write_text(file.read_text().replace('"texts":["', '"texts":["0', 1))
    board.table()


def transcript_left_out(board):
    board.pack("ada", "ledma")
    (board.files("ada")[0].parent / "transcript.jsonl").unlink()
    board.table()


def table_not_rebuilt(board):
    board.pack("ada", "mine")


def table_improved(board):
    good(board)
    file = board.root / TABLE
    file.write_text(file.read_text().replace('"rank": 1', '"rank": 0', 1))


def table_removed(board):
    good(board)
    (board.root / TABLE).unlink()


REFUSED = {
    forged_score: "scores.objective",
    forged_point: "verified.F",
    over_budget: "budget.evaluations",
    stale_suite: "suite.sha256",
    chosen_seed: "seed",
    claims_more: "result_hash",
    no_reference: "reference",
    two_solvers_under_one_name: "different solvers",
    duplicate_of_another: "a duplicate",
    copied_under_another_name: "a duplicate",
    same_unit_twice: "a duplicate",
    truncated: "(file)",
    other_folder_name: "record_id",
    other_suite_folder: "suite.name",
    unknown_suite: "a suite of this installation",
    odd_instance: "suite.instance",
    invisible_label: "suite.solver",
    label_with_a_link: "suite.solver",
    label_of_the_same_page: "baseline (random_search) has an entry",
    label_that_looks_the_same: "baseline (random_search) has an entry",
    moved_reference: "reference.value",
    another_platform: "another platform",
    symbolic_link: "a symbolic link",
    executable: "an executable file",
    submodule: "a submodule",
    unknown_file: "model.pkl",
    file_with_odd_name: "this file",
    upper_case_submitter: "the submitter in lower case",
    transcript_without_model: "transcript.jsonl",
    code_beside_records: "README.md",
    changed_record: "additions only",
    removed_record: "additions only",
    two_submitters: "one submitter",
    no_description: "submission.json",
    bad_description: "submission.json: url",
    transcript_edited: "solver.llm.transcript",
    transcript_left_out: "provenance.tier",
    table_not_rebuilt: "byte for byte",
    table_improved: "byte for byte",
    table_removed: TABLE,
}


@pytest.mark.parametrize("spoil", REFUSED, ids=lambda spoil: spoil.__name__)
def test_a_bad_submission_is_refused_with_a_readable_comment(board, spoil):
    spoil(board)
    board.commit()
    verdict = board.check()
    text = comment_text(verdict)
    assert not verdict.accepted
    assert REFUSED[spoil] in text
    assert text.startswith("## Leaderboard: refused")
    assert "Traceback" not in text
    assert len(text) < 60_000
    assert "\n`@" not in text  # a file's name cannot mention anybody


def test_somebody_else_s_name_is_refused(board):
    good(board)
    board.commit()
    verdict = board.check(author="mallory")
    assert [problem.expected for problem in verdict.problems] == ["your own name, mallory"]


def test_a_solver_that_the_gate_does_not_have_is_listed_without_a_rank_and_says_so(board):
    """The same file is refused as soon as it claims to be verified."""
    for tier, accepted in (("self_reported", True), ("verified", False)):
        shutil.rmtree(board.records / "tiny" / "ada", ignore_errors=True)

        def change(record, tier=tier):
            record["solver"]["name"] = "my_plug_in"
            record["provenance"]["tier"] = tier

        edit(board, change)
        for file in board.files("ada"):
            if json.loads(file.read_text())["solver"]["name"] != "my_plug_in":
                shutil.rmtree(file.parent)
        board.table()
        board.commit()
        verdict = board.check()
        assert verdict.accepted is accepted
        if accepted:
            (row,) = [row for row in verdict.after.suites[0].entries if row.submitter == "ada"]
            assert (row.tier, row.rank, row.missing) == ("self_reported", None, 7)


def test_a_label_belongs_to_whoever_had_it_first(board):
    git(board.root, "checkout", "-q", "main")
    good(board)
    board.commit()
    git(board.root, "checkout", "-q", "-B", "submission")
    board.pack("bob", "scipy_local")
    for file in board.files("bob"):
        record = json.loads(file.read_text())
        record["suite"].update(solver="mine", unit=record["suite"]["unit"].replace("scipy_local", "mine"))
        record = seal(record)
        target = file.parent.with_name(record["record_id"])
        file.parent.rename(target)
        (target / "record.json").write_bytes(record_bytes(record))
    board.table()
    board.commit()
    assert "ada has an entry of this name" in comment_text(board.check())


def test_large_files_are_refused_before_they_are_read(board):
    (good(board).parent / "transcript.jsonl").write_bytes(b" " * (26 * 2**20))
    board.commit()
    verdict = board.check()
    assert verdict.checked == 0
    assert "at most 26,214,400" in comment_text(verdict)


def test_a_submission_behind_the_leaderboard_must_be_rebased(board):
    good(board)
    board.commit()
    git(board.root, "checkout", "-q", "main")
    board.pack("bob", "null")
    board.table()
    board.commit()
    git(board.root, "checkout", "-q", "submission")
    with pytest.raises(OptisolveError, match="rebase"):
        board.check()


def test_every_record_of_a_commit_can_be_checked_at_once(board):
    good(board)
    head = board.commit()
    told: list[tuple[int, int]] = []
    verdict = check_submission(head, book=board.book, guard=None, on_audit=lambda *counts: told.append(counts))
    assert verdict.accepted
    assert verdict.checked == 16
    total = told[-1][1]
    assert told == [(n, total) for n in range(1, 17)]


def test_who_waits_for_the_gate_is_told_while_it_works(board, monkeypatch):
    """The first count comes after the first audit, not after the last."""
    good(board)
    audited: list[Path] = []
    real = Auditor.file

    def counted(self: Auditor, path: Path) -> Audit:
        audited.append(path)
        return real(self, path)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Auditor, "file", counted)
    with pytest.raises(KeyboardInterrupt):
        check_submission(board.commit(), book=board.book, guard=None, on_audit=stop)
    assert len(audited) == 1


def test_records_of_an_older_lock_stay_and_are_not_ranked(board, tmp_path):
    text = board.suite.read_text().replace('version: "1"', 'version: "2"').replace("seed: 5", "seed: 6")
    newer = tmp_path / "tiny.yaml"
    newer.write_text(text)
    write_lock(load_suite(newer))
    board.suite = newer
    board.table()
    head = board.commit()
    verdict = check_submission(head, book=board.book, guard=None)
    assert verdict.problems == []
    assert any("8 record(s) belong to an older lock" in note for note in verdict.notes)
    (suite,) = verdict.after.suites
    assert (suite.version, suite.stale_records, suite.entries) == ("2", 8, [])


def test_accepted_records_can_be_taken_out_to_build_a_site(board, tmp_path):
    good(board)
    board.commit()
    assert check_submission(Tree.at(board.root, "HEAD"), book=board.book, export=tmp_path / "out", guard=None).accepted
    assert len(list((tmp_path / "out").rglob("record.json"))) == 16


@pytest.mark.parametrize("revision", ["--upload-pack=x", "a..b", "", "-x", "nowhere"])
def test_a_revision_is_never_read_as_an_option(board, revision):
    with pytest.raises(OptisolveError):
        Tree.at(board.root, revision)


# -- packing and the command -------------------------------------------------------------------------------------------


def test_packing_refuses_what_the_gate_would_refuse_and_writes_nothing(board, tmp_path):
    runs = tmp_path / "runs"
    shutil.copytree(board.runs, runs)
    file = sorted(runs.glob("*/record.json"))[0]
    record = json.loads(file.read_text())
    record["scores"]["objective"] = 1e6
    file.write_text(json.dumps(seal(record)))
    board.runs = runs
    with pytest.raises(RecordError, match=r"scores\.objective"):
        board.pack("ada", record["suite"]["solver"])
    assert not (board.records / "tiny" / "ada").exists()
    with pytest.raises(RecordError, match="No record of suite tiny"):
        board.pack("ada", "nobody")
    with pytest.raises(OptionError, match="--submitter"):
        board.pack("../ada", "mine")


def test_audits_do_not_depend_on_the_number_of_processes(board):
    board.pack("ada", "mine", workers=2, tier=Tier.REPRODUCED, guard=AUDIT_LIMITS)
    broken = board.files("ada")[0]
    broken.write_text(broken.read_text().replace('"seed": ', '"seed": 1', 1))
    board.table()
    board.commit()
    one, two = board.check(), board.check(workers=2, guard=AUDIT_LIMITS)
    assert one.problems
    assert [str(problem) for problem in one.problems] == [str(problem) for problem in two.problems]
    told = [{path: (audit.problems, audit.tier) for path, audit in verdict.audits.items()} for verdict in (one, two)]
    assert told[0] == told[1]


def test_equal_curves_of_two_solvers_that_met_the_optimum_at_once_are_no_copies():
    """Where the repair leads to the optimum, different solvers have the same two-step curve and the same point."""
    steps = [[1, 0.0, 16.15, 0.0], *([n, 0.0, 13.56, 0.0] for n in range(2, 40))]
    climb = [[n, 0.0, 10.0 - n, 0.0] for n in range(1, 12)]
    for trace, gap, compared in ((steps, 0.0, False), (steps, 0.1, True), (climb, 0.0, True), (steps, None, True)):
        record = made(gap=gap, trace=trace)
        assert ("content" in [kind for kind, _ in identities(Located("p", "s", "u", record))]) is compared


@pytest.mark.parametrize(
    ("tier", "other", "refused"),
    [(Tier.REPRODUCED, "u", 0), (Tier.VERIFIED, "u", 1), (Tier.REPLAYED, "u", 0), (Tier.REPLAYED, "v", 1)],
)
def test_a_run_that_its_own_solver_gave_again_is_no_copy_of_another_solver_s(tier, other, refused):
    """Nor is one replayed from stored answers, unless it stands under somebody else's name."""
    trace = [[n, 0.0, 10.0 - n, 0.0] for n in range(1, 12)]
    items = []
    for name, submitter in (("a", "u"), ("b", other)):
        suite = {"sha256": "d", "solver": name, "problem": "p", "instance": "0", "repetition": "0"}
        record = made(name, gap=0.1, suite=suite, trace=trace)
        items.append(Located(f"s/{submitter}/{name}/record.json", "s", submitter, record))
    paths = {f"{RECORDS}/{item.path}" for item in items}
    shown, replayed = (paths if tier is own else set() for own in (Tier.REPRODUCED, Tier.REPLAYED))
    found = list(duplicates(items, paths, shown, replayed))
    assert len(found) == refused


def test_packing_twice_adds_nothing(board):
    assert board.pack("ada", "mine").written == 8
    assert (board.pack("ada", "mine").written, board.pack("ada", "mine").known) == (0, 8)


def test_a_model_s_replies_travel_with_the_record_and_the_run_follows_from_them(board):
    board.pack("ada", "ledma", tier=Tier.REPRODUCED)
    board.table()
    board.commit()
    verdict = board.check()
    assert verdict.problems == []
    assert {audit.tier for audit in verdict.audits.values()} == {Tier.REPLAYED}
    assert all((file.parent / "transcript.jsonl").is_file() for file in board.files("ada"))
    (row,) = [row for row in verdict.after.suites[0].entries if row.submitter == "ada"]
    assert row.llm.startswith("openai")
    assert (row.tier, row.rank) == ("replayed", 1)  # among its like; the reproduced ones have a first of their own
    assert {other.rank for other in verdict.after.suites[0].entries if other.tier == "reproduced"} == {1}


def test_a_surrogate_s_replies_stay_at_home_because_a_second_run_makes_them(board):
    board.pack("ada", "stand_in", tier=Tier.REPRODUCED)
    board.table()
    board.commit()
    verdict = board.check()
    assert verdict.problems == []
    assert {audit.tier for audit in verdict.audits.values()} == {Tier.REPRODUCED}
    assert not any((file.parent / "transcript.jsonl").exists() for file in board.files("ada"))
    (row,) = [row for row in verdict.after.suites[0].entries if row.submitter == "ada"]
    assert row.llm.startswith("surrogate")


def test_the_site_of_accepted_records_has_the_standings_and_what_trivial_answers_reach(board, capsys, monkeypatch, tmp_path):
    pytest.importorskip("plotly", reason="needs the extra [report]")
    monkeypatch.chdir(board.root)
    row = {"policy": "equal shares", "feasible": 1.0, "value": 1.0, "ratio": 0.5, "worst_ratio": 0.4}
    (board.root / TABLE).with_name("degeneracy.json").write_text(json.dumps({"parallel_channels": {"rows": [row]}}))
    board.commit()
    site = tmp_path / "site"
    assert main(["submit", "check", "--site", str(site), "--suite-file", str(board.suite)]) == 0
    page = (site / "tracks" / "tiny.html").read_text()
    (entry,) = json.loads((board.root / TABLE).read_text())["suites"][0]["entries"]
    assert "Standings." in page
    assert f">{float(entry['loss']):.3f}</td>" in page
    assert "equal shares" in (site / "problems" / "parallel_channels.html").read_text()
    other = ["leaderboard", str(board.records), "--out", str(tmp_path / "other")]
    assert main([*other, "--table", str(board.root / TABLE)]) == 0
    assert (tmp_path / "other" / "tracks" / "tiny.html").read_text() == page
    assert main([*other, "--table", str(board.suite)]) == 1
    assert "optisolve submit table" in capsys.readouterr().err


def test_the_command_does_all_of_it(board, capsys, monkeypatch):
    monkeypatch.chdir(board.root)
    own = ["--suite-file", str(board.suite)]
    told = ["submit", "pack", str(board.runs), "--suite", "tiny", "--submitter", "ada", "--title", "mine", "--solver", "mine"]
    assert main([*told, "--tier", "verified", *own]) == 0
    assert "8 record(s) packed" in capsys.readouterr().out
    board.commit()
    comment = board.root.parent / "comment.md"
    assert main(["submit", "check", "main", "--comment", str(comment), *own]) == 0
    assert comment.read_text().startswith("## Leaderboard: accepted")
    assert main(["submit", "table", *own]) == 0
    assert "unchanged" in capsys.readouterr().out
    truncated_file = board.files("ada")[0]
    truncated_file.write_text("{")
    board.commit()
    assert main(["submit", "check", "main", *own]) == 2
    assert main(["submit", "check", "main", "--repository", str(board.root.parent), *own]) == 1

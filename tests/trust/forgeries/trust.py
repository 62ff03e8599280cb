"""Forgeries of tiers, transcripts and suites."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from optisolve.core.documents import canonical
from tests.trust.forgeries.case import DoesNotApply, forgery


@forgery("reproduced, it says, but cannot be", "provenance.tier", "result_hash")
def tier_upgraded(case):
    if case.record["solver"]["llm"]:
        raise DoesNotApply
    case.record["provenance"]["tier"] = "reproduced"
    case.record["termination"] = {"status": "interrupted", "limit": None, "detail": "stopped by the user"}


@forgery("replayed, it says, without replies", "provenance.tier", "result_hash")
def tier_replayed(case):
    if case.record["solver"]["llm"]:
        raise DoesNotApply
    case.record["provenance"]["tier"] = "replayed"
    case.record["termination"] = {"status": "interrupted", "limit": None, "detail": "stopped by the user"}


@forgery("hosted model called reproduced", "provenance.tier")
def hosted_reproduced(case):
    """Its replies can be made up, so no second run shows that the named model wrote them."""
    if not case.record["solver"]["llm"]:
        raise DoesNotApply
    case.record["provenance"]["tier"] = "reproduced"


@forgery("learned file of one's own", "solver.checkpoint")
def checkpoint(case):
    case.record["solver"]["checkpoint"] = {"name": "mine", "sha256": "0" * 64}


@forgery("another course, excused by a kernel of BLAS that changes nothing here", "result_hash", again=True)
def kernel_excuses_portable(case):
    """Solver and problem are declared portable, so no kernel of BLAS can have led the run another way."""
    if (case.record["solver"]["name"], case.record["instance"]["problem"]) != ("moead_de", "uav_isac"):
        raise DoesNotApply
    _other_course(case)
    case.record["env"]["kernels"]["blas.numpy"] = "openblas 0.3 Prescott"


@forgery("another course, excused by instructions that this processor has", "result_hash", "provenance.tier", again=True)
def kernel_excuses_at_hand(case):
    """The run is made on the instructions that the record names, and ends where it did."""
    if (case.record["solver"]["name"], case.record["instance"]["problem"]) != ("moead_de", "uav_isac"):
        raise DoesNotApply
    _other_course(case)
    case.record["env"]["kernels"]["numpy"] = ""


@forgery("bit for bit, it says, where nobody declares that", "provenance.reproduction")
def reproduction_upgraded(case):
    if case.record["instance"]["problem"] in ("uav_isac", "parallel_channels", "user_association"):
        raise DoesNotApply
    case.record["provenance"]["reproduction"] = "bit for bit"


@forgery("kind of reproduction that does not exist", "provenance.reproduction")
def reproduction_invented(case):
    case.record["provenance"]["reproduction"] = "certainly"


def _other_course(case) -> None:
    """A step of the curve made larger by a hundredth."""
    rows = case.record["trace"]
    steps = [i for i in range(2, len(rows) - 1) if rows[i][2] is not None and rows[i][2] != rows[i + 1][2]]
    if not steps:
        raise DoesNotApply
    rows[steps[0]][2] += 0.01 * (rows[steps[0] + 1][2] - rows[steps[0]][2])


@forgery("tier that does not exist", "provenance.tier")
def tier_invented(case):
    case.record["provenance"]["tier"] = "certified"


@forgery("transcript taken away", "provenance.tier")
def no_transcript(case):
    if not case.record["solver"]["llm"]:
        raise DoesNotApply
    (case.folder / "transcript.jsonl").unlink()


def rows_of(case) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (case.folder / "transcript.jsonl").read_text().splitlines()]


def write_rows(case, rows) -> None:
    (case.folder / "transcript.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@forgery("transcript edited", "solver.llm.transcript")
def transcript_edited(case):
    if not case.record["solver"]["llm"]:
        raise DoesNotApply
    rows = rows_of(case)
    call = [row for row in rows if row["type"] == "call"][int(case.rng.integers(3))]
    call["reply"]["texts"] = ["something else"]
    write_rows(case, rows)


@forgery("transcript with a call left out", "solver.llm", "used")
def transcript_shortened(case):
    if not case.record["solver"]["llm"]:
        raise DoesNotApply
    rows = rows_of(case)
    del rows[-1]
    write_rows(case, rows)


@forgery("transcript of another question", "transcript.jsonl")
def transcript_question(case):
    if not case.record["solver"]["llm"]:
        raise DoesNotApply
    rows = rows_of(case)
    call = next(row for row in rows if row["type"] == "call")
    call["request"]["seed"] += 1
    write_rows(case, rows)


@forgery("transcript of another model", "solver.llm.model", "transcript.jsonl")
def transcript_model(case):
    if not case.record["solver"]["llm"]:
        raise DoesNotApply
    case.record["solver"]["llm"]["model"] = "a-much-larger-model"


@forgery("transcript damaged", "transcript.jsonl")
def transcript_damaged(case):
    if not case.record["solver"]["llm"]:
        raise DoesNotApply
    path = case.folder / "transcript.jsonl"
    path.write_bytes([b"", b"\xff\xff\n", b"{}\n", b"[" * 9999, path.read_bytes()[:-40]][int(case.rng.integers(5))])


@forgery("replies rewritten, all hashes made anew", "result_hash", again=True)
def replies_rewritten(case):
    """The transcript is consistent with itself and with the record, but the run does not follow from it."""

    if not case.record["solver"]["llm"]:
        raise DoesNotApply
    rows, digests = rows_of(case), {}
    for row in rows:
        if row["type"] == "call":
            row["reply"]["texts"] = [rows[1]["reply"]["texts"][0]]
            digests[row["key"]] = hashlib.sha256(canonical({k: row[k] for k in ("key", "request", "reply")})).hexdigest()
    write_rows(case, rows)
    digest = hashlib.sha256("\n".join(f"{key}:{digests[key]}" for key in sorted(digests)).encode()).hexdigest()
    case.record["solver"]["llm"]["transcript"] = f"sha256:{digest}"


@forgery("language model denied", "solver.llm", "used")
def model_denied(case):
    if not case.record["solver"]["llm"]:
        raise DoesNotApply
    case.record["solver"]["llm"] = None


@forgery("prompt altered", "solver.prompts")
def prompt_altered(case):
    if not case.record["solver"]["prompts"]:
        raise DoesNotApply
    name = next(iter(case.record["solver"]["prompts"]))
    case.record["solver"]["prompts"][name] = "sha256:" + "0" * 64


@forgery("wrong suite lock", "suite")
def wrong_lock(case):
    suite = case.record["suite"]
    if not suite["name"]:
        raise DoesNotApply
    suite.update(sha256="0" * 64) if case.rng.random() < 0.5 else suite.update(version="2")


@forgery("suite that nobody knows", "provenance.tier")
def unknown_suite(case):
    if not case.record["suite"]["name"]:
        raise DoesNotApply
    case.record["suite"]["name"] = "official"


@forgery("suite membership invented", "suite", "instance", "budget", "seed")
def invented_membership(case):
    if case.record["suite"]["name"]:
        raise DoesNotApply
    member = next(other["suite"] for other in case.others if other["suite"]["name"])
    case.record["suite"] = member


@forgery("label that is no name", "suite.")
def odd_label(case):
    suite = case.record["suite"]
    if not suite["name"]:
        raise DoesNotApply
    key, value = [
        ("solver", suite["solver"] + "\u200b"),
        ("solver", f'<a href="https://evil.example/login">{suite["solver"]}</a>'),
        ("instance", "not-a-number"),
        ("instance", "-1"),
        ("repetition", "0x1"),
        ("name", "../core"),
    ][int(case.rng.integers(6))]
    suite[key] = value


@forgery("another unit of the suite", "suite", "instance", "seed", "solver")
def another_unit(case):
    suite = case.record["suite"]
    if not suite["name"]:
        raise DoesNotApply
    key = str(case.rng.choice(["unit", "problem", "instance", "repetition", "solver"]))
    suite[key] = {"instance": "1", "repetition": "7", "solver": "nsga2", "problem": "elsewhere", "unit": "x"}[key]


@forgery("chosen seed in a suite", "seed")
def chosen_seed(case):
    if not case.record["suite"]["name"]:
        raise DoesNotApply
    case.record["seed"] += 1


@forgery("own budget in a suite", "budget")
def own_budget(case):
    if not case.record["suite"]["name"]:
        raise DoesNotApply
    case.record["budget"]["evaluations"] *= 2


@forgery("suite's run started from another one's points", "warm_start")
def warm_suite(case):
    if not case.record["suite"]["name"] or not case.record["solutions"]["x"]:
        raise DoesNotApply
    case.record["warm_start"] = case.record["solutions"]["x"]


@forgery("warm start kept quiet", "used.by_source.warm_start")
def warm_start_hidden(case):
    if case.record.pop("warm_start", None) is None:
        raise DoesNotApply


@forgery("warm start of another case", "warm_start")
def warm_start_cut(case):
    if "warm_start" not in case.record:
        raise DoesNotApply
    case.record["warm_start"] = [row[:-1] for row in case.record["warm_start"]]


@forgery("warm start from other points", "result_hash", again=True)
def warm_start_moved(case):
    if "warm_start" not in case.record:
        raise DoesNotApply
    rows = case.record["warm_start"]
    rows[0] = [0.5 * (a + b) for a, b in zip(rows[0], rows[1], strict=True)]

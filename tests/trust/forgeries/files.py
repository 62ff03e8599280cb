"""Forgeries of hashes, layout and files."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from tests.forging import seal
from tests.trust.forgeries.case import DoesNotApply, forgery


@forgery("replayed result_hash", "result_hash")
def replayed_hash(case):
    case.record["result_hash"] = case.others[0]["result_hash"]
    if case.record["result_hash"] == json.loads((case.folder / "record.json").read_text())["result_hash"]:
        case.record["result_hash"] = case.others[1]["result_hash"]
    case.sealed = False


@forgery("edited without new hashes", "result_hash", "record_id")
def not_resealed(case):
    case.record["used"]["wall_s"] += 1.0
    case.record["seed"] += 0 if case.record["suite"]["name"] else 1
    case.sealed = False


@forgery("field left out", "")
def left_out(case):
    section = str(case.rng.choice(["used", "verified", "scores", "solutions", "instance", "provenance"]))
    names = sorted(set(case.record[section]) - {"run_id"})  # this one is computed anew with the hashes
    case.record[section].pop(str(case.rng.choice(names)))


@forgery("unknown field", "scores.quality", "official")
def unknown_field(case):
    target = case.record["scores"] if case.rng.random() < 0.5 else case.record
    target["quality" if target is case.record["scores"] else "official"] = 1.0


@forgery("ill-typed field", "")
def ill_typed(case):
    path, value = [
        ("seed", "three"),
        ("seed", True),
        ("trace", None),
        ("solutions.x", "many"),
        ("used.evaluations", 12.5),
        ("verified.feasible", "all"),
        ("budget", []),
        ("reference", "the best"),
        ("instance.seed", 10**30),
        ("instance.params", [1]),
    ][int(case.rng.integers(10))]
    *parents, last = path.split(".")
    target = case.record
    for key in parents:
        target = target[key]
    target[last] = value


@forgery("NaN or infinity", "scores", "verified", "solutions", "trace")
def not_a_number(case):
    value = float(case.rng.choice([np.nan, np.inf, -np.inf]))
    where = int(case.rng.integers(3))
    if where == 0 and case.record["verified"]["F"]:
        case.record["verified"]["F"][0][0] = value
    elif where == 1 and case.record["trace"]:
        case.record["trace"][-1][2] = value
    else:
        case.record["scores"]["hypervolume"] = value


@forgery("number beyond all numbers", "scores.objective")
def overflow(case):
    case.record["scores"]["objective"] = "@"
    case.raw = json.dumps(case.record).replace('"@"', "1e999").encode()


@forgery("truncated file", "(file)")
def truncated(case):
    data = json.dumps(case.record).encode()
    case.raw = data[: int(case.rng.integers(1, len(data) - 1))]


@forgery("damaged file", "(file)")
def damaged(case):
    data = json.dumps(case.record).encode()
    case.raw = [
        b"",
        b"\xff\xfe" + data,
        data.replace(b'"seed"', b'"seed": 1, "seed"', 1),
        b"[" * 100_000,
        b'{"schema":' * 50_000,
        data + b"{}",
        b'{"a":' + b"9" * 5000 + b"}",
        b"null",
        b"42",
        b"[]",
    ][int(case.rng.integers(10))]


@forgery("path in a name", "instance.scenario", "solver.name", "record_id", "suite", "provenance")
def path_in_name(case):
    word = str(case.rng.choice(["../../etc/passwd", "a/../b", "/tmp/x", "..", "x\x1b[2J", "a b", ".hidden", "C:\\x"]))
    target = int(case.rng.integers(3))
    if target == 0:
        case.record["instance"]["scenario"] = word
    elif target == 1:
        case.record["solver"]["name"] = word
    else:
        case.record = seal(case.record)
        case.record["record_id"] = word
        case.sealed = False


@forgery("file of the verifier's machine", "instance")
def reads_a_file(case):
    name = next((name for name in case.record["instance"]["params"] if name.endswith("_file")), None)
    if name is None:
        raise DoesNotApply
    case.record["instance"]["params"][name] = "/etc/hostname.json"


@forgery("case that fills the memory", "instance")
def memory_bomb(case):
    params = case.record["instance"]["params"]
    name = next((name for name in ("n_links", "n_channels", "n_users") if name in params), None)
    if name is None or case.record["instance"]["problem"] not in ("power_control", "user_association"):
        raise DoesNotApply
    params[name] = 60_000


@forgery("broken characters", "termination.detail", "(content)", "result_hash", "record_id", "provenance.run_id")
def broken_characters(case):
    case.record["termination"]["detail"] = "\ud800"
    case.sealed = False


@forgery("altered table", "front.parquet", "trace.parquet")
def altered_table(case):

    name = str(case.rng.choice(["front.parquet", "trace.parquet"]))
    table = pd.read_parquet(case.folder / name)
    if not len(table):
        raise DoesNotApply
    table.iloc[0, 0] = table.iloc[0, 0] + 1
    table.to_parquet(case.folder / name, index=False)
    case.sealed = False

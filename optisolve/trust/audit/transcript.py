"""The transcript beside a record: complete, unaltered, and of the size that the record says.

What it cannot show is that the named model wrote the replies; only whoever ran the model can vouch for that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from optisolve.core.documents import canonical
from optisolve.core.errors import RecordError
from optisolve.core.status import Termination
from optisolve.llm.config import SurrogateLlm
from optisolve.llm.types import LlmRequest, Message
from optisolve.run.schema import ModelPart, Record
from optisolve.run.untrusted import read_bytes, reason, strict_json
from optisolve.trust.audit.findings import Findings

__all__ = ["FILE_NAME", "MAX_BYTES", "check_transcript"]

FILE_NAME = "transcript.jsonl"
MAX_BYTES = 256 * 2**20
"""Largest transcript that is read."""


def check_transcript(record: Record, folder: Path, found: Findings) -> None:
    """Compare the file with the record: hash, model, seed, keys, calls, tokens, dollars.

    Args:
        record: A record whose solver asked a language model.
        folder: Where ``transcript.jsonl`` should stand.
        found: Gets the problems.
    """
    path, model = folder / FILE_NAME, record.solver.llm
    if model is None:
        return
    if not path.is_file() and model.provider == SurrogateLlm.kind:
        _compare_free(record, found)
        return
    if not path.is_file():
        found.unchecked(f"{FILE_NAME} is missing: what the language model replied cannot be checked")
        return
    try:
        lines = [line for line in read_bytes(path, max_bytes=MAX_BYTES).split(b"\n") if line.strip()]
        rows = _rows(lines)
        _compare(record, model, rows, found)
    except RecordError as error:
        found.wrong(FILE_NAME, str(error), "a transcript")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        found.wrong(FILE_NAME, reason(error), "lines as optisolve writes them")


def _compare_free(record: Record, found: Findings) -> None:
    """The surrogate costs nothing and answers the same again, so its replies need not be kept; a second run makes them."""
    found.notes.append(f"{FILE_NAME} was left out: no language model was called, the surrogate answers the same again")
    for name in ("tokens_in", "tokens_out", "tokens_cached", "usd"):
        if getattr(record.used, name):
            found.wrong(f"used.{name}", getattr(record.used, name), "0 for the surrogate, which is no language model")


def _rows(lines: list[bytes]) -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            row = strict_json(line)
        except ValueError as error:
            raise RecordError(f"line {number}: {error}") from None
        if not isinstance(row, dict) or row.get("type") not in ("header", "call", "attempt", "resumed"):
            raise RecordError(f"line {number}: not a header, call, attempt or resumed line")
        rows.append(row)
    if not rows or rows[0]["type"] != "header" or any(row["type"] == "header" for row in rows[1:]):
        raise RecordError("the first line, and no other, must be the header")
    return rows


def _compare(record: Record, model: ModelPart, rows: list[dict[str, Any]], found: Findings) -> None:
    used, header = record.used, rows[0]
    profile = header["profile"]
    for name in ("provider", "model", "params"):
        if profile[name] != getattr(model, name):
            found.wrong(f"solver.llm.{name}", getattr(model, name), f"{profile[name]!r}, as in {FILE_NAME}")
    if header["seed"] != record.seed:
        found.wrong(f"{FILE_NAME}: seed", header["seed"], f"the run's seed {record.seed}")
    calls = [row for row in rows if row["type"] == "call"]
    digests: dict[str, str] = {}
    for row in calls:
        key, body = row["key"], {name: row[name] for name in ("key", "request", "reply")}
        if key in digests:
            found.wrong(f"{FILE_NAME}: key", key, "every call once")
        if key != _request(row["request"]).key(model.model, model.params):
            found.wrong(f"{FILE_NAME}: key", key, "the hash of its request")
        digests[key] = hashlib.sha256(canonical(body)).hexdigest()
    digest = hashlib.sha256("\n".join(f"{key}:{digests[key]}" for key in sorted(digests)).encode()).hexdigest()
    if model.transcript != f"sha256:{digest}":
        found.wrong("solver.llm.transcript", model.transcript, f"sha256:{digest}, the hash of {FILE_NAME}")
    _compare_counts(record, [row["reply"] for row in calls], found)
    answered = [row["reply"] for row in calls if not row["reply"]["failure"]]
    if model.calls != len(answered):
        found.wrong("solver.llm.calls", model.calls, f"{len(answered)} answered calls in {FILE_NAME}")
    reported = sorted({row["reply"]["model"] for row in calls} - {""})
    if model.models_reported != reported:
        found.wrong("solver.llm.models_reported", model.models_reported, f"{reported}, as in {FILE_NAME}")
    source = used.by_source.get("llm")
    if not answered and source is not None and source.evaluations:
        found.wrong("used.by_source", list(used.by_source), f"no offspring of a language model; {FILE_NAME} holds no answer")


def _compare_counts(record: Record, replies: list[dict[str, Any]], found: Findings) -> None:
    """What the calls cost; calls that an interrupt cut off are charged without leaving a line."""
    cut = record.termination.status in (Termination.INTERRUPTED, Termination.ERROR)
    fields = {"llm_calls": "charged_calls", **{name: name for name in ("tokens_in", "tokens_out", "tokens_cached", "usd")}}
    for name, key in fields.items():
        spent, told = sum(reply[key] for reply in replies), getattr(record.used, name)
        slack = 1e-9 * max(1.0, spent) if name == "usd" else 0
        if told < spent - slack or (told > spent + slack and not cut):
            found.wrong(f"used.{name}", told, f"{spent}, the sum over {FILE_NAME}")


def _request(row: Mapping[str, Any]) -> LlmRequest:
    messages = tuple(Message(**message) for message in row["messages"])
    return LlmRequest(**{**row, "messages": messages})

"""A unit counts once, and nobody's run appears under a second name."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from optisolve.core.errors import FieldProblem
from optisolve.run.table import content_of
from optisolve.trust.board import Located
from optisolve.trust.submission.rules import RECORDS

__all__ = ["duplicates", "identities"]


def duplicates(
    located: Sequence[Located], added: set[str], shown: set[str], replayed: Collection[str] = ()
) -> Iterator[FieldProblem]:
    """What of a submission was there already.

    Args:
        located: All records and rows.
        added: Paths of the new ones.
        shown: Paths of those that a second run gave: no copies, though another solver of the same engine may have the same
            curve.
        replayed: Paths of those that a second run gave from stored answers of a language model. Among one submitter's they are
            no copies either: answers fit the prompts of their own options, and a gate's placebo may choose as the gate does.
    """
    first: dict[tuple[str, ...], Located] = {}

    def seniority(item: Located) -> tuple[bool, bool, str]:  # what was there first owns it, then what was shown
        path = f"{RECORDS}/{item.path}"
        return path in added, path not in shown, item.path

    for item in sorted(located, key=seniority):
        for what, key in identities(item):
            owner = first.setdefault((what, *key), item)
            path = f"{RECORDS}/{item.path}"
            own = (owner.submitter, owner.label) == (item.submitter, item.label) or path in shown
            own = own or (owner.submitter == item.submitter and path in replayed)
            if owner is item or (what == "content" and own):
                continue
            fields = {"unit": "suite.unit", "id": "record_id", "result": "result_hash", "content": "trace"}
            expected = f"something new; {owner.path} is the same {'run' if what != 'unit' else 'unit'}"
            if f"{RECORDS}/{item.path}" in added:
                field_name = f"{RECORDS}/{item.path}: {fields[what]}"
                yield FieldProblem(field_name, "a duplicate", expected)
                break


def identities(item: Located) -> Iterable[tuple[str, tuple[str, ...]]]:
    """By what a record is known: its place in the suite, its id, its result, and its points and curve."""
    record = item.record
    yield "unit", (item.suite, record.suite.sha256, item.submitter, item.label, *item.unit)
    yield "id", (record.record_id,)
    yield "result", (record.result_hash,)
    if content := content_of(record) if item.content is None else item.content:
        yield "content", (content,)

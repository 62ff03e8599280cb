"""The layout of ``optisolve.record/2``, strictly: every missing, unknown or ill-typed field is named."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any, Union

from optisolve.core.errors import nearest
from optisolve.core.failures import POLICIES
from optisolve.core.status import Evidence, Limit, PointStatus, Termination
from optisolve.run.records import SCHEMA
from optisolve.run.untrusted import is_safe_name, unusable
from optisolve.trust.audit.findings import Findings, Tier

__all__ = ["check_layout"]

Check = Callable[[Any], str]
"""Says what was expected, "" when the value fits."""

Layout = Mapping[str, Union[Check, "Layout"]]
"""Keys and what stands under them; a key that ends in '?' may be absent."""

_MOST_SHOWN = 8
_LONGEST_GUESSED = 40
_LARGEST = 2**63
_SCENARIO = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*(/[A-Za-z0-9][A-Za-z0-9_.+-]*)*")
_PLAIN = re.compile(r"0|[1-9][0-9]{0,4}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


def check_layout(record: Any, found: Findings) -> bool:
    """Check a parsed document against the layout.

    Args:
        record: Anything that JSON can hold.
        found: Gets the problems.

    Returns:
        True when the layout holds, so that the other checks may trust keys and types.
    """
    if not isinstance(record, Mapping):
        found.wrong("(file)", type(record).__name__, "an object")
        return False
    bad = [path for path, *_ in islice(unusable(record, 100_000), _MOST_SHOWN)]
    for path in bad:
        found.wrong(path, "NaN or infinity", "a finite number or null")
    if "schema" in record and record["schema"] != SCHEMA:
        found.wrong("schema", record["schema"], SCHEMA)
        return False
    before = len(found.problems)
    _walk(_RECORD, record, "", found)
    return not bad and len(found.problems) == before


def _walk(layout: Layout, value: Any, path: str, found: Findings) -> None:
    if not isinstance(value, Mapping):
        found.wrong(path, value, "an object")
        return
    known = [key.rstrip("?") for key in layout]
    unknown = [key for key in value if key not in known]
    for key in unknown[:_MOST_SHOWN]:
        guess = nearest(str(key)[:_LONGEST_GUESSED], known)
        hint = f"; did you mean '{guess}'?" if guess else ""
        found.wrong(f"{path}{key}", "a field", f"no such field{hint}")
    if len(unknown) > _MOST_SHOWN:
        found.wrong(path.rstrip(".") or "(file)", f"{len(unknown):,} unknown fields", "none")
    for word, expected in layout.items():
        key = word.rstrip("?")
        if key not in value:
            if not word.endswith("?"):
                found.wrong(f"{path}{key}", None, "to be present")
        elif isinstance(expected, Mapping):
            _walk(expected, value[key], f"{path}{key}.", found)
        elif told := expected(value[key]):
            found.wrong(f"{path}{key}", value[key], told)


# -- what may stand under a key ----------------------------------------------------------------------------------------


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST


def _is_number(value: Any) -> bool:
    return _is_integer(value) or isinstance(value, float)  # finite: checked before


def _text(value: Any) -> str:
    return "" if isinstance(value, str) else "text"


def _number(value: Any) -> str:
    return "" if _is_number(value) else "a number"


def _integer(value: Any) -> str:
    return "" if _is_integer(value) else "a whole number of at most 63 bits"


def _count(value: Any) -> str:
    return "" if _is_integer(value) and value >= 0 else "a whole number >= 0"


def _amount(value: Any) -> str:
    return "" if _is_number(value) and value >= 0 else "a number >= 0"


def _truth(value: Any) -> str:
    return "" if isinstance(value, bool) else "true or false"


def _object(value: Any) -> str:
    return "" if isinstance(value, Mapping) else "an object"


def _digest(value: Any) -> str:
    return "" if isinstance(value, str) and _DIGEST.fullmatch(value) else "64 hexadecimal digits"


def _name(value: Any) -> str:
    return "" if is_safe_name(value) else "a name of letters, digits, '_', '-', '.', '+'"


def _scenario(value: Any) -> str:
    fits = isinstance(value, str) and len(value) <= 200 and _SCENARIO.fullmatch(value) and ".." not in value
    return "" if fits else "a scenario name such as family or family/name"


def _number_text(value: Any) -> str:
    fits = isinstance(value, str) and _PLAIN.fullmatch(value) is not None
    return "" if fits else "a whole number from 0 to 99999, written plainly, as text"


def _suite_name(value: Any) -> str:
    return "" if value == "" else _name(value)


def _one_of(*choices: str) -> Check:
    return lambda value: "" if value in choices else f"one of {', '.join(choices)}"


def _none_or(check: Check) -> Check:
    def told(value: Any) -> str:
        expected = "" if value is None else check(value)
        return f"null or {expected}" if expected else ""

    return told


def _list_of(check: Check) -> Check:
    def told(value: Any) -> str:
        if not isinstance(value, list):
            return "a list"
        bad = next((i for i, item in enumerate(value) if check(item)), None)
        return "" if bad is None else f"a list; item {bad} must be {check(value[bad])}"

    return told


def _object_of(check: Check) -> Check:
    def told(value: Any) -> str:
        if not isinstance(value, Mapping):
            return "an object"
        bad = next((key for key, item in value.items() if check(item)), None)
        return "" if bad is None else f"an object; '{bad}' must be {check(value[bad])}"

    return told


def _matrix(value: Any) -> str:
    """Rows of numbers, all of one length; their number follows from the rows, so nothing needs to be stored."""
    if not isinstance(value, list) or not all(isinstance(row, list) for row in value):
        return "a list of rows"
    if len({len(row) for row in value}) > 1:
        return "rows of equal length"
    return "" if all(_is_number(item) for row in value for item in row) else "rows of numbers"


def _trace(value: Any) -> str:
    if not isinstance(value, list):
        return "a list of rows"
    row_kinds: Sequence[Check] = (_count, _amount, _none_or(_number), _amount)
    for i, row in enumerate(value):
        if not isinstance(row, list) or len(row) != len(row_kinds):
            return f"rows of evaluations, seconds, value, violation; row {i} is not"
        for check, item in zip(row_kinds, row, strict=True):
            if told := check(item):
                return f"rows of evaluations, seconds, value, violation; row {i} holds something else than {told}"
    return ""


def _sources(value: Any) -> str:
    if not isinstance(value, Mapping):
        return "an object"
    for label, item in value.items():
        gains, counts = {"hypervolume_gain", "objective_gain"}, {"evaluations", "survivors", "tokens_in", "tokens_out"}
        if not isinstance(item, Mapping) or "evaluations" not in item or len(gains & set(item)) != 1:
            return f"evaluations and one gain per source; '{label}' has something else"
        if set(item) - gains - counts - {"usd"}:
            return f"beside those survivors, tokens_in, tokens_out and usd; '{label}' has something else"
        if any((_count if key in counts else _amount)(number) for key, number in item.items()):
            return f"numbers >= 0; '{label}' has something else"
    return ""


def _objectives(value: Any) -> str:
    fields = {"name", "sense", "unit"}
    fits = isinstance(value, list) and all(
        isinstance(item, Mapping) and set(item) == fields and all(isinstance(text, str) for text in item.values())
        for item in value
    )
    return "" if fits else "a list of name, sense and unit"


_REFERENCE: Layout = {
    "sha256": _digest,
    "evidence": _one_of(*(e.value for e in Evidence)),
    "value": _none_or(_number),
    "dual_bound": _none_or(_number),
    "ideal_bound": _none_or(_list_of(_number)),
    "tolerance": _amount,
    "slack": _amount,
    "solver": _text,
    "solver_version": _text,
    "detail": _text,
    "note": _text,
}

_MODEL: Layout = {
    "provider": _name,
    "model": _text,
    "params": _object,
    # a unit that was killed before its session could describe itself has none of these
    "models_reported?": _list_of(_text),
    "calls?": _count,
    "tokens_in?": _count,
    "tokens_out?": _count,
    "usd?": _amount,
    "failures?": _object_of(_count),
    "transcript?": _text,
}

_CHECKPOINT: Layout = {"name": _text, "sha256": _digest}

_BOX: Layout = {"reference": _list_of(_number), "ideal": _list_of(_number)}

_RECORD: Layout = {
    "schema": _one_of(SCHEMA),
    "suite": {
        "name": _suite_name,
        "version": _text,
        "sha256": _text,
        "unit?": _name,
        "problem?": _scenario,
        "solver?": _name,
        "instance?": _number_text,
        "repetition?": _number_text,
    },
    "instance": {
        "problem": _name,
        "version": _text,
        "scenario": _scenario,
        "params": _object,
        "seed": _integer,
        "sha256": _digest,
    },
    "solver": {
        "name": _name,
        "version": _text,
        "options": _object,
        "code": _text,
        "prompts": _object_of(_text),
        "checkpoint": lambda value: "" if value is None else _inner(_CHECKPOINT, value),
        "llm": lambda value: "" if value is None else _inner(_MODEL, value),
    },
    "seed": _integer,
    "warm_start?": _matrix,
    "budget": {
        "evaluations": _none_or(_count),
        "seconds": _none_or(_amount),
        "llm_calls": _none_or(_count),
        "llm_tokens": _none_or(_count),
        "usd": _none_or(_amount),
    },
    "used": {
        "evaluations": _count,
        "wall_s": _amount,
        "cpu_s": _amount,
        "peak_mb": _none_or(_amount),
        "llm_calls": _count,
        "tokens_in": _count,
        "tokens_out": _count,
        "tokens_cached": _count,
        "usd": _amount,
        "failed?": _count,
        "by_source": _sources,
        "report": _object,
    },
    "termination": {
        "status": _one_of(*(t.value for t in Termination)),
        "limit": _none_or(_one_of(*(limit.value for limit in Limit))),
        "detail": _text,
    },
    "solutions": {
        "variables": _list_of(_text),
        "x": _matrix,
        "returned": _count,
        "claimed": {"dual_bound": _none_or(_number)},
    },
    "verified": {
        "point": _one_of(*(p.value for p in PointStatus)),
        "counts": _object_of(_count),
        "objectives": _objectives,
        "F": _matrix,
        "feasible": _list_of(_truth),
        "max_violation": _amount,
        "detail": _text,
        "by": _text,
    },
    "reference": lambda value: "" if value is None else _inner(_REFERENCE, value),
    "scores": {
        "hypervolume": _none_or(_amount),
        "igd_plus": _none_or(_amount),
        "objective": _none_or(_number),
        "gap": _none_or(_number),
        "bound_gap": _none_or(_number),
        "gap_scale": _none_or(_number),
        "tie": _none_or(_amount),
        "box": lambda value: "" if value is None else _inner(_BOX, value),
    },
    "trace": _trace,
    "env": {
        "python": _text,
        "platform": _text,
        "cpu": _text,
        "kernels": _object_of(_text),
        "cores": _none_or(_count),
        "threads": _object_of(_text),
        "packages": _object_of(_text),
        "git": _text,
        "dirty": _truth,
    },
    "provenance": {
        "tier": _one_of(*(tier.value for tier in Tier)),
        "run_id": _text,
        "started": _text,
        "notice": _text,
        "llm_cache": lambda value: "" if value is None else _inner({"calls": _count, "usd": _amount}, value),
        "continues?": {"record_id": _name, "result_hash": _digest, "evaluations": _count, "agree": _count},
        "files?": _object_of(lambda value: _inner({"name": _text, "sha256": _digest}, value)),
        "failed?": {"policy": _one_of(*POLICIES), "first": _text},
        "errors?": _list_of(_text),
    },
    "result_hash": _digest,
    "record_id": _name,
}


def _inner(layout: Layout, value: Any) -> str:
    """What is wrong inside an object that may also be null."""
    found = Findings()
    _walk(layout, value, "", found)
    return f"null or an object of the layout ({found.problems[0]})" if found.problems else ""

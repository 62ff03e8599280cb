"""Names of what is compared: short where a name says it all, with the settings that tell two things apart where not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from optisolve.run.schema import Record

__all__ = ["label_records"]

_LONGEST = 24
"""Characters of a setting's value in a label; longer values are shown by eight digits of their hash."""


def label_records(records: Sequence[Record]) -> list[tuple[str, str]]:
    """Scenario and solver of every record, so that equal labels mean comparable runs.

    Runs of a suite have the suite's labels. Other runs are told apart by what differs: scenarios by parameters, version and
    the limits on evaluations and time; solvers within a scenario by options, version, language model and its limits.

    Args:
        records: Whole documents.

    Returns:
        (scenario, solver) of each record, in the given order.
    """
    scenarios = _labels(
        [(_suite(r), r.suite.problem or r.instance.scenario) for r in records],
        [{} if r.suite.problem else _scenario_facets(r) for r in records],
    )
    scenarios = _apart(scenarios, [_suite(r) for r in records])
    names = [r.suite.solver or r.solver.name for r in records]
    solvers = _labels(list(zip(scenarios, names, strict=True)), [{} if r.suite.solver else _solver_facets(r) for r in records])
    return list(zip(scenarios, solvers, strict=True))


def _labels(names: Sequence[tuple[str, str]], facets: Sequence[Mapping[str, str]]) -> list[str]:
    """Name plus those facets that differ among the records of one (group, name).

    A name that needs a facet in one group shows it in all of them, so that one solver has one name on every scenario.
    """
    telling: dict[str, set[str]] = {}
    groups: dict[tuple[str, str], list[Mapping[str, str]]] = {}
    for name, facet in zip(names, facets, strict=True):
        groups.setdefault(name, []).append(facet)
    for (_, base), members in groups.items():
        keys = {key for member in members for key in member}
        telling.setdefault(base, set()).update(key for key in keys if len({member.get(key, "–") for member in members}) > 1)
    found = []
    for (_, base), facet in zip(names, facets, strict=True):
        shown = [f"{key}={facet[key]}" for key in sorted(telling[base]) if key in facet]
        found.append(f"{base} ({', '.join(shown)})" if shown else base)
    return found


def _apart(scenarios: Sequence[str], suites: Sequence[str]) -> list[str]:
    """Scenarios of several suites under one name get the suite behind it."""
    owners: dict[str, set[str]] = {}
    for scenario, suite in zip(scenarios, suites, strict=True):
        owners.setdefault(scenario, set()).add(suite)
    return [
        f"{scenario} [{suite or 'by hand'}]" if len(owners[scenario]) > 1 else scenario
        for scenario, suite in zip(scenarios, suites, strict=True)
    ]


def _suite(record: Record) -> str:
    suite = record.suite
    return f"{suite.name} {suite.version} {suite.sha256[:8]}".strip() if suite.name else ""


def _scenario_facets(record: Record) -> dict[str, str]:
    budget = record.budget
    return {
        **{key: _short(value) for key, value in record.instance.params.items()},
        "version": record.instance.version,
        "evaluations": _short(budget.evaluations),
        "seconds": _short(budget.seconds),
    }


def _solver_facets(record: Record) -> dict[str, str]:
    solver, budget = record.solver, record.budget
    facets = {key: _short(value) for key, value in solver.options.items()}
    facets["version"] = solver.version
    if solver.llm is not None:
        facets |= {"llm": solver.llm.provider, "model": solver.llm.model}
        facets |= {f"llm.{key}": _short(value) for key, value in solver.llm.params.items()}
        facets |= {key: _short(getattr(budget, key)) for key in ("llm_calls", "llm_tokens", "usd")}
    if record.warm_start is not None:
        facets["warm_start"] = f"{len(record.warm_start)} points"
    if solver.checkpoint is not None:
        facets["checkpoint"] = _short(solver.checkpoint.to_json())
    return facets


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    return text if len(text) <= _LONGEST else hashlib.sha256(text.encode()).hexdigest()[:8]

"""The command that produces a group of records again, written out in full where it differs from the defaults."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optisolve.core.documents import plain
from optisolve.core.errors import OptisolveError
from optisolve.core.text import override_text
from optisolve.registry import make_problem, make_solver
from optisolve.run.schema import Record
from optisolve.run.solve import DEFAULT_BUDGET
from optisolve.study.suite import list_suites

if TYPE_CHECKING:
    from optisolve.study.report.inputs import SuiteRun
    from optisolve.study.scored import ScoredUnits

__all__ = ["Command", "command_of", "commands_of", "override_text", "run_command_of", "suite_commands"]

_LONGEST = 300
"""Characters of one setting; a longer one (data given inline) is not written out."""


@dataclass(frozen=True, slots=True)
class Command:
    """How to make some records again.

    Attributes:
        what: Which records.
        text: The command line.
        note: What to know about it, "" for nothing.
    """

    what: str
    text: str
    note: str = ""


def suite_commands(suites: Sequence[SuiteRun]) -> tuple[Command, ...]:
    """A command per suite.

    Args:
        suites: Those of a report.
    """
    return tuple(map(_suite, suites))


def commands_of(units: ScoredUnits) -> tuple[Command, ...]:
    """Commands for runs by hand, one per scenario and solver; none for those of a suite.

    Args:
        units: All units of an experiment.
    """
    found = []
    alone = units.frame[units.frame["record"].map(lambda record: record is not None and not record.suite.name)]
    for (scenario, solver), own in alone.groupby(["scenario", "solver"], sort=True):
        records = own["record"].tolist()
        instances = sorted({record.instance.seed for record in records})
        seeds = sorted({int(record.seed) for record in records})
        text, note = _run(records[0], instances, seeds)
        found.append(Command(f"{solver} on {scenario}", text, note))
    return tuple(found)


def command_of(record: Record) -> str:
    """The command that makes one record again.

    Args:
        record: A whole record.
    """
    suite = record.suite
    if suite.name:
        return f"optisolve bench suite={suite.name} only=problem:{suite.problem},solver:{suite.solver}"
    return _run(record, [record.instance.seed], [record.seed])[0]


def run_command_of(record: Record) -> str:
    """The single run behind a record: the same points, values and curve, under a hash that names no suite.

    Args:
        record: A whole record, or a table's row.

    Returns:
        ``optisolve run`` with all that differs from the defaults; for a step of an episode that was handed something, which no
        single run is, the suite's own command.
    """
    if record.warm_start or record.notes:
        return command_of(record)
    return _run(record, [record.instance.seed], [record.seed])[0]


def _suite(suite: SuiteRun) -> Command:
    shipped = suite.name in list_suites()
    file = shlex.quote(suite.name if shipped else f"{suite.name}.yaml")
    where = "" if shipped else "give the path of the suite's file; "
    note = f"{where}its lock must have the hash {suite.sha256[:16]}"
    return Command(f"Suite {suite.name} {suite.version}", f"optisolve bench suite={file}", note)


def _run(record: Record, instances: Sequence[int], seeds: Sequence[int]) -> tuple[str, str]:
    scenario, solver = record.instance.scenario, record.solver.name
    own = record.provenance.files.get("problem")
    sweep = len(instances) > 1 or len(seeds) > 1
    settings = [f"problem={scenario if own is None else own.name}", f"solver={override_text(solver)}"]
    settings += [f"instance={','.join(map(str, instances))}", f"seed={','.join(map(str, seeds))}"]
    changed = {
        **_changed("budget", record.budget.to_json(), DEFAULT_BUDGET.options()),
        **_changed("problem", record.instance.params, _scenario_defaults(scenario, record.instance.params)),
        **_changed("solver", record.solver.options, _solver_defaults(solver)),
    }
    notes = [] if own is None else [f"{own.name} stands in a file of its author's, SHA-256 {own.sha256[:16]}"]
    changed.pop("problem.definition", None)
    for key, value in changed.items():
        text = override_text(value)
        if len(text) > _LONGEST:
            notes.append(f"{key} is data of its own and stands in the record")
        else:
            settings.append(f"{key}={text}")
    if record.reference is None:
        settings.append("reference=none")
    llm = record.solver.llm
    if llm is not None:
        settings.append(f"llm={override_text(llm.provider)}")
        if llm.model and llm.provider != "surrogate":
            settings.append(f"llm.model={override_text(llm.model)}")
        notes.append("replies of a language model are repeated exactly by optisolve replay RECORD, from the transcript")
    words = ["optisolve", "run", *(["-m"] if sweep else []), *(shlex.quote(item) for item in settings)]
    return " ".join(words), "; ".join(notes)


def _changed(group: str, given: Mapping[str, object], defaults: Mapping[str, object]) -> dict[str, object]:
    missing = object()
    return {f"{group}.{key}": value for key, value in given.items() if plain(defaults.get(key, missing)) != plain(value)}


def _scenario_defaults(scenario: str, given: Mapping[str, object]) -> Mapping[str, object]:
    """Parameters of an installed scenario; none for one that is not, so that all of them are written out.

    What the scenario chose for its own numbers is what these parameters leave of it.
    """
    try:
        own = make_problem(scenario)
        left = make_problem(scenario, {key: value for key, value in given.items() if key not in own.calibrated})
        return {**own.origin(0).params, **{key: left.origin(0).params[key] for key in own.calibrated}}
    except OptisolveError:
        return {}


def _solver_defaults(solver: str) -> Mapping[str, object]:
    try:
        return make_solver(solver).options()
    except OptisolveError:
        return {}

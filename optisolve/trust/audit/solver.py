"""Who solved it: version, options, prompts, and a language model exactly where the solver asks one."""

from __future__ import annotations

from optisolve.core.errors import LlmError, OptionError, OptisolveError, UnknownNameError
from optisolve.core.problem import Instance, Problem
from optisolve.core.solver import Solver
from optisolve.core.status import Termination
from optisolve.llm.config import SurrogateLlm
from optisolve.registry import Registry
from optisolve.run.environment import reproduction_of
from optisolve.run.schema import Record, Reproduction
from optisolve.trust.audit.findings import Findings
from optisolve.trust.audit.points import same_setting

__all__ = ["check_model", "check_prompts", "check_reproduction", "check_solver", "is_failure"]


def is_failure(record: Record) -> bool:
    """True for a run that left nothing: it ended in an error without a point and without an evaluation."""
    broke = record.termination.status is Termination.ERROR
    return broke and not record.solutions.x and not record.used.evaluations


def check_solver(record: Record, instance: Instance, solvers: Registry[Solver], found: Findings) -> Solver | None:
    """The solver with the record's options; None when it is not installed or the options do not fit."""
    told = record.solver
    try:
        cls = solvers.get(told.name)
    except UnknownNameError:
        found.unchecked(f"solver '{told.name}' is not installed here: its version and options are the record's own words")
        return None
    except OptisolveError as error:
        found.unchecked(f"solver '{told.name}' cannot be loaded here ({error})")
        return None
    if told.version != cls.info.version:
        found.wrong("solver.version", told.version, f"{cls.info.version}, the version of {cls.info.name} in this installation")
        return None
    try:
        solver = cls.from_mapping(told.options, title="solver.options")
    except OptionError as error:
        for problem in error.problems:
            found.wrong(f"solver.options.{problem.field}", problem.given, problem.expected)
        return None
    for name, value in solver.options().items():
        if name not in told.options:
            found.wrong(f"solver.options.{name}", None, "to be present")
        elif not same_setting(told.options[name], value):
            found.wrong(f"solver.options.{name}", told.options[name], f"{value!r} (as the solver reads it)")
    for name, value in solver.unshipped().items():
        found.unchecked(
            f"solver.options.{name} names '{value}', which does not come with optisolve: an audit opens no file and asks no "
            "hub because a record says so"
        )
    used_file = told.checkpoint and told.checkpoint.to_json()
    if not solver.unshipped() and used_file != (wanted := solver.checkpoint(instance)):
        found.wrong("solver.checkpoint", used_file, f"{wanted}, the shipped one")
    reason = solver.skip(instance) if not cls.info.needs else None  # a missing package says nothing about the record
    if reason is not None:
        found.wrong("solver.name", told.name, f"a solver that treats this instance ({reason})")
    if cls.info.uses_llm != (told.llm is not None) and (cls.info.needs_llm or told.llm is not None):
        expected = "the language model it asked" if cls.info.uses_llm else f"null: {cls.info.name} asks no language model"
        found.wrong("solver.llm", told.llm, expected)
    return solver


def check_reproduction(record: Record, problems: Registry[Problem], solvers: Registry[Solver], found: Findings) -> None:
    """A record may promise less than solver and problem declare, never more.

    Args:
        record: The record.
        problems: Where to find problems.
        solvers: Where to find solvers.
        found: Gets the problem.
    """
    told = record.provenance.reproduction
    declared = reproduction_of(record.solver, record.instance.problem, problems=problems, solvers=solvers)
    if told is Reproduction.BIT_FOR_BIT and declared is Reproduction.STATISTICAL:
        found.wrong("provenance.reproduction", told.value, f"'{declared.value}', which is what solver and problem declare")


def check_prompts(record: Record, found: Findings) -> None:
    """Hashes of the prompt templates, where this installation has the same version of the wording."""
    from optisolve.llm.prompts import load_prompt, prompt_names

    known = prompt_names()
    for label, told in record.solver.prompts.items():
        name, _, version = label.partition("@")
        if not version.isdigit():
            found.wrong(f"solver.prompts.{label}", told, "a key of the form name@version")
        elif name in known and int(version) in known[name]:
            try:
                actual = load_prompt(name, int(version)).describe()[f"{name}@{int(version)}"]
            except LlmError:
                continue  # a broken template of this installation says nothing about the record
            if told != actual:
                found.wrong(f"solver.prompts.{label}", told, f"{actual}, the published wording")
        else:
            found.unchecked(f"prompt '{label}' is not part of this installation")


def check_model(record: Record, found: Findings) -> None:
    """Counters of the language model against what the run says it used."""
    model, used = record.solver.llm, record.used
    if model is None:
        for name in ("llm_calls", "tokens_in", "tokens_out", "tokens_cached", "usd"):
            if getattr(used, name):
                found.wrong(f"used.{name}", getattr(used, name), "0 for a run without a language model")
        return
    if is_failure(record):
        return
    if model.provider == SurrogateLlm.kind and not record.provenance.notice:
        found.wrong("provenance.notice", "", "the notice that no language model was called")
    absent = sorted(
        {"calls", "tokens_in", "tokens_out", "usd", "transcript", "models_reported", "failures"} - model.model_fields_set
    )
    for name in absent:
        found.wrong(f"solver.llm.{name}", None, "to be present")
    if absent:
        return
    if model.calls > used.llm_calls:
        found.wrong("solver.llm.calls", model.calls, f"at most used.llm_calls = {used.llm_calls}")
    for name in ("tokens_in", "tokens_out", "usd"):
        told, spent = getattr(model, name), getattr(used, name)
        if told > spent * (1.0 + 1e-9):
            found.wrong(f"solver.llm.{name}", told, f"at most used.{name} = {spent}")
    if not model.transcript.startswith("sha256:"):
        found.wrong("solver.llm.transcript", model.transcript, "sha256: and the hash of transcript.jsonl")

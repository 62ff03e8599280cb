"""``optisolve list`` and ``optisolve info``: what there is, what fits what, and what every setting means."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

import numpy as np

from optisolve import content
from optisolve.cli.display import console, print_json, styled, write_plain
from optisolve.cli.help import about_settings, entries, options_of, paragraph, settings_help
from optisolve.cli.settings import Choice, Verb, Word
from optisolve.core.errors import FieldProblem, OptionError, OptisolveError, UnknownNameError
from optisolve.core.source import is_target
from optisolve.registry import OWN, PROBLEMS, SOLVERS, fits, named_problem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from optisolve.core.documents import Json
    from optisolve.core.problem import Instance, Problem
    from optisolve.core.solver import Solver

__all__ = ["Info", "List"]


@dataclass(frozen=True, slots=True)
class List(Verb):
    """Problem families, solvers and prompts; which solvers fit a problem.

    Args:
        what: Which of them.
        name: A family: behind problems its scenarios, behind solvers those that fit it.
        problem: Written --for problem=NAME: the solvers that fit it, and for the others why not; its parameters may stand
            beside it.
        all: Every scenario of every family as well.
        json: For other programs.

    examples:
      optisolve list
      optisolve list problems uav_isac
      optisolve list --for problem=uav_isac problem.n_users=20
      optisolve list solvers --json
    """

    what: Annotated[Literal["problems", "solvers", "prompts", "all"], Word("WHAT")] = "all"
    name: Annotated[str, Word("FAMILY")] = ""
    problem: Choice = Choice()
    all: bool = False
    json: bool = False

    @classmethod
    def read(cls, verb: str, words: Sequence[str]) -> Self:
        """The settings; ``--for`` reads well and adds nothing."""
        plain = [word.removeprefix("--for=").removeprefix("for=") for word in words if word not in ("--for", "for")]
        asked = {"--for", "for"} & {*words} or len(plain) < len(words) or plain != [*words]
        if asked:
            plain = [f"problem={word}" if word in PROBLEMS.choices() else word for word in plain]
            if not any(word.startswith(("problem=", "--problem")) for word in plain):
                raise OptionError(f"optisolve {verb}", [FieldProblem("for", None, "a problem: list --for problem=NAME")])
        return super(List, cls).read(verb, plain)

    def _check(self) -> Iterator[FieldProblem]:
        if self.name and self.what not in ("problems", "solvers"):
            yield FieldProblem("FAMILY", self.name, "problems or solvers before it, e.g. optisolve list problems uav_isac")

    def __call__(self) -> int:
        if self.problem.name or (self.what == "solvers" and self.name):
            return self._fitting()
        found = {kind: self._rows(kind) for kind in ("problems", "solvers", "prompts") if self.what in ("all", kind)}
        if self.what == "all" and not self.all:
            del found["prompts"]
        if self.json:
            print_json({kind: [{"name": name, **told} for name, told in rows.items()] for kind, rows in found.items()})
            return 0
        heads = {"problems": "Problems (problem=NAME)", "solvers": "Solvers (solver=NAME)", "prompts": "Prompts"}
        for kind, rows in found.items():
            _print_entries(heads[kind], ((name, _sentence(kind, told)) for name, told in rows.items()))
        write_plain(f"{self._more()}\n")
        return 0

    def _rows(self, kind: str) -> dict[str, dict[str, Json]]:
        """What is told of everything of a kind, by name."""
        if kind == "prompts":
            return {name: {} for name in content.names("prompts", ".jinja")}
        if kind == "solvers":
            return {name: _or_reason(partial(_solver_row, name)) for name in SOLVERS.choices()}
        names = PROBLEMS.choices()
        families = dict.fromkeys(name.partition("/")[0] for name in names)
        if self.name and self.name.partition("/")[0] not in families:
            raise UnknownNameError("problem family", self.name, families)
        if self.name or self.all:
            own = [name for name in names if not self.name or name.partition("/")[0] == self.name.partition("/")[0]]
            return {name: _or_reason(partial(_scenario_row, name)) for name in own}
        rows = {}
        for family in families:
            count = sum(name.startswith(f"{family}/") for name in names)
            rows[family] = {**_or_reason(partial(_family_row, family)), "scenarios": count}
        return rows

    def _more(self) -> str:
        if self.all or self.what == "prompts":
            return "optisolve info NAME tells what the settings of one mean."
        if self.what == "problems" and self.name:
            return f"optisolve info NAME tells its settings; which solvers fit: optisolve list --for problem={self.name}"
        lines = ["scenarios of a family, problem=FAMILY/SCENARIO: optisolve list problems FAMILY"] * (self.what != "solvers")
        lines.append("solvers that fit a problem: optisolve list --for problem=NAME")
        lines.append("what the settings of one mean: optisolve info NAME")
        return "\n".join(lines)

    def _fitting(self) -> int:
        name, options = self.problem.name or self.name, self.problem.options
        told = fits(named_problem(name, options).instance(0))
        rows = {solver: _or_reason(partial(_solver_row, solver)) for solver in told}
        fit = [solver for solver, reason in told.items() if reason is None]
        if self.json:
            others: dict[str, Json] = {solver: reason for solver, reason in told.items() if reason is not None}
            print_json({"problem": name, "fit": [{"name": solver, **rows[solver]} for solver in fit], "others": others})
            return 0
        _print_entries(f"Solvers that fit {name} ({len(fit)})", ((s, _sentence("solvers", rows[s])) for s in fit))
        others_told = ((s, reason) for s, reason in told.items() if reason is not None)
        _print_entries(f"Solvers that do not ({len(told) - len(fit)}), and why", others_told)
        return 0


@dataclass(frozen=True, slots=True)
class Info(Verb):
    """Settings, sources and citation of one problem, solver or kind of language model.

    Args:
        name: A problem or solver of optisolve list, a problem of your own (FILE.py:NAME), or a KIND that llm=KIND takes.
        json: For other programs.
    """

    name: Annotated[str, Word("NAME")]
    json: bool = False

    def __call__(self) -> int:
        from optisolve.llm.config import LLM_KINDS

        known = {"problem": PROBLEMS.choices(), "solver": SOLVERS.choices(), "llm": tuple(LLM_KINDS)}
        group = next(
            (group for group, names in known.items() if self.name in names), "problem" if is_target(self.name) else None
        )
        if group is None:
            raise UnknownNameError("problem or solver", self.name, {*known["problem"], *known["solver"]})
        cls, values = options_of(group, self.name)
        about: Mapping[str, Json] = {"problem": _about_problem, "solver": _about_solver, "llm": _about_llm}[group](
            self.name, cls
        )
        if self.json:
            print_json({"kind": group, "name": self.name, **about, "settings": about_settings(cls, values)})
            return 0
        console.print(styled(self.name, "bold") + f": {about['summary']}", soft_wrap=True)
        for key, told in about.items():
            if told and key not in ("summary", "scenarios"):
                text = ", ".join(map(str, told)) if isinstance(told, list) else str(told)
                write_plain(paragraph(f"{key.replace('_', ' ')}: {text}") + "\n")
        write_plain(
            f"\nsettings and the values that they have here:\n{settings_help(cls, prefix=f'{group}.', values=values)}\n"
        )
        scenarios = about.get("scenarios")
        if isinstance(scenarios, list) and scenarios:
            told = f"{len(scenarios)}: {', '.join(map(str, scenarios[:6]))}{', ...' if len(scenarios) > 6 else ''}"
            write_plain("\n" + paragraph(f"scenarios, {told} (optisolve list problems {self.name})") + "\n")
        if group == "problem":
            write_plain(f"\nsolvers that fit: optisolve list --for problem={self.name}\n")
        return 0


def _about_problem(name: str, cls: type[Problem]) -> Mapping[str, Json]:
    """Capabilities of a scenario's instances, whether goals may speak about them, and what verification runs on."""
    from optisolve.core.capabilities import offers
    from optisolve.goals import MeasuredInstance
    from optisolve.run.choice import default_solver

    told: dict[str, Json] = {"summary": cls.summary, "reference": cls.evidence}
    try:
        instance = named_problem(name).instance(0)
    except OptisolveError as error:  # a family whose parameters have no defaults
        told["offers"] = f"unknown until it is given what it needs ({error})"
    else:
        chosen = default_solver(instance)
        told["default solver"] = f"{chosen.name} ({chosen.why})"
        told["objectives"] = [f"{o.sense.value} {o.name}{f' ({o.unit})' if o.unit else ''}" for o in instance.objectives]
        capabilities = [c.__name__ for c in offers(instance)]
        if isinstance(instance, MeasuredInstance):
            capabilities.append(f"MeasuredInstance ({', '.join(metric.name for metric in instance.metrics())})")
        told["offers"] = capabilities or "evaluation only"
        if instance.origin.problem == OWN:
            told["summary"] = instance.describe().summary
        told["evaluation"] = _evaluation(instance)
    told["card"] = _card("problems", name)
    told["scenarios"] = [scenario for scenario in PROBLEMS.choices() if scenario.startswith(f"{name}/")]
    return told


def _evaluation(instance: Instance) -> str:
    if not instance.repeats:
        agreement = np.broadcast_to(instance.agreement, len(instance.objectives)).tolist()
        allowed = ", ".join(f"{o.name} {100.0 * a:.2g} %" for o, a in zip(instance.objectives, agreement, strict=True))
        return f"estimates from samples; verification draws others, which may differ by (of the largest of a run): {allowed}"
    if instance.has_twin:
        return "a compiled kernel; verification runs on other code, the readable equations"
    return "one implementation, which verification runs again (docs/trust.md)"


def _about_solver(name: str, cls: type[Solver]) -> Mapping[str, Json]:
    info = cls.info
    return {
        "summary": info.summary,
        "source": info.citation or "–",
        "treats": sorted(info.supports),
        "requires": [capability.__name__ for capability in info.requires],
        "uses_where_offered": [capability.__name__ for capability in info.welcomes],
        "same_seed,_same_answer": "yes" if info.deterministic else "no",
        "card": _card("solvers", name),
    }


def _about_llm(name: str, cls: type) -> Mapping[str, Json]:
    return {"summary": str(getattr(cls, "summary", name))}


def _card(kind: str, name: str) -> str:
    """The file with equations and sources, "" when there is none."""
    folder: Path = content.content_dir(kind)
    family = name.split("/", maxsplit=1)[0]
    return next((str(card) for card in (folder / family / "README.md", folder / f"{name}.md") if card.is_file()), "")


def _family_row(family: str) -> dict[str, Json]:
    if family in content.names("problems"):  # the file says it; importing every family would be slow
        told = content.header("problems", family)
        return {"summary": told.get("family", told.get("summary", "")), "reference": told.get("reference", "none")}
    problem = PROBLEMS.get(family)
    return {"summary": problem.summary, "reference": problem.evidence}


def _scenario_row(name: str) -> dict[str, Json]:
    if name in content.names("problems"):
        told = {**content.header("problems", name.split("/", maxsplit=1)[0]), **content.header("problems", name)}
        return {"summary": told.get("summary", ""), "reference": told.get("reference", "none")}
    return _family_row(name)


_MODEL = {True: ["a language model"], False: ["a language model, or llm=none"]}


def _solver_row(name: str) -> dict[str, Json]:
    if name in content.names("solvers"):
        told = content.header("solvers", name)
        return {"summary": told.get("summary", ""), "needs": told.get("needs", "")}
    info = SOLVERS.get(name).info
    return {"summary": info.summary, "needs": ", ".join([*info.needs, *(_MODEL[info.needs_llm] if info.uses_llm else [])])}


def _or_reason(row: Callable[[], dict[str, Json]]) -> dict[str, Json]:
    """What is told, or why the plug-in behind it cannot be loaded; one broken plug-in must not hide the others."""
    try:
        return row()
    except OptisolveError as error:
        return {"summary": f"cannot be loaded: {error}"}


def _sentence(kind: str, told: Mapping[str, Json]) -> str:
    parts = [str(told.get("summary", "")).rstrip(".")]
    if count := told.get("scenarios"):
        parts.append(f"{count} scenario{'s' * (count != 1)}")
    elif kind == "problems" and "scenarios" not in told and told.get("reference"):
        parts.append(f"reference: {told['reference']}")
    if told.get("needs"):
        parts.append(f"needs {told['needs']}")
    return "; ".join(filter(None, parts)) + "." if parts[0] else ""


def _print_entries(head: str, rows: Iterable[tuple[str, str]]) -> None:
    console.print(styled(head, "bold"))
    write_plain(f"{entries(rows)}\n\n")

"""An ablation's report in Markdown, ready to be published as it is, and its tables, which the terminal shows as well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, cast

from optisolve.run.environment import code_revision
from optisolve.study.ablation.report import Report, share_of_answers, spread_words
from optisolve.study.ablation.scores import FATES, GAIN_STEP
from optisolve.study.ablation.verdict import RULES, Versus, told_p, told_share
from optisolve.version import __version__

__all__ = ["Rows", "answers", "comparison", "markdown", "results"]

Rows = list[dict[str, str]]
"""A table: texts by heading, row by row; an empty one has no rows."""

_TITLES = {
    "ablation.png": "Final losses: means and single runs of every arm",
    "ablation_evaluations.png": "Progress over evaluations: median of all pairs, band between the quartiles",
    "ablation_tokens.png": "Progress over tokens; the others use none",
    "ablation_calls.png": "Progress over calls; the others make none",
}

_RESULTS = """## Results

Means over {n} pairs; {spread}. Loss: 0 is as good as the reference, 1 the worst. Gain: by how much the loss of the first
population was reduced, uncut; rank: average rank within the pairs, 1 is best of {arms}."""

_COMPARISON = """### {measure}: the language model against every arm

Differences are llm less the arm, negative when llm is better; A12 above 0.5 and a positive rank-biserial correlation mean that
llm is better."""

_COSTS = f"""## Cost of a gain

Evaluations after the first population, and what the language model used; per step of {GAIN_STEP:g} of loss: total use divided
by total gain over the first population. A dash means that nothing was gained."""

_ANSWERS = """## Answers of the language model

Shares of the candidates by fate (ok, clipped and repaired ones are evaluated). Per target: left to the solver's stand-in
because no answer was usable (fallback), left to others because the budget was spent, asked again."""

_FILES = """## Files

`ablation.csv` has one row per run; the records stand below `ablation/` of the output folder, every one can be checked with
`optisolve verify` and repeated with `optisolve replay`. `ablation.yaml` is the experiment as a suite. The same command finds
finished runs again and repeats none."""


def markdown(report: Report, command: str, pictures: Sequence[str], day: str) -> str:
    """The whole report.

    Args:
        report: What it says.
        command: The command that made it, or "".
        pictures: File names beside the report.
        day: ISO date.
    """
    plan = report.ablation.plan
    first, *more = [f"![{_TITLES[name]}]({name})" for name in pictures] or [""]
    heading = {
        "n": report.arms[0].n if report.arms else 0,
        "spread": spread_words(report),
        "arms": len(report.arms),
    }
    blocks = [
        f"# Was the language model needed? {plan.subject.info.name} on {plan.scenario}",
        *(f"> **{banner}**" for banner in report.banners),
        f"**Verdict.** {report.verdict.sentence}",
        command and f"    {command}",
        _setting(report, day),
        first,
        _section(_RESULTS.format(**heading), results(report)) or "No pair is complete, so there is nothing to compare yet.",
        _section(_COMPARISON.format(measure="Loss"), comparison(report.versus)),
        _section(_COMPARISON.format(measure="IGD+, which no verdict is made by"), comparison(report.distances)),
        *more,
        "There is no curve over tokens: the surrogate uses none." if plan.surrogate and report.arms else "",
        _section(_COSTS, _costs(report)),
        _section(_ANSWERS, answers(report)),
        _corners(report),
        f"## How the verdict is made\n\n{RULES}",
        _FILES,
    ]
    return "\n\n".join(filter(None, blocks)) + "\n"


def results(report: Report) -> Rows:
    """A row per arm, best first."""
    others = [name for name in ("hypervolume", "igd_plus") if all(name in s.others for s in report.arms)]
    return [
        {
            "arm": s.arm.name,
            "what it is": s.arm.label,
            "loss": s.loss.told("{:.4f}".format),
            **{name.replace("igd_plus", "IGD+"): f"{s.others[name]:.4f}" for name in others},
            "gain": f"{s.gain:.4f}",
            "rank": f"{s.rank:.1f}",
        }
        for s in sorted(report.arms, key=lambda s: s.standing)
    ]


def comparison(rows: Sequence[Versus]) -> Rows:
    """A row per arm that the language model is compared with; significant p-values are bold."""
    return [
        {
            "llm against": row.arm.name,
            "better": str(row.comparison.wins),
            "tie": str(row.comparison.ties),
            "worse": str(row.comparison.losses),
            "mean difference": row.difference.told("{:+.4f}".format),
            "p": f"{row.comparison.p_value:.4f}",
            "Holm p": ("**{}**" if row.significant else "{}").format(told_p(row.p_holm).removeprefix("= ")),
            "A12": told_share(row.comparison.a12),
            "rank-biserial": f"{row.comparison.rank_biserial:+.2f}",
        }
        for row in rows
    ]


def answers(report: Report) -> Rows:
    """A row per arm whose model was asked, in shares."""
    shares = {arm.name: share_of_answers(report.runs, arm.name) for arm in report.ablation.plan.arms}
    return [
        {
            "arm": name,
            "candidates": f"{told['candidates']:.0f}",
            **{key.replace("_", " "): f"{told[key]:.1%}" for key in (*FATES, "fallbacks", "refused_by_budget", "reasks")},
        }
        for name, told in shares.items()
        if told is not None
    ]


def _costs(report: Report) -> Rows:
    columns = ("evaluations", "calls", "tokens", "usd")
    return [
        {
            "arm": s.arm.name,
            **{f"{column} per run": _cost(s.cost[column], column) for column in columns},
            **{f"{column} per step": _cost(s.cost_per_step.get(column), column) for column in columns},
        }
        for s in report.arms
    ]


def _cost(value: float | None, column: str) -> str:
    if value is None:
        return "–"
    return f"{value:.4f}" if column == "usd" and value else f"{value:,.1f}" if 0 < value < 100 else f"{value:,.0f}"


def _setting(report: Report, day: str) -> str:
    plan = report.ablation.plan
    references: dict[str, set[int]] = {}
    for instance, words in zip(report.runs.get("instance", ()), report.runs.get("measured_to", ()), strict=True):
        references.setdefault(words, set()).add(instance)
    defaults = {field.name: field.default for field in fields(cast(Any, plan.subject))}
    changed = [f"{key} {value}" for key, value in plan.subject.options().items() if value != defaults[key]]
    lines = [
        f"- {report.setting}; all arms of a pair have the same instance and seed",
        f"- subject: {plan.subject.info.name}, {', '.join(changed) or 'as it comes'}",
        f"- language model: {_model(report)}",
        *(f"- loss on instance {', '.join(map(str, sorted(s)))}: to the {words}" for words, s in references.items() if words),
        f"- {day}, optisolve {__version__}, code {code_revision() or 'unknown'}",
    ]
    return "\n".join(lines)


def _model(report: Report) -> str:
    plan = report.ablation.plan
    asked = [record.solver.llm for key, record in report.ablation.records.items() if key[0] in plan.asking]
    models = sorted({f"{llm.provider} {llm.model}" for llm in asked if llm is not None}) or [plan.llm.kind]
    return ", ".join(models) + (" (a stand-in: **no language model was called**)" if plan.surrogate else "")


def _corners(report: Report) -> str:
    found = report.corners
    if found is None:
        return ""
    lines = [f"Looked at {found.source}: {found.share:.0%} of their coordinates sit on a bound or at zero."]
    if found.variables:
        named = "; ".join(f"{', '.join(names)} ({place})" for place, names in found.variables.items())
        lines.append(f"Variables that do so in most points: {named}.")
    if found.zeros_rank is not None:
        lines.append(f"The constant answer 0 has average rank {found.zeros_rank:.1f} of {found.n_arms}.")
    lines.append(f"**Warning:** {found.warning}" if found.warning else "No trivial answer looks clever here.")
    return "## Does the optimum sit where a trivial answer looks clever?\n\n" + " ".join(lines)


def _section(text: str, rows: Rows) -> str:
    """A text above a table; "" without a row. Columns of words stand to the left."""
    if not rows:
        return ""
    rule = ["---" if heading in ("arm", "what it is", "llm against") else "---:" for heading in rows[0]]
    lines = [list(rows[0]), rule, *(list(row.values()) for row in rows)]
    return "\n".join([text, "", *("| " + " | ".join(line) + " |" for line in lines)])

"""An ablation's report in Markdown, ready to be published as it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import optisolve
from optisolve.run.environment import code_revision
from optisolve.study.ablation.report import Report, share_of_answers, spread_words
from optisolve.study.ablation.scores import FATES, GAIN_STEP
from optisolve.study.ablation.verdict import RULES, Versus, told_p, told_share

__all__ = ["markdown"]

_TITLES = {
    "ablation.png": "Final losses: means and single runs of every arm",
    "ablation_evaluations.png": "Progress over evaluations, mean of all pairs",
    "ablation_tokens.png": "Progress over tokens, mean of all pairs",
    "ablation_calls.png": "Progress over calls, mean of all pairs",
}
_OTHERS = {"hypervolume": "hypervolume", "igd_plus": "IGD+"}

_FILES = (
    "## Files\n\n`ablation.csv` has one row per run; the records stand below `ablation/` of the output folder, every one can be "
    "checked with `optisolve verify` and repeated with `optisolve replay`. `ablation.yaml` is the experiment as a suite. The "
    "same command finds finished runs again and repeats none."
)


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
    blocks = [
        f"# Was the language model needed? {plan.subject.info.name} on {plan.scenario}",
        *(f"> **{banner}**" for banner in report.banners),
        f"**Verdict.** {report.verdict.sentence}",
        f"    {command}" if command else "",
        _setting(report, day),
        first,
        *_results(report),
        *more,
        "There is no curve over tokens: the surrogate uses none." if plan.surrogate and report.arms else "",
        _costs(report),
        _answers(report),
        _corners(report),
        f"## How the verdict is made\n\n{RULES}",
        _FILES,
    ]
    return "\n\n".join(filter(None, blocks)) + "\n"


def _setting(report: Report, day: str) -> str:
    plan = report.ablation.plan
    references: dict[str, set[int]] = {}
    for row in report.runs.itertuples():
        references.setdefault(str(row.measured_to), set()).add(int(row.instance))
    lines = [
        f"- {report.setting}; all arms of a pair have the same instance and seed",
        f"- subject: {plan.subject.info.name} ({', '.join(f'{key} {value}' for key, value in plan.subject.options().items())})",
        f"- language model: {_model(report)}",
        *(f"- loss on instance {', '.join(map(str, sorted(s)))}: to the {words}" for words, s in references.items() if words),
        f"- {day}, optisolve {optisolve.__version__}, code {code_revision() or 'unknown'}",
    ]
    return "\n".join(lines)


def _model(report: Report) -> str:
    plan = report.ablation.plan
    asked = [record["solver"]["llm"] for key, record in report.ablation.records.items() if key[0] in plan.asking]
    models = sorted({f"{llm['provider']} {llm['model']}" for llm in asked if llm is not None}) or [plan.llm.kind]
    return ", ".join(models) + (" (a stand-in: **no language model was called**)" if plan.surrogate else "")


def _results(report: Report) -> list[str]:
    if not report.arms:
        return ["No pair is complete, so there is nothing to compare yet."]
    others = [name for name in _OTHERS if all(name in s.others for s in report.arms)]
    head = ["arm", "what it is", "loss", *(_OTHERS[name] for name in others), "gain", "rank"]
    body = [
        [
            s.arm.name,
            s.arm.label,
            s.loss.told("{:.4f}".format),
            *(f"{s.others[name]:.4f}" for name in others),
            f"{s.gain:.4f}",
            f"{s.rank:.1f}",
        ]
        for s in sorted(report.arms, key=lambda s: s.standing)
    ]
    blocks = [
        f"## Results\n\nMeans over {report.arms[0].n} pairs; {spread_words(report)}. Loss: 0 is as good as the reference, 1 the "
        "worst. Gain: by how much the loss of the first population was reduced, uncut; rank: average rank within the pairs, 1 "
        f"is best of {len(body)}.",
        _table(head, body, words=2),
        *_comparison(report.versus, "Loss"),
    ]
    return [*blocks, *(_comparison(report.distances, "IGD+, which no verdict is made by") if report.distances else [])]


def _comparison(rows: Sequence[Versus], measure: str) -> list[str]:
    head = ["llm against", "better", "tie", "worse", "mean difference", "p", "Holm p", "A12", "rank-biserial"]
    body = []
    for row in rows:
        found, bold = row.comparison, "**" if row.significant else ""
        counts = [str(count) for count in (found.wins, found.ties, found.losses)]
        p = [f"{found.p_value:.4f}", f"{bold}{told_p(row.p_holm).removeprefix('= ')}{bold}"]
        difference = row.difference.told("{:+.4f}".format)
        body.append([row.arm.name, *counts, difference, *p, told_share(found.a12), f"{found.rank_biserial:+.2f}"])
    return [
        f"### {measure}: the language model against every arm\n\nDifferences are llm less the arm, negative when llm is better; "
        "A12 above 0.5 and a positive rank-biserial correlation mean that llm is better.",
        _table(head, body),
    ]


def _costs(report: Report) -> str:
    columns = ("evaluations", "calls", "tokens", "usd")
    head = ["arm", *(f"{c} per run" for c in columns), *(f"{c} per step" for c in columns)]
    body = [
        [s.arm.name, *(_cost(s.cost[c], c) for c in columns), *(_cost(s.cost_per_step.get(c), c) for c in columns)]
        for s in report.arms
    ]
    return (
        ""
        if not body
        else (
            "## Cost of a gain\n\nEvaluations after the first population, and what the language model used; per step of "
            f"{GAIN_STEP:g} of loss: total use divided by total gain over the first population. A dash means that nothing was "
            f"gained.\n\n{_table(head, body)}"
        )
    )


def _answers(report: Report) -> str:
    told = {arm.name: share_of_answers(report.runs, arm.name) for arm in report.ablation.plan.arms}
    rows = [
        [name, f"{a['candidates']:.0f}", *(f"{a[key]:.1%}" for key in (*FATES, "fallbacks", "refused_by_budget", "reasks"))]
        for name, a in told.items()
        if a is not None
    ]
    head = ["arm", "candidates", *FATES, "fallback", "budget spent", "re-asks"]
    return (
        ""
        if not rows
        else (
            "## Answers of the language model\n\nShares of the candidates by fate (ok, clipped and repaired ones are evaluated). "
            "Per target: left to the solver's stand-in because no answer was usable, left to others because the budget was spent, "
            f"asked again.\n\n{_table(head, rows)}"
        )
    )


def _corners(report: Report) -> str:
    found = report.corners
    if found is None:
        return ""
    lines = [f"Looked at {found.source}: {found.share:.0%} of their coordinates sit on a bound or at zero."]
    if found.variables:
        named = "; ".join(f"{c.variable} ({c.where}, {c.share:.0%} of the points)" for c in found.variables)
        lines.append(f"Variables that do so in most points: {named}.")
    if found.zeros_rank is not None:
        lines.append(f"The constant answer 0 has average rank {found.zeros_rank:.1f} of {found.n_arms}.")
    lines.append(f"**Warning:** {found.warning}" if found.warning else "No trivial answer looks clever here.")
    return "## Does the optimum sit where a trivial answer looks clever?\n\n" + " ".join(lines)


def _cost(value: float | None, column: str) -> str:
    if value is None:
        return "–"
    return f"{value:.4f}" if column == "usd" and value else f"{value:,.1f}" if 0 < value < 100 else f"{value:,.0f}"


def _table(head: Sequence[str], body: Iterable[Sequence[str]], *, words: int = 1) -> str:
    """A table whose first columns hold words, the others numbers."""
    rule = ["---" if i < words else "---:" for i in range(len(head))]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *body))

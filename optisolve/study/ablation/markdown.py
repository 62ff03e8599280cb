"""An ablation's report in Markdown, ready to be published as it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from optisolve.run.environment import code_revision
from optisolve.study.ablation.report import FATES, Report, share_of_answers, spread_words
from optisolve.study.ablation.scores import Measure, base_measure
from optisolve.study.ablation.verdict import RULES, Versus, told_p, told_share
from optisolve.version import __version__

__all__ = ["markdown"]

_TITLES = {
    "ablation.png": "Final values: means and single runs of every arm",
    "ablation_evaluations.png": "Progress over evaluations, mean of all pairs",
    "ablation_tokens.png": "Progress over tokens, mean of all pairs",
    "ablation_calls.png": "Progress over calls, mean of all pairs",
}


_FILES = (
    "## Files\n\n`ablation.csv` has one row per run; the records stand below `runs/` of the output folder, every one can be "
    "checked with `optisolve verify` and repeated with `optisolve replay`. The same command finds finished runs again and "
    "repeats none."
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
    name = plan.problem.scenario or plan.problem.name
    blocks = [
        f"# Was the language model needed? {plan.arms[0].solver.info.name} on {name}",
        *(f"> **{banner}**" for banner in report.banners),
        f"**Verdict.** {report.verdict.sentence}",
        *([f"    {command}"] if command else []),
        _setting(report, day),
        *([f"![{_TITLES[pictures[0]]}]({pictures[0]})"] if pictures else []),
        *_results(report),
        *(f"![{_TITLES[picture]}]({picture})" for picture in pictures[1:]),
        *(["There is no curve over tokens: the surrogate uses none."] if plan.surrogate and report.arms else []),
        *_costs(report),
        *_answers(report),
        *_corners(report),
        f"## How the verdict is made\n\n{RULES}",
        _FILES,
    ]
    return "\n\n".join(blocks) + "\n"


def _setting(report: Report, day: str) -> str:
    plan = report.ablation.plan
    subject = plan.arms[0].solver.options()
    shown = ("pop_size", "n_neighbors", "wave_size", "n_parents", "n_offspring", "style", "max_reasks", "repair")
    settings = ", ".join(f"{key} {subject[key]}" for key in shown if key in subject)
    lines = [
        f"- {report.setting}; run seeds are 1000 x instance + seed",
        f"- every arm: the same engine ({settings}), the same first populations and chosen targets; the arm's operator serves "
        f"{plan.share:.0%} of the targets with {subject.get('n_offspring', 1)} offspring each, DE the others with one",
        f"- language model: {_model(report)}",
        *(f"- {words}" for words in _yardsticks(report)),
        f"- {day}, optisolve {__version__}, code {code_revision() or 'unknown'}",
    ]
    return "\n".join(lines)


def _model(report: Report) -> str:
    plan = report.ablation.plan
    if plan.llm is None:
        return "none"
    asked = {arm.name for arm in plan.arms if arm.asks_llm}
    told = [record["solver"]["llm"] for key, record in report.ablation.records.items() if key[0] in asked]
    models = sorted({f"{llm['provider']} {llm['model']}" for llm in told if llm is not None}) or [plan.llm.kind]
    return ", ".join(models) + (" (a stand-in: **no language model was called**)" if plan.surrogate else "")


def _yardsticks(report: Report) -> list[str]:
    distance = "gap" if report.ablation.plan.single_objective else "IGD+"
    grouped: dict[str, list[int]] = {}
    for seed, stick in report.yardsticks.items():
        grouped.setdefault(stick.words, []).append(seed)
    return [f"{distance} of instance {', '.join(map(str, seeds))}: to {words}" for words, seeds in grouped.items()]


def _results(report: Report) -> list[str]:
    if not report.arms:
        return ["No pair is complete, so there is nothing to compare yet."]
    primary, gain = report.measures[0], base_measure(report.ablation).gain_words
    ranked = sorted(report.arms, key=lambda s: s.means[primary.column], reverse=primary.maximize)
    head = ["arm", "offspring made by", *(m.label for m in report.measures), "gain", "rank"]
    body = [
        [
            s.arm.name,
            s.arm.label,
            *(s.estimates[m.column].told("{:.4f}".format) for m in report.measures),
            f"{s.gain:.4f}",
            f"{s.rank:.1f}",
        ]
        for s in ranked
    ]
    blocks = [
        f"## Results\n\nMeans over {report.arms[0].n} pairs; {spread_words(report)}. Gain: {gain}; rank: average rank by "
        f"{primary.label} within the pairs, 1 is best of {len(ranked)}.",
        _table(head, body, right=range(2, len(head))),
    ]
    for measure in report.measures:
        blocks += _comparison(report.versus[measure.column], measure)
    return blocks


def _comparison(rows: Sequence[Versus], measure: Measure) -> list[str]:
    head = ["llm against", "better", "tie", "worse", "mean difference", "p", "Holm p", "A12", "rank-biserial"]
    body = [
        [
            row.arm.name,
            str(row.comparison.wins),
            str(row.comparison.ties),
            str(row.comparison.losses),
            row.difference.told("{:+.4f}".format),
            f"{row.comparison.p_value:.4f}",
            f"{'**' if row.significant else ''}{told_p(row.p_holm).removeprefix('= ')}{'**' if row.significant else ''}",
            told_share(row.comparison.a12),
            f"{row.comparison.rank_biserial:+.2f}",
        ]
        for row in rows
    ]
    sign = "positive" if measure.maximize else "negative"
    return [
        f"### {measure.label[0].upper()}{measure.label[1:]}: the language model against every arm\n\nDifferences are llm less "
        f"the arm, {sign} when llm is better; A12 above 0.5 and a positive rank-biserial correlation mean that llm is better.",
        _table(head, body, right=range(1, len(head))),
    ]


def _costs(report: Report) -> list[str]:
    if not report.arms:
        return []
    step = base_measure(report.ablation).step_words
    columns = ("evaluations", "calls", "tokens", "usd")
    head = ["arm", *(f"{c} per run" for c in columns), *(f"{c} per {step}" for c in columns)]
    body = [
        [s.arm.name, *(_cost(s.cost[c], c) for c in columns), *(_cost(s.cost_per_step.get(c), c) for c in columns)]
        for s in report.arms
    ]
    return [
        "## Cost of a gain\n\nEvaluations after the first population, and what the language model used; per gain: total use "
        f"divided by total gain over the first population, in steps of {step}. A dash means that nothing was gained.",
        _table(head, body, right=range(1, len(head))),
    ]


def _answers(report: Report) -> list[str]:
    told = {arm.name: share_of_answers(report.runs, arm.name) for arm in report.ablation.plan.arms if arm.asks_llm}
    rows = [
        [name, f"{a['candidates']:.0f}", *(f"{a[key]:.1%}" for key in (*FATES, "fallbacks", "refused_by_budget", "reasks"))]
        for name, a in told.items()
        if a is not None
    ]
    if not rows:
        return []
    head = ["arm", "candidates", *FATES, "fallback", "budget spent", "re-asks"]
    return [
        "## Answers of the language model\n\nShares of the candidates by fate (ok, clipped and repaired ones are evaluated). "
        "Per chosen target: left to DE because no answer was usable, left to DE because the budget was spent, asked again.",
        _table(head, rows, right=range(1, len(head))),
    ]


def _corners(report: Report) -> list[str]:
    found = report.corners
    if found is None:
        return []
    lines = [f"Looked at {found.source}: {found.share:.0%} of their coordinates sit on a bound or at zero."]
    if found.variables:
        named = "; ".join(f"{c.variable} ({c.where}, {c.share:.0%} of the points)" for c in found.variables)
        lines.append(f"Variables that do so in most points: {named}.")
    if found.zeros_rank is not None:
        lines.append(f"The constant answer 0 has average rank {found.zeros_rank:.1f} of {found.n_arms}.")
    lines.append(f"**Warning:** {found.warning}" if found.warning else "No trivial answer looks clever here.")
    return ["## Does the optimum sit where a trivial answer looks clever?\n\n" + " ".join(lines)]


def _cost(value: float | None, column: str) -> str:
    if value is None:
        return "–"
    return f"{value:.4f}" if column == "usd" and value else f"{value:,.1f}" if 0 < value < 100 else f"{value:,.0f}"


def _table(head: Sequence[str], body: Iterable[Sequence[str]], *, right: Iterable[int]) -> str:
    aligned = set(right)
    rule = ["---:" if i in aligned else "---" for i in range(len(head))]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *body))

"""The explanation log as a page for people: every line is made from one entry, whose number stands behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from optisolve.core.documents import Json
from optisolve.core.errors import RecordError
from optisolve.solvers.moe.log import Facts, read_entries

__all__ = ["explanation_page"]


def explanation_page(entries: Iterable[Json]) -> str:
    """Markdown of a log.

    Args:
        entries: The log, as it stands in a record under ``used.report.explanation``.

    Raises:
        RecordError: An entry is none.
    """
    log = read_entries(entries)
    lines = ["# Why this answer", ""]
    for entry in log:
        try:
            told = list(_LINES.get(entry.step, _other)(entry.facts))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RecordError(
                f"explanation[{entry.index}]: the facts of step '{entry.step}' cannot be read ({error})."
            ) from None
        for text, following in zip(told, [*told[1:], ""], strict=True):
            lines.append(f"{text} [{entry.index}]")
            if not (text.startswith("- ") and following.startswith("- ")):
                lines.append("")
    lines += ["", f"Numbers in brackets name the entry of the log that a line is made of; {len(log)} entries."]
    return "\n".join(lines) + "\n"


def _instance(facts: Facts) -> Iterable[str]:
    aims = ", ".join(f"{o['sense']} {o['name']}{' [' + o['unit'] + ']' if o['unit'] else ''}" for o in facts["objectives"])
    yield f"**Problem** {facts['scenario']}, instance {facts['seed']}: {facts['variables']} variables, {aims}."
    if facts["goal"] is not None:
        yield f"- Goal: {facts['goal']}"
    yield f"- Budget: {_pairs(facts['budget'])}."


def _experts(facts: Facts) -> Iterable[str]:
    if facts.get("made"):
        yield f"**Made for it**, and asked before any gate: {', '.join(facts['made'])}."
    yield f"**Experts** that can treat it: {', '.join(facts['able']) or 'none'}."
    yield from (f"- {name} cannot: {reason}" for name, reason in facts["left_out"].items())


def _baseline(facts: Facts) -> Iterable[str]:
    yield f"**Safe baseline** first: {_value(facts['value'])} after {facts['evaluations']} evaluations ({facts['status']})."


def _fallback(facts: Facts) -> Iterable[str]:
    yield f"**Fallback**: the gate `{facts['gate']}` could not decide: {facts['reason']}."


def _gate(facts: Facts) -> Iterable[str]:
    asked = "" if facts["asked_for"] == facts["gate"] else f" (asked for: `{facts['asked_for']}`)"
    yield f"**Gate** `{facts['gate']}`{asked}:"
    for choice in facts["choices"]:
        loss = choice["predicted_loss"]
        told = "" if loss is None else f", predicted loss {loss:.4g}"
        yield f"- {choice['expert']}: {choice['reason']}, share {choice['share']:.3g} of the evaluations{told}"
    if facts["note"].get("outside"):
        yield f"- {facts['note']['outside']}"
    if "trust" in facts["note"]:
        prior = _pairs({k: f"{v:.3g}" for k, v in facts["note"]["prior"].items()}) or "none"
        weight = f"trust {facts['note']['trust']:g}, similar runs {facts['note']['similar_runs']:.3g}"
        yield f"- the language model's prior: {prior}; {weight}"


def _expert(facts: Facts) -> Iterable[str]:
    actual, predicted = facts["actual"], facts["predicted"]
    used = f"{actual['evaluations']} of {facts['allotted']} evaluations"
    ended = f"{facts['termination']}, {facts['verified']}"
    yield f"**{facts['expert']}** ({facts['reason']}): {_value(actual['value'])}, {used}, {ended}."
    if predicted["loss"] is not None and actual["loss"] is not None:
        yield f"- predicted loss {predicted['loss']:.4g}, gap to the proven bound {actual['loss']:.4g}"
    if facts["dual_bound"] is not None:
        refused = f"; refused: {facts['bound_refused']}" if facts["bound_refused"] else ""
        yield f"- bound {facts['dual_bound']:.9g}{refused}"
    if facts["best_so_far"]:
        yield "- the best answer so far"


def _combine(facts: Facts) -> Iterable[str]:
    synergy = "" if facts["synergy"] is None else f"; synergy {facts['synergy']:.4g}"
    yield f"**Combination** {facts['how']}: {facts['note'] or 'the best member'}{synergy}."
    if facts["synergy"] is not None and facts["synergy"] <= 0.0:
        yield "- nothing was gained over the best member: this mixture is a selection"


def _counterfactuals(facts: Facts) -> Iterable[str]:
    for other in facts["gates"]:
        if other["first"] is None:
            yield f"**Otherwise**: the gate `{other['gate']}` could not have decided: {other['reason']}."
        else:
            told = f"it reached {_value(other['value'])} here" if other["ran"] else "it did not run here"
            yield f"**Otherwise**: the gate `{other['gate']}` would have asked {other['first']} first; {told}."


def _answer(facts: Facts) -> Iterable[str]:
    bound = "no bound" if facts["bound"] is None else f"bound {facts['bound']:.9g} by {facts['bound_by']}"
    verdict = f"{facts['verified']}; {bound}; certificate {facts['certificate']}"
    yield f"**Answer** by {facts['by']}: {_value(facts['value'])} {facts['unit']}, {verdict}."
    spent = f"{facts['evaluations']} evaluations, {facts['llm_calls']} calls, {facts['tokens']} tokens"
    yield f"- {spent}, {facts['fallbacks']} fallbacks"
    for name, price in facts["shadow_prices"].items():
        yield f"- relaxing {name} by 1 % is worth {price:.4g} {facts['unit']}"


def _plan(facts: Facts) -> Iterable[str]:
    yield f"**{str(facts.get('role', 'Planner')).capitalize()}**: {facts.get('told', '')}"


def _stages(facts: Facts) -> Iterable[str]:
    yield f"**Stages** that can treat it: {', '.join(facts['able']) or 'none'}."
    yield from (f"- {name} cannot: {reason}" for name, reason in facts["left_out"].items())


def _stage(facts: Facts) -> Iterable[str]:
    used = f"{facts['evaluations']} of {facts['asked']} evaluations"
    came = f"hypervolume {facts['before']:.6g} to {facts['after']:.6g}"
    yield f"**{facts['stage']}** ({facts['reason']}): {used}, {came}."
    if facts["predicted"] is not None:
        yield f"- expected to add {facts['predicted']:.3g} of the hypervolume by the end of the budget, the most of all"
    if facts["ended"] == "error" or facts["evaluations"] == 0:
        yield f"- it brought nothing: {facts['detail']}"


def _chain(facts: Facts) -> Iterable[str]:
    told = "nothing feasible" if facts["value"] is None else f"hypervolume {facts['value']:.9g}"
    yield f"**Answer**: {told}, {facts['verified']}, after {facts['evaluations']} evaluations."
    for name, part in facts["credit"].items():
        yield f"- {name}: {part['gain']:.4g} of the hypervolume by {part['evaluations']} evaluations"


def _other(facts: Facts) -> Iterable[str]:
    yield f"{_pairs(facts)}"


_LINES: Mapping[str, Callable[[Facts], Iterable[str]]] = {
    "instance": _instance,
    "experts": _experts,
    "baseline": _baseline,
    "fallback": _fallback,
    "gate": _gate,
    "expert": _expert,
    "combine": _combine,
    "counterfactuals": _counterfactuals,
    "answer": _answer,
    "planner": _plan,
    "stages": _stages,
    "stage": _stage,
    "chain": _chain,
}


def _value(value: float | None) -> str:
    return "nothing feasible" if value is None else f"{value:.9g}"


def _pairs(values: Facts) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items())

"""Who should be believed: the language model, the rules, or only both together? Measured by replay, without a new call.

    python benchmarks/quality/ask_policies.py runs/ask/transcript.jsonl --count 200

Reads the transcript that ``ask.py COUNT --out DIR`` left, and judges every request under each policy:

- model alone: every usable reading of the model is acted on
- rules, known words: the rules' reading when nothing is open and every word is known (``parser=rules``)
- rules, any words: the rules' reading when nothing is open, whatever else stands in the text
- both, any words: model and rules read the same, whatever else stands in the text (no parser does that)
- both, known words: and every word is known (``parser=model``)

``parser=auto`` acts on what "rules, known words" acts on, and asks the model about the rest, whose reading then waits for
an answer.

For each: share of requests acted on (solved, or called contradictory), share asked about, share of answerable requests
solved with the label's optimum, share of contradictions proven as such, and wrong: solved although the label is another goal
or none, or an answerable request called contradictory. The last line says how often the model's reading would have been the
right suggestion where the rules alone cannot read an answerable request, which is when ``parser=auto`` asks it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from labelled.judging import same_optimum
from labelled.requests import Intent, Kind, generate_intents

from optisolve.core.budget import Budget, BudgetMeter
from optisolve.core.errors import OptisolveError
from optisolve.goals.goal import Goal
from optisolve.llm.config import llm_config
from optisolve.llm.session import open_session
from optisolve.registry import make_problem
from optisolve.words.ask.ground import explicit, same_goal
from optisolve.words.ask.requests import Parsed, parse_in
from optisolve.words.ask.satisfy import check_satisfiable


@dataclass(frozen=True)
class Verdict:
    """What acting on a reading would come to."""

    right: bool
    impossible: bool

    def wrong(self, intent: Intent) -> bool:
        """Solved although something else is meant, or an answerable request refused."""
        return intent.kind.wants_answer if self.impossible and not self.right else not self.right and not self.impossible


@dataclass(frozen=True)
class Case:
    """One request, what model and rules read, whether each reading is what was meant, and whether it is proven impossible."""

    intent: Intent
    parsed: Parsed
    model: Verdict
    rules: Verdict


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("transcript", type=Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    cases, missing = [], 0
    config = llm_config("replay", transcript=str(options.transcript))
    with open_session(config, BudgetMeter(Budget(llm_calls=3 * options.count)), seed=options.seed) as session:
        for n, intent in enumerate(generate_intents(options.count, seed=options.seed)):
            instance = make_problem(intent.problem).instance(intent.instance)
            try:
                parsed = parse_in(session, intent.text, instance, seed=options.seed, tag=f"ask/{n}")
            except OptisolveError:  # the transcript does not hold this request
                missing += 1
                continue
            rules = None if parsed.reading is None else parsed.reading.goal
            cases.append(Case(intent, parsed, _verdict(intent, parsed.goal), _verdict(intent, rules)))
    print(f"{len(cases)} requests of {options.count} from {session.model}; {missing} not in the transcript")
    print("| policy | acted on | asked | answerable: same optimum | contradictions: proven | wrong |")
    print("|---|---|---|---|---|---|")
    for name, (acts, verdict) in POLICIES.items():
        print(_row(name, cases, acts, verdict))
    lost = [c for c in cases if c.intent.kind.wants_answer and (_rules_open(c) or not _known(c))]
    print(
        f"answerable requests that the rules leave open: {len(lost)}, the model is right on {sum(c.model.right for c in lost)}"
    )


def _verdict(intent: Intent, goal: Goal | None) -> Verdict:
    """Right: the same clauses as the label, or the same certified optimum."""
    if goal is None:
        return Verdict(False, False)
    instance = make_problem(intent.problem).instance(intent.instance)
    plain = goal.model_copy(update={"ambiguities": ()})
    try:
        impossible = check_satisfiable(instance, plain).verdict.answer is False
    except OptisolveError:  # an incomplete reading
        return Verdict(False, False)
    if intent.goal is None:
        return Verdict(False, impossible)
    same = same_goal(explicit(plain, instance), explicit(intent.goal, instance))
    return Verdict(same or same_optimum(instance, plain, intent.goal), impossible)


def _rules_open(case: Case) -> bool:
    return case.parsed.reading is None or bool(case.parsed.reading.questions)


def _agreed(case: Case) -> bool:
    return case.parsed.goal is not None and not _rules_open(case) and not case.parsed.questions


def _known(case: Case) -> bool:
    return case.parsed.reading is not None and not case.parsed.reading.unknown


POLICIES: dict[str, tuple[Callable[[Case], bool], Callable[[Case], Verdict]]] = {
    "model alone": (lambda c: c.parsed.goal is not None, lambda c: c.model),
    "rules, any words": (lambda c: not _rules_open(c), lambda c: c.rules),
    "both, any words": (_agreed, lambda c: c.model),
    "rules, known words": (lambda c: not _rules_open(c) and _known(c), lambda c: c.rules),
    "both, known words": (lambda c: _agreed(c) and _known(c), lambda c: c.model),
}


def _row(name: str, cases: list[Case], acts: Callable[[Case], bool], verdict: Callable[[Case], Verdict]) -> str:
    acted = [c for c in cases if acts(c)]
    answerable = [c for c in cases if c.intent.kind.wants_answer]
    against = [c for c in cases if c.intent.kind is Kind.CONTRADICTION]
    wrong = [c for c in acted if verdict(c).wrong(c.intent)]

    def share(part: list[Case], whole: list[Case]) -> str:
        return f"{100 * len(part) / max(len(whole), 1):.0f} %"

    good, caught = ([c for c in group if acts(c) and verdict(c).right] for group in (answerable, against))
    kinds = sorted({c.intent.kind.value for c in wrong})
    told = f"{len(wrong)}" + (f" ({', '.join(kinds)})" if wrong else "")
    cells = [
        share(acted, cases),
        share([c for c in cases if not acts(c)], cases),
        share(good, answerable),
        share(caught, against),
    ]
    return f"| {name} | " + " | ".join(cells) + f" | {told} |"


if __name__ == "__main__":
    main()

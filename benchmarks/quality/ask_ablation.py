"""Was the language model needed to read requests? It, its placebo and readers without a model, on the same labelled requests.

    python benchmarks/quality/ask_ablation.py config=benchmarks/plans/parser-requests-local.yaml out=FOLDER
    python benchmarks/quality/ask_ablation.py requests=40 llm=local llm.gguf=FILE out=FOLDER
    python benchmarks/quality/ask_ablation.py requests=40 llm=openai llm.model=NAME dry_run=true    # sends nothing

Requests are those of ask.py that want an answer: each has a label whose optimum is certified. A pair is a request; the loss
is 0 where a reading has the label's optimum, else 1, an unusable reading included. The placebo is the same model, asked as
often and for the same form, but shown the request after this one, which says something else. The conversation is
transcript.jsonl in the folder; a run that was cut off takes its replies from there. ablation.md and ablation.csv are shaped as
an ablation's report.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import pandas as pd
from annotated_types import Ge
from labelled.judging import same_optimum
from labelled.requests import Intent, Kind, generate_intents

from optisolve.cli.config_file import expanded
from optisolve.cli.settings import Choice, Verb
from optisolve.core.budget import Budget, BudgetMeter
from optisolve.core.controls import ASKING, PLACEBO, SUBJECT, Arm
from optisolve.core.errors import OptisolveError
from optisolve.goals.goal import Goal
from optisolve.goals.goal_instance import MeasuredInstance, measured
from optisolve.llm.config import llm_config, real_llm
from optisolve.llm.estimate import dry_profile, told_prices
from optisolve.llm.session import LlmSession, open_session
from optisolve.registry import make_problem
from optisolve.study.ablation.verdict import RULES, compare_runs, judge, told_p
from optisolve.words.ask.ground import explicit, same_goal
from optisolve.words.ask.model_parser import read_by_model
from optisolve.words.ask.rules import read_by_rules

ARMS = (
    Arm(SUBJECT, "the language model", ""),
    Arm(PLACEBO, "same model, shown another request (placebo)", ""),
    Arm("rules", "the rules, which need no model", ""),
    Arm("own", "nothing is read: the problem's own aim", ""),
)


@dataclass(frozen=True, slots=True)
class AskAblation(Verb):
    """Was the language model needed to read requests?

    Args:
        requests: How many.
        llm: The language model: local, openai, replay.
        seed: Of the requests and of the model's sampling.
        out: Folder of the report and the conversation.
        dry_run: Print the planned calls, send nothing.
    """

    requests: Annotated[int, Ge(6)] = 40
    llm: Choice = Choice("local")
    seed: Annotated[int, Ge(0)] = 0
    out: str = "runs/ask-ablation"
    dry_run: bool = False

    def __call__(self) -> int:
        config = real_llm(llm_config(self.llm.name, **self.llm.options), "parser=rules needs none")
        wanted = tuple(kind for kind in Kind if kind.wants_answer)
        intents = list(generate_intents(self.requests, seed=self.seed, kinds=wanted))
        meter, folder = BudgetMeter(Budget(llm_calls=4 * self.requests)), Path(self.out)
        if not self.dry_run:
            folder.mkdir(parents=True, exist_ok=True)
        kept = None if self.dry_run else folder / "transcript.jsonl"
        with open_session(config, meter, transcript=kept, seed=self.seed, dry_run=self.dry_run) as session:
            rows = [row for n in range(len(intents)) for row in _rows(session, intents, n, self.seed)]
            model = f"{session.provider} {session.model}"
            spent = (session.calls, session.tokens_in + session.tokens_out, session.usd)
        if self.dry_run:
            profile, asked = dry_profile(config), 2 * len(intents)
            usd = f", about {spent[2]:.2f} USD" if profile.priced else ""
            each = f"{asked} runs x {spent[0] // asked} calls = {spent[0]} calls"
            print(f"language model: {model}, {told_prices(profile)}; planned: {each}, about {spent[1]:,} tokens{usd}")
            return 0
        runs = pd.DataFrame(rows)
        runs.to_csv(folder / "ablation.csv", index=False)
        report = page(runs, model, f"python benchmarks/quality/ask_ablation.py {' '.join(sys.argv[1:])}")
        (folder / "ablation.md").write_text(report, "utf-8")
        print(report.partition("\n## How")[0])
        return 0


def _rows(session: LlmSession, intents: Sequence[Intent], number: int, seed: int) -> Iterator[dict[str, object]]:
    """What every arm makes of a request."""
    intent, other = intents[number], intents[(number + 1) % len(intents)]
    instance = measured(make_problem(intent.problem).instance(intent.instance))
    for arm in ARMS:
        before = (session.calls, session.tokens_in + session.tokens_out, session.usd)
        if arm.name in ASKING:
            shown = other.text if arm.name == PLACEBO else intent.text
            tag = f"{arm.name}/{number}"
            goal = read_by_model(intent.text, instance.metrics(), session, seed=seed, tag=tag, shown=shown).goal
        else:
            goal = _by_rules(intent.text, instance) if arm.name == "rules" else Goal()
        loss = 0.0 if _same(instance, goal, intent.goal) else 1.0
        calls, tokens, usd = session.calls, session.tokens_in + session.tokens_out, session.usd
        spent = {"llm_calls": calls - before[0], "tokens": tokens - before[1], "usd": usd - before[2]}
        about = {"problem": intent.problem, "arm": arm.name, "instance": number, "seed": 0, "kind": intent.kind.value}
        yield {**about, "loss": loss, "standing": loss, "quiet": 0.0, **spent, "partial": False, "surrogate": False}


def _by_rules(text: str, instance: MeasuredInstance) -> Goal | None:
    """What the rules read, whatever words are unknown; None where something is open."""
    reading = read_by_rules(text, instance.metrics())
    return None if reading.questions else reading.goal


def _same(instance: MeasuredInstance, goal: Goal | None, label: Goal | None) -> bool:
    """Whether a reading means what the label means, clause by clause or by its certified optimum."""
    if goal is None or label is None:
        return False
    plain = goal.model_copy(update={"ambiguities": ()})
    try:
        if same_goal(explicit(plain, instance), explicit(label, instance)):
            return True
    except OptisolveError:  # an incomplete reading
        return False
    return same_optimum(instance, plain, label)


def page(runs: pd.DataFrame, model: str, command: str) -> str:
    """The report."""
    losses = runs.groupby("arm")["loss"].mean().to_dict()
    versus = compare_runs(runs, ARMS, ASKING)
    _, sentence = judge("the language model", losses, versus)
    kinds, by_kind = sorted(set(runs["kind"])), runs.groupby(["arm", "kind"])["loss"].mean().to_dict()
    calls, tokens = (runs.groupby("arm")[name].sum().to_dict() for name in ("llm_calls", "tokens"))
    table = [f"| arm | what it is | misread | {' | '.join(kinds)} | calls | tokens |", "|---" * (len(kinds) + 5) + "|"]
    for arm in sorted(ARMS, key=lambda arm: losses[arm.name]):
        cells = (f"{losses[arm.name]:.3f}", *(f"{by_kind[arm.name, kind]:.3f}" for kind in kinds))
        used = (f"{calls[arm.name]:,.0f}", f"{tokens[arm.name]:,.0f}")
        table.append("| " + " | ".join([arm.name, arm.label, *cells, *used]) + " |")
    pairs = ["| llm against | better | tie | worse | Holm p |", "|---|---|---|---|---|"]
    for row in versus:
        told = row.comparison
        pairs.append(
            f"| {row.arm.name} | {told.wins} | {told.ties} | {told.losses} | {told_p(row.p_holm).removeprefix('= ')} |"
        )
    blocks = (
        f"# Was the language model needed? ask on {runs['instance'].nunique()} labelled requests",
        f"**Verdict.** {sentence}",
        f"    {command}",
        f"- language model: {model}\n- {datetime.now(UTC).date().isoformat()}; loss 1 is a request misread or not read",
        "\n".join(table),
        "\n".join(pairs),
        f"## How the verdict is made\n\n{RULES}",
    )
    return "\n\n".join(blocks) + "\n"


if __name__ == "__main__":
    try:
        sys.exit(AskAblation.read("ask_ablation", expanded("ablate", sys.argv[1:]).words)())
    except OptisolveError as error:
        sys.exit(str(error))

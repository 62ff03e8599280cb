"""`benchmarks/quality/ask_ablation.py`: a model, its placebo, the rules and nobody read the same labelled requests."""

from __future__ import annotations

import ask_ablation
import pandas as pd
from labelled.requests import Kind, generate_intents

from tests.solvers.moe.toys import Scripted


class Counted(Scripted):
    """A session that never answers."""

    @property
    def calls(self) -> int:
        return len(self.requests)


def test_the_placebo_is_asked_for_the_same_form_and_shown_another_request():
    intents = list(generate_intents(2, kinds=(Kind.PLAIN,), problems=("parallel_channels",)))
    session = Counted()
    rows = {row["arm"]: row for row in ask_ablation._rows(session, intents, 0, 0)}
    own, other = session.requests
    assert own.schema == other.schema
    assert intents[0].text in own.messages[-1].content
    assert intents[0].text not in other.messages[-1].content
    assert intents[1].text in other.messages[-1].content
    assert {arm: row["loss"] for arm, row in rows.items()} == {"llm": 1.0, "placebo": 1.0, "rules": 0.0, "own": 1.0}
    assert {arm: row["llm_calls"] for arm, row in rows.items()} == {"llm": 1, "placebo": 1, "rules": 0, "own": 0}


def test_the_report_has_the_verdict_and_the_head_that_the_table_of_uses_reads():
    misread = {"llm": 2, "placebo": 1, "rules": 9, "own": 1}  # every second request, all, every ninth, all
    about = {"seed": 0, "quiet": 0.0, "llm_calls": 1, "tokens": 300, "usd": 0.0, "kind": "plain"}
    runs = pd.DataFrame(
        {**about, "arm": arm, "instance": n, "loss": float(n % every == 0)} for n in range(36) for arm, every in misread.items()
    )
    text = ask_ablation.page(runs.assign(standing=runs["loss"]), "local smollm2-135m", "python ask_ablation.py")
    assert text.startswith("# Was the language model needed? ask on 36 labelled requests\n")
    assert "**Verdict.** The language model was not needed: the rules, which need no model reached a lower loss" in text
    assert "- language model: local smollm2-135m\n" in text
    assert "| llm | the language model | 0.500 |" in text

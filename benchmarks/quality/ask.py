"""How well requests are understood: labelled requests through `optisolve ask`, by a real language model and by rules.

    python benchmarks/quality/ask.py 200 --parser model --llm local --out runs/ask
    python benchmarks/quality/ask.py 1000 --parser rules

What is printed: share of usable readings, of readings with the label's certified optimum, of contradictions and open requests
that were caught, and the number of wrong answers that were presented as verified, which must be 0. ``--out`` keeps the
transcript and a line per request; the same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from labelled.judging import Judged, judge, summary_rows
from labelled.requests import Intent, generate_intents

from optisolve.core.budget import Budget, BudgetMeter
from optisolve.llm.config import llm_config
from optisolve.llm.session import LlmSession, open_session
from optisolve.registry import make_problem
from optisolve.words.ask.requests import Parsed, answer, parse, parse_in


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=0, help="master seed of the requests")
    parser.add_argument("--first", type=int, default=0, help="leave out so many requests, to share the work")
    parser.add_argument(
        "--problem", action="append", default=[], help="scenario of the requests, may be repeated; default all four"
    )
    parser.add_argument("--parser", choices=("model", "rules"), default="model")
    parser.add_argument("--llm", default="local", help="kind of language model")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="settings of the language model")
    parser.add_argument("--solver", default="scipy_local")
    parser.add_argument("--out", type=Path, help="folder of the transcript and of requests.jsonl")
    options = parser.parse_args()
    intents = list(generate_intents(options.count, seed=options.seed, problems=tuple(options.problem)))[options.first :]
    start = time.perf_counter()
    if options.parser == "rules":
        judged = [_judged(i, parse(i.text, _instance(i), parser="rules"), options) for i in intents]
        told = "rules: no language model was called"
    else:
        cold = {"temperature": "0"} if options.llm in ("local", "openai") else {}
        config = llm_config(options.llm, **{**cold, **dict(pair.split("=", 1) for pair in options.set)})
        meter = BudgetMeter(Budget(llm_calls=3 * options.count))
        transcript = None if options.out is None else options.out / "transcript.jsonl"
        with open_session(config, meter, transcript=transcript, seed=options.seed) as session:
            judged = [_by_model(session, n, i, options) for n, i in enumerate(intents, start=options.first)]
            told = f"{session.provider} {session.model}: {session.calls} calls, {session.tokens_in + session.tokens_out} tokens"
    print(f"{len(judged)} requests, {told}; {time.perf_counter() - start:.0f} s")
    rows = summary_rows(judged)
    names = list(rows[0])
    print("| " + " | ".join(n.replace("_", " ") for n in names) + " |")
    print("|" + "---|" * len(names))
    for row in rows:
        print("| " + " | ".join(_cell(row[n]) for n in names) + " |")
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "requests.jsonl").write_text("".join(json.dumps(_line(j)) + "\n" for j in judged))
    raise SystemExit(1 if any(j.wrong_verified for j in judged) else 0)


def _by_model(session: LlmSession, n: int, intent: Intent, options: argparse.Namespace) -> Judged:
    return _judged(intent, parse_in(session, intent.text, _instance(intent), seed=options.seed, tag=f"ask/{n}"), options)


def _judged(intent: Intent, parsed: Parsed, options: argparse.Namespace) -> Judged:
    return judge(intent, answer(parsed, _instance(intent), solver=options.solver, budget=Budget(evaluations=2000)))


def _instance(intent: Intent):  # type: ignore[no-untyped-def]
    return make_problem(intent.problem).instance(intent.instance)


def _line(judged: Judged) -> dict[str, object]:
    intent = judged.intent
    return {
        "text": intent.text,
        "problem": intent.problem,
        "instance": intent.instance,
        "kind": intent.kind.value,
        "label": None if intent.goal is None else intent.goal.plain(),
        "optimum": intent.optimum,
        "status": judged.status.value,
        "valid": judged.valid,
        "same_optimum": judged.same,
        "exact": judged.exact,
        "wrong_verified": judged.wrong_verified,
    }


def _cell(value: object) -> str:
    return "" if value is None else f"{value:.0f} %" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()

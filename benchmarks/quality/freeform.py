"""How well problems in words become declarative models: labelled problems through `optisolve formulate`.

    python benchmarks/quality/freeform.py 90 --llm local --set threads=1 --out runs/freeform
    python benchmarks/quality/freeform.py 90 --llm gold        the gold models through the same path: what the path itself loses
    python benchmarks/quality/freeform.py 90 --llm mistakes    gold models with one mistake each: what the checks can see

The problems of textbook.yaml come first, then N generated ones (`labelled.word_problems`).
What is printed, per kind:

- valid: the first reply is a model of the schema whose names, shapes and expressions are in order
- usable: that holds for the first or a later reply
- convex: it was compiled, and a solver's verdict came out (optimum, infeasible, unbounded)
- solved: an optimum that passed all checks against the model
- same: that optimum is the problem's, which a method without a model found
- offered: solved, and numbers of text and model agree, so that it is shown for confirmation with its value
- wrong offered: offered, and not the problem's optimum. All checks compare the answer with the model; a well-formed model of
  another problem passes them, and only the person who confirms can see it. Nothing of it is ever called verified.

``--out`` keeps transcript and results; the same command goes on where it stopped, and ``--stop-after`` ends it in between.
``--llm replay --set transcript=PATH`` judges a transcript again, as far as it goes.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from labelled.word_problems import WordProblem, generate_word_problems

from optisolve.core.budget import Budget, BudgetMeter
from optisolve.core.errors import LlmError
from optisolve.llm.config import llm_config
from optisolve.llm.session import open_session
from optisolve.words.formulate.doubts import doubts
from optisolve.words.formulate.drafts import Formulated, FormulateStatus, formulate_in, formulate_model

TEXTBOOK = Path(__file__).with_name("textbook.yaml")
RELATIVE = 1e-6


@dataclass(frozen=True)
class Line:
    """One problem and what came of it."""

    text: str
    kind: str
    variant: str
    optimum: float
    objective: float | None
    status: str
    valid: bool
    usable: bool
    convex: bool
    solved: bool
    same: bool
    offered: bool
    reply: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, help="generated problems")
    parser.add_argument("--seed", type=int, default=0, help="master seed of the problems")
    parser.add_argument("--llm", default="local", help="kind of language model, or gold, or mistakes")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="settings of the language model")
    parser.add_argument("--reasks", type=int, default=2, help="further questions after a model that cannot be used")
    parser.add_argument("--no-textbook", action="store_true", help="leave out the textbook set")
    parser.add_argument("--stop-after", type=float, default=float("inf"), metavar="S", help="begin no problem after S seconds")
    parser.add_argument("--out", type=Path, help="folder of the transcript and of problems.jsonl")
    options = parser.parse_args()
    problems = [*_textbook(), *generate_word_problems(options.count, seed=options.seed)]
    problems = problems if not options.no_textbook else problems[-options.count :]
    start = time.perf_counter()
    if options.llm == "mistakes":
        _mistakes(problems)
        return
    if options.llm == "gold":
        lines, told = (
            [_line(p, formulate_model(p.gold), gold=True) for p in problems],
            "gold models: no language model was called",
        )
    else:
        lines, told = _by_model(problems, options, start)
    print(f"{len(lines)} of {len(problems)} problems, {told}; {time.perf_counter() - start:.0f} s")
    _table(lines)
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "problems.jsonl").write_text("".join(json.dumps(asdict(line)) + "\n" for line in lines))


def _textbook() -> Iterator[WordProblem]:
    for case in yaml.safe_load(TEXTBOOK.read_text()):
        yield WordProblem(case["text"], "textbook", "plain", float(case["optimum"]), case["model"])


def _by_model(problems: list[WordProblem], options: argparse.Namespace, start: float) -> tuple[list[Line], str]:
    cold = {"temperature": "0"} if options.llm in ("local", "openai") else {}
    config = llm_config(options.llm, **{**cold, **dict(pair.split("=", 1) for pair in options.set)})
    meter = BudgetMeter(Budget(llm_calls=3 * len(problems)))
    transcript = None if options.out is None else options.out / "transcript.jsonl"
    lines = []
    with open_session(config, meter, transcript=transcript, seed=options.seed) as session:
        for n, problem in enumerate(problems):
            if time.perf_counter() - start > options.stop_after:
                break
            try:
                told = formulate_in(session, problem.text, seed=options.seed, reasks=options.reasks, tag=f"freeform/{n}")
            except LlmError:
                if options.llm != "replay":
                    raise
                break  # the transcript ends here
            lines.append(_line(problem, told, gold=False))
        tokens = session.tokens_in + session.tokens_out
        return lines, f"{session.provider} {session.model}: {session.calls} calls, {tokens} tokens"


def _line(problem: WordProblem, told: Formulated, *, gold: bool) -> Line:
    answer, model = told.answer, told.model
    solved = answer is not None and answer.accepted
    close = RELATIVE * max(1.0, abs(problem.optimum))
    same = solved and answer.objective is not None and abs(answer.objective - problem.optimum) <= close
    offered = told.status is FormulateStatus.UNCONFIRMED
    if gold:
        offered = solved and model is not None and not doubts(model, problem.text)
    return Line(
        text=problem.text,
        kind=problem.kind,
        variant=problem.variant,
        optimum=problem.optimum,
        objective=None if answer is None else answer.objective,
        status=told.status.value,
        valid=gold or (model is not None and told.modelled is not None and told.modelled.first_valid),
        usable=model is not None,
        convex=answer is not None and (solved or told.status is FormulateStatus.NO_OPTIMUM),
        solved=solved,
        same=same,
        offered=offered,
        reply="" if told.modelled is None else told.modelled.turn.text,
    )


# -- mistakes on purpose ------------------------------------------------------------------------------------------------------


def _mistakes(problems: list[WordProblem]) -> None:
    """Every gold model with one mistake of every kind that it admits, by what came of it."""
    print("| mistake | models | no optimum or refused | asked about | same optimum | wrong offered |")
    print("|---|---|---|---|---|---|")
    total: Counter[str] = Counter()
    for name, make in MISTAKES.items():
        seen: Counter[str] = Counter()
        for problem in problems:
            wrong = make(json.loads(json.dumps(problem.gold)))
            if wrong is not None:
                seen[_fate(problem, wrong)] += 1
        total.update(seen)
        print(_fates(name, seen))
    print(_fates("all", total))


def _fate(problem: WordProblem, model: dict[str, Any]) -> str:
    told = formulate_model(model)
    if told.answer is None or told.model is None or not told.answer.accepted:
        return "none"
    close = RELATIVE * max(1.0, abs(problem.optimum))
    if told.answer.objective is not None and abs(told.answer.objective - problem.optimum) <= close:
        return "same"
    return "asked" if doubts(told.model, problem.text) else "offered"


def _fates(name: str, seen: Counter[str]) -> str:
    cells = [str(sum(seen.values())), *(str(seen[fate]) for fate in ("none", "asked", "same", "offered"))]
    return f"| {name} | " + " | ".join(cells) + " |"


def _other_sense(model: dict[str, Any]) -> dict[str, Any]:
    model["objective"]["sense"] = {"min": "max", "max": "min"}[model["objective"]["sense"]]
    return model


def _forgotten(model: dict[str, Any]) -> dict[str, Any] | None:
    return model if model.get("constraints") and model["constraints"].pop() else None


def _turned(model: dict[str, Any]) -> dict[str, Any] | None:
    if not model.get("constraints"):
        return None
    row = model["constraints"][0]
    other = {"<=": ">=", ">=": "<=", "==": "<="}
    row["relation"] = re.sub("<=|>=|==", lambda m: other[m.group()], row["relation"], count=1)
    return model


def _swapped(model: dict[str, Any]) -> dict[str, Any] | None:
    """The first two different coefficients of the objective, or of the first data, change places."""
    text = model["objective"]["expression"]
    found = re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?=\*[a-z])", text)
    if len(set(found)) > 1:
        a, b = found[0], next(f for f in found if f != found[0])
        places = {a: b, b: a}
        model["objective"]["expression"] = re.sub(
            r"(?<![\w.])\d+(?:\.\d+)?(?=\*[a-z])", lambda m: places.get(m.group(), m.group()), text
        )
        return model
    for parameter in model.get("parameters", {}).values():
        rows = parameter["value"] if isinstance(parameter["value"][0], list) else [parameter["value"]]
        if rows[0][0] != rows[0][1]:
            rows[0][0], rows[0][1] = rows[0][1], rows[0][0]
            return model
    return None


def _fractions(model: dict[str, Any]) -> dict[str, Any] | None:
    whole = [v for v in model["variables"].values() if v.get("kind") == "integer"]
    for variable in whole:
        variable["kind"] = "real"
    return model if whole else None


MISTAKES: dict[str, Callable[[dict[str, Any]], dict[str, Any] | None]] = {
    "min for max": _other_sense,
    "last constraint forgotten": _forgotten,
    "first relation turned": _turned,
    "two numbers swapped": _swapped,
    "fractions for whole numbers": _fractions,
}


def _table(lines: list[Line]) -> None:
    shares = ("valid", "usable", "convex", "solved", "same", "offered")
    print("| kind | problems | " + " | ".join(shares) + " | wrong offered |")
    print("|" + "---|" * (len(shares) + 3))
    groups = [*dict.fromkeys(line.kind for line in lines), *(f"variant {v}" for v in ("plain", "paraphrase", "unit")), "all"]
    for group in groups:
        own = [x for x in lines if group in ("all", x.kind) or (group == f"variant {x.variant}" and x.kind != "textbook")]
        if own:
            cells = [f"{100 * sum(getattr(x, name) for x in own) / len(own):.0f} %" for name in shares]
            wrong = sum(x.offered and not x.same for x in own)
            print(f"| {group} | {len(own)} | " + " | ".join(cells) + f" | {wrong} |")


if __name__ == "__main__":
    main()

"""What a language model adds as a gate: its choices, their stability under paraphrase, its trust, the planner's parts.

    python benchmarks/quality/gates_llm.py trust runs/gates        the hybrid's trust (instance 2, trained on 0 and 1)
    python benchmarks/quality/gates_llm.py opinions runs/gates     choices only, first held-out instance per scenario
    python benchmarks/quality/gates_llm.py paraphrases runs/gates  the same problems in other words
    python benchmarks/quality/gates_llm.py planner runs/gates      real runs of the planner and of its ablations

`--llm local` is the default.
The gates as real runs, with their own cost: gates.py table runs/gates --llm local.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from unittest.mock import patch

import numpy as np
from gate_training import RunTable, fit_trust, learned_choice, train_gate
from gate_training.evaluate import evaluate_choices
from gates import (
    EVALUATIONS,
    HELD_OUT,
    arguments,
    is_compound,
    model_of,
    of_seeds,
    print_rows,
    read_table,
    reference_of,
    run_once,
    told_gap,
)

import optisolve
from optisolve.core.budget import BudgetMeter
from optisolve.core.errors import OptisolveError
from optisolve.core.problem import Instance
from optisolve.core.seeds import generator
from optisolve.llm.dialogue import Dialogue
from optisolve.llm.session import open_session
from optisolve.solvers.moe.cards import Expert, find_experts
from optisolve.solvers.moe.gate_model import GateModel, read_gate, write_gate
from optisolve.solvers.moe.llm_gate import Opinion, ask_opinion, problem_words

Words = Callable[[Mapping[str, Any]], dict[str, Any]]
Weights = Sequence[Mapping[str, float]]

_OTHER_WORDS = (
    (r"\bChoose\b", "Find"),
    (r"\bas large as possible\b", "maximal"),
    (r"\bas small as possible\b", "minimal"),
    (r"\bas much as possible\b", "the most"),
    (r"\bmaximize\b", "raise to the highest value"),
    (r"\bminimize\b", "bring to the lowest value"),
    (r"\busers\b", "subscribers"),
    (r"\buser\b", "subscriber"),
    (r"\btransmit power\b", "sending power"),
    (r"\bpowers\b", "power levels"),
    (r"\brates\b", "bit rates"),
    (r"\blinks\b", "sender-receiver pairs"),
    (r"\bbase stations?\b", "cell sites"),
    (r"\bat most\b", "no more than"),
    (r"\bat least\b", "no less than"),
)


def _original(words: Mapping[str, Any]) -> dict[str, Any]:
    return dict(words)


def _reordered(words: Mapping[str, Any]) -> dict[str, Any]:
    """Its sentences in the opposite order."""
    sentences = re.split(r"(?<=[.!?])\s+(?=[A-Z0-9])", words["summary"])
    return {**words, "summary": " ".join(reversed(sentences)), "constraints": list(reversed(words["constraints"]))}


def _other_words(words: Mapping[str, Any]) -> dict[str, Any]:
    """Synonyms; names of objectives stay, since they are names."""

    def told(text: str) -> str:
        for pattern, other in _OTHER_WORDS:
            text = re.sub(pattern, other, text)
        return text

    return {**words, "summary": told(words["summary"]), "constraints": [told(c) for c in words["constraints"]]}


def _request(words: Mapping[str, Any]) -> dict[str, Any]:
    """As somebody would ask for it."""
    summary = f"An operator writes: our situation is the following. {words['summary']} How do we get the best result?"
    return {**words, "summary": summary}


PARAPHRASES: Mapping[str, Words] = {
    "as described": _original,
    "sentences reversed": _reordered,
    "other words": _other_words,
    "as a request": _request,
}


def main() -> None:
    verbs = {"trust": trust, "opinions": opinions, "paraphrases": paraphrases, "planner": planner}
    options = arguments(__doc__, tuple(verbs)).parse_args()
    options.llm = options.llm or "local"
    verbs[options.verb](read_table(options), options)


def trust(table: RunTable, options: argparse.Namespace) -> None:
    """Fit the hybrid's trust and write it into the gate file."""
    model, validation = train_gate(of_seeds(table, (0, 1))), of_seeds(table, (2,))
    told = _opinions(validation, options.llm)
    best, means = fit_trust(model, validation, told)
    print("trust: mean loss of the first choice on validation")
    for value, loss in means.items():
        print(f"{value:6g}: {loss:.4f}{'  <- chosen' if value == best else ''}")
    print(f"opinions: {sum(bool(o) for o in told)} of {len(told)} usable")
    write_gate(dataclasses.replace(read_gate(options.gate), trust=best), options.gate)


def opinions(table: RunTable, options: argparse.Namespace) -> None:
    """What a language model chooses, beside the learned gate and their hybrid; no runs, the chosen expert's own loss."""
    own, model = of_seeds(table, HELD_OUT[:1]), read_gate(options.gate)
    weights = _opinions(own, options.llm)
    compound = [i for i, c in enumerate(own.cases) if is_compound(c.scenario)]
    unseen = of_seeds(table, (0, 1, 2))
    unseen = unseen.rows(i for i, c in enumerate(unseen.cases) if not is_compound(c.scenario))
    compound_weights = [weights[i] for i in compound]
    _choices("one held-out instance per scenario", own, model, weights)
    _choices("compound objectives that no gate was trained on", own.rows(compound), train_gate(unseen), compound_weights)


def _choices(title: str, own: RunTable, model: GateModel, weights: Weights) -> None:
    picks = learned_choice(model, own)
    chosen = {"learned": own.losses[np.arange(picks.size), picks], "language model alone": _by_weights(own, weights)}
    for value in dict.fromkeys((0.0, 0.5, 4.0)):
        chosen[f"forests and language model, trust {value:g}"] = _hybrid(model, own, weights, value)
    chosen["random"] = np.array([own.losses[i, own.able[i]].mean() for i in range(len(own.cases))])
    print(f"\n{title}: {len(own.cases)} instances, {sum(map(bool, weights))} usable opinions")
    print("| choice | closed gap (95 %) | mean loss |")
    print("|---|---|---|")
    for name, (closed, low, high) in evaluate_choices(own, model.single_best, chosen).items():
        print(f"| {name} | {told_gap(closed, low, high)} | {chosen[name].mean():.4f} |", flush=True)


def paraphrases(table: RunTable, options: argparse.Namespace) -> None:
    """The same problem in other words: how often the first choice changes, and what that is worth."""
    own, model = of_seeds(table, HELD_OUT[:1]), read_gate(options.gate)
    told = {name: _opinions(own, options.llm, words) for name, words in PARAPHRASES.items()}
    first = {name: [next(iter(o), "") for o in weights] for name, weights in told.items()}
    losses = {name: _by_weights(own, weights) for name, weights in told.items()}
    closed = evaluate_choices(own, model.single_best, losses)
    print(f"{len(own.cases)} held-out instances, one per scenario")
    print("| words | usable | another first choice | closed gap (95 %) | mean loss |")
    print("|---|---|---|---|---|")
    for name in PARAPHRASES:
        usable = sum(bool(o) for o in told[name])
        changed = np.mean([a != b for a, b in zip(first["as described"], first[name], strict=True)])
        center, low, high = closed[name]
        cells = (name, f"{usable}/{len(own.cases)}", f"{changed:.0%}", told_gap(center, low, high))
        print("| " + " | ".join([*cells, f"{losses[name].mean():.4f}"]) + " |")
    stable = np.mean([len({first[name][i] for name in PARAPHRASES}) == 1 for i in range(len(own.cases))])
    print(f"the same first choice under all wordings: {stable:.0%} of the instances")


def planner(table: RunTable, options: argparse.Namespace) -> None:
    """Real runs on the first held-out instance of every scenario: the planner, its ablations, the gates that ask nobody."""
    own, model = of_seeds(table, HELD_OUT[:1]), read_gate(options.gate)
    parts = ("retrieve", "criticize", "reflect")
    arms: dict[str, tuple[str, dict[str, Any]]] = {
        "learned": ("moe", {"gate": "learned"}),
        "planner": ("moe_planner", {}),
        **{f"planner without {part}": ("moe_planner", {part: False}) for part in parts},
        "planner, none of the three": ("moe_planner", dict.fromkeys(parts, False)),
        "planner with a random plan": ("moe_planner", {}),
        "random": ("moe", {"gate": "random"}),
    }
    references = [reference_of(case) for case in own.cases]
    known = {}
    for name, (solver, settings) in arms.items():
        pairs = zip(own.cases, references, strict=True)
        with patch("optisolve.solvers.moe.planner.ask_opinion", _random_plan if "random plan" in name else ask_opinion):
            known[name] = [run_once(case, reference, solver, own.experts, options, **settings) for case, reference in pairs]
        print(f"{name}: mean loss {np.mean([run['loss'] for run in known[name]]):.4f}", flush=True)
    print_rows(own, model.single_best, known)


def _random_plan(_: Dialogue, instance: Instance, experts: Sequence[Expert], *, seed: int, **__: Any) -> Opinion:
    """Three experts by chance and no question: what is left of the planner is its critic and its reflection."""
    order = generator(seed, purpose="random_plan", instance=instance.sha256).permutation(len(experts))[:3]
    return Opinion(tuple(experts[i].name for i in order), {"model": "none", "attempts": 0})


def _opinions(table: RunTable, kind: str, words: Words = _original) -> list[dict[str, float]]:
    """The model's weights per instance, best first; {} where it gave none."""
    told: list[dict[str, float]] = []
    meter = BudgetMeter(optisolve.Budget(llm_calls=3 * len(table.cases)))
    with open_session(model_of(kind), meter) as session:
        for n, case in enumerate(table.cases):
            instance = case.instance()
            experts, _ = find_experts(instance, table.experts, with_llm=False)
            spoken = words(problem_words(instance))
            try:
                opinion = ask_opinion(
                    Dialogue(session), instance, experts, seed=0, evaluations=EVALUATIONS, tag=f"trust/{n}", words=spoken
                )
                told.append(opinion.weights)
            except OptisolveError:
                told.append({})
    return told


def _by_weights(table: RunTable, weights: Weights) -> np.ndarray:
    """Loss of the language model's first choice; without an opinion the mean of those that can treat the instance."""
    losses = []
    for i, opinion in enumerate(weights):
        names = sorted(opinion, key=lambda name: -opinion[name])
        losses.append(table.losses[i, table.experts.index(names[0])] if names else table.losses[i, table.able[i]].mean())
    return np.array(losses)


def _hybrid(model: GateModel, table: RunTable, weights: Weights, value: float) -> np.ndarray:
    return np.array(
        [fit_trust(model, table.rows([i]), [opinion], trusts=(value,))[1][value] for i, opinion in enumerate(weights)]
    )


if __name__ == "__main__":
    main()

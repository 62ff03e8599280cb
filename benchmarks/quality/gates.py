"""Gates judged like algorithm selectors: closed gap between single best and virtual best, the gate's own cost inside.

    optisolve bench suite=gates out=runs     the experts alone: what gates learn from
    python benchmarks/quality/gates.py train runs/gates              writes solvers/moe_gate.json (instances 0 to 2)
    python benchmarks/quality/gates.py trust runs/gates --llm local  the hybrid's trust (instance 2, trained on 0 and 1)
    python benchmarks/quality/gates.py table runs/gates              `moe` with every gate on instances 3 and 4
    python benchmarks/quality/gates.py table runs/gates --llm local  the gates that ask a language model
    python benchmarks/quality/gates.py opinions runs/gates --llm local  choices only, first held-out instance of each scenario
    python benchmarks/quality/gates.py splits runs/gates             choices only: unseen instances, sizes, families
    python benchmarks/quality/gates.py aslib runs/gates --out FOLDER export for other selectors

Every run of `moe` gets the budget of the experts (500 evaluations); what its gate, its baseline and its second expert cost
comes out of it.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import optisolve
from optisolve.bench.gates import RunTable, fit_trust, gate_rows, run_table, train_gate, write_aslib
from optisolve.bench.gates.evaluate import evaluate_choices
from optisolve.content import content_dir
from optisolve.core.budget import BudgetMeter
from optisolve.core.errors import OptisolveError
from optisolve.core.reference import Effort, Reference
from optisolve.llm.config import llm_config
from optisolve.llm.session import open_session
from optisolve.registry import make_problem
from optisolve.solvers.moe.cards import find_experts
from optisolve.solvers.moe.gate_model import GateModel, read_gate, write_gate
from optisolve.solvers.moe.llm_gate import ask_opinion

EVALUATIONS = 500
TRAINING, HELD_OUT = (0, 1, 2), (3, 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("train", "trust", "table", "opinions", "splits", "aslib"))
    parser.add_argument("records", type=Path)
    parser.add_argument("--gate", type=Path, default=content_dir("solvers") / "moe_gate.json")
    parser.add_argument("--llm", default="", help="kind of language model; without it only gates that need none")
    parser.add_argument("--out", type=Path, help="aslib: folder; table: JSON file that rows are added to")
    options = parser.parse_args()
    table = run_table(optisolve.load_records(options.records))
    verbs = {"train": train, "trust": trust, "table": gates_table, "opinions": opinions, "splits": splits, "aslib": aslib}
    verbs[options.verb](table, options)


def train(table: RunTable, options: argparse.Namespace) -> None:
    own = _of(table, TRAINING)
    note = {"suite": "gates 1", "evaluations": EVALUATIONS, "instances_of_scenarios": list(TRAINING)}
    model = train_gate(own, trained_on=note)
    write_gate(model, options.gate)
    print(f"{options.gate}: {len(own.cases)} instances, {len(model.experts)} experts, single best {model.single_best}")


def trust(table: RunTable, options: argparse.Namespace) -> None:
    model, validation = train_gate(_of(table, (0, 1))), _of(table, (2,))
    opinions = _opinions(validation, options.llm or "local")
    best, means = fit_trust(model, validation, opinions)
    print("trust: mean loss of the first choice on validation")
    for value, loss in means.items():
        print(f"{value:6g}: {loss:.4f}{'  <- chosen' if value == best else ''}")
    print(f"opinions: {sum(bool(o) for o in opinions)} of {len(opinions)} usable")
    write_gate(dataclasses.replace(read_gate(options.gate), trust=best), options.gate)


def _opinions(table: RunTable, kind: str) -> list[dict[str, float]]:
    told: list[dict[str, float]] = []
    meter = BudgetMeter(optisolve.Budget(llm_calls=3 * len(table.cases)))
    with open_session(_model(kind), meter) as session:
        for n, case in enumerate(table.cases):
            instance = case.instance()
            experts, _ = find_experts(instance, table.experts, with_llm=False)
            try:
                opinion = ask_opinion(session, instance, experts, seed=0, evaluations=EVALUATIONS, tag=f"trust/{n}")
                told.append(opinion.weights)
            except OptisolveError:
                told.append({})
    return told


def gates_table(table: RunTable, options: argparse.Namespace) -> None:
    held_out, model = _of(table, HELD_OUT), read_gate(options.gate)
    gates = (
        (("moe_llm", "llm"), ("moe_llm", "hybrid"))
        if options.llm
        else (("moe", g) for g in ("learned", "rule", "random", "sbs"))
    )
    known = json.loads(options.out.read_text()) if options.out is not None and options.out.is_file() else {}
    references = [_reference(case) for case in held_out.cases]
    for solver, gate in gates:
        name = f"{gate} ({options.llm})" if options.llm else gate
        known[name] = [
            _run(case, reference, solver, gate, table, options)
            for case, reference in zip(held_out.cases, references, strict=True)
        ]
        if options.out is not None:
            options.out.write_text(json.dumps(known))
    column = held_out.experts.index(model.single_best)
    known[f"{model.single_best} alone (SBS)"] = _alone(held_out, [column] * len(held_out.cases))
    known["virtual best (VBS, no cost)"] = _alone(held_out, np.argmin(held_out.losses, axis=1).tolist())
    _print(held_out, model.single_best, known)


def opinions(table: RunTable, options: argparse.Namespace) -> None:
    """What a language model chooses, beside the learned gate and their hybrid; no runs, the chosen expert's own loss."""
    own, model = _of(table, HELD_OUT[:1]), read_gate(options.gate)
    weights = _opinions(own, options.llm or "local")
    chosen = {"learned": _chosen(model, own), "llm": _by_weights(own, weights)}
    for trust in dict.fromkeys((model.trust, 0.5, 4.0)):
        chosen[f"hybrid, trust {trust:g}"] = _hybrid(model, own, weights, trust)
    chosen["random"] = np.array([own.losses[i, own.able[i]].mean() for i in range(len(own.cases))])
    print(f"{len(own.cases)} held-out instances, one per scenario; {sum(map(bool, weights))} usable opinions")
    print("| choice | closed gap (95 %) | mean loss |")
    print("|---|---|---|")
    for name, (closed, low, high) in evaluate_choices(own, model.single_best, chosen).items():
        print(f"| {name} | {closed:.3f} [{low:.3f}, {high:.3f}] | {chosen[name].mean():.4f} |")


def _by_weights(table: RunTable, weights: Sequence[Mapping[str, float]]) -> np.ndarray:
    """Loss of the language model's first choice; without an opinion the mean of those that can treat the instance."""
    losses = []
    for i, opinion in enumerate(weights):
        names = sorted(opinion, key=lambda name: -opinion[name])
        losses.append(table.losses[i, table.experts.index(names[0])] if names else table.losses[i, table.able[i]].mean())
    return np.array(losses)


def _hybrid(model: GateModel, table: RunTable, weights: Sequence[Mapping[str, float]], trust: float) -> np.ndarray:
    return np.array(
        [fit_trust(model, table.rows([i]), [opinion], trusts=(trust,))[1][trust] for i, opinion in enumerate(weights)]
    )


def _run(
    case: Any, reference: Reference | None, solver: str, gate: str, table: RunTable, options: argparse.Namespace
) -> dict[str, float]:
    budget = optisolve.Budget(evaluations=EVALUATIONS, llm_calls=4 if options.llm else None)
    settings: dict[str, Any] = {"gate": gate, "experts": list(table.experts)}
    llm = _model(options.llm) if options.llm else "auto"
    result = optisolve.solve(case.instance(), solver, budget=budget, seed=0, llm=llm, reference=reference, **settings)
    used, scores = result.record["used"], result.scores
    feasible = len(result.X) > 0
    gap = scores["gap"] if scores["gap"] is not None else scores["bound_gap"]
    if not feasible:
        loss = 1.0
    elif scores["hypervolume"] is not None:
        loss = 1.0 - scores["hypervolume"]
    else:
        loss = min(1.0, max(0.0, gap if gap is not None else 1.0))
    bound = scores["bound_gap"]
    return {
        "loss": loss,
        "feasible": float(feasible),
        "gap": math.nan if bound is None else max(0.0, bound),
        "evaluations": used["evaluations"],
        "tokens": used["tokens_in"] + used["tokens_out"],
        "fallback": float(bool(used["report"]["fallbacks"])),
        "seconds": used["wall_s"],
    }


def _model(kind: str) -> Any:
    """A cold model; equal questions of different gates are asked once."""
    cold = {"temperature": 0.0, "threads": 1, "cache": "runs/gates-replies"}
    return llm_config(kind, **cold) if kind == "local" else llm_config(kind)


def _reference(case: Any) -> Reference | None:
    return make_problem(case.family, dict(case.problem)).reference(case.instance(), Effort.QUICK)


def _alone(table: RunTable, columns: Sequence[int]) -> list[dict[str, float]]:
    rows = []
    for i, j in enumerate(columns):
        loss, used = float(table.losses[i, j]), float(table.evaluations[i, j])
        more = {"gap": math.nan, "evaluations": used, "tokens": 0.0, "fallback": 0.0, "seconds": math.nan}
        rows.append({"loss": loss, "feasible": float(loss < 1.0), **more})
    return rows


def _print(table: RunTable, single_best: str, known: Mapping[str, Sequence[Mapping[str, float]]]) -> None:
    scenarios = len({c.scenario for c in table.cases})
    print(f"{len(table.cases)} held-out instances of {scenarios} scenarios, {EVALUATIONS} evaluations")
    print("| gate | closed gap (95 %) | mean loss | feasible | median certified gap | evaluations | tokens | fallbacks | s |")
    print("|---|---|---|---|---|---|---|---|---|")
    for r in gate_rows(table, single_best, known):
        gap = "" if r.median_gap is None else f"{r.median_gap:.1e}"
        interval = f"{r.closed_gap:.3f} [{r.low:.3f}, {r.high:.3f}]"
        seconds = "" if math.isnan(r.seconds) else f"{r.seconds:.2f}"
        cells = (r.gate, interval, f"{r.loss:.4f}", f"{r.feasible:.0%}", gap, f"{r.evaluations:.0f}", f"{r.tokens:.0f}")
        print("| " + " | ".join([*cells, f"{r.fallbacks:.0%}", seconds]) + " |")


def splits(table: RunTable, _: argparse.Namespace) -> None:
    """Choices only, no runs: the chosen expert's own loss on instances of another kind than those trained on."""
    print("| split | training | held out | closed gap of the learned choice (95 %) |")
    print("|---|---|---|---|")
    for name, train_rows, test_rows in _splits(table):
        own, held_out = table.rows(train_rows), table.rows(test_rows)
        model = train_gate(own)
        closed, low, high = evaluate_choices(held_out, model.single_best, {"learned": _chosen(model, held_out)})["learned"]
        print(f"| {name} | {len(own.cases)} | {len(held_out.cases)} | {closed:.3f} [{low:.3f}, {high:.3f}] |")


def _splits(table: RunTable) -> list[tuple[str, list[int], list[int]]]:
    everything = range(len(table.cases))
    largest = {f: max(c.variables for c in table.cases if c.family == f) for f in {c.family for c in table.cases}}
    several = {f for f in largest if min(c.variables for c in table.cases if c.family == f) < largest[f]}
    sizes = [(c.family, c.variables) for c in table.cases]
    big = [i for i in everything if sizes[i][0] in several and sizes[i][1] == largest[sizes[i][0]]]
    seen = [i for i in everything if table.cases[i].seed in TRAINING]
    unseen = [i for i in everything if table.cases[i].seed in HELD_OUT]
    splits = [
        ("unseen instances of seen scenarios", seen, unseen),
        ("the largest scenario of each family", [i for i in everything if i not in big], big),
    ]
    for family in sorted(largest):
        test = [i for i in everything if table.cases[i].family == family]
        splits.append((f"unseen family: {family}", [i for i in everything if i not in test], test))
    return splits


def _chosen(model: GateModel, table: RunTable) -> np.ndarray:
    picked = [
        int(np.argmin(np.where(table.able[i], model.predict(table.features[i]), np.inf))) for i in range(len(table.cases))
    ]
    return table.losses[np.arange(len(picked)), picked]


def aslib(table: RunTable, options: argparse.Namespace) -> None:
    print(write_aslib(table, options.out or Path("aslib"), name="optisolve_gates", evaluations=EVALUATIONS))


def _of(table: RunTable, seeds: Sequence[int]) -> RunTable:
    return table.rows(i for i, case in enumerate(table.cases) if case.seed in seeds)


if __name__ == "__main__":
    main()

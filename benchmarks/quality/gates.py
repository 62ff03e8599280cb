"""Gates judged like algorithm selectors: closed gap between single best and virtual best, the gate's own cost inside.

    optisolve bench suite=gates out=runs     experts alone (what gates learn from), and mixtures, which are left out of that
    python benchmarks/quality/gates.py train runs/gates              writes solvers/moe_gate.json (instances 0 to 2)
    python benchmarks/quality/gates.py table runs/gates              `moe` with every gate on instances 3 and 4
    python benchmarks/quality/gates.py table runs/gates --llm local  the gates that ask a language model
    python benchmarks/quality/gates.py recorded runs/gates           the mixtures of the suite itself, on instances 3 and 4
    python benchmarks/quality/gates.py splits runs/gates             choices only: unseen instances, sizes, families, objectives
    python benchmarks/quality/gates.py unseen runs/gates             real runs on families that the gate was not trained on
    python benchmarks/quality/gates.py aslib runs/gates --out FOLDER export for other selectors

`--without ddpm` leaves an expert out. Every run of `moe` gets the budget of the experts (500 evaluations); what its gate, its
baseline and its second expert cost comes out of it. What a language model adds is measured by gates_llm.py.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gate_training import RunTable, gate_rows, learned_choice, run_table, train_gate, write_aslib
from gate_training.evaluate import evaluate_choices

import optisolve
from optisolve.content import content_dir
from optisolve.core.reference import Effort, Reference
from optisolve.llm.config import llm_config
from optisolve.registry import make_problem
from optisolve.solvers.moe.gate_model import GateModel, read_gate, write_gate
from optisolve.solvers.moe.gates import knn_losses
from optisolve.study.loss import loss_of
from optisolve.study.scored import Outcome, score_units

EVALUATIONS = 500
TRAINING, HELD_OUT = (0, 1, 2), (3, 4)
COMPOUND = (
    "goal",
    "nsp_utility",
    "nsp_utility/energy_bep",
    "nsp_utility/rate_outage",
    "power_control/weighted_qos",
    "power_control/energy_efficiency",
)
"""Scenarios (and whatever is below ``goal/``) whose objective is put together from others: a rate with floors, rate times
availability, rate per watt."""


def main() -> None:
    parser = arguments(__doc__, ("train", "table", "recorded", "splits", "unseen", "aslib"))
    parser.add_argument("--out", type=Path, help="aslib: folder; table: JSON file that rows are added to")
    options = parser.parse_args()
    verbs = {
        "train": train,
        "table": gates_table,
        "recorded": recorded,
        "splits": splits,
        "unseen": unseen,
        "aslib": aslib,
    }
    verbs[options.verb](read_table(options), options)


def arguments(words: str | None, verbs: Sequence[str]) -> argparse.ArgumentParser:
    """What all verbs share."""
    parser = argparse.ArgumentParser(description=words, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=verbs)
    parser.add_argument("records", type=Path)
    parser.add_argument("--gate", type=Path, default=content_dir("solvers") / "moe_gate.json")
    parser.add_argument(
        "--llm", default="", help="kind of language model, local:FILE for a GGUF file; without it only gates without one"
    )
    parser.add_argument("--without", default="", help="an expert to leave out of the portfolio")
    return parser


def read_table(options: argparse.Namespace) -> RunTable:
    """The experts' losses, without the expert that is to be left out."""
    table = run_table(optisolve.load_records(options.records))
    for notice in table.notices:
        print(f"note: {notice}")
    return table.without(options.without) if options.without else table


def train(table: RunTable, options: argparse.Namespace) -> None:
    own = of_seeds(table, TRAINING)
    note = {"suite": "gates", "evaluations": EVALUATIONS, "instances_of_scenarios": list(TRAINING)}
    model = train_gate(own, trained_on=note)
    write_gate(model, options.gate)
    print(f"{options.gate}: {len(own.cases)} instances, {len(model.experts)} experts, single best {model.single_best}")
    print(f"instances count as similar up to distance {model.reach:.3g}")


def gates_table(table: RunTable, options: argparse.Namespace) -> None:
    held_out, model = of_seeds(table, HELD_OUT), read_gate(options.gate)
    gates = [("moe", g) for g in ("learned", "rule", "knn", "uniform", "random", "sbs")]
    if options.llm:
        gates = [("moe_llm", g) for g in ("llm", "hybrid")]
    known = json.loads(options.out.read_text()) if options.out is not None and options.out.is_file() else {}
    references = [reference_of(case) for case in held_out.cases]
    for solver, gate in gates:
        name = f"{gate} ({options.llm})" if options.llm else gate
        known[name] = [
            run_once(case, reference, solver, held_out.experts, options, gate=gate)
            for case, reference in zip(held_out.cases, references, strict=True)
        ]
        if options.out is not None:
            options.out.write_text(json.dumps(known))
    print_rows(held_out, model.single_best, known)


def recorded(table: RunTable, options: argparse.Namespace) -> None:
    """Mixtures that ran in the suite, scored like the experts; a held-out instance without a record of one counts 1."""
    held_out, model = of_seeds(table, HELD_OUT), read_gate(options.gate)
    frame = score_units(optisolve.load_records(options.records)).frame
    known: dict[str, list[dict[str, float]]] = {}
    for label in sorted(set(frame["solver"]) - set(table.experts)):
        own = frame[frame["solver"] == label]
        rows = {(r["scenario"], r["seed"]): r for r in map(_recorded_row, own.to_dict("records")) if r is not None}
        if any((c.scenario, c.seed) in rows for c in held_out.cases):
            known[label] = [rows.get((c.scenario, c.seed), _MISSING) for c in held_out.cases]
    print_rows(held_out, model.single_best, known)


_NOTHING = {"gap": math.nan, "evaluations": 0.0, "calls": 0.0, "tokens": 0.0, "fallback": 0.0, "seconds": math.nan}
_MISSING = {"loss": 1.0, "feasible": 0.0, **_NOTHING}


def _recorded_row(unit: Mapping[str, Any]) -> dict[str, Any] | None:
    record = unit["record"]
    if record is None or "explanation" not in record.used.report:
        return None
    bound = unit["bound_gap"]
    return {
        "scenario": unit["scenario"],
        "seed": int(record.instance.seed),
        "loss": unit["loss"],
        "feasible": float(unit["outcome"] == Outcome.OK),
        "gap": math.nan if bound is None else max(0.0, bound),
        "evaluations": unit["evaluations"],
        "calls": unit["llm_calls"],
        "tokens": unit["tokens"],
        "fallback": float(bool(record.used.report["fallbacks"])),
        "seconds": unit["seconds"],
    }


def run_once(
    case: Any, reference: Reference | None, solver: str, experts: Iterable[str], options: argparse.Namespace, **more: Any
) -> dict[str, float]:
    """One run of a mixture with these experts, scored as the experts are."""
    asks = solver != "moe"
    budget = optisolve.Budget(evaluations=EVALUATIONS, llm_calls=4 if asks else None)
    settings: dict[str, Any] = {"experts": list(experts), "gate_file": str(options.gate), **more}
    llm = model_of(options.llm) if asks else "auto"
    result = optisolve.solve(case.instance(), solver, budget=budget, seed=0, llm=llm, reference=reference, **settings)
    used, scores = result.record.used, result.scores
    feasible = len(result.X) > 0
    loss = loss_of(result.record).value
    bound = scores["bound_gap"]
    return {
        "loss": 1.0 if loss is None else loss,
        "feasible": float(feasible),
        "gap": math.nan if bound is None else max(0.0, bound),
        "evaluations": used.evaluations,
        "calls": used.llm_calls,
        "tokens": used.tokens_in + used.tokens_out,
        "fallback": float(bool(used.report["fallbacks"])),
        "seconds": used.wall_s,
    }


def model_of(kind: str) -> Any:
    """A cold model; equal questions of different gates are asked once."""
    name, _, file = kind.partition(":")
    cold = {"temperature": 0.0, "threads": 1, "cache": "runs/gates-replies", "gguf": file}
    return llm_config(name, **cold) if name == "local" else llm_config(kind)


def reference_of(case: Any) -> Reference | None:
    """The reference of an instance, as the suite makes it."""
    return make_problem(case.family, dict(case.problem)).reference(case.instance(), Effort.QUICK)


def _alone(table: RunTable, columns: Sequence[int]) -> list[dict[str, float]]:
    rows = []
    for i, j in enumerate(columns):
        loss, used = float(table.losses[i, j]), float(table.evaluations[i, j])
        rows.append({"loss": loss, "feasible": float(loss < 1.0), **_NOTHING, "evaluations": used})
    return rows


def print_rows(table: RunTable, single_best: str, known: Mapping[str, Sequence[Mapping[str, float]]]) -> None:
    """The table of gates, with single best and virtual best."""
    best = np.argmin(table.losses, axis=1).tolist()
    rows = {
        **known,
        f"{single_best} alone (SBS)": _alone(table, [table.experts.index(single_best)] * len(table.cases)),
        "virtual best (VBS, no cost)": _alone(table, best),
    }
    scenarios = len({c.scenario for c in table.cases})
    print(f"{len(table.cases)} held-out instances of {scenarios} scenarios, {EVALUATIONS} evaluations")
    heads = ("gate", "closed gap (95 %)", "mean loss", "feasible", "median certified gap", "evaluations", "calls", "tokens")
    print("| " + " | ".join([*heads, "fallbacks", "s"]) + " |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for r in gate_rows(table, single_best, rows):
        gap = "" if r.median_gap is None else f"{r.median_gap:.1e}"
        interval = told_gap(r.closed_gap, r.low, r.high)
        seconds = "" if math.isnan(r.seconds) else f"{r.seconds:.2f}"
        cells = (r.gate, interval, f"{r.loss:.4f}", f"{r.feasible:.0%}", gap, f"{r.evaluations:.0f}")
        cost = (f"{r.calls:.2g}", f"{r.tokens:.0f}", f"{r.fallbacks:.0%}", seconds)
        print("| " + " | ".join([*cells, *cost]) + " |")


def told_gap(center: float, low: float, high: float) -> str:
    """A closed gap with its interval, where one can be given."""
    return f"{center:.3f}" if math.isnan(low) else f"{center:.3f} [{low:.3f}, {high:.3f}]"


def splits(table: RunTable, _: argparse.Namespace) -> None:
    """Choices only, no runs: the first chosen expert's own loss on instances of another kind than those trained on."""
    print("| split | training | held out | learned (95 %) | mean loss | single best | virtual best | nearest 5 | rule |")
    print("|---|---|---|---|---|---|---|---|---|")
    families: dict[str, list[np.ndarray]] = {}
    for name, train_rows, test_rows in _splits(table):
        own, held_out = table.rows(train_rows), table.rows(test_rows)
        model = train_gate(own)
        losses = _choice_losses(model, held_out)
        told = evaluate_choices(held_out, model.single_best, {k: losses[k] for k in ("learned", "nearest 5", "rule")})
        closed, low, high = told["learned"]
        means = [f"{losses[k].mean():.2g}" for k in ("learned", "single best", "virtual best")]
        cells = [name, str(len(own.cases)), str(len(held_out.cases)), told_gap(closed, low, high), *means]
        print("| " + " | ".join([*cells, f"{told['nearest 5'][0]:.3f}", f"{told['rule'][0]:.3f}"]) + " |", flush=True)
        if name.startswith("unseen family"):
            for gate, values in losses.items():
                families.setdefault(gate, []).append(values)
    print("\nunseen families together, mean loss:")
    print(", ".join(f"{gate} {np.concatenate(values).mean():.4f}" for gate, values in families.items()))


def _choice_losses(model: GateModel, held_out: RunTable) -> dict[str, np.ndarray]:
    """Losses of the experts that gates choose, float64 [n] each; of two experts the better one's."""
    n, losses = np.arange(len(held_out.cases)), held_out.losses
    near = [np.argmin(np.where(held_out.able[i], knn_losses(model, held_out.features[i]), np.inf)) for i in n]
    predicted = [np.where(held_out.able[i], model.predict(held_out.features[i]), np.inf) for i in n]
    second = np.argsort(np.array(predicted), axis=1, kind="stable")[:, 1]
    learned, rule = losses[n, learned_choice(model, held_out)], losses[n, held_out.rule]
    return {
        "learned": learned,
        "nearest 5": losses[n, near],
        "rule": rule,
        "single best": losses[:, held_out.experts.index(model.single_best)],
        "virtual best": losses.min(axis=1),
        "learned's first two": np.minimum(learned, losses[n, second]),
        "learned's first and the rules'": np.minimum(learned, rule),
    }


def unseen(table: RunTable, options: argparse.Namespace) -> None:
    """Real runs on families that the gate has never seen; handed over: the rules decide where nothing similar was seen."""
    held_out = of_seeds(table, HELD_OUT)
    known: dict[str, list[dict[str, float]]] = {"learned": [], "rule": [], "handed over": []}
    order: list[int] = []
    with tempfile.TemporaryDirectory() as folder:
        for family in sorted({c.family for c in held_out.cases}):
            others = of_seeds(table, TRAINING)
            model = train_gate(others.rows(i for i, c in enumerate(others.cases) if c.family != family))
            gate = argparse.Namespace(**{**vars(options), "gate": Path(folder) / f"{family}.json"})
            write_gate(model, gate.gate)
            own = [i for i, c in enumerate(held_out.cases) if c.family == family]
            beyond = [bool(model.outside(held_out.features[i])) for i in own]
            for i, far in zip(own, beyond, strict=True):
                case, reference = held_out.cases[i], reference_of(held_out.cases[i])
                learned, rule = (
                    run_once(case, reference, "moe", held_out.experts, gate, gate=kind) for kind in ("learned", "rule")
                )
                for name, run in zip(known, (learned, rule, rule if far else learned), strict=True):
                    known[name].append(run)
            order += own
            means = {name: np.mean([run["loss"] for run in runs[-len(own) :]]) for name, runs in known.items()}
            told = ", ".join(f"{name} {mean:.4g}" for name, mean in means.items())
            print(f"{family}: {sum(beyond)} of {len(own)} unlike anything seen; {told}", flush=True)
    print_rows(held_out.rows(order), read_gate(options.gate).single_best, known)


def _splits(table: RunTable) -> list[tuple[str, list[int], list[int]]]:
    everything = range(len(table.cases))
    largest = {f: max(c.variables for c in table.cases if c.family == f) for f in {c.family for c in table.cases}}
    several = {f for f in largest if min(c.variables for c in table.cases if c.family == f) < largest[f]}
    sizes = [(c.family, c.variables) for c in table.cases]
    big = [i for i in everything if sizes[i][0] in several and sizes[i][1] == largest[sizes[i][0]]]
    seen = [i for i in everything if table.cases[i].seed in TRAINING]
    unseen = [i for i in everything if table.cases[i].seed in HELD_OUT]
    compound = [i for i in everything if is_compound(table.cases[i].scenario)]
    splits = [
        ("unseen instances of seen scenarios", seen, unseen),
        ("the largest scenario of each family", [i for i in everything if i not in big], big),
        ("unseen compound objectives", [i for i in everything if i not in compound], compound),
    ]
    for family in sorted(largest):
        test = [i for i in everything if table.cases[i].family == family]
        splits.append((f"unseen family: {family}", [i for i in everything if i not in test], test))
    return splits


def is_compound(scenario: str) -> bool:
    """Whether a scenario's objective is a compound of others; see `COMPOUND`."""
    return scenario in COMPOUND or scenario.startswith("goal/")


def aslib(table: RunTable, options: argparse.Namespace) -> None:
    print(write_aslib(table, options.out or Path("aslib"), name="optisolve_gates", evaluations=EVALUATIONS))


def of_seeds(table: RunTable, seeds: Sequence[int]) -> RunTable:
    """The instances of some numbers."""
    return table.rows(i for i, case in enumerate(table.cases) if case.seed in seeds)


if __name__ == "__main__":
    main()

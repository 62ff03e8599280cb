"""What the hand rules of the skeletons are worth: percent of WMMSE from full power, and milliseconds per answer.

    python benchmarks/quality/rules.py                    # K = 10, 20, 30, 50 at 0 dB, 1,000 instances each
    python benchmarks/quality/rules.py --instances 100    # a quick look
    python benchmarks/quality/rules.py --associations     # user_association: gap to the proven optimum or bound
    python benchmarks/quality/rules.py --offloading       # offloading: the same
    python benchmarks/quality/rules.py --placement        # uav_isac: hypervolume beside trivial placements and two solvers
    python benchmarks/quality/rules.py --wired            # traffic_engineering: utilization beside weight_search
    python benchmarks/quality/rules.py --picture docs/programs.png    # the best rules as formulas

Instances are drawn by seeds from 600,000 on, which no search and no choice among rules has used. Times are processor time per
instance, one thread, kernels compiled before; WMMSE runs on all instances in one call, rules one instance at a time with what
Python adds.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

import optisolve
from optisolve.core import Effort
from optisolve.core.capabilities import InterferenceChannel
from optisolve.numerics.wmmse import normalized_gain, wmmse
from optisolve.plotting.search import formulas_figure
from optisolve.plotting.style import save_figure
from optisolve.programs.catalog import ANSWERING, SKELETONS
from optisolve.programs.formula import mathtext

FIRST_SEED = 600_000

BEST = (
    ("exchange", "weakest"),
    ("insertion", "balanced"),
    ("update", "pricing"),
    ("offload", "strongest"),
    ("association", "urgent"),
    ("placement", "blend"),
    ("weights", "detour"),
    ("variation", "current_to_best"),
)
"""The best rule of every skeleton in the tables of docs/programs.md, or the first one where there is none."""

NAMED = {"associations": "association", "offloading": "offload"}
GAPS = {
    "associations": ("user_association", "user_association/max_min", "user_association/sum_rate"),
    "offloading": ("offloading/n20", "offloading/n50", "offloading/multi_server"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", type=int, default=1000)
    parser.add_argument("--links", type=int, nargs="*", default=[10, 20, 30, 50])
    parser.add_argument("--associations", action="store_true")
    parser.add_argument("--offloading", action="store_true")
    parser.add_argument("--placement", action="store_true")
    parser.add_argument("--wired", action="store_true")
    parser.add_argument("--looks", type=int, nargs="*", default=[200])
    parser.add_argument("--networks", nargs="*", default=[*WIRED], help="with --wired: these scenarios")
    parser.add_argument("--only", nargs="*", default=[], help="with --wired: these rows of the table")
    parser.add_argument("--picture")
    settings = parser.parse_args()
    if settings.picture:
        rows = [
            (f"{skeleton}, {rule}: {SKELETONS[skeleton].hand[rule].meaning}", mathtext(SKELETONS[skeleton].complete(rule).tree))
            for skeleton, rule in BEST
        ]
        save_figure(formulas_figure(rows), Path(settings.picture))
        return
    for skeleton, scenarios in GAPS.items() if settings.associations or settings.offloading else ():
        if getattr(settings, skeleton):
            gaps(ANSWERING[NAMED[skeleton]], scenarios, min(settings.instances, 100))
    if settings.placement:
        placements(min(settings.instances, 50))
    for looks in settings.looks if settings.wired else ():
        weights(min(settings.instances, 5), looks, settings.networks, settings.only)
    if settings.associations or settings.offloading or settings.placement or settings.wired:
        return
    for n_links in settings.links:
        channels(n_links, settings.instances)


def channels(n_links: int, n_instances: int) -> None:
    problem = optisolve.load_problem("power_control", n_links=n_links)
    instances = [problem.instance(seed=FIRST_SEED + i) for i in range(n_instances)]
    links = [instance for instance in instances if isinstance(instance, InterferenceChannel)]
    gain = np.stack([normalized_gain(link.gain, link.noise_w, link.p_max_w) for link in links])
    weight = np.ones((n_instances, n_links))
    random = np.random.default_rng(0).random((n_instances, 8, n_links))
    starts = np.concatenate([np.ones((n_instances, 1, n_links)), random], axis=1)
    base, alone_ms = timed_wmmse(instances, gain, weight, starts[:, :1])
    nine, nine_ms = timed_wmmse(instances, gain, weight, starts)
    print(f"\nK = {n_links}, 0 dB, {n_instances} instances: percent of WMMSE from full power, ms per answer")
    print(f"{'WMMSE from full power':32}{100.0:8.2f}{alone_ms:9.3f}")
    print(f"{'WMMSE, nine starts':32}{100.0 * nine.mean() / base.mean():8.2f}{nine_ms:9.3f}")
    for name in ("insertion", "exchange", "update"):
        skeleton = ANSWERING[name]
        for rule in skeleton.hand:
            program = skeleton.complete(rule)
            skeleton.answer(program, instances[0], 100)
            begun = time.process_time()
            answers = [skeleton.answer(program, instance, 100) for instance in instances]
            ms = 1e3 * (time.process_time() - begun) / n_instances
            print(f"{name + ', ' + rule:32}{100.0 * values(instances, answers).mean() / base.mean():8.2f}{ms:9.3f}")


def timed_wmmse(instances, gain, weight, starts):
    """Best value of every instance over its starts, and ms per instance."""
    wmmse(gain[:1], weight[:1], starts[:1])
    begun = time.process_time()
    powers, _ = wmmse(gain, weight, starts)
    ms = 1e3 * (time.process_time() - begun) / len(instances)
    each = [
        values(instances, [p[s] * i.p_max_w for i, p in zip(instances, powers, strict=True)]) for s in range(starts.shape[1])
    ]
    return np.max(each, axis=0), ms


def values(instances, answers):
    return np.array([float(i.evaluate(x[None]).F[0, 0]) for i, x in zip(instances, answers, strict=True)])


def gaps(skeleton, scenarios, n_instances: int) -> None:
    for scenario in scenarios:
        problem = optisolve.load_problem(scenario)
        instances = [problem.instance(seed=FIRST_SEED + i) for i in range(n_instances)]
        targets = [problem.reference(instance, Effort.QUICK) for instance in instances]
        trivial = [
            min(
                i.objectives[0].shortfall(float(i.evaluate(x).F[0, 0]), t.value) / i.objectives[0].gap_scale(t.value)
                for x in i.null_policies().values()
                if i.evaluate(x).violation[0] <= 0.0
            )
            for i, t in zip(instances, targets, strict=True)
        ]
        print(f"\n{scenario}, {n_instances} instances: mean gap to the reference, percent, and ms per answer")
        print(f"{'best trivial answer':32}{100.0 * np.mean(trivial):8.3f}")
        for rule in skeleton.hand:
            program = skeleton.complete(rule)
            skeleton.answer(program, instances[0], 1000)
            begun = time.process_time()
            answers = [skeleton.answer(program, instance, 1000) for instance in instances]
            ms = 1e3 * (time.process_time() - begun) / n_instances
            found = [
                100.0 * i.objectives[0].shortfall(v, t.value) / i.objectives[0].gap_scale(t.value)
                for i, v, t in zip(instances, values(instances, answers), targets, strict=True)
            ]
            print(f"{rule:32}{np.mean(found):8.3f}{ms:9.3f}")


def placements(n_instances: int) -> None:
    problem = optisolve.load_problem("uav_isac")
    instances = [problem.instance(seed=FIRST_SEED + i) for i in range(n_instances)]
    ways: dict[str, tuple[str, int, dict[str, str]]] = {
        f"placement, {rule}": ("rule", 50, {"skeleton": "placement", "program": rule}) for rule in ANSWERING["placement"].hand
    }
    ways |= {f"{name}, {n}": (name, n, {}) for name, n in (("null", 50), ("random_search", 50), ("random_search", 200))}
    ways["moead_de, 200"] = ("moead_de", 200, {})
    print(f"\nuav_isac, {n_instances} instances: mean hypervolume and points evaluated")
    for way, (solver, n, options) in ways.items():
        budget = optisolve.Budget(evaluations=n)
        runs = [optisolve.solve(instance, solver, budget=budget, seed=0, **options) for instance in instances]
        found = np.mean([run.hypervolume for run in runs])
        print(f"{way:32}{found:8.3f}{np.mean([run.record.used.evaluations for run in runs]):9.1f}", flush=True)


WIRED = ("abilene", "polska", "nobel_us", "", "geant", "nobel_eu", "france", "norway", "cost266", "germany50", "robust")
"""Scenarios of traffic_engineering; the one without a name is the family's own, on whose network rules were searched for."""


def weights(n_instances: int, looks: int, networks: list[str], only: list[str]) -> None:
    ways: dict[str, tuple[str, dict[str, str | int | bool]]] = {
        rule: ("rule", {"skeleton": "weights", "program": rule, "rounds": looks}) for rule in ANSWERING["weights"].hand
    }
    ways |= {f"weight_search, prices={flag}": ("weight_search", {"prices": flag}) for flag in (False, True)}
    ways["rule_weights"] = ("rule_weights", {"rounds": looks})
    ways = {way: made for way, made in ways.items() if not only or way in only}
    print(f"\n{n_instances} instances of each network, {looks} evaluations: mean utilization of the busiest link; s per answer")
    table = dict[str, list[float]]()
    spent = dict.fromkeys(ways, 0.0)
    for scenario in networks:
        problem = optisolve.load_problem("traffic_engineering" + (f"/{scenario}" if scenario else ""))
        instances = [problem.instance(seed=FIRST_SEED + i) for i in range(n_instances)]
        for way, (solver, options) in ways.items():
            optisolve.solve(instances[0], solver, budget=optisolve.Budget(evaluations=5), seed=0, **options)
            begun = time.process_time()
            budget = optisolve.Budget(evaluations=looks)
            runs = [optisolve.solve(instance, solver, budget=budget, seed=0, **options) for instance in instances]
            spent[way] += (time.process_time() - begun) / n_instances / len(networks)
            table.setdefault(way, []).append(float(np.mean([run.F[:, 0].min() for run in runs])))
    print(f"{'':32}" + "".join(f"{scenario or 'base':>10}" for scenario in networks) + f"{'mean':>8}{'s':>8}")
    for way, found in table.items():
        print(f"{way:32}" + "".join(f"{value:10.4f}" for value in found) + f"{np.mean(found):8.4f}{spent[way]:8.3f}")


if __name__ == "__main__":
    main()

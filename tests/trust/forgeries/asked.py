"""Forgeries of what was asked: seeds, parameters, versions, options."""

from __future__ import annotations

from optisolve.registry import PROBLEMS
from optisolve.run.schema import InstancePart
from optisolve.trust.audit import rebuild
from tests.trust.forgeries.case import DoesNotApply, forgery


@forgery("altered run seed", "result_hash", "transcript.jsonl", "seed", again=True)
def altered_seed(case):
    if case.record["solver"]["name"] not in ("random_search", "moead_de", "ledma"):
        raise DoesNotApply
    case.record["seed"] += int(case.rng.integers(1, 100))


@forgery("altered instance seed", "instance.sha256", "instance.seed")
def altered_instance(case):
    if case.record["instance"]["problem"] == "power_game":  # its instances do not depend on the seed
        raise DoesNotApply
    case.record["instance"]["seed"] += int(case.rng.integers(1, 100))


@forgery("easier instance, its hash made anew", "verified", "solutions", "scores", "instance")
def easier_instance(case):

    if case.record["instance"]["problem"] == "power_game":
        raise DoesNotApply
    case.record["instance"]["seed"] += int(case.rng.integers(1, 100))
    case.record["instance"]["sha256"] = rebuild(InstancePart.model_validate(case.record["instance"]), PROBLEMS)[1].sha256


@forgery("altered scenario parameter", "instance", "verified", "scores", "solutions")
def altered_parameter(case):
    params = case.record["instance"]["params"]
    names = [name for name, value in params.items() if isinstance(value, float) and value > 0 and "m" in name]
    if not names:
        raise DoesNotApply
    params[str(case.rng.choice(names))] *= 1.25


@forgery("parameter as text", "instance.params")
def parameter_as_text(case):
    params = case.record["instance"]["params"]
    name = next(name for name, value in params.items() if isinstance(value, (int, float)) and not isinstance(value, bool))
    params[name] = str(params[name])


@forgery("swapped problem version", "instance.version")
def problem_version(case):
    case.record["instance"]["version"] = str(case.rng.choice(["0", "99", "1.0", "latest"]))


@forgery("unknown problem", "provenance.tier", "instance.problem")
def unknown_problem(case):
    case.record["instance"]["problem"] = "easy_problem"


@forgery("swapped solver version", "solver.version")
def solver_version(case):
    case.record["solver"]["version"] += ".1"


@forgery("unknown solver called verified", "provenance.tier")
def unknown_solver(case):
    if case.record["suite"]["name"]:
        raise DoesNotApply
    case.record["solver"]["name"] = "my_miracle_solver"


@forgery("altered solver option", "solver.options")
def solver_option(case):
    options = case.record["solver"]["options"]
    options["population"] = 7


@forgery("missing solver option", "solver.options")
def missing_option(case):
    if not case.record["solver"]["options"]:
        raise DoesNotApply
    case.record["solver"]["options"].popitem()


@forgery("other options, same result", "result_hash", "solver.options", "transcript.jsonl", again=True)
def other_options(case):
    options = case.record["solver"]["options"]
    name = next((name for name in ("repair", "pop_size", "neighbors") if name in options), None)
    if name is None or (name == "repair" and case.record["instance"]["problem"] == "uav_isac"):
        raise DoesNotApply
    options[name] = (not options[name]) if isinstance(options[name], bool) else options[name] // 2


@forgery("solver that cannot treat the case", "solver", "trace")
def wrong_solver(case):
    if case.several or case.record["solver"]["llm"]:
        raise DoesNotApply
    case.record["solver"].update(name="moead_de", version="2", options=case.others[0]["solver"]["options"])

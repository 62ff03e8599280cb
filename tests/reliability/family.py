"""Small runs of every solver of the MOEA family, as words of the command line."""

from itertools import product

from optisolve.testing.llm_server import LlmServer

IN_FLIGHT = 4
COMMON = ["pictures=false", "print=json", "reference=none"]
UAV = ["problem=uav_isac", "problem.n_uavs=2", "problem.n_users=4"]
SMALL = ["solver.pop_size=12", "solver.n_neighbors=6"]
ASKED = ["budget.evaluations=96", "budget.llm_calls=40"]
MIXES = ("adaptive", "auto", "llm_only", "fixed(0.5)")
OPERATORS = ("sbx", "de", "linear", "convex", "gaussian", "zeros", "uniform")
ALL_OPTIONS = [
    *("solver=ledma", *UAV, *SMALL, *ASKED, "solver.mix=adaptive", "solver.wave_size=12", "solver.batch_subproblems=3"),
    *("solver.distill=true", "solver.reflect_every=1", "solver.llm_call_cost=0"),
]


def ledma(mix: str, distill: bool, batch: int, *more: str, problem: list[str] = UAV) -> list[str]:
    """Words of a small run of ledma."""
    own = [f"solver.mix={mix}", f"solver.distill={str(distill).lower()}", f"solver.batch_subproblems={batch}"]
    return ["solver=ledma", *problem, *SMALL, *ASKED, "solver.wave_size=6", *own, *more]


def plain(name: str, *more: str) -> list[str]:
    """Words of a run of a solver that asks no language model."""
    return [f"solver={name}", *UAV, "budget.evaluations=400", *more]


ASKING: dict[str, list[str]] = {
    **{
        f"ledma {mix}{' distill' * distill} batch {batch}": ledma(mix, distill, batch)
        for mix, distill, batch in product(MIXES, (False, True), (1, 3))
    },
    "ledma all options": ALL_OPTIONS,
    "ledma notes": ledma("llm_only", False, 1, "solver.reflect_every=2"),
    "ledma placebo": ledma("llm_only", False, 1, "solver.placebo=true"),
    "ledma continuation": ledma("llm_only", False, 1, "solver.style=continuation", "llm.structured=grammar"),
    "ledma one objective": ledma("llm_only", False, 1, problem=["problem=power_control"]),
    "opro": ["solver=opro", *UAV, "solver.n_initial=10", "solver.calls_per_step=4", *ASKED],
    "opro two per call": ["solver=opro", *UAV, "solver.n_initial=10", "solver.n_offspring=2", *ASKED],
}
"""Solvers that ask a language model."""

PLAIN: dict[str, list[str]] = {
    **{name: plain(name, *SMALL) for name in ("moead", "moead_de", "moead_lo")},
    **{
        f"ledma_control {op}": plain("ledma_control", *SMALL, f"solver.operator={op}")
        for op in ("sbx", "de", "linear", "convex")
    },
    **{name: plain(name, "solver.pop_size=12") for name in ("nsga2", "nsga3", "sms_emoa")},
    "cma_es": ["solver=cma_es", "problem=power_control", "budget.evaluations=400"],
}
"""Solvers that ask none."""


def words(name: str, server: LlmServer) -> list[str]:
    """``run`` and everything behind it but where the record goes."""
    if name in PLAIN:
        return ["run", *COMMON, *PLAIN[name]]
    model = [f"llm.base_url={server.base_url}", f"llm.model={server.model}", "llm.api_key_env=''"]
    return ["run", *COMMON, *ASKING[name], "llm=openai", *model, f"llm.max_concurrency={IN_FLIGHT}"]

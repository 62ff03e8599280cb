"""Three separate answers to "how did it go?", after MathOptInterface.

Why the solver stopped (`Termination`, with `Limit`), what the returned point is (`PointStatus`) and what is
proven about a reference (`Evidence`) are independent: a solver may stop at a limit with a feasible point, or
converge to an infeasible one.

| What happened? | Termination | PointStatus | Evidence of the reference |
|---|---|---|---|
| evaluations used up, front found | LIMIT (EVALUATIONS) | FEASIBLE | BEST_KNOWN |
| time-out before any feasible point | LIMIT (TIME) | INFEASIBLE or NONE | any |
| exact method closed the gap | OPTIMAL | FEASIBLE | PROVEN_OPTIMAL |
| Ctrl-C | INTERRUPTED | FEASIBLE (the archive so far) | any |
| a callback says stop | STOPPED | FEASIBLE (the archive so far) | any |
| solver returned NaN | any | INVALID | any |
| no point satisfies the constraints | INFEASIBLE | NONE | PROVEN_INFEASIBLE |
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Evidence", "Limit", "PointStatus", "Termination"]


class Termination(StrEnum):
    """Why the solver stopped: the solver's own claim."""

    CONVERGED = "converged"
    """Its own convergence test holds; nothing is proven globally."""
    OPTIMAL = "optimal"
    """It claims a proof of global optimality within its tolerance."""
    INFEASIBLE = "infeasible"
    """It claims a proof that no feasible point exists."""
    UNBOUNDED = "unbounded"
    """It claims that the objective improves without end."""
    INFEASIBLE_OR_UNBOUNDED = "infeasible_or_unbounded"
    """Presolve proved one of the two without saying which."""
    LIMIT = "limit"
    """A limit was reached; `Limit` says which."""
    INTERRUPTED = "interrupted"
    """The user stopped the run; what was found is kept."""
    STOPPED = "stopped"
    """A callback stopped the run; what was found is kept. The run is finished: it can be repeated, not resumed."""
    NUMERICAL_ERROR = "numerical_error"
    """Arithmetic trouble that the solver noticed."""
    ERROR = "error"
    """The solver raised; what was found before is kept."""
    SKIPPED = "skipped"
    """The solver declared that it cannot treat this instance."""


class Limit(StrEnum):
    """Which limit ended the run; only together with `Termination.LIMIT`."""

    EVALUATIONS = "evaluations"
    TIME = "time"
    ITERATIONS = "iterations"
    NODES = "nodes"
    LLM_CALLS = "llm_calls"
    LLM_TOKENS = "llm_tokens"
    USD = "usd"
    MEMORY = "memory"
    TARGET = "target"
    STALLED = "stalled"


class PointStatus(StrEnum):
    """What a returned point is. Set only by `optisolve.run.verify`, never by a solver."""

    FEASIBLE = "feasible"
    """Re-evaluated: inside the domain, every constraint within the feasibility tolerance."""
    NEARLY_FEASIBLE = "nearly_feasible"
    """Re-evaluated: the largest violation is above that tolerance, yet within the loose one."""
    INFEASIBLE = "infeasible"
    """Re-evaluated: some constraint is violated."""
    INVALID = "invalid"
    """Wrong shape, NaN, or outside the domain; it could not be evaluated."""
    NONE = "none"
    """The solver returned no point."""


class Evidence(StrEnum):
    """What is proven about a reference value; docs/trust.md says what each statement does not mean."""

    PROVEN_OPTIMAL = "proven_optimal"
    """A verified point and a dual bound that meets it within the stated tolerance."""
    PROVEN_INFEASIBLE = "proven_infeasible"
    """No point satisfies the constraints, not even within the feasibility tolerance."""
    DUAL_BOUND = "dual_bound"
    """A valid bound that the value does not meet."""
    LOCAL = "local"
    """A stationary point; nothing global."""
    BEST_KNOWN = "best_known"
    """The best of many attempts."""
    NONE = "none"
    """Nothing."""

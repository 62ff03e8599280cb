"""Errors of ours that a finished run shows: a fast kernel that is not its twin, a shipped model that cannot evaluate.

A family without a kernel has one implementation. Then this can only show that it repeats itself; that it is right is for tests
against a second one (`tests/independent`), and nothing at run time claims more.
"""

from __future__ import annotations

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.failures import attempt
from optisolve.core.problem import FAILED_VIOLATION, Instance
from optisolve.run.evaluator import Evaluator

__all__ = ["AGREEMENT", "own_errors"]

AGREEMENT = 1e-7
"""Difference of kernel and twin, relative to the largest value of the run, above which one of them is wrong."""


def own_errors(evaluator: Evaluator, X: FloatArray, F: FloatArray, max_violation: float) -> list[str]:
    """What must not happen whatever the user asked, in words; a record with any of it claims nothing.

    Args:
        evaluator: The run's evaluator; its numbers come from the fast kernel, if there is one.
        X: float64 [n, d], the returned points.
        F: float64 [n, m], their objectives by the twin.
        max_violation: Their largest violation by the twin.
    """
    instance = evaluator.instance
    shipped = type(getattr(instance, "base", instance)).__module__.startswith("optisolve.problems.")
    found = []
    if evaluator.failed and shipped:
        found.append(
            f"the model of {instance.origin.problem}, which comes with optisolve, could not evaluate {evaluator.failed} "
            f"point(s); the first: {evaluator.first_failure}. Please report it"
        )
    if told := _disagreement(evaluator, X, F, max_violation):
        found.append(_in_words(instance, told, shipped))
    return found


def _in_words(instance: Instance, told: str, shipped: bool) -> str:
    name = instance.origin.problem
    if not instance.has_twin:
        cure = "Please report it" if shipped else "Its _evaluate must compute the same whenever it is called"
        return f"evaluating the returned points of {name} again gives other values: {told}. {cure}"
    cure = (
        "Delete the folders __pycache__ of the package and run again; if it stays, please report it"
        if shipped
        else "Its _evaluate and _evaluate_twin must compute the same"
    )
    return f"fast evaluation and twin of {name} disagree on the returned points: {told}. {cure}"


def _disagreement(evaluator: Evaluator, X: FloatArray, F: FloatArray, max_violation: float) -> str:
    if not X.shape[0]:
        return ""
    instance, history = evaluator.instance, evaluator.history
    made = attempt(instance, X, instance._evaluate)
    if made.message:
        return f"only verification can evaluate them ({made.message})"
    known = history.F_min[history.violation < FAILED_VIOLATION]
    scale = np.abs(np.concatenate([F, known])).max(axis=0)  # [m]; an optimum of 0 is computed from larger numbers
    apart = np.abs(made.evaluation.F - F)
    worst = apart.max(axis=0) > AGREEMENT * scale
    if worst.any():
        j = int(np.argmax(worst))
        i = int(np.argmax(apart[:, j]))
        return f"{instance.objectives[j].name} is {made.evaluation.F[i, j]:.12g} and {F[i, j]:.12g}"
    violation = float(made.evaluation.max_violation.max())
    if abs(violation - max_violation) > AGREEMENT * max(1.0, max_violation):
        return f"the largest violation is {violation:.6g} and {max_violation:.6g}"
    return ""

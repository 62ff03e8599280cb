"""Records whose values are estimates from samples: what verification drew is stated, and what a forger may shift is nothing."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import pytest
from annotated_types import Ge

import optisolve
from optisolve.core import Budget, Description, Evaluation, Instance, Objective, Problem, Sense, Space, Variable
from optisolve.problems.radio_planning.tracing import can_trace
from optisolve.registry import PROBLEMS, SOLVERS
from optisolve.trust.audit import Auditor, Tier
from tests.forging import seal

ALLOWED = 0.1
NOISE = 0.02
DRAW = {"run": 1, "verification": 2}
"""Seeds of the samples; another machine has others."""


class _Sampled(Instance):
    """Share of drawn points that two shares of x reach, in %; verification draws other points than a run."""

    def __init__(self, problem: Sampled, seed: int) -> None:
        self.agreement = problem.allowed
        super().__init__(
            origin=problem.origin(seed),
            space=Space.of(Variable(f"x{i}", 0.0, 1.0) for i in range(2)),
            objectives=(Objective("coverage", Sense.MAXIMIZE, "%", "share of drawn points that are reached"),),
        )

    def arrays(self):
        return {}

    def describe(self):
        return Description("Reach as many of the points as possible.")

    def _sampled(self, X, seed):
        waves = np.cos(np.outer(7.0 * X.sum(axis=1), np.arange(64)))  # [n, 64]
        noise = NOISE * np.tanh(waves @ np.random.default_rng(seed).standard_normal((64, 1)) / 8.0)
        F = 80.0 * (1.0 + noise) - 40.0 * ((X - 0.3) ** 2).sum(axis=1, keepdims=True)
        return Evaluation(F, np.empty((len(X), 0)), np.empty((len(X), 0)))

    def _evaluate(self, X):
        return self._sampled(X, DRAW["run"])

    def _evaluate_twin(self, X):
        return self._sampled(X, DRAW["verification"])


@dataclass(frozen=True)
class Sampled(Problem):
    """An objective from samples.

    Args:
        allowed: How far a run and its verification may be apart.
    """

    name: ClassVar[str] = "sampled"
    version: ClassVar[str] = "1"
    summary: ClassVar[str] = "An objective from samples."

    allowed: Annotated[float, Ge(0)] = ALLOWED

    def instance(self, seed: int = 0) -> Instance:
        """All of them are the same."""
        return _Sampled(self, seed)


FAMILIES = PROBLEMS.beside(Sampled())


def shifted(record, by):
    """All values of a record moved by a share of the largest, and what follows from them; hashes are made anew."""
    forged = copy.deepcopy(record)
    values = np.array(forged["verified"]["F"])
    values[:, 0] += by * np.abs(values[:, 0]).max()
    forged["verified"]["F"] = values.tolist()
    forged["scores"]["objective"] = float(values[:, 0].max())
    return seal(forged)


def solved(instance, evaluations=30):
    result = optisolve.solve(instance, "random_search", budget=Budget(evaluations=evaluations), seed=1)
    return json.loads(result.record.to_bytes())


@pytest.fixture(scope="module")
def record():
    return solved(Sampled().instance(0))


@pytest.fixture(scope="module")
def auditor():
    return Auditor(FAMILIES, SOLVERS)


def fields(audit):
    return {problem.field for problem in audit.problems}


def test_what_is_stated_is_what_verification_draws_to_the_last_digit(record, auditor):
    """The run itself had other values, which took part in the search."""
    case = Sampled().instance(0)
    (x,) = record["solutions"]["x"]
    assert record["verified"]["F"][0][0] == case.evaluate_twin([x]).F[0, 0] != case.evaluate([x]).F[0, 0]
    audit = auditor.record(record)
    assert audit
    assert audit.tier is Tier.VERIFIED
    assert audit.notes == ()


def test_a_shift_by_half_of_what_is_allowed_is_never_called_verified(record, auditor):
    """Another processor might draw that, so the audit says that nobody has confirmed it; the gate of a board takes no more."""
    audit = auditor.record(shifted(record, 0.5 * ALLOWED))
    assert audit.tier is Tier.SELF_REPORTED
    assert "estimates from samples and come out otherwise here" in audit.notes[0]
    assert "within what the problem allows (coverage by 3.9" in audit.notes[0]


def test_a_second_run_on_the_same_machine_refutes_a_shift_within_what_is_allowed(record):
    """Whatever its size: the same samples are the same to the last digit."""
    again = Auditor(FAMILIES, SOLVERS, reproduce=True)
    assert again.record(record).tier is Tier.REPRODUCED
    assert fields(again.record(shifted(record, 0.5 * ALLOWED))) == {"result_hash"}
    assert fields(again.record(shifted(record, 1e-6))) == {"result_hash"}


@pytest.mark.parametrize("by", [2.0, -2.0, 1.2, float("inf")])
def test_a_shift_beyond_what_is_allowed_is_refused(record, auditor, by):
    if np.isinf(by):
        forged = copy.deepcopy(record)
        forged["verified"]["F"][0][0] = 1e300
        seal(forged)
    else:
        forged = shifted(record, by * ALLOWED)
    assert "verified.F" in fields(auditor.record(forged))


def test_a_record_does_not_say_itself_what_is_allowed(record, auditor):
    """That is part of the case and of its hash; who takes a laxer case has another one, and nothing confirmed there either."""
    forged = copy.deepcopy(record)
    forged["instance"]["params"]["allowed"] = 1.0
    assert "instance.sha256" in fields(auditor.record(shifted(forged, 5.0 * ALLOWED)))
    forged["instance"]["sha256"] = Sampled(allowed=1.0).instance(0).sha256
    assert auditor.record(shifted(forged, 5.0 * ALLOWED)).tier is Tier.SELF_REPORTED
    assert auditor.record(shifted(forged, 20.0 * ALLOWED)).problems


def test_a_genuine_record_of_another_machine_holds_and_is_not_confirmed(record, auditor, monkeypatch):
    monkeypatch.setitem(DRAW, "verification", 3)
    audit = auditor.record(record)
    assert audit, str(audit)
    assert audit.tier is Tier.SELF_REPORTED


@pytest.mark.parametrize("scenario", ["radio_planning/munich_table", "power_control/min_power"])
def test_families_that_repeat_allow_no_shift_at_all(scenario):
    record = solved(optisolve.load_problem(scenario).instance(0))
    audit = Auditor(PROBLEMS, SOLVERS)
    assert audit.record(record)
    for by in (1e-6, -1e-6, 0.5 * ALLOWED):
        assert "verified.F" in fields(audit.record(shifted(record, by)))
    if scenario.startswith("radio_planning"):
        for name in ("verify_coverage", "verify_edge_rate", "verify_rays"):
            forged = copy.deepcopy(record)
            forged["instance"]["params"][name] = 1
            assert "instance" in fields(audit.record(shifted(forged, 0.5 * ALLOWED))), "a table has no room of rays"


@pytest.mark.slow
@pytest.mark.skipif(not can_trace(), reason="needs the extra [rt], and LLVM for it")
def test_a_live_record_holds_to_the_last_digit_and_no_shift_of_it_is_confirmed():
    """The tracer's own samples, on this machine's processor; power is no estimate and may not move at all."""
    few = {"rays": 20_000, "n_users": 60, "verify_coverage": 0.3, "device": "cpu"}
    case = optisolve.load_problem("radio_planning/munich", goals=("coverage",), **few).instance(0)
    record = solved(case, 4)
    genuine = Auditor(PROBLEMS, SOLVERS).record(record)
    assert genuine, str(genuine)
    assert genuine.tier is Tier.VERIFIED
    assert Auditor(PROBLEMS, SOLVERS).record(shifted(record, 0.15)).tier is Tier.SELF_REPORTED
    assert "verified.F" in fields(Auditor(PROBLEMS, SOLVERS).record(shifted(record, 0.6)))
    both = optisolve.load_problem("radio_planning/munich", goals=("power", "coverage"), **few).instance(0)
    forged = shifted(solved(both, 4), -1e-4)
    assert "verified.F" in fields(Auditor(PROBLEMS, SOLVERS).record(forged))

"""Ask and tell: a run that is told its values goes as one that evaluates, can be laid aside anywhere, and leaves no thread."""

from __future__ import annotations

import copy
import gc
import pickle
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

import optisolve
from optisolve import Budget, OpenRun, PointStatus, Termination
from optisolve.core import Objective, Outcome, Sense, Solver, SolverInfo, Space, Task, Variable
from optisolve.core.errors import OptionError, SolverError
from optisolve.llm.surrogate import SurrogateClient
from optisolve.testing.toys import ShiftedZdt1, SumCapSphere

SEVERAL = (
    "moead",
    "moead_de",
    "moead_lo",
    "ledma",
    "ledma_control",
    "nsga2",
    "nsga3",
    "sms_emoa",
    "random_search",
    "moe",
    "null",
)
ONE = ("moead_de", "nsga2", "cma_es", "scipy_local", "opro", "random_search", "moe")


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("optisolve")]


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    yield
    gc.collect()
    assert not threads()


def laid_aside(state: OpenRun) -> OpenRun:
    """The state as another process gets it."""
    data = pickle.dumps(state)
    state.close()
    return pickle.loads(data)


def driven(state: OpenRun, instance, *, aside=()) -> OpenRun:
    """Tell backwards and in halves, lay the run aside before some of the values are told."""
    told = 0
    while not state.done:
        X = state.ask()
        values = [part[::-1] for part in (X, *instance.evaluate(X))]
        half = X.shape[0] // 2
        if half:
            state.tell(*(part[:half] for part in values))
        if told in aside:
            state = laid_aside(state)
            assert np.array_equal(np.sort(state.pending, axis=0), np.sort(values[0][half:], axis=0))
        state.tell(*(part[half:] for part in values))
        told += 1
        if told in aside:
            state = laid_aside(state)
    return state


# -- as if it evaluated --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", SEVERAL)
def test_told_values_give_the_run_that_evaluates(solver):
    instance = optisolve.load_problem("uav_isac").instance(0)
    settings = {"budget": Budget(evaluations=230), "seed": 3, "llm": "surrogate"}
    whole = optisolve.solve(instance, solver, **settings)
    state = driven(optisolve.start(solver, instance, **settings), instance, aside=(1, 2))
    assert state.result.result_hash == whole.result_hash
    assert state.result.front.equals(whole.front)
    assert state.best.shape[0] >= len(whole.front) - 1


@pytest.mark.parametrize("solver", ONE)
@pytest.mark.parametrize("integers", [False, True])
def test_one_objective_with_a_constraint_likewise(solver, integers):
    instance = SumCapSphere(integers=integers).instance(1)
    if optisolve.load_solver(solver).skip(instance):
        pytest.skip(f"{solver} does not treat integers")
    settings = {"budget": Budget(evaluations=230, llm_calls=6), "seed": 3, "llm": "surrogate"}
    whole = optisolve.solve(instance, solver, **settings)
    state = driven(optisolve.start(solver, instance, **settings), instance, aside=(1, 4))
    assert state.result.result_hash == whole.result_hash
    assert state.best.iloc[0, 0] == pytest.approx(whole.scores["objective"])


def space_of(instance) -> dict:
    return {
        "space": instance.space,
        "objectives": instance.objectives,
        "constraints": instance.constraint_names,
        "box": instance.hypervolume_box,
    }


@pytest.mark.parametrize("solver", ["moead_de", "nsga2", "ledma"])
def test_a_space_and_told_values_are_enough(solver):
    """Where nothing but values matters to a solver, it finds the same without the instance."""
    instance = ShiftedZdt1().instance(4)
    settings = {"budget": Budget(evaluations=250), "seed": 5, "llm": "surrogate"}
    state = driven(optisolve.start(solver, **space_of(instance), name="lab", **settings), instance, aside=(1,))
    result = state.result
    assert result.record.instance.scenario == "lab"
    assert result.point_status is PointStatus.FEASIBLE
    assert result.record.provenance.tier == "self_reported"
    assert np.array_equal(result.F, instance.evaluate(result.X).F)
    if solver != "ledma":  # its prompts hold words about the problem
        assert result.front.equals(optisolve.solve(instance, solver, **settings).front)


def test_a_record_of_told_values_is_kept_with_its_history(tmp_path):
    instance = SumCapSphere().instance(1)
    state = optisolve.load_solver("nsga2", pop_size=20).start(
        **space_of(instance), budget=Budget(evaluations=100), history="all"
    )
    result = driven(state, instance).result
    assert len(result.history) == 100
    folder = result.save(tmp_path)
    audit = optisolve.verify(folder)
    assert audit
    assert audit.tier == "self_reported"
    assert any("nothing but the hashes can be checked" in note for note in audit.notes)


def test_another_process_goes_on_where_this_one_stopped(tmp_path):
    instance = ShiftedZdt1().instance(4)
    state = optisolve.start("nsga2", **space_of(instance), budget=Budget(evaluations=300), seed=5)
    X = state.ask(40)
    state.tell(X, instance.evaluate(X).F)
    (tmp_path / "state.pickle").write_bytes(pickle.dumps(state))
    state.close()
    there = """
import pickle, sys
from pathlib import Path
from optisolve.testing.toys import ShiftedZdt1
file, instance = Path(sys.argv[1]), ShiftedZdt1().instance(4)
state = pickle.loads(file.read_bytes())
while not state.done:
    X = state.ask()
    state.tell(X, instance.evaluate(X).F)
file.write_bytes(pickle.dumps(state))
"""
    file = tmp_path / "state.pickle"
    subprocess.run([sys.executable, "-c", there, str(file)], check=True, timeout=240)
    back = pickle.loads(file.read_bytes())
    whole = optisolve.solve(instance, "nsga2", budget=Budget(evaluations=300), seed=5)
    assert back.result.front.equals(whole.front)


def test_a_copy_asks_its_language_model_nothing_twice(monkeypatch):
    asked = []
    complete = SurrogateClient.complete

    async def counted(self, request, key):
        asked.append(key)
        return await complete(self, request, key)

    monkeypatch.setattr(SurrogateClient, "complete", counted)
    instance = ShiftedZdt1().instance(4)
    state = optisolve.start("ledma", instance, budget=Budget(evaluations=300), seed=5, llm="surrogate")
    result = driven(state, instance, aside=(1, 2, 3)).result
    assert len(asked) == len(set(asked)) == result.record.used.llm_calls > 0


def test_the_replies_of_a_language_model_are_saved_with_the_result(tmp_path):
    instance = optisolve.load_problem("uav_isac").instance(0)
    state = optisolve.start("ledma", instance, budget=Budget(evaluations=230), llm="surrogate")
    result = driven(state, instance, aside=(2,)).result
    del state
    gc.collect()
    folder = result.save(tmp_path)
    assert (folder / "transcript.jsonl").stat().st_size
    assert optisolve.verify(folder, reproduce=True).tier == "reproduced"


# -- asking and telling --------------------------------------------------------------------------------------------------


def begun(solver="nsga2", **settings):
    instance = SumCapSphere().instance(1)
    settings = {"budget": Budget(evaluations=60), "pop_size": 20, **settings}
    return optisolve.start(solver, **space_of(instance), **settings), instance


def test_points_can_be_asked_in_parts():
    state, instance = begun()
    first, second = state.ask(5), state.ask(7)
    rest = state.ask()
    assert [len(X) for X in (first, second, rest)] == [5, 7, 8]
    assert np.array_equal(state.pending, np.concatenate([first, second, rest]))
    with pytest.raises(SolverError, match="20 points wait for values"):
        state.ask()
    state.tell(second, *_FG(instance, second))
    assert state.evaluations == 7
    with pytest.raises(SolverError, match="13 points wait"):
        state.ask(1)
    state.close()


def _FG(instance, X):
    F, G, _ = instance.evaluate(X)
    return F, G


def test_one_point_at_a_time_will_do():
    state, instance = begun(budget=Budget(evaluations=45))
    while not state.done:
        x = state.ask(1)[0]
        F, G = _FG(instance, x)
        state.tell(x, float(F[0, 0]), float(G[0, 0]))
    assert state.evaluations == state.result.record.used.evaluations == 45
    with pytest.raises(SolverError, match="has ended"):
        state.ask()


@pytest.mark.parametrize(
    ("told", "error"),
    [
        (lambda X, F, G: (X + 0.01, F, G), "row 0 of X was not asked for.*warm_start"),
        (lambda X, F, G: (X[[0, 1, 0]], F[:3], G[:3]), "row 2 of X stands there twice"),
        (lambda X, F, G: (np.vstack([X, X]), np.vstack([F, F]), np.vstack([G, G])), "stands there twice"),
        (lambda X, F, G: (X, F[:3], G), r"F has shape \(3, 1\) for 10 points; expected numbers \[10, 1\] \(closeness\)"),
        (lambda X, F, G: (X, F), "G is missing; it holds sum_cap"),
        (lambda X, F, G: (X, F, G, G), "H has shape .* expected nothing"),
        (lambda X, F, G: (X[:, :2], F, G), r"X has shape \(10, 2\)"),
        (lambda X, F, G: (X, ["a"] * 10, G), "F has shape"),
        (lambda X, F, G: ([], [], []), "X has shape"),
    ],
)
def test_what_cannot_be_told_is_refused_and_nothing_is_taken_over(told, error):
    state, instance = begun()
    X = state.ask(10)
    with pytest.raises(SolverError, match=error):
        state.tell(*told(X, *_FG(instance, X)))
    assert state.evaluations == 0
    state.tell(X, *_FG(instance, X))
    with pytest.raises(SolverError, match="no point waits"):
        state.tell(X, *_FG(instance, X))
    state.ask(1)
    with pytest.raises(SolverError, match="row 0 of X was told before"):
        state.tell(X[:1], *_FG(instance, X[:1]))
    state.close()


def test_points_that_went_through_a_text_are_known_again():
    state, instance = begun(budget=Budget(evaluations=20))
    X = state.ask()
    printed = np.array([[float(f"{value:.11g}") for value in x] for x in X])
    assert not np.array_equal(printed, X)
    state.tell(printed, *_FG(instance, X))
    assert state.done
    assert np.array_equal(np.sort(state.result.run.evaluator.history.F_min[:, 0]), np.sort(-instance.evaluate(X).F[:, 0]))


@pytest.mark.parametrize("policy", ["penalize", "skip", "stop"])
def test_points_that_failed_follow_the_policy(policy):
    state, instance = begun(on_failure=policy)

    def go_on():
        rounds = 0
        while not state.done:
            X = state.ask()
            F, G = _FG(instance, X)
            F[:4] = np.nan if rounds == 1 else F[:4]
            state.tell(X, [None if np.isnan(f) else f for f in F[:, 0]], G)
            rounds += 1

    if policy == "stop":
        with pytest.raises(SolverError, match="cannot evaluate a point"):
            go_on()
    else:
        go_on()
    used = state.result.record.used
    assert used.failed == 4
    assert used.evaluations == {"penalize": 60, "skip": 60, "stop": 40}[policy]
    assert state.result.termination is (Termination.ERROR if policy == "stop" else Termination.LIMIT)
    assert len(state.result.X)


def test_points_of_ones_own_are_asked_for_first():
    X0 = np.array([[1.0, 1.0, 1.0, 1.0], [2.0, 2.0, 2.0, 2.0]])
    state, _ = begun(warm_start=X0)
    assert np.array_equal(state.ask(2), X0)
    state.close()


# -- ends ----------------------------------------------------------------------------------------------------------------


def test_a_run_can_be_ended_in_the_middle_of_a_batch():
    state, instance = begun(history="all")
    for count in (20, 6):
        X = state.ask(count)
        state.tell(X, *_FG(instance, X))
    with pytest.raises(SolverError, match=r"26 of 60 evaluations told.*state\.stop"):
        state.result  # noqa: B018
    copied = laid_aside(state)
    for one in (state, copied):
        result = one.stop()
        assert result.termination is Termination.INTERRUPTED
        assert result.record.used.evaluations == len(result.history) == 26
        assert result.scores["objective"] == pytest.approx(one.best.iloc[0, 0])
        assert one.done


def test_a_run_that_was_never_asked_ends_with_nothing():
    state, _ = begun()
    assert state.stop().point_status is PointStatus.NONE


@dataclass(frozen=True, slots=True)
class Breaks(Solver):
    info: ClassVar[SolverInfo] = SolverInfo("breaks", "1", "evaluates twice and breaks")

    def _solve(self, task: Task) -> Outcome:
        task.evaluate(np.empty((0, task.instance.space.dim)))
        for _ in range(2):
            task.evaluate(task.instance.space.sample(task.rng(), 5))
        raise ZeroDivisionError("a bug of the plug-in")


def test_an_error_of_the_solver_comes_out_where_it_is_asked():
    instance = SumCapSphere().instance(1)
    state = Breaks().start(**space_of(instance), budget=Budget(evaluations=60))
    for _ in range(2):
        X = state.ask()
        state.tell(X, *_FG(instance, X))
    with pytest.raises(SolverError, match="breaks broke: a bug of the plug-in") as caught:
        state.ask()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert state.result.termination is Termination.ERROR
    assert state.result.record.used.evaluations == 10


@dataclass(frozen=True, slots=True)
class Fickle(Solver):
    info: ClassVar[SolverInfo] = SolverInfo("fickle", "1", "never the same", deterministic=False)

    def _solve(self, task: Task) -> Outcome:
        while task.meter.remaining_evaluations:
            task.evaluate(task.instance.space.sample(np.random.default_rng(), 5))
        return task.outcome(Termination.CONVERGED)


def test_a_solver_that_does_not_repeat_itself_is_found_out():
    instance = SumCapSphere().instance(1)
    state = Fickle().start(**space_of(instance), budget=Budget(evaluations=20))
    X = state.ask()
    state.tell(X, *_FG(instance, X))
    state.ask()
    other = laid_aside(state)
    other.tell(other.pending, *_FG(instance, other.pending))
    with pytest.raises(SolverError, match="asks for other points than before"):
        other.ask()


def test_a_closed_run_can_be_asked_again():
    state, instance = begun()
    with state:
        X = state.ask()
        state.tell(X, *_FG(instance, X))
        Y = state.ask()
        assert len(threads()) == 1
    assert not threads()
    state.tell(Y, *_FG(instance, Y))
    assert len(state.ask()) == 20
    del state
    gc.collect()
    assert not threads()


def test_the_caller_is_free_of_the_run_while_it_sleeps():
    """Neither the watch on evaluations nor a solver's private random state reaches the caller."""
    np.random.seed(7)
    expected = np.random.rand(3)
    np.random.seed(7)
    instance = SumCapSphere().instance(1)
    state = optisolve.start("cma_es", instance, budget=Budget(evaluations=60))
    X = state.ask()
    assert np.array_equal(np.random.rand(3), expected)
    instance.evaluate(X)
    assert state.evaluations == 0
    inner = optisolve.solve(instance, "random_search", budget=Budget(evaluations=30))
    assert inner.record.used.evaluations == 30
    state.close()


# -- beginnings ----------------------------------------------------------------------------------------------------------


def test_bad_beginnings_are_refused_in_words():
    space = Space.of([Variable("a", 0.0, 1.0), Variable("b", 0.0, 1.0)])
    cost, rate = Objective("cost", Sense.MINIMIZE), Objective("rate", Sense.MAXIMIZE)
    with pytest.raises(OptionError, match=r"box: got None, expected for 2 objectives: \(reference, ideal\)"):
        optisolve.start("nsga2", space, [cost, rate])
    with pytest.raises(OptionError, match=r"objectives: got \(\)") as caught:
        optisolve.start("nsga2", space, name="a name", on_failure="perhaps")
    assert len(caught.value.problems) == 3
    with pytest.raises(SolverError, match="has no clock"):
        optisolve.start("nsga2", space, [cost], budget=Budget(seconds=5.0))
    with pytest.raises(SolverError, match="wmmse skips told"):
        optisolve.start("wmmse", space, [cost])
    with pytest.raises(SolverError, match="says itself what is measured"):
        optisolve.start("nsga2", SumCapSphere(), [cost])
    with pytest.raises(SolverError, match="expected a Space, an instance or a problem"):
        optisolve.start("nsga2", [0, 1], [cost])
    with pytest.raises(SolverError, match="n is 0"):
        optisolve.start("nsga2", space, [cost]).ask(0)


def test_copies_and_words():
    state, _ = begun()
    assert repr(state) == "<OpenRun nsga2 on told: 0 of 60 evaluations told, 0 points wait for values>"
    state.ask(3)
    again = copy.deepcopy(state)
    assert np.array_equal(again.pending, state.pending)
    assert "3 points wait" in repr(again)
    state.close()


def test_equalities_and_integers_are_repaired_as_elsewhere():
    """What the repair looks at is asked for like any other point."""

    def cost(x):
        return ((x - np.array([1.0, 2.0, 3.0])) ** 2).sum()

    def total(x):
        return x.sum() - 7.0

    problem = optisolve.problem(cost, [0, 0, 0], [5, 5, 5], integer=[0], eq=total)
    instance = problem.instance()
    state = optisolve.start(
        "moead_de", instance.space, instance.objectives, equalities=["total"], seed=2, budget=Budget(evaluations=400)
    )
    while not state.done:
        X = state.ask()
        F, _, H = instance.evaluate(X)
        state.tell(X, F, H=H)
    result = state.result
    assert result.feasible
    assert result.X[0].sum() == pytest.approx(7.0, abs=1e-8)
    assert result.X[0, 0] == 1.0
    assert result.scores["objective"] == pytest.approx(0.5, abs=1e-2)


def test_a_tolerance_can_be_set():
    state, _ = begun(tolerance={"sum_cap": 100.0})
    X = state.ask(1)
    state.tell(X, 0.0, 99.0)
    assert len(state.best) == 1
    assert state.stop().feasible

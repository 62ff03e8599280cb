"""Limits on time and memory hold, and what was found by then is kept."""

import time
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

import optisolve
from optisolve.cli.main import main
from optisolve.core.clock import limited, so_far, stood_still_s, time_left
from optisolve.core.memory import NoRoom, require_room, room_bytes
from optisolve.core.reference import Effort, Reference
from optisolve.core.solver import Outcome, Solver, SolverInfo, Task
from optisolve.core.status import Evidence, Limit, PointStatus, Termination
from optisolve.modelling import assignment
from optisolve.run.aside import Late, aside, get_ready, limited_reference

LIMIT_S = 0.3


def sum_of_squares(X: np.ndarray) -> np.ndarray:
    """[n, d] to [n]."""
    return (X**2).sum(axis=1)


def toy() -> optisolve.Problem:
    return optisolve.problem(sum_of_squares, [-1.0, -1.0], [1.0, 1.0], vectorized=True)


@dataclass(frozen=True, slots=True)
class Endless(Solver):
    """Evaluates one point and never looks at the clock again."""

    info: ClassVar = SolverInfo(name="endless", version="1", summary="Never ends.")

    def _solve(self, task: Task) -> Outcome:
        task.evaluate(np.array([[0.5, 0.25]]))
        while True:
            try:
                sum(range(100))
            except Exception:  # what many a library does
                continue


def test_a_solver_that_never_looks_at_the_clock_is_ended_and_its_points_are_kept() -> None:
    begin = time.perf_counter()
    result = optisolve.solve(toy(), Endless(), budget=optisolve.Budget(seconds=LIMIT_S))
    assert result.run.wall_s < 1.1 * LIMIT_S + 0.5 + (time.perf_counter() - begin - result.run.wall_s)
    assert (result.termination, result.limit) == (Termination.LIMIT, Limit.TIME)
    assert result.run.outcome.detail == "stopped: limit (0.3 s)"
    np.testing.assert_array_equal(result.X, [[0.5, 0.25]])


@dataclass(frozen=True, slots=True)
class Curious(Solver):
    """Asks what a back end that it called would be told."""

    info: ClassVar = SolverInfo(name="curious", version="1", summary="Asks for the time that is left.")

    def _solve(self, task: Task) -> Outcome:
        left = time_left()
        task.evaluate(np.array([[0.0, 0.0 if left is None else min(left, 30.0) / 30.0]]))
        return task.outcome(Termination.CONVERGED)


def test_back_ends_that_a_solver_calls_in_its_own_process_are_told_what_is_left() -> None:
    for seconds, told in ((None, 0.0), (15.0, 0.5)):
        result = optisolve.solve(toy(), Curious(), budget=optisolve.Budget(seconds=seconds, evaluations=1))
        assert result.X[0, 1] == pytest.approx(told, abs=0.2)


def test_a_search_that_begins_with_linear_programs_has_points_when_the_time_ends() -> None:
    instance = optisolve.load_problem("traffic_engineering/gabriel_100").instance(0)
    optisolve.solve(instance, "null", budget=optisolve.Budget(evaluations=10))  # imports
    result = optisolve.solve(instance, "weight_search", budget=optisolve.Budget(seconds=2.0))
    assert len(result.X) == 1
    assert result.limit is Limit.TIME


def slept(seconds: float, found: float) -> float:
    """Compiled code that looks at no clock; says before what is known."""
    so_far(found)
    time.sleep(seconds)
    return 2.0 * found


def lacking() -> None:
    raise MemoryError("no bytes left")


def left() -> float | None:
    return time_left()


def test_work_in_another_process_is_cut_off_with_what_it_had_found() -> None:
    assert aside(slept, 0.0, 4.0, seconds=20.0) == 8.0
    assert (aside(left, seconds=20.0) or 0.0) > 10.0, "the work is told what time it has"
    assert aside(lacking, seconds=20.0) == Late("memory", "out of memory: no bytes left")
    begin = time.perf_counter()
    told = aside(slept, 60.0, 4.0, seconds=LIMIT_S)
    assert isinstance(told, Late)
    assert told.kind == "time"
    assert told.so_far == 4.0
    assert time.perf_counter() - begin < 10.0
    assert time_left() is None, "here nobody has set a limit"


def slow_to_compile(x: float) -> float:
    """A compiled function whose compilation takes longer than the limit."""
    from numba.extending import overload

    from optisolve.numerics.compiled import njit

    def part() -> None: ...

    @overload(part)
    def typed() -> object:
        time.sleep(3.0 * LIMIT_S)
        return lambda: None

    @njit(cache=False)
    def kernel(value: float) -> float:
        part()
        return 2.0 * value

    return kernel(x)


@dataclass(frozen=True, slots=True)
class Compiling(Solver):
    """Compiles on the way."""

    info: ClassVar = SolverInfo(name="compiling", version="1", summary="Compiles, then evaluates a point.")

    def _solve(self, task: Task) -> Outcome:
        task.evaluate(np.array([[slow_to_compile(0.25), 0.25]]))
        return task.outcome(Termination.CONVERGED)


def test_the_clock_stands_still_while_a_kernel_is_compiled() -> None:
    result = optisolve.solve(toy(), Compiling(), budget=optisolve.Budget(seconds=LIMIT_S))
    assert result.termination is Termination.CONVERGED
    np.testing.assert_array_equal(result.X, [[0.5, 0.25]])
    get_ready(toy().instance(0), ("numba.extending", "optisolve.numerics.compiled"))
    before = stood_still_s()
    told = aside(slow_to_compile, 4.0, seconds=LIMIT_S, grace_s=LIMIT_S)
    assert told == 8.0, "the compilation of another process is none of its time"
    assert stood_still_s() > before + 2.0 * LIMIT_S, "and none of ours"


@pytest.mark.parametrize(
    ("scenario", "params"),
    [
        ("beamforming", {"n_antennas": 4, "n_users": 3}),
        ("beamforming/max_min", {"n_antennas": 4, "n_users": 3}),
        ("beamforming/sum_rate", {"n_antennas": 4, "n_users": 3}),
        ("offloading/multi_server", {"n_users": 8}),
        ("parallel_channels", {}),
        ("power_control", {"n_links": 4}),
        ("power_control/max_min", {"n_links": 4}),
        ("traffic_engineering", {}),
        ("traffic_engineering/segments", {}),
        ("traffic_engineering/split", {}),
        ("user_association/sum_rate", {"n_users": 10, "n_small": 2}),
    ],
)
def test_a_reference_says_what_it_knows_before_its_long_work_begins(scenario: str, params: dict[str, int]) -> None:
    problem = optisolve.load_problem(scenario, **params)
    instance = problem.instance(0)
    told: list[Reference] = []
    with limited(1e4, told.append):
        final = problem.reference(instance, Effort.THOROUGH)
    free = problem.reference(instance, Effort.THOROUGH)
    assert final is not None
    assert free is not None
    assert (final.evidence, final.dual_bound) == (free.evidence, free.dual_bound), "a limit that is far away changes nothing"
    assert told
    for known in told:
        assert known.evidence is not Evidence.NONE
        if known.dual_bound is not None and final.value is not None:  # whoever is cut off there holds a valid bound
            assert instance.objectives[0].shortfall(final.value, known.dual_bound) >= -known.tie - final.tie


@pytest.mark.parametrize(
    ("scenario", "params"),
    [
        ("beamforming/sum_rate", {"n_antennas": 40, "n_users": 20}),
        ("power_control", {"n_links": 60}),
        ("pricing_game", {"n_links": 40}),
        ("radio_planning/urban_macro", {}),
        ("uav_isac", {"n_users": 7}),
    ],
)
def test_a_reference_by_many_starts_ends_with_the_time_and_keeps_what_it_has(scenario: str, params: dict[str, int]) -> None:
    problem = optisolve.load_problem(scenario, **params)
    instance = problem.instance(0)
    begin = time.perf_counter() - stood_still_s()
    told: list[object] = []
    with limited(LIMIT_S, told.append):
        found = problem.reference(instance, Effort.THOROUGH)
    assert time.perf_counter() - stood_still_s() - begin < 10.0
    assert found is not None
    assert found.X is not None
    assert told, "whoever is cut off has something"


def test_a_reference_that_ends_late_is_what_is_known_of_it_or_says_that_there_is_no_bound() -> None:
    problem = optisolve.load_problem("power_control", n_links=40)
    told = limited_reference(problem, problem.instance(0), Effort.NORMAL, 0.05)
    assert told is not None
    assert told.evidence in (Evidence.NONE, Evidence.BEST_KNOWN, Evidence.DUAL_BOUND)
    assert "no bound within 0.05 s" in told.detail or "stopped" in told.detail


@pytest.mark.slow
def test_a_solver_under_a_generous_limit_finds_and_counts_what_it_does_without_one() -> None:
    instance = optisolve.load_problem("offloading").instance(0)
    free, timed = (
        optisolve.solve(instance, "cpsat", budget=optisolve.Budget(evaluations=100, seconds=s)) for s in (None, 300.0)
    )
    np.testing.assert_array_equal(free.X, timed.X)
    assert free.record.used.evaluations == timed.record.used.evaluations
    assert (free.termination, free.run.outcome.dual_bound) == (timed.termination, timed.run.outcome.dual_bound)


def test_an_assignment_that_opens_slots_as_they_are_needed_finds_the_same_value(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        rows, groups = rng.integers(1, 30), rng.integers(1, 6)
        values = np.where(rng.random((rows, groups)) < 0.3, -np.inf, 10.0 * rng.random((rows, groups)))
        costs = np.sort(rng.random((groups, rows)), axis=1)
        costs[:, rng.integers(1, rows + 1) :] = np.inf  # a quota
        form = assignment.AssignmentModel(values, costs, lambda g: g.astype(float), float)
        whole = assignment.solve_assignment(form)
        with monkeypatch.context() as patch:
            patch.setattr(assignment, "_DENSE_BYTES", 0.0)
            opened = assignment.solve_assignment(form)
        assert opened.termination is whole.termination
        if whole.dual_bound is not None and opened.dual_bound is not None:
            assert opened.dual_bound == pytest.approx(whole.dual_bound, rel=1e-12)


def test_what_needs_more_memory_than_there_is_says_which_size_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optisolve.problems.cell_free.convex.room_bytes", lambda: 2e9)
    monkeypatch.setattr("optisolve.core.memory.room_bytes", lambda: 2e9)
    instance = optisolve.load_problem("cell_free", n_access_points=160, n_users=40, pilot_symbols=40).instance(0)
    result = optisolve.solve(instance, "cvxpy")
    assert (result.limit, result.point_status) == (Limit.MEMORY, PointStatus.NONE)
    assert "n_users=40 needs about 36 GB of memory" in result.run.outcome.detail
    assert "n_users=15 would fit" in result.run.outcome.detail


def test_room_is_what_the_process_may_still_get() -> None:
    assert 1e6 < room_bytes() < 1e15
    require_room(1.0, "a byte", "")
    with pytest.raises(NoRoom, match=r"A galaxy needs about 1e\+30 GB of memory, and .* GB are there\. Take a star\."):
        require_room(1e39, "A galaxy", "Take a star.")


class TooLarge(optisolve.Problem):
    """Its instances find no memory."""

    name: ClassVar[str] = "too_large"
    version: ClassVar[str] = "1"
    summary: ClassVar[str] = "Too large."

    def instance(self, seed: int = 0) -> optisolve.Instance:
        raise MemoryError(f"Unable to allocate 26.9 GiB for seed {seed}")


def test_an_instance_without_memory_is_no_raw_error() -> None:
    with pytest.raises(optisolve.OptisolveError, match=r"instance of too_large finds no memory \(Unable to allocate 26.9 GiB"):
        TooLarge().instance(0)


def test_squares_on_many_servers_stay_within_64_bits() -> None:
    form = optisolve.load_problem("offloading/multi_server", n_users=150).instance(0).model("cpsat")
    assert form.model.validate() == ""


@pytest.mark.slow
def test_a_run_under_a_limit_says_what_its_reference_has_reached(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["problem=power_control", "problem.n_links=60", "solver=null", "budget.seconds=30", "reference_limit_s=0.01"]
    assert main(["run", *words, "reference=normal", "pictures=false", f"out={tmp_path}"]) == 0
    assert "reference: none (power_control; no bound within 0.01 s)" in capsys.readouterr().out

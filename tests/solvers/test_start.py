"""Starting points: where they come from, that none is paid for twice, and that a population follows the budget."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import optisolve
from optisolve.content import shipped_only
from optisolve.core import Budget, Evaluation, Outcome, Solver, SolverInfo, Task
from optisolve.core.errors import OptionError, OptisolveError, SolverError
from optisolve.core.seeds import generator
from optisolve.core.solver import Known, is_start
from optisolve.core.status import Termination
from optisolve.plotting.figures import credited_sources
from optisolve.run.schema import SourcePart
from optisolve.solvers.known import best_of, joined
from optisolve.solvers.moead import Moead, MoeadDe
from optisolve.solvers.pymoo_adapter import CmaEs, Nsga2, Nsga3, SmsEmoa
from optisolve.solvers.scipy_local import ScipyLocal
from optisolve.solvers.start import PopulationOptions, Start, population, starting_points
from tests.solvers.toys import Constr, Run, Sphere, Zdt1, solve

SMALL = {"n_uavs": 1, "n_users": 3}
SEVERAL = [Moead(), MoeadDe(), Nsga2(), Nsga3(), SmsEmoa()]


def name(solver: Solver) -> str:
    return solver.info.name


@dataclass(frozen=True, slots=True)
class Beginner(PopulationOptions):
    """Evaluates its first points and nothing else."""

    info: ClassVar[SolverInfo] = SolverInfo(name="beginner", version="1", summary="First points only.")

    def _solve(self, task: Task) -> Outcome:
        first = starting_points(task, self, self.population(task.meter.budget))
        if first.source:
            task.evaluate(task.instance.project(first.X), source=first.source)
        return task.outcome(Termination.CONVERGED)


def labels(run: Run) -> list[str]:
    history = run.evaluator.history
    return [history.sources[code] for code in history.source]


def paid(instance: optisolve.Instance, n: int, seed: int = 0) -> Known:
    X = instance.project(instance.space.sample(generator(seed, purpose="known"), n))
    return Known(X, instance.evaluate(X))


def started(init: Any, n: int = 20, instance: optisolve.Instance | None = None, **task_fields: Any) -> Run:
    case = Zdt1(dim=5).instance() if instance is None else instance
    return solve(case, Beginner(init=init, pop_size=n), 1000, **task_fields)


# -- sources and shares ------------------------------------------------------------------------------------------------


def test_a_source_may_be_written_alone_in_a_list_and_as_yaml_reads_null() -> None:
    assert Beginner(init="auto").init == Beginner(init=["auto"]).init == ("auto",)
    assert Beginner(init=None).init == Beginner(init="null").init == ("null",)
    assert Beginner(init=[None, "ddpm:0.5"]).init == ("null", "ddpm:0.5")
    assert Beginner.from_mapping(Beginner(init=[None, "ddpm:0.5"]).options()) == Beginner(init=("null", "ddpm:0.5"))


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        ("halton", "'halton' is none of them"),
        ([], "at least one of"),
        (3, "'3' is none of them"),
        ("ddpm:2", "a share above 0 and at most 1"),
        ("uniform:0", "a share above 0 and at most 1"),
        ("uniform:nan", "a share above 0 and at most 1"),
        ("null:many", "a number after 'null:'"),
        (["ddpm:0.7", "uniform:0.7"], "add up to at most 1, not 1.4"),
        ("file:", "file:PATH"),
        ("auto:0.5", "auto without a share"),
    ],
)
def test_what_is_no_source_is_one_error_that_names_the_field_and_what_was_expected(bad: Any, expected: str) -> None:
    with pytest.raises(OptionError) as caught:
        Beginner.from_mapping({"init": bad, "pop_size": 1})
    assert [problem.field for problem in caught.value.problems] == ["init", "pop_size"]
    assert expected in caught.value.problems[0].expected


def test_shares_come_first_and_sources_without_one_divide_what_is_left() -> None:
    run = started(["uniform:0.2", "null", "latin_hypercube", "uniform"])
    assert Counter(labels(run)) == {"start:uniform": 4 + 7, "start:null": 2, "start:latin_hypercube": 7}
    assert labels(run)[:4] == ["start:uniform"] * 4


def test_uniform_points_take_the_place_of_what_a_source_cannot_give() -> None:
    assert Counter(labels(started("null"))) == {"start:null": 2, "start:uniform": 18}
    assert Counter(labels(started("null", instance=Sphere().instance()))) == {"start:uniform": 20}
    assert Counter(labels(started("latin_hypercube:0.5"))) == {"start:latin_hypercube": 10, "start:uniform": 10}


def test_all_points_are_there_and_the_same_seed_gives_the_same_ones() -> None:
    for init in ("uniform", "latin_hypercube", ["null", "uniform:0.3", "latin_hypercube"]):
        first, again, other = (started(init, 17, seed=seed).points for seed in (1, 1, 2))
        assert first.shape == (17, 5)
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, other)


def test_many_trivial_answers_are_a_quarter_of_the_points_beside_others_and_spread() -> None:
    instance = optisolve.load_problem("pymoo/zdt1").instance(0)
    nulls = np.concatenate([np.atleast_2d(X) for X in instance.null_policies().values()])
    assert len(nulls) > 20
    run = started("auto", instance=instance)
    assert Counter(labels(run)) == {"start:null": 5, "start:uniform": 15}
    np.testing.assert_allclose(run.points[[0, 4]], instance.project(nulls[[0, -1]]))
    assert Counter(labels(started("null", instance=instance))) == {"start:null": 20}


def test_auto_takes_the_sampler_where_weights_are_shipped_and_random_points_elsewhere() -> None:
    assert Counter(labels(started("auto"))) == {"start:null": 2, "start:uniform": 18}
    uav = optisolve.load_problem("uav_isac").instance(20)
    nulls = sum(np.atleast_2d(X).shape[0] for X in uav.null_policies().values())
    run = started("auto", instance=uav)
    assert Counter(labels(run)) == {"start:null": nulls, "start:ddpm": 20 - nulls}
    np.testing.assert_array_equal(run.points, started("auto", instance=uav).points)
    assert Beginner(init="auto").checkpoint(uav)["name"] == "uav_isac"
    assert Beginner(init="auto").checkpoint(Zdt1().instance()) is None


def test_a_sampler_that_is_named_and_not_there_is_said_before_the_run() -> None:
    instance = Zdt1(dim=5).instance()
    for solver in (MoeadDe(init="ddpm"), Nsga2(init=["null", "ddpm:0.5"])):
        assert "none is shipped for zdt1" in str(solver.skip(instance))
    with pytest.raises(SolverError, match="init=ddpm needs a trained sampler"):
        started("ddpm")


def test_where_the_sampler_makes_the_points_a_population_begins_with_more_than_it_holds() -> None:
    uav = optisolve.load_problem("uav_isac").instance(20)
    for solver in (MoeadDe(init="auto"), Nsga2(init="auto")):
        made = Counter(labels(solve(uav, solver, 60)))
        assert made["start:null"] + made["start:ddpm"] == 48
    said = Counter(labels(solve(uav, MoeadDe(init="auto", pop_size=20), 60)))
    assert said["start:null"] + said["start:ddpm"] == 20


# -- a population that follows the budget ------------------------------------------------------------------------------


def test_a_population_grows_with_the_evaluations_and_stays_between_ten_and_a_hundred() -> None:
    sizes = [population(n) for n in (1, 20, 50, 100, 200, 500, 1000, 5000, 30_000)]
    assert sizes == [10, 10, 10, 12, 17, 27, 38, 85, 100]
    assert population(None) == 100


@pytest.mark.parametrize("solver", SEVERAL, ids=name)
def test_what_is_not_said_of_a_population_follows_the_budget(solver: Solver) -> None:
    def first(solver: Solver, evaluations: int) -> int:
        return labels(solve(Zdt1(dim=5).instance(), solver, evaluations)).count("start:uniform")

    assert [first(solver, n) for n in (7, 60, 400)] == [7, 10, 24]
    assert first(solver.with_option(pop_size=33), 60) == 33


def test_a_budget_of_seconds_alone_gives_a_hundred_points() -> None:
    run = solve(Zdt1(dim=5).instance(), MoeadDe(), budget=Budget(seconds=0.2))
    assert labels(run).count("start:uniform") == 100


def test_the_old_name_of_random_first_points_still_means_what_it_meant() -> None:
    assert MoeadDe.from_mapping({"sampling": "latin_hypercube"}) == MoeadDe(init="latin_hypercube")
    assert MoeadDe(init="latin_hypercube").with_option(sampling="uniform") == MoeadDe()
    assert MoeadDe.from_mapping({"sampling": "uniform", "init": "auto"}) == MoeadDe(init="auto")
    with pytest.raises(OptionError, match=r"init=\[null, ddpm, latin_hypercube\]"):
        MoeadDe.from_mapping({"sampling": "latin_hypercube", "init": ["null", "ddpm"]})


# -- points that are paid for ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", SEVERAL, ids=name)
@pytest.mark.parametrize("n_known", [5, 12, 60])
def test_no_point_that_the_run_has_paid_for_is_evaluated_again(solver: Solver, n_known: int) -> None:
    instance = Zdt1(dim=5).instance()
    known = paid(instance, n_known)
    run = solve(instance, solver.with_option(pop_size=12, init=["null", "uniform"]), 100, known=known)
    assert sum(map(is_start, labels(run))) == max(0, 12 - n_known)
    assert len(run.points) == 100
    assert not {x.tobytes() for x in run.points[: max(0, 12 - n_known)]} & {x.tobytes() for x in known.X}


@pytest.mark.parametrize("solver", SEVERAL, ids=name)
def test_a_population_is_made_of_the_best_of_what_is_known(solver: Solver) -> None:
    instance = Zdt1(dim=5).instance()
    front = np.full((12, 5), 0.3)
    front[:, 0] = np.linspace(0.0, 1.0, 12)  # the optimal front
    bad = paid(instance, 80).X
    X = np.concatenate([bad[:40], front, bad[40:]])
    run = solve(instance, solver.with_option(pop_size=12), 200, known=Known(X, instance.evaluate(X)))
    near = (np.abs(run.points[:, 1:] - 0.3) < 0.05).all(axis=1)
    assert near.mean() > 0.3  # children of random points are never there


def test_one_objective_starts_from_the_best_known_point() -> None:
    instance = Sphere(dim=4).instance()
    known = paid(instance, 200)
    best = known.X[np.argmin(known.evaluation.F[:, 0])]
    run = solve(instance, CmaEs(sigma=1e-3), 40, known=known)
    assert not any(map(is_start, labels(run)))
    assert np.abs(run.points - best).max() < 0.1
    local = solve(instance, ScipyLocal(n_starts=1), 60, known=known)
    np.testing.assert_allclose(local.points[0], best)


def test_trivial_answers_and_a_warm_start_that_are_known_are_not_evaluated_again() -> None:
    instance = Zdt1(dim=5).instance()
    X = np.array([[0.0] * 5, [0.5] * 5])  # as the instance names them
    run = started("null", 20, instance, known=Known(X, instance.evaluate(X)), warm_start=X[:1])
    assert Counter(labels(run)) == {"start:uniform": 18}


def test_a_warm_start_is_evaluated_first_and_counts() -> None:
    warm = np.full((3, 5), 0.25)
    for solver in (MoeadDe(pop_size=12), Nsga2(pop_size=12), Beginner(pop_size=12)):
        run = solve(Zdt1(dim=5).instance(), solver, 12, warm_start=warm)
        assert labels(run) == ["warm_start"] * 3 + ["start:uniform"] * 9
        np.testing.assert_array_equal(run.points[:3], warm)


def test_the_best_of_known_points_are_feasible_ones_of_low_rank_then_those_that_violate_least() -> None:
    instance = Constr().instance()
    known = paid(instance, 60)
    F, violation = known.evaluation.F * instance.signs, known.evaluation.violation
    order = best_of(known, instance, 60)
    n_feasible = int((violation <= 0.0).sum())
    assert 0 < n_feasible < 60
    assert (order.evaluation.violation[:n_feasible] == 0.0).all()
    assert (np.diff(order.evaluation.violation[n_feasible:]) >= 0.0).all()
    feasible = F[violation <= 0.0]
    dominated = (feasible[:, None, :] >= feasible[None, :, :]).all(axis=2) & (feasible[:, None, :] > feasible[None, :, :]).any(
        axis=2
    )
    front = feasible[~dominated.any(axis=1)]
    got = best_of(known, instance, front.shape[0]).evaluation.F * instance.signs
    assert {f.tobytes() for f in got} == {f.tobytes() for f in front}


def test_known_and_new_points_are_one_with_points_that_failed_among_them() -> None:
    instance = Constr().instance()
    first, second = paid(instance, 3), paid(instance, 2, seed=1)
    e = second.evaluation
    failed = Evaluation(e.F, e.G, e.H, np.array([True, False]), e.tolerance)
    both = joined(first, second.X, failed)
    assert both.X.shape == (5, instance.space.dim)
    assert both.evaluation.failed is not None
    assert both.evaluation.failed.tolist() == [False, False, False, True, False]
    assert joined(None, second.X, e).evaluation is e


def test_a_random_start_is_told_from_one_that_knows_something() -> None:
    X = np.zeros((1, 2))
    assert Start(X, ["start:uniform"], None).random
    assert not Start(X, ["start:null"], None).random
    assert not Start(X, [], paid(Zdt1(dim=2).instance(), 1)).random


# -- files -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def uav() -> optisolve.Instance:
    return optisolve.load_problem("uav_isac", **SMALL).instance(0)


def written(path: Path, instance: optisolve.Instance, X: np.ndarray, *, header: bool = True, reverse: bool = False) -> str:
    columns = list(range(instance.space.dim))[:: -1 if reverse else 1]
    head = ",".join(instance.space.names[i] for i in columns) if header else ""
    np.savetxt(path, X[:, columns], delimiter=",", header=head, comments="", fmt="%.17g")
    return f"file:{path}"


def test_points_come_from_tables_arrays_and_records(uav: optisolve.Instance, tmp_path: Path) -> None:
    X = paid(uav, 4).X
    np.save(tmp_path / "points.npy", X)
    for k, init in enumerate(
        (
            written(tmp_path / "plain.csv", uav, X, header=False),
            written(tmp_path / "named.csv", uav, X, reverse=True),
            f"file:{tmp_path / 'points.npy'}",
        )
    ):
        run = started(init, 6, uav)
        assert Counter(labels(run)) == {"start:file": 4, "start:uniform": 2}, k
        np.testing.assert_allclose(run.points[:4], X, rtol=1e-12)
    result = optisolve.solve(uav, "random_search", budget=Budget(evaluations=40))
    folder = result.save(tmp_path)
    for path in (folder, folder / "record.json"):
        np.testing.assert_array_equal(started(f"file:{path}", 50, uav).points[: len(result.X)], result.X)


def test_a_share_of_a_file_is_taken_and_what_it_lacks_goes_to_the_others(uav: optisolve.Instance, tmp_path: Path) -> None:
    init = written(tmp_path / "points.csv", uav, paid(uav, 8).X)
    assert Counter(labels(started([f"{init}:0.25", "latin_hypercube"], 20, uav))) == {
        "start:file": 5,
        "start:latin_hypercube": 15,
    }
    assert Counter(labels(started([init, "latin_hypercube"], 20, uav))) == {"start:file": 8, "start:latin_hypercube": 12}


def test_files_that_hold_no_points_of_the_problem_are_one_error_before_the_run(uav: optisolve.Instance, tmp_path: Path) -> None:
    X = paid(uav, 3).X
    far, odd = X.copy(), X.copy()
    far[1, 0], odd[2, 1] = 1e9, np.nan
    other = optisolve.solve(optisolve.load_problem("power_control"), "null", budget=Budget(evaluations=5)).save(tmp_path)
    (tmp_path / "empty.csv").write_text(",".join(uav.space.names) + "\n")
    (tmp_path / "words.csv").write_text(",".join(uav.space.names) + "\nnorth,south\n")
    (tmp_path / "alien.csv").write_text("a,b\n1,2\n")
    (tmp_path / "points.txt").write_text("1 2 3")
    np.save(tmp_path / "pickled.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "narrow.npy", X[:, :2])
    cases = {
        f"file:{tmp_path / 'none.csv'}": "does not exist",
        written(tmp_path / "far.csv", uav, far): "expected a finite value in",
        written(tmp_path / "odd.csv", uav, odd): "expected a finite value in",
        f"file:{other}": "holds points of power_control, this problem is uav_isac",
        f"file:{tmp_path / 'empty.csv'}": "holds no points",
        f"file:{tmp_path / 'words.csv'}": "cannot be read",
        f"file:{tmp_path / 'alien.csv'}": "columns of another problem",
        f"file:{tmp_path / 'points.txt'}": "must be a .csv or .npy file",
        f"file:{tmp_path / 'pickled.npy'}": "cannot be read",
        f"file:{tmp_path / 'narrow.npy'}": r"has shape (3, 2)",
        f"file:{tmp_path}": "cannot be read",
    }
    for init, expected in cases.items():
        told = MoeadDe(init=init).skip(uav)
        assert told is not None, init
        assert expected in told, told
        assert "\n" not in told
        with pytest.raises(SolverError) as caught:
            optisolve.solve(uav, "moead_de", budget=Budget(evaluations=20), init=init)
        assert expected in str(caught.value)


def test_a_run_from_a_file_is_repeated_from_the_same_file_and_from_no_other(uav: optisolve.Instance, tmp_path: Path) -> None:
    X = paid(uav, 6).X
    init = written(tmp_path / "points.csv", uav, X)
    result = optisolve.solve(uav, "moead_de", budget=Budget(evaluations=40), init=[init, "null"])
    folder = result.save(tmp_path)
    told = result.record.solver.checkpoint
    assert told is not None
    assert told.name == "points.csv"
    assert optisolve.replay(folder).same
    assert optisolve.verify(folder).tier == "self_reported"
    with shipped_only():  # as long as a stranger's record is audited
        assert MoeadDe(init=init).skip(uav) is None
        with pytest.raises(OptisolveError, match="an audit opens shipped files only"):
            started(init, 6, uav)
    written(tmp_path / "points.csv", uav, X[::-1])
    again = optisolve.replay(folder)
    assert not again.same
    assert again.reason == "'solver.checkpoint' differs"


# -- what the record and the pictures tell -----------------------------------------------------------------------------


def test_the_record_tells_what_every_source_of_first_points_gained(tmp_path: Path) -> None:
    uav = optisolve.load_problem("uav_isac").instance(20)
    result = optisolve.solve(uav, "moead_de", budget=Budget(evaluations=100), init="auto", seed=3)
    sources = result.record.used.by_source
    assert {"start:null", "start:ddpm", "de"} == set(sources)
    assert sources["start:null"].gain > 0.0 < sources["start:ddpm"].gain
    assert sum(part.gain for part in sources.values()) == pytest.approx(result.hypervolume)
    folder = result.save(tmp_path)
    assert optisolve.replay(folder).same
    assert optisolve.verify(folder)


def test_pictures_of_credit_show_first_points_unless_all_of_them_are_random() -> None:
    part = SourcePart(evaluations=10, hypervolume_gain=0.1)
    assert credited_sources({"initial": part, "start:uniform": part, "de": part}) == ["de"]
    assert set(credited_sources({"start:null": part, "start:uniform": part, "de": part})) == {
        "start:null",
        "start:uniform",
        "de",
    }

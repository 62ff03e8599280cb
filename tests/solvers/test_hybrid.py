"""The hybrid: what a model is told of an engine, who makes which point, and controls that differ in nothing else."""

import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

import optisolve
from optisolve.content import load_yaml, read_text
from optisolve.core.budget import Budget
from optisolve.core.controls import ASKING
from optisolve.core.errors import OptionError
from optisolve.core.solver import SolverInfo
from optisolve.llm.candidates import Grid
from optisolve.llm.config import llm_config
from optisolve.llm.prompt_lint import lint_prompt
from optisolve.llm.prompts import load_prompt
from optisolve.registry import make_solver
from optisolve.solvers.hybrid import Hybrid, HybridControl
from optisolve.solvers.hybrid.loop import EngineOptions, Made
from optisolve.solvers.hybrid.loop import run as run_hybrid
from optisolve.solvers.hybrid.state import Link, State
from optisolve.solvers.hybrid.words import Question, make_style
from optisolve.solvers.moead.scalarize import Points
from optisolve.testing import SolverConformance
from optisolve.testing.llm_server import Fault, LlmServer
from optisolve.testing.toys import ShiftedZdt1, SumCapSphere
from tests.llm.helpers import config_for

TWO, ONE = ShiftedZdt1(n_variables=3).instance(1), SumCapSphere().instance(1)
"""Two objectives, whose engine is parego; one with a constraint, whose engine is CMA-ES."""


@pytest.fixture(autouse=True)
def _no_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


class TestHybrid(SolverConformance):
    """The public kit: budgets, seeds, controls, verification."""

    evaluations = 12

    def make_solver(self):
        return Hybrid()

    def make_instances(self):
        return [TWO, ONE, SumCapSphere(integers=True).instance(1)]


class TestHybridControl(SolverConformance):
    """The same for the controls."""

    evaluations = 12

    def make_solver(self):
        return HybridControl()

    def make_instances(self):
        return [TWO, ONE]


def run(solver, instance=ONE, *, evaluations=60, calls=200, seed=3, llm="surrogate", scratch=None):
    budget = Budget(evaluations=evaluations, llm_calls=calls)
    llm = llm if solver.info.uses_llm else None
    return optisolve.solve(instance, solver, budget=budget, seed=seed, llm=llm, scratch=scratch)


def sources(result):
    history = result.run.evaluator.history
    return [history.sources[i] for i in history.source]


def values(result):
    return result.run.evaluator.history.F_min


def prompts_of(solver, instance=ONE, *, evaluations=40, **config):
    with LlmServer() as server:
        run(solver, instance, evaluations=evaluations, llm=config_for(server, **config))
        return [body["messages"][0]["content"] if "messages" in body else body["prompt"] for body in server.bodies]


# -- who makes which point -------------------------------------------------------------------------------------------


def test_an_engine_alone_is_parego_point_for_point():
    alone = run(HybridControl(operator="none"), TWO, evaluations=14)
    np.testing.assert_array_equal(values(alone), values(run(make_solver("parego", {}), TWO, evaluations=14)))


@pytest.mark.parametrize("instance", [TWO, ONE], ids=["parego", "cma_es"])
def test_arms_begin_alike_and_give_away_the_same_places(instance):
    """Model, placebo, model without words and Gaussian override make the same places' points; the first points are equal."""
    evaluations = 18 if instance is TWO else 60
    arms = [Hybrid(), Hybrid(placebo=True), Hybrid(domain=False), HybridControl(), HybridControl(operator="none")]
    results = [run(arm, instance, evaluations=evaluations) for arm in arms]
    first = sum(label.startswith("start:") for label in sources(results[0]))
    places = [[label in ("llm", "repaired", "fallback", "control") for label in sources(result)] for result in results]
    assert places[0] == places[1] == places[2] == places[3]
    assert not any(places[4])
    assert sum(places[0]) in (int(0.3 * (evaluations - first)), int(0.3 * (evaluations - first)) + 1)
    for result in results:
        np.testing.assert_array_equal(values(result)[:first], values(results[0])[:first])
        assert result.run.outcome.report["engine"] == ("parego" if instance is TWO else "cma_es")


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_the_share_is_spread_evenly(share):
    made = [label != "cma_es" for label in sources(run(HybridControl(share=share)))[15:]]
    counts = np.cumsum(made)
    assert np.abs(counts - share * np.arange(1, len(made) + 1)).max() <= 1.0 + 1e-9


@pytest.mark.parametrize("fault", [Fault.PROSE, Fault.NAN, Fault.SERVER_ERROR])
def test_a_model_that_fails_leaves_the_engine_s_run_as_it_is(fault):
    with LlmServer(script=lambda number, body: fault) as server:
        failed = run(Hybrid(), llm=config_for(server, retries=0))
    np.testing.assert_array_equal(values(failed), values(run(HybridControl(operator="none"))))
    report = failed.run.outcome.report
    assert report["points"]["fallback"] == sum(report["operator"]["fallbacks"].values()) > 0
    assert "the engine answered 100%" in report["operator"]["warning"]


def test_when_the_calls_are_spent_the_engine_goes_on_alone():
    few = run(Hybrid(), calls=3)
    told = [label for label in sources(few) if label in ("llm", "repaired", "fallback")]
    assert 0 < len(told) <= 3
    assert few.record.used.evaluations == 60
    control = run(HybridControl(max_points=3))
    assert sources(control).count("control") == 3


def test_a_replay_gives_the_same_result_with_the_model_gone(tmp_path):
    with LlmServer(faults={Fault.PROSE: 0.3}, seed=2) as server:
        first = run(Hybrid(), llm=config_for(server, retries=1), scratch=tmp_path)
    again = run(Hybrid(), llm=llm_config("replay", transcript=str(tmp_path / "transcript.jsonl")))
    assert again.result_hash == first.result_hash


def test_several_workers_have_a_batch_and_the_model_several_questions_at_once():
    batched = run(Hybrid(batch_size=6, n_initial=4), TWO, evaluations=16)
    assert batched.run.outcome.report["steps"] == 2
    assert sum(label in ("llm", "repaired") for label in sources(batched)[4:10]) in (1, 2)


@dataclass(frozen=True, slots=True)
class Knowing(EngineOptions):
    """Somebody who knows the optimum makes the share."""

    info: ClassVar[SolverInfo] = SolverInfo(name="knowing", version="1", summary="Knows the optimum.")

    def _solve(self, task):
        return run_hybrid(task, self, _Oracle())


OPTIMUM = SumCapSphere().reference(ONE).X[0]


class _Oracle:
    def make(self, states):
        return [Made(OPTIMUM - 0.2 / (1 + k), "oracle") for k, _ in enumerate(states)]

    def report(self):
        return {}


def test_cma_es_learns_from_the_points_of_others():
    """Its own points come nearer to the optimum when somebody else's lie there, mean over three seeds."""

    def own(solver, seed):
        result = run(solver, seed=seed, evaluations=70)
        mine = np.array([label == "cma_es" for label in sources(result)])
        return np.sort(values(result)[mine][-20:, 0]).mean()

    knowing = np.mean([own(Knowing(), seed) for seed in range(3)])
    assert knowing < np.mean([own(HybridControl(operator="none"), seed) for seed in range(3)])


# -- what the model is told ------------------------------------------------------------------------------------------


def best_block(text):
    return text.split("The best designs, from worst to best:\n")[1].splitlines()


def test_a_model_sees_the_engine_s_state_its_best_five_and_its_last_twenty():
    texts = prompts_of(Hybrid(), evaluations=60)
    for text in texts:
        assert re.search(r"- center: \d+, \d+, \d+, \d+\n- deviations: [\d.]+, ", text)
        last = text.split("The last designs, in order:\n")[1].split("\n\n")[0].splitlines()
        best = best_block(text)
        assert len(last) <= 20
        assert len(best) == 5
        assert not {line.split(" -> ")[0].split(". ")[1] for line in last} & {
            line.split(" -> ")[0].split(". ")[1] for line in best
        }
        scores = [float(line.rsplit("score ", 1)[1]) for line in best if "score" in line]
        assert scores == sorted(scores, reverse=True)
    assert len(texts[-1].split("The last designs, in order:\n")[1].split("\n\n")[0].splitlines()) == 20


def test_a_surrogate_s_expectations_and_the_preference_are_told():
    texts = prompts_of(Hybrid(), TWO, evaluations=24)
    assert all(re.search(r"- expected at the center: f1 \S+ \+- \S+, f2 \S+ \+- \S+\n", text) for text in texts[1:])
    assert all("- variables that sway the objectives most: x" in text for text in texts[1:])
    preferences = [text.split("This time: ")[1].splitlines()[0] for text in texts]
    assert len(set(preferences)) == len(preferences)


@pytest.mark.parametrize("style", ["schema", "continuation"])
def test_without_domain_the_same_numbers_stand_there_without_a_word_of_the_problem(style):
    instance = optisolve.load_problem("uav_isac").instance(0)
    requests = [
        _style(style, instance, domain).request(_question(instance), tag="q", attempt=0, seed=0) for domain in (True, False)
    ]
    told, bare = (request.prompt or request.messages[0].content for request in requests)
    briefly = ["x_m, y_m", "p_w", "x_m, y_m, p_w of uav0, then of uav1, uav2, uav3"]  # in a small model's log
    words = [*(instance.space.names if style == "schema" else briefly), *(o.name for o in instance.objectives)]
    assert all(word in told for word in words)
    words += [*instance.space.names, "UAV", "m,", " W", "user"]
    assert not [word for word in words if word in bare]
    rows = re.compile(r"\d+(?:, ?\d+){11}")
    assert rows.findall(told) == rows.findall(bare) != []


def test_a_log_names_once_what_several_things_have_and_one_by_one_what_they_do_not_have_alike():
    def lines(scenario):
        instance = optisolve.load_problem(scenario).instance(0)
        request = _style("continuation", instance, True).request(_question(instance), tag="q", attempt=0, seed=0)
        return [line for line in request.prompt.splitlines() if line.startswith("- ")], instance.space.names

    told, _ = lines("radio_planning/munich_table")
    assert told[-3:-1] == [
        "- x_m: 0 means -317.5 m, 100 means 317.5 m, one step is 6.35 m",
        "- y_m: 0 means -297.5 m, 100 means 237.5 m, one step is 5.35 m",
    ]
    assert told[-1] == "- order: x_m, y_m of site0, then of site1, site2, site3"
    told, names = lines("offloading")
    assert [name for name in names if name in "".join(told)] == list(names)


def test_the_table_is_continued_below_the_best_value():
    texts = prompts_of(Hybrid(style="continuation"), structured="grammar")
    for text in texts:
        values = [int(line.split(":")[0]) for line in text.split("from worst to best:\n")[1].splitlines()]
        assert values == sorted(values, reverse=True)
        assert 0 < values[-1] < values[-2]
        assert text.endswith(f"{values[-1]}:")


def test_a_placebo_knows_the_points_and_the_scores_but_not_which_has_which():
    state = _question(optisolve.load_problem("uav_isac").instance(0)).state
    shuffled = state.shuffled(np.random.default_rng(0))
    np.testing.assert_array_equal(shuffled.points.X, state.points.X)
    np.testing.assert_array_equal(np.sort(shuffled.points.F, axis=0), np.sort(state.points.F, axis=0))
    assert (shuffled.points.F != state.points.F).any()
    assert not np.allclose(shuffled.mean, state.mean)
    assert sorted(shuffled.sway) == sorted(state.sway)
    assert np.isfinite(shuffled.spread).all()


def test_placebos_of_different_questions_are_shuffled_differently_and_reproducibly():
    asked, again = (prompts_of(Hybrid(placebo=True), evaluations=30) for _ in range(2))
    assert sorted(asked) == sorted(again)  # several are in flight
    plain, placebo = prompts_of(Hybrid(), evaluations=30)[0], prompts_of(Hybrid(placebo=True), evaluations=30)[0]
    assert plain.split("The program's state")[0] == placebo.split("The program's state")[0]
    assert plain != placebo


@pytest.mark.parametrize("scenario", ["uav_isac", "power_control", "user_association", "offloading", "pymoo/zdt1"])
@pytest.mark.parametrize("style", ["schema", "continuation"])
@pytest.mark.parametrize("domain", [True, False])
def test_prompts_pass_the_linter(scenario, style, domain):
    instance = optisolve.load_problem(scenario).instance(0)
    made = _style(style, instance, domain)
    samples = [made.variables(_question(instance, seed)) for seed in (1, 2)]
    file = f"hybrid_{style}.v1.jinja"
    found = lint_prompt(file, read_text("prompts", file), samples, max_tokens=max(12_000, 90 * instance.space.dim))
    assert found.real
    assert not found.findings
    assert load_prompt(f"hybrid_{style}").describe() == made.prompt.describe()


def _style(style, instance, domain):
    return make_style(style, None, instance, Grid(instance.space, 100), domain=domain, n_best=5, n_last=20)


def _question(instance, seed=0):
    rng = np.random.default_rng(seed)
    X = instance.project(instance.space.sample(rng, 30))
    evaluation = instance.evaluate_twin(X)
    points = Points(instance.space.normalize(X), evaluation.F * instance.signs, evaluation.violation)
    m, d = len(instance.objectives), instance.space.dim
    state = State.of(points, rng.dirichlet(np.ones(m)), left=20)
    expected, sway = np.stack([points.F[0], np.ones(m)]), rng.dirichlet(np.ones(d))
    links = (Link(0, 1, -0.7),) if d > 1 else ()
    told = State(points, state.weight, state.values, state.mean, state.spread, expected, sway, links, 20)
    return Question(told, ("a number is not an integer",) if seed == 2 else ())


# -- options and controls ----------------------------------------------------------------------------------------------


def test_controls_keep_what_they_share_and_only_three_arms_ask():
    arms = Hybrid(share=0.2, n_initial=9, batch_size=4, n_last=7).controls(
        budget=Budget(evaluations=50, llm_calls=5), model="local"
    )
    assert [arm.name for arm in arms] == ["llm", "placebo", "wordless", "gaussian", "uniform", "none"]
    for arm in arms:
        made = make_solver(arm.solver, arm.options)
        assert made.info.uses_llm == (arm.name in ASKING)
        assert (made.share, made.n_initial, made.batch_size) == (0.2, 9, 4)
        assert arm.options.get("n_last", 7) == 7
        assert arm.options.get("max_points", 5) == 5
    with pytest.raises(OptionError, match=r"solver\.share"):
        Hybrid(share=0.0).controls(budget=Budget(evaluations=50), model="local")


@pytest.mark.parametrize(("name", "cls"), [("hybrid", Hybrid), ("hybrid_control", HybridControl)])
def test_the_preset_names_every_option_with_its_default(name, cls):
    told = load_yaml("solvers", name)
    assert told.pop("name") == name
    assert set(told) == set(cls().options())
    assert cls.from_mapping(told) == cls()


def test_bad_options_and_instances_are_refused_with_what_to_do():
    with pytest.raises(OptionError, match="prompt"):
        Hybrid(style="schema", prompt="hybrid_continuation")
    with pytest.raises(OptionError, match="share"):
        Hybrid(share=1.5)
    assert "engine=parego takes several" in Hybrid(engine="cma_es").skip(TWO)
    wide = ShiftedZdt1(n_variables=61).instance(0)
    assert "at most max_variables=60" in Hybrid().skip(wide)
    assert Hybrid().skip(SumCapSphere(n_variables=61).instance(0)) is None

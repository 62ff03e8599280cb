"""The language-model operator inside the engine: labels, fallbacks, reproducibility, prompts."""

import json
from typing import Any

import numpy as np
import pytest

from optisolve.core.budget import Budget, BudgetMeter
from optisolve.core.errors import LlmError, OptionError, UnknownNameError
from optisolve.core.solver import Task
from optisolve.llm.config import llm_config
from optisolve.llm.prompts import load_prompt
from optisolve.llm.session import open_session
from optisolve.run.evaluator import Evaluator
from optisolve.solvers.ledma.solver import Ledma
from optisolve.testing.llm_server import Fault, LlmServer
from optisolve.testing.toys import ShiftedZdt1, toy_instances
from tests.llm.helpers import config_for


@pytest.fixture(autouse=True)
def _no_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


class Ran:
    """One run of ledma and everything that should not depend on timing."""

    def __init__(
        self, config: Any, *, instance: Any = None, transcript: Any = None, seed: int = 3, budget: Any = None, **options: Any
    ) -> None:
        instance = ShiftedZdt1().instance(1) if instance is None else instance
        solver = Ledma(**{"pop_size": 12, "n_neighbors": 6, "n_parents": 5, "mix": "auto", **options})
        meter = BudgetMeter(budget or Budget(evaluations=60, llm_calls=12))
        with open_session(config, meter, transcript=transcript, seed=seed) as session:
            evaluator = Evaluator(instance, meter)
            self.outcome = solver._solve(Task(instance, evaluator, evaluator, meter, seed, "ledma", llm=session))
            self.described = session.describe()
        self.report = self.outcome.report
        self.operator = self.report["operator"]
        self.meter = meter
        history = evaluator.history
        self.sources = [history.sources[i] for i in history.source]
        self.signature = json.dumps(
            [self.outcome.X.tolist(), self.sources, self.report, self.described, meter.llm_calls, meter.tokens_in], default=str
        )


def test_all_offspring_of_good_answers_are_evaluated_and_labelled():
    with LlmServer() as server:
        ran = Ran(config_for(server))
        assert 10 <= server.calls == ran.meter.llm_calls <= 12
    answered = 2 * server.calls
    assert ran.operator["fates"] == {"ok": answered, "clipped": 0, "repaired": 0, "duplicate": 0, "rejected": 0}
    assert ran.sources.count("llm") == answered  # nothing that was paid for is dropped
    assert ran.sources.count("de") == 60 - 12 - answered
    assert ran.meter.evaluations == 60
    assert ran.operator["prompts"] == load_prompt("ledma_schema").describe()


def test_the_budget_of_calls_is_spread_over_the_whole_run():
    with LlmServer() as server:
        ran = Ran(config_for(server), budget=Budget(evaluations=12 * 11, llm_calls=10))
    rows = [i for i, source in enumerate(ran.sources) if source == "llm"]
    assert len(rows) == 20
    assert rows[0] < 40
    assert rows[-1] > 100


@pytest.mark.parametrize(
    ("fault", "fate", "source"),
    [
        (Fault.PROSE, "rejected", "fallback"),
        (Fault.EMPTY, "rejected", "fallback"),
        (Fault.WRONG_LENGTH, "rejected", "fallback"),
        (Fault.NAN, "rejected", "fallback"),
        (Fault.DUPLICATES, "duplicate", "fallback"),
        (Fault.OUT_OF_BOUNDS, "clipped", "repaired"),
        (Fault.PROSE_AROUND, "ok", "llm"),
        (Fault.TRUNCATED, "ok", "llm"),
        (Fault.WRONG_COUNT, "ok", "llm"),
        (Fault.WRONG_MODEL, "ok", "llm"),
    ],
)
@pytest.mark.parametrize("style", ["schema", "continuation"])
def test_every_answer_ends_in_a_recorded_fate(fault, fate, source, style):
    if (fault, style) == (Fault.PROSE_AROUND, "continuation"):
        pytest.skip("a table's continuation has no prose around it that could be told from the table")
    with LlmServer(script=lambda number, body: fault) as server:
        config = config_for(server, structured="auto" if style == "schema" else "grammar")
        ran = Ran(config, style=style)
    assert ran.operator["fates"][fate] > 0
    assert source in ran.sources
    assert ran.meter.evaluations == 60
    assert set(ran.sources) <= {"start:uniform", "llm", "repaired", "fallback", "de"}
    if source == "fallback":
        assert ran.sources.count("fallback") == sum(ran.operator["fallbacks"].values()) > 0
        assert ran.operator["reasks"] > 0
        assert "fallback" in ran.operator["warning"]
    else:
        assert not ran.operator["fallbacks"]
        assert not ran.operator["warning"]


@pytest.mark.parametrize(
    "fault", [Fault.RATE_LIMIT, Fault.SERVER_ERROR, Fault.RESET, Fault.TIMEOUT, Fault.AUTH, Fault.BROKEN_BODY]
)
def test_a_transport_failure_is_a_recorded_fallback_and_no_crash(fault):
    with LlmServer(script=lambda number, body: fault) as server:
        ran = Ran(config_for(server, retries=0, timeout_s=0.2, breaker_calls=0))
    assert ran.sources.count("fallback") == sum(ran.operator["fallbacks"].values()) == 12
    assert ran.described["failures"] == dict(ran.operator["fallbacks"])


def test_a_reask_tells_the_errors_and_can_succeed():
    with LlmServer(script=lambda number, body: Fault.NAN if "previous answer" not in str(body) else Fault.NONE) as server:
        ran = Ran(config_for(server))
        texts = [body["messages"][0]["content"] for body in server.bodies]
    assert ran.operator["reasks"] == 6
    assert any("a number is NaN or infinite" in text for text in texts)
    assert ran.sources.count("llm") == 12
    assert "fallback" not in ran.sources


def test_targets_that_the_budget_refuses_are_made_by_de_under_its_own_name():
    with LlmServer() as server:
        ran = Ran(config_for(server), mix=1.0, budget=Budget(evaluations=60, llm_calls=5))
        assert server.calls == 5
    assert ran.operator["refused_by_budget"] > 0
    assert ran.sources.count("llm") == 10
    assert "fallback" not in ran.sources


def test_results_do_not_depend_on_latency_or_concurrency():
    faults = {
        Fault.PROSE: 0.2,
        Fault.NAN: 0.1,
        Fault.TRUNCATED: 0.1,
        Fault.OUT_OF_BOUNDS: 0.1,
        Fault.DUPLICATES: 0.1,
        Fault.SERVER_ERROR: 0.1,
    }
    signatures = set()
    for latency, concurrency in ((0.0, 1), (0.0, 8), (lambda number: 0.02 * ((7 * number) % 4), 8)):
        with LlmServer(faults=faults, seed=4, latency_s=latency) as server:
            ran = Ran(
                config_for(server, max_concurrency=concurrency, retries=0),
                mix=1.0,
                budget=Budget(evaluations=60, llm_calls=40),
            )
        assert {"llm", "fallback"} <= set(ran.sources)
        signatures.add(ran.signature)
    assert len(signatures) == 1


def test_a_replay_gives_the_same_run_with_the_model_gone(tmp_path):
    path = tmp_path / "transcript.jsonl"
    with LlmServer(faults={Fault.PROSE: 0.3, Fault.RESET: 0.2}, seed=2) as server:
        ran = Ran(config_for(server, retries=1), transcript=path)
    assert Ran(llm_config("replay", transcript=str(path))).signature == ran.signature
    with pytest.raises(LlmError, match="holds no reply for 'wave="):
        Ran(llm_config("replay", transcript=str(path)), seed=4)


@pytest.mark.parametrize("style", ["schema", "continuation"])
@pytest.mark.parametrize("instance", toy_instances(), ids=lambda instance: instance.origin.scenario)
def test_any_kind_of_problem_can_be_asked_about(instance, style):
    config = llm_config("surrogate", malformed_rate=0.2)
    first, second = (Ran(config, instance=instance, style=style, mix=1.0) for _ in range(2))
    assert first.meter.evaluations == 60
    assert {"llm", "repaired"} & set(first.sources)
    assert first.signature == second.signature
    assert first.described["provider"] == "surrogate"
    assert first.meter.tokens_out == 0


def test_the_surrogate_copies_and_strays_as_often_as_published():
    """27.4 % copied coordinates and 25.4 % outside the parents' range, from 13,828 published answers."""
    from optisolve.llm.config import SurrogateLlm
    from optisolve.llm.surrogate import draw_offspring

    rng = np.random.default_rng(1)
    copied, outside = [], []
    for _ in range(200):
        parents = rng.integers(300, 700, (10, 20))
        rows = np.array(draw_offspring(parents, np.full(20, 1000), 2, rng, SurrogateLlm()))
        copied.append((rows[:, None, :] == parents[None]).any(axis=1).mean())
        outside.append(((rows < parents.min(axis=0)) | (rows > parents.max(axis=0))).mean())
    assert np.mean(copied) == pytest.approx(0.274, abs=0.03)  # chance adds one or two points
    assert np.mean(outside) == pytest.approx(0.254, abs=0.03)


# -- prompts -----------------------------------------------------------------------------------------------------------


def test_the_schema_prompt_states_the_problem_in_words():
    instance = ShiftedZdt1().instance(1)
    with LlmServer() as server:
        Ran(config_for(server), instance=instance)
        text = server.bodies[0]["messages"][0]["content"]
    words = instance.describe()
    for part in (
        words.summary,
        "x0, x1, x2, x3, x4: 0 means 0, 1000 means 1, one step is 0.001",
        "minimize f1",
        "(weight ",
        "from worst to best",
        "design_2",
        "score ",
    ):
        assert part in text
    assert "{{" not in text


def test_parents_stand_from_worst_to_best():
    with LlmServer() as server:
        Ran(config_for(server, structured="grammar"), style="continuation")
        for body in server.bodies:
            values = [int(line.split(":")[0]) for line in body["prompt"].splitlines()[1:]]
            assert values == sorted(values, reverse=True)
            assert body["prompt"].endswith(f"{values[-1]}:")


def test_a_prompt_with_an_undefined_variable_is_a_clear_error():
    with pytest.raises(LlmError, match="'parents' is undefined"):
        load_prompt("ledma_continuation", 1).render(title="x", dim=3, target=1)
    with pytest.raises(UnknownNameError, match="Did you mean 'ledma_schema'"):
        load_prompt("ledma_shema")
    with pytest.raises(LlmError, match="no version 77"):
        load_prompt("ledma_schema", 77)


def test_options_that_do_not_fit_together_are_refused():
    with pytest.raises(OptionError, match="n_neighbors"):
        Ledma(n_neighbors=5, n_parents=9)
    with pytest.raises(OptionError, match="mix"):
        Ledma(mix=1.5)

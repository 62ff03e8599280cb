"""Who serves the targets of ledma: mixes, credit, budgets, distillation, replay."""

from __future__ import annotations

import json

import pytest

import optisolve
from optisolve.core.budget import Budget
from optisolve.core.errors import OptionError
from optisolve.llm.config import llm_config
from optisolve.solvers.ledma.solver import LLM_START, Ledma
from optisolve.testing.llm_server import Fault, LlmServer
from optisolve.testing.toys import ShiftedZdt1, SumCapSphere
from tests.llm.helpers import config_for
from tests.solvers.ledma.test_ledma import Ran

WIDE = {"pop_size": 40, "n_neighbors": 10, "wave_size": 20}
PRICES = {"usd_per_million_in": 0.5, "usd_per_million_out": 1.5}


@pytest.fixture(autouse=True)
def _no_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def test_every_spelling_of_a_share_is_the_same_run():
    budget = Budget(evaluations=60, llm_calls=20)
    runs = {Ran(llm_config("surrogate"), mix=mix, budget=budget).signature for mix in (0.3, "0.3", "fixed(0.3)")}
    assert len(runs) == 1
    assert Ledma(mix="fixed(0.3)").options()["mix"] == 0.3


@pytest.mark.parametrize("mix", ["fixed(1.2)", "mostly", -1, "fixed", ""])
def test_a_mix_that_is_none_is_one_clear_error(mix):
    with pytest.raises(OptionError) as told:
        Ledma(mix=mix)
    assert len(told.value.problems) == 1
    assert "auto, adaptive, llm_only, a share from 0 to 1, or fixed(SHARE)" in str(told.value)


def test_the_adaptive_mix_uses_all_operators_and_says_how_they_did():
    ran = Ran(llm_config("surrogate"), mix="adaptive", budget=Budget(evaluations=1040, llm_calls=60), **WIDE)
    assert {"llm", "de", "screened_de", "adaptive_de", "gaussian"} <= set(ran.sources)
    told = ran.operator["credit"]
    assert told["operators"] == ["llm", "de", "sbx", "screened_de", "adaptive_de", "gaussian"]
    assert len(told["share"]) == len(told["credit"]) == len(told["until_wave"]) == 10
    assert all(sum(row) == pytest.approx(1.0, abs=0.001) for row in told["share"])
    made = ran.sources.count("llm") + ran.sources.count("repaired")
    assert ran.operator["model_share"] == pytest.approx(made / 1000)


def test_without_a_limit_on_calls_the_model_starts_at_a_tenth_of_the_targets():
    ran = Ran(llm_config("surrogate"), mix="adaptive", budget=Budget(evaluations=40 + 3 * 22), **WIDE)
    first = ran.sources[40 : 40 + 20 + 2]
    assert sum(source in ("llm", "repaired") for source in first) == pytest.approx(2 * LLM_START * 20, abs=2)


def test_the_adaptive_mix_never_runs_ahead_of_its_budget():
    calls, evaluations = 30, 1040
    ran = Ran(llm_config("surrogate"), mix="adaptive", budget=Budget(evaluations=evaluations, llm_calls=calls), **WIDE)
    assert ran.meter.llm_calls <= calls
    made = 0
    for at, source in enumerate(ran.sources, start=1):
        made += source in ("llm", "repaired")
        wave_over = at + 24  # a wave of 20 targets, and up to four further offspring of the model
        assert made / 2 <= calls * max(0, wave_over - 40) / (evaluations - 40) + 1


def test_a_model_of_no_use_loses_its_share_and_saves_its_calls():
    """Every answer is a copy of parents: nothing is ever gained, yet each call is paid for."""
    limit = 200
    with LlmServer(script=lambda number, body: Fault.DUPLICATES) as server:
        budget = Budget(evaluations=2040, llm_calls=limit)
        ran = Ran(config_for(server), mix="adaptive", max_reasks=0, budget=budget, **WIDE)
    shares = [row[0] for row in ran.operator["credit"]["share"]]
    assert ran.meter.llm_calls < 0.6 * limit
    assert shares[-1] < 0.8 * shares[0]
    assert ran.operator["model_share"] == 0.0
    with LlmServer(script=lambda number, body: Fault.DUPLICATES) as server:
        paced = Ran(config_for(server), mix="auto", max_reasks=0, budget=budget, **WIDE)
    assert paced.meter.llm_calls >= 0.95 * limit


def test_calls_that_cost_more_are_made_less_often():
    calls = [
        Ran(
            llm_config("surrogate"), mix="adaptive", llm_call_cost=cost, budget=Budget(evaluations=1040), seed=5, **WIDE
        ).meter.llm_calls
        for cost in (0.0, 100.0)
    ]
    assert calls[1] < 0.7 * calls[0]


def test_llm_only_says_what_share_really_came_from_the_model():
    short = Ran(llm_config("surrogate"), mix="llm_only", budget=Budget(evaluations=200, llm_calls=20))
    made = short.sources.count("llm") + short.sources.count("repaired")
    assert short.operator["model_share"] == pytest.approx(made / 188)
    assert "mix=llm_only, yet other operators made" in short.operator["warning"]
    rich = Ran(llm_config("surrogate", malformed_rate=0.0), mix="llm_only", budget=Budget(evaluations=60))
    assert set(rich.sources) == {"start:uniform", "llm", "repaired"} or set(rich.sources) == {"start:uniform", "llm"}
    assert rich.operator["model_share"] == 1.0
    assert not rich.operator["warning"]


@pytest.mark.parametrize(
    "options",
    [
        {"mix": "adaptive"},
        {"mix": "auto"},
        {"mix": "llm_only"},
        {"mix": 0.4, "batch_subproblems": 3},
        {"mix": 0.4, "reflect_every": 2},
        {"mix": "adaptive", "distill": True},
    ],
    ids=str,
)
def test_tokens_and_dollars_by_source_sum_to_the_totals(options, tmp_path):
    faults = {Fault.PROSE: 0.4, Fault.OUT_OF_BOUNDS: 0.2, Fault.RESET: 0.1, Fault.DUPLICATES: 0.1}
    with LlmServer(faults=faults, seed=3) as server:
        result = optisolve.solve(
            ShiftedZdt1().instance(1),
            Ledma(**WIDE, n_parents=5, **options),
            llm=config_for(server, retries=0, **PRICES),
            budget=Budget(evaluations=240, llm_calls=60),
            seed=2,
        )
    used = result.record.used
    sources = used.by_source
    assert used.tokens_in > 0
    for name in ("tokens_in", "tokens_out"):
        assert sum(getattr(item, name) for item in sources.values()) == getattr(used, name)
    assert sum(item.usd for item in sources.values()) == pytest.approx(used.usd, rel=1e-12)
    assert sum(item.evaluations for item in sources.values()) == used.evaluations
    assert sources["de"].tokens_in == sources["start:uniform"].tokens_in == 0
    assert sources["fallback"].tokens_in > 0
    assert all(item.survivors <= item.evaluations for name, item in sources.items() if name != "start:uniform")
    assert sum(item.hypervolume_gain for item in sources.values()) == pytest.approx(result.hypervolume)


@pytest.mark.parametrize(
    "options", [{"mix": "adaptive"}, {"mix": "adaptive", "distill": True}, {"mix": 0.5, "distill": True}], ids=str
)
@pytest.mark.parametrize("problem", [ShiftedZdt1(), SumCapSphere()], ids=lambda problem: problem.name)
def test_a_replay_gives_the_same_result_hash_with_the_model_gone(options, problem, tmp_path):
    with LlmServer(faults={Fault.PROSE: 0.2, Fault.OUT_OF_BOUNDS: 0.2, Fault.RESET: 0.1}, seed=2) as server:
        result = optisolve.solve(
            problem.instance(1),
            Ledma(**WIDE, n_parents=5, **options),
            llm=config_for(server, retries=1, **PRICES),
            budget=Budget(evaluations=640, llm_calls=80),
            seed=2,
            scratch=tmp_path / "scratch",
        )
    told = result.record.used.report["operator"]
    if options.get("distill"):
        assert told["distilled"]["joined_in_wave"] is not None
    again = optisolve.solve(
        problem.instance(1),
        Ledma(**WIDE, n_parents=5, **options),
        llm=llm_config("replay", transcript=str(tmp_path / "scratch" / "transcript.jsonl")),
        budget=Budget(evaluations=640, llm_calls=80),
        seed=2,
    )
    assert again.result_hash == result.result_hash


def test_results_of_the_adaptive_mix_do_not_depend_on_latency_or_concurrency():
    signatures = set()
    for latency, concurrency in ((0.0, 1), (lambda number: 0.01 * ((7 * number) % 4), 8)):
        with LlmServer(faults={Fault.PROSE: 0.2, Fault.NAN: 0.2}, seed=4, latency_s=latency) as server:
            config = config_for(server, max_concurrency=concurrency, retries=0)
            budget = Budget(evaluations=340, llm_calls=60)
            signatures.add(Ran(config, mix="adaptive", distill=True, budget=budget, **WIDE).signature)
    assert len(signatures) == 1


def test_distillation_hands_over_and_saves_calls():
    """Calls are dear here, so that an operator for nothing need not be better to match the model."""
    options = {"mix": "adaptive", "llm_call_cost": 20.0, "budget": Budget(evaluations=3040, llm_calls=200), **WIDE}
    kept, handed = (Ran(llm_config("surrogate"), distill=distill, **options) for distill in (False, True))
    assert handed.operator["distilled"]["handed_over_in_wave"] is not None
    assert "distilled" in handed.sources
    assert handed.meter.llm_calls < kept.meter.llm_calls
    told = kept.operator["distilled"]  # without distillation the figures are reported all the same
    assert told["joined_in_wave"] is None
    assert told["offspring"] == kept.sources.count("llm") + kept.sources.count("repaired")
    assert told["copy_rate"] == pytest.approx(0.274, abs=0.15)  # where parents are close, some are copies by rounding
    assert told["outside_rate"] == pytest.approx(0.254, abs=0.08)
    assert len(told["weights"]) == len(told["smooth"]) <= 5
    assert 0.0 < told["noise"] < 1.0
    json.dumps(told)

"""Ten thousand faulty replies of all kinds: no crash, no hang, nothing silent, no budget overrun, every run repeatable."""

import json
import random
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from optisolve.core.budget import Budget
from optisolve.core.solver import Solver
from optisolve.llm.config import llm_config
from optisolve.llm.forms import Fate
from optisolve.registry import load_problem
from optisolve.run.schema import Record
from optisolve.run.solve import solve
from optisolve.solvers.ledma.solver import Ledma
from optisolve.solvers.opro import Opro
from optisolve.testing.llm_server import Fault, LlmServer
from optisolve.trust.audit import verify
from optisolve.trust.replay import replay

FAULTY_REPLIES = 2500
"""Per form of question; there are four of ledma's and two of opro's."""
FEW = 60
"""In the short version."""
RUN_LIMIT_S = 180.0
TIMEOUT_S = 0.4
FORMS = {
    "schema": ({"style": "schema", "batch_subproblems": 1}, "auto"),
    "batched": ({"style": "schema", "batch_subproblems": 4}, "json_schema"),
    "words": ({"style": "schema", "batch_subproblems": 1}, "none"),
    "table": ({"style": "continuation"}, "grammar"),
    "opro": ({"style": "schema"}, "auto"),
    "opro, table": ({"style": "continuation"}, "grammar"),
}
"""Options of the solver (opro where the name says so, else ledma), and how the answer's form is asked for."""

FAILURE = {
    Fault.TIMEOUT: "timeout",
    Fault.SLOW_BODY: "timeout",
    Fault.DROPPED: "connection",
    Fault.RESET: "connection",
    Fault.RATE_LIMIT: "rate_limit",
    Fault.RETRY_AFTER: "rate_limit",
    Fault.QUOTA: "rate_limit",
    Fault.SERVER_ERROR: "server_error",
    Fault.BAD_GATEWAY: "server_error",
    Fault.UNAVAILABLE: "server_error",
    Fault.AUTH: "auth",
    Fault.TOO_LONG: "bad_request",
    Fault.REASONING: "reasoning",
    Fault.OLD_FIELD: "bad_request",
    Fault.NO_MODEL: "bad_request",
    Fault.ESCAPES_REFUSED: "bad_request",
    Fault.REDIRECT: "bad_request",
    Fault.ODD_CHOICES: "bad_reply",
    Fault.FLOOD: "bad_reply",
    Fault.BOMB: "bad_reply",
    Fault.BROKEN_BODY: "bad_reply",
    Fault.BAD_UTF8: "bad_reply",
    Fault.NO_CHOICES: "bad_reply",
}
USELESS = {
    *(Fault.EMPTY, Fault.NULL_CONTENT, Fault.PROSE, Fault.CODE, Fault.BLANKS, Fault.DEEP, Fault.ECHO_KEY),
    *(Fault.WRONG_LENGTH, Fault.NAN, Fault.INFINITE, Fault.WORDS, Fault.DUPLICATES),
}
"""Answers without a single usable point."""
USABLE = {
    *(Fault.NONE, Fault.NO_USAGE, Fault.WRONG_MODEL, Fault.EXTRA_POINTS, Fault.FRACTIONS, Fault.OUT_OF_BOUNDS),
    *(Fault.SIBLINGS, Fault.WRONG_COUNT, Fault.HUGE_USAGE, Fault.ODD_USAGE, Fault.SURROGATE, Fault.ESCAPES),
}
"""Answers with a usable point for every task."""
SOURCES = {"start:null", "start:ddpm", "start:uniform", "llm", "repaired", "fallback", "unused"} | {
    "de",
    "sbx",
    "screened_de",
    "adaptive_de",
    "gaussian",
    "distilled",
}


class Served:
    """What a server did with every request, by the words and the seed in it."""

    def __init__(self, server: LlmServer) -> None:
        self.faults: dict[tuple[str, int], list[Fault]] = defaultdict(list)
        for call in server.log:
            text = call.body.get("prompt") or call.body["messages"][0]["content"]
            self.faults[text, call.body["seed"]].append(call.fault)

    def of(self, request: dict[str, Any]) -> list[Fault]:
        text = request["prompt"] or request["messages"][0]["content"]
        return self.faults[text, request["seed"]]


def drawn_solver(form: str, options: dict[str, Any], rng: random.Random) -> Solver:
    n_offspring, max_reasks = rng.choice([1, 2, 3]), rng.choice([0, 1, 2])
    if form.startswith("opro"):
        history = rng.choice([4, 20])
        steps = rng.choice([1, 8, 16])
        return Opro(
            n_initial=24, n_offspring=n_offspring, max_reasks=max_reasks, history_size=history, calls_per_step=steps, **options
        )
    return Ledma(
        pop_size=24,
        n_neighbors=8,
        n_parents=rng.choice([4, 8]),
        n_offspring=n_offspring,
        max_reasks=max_reasks,
        mix=rng.choice(["adaptive", "auto", "llm_only", 0.7]),
        distill=rng.choice([False, True]),
        reflect_every=rng.choice([None, 2]) if options["style"] == "schema" else None,
        **options,
    )


def one_run(form: str, seed: int, folder: Path, limited: Any, *, short: bool) -> tuple[Any, LlmServer]:
    """One run against a server that hardly ever does what it should; settings drawn by the seed."""
    rng = random.Random(f"{form}/{seed}")
    options, structured = FORMS[form]
    kinds = [fault for fault in Fault if fault not in (Fault.NONE, Fault.WRONG_USAGE)]
    rates = {fault: 0.9 / len(kinds) for fault in kinds}
    budget = Budget(
        evaluations=rng.choice([400, 800]) * options.get("batch_subproblems", 1) // (4 if short else 1),
        llm_calls=rng.choice([None, 200, 400]),
        llm_tokens=rng.choice([None, 1_000_000]),
        usd=rng.choice([None, 0.5]),
    )
    solver = drawn_solver(form, options, rng)
    with LlmServer(faults=rates, seed=seed, retry_after_s=0.01, cached_share=0.3) as server, limited(RUN_LIMIT_S):
        config = llm_config(
            "openai",
            base_url=server.base_url,
            model=server.model,
            structured=structured,
            timeout_s=TIMEOUT_S,
            retries=rng.choice([0, 1, 2]),
            backoff_s=0.002,
            breaker_calls=0,  # refusals for good are among the faults, and must not end the others
            max_concurrency=rng.choice([1, 8, 32]),
            usd_per_million_in=0.5,
            usd_per_million_out=2.0,
        )
        problem = load_problem("uav_isac", n_uavs=2, n_users=5)
        scratch = folder / f"scratch{seed}"
        result = solve(problem.instance(seed), solver, budget=budget, seed=seed, llm=config, scratch=scratch)
    return result, server


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_thousands_of_faulty_replies_do_no_harm(form, tmp_path, limited, tell):
    served = campaign(form, FAULTY_REPLIES, tmp_path, limited, tell)
    assert set(served) == set(Fault) - {Fault.WRONG_USAGE}, "not every fault was met"


@pytest.mark.parametrize("form", ["batched", "opro"])
def test_some_faulty_replies_do_no_harm(form, tmp_path, limited, tell):
    campaign(form, FEW, tmp_path, limited, tell)


def campaign(form: str, faulty: int, tmp_path: Path, limited: Any, tell: Any) -> Counter[str]:
    """Runs until so many faulty replies were met; how often each fault was."""
    served: Counter[str] = Counter()
    fates: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    runs = slow = replayed = 0
    while sum(served.values()) - served[Fault.NONE] < faulty:
        result, server = one_run(form, runs, tmp_path, limited, short=faulty <= FEW)
        record = result.record
        assert record.termination.status == "limit", record.termination
        folder = result.save(tmp_path)
        calls = [row for row in _rows(folder) if row["type"] == "call"]
        slow += check_replies(calls, Served(server))
        check_accounts(record, calls)
        check_budget(record, server)
        check_fallbacks(record, calls, Served(server), form)
        with limited(RUN_LIMIT_S):
            assert (audit := verify(folder)), audit
            if runs % 3 == 0:
                assert (again := replay(folder)).same, again.reason
                replayed += 1
        served.update(server.served)
        fates.update(record.used.report["operator"]["fates"])
        reasons.update(record.used.report["operator"]["fallbacks"])
        runs += 1
    calls_met = sum(served.values())
    assert slow <= 0.2 * calls_met, f"{slow} of {calls_met} replies were late without a fault: the machine is too busy"
    told = ", ".join(f"{count} {name}" for name, count in sorted(reasons.items()))
    tell(
        f"{form}: {runs} runs, {calls_met} replies, {calls_met - served[Fault.NONE]} of them faulty ({len(served) - 1} kinds); "
        f"0 crashes, 0 hangs, 0 budget overruns; {runs} records verified, {replayed} replayed to the same hash"
    )
    tell(f"  candidates: {', '.join(f'{count} {name}' for name, count in fates.items())}; fallbacks: {told}")
    return served


def _rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "transcript.jsonl").read_text().splitlines()]


def check_replies(calls: list[dict[str, Any]], served: Served) -> int:
    """Every recorded reply is what the server did; returns how many came too late without a fault."""
    late = 0
    for row in calls:
        faults, failure = served.of(row["request"]), row["reply"]["failure"]
        if failure == "refused_by_breaker":
            assert not faults, "a call that the breaker refused was sent"
            continue
        expected = FAILURE.get(faults[-1], "") if faults else "never sent"
        if failure == "timeout" != expected:
            late += 1
            continue
        assert failure == expected, (faults, row)
        assert bool(row["reply"]["texts"]) == (not failure)
    return late


def check_accounts(record: Record, calls: list[dict[str, Any]]) -> None:
    """Every candidate that was asked for has a fate, every evaluation a source."""
    operator = record.used.report["operator"]
    answered = [row for row in calls if not row["reply"]["failure"] and "/sub=" in row["request"]["tag"]]
    tasks = sum(row["request"]["tag"].count("+") + 1 for row in answered)
    assert set(operator["fates"]) == {fate.value for fate in Fate}
    assert sum(operator["fates"].values()) == tasks * record.solver.options["n_offspring"]
    sources = record.used.by_source
    assert set(sources) <= SOURCES
    assert sum(told.evaluations for told in sources.values()) == record.used.evaluations
    made = {name: sources[name].evaluations if name in sources else 0 for name in SOURCES}
    usable = {name: operator["fates"][name] for name in ("ok", "clipped", "repaired")}
    if record.used.evaluations < record.budget.evaluations:
        assert made["llm"] + made["repaired"] == sum(usable.values())
    assert made["llm"] <= usable["ok"]
    failed = Counter(row["reply"]["failure"] for row in calls if row["reply"]["failure"])
    told = Counter(record.solver.llm.failures)
    told.pop("budget", None)
    assert failed == told


def check_budget(record: Record, server: LlmServer) -> None:
    used, budget = record.used, record.budget.to_json()
    spent = {**used.to_json(), "llm_tokens": used.tokens_in + used.tokens_out}
    for name in ("evaluations", "llm_calls", "llm_tokens", "usd"):
        assert budget[name] is None or spent[name] <= budget[name], (name, spent[name], budget[name])
    answered = sum(count for fault, count in server.served.items() if fault.status == 200)
    assert answered <= used.llm_calls, "a call that may have been billed is not in the account"
    assert used.tokens_cached <= used.tokens_in


def check_fallbacks(record: Record, calls: list[dict[str, Any]], served: Served, form: str) -> None:
    """The fallbacks and their reasons are those that the server's faults call for."""
    operator = record.used.report["operator"]
    last: dict[tuple[str, str], dict[str, Any]] = {}
    for row in calls:
        if row["request"]["tag"].endswith("/reflect"):
            continue
        wave, subs = re.fullmatch(r"wave=(\d+)/sub=([\d+]+)", row["request"]["tag"]).groups()
        for sub in subs.split("+"):
            known = last.get((wave, sub))
            if known is None or row["request"]["attempt"] > known["request"]["attempt"]:
                last[wave, sub] = row
    assert len(last) == operator["targets"] - operator["refused_by_budget"]
    lost = Counter(row["reply"]["failure"] for row in last.values() if row["reply"]["failure"])
    fallbacks = Counter(operator["fallbacks"])
    invalid = fallbacks.pop("invalid", 0)
    assert fallbacks == lost
    answered = [served.of(row["request"])[-1] for row in last.values() if not row["reply"]["failure"]]
    useless, usable = sum(f in USELESS for f in answered), sum(f in USABLE for f in answered)
    few = record.solver.options["n_offspring"] == 1  # then one point less is none
    unclear = {Fault.WRONG_COUNT} if few or form == "table" else set()
    usable -= sum(f in unclear for f in answered)
    assert useless <= invalid <= len(answered) - usable
    fallback = record.used.by_source.get("fallback")
    made = 0 if fallback is None else fallback.evaluations
    total = sum(operator["fallbacks"].values())
    assert made == total or (record.used.evaluations == record.budget.evaluations and made <= total)
    share = total / max(1, operator["targets"] - operator["refused_by_budget"])
    assert bool(operator["warning"]) == (share > record.solver.options["warn_share"])


def test_a_server_that_claims_absurd_usage_cannot_make_the_run_spend_more(tmp_path):
    """What is said to be spent is recorded as it was said; after it nothing more is sent, and the audit names the overrun."""
    with LlmServer(script=[*[Fault.NONE] * 5, Fault.WRONG_USAGE]) as server:
        config = llm_config("openai", base_url=server.base_url, model=server.model)
        solver = Ledma(pop_size=24, n_neighbors=8, n_parents=8, wave_size=8)
        problem = load_problem("uav_isac", n_uavs=2, n_users=5)
        budget = Budget(evaluations=800, llm_calls=None, llm_tokens=400_000)
        result = solve(problem.instance(0), solver, budget=budget, llm=config, scratch=tmp_path / "scratch")
    assert server.calls <= 5 + 8  # those of the wave in flight
    assert result.record.used.tokens_out > 10**9
    assert result.record.used.evaluations == 800
    audit = verify(result.save(tmp_path))
    assert not audit
    assert "used.llm_tokens" in str(audit)

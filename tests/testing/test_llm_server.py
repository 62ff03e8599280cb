"""The misbehaving endpoint does what its faults are called, in every form that a question may have."""

import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from typing import Any

import numpy as np
import openai
import pytest

from optisolve.core.budget import Budget
from optisolve.core.errors import OptionError
from optisolve.llm.candidates import Grid, judge
from optisolve.llm.forms import Fate
from optisolve.solvers.ledma.prompts import Question, prompt_style
from optisolve.solvers.ledma.words import Parents
from optisolve.testing.llm_server import Fault, FaultPlan, LlmServer, outage
from optisolve.testing.llm_server.questions import read_question
from optisolve.testing.toys import ShiftedZdt1, SumCapSphere
from tests.llm.helpers import session_for

FORMS = {
    "schema": {"style": "schema", "structured": "json_schema", "tasks": 1},
    "words": {"style": "schema", "structured": "none", "tasks": 1},
    "object": {"style": "schema", "structured": "json_object", "tasks": 1},
    "grammar": {"style": "schema", "structured": "grammar", "tasks": 1},
    "batched schema": {"style": "schema", "structured": "json_schema", "tasks": 3},
    "batched words": {"style": "schema", "structured": "none", "tasks": 3},
    "batched grammar": {"style": "schema", "structured": "grammar", "tasks": 3},
    "table": {"style": "continuation", "structured": "none", "tasks": 1},
    "table with grammar": {"style": "continuation", "structured": "grammar", "tasks": 1},
}
"""How the answer's form is asked for."""
PROBLEMS = {"real": ShiftedZdt1(), "integer": SumCapSphere(integers=True)}


@pytest.fixture(autouse=True)
def _no_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


class Asked:
    """A question of the operator, sent to a server."""

    def __init__(self, form: str, problem: Any = "real", *, n_parents: int = 6, count: int = 2, seed: int = 0) -> None:
        told = FORMS[form]
        problem = PROBLEMS[problem] if isinstance(problem, str) else problem
        self.instance = problem.instance(1)
        self.grid = Grid(self.instance.space)
        self.structured, self.count = told["structured"], count
        self.style = prompt_style(told["style"], None, self.instance, self.grid, batched=told["tasks"] > 1)
        self.questions = [self._question(np.random.default_rng((seed, k)), n_parents) for k in range(told["tasks"])]
        self.request = self.style.request(self.questions, tag="q", attempt=0, seed=seed)

    def _question(self, rng: np.random.Generator, n_parents: int) -> Question:
        X = self.grid.decode(np.rint(rng.uniform(0.3, 0.7, (n_parents, self.instance.space.dim)) * self.grid.levels))
        evaluation = self.instance.evaluate(X)
        values = np.linspace(1.0, 0.1, n_parents)
        parents = Parents(self.grid.encode(X), evaluation.F, evaluation.violation, values)
        return Question(parents, np.full(len(self.instance.objectives), 1.0 / len(self.instance.objectives)), self.count, "")

    def of(self, server: LlmServer, timeout_s: float = 60.0) -> Any:
        session, _ = session_for(server, structured=self.structured, retries=0, timeout_s=timeout_s)
        with session:
            (reply,) = session.ask([self.request])
        return reply

    def rows(self, reply: Any) -> list[Any]:
        return [row for task in self.style.parse(reply.texts[0], self.questions) for row in task]

    def fates(self, reply: Any) -> list[tuple[str, str]]:
        told = []
        for question, rows in zip(self.questions, self.style.parse(reply.texts[0], self.questions), strict=True):
            told += judge(rows, self.count, self.grid.levels, question.parents.numbers)
        return [(candidate.fate.value, candidate.reason) for candidate in told]


# -- good answers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("form", FORMS)
def test_a_good_answer_has_the_asked_form_and_stays_in_bounds(form, problem):
    asked = Asked(form, problem, n_parents=10)
    with LlmServer() as server:
        reply = asked.of(server)
    rows = np.array([numbers for numbers, problem in asked.rows(reply) if not problem])
    assert rows.shape == (asked.count * len(asked.questions), asked.instance.space.dim)
    assert ((rows >= 0) & (rows <= asked.grid.levels)).all() or (form, problem) == ("table", "integer")  # a table tells none
    assert reply.finish == ("stop",)


@pytest.mark.parametrize("form", ["schema", "batched grammar", "table with grammar"])
def test_good_answers_copy_and_stray_as_often_as_the_published_ones(form):
    """27.4 % copied coordinates and 25.4 % outside the parents' range, from 13,828 published answers (arXiv 2310.12541)."""
    copied, outside = [], []
    with LlmServer() as server:
        session, _ = session_for(server, structured=FORMS[form]["structured"], timeout_s=60.0)
        cases = [Asked(form, ShiftedZdt1(n_variables=20), n_parents=10, seed=k) for k in range(40)]
        with session:
            for k, asked in enumerate(cases):
                (reply,) = session.ask([asked.style.request(asked.questions, tag=f"q{k}", attempt=0, seed=k)])
                answers = asked.style.parse(reply.texts[0], asked.questions)
                for question, rows in zip(asked.questions, answers, strict=True):
                    drawn, parents = np.array([numbers for numbers, _ in rows]), question.parents.numbers
                    copied.append((drawn[:, None, :] == parents[None]).any(axis=1).mean())
                    outside.append(((drawn < parents.min(axis=0)) | (drawn > parents.max(axis=0))).mean())
    assert np.mean(copied) == pytest.approx(0.274, abs=0.04)  # chance adds one or two points
    assert np.mean(outside) == pytest.approx(0.254, abs=0.04)


def test_every_task_of_a_batch_is_answered_from_its_own_designs():
    """The designs of task k lie near k / 4 of the range; a model that mixed the tasks up would stray far."""
    asked = Asked("batched schema", n_parents=10)
    rng = np.random.default_rng(0)
    for k, question in enumerate(asked.questions):
        low = 250 * (k + 1)
        question.parents.numbers[:] = rng.integers(low, low + 20, question.parents.numbers.shape)
    asked.request = asked.style.request(asked.questions, tag="q", attempt=0, seed=0)
    with LlmServer() as server:
        answers = asked.style.parse(asked.of(server).texts[0], asked.questions)
    medians = [float(np.median([numbers for numbers, _ in rows])) for rows in answers]
    assert medians == pytest.approx([260, 510, 760], abs=40)


def test_the_answer_depends_on_the_request_alone():
    texts = []
    for latency, others in ((0.0, 0), (0.02, 3)):
        with LlmServer(latency_s=latency, seed=5) as server:
            for k in range(others):
                Asked("schema", seed=100 + k).of(server)
            texts += [Asked("schema").of(server).texts for _ in range(2)]
    assert len(set(texts)) == 1
    with LlmServer(seed=6) as server:
        assert Asked("schema").of(server).texts not in texts


def test_a_question_about_something_else_gets_a_sentence_not_numbers():
    with LlmServer() as server:
        client = openai.OpenAI(base_url=server.base_url, api_key="x", max_retries=0)
        said = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Who are you?"}])
    assert "only knows questions" in str(said.choices[0].message.content)


# -- faults ------------------------------------------------------------------------------------------------------------

OK, CLIPPED, REPAIRED, DUPLICATE, REJECTED = (fate.value for fate in Fate)
CONTENT = {
    Fault.NO_USAGE: {(OK, "")},
    Fault.WRONG_USAGE: {(OK, "")},
    Fault.HUGE_USAGE: {(OK, "")},
    Fault.ODD_USAGE: {(OK, "")},
    Fault.SURROGATE: {(OK, "")},
    Fault.ESCAPES: {(OK, "")},
    Fault.WRONG_MODEL: {(OK, "")},
    Fault.PROSE_AROUND: {(OK, "")},
    Fault.EXTRA_POINTS: {(OK, "")},
    Fault.NULL_CONTENT: {(REJECTED, "count")},
    Fault.EMPTY: {(REJECTED, "count")},
    Fault.PROSE: {(REJECTED, "count")},
    Fault.BLANKS: {(REJECTED, "count")},
    Fault.DEEP: {(REJECTED, "count")},
    Fault.ECHO_KEY: {(REJECTED, "count")},
    Fault.WRONG_COUNT: {(OK, ""), (REJECTED, "count")},
    Fault.LOST_TASK: {(OK, ""), (REJECTED, "count")},
    Fault.WRONG_LENGTH: {(REJECTED, "length")},
    Fault.NAN: {(REJECTED, "not finite")},
    Fault.INFINITE: {(REJECTED, "not finite")},
    Fault.FRACTIONS: {(REPAIRED, "not an integer")},
    Fault.OUT_OF_BOUNDS: {(CLIPPED, "bounds")},
    Fault.DUPLICATES: {(DUPLICATE, "duplicate of a parent")},
    Fault.SIBLINGS: {(OK, ""), (DUPLICATE, "duplicate of a sibling")},
}
"""What becomes of the points of an answer with this fault."""
ELSEWHERE = {Fault.WORDS, Fault.CODE, Fault.TRUNCATED, Fault.REASONING}
"""What they become differs between JSON and a table; tested below."""
TRANSPORT = {
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
"""How a call that meets this fault ends."""


def test_every_fault_is_checked_here():
    assert set(CONTENT) | ELSEWHERE | set(TRANSPORT) | {Fault.NONE} == set(Fault)
    assert {fault for fault in Fault if fault.is_transport} == set(TRANSPORT)
    assert all(fault.meaning.endswith(".") for fault in Fault)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("fault", CONTENT)
def test_an_answer_is_spoiled_as_its_fault_says(fault, form):
    if fault is Fault.PROSE_AROUND and form.startswith("table"):
        pytest.skip("a table's continuation has no prose around it that could be told from the table")
    asked = Asked(form)
    with LlmServer(script=[fault]) as server:
        reply = asked.of(server)
        assert server.served == {fault: 1}
    fates = asked.fates(reply)
    assert len(fates) == asked.count * len(asked.questions)
    expected = CONTENT[fault] - ({(OK, "")} if fault is Fault.LOST_TASK and len(asked.questions) == 1 else set())
    assert set(fates) == expected, reply.texts


@pytest.mark.parametrize("form", ["schema", "table with grammar"])
@pytest.mark.parametrize("fault", TRANSPORT)
def test_a_call_is_lost_as_its_fault_says(fault, form):
    asked = Asked(form)
    with LlmServer(script=[fault]) as server:
        reply = asked.of(server, timeout_s=2.0 if TRANSPORT[fault] == "timeout" else 60.0)
    assert (reply.failure, reply.texts) == (TRANSPORT[fault], ())


@pytest.mark.parametrize("form", FORMS)
def test_a_truncated_answer_keeps_its_first_points_and_says_why_it_ends(form):
    asked = Asked(form)
    with LlmServer(script=[Fault.TRUNCATED]) as server:
        reply = asked.of(server)
    fates = asked.fates(reply)
    assert fates[0] == (OK, "")
    assert fates[-1] in ((REJECTED, "count"), (REJECTED, "length"))  # cut between two points, or within one
    assert reply.finish == ("length",)


def test_words_among_the_numbers_are_refused():
    for form, fate in (("schema", (REJECTED, "not finite")), ("table", (REJECTED, "length"))):
        with LlmServer(script=[Fault.WORDS]) as server:
            assert set((asked := Asked(form)).fates(asked.of(server))) == {fate}


@pytest.mark.parametrize("form", FORMS)
def test_code_in_an_answer_stays_text(form):
    with LlmServer(script=[Fault.CODE]) as server:
        asked = Asked(form)
        reply = asked.of(server)
    assert "__import__" in reply.texts[0]
    assert {fate for fate, _ in asked.fates(reply)} == {REJECTED}  # had anybody run it, this process would be gone


def test_faults_tell_their_particulars():
    asked = Asked("schema")
    with LlmServer(script=[Fault.WRONG_MODEL]) as server:
        assert asked.of(server).model == "some-other-model"
    with LlmServer(script=[Fault.RETRY_AFTER], retry_after_s=7.5) as server, pytest.raises(openai.RateLimitError) as told:
        _plain(server)
    assert told.value.response.headers["retry-after"] == "7.5"
    with LlmServer(script=[Fault.AUTH]) as server, pytest.raises(openai.AuthenticationError, match="the-key"):
        _plain(server, "the-key")
    with LlmServer(script=[Fault.ECHO_KEY]) as server:
        assert "the-key" in str(_plain(server, "the-key").choices[0].message.content)


def _plain(server: LlmServer, key: str = "x", **fields: Any) -> Any:
    client = openai.OpenAI(base_url=server.base_url, api_key=key, max_retries=0)
    return client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hello"}], **fields)


# -- when faults come --------------------------------------------------------------------------------------------------


def test_rates_are_met_and_do_not_depend_on_the_order_of_calls():
    rates = {Fault.TIMEOUT: 0.1, Fault.NAN: 0.2, Fault.PROSE: 0.3}
    bodies = [{"prompt": str(k)} for k in range(4000)]
    forward, backward = FaultPlan(rates=rates, seed=1), FaultPlan(rates=rates, seed=1)
    first = {body["prompt"]: forward.choose(k, body)[0] for k, body in enumerate(bodies)}
    again = {body["prompt"]: backward.choose(k, body)[0] for k, body in enumerate(reversed(bodies))}
    assert first == again
    told = list(first.values())
    for fault, rate in rates.items():
        assert told.count(fault) / len(told) == pytest.approx(rate, abs=0.03)


def test_a_bad_answer_comes_again_and_a_lost_call_may_pass():
    plan = FaultPlan(rates={Fault.NAN: 0.5}, seed=1)
    assert all(len({plan.choose(k, {"prompt": str(k)})[0] for _ in range(5)}) == 1 for k in range(50))
    plan = FaultPlan(rates={Fault.RESET: 0.5}, seed=1)
    assert all(len({plan.choose(k, {"prompt": str(k)})[0] for _ in range(20)}) == 2 for k in range(50))


def test_an_outage_has_a_beginning_and_an_end():
    asked = Asked("schema")
    with LlmServer(script=outage(1, 2)) as server:
        assert [asked.of(server).failure for _ in range(4)] == ["", "server_error", "server_error", ""]


def test_a_server_at_its_capacity_refuses_with_429():
    asked = [Asked("schema", seed=k).request for k in range(6)]
    asked = [type(r)(**{**{f: getattr(r, f) for f in r.__slots__}, "tag": f"q{k}"}) for k, r in enumerate(asked)]
    with LlmServer(capacity=2, latency_s=2.0) as server:
        session, _ = session_for(server, max_concurrency=6, retries=0, timeout_s=60.0)
        with session:
            failures = sorted(reply.failure for reply in session.ask(asked))
    assert failures == ["", "", *["rate_limit"] * 4]
    assert server.served == {Fault.NONE: 2, Fault.RATE_LIMIT: 4}


def test_bad_settings_are_refused_by_name():
    with pytest.raises(OptionError, match=r"faults\.nan: got 1\.5"):
        LlmServer(faults={Fault.NAN: 1.5})
    with pytest.raises(OptionError, match=r"add up to 1\.2"):
        LlmServer(faults={Fault.NAN: 0.6, Fault.PROSE: 0.6})
    with pytest.raises(OptionError, match=r"(?s)capacity.*cached_share.*port"):
        LlmServer(capacity=0, cached_share=2.0, port=-1)


# -- protocol ----------------------------------------------------------------------------------------------------------


def test_usage_is_reported_with_its_cached_part():
    with LlmServer(cached_share=0.5) as server:
        usage = _plain(server).usage
    assert usage is not None
    assert usage.prompt_tokens_details.cached_tokens == usage.prompt_tokens // 2
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens > 0
    with LlmServer(usage=False) as server:
        assert _plain(server).usage is None


def test_a_streamed_reply_is_the_same_reply():
    with LlmServer() as server:
        whole = _plain(server)
        chunks = list(_plain(server, stream=True))
    assert "".join(c.choices[0].delta.content for c in chunks if c.choices) == whole.choices[0].message.content
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].usage == whole.usage


def test_forms_that_the_endpoint_does_not_know_are_refused():
    with LlmServer(structured=("json_object",)) as server, pytest.raises(openai.BadRequestError, match="json_schema"):
        _plain(server, response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}})


def test_generation_takes_its_time():
    with LlmServer(tokens_per_s=100.0, answer=lambda body: "x" * 80) as server, pytest.raises(openai.APITimeoutError):
        _plain(server, timeout=0.1)


def test_a_key_that_is_wrong_is_refused_before_anything_else():
    with LlmServer(api_key="right") as server:
        with pytest.raises(openai.AuthenticationError):
            _plain(server, "wrong")
        assert server.calls == 0
        assert _plain(server, "right").choices


def test_budgets_meet_the_reported_usage():
    with LlmServer() as server:
        session, meter = session_for(server, Budget(llm_calls=1))
        with session:
            session.ask([Asked("schema").request])
    assert meter.tokens_in == len(Asked("schema").request.messages[0].content) // 4 + 1


# -- the program -------------------------------------------------------------------------------------------------------

PROGRAM = [sys.executable, "-m", "optisolve.testing.llm_server"]


def test_the_program_serves_and_says_how_to_use_it():
    started = subprocess.Popen([*PROGRAM, "--fault", "prose"], stdout=subprocess.PIPE, text=True)
    try:
        assert started.stdout is not None
        told = started.stdout.readline() + started.stdout.readline()
        url = re.search(r"http://127\.0\.0\.1:\d+/v1", told)
        assert url, told
        assert f"llm.base_url={url.group()}" in told
        body = json.dumps({"messages": [{"role": "user", "content": "hello"}]}).encode()
        with urllib.request.urlopen(f"{url.group()}/chat/completions", body, timeout=10) as reply:
            assert "UAV" in json.load(reply)["choices"][0]["message"]["content"]
        started.send_signal(signal.SIGINT)
        rest = started.stdout.read()
        started.wait(timeout=20)
    finally:
        started.kill()
    assert "call 0 chat: prose" in rest
    assert "1 calls, at most 1 at a time: 1 prose" in rest
    assert started.returncode == 0


def test_the_program_lists_its_faults_and_refuses_unknown_ones():
    listed = subprocess.run([*PROGRAM, "--list"], capture_output=True, text=True, check=True).stdout
    assert all(f"{fault} " in listed and fault.meaning in listed for fault in Fault)
    for words, message in (
        (["--fault", "timout"], "Did you mean 'timeout'"),
        (["--fault", "nan=x"], "expected a chance from 0 to 1"),
        (["--fault", "nan=7"], "expected a chance from 0 to 1"),
        (["--outage", "5"], "expected FIRST:LAST"),
        (["--port", "70000"], "port: got 70000"),
    ):
        ran = subprocess.run([*PROGRAM, *words], capture_output=True, text=True, check=False)
        assert ran.returncode == 1, words
        assert message in ran.stderr
        assert "Traceback" not in ran.stderr


def test_a_request_that_is_not_json_is_refused_with_a_reason():
    with LlmServer() as server, pytest.raises(urllib.error.HTTPError) as told:
        urllib.request.urlopen(f"{server.base_url}/chat/completions", b"nonsense", timeout=10)
    assert told.value.code == 400
    assert "not JSON" in told.value.read().decode()


def test_questions_are_read_from_schema_grammar_and_words_alike():
    asked = {form: Asked(form, "integer") for form in FORMS}
    with LlmServer() as server:
        for case in asked.values():
            case.of(server)
        read = dict(zip(asked, [read_question(body) for body in server.bodies], strict=True))
    for group in (("schema", "words", "object", "grammar"), ("batched schema", "batched words", "batched grammar")):
        slots = [read[form].slots for form in group]
        assert all(other == slots[0] for other in slots)
    assert [len(block) for block in read["batched schema"].parents] == [6, 6, 6]

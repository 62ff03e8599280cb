"""How many calls are in flight, and what happens while an endpoint is down."""

import asyncio

from optisolve.llm.exchange import Breaker, Limiter
from optisolve.testing.llm_server import Fault, LlmServer
from tests.llm.helpers import chat, failures, session_for


def test_a_refusal_halves_the_limit_and_good_replies_bring_it_back():
    async def story():
        limiter = Limiter(8)
        limiter.overloaded()
        halved = limiter.limit
        for _ in range(4):
            limiter.went_well()
        assert 4.8 < limiter.limit < 5.1  # a round of good replies raises it by about one
        for _ in range(200):
            limiter.went_well()
        return halved, limiter.limit

    assert asyncio.run(story()) == (4.0, 8.0)


def test_refusals_of_calls_in_flight_together_count_once():
    async def story():
        limiter = Limiter(8)

        async def refused():
            async with limiter:
                await asyncio.sleep(0)
                limiter.overloaded()

        await asyncio.gather(*(refused() for _ in range(8)))
        return limiter.limit

    assert asyncio.run(story()) == 4.0


def test_never_more_calls_in_flight_than_the_limit():
    async def story():
        limiter, busy, most = Limiter(3), 0, 0

        async def call():
            nonlocal busy, most
            async with limiter:
                busy += 1
                most = max(most, busy)
                await asyncio.sleep(0)
                busy -= 1

        await asyncio.gather(*(call() for _ in range(20)))
        return most

    assert asyncio.run(story()) == 3


def test_a_breaker_opens_after_failures_in_a_row_and_closes_with_one_good_call():
    breaker = Breaker(3)
    for ok in (False, False, True, False, False):
        breaker.saw(ok=ok)
    assert not breaker.is_open
    breaker.saw(ok=False)
    assert breaker.is_open
    assert breaker.reason == "the last 3 calls failed"
    breaker.saw(ok=True)
    assert not breaker.is_open
    never = Breaker(0)
    for _ in range(99):
        never.saw(ok=False)
    assert not never.is_open


def test_a_dead_endpoint_is_asked_once_per_batch_and_refusals_cost_nothing():
    def script(number, body):
        return Fault.SERVER_ERROR if number < 4 else Fault.NONE  # two calls of the first batch and two probes

    with LlmServer(script=script) as server:
        session, meter = session_for(server, retries=0, breaker_calls=2, max_concurrency=1)
        with session:
            told = [failures(session.ask(chat(3, seed=batch))) for batch in range(4)]
    assert told[0] == ["server_error", "server_error", "refused_by_breaker"]
    assert told[1] == told[2] == ["server_error", "refused_by_breaker", "refused_by_breaker"]
    assert told[3] == ["", "", ""]  # the probe succeeded, so the others were sent, too
    assert server.calls == meter.llm_calls == 2 + 1 + 1 + 3
    assert session.failures == {"server_error": 4, "refused_by_breaker": 5}


def test_a_call_that_is_given_up_leaves_its_place_to_the_next_one():
    async def story():
        limiter, served, leave = Limiter(1), [], asyncio.Event()

        async def call(name):
            async with limiter:
                served.append(name)
                await leave.wait()
            if name == "first":
                calls["chosen"].cancel()  # its turn has come, and it has not begun

        calls = {name: asyncio.create_task(call(name)) for name in ("first", "waiting", "chosen", "last")}
        await asyncio.sleep(0)
        calls["waiting"].cancel()  # while it waits
        await asyncio.sleep(0)
        leave.set()
        await asyncio.gather(*calls.values(), return_exceptions=True)
        return served

    assert asyncio.run(story()) == ["first", "last"]


def test_calls_are_served_in_the_order_in_which_they_came():
    async def story():
        limiter, served = Limiter(2), []

        async def call(number):
            async with limiter:
                served.append(number)
                await asyncio.sleep(0)

        await asyncio.gather(*(call(number) for number in range(20)))
        return served

    assert asyncio.run(story()) == list(range(20))

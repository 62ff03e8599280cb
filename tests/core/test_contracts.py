"""Contracts: spaces, options, seeds, budgets say clearly what is wrong and never spend what they refuse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import pytest
from annotated_types import Ge, Gt, Interval, Le, MinLen
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ConfigDict, TypeAdapter

from optisolve.core import Budget, BudgetMeter, Kind, Space, Variable, derive, generator, options
from optisolve.core.arrays import product
from optisolve.core.errors import BudgetExhausted, OptionError, ProblemError, UnknownNameError
from optisolve.core.options import Options
from optisolve.core.status import Limit
from optisolve.testing.toys import SumCapSphere


@dataclass(frozen=True)
class Knobs(Options):
    size: Annotated[int, Ge(2)] = 4
    rate: Annotated[float, Ge(0), Le(1)] = 0.5
    mode: str = "a"


def test_every_bad_option_is_listed_in_one_error_with_the_nearest_name():
    with pytest.raises(OptionError) as caught:
        Knobs.from_mapping({"sise": 3, "rate": 2, "size": "many"})
    text = str(caught.value)
    assert len(caught.value.problems) == 3
    assert "did you mean 'size'" in text
    assert "rate: got 2" in text
    assert "size: got 'many'" in text


def test_numbers_given_as_text_are_accepted_and_converted():
    assert Knobs(size="7", rate="1e-2") == Knobs(size=7, rate=0.01)


_HINTS = (
    int,
    float,
    bool,
    str,
    Literal["a", "b", 1],
    Annotated[int, Ge(2)],
    Annotated[float, Gt(0), Le(1)],
    Annotated[float, Interval(ge=0.0, lt=3.0)],
    Annotated[int, Interval(ge=1, le=8)] | None,
    Annotated[str, MinLen(2)],
    tuple[float, float],
    tuple[int, str] | None,
    tuple[int, ...],
    int | str,
    float | None,
)
_VALUES = (0, 1, 2, 7, 2**60, -1.5, 0.0, 0.5, 1.0, 3.0, 1e400, float("nan"), True, False, "a", "ab", "1", "0.5", None)


@pytest.mark.parametrize("hint", _HINTS, ids=str)
def test_what_is_taken_without_pydantic_is_what_pydantic_makes_of_it(hint):
    """Where it is sure of a value, the quick look has pydantic's value and type; of most good values it is sure."""
    adapter = TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True, allow_inf_nan=False))
    sure = 0
    for value in (*_VALUES, (1.0, 2), [1, 2.5], (1, "a"), [1], (1, 2, 3), np.float64(0.5), np.int64(2)):
        found = options._quick(hint, value)
        if found is not options._UNSURE:
            expected = adapter.validate_python(value)
            assert (found, type(found)) == (expected, type(expected))
            sure += 1
    assert sure > 0 or hint in (tuple[int, ...], int | str, Annotated[str, MinLen(2)])


def test_options_are_copied_not_changed():
    first = Knobs()
    assert first.with_option(size=9).size == 9
    assert first.size == 4


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_and_infinity_are_no_option_values(value):
    with pytest.raises(OptionError, match="rate"):
        Knobs(rate=value)


def test_unknown_names_come_with_a_suggestion():
    assert "Did you mean 'moead_de'" in str(UnknownNameError("solver", "moaed_de", ["moead_de", "nsga2"]))


SPACE = Space.of(
    [Variable("a.x_m", -1.0, 2.0, "m"), Variable("n", 0, 3, kind=Kind.INTEGER), Variable("b", 0, 1, kind=Kind.BINARY)]
)


@given(st.integers(0, 2**32), st.integers(1, 50))
def test_samples_are_valid_points(seed, n):
    X = SPACE.sample(np.random.default_rng(seed), n)
    assert SPACE.require(X).shape == (n, 3)


def test_integer_samples_cover_all_values_evenly():
    X = SPACE.sample(np.random.default_rng(0), 4000)
    counts = np.bincount(X[:, 1].astype(int), minlength=4)
    assert counts.min() > 850  # 1000 expected each, sd 27


@pytest.mark.parametrize(
    ("point", "needle"),
    [
        ([3.0, 0, 0], "'a.x_m' = 3.0; expected a finite value in [-1, 2] m"),
        ([float("nan"), 0, 0], "'a.x_m' = nan"),
        ([0.0, 1.5, 0], "'n' = 1.5; expected an integer"),
        ([0.0, 1], "expected [n, 3]"),
    ],
)
def test_a_bad_point_is_refused_with_the_name_of_the_variable(point, needle):
    with pytest.raises(ProblemError) as caught:
        SPACE.require(point)
    assert needle in str(caught.value)


@given(st.lists(st.floats(-10, 10), min_size=3, max_size=3))
def test_clipping_gives_valid_points_and_keeps_valid_ones(row):
    clipped = SPACE.clip(np.array([row]))
    assert np.array_equal(SPACE.clip(SPACE.require(clipped)), clipped)


def test_normalizing_and_back_is_the_identity_up_to_rounding():
    X = SPACE.sample(np.random.default_rng(1), 20)
    assert np.allclose(SPACE.denormalize(SPACE.normalize(X)), X, atol=1e-12)


def test_streams_depend_on_every_axis_and_on_nothing_else():
    def words(master, **axes):
        return derive(master, **axes).generate_state(8).tolist()

    base = words(7, problem="p", purpose="users")
    assert words(7, purpose="users", problem="p") == base
    assert words(8, problem="p", purpose="users") != base
    assert words(7, problem="q", purpose="users") != base
    assert generator(7, a=1).random() == generator(7, a=1).random()


def test_evaluations_that_do_not_fit_are_refused_before_they_are_counted():
    meter = BudgetMeter(Budget(evaluations=10))
    meter.charge_evaluations(8)
    with pytest.raises(BudgetExhausted) as caught:
        meter.charge_evaluations(3)
    assert caught.value.limit is Limit.EVALUATIONS
    assert meter.evaluations == 8
    assert meter.remaining_evaluations == 2


def test_worst_cases_are_reserved_and_given_back():
    meter = BudgetMeter(Budget(llm_calls=5, llm_tokens=1000, usd=1.0))
    first = meter.reserve(tokens=600, usd=0.6)
    with pytest.raises(BudgetExhausted) as caught:
        meter.reserve(tokens=600, usd=0.1)
    assert caught.value.limit is Limit.LLM_TOKENS
    with pytest.raises(BudgetExhausted) as caught:
        meter.reserve(tokens=1, usd=0.5)
    assert caught.value.limit is Limit.USD
    meter.settle(first, tokens_in=50, tokens_out=50, usd=0.1)
    meter.reserve(tokens=600, usd=0.6)
    assert (meter.llm_calls, meter.tokens_in, meter.tokens_out) == (2, 50, 50)


def test_calls_are_counted_when_reserved():
    meter = BudgetMeter(Budget(llm_calls=1))
    meter.reserve(tokens=1, usd=0)
    with pytest.raises(BudgetExhausted) as caught:
        meter.reserve(tokens=1, usd=0)
    assert caught.value.limit is Limit.LLM_CALLS


def test_no_time_left_means_no_evaluations_left():
    assert BudgetMeter(Budget(seconds=0)).remaining_evaluations == 0


def test_an_evaluation_unpacks_into_objectives_and_constraints():
    instance = SumCapSphere().instance(1)
    F, G, H = instance.evaluate(np.zeros((3, 4)))
    assert (F.shape, G.shape, H.shape) == ((3, 1), (3, 1), (3, 0))


def test_an_interrupt_under_a_shield_waits_for_its_end_and_hurries_it():
    meter, hurried = BudgetMeter(Budget(evaluations=10)), []
    assert meter.interrupt()  # nothing to protect: the handler may raise
    meter.interrupted = False
    done = []

    def work():
        with meter.shield(lambda: hurried.append(True)):
            with meter.shield():
                assert not meter.interrupt()
            done.append("inner")
            assert not meter.interrupt()
            done.append("outer")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["inner", "outer"]
    assert hurried == [True]  # by the interrupt that met the outer one alone


def test_a_shield_lets_other_exceptions_through():
    meter = BudgetMeter(Budget(evaluations=1))
    with pytest.raises(BudgetExhausted), meter.shield():
        meter.charge_evaluations(2)
    with meter.shield():
        meter.charge_evaluations(1)


def test_a_call_that_was_paid_before_fits_any_budget_and_counts():
    meter = BudgetMeter(Budget(llm_calls=1, llm_tokens=10))
    held = meter.reserve(tokens=100, usd=0.0, paid=True)
    meter.settle(held, tokens_in=60, tokens_out=40, usd=0.0)
    assert (meter.llm_calls, meter.tokens_in + meter.tokens_out) == (1, 100)
    with pytest.raises(BudgetExhausted):
        meter.reserve(tokens=1, usd=0.0)


@pytest.mark.parametrize(("n", "k", "m"), [(1, 10, 10), (3, 40, 5), (1, 9, 1), (2, 300, 1), (40, 30, 40), (2, 0, 3), (0, 4, 2)])
def test_a_matrix_product_adds_its_terms_from_first_to_last_whatever_its_size(n, k, m):
    rng = np.random.default_rng(n + k + m)
    left, right = (rng.standard_normal(shape) * 10.0 ** rng.integers(-9, 9, shape) for shape in ((n, k), (k, m)))
    total = np.zeros((n, m))
    for j in range(k):
        total += np.outer(left[:, j], right[j])
    assert product(left, right).tobytes() == total.tobytes()
    with pytest.raises(ValueError, match="zip"):
        product(np.ones((2, 1)), np.ones((3, 4)))  # numpy would stretch the one

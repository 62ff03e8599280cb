"""An answer says where its instance lies outside of what the weights have seen; nothing else about it changes."""

import pytest

import optisolve


@pytest.mark.parametrize("scenario", ["power_control", "uav_isac", "offloading/n10", "noma_uav", "parallel_channels/msr80"])
def test_the_scenario_of_a_training_is_no_news(scenario):
    assert optisolve.load_solver("ddpm").caution(optisolve.load_problem(scenario).instance(3)) == ""


@pytest.mark.parametrize(
    ("scenario", "params", "told"),
    [
        ("power_control", {"n_links": 30}, "n_links = 30 (8 to 20)"),
        ("power_control", {"noise_w": 0.01}, "noise_w = 0.01 (0.1 to 1)"),
        ("power_control", {"noise_w": 0.02, "p_max_w": 0.1}, ""),
        ("power_control/weighted", {}, "of the largest (0.1)"),
        ("power_control/d2d50", {}, "channel = geometric (gaussian)"),
        ("uav_isac", {"n_users": 20}, "n_users = 20 (12)"),
    ],
)
def test_size_noise_weights_and_channels_that_training_had_not_are_named(scenario, params, told):
    caution = optisolve.load_solver("ddpm").caution(optisolve.load_problem(scenario, **params).instance(1))
    assert told in caution
    assert bool(told) == bool(caution)


def test_result_and_prepared_answer_carry_the_note_and_the_hash_does_not():
    instance = optisolve.load_problem("power_control", n_links=6).instance(1)
    result = optisolve.solve(instance, "ddpm", n_samples=2)
    (note,) = result.notes
    assert "n_links = 6 (8 to 20)" in note
    assert optisolve.prepare("ddpm", instance, n_samples=2)(instance).note == note
    assert result.record.with_provenance(notice="").result_hash == result.result_hash

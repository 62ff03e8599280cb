"""Users bring their own data: every family reads and writes instance files and names what is wrong with one."""

from __future__ import annotations

import json

import numpy as np
import pytest

import optisolve
from optisolve.cli.main import main
from optisolve.core.errors import OptionError, OptisolveError
from optisolve.problems.instance_file import ArrayProblem, ArraySpec, check_arrays, read_arrays, write_arrays
from optisolve.registry import PROBLEMS

FAMILIES = sorted(name for name in PROBLEMS.targets() if issubclass(PROBLEMS.get(name), ArrayProblem))

SPECS = (
    ArraySpec("gain", ("K", "K"), "", 0.0, strict=True, meaning="power gains"),
    ArraySpec("noise_w", ("K",), "W", 0.0, strict=True, meaning="noise"),
    ArraySpec("cap_w", (), "W", 0.0, meaning="total power"),
    ArraySpec("count", ("K",), "", 0.0, upper=5.0, integer=True, meaning="antennas"),
)
GOOD = {"gain": np.eye(3) + 0.1, "noise_w": np.ones(3), "cap_w": np.array(2.0), "count": np.array([1.0, 2.0, 3.0])}


def test_all_families_but_the_map_based_one_and_the_functions_read_files():
    without = {"uav_isac", "pymoo", "goal", "market_game", "pricing_game"}  # CSV; no data; another family; a few drawn numbers
    assert set(PROBLEMS.targets()) - set(FAMILIES) == without


@pytest.mark.parametrize("suffix", [".npz", ".json", ".mat"])
@pytest.mark.parametrize("family", FAMILIES)
def test_an_exported_instance_comes_back_the_same(family, suffix, tmp_path, capsys):
    file = str(tmp_path / f"case{suffix}")
    assert main(["export", f"problem={family}", "--to", file, "--instance", "4"]) == 0
    original = optisolve.load_problem(family).instance(4)
    again = optisolve.load_problem(family, instance_file=file).instance(99)
    assert again.sha256 == original.sha256
    X = original.space.sample(np.random.default_rng(0), 5)
    assert np.array_equal(original.evaluate(X).F, again.evaluate(X).F)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_record_of_a_file_s_instance_can_be_verified_when_the_file_is_gone(family, tmp_path):
    file = tmp_path / "case.json"
    write_arrays(str(file), optisolve.load_problem(family).instance(4).arrays())
    instance = optisolve.load_problem(family, instance_file=str(file)).instance(0)
    result = optisolve.solve(instance, "random_search", budget=optisolve.Budget(evaluations=20))
    file.unlink()
    assert optisolve.verify(json.loads(json.dumps(result.record)))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("damage", ["nan", "shape", "missing", "extra"])
def test_damaged_arrays_are_refused_with_the_field_s_name(family, damage, tmp_path):
    arrays = {name: np.array(values) for name, values in optisolve.load_problem(family).instance(4).arrays().items()}
    name = next(iter(arrays))
    if damage == "nan":
        arrays[name].flat[0] = np.nan
    elif damage == "shape":
        arrays[name] = np.ones((*arrays[name].shape, 2))
    elif damage == "missing":
        del arrays[name]
    else:
        name = "unheard_of"
        arrays[name] = np.ones(2)
    file = tmp_path / "case.npz"
    write_arrays(str(file), arrays)
    with pytest.raises(OptionError, match=name):
        optisolve.load_problem(family, instance_file=str(file)).instance(0)


@pytest.mark.parametrize(
    ("change", "needle"),
    [
        ({"gain": np.ones((3, 2))}, "gain: got 'shape (3, 2)', expected shape [K, K] with K=3"),
        ({"noise_w": np.ones(4)}, "noise_w: got 'shape (4,)', expected shape [K] in W with K=3"),
        ({"noise_w": np.array([1.0, -1.0, 1.0])}, "noise_w[1]: got -1.0, expected values > 0 W"),
        ({"noise_w": np.array([1.0, np.inf, 1.0])}, "noise_w[1]: got inf, expected finite values W"),
        ({"count": np.array([1.0, 2.5, 1.0])}, "count[1]: got 2.5, expected whole numbers"),
        ({"count": np.array([1.0, 9.0, 1.0])}, "count[1]: got 9.0, expected values <= 5"),
        ({"cap_w": np.ones(2)}, "cap_w: got 'shape (2,)'"),
        ({"gian": np.ones(2)}, "did you mean 'gain'"),
        ({"gain": [["a"]]}, "gain: got 'values', expected real numbers"),
    ],
)
def test_every_mistake_has_a_message_with_field_given_and_expected(change, needle):
    with pytest.raises(OptionError) as caught:
        check_arrays({**GOOD, **change}, SPECS, where="case.npz")
    assert needle in str(caught.value)


def test_all_mistakes_are_listed_at_once():
    with pytest.raises(OptionError) as caught:
        check_arrays({"gain": -np.eye(3), "noise_w": np.zeros(3)}, SPECS, where="case.npz")
    assert {p.field.split("[")[0] for p in caught.value.problems} == {"gain", "noise_w", "cap_w", "count"}


def test_complex_arrays_are_split_and_pickles_are_not_read(tmp_path):
    np.savez(tmp_path / "h.npz", h=np.array([1 + 2j, 3.0]))
    assert np.array_equal(read_arrays(str(tmp_path / "h.npz"))["h_im"], [2.0, 0.0])
    np.savez(tmp_path / "evil.npz", gain=np.array([{"a": 1}], dtype=object))
    with pytest.raises(OptisolveError, match=r"evil\.npz"):
        read_arrays(str(tmp_path / "evil.npz"))


@pytest.mark.parametrize(
    ("name", "content"), [("x.npz", b"junk"), ("x.json", b"[1, 2"), ("x.json", b"[1]"), ("x.mat", b""), ("x.csv", b"")]
)
def test_unreadable_files_are_one_clear_error(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(OptisolveError, match=name.replace(".", r"\.")):
        read_arrays(str(tmp_path / name))


def test_a_missing_file_is_a_clear_error():
    with pytest.raises(OptisolveError, match="does not exist"):
        read_arrays("nowhere.npz")

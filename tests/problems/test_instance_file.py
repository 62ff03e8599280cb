"""Users bring their own data: every family reads and writes instance files and names what is wrong with one."""

from __future__ import annotations

import errno
import io
import json
import shutil
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

import optisolve
from optisolve.cli.main import main
from optisolve.core.errors import OptionError, OptisolveError, ProblemError
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
    tables = {"uav_isac", "radio_planning", "traffic_engineering"}  # CSV; path gains by a script; the formats of its field
    without = tables | {"pymoo", "goal", "market_game", "pricing_game"}  # no data; another family; a few drawn numbers
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
def test_how_a_file_would_be_read_is_no_part_of_a_drawn_instance(family):
    """Locks and records of before stay as they are."""
    problem = optisolve.load_problem(family)
    assert "complex" not in problem.origin(0).params
    assert "complex" not in problem.instance(0).origin.params


@pytest.mark.parametrize("family", FAMILIES)
def test_a_record_of_a_file_s_instance_can_be_verified_when_the_file_is_gone(family, tmp_path):
    file = tmp_path / "case.json"
    write_arrays(str(file), optisolve.load_problem(family).instance(4).arrays())
    instance = optisolve.load_problem(family, instance_file=str(file)).instance(0)
    result = optisolve.solve(instance, "random_search", budget=optisolve.Budget(evaluations=20))
    file.unlink()
    assert optisolve.verify(result.record.to_json())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("damage", ["nan", "shape", "missing", "extra"])
def test_damaged_arrays_are_refused_with_the_field_s_name(family, damage, tmp_path):
    arrays = {name: np.array(values) for name, values in optisolve.load_problem(family).instance(4).arrays().items()}
    name = next(iter(arrays))
    if damage == "nan":
        arrays[name].flat[0] = np.nan
    elif damage == "shape":
        arrays[name] = np.ones((*arrays[name].shape, 2, 2))  # one more axis may be a stack of instances
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
        ({"gain": np.full((3, 3), 1e308)}, "gain[0, 0]: got 1e+308, expected values of magnitude 1e-75 to 1e+75, or 0"),
        ({"noise_w": np.array([1.0, 1e-300, 1.0])}, "noise_w[1]: got 1e-300, expected values of magnitude 1e-75"),
        ({"gian\x1b[2J": np.ones(2)}, "'gian\\x1b[2J': got 'an array'"),
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
    np.savez(tmp_path / "h.npz", h=np.array([[1 + 2j, 3.0]]))
    h = optisolve.load_problem("beamforming", instance_file=str(tmp_path / "h.npz")).instance(0).arrays()
    assert np.array_equal(h["h_im"], [[2.0, 0.0]])
    np.savez(tmp_path / "evil.npz", gain=np.array([{"a": 1}], dtype=object))
    with pytest.raises(OptisolveError, match=r"evil\.npz.*'gain.npy' holds Python objects.*never loaded"):
        read_arrays(str(tmp_path / "evil.npz"))


@pytest.mark.parametrize(
    ("name", "content"),
    [("x.npz", b"junk"), ("x.json", b"[1, 2"), ("x.json", b"[1]"), ("x.mat", b""), ("x.csv", b""), ("x.xyz", b"1")],
)
def test_unreadable_files_are_one_clear_error(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(OptisolveError, match=name.replace(".", r"\.")):
        read_arrays(str(tmp_path / name))


def _bomb(path: Path, suffix: str) -> Path:
    """A small file that declares a gigabyte of zeros."""
    file = path / f"bomb{suffix}"
    if suffix == ".mat":
        # One compressed element: a 2^13 x 2^14 array of doubles whose data are cut off; its header is all that matters.
        dims = np.array([2**13, 2**14], dtype="<i4").tobytes()
        body = np.array([6, 8, 6, 0], dtype="<u4").tobytes() + np.array([5, 8], dtype="<u4").tobytes() + dims
        body += np.array([1, 4], dtype="<u4").tobytes() + b"gain" + b"\0\0\0\0" + np.array([9, 2**30], dtype="<u4").tobytes()
        body += bytes(2**20)
        packed = zlib.compress(np.array([14, len(body)], dtype="<u4").tobytes() + body)
        header = b"MATLAB 5.0 MAT-file".ljust(124) + np.array([0x0100], dtype="<u2").tobytes() + b"IM"
        file.write_bytes(header + np.array([15, len(packed)], dtype="<u4").tobytes() + packed)
        return file
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (2**13, 2**14)})
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed, packed.open("gain.npy", "w", force_zip64=True) as stream:
        stream.write(header.getvalue())
        for _ in range(2**10 if suffix == ".npz" else 1):
            stream.write(bytes(2**20))
    return file.rename(file.with_suffix(".npz"))


@pytest.mark.parametrize("suffix", [".npz", ".mat", ".lie"])
def test_a_bomb_is_refused_by_its_declared_size_before_it_is_inflated(tmp_path, suffix):
    """`.lie`: an archive of a megabyte whose array claims a gigabyte."""
    file = _bomb(tmp_path, suffix)
    assert file.stat().st_size < 3e6
    tracemalloc.start()
    with pytest.raises(ProblemError, match=r"declares .*1,024 MiB, at most 256 MiB are read"):
        read_arrays(str(file))
    assert tracemalloc.get_traced_memory()[1] < 5e7
    tracemalloc.stop()


def test_a_huge_text_is_refused_before_it_is_read(tmp_path):
    file = tmp_path / "huge.json"
    with file.open("wb") as stream:
        stream.truncate(2**29)
    with pytest.raises(ProblemError, match=r"holds 512 MiB, at most 256 MiB"):
        read_arrays(str(file))


def test_a_name_that_stands_twice_is_an_error(tmp_path):
    (tmp_path / "twice.json").write_text('{"gain": [[1.0]], "gain": [[2.0]]}', encoding="utf-8")
    with pytest.raises(ProblemError, match="'gain' stands twice"):
        read_arrays(str(tmp_path / "twice.json"))


def test_a_byte_order_mark_is_no_damage(tmp_path):
    (tmp_path / "bom.json").write_bytes(b"\xef\xbb\xbf" + b'{"gain": [[1.0]]}')
    assert read_arrays(str(tmp_path / "bom.json")) == {"gain": [[1.0]]}


def test_a_matlab_struct_is_named(tmp_path):
    savemat(tmp_path / "s.mat", {"gain": {"a": 1.0}})
    with pytest.raises(ProblemError, match="'gain' is a struct, expected an array of numbers"):
        read_arrays(str(tmp_path / "s.mat"))


@pytest.mark.parametrize("suffix", [".npz", ".json", ".mat"])
def test_a_full_disk_leaves_no_part_of_an_export_and_names_the_file(tmp_path, suffix, monkeypatch):
    def full(*_args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    file = tmp_path / f"case{suffix}"
    with pytest.raises(OSError, match=rf"No space left on device: '.*case\{suffix}'"):
        write_arrays(str(file), GOOD)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("solver", ["wmmse", "random_search"])
def test_the_hash_does_not_depend_on_how_a_path_is_spelled(tmp_path, monkeypatch, solver):
    """The same data under three spellings and another name; no record tells where the file lay."""
    monkeypatch.chdir(tmp_path)
    write_arrays("pc.npz", optisolve.load_problem("power_control").instance(0).arrays())
    shutil.copy("pc.npz", "other.npz")
    records = []
    for path in ("pc.npz", "./pc.npz", str(tmp_path / "pc.npz"), "other.npz"):
        instance = optisolve.load_problem("power_control", instance_file=path).instance(0)
        records.append(optisolve.solve(instance, solver, budget=optisolve.Budget(evaluations=50), seed=3).record)
    assert len({record.result_hash for record in records}) == 1
    assert len({record.provenance.run_id for record in records}) == 1
    assert str(tmp_path) not in "".join(record.to_bytes().decode() for record in records)
    names = [record.provenance.files["instance_file"].name for record in records]
    assert names == ["pc.npz", "pc.npz", "pc.npz", "other.npz"]
    (tmp_path / "pc.npz").unlink()
    assert optisolve.verify(json.loads(records[0].to_bytes()), reproduce=True)


def test_a_run_of_a_file_is_found_again_under_another_spelling_and_without_the_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_arrays("pc.npz", optisolve.load_problem("power_control").instance(0).arrays())
    words = [
        "run",
        "problem=power_control",
        "solver=random_search",
        "budget.evaluations=50",
        "reference=none",
        "pictures=false",
    ]
    for path in ("pc.npz", f"{tmp_path}/pc.npz"):
        assert main([*words, f"problem.instance_file={path}", "out=runs", "resume=true"]) == 0
    assert "already finished" in capsys.readouterr().out
    assert len(list(tmp_path.glob("runs/*/record.json"))) == 1
    (job,) = tmp_path.glob("runs/*/job.json")
    assert str(tmp_path) not in job.read_text("utf-8")


def test_a_missing_file_is_a_clear_error():
    with pytest.raises(OptisolveError, match="does not exist"):
        read_arrays("nowhere.npz")

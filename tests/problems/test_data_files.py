"""Files that people have: what is unambiguous is read with right values, everything else is named for what it is."""

from __future__ import annotations

import gzip
import pickle
import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat
from scipy.sparse import csr_matrix

import optisolve
from optisolve.cli.main import main
from optisolve.core.errors import MissingDependency, OptisolveError
from optisolve.problems.data_files import SUFFIXES
from optisolve.problems.instance_file import write_arrays

K = 4
_DRAWN = np.random.default_rng(0).standard_normal((2, K, K))
H = (_DRAWN[0] + 1j * _DRAWN[1]) / np.sqrt(2.0)
GAIN = H.real**2 + H.imag**2
STACK = np.arange(1.0, 8.0)[:, None, None] * GAIN


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def instance_of(file, family="power_control", seed=0, **settings):
    return optisolve.load_problem(family, instance_file=file, **settings).instance(seed)


def read_of(instance):
    return instance.origin.files["instance_file"].get("read", "")


def refusal(file, family="power_control", **settings):
    with pytest.raises(OptisolveError) as caught:
        instance_of(file, family, **settings)
    return str(caught.value)


def by_matlab(name, **arrays):
    """A file as MATLAB saves it with -v7.3: a block of text in front, lengths reversed, complex values as pairs."""
    h5py = pytest.importorskip("h5py", reason="needs the extra [hdf5]")
    with h5py.File(name, "w", userblock_size=512) as file:
        for key, values in arrays.items():
            turned = np.ascontiguousarray(np.asarray(values).T)
            if np.iscomplexobj(turned):
                pairs = np.empty(turned.shape, dtype=[("real", "<f8"), ("imag", "<f8")])
                pairs["real"], pairs["imag"] = turned.real, turned.imag
                turned = pairs
            file.create_dataset(key, data=turned).attrs["MATLAB_class"] = np.bytes_("double")
    header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Mon Nov 30 02:00:00 2026 HDF5 schema 1.00 ."
    with Path(name).open("r+b") as file:
        file.write(header.ljust(124) + b"\x00\x02IM")


# -- one matrix is enough ----------------------------------------------------------------------------------------------


def test_one_gain_matrix_is_enough_and_the_record_says_what_stood_in(capsys):
    np.savez("gains.npz", gain=GAIN)
    command = ["run", "problem=power_control", "solver=wmmse", "problem.instance_file=gains.npz", "problem.p_max_w=2"]
    assert main([*command, "reference=none", "pictures=false", "out=runs"]) == 0
    said = "gains.npz: not in the file, taken as noise_w = 1 W, p_max_w = 2 W, weight = 1, min_rate_bit_s_hz = 0 bit/s/Hz"
    assert f"data:     {said}" in capsys.readouterr().out
    assert main(["verify", "runs"]) == 0
    arrays = instance_of("gains.npz", p_max_w=2.0).arrays()
    assert np.array_equal(arrays["gain"], GAIN)
    assert np.array_equal(arrays["p_max_w"], np.full(K, 2.0))
    np.savez("all.npz", **arrays)
    assert instance_of("all.npz").arrays().keys() == arrays.keys()
    assert read_of(instance_of("all.npz")) == ""


def test_settings_stand_in_as_they_do_for_drawn_instances():
    """Floors as a share of the rate at full power; noise of a geometric channel, -174 dBm/Hz over 10 MHz, by hand."""
    np.savez("gains.npz", gain=GAIN)
    floors = instance_of("gains.npz", min_rate_share=0.5).arrays()["min_rate_bit_s_hz"]
    received = np.diag(GAIN) / (1.0 + GAIN.sum(axis=1) - np.diag(GAIN))
    assert floors == pytest.approx(0.5 * np.log2(1.0 + received), rel=1e-12)
    assert "expected an array [K] in bit/s/Hz: minimum rate" in refusal("gains.npz", goal="min_power")
    geometric = dict.fromkeys(("area_side_m", "link_max_m", "antenna_height_m"), 100.0)
    geometric |= {"link_min_m": 1.0, "carrier_hz": 2.4e9, "antenna_gain_db": 0.0, "snr_gap_db": 0.0, "shadowing_db": 0.0}
    np.savez("weak.npz", gain=1e-9 * GAIN)
    made = instance_of("weak.npz", channel="geometric", noise_dbm_hz=-174.0, bandwidth_hz=1e7, **geometric)
    assert made.arrays()["noise_w"] == pytest.approx(np.full(K, 3.9810717e-14), rel=1e-7)


def test_every_family_s_settings_stand_in_for_arrays_of_the_same_name():
    np.savez("tones.npz", gain=1e-9 * GAIN)
    tones = instance_of("tones.npz", "resource_allocation").arrays()
    problem = optisolve.load_problem("resource_allocation")
    assert float(tones["power_total_w"]) == problem.power_total_w
    assert np.array_equal(tones["quota"], np.full(K, problem.quota))
    np.savez("h.npz", h=H[:2])
    assert np.array_equal(instance_of("h.npz", "beamforming").arrays()["sinr_target"], np.full(2, 10.0))
    np.savetxt("users_m.csv", [[1.0, 2.0], [3.0, 4.0]], delimiter=",", header="x_m,y_m", comments="")
    assert np.array_equal(instance_of("users_m.csv", "noma_uav").arrays()["users_m"], [[1.0, 2.0], [3.0, 4.0]])


def test_one_number_stands_for_all_links():
    savemat("gains.mat", {"gain": GAIN, "noise_w": 0.5, "p_max_w": np.ones((1, K))})
    arrays = instance_of("gains.mat").arrays()
    assert np.array_equal(arrays["noise_w"], np.full(K, 0.5))
    assert np.array_equal(arrays["p_max_w"], np.ones(K))


def test_arrays_need_no_file_in_python():
    made = optisolve.load_problem("power_control", instance_data={"gain": GAIN, "noise_w": 0.5}).instance(0)
    again = optisolve.load_problem("power_control", **made.origin.params).instance(0)
    assert again.sha256 == made.sha256
    assert np.array_equal(again.arrays()["noise_w"], np.full(K, 0.5))


def test_a_single_matrix_may_have_any_name_and_that_is_told():
    savemat("h.mat", {"G": GAIN})
    assert read_of(instance_of("h.mat")).startswith("gain is 'G' of the file; ")
    savemat("two.mat", {"G": GAIN, "noise": 1.0})
    assert "G: got 'an array', expected one of gain, noise_w" in refusal("two.mat")


def test_a_changed_setting_reaches_an_instance_that_a_file_leaves_it_to():
    np.savez("gains.npz", gain=GAIN)
    problem = optisolve.load_problem("power_control", instance_file="gains.npz")
    assert np.array_equal(problem.with_option(p_max_w=3.0).instance(0).arrays()["p_max_w"], np.full(K, 3.0))


# -- complex channels --------------------------------------------------------------------------------------------------


def test_complex_channels_are_explained_and_become_powers_when_that_is_asked_for():
    np.savez("h.npz", H=H)
    assert "gain: got 'complex values', expected power gains |h|^2, real: set problem.complex=power" in refusal("h.npz")
    made = instance_of("h.npz", complex="power")
    assert made.arrays()["gain"] == pytest.approx(GAIN, rel=1e-14)
    assert "gain is |h|^2 of complex values" in read_of(made)
    assert "complex" not in made.origin.params
    np.savez("g.npz", gain=GAIN)
    assert "complex: got 'power', expected null: no power gain in the file is complex" in refusal("g.npz", complex="power")


@pytest.mark.parametrize("name", ["parts.json", "h.csv", "h.mat", "v73.mat"])
def test_complex_values_are_found_in_every_format(name):
    if name == "parts.json":
        write_arrays(name, {"gain_re": H.real, "gain_im": H.imag})
    elif name == "h.csv":
        np.savetxt(name, H, delimiter=",")
    elif name == "h.mat":
        savemat(name, {"H": H})
    else:
        by_matlab(name, H=H)
    assert "complex values" in refusal(name)
    assert instance_of(name, complex="power").arrays()["gain"] == pytest.approx(GAIN, rel=1e-14)


# -- stacks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".mat", ".json", ".h5"])
def test_the_instance_number_picks_one_of_a_stack(suffix):
    if suffix == ".h5":
        pytest.importorskip("h5py", reason="needs the extra [hdf5]")
    if suffix == ".npy":
        np.save("stack.npy", STACK)
    else:
        write_arrays(f"stack{suffix}", {"gain": STACK})
    made = instance_of(f"stack{suffix}", seed=3)
    np.savez("alone.npz", gain=STACK[3])
    assert np.array_equal(made.arrays()["gain"], STACK[3])
    assert "instance 3 of a stack of 7 (0 to 6)" in read_of(made)
    assert made.sha256 == instance_of("alone.npz").sha256
    assert np.array_equal(made.origin.params["instance_data"]["gain"], STACK[3]), "a record carries its own instance only"
    with pytest.raises(OptisolveError, match=r"instance 7: .* is a stack of 7 instances; choose one of 0 to 6"):
        instance_of(f"stack{suffix}", seed=7)


def test_arrays_of_a_stack_are_stacked_or_shared():
    noise = np.arange(1.0, 29.0).reshape(7, K)
    np.savez("stack.npz", gain=STACK, noise_w=noise, weight=[1.0, 2.0, 3.0, 4.0], p_max_w=0.5)
    arrays = instance_of("stack.npz", seed=6).arrays()
    assert np.array_equal(arrays["noise_w"], noise[6])
    assert np.array_equal(arrays["weight"], [1.0, 2.0, 3.0, 4.0])
    assert np.array_equal(arrays["p_max_w"], np.full(K, 0.5))
    np.savez("short.npz", gain=STACK, noise_w=noise[:3])
    assert "noise_w: got 'shape (3, 4)', expected shape [K] in W with K=4; the stack has 7 instances" in refusal("short.npz")


def test_a_stack_in_matlab_s_order_says_how_to_turn_it():
    savemat("gains.mat", {"gain": np.moveaxis(STACK, 0, -1)})
    assert "permute(x, [3 1 2])" in refusal("gains.mat")


def test_a_run_of_a_stack_is_verified_without_it(capsys, tmp_path):
    np.savez("stack.npz", STACK)
    command = ["run", "problem=power_control", "solver=wmmse", "problem.instance_file=stack.npz", "instance=5"]
    assert main([*command, "reference=none", "pictures=false", "out=runs"]) == 0
    (tmp_path / "stack.npz").unlink()
    assert main(["verify", "runs"]) == 0
    assert main([*command[:-1], "instance=7"]) == 1
    assert "does not exist" in capsys.readouterr().err


# -- HDF5 --------------------------------------------------------------------------------------------------------------


def test_matlab_s_own_order_of_a_v73_file_comes_back():
    by_matlab("gains.mat", gain=GAIN, noise_w=np.array([[1.0, 2.0, 3.0, 4.0]]), p_max_w=[[0.5]])
    arrays = instance_of("gains.mat").arrays()
    assert np.array_equal(arrays["gain"], GAIN)
    assert np.array_equal(arrays["noise_w"], [1.0, 2.0, 3.0, 4.0])
    by_matlab("stack.mat", H=np.sqrt(STACK) * 1j)
    assert instance_of("stack.mat", seed=2, complex="power").arrays()["gain"] == pytest.approx(STACK[2], rel=1e-14)


@pytest.mark.parametrize("name", ["gains.mat", "gains.h5"])
def test_hdf5_without_its_extra_names_the_extra(name, monkeypatch):
    head = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM" if name == "gains.mat" else b""
    Path(name).write_bytes(head.ljust(512 if head else 0, b"\0") + b"\x89HDF\r\n\x1a\n" + bytes(64))
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingDependency, match=r"h5py, for .*pip install 'optisolve\[hdf5\]'"):
        instance_of(name)


def test_a_cut_off_v73_file_is_named_for_what_it_is():
    by_matlab("gains.mat", gain=GAIN)
    with Path("gains.mat").open("r+b") as file:
        file.truncate(700)
    assert "is MATLAB v7.3, but damaged or cut off" in refusal("gains.mat")


def test_only_numbers_that_lie_in_an_hdf5_file_itself_are_read():
    h5py = pytest.importorskip("h5py", reason="needs the extra [hdf5]")
    with h5py.File("far.h5", "w") as file:
        file["gain"] = GAIN
    kinds = {
        "link.h5": (lambda file: file.update(gain=h5py.ExternalLink("far.h5", "/gain")), "'gain' is a link"),
        "group.h5": (lambda file: file.create_group("gain"), "'gain' is a group"),
        "text.h5": (lambda file: file.create_dataset("gain", data="secret"), "'gain' is a dataset of type object"),
        "bomb.h5": (lambda file: file.create_dataset("gain", (2**14, 2**14), "f8", chunks=True), "declares"),
        "raw.h5": (
            lambda f: f.create_dataset("gain", (2, 2), "f8", external=[("far.h5", 0, 32)]),
            "'gain' lies in another file",
        ),
    }
    for name, (write, told) in kinds.items():
        with h5py.File(name, "w") as file:
            write(file)
        assert told in refusal(name)


# -- tables ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("separator", [",", ";", "\t", " ", ", "])
@pytest.mark.parametrize("heading", ["", "to 1;to 2;to 3;to 4"])
def test_a_table_of_gains_is_read_with_any_separator_and_heading(separator, heading):
    heading = heading.replace(" ", "_").replace(";", separator)
    np.savetxt("gains.csv", GAIN, delimiter=separator, fmt="%.17g", header=heading, comments="")
    assert np.array_equal(instance_of("gains.csv").arrays()["gain"], GAIN)


def test_columns_with_a_family_s_names_are_its_arrays():
    Path("channels.csv").write_text("gain;noise_w;weight\n1;0.1;1\n2;0.2;3\n", encoding="utf-8")
    arrays = instance_of("channels.csv", "parallel_channels").arrays()
    assert {name: arrays[name].tolist() for name in ("gain", "noise_w", "weight")} == {
        "gain": [1.0, 2.0],
        "noise_w": [0.1, 0.2],
        "weight": [1.0, 3.0],
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("0,5;0,7\n0,1;0,9\n", "line 1, column 1: got '0,5', expected a number (a decimal comma? write a point)"),
        ("a,b\n0,5,0,7\n", "line 2: got 4 value(s), expected 2 (decimal commas? write points)"),
        ("a,b\n0.5;0.7\n", "separated by commas in one line and by semicolons in others"),
        ("1,2,3\n1,2\n1,x,3\n", "line 2: got 2 value(s), expected 3\n  - line 3, column 2: got 'x', expected a number"),
        (",0,1\n0,1.5,2.5\n1,3.5,4.5\n", "as pandas writes an index; write it with index=False"),
        ("0,1\n1.5,2.5\n3.5,4.5\n", "is its first row a heading of numbers? Leave it out"),
        ("1,1_0\n1,1\n", "column 2: got '1_0'"),
        ("1,\uff11\n1,1\n", "got '\uff11'"),
        ("a,b\n", "has a header but no rows"),
        ("# nothing\n", "is empty; expected rows of numbers"),
        ("1,nan\n-1,1\n", "gain[0, 1]: got nan, expected finite values"),
        ("1,nan\n-1,1\n", "gain[1, 0]: got -1.0, expected values >= 0"),
        ("-70,-90\n-91,-71\n", "if these are dB, write 10**(dB/10)"),
    ],
)
def test_what_a_table_leaves_open_is_refused_in_words(text, told):
    Path("gains.csv").write_text(text, encoding="utf-8")
    assert told in refusal("gains.csv")


def test_a_table_in_degrees_is_no_table_in_meters():
    Path("users.csv").write_text("lat,lon\n48.1,11.5\n", encoding="utf-8")
    assert "the first line: got 'lat,lon', expected 'x_m,y_m'" in refusal("users.csv", "noma_uav")


def test_a_table_without_names_is_refused_where_several_arrays_are_needed():
    np.savetxt("tasks.csv", np.ones((2, 2)), delimiter=",")
    assert "expected arrays with names, task_bits, cycles" in refusal("tasks.csv", "offloading")


# -- what is no data ---------------------------------------------------------------------------------------------------


def _zipped(name):
    with zipfile.ZipFile(name, "w") as packed:
        packed.writestr("xl/workbook.xml" if name.endswith("xlsx") else "gains.mat", "x")


def _objects(name):
    np.savez(name, gain=np.array([1, "a", None], dtype=object))


def _bytes(data):
    return lambda name: Path(name).write_bytes(data)


@pytest.mark.parametrize(
    ("name", "write", "told"),
    [
        ("g.npz", _bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"), "a Git LFS pointer"),
        ("g.mat", _bytes(b"\r\n<!DOCTYPE html><html>log in</html>"), "a page of HTML"),
        ("g.csv", _bytes(b"<html>404</html>"), "a page of HTML"),
        ("g.csv.gz", _bytes(gzip.compress(b"1,2\n3,4\n")), "compressed by gzip; unpack it first"),
        ("g.mat", _bytes(gzip.compress(b"MATLAB 5.0")), "compressed by gzip"),
        ("g.npz", _zipped, "a zip archive with 'gains.mat'; unpack it first"),
        ("g.zip", _zipped, "a zip archive with 'gains.mat'; unpack it first"),
        ("g.xlsx", _zipped, "an Excel workbook; save the sheet as CSV"),
        ("g.npz", _bytes(pickle.dumps(GAIN)), "a Python pickle, which can run code when it is opened and is never loaded"),
        ("g.pkl", _bytes(pickle.dumps(GAIN)), "never loaded"),
        ("g.npz", _objects, "'gain.npy' holds Python objects"),
        ("g.csv", _bytes("1;2\n".encode("utf-16")), "text in UTF-16; save it as UTF-8"),
        ("g.csv", _bytes(b"\xe4;1\n"), "is not a CSV text in UTF-8"),
        ("g.csv", _bytes(b"PAR1\0\0"), "a Parquet file"),
        ("g.npz", _bytes(b""), "is empty (0 bytes)"),
        ("g.dat", _bytes(b"1 2\n3 4\n"), f"must end in {', '.join(SUFFIXES)}"),
    ],
)
def test_what_is_no_data_is_named_for_what_it_is(name, write, told):
    write(name)
    said = refusal(name)
    assert told in said
    assert name in said
    assert "damaged" not in said


def test_content_under_another_kind_s_name_says_which_name_it_needs():
    np.save("gains.npy", GAIN)
    for name in ("gains.npz", "gains.csv", "gains.mat"):
        shutil.copy("gains.npy", name)
        assert "is a NumPy array by its content; give it a name that ends in .npy" in refusal(name)


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"gain": np.array([["a", "b"], ["c", "d"]])}, "gain: got 'values', expected real numbers [K, K]"),
        ({"gain": GAIN[:, :3]}, "gain: got 'shape (4, 3)', expected shape [K, K] with K=4"),
        ({"gain": np.where(np.eye(K) > 0, 1.0, np.nan)}, "gain[0, 1]: got nan, expected finite values (12 of 16 are not)"),
    ],
)
def test_arrays_that_are_no_gains_are_named(arrays, told):
    np.savez("gains.npz", **arrays)
    assert told in refusal("gains.npz")


def test_damaged_archives_and_ragged_lists_are_one_error(tmp_path):
    Path("ragged.json").write_text('{"gain": [[1, 2], [3]], "noise_w": 1}', encoding="utf-8")
    assert "gain: got 'values', expected real numbers [K, K]" in refusal("ragged.json")
    Path("ragged.json").write_text('{"h": [[1, 2], [3]]}', encoding="utf-8")
    assert "h: got 'an array'" in refusal("ragged.json", "beamforming")
    np.savez("gains.npz", gain=GAIN)
    data = bytearray(Path("gains.npz").read_bytes())
    data[data.rindex(b"PK\x01\x02") + 6] = 97  # a version of zip that is not there yet
    Path("gains.npz").write_bytes(data)
    assert "gains.npz' is a damaged archive" in refusal("gains.npz")


@pytest.mark.parametrize("compressed", [False, True])
def test_every_kind_of_matlab_s_numbers_is_read(compressed):
    arrays = {
        "gain": GAIN.astype(np.float32),
        "noise_w": np.uint8(3),
        "p_max_w": np.arange(1, 5, dtype=np.int16),
        "weight": 0.5,
    }
    savemat("gains.mat", arrays, do_compression=compressed)
    read = instance_of("gains.mat").arrays()
    assert np.array_equal(read["gain"], arrays["gain"])
    assert np.array_equal(read["p_max_w"], [1, 2, 3, 4])
    savemat("old.mat", {"gain": GAIN, "noise_w": 3.0}, format="4")
    assert np.array_equal(instance_of("old.mat").arrays()["gain"], GAIN)


@pytest.mark.parametrize(("place", "value"), [(176, 77), (176, 15), (145, 8), (177, 1)])
def test_a_flipped_byte_of_a_matlab_file_is_an_error_and_not_the_end_of_the_process(place, value):
    """scipy believes a type that MATLAB does not have, and a flag for imaginary parts that are not there."""
    savemat("gains.mat", {"gain": GAIN, "noise_w": 1.0})
    data = bytearray(Path("gains.mat").read_bytes())
    data[place] = value
    Path("gains.mat").write_bytes(data)
    assert "it is damaged" in refusal("gains.mat")


def test_a_transposed_matrix_is_named_where_other_arrays_tell():
    tasks = {name: np.ones(3) for name in ("task_bits", "cycles", "local_hz", "time_weight")}
    np.savez("tasks.npz", **tasks, rate_bps=np.ones((2, 3)))
    assert "rate_bps: got 'shape (2, 3)', expected shape [N, S] in bit/s with N=3; it is transposed" in refusal(
        "tasks.npz", "offloading"
    )


def test_everything_wrong_with_a_file_is_told_at_once():
    wrong = GAIN.copy()
    wrong[0, 1], wrong[2, 1] = np.nan, -1.0
    np.savez("gains.npz", gain=wrong, noise_w=-1.0, wieght=np.ones(K), p_max_w=np.ones(3))
    said = refusal("gains.npz")
    assert "has 5 bad field(s)" in said
    for part in ("gains.npz', gain[0, 1]", "gain[2, 1]", "noise_w[0]", "wieght", "did you mean 'weight'", "p_max_w"):
        assert part in said


def test_matlab_s_sparse_matrices_say_full():
    savemat("s.mat", {"gain": csr_matrix(GAIN)})
    assert "'gain' is a sparse matrix, expected an array of numbers; write full(x)" in refusal("s.mat")


# -- export ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".txt", ".npy", ".h5"])
def test_export_writes_what_is_read(suffix, capsys):
    if suffix == ".h5":
        pytest.importorskip("h5py", reason="needs the extra [hdf5]")
    assert main(["export", "problem=nsp_utility", "--to", f"case{suffix}", "--instance", "4"]) == 0
    assert instance_of(f"case{suffix}", "nsp_utility").sha256 == optisolve.load_problem("nsp_utility").instance(4).sha256
    code = main(["export", "problem=power_control", "--to", f"links{suffix}"])
    if suffix == ".h5":
        assert code == 0
        assert instance_of("links.h5").sha256 == optisolve.load_problem("power_control").instance(0).sha256
    else:
        assert code == 1
        assert "would hold one array of at most two axes, and there are gain, noise_w" in capsys.readouterr().err

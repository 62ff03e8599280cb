"""The check for GPUs, `benchmarks/gpu/check.py`, at its smallest on a processor: it measures what it says, whatever fails."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [diffusion]")
pytest.importorskip("diffusers", reason="needs the extra [diffusion]")

from optisolve.problems.radio_planning.tracing import can_trace  # noqa: E402

FOLDER = Path(__file__).resolve().parents[3] / "benchmarks" / "gpu"
SMALL = ("--device", "cpu", "--size", "small", "--limit", "3600")
PARTS = {"same seed", "sampling", "training"}


@pytest.fixture(scope="module")
def check() -> Iterator[ModuleType]:
    """The script; what lies beside it can be imported, as when it is run."""
    spec = importlib.util.spec_from_file_location("gpu_check", FOLDER / "check.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        patch.setitem(sys.modules, "gpu_check", module)  # dataclasses look their module up
        spec.loader.exec_module(module)
        yield module
    for beside in ("rows", "sizes"):
        del sys.modules[beside]


@pytest.fixture(scope="module")
def without_compiler(check: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, dict[str, Any]]:
    """Exit code and file of a check on a machine where nothing can be compiled."""

    def missing(*_: object, **__: object) -> None:
        raise RuntimeError("no compiler here\nand more lines")

    file = tmp_path_factory.mktemp("gpu") / "gpu.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "compile", missing)
        code = check.main([*SMALL, "--parts", "same_seed,sampling,training", "--out", str(file)])
    return code, json.loads(file.read_text())


def test_every_part_has_its_rows_and_the_ratio_is_to_the_processor(without_compiler: tuple[int, dict[str, Any]]) -> None:
    _, told = without_compiler
    assert {row["part"] for row in told["rows"]} == PARTS
    assert told["gpu"] is None
    assert told["environment"]["packages"]["torch"]
    first = {}
    figures = [row for row in told["rows"] if row["ratio"] is not None]
    for row in figures:
        key = row["part"], row["what"].partition(", batch")[0]
        first.setdefault(key, row)
        assert row["ratio"] == pytest.approx(row["value"] / first[key]["value"])
    assert all("one core" in row["way"] and row["ratio"] == 1.0 for row in first.values())
    assert {row["way"] for row in figures} >= {"float32", "bfloat16", "numpy, one core", "torch, one core"}


def test_one_seed_gives_one_answer_on_a_processor(without_compiler: tuple[int, dict[str, Any]]) -> None:
    """Weights, resumed weights, samples alone and among others, records."""
    _, told = without_compiler
    same = [row for row in told["rows"] if row["part"] == "same seed" and row["way"] != "compiled"]
    assert len(same) >= 11
    assert all(row["ok"] for row in same)


def test_what_fails_is_a_row_and_costs_the_others_nothing(without_compiler: tuple[int, dict[str, Any]]) -> None:
    code, told = without_compiler
    assert code == 1
    failed = [row for row in told["rows"] if row["ok"] is False]
    assert {row["way"] for row in failed} == {"compiled"}
    assert {row["note"] for row in failed} == {"RuntimeError: no compiler here"}
    assert {row["part"] for row in failed} == PARTS


def test_what_finds_no_time_is_told(check: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main(["--device", "cpu", "--size", "small", "--limit", "0"]) == 1
    out = capsys.readouterr().out
    assert "TimeoutError: no time was left" in out
    assert "to the last bit" not in out


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_machine_without_a_gpu_is_told_so_in_one_line(check: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        check.main([])
    assert ended.value.code == 2
    assert "finds no CUDA device here; --device cpu tries the script" in capsys.readouterr().err


def test_deterministic_algorithms_are_tried_where_two_answers_differ(check: ModuleType) -> None:
    """What is random without them and equal with them is told as both."""

    def make() -> Any:
        return torch.zeros(2).numpy() if torch.are_deterministic_algorithms_enabled() else torch.rand(2).numpy()

    rows = check.Check("cpu", 60.0, None, check.SIZES["small"], ("float32",))
    check.twice(rows, "something", "float32", make)
    assert [(row.way, row.ok) for row in rows.rows] == [("float32", False), ("float32, deterministic algorithms", True)]
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_strange_part_or_way_is_told_with_those_that_there_are(check: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    for words, told in ((["--parts", "trace"], "same_seed, sampling"), (["--ways", "fp32"], "float32, bfloat16")):
        with pytest.raises(SystemExit):
            check.main(["--device", "cpu", *words])
        assert f"{words[0]}: {words[1]} is none of {told}" in capsys.readouterr().err


def test_without_the_tracer_a_line_says_what_is_left_out(
    check: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check, "can_trace", lambda: False)
    assert check.main(["--device", "cpu", "--size", "small", "--parts", "tracing"]) == 0
    assert "left out: needs the extra [rt], and LLVM or CUDA for it" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.skipif(not can_trace(), reason="needs the extra [rt], and LLVM for it")
def test_a_map_is_the_same_twice_on_a_processor(check: ModuleType, tmp_path: Path) -> None:
    assert check.main([*SMALL, "--parts", "tracing", "--out", str(tmp_path / "gpu.json")]) == 0
    (row,) = json.loads((tmp_path / "gpu.json").read_text())["rows"]
    assert row["ok"] is True
    assert row["value"] > 0.0
    assert "the same to the last bit" in row["note"]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on the CPU")
def test_a_check_with_a_compiler_has_nothing_to_complain_of(check: ModuleType, tmp_path: Path) -> None:
    parts = ("--parts", "same_seed,sampling,training")
    assert check.main([*SMALL, *parts, "--out", str(tmp_path / "gpu.json")]) == 0
    rows = json.loads((tmp_path / "gpu.json").read_text())["rows"]
    assert {row["part"] for row in rows if row["way"] == "compiled"} == PARTS

"""Replay and resume of every solver of the MOEA family, with every mix, distillation and batching."""

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from optisolve.cli.main import main
from optisolve.run.jobs import SUFFIX
from optisolve.run.records import iter_records, read_record
from optisolve.testing.llm_server import LlmServer
from optisolve.trust.audit import verify
from tests.reliability.family import ASKING, PLAIN, words

CUTS = 3
FEW = ("ledma adaptive distill batch 3", "opro", "nsga2")


def check(name: str, folder: Path, capsys: Any) -> tuple[int, int]:
    """Run, replay, cut off, go on; the number of cuts and of replies that were recalled."""
    with LlmServer() as server:
        assert main([*words(name, server), f"out={folder / 'whole'}"]) == 0, capsys.readouterr().err
        (file,) = iter_records(folder / "whole")
        whole, asked = read_record(file), server.calls
        assert (asked > 0) == (name in ASKING)
        assert main(["replay", str(file)]) == 0, capsys.readouterr().out
        assert server.calls == asked
        assert (audit := verify(file, effort=None)), audit
        recalled = 0
        rng = random.Random(name)
        for number in range(CUTS if asked else 1):
            out = folder / f"cut{number}"
            left = cut_off(file.parent, out, rng)
            before = server.calls
            assert main(["run", "pictures=false", "print=json", "reference=none", f"resume={out / f'it{SUFFIX}'}"]) == 0
            (again,) = iter_records(out)
            assert read_record(again).result_hash == whole.result_hash
            assert server.calls - before == asked - left
            assert (audit := verify(again, effort=None)), audit
            recalled += left
    return CUTS if asked else 1, recalled


def cut_off(finished: Path, out: Path, rng: random.Random) -> int:
    """The folder that a run would have left when it died somewhere in its transcript; the calls that are whole there."""
    target = out / f"it{SUFFIX}"
    target.mkdir(parents=True)
    shutil.copyfile(finished / "job.json", target / "job.json")
    if not (finished / "transcript.jsonl").is_file():
        return 0
    data = (finished / "transcript.jsonl").read_bytes()
    ends = [i for i, byte in enumerate(data) if byte == 10]
    at = rng.choice([rng.randrange(len(data)), rng.choice(ends), rng.choice(ends) + 1])  # torn, or torn at a line's very end
    (target / "transcript.jsonl").write_bytes(data[:at])
    lines = data[:at].split(b"\n")
    whole = lines[:-1] + ([lines[-1]] if at in ends else [])
    return sum(json.loads(line)["type"] == "call" for line in whole)


@pytest.mark.parametrize("name", FEW)
def test_replay_and_resume_hold(name, tmp_path, capsys):
    check(name, tmp_path, capsys)


@pytest.mark.slow
def test_replay_and_resume_hold_for_the_whole_family(tmp_path, capsys, tell):
    cuts = recalled = 0
    for number, name in enumerate([*ASKING, *PLAIN]):
        more = check(name, tmp_path / str(number), capsys)
        cuts, recalled = cuts + more[0], recalled + more[1]
    tell(
        f"MOEA family: {len(ASKING)} runs with a language model and {len(PLAIN)} without, all replayed to the same hash; "
        f"{cuts} resumed from where they were cut off, same hash, {recalled} recorded replies, 0 asked again"
    )

"""Held-out seeds: fixed before the season, unknown until it ends, and nobody can change them afterwards."""

from __future__ import annotations

import hashlib
import hmac
import json

import pytest
import yaml

from optisolve.cli.main import main
from optisolve.core.errors import OptionError, OptisolveError
from optisolve.trust.heldout import Secret, check_season, commit, heldout_seed, read_season, reveal
from tests.study.records import made

WORD = "correct horse battery staple, thirty-two bytes"


def season(count=4, word=WORD):
    return commit(Secret(word.encode()), season="2027", suite="core", count=count)


def record(seed, *, suite="core", solver="moead", scenario="uav_isac"):
    unnamed = made(solver, scenario=scenario, instance=seed, suite={"name": suite, "solver": solver})
    return unnamed.model_copy(update={"record_id": f"r{seed}"})


def test_seeds_are_the_published_formula_and_differ_by_suite_index_and_secret():
    digest = hmac.new(WORD.encode(), b"optisolve.heldout/1|core|3", hashlib.sha256).digest()
    assert heldout_seed(WORD.encode(), "core", 3) == int.from_bytes(digest, "big") >> (256 - 53)
    seeds = {heldout_seed(word, suite, i) for word in (WORD.encode(), b"other") for suite in ("core", "llm") for i in range(50)}
    assert len(seeds) == 200
    assert all(0 <= seed < 2**53 for seed in seeds)


def test_the_commitment_is_the_hash_of_salt_and_secret_and_tells_neither_secret_nor_seeds():
    made = season()
    assert made.sha256 == hashlib.sha256(bytes.fromhex(made.salt) + WORD.encode()).hexdigest()
    assert season().salt != made.salt
    assert set(made.document()) == {"schema", "season", "suite", "count", "salt", "sha256"}
    with pytest.raises(OptisolveError, match="not revealed"):
        made.seeds()


def test_only_the_committed_secret_opens_a_season(tmp_path):
    made = season()
    assert made.opened(Secret(WORD.encode())).seeds() == tuple(heldout_seed(WORD.encode(), "core", i) for i in range(4))
    with pytest.raises(OptisolveError, match="not the one"):
        made.opened(Secret(b"x" * 40))
    told = reveal(made, Secret(WORD.encode()))
    file = tmp_path / "revealed.json"
    file.write_text(json.dumps(told))
    assert read_season(file).seeds() == made.opened(Secret(WORD.encode())).seeds()
    file.write_text(json.dumps({**told, "secret": (b"x" * 40).hex()}))
    with pytest.raises(OptisolveError, match="not the one"):
        read_season(file)


def test_a_season_s_records_must_stand_on_its_seeds_and_leave_none_out():
    committed = season()
    revealed = committed.opened(Secret(WORD.encode()))
    seeds = revealed.seeds()
    assert check_season(committed, revealed, [record(seed) for seed in seeds]) == []
    fields = [str(p) for p in check_season(committed, revealed, [record(seed) for seed in seeds[:3]])]
    assert len(fields) == 1
    assert "missing 3" in fields[0]
    (wrong,) = check_season(committed, revealed, [*map(record, seeds), record(1)])
    assert wrong.field == "r1: instance.seed"
    (other,) = check_season(committed, revealed, [*map(record, seeds), record(seeds[0], suite="smoke")])
    assert other.field == "r" + str(seeds[0]) + ": suite.name"


def test_a_season_with_another_salt_or_count_is_another_commitment():
    committed = season()
    later = season().opened(Secret(WORD.encode()))
    assert [problem.field for problem in check_season(committed, later, [])] == ["sha256"]


def test_short_secrets_bad_names_and_open_files_are_refused(tmp_path, monkeypatch):
    with pytest.raises(OptisolveError, match="openssl rand"):
        Secret(b"short")
    with pytest.raises(OptionError) as raised:
        commit(Secret(WORD.encode()), season="20/27", suite="", count=0)
    assert [problem.field for problem in raised.value.problems] == ["season", "suite", "count"]
    file = tmp_path / "secret"
    file.write_text(WORD + "\n")
    file.chmod(0o644)
    with pytest.raises(OptisolveError, match="chmod 600"):
        Secret.read(file=file)
    file.chmod(0o600)
    assert Secret.read(file=file).commitment(b"") == Secret(WORD.encode()).commitment(b"")
    monkeypatch.delenv("OPTISOLVE_HELDOUT_SECRET", raising=False)
    with pytest.raises(OptisolveError, match="OPTISOLVE_HELDOUT_SECRET"):
        Secret.read()


def test_the_command_never_shows_the_secret_before_it_is_revealed(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OPTISOLVE_HELDOUT_SECRET", WORD)
    file, out = str(tmp_path / "commitment.json"), str(tmp_path / "revealed.json")
    told = ["heldout", "commit", "--season", "2027", "--suite", "core", "--count", "3", "--out", file]
    assert main(told) == 0
    assert main(["heldout", "seeds", "--commitment", file]) == 0
    assert main(["heldout", "reveal", "--commitment", file, "--out", out]) == 1  # without --publish
    monkeypatch.setenv("OPTISOLVE_HELDOUT_SECRET", WORD + "x")
    assert main(["heldout", "seeds", "--commitment", file]) == 1
    shown = capsys.readouterr()
    everything = shown.out + shown.err + (tmp_path / "commitment.json").read_text() + repr(Secret(WORD.encode()))
    assert WORD not in everything
    assert WORD.encode().hex() not in everything
    seeds = [str(heldout_seed(WORD.encode(), "core", i)) for i in range(3)]
    assert shown.out.split()[-3:] == seeds
    assert not (tmp_path / "revealed.json").exists()
    monkeypatch.setenv("OPTISOLVE_HELDOUT_SECRET", WORD)
    assert main(["heldout", "reveal", "--commitment", file, "--out", out, "--publish"]) == 0
    monkeypatch.delenv("OPTISOLVE_HELDOUT_SECRET")
    capsys.readouterr()
    assert main(["heldout", "seeds", "--commitment", out]) == 0  # now everybody can
    assert capsys.readouterr().out.split() == seeds
    assert main(["heldout", "seeds", "--commitment", out, "--yaml"]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == {"instances": [int(seed) for seed in seeds]}


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema": "optisolve.heldout/1"}', "NaN"])
def test_a_damaged_season_is_one_clear_error(tmp_path, content):
    file = tmp_path / "season.json"
    file.write_text(content)
    with pytest.raises(OptisolveError, match=r"season\.json"):
        read_season(file)

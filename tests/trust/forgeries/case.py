"""Forged records, made from genuine ones the way a careful cheat would: every hash is computed anew.

A forgery takes a folder with a genuine record and changes it, or raises `DoesNotApply`. ``again`` marks
forgeries that are consistent in themselves, so that only a second run can tell.
"""

from __future__ import annotations

import contextlib
import copy
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.forging import seal


class DoesNotApply(Exception):
    """This record offers nothing to forge in this way."""


@dataclass
class Case:
    """A copy of a genuine record's folder, to be altered."""

    folder: Path
    record: dict[str, Any]
    rng: np.random.Generator
    others: list[dict[str, Any]]
    raw: bytes | None = None
    sealed: bool = True

    @property
    def several(self) -> bool:
        return len(self.record["verified"]["objectives"]) > 1

    @property
    def better(self) -> float:
        return 1.0 if self.several or self.record["verified"]["objectives"][0]["sense"] == "maximize" else -1.0

    def write(self) -> Path:
        path = self.folder / "record.json"
        if self.raw is not None:
            path.write_bytes(self.raw)
            return path
        if self.sealed:
            with contextlib.suppress(ValueError, KeyError, TypeError):  # not even hashable, e.g. NaN
                self.record = seal(self.record)
        path.write_text(json.dumps(self.record))
        return path


@dataclass(frozen=True)
class Kind:
    """A kind of forgery.

    Attributes:
        name: What is forged.
        apply: Alters a case, or raises DoesNotApply.
        fields: Beginnings of the fields of which one must be named.
        again: Only a second run can tell.
    """

    name: str
    apply: Callable[[Case], None]
    fields: tuple[str, ...]
    again: bool = False


KINDS: list[Kind] = []


def forgery(name: str, *fields: str, again: bool = False):
    def register(apply):
        KINDS.append(Kind(name, apply, fields, again))
        return apply

    return register


def make(kind: Kind, genuine: Path, others: list[dict[str, Any]], folder: Path, seed: int) -> Path | None:
    """The file of a forged record, or None when the kind does not apply."""
    shutil.copytree(genuine, folder)
    record = json.loads((folder / "record.json").read_text())
    case = Case(folder, record, np.random.default_rng(seed), copy.deepcopy(others))
    try:
        kind.apply(case)
    except DoesNotApply:
        shutil.rmtree(folder)
        return None
    for table in ("front.parquet", "trace.parquet"):  # a cheat makes them anew; leaving them out is as good
        if kind.name != "altered table":
            (folder / table).unlink(missing_ok=True)
    return case.write()


def same_case(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one["instance"] == other["instance"] and not one["suite"]["name"] and not other["suite"]["name"]

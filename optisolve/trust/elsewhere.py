"""A second run on the kernels that a record names: ``python -m optisolve.trust.elsewhere`` is the process that makes it.

OpenBLAS and numpy choose their instructions when they are loaded, and variables can make them choose those of another
processor, as far as this one has them. So where a second run ends elsewhere and the record names other kernels, it is made once
more on those: the same hash shows the record, another one refutes it, and nothing has to be taken on trust.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from optisolve.content import shipped_only
from optisolve.core.documents import JsonObject
from optisolve.core.errors import OptisolveError
from optisolve.run.child import Child, End, Limits, serve
from optisolve.run.environment import environment, kernels
from optisolve.run.schema import Record
from optisolve.run.untrusted import bounded_memory, printable
from optisolve.trust.replay import platform_of, replay_record

__all__ = ["There", "main", "run_there", "variables_for"]

_OPENBLAS = re.compile(r"(openblas [0-9.]+) (\w{1,40})")
_LIMITS = Limits(seconds=600.0, memory_mb=8000.0, of=("the limit of an audit", "the limit of an audit"))


@dataclass(frozen=True, slots=True)
class There:
    """A run made again on the kernels that a record names.

    Attributes:
        record: What it gave.
        exact: Kernels and packages were all those that the record names, so that another end refutes it.
        kernels: The kernels it was set to, in words.
    """

    record: Record
    exact: bool
    kernels: str


def run_there(record: Record, folder: Path | None) -> There | None:
    """Make the run of a record again in a process that is set to the kernels of BLAS and numpy that the record names.

    Args:
        record: Its ``env`` is its own word; only names of kernels are taken from it, and only those that this machine knows.
        folder: Where its ``transcript.jsonl`` stands; None when there is none.

    Returns:
        The run; None where this processor or its libraries cannot be set to them, there is nothing to set, or it failed.
    """
    wanted = variables_for(record.env.kernels)
    if not wanted:
        return None
    order: JsonObject = {"record": record.to_json(), "folder": None if folder is None else str(folder.resolve())}
    try:
        told = _child(tuple(sorted(wanted.items()))).ask(order, _LIMITS)
    except OptisolveError:  # it cannot even be started: the processor lacks these instructions
        return None
    if isinstance(told, End) or "record" not in told:
        return None
    again = Record.read(told["record"])
    named, used = platform_of(record.env), platform_of(again.env)
    words = ", ".join(f"{name} {value}" for name, value in sorted(wanted.items()))
    return There(again, exact=named == used, kernels=printable(words))


def variables_for(told: Mapping[str, str]) -> dict[str, str] | None:
    """Variables under which a new process has the kernels of BLAS and numpy that are named; None where that cannot be.

    Args:
        told: As `optisolve.run.environment.kernels` gives it. What numba compiles for is left alone: it rounds the same.

    Returns:
        Empty when this process has those kernels already.
    """
    here, found = kernels(), {}
    cores = {_core(told.get(name, ""), here.get(name, "")) for name in ("blas.numpy", "blas.scipy")}
    if len(cores) != 1 or None in cores:  # one variable chooses for both libraries
        return None
    if any(told.get(name) != here.get(name) for name in ("blas.numpy", "blas.scipy")):
        found["OPENBLAS_CORETYPE"] = str(cores.pop())
    instructions = told.get("numpy", "").split()
    if instructions != here.get("numpy", "").split():
        known = _instructions()
        if not set(instructions) <= set(known):
            return None
        found["NPY_DISABLE_CPU_FEATURES"] = " ".join(name for name in known if name not in instructions)
    return found


def main() -> None:
    """Answer orders until standard input ends."""
    serve(environment, _answered)


def _core(told: str, here: str) -> str | None:
    """The kernels that a library is to choose; None where it is another library."""
    theirs, ours = _OPENBLAS.fullmatch(told), _OPENBLAS.fullmatch(here)
    return theirs[2] if theirs is not None and ours is not None and theirs[1] == ours[1] else None


def _instructions() -> list[str]:
    """The instructions that this build of numpy can choose, whether or not this processor has them."""
    import numpy as np

    told = np.show_config(mode="dicts").get("SIMD Extensions", {})
    return [*told.get("found", ()), *told.get("not found", ())]


@lru_cache(maxsize=8)
def _child(variables: tuple[tuple[str, str], ...]) -> Child:
    """A process that is set to some kernels; it serves all records that name them, and ends with this process."""
    return Child("optisolve.trust.elsewhere", variables=dict(variables))


def _answered(order: dict[str, Any]) -> JsonObject:
    folder = order["folder"]
    try:
        with bounded_memory(), shipped_only():
            again = replay_record(Record.read(order["record"]), None if folder is None else Path(folder))
    except OptisolveError as error:
        return {"error": str(error)}
    except (MemoryError, KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError, RecursionError) as error:
        return {"error": type(error).__name__}  # a stranger's content reaches code that we do not know
    return {"record": again.result.record.to_json()}


if __name__ == "__main__":
    main()

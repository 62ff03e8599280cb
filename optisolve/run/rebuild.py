"""The problem and instance that a record speaks of, made again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from optisolve.core.errors import OptisolveError
from optisolve.core.problem import FROM_FILES, Instance, Problem
from optisolve.registry import Registry
from optisolve.run.schema import InstancePart

__all__ = ["rebuild"]


def rebuild(told: InstancePart, problems: Registry[Problem]) -> tuple[Problem, Instance]:
    """The problem and instance that a record speaks of, made again from parameters and seed.

    Nothing else is read: a record that names an instance file carries the file's arrays.

    Raises:
        OptisolveError: Unknown problem, other version of its equations, or bad parameters.
    """
    cls = problems.get(told.problem)
    if told.version != cls.version:
        raise OptisolveError(f"problem version {told.version}, this installation has {cls.version}")
    for name in _missing_files(told.params):
        raise OptisolveError(f"instance.params.{name} names a file, but the record does not carry what is in it")
    problem = cls.from_mapping({**told.params, "scenario": told.scenario}, title="instance.params")
    return problem, problem.instance(told.seed)


def _missing_files(params: Mapping[str, Any]) -> Iterator[str]:
    """Settings that name a file whose content is not carried, in parameters of parameters as well (a goal's problem)."""
    for name, value in params.items():
        if isinstance(value, Mapping):
            yield from (f"{name}.{inner}" for inner in _missing_files(value))
        elif name.endswith("_file") and value is not None and params.get(FROM_FILES.get(name, "")) is None:
            yield name

"""Trackers: who is told of every record after it was written. MLflow is one; nothing depends on any."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from optisolve.core.documents import JsonObject
from optisolve.core.errors import MissingDependency
from optisolve.run.schema import Record

if TYPE_CHECKING:
    from optisolve.study.runner.plan import Unit
    from optisolve.study.runner.store import Store

__all__ = ["MlflowTracker", "Tracked", "Tracker"]

_UNIT = "optisolve.unit"
_PARAM_CHARACTERS = 6000
"""Longest value of a parameter that every MLflow store takes."""


_PARAMS_AT_ONCE = 100


class Tracker(Protocol):
    """What the runner asks of a tracker; any exception ends the tracking, never the run."""

    def known(self) -> set[str]:
        """Ids of the units it has been told of before."""
        ...

    def log(self, unit_id: str, record: Record, files: Mapping[str, bytes]) -> None:
        """Take one record with its files."""
        ...

    def close(self) -> None:
        """The run is over."""
        ...


class Tracked:
    """A tracker that cannot harm the run: its first failure is noted and ends the tracking.

    Args:
        tracker: None tracks nothing.

    Attributes:
        notices: What went wrong, for the user.
    """

    def __init__(self, tracker: Tracker | None) -> None:
        self._tracker = tracker
        self.notices: list[str] = []

    def catch_up(self, store: Store, units: Iterable[Unit]) -> None:
        """Tell of finished units that the tracker has not heard of."""
        try:
            known = set() if self._tracker is None else self._tracker.known()
        except Exception as error:  # a foreign server may do anything
            self._give_up(error)
        for unit in units:
            if self._tracker is not None and unit.id not in known:
                self.log(store, unit, store.record(unit.id))

    def log(self, store: Store, unit: Unit, record: Record) -> None:
        """Tell of one record, which is written already."""
        if self._tracker is None:
            return
        try:
            self._tracker.log(unit.id, record, store.read(unit.id))
        except Exception as error:
            self._give_up(error)

    def close(self) -> None:
        """End the tracking."""
        if self._tracker is not None:
            try:
                self._tracker.close()
            except Exception as error:
                self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self._tracker = None
        told = re.sub(r"//[^/@\s]+@", "//…@", (str(error).strip().splitlines() or [type(error).__name__])[0])
        self.notices.append(
            f"tracking stopped: {told} The records are complete; the same command sends what the tracker has missed."
        )


class MlflowTracker:
    """One MLflow run per unit, in one experiment per suite: parameters, metrics, the anytime curve, the files.

    Args:
        suite: Name of the suite, which names the experiment.
        uri: Tracking server or store; "" means what ``MLFLOW_TRACKING_URI`` says.

    Raises:
        MissingDependency: MLflow is not installed.
    """

    def __init__(self, suite: str, uri: str = "") -> None:
        # An unreachable server must not hold the run up for the minutes that MLflow waits by default.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        try:
            from mlflow.tracking import MlflowClient
        except ImportError:
            raise MissingDependency("MLflow, the tracker", extra="mlflow") from None
        self._client = MlflowClient(tracking_uri=uri or None)
        self._name = f"optisolve/{suite}"
        self._experiment = ""

    def known(self) -> set[str]:
        """Ids of the units that have a finished run in the experiment."""
        found = self._client.get_experiment_by_name(self._name)
        self._experiment = self._client.create_experiment(self._name) if found is None else found.experiment_id
        units: set[str] = set()
        token = None
        while True:
            page = self._client.search_runs(
                [self._experiment], filter_string="attributes.status = 'FINISHED'", max_results=1000, page_token=token
            )
            units |= {run.data.tags[_UNIT] for run in page if _UNIT in run.data.tags}
            token = page.token
            if not token:
                return units

    def log(self, unit_id: str, record: Record, files: Mapping[str, bytes]) -> None:
        """One run with everything that the record says."""
        from mlflow.entities import Metric, Param, RunTag

        run = self._client.create_run(self._experiment, run_name=unit_id).info.run_id
        metrics = [Metric(key, value, 0, 0) for key, value in _metrics(record).items()]
        for evaluations, seconds, value, violation in record.trace:
            told = {"trace.value": value, "trace.violation": violation}
            metrics += [
                Metric(key, float(v), int(seconds * 1000), int(evaluations)) for key, v in told.items() if v is not None
            ]
        params = [Param(key, value[:_PARAM_CHARACTERS]) for key, value in _params(record).items()]
        tags = [RunTag(key, value) for key, value in {_UNIT: unit_id, **_tags(record)}.items()]
        self._client.log_batch(run, metrics=metrics, tags=tags)
        for start in range(0, len(params), _PARAMS_AT_ONCE):
            self._client.log_batch(run, params=params[start : start + _PARAMS_AT_ONCE])
        with tempfile.TemporaryDirectory(prefix="optisolve-mlflow-") as folder:
            for name, data in files.items():
                (Path(folder) / name).write_bytes(data)
            self._client.log_artifacts(run, folder)
        self._client.set_terminated(run, "FINISHED")

    def close(self) -> None:
        """Nothing is kept open."""


def _metrics(record: Record) -> dict[str, float]:
    violation = {"max_violation": record.verified.max_violation}
    parts = {"scores": record.scores.values(), "used": record.used.to_json(), "verified": violation}
    return {
        f"{part}.{key}": float(value)
        for part, values in parts.items()
        for key, value in values.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }


def _params(record: Record) -> dict[str, str]:
    solver, llm = record.solver, record.solver.llm
    parts: dict[str, JsonObject] = {
        "instance": record.instance.model_dump(exclude={"params"}),
        "problem": record.instance.params,
        "solver": {"name": solver.name, "version": solver.version, **solver.options},
        "budget": record.budget.to_json(),
        "run": {"seed": record.seed},
        "llm": {} if llm is None else {"provider": llm.provider, "model": llm.model},
    }
    return {f"{part}.{key}": str(value) for part, values in parts.items() for key, value in values.items()}


def _tags(record: Record) -> dict[str, str]:
    return {
        **{f"suite.{key}": str(value) for key, value in record.suite.to_json().items()},
        "record_id": record.record_id,
        "result_hash": record.result_hash,
        "termination": record.termination.status.value,
        "point": record.verified.point.value,
        "code": record.solver.code,
    }

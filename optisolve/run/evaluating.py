"""The process that evaluates one point after another: ``python -m optisolve.run.evaluating``, see `optisolve.run.child`.

The first order brings the instance, pickled by the process that has started this one; the others bring a point each.
"""

from __future__ import annotations

import base64
import io
import sys
from typing import Any, cast

import cloudpickle
import numpy as np

from optisolve.core.documents import JsonObject
from optisolve.core.errors import OptisolveError
from optisolve.core.failures import WrongShape, attempt, failure_text
from optisolve.core.functional import Definition
from optisolve.core.problem import Instance
from optisolve.core.source import FILE_MODULES
from optisolve.run.child import serve
from optisolve.version import __version__

__all__ = ["main", "packed", "pickled", "unpacked"]


class _Packer(cloudpickle.Pickler):  # type: ignore[misc]  # it has no types
    """Takes along what other processes cannot import: functions of notebooks, and of files that were loaded as problems."""

    def reducer_override(self, obj: Any) -> Any:
        return obj.with_functions() if isinstance(obj, Definition) else super().reducer_override(obj)


def packed(instance: Instance) -> JsonObject:
    """The order that brings an instance.

    Raises:
        OptisolveError: It cannot be pickled.
    """
    try:
        content = pickled(instance)
    except Exception as error:  # pickle raises very different things
        raise OptisolveError(
            f"{instance.origin.scenario} cannot be given to another process ({failure_text(error)}). What cannot be pickled is "
            "opened by Instance.warm_up, in every process; executor=serial and executor=thread stay in this one."
        ) from error
    return {"instance": content, "path": sys.path, "version": __version__}


def pickled(value: object) -> str:
    """A value for another process of this machine.

    Raises:
        Exception: It cannot be pickled.
    """
    ours = [module for name, module in sys.modules.items() if name.startswith(FILE_MODULES)]
    for module in ours:
        cloudpickle.register_pickle_by_value(module)
    try:
        _Packer(content := io.BytesIO()).dump(value)
    finally:
        for module in ours:
            cloudpickle.unregister_pickle_by_value(module)
    return base64.b64encode(content.getvalue()).decode()


def unpacked(order: JsonObject) -> Instance:
    """The instance that an order brings."""
    instance: Instance = cloudpickle.loads(base64.b64decode(cast(str, order["instance"])))
    return instance


class _Evaluating:
    """Answers orders."""

    def __init__(self) -> None:
        self._instance: Instance | None = None

    def __call__(self, order: JsonObject) -> JsonObject:
        if "instance" in order:
            return self._taken(order)
        assert self._instance is not None
        X = np.array(order["x"], dtype=np.float64)[None, :]
        evaluate = self._instance._evaluate_twin if order["twin"] else self._instance._evaluate
        try:
            made = attempt(self._instance, X, evaluate)
        except WrongShape as error:
            return {"wrong_shape": str(error)}
        except MemoryError as error:
            return {"no_memory": str(error)}
        except OptisolveError as error:
            return {"error": str(error)}
        F, G, H = made.evaluation
        return {"F": F.tolist(), "G": G.tolist(), "H": H.tolist(), "failed": made.message}

    def _taken(self, order: JsonObject) -> JsonObject:
        if order["version"] != __version__:
            return {
                "error": f"optisolve is {__version__} on this machine and {order['version']} where the run is; install the same"
            }
        sys.path += [folder for folder in cast(list[str], order["path"]) if folder not in sys.path]
        try:
            self._instance = unpacked(order)
            self._instance.warm_up()
        except Exception as error:  # whatever a family or a user's file does
            return {"error": f"the instance cannot be made ready in another process: {failure_text(error)}"}
        return {"taken": True}


def main() -> None:
    """Answer orders until standard input ends."""
    serve(lambda: None, _Evaluating())


if __name__ == "__main__":
    main()

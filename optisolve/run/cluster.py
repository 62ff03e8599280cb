"""A Ray cluster: joined, or started on this machine."""

from __future__ import annotations

import signal
import socket
import threading
from typing import Any

from optisolve.core.errors import MissingDependency, OptisolveError

__all__ = ["connect", "load_ray"]

_CONNECT_S = 10.0


def load_ray() -> Any:
    """The module.

    Raises:
        MissingDependency: Ray is not installed.
    """
    try:
        import ray
    except ImportError:
        raise MissingDependency("Ray, the engine of executor=ray", extra="ray") from None
    return ray


def connect(ray: Any, address: str, cores: int | None) -> bool:
    """Join a cluster.

    Args:
        ray: The module.
        address: ``local`` starts a cluster on this machine, ``auto`` finds the running one, else its address.
        cores: Of a cluster that is started; None means those of this machine.

    Returns:
        True when we have to leave it again.

    Raises:
        OptisolveError: It cannot be reached.
    """
    if ray.is_initialized():
        return False
    before = signal.getsignal(signal.SIGTERM)
    try:
        _require_listener(address)  # Ray itself would wait for minutes
        if address == "local":
            ray.init(address="local", num_cpus=cores, include_dashboard=False, log_to_driver=False, configure_logging=False)
        else:
            ray.init(address=address, log_to_driver=False, configure_logging=False)
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        raise OptisolveError(
            f"address={address}: no Ray cluster there ({str(error).splitlines()[0]}). Start one with 'ray start --head', "
            "or use address=local for one on this machine."
        ) from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)  # Ray's own handler would end us without a word
    return True


def _require_listener(address: str) -> None:
    host, _, port = address.rpartition("//")[2].rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=_CONNECT_S).close()

"""What memory there is, and the error of what would need more: said before it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from optisolve.core.errors import OptisolveError

__all__ = ["NoRoom", "no_room", "require_room", "room_bytes"]

_SHARE = 0.8
"""Share of what is free that one piece of work may ask for."""


class NoRoom(OptisolveError, MemoryError):
    """Work that would need more memory than there is; the text names what it is about, the size that fits and what to do."""


def room_bytes() -> float:
    """Memory that this process may still get, bytes: what the machine, the container and the process's own limits leave."""
    return min(_machine(), _container(), *_limits())


def require_room(needed: float, what: str, cure: str) -> None:
    """Refuse what does not fit.

    Args:
        needed: Bytes.
        what: Whose, with its size, e.g. ``"the assignment of 3000 users to 401 stations"``.
        cure: Which size fits, and what to do.

    Raises:
        NoRoom: It needs more than most of what there is.
    """
    room = _SHARE * room_bytes()
    if needed > room:
        raise NoRoom(f"{what} needs about {needed / 1e9:.3g} GB of memory, and {max(room, 0.0) / 1e9:.2g} GB are there. {cure}")


def no_room(what: str, options: Mapping[str, object], error: MemoryError) -> NoRoom:
    """The error of something that has found no memory.

    Args:
        what: What was made.
        options: Settings of the problem; those that say how large it is are named.
        error: The words of who asked for the memory.
    """
    sizes = [f"{name}={value}" for name, value in options.items() if type(value) is int and value > 1]
    told = f"The {what} finds no memory ({str(error) or 'out of memory'}); {max(room_bytes(), 0.0) / 1e9:.2g} GB are there."
    return NoRoom(f"{told} Make it smaller{': ' if sizes else ''}{', '.join(sizes)}.")


def _machine() -> float:
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return 1024.0 * int(line.split()[1])
    return float("inf")


def _container() -> float:
    with suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        return float((group / "memory.max").read_text()) - float((group / "memory.current").read_text())
    return float("inf")


def _limits() -> list[float]:
    """What the limits of the process leave (``ulimit -d``, ``ulimit -v``)."""
    left = [float("inf")]
    with suppress(ImportError, OSError, ValueError, IndexError):
        import resource

        pages = [int(word) * resource.getpagesize() for word in Path("/proc/self/statm").read_text(encoding="ascii").split()]
        for limit, used in ((resource.RLIMIT_DATA, pages[5]), (resource.RLIMIT_AS, pages[0])):
            if (most := resource.getrlimit(limit)[0]) != resource.RLIM_INFINITY:
                left.append(float(most - used))
    return left

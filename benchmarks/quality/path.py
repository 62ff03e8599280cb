"""How many files of the library a run enters: how far somebody must read who wants to follow one.

python benchmarks/quality/path.py            both numbers
python benchmarks/quality/path.py --files    and the files, each with the functions that were called
"""

from __future__ import annotations

import collections
import contextlib
import io
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import FrameType

import optisolve
from optisolve.cli.main import main as command_line

_ROOT = f"{Path(optisolve.__file__).parent}/"

RUNS = {
    "random_search": ["run", "problem=uav_isac", "solver=random_search", "budget.evaluations=1000"],
    "ledma": ["run", "problem=uav_isac", "solver=ledma", "llm=surrogate"],
}


def entered(words: list[str]) -> dict[str, set[str]]:
    """Functions that a command calls, by file of the library; what importing a file calls does not count.

    Args:
        words: Words behind the program's name.

    Raises:
        RuntimeError: The command failed.
    """
    calls: dict[str, set[str]] = collections.defaultdict(set)

    def seen(frame: FrameType, event: str, _argument: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(_ROOT) and code.co_name != "<module>" and not _imports(frame):
            calls[code.co_filename.removeprefix(_ROOT)].add(code.co_name)

    threading.setprofile(seen)
    sys.setprofile(seen)
    try:
        code = command_line(words)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    if code != 0:
        raise RuntimeError(f"exit code {code}: optisolve {' '.join(words)}")
    return calls


def _imports(frame: FrameType | None) -> bool:
    """A file of the library is being imported further up."""
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_code.co_filename.startswith(_ROOT):
            return True
        frame = frame.f_back
    return False


def main() -> None:
    """Print the numbers."""
    chosen = [name for name in RUNS if name in sys.argv[1:]]
    if not chosen:  # each in a process of its own, where nothing has been called before
        for name in RUNS:
            subprocess.run([sys.executable, __file__, name, *sys.argv[1:]], check=True)
        return
    with tempfile.TemporaryDirectory() as out, contextlib.redirect_stdout(io.StringIO()):
        calls = entered([*RUNS[chosen[0]], f"out={out}"])
    rooms = collections.Counter(file.split("/")[0] for file in calls)
    told = ", ".join(f"{room} {count}" for room, count in sorted(rooms.items()))
    print(f"{chosen[0]}: {len(calls)} files entered, {sum(map(len, calls.values()))} functions ({told})")
    if "--files" in sys.argv:
        print("\n".join(f"  {file}: {', '.join(sorted(names))}" for file, names in sorted(calls.items())))


if __name__ == "__main__":
    main()

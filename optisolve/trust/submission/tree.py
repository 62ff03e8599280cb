"""Reading a commit without checking it out: nothing of a stranger's tree reaches the disk by itself."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from optisolve.core.errors import OptisolveError
from optisolve.run.untrusted import printable

__all__ = ["File", "Tree", "changed_paths"]

_TIMEOUT_S = 300.0
_REVISION = re.compile(r"[A-Za-z0-9][\w./@^~{}-]{0,250}")


@dataclass(frozen=True, slots=True)
class File:
    """One entry of a commit's tree.

    Attributes:
        path: From the root, '/' as separator, undecodable bytes escaped.
        mode: ``100644`` for a plain file; ``120000`` is a symbolic link, ``160000`` a submodule.
        size: Bytes, 0 for what is no file.
        digest: Name of the content within git.
    """

    path: str
    mode: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Tree:
    """A commit of a repository.

    Args:
        repository: Any folder of it.
        revision: Full name of the commit.
    """

    repository: Path
    revision: str

    @classmethod
    def at(cls, repository: Path, revision: str) -> Tree:
        """The commit that a revision names.

        Raises:
            OptisolveError: No repository, or no such commit.
        """
        if not _REVISION.fullmatch(revision):  # an option or a range would be read as such
            raise OptisolveError(f"'{printable(revision)}' is no revision.")
        name = _git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        return cls(repository, name.decode().strip())

    def contains(self, other: Tree) -> bool:
        """True when the other commit is this one or an ancestor of it."""
        command = ["git", "-C", str(self.repository), "merge-base", "--is-ancestor", other.revision, self.revision]
        return subprocess.run(command, capture_output=True, check=False, timeout=_TIMEOUT_S).returncode == 0

    def files(self, *prefixes: str) -> dict[str, File]:
        """Everything below some folders, by path."""
        listed = _git(self.repository, "ls-tree", "-r", "-z", "-l", "--full-tree", self.revision, "--", *prefixes)
        files = {}
        for line in filter(None, listed.split(b"\0")):
            meta, _, path = line.partition(b"\t")
            mode, _, digest, size = meta.split()
            name = path.decode("utf-8", errors="backslashreplace")
            files[name] = File(name, mode.decode(), int(size) if size.isdigit() else 0, digest.decode())
        return files

    def read(self, files: Iterable[File]) -> Iterator[tuple[File, bytes]]:
        """Contents of plain files, in their order; the caller has checked sizes."""
        wanted = list(files)
        if not wanted:
            return
        asked = "".join(f"{file.digest}\n" for file in wanted).encode()
        told = _git(self.repository, "cat-file", "--batch", given=asked)
        for file in wanted:
            head, _, told = told.partition(b"\n")
            size = int(head.split()[-1])
            yield file, told[:size]
            told = told[size + 1 :]


def changed_paths(base: Tree, head: Tree) -> dict[str, str]:
    """What a commit changes against another one: path to ``A`` (added), ``M`` (modified), ``D`` (deleted), ``T`` (kind)."""
    listed = _git(head.repository, "diff", "--name-status", "--no-renames", "-z", base.revision, head.revision, "--")
    words = [word.decode("utf-8", errors="backslashreplace") for word in listed.split(b"\0")]
    return {path: status for status, path in zip(words[0::2], words[1::2], strict=False) if path}


def _git(repository: Path, *arguments: str, given: bytes = b"") -> bytes:
    command = ["git", "-C", str(repository), "-c", "core.quotePath=off", *arguments]
    try:
        done = subprocess.run(command, input=given, capture_output=True, check=False, timeout=_TIMEOUT_S)
    except FileNotFoundError as error:
        raise OptisolveError("git is not installed; it is needed to look at a submission.") from error
    except subprocess.TimeoutExpired as error:
        raise OptisolveError(f"git {arguments[0]} took longer than {_TIMEOUT_S:.0f} s.") from error
    if done.returncode != 0:
        told = printable(done.stderr.decode(errors="replace").strip()[:300])
        raise OptisolveError(f"{repository}: git {arguments[0]} failed ({told or 'no such revision'}).")
    return done.stdout

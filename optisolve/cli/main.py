"""Entry point: find the verb, let it read its words, turn deliberate errors into one line."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import FrameType
from typing import TYPE_CHECKING

import optisolve

if TYPE_CHECKING:
    from optisolve.cli.settings import Verb

__all__ = ["main"]

_VERBS = {
    "run": "run:Run",
    "bench": "bench:Bench",
    "ablate": "ablate:Ablate",
    "evolve": "evolve:Evolve",
    "train": "train:Train",
    "ask": "words:Ask",
    "formulate": "words:Formulate",
    "list": "listing:List",
    "info": "listing:Info",
    "models": "catalog:Models",
    "lint": "lint:LintPrompts",
    "inspect": "catalog:Inspect",
    "export": "catalog:Export",
    "check": "catalog:Check",
    "verify": "records:Verify",
    "replay": "records:Replay",
    "explain": "records:Explain",
    "plot": "plot:Plot",
    "report": "records:MakeReport",
    "compare": "records:Compare",
    "leaderboard": "board:Leaderboard",
    "submit pack": "board:SubmitPack",
    "submit check": "board:SubmitCheck",
    "submit table": "board:SubmitTable",
    "submit records": "board:SubmitRecords",
    "heldout commit": "heldout:HeldoutCommit",
    "heldout seeds": "heldout:HeldoutSeeds",
    "heldout reveal": "heldout:HeldoutReveal",
    "heldout check": "heldout:HeldoutCheck",
    "completion": "catalog:Completion",
}
"""Verbs with their classes; each is imported when it is used."""

_EXAMPLES = """examples:
  optisolve run problem=uav_isac solver=ledma
  optisolve run problem=uav_isac/dense solver=moead_de budget.evaluations=20000
  optisolve run -m seed=0,1,2 solver=moead,moead_de
  optisolve list --for problem=uav_isac      which solvers fit it
  optisolve info uav_isac                    what its settings mean
  optisolve bench suite=smoke                a small benchmark
  optisolve ablate problem=uav_isac solver=ledma
                                             was the language model needed?
  optisolve evolve problem=power_control/gaussian_k20_0db skeleton=insertion
                                             a rule, and what it is worth
  optisolve ask "save at least 5 % power while user 2 keeps 15.8 kbps" \\
      problem=power_game
  optisolve formulate file=model.yml         a problem that no family covers
  optisolve plot kind=convergence format=pdf width=3.5
                                             a figure for a paper
  optisolve verify                           the records in the folder runs

Settings of all verbs are written key=value or --key value; config=FILE reads
them from a YAML file.
exit codes: 0 ok, 1 error, 2 verification failed, 3 a question is open (ask,
formulate), 130 interrupted (the record is written)
"""

_KEY_VARIABLE = re.compile(r"(?:api_key_env=|[=,](?=\w+@))(\w+)", re.ASCII)
"""A variable that the command line names, as in ``llm.api_key_env=NAME`` and ``trust=NAME@URL``."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; on the main thread SIGTERM ends it like Ctrl-C, and has its old meaning again afterwards.

    Args:
        arguments: Words behind the program's name; None takes them from the process.

    Returns:
        Exit code: 0 ok, 1 error, 2 verification failed, 130 interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:2] == ["completion", "query"]:  # a shell asks, and waits for it
        return _complete(" ".join(words[2:]))
    with _stopped_like_ctrl_c():
        try:
            _require_harmless(words)
            return _run(words)
        except optisolve.OptisolveError as error:
            from optisolve.cli.display import print_error

            print_error(str(error))
            return 1
        except KeyboardInterrupt:
            return 130
        except BrokenPipeError:  # e.g. `optisolve list | head`
            if sys.stdout is not None:
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except (ImportError, MemoryError) as error:
            return _out_of_resources(error)
        except OSError as error:
            from optisolve.cli.display import print_os_error

            print_os_error(error)
            return 1


def _complete(line: str) -> int:
    """What may stand at the end of a command line, one per line; nothing where it cannot be told."""
    from optisolve.cli.completion import completions

    try:
        sys.stdout.write("".join(f"{told}\n" for told in completions(line, _VERBS)))
    except (optisolve.OptisolveError, OSError, SyntaxError):  # a damaged installation is told by the command itself
        return 1
    return 0


@contextmanager
def _stopped_like_ctrl_c() -> Iterator[None]:
    """A scheduler's stop keeps the record; other threads than the main one cannot and need not see to that."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)


def _as_interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _run(words: Sequence[str]) -> int:
    """Let the verb read what stands behind it, and do it."""
    verb, rest = " ".join(words[:1]), list(words[1:])
    if verb in ("", "--help", "-h", "--version"):
        return _say(f"optisolve {optisolve.__version__}" if verb == "--version" else _overview())
    actions = [known for known in _VERBS if known.startswith(f"{verb} ")]
    if actions and (not rest or rest[0] in ("--help", "-h")):
        return _say(_overview(actions))
    if actions:
        verb, rest = f"{verb} {rest[0]}", rest[1:]
    if verb not in _VERBS:
        if verb in ("-sc", "--shell-completion"):
            from optisolve.cli.completion import MOVED

            raise optisolve.OptisolveError(MOVED)
        if verb.startswith("-"):
            raise optisolve.OptisolveError("Say what to do, e.g. optisolve list (see: optisolve --help).")
        from optisolve.core.errors import UnknownNameError

        raise UnknownNameError("verb", verb, actions or _VERBS)
    if {"--help", "-h"} & {*rest}:
        from optisolve.cli.help import help_text, run_help

        return _say(run_help(rest) if verb == "run" else help_text(verb, _class_of(verb)))
    from_file: frozenset[str] = frozenset()
    if any(word.partition("=")[0] in ("config", "--config") for word in rest):
        from optisolve.cli.config_file import expanded

        rest, from_file = expanded(verb, rest)
        _require_harmless([verb, *rest])
    if verb == "run":  # hydra reads and composes its words
        from optisolve.cli.compose import run_command

        return run_command(rest, from_file)
    return _class_of(verb).read(verb, rest)()


def _class_of(verb: str) -> type[Verb]:
    module, _, name = _VERBS[verb].partition(":")
    found: type[Verb] = getattr(import_module(f"optisolve.cli.{module}"), name)
    return found


def _overview(verbs: Sequence[str] = ()) -> str:
    """All verbs, or some, with the first sentence of each."""
    from optisolve.cli.help import entries, first_sentence
    from optisolve.cli.settings import meanings

    told = entries((verb, first_sentence(meanings(_class_of(verb))[0])) for verb in verbs or _VERBS)
    head = "usage: optisolve VERB ...; optisolve VERB --help tells its settings"
    if verbs:
        return f"{head}\n\nverbs:\n{told}"
    return f"{head}\n\nLLM-driven network optimization with verified answers.\n\nverbs:\n{told}\n\n{_EXAMPLES.rstrip()}"


def _say(text: str) -> int:
    from optisolve.cli.display import write_plain

    write_plain(f"{text}\n")
    return 0


def _out_of_resources(error: ImportError | MemoryError) -> int:
    """A library that cannot be loaded, most often since the process may not have more memory; so nothing else is loaded."""
    told = " ".join(f"{type(error).__name__} {error}".split())
    cure = "Raise the limit on memory (ulimit -v), or install optisolve again if there is none."
    sys.stderr.write(f"error: there is too little memory, or the installation is damaged ({ascii(told)[1:-1][:200]}). {cure}\n")
    return 1


def _require_harmless(words: Sequence[str]) -> None:
    """Refuse a key among the words, since what a run is asked for is written down, and settings that no file can hold.

    Raises:
        OptisolveError: The word, with the key masked.
    """
    from optisolve.cli.display import hide
    from optisolve.core.text import Redactor, encodable, secrets_here

    named = _KEY_VARIABLE.findall(" ".join(words))
    hide(named)
    redactor = Redactor(secrets_here(named))
    for word in words:
        if redactor.finds(word):
            told = redactor.text(word) if "=" in word else "A word of the command line"
            raise optisolve.OptisolveError(
                f"{told} holds a key. One belongs into its environment variable only, e.g. OPENAI_API_KEY; nothing was done."
            )
        if ("=" in word or words[0] in ("ask", "formulate")) and encodable(word) != word:
            raise optisolve.OptisolveError(
                f"{word} is not valid UTF-8, so it cannot be written down; say or name it otherwise."
            )

"""Entry point: parse the verb, hand over to one command, turn deliberate errors into one line."""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from types import FrameType
from typing import Any

import optisolve

__all__ = ["main"]

_EPILOG = """examples:
  optisolve run problem=uav_isac solver=ledma
  optisolve run problem=uav_isac/dense solver=moead_de budget.evaluations=20000 controls=true
  optisolve run -m seed=0,1,2 solver=moead,moead_de
  optisolve run --help            all settings of a run
  optisolve bench suite=smoke     a small benchmark; bench --help for its settings
  optisolve ablate problem=uav_isac solver=ledma    was the language model needed?
  optisolve ask "save at least 5 % power while user 2 keeps 15.8 kbps" problem=power_game
  optisolve formulate file=model.yml    a problem that no family covers
  optisolve list solvers
  optisolve verify runs/

exit codes: 0 ok, 1 error, 2 verification failed, 3 a question is open (ask, formulate), 130 interrupted (the record is written)
"""

_ASK_HELP = """settings (key=value):
  problem=NAME             what the request is about; problem.KEY=VALUE changes it
  instance=0               instance seed
  parser=model             model: a language model reads, the words must agree; rules: no language model;
                           auto: rules where they account for every word, else the model
  llm=KIND llm.KEY=VALUE   the language model: auto, local, openai, replay
  solver=moe               who solves it; solver.KEY=VALUE, budget.KEY=VALUE as for run
  goal=FILE                a typed goal (YAML or JSON) in place of the words
  confirm=true             take the reading that was shown although some words are not known
  seed=0 out=runs

exit codes: 0 verified, 1 error, 2 no point meets everything, 3 a question is open
"""

_FORMULATE_HELP = """A language model writes a declarative model of the problem (sets, parameters, variables, objective,
constraints); it is data, nothing of it is executed. It is solved, checked again and shown in words, and waits for your
confirmation: read model.yml, change it if need be, and run it with file=.

settings (key=value):
  llm=KIND llm.KEY=VALUE   the language model: auto, local, openai, replay
  file=model.yml           a typed model (YAML or JSON) in place of the words: no language model is called
  budget.llm_calls=3       also llm_tokens, usd
  seed=0 out=runs

exit codes: 0 solved and checked again, 1 error, 2 no optimum or a check failed, 3 to be confirmed, or a question is open
"""

_BENCH_HELP = """settings (key=value):
  suite=NAME             a suite that comes with optisolve, or the path of a YAML file; without it, the suites are listed
  out=runs               folder or URL; the records go to OUT/SUITE/UNIT/
  executor=joblib        joblib (workers on this machine), serial (one worker), ray (a cluster)
  workers=N              units at a time; default: one per core
  threads=1              threads of the numerical libraries in each worker
  address=local          Ray cluster: local, auto or HOST:PORT
  only=solver:moead,problem:uav_isac    part of the suite; also instance:0, repetition:0
  solvers=NAME,NAME@LABEL               other solvers on the suite's problems, at the suite's budget
  llm=KIND llm.model=...                language model of those solvers
  trust=VARIABLE@URL,...                hosts and key variables that the suite's file names, and you confirm
  resume=true            keep finished units; false refuses a folder with records
  retry=false            run failed units again
  dry_run=false          show the plan, run nothing
  lock=false             write NAME.lock.json beside the suite, run nothing
  tracker=none           mlflow: send every record to an MLflow server
  tracker.uri=...        its address; default: MLFLOW_TRACKING_URI

exit codes: 0 ok, 1 error or failed units, 130 interrupted (the same command goes on)
"""

_ABLATE_HELP = """settings (key=value):
  problem=NAME             what is solved; problem.KEY=VALUE changes it
  solver=ledma             any solver that asks a language model; solver.KEY=VALUE changes it
                           (ledma is small here unless said otherwise: pop_size=20, n_neighbors=10, wave_size=10)
  llm=KIND llm.KEY=VALUE   the language model: auto, local, openai, surrogate
  arms=NAME,NAME           what the solver itself says belongs in the model's place (default: all); for ledma placebo, sbx, de,
                           linear, convex, gaussian, zeros, uniform; for solvers that say nothing random, null
  instances=3 seeds=3      pairs are instances x seeds; with eight controls fewer than 9 pairs cannot be significant
  solver.mix=1.0           ledma: share of the targets that the arms serve, DE serves the others
  budget.evaluations=100   per run, for every arm
  budget.llm_calls=N       per run of an arm that asks the model, also llm_tokens and usd; N lowers the share when it must
  out=FOLDER               default runs/ablation-PROBLEM-LLM; finished runs in it are found again and not repeated
  executor=serial          as for bench, with workers=N, threads=1, limits.seconds=86400, limits.memory_mb=16000
  dry_run=false            print the planned calls, run nothing

exit codes: 0 ok, 1 error, 130 interrupted (a partial report is written; the same command goes on)
"""

_TRAIN_HELP = """settings (key=value):
  problem=NAME             scenario whose instances are learned
  solver=ddpm              the learned solver
  recipe=NAME              default: the family's own; or the path of a TOML file; see solvers/ddpm/recipes
  steps.KEY=VALUE          changes the recipe, as do labels.KEY=, network.config.KEY=, vary.NAME.KEY=, start_from=
  out=FOLDER               checkpoint, learning curve and weights (default runs/train-RECIPE)
  labels=FOLDER            label shards (default OUT/labels); made once, used again
  seed=0                   decides initial weights and every step
  device=auto              auto, cpu, cuda
  workers=1 threads=N      processes of the label factory; threads of torch
  resume=true              go on from the checkpoint in out, to the last bit
  seconds=N                stop after about N seconds of training; the same command goes on
  tensorboard=false        write logs to OUT/tensorboard
  dry_run=false            read the recipe, train nothing
"""


_KEY_VARIABLE = re.compile(r"(?:api_key_env=|[=,](?=\w+@))(\w+)", re.ASCII)
"""A variable that the command line names, as in ``llm.api_key_env=NAME`` and ``trust=NAME@URL``."""

_OWN_PARSER = {
    "compare": "gate on quality: what got worse between two folders of records",
    "submit": "prepare and check submissions to the leaderboard",
    "heldout": "commit to held-out seeds before a season, reveal them after it",
}
"""Verbs whose module reads the words behind them, with their line in the help."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Words behind the program's name; None takes them from the process.

    Returns:
        Exit code: 0 ok, 1 error, 2 verification failed, 130 interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    signal.signal(signal.SIGTERM, _as_interrupt)  # a scheduler's stop keeps the record, like Ctrl-C
    try:
        _require_harmless(words)
        if words[:1] == ["run"]:  # hydra owns everything behind this verb
            from optisolve.cli.run import run_command

            return run_command(words[1:])
        if words and words[0] in _OWN_PARSER:
            own: Callable[[Sequence[str]], int] = getattr(import_module(f"optisolve.cli.{words[0]}"), f"{words[0]}_command")
            return own(words[1:])
        options = _parser().parse_args(words)
        _require_flags(options)
        command: Callable[[argparse.Namespace], int] = options.command
        return command(options)
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


def _out_of_resources(error: ImportError | MemoryError) -> int:
    """A library that cannot be loaded, most often since the process may not have more memory; so nothing else is loaded."""
    told = " ".join(f"{type(error).__name__} {error}".split())
    cure = "Raise the limit on memory (ulimit -v), or install optisolve again if there is none."
    sys.stderr.write(f"error: there is too little memory, or the installation is damaged ({ascii(told)[1:-1][:200]}). {cure}\n")
    return 1


def _require_flags(options: argparse.Namespace) -> None:
    """Name the option when a setting is written as for ``run`` and ``bench``: ``out=DIR`` would be taken for a path."""
    paths = getattr(options, "path", [])
    for word in [paths] if isinstance(paths, str) else paths:
        name, equals, value = str(word).partition("=")
        if equals and name != "path" and name in vars(options) and not os.path.exists(word):  # noqa: PTH110  # cheap start
            raise optisolve.OptisolveError(f"'{word}' is no file; {options.verb} takes this setting as --{name} {value}.")


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


def _as_interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="optisolve",
        description="LLM-driven network optimization with verified answers.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"optisolve {optisolve.__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    verbs.add_parser("run", help="solve a problem, verify the answer, write a record", add_help=False)

    _add_experiments(verbs)
    _add_requests(verbs)
    listing = verbs.add_parser("list", help="what there is: problems, solvers, prompts")
    listing.add_argument("what", nargs="?", choices=("problems", "solvers", "prompts", "all"), default="all")
    listing.set_defaults(command=_lazy("list_command"))

    info = verbs.add_parser("info", help="parameters, sources and citation of one problem or solver")
    info.add_argument("name")
    info.set_defaults(command=_lazy("info_command"))

    _add_trust(verbs)
    report = verbs.add_parser("report", help="one page, tables and figures from records")
    report.add_argument("path", nargs="+", help="record.json, its folder, or a folder of folders")
    report.add_argument("--out", default="report", help="folder of the report (default report)")
    report.add_argument("--title", default="Benchmark report", help="heading of the page")
    report.add_argument("--alpha", type=float, default=0.05, help="family-wise error rate of the tests (default 0.05)")
    report.set_defaults(command=_lazy("report_command", "report"))

    replay = verbs.add_parser("replay", help="re-derive a record, language-model replies from its transcript")
    replay.add_argument("path", help="record.json or its folder")
    replay.add_argument("--out", default=None, help="also write the reproduced record into this folder")
    replay.set_defaults(command=_lazy("replay_command"))

    check = verbs.add_parser("check", help="run the conformance kit on a plug-in")
    check.add_argument("target", help="module:Class, or a registered name")
    check.set_defaults(command=_lazy("check_command"))

    board = verbs.add_parser("leaderboard", help="a static site from records: sortable tables, plots, a page per record")
    board.add_argument("path", nargs="+", help="record.json, its folder, or a folder of folders")
    board.add_argument("--out", default="site", help="folder of the site, replaced as a whole (default site)")
    board.add_argument("--title", default="optisolve leaderboard", help="heading of the site")
    board.add_argument("--table", metavar="FILE", help="the leaderboard's table, for the standings of each suite")
    board.add_argument("--degeneracy", metavar="FILE", help="degeneracy reports to show, from benchmarks/degeneracy.py")
    board.set_defaults(command=_lazy("leaderboard_command", "leaderboard"))

    inspect = verbs.add_parser("inspect", help="degeneracy report: what trivial answers reach beside the reference")
    inspect.add_argument("overrides", nargs="+", metavar="key=value", help="problem=NAME, then parameters of the problem")
    inspect.add_argument("--instances", type=int, default=3, help="instances that are averaged (default 3)")
    inspect.add_argument("--samples", type=int, default=1024, help="random points per instance (default 1024)")
    inspect.add_argument("--starts", type=int, default=16, help="local searches per instance (default 16, 0 for none)")
    inspect.add_argument("--effort", choices=("quick", "normal", "thorough"), default="quick", help="work on the reference")
    inspect.add_argument("--out", default="runs", help="folder of the picture (default runs)")
    inspect.set_defaults(command=_lazy("inspect_command"))

    export = verbs.add_parser("export", help="write an instance's arrays to npz, JSON or .mat")
    export.add_argument("overrides", nargs="+", metavar="key=value", help="problem=NAME, then parameters of the problem")
    export.add_argument("--to", required=True, metavar="FILE", help="ends in .npz, .json or .mat")
    export.add_argument("--instance", type=int, default=0, metavar="SEED", help="instance seed (default 0)")
    export.set_defaults(command=_lazy("export_command"))

    _add_language(verbs)
    return parser


def _add_requests(verbs: Any) -> None:
    """The verbs about requests in words and about reasons."""
    asking = verbs.add_parser(
        "ask",
        help="a request in words: a verified answer, or a question",
        epilog=_ASK_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    asking.add_argument("words", nargs="+", metavar="WORD", help="the request, then key=value settings")
    asking.set_defaults(command=_lazy("ask_command", "ask"))

    formulating = verbs.add_parser(
        "formulate",
        help="a problem that no family covers: in words, or as a typed model file",
        epilog=_FORMULATE_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    formulating.add_argument("words", nargs="+", metavar="WORD", help="the problem, then key=value settings")
    formulating.set_defaults(command=_lazy("formulate_command", "formulate"))

    explain = verbs.add_parser("explain", help="why a mixture of experts answered as it did, from a record's log")
    explain.add_argument("path", help="record.json or its folder")
    explain.add_argument("--out", default="", help="write the page as Markdown")
    explain.add_argument("--jsonl", default="", help="write the entries of the log, one per line")
    explain.set_defaults(command=_lazy("explain_command", "explain"))


def _add_language(verbs: Any) -> None:
    """The verbs about language models."""
    models = verbs.add_parser("models", help="known local language models; fetch one")
    models.add_argument("action", nargs="?", choices=("list", "fetch"), default="list")
    models.add_argument("name", nargs="?", help="name of the model to fetch")
    models.set_defaults(command=_lazy("models_command"))

    lint = verbs.add_parser("lint", help="check prompt templates: variables, header, safety, size, stable prefix")
    lint.add_argument("prompt", nargs="*", help="a file, NAME.vVERSION, or NAME for its newest version (default all shipped)")
    lint.add_argument("--problem", default="uav_isac", help="problem of the sample renderings (default uav_isac)")
    lint.add_argument("--max-tokens", type=int, default=8000, help="largest sample rendering, tokens (default 8000)")
    lint.set_defaults(command=_lazy("lint_command", "lint"))


def _add_trust(verbs: Any) -> None:
    """The verbs that judge records."""
    verify = verbs.add_parser("verify", help="re-evaluate records with independent code")
    verify.add_argument("path", nargs="+", help="record.json, its folder, or a folder of folders")
    verify.add_argument("--reproduce", action="store_true", help="run every record again and compare result_hash")
    effort_help = "most work spent on making a record's reference again (default quick)"
    verify.add_argument("--effort", choices=("none", "quick", "normal", "thorough"), default="quick", help=effort_help)
    seconds = "longest audit of one record, a second run included; a record that takes longer is refused (default 600)"
    verify.add_argument("--seconds", type=float, default=600.0, metavar="S", help=seconds)
    verify.add_argument("--suite", action="append", default=[], metavar="FILE", help="a suite of yours that records may name")
    verify.add_argument("--json", action="store_true", help="one JSON object per record instead of text")
    verify.set_defaults(command=_lazy("verify_command", "verify"))

    for verb, told in _OWN_PARSER.items():
        verbs.add_parser(verb, help=told, add_help=False)


def _add_experiments(verbs: Any) -> None:
    """The verbs that perform many runs."""
    bench = verbs.add_parser(
        "bench",
        help="run a benchmark suite, resume it, or lock it",
        epilog=_BENCH_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    bench.add_argument("overrides", nargs="*", metavar="key=value", help="see below")
    bench.set_defaults(command=_lazy("bench_command", "bench"))

    ablate = verbs.add_parser(
        "ablate",
        help="was the language model needed? the same run with plain operators in its place",
        epilog=_ABLATE_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    ablate.add_argument("overrides", nargs="*", metavar="key=value", help="see below")
    ablate.set_defaults(command=_lazy("ablate_command", "ablate"))

    train = verbs.add_parser(
        "train",
        help="train a learned solver's weights from a recipe",
        epilog=_TRAIN_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    train.add_argument("overrides", nargs="*", metavar="key=value", help="see below")
    train.set_defaults(command=_lazy("train_command", "train"))


def _lazy(name: str, module: str = "commands") -> Callable[[argparse.Namespace], int]:
    """Import a command from its module only when its verb is used."""

    def call(options: argparse.Namespace) -> int:
        command: Callable[[argparse.Namespace], int] = getattr(import_module(f"optisolve.cli.{module}"), name)
        return command(options)

    return call

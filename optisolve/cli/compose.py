"""``optisolve run``: hydra composes the configuration from our groups, sweeps, and files of settings.

The only file that knows hydra. It would want folders called like the groups; ours are called ``problems/`` and ``solvers/`` for
people, and a plug-in without a file of its own still has defaults, so the groups come from a small source of ours.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import HydraException, MissingConfigException
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from omegaconf.resolvers import oc

from optisolve.cli.display import print_error, print_os_error
from optisolve.cli.job import EXIT_ERROR, EXIT_OK, Asked, Job, report_finished, run_job
from optisolve.cli.resume import resolve
from optisolve.cli.run import Run
from optisolve.cli.settings import Choice, settings_help
from optisolve.core.budget import UNLIMITED
from optisolve.core.documents import Json, plain
from optisolve.core.errors import MissingDependency, OptisolveError, UnknownNameError, nearest
from optisolve.core.source import is_target
from optisolve.llm.config import LLM_KINDS
from optisolve.registry import PROBLEMS, SOLVERS, problem_options, solver_options
from optisolve.run.solve import DEFAULT_BUDGET

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["flags_first", "run_command"]

_SCHEME = "optisolve"
"""Prefix of our groups in hydra's search path."""

_HELP = """optisolve run: solve one problem with one solver, verify the answer, write a record.

problem=NAME  {problem}
solver=NAME   {solver}
llm=KIND      {llm}

settings (key=value):
{settings}

== All settings with those of the problem, the solver and the language model (override anything: key=value) ==
$CONFIG
-m runs a sweep: optisolve run -m seed=0,1,2 solver=moead,moead_de
--cfg job shows the composed configuration without running.
"""

_DEFAULTS: Mapping[str, object] = {
    **{f.name: f.default for f in dataclasses.fields(Run)},
    "budget": DEFAULT_BUDGET.options(),
}
"""Settings of a run beside the groups."""


def _help() -> str:
    choices = {group: ", ".join(names) for group, names in _choices().items()}
    return _HELP.format(**choices, settings=settings_help(Run))


def _primary(environment: Mapping[str, str], template: str) -> Mapping[str, object]:
    """The configuration that hydra starts from, with the environment of the jobs of a sweep and the text of the help."""
    quiet = [{"override hydra/job_logging": "none"}, {"override hydra/hydra_logging": "none"}]
    return {
        "defaults": ["_self_", {"problem": "uav_isac"}, {"solver": "ledma"}, {"llm": "auto"}, *quiet],
        **_DEFAULTS,
        "hydra": {
            "searchpath": [f"{_SCHEME}://"],
            "output_subdir": None,
            "run": {"dir": "."},
            "sweep": {"dir": "${out}/.hydra", "subdir": "."},  # hydra always writes its multirun.yaml there
            "job": {"chdir": False, "env_set": dict(environment)},
            "help": {"app_name": "optisolve run", "template": template},
        },
    }


_NO_INTERPOLATION = (
    "{what} holds an interpolation (${{…}}): settings are taken as they stand, nothing is filled in from the environment or "
    "elsewhere. Write the value itself; a key belongs into its environment variable only."
)

_CALL = re.compile(r"(?<![\w'\"])(fixed\([^()'\"]*\))")
_FLAGS_WITH_VALUE = ("--cfg", "-c", "--package", "-p", "--config-dir", "-cd", "--info", "-i")

_begun = Event()
"""Set when a job of this process has begun; what is raised before that is about the composition of its settings."""

_CODES = "OPTISOLVE_EXIT_CODES"
"""Environment variable with the folder where the jobs of a sweep leave their exit codes; they may run in other processes."""


def run_command(arguments: Sequence[str]) -> int:
    """Run with hydra overrides; the worst exit code of all jobs of a sweep.

    Args:
        arguments: What stands behind ``optisolve run``.

    Raises:
        OptisolveError: The configuration is wrong; the text names the setting.
    """
    _require_plain(arguments)
    if _Groups not in Plugins.instance().discover(ConfigSource):
        Plugins.instance().register(_Groups)
    words = flags_first(arguments)
    sweep = not {"-m", "--multirun"}.isdisjoint(words)
    application = hydra.main(version_base="1.3", config_path=None, config_name="run")
    codes: list[int] = []
    broken: list[Exception] = []
    _begun.clear()

    def job(config: DictConfig) -> None:
        try:
            codes.append(_job(config))
        except Exception as error:  # hydra would print words of its own on the way
            broken.append(error)

    with (
        tempfile.TemporaryDirectory(prefix="optisolve-") if sweep else nullcontext() as folder,
        _arguments(words),
        _no_environment(),
    ):
        template = "" if {"--help", "-h"}.isdisjoint(words) else _help()
        ConfigStore.instance().store(name="run", node=_primary({} if folder is None else {_CODES: folder}, template))
        try:
            application(_swept_job if sweep else job)()
        except MissingConfigException as error:
            raise _unknown_choice(error) from error
        except (HydraException, OmegaConfBaseException) as error:
            raise OptisolveError(_explain(error)) from error
        except (ValueError, TypeError, AssertionError) as error:
            if _begun.is_set():  # not hydra's
                raise
            raise OptisolveError(f"The settings cannot be composed: {_explain(error)}") from error
        except SystemExit as end:  # of --help, or after words about flags that it does not know
            return EXIT_ERROR if end.code else EXIT_OK
        if broken:
            raise broken[0]
        if folder is not None:
            codes = [int(path.read_text(encoding="ascii")) for path in Path(folder).iterdir()]
        return max(codes, default=0)


def flags_first(arguments: Sequence[str]) -> list[str]:
    """Hydra's parser wants flags before overrides; people mix them.

    Args:
        arguments: E.g. ``["solver=moead", "-m", "seed=1,2"]``.
    """
    flags, overrides = _split(arguments)
    return [*flags, *map(_quoted, overrides)]


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Flags with their values, and overrides."""
    flags, overrides, rest = list[str](), list[str](), list(arguments)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            overrides.append(word)
            continue
        flags.append(word)
        if word in _FLAGS_WITH_VALUE and rest and "=" not in rest[0]:
            flags.append(rest.pop(0))
    return flags, overrides


def _quoted(word: str) -> str:
    """An override with names in quotes that hydra would take for something else.

    These are the solver ``null`` (no value) and a mix like ``fixed(0.3)`` (the call of a function).
    """
    key, equals, value = word.partition("=")
    if key == "solver.mix":
        return f"{key}=" + _CALL.sub(r"'\1'", value)
    if key != "solver" or not equals:
        return word
    names = ['"null"' if item.strip() == "null" else item for item in value.split(",")]
    return f"{key}={','.join(names)}"


def _require_plain(arguments: Sequence[str]) -> None:
    """Refuse words that hydra would fill in from elsewhere, and explain how to write those that its grammar does not take.

    Raises:
        OptisolveError: The word, and its quoted form where that helps.
    """
    flags, overrides = _split(arguments)
    for word in arguments:
        if "${" in word:
            raise OptisolveError(_NO_INTERPOLATION.format(what=f"'{word}'"))
    parser, sweep = OverridesParser.create(), not {"-m", "--multirun"}.isdisjoint(flags)
    for word in overrides:
        if word.startswith("~"):
            raise OptisolveError(
                f"'{word}' would take a setting away; every run needs all of them. Give another value instead."
            )
        try:
            wrong = parser.parse_override(_quoted(word)).is_sweep_override() and not sweep
        except HydraException:
            wrong = True
        if wrong:
            raise OptisolveError(_in_quotes(parser, word))


def _in_quotes(parser: OverridesParser, word: str) -> str:
    """How to write a word whose value hydra takes for something else than text."""
    key, equals, value = word.partition("=")
    bare = value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value
    quoted = f'{key}="{bare.replace(chr(92), chr(92) * 2).replace(chr(34), chr(92) + chr(34))}"'
    try:
        parser.parse_override(quoted if equals else "")
    except HydraException:
        return f"'{word}' is no setting: expected key=value, e.g. seed=1."
    several = "For one run per value give -m; as one text, quote" if "," in value else "Quote"
    return (
        f"The value of '{key}' holds characters that have a meaning of their own here: {value}\n"
        f"{several} it for optisolve and for the shell: {shlex.quote(quoted)}"
    )


@contextmanager
def _no_environment() -> Iterator[None]:
    """Let no file of settings read the environment, not even for a name of a folder."""
    OmegaConf.clear_resolver("oc.env")
    try:
        yield
    finally:
        OmegaConf.register_new_resolver("oc.env", oc.env, replace=True)


def _swept_job(config: DictConfig) -> None:
    """One job of a sweep, perhaps in a process of its own."""
    code = _job(config)
    if (folder := os.environ.get(_CODES)) is not None:
        (Path(folder) / uuid4().hex).write_text(str(code), encoding="ascii")


def _job(config: DictConfig) -> int:
    _begun.set()
    values = cast(dict[str, Json], OmegaConf.to_container(config, resolve=False))
    chosen = HydraConfig.get().runtime.choices
    given = tuple(item.split("=", maxsplit=1)[0].lstrip("+") for item in HydraConfig.get().overrides.task)
    try:
        if "${" in str(values):
            raise OptisolveError(_NO_INTERPOLATION.format(what="A file of settings"))
        if unknown := sorted({*values} - {*_choices(), *_DEFAULTS}):
            raise OptisolveError(f"Unknown setting '{unknown[0]}'. Settings of the run: {', '.join(sorted(_DEFAULTS))}.")
        groups = {name: dict(cast(Mapping[str, Json], values.pop(name))) for name in (*_choices(), "budget")}
        groups["budget"] = {key: UNLIMITED if value == "unlimited" else value for key, value in groups["budget"].items()}
        kind = str(groups["llm"].pop("kind"))
        problem, solver = (Choice(str(chosen[group]), groups[group]) for group in ("problem", "solver"))
        asked = Asked(problem, solver, Choice(kind, groups["llm"]), groups["budget"], values, given)
        if values["resume"] in (None, False):
            return run_job(Job.of(asked))
        meant = resolve(asked)
        if meant.finished is not None:
            return report_finished(meant.finished, as_json=values["print"] == "json", history=str(values["history"]))
        return run_job(Job.of(meant.asked, meant.continues))
    except OptisolveError as error:  # reported here, so that the other jobs of a sweep go on
        print_error(str(error))
        return EXIT_ERROR
    except BrokenPipeError:  # nobody reads any more: the entry point knows what to do
        raise
    except OSError as error:
        print_os_error(error, "; no record was written")
        return EXIT_ERROR


@contextmanager
def _arguments(arguments: list[str]) -> Iterator[None]:
    """Let hydra see its own arguments only, and let its errors reach us instead of its printer."""
    saved_argv, saved_flag = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv = ["optisolve run", *arguments]
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        sys.argv = saved_argv
        if saved_flag is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = saved_flag


def _unknown_choice(error: MissingConfigException) -> OptisolveError:
    missing = error.missing_cfg_file or ""
    if missing == "hydra/launcher/joblib":
        return MissingDependency("Hydra's launcher joblib", extra="sweep")
    group, _, name = missing.partition("/")
    known = {"problem": PROBLEMS.choices, "solver": SOLVERS.choices}.get(group)
    return UnknownNameError(group or "configuration", name, known() if known else (error.options or ()))


def _explain(error: Exception) -> str:
    """One readable message from hydra's or omegaconf's, with the nearest known key."""
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    key, parent = getattr(cause, "full_key", None) or getattr(cause, "key", None), getattr(cause, "parent_node", None)
    if key and isinstance(parent, DictConfig) and "is not in struct" in str(cause):
        prefix, _, name = str(key).rpartition(".")
        known = [str(k) for k in parent]
        guess = nearest(name, known)
        hint = f" Did you mean '{f'{prefix}.{guess}' if prefix else guess}'?" if guess else ""
        where = f"'{prefix}'" if prefix else "the run"
        return f"Unknown setting '{key}'.{hint} Settings of {where}: {', '.join(sorted(known))}."
    lines = [line for line in f"{error}\n{cause if cause is not error else ''}".splitlines() if line.strip()]
    return " ".join(line.strip() for line in lines[:4])


class _Groups(ConfigSource):  # type: ignore[misc]  # hydra ships no usable types
    """Serves ``problem/NAME``, ``solver/NAME`` and ``llm/KIND``."""

    @staticmethod
    def scheme() -> str:
        """Prefix in hydra's search path."""
        return _SCHEME

    def available(self) -> bool:
        """Always there."""
        return True

    def load_config(self, config_path: str) -> ConfigResult:
        """The options of one choice, all of them, with their defaults."""
        group, _, name = config_path.removesuffix(".yaml").partition("/")
        return ConfigResult(
            config=OmegaConf.create(dict(_options(group, name))),
            path=f"{_SCHEME}://{config_path}",
            provider=self.provider,
            header={"package": group},
        )

    def is_group(self, config_path: str) -> bool:
        """True for a group and for a folder of scenarios inside it."""
        group, _, name = config_path.strip("/").partition("/")
        if not name:
            return not group or group in _choices()
        return any(choice.startswith(f"{name}/") for choice in _choices().get(group, ()))

    def is_config(self, config_path: str) -> bool:
        """True for a choice, and for a problem of a user's own, ``FILE.py:NAME``."""
        group, _, name = config_path.strip("/").removesuffix(".yaml").partition("/")
        return name in _choices().get(group, ()) or (group == "problem" and is_target(name))

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """Choices directly below a group or folder."""
        group, _, folder = config_path.strip("/").partition("/")
        if not group:
            return sorted(_choices()) if results_filter is not ObjectType.CONFIG else []
        prefix = f"{folder}/" if folder else ""
        below = [name.removeprefix(prefix) for name in _choices().get(group, ()) if name.startswith(prefix)]
        configs = {name for name in below if "/" not in name}
        folders = {name.split("/")[0] for name in below if "/" in name}
        if results_filter is ObjectType.CONFIG:
            return sorted(configs)
        return sorted(folders if results_filter is ObjectType.GROUP else configs | folders)


def _choices() -> Mapping[str, tuple[str, ...]]:
    """What may stand behind ``problem=``, ``solver=`` and ``llm=``."""
    return {"problem": PROBLEMS.choices(), "solver": SOLVERS.choices(), "llm": tuple(LLM_KINDS)}


def _options(group: str, name: str) -> Mapping[str, Json]:
    """All options of a choice: what its file says, else the defaults of its class."""
    cls: type
    values: Mapping[str, object] = {}
    if group == "llm":
        cls = LLM_KINDS[name]
    else:
        cls, values = problem_options(name) if group == "problem" else solver_options(name)
    fields = (f for f in dataclasses.fields(cast(Any, cls)) if f.init and f.name != "scenario")
    told = plain({**{f.name: _default(f) for f in fields}, **values})
    return {**({"kind": name} if group == "llm" else {}), **cast(Mapping[str, Json], told)}


def _default(field: dataclasses.Field[Any]) -> object:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return "???" if field.default is dataclasses.MISSING else field.default

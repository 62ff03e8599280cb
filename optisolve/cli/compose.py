"""``optisolve run``: hydra composes the configuration from our groups, sweeps, and files of settings.

The only file that knows hydra. It would want folders called like the groups; ours are called ``problems/`` and ``solvers/`` for
people, and a plug-in without a file of its own still has defaults, so the groups come from a small source of ours.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Event
from typing import TYPE_CHECKING, Any, cast

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.errors import HydraException, MissingConfigException
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from omegaconf.resolvers import oc

from optisolve.cli.display import print_error, print_os_error, write_plain
from optisolve.cli.job import EXIT_ERROR, EXIT_OK, Asked, Ended, Job, report_finished, run_job
from optisolve.cli.overrides import NO_INTERPOLATION, as_overrides, flags_first, require_plain
from optisolve.cli.resume import resolve
from optisolve.cli.run import Run
from optisolve.cli.settings import Choice
from optisolve.cli.sweep import Sweep
from optisolve.core.budget import UNLIMITED
from optisolve.core.documents import Json, plain
from optisolve.core.errors import MissingDependency, OptisolveError, UnknownNameError, nearest
from optisolve.core.motion import MOTION_SETTINGS
from optisolve.core.source import is_target
from optisolve.llm.config import LLM_KINDS
from optisolve.registry import PROBLEMS, SOLVERS, problem_options, solver_options
from optisolve.run.choice import AUTO, WITH_MODEL
from optisolve.run.solve import DEFAULT_BUDGET

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["run_command"]

_SCHEME = "optisolve"
"""Prefix of our groups in hydra's search path."""

_DEFAULTS: Mapping[str, object] = {
    **{f.name: f.default for f in dataclasses.fields(Run)},
    "budget": {f.name: getattr(DEFAULT_BUDGET, f.name) for f in dataclasses.fields(DEFAULT_BUDGET)},
    "motion": {"kind": "auto", **dict.fromkeys(MOTION_SETTINGS)},
}
"""Settings of a run beside the groups."""


def _primary(environment: Mapping[str, str], solver: str) -> Mapping[str, object]:
    """The configuration that hydra starts from: the environment of the jobs of a sweep, and the solver."""
    quiet = [{"override hydra/job_logging": "none"}, {"override hydra/hydra_logging": "none"}]
    return {
        "defaults": ["_self_", {"problem": "uav_isac"}, {"solver": solver}, {"llm": "auto"}, *quiet],
        **_DEFAULTS,
        "hydra": {
            "searchpath": [f"{_SCHEME}://"],
            "output_subdir": None,
            "run": {"dir": "."},
            "sweep": {"dir": "${out}/.hydra", "subdir": "."},  # hydra always writes its multirun.yaml there
            "job": {"chdir": False, "env_set": dict(environment)},
        },
    }


_begun = Event()
"""Set when a job of this process has begun; what is raised before that is about the composition of its settings."""


def run_command(arguments: Sequence[str], from_file: frozenset[str] = frozenset()) -> int:
    """Run with hydra overrides; the worst exit code of all jobs of a sweep.

    Args:
        arguments: What stands behind ``optisolve run``, with the settings of a file of them.
        from_file: Keys of those that a file has set, and the user has not.

    Raises:
        OptisolveError: The configuration is wrong; the text names the setting.
    """
    arguments = as_overrides(arguments)
    require_plain(arguments)
    if _Groups not in Plugins.instance().discover(ConfigSource):
        Plugins.instance().register(_Groups)
    words = flags_first(arguments)
    sweep = None if {"-m", "--multirun"}.isdisjoint(words) else Sweep.of(words, from_file)
    application = hydra.main(version_base="1.3", config_path=None, config_name="run")
    codes: list[int] = []
    broken: list[Exception] = []
    _begun.clear()

    def job(config: DictConfig) -> None:
        try:
            codes.append(_job(config, from_file).code)
        except Exception as error:  # hydra would print words of its own on the way
            broken.append(error)

    named = any(word.lstrip("+").startswith(("llm=", "llm.")) for word in words)
    solver = WITH_MODEL.name if named else AUTO  # before anything is composed, so that solver.KEY is known
    surroundings: AbstractContextManager[Mapping[str, str]] = nullcontext({}) if sweep is None else sweep.environment()
    with surroundings as environment, _arguments(words), _no_environment():
        ConfigStore.instance().store(name="run", node=_primary(environment, solver))
        try:
            if sweep is None and not any(word.lstrip("+~").startswith(("-", "hydra")) for word in words):
                job(_composed(words))
            else:
                application(job if sweep is None else _swept_job)()
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
        return max(codes, default=0) if sweep is None else sweep.ended()


def _composed(words: Sequence[str]) -> DictConfig:
    """The settings of a single run: composed once, where hydra's own main does so twice and copies them."""
    with hydra.initialize(version_base="1.3", config_path=None):
        config = hydra.compose("run", list(words), return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    return OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])


@contextmanager
def _no_environment() -> Iterator[None]:
    """Let no file of settings read the environment, not even for a name of a folder."""
    OmegaConf.clear_resolver("oc.env")
    try:
        yield
    finally:
        OmegaConf.register_new_resolver("oc.env", oc.env, replace=True)


def _through_episode(job: Job) -> Ended:
    from optisolve.cli.episode import run_episode

    return Ended(run_episode(job))


def _swept_job(config: DictConfig) -> None:
    """One job of a sweep, perhaps in a process of its own."""
    sweep, told = Sweep.here(), HydraConfig.get()
    varied = sweep.varied(told.overrides.task)
    sweep.leave(told.job.num, varied, _job(config, sweep.from_file, varied))


def _job(config: DictConfig, from_file: frozenset[str], varied: Mapping[str, str] | None = None) -> Ended:
    """Run, or say why not.

    Args:
        config: What hydra composed.
        from_file: Keys that a file has set.
        varied: What this job of a sweep has for itself.
    """
    _begun.set()
    values = cast(dict[str, Json], OmegaConf.to_container(config, resolve=False))
    chosen = HydraConfig.get().runtime.choices
    given = tuple(item.split("=", maxsplit=1)[0].lstrip("+") for item in HydraConfig.get().overrides.task)
    try:
        if "${" in str(values):
            raise OptisolveError(NO_INTERPOLATION.format(what="A file of settings"))
        if unknown := sorted({*values} - {*_choices(), *_DEFAULTS}):
            raise OptisolveError(f"Unknown setting '{unknown[0]}'. Settings of the run: {', '.join(sorted(_DEFAULTS))}.")
        groups = {name: _part(name, values.pop(name)) for name in (*_choices(), "budget", "motion")}
        groups["budget"] = {key: UNLIMITED if value == "unlimited" else value for key, value in groups["budget"].items()}
        kind = str(groups["llm"].pop("kind"))
        problem, solver = (Choice(str(chosen[group]), groups[group]) for group in ("problem", "solver"))
        read = tuple(key for key in given if key in from_file)
        asked = Asked(problem, solver, Choice(kind, groups["llm"]), groups["budget"], values, given, read, groups["motion"])
        if values["print"] == "config":
            from optisolve.cli.config_file import settings_file

            write_plain(settings_file(asked.settled()))
            return Ended(EXIT_OK)
        if values["resume"] in (None, False):
            job = Job.of(asked)
            return run_job(job, varied) if job.settings.episode is None else _through_episode(job)
        meant = resolve(asked)
        if meant.finished is not None:
            return report_finished(meant.finished, as_json=values["print"] == "json", history=str(values["history"]))
        return run_job(Job.of(meant.asked, meant.continues), varied)
    except OptisolveError as error:  # reported here, so that the other jobs of a sweep go on
        print_error(str(error))
        return Ended(EXIT_ERROR)
    except BrokenPipeError:  # nobody reads any more: the entry point knows what to do
        raise
    except OSError as error:
        print_os_error(error, "; no record was written")
        return Ended(EXIT_ERROR)


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


def _part(name: str, value: Json) -> dict[str, Json]:
    """The settings of a part of a run.

    Raises:
        OptisolveError: One value was given in their place.
    """
    if isinstance(value, Mapping):
        return dict(value)
    examples = {"budget": "budget.evaluations=1000", "motion": "motion.kind=random_waypoint"}
    example = examples.get(name, f"{name}.KEY=VALUE")
    raise OptisolveError(f"{name}: got {value!r}; it has settings of its own, e.g. {example} (optisolve run --help).")


_RENAMED = {"solver.sampling": "solver.init"}
"""Settings under the names that they had before."""


def _explain(error: Exception) -> str:
    """One readable message from hydra's or omegaconf's, with the nearest known key."""
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    key, parent = getattr(cause, "full_key", None) or getattr(cause, "key", None), getattr(cause, "parent_node", None)
    if key and isinstance(parent, DictConfig) and "is not in struct" in str(cause):
        prefix, _, name = str(key).rpartition(".")
        if prefix == "solver" and not parent:
            return (
                f"'{key}' is a setting of a solver, and none is named: give solver=NAME beside it, e.g. solver=ledma {key}=..."
            )
        known = [str(k) for k in parent if str(k) != "hydra"]
        guess = nearest(name, known)
        hint = f" Did you mean '{f'{prefix}.{guess}' if prefix else guess}'?" if guess else ""
        hint = f" It is {_RENAMED[key]} today and takes the same words." if key in _RENAMED else hint
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
    return {"problem": PROBLEMS.choices(), "solver": (AUTO, *SOLVERS.choices()), "llm": tuple(LLM_KINDS)}


def _options(group: str, name: str) -> Mapping[str, Json]:
    """All options of a choice: what its file says, else the defaults of its class."""
    if (group, name) == ("solver", AUTO):
        return {}
    cls: type
    values: Mapping[str, object] = {}
    if group == "llm":
        cls = LLM_KINDS[name]
    else:
        cls, values = problem_options(name) if group == "problem" else solver_options(name)
        values = {key: value for key, value in values.items() if key not in getattr(cls, "calibrated", ())}
    fields = (f for f in dataclasses.fields(cast(Any, cls)) if f.init and f.name != "scenario")
    told = plain({**{f.name: _default(f) for f in fields}, **values})
    return {**({"kind": name} if group == "llm" else {}), **cast(Mapping[str, Json], told)}


def _default(field: dataclasses.Field[Any]) -> object:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return "???" if field.default is dataclasses.MISSING else field.default

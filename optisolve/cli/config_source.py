"""Hydra config groups ``problem``, ``solver`` and ``llm`` served from content files and plug-ins, lazily.

Hydra would want folders called like the groups; ours are called ``problems/`` and ``solvers/`` for people, and a
plug-in without a file of its own still has defaults. So the groups come from this small source instead.
"""

from __future__ import annotations

import dataclasses
from typing import Any, cast

from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import OmegaConf

from optisolve.core.json import plain
from optisolve.llm.config import LLM_KINDS, llm_config
from optisolve.registry import PROBLEMS, SOLVERS, problem_options, solver_options

__all__ = ["SCHEME", "choices", "register"]

SCHEME = "optisolve"


class GroupSource(ConfigSource):  # type: ignore[misc]  # hydra ships no usable types
    """Serves ``problem/NAME``, ``solver/NAME`` and ``llm/KIND``."""

    @staticmethod
    def scheme() -> str:
        """Prefix in hydra's search path."""
        return SCHEME

    def available(self) -> bool:
        """Always there."""
        return True

    def load_config(self, config_path: str) -> ConfigResult:
        """The options of one choice, all of them, with their defaults."""
        group, _, name = config_path.removesuffix(".yaml").partition("/")
        return ConfigResult(
            config=OmegaConf.create(_options(group, name)),
            path=f"{SCHEME}://{config_path}",
            provider=self.provider,
            header={"package": group},
        )

    def is_group(self, config_path: str) -> bool:
        """True for a group and for a folder of scenarios inside it."""
        group, _, name = config_path.strip("/").partition("/")
        if not name:
            return not group or group in choices()
        return any(choice.startswith(f"{name}/") for choice in choices().get(group, ()))

    def is_config(self, config_path: str) -> bool:
        """True for a choice."""
        group, _, name = config_path.strip("/").removesuffix(".yaml").partition("/")
        return name in choices().get(group, ())

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """Choices directly below a group or folder."""
        group, _, folder = config_path.strip("/").partition("/")
        if not group:
            return sorted(choices()) if results_filter is not ObjectType.CONFIG else []
        prefix = f"{folder}/" if folder else ""
        below = [name.removeprefix(prefix) for name in choices().get(group, ()) if name.startswith(prefix)]
        configs = {name for name in below if "/" not in name}
        folders = {name.split("/")[0] for name in below if "/" in name}
        if results_filter is ObjectType.CONFIG:
            return sorted(configs)
        return sorted(folders if results_filter is ObjectType.GROUP else configs | folders)


def register() -> None:
    """Make the source known to hydra; harmless when done twice."""
    if GroupSource not in Plugins.instance().discover(ConfigSource):
        Plugins.instance().register(GroupSource)


def choices() -> dict[str, tuple[str, ...]]:
    """What may stand behind ``problem=``, ``solver=`` and ``llm=``."""
    return {"problem": PROBLEMS.choices(), "solver": SOLVERS.choices(), "llm": tuple(LLM_KINDS)}


def _options(group: str, name: str) -> dict[str, Any]:
    if group == "llm":
        return {"kind": name, **plain(llm_config(name).options())}  # type: ignore[dict-item]
    cls, values = problem_options(name) if group == "problem" else solver_options(name)
    known = {f.name: f for f in dataclasses.fields(cast(Any, cls)) if f.init and f.name != "scenario"}
    options = {key: _default(f) for key, f in known.items()}
    return cast(dict[str, Any], plain({**options, **values}))


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return "???" if field.default is dataclasses.MISSING else field.default

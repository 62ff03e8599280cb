"""Networks by name, from a file of any known format, from topohub, or from a networkx graph."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from optisolve.content import content_dir, names
from optisolve.core.arrays import FloatArray
from optisolve.core.documents import Json
from optisolve.core.errors import MissingDependency, ProblemError, UnknownNameError
from optisolve.problems.data_files import require_data
from optisolve.problems.traffic_engineering.network import Links, Network
from optisolve.problems.traffic_engineering.node_link import read_node_link
from optisolve.problems.traffic_engineering.text_formats import read_repetita, read_repetita_demands, read_sndlib_native
from optisolve.problems.traffic_engineering.xml_formats import read_xml

__all__ = ["from_networkx", "named_network", "read_demands", "read_network", "shipped_networks"]

_FOLDER = "traffic_engineering/networks/"
_CONVENTION = "Links are bidirected: each direction has the capacity."
_FORMATS = "SNDlib (native or XML), REPETITA (.graph), GraphML or node-link JSON"


def shipped_networks() -> tuple[str, ...]:
    """Names of the networks that come with optisolve."""
    return tuple(name.removeprefix(_FOLDER) for name in names("problems", ".json") if name.startswith(_FOLDER))


def named_network(name: str) -> Network:
    """A network that comes with optisolve, or one of topohub, ``"topohub/sndlib/polska"``.

    Raises:
        UnknownNameError: There is no such network.
        MissingDependency: topohub is not installed.
    """
    if name.startswith("topohub/"):
        return read_node_link(_topohub(name.removeprefix("topohub/")), f"network '{name}'", "bidirected")
    if name not in shipped_networks():
        raise UnknownNameError("network", name, [*shipped_networks(), "topohub/GROUP/NAME"])
    text = (content_dir("problems") / f"{_FOLDER}{name}.json").read_text(encoding="utf-8")
    return read_node_link(json.loads(text), f"network '{name}'", "bidirected")


def _topohub(key: str) -> Mapping[str, Json]:
    try:
        import topohub
    except ImportError:
        raise MissingDependency("topohub", extra="topologies") from None
    if any(part in ("", ".", "..") for part in key.split("/")):
        raise ProblemError(f"network 'topohub/{key}': expected topohub/GROUP/NAME, e.g. topohub/sndlib/polska.")
    try:
        found: dict[str, Json] = topohub.get(key)
    except KeyError:
        raise ProblemError(
            f"network 'topohub/{key}': topohub {topohub.__version__} has no '{key}'; "
            "expected e.g. topohub/sndlib/polska or topohub/topozoo/Abilene."
        ) from None
    graph: dict[str, Json] = dict(found["graph"]) if isinstance(found["graph"], Mapping) else {}
    graph["source"] = f"topohub {topohub.__version__} (MIT), {key}"
    graph["convention"] = _CONVENTION
    return {**found, "graph": graph}


def read_network(path: str, links: Links = "bidirected") -> Network:
    """A network from a file; its first characters tell the format.

    Args:
        path: A file in one of these formats: SNDlib native or XML, REPETITA ``.graph``, GraphML, node-link JSON.
        links: How links without a direction of their own are meant.

    Raises:
        ProblemError: The file is missing, of another format, or has faults; all are told with their lines.
    """
    setting = "network_file"
    file = _require(path, setting)
    title = f"{setting} '{path}'"
    with file.open("rb") as stream:
        head = stream.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n")
    if head.startswith(b"?SNDlib native"):
        return read_sndlib_native(file, title, links)
    if head.startswith(b"NODES"):
        return read_sndlib_native(file, title, links) if b"(" in head.partition(b"\n")[0] else read_repetita(file, title)
    if head.startswith(b"<"):
        return read_xml(file, title, links)
    if head.startswith(b"{"):
        return read_node_link(_json(file, title), title, links)
    raise ProblemError(f"{title} begins with {head[:30]!r}; expected {_FORMATS}.")


def read_demands(path: str, network: Network) -> FloatArray:
    """Demands from a REPETITA ``.demands`` file, float64 [N, N]."""
    return read_repetita_demands(_require(path, "demands_file"), f"demands_file '{path}'", network)


def _require(path: str, setting: str) -> Path:
    return require_data(str(Path(path).expanduser()), setting, xml=True)


def _json(file: Path, title: str) -> Mapping[str, Json]:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ProblemError(f"{title} is no JSON: {error}.") from None
    if not isinstance(data, dict):
        raise ProblemError(f"{title} holds a {type(data).__name__}; expected node-link data with 'nodes' and 'edges'.")
    return data


class _Graph(Protocol):
    """The part of a networkx graph that is read."""

    graph: Mapping[str, Json]

    def is_directed(self) -> bool: ...
    def nodes(self, data: bool) -> Iterable[tuple[object, Mapping[str, Json]]]: ...
    def edges(self, data: bool) -> Iterable[tuple[object, object, Mapping[str, Json]]]: ...


def from_networkx(graph: _Graph, links: Links = "bidirected") -> Network:
    """A network from a networkx graph of any kind.

    Args:
        graph: Links may have ``capacity``, ``weight``, ``delay_ms`` and ``dist`` (km), nodes ``name`` and ``pos``, the graph
            ``demands``: volumes by source and target.
        links: How the links of an undirected graph are meant.

    Raises:
        ProblemError: Everything that is wrong with it.
    """
    data: dict[str, Json] = {
        "directed": graph.is_directed(),
        "graph": {**graph.graph, "demands": _by_text(graph.graph.get("demands"))},
        "nodes": [{"name": str(key), **told, "id": str(key)} for key, told in graph.nodes(data=True)],
        "edges": [{**told, "source": str(u), "target": str(v)} for u, v, told in graph.edges(data=True)],
    }
    return read_node_link(data, f"graph '{graph.graph.get('name', 'without a name')}'", links)


def _by_text(demands: Json) -> Json:
    if not isinstance(demands, Mapping):
        return demands
    return {str(u): {str(v): d for v, d in row.items()} if isinstance(row, Mapping) else row for u, row in demands.items()}

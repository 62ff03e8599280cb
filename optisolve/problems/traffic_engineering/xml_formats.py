"""Networks from XML: SNDlib and GraphML, with the line of everything that is wrong."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from optisolve.problems.traffic_engineering.network import Builder, Links, Network

__all__ = ["read_xml"]

_MOST_ELEMENTS = 20_000_000
_GRAPHML = {
    "name": ("label", "name", "id"),
    "capacity": ("capacity", "bandwidth", "LinkSpeedRaw"),
    "weight": ("weight",),
    "delay_ms": ("delay_ms",),
    "x": ("Longitude", "longitude", "lon", "x"),
    "y": ("Latitude", "latitude", "lat", "y"),
}
"""Attributes of GraphML files under their usual names, those of the Internet Topology Zoo too; the first one counts."""


@dataclass(slots=True)
class _Element:
    tag: str
    line: int
    attributes: dict[str, str]
    text: str = ""
    inside: list[_Element] = field(default_factory=list)

    @property
    def where(self) -> str:
        return f"line {self.line}"

    def all(self, *path: str) -> Iterator[_Element]:
        """Elements along a path of tags."""
        if not path:
            yield self
            return
        for element in self.inside:
            if element.tag == path[0]:
                yield from element.all(*path[1:])

    def one(self, *path: str) -> str:
        """Text of the first element along a path; empty without one."""
        return next((element.text.strip() for element in self.all(*path)), "")


def _parse(file: Path, build: Builder) -> _Element:
    """The tree of a file without document types and entities."""
    root = _Element("", 0, {})
    open_ones, count = [root], 0
    parser = expat.ParserCreate(namespace_separator=" ")

    def begin(tag: str, attributes: dict[str, str]) -> None:
        nonlocal count
        count += 1
        if count > _MOST_ELEMENTS:
            raise build.stop(f"line {parser.CurrentLineNumber}", f"more than {_MOST_ELEMENTS} elements")
        element = _Element(tag.rpartition(" ")[2], parser.CurrentLineNumber, attributes)
        open_ones[-1].inside.append(element)
        open_ones.append(element)

    def say(text: str) -> None:
        open_ones[-1].text += text

    def refuse(*_: object) -> None:
        raise build.stop(f"line {parser.CurrentLineNumber}", "it declares a document type, which is never read")

    parser.StartElementHandler = begin
    parser.EndElementHandler = lambda _: open_ones.pop()
    parser.CharacterDataHandler = say
    parser.StartDoctypeDeclHandler = refuse
    parser.buffer_text = True
    try:
        parser.Parse(file.read_bytes(), True)
    except expat.ExpatError as error:
        raise build.stop(f"line {error.lineno}", f"it is no well-formed XML ({expat.ErrorString(error.code)})") from None
    return root.inside[0]


def read_xml(file: Path, title: str, links: Links) -> Network:
    """A network from an SNDlib or a GraphML file; what it is tells its first element.

    Args:
        file: What to read.
        title: What it is called in errors.
        links: How links without a direction are meant.

    Raises:
        ProblemError: It is neither, or everything that is wrong with it, by line.
    """
    build = Builder(title, links, name=file.stem)
    root = _parse(file, build)
    if root.tag == "network":
        _sndlib(build, root)
    elif root.tag == "graphml":
        _graphml(build, root)
    else:
        raise build.stop(root.where, f"the first element is <{root.tag}>; expected <network> of SNDlib or <graphml>")
    return build.network()


# -- SNDlib ------------------------------------------------------------------------------------------------------------


def _sndlib(build: Builder, root: _Element) -> None:
    """As in `text_formats.read_sndlib_native`: the same content in other clothes."""
    build.convention, build.listed_once = f"SNDlib links are read as {build.links}.", True
    for node in root.all("networkStructure", "nodes", "node"):
        place = [_number(build, node.where, axis, node.one("coordinates", axis)) for axis in ("x", "y")]
        build.node(node.where, node.attributes.get("id", ""), place=(place[0], place[1]))
    for link in root.all("networkStructure", "links", "link"):
        installed = link.one("preInstalledModule", "capacity")
        capacity = build.number(link.where, "pre-installed capacity", installed) if installed else 0.0
        if capacity == 0.0:
            modules = [
                build.number(module.where, "module capacity", module.one("capacity"), positive=True)
                for module in link.all("additionalModules", "addModule")
            ]
            capacity = min((module for module in modules if not math.isnan(module)), default=math.nan)
        label = link.attributes.get("id", "")
        build.link(link.where, link.one("source"), link.one("target"), capacity=capacity, label=label)
    for demand in root.all("demands", "demand"):
        volume = build.number(demand.where, "demandValue", demand.one("demandValue"))
        build.demand(demand.where, demand.one("source"), demand.one("target"), volume)


# -- GraphML -----------------------------------------------------------------------------------------------------------


def _graphml(build: Builder, root: _Element) -> None:
    names = {key.attributes.get("id", ""): key.attributes.get("attr.name", "") for key in root.all("key")}
    graphs = list(root.all("graph"))
    if len(graphs) != 1:
        raise build.stop(root.where, f"it has {len(graphs)} graphs; expected one")
    directed = graphs[0].attributes.get("edgedefault") == "directed"
    build.convention = "GraphML: links have a direction." if directed else f"GraphML: links are read as {build.links}."
    for node in graphs[0].all("node"):
        told = _data(node, names)
        place = [_number(build, node.where, axis, _first(told, axis)) for axis in ("x", "y")]
        build.node(node.where, node.attributes.get("id", ""), _first(told, "name"), (place[0], place[1]))
    for edge in graphs[0].all("edge"):
        told = _data(edge, names)
        numbers = {}
        for key in ("capacity", "weight", "delay_ms"):
            text = _first(told, key)
            numbers[key] = build.number(edge.where, key, text, positive=key == "capacity") if text else math.nan
        own = edge.attributes.get("directed")
        build.link(
            edge.where,
            edge.attributes.get("source"),
            edge.attributes.get("target"),
            both=None if (own is None and not directed) or own == "false" else False,
            capacity=numbers["capacity"],
            weight=numbers["weight"],
            delay_ms=numbers["delay_ms"],
        )


def _data(element: _Element, names: dict[str, str]) -> dict[str, str]:
    return {names.get(data.attributes.get("key", ""), ""): data.text.strip() for data in element.all("data")}


def _first(told: dict[str, str], key: str) -> str:
    return next((told[name] for name in _GRAPHML[key] if told.get(name)), "")


def _number(build: Builder, where: str, what: str, text: str) -> float:
    if not text:
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.inf
    if math.isfinite(value):
        return value
    build.fault(where, f"{what}: got {text!r}, expected a finite number")
    return math.nan

"""Networks from text files: SNDlib's native format and REPETITA's pairs of files; lines are read one by one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.problems.traffic_engineering.network import Builder, Links, Network

__all__ = ["read_repetita", "read_repetita_demands", "read_sndlib_native"]

_LONGEST_LINE = 100_000


def _lines(file: Path, build: Builder) -> Iterator[tuple[str, str]]:
    """Place and text of every line that says something."""
    try:
        with file.open(encoding="utf-8", errors="strict") as stream:
            for number, line in enumerate(stream, start=1):
                if len(line) > _LONGEST_LINE:
                    raise build.stop(f"line {number}", f"it has more than {_LONGEST_LINE} characters")
                if text := line.strip():
                    yield f"line {number}", text
    except UnicodeDecodeError as error:
        raise build.stop("the whole file", f"it is no text in UTF-8 ({error.reason})") from None


# -- SNDlib ------------------------------------------------------------------------------------------------------------


def read_sndlib_native(file: Path, title: str, links: Links) -> Network:
    """A network in SNDlib's native format.

    A link's capacity is the pre-installed one or, where that is 0, its smallest module; without either it is left open. SNDlib
    says in a file of its own whether links are directed, bidirected (each direction has the capacity; published bounds use
    max(f_ij, f_ji), which is the same) or undirected (both directions share it, which is not offered): `links` says it here.

    Args:
        file: What to read.
        title: What it is called in errors.
        links: ``"bidirected"`` or ``"directed"``.

    Raises:
        ProblemError: Everything that is wrong with it, by line.

    Source: SNDlib 1.0, Orlowski et al. 2010, doi 10.1002/net.20371; format: sndlib.put.poznan.pl.
    """
    build = Builder(title, links, name=file.stem, convention=f"SNDlib links are read as {links}.")
    build.listed_once = True
    readers = {"NODES": _sndlib_node, "LINKS": _sndlib_link, "DEMANDS": _sndlib_demand}
    section, where = "", ""
    for where, text in _lines(file, build):
        if text.startswith(("#", "?")):
            continue
        words = text.replace("(", " ( ").replace(")", " ) ").split()
        if not section:
            if len(words) >= 2 and words[1] == "(":
                section = words[0]
                continue
            raise build.stop(where, f"got {text[:60]!r}, expected the beginning of a section, e.g. 'NODES ('")
        if words == [")"]:
            section = ""
        elif section in readers:
            readers[section](build, where, words)
    if section:
        raise build.stop(where, f"the file ends inside section {section}")
    return build.network()


def _sndlib_node(build: Builder, where: str, words: list[str]) -> None:
    if len(words) != 5 or words[1] != "(" or words[4] != ")":
        build.fault(where, f"got {' '.join(words)[:60]!r}, expected 'NAME ( LONGITUDE LATITUDE )'")
        return
    build.node(where, words[0], place=(_coordinate(build, where, words[2]), _coordinate(build, where, words[3])))


def _sndlib_link(build: Builder, where: str, words: list[str]) -> None:
    if len(words) < 9 or words[1] != "(" or words[4] != ")":
        told = "'NAME ( SOURCE TARGET ) CAPACITY COST ROUTING_COST SETUP_COST ( MODULES )'"
        build.fault(where, f"got {' '.join(words)[:60]!r}, expected {told}")
        return
    capacity = build.number(where, "pre-installed capacity", words[5])
    modules = [build.number(where, "module capacity", text, positive=True) for text in words[10:-1:2]]
    if capacity == 0.0:
        capacity = min((module for module in modules if not math.isnan(module)), default=math.nan)
    build.link(where, words[2], words[3], capacity=capacity, label=words[0])


def _sndlib_demand(build: Builder, where: str, words: list[str]) -> None:
    if len(words) < 7 or words[1] != "(" or words[4] != ")":
        build.fault(where, f"got {' '.join(words)[:60]!r}, expected 'NAME ( SOURCE TARGET ) UNIT VALUE MAX_PATH_LENGTH'")
        return
    build.demand(where, words[2], words[3], build.number(where, "demand", words[6]))


def _coordinate(build: Builder, where: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.inf
    if not math.isfinite(value):
        build.fault(where, f"coordinate: got {text!r}, expected a finite number")
        return math.nan
    return value


# -- REPETITA ----------------------------------------------------------------------------------------------------------


def read_repetita(file: Path, title: str) -> Network:
    """The ``.graph`` file of a REPETITA data set: links have a direction, capacities in kbit/s, delays in microseconds.

    Args:
        file: What to read.
        title: What it is called in errors.

    Raises:
        ProblemError: Everything that is wrong with it, by line.

    Source: Gay, Schaus and Vissicchio, REPETITA, arXiv 1710.08665.
    """
    build = Builder(title, "directed", name=file.stem, convention="REPETITA: every line is one direction; kbit/s.")
    lines = _lines(file, build)
    for where, words in _table(build, lines, "NODES", "label x y"):
        key = str(len(build.names))
        build.node(where, key, words[0], (_coordinate(build, where, words[1]), _coordinate(build, where, words[2])))
    for where, words in _table(build, lines, "EDGES", "label src dest weight bw delay"):
        build.link(
            where,
            words[1],
            words[2],
            weight=build.number(where, "weight", words[3], positive=True),
            capacity=build.number(where, "bw", words[4], positive=True),
            delay_ms=build.number(where, "delay", words[5]) / 1000.0,
            label=words[0],
        )
    _end(build, lines)
    return build.network()


def read_repetita_demands(file: Path, title: str, network: Network) -> FloatArray:
    """The ``.demands`` file of a REPETITA data set, float64 [N, N], kbit/s.

    Args:
        file: What to read.
        title: What it is called in errors.
        network: Whose nodes are meant.

    Raises:
        ProblemError: Everything that is wrong with it, by line.
    """
    build = Builder(title)
    for i in range(len(network.nodes)):
        build.node("", str(i))
    lines = _lines(file, build)
    for where, words in _table(build, lines, "DEMANDS", "label src dest bw"):
        build.demand(where, words[1], words[2], build.number(where, "bw", words[3]))
    _end(build, lines)
    if not build.demands and not build.n_faults:
        build.fault("the whole file", "no demand above 0")
    build.require()
    demand = np.zeros((len(network.nodes),) * 2)
    for (u, v), volume in build.demands.items():
        demand[u, v] = volume
    lost = network.with_demand(demand).unreachable()
    if lost is not None:
        names = [network.nodes[i] for i in lost]
        raise build.stop("the whole file", f"there is no path for the demand from {names[0]!r} to {names[1]!r}")
    return demand


def _table(build: Builder, lines: Iterable[tuple[str, str]], head: str, columns: str) -> Iterator[tuple[str, list[str]]]:
    """Rows of a table that begins with its name and its number of rows, then the names of its columns."""
    rows = iter(lines)
    where, text = next(rows, ("the end", ""))
    words = text.split()
    if len(words) != 2 or words[0] != head or not words[1].isdecimal():
        raise build.stop(where, f"got {text[:60]!r}, expected '{head} NUMBER'")
    where, text = next(rows, ("the end", ""))
    if text.split() != columns.split():
        raise build.stop(where, f"got {text[:60]!r}, expected the heading '{columns}'")
    for _ in range(int(words[1])):
        where, text = next(rows, ("the end", ""))
        cells = text.split()
        if not text:
            raise build.stop(where, f"the table {head} is to have {words[1]} rows and ends before")
        if len(cells) == len(columns.split()):
            yield where, cells
        else:
            build.fault(where, f"got {text[:60]!r}, expected {len(columns.split())} values: {columns}")


def _end(build: Builder, lines: Iterator[tuple[str, str]]) -> None:
    for where, text in lines:
        raise build.stop(where, f"got {text[:60]!r} after the last table, expected the end of the file")

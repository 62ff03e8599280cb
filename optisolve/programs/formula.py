"""Programs in the notation of formulas, for people."""

from __future__ import annotations

from optisolve.programs.tree import Node, ProgramError, Tree, text_of

__all__ = ["formula", "mathtext"]

_RANK = {"<": 1, "<=": 1, "+": 2, "-": 2, "negative": 3, "*": 4, "/": 4}
_LEAF = 9


def formula(tree: Tree) -> str:
    """A program as a formula in plain text; registers that it sets come first, one per line."""
    lines = [f"{name} <- {_written(node)[0]}" for name, node in tree.sets]
    return "\n".join([*lines, _written(tree.value)[0]])


def _written(node: Node) -> tuple[str, int]:
    """Text, and how firmly it holds together."""
    if not node.arguments:
        return (f"{node.value:.4g}" if node.is_number else text_of(node)), (3 if node.value < 0.0 else _LEAF)
    rank = _RANK.get(node.name, _LEAF)
    if node.name == "negative":
        return f"-{_held(node.arguments[0], rank + 1)}", rank
    if rank < _LEAF:
        left = _held(node.arguments[0], rank)
        right = _held(node.arguments[1], rank + (node.name not in ("+", "*")))
        return f"{left} {node.name} {right}", rank
    if node.name == "expneg":
        return f"exp(-{_held(node.arguments[0], 5)})", _LEAF
    if node.name == "abs":
        return f"|{_written(node.arguments[0])[0]}|", _LEAF
    name = {"log1p": "ln1p", "largest": "max", "smallest": "min"}.get(node.name, node.name)
    return f"{name}({', '.join(_written(argument)[0] for argument in node.arguments)})", _LEAF


def _held(node: Node, rank: int) -> str:
    text, own = _written(node)
    return f"({text})" if own < rank else text


def mathtext(tree: Tree) -> str:
    """A program as a formula in TeX, as matplotlib and browsers draw it; only for programs that set no registers.

    Raises:
        ProgramError: The program sets registers.
    """
    if tree.sets:
        raise ProgramError("a program that sets registers is no single formula")
    return _drawn(tree.value)[0]


_WORDS = {"largest": r"\max", "smallest": r"\min", "min": r"\min", "max": r"\max"}
_SIGNS = {"+": "+", "-": "-", "*": r"\,", "<": "<", "<=": r"\leq"}
_COMPARISONS = ("<", "<=")


def _drawn(node: Node) -> tuple[str, int]:
    """TeX, and how firmly it holds together."""
    if not node.arguments:
        if node.is_number:
            return f"{node.value:.4g}", 3 if node.value < 0.0 else _LEAF
        return (r"\mathrm{" + node.name.replace("_", r"\_") + "}" if node.name != "?" else "?"), _LEAF
    parts = node.arguments
    whole = [_drawn(part)[0] for part in parts]
    if node.name == "/":
        return rf"\frac{{{whole[0]}}}{{{whole[1]}}}", _LEAF
    if node.name == "negative":
        return f"-{_braced(parts[0], 4)}", _RANK["negative"]
    if node.name in _SIGNS:
        rank = _RANK[node.name]
        if node.name == "*" and parts[1].is_number and not parts[0].is_number:
            parts = (parts[1], parts[0])  # the canonical form has numbers last, people write them first
        right = _braced(parts[1], rank + (node.name not in ("+", "*")))
        told = f"{_braced(parts[0], rank)} {_SIGNS[node.name]} {right}"
        return (f"[{told}]", _LEAF) if node.name in _COMPARISONS else (told, rank)
    if node.name == "sqrt":
        return rf"\sqrt{{|{whole[0]}|}}", _LEAF
    if node.name == "abs":
        return f"|{whole[0]}|", _LEAF
    if node.name == "expneg":
        return rf"e^{{-{_braced(parts[0], 5)}}}", _LEAF
    if node.name == "log1p":
        return rf"\ln(1 + |{whole[0]}|)", _LEAF
    name = _WORDS.get(node.name, r"\mathrm{" + node.name + "}")
    return rf"{name}({', '.join(whole)})", _LEAF


def _braced(node: Node, rank: int) -> str:
    text, own = _drawn(node)
    return f"({text})" if own < rank else text

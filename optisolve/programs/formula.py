"""Programs in the notation of formulas, for people."""

from __future__ import annotations

from optisolve.programs.tree import Node, Tree, text_of

__all__ = ["formula"]

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

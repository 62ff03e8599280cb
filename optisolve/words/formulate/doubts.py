"""What in a text speaks against a declarative model: cheap comparisons that need no understanding.

None of them proves that a model is what was meant; each can only show that something is left out, made up or turned round.
"""

from __future__ import annotations

import re

import numpy as np

from optisolve.words.freeform.expressions import parse_expression, parse_relation
from optisolve.words.freeform.schema import Checked
from optisolve.words.freeform.tree import Binary, Negative, Node, Number, Ref, Relation, numbers_in

__all__ = ["doubts", "limits_of_text", "numbers_of_text", "sense_of_text", "ungrounded_numbers", "unused_numbers"]

_STRUCTURAL = (0.0, 1.0, 2.0, 24.0, 60.0, 100.0, 1000.0)
"""Constants that a model may hold without the text naming them: bounds at zero, unit coefficients, squares, conversions."""
_NUMBER = re.compile(r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?(?:[eE][-+]?\d{1,3})?", re.ASCII)
_SPELLED = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_WORDS = {**{word: float(i) for i, word in enumerate(_SPELLED)}, "half": 0.5, "twice": 2.0, "double": 2.0, "dozen": 12.0}
_LIMITS = re.compile(r"\b(at least|at most|no(t)? (more|less) than|or more|or less|most of|more or less)\b")
_AIMS = {
    "min": re.compile(r"\b(minimi[sz]e\w*|least|cheap\w*|lowest|low|fewest|few|smallest|shortest|little)\b"),
    "max": re.compile(r"\b(maximi[sz]e\w*|most|highest|greatest|largest|biggest|much)\b"),
}
_SIDES = {
    "least": re.compile(
        rf"\b(at least|no less than|not( get)? less than|no fewer than) (?P<number>{_NUMBER.pattern})", re.ASCII
    ),
    "most": re.compile(rf"\b(at most|no more than|not more than|up to) (?P<number>{_NUMBER.pattern})", re.ASCII),
}


def numbers_of_text(text: str) -> tuple[float, ...]:
    """The numbers that a text holds in digits, each once, in order."""
    return tuple(dict.fromkeys(float(m.group().replace(",", "")) for m in _NUMBER.finditer(text)))


def doubts(checked: Checked, text: str) -> tuple[str, ...]:
    """What in a text speaks against a model, as questions: its numbers, the sense of its aim, the sides of its limits."""
    asked = [f"{v:g} does not stand in the text: where does the model have it from?" for v in ungrounded_numbers(checked, text)]
    asked += [f"{v:g} stands in the text and nowhere in the model: is it not needed?" for v in unused_numbers(checked, text)]
    said, sense = sense_of_text(text), checked.model.objective.sense
    if said not in ("", sense):
        words = {"min": "as little as possible", "max": "as much as possible"}
        asked.append(f"The text seems to ask for {words[said]}, the model for {words[sense]}: which one is meant?")
    kinds = {variable.kind for variable in checked.model.variables.values()}
    if re.search(r"\bwhole\b", text.lower()) and kinds == {"real"}:
        asked.append("The text speaks of something whole, the model allows fractions of everything: which one is meant?")
    for value, side in limits_of_text(text).items():
        sides = _sides(checked, value)
        if sides and side not in sides:
            words = {"least": "at least", "most": "at most"}
            asked.append(f"The text says '{words[side]} {value:g}', the model '{words[sides.pop()]}': which one is meant?")
    asked += [f"{name} is added up several times in one sum: is that meant?" for name in _repeated(checked)]
    return tuple(asked)


def _repeated(checked: Checked) -> tuple[str, ...]:
    """Variables with several terms of their own in one sum, which people do not write and small models do."""
    aim, relations = _parsed(checked)
    sides = [aim, *(side for relation in relations for side in (relation.left, relation.right))]
    found: dict[str, None] = {}
    for side in sides:
        refs = [ref for term in _terms(side) for ref in set(_refs(term))]
        found.update(dict.fromkeys(r.name for r in refs if r.name in checked.offsets and refs.count(r) > 1))
    return tuple(found)


def _parsed(checked: Checked) -> tuple[Node, list[Relation]]:
    """Objective and comparisons as they are written."""
    model = checked.model
    return parse_expression(model.objective.expression), [r for c in model.constraints for r in parse_relation(c.relation)]


def _terms(node: Node) -> list[Node]:
    if isinstance(node, Binary) and node.op in "+-":
        return [*_terms(node.left), *_terms(node.right)]
    return [node]


def _refs(node: Node) -> list[Ref]:
    """References outside of functions, powers and sums over sets."""
    if isinstance(node, Ref):
        return [node]
    if isinstance(node, Binary):
        return [*_refs(node.left), *_refs(node.right)]
    return _refs(node.body) if isinstance(node, Negative) else []


def limits_of_text(text: str) -> dict[float, str]:
    """``least`` or ``most`` for numbers directly behind words such as "at least"; not for numbers that have both."""
    found: dict[float, set[str]] = {}
    for side, pattern in _SIDES.items():
        for match in pattern.finditer(text.lower()):
            for value in numbers_of_text(match["number"]):
                found.setdefault(value, set()).add(side)
    return {value: sides.pop() for value, sides in found.items() if len(sides) == 1}


def _sides(checked: Checked, value: float) -> set[str]:
    """On which sides a model bounds something by a number that stands alone in a relation, or as bound of a variable."""
    sides = set()
    for relation in _parsed(checked)[1]:
        for alone, most in ((relation.right, "<="), (relation.left, ">=")):
            if isinstance(alone, Number) and _same(alone.value, value) and relation.op != "==":
                sides.add("most" if relation.op == most else "least")
    for variable in checked.model.variables.values():
        sides |= {"least"} if variable.lower is not None and _same(variable.lower, value) else set()
        sides |= {"most"} if variable.upper is not None and _same(variable.upper, value) else set()
    return sides


def sense_of_text(text: str) -> str:
    """``min`` or ``max`` where the words of a text speak for one of them only, else ""."""
    words = _LIMITS.sub(" ", text.lower())
    found = [sense for sense, pattern in _AIMS.items() if pattern.search(words)]
    return found[0] if len(found) == 1 else ""


def ungrounded_numbers(checked: Checked, text: str) -> tuple[float, ...]:
    """Numbers of a model that the text does not hold; percentages count as written and as shares."""
    said = {*numbers_of_text(text), *(_WORDS[w] for w in re.findall(r"[a-z]+", text.lower()) if w in _WORDS)}
    said |= {value / 100.0 for value in said} | set(_STRUCTURAL)
    used = _numbers_of_model(checked)
    return tuple(dict.fromkeys(v for v in used if not any(_same(v, s) for s in said)))


def unused_numbers(checked: Checked, text: str) -> tuple[float, ...]:
    """Numbers of a text, but 0 and 1, that a model neither uses nor uses as a share: a sign of a forgotten requirement."""
    used = [*_numbers_of_model(checked), *(float(checked.model.size(name)) for name in checked.model.sets)]
    said = [v for v in numbers_of_text(text) if v not in (0.0, 1.0)]
    return tuple(v for v in said if not any(_same(u, v) or _same(u, v / 100.0) for u in used))


def _numbers_of_model(checked: Checked) -> list[float]:
    used: list[float] = [float(v) for array in checked.data.values() for v in np.ravel(array)]
    aim, relations = _parsed(checked)
    used += numbers_in(aim) + [
        v for relation in relations for side in (relation.left, relation.right) for v in numbers_in(side)
    ]
    for variable in checked.model.variables.values():
        used += [v for v in (variable.lower, variable.upper) if v is not None]
    counted = [size for size in checked.model.sets.values() if isinstance(size, int)]
    return used + [float(size) for size in counted if not _spelled_by_data(size, checked)]


def _same(used: float, said: float) -> bool:
    return abs(abs(used) - said) <= 1e-9 * max(1.0, min(abs(used), said))  # a huge number must not match everything


def _spelled_by_data(size: int, checked: Checked) -> bool:
    """A set whose size is the length of some list of data needs no number of its own in the text."""
    return any(size in array.shape for array in checked.data.values())

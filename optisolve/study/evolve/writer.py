"""A language model that writes programs: what it is told, the form of its answer, and the fate of everything it writes.

What it writes is data: it is read by the language's own parser and is never executed.
"""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le

from optisolve.core.options import Options
from optisolve.core.problem import Problem
from optisolve.llm.dialogue import BUDGET, Dialogue, DialogueReport, Turn, Verdict, worded
from optisolve.llm.forms import MAX_TEXT, Fate, Fault, Object, Text, Written, grammar_of, line_grammar, read_form, schema_of
from optisolve.llm.prompts import Prompt, StyleName, load_prompt
from optisolve.llm.session import LlmSession
from optisolve.llm.types import LlmReply, LlmRequest
from optisolve.programs.formula import formula
from optisolve.programs.grammar import program_rules
from optisolve.programs.language import OPERATORS, Feature
from optisolve.programs.parse import parse
from optisolve.programs.program import Program
from optisolve.programs.search import Arm, Candidate, SearchOptions
from optisolve.programs.skeleton import Skeleton
from optisolve.programs.tree import Node, ProgramError, Tree, text_of
from optisolve.study.evolve.journal import Journal

__all__ = ["AskOptions", "ModelWriter"]

_SKETCH = 240
"""Characters of a sketch."""
_LONGEST = 1_000
"""Characters of a program."""
_TOKENS = {"schema": 500, "continuation": 260}
"""Completion tokens of one answer."""
_QUOTED = 120
"""Characters of a failed program that a prompt repeats."""
_FORMULA_LETTERS = "[a-zA-Z0-9 .,+*/()<>=|_?-]"


@dataclass(frozen=True, slots=True)
class AskOptions(Options):
    """How a language model is asked for programs.

    Args:
        style: ``schema`` for chat models, ``continuation`` for small ones; ``auto`` asks the model.
        shown: Best programs that a question shows.
        failed: Last texts that were no programs, with what was wrong.
        calls_per_step: Questions with the same history; all are in flight together.
        max_reasks: Further questions after an answer that cannot be used.
    """

    style: StyleName = "auto"
    shown: Annotated[int, Ge(1), Le(50)] = 8
    failed: Annotated[int, Ge(0), Le(20)] = 2
    calls_per_step: Annotated[int, Ge(1), Le(64)] = 4
    max_reasks: Annotated[int, Ge(0), Le(10)] = 1


@dataclass(frozen=True, slots=True)
class _Shown:
    """A program as a question shows it: texts and numbers, nothing that a template could call."""

    gain: str
    nodes: int
    formula: str
    program: str


class ModelWriter:
    """Asks a language model for programs.

    Args:
        session: The conversation.
        problem: What the programs are for.
        skeleton: What they are the missing piece of.
        arm: ``llm``, ``best_of_n``, ``placebo`` or ``wordless``.
        seed: Of the model's sampling and of the placebo's order.
        search: Limits of a program.
        options: How the model is asked.
        journal: Where fates are noted.
    """

    def __init__(
        self,
        session: LlmSession,
        problem: Problem,
        skeleton: type[Skeleton],
        arm: Arm,
        *,
        seed: int,
        search: SearchOptions,
        options: AskOptions,
        journal: Journal,
    ) -> None:
        self._session, self._arm, self._seed, self._options, self._journal = session, arm, seed, options, journal
        self._skeleton, self._search = skeleton, search
        self._dialogue = Dialogue(session, max_reasks=options.max_reasks)
        self.style = session.preferred_style if options.style == "auto" else options.style
        self._prompt: Prompt = load_prompt(f"evolve_{self.style}")
        features, self._names = _wordless(skeleton.features) if arm == "wordless" else (skeleton.features, {})
        self._features = features
        self._back = {shown: name for name, shown in self._names.items()}
        self._constant = {
            "problem": "" if arm == "wordless" else problem.summary,
            "skeleton": "" if arm == "wordless" else " ".join(inspect.getdoc(skeleton).split()),  # type: ignore[union-attr]
            "features": [
                {"name": f.name, "kind": f.kind.word, "unit": "" if f.unit == "1" else f.unit, "meaning": f.meaning}
                for f in features
            ],
            "operators": [
                {"name": o.name, "arity": o.arity, "meaning": o.meaning} for o in OPERATORS.values() if o.name != "negative"
            ],
            "depth": search.depth,
            "nodes": search.nodes,
        }
        rules = program_rules(features, search.depth)
        self._form = Object({"sketch": Text(_SKETCH), "program": Written(_LONGEST, "program", rules)})
        self._grammar = grammar_of(self._form)
        if self.style == "continuation":
            idea = f"{_FORMULA_LETTERS}{{1,100}}"
            self._grammar = line_grammar('" "? idea "\\nprogram: " program "\\n"', idea=idea, **rules)
        self._failed: deque[dict[str, str]] = deque(maxlen=options.failed or None)
        self._first: Sequence[Candidate] = ()
        self._claimed = set[str]()
        self._steps = 0
        self._waits = dict[int, float]()

    def write(self, found: Sequence[Candidate]) -> Sequence[Program] | None:
        """Programs that were not seen before, perhaps none; None when the budget allows no question any more."""
        self._steps += 1
        self._first = self._first or found
        self._claimed |= {candidate.program.sha256 for candidate in found}
        shown = self._shown(found)
        calls = range(self._options.calls_per_step)
        turns: list[Turn[int, Program]] = [Turn(call) for call in calls]
        self._waits.clear()
        begun = self._session.processor_s
        self._dialogue.ask(
            turns,
            lambda group, attempt: self._request(group[0], attempt, shown),
            lambda group, texts: [self._verdict(group[0], texts[0])],
            heard=self._heard,
        )
        ended = self._session.processor_s
        # a model on this machine has the time that it worked; waiting would count what else the machine does
        worked = None if begun is None or ended is None else ended - begun
        self._journal.waited_s += sum(self._waits.values()) if worked is None else worked
        if all(turn.failure == BUDGET and not turn.asked for turn in turns):
            return None
        if all(turn.unheard for turn in turns):
            return None  # nobody answers; the session has tried again already
        return [turn.answer for turn in turns if turn.answer is not None]

    @property
    def tokens(self) -> int:
        """Tokens of the conversation so far."""
        return self._session.tokens_in + self._session.tokens_out

    def report(self) -> DialogueReport:
        """Figures of everything that was asked."""
        return self._dialogue.report(style=self.style, prompts=self._prompt.describe())

    # -- questions ---------------------------------------------------------------------------------------------------------

    def _shown(self, found: Sequence[Candidate]) -> list[_Shown]:
        """The best programs, worst first, as this arm may see them."""
        seen = self._first if self._arm == "best_of_n" else found
        scores = [candidate.score for candidate in seen]
        if self._arm == "placebo":
            order = np.random.default_rng([self._seed, self._steps]).permutation(len(scores))
            scores = [scores[i] for i in order]
        ranked = sorted(zip(scores, range(len(seen)), strict=True), key=lambda pair: (-pair[0], pair[1]))
        told = [(score, seen[i].program.tree.value) for score, i in ranked[: self._options.shown]]
        return [
            _Shown(f"{max(score, -100.0):+.2f}", node.size, formula(Tree(node)), text_of(node))
            for score, node in ((score, _renamed(node, self._names)) for score, node in reversed(told))
        ]

    def _request(self, turn: Turn[int, Program], attempt: int, shown: Sequence[_Shown]) -> LlmRequest:
        best = float(shown[-1].gain)
        text = self._prompt.render(
            **self._constant,
            shown=shown,
            failed=[] if self._arm == "best_of_n" or not self._options.failed else list(self._failed),
            errors=turn.errors,
            **({"target": f"{best + max(0.2, 0.2 * abs(best)):+.2f}"} if self.style == "continuation" else {}),
        )
        return worded(
            text,
            self.style,
            tag=self._tag(turn),
            attempt=attempt,
            seed=int(np.random.SeedSequence([self._seed, self._steps, turn.question, attempt]).generate_state(1)[0] >> 1),
            max_tokens=_TOKENS[self.style],
            schema=schema_of(self._form),
            grammar=self._grammar,
        )

    def _tag(self, turn: Turn[int, Program]) -> str:
        return f"step={self._steps}/call={turn.question}"

    def _heard(self, turns: Sequence[Turn[int, Program]], reply: LlmReply) -> None:
        """Questions of one attempt are in flight together: the longest one is what they took."""
        attempt = turns[0].asked
        self._waits[attempt] = max(self._waits.get(attempt, 0.0), reply.latency_s)

    # -- answers -----------------------------------------------------------------------------------------------------------

    def _verdict(self, turn: Turn[int, Program], text: str) -> Verdict[Program]:
        """A program that can be evaluated, or what is wrong."""
        written, fault = self._written(text)
        position: int | None = None
        if fault is None:
            program, fault, position = self._read(written)
            if program is not None:
                return Verdict(program)
        assert fault is not None
        fate = Fate.DUPLICATE if fault.reason == "known" else Fate.REJECTED
        self._journal.refused(fate.value, self._tag(turn), written[:_LONGEST], fault.reason, fault.detail, position)
        if fate is Fate.REJECTED and self._options.failed:
            self._failed.append({"program": " ".join(written[:_QUOTED].split()), "why": fault.detail})
        return Verdict(None, ((fate, fault.reason),), (fault.detail,))

    def _written(self, text: str) -> tuple[str, Fault | None]:
        """The program's text in a reply."""
        if self.style == "continuation":
            _, _, rest = text[:MAX_TEXT].partition("program:")
            lines = rest.strip().splitlines()
            return (lines[0], None) if lines else (text.strip(), Fault("count", "no line 'program: (...)' in the answer"))
        answer, fault = read_form(self._form, text)
        return (text.strip(), fault) if fault is not None else (str(answer["program"]), None)

    def _read(self, text: str) -> tuple[Program | None, Fault | None, int | None]:
        """A program from its text; else what is wrong and where."""
        try:
            tree = parse(text)
        except ProgramError as error:
            large = "deep" in error.what or "nodes" in error.what or "characters" in error.what
            return None, Fault("too large" if large else "syntax", str(error)), error.position
        if tree.sets:
            return None, Fault("registers", "registers are not searched for; write one expression"), None
        try:
            Program.of(tree, self._features, text)  # messages speak in the names that were shown
            program = Program.of(Tree(_renamed(tree.value, self._back)), self._skeleton.features)
        except ProgramError as error:
            return None, Fault("name" if "unknown name" in error.what else "type", str(error)), error.position
        node, limits = program.tree.value, self._search
        if node.depth > limits.depth or node.size > limits.nodes:
            what = f"{node.size} nodes, {node.depth} deep; at most {limits.nodes} and {limits.depth}"
            return None, Fault("too large", what), None
        if not any(program.codes.vectors + program.codes.matrices):
            return None, Fault("constant", "the program reads no vector, so all items would be alike"), None
        key = program.filled([1.0] * program.holes).sha256
        if key in self._claimed:
            return None, Fault("known", "this program was tried before; write another one"), None
        self._claimed.add(key)
        return program, None, None


def _wordless(features: Sequence[Feature]) -> tuple[tuple[Feature, ...], dict[str, str]]:
    """Features without words: s1, v1, m1, ..., and the new names by the old ones."""
    made, names, count = list[Feature](), dict[str, str](), dict.fromkeys((f.kind for f in features), 0)
    for feature in features:
        count[feature.kind] += 1
        names[feature.name] = f"{feature.kind.word[0]}{count[feature.kind]}"
        made.append(Feature(names[feature.name], feature.kind, "1", ""))
    return tuple(made), names


def _renamed(node: Node, names: dict[str, str]) -> Node:
    """A tree with other names of features; positions stay."""
    arguments = tuple(_renamed(argument, names) for argument in node.arguments)
    return Node(node.name if arguments else names.get(node.name, node.name), arguments, node.value, node.position)

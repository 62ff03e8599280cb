"""Sample questions of the language-model operator, for checks of its prompts without a model."""

from __future__ import annotations

import numpy as np

from optisolve.core.problem import Instance
from optisolve.llm.candidates import Grid
from optisolve.llm.prompts import Prompt, style_name
from optisolve.solvers.ledma import words
from optisolve.solvers.ledma.prompts import STYLES, Question, Style
from optisolve.solvers.ledma.reflect import Ledger, Shown
from optisolve.solvers.moead.variation import Feedback

__all__ = ["sample_questions", "sample_variables"]

_NOTE = "Moving one variable at a time paid; large steps in several variables did not."


def sample_questions(instance: Instance, grid: Grid, *, count: int, seed: int = 0, n_parents: int = 10) -> list[Question]:
    """Questions about random designs, not those of a run.

    Args:
        instance: What is optimized.
        grid: Its variables as integers.
        count: Number of questions.
        seed: Of the designs and weights.
        n_parents: Designs per question.
    """
    rng = np.random.default_rng(seed)
    return [_question(instance, grid, rng, n_parents) for _ in range(count)]


def sample_variables(prompt: Prompt, instance: Instance, *, n_parents: int = 10) -> list[dict[str, object]]:
    """Variables of two different sample questions; empty for a prompt that asks for others, so is not of this operator.

    Args:
        prompt: The prompt; the end of its name tells which question it words.
        instance: What is optimized.
        n_parents: Designs per question.
    """
    samples = _samples(prompt, instance, Grid(instance.space), n_parents)
    return samples if samples and prompt.variables <= samples[0].keys() else []


def _samples(prompt: Prompt, instance: Instance, grid: Grid, n_parents: int) -> list[dict[str, object]]:
    if prompt.name.endswith("_reflect"):
        return [_reflection(instance, grid, seed, note) for seed, note in ((1, ""), (2, _NOTE))]
    name = style_name("auto", prompt.name, "")
    if name not in STYLES:
        return []
    batch = 3 if "tasks" in prompt.variables else 1
    style: Style = STYLES[name](instance, grid, prompt, batched=batch > 1)
    return [
        style.variables(sample_questions(instance, grid, count=batch, seed=seed, n_parents=n_parents), note)
        for seed, note in ((1, ""), (2, _NOTE))
    ]


def _question(instance: Instance, grid: Grid, rng: np.random.Generator, n_parents: int) -> Question:
    X = instance.project(instance.space.sample(rng, n_parents))
    evaluation = instance.evaluate_twin(X)
    values = np.sort(rng.random(n_parents))[::-1]
    parents = words.Parents(grid.encode(X), evaluation.F, evaluation.violation, values)
    minimized = evaluation.F * instance.signs
    gaps = words.gaps(instance, parents, minimized.min(axis=0), minimized.max(axis=0))
    return Question(parents, rng.dirichlet(np.ones(len(instance.objectives))), 2, gaps)


def _reflection(instance: Instance, grid: Grid, seed: int, note: str) -> dict[str, object]:
    """A ledger of a few designs, each compared with a question's best parent."""
    questions = sample_questions(instance, grid, count=4, seed=seed, n_parents=3)
    shown = {i: Shown(q.parents.numbers[-1], q.parents.F[-1], 0.0, q.weight) for i, q in enumerate(questions)}
    X = grid.decode(np.stack([q.parents.numbers[0] for q in questions]))
    F = np.stack([q.parents.F[0] for q in questions]) * instance.signs
    violation = np.array([0.0, 0.0, 0.0, 0.5])
    feedback = Feedback(np.arange(4), ["llm"] * 4, np.array([1, 0, 2, 0]), np.zeros(4), X, F, violation)
    ledger = Ledger()
    ledger.learn(instance, grid, shown, feedback)
    return ledger.variables(instance, grid, note=note, note_tokens=120)

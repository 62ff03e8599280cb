"""``optisolve run``: its settings. Hydra composes them with those of problem, solver, language model and budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt

from optisolve.cli.progress import Show
from optisolve.core.options import Options
from optisolve.core.workers import Executor

__all__ = ["Run"]


@dataclass(frozen=True, slots=True)
class Run(Options):
    """Solve a problem, verify the answer, write a record.

    Args:
        seed: Of the solver.
        instance: Instance seed.
        reference: Work on the reference beside the answer.
        reference_limit_s: Seconds for the reference. budget: budget.seconds.
        controls: Also run the controls of the answer.
        episode: Steps of an episode: the instance moves, and is solved at every step; episode=N --help tells how.
        memory: What a step of an episode is handed of earlier ones. auto: warm where the solver begins with points, else none.
        pictures: Draw front, map and convergence beside the record.
        history: all keeps every evaluated point beside the record, in history.parquet.
        print: What is printed; config is the run's settings, which config=FILE reads again, and nothing is run.
        progress: How far the run is, on stderr. auto: a bar on a terminal, elsewhere a line every few seconds.
        out: Folder of the records.
        resume: Go on with an unfinished run: a folder, or true for that in out. Nothing that is done is repeated.
        trust: A host and a key variable, VARIABLE@URL, that a file of settings names, and you confirm.
        dry_run: Say what would be asked of a language model, and what it may cost; send nothing.
        workers: Evaluations at a time; the result is the same for any number.
        executor: Who evaluates. auto: what the problem says of itself.
        address: Of the Ray cluster of executor=ray: local starts one, auto finds the running one, else HOST:PORT.
        evaluation_limit_s: Seconds after which an evaluation is killed and its point counts as a bad one.
        evaluation_limit_mb: Memory above which it is, MB.
        asynchronous: Let no worker wait for the others of a batch; then the same seed does not give the same result.
    """

    seed: int = 0
    instance: int = 0
    reference: Literal["none", "quick", "normal", "thorough"] = "quick"
    reference_limit_s: Annotated[float, Gt(0)] | Literal["budget", "unlimited"] = "budget"
    controls: bool = False
    episode: Annotated[int, Ge(1)] | None = None
    memory: Literal["auto", "none", "keep", "warm", "retrieve", "notes", "placebo"] = "auto"
    pictures: bool = True
    history: Literal["none", "all"] = "none"
    print: Literal["table", "json", "config"] = "table"
    progress: Show = "auto"
    out: str = "runs"
    resume: str | None = None
    trust: str = ""
    dry_run: bool = False
    workers: int | None = None
    executor: Executor = "auto"
    address: str = "local"
    evaluation_limit_s: float | None = None
    evaluation_limit_mb: float | None = None
    asynchronous: bool = False

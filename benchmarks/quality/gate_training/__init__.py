"""Gates as algorithm selectors: what they learn from, how they are judged, and the exchange format of the field.

Scripts of this folder import it as `gate_training`; pytest finds it by ``pythonpath`` in pyproject.toml.
It is no part of the wheel.
"""

from gate_training.aslib import write_aslib
from gate_training.evaluate import GateRow, evaluate_choices, gate_rows
from gate_training.runs import RunTable, run_table
from gate_training.train import TrainOptions, fit_trust, learned_choice, train_gate

__all__ = [
    "GateRow",
    "RunTable",
    "TrainOptions",
    "evaluate_choices",
    "fit_trust",
    "gate_rows",
    "learned_choice",
    "run_table",
    "train_gate",
    "write_aslib",
]

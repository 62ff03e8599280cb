"""Gates as algorithm selectors: what they learn from, how they are judged, and the exchange format of the field."""

from optisolve.study.gates.aslib import write_aslib
from optisolve.study.gates.evaluate import GateRow, evaluate_choices, gate_rows
from optisolve.study.gates.runs import RunTable, run_table
from optisolve.study.gates.train import TrainOptions, fit_trust, learned_choice, train_gate

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

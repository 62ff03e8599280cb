"""The suite runner: one unit, one record, whatever happens to the process that runs it."""

from optisolve.study.runner.run import Progress, SuiteRun, plan_suite, run_suite
from optisolve.study.runner.units import Plan, Skip, StaleWorker, Unit

__all__ = ["Plan", "Progress", "Skip", "StaleWorker", "SuiteRun", "Unit", "plan_suite", "run_suite"]

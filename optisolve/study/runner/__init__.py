"""The suite runner: one unit, one record, whatever happens to the process that runs it."""

from optisolve.study.runner.plan import Plan, Skip, StaleWorker, Unit
from optisolve.study.runner.run import Progress, SuiteRun, plan_suite, run_suite

__all__ = ["Plan", "Progress", "Skip", "StaleWorker", "SuiteRun", "Unit", "plan_suite", "run_suite"]

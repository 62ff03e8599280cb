"""Imported by the process that the tests' children are forked from: loads whatever a run loads, and starts no thread."""

import contextlib
import io
from importlib import import_module

from numba.core.registry import cpu_target

from optisolve.cli.main import main

for _name in (
    *(
        "optisolve.cli.job",
        "optisolve.trust.audit",
        "optisolve.solvers.moead",
        "optisolve.solvers.opro",
        "optisolve.solvers.pymoo_adapter",
    ),
    *("optisolve.problems.uav_isac", "optisolve.llm.session", "optisolve.llm.openai_client", "openai.resources.chat"),
    *("jinja2", "moocore", "pandas", "pyarrow.parquet", "pymoo", "scipy.optimize", "scipy.stats", "tests.reliability.child"),
):
    import_module(_name)
cpu_target.target_context.refresh()
with contextlib.redirect_stdout(io.StringIO()):
    main(["run", "--cfg", "job"])  # hydra and its grammar
